"""Panels that several notebooks share: lines over an axis, and dots with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robult_study.plots.style import (
    INTERVAL,
    drawn_intervals,
    finish,
    interval_rows,
    line_handles,
    linear_ticks,
    log_ticks,
    looks,
    metric_label,
    ordered,
    show_direction,
    wrapped,
)
from robult_study.wording import in_words

EXACT = {"color": "black", "linestyle": ":", "linewidth": 1.2}


def curve_panels(
    frame: pd.DataFrame,
    x: str,
    group: str,
    panel: str,
    columns: int = 3,
    label: str = "",
    *,
    row: str | None = None,
    title: str = "",
    log: bool = False,
    bounds: tuple[float | None, float | None] = (None, None),
    share_y: bool | str = False,
    highlight: Sequence[str] = (),
    size: tuple[float, float] = (3.0, 2.2),
) -> Figure:
    """A line per `group` over `x` with its interval as a band, in one panel per value of `panel`.

    frame: columns mean, low, high, and n where intervals of few values are to be left out. A
    column `metric` gives each panel the label, the range and the direction of its metric.
    row: a second column of panels, below each other; without it there are `columns` to a line.
    highlight: groups that are drawn thick; they alone have a band then. size: inches of a panel.
    """
    groups = ordered(frame[group])
    drawn = drawn_intervals(frame, bounds)
    if highlight:
        kept = drawn[group].isin(highlight)
        drawn = drawn.assign(low=drawn["low"].where(kept), high=drawn["high"].where(kept))
    grid = sns.relplot(
        interval_rows(drawn),
        kind="line",
        x=x,
        y="value",
        **INTERVAL,
        **_lines(group, groups, highlight),
        row=row,
        col=panel,
        col_order=ordered(frame[panel]),
        col_wrap=None if row else columns,
        height=size[1],
        aspect=size[0] / size[1],
        facet_kws={"sharex": False, "sharey": share_y},
    )
    for key, ax in grid.axes_dict.items():
        row_name, name = key if row else (None, key)
        cell = frame[frame[panel] == name]
        _name_panel(ax, row_name, name, label)
        ax.set_xlabel(in_words(x) if row is None or ax.get_subplotspec().is_last_row() else "")
        _set_axes(ax, cell, x, log)
    return finish(grid.figure, title, line_handles(groups))


def ranges(
    frame: pd.DataFrame,
    x: str,
    y: str,
    group: str,
    panel: str,
    *,
    truth: str | None = None,
    title: str = "",
) -> Figure:
    """A line per `group` through the means of rows of equal `x`, with their whole range as a band.

    frame: one row per run. The x axis is logarithmic and all panels share one y axis.
    truth: a column with one value per panel, which is drawn as a dotted line.
    """
    groups = ordered(frame[group])
    grid = sns.relplot(
        frame,
        kind="line",
        x=x,
        y=y,
        errorbar=("pi", 100),
        **_lines(group, groups, ()),
        col=panel,
        col_order=ordered(frame[panel]),
        height=2.5,
        aspect=3.2 / 2.5 if frame[panel].nunique() < 3 else 1.0,
        facet_kws={"sharex": False},
    )
    handles = line_handles(groups)
    for name, ax in grid.axes_dict.items():
        cell = frame[frame[panel] == name]
        _name_panel(ax, None, name, y)
        _set_axes(ax, cell, x, log=True)
        if truth:
            ax.axhline(cell[truth].iloc[0], **EXACT)
    if truth:
        handles.append(Line2D([], [], label=in_words(truth), **EXACT))
    return finish(grid.figure, title, handles)


def _lines(group: str, groups: list[str], highlight: Sequence[str]) -> dict[str, Any]:
    """The arguments of a line plot whose lines differ in colour, marker and dashes."""
    arguments = {
        "hue": group,
        "hue_order": groups,
        "style": group,
        "style_order": groups,
        "err_kws": {"alpha": 0.18, "linewidth": 0},
        "markeredgewidth": 0.4,  # seaborn's own is so wide that a star becomes a dot
        "legend": False,
    }
    if highlight:
        widths = {name: 2.6 if name in highlight else 1.2 for name in groups}
        arguments |= {"size": group, "sizes": widths}
    return arguments | looks(groups)


def _name_panel(ax: Axes, row: str | None, name: str, label: str) -> None:
    """Name a panel above it, and its row beside the first panel of the row."""
    place = ax.get_subplotspec()
    ax.set_title(in_words(name) if row is None or place.is_first_row() else "")
    ax.set_ylabel("")
    if place.is_first_col():
        ax.set_ylabel(in_words(row) if row else in_words(label))


def _set_axes(ax: Axes, cell: pd.DataFrame, x: str, log: bool) -> None:
    """Place the ticks of the x axis, and let the metric name and turn the y axis."""
    if log:
        log_ticks(ax, cell[x])
    else:
        linear_ticks(ax, cell[x])
    if "metric" in cell:
        metric = cell["metric"].iloc[0]
        row = ax.get_ylabel()
        ax.set_ylabel(f"{row}\n{metric_label(metric)}" if row else metric_label(metric))
        show_direction(ax, metric)


def dots(
    frame: pd.DataFrame,
    row: str | None,
    column: str,
    panel: str,
    group: str,
    label: str = "",
    *,
    title: str = "",
    bounds: tuple[float | None, float | None] = (None, None),
    width: float = 1.7,
) -> Figure:
    """Panels `row` x `panel`: the values of `column` along the y axis, one marker per `group`.

    frame: columns mean, low, high, and n where intervals of few values are to be left out.
    label: the quantity, where it is one for all panels; they share one x axis then, otherwise
    those of a column do. width: inches of a panel. Panels that more rows have come first, because
    the first one of a row carries its names.
    """
    groups = ordered(frame[group])
    names = ordered(frame[column])
    panels = ordered(frame[panel])
    if row:
        n_rows = frame.groupby(panel)[row].nunique()[panels]
        panels = list(n_rows.sort_values(ascending=False, kind="stable").index)
    look = looks(groups)
    height = 0.55 + 0.11 * len(names) * (1 + len(groups))
    grid = sns.catplot(
        interval_rows(drawn_intervals(frame, bounds)),
        kind="point",
        x="value",
        y=column,
        order=names,
        hue=group,
        hue_order=groups,
        row=row,
        row_order=ordered(frame[row]) if row else None,
        col=panel,
        col_order=panels,
        sharex=True if label else "col",
        palette=look["palette"],
        markers=[look["markers"][name] for name in groups],
        linestyle="none",
        markersize=5,
        markeredgewidth=0.5,
        dodge=0.6,
        err_kws={"linewidth": 1.2},
        height=height,
        aspect=width / height,
        legend=False,
        **INTERVAL,
    )
    _name_rows(grid, frame, names, row, panel)
    for ax in grid.axes.flat:
        ax.set_ylabel(wrapped(ax.get_ylabel(), height))
        ax.locator_params(axis="x", nbins=3 if width < 2 else 6)
        ax.set_xlabel(label if ax.get_subplotspec().is_last_row() else "")
    return finish(grid.figure, title, line_handles(groups, lines=False))


def _name_rows(
    grid: sns.FacetGrid, frame: pd.DataFrame, names: list[str], row: str | None, panel: str
) -> None:
    """Name every panel of dots and the rows in it; a panel without values is left out.

    frame, row, panel: as `dots` has them; names: the rows along the y axis.
    """
    for key, ax in grid.axes_dict.items():
        row_name, name = key if row else (None, key)
        _name_panel(ax, row_name, name, "")
        ax.set_yticks(range(len(names)), [in_words(name) for name in names])
        ax.grid(axis="x", color="#e5e5e5", linewidth=0.6)
        cell = frame[frame[panel] == name]
        if row and not (cell[row] == row_name).any():  # the measure is not defined for this row
            ax.set_visible(False)
    for panels in grid.axes.T:
        lowest = [ax for ax in panels if ax.get_visible()][-1]
        lowest.tick_params(labelbottom=True)  # of a shared axis only the last row has the numbers
