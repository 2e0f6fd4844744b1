"""Which metric comes first, which the paper reports, which way is better: the catalogue says it."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_core.datasets import CATALOGUE
from robult_study.results import metrics


def rows_of(*pairs: tuple[str, str]) -> pd.DataFrame:
    tables = [results({"robult": 0.5}, data_set, metric) for data_set, metric in pairs]
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    ("data_set", "metric"),
    [
        ("digits", "accuracy"),
        ("mosi", "mae"),
        ("mm-imdb", "f1_macro"),
        ("hateful-memes", "auroc"),
        ("food101", "accuracy"),
    ],
)
def test_the_first_metric_is_that_of_the_task(data_set, metric):
    assert metrics.first_metric(data_set) == metric
    assert CATALOGUE[data_set].task.primary == metric


def test_every_data_set_has_metrics_that_the_paper_reports():
    for name in CATALOGUE:
        first = metrics.first_metric(name)
        assert metrics.REPORTED[first].paper[0] == first
        shown = metrics.REPORTED[first].paper + metrics.REPORTED[first].beside
        assert set(shown) <= set(CATALOGUE[name].task.metric_names)


def test_the_same_metric_is_first_on_one_set_and_not_on_another():
    rows = rows_of(("digits", "accuracy"), ("digits", "f1_macro"), ("mm-imdb", "f1_macro"))
    first = metrics.only_first(rows)
    pairs = set(zip(first["data_set"], first["metric"], strict=True))
    assert pairs == {("digits", "accuracy"), ("mm-imdb", "f1_macro")}


def test_measured_metrics_depend_on_the_task():
    names = ("mae", "accuracy", "f1", "f1_macro")
    rows = rows_of(*[("mosi", name) for name in names], *[("digits", name) for name in names])

    def shown(frame: pd.DataFrame, data_set: str) -> set[str]:
        return set(frame.loc[frame["data_set"] == data_set, "metric"])

    paper = metrics.measured(rows)
    assert shown(paper, "mosi") == {"mae", "accuracy"}
    assert shown(paper, "digits") == {"accuracy"}
    also = metrics.measured(rows, also=True)
    assert shown(also, "mosi") == {"mae", "accuracy", "f1"}
    assert shown(also, "digits") == {"accuracy", "f1_macro"}


def test_errors_are_negated_and_nothing_else():
    rows = rows_of(("mosi", "mae"), ("mosi", "corr"))
    signed = metrics.oriented(rows).groupby("metric")["value"].first()
    assert signed.to_dict() == {"mae": -0.5, "corr": 0.5}
    assert metrics.primary(rows)["value"].max() < 0


def test_no_rows_stay_no_rows():
    empty = rows_of(("digits", "accuracy")).iloc[:0]
    for function in (metrics.measured, metrics.primary, metrics.without_synthetic):
        found = function(empty)
        assert found.empty
        assert list(found.columns) == list(empty.columns)


def test_synthetic_sets_are_told_apart():
    rows = rows_of(("digits", "accuracy"), ("pid", "accuracy"))
    assert set(metrics.without_synthetic(rows)["data_set"]) == {"digits"}


def test_an_axis_says_that_an_error_is_negated():
    rows = rows_of(("digits", "accuracy"), ("mosi", "mae"))
    assert metrics.axis_labels(rows).to_dict() == {"digits": "accuracy", "mosi": "mae, negated"}


def test_higher_is_better_but_for_errors():
    assert metrics.direction("accuracy") == 1
    assert metrics.direction("mae") == -1


def test_scores_are_regressions_and_classes_are_not():
    assert metrics.is_regression("mosi")
    assert not metrics.is_regression("digits")
    assert not metrics.is_regression("mm-imdb")
