"""Every figure of the study, one function each; each returns the figure, or (figure, data behind it).

Colours are Okabe and Ito's palette, which stays apart for colour-blind readers; markers and line styles repeat the distinction in grey.
`Settings.show` saves what these functions return, so nothing here touches the disk.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.pid import COMPONENTS as PID_PARTS
from robult_study.results.tables import COLUMNS as METHOD_NAMES

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
CYCLE = [
    PALETTE[name] for name in ("blue", "orange", "green", "vermillion", "purple", "sky", "black")
]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINESTYLES = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]

# One look per method, the same in every figure; the two sanity rows are grey.
METHOD_COLORS = {
    "robult": PALETTE["vermillion"],
    "unimodal": PALETTE["blue"],
    "gmc": PALETTE["green"],
    "action_mae": PALETTE["orange"],
    "prompt_trans": PALETTE["purple"],
    "linear": "#555555",
    "self_training": "#999999",
}
METHOD_MARKERS = dict(zip(METHOD_COLORS, MARKERS, strict=True))
METHOD_LINES = dict(zip(METHOD_COLORS, LINESTYLES, strict=True))


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
    figure.text(
        0.5,
        0.5,
        "smoke",
        fontsize=48,
        color="#999999",
        alpha=0.25,
        rotation=25,
        ha="center",
        va="center",
    )


def _panels(
    names: Iterable[str], columns: int, width: float, height: float, extra: float, **options: Any
) -> tuple:
    """A figure and its axes by name, `columns` to a line of `width` x `height` inches each, `extra` inches above; the rest is blank."""
    names = list(names)
    lines = -(-len(names) // columns)
    size = (width * columns, extra + height * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, **options)
    for ax in axes.flat[len(names) :]:
        ax.axis("off")
    return figure, dict(zip(names, axes.flat, strict=False))


def _legend(figure: Figure, columns: int, place: str = "upper") -> None:
    """One legend for all panels, outside of them; each label once."""
    found = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in figure.axes]
    shown = {label: handle for pairs in found for handle, label in pairs}
    figure.legend(shown.values(), shown.keys(), loc=f"outside {place} center", ncols=columns)


def _beside(
    ax: plt.Axes, frame: pd.DataFrame, y: list, value: str, names: list, groups: list
) -> Iterator[tuple]:
    """Markers with intervals (`half`) for the lines `names` of column y[0], those of the `groups` of column y[1] side by side."""
    for k, one in enumerate(groups):
        part = frame[frame[y[1]] == one].set_index(y[0]).reindex(names)
        place = np.arange(len(names)) + (k - (len(groups) - 1) / 2) * 0.72 / len(groups)
        look = {
            "color": CYCLE[k % 7],
            "marker": MARKERS[k % 7],
            "linestyle": "none",
            "markersize": 5,
        }
        ax.errorbar(
            part[value], place, xerr=part["half"], label=one, elinewidth=1, capsize=2, **look
        )
        yield part, place, look
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)


# Notebook 01: the partial information decomposition -------------------------------------------------------------------

PID_NAMES = dict(
    zip(PID_PARTS, ("redundancy R", "unique U1", "unique U2", "synergy S"), strict=True)
)
PID_COLORS = dict(
    zip(
        PID_PARTS,
        (PALETTE["blue"], PALETTE["orange"], PALETTE["sky"], PALETTE["vermillion"]),
        strict=True,
    )
)
PID_HATCHES = dict(zip(PID_PARTS, ("", "//", "\\\\", ".."), strict=True))


def pid_diagram() -> Figure:
    """Fig. 1: I(X1, X2; Y) as an outer region that holds two overlapping discs, what each modality tells on its own."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8))
    ax.add_patch(
        mpl.patches.Ellipse(
            (0, 0), 9.2, 5.0, facecolor=PID_COLORS["synergy"], alpha=0.25, hatch=".."
        )
    )
    discs = [
        mpl.patches.Circle((x, -0.25), 1.9, fill=False, linewidth=2, zorder=3) for x in (-1.3, 1.3)
    ]
    for disc, part in zip(discs, ("unique1", "unique2"), strict=True):
        fill = {"facecolor": PID_COLORS[part], "hatch": PID_HATCHES[part], "edgecolor": "white"}
        ax.add_patch(mpl.patches.Circle(disc.center, disc.radius, **fill))
        ax.add_patch(disc)
    overlap = ax.add_patch(
        mpl.patches.Circle(discs[1].center, 1.9, facecolor=PID_COLORS["redundancy"])
    )
    overlap.set_clip_path(discs[0])
    ax.add_patch(mpl.patches.Ellipse((0, 0), 9.2, 5.0, fill=False, linewidth=2))
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
    labels = [
        (-2.05, -0.25, "$\\mathcal{U}(X^1;Y)$\nonly in $X^1$"),
        (2.05, -0.25, "$\\mathcal{U}(X^2;Y)$\nonly in $X^2$"),
    ]
    labels += [
        (0, -0.25, "$\\mathcal{R}$\nin both"),
        (0, 2.05, "$\\mathcal{S}$: only from both together"),
    ]
    for x, y, text in labels:
        ax.text(x, y, text, ha="center", va="center", bbox=box)
    for x, y, tip, text in (
        (-4.6, 3.0, (-2.4, 1.3), "$I(X^1;Y)$"),
        (4.6, 3.0, (2.4, 1.3), "$I(X^2;Y)$"),
    ):
        ax.annotate(text, tip, (x, y), ha="center", va="center", arrowprops={"arrowstyle": "->"})
    whole = (
        "$I(X^1, X^2; Y) = \\mathcal{R} + \\mathcal{U}(X^1;Y) + \\mathcal{U}(X^2;Y) + \\mathcal{S}$"
    )
    ax.text(0, -2.95, whole, ha="center")
    ax.set(xlim=(-5.6, 5.6), ylim=(-3.3, 3.4), aspect="equal")
    ax.axis("off")
    return figure


