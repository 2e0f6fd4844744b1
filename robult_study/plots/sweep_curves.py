"""Sweeps: Robult's lead over each rival along an axis, and every subset of the modalities."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robult_core.protocol import pattern_modalities
from robult_study.plots.style import (
    INTERVAL,
    METHOD_COLORS,
    METHOD_MARKERS,
    RULE,
    finish,
    first_metrics,
    interval_rows,
    linear_ticks,
    log_ticks,
    metric_label,
    ordered,
    show_direction,
    trusted_intervals,
    wrapped,
)
from robult_study.wording import METHOD_NAMES, in_words

RIVALS = {"color": "#999999", "linewidth": 3.5, "alpha": 0.7}
OURS = {
    "color": METHOD_COLORS["robult"],
    "marker": METHOD_MARKERS["robult"],
    "linestyle": "none",
    "markersize": 4,
}


def lead_panels(
    frame: pd.DataFrame, x: str, label: str = "", log: bool = False, title: str = ""
) -> Figure:
    """Robult minus each rival along `x`: a row per rival, a column per data set, a line per view.

    frame: columns data_set, against, view, x, difference, low, high, n. Above 0 Robult is better;
    a band that leaves out 0 says so beyond the luck of the seeds. All panels share their y axis.
    """
    rivals = ordered(frame["against"])
    views = list(frame["view"].unique())
    dashes = dict(zip(views, ("", (2, 1), (1, 1)), strict=False))
    grid = sns.FacetGrid(
        frame,
        row="against",
        row_order=rivals,
        col="data_set",
        col_order=ordered(frame["data_set"]),
        sharex="col",
        sharey=True,
        height=1.15,
        aspect=1.45,
    )
    for (rival, name), ax in grid.axes_dict.items():
        cell = frame[(frame["against"] == rival) & (frame["data_set"] == name)]
        sns.lineplot(
            interval_rows(trusted_intervals(cell), "difference"),
            x=x,
            y="value",
            style="view",
            style_order=views,
            dashes=dashes,
            color=METHOD_COLORS[rival],
            err_kws={"alpha": 0.18, "linewidth": 0},
            legend=False,
            ax=ax,
            **INTERVAL,
        )
        _dress_lead(ax, rival, name, label or in_words(x))
        place_ticks = log_ticks if log else linear_ticks
        place_ticks(ax, frame.loc[frame["data_set"] == name, x])
    handles = [
        Line2D([], [], color="black", linestyle=(0, dash) if dash else "-", label=view)
        for view, dash in dashes.items()
    ]
    shown = lead_label(grid.col_names, "above")
    grid.figure.supylabel(wrapped(shown, grid.figure.get_figheight()), fontsize="medium")
    return finish(grid.figure, title, handles if len(views) > 1 else ())


def _dress_lead(ax: Axes, rival: str, name: str, label: str) -> None:
    """Name the panel, and draw the line at which both methods are equally good."""
    ax.axhline(0, color="black", linewidth=0.8, zorder=0)
    place = ax.get_subplotspec()
    ax.set_title(in_words(name) if place.is_first_row() else "")
    short = METHOD_NAMES[rival].partition(" (")[0]
    ax.set_ylabel(f"Robult −\n{short}" if place.is_first_col() else "")
    ax.set_xlabel(label if place.is_last_row() else "")


def lead_label(data_sets: Iterable[str], better: str = "right of") -> str:
    """What an axis shows whose values are Robult minus another method, on these data sets.

    better: on which side of 0 Robult is better.
    """
    metrics = first_metrics(data_sets)
    return f"Robult minus the other, {metrics}; {better} 0 Robult is better"


def pattern_ranges(frame: pd.DataFrame, names: tuple[str, ...], title: str = "") -> Figure:
    """Every subset of the modalities as a column: Robult, and the range of the other methods.

    frame: columns pattern, method, mean, metric. names: all modalities. Subsets of a size stand
    together, from the worst for Robult to the best; dark squares below say what is present.
    """
    means = frame.pivot(index="pattern", columns="method", values="mean")
    sizes = pd.Series([len(pattern_modalities(name)) for name in means.index], means.index)
    means = means.assign(size=sizes).sort_values(["size", "robult"])
    rivals = means.drop(columns=["robult", "size"])
    width = max(6.0, 1.4 + 0.11 * len(means))
    figure, (top, bottom) = plt.subplots(
        2,
        1,
        figsize=(width, 2.6 + 0.2 * len(names)),
        height_ratios=(2.6, 0.2 * len(names)),
        sharex=True,
    )
    columns = np.arange(len(means)) + 0.5  # a cell of the matrix below is centred there
    top.vlines(columns, rivals.min(axis=1), rivals.max(axis=1), **RIVALS)
    top.plot(columns, means["robult"], **OURS)
    metric = frame["metric"].iloc[0]
    top.set_ylabel(metric_label(metric))
    show_direction(top, metric)
    _presence(bottom, list(means.index), names)
    _mark_sizes(top, bottom, means["size"].to_numpy())
    handles = [
        Line2D([], [], label=METHOD_NAMES["robult"], **OURS),
        Line2D([], [], label="from the worst to the best of the other methods", **RIVALS),
    ]
    return finish(figure, title, handles)


def _presence(ax: Axes, patterns: list[str], names: tuple[str, ...]) -> None:
    """A matrix of modalities by patterns, dark where the modality is present."""
    there = [[name in pattern_modalities(pattern) for pattern in patterns] for name in names]
    sns.heatmap(
        np.array(there),
        cmap=["#eeeeee", "#444444"],
        cbar=False,
        linewidths=0.6,
        xticklabels=False,
        yticklabels=[in_words(name) for name in names],
        ax=ax,
    )
    ax.tick_params(length=0)


def _mark_sizes(top: Axes, bottom: Axes, sizes: np.ndarray) -> None:
    """Rules between the subsets of different sizes, and the size below each block."""
    starts = np.flatnonzero(np.diff(sizes, prepend=0))
    for start in starts[1:]:
        top.axvline(start, **RULE)
    blocks = pd.Series(np.arange(len(sizes))).groupby(sizes).mean()
    bottom.set_xticks(blocks + 0.5, [f"{size:g}" for size in blocks.index])
    bottom.set_xlabel("number of modalities present")
    top.tick_params(axis="x", length=0)
