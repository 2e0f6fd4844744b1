"""The metrics of a data set: which comes first, which the paper reports, which way is better.

The catalogue knows the task of a data set, and the task its first metric. Frames here have the
columns data_set, metric and value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from robult_core.datasets import entry
from robult_core.tasks import higher_is_better


class Reported(NamedTuple):
    """Names of metrics."""

    paper: tuple[str, ...]  # in the order of the paper's tables
    beside: tuple[str, ...] = ()  # shown beside them here


REPORTED = {  # by the first metric of the task
    "mae": Reported(("mae", "corr", "f1_gmc", "accuracy"), ("f1",)),
    "f1_macro": Reported(("f1_macro",)),
    "auroc": Reported(("auroc",), ("accuracy", "f1_macro")),
    "accuracy": Reported(("accuracy",), ("f1_macro",)),
}


def first_metric(data_set: str) -> str:
    """The metric by which a data set is judged."""
    return entry(data_set).task.primary


def is_regression(data_set: str) -> bool:
    return entry(data_set).task.kind == "regression"


def is_synthetic(data_set: str) -> bool:
    """Whether a data set is made so that a chosen kind of information is there."""
    return data_set.startswith("pid")


def of_sets(rows: pd.DataFrame, question: Callable[[str], object]) -> pd.Series:
    """The answer of `question(data_set)` for each row; each data set is asked about once."""
    answers = {name: question(name) for name in rows["data_set"].unique()}
    return rows["data_set"].map(answers)


def without_synthetic(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of real data sets."""
    return rows[~of_sets(rows, is_synthetic).astype(bool)]


def measured(rows: pd.DataFrame, also: bool = False) -> pd.DataFrame:
    """Rows of the metrics that the paper reports for such a task.

    also: add the metrics that are shown beside them.
    """
    shown = set()
    for name in rows["data_set"].unique():
        reported = REPORTED[first_metric(name)]
        metrics = reported.paper + reported.beside if also else reported.paper
        shown |= {(name, metric) for metric in metrics}
    pairs = zip(rows["data_set"], rows["metric"], strict=True)
    chosen = [pair in shown for pair in pairs]
    return rows[pd.Series(chosen, rows.index, dtype=bool)]


def direction(metric: str) -> int:
    """1 where a higher value of a metric is better, and -1 for an error."""
    return 1 if higher_is_better(metric) else -1


def oriented(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with errors negated, so that a higher value is better everywhere."""
    higher = rows["metric"].map(higher_is_better).astype(bool)
    return rows.assign(value=rows["value"].where(higher, -rows["value"]))


def primary(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of each data set's first metric, errors negated."""
    return oriented(only_first(rows))


def only_first(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of each data set's first metric."""
    return rows[rows["metric"] == of_sets(rows, first_metric)]


def axis_labels(rows: pd.DataFrame) -> pd.Series:
    """The name of each data set's first metric as it stands beside an axis of `primary` values."""
    labels = {}
    for name in rows["data_set"].unique():
        metric = first_metric(name)
        labels[name] = metric if higher_is_better(metric) else f"{metric}, negated"
    return pd.Series(labels)