def _pid_bar(ax: plt.Axes, frame: pd.DataFrame) -> None:
    """Stacked bars of PID parts, one per row of `frame` (index: label); each part wide enough to hold it carries its number."""
    left, widest = np.zeros(len(frame)), frame[list(PID_PARTS)].clip(lower=0).sum(axis=1).max()
    for part in PID_PARTS:
        bits = frame[part].clip(lower=0).to_numpy()
        style = {
            "color": PID_COLORS[part],
            "hatch": PID_HATCHES[part],
            "edgecolor": "white",
            "label": PID_NAMES[part],
        }
        ax.barh(np.arange(len(frame)), bits, left=left, **style)
        for row in np.flatnonzero(bits >= 0.07 * widest):
            box = {"facecolor": "white", "edgecolor": "none", "boxstyle": "round,pad=0.1"}
            ax.text(
                left[row] + bits[row] / 2,
                row,
                f"{bits[row]:.2f}",
                ha="center",
                va="center",
                fontsize=8,
                bbox=box,
            )
        left += bits
    ax.set(
        yticks=np.arange(len(frame)),
        yticklabels=frame.index,
        ylim=(len(frame) - 0.4, -0.6),
        xlabel="bits about Y",
    )
    ax.set_ylabel(frame.index.name or "")


def pid_bars(frame: pd.DataFrame) -> Figure:
    """Decompositions side by side; `frame` has the columns of `PID_PARTS` and one labelled row per table."""
    figure, ax = plt.subplots(figsize=(7.0, 1.3 + 0.38 * len(frame)))
    _pid_bar(ax, frame)
    _legend(figure, 4)
    return figure


