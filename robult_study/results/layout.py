"""Frames laid out for a reader: one column per value of a column, and markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from robult_study.results.intervals import with_interval, with_star


def laid_out(
    frame: pd.DataFrame,
    index: Sequence[str],
    column: str,
    values: str = "text",
    order: Iterable[str] | None = None,
) -> pd.DataFrame:
    """One row per `index`, one column per value of `column`, both in order of appearance.

    A cell that the frame does not have is a dash in a table of text and NaN in one of numbers.
    order: values of `column`, those that come first; others are left out.
    """
    if order is None:
        order = frame[column].unique()
    present = set(frame[column])
    columns = [name for name in order if name in present]
    wide = frame.pivot(index=list(index), columns=column, values=values)
    wide = wide.reindex(index=_in_order(frame, list(index)), columns=columns)
    if not pd.api.types.is_numeric_dtype(frame[values]):
        wide = wide.fillna("–")
    return wide.rename_axis(columns=None)


def _in_order(frame: pd.DataFrame, index: list[str]) -> pd.Index:
    distinct = frame[index].drop_duplicates()
    if len(index) == 1:
        return pd.Index(distinct[index[0]], name=index[0])
    return pd.MultiIndex.from_frame(distinct)


def to_markdown(table: pd.DataFrame) -> str:
    """A frame as a markdown table, its index as the first columns."""
    flat = table.reset_index()
    lines = [list(map(str, flat.columns)), ["---"] * flat.shape[1]]
    lines += flat.astype(str).to_numpy().tolist()
    rows = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join(rows) + "\n"


def listed(names: Iterable[object], none: str = "none") -> str:
    """Names in a sentence, separated by commas."""
    return ", ".join(map(str, names)) or none


def most_often(counts: pd.Series, words: Callable[[str], str] = str) -> str:
    """Who has the largest count, as "a (7)", or "a and b (7 each)" where several have it.

    words: what a reader sees in place of a name in the index of the counts.
    """
    largest = counts.max()
    first = [words(name) for name in counts.index[counts == largest]]
    each = " each" if len(first) > 1 else ""
    return f"{' and '.join(first)} ({largest}{each})"


def with_half_columns(table: pd.DataFrame, halves: Mapping[str, pd.Series]) -> pd.DataFrame:
    """The table with half of an interval in a column "± name" behind each column that is named.

    halves: name of a column -> numbers on the table's index. Behind "all (22)" stands "± all".
    """
    wide = table.copy()
    for name, half in halves.items():
        wide.insert(wide.columns.get_loc(name) + 1, f"± {name.split(' (')[0]}", half)
    return wide


def interval_table(
    summary: pd.DataFrame,
    index: Sequence[str],
    column: str,
    order: Iterable[str] | None = None,
    sign: bool = False,
) -> pd.DataFrame:
    """Rows of `summarize` laid out as text, "0.512 ± 0.031"; sign: print "+" too."""
    text = with_interval(summary["mean"], summary["half"], sign=sign)
    return laid_out(summary.assign(text=text), index, column, order=order)


def star_table(
    differences: pd.DataFrame, index: Sequence[str], column: str, order: Iterable[str] | None = None
) -> pd.DataFrame:
    """Rows of `paired` laid out as text, with a star where the interval leaves out 0."""
    text = with_star(differences)
    return laid_out(differences.assign(text=text), index, column, order=order)
