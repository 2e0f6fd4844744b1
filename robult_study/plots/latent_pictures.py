"""Maps of the latents s, z and u, coloured by class or by modality."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robult_study.plots.style import CYCLE, FUSED_COLOR, MODALITY_COLORS, class_colors, finish
from robult_study.wording import ROLE_NAMES, in_words

ROLE_MARKERS = {"u": "^", "z": "o", "s": "*"}  # as they lie on each other, s on top
ROLE_SIZES = {"u": 9, "z": 9, "s": 28}
COLUMNS = {"class": "label", "modality": "modality"}  # of a map, by what colours it
FUSED = "all"  # the modality of s in `latents.map_frame`


def draw_map(ax: Axes, frame: pd.DataFrame, colouring: str) -> None:
    """One map of `latents.map_frame`, with the role of a latent as its marker.

    colouring: "class" or "modality". The number of a class stands amid its fused latents.
    """
    bottom_up = frame.sort_values("role", key=lambda role: role.map(list(ROLE_MARKERS).index))
    sns.scatterplot(
        bottom_up,
        x="x",
        y="y",
        hue=COLUMNS[colouring],
        palette=map_colors(frame, colouring),
        style="role",
        markers=ROLE_MARKERS,
        size="role",
        sizes=ROLE_SIZES,
        linewidth=0.2,
        alpha=0.8,
        legend=False,
        ax=ax,
    )
    if colouring == "class":
        _number_classes(ax, frame)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.set_aspect("equal", adjustable="datalim")
    ax.spines[:].set_visible(True)


def map_colors(frame: pd.DataFrame, colouring: str) -> dict:
    """The colour of each class, or of each modality; what is fused of all modalities is black."""
    if colouring == "class":
        labels = sorted(frame["label"].unique())
        return dict(zip(labels, class_colors(len(labels)), strict=True))
    names = [name for name in frame["modality"].unique() if name != FUSED]
    return {**dict(zip(names, cycle(MODALITY_COLORS + CYCLE), strict=False)), FUSED: FUSED_COLOR}


def _number_classes(ax: Axes, frame: pd.DataFrame) -> None:
    fused = frame[frame["role"] == "s"]
    centres = (fused if len(fused) else frame).groupby("label")[["x", "y"]].median()
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "boxstyle": "round,pad=0.1"}
    for label, (x, y) in zip(centres.index, centres.to_numpy(), strict=True):
        ax.text(x, y, label, ha="center", va="center", fontsize=9, fontweight="bold", bbox=box)


def latent_maps(frame: pd.DataFrame, column: str, title: str = "") -> Figure:
    """Maps of s, z and u beside each other, coloured by class above and by modality below.

    frame: rows of `latents.map_frame` of one kind with one more column, `column`, of which each
    value has a pair of maps.
    """
    models = list(frame[column].unique())
    size = (2.6 * len(models), 2.6 * len(COLUMNS))
    figure, axes = plt.subplots(len(COLUMNS), len(models), figsize=size, squeeze=False)
    for (row, number), ax in np.ndenumerate(axes):
        colouring, model = list(COLUMNS)[row], models[number]
        draw_map(ax, frame[frame[column] == model], colouring)
        ax.set_title(in_words(model) if row == 0 else "")
        ax.set_ylabel(f"coloured by {colouring}" if number == 0 else "")
    handles = _dots(map_colors(frame, "modality"))
    handles += [
        Line2D([], [], color="#555555", marker=marker, linestyle="none", label=ROLE_NAMES[role])
        for role, marker in ROLE_MARKERS.items()
    ]
    return finish(figure, title, handles)


def _dots(colors: Mapping[str, str]) -> list[Line2D]:
    """Entries of the legend for the modalities; what is fused has its marker already."""
    return [
        Line2D([], [], color=color, marker="o", linestyle="none", label=in_words(name))
        for name, color in colors.items()
        if name != FUSED
    ]