def pid_ceilings(frame: pd.DataFrame) -> Figure:
    """PID (left) and Bayes-optimal accuracy of x1, x2 and both (right), one row per setting of the dials."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 1.5 + 0.5 * len(frame)), sharey=True)
    _pid_bar(left, frame)
    rows, height = np.arange(len(frame)), 0.26
    looks = (
        ("x1", PALETTE["purple"], "xx"),
        ("x2", PALETTE["green"], "--"),
        ("x1+x2", "#444444", ""),
    )
    for shift, (name, color, hatch) in enumerate(looks, start=-1):
        right.barh(
            rows + shift * height,
            frame[name],
            height,
            color=color,
            hatch=hatch,
            edgecolor="white",
            label=name,
        )
        for row, value in enumerate(frame[name]):
            right.text(value + 0.01, row + shift * height, f"{value:.2f}", va="center", fontsize=8)
    right.plot(frame["chance"], rows, "k|", markersize=20, linestyle="none", label="chance")
    right.set(xlim=(0, 1.12), xlabel="best possible accuracy")
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=2,
        title="what the label carries",
    )
    handles, labels = right.get_legend_handles_labels()
    right_look = {
        "loc": "outside upper right",
        "ncols": 2,
        "title": "from which modalities",
        "markerscale": 0.5,
    }
    figure.legend([*handles[1:], handles[0]], [*labels[1:], labels[0]], **right_look)
    return figure


def curves(
    frame: pd.DataFrame, x: str, y: str, group: str, panel: str, truth: str | None = None
) -> Figure:
    """`curve_panels` of raw rows on one y axis: mean over the rows of equal `x`, bars from the least to the largest.

    `truth` names a column whose (constant) value per panel is drawn as a dotted line.
    """
    spread = (
        frame.groupby([panel, group, x], sort=False)[y]
        .agg(mean="mean", low="min", high="max")
        .reset_index()
    )
    return curve_panels(
        spread.merge(frame[[panel, truth]].drop_duplicates()) if truth else spread,
        x,
        group,
        panel,
        frame[panel].nunique(),
        y,
        log=True,
        bars=True,
        truth=truth,
        sharey=True,
    )


# Notebooks 04 and 05: comparison of the methods -----------------------------------------------------------------------


def method_comparison(cells: pd.DataFrame) -> Figure:
    """One panel per data set: the paper's first metric by pattern, one marker per method, bars the 95 % interval over seeds.

    `cells` is `tables.cells`; a higher place is better everywhere (the axis of an error runs downwards).
    """
    first = cells.groupby("data_set", sort=False)["metric"].transform("first")
    frame = cells[cells["metric"] == first]
    figure, axes = _panels(frame["data_set"].unique(), 2, 5.0, 2.5, 0.6)
    for name, ax in axes.items():
        _dots(ax, frame[frame["data_set"] == name])
        ax.set_title(name)
    _legend(figure, frame["method"].nunique())
    return figure


def _dots(ax: plt.Axes, frame: pd.DataFrame) -> None:
    """Markers with intervals: patterns on the x axis, methods side by side within one."""
    patterns = list(frame["pattern"].unique())
    methods = [name for name in METHOD_COLORS if name in set(frame["method"])]
    for index, name in enumerate(methods):
        part = frame[frame["method"] == name].set_index("pattern").reindex(patterns)
        x = np.arange(len(patterns)) + (index - (len(methods) - 1) / 2) * 0.8 / len(methods)
        look = {
            "color": METHOD_COLORS[name],
            "marker": METHOD_MARKERS[name],
            "linestyle": "none",
            "markersize": 5,
        }
        ax.errorbar(
            x, part["mean"], yerr=part["half"], label=METHOD_NAMES[name], elinewidth=1, **look
        )
    for edge in range(1, len(patterns)):
        ax.axvline(edge - 0.5, color="#dddddd", linewidth=0.8, marker="", linestyle="-")
    metric = frame["metric"].iloc[0]
    ax.set(
        ylabel=f"{metric} (lower is better)" if metric == "mae" else metric,
        xlim=(-0.5, len(patterns) - 0.5),
    )
    ax.set_xticks(range(len(patterns)), [name.replace("_", "\n") for name in patterns])
    if metric == "mae":
        ax.invert_yaxis()
    else:  # intervals are cut at the range of the metric
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, -0.02), min(high, 1.02))


def critical_difference_pair(
    ranks: pd.Series, p_values: dict[str, pd.DataFrame], cd: float, n_blocks: int, title: str
) -> tuple[Figure, pd.DataFrame]:
    """Fig. 5 twice: mean ranks of the methods, a bar whose dots a procedure (`p_values` by its name) cannot separate."""
    from scikit_posthocs import critical_difference_diagram  # slow to import

    figure, axes = plt.subplots(len(p_values), 1, figsize=(8.0, 2.6 * len(p_values)), squeeze=False)
    names = ranks.rename(METHOD_NAMES)
    for ax, (procedure, p) in zip(axes[:, 0], p_values.items(), strict=True):
        ax.set_prop_cycle(
            color=["black"]
        )  # the library draws lines: no markers or dashes of ours on them
        critical_difference_diagram(
            names,
            p.rename(METHOD_NAMES).rename(columns=METHOD_NAMES),
            ax=ax,
            label_fmt_left="{label}  {rank:.2f}  ",
            label_fmt_right="  {rank:.2f}  {label}",
            crossbar_props={"linewidth": 3, "marker": "o", "markersize": 8},
            elbow_props={"linestyle": "-"},
            marker_props={"marker": "o"},
            color_palette={METHOD_NAMES[name]: METHOD_COLORS[name] for name in ranks.index},
        )
        difference = f", critical difference {cd:.2f}" if procedure == "Nemenyi" else ""
        ax.set_title(f"{title}: {procedure}, {n_blocks} blocks{difference}", pad=14)
    pairs = {
        name: p.where(np.triu(np.ones(p.shape, bool), 1)).stack().dropna()
        for name, p in p_values.items()
    }
    return figure, pd.DataFrame(pairs).rename_axis(["method", "other"]).reset_index()


# Notebooks 03, 08 and 09: what the model sees and holds ---------------------------------------------------------------
# `draw_...` fill axes that a static figure and a widget share.

ROLE_NAMES = {"s": "s (all modalities)", "z": "z (shared part)", "u": "u (unique part)"}
ROLE_MARKERS = {"s": "*", "z": "o", "u": "^"}
PAIR_LOOKS = {
    True: ("true pairs", PALETTE["blue"], "-"),
    False: ("false pairs", PALETTE["vermillion"], "--"),
}


def draw_map(ax: plt.Axes, frame: pd.DataFrame, colouring: str) -> None:
    """One map of `latents.map_frame`; "class": the digit of the class as marker; "modality": colour, and the role as marker."""
    by_class = colouring == "class"
    first = "label" if by_class else "modality"
    order = list(np.sort(frame[first].unique())) if by_class else list(frame[first].unique())
    for group, part in frame.groupby([first] if by_class else [first, "role"], sort=False):
        color = CYCLE[order.index(group[0]) % len(CYCLE)]
        marker, name = f"${group[0]}$", str(group[0])
        if not by_class:
            marker, name = ROLE_MARKERS[group[1]], f"{group[1]} {group[0]}"
        if name.startswith("s ") and not by_class:
            color, name = "black", "s"
        ax.scatter(
            part["x"],
            part["y"],
            s=22,
            c=color,
            marker=marker,
            linewidths=0.2,
            alpha=0.8,
            label=name,
        )
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)


def latent_maps(frame: pd.DataFrame, colouring: str, titles: Mapping[int, str]) -> Figure:
    """Maps of s, z_i and u_i: a row per kind, a column per step of `titles`."""
    kinds = list(frame["kind"].unique())
    figure, axes = _panels(itertools.product(kinds, titles), len(titles), 3.3, 3.0, 0.7)
    for (kind, step), ax in axes.items():
        draw_map(ax, frame[(frame["kind"] == kind) & (frame["step"] == step)], colouring)
        ax.set_title(f"{titles[step]}, {kind}")
    if colouring == "class":
        figure.supxlabel("a point is drawn as the number of its class", fontsize=9)
    else:
        _legend(figure, 5)
    return figure


def dots(
    frame: pd.DataFrame, row: str, column: str, panel: str, group: str, label: str = ""
) -> Figure:
    """Panels `row` x `panel`; in each the values of `column` on the y axis, a marker per `group`, bars the interval (mean, half)."""
    rows, panels, values, groups = (
        list(frame[name].unique()) for name in (row, panel, column, group)
    )
    look = {"sharey": True, "sharex": "col"}
    height = 0.7 + 0.17 * len(values) * len(groups)
    figure, axes = _panels(
        itertools.product(rows, panels), len(panels), 2.0 + 1.2 / len(panels), height, 1.0, **look
    )
    for (name, measure), ax in axes.items():
        list(
            _beside(
                ax,
                frame[(frame[row] == name) & (frame[panel] == measure)],
                [column, group],
                "mean",
                values,
                groups,
            )
        )
        ax.set(title=measure if name == rows[0] else "", xlabel=label if name == rows[-1] else "")
        ax.set_ylabel(name if measure == panels[0] else "")
    wide = 0.1 * sum(len(one) + 7 for one in groups) > figure.get_figwidth()
    _legend(figure, 2 if wide else len(groups))
    return figure


def draw_weights(
    ax: plt.Axes, weights: np.ndarray, pairs: np.ndarray, true: np.ndarray, order: np.ndarray
) -> mpl.image.AxesImage:
    """Anchors by partners, sorted by `order`: darker is heavier; white where there is no pseudo-positive, dots on false pairs."""
    cut = np.ix_(order, order)
    shown = np.where(pairs[cut], weights[cut], np.nan)
    image = ax.imshow(shown, cmap="cividis_r", vmin=0, vmax=1, interpolation="nearest")
    y, x = np.nonzero(pairs[cut] & ~true[cut])
    ax.plot(
        x,
        y,
        "o",
        color=PALETTE["vermillion"],
        markersize=1.2,
        markeredgewidth=0,
        label="false pair",
    )
    ax.set(xlabel="partner k", ylabel="anchor j", xticks=[], yticks=[])
    return image


def weight_matrices(
    panels: Mapping[str, np.ndarray],
    pairs: np.ndarray,
    true: np.ndarray,
    order: np.ndarray,
    columns: int,
) -> Figure:
    """A grid of weight matrices of one batch, title -> `(B, B)`; pairs and true `(B, B)` bool, order: the samples sorted by class."""
    figure, axes = _panels(panels, columns, 2.9 + 0.8 / columns, 2.9, 0.3)
    for title, ax in axes.items():
        image = draw_weights(ax, panels[title], pairs, true, order)
        ax.set_title(title)
    figure.colorbar(image, ax=[*axes.values()], label="weight", shrink=0.7)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", markerscale=6)
    return figure


def draw_histogram(ax: plt.Axes, weights: np.ndarray, true: np.ndarray) -> None:
    """Density of the weights of true and of false pairs, outlines of two line styles."""
    for kind, (name, color, line) in PAIR_LOOKS.items():
        look = {
            "histtype": "step",
            "color": color,
            "linestyle": line,
            "linewidth": 1.8,
            "label": name,
        }
        if (true == kind).any():
            ax.hist(weights[true == kind], bins=np.linspace(0, 1, 21), density=True, **look)
    ax.set(xlabel="weight", ylabel="density", xlim=(0, 1), xticks=(0, 0.5, 1))


def weight_histograms(frame: pd.DataFrame, weight: str) -> Figure:
    """Fig. 4 measured: a row per data set, a column per step; the title says how many of the pairs are false."""
    sets, steps = list(frame["data_set"].unique()), list(frame["step"].unique())
    figure, axes = _panels(
        itertools.product(sets, steps), len(steps), 2.6, 2.3, 0.5, sharex=True, sharey="row"
    )
    for (name, step), ax in axes.items():
        part = frame[(frame["data_set"] == name) & (frame["step"] == step)]
        draw_histogram(ax, part[weight].to_numpy(), part["true"].to_numpy())
        ax.set_title(f"{name}, step {step}\n{1 - part['true'].mean():.0%} false", fontsize=9)
        ax.label_outer()
    _legend(figure, 2)
    return figure


def draw_sample(
    ax: plt.Axes, data: MultimodalData, row: int, pattern: tuple[str, ...], texts: bool = True
) -> None:
    """The sample as a person sees it when only the modalities of `pattern` are there: an image with hatched quadrants, or a transcript."""
    ax.set(xticks=[], yticks=[], title=f"sample {row}")
    ax.spines[:].set_visible(True)
    missing = [name for name in data.names if name not in pattern]
    absent = "missing: " + ", ".join(missing)
    if "image" in data.display:
        picture = data.display["image"][row]
        image = plt.imread(picture) if isinstance(picture, (str, Path)) else np.asarray(picture)
        half = image.shape[0] / 2
        ax.imshow(image, cmap="gray_r", extent=(0, image.shape[1], image.shape[0], 0))
        quadrants = [name for name in missing if name.startswith(("top_", "bottom_"))]
        if len(missing) > len(quadrants):  # sensors that are no part of the picture are named
            ax.set_xlabel(absent)
        look = {"facecolor": "#dddddd", "edgecolor": "#888888", "hatch": "//"}
        for corner in ((half * ("right" in name), half * ("bottom" in name)) for name in quadrants):
            ax.add_patch(mpl.patches.Rectangle(corner, half, half, **look))
        return
    text = f"'{data.name}' has nothing to look at"
    if "transcript" in data.display:
        hidden = (
            "(transcripts are not shown in saved copies)" if not texts else "(the text is missing)"
        )
        text = data.display["transcript"][row] if texts and "text" in pattern else hidden
    text = "\n".join(textwrap.wrap(text, 34)[:9]) + (f"\n\n{absent}" if missing else "")
    ax.text(0.03, 0.95, text, va="top", fontsize=9, transform=ax.transAxes)


def draw_prediction(ax: plt.Axes, data: MultimodalData, row: int, scores: np.ndarray) -> None:
    """Bars of the scores `(C,)`, the true class hatched; for a scored task the prediction and the truth on the score's axis."""
    truth = data.targets[row].numpy()
    if data.task.kind == "regression":
        ax.axvline(
            float(truth),
            color="black",
            linestyle="--",
            marker="",
            label=f"truth {float(truth):.1f}",
        )
        ax.barh([0], [scores[0]], color=PALETTE["blue"], label=f"prediction {scores[0]:.2f}")
        ax.set(xlim=(-data.task.bound, data.task.bound), yticks=[], xlabel="score")
        ax.legend(loc="upper left")
        return
    true = np.eye(len(scores))[int(truth)] > 0 if data.task.kind == "classification" else truth > 0
    colors = np.where(true, PALETTE["orange"], PALETTE["blue"])
    ax.bar(
        range(len(scores)),
        scores,
        color=colors,
        hatch=np.where(true, "//", "").tolist(),
        edgecolor="white",
    )
    known = data.class_names or [str(index) for index in range(len(scores))]
    names = [name if len(name) < 4 else str(index) for index, name in enumerate(known)]
    ax.set_xticks(range(len(scores)), names, fontsize=8)
    title = f"prediction (true class hatched: {', '.join(np.array(names)[true])})"
    ax.set(ylim=(0, 1), ylabel="probability", title=title)


