"""Statistics over seeds: intervals, differences paired by seed, verdicts, and both as text.

Every interval is the 95 % t interval of a mean over seeds. Fewer than `MIN_VALUES` values give
none: with two values the interval is nearly 13 times as wide as their distance and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

BY = ("data_set", "method", "label_fraction", "pattern", "variant", "metric")
LEVEL = 0.05
MIN_VALUES = 3
VERDICTS = ("better", "undecided", "worse")


def summarize(frame: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean and interval over seeds of the column `value`, one row per group.

    The columns are those of `by`, then mean, half (of the interval), low, high, sd and n (the
    number of finite values). by: grouping columns, by default those of `BY` that the frame has.

    Raises ValueError when a group holds one seed twice, because then something that differs between
    runs is missing from `by`.
    """
    columns = _grouping(frame, by)
    _refuse_repeated_seeds(frame, columns)
    return _spread(frame, "value", columns)


def paired(
    frame: pd.DataFrame, a: str, b: str, by: Sequence[str] | None = None, column: str = "method"
) -> pd.DataFrame:
    """Differences a - b of `value`, paired by seed, one row per group.

    The columns are those of `by`, then difference, half, low, high, n (the number of pairs), p (of
    the two-sided t test), verdict and holm. The verdict is "better" where the whole interval lies
    above 0, "worse" where it lies below, else "undecided". `holm` is the verdict that is left when
    the p values of these rows are corrected after Holm, because among many rows some exclude 0 by
    chance.

    a, b: two values of `column`. Seeds that only one of the two has are left out.
    """
    by = [name for name in _grouping(frame, by) if name != column]
    for name in (a, b):
        _refuse_unknown(frame, name, column)
        _refuse_repeated_seeds(frame[frame[column] == name], by)
    table = _spread(_differences(frame, a, b, by, column), "difference", by)
    table["p"] = _p_values(table)
    table = table.rename(columns={"mean": "difference"}).drop(columns="sd")
    table["verdict"] = _verdicts(table)
    table["holm"] = holm_verdicts(table)
    return table


def changes(rows: pd.DataFrame, base: str, by: Sequence[str], column: str) -> pd.DataFrame:
    """Every other value of `column` minus `base`, paired by seed, as `paired` gives them.

    The verdicts of `holm` are corrected over all rows of this table.
    """
    tables = []
    for name in rows[column].unique():
        if name != base:
            tables.append(paired(rows, name, base, by, column).assign(**{column: name}))
    table = pd.concat(tables, ignore_index=True)
    table["holm"] = holm_verdicts(table)
    return table


def against_each(rows: pd.DataFrame, by: Sequence[str], names: Iterable[str]) -> pd.DataFrame:
    """Robult minus each other method of `names` that the rows have, as `paired` gives it.

    `against` names the other method; the verdicts of `holm` are corrected over all rows against it.
    """
    there = set(rows["method"])
    tables = []
    for name in names:
        if name != "robult" and name in there:
            tables.append(paired(rows, "robult", name, by).assign(against=name))
    return pd.concat(tables, ignore_index=True)


def holm_verdicts(table: pd.DataFrame) -> pd.Series:
    """The verdicts of a table of `paired` rows after Holm's correction over all of its rows."""
    return table["verdict"].where(holm(table["p"]) < LEVEL, "undecided")


def holm(p: pd.Series) -> pd.Series:
    """p values adjusted after Holm; a missing one stays missing and is not counted.

    The k-th smallest of n is multiplied by n - k + 1, and none falls below the one before it. The
    library for it, statsmodels, collects all garbage at every call, which took most of the time of
    a notebook's tables.
    """
    ascending = p.dropna().sort_values()
    still_tested = np.arange(len(ascending), 0, -1)
    adjusted = (ascending * still_tested).cummax().clip(upper=1.0)
    return adjusted.reindex(p.index)


