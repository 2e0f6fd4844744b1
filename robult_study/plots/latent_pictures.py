"""Maps of the latents s, z and u, coloured by class or by modality."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from robult_study.plots.style import CYCLE, MUTED, finish
from robult_study.plots.wording import ROLE_NAMES, in_words

ROLE_MARKERS = {"s": "*", "z": "o", "u": "^"}
COLUMNS = {"class": "label", "modality": "modality"}  # of a map, by what colours it
FUSED = "all"  # the modality of s in `latents.map_frame`
LIGHT = {MUTED["olive"]: MUTED["sand"], MUTED["sand"]: MUTED["olive"]}
MAP_COLORS = [LIGHT.get(color, color) for color in CYCLE]  # the first four differ in grey


def draw_map(ax: Axes, frame: pd.DataFrame, colouring: str) -> None:
    """One map of `latents.map_frame`, with the role of a latent as its marker.

    colouring: "class" or "modality". The number of a class stands amid its fused latents.
    """
    sns.scatterplot(
        frame,
        x="x",
        y="y",
        hue=COLUMNS[colouring],
        palette=map_colors(frame, colouring),
        style="role",
        markers=ROLE_MARKERS,
        s=24,
        linewidth=0.2,
        alpha=0.8,
        legend=False,
        ax=ax,
    )
    if colouring == "class":
        _number_classes(ax, frame)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.spines[:].set_visible(True)


def map_colors(frame: pd.DataFrame, colouring: str) -> dict:
    """The colour of each class, or of each modality; what is fused of all modalities is black."""
    if colouring == "class":
        names = sorted(frame["label"].unique())
    else:
        names = [name for name in frame["modality"].unique() if name != FUSED]
    colors = {name: MAP_COLORS[index % len(MAP_COLORS)] for index, name in enumerate(names)}
    return colors | {FUSED: "black"} if colouring == "modality" else colors


def _number_classes(ax: Axes, frame: pd.DataFrame) -> None:
    fused = frame[frame["role"] == "s"]
    centres = (fused if len(fused) else frame).groupby("label")[["x", "y"]].median()
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "boxstyle": "round,pad=0.1"}
    for label, (x, y) in zip(centres.index, centres.to_numpy(), strict=True):
        ax.text(x, y, label, ha="center", va="center", fontsize=9, fontweight="bold", bbox=box)


def latent_maps(
    frame: pd.DataFrame,
    colouring: str,
    titles: Mapping[object, str],
    column: str = "step",
    title: str = "",
) -> Figure:
    """Maps of s, z and u: a row per kind of map, a column per entry of `titles`.

    frame: rows of `latents.map_frame` with one more column, `column`, whose values are the keys of
    `titles`: the steps of a training, or models.
    """
    kinds = list(frame["kind"].unique())
    size = (2.9 * len(titles), 2.8 * len(kinds))
    figure, axes = plt.subplots(len(kinds), len(titles), figsize=size, squeeze=False)
    for (row, number), ax in np.ndenumerate(axes):
        key = list(titles)[number]
        draw_map(ax, frame[(frame["kind"] == kinds[row]) & (frame[column] == key)], colouring)
        ax.set_title(titles[key] if row == 0 else "")
        ax.set_ylabel(kinds[row] if number == 0 else "")
    handles = []
    if colouring == "modality":
        handles += _dots(map_colors(frame, colouring))
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
