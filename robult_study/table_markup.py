"""Tables as HTML: words for the names of the code, text on the left, ten rows in view."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from robult_study.wording import in_table

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

ROWS_IN_VIEW = 10


def styled(table: pd.DataFrame | Styler, caption: str) -> Styler:
    """A frame, or a frame that has a style already, as readers are to see it."""
    frame = getattr(table, "data", table)
    if table is frame and not named_index(frame):
        table = frame = frame.reset_index(drop=True)  # parts that were joined count twice
    styler = _plainly_styled(frame) if table is frame else table
    styler = styler.format_index(in_table, axis="columns")
    styler = styler.format_index(in_table, axis="index")
    styler = styler.format_index_names(in_table, axis="index")
    if not named_index(frame):
        styler = styler.hide(axis="index")
    return _left_aligned(styler).set_caption(caption)


def folded(styler: Styler, name: str) -> str:
    """The HTML of a table; what is below its tenth row unfolds on a click.

    name: part of the ids in the HTML, so that the styles of two tables do not mix.
    """
    index = styler.data.index
    below = len(index) - ROWS_IN_VIEW
    if below <= 0 or not index.is_unique:  # a Styler hides rows by their labels
        return styler.set_uuid(name).to_html()
    top = copy.deepcopy(styler).hide(subset=index[ROWS_IN_VIEW:])
    rest = copy.deepcopy(styler).hide(subset=index[:ROWS_IN_VIEW])
    rest.set_caption(f"{styler.caption} (from row {ROWS_IN_VIEW + 1} on)")
    summary = f"<summary>{below} more row{'s' if below > 1 else ''}</summary>"
    hidden = rest.set_uuid(f"{name}_rest").to_html()
    return f"{top.set_uuid(name).to_html()}<details>{summary}{hidden}</details>"


def named_index(frame: pd.DataFrame) -> bool:
    """Whether the index says something, that is, is not just 0, 1, 2 …"""
    index = frame.index
    return index.nlevels > 1 or index.name is not None or index.dtype.kind not in "iu"


def _plainly_styled(frame: pd.DataFrame) -> Styler:
    """Numbers with three decimals, and words for the names of the code."""
    return frame.style.format(precision=3).format(in_table, subset=_text_columns(frame))


def _left_aligned(styler: Styler) -> Styler:
    """Text on the left, with its heading; JupyterLab sets every cell on the right."""
    left = [{"selector": "", "props": "text-align: left"}]
    names = [{"selector": "th.row_heading, th.index_name", "props": "text-align: left"}]
    texts = dict.fromkeys(_text_columns(styler.data), left)
    styler = styler.set_table_styles(names, overwrite=False)
    return styler.set_table_styles(texts, overwrite=False)


def _text_columns(frame: pd.DataFrame) -> list[Any]:
    return [column for column in frame if all(isinstance(cell, str) for cell in frame[column])]
