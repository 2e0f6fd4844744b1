"""Ranks, Friedman, Nemenyi and Wilcoxon-Holm against fixtures and published quantiles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robult_study.results import ranks

FIXTURE = Path(__file__).parents[1] / "fixtures" / "critical_difference.json"


@pytest.fixture(scope="module")
def expected() -> dict:
    return json.loads(FIXTURE.read_text())


@pytest.fixture(scope="module")
def table(expected) -> pd.DataFrame:
    return pd.DataFrame.from_dict(expected["rows"], orient="index", columns=expected["columns"])


def test_ranks_match_the_fixture(table, expected):
    found = ranks.ranks(table)
    assert found.to_numpy().tolist() == [expected["ranks"][block] for block in table.index]
    means = ranks.mean_ranks(table)
    assert means.round(6).to_dict() == expected["average_ranks"]
    assert means.index[0] == "Robult"


def test_ties_share_their_mean_rank():
    tied = pd.DataFrame({"a": [0.5], "b": [0.5], "c": [0.1]})
    assert ranks.ranks(tied).iloc[0].to_dict() == {"a": 1.5, "b": 1.5, "c": 3}


def test_a_hole_in_the_table_is_named(table):
    holed = table.copy()
    holed.loc["Food-101/Text", "GMC"] = np.nan
    holed.loc[table.index[-1], "Robult"] = np.nan
    with pytest.raises(ValueError, match="method 'GMC' has no number in block 'Food-101/Text'"):
        ranks.ranks(holed)


def test_friedman_matches_the_fixture(table, expected):
    found = ranks.friedman(table)
    assert found["chi2"] == pytest.approx(expected["friedman_chi2"], abs=1e-5)
    assert found["p"] == pytest.approx(expected["friedman_p"], rel=0.01)
    assert found["f"] == pytest.approx(expected["iman_davenport_F"], abs=1e-5)
    assert found["cd"] == pytest.approx(expected["critical_difference_alpha_0_05"], abs=1e-5)
    assert found["p_f"] == pytest.approx(stats.f.sf(found["f"], 4, 4 * 8))
    assert (found["blocks"], found["methods"]) == table.shape == (9, 5)


def test_too_small_a_table_for_friedman():
    with pytest.raises(ValueError, match="this table has 3 and 2"):
        ranks.friedman(pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1]}))
    with pytest.raises(ValueError, match="this table has 1 and 3"):
        ranks.friedman(pd.DataFrame({"a": [1], "b": [2], "c": [3]}))


def test_blocks_that_all_agree_give_an_infinite_f():
    agreeing = pd.DataFrame({"a": [3, 3], "b": [2, 2], "c": [1, 1]})
    assert ranks.friedman(agreeing)["f"] == np.inf


@pytest.mark.parametrize(("k", "q"), [(2, 1.96), (3, 2.3437), (5, 2.7278), (10, 3.1637)])
def test_critical_difference_uses_the_published_quantiles(k, q):
    expected = q * np.sqrt(k * (k + 1) / 54)
    assert ranks.critical_difference(k, 9) == pytest.approx(expected, abs=1e-3)


def test_critical_difference_of_demsars_own_example(expected):
    example = expected["demsar_2006_example"]
    found = ranks.critical_difference(example["k"], example["N"])
    assert found == pytest.approx(example["critical_difference"], abs=1e-5)


@pytest.mark.parametrize("name", ["nemenyi", "wilcoxon_holm"])
def test_p_values_match_the_fixture(table, expected, name):
    found = getattr(ranks, name)(table)
    for pair, p in expected[f"{name}_p"].items():
        first, second = pair.split("|")
        assert found.loc[first, second] == pytest.approx(p, abs=6e-5)
        assert found.loc[second, first] == found.loc[first, second]


def test_methods_that_always_agree_differ_nowhere():
    same = pd.DataFrame({name: [0.1, 0.2, 0.3] for name in "abc"})
    assert (ranks.wilcoxon_holm(same).to_numpy() == 1).all()


def test_five_methods_need_nine_blocks_for_wilcoxon_holm():
    assert ranks.smallest_p(5, 8) > 0.05 > ranks.smallest_p(5, 9)
    assert ranks.smallest_p(5, 1) == 1


def test_procedures_take_the_complete_blocks_of_the_methods_asked_for(table):
    holed = table.assign(empty=np.nan, other=1.0)
    holed.loc["Food-101/Text", "GMC"] = np.nan
    found = ranks.procedures(holed, [*table.columns, "empty", "absent"])
    assert list(found.blocks.columns) == list(table.columns)
    assert len(found.blocks) == len(table) - 1
    assert set(found.p) == {"Nemenyi", "Wilcoxon-Holm"}


def test_procedures_need_two_blocks_of_three_methods(table):
    with pytest.raises(ranks.TooFewBlocks, match="there are 1 of 5"):
        ranks.procedures(table.iloc[:1], table.columns)
    with pytest.raises(ranks.TooFewBlocks, match="there are 9 of 2"):
        ranks.procedures(table, table.columns[:2])
    assert ranks.procedures(table.iloc[:2], table.columns[:3]).blocks.shape == (2, 3)


def test_reach_is_a_row_per_number_of_blocks():
    found = ranks.reach(5, [3, 9])
    assert found["blocks"].tolist() == [3, 9]
    differences = found["Nemenyi: critical difference of mean ranks"]
    assert differences.tolist() == [
        ranks.critical_difference(5, 3),
        ranks.critical_difference(5, 9),
    ]
    assert found["Wilcoxon-Holm: smallest p"].tolist() == [1.0, 10 / 2**8]


def test_a_pair_counts_once_and_only_below_the_level():
    names = list("abc")
    p = pd.DataFrame([[1, 0.05, 0.049], [0.05, 1, 0.001], [0.049, 0.001, 1]], names, names)
    assert ranks.pairs_apart(p) == 2
