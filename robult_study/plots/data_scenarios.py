"""The two scenarios of Fig. 2 with real samples, and how few labels a run sees."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from robult_core.datasets.container import MultimodalData
from robult_study.plots.samples import draw_sample, present_names
from robult_study.plots.style import MUTED, finish, ordered
from robult_study.wording import in_words

SAMPLES_PER_LINE = 5
LABEL = MUTED["wine"]
ALL_ROWS = {"facecolor": "#dddddd"}
LABELLED_ROWS = {"facecolor": LABEL, "edgecolor": "white", "hatch": "//"}


def scenarios(
    data: MultimodalData,
    train: np.ndarray,
    labeled: np.ndarray,
    test: np.ndarray,
    present: np.ndarray,
    title: str = "",
) -> Figure:
    """Fig. 2 with samples of `data`: complete ones with few labels, and incomplete ones to predict.

    train: rows `(n,)`. labeled: `(n,)` bool. test: rows `(m,)`. present: `(M, m)` bool.
    """
    lines = -(-max(len(train), len(test)) // SAMPLES_PER_LINE)
    figure = plt.figure(figsize=(9.0, 0.4 + 1.05 * lines))
    left, right = figure.subfigures(1, 2, wspace=0.06)
    left.suptitle("training: every modality, few labels", fontsize=10)
    right.suptitle("evaluation: modalities are missing", fontsize=10)
    every = np.ones((len(data.names), len(train)), dtype=bool)
    shown = _block(left, data, train, every)
    for ax, row, seen in zip(shown, train, labeled, strict=True):
        ax.set_title(f"label {data.targets[row]}" if seen else "no label", fontsize=9)
        if seen:
            ax.spines[:].set(color=LABEL, linewidth=2.5)
    for ax in _block(right, data, test, present):
        ax.set_title("to predict", fontsize=9)
    return finish(figure, title)


def _block(
    side: SubFigure, data: MultimodalData, rows: np.ndarray, present: np.ndarray
) -> list[Axes]:
    """Draw the samples, each with the modalities that are there, and return their axes."""
    lines = -(-len(rows) // SAMPLES_PER_LINE)
    axes = side.subplots(lines, SAMPLES_PER_LINE, squeeze=False).flat
    for ax in axes[len(rows) :]:
        ax.axis("off")
    for ax, row, there in zip(axes, rows, present.T, strict=False):
        draw_sample(ax, data, int(row), present_names(data, there))
    return list(axes[: len(rows)])


def label_shares(frame: pd.DataFrame, title: str = "") -> Figure:
    """Training rows per class, and those whose label a run sees, with their number.

    Where numbers of many classes would be too small to read, the axis says how many labels a class
    has. frame: columns data_set, class, rows, labelled.
    """
    grid = sns.FacetGrid(
        frame,
        col="data_set",
        col_order=ordered(frame["data_set"]),
        col_wrap=3,
        sharex=False,
        sharey=False,
        height=1.9,
        aspect=1.7,
    )
    for name, ax in grid.axes_dict.items():
        cell = frame[frame["data_set"] == name]
        places = np.arange(len(cell))
        ax.bar(places, cell["rows"], **ALL_ROWS)
        bars = ax.bar(places, cell["labelled"], **LABELLED_ROWS)
        if len(cell) < 20:
            ax.bar_label(bars, padding=1, fontsize=8)
            classes = "class"
        else:
            counts = " to ".join(map(str, sorted({cell["labelled"].min(), cell["labelled"].max()})))
            classes = f"class ({counts} labels in each)"
        every = 1 + len(cell) // 11
        ax.set_xticks(places[::every], cell["class"][::every])
        seen = f"{cell['labelled'].sum()} of {cell['rows'].sum()} rows"
        ax.set(title=f"{in_words(name)}: {seen}", xlabel=classes, ylabel="rows")
    handles = [
        Patch(label="training rows", **ALL_ROWS),
        Patch(label="whose label a run sees", **LABELLED_ROWS),
    ]
    return finish(grid.figure, title, handles)
