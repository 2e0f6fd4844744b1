"""Every figure of the study, one function each; each returns the figure, or (figure, data behind it).

Colours are Okabe and Ito's palette, which stays apart for colour-blind readers; markers and line styles repeat the distinction in grey.
`Settings.show` saves what these functions return, so nothing here touches the disk.
"""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

PALETTE = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
CYCLE = [PALETTE[name] for name in ("blue", "orange", "green", "vermillion", "purple", "sky", "black")]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINESTYLES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]

# One look per method, the same in every figure; the two sanity rows are grey.
METHOD_COLORS = {
    "robult": PALETTE["vermillion"],
    "unimodal": PALETTE["blue"],
    "gmc": PALETTE["green"],
    "action_mae": PALETTE["orange"],
    "prompt_trans": PALETTE["purple"],
    "logistic": "#555555",
    "self_training": "#999999",
}
METHOD_MARKERS = dict(zip(METHOD_COLORS, MARKERS, strict=True))
METHOD_LINES = dict(zip(METHOD_COLORS, LINESTYLES, strict=True))
METHOD_NAMES = {
    "robult": "Robult",
    "unimodal": "Unimodal",
    "gmc": "GMC",
    "action_mae": "ActionMAE",
    "prompt_trans": "Prompt-Trans",
    "logistic": "logistic / ridge",
    "self_training": "self-training",
}


