"""The weights of Eq. 5 on pseudo-positive pairs: as matrices, and as histograms (Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from robult_study.plots.style import WEIGHT_COLORS, finish, ordered
from robult_study.results.pairs import RBF
from robult_study.wording import in_words

PAIRS = {  # true ones in the colour of the weights that are drawn, false ones as their rings
    True: {"color": WEIGHT_COLORS[RBF], "linestyle": "-", "label": "true pairs"},
    False: {"color": "black", "linestyle": "--", "label": "false pairs"},
}
BINS = np.linspace(0, 1, 21)
FALSE_MARK = {
    "marker": "o",
    "linestyle": "none",
    "markersize": 3.5,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "markeredgewidth": 0.6,
    "label": "false pair",
}
NO_PAIR = {"facecolor": "white", "edgecolor": "#cccccc", "hatch": "////"}


def largest_classes(classes: np.ndarray, most: int = 2) -> np.ndarray:
    """The samples of the `most` largest classes, sorted by class: what a matrix can show legibly.

    classes: `(B,)`. Returns `(n,)` positions in the batch.
    """
    names, counts = np.unique(classes, return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")[:most]]
    order = np.argsort(classes, kind="stable")
    return order[np.isin(classes[order], largest)]


def draw_weights(
    ax: Axes, weights: np.ndarray, pairs: np.ndarray, true: np.ndarray, order: np.ndarray
) -> None:
    """Anchors by partners, darker where the weight is larger, with a ring on each false pair.

    weights, pairs and true: `(B, B)`. order: `(n,)` samples to show. Hatched cells are no
    pseudo-positives.
    """
    cut = np.ix_(order, order)
    sns.heatmap(
        weights[cut],
        mask=~pairs[cut],
        cmap="Purples",
        vmin=0,
        vmax=1,
        cbar=False,
        square=True,
        xticklabels=False,
        yticklabels=False,
        ax=ax,
    )
    anchors, partners = np.nonzero(pairs[cut] & ~true[cut])
    ax.plot(partners + 0.5, anchors + 0.5, **FALSE_MARK)
    ax.patch.set(**NO_PAIR)
    ax.set(xlabel="partner k", ylabel="anchor j")


def weight_matrices(
    panels: Mapping[str, np.ndarray],
    pairs: np.ndarray,
    true: np.ndarray,
    order: np.ndarray,
    columns: int,
    title: str = "",
) -> Figure:
    """Weights of one batch side by side, by the panel's title, as `draw_weights` shows them."""
    lines = -(-len(panels) // columns)
    size = (2.5 * columns + 0.8, 2.6 * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (name, weights) in zip(axes.flat, panels.items(), strict=False):
        draw_weights(ax, weights, pairs, true, order)
        ax.set_title(name)
        ax.label_outer()
    figure.set_layout_engine("constrained")
    figure.colorbar(axes[0, 0].collections[0], ax=list(axes.flat), label="weight", shrink=1 / lines)
    handles = [Line2D([], [], **FALSE_MARK), Patch(label="no pseudo-positive", **NO_PAIR)]
    return finish(figure, title, handles)


def draw_histogram(ax: Axes, weights: np.ndarray, true: np.ndarray) -> None:
    """The density of the weights `(n,)` of true pairs and of false pairs, as two outlines."""
    for kind, look in PAIRS.items():
        chosen = weights[true == kind]
        if len(chosen):
            # seaborn's histogram would be too slow for a slider
            ax.hist(chosen, bins=BINS, density=True, histtype="step", linewidth=1.6, **look)
    ax.set(xlabel="weight", ylabel="density", xlim=(0, 1), xticks=(0, 0.5, 1))


def weight_histograms(frame: pd.DataFrame, weight: str, title: str = "") -> Figure:
    """Fig. 4 measured: a row per data set, a column per step, with the share of false pairs.

    frame: one row per pair, with the columns data_set, step, true and the column `weight`.
    """
    grid = sns.FacetGrid(
        frame,
        row="data_set",
        row_order=ordered(frame["data_set"]),
        col="step",
        sharey="row",
        sharex=True,
        height=1.7,
        aspect=1.3,
    )
    for (name, step), ax in grid.axes_dict.items():
        cell = frame[(frame["data_set"] == name) & (frame["step"] == step)]
        draw_histogram(ax, cell[weight].to_numpy(), cell["true"].to_numpy())
        ax.set_title(f"step {step}: {1 - cell['true'].mean():.0%} false")
        ax.label_outer()
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(f"{in_words(name)}\ndensity")
    return finish(grid.figure, title, [Line2D([], [], **look) for look in PAIRS.values()])