def availability_grid(
    data: MultimodalData,
    row: int,
    predictions: Mapping[tuple[str, ...], np.ndarray],
    texts: bool = True,
) -> Figure:
    """The static twin of the availability widget: for each pattern what is there (left) and the scores `(C,)` (right)."""
    figure, axes = plt.subplots(
        len(predictions),
        2,
        figsize=(8.0, 1.9 * len(predictions)),
        width_ratios=(1, 3),
        squeeze=False,
    )
    for (left, right), (pattern, scores) in zip(axes, predictions.items(), strict=True):
        draw_sample(left, data, row, pattern, texts)
        draw_prediction(right, data, row, scores)
        left.set_title(
            "+".join(pattern) if len(pattern) < 3 else f"{len(pattern)} modalities", fontsize=9
        )
        if left is not axes[0, 0]:
            right.set_title("")
    return figure


# Notebooks 02 and 03: scenarios, the model, and what training does ----------------------------------------------------

NODE_LOOKS = {  # kind of node: face, box style
    "data": ("#eeeeee", "square,pad=0.35"),
    "module": ("#cfe5f3", "round,pad=0.35"),
    "latent": ("white", "circle,pad=0.25"),
    "loss": ("#fbe3d5", "round4,pad=0.35"),
}
ROBULT_NODES = {  # name: x, y, text, kind
    "x": (0, 4, "$x^i$", "data"),
    "f": (1.5, 4, "$f^i$", "module"),
    "h": (3, 4, "$h^i$", "latent"),
    "g": (4.7, 5, "$g^i$", "module"),
    "g0": (4.7, 3, "$g^0$", "module"),
    "u": (6.2, 5, "$u^i$", "latent"),
    "z": (6.2, 3, "$z^i$", "latent"),
    "plus": (7.5, 4, "+", "latent"),
    "c": (8.8, 4, "$c$", "module"),
    "y": (10.3, 4, "$\\tilde{y}^i$", "data"),
    "late": (12.4, 4, "late fusion\nof those present", "module"),
    "r": (7.5, 6.2, "$r^i$", "module"),
    "rec": (4.7, 6.5, "$L_{rec}$: $\\tilde{h}^i$ against $h^i$", "loss"),
    "X": (0, 0, "$x^{1:M}$", "data"),
    "f0": (1.5, 0, "$f^0$", "module"),
    "h0": (3, 0, "$h^0$", "latent"),
    "C": (8.8, 0, "$c$", "module"),
    "Y": (10.3, 0, "$\\tilde{y}^{1:M}$", "data"),
    "G": (4.7, 0.9, "$g^0$", "module"),
    "s": (6.2, 0.9, "$s$", "latent"),
    "pu": (8.8, 1.9, "$L_{PU}$: $s_j$ with $z_k^i$", "loss"),
    "sup": (12.4, 2, "$L_{sup}$\nlabelled rows", "loss"),
}
ROBULT_EDGES = "x-f f-h h-g h-g0 g-u g0-z u-plus z-plus plus-c c-y y-late u-r z-r r-rec h-rec X-f0 f0-h0 h0-C C-Y h0-G G-s s-pu z-pu y-sup Y-sup"


