"""The diagram of Robult (Fig. 3): one branch for each modality, one fused branch, three losses."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from robult_study.plots.style import finish


class Kind(NamedTuple):
    """How a kind of node is drawn."""

    face: str
    box: str


class Node(NamedTuple):
    """A node of the diagram: the place of its centre, its text, and what kind it is."""

    x: float
    y: float
    text: str
    kind: Kind


DATA = Kind("#eeeeee", "square,pad=0.35")
MODULE = Kind("#d9d6ee", "round,pad=0.35")
LATENT = Kind("white", "circle,pad=0.25")
LOSS = Kind("#f3dce0", "round4,pad=0.35")
LOSS_ARROW = "#882255"

NODES = {
    "x": Node(0, 4, "$x^i$", DATA),
    "f": Node(1.5, 4, "$f^i$", MODULE),
    "h": Node(3, 4, "$h^i$", LATENT),
    "g": Node(4.7, 5, "$g^i$", MODULE),
    "g0": Node(4.7, 3, "$g^0$", MODULE),
    "u": Node(6.2, 5, "$u^i$", LATENT),
    "z": Node(6.2, 3, "$z^i$", LATENT),
    "plus": Node(7.5, 4, "+", LATENT),
    "c": Node(8.8, 4, "$c$", MODULE),
    "y": Node(10.3, 4, "$\\tilde{y}^i$", DATA),
    "late": Node(12.4, 4, "late fusion\nof those present", MODULE),
    "r": Node(7.5, 6.2, "$r^i$", MODULE),
    "rec": Node(4.7, 6.5, "$L_{rec}$: $\\tilde{h}^i$ against $h^i$", LOSS),
    "X": Node(0, 0, "$x^{1:M}$", DATA),
    "f0": Node(1.5, 0, "$f^0$", MODULE),
    "h0": Node(3, 0, "$h^0$", LATENT),
    "C": Node(8.8, 0, "$c$", MODULE),
    "Y": Node(10.3, 0, "$\\tilde{y}^{1:M}$", DATA),
    "G": Node(4.7, 0.9, "$g^0$", MODULE),
    "s": Node(6.2, 0.9, "$s$", LATENT),
    "pu": Node(8.8, 1.9, "$L_{PU}$: $s_j$ with $z_k^i$", LOSS),
    "sup": Node(12.4, 2, "$L_{sup}$\nlabelled rows", LOSS),
}
ROUTES = (
    "x f h g u plus c y late",
    "h g0 z plus",
    "u r rec",
    "z r",
    "h rec",
    "X f0 h0 C Y",
    "h0 G s pu",
    "z pu",
    "y sup",
    "Y sup",
)
HEADINGS = {
    "(a) one branch per modality: uses what is there": 7.3,
    "(b) the fused branch: when every modality is there": -1.0,
}


def edges() -> list[tuple[str, str]]:
    """The arrows of the diagram, as pairs of names of `NODES`."""
    pairs = []
    for route in ROUTES:
        names = route.split()
        pairs += pairwise(names)
    return pairs


def robult_diagram(title: str = "") -> Figure:
    """Fig. 3: the branch of a modality (top, there are M) and the fused branch (bottom).

    Modules of one name are one module; dashed arrows lead to the losses.
    """
    figure, ax = plt.subplots(figsize=(10.0, 5.2))
    boxes = {}
    for name, node in NODES.items():
        box = {"facecolor": node.kind.face, "boxstyle": node.kind.box, "edgecolor": "black"}
        text = ax.text(node.x, node.y, node.text, ha="center", va="center", fontsize=11, zorder=3)
        text.set_bbox(box)
        boxes[name] = text.get_bbox_patch()
    for start, end in edges():
        ends = {"patchA": boxes[start], "patchB": boxes[end], "shrinkA": 2, "shrinkB": 2}
        _draw_arrow(ax, NODES[start], NODES[end], ends)
    for heading, y in HEADINGS.items():
        ax.text(-0.6, y, heading, fontweight="bold")
    ax.set(xlim=(-0.7, 13.9), ylim=(-1.2, 7.6))
    ax.axis("off")
    return finish(figure, title)


def _draw_arrow(ax: Axes, start: Node, end: Node, ends: dict) -> None:
    look = {"arrowstyle": "-|>", "color": "black"}
    if end.kind is LOSS:
        look |= {"color": LOSS_ARROW, "linestyle": "--"}
    ax.annotate("", (end.x, end.y), (start.x, start.y), arrowprops=look | ends)
