"""The look of every figure: a palette for each concept, legends, titles, and drawn intervals.

Methods wear the colours of Okabe and Ito, their distilled variants a darker shade. The parts of the
information decomposition wear sky, two yellows and charcoal. Everything else wears the muted
colours of Paul Tol, which neither of the two uses: four of them that differ in grey are kept for
modalities, the others go to whatever else a figure compares.
Data sets have no colour: they stand in panels or along an axis. All three palettes are safe for
colour-blind readers, and a marker, a line style or a hatch repeats each distinction in grey.
Classes have a hue each; with ten of them no palette is safe, so the number of a class stands by.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from robult_core.tasks import higher_is_better
from robult_study.results.intervals import MIN_VALUES
from robult_study.results.latent_bits import RAW, UNTRAINED, WITH, WITHOUT
from robult_study.results.metrics import first_metric
from robult_study.results.pairs import RIVALS, SAME_SHARE, THRESHOLDS, WEIGHTS
from robult_study.wording import in_text, in_words

LOOK = Path(__file__).with_name("look.mplstyle")  # sizes, and which lines axes have
MUTED = {
    "indigo": "#332288",
    "teal": "#44AA99",
    "rose": "#CC6677",
    "olive": "#999933",
    "wine": "#882255",
    "cyan": "#88CCEE",
    "green": "#117733",
    "sand": "#DDCC77",
    "violet": "#AA4499",
    "pale": "#BBBBBB",
}
CYCLE = tuple(MUTED[name] for name in ("wine", "rose", "cyan", "green", "olive", "pale"))
MODALITY_COLORS = tuple(MUTED[name] for name in ("indigo", "teal", "violet", "sand"))
FUSED_COLOR = "black"  # of all modalities together; black is no hue
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", "h")
DASHES = (
    "",
    (4, 1.5),
    (1, 1),
    (3, 1, 1, 1),
    (5, 1, 1, 1, 1, 1),
    (2, 1),
    (6, 2),
    (8, 1),
    (6, 1, 1, 1),
    (1, 3),
)
NARROWEST = 3.5  # inches; below it a title breaks into columns and a legend is cut
RULE = {"color": "#888888", "linewidth": 0.8}
LOSS = re.compile(r"\bL_(\w+)")  # what a title has in plain letters, because it is printed too

METHOD_COLORS = {
    "robult": "#D55E00",
    "unimodal": "#0072B2",
    "gmc": "#009E73",
    "action_mae": "#E69F00",
    "prompt_trans": "#CC79A7",
    "linear": "#555555",
    "self_training": "#999999",
    "robult_distilled": "#7A2E00",
    "unimodal_distilled": "#00334F",
    "linear_distillation": "#000000",
}
METHOD_MARKERS = dict(zip(METHOD_COLORS, MARKERS, strict=True))
METHOD_DASHES = dict(zip(METHOD_COLORS, DASHES, strict=True))
DATA_SETS = ("pid", "digits", "handwritten", "cub10", "utd_mhad", "mosi")
LATENT_COLORS = {  # what notebook 08 looks at
    RAW: MUTED["olive"],
    UNTRAINED: MUTED["pale"],
    WITH: MUTED["wine"],
    WITHOUT: MUTED["cyan"],
    "z": MUTED["green"],
    "u": MUTED["rose"],
}
PID_COLORS = {
    "redundancy": "#56B4E9",
    "unique1": "#F0E442",
    "unique2": "#FAF6B4",
    "synergy": "#444444",
}
PID_HATCHES = {"redundancy": "", "unique1": "//", "unique2": "\\\\", "synergy": ".."}

CUTS = tuple(f"confidence > {cut}" for cut in THRESHOLDS)
_OF_WEIGHTS = tuple(MUTED[name] for name in ("wine", "rose", "cyan", "green", "pale"))
_OF_RIVALS = ("black", MUTED["olive"], "black")  # the confidence, the cosine, the same share
_OF_CUTS = ("#404040", "#707070", "#989898")  # of the confidence, so shades of its black
WEIGHT_COLORS = dict(  # of pairs, notebook 09
    zip(
        (*WEIGHTS, *RIVALS, SAME_SHARE, *CUTS),
        (*_OF_WEIGHTS, *_OF_RIVALS, *_OF_CUTS),
        strict=True,
    )
)
WEIGHT_DASHES = dict(zip(WEIGHT_COLORS, DASHES, strict=False)) | dict(
    zip((SAME_SHARE, *CUTS), ((1, 3), *DASHES[1:4]), strict=True)  # RBF shows through the gaps
)
READER_COLORS = dict(zip(("x1", "x2"), MODALITY_COLORS, strict=False)) | {"x1+x2": FUSED_COLOR}
FIXED_COLORS = METHOD_COLORS | LATENT_COLORS | WEIGHT_COLORS | READER_COLORS
FIXED_MARKERS = METHOD_MARKERS | dict(
    zip([*LATENT_COLORS, *WEIGHT_COLORS, *READER_COLORS], "DosvPXos^DvPXPs^Dos^", strict=True)
)
FIXED_DASHES = (
    METHOD_DASHES
    | dict(zip(LATENT_COLORS, DASHES, strict=False))
    | WEIGHT_DASHES
    | dict(zip(READER_COLORS, DASHES, strict=False))
)

METRIC_RANGES = {"mae": (0.0, None), "mae, negated": (None, 0.0), "corr": (-1.0, 1.0)}
SHARE = (0.0, 1.0)  # the range of every metric that is not named above


def use_style() -> None:
    """Set the look of every following figure: palette, sizes that read in a report, one font."""
    mpl.rcdefaults()
    look = mpl.rc_params_from_file(LOOK, use_default_template=False)
    sns.set_theme(style="ticks", palette=list(CYCLE), font="DejaVu Sans", rc=look)


def mark_smoke(figure: Figure) -> None:
    """Stamp a figure of the smoke profile, whose numbers mean nothing."""
    look = {"fontsize": 48, "color": "#999999", "alpha": 0.25, "rotation": 25}
    figure.text(0.5, 0.5, "smoke", ha="center", va="center", **look)


def ordered(names: Iterable[str]) -> list[str]:
    """Distinct names: methods and data sets in their own order, then others as they appear."""
    names = list(dict.fromkeys(names))
    known = [name for name in (*METHOD_COLORS, *DATA_SETS) if name in names]
    return known + [name for name in names if name not in known]


def looks(names: Sequence[str]) -> dict[str, dict]:
    """The arguments `palette`, `markers` and `dashes` of seaborn for these names.

    A method looks the same in every figure, and so does what notebooks 08 and 09 compare; other
    names take the muted colours in turn that none of these has.
    """
    others = [name for name in names if name not in FIXED_COLORS]
    taken = {FIXED_COLORS[name] for name in names if name in FIXED_COLORS}
    free = [color for color in CYCLE if color not in taken]
    return {
        "palette": FIXED_COLORS | dict(zip(others, cycle(free), strict=False)),
        "markers": FIXED_MARKERS | dict(zip(others, cycle(MARKERS), strict=False)),
        "dashes": FIXED_DASHES | dict(zip(others, cycle(DASHES), strict=False)),
    }


def class_colors(n_classes: int) -> list[tuple[float, float, float]]:
    """A hue for each class, in turn dark and light."""
    dark = sns.husl_palette(n_classes, l=0.45)
    light = sns.husl_palette(n_classes, l=0.7)
    return [(light if index % 2 else dark)[index] for index in range(n_classes)]


def line_handles(names: Sequence[str], lines: bool = True) -> list[Line2D]:
    """Entries of a legend for `looks`; without `lines` they show the markers alone."""
    look = looks(names)
    handles = []
    for name in names:
        dashes = look["dashes"][name]
        style = (0, dashes) if dashes else "-"
        handle = Line2D(
            [],
            [],
            color=look["palette"][name],
            marker=look["markers"][name],
            linestyle=style if lines else "none",
            label=in_words(name),
        )
        handles.append(handle)
    return handles


def finish(
    figure: Figure, title: str = "", handles: Sequence[Any] = (), columns: int | None = None
) -> Figure:
    """Lay the figure out, with the finding as its title and one legend below all panels.

    The size of the figure is that of its panels; title and legend get room of their own, and a
    single narrow panel is widened for them.
    """
    figure.set_layout_engine("constrained")
    figure.set_figwidth(max(figure.get_figwidth(), NARROWEST))
    if title:
        lines = textwrap.wrap(title, round(figure.get_figwidth() * 10.5), break_on_hyphens=False)
        look = {"x": 0.01, "ha": "left", "fontsize": 11, "fontweight": "bold"}
        figure.suptitle(LOSS.sub(r"$L_{\1}$", "\n".join(lines)), **look)
        _add_height(figure, 0.1 + 0.2 * len(lines))
    if handles:
        columns = columns or fitting_columns(figure, handles)
        figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)
        _add_height(figure, 0.1 + 0.2 * -(-len(handles) // columns))
    return figure


def _add_height(figure: Figure, inches: float) -> None:
    figure.set_figheight(figure.get_figheight() + inches)


def fitting_columns(figure: Figure, handles: Sequence[Any]) -> int:
    """The number of legend entries that fit side by side under the figure."""
    longest = max(len(handle.get_label()) for handle in handles)
    most = max(1, int(figure.get_figwidth() / (0.6 + 0.075 * longest)))
    rows = -(-len(handles) // most)
    return -(-len(handles) // rows)


def metric_range(metric: str) -> tuple[float | None, float | None]:
    """The lowest and the highest value that a metric can take; None where there is no limit."""
    return METRIC_RANGES.get(metric, SHARE)


def metric_label(metric: str) -> str:
    """The name of a metric as an axis prints it, with its direction where lower is better."""
    words = in_words(metric)
    return words if higher_is_better(metric) else f"{words}\n(lower is better)"


def first_metrics(data_sets: Iterable[str]) -> str:
    """The first metrics of these data sets as a label of several panels prints them.

    The metric of most sets stands first, those of the others in brackets. An error is negated.
    """
    words = {}
    for name in data_sets:
        metric = first_metric(name)
        oriented = metric if higher_is_better(metric) else f"{metric}, negated"
        words[in_words(name)] = in_text(oriented)
    most = max(words.values(), key=list(words.values()).count)
    others = [f"{name}: {word}" for name, word in words.items() if word != most]
    return f"{most} ({', '.join(others)})" if others else most


def wrapped(label: str, inches: float) -> str:
    """The label of an axis of so many inches, broken between words where it is longer."""
    return textwrap.fill(label, max(8, round(8 * inches)), break_long_words=False)


def show_direction(ax: plt.Axes, metric: str) -> None:
    """Turn the y axis of an error round, so that better is higher in every figure."""
    if not higher_is_better(metric) and not ax.yaxis_inverted():
        ax.invert_yaxis()


def log_ticks(ax: plt.Axes, values: Iterable[float]) -> None:
    """Make the x axis logarithmic, with ticks at measured values that stand far enough apart."""
    measured = sorted(set(values))
    nearest = (measured[-1] / measured[0]) ** (1 / 6.1)
    shown = measured[:1]
    for value in measured[1:]:
        if value / shown[-1] >= nearest:
            shown.append(value)
    ax.set_xscale("log")
    ax.set_xticks(shown, [f"{value:g}" for value in shown])
    ax.minorticks_off()


def linear_ticks(ax: plt.Axes, values: Iterable[float]) -> None:
    """Place ticks of the x axis at measured whole numbers that stand apart, else at round ones.

    Apart is a seventh of the axis or more, with room for rounding: eight equally spaced values.
    """
    measured = np.unique(list(values))
    whole = bool((measured % 1 == 0).all())
    apart = bool((np.diff(measured) >= np.ptp(measured) / 7.1).all())
    if whole and apart:
        ax.set_xticks(measured)
    else:
        steps = (1, 2, 2.5, 5, 10)  # not 1.5 and 3, which are no marks that a reader expects
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=steps, integer=whole, min_n_ticks=1))


def trusted_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without the intervals (`low` and `high`) of fewer than three values (`n`)."""
    if "n" not in frame:
        return frame
    enough = frame["n"] >= MIN_VALUES
    return frame.assign(low=frame["low"].where(enough), high=frame["high"].where(enough))


