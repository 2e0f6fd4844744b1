"""Every figure of the study, one function each; each returns the figure, or (figure, data behind it).

Colours are Okabe and Ito's palette, which stays apart for colour-blind readers; markers and line styles repeat the distinction in grey.
`Settings.show` saves what these functions return, so nothing here touches the disk.
"""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
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
