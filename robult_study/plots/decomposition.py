"""The partial information decomposition: the diagram of Fig. 1, and the parts in bits."""

from __future__ import annotations

from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, Patch
from matplotlib.patheffects import withStroke

from robult_core.datasets.pid import Dials, generating_table, pid_truth
from robult_study.plots.style import PID_COLORS, PID_HATCHES, READER_COLORS, finish
from robult_study.wording import PID_NAMES, PID_PARTS, in_words

READER_HATCHES = {"x1": "xx", "x2": "--", "x1+x2": ""}
BOX = {"facecolor": "white", "edgecolor": "none", "boxstyle": "round,pad=0.15"}
NARROWEST = 0.1  # share of the widest bar that a part needs to carry its number


def pid_diagram(title: str = "") -> Figure:
    """Fig. 1: the information of both modalities is an ellipse, that of each alone a disc in it."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8))
    outline = {"fill": False, "linewidth": 2, "zorder": 3}
    whole = ((0, 0), 9.2, 5.0)
    ax.add_patch(Ellipse(*whole, **_look("synergy")))
    for x, part in ((-1.3, "unique1"), (1.3, "unique2")):
        ax.add_patch(Circle((x, -0.25), 1.9, **_look(part)))
    overlap = ax.add_patch(Circle((1.3, -0.25), 1.9, facecolor=PID_COLORS["redundancy"]))
    first_disc = ax.add_patch(Circle((-1.3, -0.25), 1.9, **outline))
    overlap.set_clip_path(first_disc)
    ax.add_patch(Circle((1.3, -0.25), 1.9, **outline))
    ax.add_patch(Ellipse(*whole, **outline))
    _write_diagram(ax)
    ax.set(xlim=(-5.6, 5.6), ylim=(-3.3, 3.4), aspect="equal")
    ax.axis("off")
    return finish(figure, title)


def _write_diagram(ax: Axes) -> None:
    """The names of the areas of Fig. 1, and what the discs stand for."""
    regions = {
        "$\\mathcal{U}(X^1;Y)$\nonly in $X^1$": (-2.05, -0.25),
        "$\\mathcal{U}(X^2;Y)$\nonly in $X^2$": (2.05, -0.25),
        "$\\mathcal{R}$\nin both": (0, -0.25),
        "$\\mathcal{S}$: only from both together": (0, 2.05),
    }
    for text, place in regions.items():
        ax.text(*place, text, ha="center", va="center", bbox=BOX | {"alpha": 0.85})
    discs = {"$I(X^1;Y)$": ((-4.6, 3.0), (-2.4, 1.3)), "$I(X^2;Y)$": ((4.6, 3.0), (2.4, 1.3))}
    rim = [withStroke(linewidth=4, foreground="white")]  # seen on the dark ellipse too
    arrow = {"arrowstyle": "->", "path_effects": rim}
    for text, (place, tip) in discs.items():
        ax.annotate(text, tip, place, ha="center", va="center", arrowprops=arrow)
    parts = "\\mathcal{R} + \\mathcal{U}(X^1;Y) + \\mathcal{U}(X^2;Y) + \\mathcal{S}"
    ax.text(0, -2.95, f"$I(X^1, X^2; Y) = {parts}$", ha="center")


def pid_bars(frame: pd.DataFrame, title: str = "") -> Figure:
    """Decompositions below each other: one labelled row per table, one column per part in bits."""
    figure, ax = plt.subplots(figsize=(7.0, 0.8 + 0.38 * len(frame)))
    _stack(ax, frame)
    return finish(figure, title, _part_handles())


def pid_ceilings(frame: pd.DataFrame, title: str = "") -> Figure:
    """What the label carries (left), and the best accuracy that each modality allows (right).

    frame: one labelled row per world, with the columns of `dial_row`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 0.8 + 0.5 * len(frame)), sharey=True)
    draw_ceilings(left, right, frame)
    return finish(figure, title, _part_handles())


def draw_ceilings(left: Axes, right: Axes, frame: pd.DataFrame) -> None:
    """The two panels of `pid_ceilings`, which the widget of the dials draws too."""
    _stack(left, frame)
    rows = np.arange(len(frame))
    for shift, (name, color) in enumerate(READER_COLORS.items(), start=-1):
        look = {"color": color, "hatch": READER_HATCHES[name], "edgecolor": "white"}
        bars = right.barh(rows + 0.26 * shift, frame[name], 0.26, **look)
        right.bar_label(bars, fmt=f"%.2f from {in_words(name)}", padding=2, fontsize=8)
    right.plot(frame["chance"], rows, "w|", markersize=20, markeredgewidth=4)  # seen on black too
    right.plot(frame["chance"], rows, "k|", markersize=20)
    right.set(xlim=(0, 1.35), xticks=(0, 0.5, 1), ylim=left.get_ylim(), ylabel="")
    right.tick_params(axis="y", left=False, labelleft=False)
    right.set_xlabel("best possible accuracy (black tick: chance)")


def dial_row(dials: Dials | str) -> dict[str, float]:
    """The parts of a world of `pid` in bits, its Bayes accuracies (x1, x2, x1+x2), and chance.

    dials: the settings of the four components, or the name of a case of `datasets.pid.CASES`.
    """
    truth = pid_truth(dials)
    classes = generating_table(dials).shape[2]
    return {**asdict(truth["pid"]), **truth["bayes_accuracy"], "chance": 1 / classes}


def _stack(ax: Axes, frame: pd.DataFrame) -> None:
    """Stacked bars of the parts; each part that is wide enough carries its number."""
    bits = frame[list(PID_PARTS)].clip(lower=0)
    widest = bits.sum(axis=1).max()
    rows = np.arange(len(frame))
    left = np.zeros(len(frame))
    for part in PID_PARTS:
        bars = ax.barh(rows, bits[part], left=left, linewidth=0.5, **_look(part))
        letter = PID_NAMES[part].split()[1]
        wide = bits[part] >= NARROWEST * widest
        numbers = np.where(wide, bits[part].map(f"{letter} {{:.2f}}".format), "")
        for text in ax.bar_label(bars, numbers, label_type="center", fontsize=8):
            if text.get_text():
                text.set_bbox(BOX)
        left += bits[part]
    ax.locator_params(axis="x", nbins=5)
    ax.set_yticks(rows, [in_words(label) for label in frame.index])
    ax.set(
        xlim=(0, 1.05 * widest),  # a bar that ended at the edge would look cut off
        ylim=(len(frame) - 0.4, -0.6),
        xlabel="bits about Y",
        ylabel=frame.index.name or "",
    )


def _part_handles() -> list[Patch]:
    return [Patch(label=name, **_look(part)) for part, name in PID_NAMES.items()]


def _look(part: str) -> dict[str, str]:
    """Colour and hatch of a part, the same in the diagram, the bars and their legend."""
    return {
        "facecolor": PID_COLORS[part],
        "hatch": PID_HATCHES[part],
        "edgecolor": "#888888",
    }