def drawn_intervals(
    frame: pd.DataFrame, bounds: tuple[float | None, float | None] = (None, None)
) -> pd.DataFrame:
    """The frame of `intervals.summarize` with the intervals that a figure may draw.

    An interval ends at the range of its metric, which is `bounds` or follows from a column
    `metric`; fewer than three values have none.
    """
    ends = frame[["low", "high"]].clip(*bounds)
    if "metric" in frame:
        ranges = frame["metric"].map(metric_range)
        lowest = pd.to_numeric(ranges.str[0])
        highest = pd.to_numeric(ranges.str[1])
        ends = ends.clip(lowest, highest, axis=0)
    return trusted_intervals(frame.assign(low=ends["low"], high=ends["high"]))


INTERVAL = {"estimator": "median", "errorbar": ("pi", 100)}


def interval_rows(frame: pd.DataFrame, middle: str = "mean") -> pd.DataFrame:
    """Three rows, the columns `middle`, `low` and `high`, for each row, in one column `value`.

    seaborn computes intervals from rows, while ours are computed once, by `results.intervals`.
    With the arguments `INTERVAL` it draws the median of the three, which is the middle, and their
    whole range, which is the interval.
    """
    ends = [middle, "low", "high"]
    kept = [name for name in frame if name not in (*ends, "value")]
    rows = frame.melt(kept, ends, value_name="value")
    return rows.dropna(subset="value")
