"""Ranks of methods over blocks, and what two procedures can tell apart (Demsar 2006).

A *block* is one row of a table with one column per method, for instance one data set with one
availability pattern. In every table here a higher number is better (`metrics.oriented`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from robult_study.results.intervals import LEVEL, holm


class TooFewBlocks(ValueError):
    """A table that is too small to rank methods."""


class Procedures(NamedTuple):
    """The complete blocks of a table, and what follows from them."""

    blocks: pd.DataFrame
    ranks: pd.Series  # mean rank of each method, best first
    p: dict[str, pd.DataFrame]  # procedure -> p value of every pair of methods


def ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Rank of each method in each block, 1 is best, ties share their mean rank.

    Raises ValueError naming the first cell without a number.
    """
    rows, columns = np.nonzero(table.isna())
    if len(rows):
        block = table.index[rows[0]]
        method = table.columns[columns[0]]
        raise ValueError(
            f"method '{method}' has no number in block '{block}': leave out the block or the method"
        )
    return table.rank(axis=1, ascending=False)


def mean_ranks(table: pd.DataFrame) -> pd.Series:
    """Mean rank of each method over the blocks (rows), best first."""
    return ranks(table).mean().sort_values()


def critical_difference(n_methods: int, n_blocks: int) -> float:
    """Nemenyi's critical difference of two mean ranks, q sqrt(k (k + 1) / (6 N))."""
    q = stats.studentized_range.ppf(1 - LEVEL, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))


def smallest_p(n_methods: int, n_blocks: int) -> float:
    """The smallest p that exact Wilcoxon with Holm can reach.

    It is 2 / 2^N times the number of pairs, at most 1.
    """
    pairs = n_methods * (n_methods - 1) / 2
    return min(1.0, 2.0 ** (1 - n_blocks) * pairs)


def friedman(table: pd.DataFrame) -> dict[str, float]:
    """Friedman's test over blocks x methods, tie-corrected.

    The keys are chi2 and p, Iman and Davenport's f and p_f, blocks, methods, and cd, the critical
    difference. Raises ValueError below 2 blocks or 3 methods.
    """
    n, k = table.shape
    if n < 2 or k < 3:
        raise ValueError(
            f"Friedman's test needs at least 2 blocks and 3 methods, this table has {n} and {k}: "
            "add runs or leave the test out"
        )
    chi2, p = stats.friedmanchisquare(*(table[name] for name in table))
    distance = n * (k - 1) - chi2  # from the largest value that chi2 can have
    f = (n - 1) * chi2 / distance if distance > 0 else np.inf
    p_f = stats.f.sf(f, k - 1, (k - 1) * (n - 1))
    return {
        "chi2": float(chi2),
        "p": float(p),
        "f": float(f),
        "p_f": float(p_f),
        "blocks": n,
        "methods": k,
        "cd": critical_difference(k, n),
    }


def nemenyi(table: pd.DataFrame) -> pd.DataFrame:
    """p values of all pairs of methods after Friedman's test, `(k, k)` with labels."""
    import scikit_posthocs as posthocs  # slow to import

    return posthocs.posthoc_nemenyi_friedman(table.reset_index(drop=True))


def wilcoxon_holm(table: pd.DataFrame) -> pd.DataFrame:
    """p values of Wilcoxon's signed-rank test, `(k, k)` with labels, Holm-adjusted over pairs."""
    pairs = list(combinations(table.columns, 2))
    adjusted = holm(pd.Series([_wilcoxon(table[a], table[b]) for a, b in pairs]))
    result = pd.DataFrame(1.0, index=table.columns, columns=table.columns)
    for (a, b), p in zip(pairs, adjusted, strict=True):
        result.loc[a, b] = p
        result.loc[b, a] = p
    return result


def _wilcoxon(a: pd.Series, b: pd.Series) -> float:
    """p of the signed-rank test, which is not defined for two equal columns: 1 there."""
    if (a == b).all():
        return 1.0
    return float(stats.wilcoxon(a, b).pvalue)


def procedures(table: pd.DataFrame, methods: Iterable[str]) -> Procedures:
    """Mean ranks of `methods` over the blocks that all of them have, and the p values of each pair.

    A method without a single number is left out. Raises TooFewBlocks below 2 blocks or 3 methods.
    """
    chosen = table[[name for name in methods if name in table]]
    blocks = chosen.dropna(axis=1, how="all").dropna()
    if blocks.shape[1] < 3 or len(blocks) < 2:
        raise TooFewBlocks(
            f"ranks need 2 blocks of 3 methods, there are {len(blocks)} of {blocks.shape[1]}"
        )
    p = {"Nemenyi": nemenyi(blocks), "Wilcoxon-Holm": wilcoxon_holm(blocks)}
    return Procedures(blocks, mean_ranks(blocks), p)


def reach(n_methods: int, blocks: Iterable[int]) -> pd.DataFrame:
    """What each procedure can separate at all, by the number of blocks."""
    counts = list(blocks)
    differences = [critical_difference(n_methods, n) for n in counts]
    smallest = [smallest_p(n_methods, n) for n in counts]
    return pd.DataFrame(
        {
            "blocks": counts,
            "Nemenyi: critical difference of mean ranks": differences,
            "Wilcoxon-Holm: smallest p": smallest,
        }
    )


def pairs_apart(p: pd.DataFrame) -> int:
    """How many pairs of methods a procedure separates; p: `(k, k)`, symmetric."""
    upper = np.triu(p < LEVEL, k=1)
    return int(upper.sum())
