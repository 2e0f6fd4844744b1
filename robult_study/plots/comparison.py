"""The methods beside each other: their metric by pattern, and the critical-difference diagrams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robult_study.plots.panels import curve_panels
from robult_study.plots.style import (
    INTERVAL,
    METHOD_COLORS,
    drawn_intervals,
    finish,
    interval_rows,
    line_handles,
    looks,
    metric_label,
    ordered,
    show_direction,
)
from robult_study.results.metrics import first_metric, only_first, oriented
from robult_study.results.selection import STEPS
from robult_study.results.tables import CONTENDERS
from robult_study.wording import METHOD_NAMES, in_words

ONE_OR_ALL = (*CONTENDERS, "unimodal_distilled")  # the last is the control of Distilled Robult


def method_comparison(cells: pd.DataFrame, title: str = "") -> Figure:
    """The first metric by pattern, in a panel per data set, with the interval over seeds.

    cells: the frame of `tables.cells`. A higher place is better everywhere, because the axis of
    an error runs downwards.
    """
    frame = only_first(cells)
    methods = ordered(frame["method"])
    title = title or _most_best(frame)
    grid = _points_by_method(
        frame,
        "pattern",
        methods,
        col_wrap=2,
        sharex=False,
        linestyle="none",
        dodge=0.93 * (1 - 1 / len(methods)),  # an equal share of a column for each
        err_kws={"linewidth": 1.2},
        height=2.2,
        aspect=2.6,
    )
    for name, ax in grid.axes_dict.items():
        metric = first_metric(name)
        ax.set(title=in_words(name), xlabel="", ylabel=metric_label(metric))
        _separate_patterns(ax)
        show_direction(ax, metric)
    return finish(grid.figure, title, line_handles(methods, lines=False))


def one_or_all(brief: pd.DataFrame) -> Figure:
    """Each method with one modality and with all, in a panel per data set.

    brief: the frame of `tables.in_brief`. The title counts the sets on which the method that
    leads most often has the best mean of those that are drawn.
    """
    methods = [name for name in ordered(brief["method"]) if name in ONE_OR_ALL]
    frame = brief[brief["method"].isin(methods)]
    present = frame["pattern"].mask(frame["pattern"] != "all", "one")
    frame = frame.assign(present=present)
    grid = _points_by_method(
        frame,
        "present",
        methods,
        linewidth=1.2,
        dodge=0.6,
        err_kws={"linewidth": 1.0},
        height=2.4,
        aspect=0.75,
    )
    for name, ax in grid.axes_dict.items():
        metric = first_metric(name)
        ax.set(title=in_words(name), xlabel="modalities", ylabel=metric_label(metric))
        show_direction(ax, metric)
    return finish(grid.figure, _lead(frame), line_handles(methods, lines=False))


def _points_by_method(
    frame: pd.DataFrame, x: str, methods: list[str], **layout: Any
) -> sns.FacetGrid:
    """The values with intervals over the column `x`, in a panel per data set."""
    look = looks(methods)
    return sns.catplot(
        interval_rows(drawn_intervals(frame)),
        kind="point",
        x=x,
        y="value",
        hue="method",
        hue_order=methods,
        col="data_set",
        col_order=ordered(frame["data_set"]),
        sharey=False,
        palette=look["palette"],
        markers=[look["markers"][name] for name in methods],
        markersize=5,
        markeredgewidth=0.5,  # seaborn's own is so wide that a star becomes a dot
        legend=False,
        **layout,
        **INTERVAL,
    )


def _lead(frame: pd.DataFrame) -> str:
    """On how many sets the method that leads most often does so, with one modality and all."""
    best = _best_means(frame, "present")
    leader = best["method"].value_counts().idxmax()
    led = best[best["method"] == leader]["present"].value_counts()
    n_methods, n_sets = frame["method"].nunique(), frame["data_set"].nunique()
    return (
        f"With one modality left {METHOD_NAMES[leader]} has the best mean of the {n_methods} here "
        f"on {led.get('one', 0)} of {n_sets} data sets, with all on {led.get('all', 0)}"
    )


def _best_means(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The row with the best mean on each data set for each value of the column."""
    signed = oriented(frame.assign(value=frame["mean"]))
    return signed.loc[signed.groupby(["data_set", column])["value"].idxmax()]


def _most_best(cells: pd.DataFrame) -> str:
    """In how many columns of the panels the method that leads most often has the best mean."""
    best = _best_means(cells, "pattern")["method"]
    leader = best.value_counts().idxmax()
    return (
        f"{METHOD_NAMES[leader]} has the best mean of {cells['method'].nunique()} methods and "
        f"controls in {(best == leader).sum()} of {len(best)} columns"
    )