def robult_diagram() -> Figure:
    """Fig. 3: a branch for each modality (top, M of them) and the fused branch (bottom); modules of one name are one module."""
    figure, ax = plt.subplots(figsize=(10.0, 5.2))
    drawn = {}
    for name, (x, y, text, kind) in ROBULT_NODES.items():
        box = {
            "facecolor": NODE_LOOKS[kind][0],
            "boxstyle": NODE_LOOKS[kind][1],
            "edgecolor": "black",
        }
        drawn[name] = ax.text(x, y, text, ha="center", va="center", fontsize=11, bbox=box, zorder=3)
    for edge in ROBULT_EDGES.split():
        start, end = edge.split("-")
        loss = end in ("rec", "pu", "sup")
        style = {
            "arrowstyle": "-|>",
            "color": PALETTE["vermillion"] if loss else "black",
            "linestyle": "--" if loss else "-",
        }
        ends = {"patchA": drawn[start].get_bbox_patch(), "patchB": drawn[end].get_bbox_patch()}
        ax.annotate(
            "",
            ROBULT_NODES[end][:2],
            ROBULT_NODES[start][:2],
            arrowprops=style | ends | {"shrinkA": 2, "shrinkB": 2},
        )
    ax.text(-0.6, 7.3, "(a) one branch per modality: uses what is there", fontweight="bold")
    ax.text(-0.6, -1.0, "(b) the fused branch: when every modality is there", fontweight="bold")
    ax.set(xlim=(-0.7, 13.9), ylim=(-1.2, 7.6))
    ax.axis("off")
    return figure


