"""What a figure draws and how, as lines of text, and a comparison with an approved copy of them.

Sizes, places and colours of a picture have no right value that a test could work out, but nobody
should change them unseen. `tests/study/approved/` holds the lines for each figure. Where a change
is meant, look at the picture, delete the file and run the test twice: the first run writes it anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text

APPROVED = Path(__file__).parent / "approved"
DRAWN_BY = (mpl, sns)  # the libraries whose defaults show in the lines
COLORS = (
    "get_color",
    "get_facecolor",
    "get_edgecolor",
    "get_markerfacecolor",
    "get_markeredgecolor",
)
LOOKS = (
    "get_alpha",
    "get_hatch",
    "get_linewidth",
    "get_linestyle",
    "get_marker",
    "get_markersize",
    "get_markeredgewidth",
    "get_fontsize",
    "get_fontweight",
    "get_rotation",
    "get_ha",
    "get_va",
    "get_zorder",
    "get_clip_on",
    "get_sizes",
    "get_clim",
)


def check_approved(name: str, figure: Figure) -> None:
    """Fail where a figure is not drawn as it was approved."""
    versions = [f"{library.__name__} {library.__version__}" for library in DRAWN_BY]
    found = [", ".join(versions), *facts(figure)]
    path = APPROVED / f"{name}.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(found) + "\n")
        pytest.fail(f"{path} was not there and is written: look at the figure and run again")
    expected = path.read_text().splitlines()
    if expected[0] != found[0]:
        pytest.skip(f"the figure was approved as drawn by {expected[0]}")
    assert found == expected


def facts(figure: Figure) -> list[str]:
    """Size and texts of a figure, then each axes with everything in it."""
    lines = [f"figure {plain(figure.get_size_inches())}"]
    titles = [figure._suptitle, *(part._suptitle for part in figure.subfigs), *figure.texts]
    lines += [look(text) for text in dict.fromkeys(titles) if text is not None]
    for legend in figure.legends:
        lines.append(f"legend of {legend._ncols} columns")
        lines += counted(look(handle) for handle in legend.legend_handles)
    for ax in figure.axes:
        lines += axes_facts(ax)
    return lines


def axes_facts(ax: Axes) -> Iterator[str]:
    """Limits, proportions and frame of axes, then all that is drawn in them."""
    yield f"axes {ax.get_title()!r} x {plain(ax.get_xlim())} y {plain(ax.get_ylim())}"
    place = ax.get_subplotspec()
    if place is not None:
        grid = place.get_gridspec()
        ratios = [*grid.get_height_ratios(), *grid.get_width_ratios()]
        yield f"  ratios {plain(ratios)} {grid.wspace}"
    sharing = [len(ax._shared_axes[name].get_siblings(ax)) for name in "xy"]
    yield f"  {plain(sharing)} {ax.get_aspect()} {ax.axison} {look(ax.patch)}"
    for side in ("left", "top"):
        yield f"  {ax.spines[side].get_visible()} {look(ax.spines[side])}"
    for axis in (ax.xaxis, ax.yaxis):
        yield f"  {axis_facts(axis)}"
    texts = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    yield from (f"  {look(text)}" for text in texts if text.get_text())
    legend = ax.get_legend()
    if legend is not None:
        yield f"  legend {legend._loc} {legend.get_frame_on()} {legend.get_title().get_text()!r}"
    artists = [*ax.lines, *ax.patches, *ax.collections, *ax.images]
    yield from counted(f"  {look(artist)} {extent(artist, ax)}" for artist in artists)


def axis_facts(axis: Axis) -> str:
    """How an axis is marked: its first mark, and what chooses the others."""
    tick = axis.get_major_ticks(1)[0]
    shown = [tick.tick1line.get_visible(), tick.label1.get_visible(), tick.gridline.get_visible()]
    size = [tick.tick1line.get_markersize(), tick.label1.get_fontsize()]
    turned = [tick.label1.get_rotation(), tick.label1.get_ha(), tick.gridline.get_linewidth()]
    locator = axis.get_major_locator()
    chosen = [type(locator).__name__, getattr(locator, "_nbins", "")]
    return plain([*shown, *size, *turned, *chosen])


def counted(lines: Iterable[str]) -> list[str]:
    """Equal lines as one, with their number."""
    return [f"{line} x {count}" for line, count in Counter(lines).items()]


def look(artist: Artist) -> str:
    """The kind of an artist and how it is drawn."""
    words = [type(artist).__name__]
    if isinstance(artist, Text):
        words += [repr(artist.get_text()), plain(artist.get_position())]
    if isinstance(artist, Annotation):
        words.append(plain(artist.xy))
    arrow = getattr(artist, "arrow_patch", None)
    if arrow is not None:
        words += [plain([arrow.shrinkA, arrow.shrinkB]), look(arrow)]
    if isinstance(artist, Text) and artist.get_bbox_patch():
        words.append(f"in {look(artist.get_bbox_patch())}")
    words += [colors(getattr(artist, name)()) for name in COLORS if hasattr(artist, name)]
    words += [plain(getattr(artist, name)()) for name in LOOKS if hasattr(artist, name)]
    words.append(plain(getattr(artist, "_unscaled_dash_pattern", "")))
    return " ".join(word for word in words if word not in ("", "None"))


def colors(value: object) -> str:
    """Colours as hex codes, each once."""
    if isinstance(value, str):
        return value
    rows = np.atleast_2d(np.asarray(value, dtype=float))
    return " ".join(sorted({to_hex(row, keep_alpha=True) for row in rows if len(row)}))


def extent(artist: Artist, ax: Axes) -> str:
    """How far an artist reaches in the units of the data; of a line, its leftmost and rightmost
    point, then the lowest and the highest."""
    if isinstance(artist, Patch):
        box = artist.get_path().transformed(artist.get_patch_transform()).get_extents()
        return plain(box.extents)
    if isinstance(artist, Collection):
        return plain(artist.get_datalim(ax.transData).extents)
    if isinstance(artist, mpl.image.AxesImage):
        return plain(artist.get_extent())
    x, y = np.asarray(artist.get_data(), dtype=float)
    if not len(x):
        return "()"
    ends = np.lexsort((y, x))[[0, -1]]  # a line looks the same, whichever point comes first
    return plain([x[ends], y[ends], [y.min(), y.max()]])


def plain(value: object) -> str:
    """Numbers to four digits, and sequences of them in brackets."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return "(" + " ".join(map(plain, value)) + ")"
    if isinstance(value, (float, int, np.number)) and not isinstance(value, bool):
        return f"{value + 0.0:.4g}"
    return str(value)
