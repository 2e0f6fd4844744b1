"""Numbers by the modalities that are present: how many, which, and what each of them adds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from robult_core.protocol import pattern_modalities, pattern_name, patterns
from robult_study.results.intervals import summarize
from robult_study.results.layout import laid_out
from robult_study.results.metrics import axis_labels, primary


def modalities_present(rows: pd.DataFrame) -> pd.Series:
    """How many modalities the pattern of each row has."""
    counts = {name: len(pattern_modalities(name)) for name in rows["pattern"].unique()}
    return rows["pattern"].map(counts)


def has_all(rows: pd.DataFrame) -> pd.Series:
    """Whether the pattern of each row is the largest of its data set."""
    present = modalities_present(rows)
    return present == present.groupby(rows["data_set"]).transform("max")


def subsets(results: pd.DataFrame) -> pd.DataFrame:
    """The first metric of every run and pattern, errors negated, with a column `present`.

    `present` is the number of modalities. Predictions by late fusion are left out.
    """
    rows = primary(results)
    rows = rows[rows["variant"] == ""]
    return rows.assign(present=modalities_present(rows))


def by_size(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over all subsets of a size: one `value` per data_set, method, seed and present."""
    by = ["data_set", "method", "seed", "present"]
    means = rows.groupby(by, sort=False)["value"].mean().reset_index()
    return means.assign(view="all subsets of a size")


def pattern_means(rows: pd.DataFrame, data_set: str) -> pd.DataFrame:
    """Mean and interval of each method for every subset of the modalities of one data set.

    rows: `subsets`. The column `metric` says where the values are negated errors.
    """
    chosen = rows[rows["data_set"] == data_set]
    means = summarize(chosen, ["pattern", "method"])
    return means.assign(metric=axis_labels(chosen)[data_set])


def best_per_subset(means: pd.DataFrame) -> pd.Series:
    """How many subsets each method is best on; means: `pattern_means`."""
    wide = laid_out(means, ["pattern"], "method", "mean")
    return wide.idxmax(axis=1).value_counts()


def best_title(means: pd.DataFrame, method: str) -> str:
    """On how many subsets a method is best, as a title without its name; means: `pattern_means`."""
    best = best_per_subset(means)
    n_methods = means["method"].nunique()
    return f"is the best of {n_methods} methods on {best.get(method, 0)} of {best.sum()} subsets"


def mean_place(means: pd.DataFrame, method: str) -> float:
    """The rank of a method among all, 1 is best, mean over subsets; means: `pattern_means`."""
    wide = laid_out(means, ["pattern"], "method", "mean")
    return float(wide.rank(axis=1, ascending=False)[method].mean())


def gains(rows: pd.DataFrame, data_set: str, names: Sequence[str]) -> pd.DataFrame:
    """What a modality adds to a subset without it, mean over these subsets, with its interval.

    names: the modalities of the data set. Columns added, method, and those of `summarize`.
    """
    chosen = rows[rows["data_set"] == data_set]
    by_seed = chosen.pivot(index=["method", "seed"], columns="pattern", values="value")
    tables = []
    for name in names:
        gain = _gain(by_seed, name, tuple(names)).rename("value")
        tables.append(gain.reset_index().assign(added=name))
    return summarize(pd.concat(tables), ["added", "method"])


def _gain(by_seed: pd.DataFrame, name: str, names: tuple[str, ...]) -> pd.Series:
    larger = []
    smaller = []
    for pattern in patterns(names):
        if name in pattern and len(pattern) > 1:
            larger.append(pattern_name(pattern))
            smaller.append(pattern_name(tuple(other for other in pattern if other != name)))
    return (by_seed[larger] - by_seed[smaller].to_numpy()).mean(axis=1)


def all_against_best_subset(
    rows: pd.DataFrame, data_set: str, names: Sequence[str]
) -> pd.DataFrame:
    """All modalities minus the best smaller subset, per method, paired by seed, with its interval.

    The subset is picked by the means that are compared, which flatters it. rows: `subsets`; names:
    the modalities of the data set. Columns method, and those of `summarize`.
    """
    chosen = rows[rows["data_set"] == data_set]
    by_seed = chosen.pivot(index=["method", "seed"], columns="pattern", values="value")
    full = by_seed.pop(pattern_name(tuple(names)))
    best = by_seed.groupby("method").mean().idxmax(axis=1)
    gaps = []
    for method, pattern in best.items():
        gap = full[method] - by_seed.loc[method, pattern]
        gaps.append(gap.rename("value").reset_index().assign(method=method))
    return summarize(pd.concat(gaps), ["method"])
