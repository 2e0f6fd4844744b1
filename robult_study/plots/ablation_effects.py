"""What a change of Robult does: a forest of differences, and a heat map of the open choices."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robult_study.plots.style import (
    INTERVAL,
    MUTED,
    finish,
    first_metrics,
    interval_rows,
    ordered,
    trusted_intervals,
    wrapped,
)
from robult_study.wording import in_words

INK = MUTED["wine"]
DECIDED = {
    "color": INK,
    "marker": "o",
    "linestyle": "none",
    "markersize": 4,  # small, so that a short interval sticks out
    "markeredgewidth": 1.0,
    "zorder": 3,  # above the interval, so that a hollow marker stays hollow
}
UNDECIDED = DECIDED | {"markerfacecolor": "white"}
STRONGEST = 0.15  # a change of this size or larger has the full colour
DARK = 0.1  # the colour of a larger change is so dark that its number is white


def forest(
    frame: pd.DataFrame,
    y: str,
    panel: str,
    section: str,
    label: str,
    *,
    title: str = "",
    share_x: bool | str = True,
) -> Figure:
    """Differences with intervals: a line per value of `y`, a panel per `panel` and `section`.

    frame: rows of `intervals.paired`; 0 is no change. label: what the x axes of all panels show.
    A hollow marker has an interval that contains 0, or none. share_x: "col" gives each column a
    scale of its own, where the differences of one would vanish on that of another.
    """
    drawn = trusted_intervals(frame)
    sections = ordered(frame[section])
    counts = frame.groupby(section)[y].nunique()[sections]
    size = (1.6 + 2.0 * frame[panel].nunique(), 0.8 + 0.2 * counts.sum() + 0.2 * len(counts))
    grid = sns.FacetGrid(
        drawn,
        row=section,
        row_order=sections,
        col=panel,
        col_order=ordered(frame[panel]),
        sharex=share_x,
        sharey="row",
        gridspec_kws={"height_ratios": counts.to_numpy()},
    )
    grid.figure.set_size_inches(size)
    for (section_name, name), ax in grid.axes_dict.items():
        lines = ordered(frame.loc[frame[section] == section_name, y])
        cell = drawn[(drawn[section] == section_name) & (drawn[panel] == name)]
        _differences(ax, cell, y, lines)
        place = ax.get_subplotspec()
        ax.set_title(in_words(name) if place.is_first_row() else "")
        ax.set_xlabel("")
        ax.set_ylabel(in_words(section_name) if place.is_first_col() else "", fontweight="bold")
    handles = [
        Line2D([], [], label="the interval leaves out 0", **DECIDED),
        Line2D([], [], label="the interval contains 0", **UNDECIDED),
    ]
    figure = finish(grid.figure, title, handles)
    figure.legends[0].set_title(label)  # below all panels, where a figure's own label would clash
    return figure


def _differences(ax: Axes, cell: pd.DataFrame, y: str, lines: list[str]) -> None:
    """Markers with intervals in one panel, filled where the interval leaves out 0."""
    is_decided = (cell["low"] > 0) | (cell["high"] < 0)
    for rows, look in ((cell[is_decided], DECIDED), (cell[~is_decided], UNDECIDED)):
        sns.pointplot(
            interval_rows(rows, "difference"),
            x="value",
            y=y,
            order=lines,
            err_kws={"linewidth": 1.2, "zorder": 2},
            ax=ax,
            **look,
            **INTERVAL,
        )
    ax.axvline(0, color="black", linewidth=0.8, zorder=0)
    ax.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    ax.locator_params(axis="x", nbins=5, steps=(1, 2, 5, 10))
    ax.set_yticks(range(len(lines)), [in_words(line) for line in lines])


def switch_heat_map(
    frame: pd.DataFrame,
    views: Sequence[str],
    most: int | None = 8,
    title: str = "",
) -> tuple[Figure, pd.DataFrame]:
    """The changes of the open choices as colours, a panel per view, and the rows that are drawn.

    frame: columns data_set, view, tag, difference, low, high, verdict. A number stands where the
    interval leaves out 0. most: so many choices are drawn, those with the most such intervals;
    None draws all.
    """
    shown = frame[frame["view"].isin(views)]
    decided = (shown["verdict"] != "undecided").groupby(shown["tag"], sort=False).sum()
    chosen = decided.sort_values(ascending=False, kind="stable").index[:most]
    drawn = shown[shown["tag"].isin(chosen)]
    size = (2.6 + 2.9 * len(views), 1.2 + 0.3 * len(chosen))
    figure, axes = plt.subplots(1, len(views), figsize=size, sharey=True, squeeze=False)
    for ax, view in zip(axes[0], views, strict=True):
        _heat_map(ax, drawn[drawn["view"] == view], list(chosen))
        ax.set_title(view)
    image = axes[0, 0].collections[0]
    label = f"change in {first_metrics(ordered(drawn['data_set']))}; above 0 is better"
    label = wrapped(label, size[1])
    figure.set_layout_engine("constrained")
    figure.colorbar(image, ax=list(axes[0]), label=label, extend="both", aspect=30)
    return finish(figure, title), drawn


def _heat_map(ax: Axes, frame: pd.DataFrame, order: list[str]) -> None:
    sets = ordered(frame["data_set"])
    cells = {"index": "tag", "columns": "data_set"}
    changes = frame.pivot(values="difference", **cells).reindex(index=order, columns=sets)
    text = frame["difference"].map("{:+.3f}".format).str.replace(r"^([+-])0", r"\1", regex=True)
    text = text.mask(frame["verdict"] == "undecided", "")
    numbers = frame.assign(text=text).pivot(values="text", **cells)
    sns.heatmap(
        changes,
        vmin=-STRONGEST,
        vmax=STRONGEST,
        cmap="PuOr",
        annot=numbers.reindex(index=order, columns=sets).fillna(""),
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=1,
        cbar=False,
        xticklabels=[in_words(name) for name in sets],
        yticklabels=[in_words(tag) for tag in order],
        ax=ax,
    )
    for text in ax.texts:  # seaborn's own choice prints white on orange
        text.set_color("white" if abs(float(text.get_text() or 0)) > DARK else "black")
    ax.tick_params(length=0)
    plt.setp(ax.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
    ax.set(xlabel="", ylabel="")
