"""Scores average single modalities and tell the branches apart."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study.results.scores import FUSED, LATE, SINGLE, scores


@pytest.fixture
def runs() -> pd.DataFrame:
    """0.4 from a, 0.6 from b, 0.7 from both by the fused branch and 0.9 by late fusion."""
    own = results({"robult": 0.4}, full=0.3, tag="robult")
    own.loc[own["pattern"] == "b", "value"] = 0.6
    late = results({"robult": 0.9}, full=0.0, tag="robult", variant="late_fusion")
    return pd.concat([own, late])


def test_the_views_are_told_apart(runs):
    table = scores(runs).set_index(["seed", "view"])["value"]
    assert len(table) == 3 * 3
    assert table[0, SINGLE] == pytest.approx(0.5)
    assert table[0, FUSED] == pytest.approx(0.7)
    assert table[0, LATE] == pytest.approx(0.9)


def test_only_the_largest_pattern_is_all(runs):
    three = runs[runs["pattern"] == "a+b"].assign(pattern="a+b+c", value=0.1)
    table = scores(pd.concat([runs, three])).set_index(["seed", "view"])["value"]
    assert table[0, FUSED] == 0.1
    assert table[0, SINGLE] == pytest.approx(0.5)


def test_data_sets_keep_their_order_of_appearance(runs):
    table = scores(pd.concat([runs, runs.assign(data_set="cub10")]))
    assert table["data_set"].unique().tolist() == ["digits", "cub10"]


def test_errors_are_negated_and_other_metrics_left_out(runs):
    error = runs.assign(data_set="mosi", metric="mae")
    other = runs.assign(data_set="mosi", metric="corr")
    assert (scores(pd.concat([error, other]))["value"] < 0).all()