def scenarios(labeled: np.ndarray, present: np.ndarray, names: tuple[str, ...]) -> Figure:
    """Fig. 2 from real masks: training samples (rows) with all modalities and few labels, test samples that lack some.

    labeled `(n,)` bool; present `(M, m)` bool.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(9.0, 0.9 + 0.3 * max(len(labeled), present.shape[1]))
    )
    train = np.ones((len(labeled), len(names)), dtype=bool)
    for ax, there, known, title in (
        (axes[0], train, labeled, "training"),
        (axes[1], present.T, None, "evaluation"),
    ):
        for (row, column), shown in np.ndenumerate(there):
            look = (
                {"facecolor": "#56B4E9"}
                if shown
                else {"facecolor": "white", "hatch": "////", "linestyle": ":"}
            )
            ax.add_patch(
                mpl.patches.Rectangle((column, row), 0.9, 0.8, edgecolor="#555555", **look)
            )
        for row in range(len(there)):
            text = "to predict" if known is None else "label" if known[row] else "no label"
            face = PALETTE["orange"] if text == "label" else "white"
            ax.add_patch(
                mpl.patches.Rectangle(
                    (len(names) + 0.2, row), 1.1, 0.8, facecolor=face, edgecolor="#555555"
                )
            )
            ax.text(len(names) + 0.75, row + 0.4, text, ha="center", va="center", fontsize=8)
        ax.set_xticks(
            np.arange(len(names)) + 0.45, [name.replace("_", "\n") for name in names], fontsize=8
        )
        ax.set(
            xlim=(-0.1, len(names) + 1.4),
            ylim=(len(there), -0.2),
            yticks=[],
            title=title,
            ylabel="samples",
        )
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return figure


def label_shares(frame: pd.DataFrame) -> Figure:
    """Training rows per class (pale) and those whose label a run sees (hatched, with their number); columns data_set, class, rows, labelled."""
    figure, axes = _panels(frame["data_set"].unique(), 2, 5.0, 2.1, 0.4)
    for name, ax in axes.items():
        part = frame[frame["data_set"] == name]
        x = np.arange(len(part))
        ax.bar(x, part["rows"], color="#cccccc", label="training rows")
        ax.bar(
            x,
            part["labelled"],
            color=PALETTE["orange"],
            hatch="//",
            edgecolor="black",
            linewidth=0.4,
            label="with their label",
        )
        for place, count in zip(x, part["labelled"], strict=True):
            ax.annotate(
                f"{count}",
                (place, count),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        ax.set_xticks(x, part["class"], fontsize=8 if len(part) < 20 else 6)
        ax.set(title=f"{name}: {part['labelled'].sum()} of {part['rows'].sum()}", ylabel="rows")
    _legend(figure, 2, "lower")
    return figure


def sample_wall(
    data: MultimodalData, rows: np.ndarray, present: np.ndarray, titles: list[str], columns: int
) -> Figure:
    """Samples side by side as `draw_sample` shows them, each with what is there: rows `(n,)`, present `(M, n)` bool, titles one each."""
    lines = -(-len(rows) // columns)
    figure = Figure(
        figsize=(1.12 * columns, 1.35 * lines), layout="constrained"
    )  # not pyplot's: widgets draw it too
    for ax, row, there, title in zip(
        figure.subplots(lines, columns, squeeze=False).flat, rows, present.T, titles, strict=True
    ):
        draw_sample(
            ax,
            data,
            int(row),
            tuple(name for name, one in zip(data.names, there, strict=True) if one),
        )
        ax.set_title(title, fontsize=8, fontweight="normal")
    return figure


def curve_panels(
    frame: pd.DataFrame,
    x: str,
    group: str,
    panel: str,
    columns: int = 3,
    label: str = "",
    log: bool = False,
    bars: bool = False,
    truth: str | None = None,
    **options: Any,
) -> Figure:
    """A panel per value of `panel`, `columns` to a line: mean over `x` with its interval, one line per `group` (columns mean, low, high).

    The interval is a band, or with `bars` a bar, side by side at equal x, which is for few values of x. A group named like a method gets that
    method's look. truth: a column whose value in each panel is drawn as a dotted line; options: for the axes (`sharey`).
    """
    known = [
        *METHOD_COLORS
    ]  # methods in their own order, anything else after them in order of appearance
    groups = sorted(
        frame[group].unique(), key=lambda one: known.index(one) if one in known else len(known)
    )
    figure, axes = _panels(frame[panel].unique(), columns, 3.3, 2.5, 0.8, **options)
    for (name, ax), (k, one) in itertools.product(axes.items(), enumerate(groups)):
        part = frame[(frame[panel] == name) & (frame[group] == one)].sort_values(x)
        looks = (METHOD_COLORS, CYCLE), (METHOD_MARKERS, MARKERS), (METHOD_LINES, LINESTYLES)
        color, marker, line = (own.get(one, others[k % 7]) for own, others in looks)
        look = {
            "color": color,
            "marker": marker,
            "linestyle": line,
            "label": METHOD_NAMES.get(one, one),
            "markersize": 5,
        }
        if bars:
            shift = (k - (len(groups) - 1) / 2) * 0.01
            place = (
                part[x] * (part[x].max() / part[x].min()) ** shift
                if log
                else part[x] + shift * np.ptp(part[x])
            )
            reach = [
                (part["mean"] - part["low"]).fillna(0),
                (part["high"] - part["mean"]).fillna(0),
            ]
            ax.errorbar(place, part["mean"], yerr=reach, elinewidth=1, **look)
        else:
            ax.plot(part[x], part["mean"], markevery=max(1, len(part) // 8), **look)
            ax.fill_between(
                part[x], part["low"], part["high"], color=color, alpha=0.15, linewidth=0
            )
    for name, ax in axes.items():
        cell = frame[frame[panel] == name]
        if truth:
            ax.axhline(cell[truth].iloc[0], color="black", linestyle=":", marker="", label=truth)
        ax.set(title=name, xlabel=x, xscale="log" if log else "linear")
        if bars:
            ticks = sorted(cell[x].unique())
            ax.set_xticks(ticks := ticks[:: 1 + len(ticks) // 9], [f"{tick:g}" for tick in ticks])
            ax.minorticks_off()
        elif not log:
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, nbins=6))
        if not options.get("sharey"):  # an interval of few seeds may leave the range of the metric
            (low, high), means = ax.get_ylim(), cell["mean"]
            ax.set_ylim(max(low, min(0, means.min() - 0.1)), min(high, max(1, means.max() + 0.1)))
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(label)
    _legend(figure, min(columns + 1, len(groups) + bool(truth)))
    return figure


# Notebooks 06 and 07: ablations and sweeps ----------------------------------------------------------------------------


def changes_panels(
    frame: pd.DataFrame, y: str, panel: str, group: str, section: str | None = None
) -> Figure:
    """Differences with intervals (columns difference, half), a panel per value of `panel`, a line per value of `y`, a marker per `group`.

    0 is the default. A hollow marker: the interval contains 0, or there is none. A rule is drawn where the value of `section` changes.
    """
    known = frame.groupby(panel)[y].unique().map(tuple)
    columns, groups = min(3, len(known)), frame[group].nunique()
    height = 0.9 + known.map(len).max() * max(0.24, 0.13 * groups)
    names, alike = frame[panel].unique(), known.nunique() == 1
    figure, axes = _panels(names, columns, 3.0 + 1.4 / columns, height, 0.5, sharey=alike)
    for name, ax in axes.items():
        _changes(ax, frame[frame[panel] == name], y, group, section)
        ax.set_title(name)
    if groups > 1:
        _legend(figure, 2 * columns)
    return figure


def _changes(ax: plt.Axes, frame: pd.DataFrame, y: str, group: str, section: str | None) -> None:
    names, groups = list(frame[y].unique()), list(frame[group].unique())
    for part, place, look in _beside(ax, frame, [y, group], "difference", names, groups):
        hollow = ~(part["difference"].abs() > part["half"])
        ax.plot(
            part["difference"][hollow], place[hollow], markerfacecolor="white", zorder=3, **look
        )
    if section:
        order = frame.drop_duplicates(y).set_index(y)[section]
        for edge in np.flatnonzero((order != order.shift()).to_numpy())[1:]:
            ax.axhline(edge - 0.5, color="#888888", linewidth=0.8, marker="", linestyle="-")
    ax.axvline(0, color="black", linewidth=0.8, marker="", linestyle="-", zorder=0)
    ax.grid(axis="x", color="#e5e5e5", linewidth=0.6, linestyle="-")
    ax.set_axisbelow(True)
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel("change, above 0 is better")


def pattern_matrix(frame: pd.DataFrame, names: tuple[str, ...]) -> Figure:
    """Every pattern as a column, sorted by the mean over methods: the methods' means above, the modalities present (dark) below."""
    order = frame.groupby("pattern")["mean"].mean().sort_values().index
    size = (max(8.0, 1.6 + 0.13 * len(order)), 3.6 + 0.22 * len(names))
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=size, height_ratios=(3.4, 0.25 * len(names)), sharex=True
    )
    for name in (name for name in METHOD_COLORS if name in set(frame["method"])):
        part = frame[frame["method"] == name].set_index("pattern").reindex(order)
        look = {"color": METHOD_COLORS[name], "marker": METHOD_MARKERS[name], "linestyle": "none"}
        top.plot(range(len(order)), part["mean"], markersize=4, label=METHOD_NAMES[name], **look)
    there = np.array([[name in pattern.split("+") for pattern in order] for name in names])
    bottom.imshow(
        np.where(there, 0.2, 0.95),
        cmap="gray",
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    bottom.set_yticks(range(len(names)), names)
    bottom.set_xticks(np.arange(-0.5, len(order)), minor=True)
    bottom.set_yticks(np.arange(-0.5, len(names)), minor=True)
    bottom.grid(which="minor", color="white", linewidth=1, linestyle="-")
    bottom.tick_params(which="both", length=0)
    bottom.set(xticks=[], xlabel=f"{len(order)} patterns, worst to best (dark: modality present)")
    top.set(ylabel=frame["metric"].iloc[0])
    top.tick_params(axis="x", which="both", length=0)
    top.grid(axis="y", color="#e5e5e5", linewidth=0.6, linestyle="-")
    _legend(figure, 6)
    return figure
