"""Frames for a reader keep the order of appearance and show what is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_study.results import layout


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "data_set": ["z", "z", "a"],
            "metric": ["accuracy", "accuracy", "mae"],
            "method": ["robult", "gmc", "robult"],
            "text": ["1", "2", "3"],
            "mean": [0.1, 0.2, 0.3],
            "half": [0.01, np.nan, 0.03],
        }
    )


def test_rows_and_columns_keep_their_order_of_appearance(frame):
    table = layout.laid_out(frame, ["data_set", "metric"], "method")
    assert table.index.tolist() == [("z", "accuracy"), ("a", "mae")]
    assert list(table.columns) == ["robult", "gmc"]
    assert table.loc[("a", "mae")].tolist() == ["3", "–"]


def test_a_single_index_stays_single(frame):
    table = layout.laid_out(frame, ["data_set"], "method", "mean")
    assert table.index.name == "data_set"
    assert table.index.tolist() == ["z", "a"]
    assert np.isnan(table.loc["a", "gmc"])


def test_an_order_chooses_columns(frame):
    table = layout.laid_out(frame, ["data_set"], "method", order=["absent", "gmc"])
    assert list(table.columns) == ["gmc"]


def test_intervals_and_stars_as_text(frame):
    table = layout.interval_table(frame, ["data_set"], "method", sign=True)
    assert table.loc["z"].tolist() == ["+0.100 ± 0.010", "+0.200"]
    differences = frame.rename(columns={"mean": "difference"})
    differences["verdict"] = ["better", "undecided", "undecided"]
    stars = layout.star_table(differences, ["data_set"], "method")
    assert stars.loc["z"].tolist() == ["+0.100 ± 0.010 *", "+0.200"]


def test_markdown_has_the_index_as_first_columns(frame):
    table = layout.laid_out(frame, ["data_set", "metric"], "method")
    lines = layout.to_markdown(table).splitlines()
    assert lines[0] == "| data_set | metric | robult | gmc |"
    assert lines[1] == "| --- | --- | --- | --- |"
    assert lines[3] == "| a | mae | 3 | – |"


def test_names_in_a_sentence():
    assert layout.listed(["a", "b"]) == "a, b"
    assert layout.listed([], "nobody") == "nobody"


def test_all_that_are_named_most_often_are_named():
    counts = pd.Series({"a": 1, "b": 3, "c": 3})
    assert layout.most_often(counts[["a", "b"]]) == "b (3)"
    assert layout.most_often(counts, str.upper) == "B and C (3 each)"


def test_halves_stand_behind_their_columns():
    table = pd.DataFrame({"all (6)": [1.0, 2.0], "full": [3.0, 4.0]}, index=["a", "b"])
    half = pd.Series([0.2, 0.1], index=["b", "a"])
    wide = layout.with_half_columns(table, {"all (6)": half})
    assert list(wide.columns) == ["all (6)", "± all", "full"]
    assert wide["± all"].tolist() == [0.1, 0.2]
    assert list(table.columns) == ["all (6)", "full"]  # the table itself stays as it was