def _separate_patterns(ax: Axes) -> None:
    """Name the patterns in words, with a rule between neighbours."""
    names = [in_words(label.get_text()).replace(" ", "\n") for label in ax.get_xticklabels()]
    small = {"fontsize": "small"} if len(names) > 6 else {}
    ax.set_xticks(range(len(names)), names, **small)
    for edge in range(1, len(names)):
        ax.axvline(edge - 0.5, color="#dddddd", linewidth=0.8)


def ranks_by_steps(frame: pd.DataFrame) -> Figure:
    """Mean rank of each method over the number of steps, a panel per data set, the best on top.

    frame: `summarize` of `selection.step_ranks`. Intervals of so few ranks are left out.
    """
    means = frame.assign(low=frame["mean"], high=frame["mean"])
    best = means.groupby(["data_set", STEPS])["mean"].transform("min") == means["mean"]
    first = means.loc[best, "method"].value_counts()
    title = (
        f"{METHOD_NAMES[first.idxmax()]} has the best mean rank in {first.max()} of "
        f"{len(means[['data_set', STEPS]].drop_duplicates())} pairs of a set and a number of steps"
    )
    figure = curve_panels(means, STEPS, "method", "data_set", title=title, log=True, share_y=True)
    figure.axes[0].invert_yaxis()  # of all panels, which share it
    figure.axes[0].set_yticks(range(1, frame["method"].nunique() + 1))
    figure.axes[0].set_ylabel("mean rank (1 is best)")
    return figure


def critical_difference_pair(
    ranks: pd.Series,
    p_values: dict[str, pd.DataFrame],
    cd: float,
    n_blocks: int,
    title: str = "",
    names: Mapping[str, str] = METHOD_NAMES,
) -> tuple[Figure, pd.DataFrame]:
    """Fig. 5 once per procedure, as Demsar (2006) draws it, and the p value of every pair.

    A bar joins methods that the procedure cannot separate. Nemenyi's diagram has a ruler as long
    as the critical difference `cd`. ranks: mean rank by method, best first. p_values: by the name
    of the procedure, `(k, k)` with labels. names: what is printed for each method.
    """
    height = 0.2 + 2.0 * len(p_values)
    figure, axes = plt.subplots(len(p_values), 1, figsize=(7.5, height), squeeze=False)
    for ax, (procedure, p) in zip(axes[:, 0], p_values.items(), strict=True):
        _diagram(ax, ranks, p, names)
        named = f"{procedure}: mean rank over {n_blocks} blocks (1 is best)"
        ax.set_title(named, loc="left", pad=30)
        if procedure == "Nemenyi":
            _ruler(ax, cd, len(ranks))
    finish(figure, title)
    figure.get_layout_engine().set(w_pad=0.15)  # names stand beside the axes, up to the edge
    return figure, _pairs(p_values)


def _diagram(ax: Axes, ranks: pd.Series, p: pd.DataFrame, names: Mapping[str, str]) -> None:
    from scikit_posthocs import critical_difference_diagram  # slow to import

    drawn = critical_difference_diagram(
        ranks.rename(names),
        p.rename(index=names, columns=names),
        ax=ax,
        label_fmt_left="{label}  {rank:.2f}  ",
        label_fmt_right="  {rank:.2f}  {label}",
        crossbar_props={
            "linewidth": 4,
            "color": "black",
            "marker": "o",
            "markersize": 7,
            "markerfacecolor": "white",
        },
        marker_props={"marker": "o"},
        color_palette={names[name]: METHOD_COLORS[name] for name in ranks.index},
    )
    for label in drawn["labels"]:
        label.set_color("black")  # the lighter colours are faint as text
    if not drawn["crossbars"]:
        note = {"transform": ax.transAxes, "va": "center", "fontsize": 9}
        ax.text(0, 1.2, "no bar: every pair is told apart", **note)
    ax.spines["top"].set_visible(True)
    ax.set_xlim(1, len(ranks))
    ax.set_xticks(range(1, len(ranks) + 1))


def _ruler(ax: Axes, cd: float, n_methods: int) -> None:
    """A ruler above the axis of ranks, as long as the critical difference."""
    above = ax.get_xaxis_transform()
    end = min(1 + cd, n_methods)
    ax.plot([1, end], [1.2, 1.2], "k|-", transform=above, clip_on=False, markersize=7)
    text = f"  critical difference {cd:.2f}"
    ax.text(end, 1.2, text, va="center", fontsize=9, transform=above)


def _pairs(p_values: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per pair of methods, one column per procedure."""
    columns = {}
    for name, p in p_values.items():
        above_diagonal = np.triu(np.ones(p.shape, dtype=bool), 1)
        columns[name] = p.where(above_diagonal).stack().dropna()
    return pd.DataFrame(columns).rename_axis(["method", "other"]).reset_index()
