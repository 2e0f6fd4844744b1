from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robult_study.results import intervals as statistics

FIXTURE = Path(__file__).parents[1] / "fixtures" / "critical_difference.json"


@pytest.fixture(scope="module")
def expected() -> dict:
    return json.loads(FIXTURE.read_text())


@pytest.fixture(scope="module")
def table(expected) -> pd.DataFrame:
    return pd.DataFrame.from_dict(expected["rows"], orient="index", columns=expected["columns"])


def seeds(values: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"method": name, "seed": seed, "value": value}
        for name, all_ in values.items()
        for seed, value in enumerate(all_)
    ]
    return pd.DataFrame(rows)


def test_ranks_match_the_fixture(table, expected):
    assert statistics.ranks(table).to_numpy().tolist() == [
        expected["ranks"][block] for block in table.index
    ]
    assert statistics.mean_ranks(table).round(6).to_dict() == expected["average_ranks"]
    assert statistics.mean_ranks(table).index[0] == "Robult"


def test_friedman_matches_the_fixture(table, expected):
    found = statistics.friedman(table)
    assert found["chi2"] == pytest.approx(expected["friedman_chi2"], abs=1e-5)
    assert found["p"] == pytest.approx(expected["friedman_p"], rel=0.01)
    assert found["f"] == pytest.approx(expected["iman_davenport_F"], abs=1e-5)
    assert found["cd"] == pytest.approx(expected["critical_difference_alpha_0_05"], abs=1e-5)


@pytest.mark.parametrize(("k", "q"), [(2, 1.96), (3, 2.3437), (5, 2.7278), (10, 3.1637)])
def test_critical_difference_uses_the_published_quantiles(k, q):
    assert statistics.critical_difference(k, 9) == pytest.approx(
        q * np.sqrt(k * (k + 1) / 54), abs=1e-3
    )


def test_critical_difference_of_demsars_own_example(expected):
    example = expected["demsar_2006_example"]
    assert statistics.critical_difference(example["k"], example["N"]) == pytest.approx(
        example["critical_difference"], abs=1e-5
    )


def test_nemenyi_and_wilcoxon_match_the_fixture(table, expected):
    for name, found in [
        ("nemenyi_p", statistics.nemenyi(table)),
        ("wilcoxon_holm_p", statistics.wilcoxon_holm(table)),
    ]:
        for pair, p in expected[name].items():
            assert found.loc[tuple(pair.split("|"))] == pytest.approx(p, abs=6e-5), (name, pair)
            assert found.loc[tuple(reversed(pair.split("|")))] == found.loc[tuple(pair.split("|"))]


def test_five_methods_need_nine_blocks_for_wilcoxon_holm():
    assert statistics.smallest_p(5, 8) > 0.05 > statistics.smallest_p(5, 9)


def test_a_hole_in_the_table_is_named(table):
    holed = table.copy()
    holed.loc["Food-101/Text", "GMC"] = np.nan
    with pytest.raises(ValueError, match="method 'GMC' has no number in block 'Food-101/Text'"):
        statistics.ranks(holed)


def test_too_small_a_table_for_friedman():
    with pytest.raises(ValueError, match="this table has 3 and 2"):
        statistics.friedman(pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1]}))


def test_methods_that_always_agree_differ_nowhere():
    same = pd.DataFrame({name: [0.1, 0.2, 0.3] for name in "abc"})
    assert (statistics.wilcoxon_holm(same).to_numpy() == 1).all()
    assert statistics.friedman(pd.DataFrame({"a": [3, 3], "b": [2, 2], "c": [1, 1]}))["f"] == np.inf


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12))
def test_t_interval_equals_scipys(values):
    mean, half, n = statistics.t_interval(values)
    if np.std(values) < 1e-6:
        return
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half, mean + half) == (
        pytest.approx(low, abs=1e-7),
        pytest.approx(high, abs=1e-7),
    )


def test_one_value_has_no_interval_and_nan_does_not_count():
    assert statistics.t_interval([3.0])[0] == 3
    assert np.isnan(statistics.t_interval([3.0])[1])
    assert statistics.t_interval([1.0, np.nan, 3.0])[2] == 2
    assert np.isnan(statistics.t_interval([])[0])


def test_summarize_groups_by_the_columns_that_are_there():
    found = statistics.summarize(seeds({"a": [1.0, 2.0, 3.0], "b": [5.0, 5.0, 5.0]})).set_index(
        "method"
    )
    assert found.loc["a", ["mean", "n"]].tolist() == [2, 3]
    assert found.loc["a", "half"] == pytest.approx(
        4.302653 / np.sqrt(3), abs=1e-6
    )  # t quantile of 2 degrees of freedom
    assert found.loc["b", "half"] == 0


def test_summarize_refuses_to_average_different_runs():
    frame = pd.concat(
        [seeds({"a": [1.0, 2.0]}).assign(width=64), seeds({"a": [3.0, 4.0]}).assign(width=256)]
    )
    with pytest.raises(ValueError, match="occurs more than once"):
        statistics.summarize(frame)
    assert len(statistics.summarize(frame, by=["method", "width"])) == 2


def test_pairing_removes_what_seeds_share():
    shared = np.array([0.1, 0.5, 0.9, 0.3, 0.7, 0.2])
    frame = seeds({"a": list(shared + 0.01 * np.arange(1, 7)), "b": list(shared)}).assign(
        pattern="x"
    )
    found = statistics.paired(frame, "a", "b").iloc[0]
    assert found["difference"] == pytest.approx(0.035)
    assert 0 < found["low"] < found["high"]
    assert found["n"] == 6
    assert found["verdict"] == "better"
    assert statistics.paired(frame, "b", "a")["verdict"].item() == "worse"


def test_unpaired_seeds_are_left_out_and_one_pair_decides_nothing():
    frame = seeds({"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.5], "b": [0.0, 1.5, 2.0, 3.5, 4.0]}).assign(
        pattern="x"
    )
    found = statistics.paired(frame, "a", "b").iloc[0]
    assert found["n"] == 5
    assert found["difference"] == pytest.approx(0.8)
    assert statistics.paired(frame[frame["seed"] == 0], "a", "b")["verdict"].item() == "undecided"


def test_paired_names_a_method_that_is_not_there():
    with pytest.raises(ValueError, match="method 'c' is not in the table"):
        statistics.paired(seeds({"a": [1.0]}), "a", "c")