def use_style() -> None:
    """Set the study's look for every following figure: palette, sizes that read in a report, one font."""
    mpl.rcdefaults()
    plt.rcParams.update(
        {
            "axes.prop_cycle": mpl.cycler(color=CYCLE, marker=MARKERS, linestyle=LINESTYLES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "legend.frameon": False,
            "savefig.dpi": 150,
            "pdf.fonttype": 42,
        }
    )


def mark_smoke(figure: Figure) -> None:
    """Stamp a figure of the smoke profile, whose numbers mean nothing."""
    figure.text(0.5, 0.5, "smoke", fontsize=48, color="#999999", alpha=0.25, rotation=25, ha="center", va="center")


# Notebook 01: the partial information decomposition -------------------------------------------------------------------

PID_PARTS = ("redundancy", "unique1", "unique2", "synergy")
PID_NAMES = dict(zip(PID_PARTS, ("redundancy R", "unique U1", "unique U2", "synergy S"), strict=True))
PID_COLORS = dict(
    zip(PID_PARTS, (PALETTE["blue"], PALETTE["orange"], PALETTE["sky"], PALETTE["vermillion"]), strict=True)
)
PID_HATCHES = dict(zip(PID_PARTS, ("", "//", "\\\\", ".."), strict=True))


def pid_diagram() -> Figure:
    """Fig. 1: I(X1, X2; Y) as an outer region that holds two overlapping discs, what each modality tells on its own."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8))
    ax.add_patch(mpl.patches.Ellipse((0, 0), 9.2, 5.0, facecolor=PID_COLORS["synergy"], alpha=0.25, hatch=".."))
    for x, part in ((-1.3, "unique1"), (1.3, "unique2")):
        ax.add_patch(mpl.patches.Circle((x, -0.25), 1.9, facecolor="white", edgecolor="none"))
        ax.add_patch(mpl.patches.Circle((x, -0.25), 1.9, facecolor=PID_COLORS[part], alpha=0.45))
    for x in (-1.3, 1.3):
        ax.add_patch(mpl.patches.Circle((x, -0.25), 1.9, fill=False, linewidth=2))
    ax.add_patch(mpl.patches.Ellipse((0, 0), 9.2, 5.0, fill=False, linewidth=2))
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
    labels = [
        (-2.05, -0.25, "$\\mathcal{U}(X^1;Y)$\nonly in $X^1$"),
        (2.05, -0.25, "$\\mathcal{U}(X^2;Y)$\nonly in $X^2$"),
    ]
    labels += [(0, -0.25, "$\\mathcal{R}$\nin both"), (0, 2.05, "$\\mathcal{S}$: only from both together")]
    for x, y, text in labels:
        ax.text(x, y, text, ha="center", va="center", bbox=box)
    for x, y, tip, text in ((-4.6, 3.0, (-2.4, 1.3), "$I(X^1;Y)$"), (4.6, 3.0, (2.4, 1.3), "$I(X^2;Y)$")):
        ax.annotate(text, tip, (x, y), ha="center", va="center", arrowprops={"arrowstyle": "-"})
    ax.text(
        0,
        -2.95,
        "$I(X^1, X^2; Y) = \\mathcal{R} + \\mathcal{U}(X^1;Y) + \\mathcal{U}(X^2;Y) + \\mathcal{S}$",
        ha="center",
    )
    ax.set(xlim=(-5.6, 5.6), ylim=(-3.3, 3.4), aspect="equal")
    ax.axis("off")
    return figure


def _pid_bar(ax: plt.Axes, frame: pd.DataFrame) -> None:
    """Stacked bars of PID parts, one per row of `frame` (index: label); each part of 0.08 bits or more carries its number."""
    left = np.zeros(len(frame))
    for part in PID_PARTS:
        bits = frame[part].clip(lower=0).to_numpy()
        style = {"color": PID_COLORS[part], "hatch": PID_HATCHES[part], "edgecolor": "white", "label": PID_NAMES[part]}
        ax.barh(np.arange(len(frame)), bits, left=left, **style)
        for row in np.flatnonzero(bits >= 0.08):
            box = {"facecolor": "white", "edgecolor": "none", "boxstyle": "round,pad=0.1"}
            ax.text(left[row] + bits[row] / 2, row, f"{bits[row]:.2f}", ha="center", va="center", fontsize=8, bbox=box)
        left += bits
    ax.set(yticks=np.arange(len(frame)), yticklabels=frame.index, ylim=(len(frame) - 0.4, -0.6), xlabel="bits about Y")


def pid_bars(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Decompositions side by side; `frame` has the columns of `PID_PARTS` and one labelled row per table."""
    figure, ax = plt.subplots(figsize=(7.0, 1.3 + 0.38 * len(frame)))
    _pid_bar(ax, frame)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure, frame


def pid_ceilings(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """PID (left) and Bayes-optimal accuracy of x1, x2 and both (right), one row per setting of the dials."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 1.5 + 0.5 * len(frame)), sharey=True)
    _pid_bar(left, frame)
    rows, height = np.arange(len(frame)), 0.26
    looks = (("x1", PALETTE["orange"], "//"), ("x2", PALETTE["sky"], "\\\\"), ("x1+x2", "#444444", ""))
    for shift, (name, color, hatch) in enumerate(looks, start=-1):
        right.barh(rows + shift * height, frame[name], height, color=color, hatch=hatch, edgecolor="white", label=name)
        for row, value in enumerate(frame[name]):
            right.text(value + 0.01, row + shift * height, f"{value:.2f}", va="center", fontsize=8)
    right.plot(frame["chance"], rows, "k|", markersize=22, linestyle="none", label="chance")
    right.set(xlim=(0, 1.12), xlabel="best possible accuracy")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2, title="what the label carries")
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2, title="from which modalities")
    return figure, frame


def curves(
    frame: pd.DataFrame, x: str, y: str, group: str, panel: str, truth: str | None = None
) -> tuple[Figure, pd.DataFrame]:
    """One panel per value of `panel`, one line per `group`: mean over the rows of equal `x`, bars from the least to the largest.

    `truth` names a column whose (constant) value per panel is drawn as a dashed line.
    """
    panels = list(frame[panel].unique())
    figure, axes = plt.subplots(1, len(panels), figsize=(1.2 + 2.4 * len(panels), 3.4), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], panels, strict=True):
        part = frame[frame[panel] == name]
        for index, (label, line) in enumerate(part.groupby(group, sort=False)):
            spread = line.groupby(x)[y].agg(["mean", "min", "max"])
            reach = [spread["mean"] - spread["min"], spread["max"] - spread["mean"]]
            look = {"color": CYCLE[index], "marker": MARKERS[index], "linestyle": LINESTYLES[index]}
            ax.errorbar(spread.index, spread["mean"], yerr=reach, label=label, capsize=3, markersize=5, **look)
        if truth:
            ax.axhline(part[truth].iloc[0], color="black", linestyle=":", marker="", label=truth)
        ax.set(title=name, xscale="log", xlabel=x)
        ax.set_xticks(ticks := sorted(part[x].unique()), [f"{tick:g}" for tick in ticks], rotation=45)
        ax.minorticks_off()
    axes[0, 0].set_ylabel(y)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure, frame
