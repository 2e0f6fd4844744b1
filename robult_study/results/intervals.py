"""Statistics of the protocol: intervals over seeds, paired differences, ranks over blocks (Demsar 2006).

A *block* is one row of a table with one column per method, for instance one data set with one availability pattern.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

BY = ("data_set", "method", "label_fraction", "pattern", "variant", "metric")


def t_interval(values: Sequence[float] | np.ndarray | pd.Series) -> tuple[float, float, int]:
    """Mean, half width of its 95 % t interval, and the number of finite values; the half width of one value is NaN."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    n = len(values)
    if n < 2:
        return (float(values[0]) if n else np.nan), np.nan, n
    half = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean()), float(half), n


def summarize(frame: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean and interval over seeds of `value`, one row per group: `by`, mean, half, low, high, sd, n.

    by: grouping columns (default: those of `BY` that the frame has). Raises ValueError when a group holds one seed twice,
    because then something that differs between runs is missing from `by`.
    """
    by = _columns(frame, by)
    _check_seeds(frame, by)
    rows = []
    for group, part in frame.groupby(by, sort=False, dropna=False):
        mean, half, n = t_interval(part["value"])
        spread = (mean, half, mean - half, mean + half, part["value"].std(), n)
        rows.append((*group, *spread))
    return pd.DataFrame(rows, columns=[*by, "mean", "half", "low", "high", "sd", "n"])


def _columns(frame: pd.DataFrame, by: Sequence[str] | None) -> list[str]:
    return [name for name in BY if name in frame] if by is None else list(by)


def _check_seeds(frame: pd.DataFrame, by: list[str]) -> None:
    repeated = frame[frame.duplicated([*by, "seed"])]
    if len(repeated):
        row = repeated.iloc[0][[*by, "seed"]].to_dict()
        raise ValueError(
            f"{row} occurs more than once: add the column that tells these rows apart to by={by}, or select first"
        )


def paired(
    frame: pd.DataFrame, a: str, b: str, by: Sequence[str] | None = None, column: str = "method"
) -> pd.DataFrame:
    """Differences a - b of `value` paired by seed, one row per group: `by`, difference, half, low, high, n, verdict ("better": all above 0).

    a, b: two values of `column`. Seeds that only one side has are left out (n counts pairs).
    """
    by = [name for name in _columns(frame, by) if name != column]
    for name in (a, b):
        if not (frame[column] == name).any():
            raise ValueError(
                f"{column} '{name}' is not in the table, which has {sorted(set(frame[column].astype(str)))}"
            )
        _check_seeds(frame[frame[column] == name], by)
    sides = [frame.loc[frame[column] == name, [*by, "seed", "value"]] for name in (a, b)]
    both = sides[0].merge(sides[1], on=[*by, "seed"], suffixes=("_a", "_b"))
    both["difference"] = both["value_a"] - both["value_b"]
    columns, rows = [*by, "difference", "half", "low", "high", "n"], []
    for group, part in both.groupby(by, sort=False, dropna=False):
        mean, half, n = t_interval(part["difference"])
        rows.append((*group, mean, half, mean - half, mean + half, n))
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(
        verdict=np.select([table["low"] > 0, table["high"] < 0], ["better", "worse"], "undecided")
    )


def ranks(table: pd.DataFrame, higher_is_better: bool = True) -> pd.DataFrame:
    """Rank of each method in each block, 1 = best, ties averaged. Raises ValueError naming the first cell without a number."""
    holes = table.isna()
    if holes.to_numpy().any():
        block, method = next(
            (row, name) for row in table.index for name in table if holes.loc[row, name]
        )
        raise ValueError(
            f"method '{method}' has no number in block '{block}': leave out the block or the method"
        )
    return table.rank(axis=1, ascending=not higher_is_better)


def mean_ranks(table: pd.DataFrame, higher_is_better: bool = True) -> pd.Series:
    """Average rank of each method over the blocks (rows), best first."""
    return ranks(table, higher_is_better).mean().sort_values()


def critical_difference(n_methods: int, n_blocks: int) -> float:
    """Nemenyi's critical difference of two average ranks: q_0.05 sqrt(k (k + 1) / (6 N))."""
    q = stats.studentized_range.ppf(0.95, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))


def friedman(table: pd.DataFrame) -> dict[str, float]:
    """Friedman's test over blocks x methods (at least 2 x 3), tie-corrected, with Iman and Davenport's F and the critical difference."""
    n, k = table.shape
    if n < 2 or k < 3:
        raise ValueError(
            f"Friedman's test needs at least 2 blocks and 3 methods, this table has {n} and {k}"
        )
    chi2, p = stats.friedmanchisquare(*(table[name] for name in table))
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 0 else np.inf  # all blocks agree: F is infinite
    p_f = stats.f.sf(f, k - 1, (k - 1) * (n - 1))
    found = {"chi2": float(chi2), "p": float(p), "f": float(f), "p_f": float(p_f)}
    return found | {"blocks": n, "methods": k, "cd": critical_difference(k, n)}


def nemenyi(table: pd.DataFrame) -> pd.DataFrame:
    """p values of all pairs of methods after Friedman's test, `(k, k)` with labels."""
    import scikit_posthocs as posthocs  # slow to import

    return posthocs.posthoc_nemenyi_friedman(table.reset_index(drop=True))


def wilcoxon_holm(table: pd.DataFrame) -> pd.DataFrame:
    """p values of Wilcoxon's signed-rank test for all pairs, `(k, k)` with labels, adjusted after Holm over the pairs."""
    from statsmodels.stats.multitest import multipletests  # slow to import

    pairs = list(combinations(table.columns, 2))
    p = [
        stats.wilcoxon(table[a], table[b]).pvalue if (table[a] != table[b]).any() else 1.0
        for a, b in pairs
    ]
    result = pd.DataFrame(1.0, index=table.columns, columns=table.columns)
    for (a, b), value in zip(pairs, multipletests(p, method="holm")[1], strict=True):
        result.loc[a, b] = result.loc[b, a] = value
    return result


def smallest_p(n_methods: int, n_blocks: int) -> float:
    """The smallest p that exact Wilcoxon with Holm can reach: 2 / 2^N times the number of pairs, at most 1."""
    return min(1.0, 2.0 ** (1 - n_blocks) * n_methods * (n_methods - 1) / 2)