def with_interval(
    mean: pd.Series, half: pd.Series, digits: int = 3, sign: bool = False
) -> pd.Series:
    """Numbers as text, "0.512 ± 0.031".

    A number without an interval stands alone, and a missing number is a dash. sign: print "+" too.
    """
    number = f"{{:{'+' if sign else ''}.{digits}f}}"
    spread = " ± " + half.map(f"{{:.{digits}f}}".format)
    text = mean.map(number.format) + spread.where(half.notna(), "")
    return text.where(mean.notna(), "–")


def with_star(differences: pd.DataFrame) -> pd.Series:
    """Rows of `paired` as text, with a star where the interval leaves out 0."""
    text = with_interval(differences["difference"], differences["half"], sign=True)
    return text.where(differences["verdict"] == "undecided", text + " *")


def count_verdicts(
    differences: pd.DataFrame, by: Sequence[str], verdict: str = "verdict"
) -> pd.DataFrame:
    """How many rows of each group are better, undecided and worse.

    verdict: the column to count, "verdict" or "holm".
    """
    groups = differences.groupby([*by, verdict])
    return groups.size().unstack(fill_value=0).reindex(columns=VERDICTS, fill_value=0)


def count_verdicts_and_holm(differences: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """`count_verdicts` of both columns; those of "holm" end in ", Holm"."""
    corrected = count_verdicts(differences, by, "holm").add_suffix(", Holm")
    return count_verdicts(differences, by).join(corrected)


def _spread(frame: pd.DataFrame, column: str, by: list[str]) -> pd.DataFrame:
    values = frame[column].astype(float)
    finite = values.where(np.isfinite(values))
    groups = frame.assign(**{column: finite}).groupby(by, sort=False, dropna=False)[column]
    # not "mean" and "std", which sum in another order and so move the last digit of some tables
    table = groups.agg(mean=pd.Series.mean, sd=pd.Series.std, n="count").reset_index()
    quantile = stats.t.ppf(1 - LEVEL / 2, table["n"] - 1)
    half = quantile * table["sd"] / np.sqrt(table["n"])
    table["half"] = half.where(table["n"] >= MIN_VALUES)
    table["low"] = table["mean"] - table["half"]
    table["high"] = table["mean"] + table["half"]
    return table[[*by, "mean", "half", "low", "high", "sd", "n"]]


def _differences(frame: pd.DataFrame, a: str, b: str, by: list[str], column: str) -> pd.DataFrame:
    kept = [*by, "seed", "value"]
    side_a = frame.loc[frame[column] == a, kept]
    side_b = frame.loc[frame[column] == b, kept]
    pairs = side_a.merge(side_b, on=[*by, "seed"], suffixes=("_a", "_b"))
    pairs["difference"] = pairs["value_a"] - pairs["value_b"]
    return pairs


def _p_values(table: pd.DataFrame) -> pd.Series:
    """p of the t test that each mean is 0; equal differences that are all 0 have a p of 1."""
    error = table["sd"] / np.sqrt(table["n"])
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(table["mean"] / error)
    statistic = statistic.mask((table["mean"] == 0) & (error == 0), 0.0)
    p = pd.Series(2 * stats.t.sf(statistic, table["n"] - 1), table.index)
    return p.where(table["n"] >= MIN_VALUES)


def _verdicts(table: pd.DataFrame) -> np.ndarray:
    conditions = [table["low"] > 0, table["high"] < 0]
    return np.select(conditions, ["better", "worse"], "undecided")


def _grouping(frame: pd.DataFrame, by: Sequence[str] | None) -> list[str]:
    if by is not None:
        return list(by)
    return [name for name in BY if name in frame]


def _refuse_repeated_seeds(frame: pd.DataFrame, by: list[str]) -> None:
    repeated = frame[frame.duplicated([*by, "seed"])]
    if len(repeated):
        row = repeated.iloc[0][[*by, "seed"]].to_dict()
        raise ValueError(
            f"{row} occurs more than once: add the column that tells these rows apart to by={by}, "
            "or select rows first"
        )


def _refuse_unknown(frame: pd.DataFrame, name: str, column: str) -> None:
    if not (frame[column] == name).any():
        known = sorted(set(frame[column].astype(str)))
        raise ValueError(
            f"{column} '{name}' is not in the table: choose one of {', '.join(known) or 'none'}"
        )
