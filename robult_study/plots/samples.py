"""One sample as a person sees it, what a model predicts from it, and walls of samples.

The functions `draw_...` fill axes that a static figure and a widget share.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from robult_core.datasets.container import MultimodalData
from robult_core.protocol import pattern_name
from robult_study.plots.style import MUTED, finish
from robult_study.wording import in_words

MISSING = {"facecolor": "#dddddd", "edgecolor": "#888888", "hatch": "//"}
PREDICTED = MUTED["pale"]
TRUTH = MUTED["wine"]


def draw_sample(
    ax: Axes, data: MultimodalData, row: int, pattern: Sequence[str], texts: bool = True
) -> None:
    """The sample when only the modalities of `pattern` are there.

    It is an image whose missing quadrants are hatched, or a transcript. texts: False keeps
    transcripts out of the picture.
    """
    ax.set(xticks=[], yticks=[], title=f"sample {row}")
    ax.spines[:].set_visible(True)
    missing = [name for name in data.names if name not in pattern]
    if "image" in data.display:
        _draw_image(ax, data.display["image"][row], missing)
    else:
        _draw_text(ax, data, row, missing, texts)


def _draw_image(ax: Axes, stored: str | Path | np.ndarray, missing: list[str]) -> None:
    """Draw a picture from its path or its pixels; a missing sensor that is no quadrant is named."""
    pixels = plt.imread(stored) if isinstance(stored, (str, Path)) else np.asarray(stored)
    height, width = pixels.shape[:2]
    ax.imshow(pixels, cmap="gray_r", extent=(0, width, height, 0))
    quadrants = [name for name in missing if name.startswith(("top_", "bottom_"))]
    for name in quadrants:
        x = width / 2 if "right" in name else 0
        y = height / 2 if "bottom" in name else 0
        ax.add_patch(Rectangle((x, y), width / 2, height / 2, **MISSING))
    others = [name for name in missing if name not in quadrants]
    if others:
        ax.set_xlabel(_named_missing(others))


def _draw_text(ax: Axes, data: MultimodalData, row: int, missing: list[str], texts: bool) -> None:
    if "transcript" not in data.display:
        text = f"'{data.name}' has nothing to look at"
    elif "text" in missing:
        text = "there: " + ", ".join(name for name in data.names if name not in missing)
    elif not texts:
        text = "(transcripts are not shown in saved copies)"
    else:
        text = data.display["transcript"][row]
    lines = textwrap.wrap(text, 28)[:9]
    if missing:
        lines += ["", _named_missing(missing)]
    ax.text(0.03, 0.95, "\n".join(lines), va="top", fontsize=9, transform=ax.transAxes)


def _named_missing(names: Sequence[str]) -> str:
    return "missing: " + ", ".join(names)


def draw_prediction(ax: Axes, data: MultimodalData, row: int, scores: np.ndarray) -> None:
    """What a model predicts for a row: bars of the scores `(C,)`, or the predicted score.

    The true class is dark and hatched; a true score is a dashed line.
    """
    if data.task.kind == "regression":
        _draw_score(ax, float(scores[0]), float(data.targets[row]), data.task.bound)
    else:
        _draw_classes(ax, data, row, scores)


def _draw_score(ax: Axes, score: float, truth: float, bound: float) -> None:
    ax.axvline(truth, color=TRUTH, linestyle="--", label=f"truth {truth:.1f}")
    look = {"color": PREDICTED, "markeredgecolor": "black"}
    ax.barh([0], [score], color=PREDICTED, edgecolor="black", label=f"prediction {score:.2f}")
    ax.plot([score], [0], "D", **look)  # the bar of a score near 0 has no width
    ax.set(xlim=(-bound, bound), yticks=[], xlabel="score")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)  # above, where nothing is drawn


def _draw_classes(ax: Axes, data: MultimodalData, row: int, scores: np.ndarray) -> None:
    known = data.class_names or [str(index) for index in range(len(scores))]
    names = [name if len(name) < 4 else str(index) for index, name in enumerate(known)]
    places = np.arange(len(scores))
    if data.task.kind == "classification":
        true = places == int(data.targets[row])
    else:
        true = data.targets[row].numpy() > 0
    ax.bar(places, np.where(true, 0, scores), color=PREDICTED, edgecolor="black", linewidth=0.5)
    ax.bar(places, np.where(true, scores, 0), color=TRUTH, edgecolor="white", hatch="//")
    ax.set_xticks(places, names, fontsize=8)
    truth = ", ".join(name for name, is_true in zip(names, true, strict=True) if is_true)
    ax.set(ylim=(0, 1), xlabel="class", ylabel="probability")
    ax.set_title(f"prediction (true class {truth}: hatched)")


def availability_grid(
    data: MultimodalData,
    row: int,
    predictions: Mapping[tuple[str, ...], np.ndarray],
    texts: bool = True,
    title: str = "",
) -> Figure:
    """For each pattern what is there (left) and the scores `(C,)` predicted from it (right).

    This is the static twin of the availability widget.
    """
    size = (7.5, 1.5 * len(predictions))
    figure, axes = plt.subplots(
        len(predictions), 2, figsize=size, width_ratios=(1, 3), squeeze=False, sharex="col"
    )
    for (left, right), (pattern, scores) in zip(axes, predictions.items(), strict=True):
        draw_sample(left, data, row, pattern, texts)
        draw_prediction(right, data, row, scores)
        name = "all" if len(pattern) == len(data.names) else pattern_name(pattern)
        left.set_title(in_words(name))
        if left is not axes[0, 0]:
            right.set_title("")
        if left is not axes[-1, 0]:
            right.set_xlabel("")
    return finish(figure, title)


def sample_wall(
    data: MultimodalData,
    rows: np.ndarray,
    present: np.ndarray,
    titles: Sequence[str],
    columns: int,
    title: str = "",
) -> Figure:
    """Samples side by side, each with what is there, `columns` to a line.

    rows: `(n,)`. present: `(M, n)` bool. titles: one for each sample.
    """
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(1.12 * columns, 1.35 * lines))  # a widget draws it without pyplot
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for ax, row, there, name in zip(axes, rows, present.T, titles, strict=True):
        draw_sample(ax, data, int(row), present_names(data, there))
        ax.set_title(name, fontsize=8)
    return finish(figure, title)


def present_names(data: MultimodalData, there: np.ndarray) -> tuple[str, ...]:
    """The names of the modalities for which the mask `there` `(M,)` is true."""
    return tuple(np.array(data.names)[np.asarray(there, dtype=bool)])
