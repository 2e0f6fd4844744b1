"""Intervals and verdicts against scipy, and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from made_up import seeds_of
from scipy import stats

from robult_study.results import intervals

T_OF_2 = 4.302653  # 97.5 % quantile of Student's t with 2 degrees of freedom


# Mean and interval -------------------------------------------------------------------------------


@hypothesis_settings(max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=12))
def test_the_interval_equals_scipys(values):
    assume(np.std(values) > 1e-6)
    row = intervals.summarize(seeds_of({"a": values})).iloc[0]
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert row["low"] == pytest.approx(low, abs=1e-7)
    assert row["high"] == pytest.approx(high, abs=1e-7)
    assert row["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_summarize_groups_by_the_columns_that_are_there():
    rows = seeds_of({"a": [1.0, 2.0, 3.0], "b": [5.0, 5.0, 5.0]})
    table = intervals.summarize(rows).set_index("method")
    assert table.loc["a", ["mean", "n"]].tolist() == [2, 3]
    assert table.loc["a", "half"] == pytest.approx(T_OF_2 / np.sqrt(3), abs=1e-6)
    assert table.loc["b", "half"] == 0
    turned = intervals.summarize(rows.iloc[::-1])
    assert turned["method"].tolist() == ["b", "a"]  # in order of appearance


@pytest.mark.parametrize("values", [[3.0], [1.0, 3.0], [1.0, 3.0, np.nan], [1.0, 3.0, np.inf]])
def test_fewer_than_three_numbers_have_a_mean_but_no_interval(values):
    row = intervals.summarize(seeds_of({"a": values})).iloc[0]
    finite = [value for value in values if np.isfinite(value)]
    assert row["mean"] == np.mean(finite)
    assert row["n"] == len(finite)
    assert row[["half", "low", "high"]].isna().all()


def test_no_number_at_all_has_no_mean():
    row = intervals.summarize(seeds_of({"a": [np.nan, np.nan, np.nan]})).iloc[0]
    assert np.isnan(row["mean"])
    assert row["n"] == 0


def test_summarize_refuses_to_average_different_runs():
    narrow = seeds_of({"a": [1.0, 2.0]}).assign(width=64)
    wide = seeds_of({"a": [3.0, 4.0]}).assign(width=256)
    both = pd.concat([narrow, wide])
    with pytest.raises(ValueError, match="'seed': 0} occurs more than once"):
        intervals.summarize(both)
    assert len(intervals.summarize(both, by=["method", "width"])) == 2


def test_a_missing_value_of_a_grouping_column_is_a_group():
    rows = seeds_of({"a": [1.0, 2.0, 3.0]}).assign(width=None)
    assert len(intervals.summarize(rows, by=["method", "width"])) == 1


# Differences -------------------------------------------------------------------------------------


def test_pairing_removes_what_seeds_share():
    shared = np.array([0.1, 0.5, 0.9, 0.3, 0.7, 0.2])
    rows = seeds_of({"a": list(shared + 0.01 * np.arange(1, 7)), "b": list(shared)})
    rows = rows.assign(pattern="x")
    row = intervals.paired(rows, "a", "b").iloc[0]
    assert row["difference"] == pytest.approx(0.035)
    assert 0 < row["low"] < row["high"]
    assert row["n"] == 6
    assert row["verdict"] == "better"
    assert intervals.paired(rows, "b", "a")["verdict"].item() == "worse"


@hypothesis_settings(max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=10))
def test_p_is_that_of_scipys_t_test_and_agrees_with_the_verdict(differences):
    assume(np.std(differences) > 1e-6)
    zeros = [0.0] * len(differences)
    rows = seeds_of({"a": differences, "b": zeros}).assign(pattern="x")
    row = intervals.paired(rows, "a", "b").iloc[0]
    assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=1e-9)
    assert (row["p"] < intervals.LEVEL) == (row["verdict"] != "undecided")


def test_differences_that_are_all_equal_are_certain():
    rows = seeds_of({"a": [1.5, 2.5, 3.5], "b": [1.0, 2.0, 3.0], "c": [1.0, 2.0, 3.0]})
    rows = rows.assign(pattern="x")
    apart = intervals.paired(rows, "a", "b").iloc[0]
    assert (apart["p"], apart["verdict"], apart["holm"]) == (0, "better", "better")
    turned = intervals.paired(rows, "b", "a").iloc[0]
    assert (turned["p"], turned["verdict"], turned["holm"]) == (0, "worse", "worse")
    same = intervals.paired(rows, "b", "c").iloc[0]
    assert (same["p"], same["verdict"], same["holm"]) == (1, "undecided", "undecided")


def test_seeds_of_one_side_are_left_out():
    rows = seeds_of({"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.5], "b": [0.0, 1.5, 2.0, 3.5, 4.0]})
    row = intervals.paired(rows.assign(pattern="x"), "a", "b").iloc[0]
    assert row["n"] == 5
    assert row["difference"] == pytest.approx(0.8)


@pytest.mark.parametrize("n_pairs", [1, 2])
def test_fewer_than_three_pairs_decide_nothing(n_pairs):
    rows = seeds_of({"a": [5.0, 5.1][:n_pairs], "b": [1.0, 1.0][:n_pairs]}).assign(pattern="x")
    row = intervals.paired(rows, "a", "b").iloc[0]
    assert row["difference"] > 3.9
    assert (row["verdict"], row["holm"]) == ("undecided", "undecided")
    assert np.isnan(row["p"])
    assert np.isnan(row["half"])


def test_paired_names_a_method_that_is_not_there():
    with pytest.raises(ValueError, match="method 'c' is not in the table: choose one of a"):
        intervals.paired(seeds_of({"a": [1.0]}), "a", "c")


def test_paired_refuses_a_seed_that_occurs_twice():
    rows = pd.concat([seeds_of({"a": [1.0], "b": [1.0]}), seeds_of({"a": [2.0]})])
    with pytest.raises(ValueError, match="occurs more than once"):
        intervals.paired(rows.assign(pattern="x"), "a", "b")


# Many verdicts at once ---------------------------------------------------------------------------


def test_holm_equals_its_definition():
    p = pd.Series([0.01, 0.04, 0.03, np.nan, 0.005], index=list("vwxyz"))
    found = intervals.holm(p)
    # ascending p times 4, 3, 2, 1, never falling
    expected = {"z": 0.02, "v": 0.03, "x": 0.06, "w": 0.06}
    assert found.drop("y").to_dict() == pytest.approx(expected)
    assert np.isnan(found["y"])


def test_holm_equals_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests  # slow to import and to call

    numbers = np.random.default_rng(0).choice(np.geomspace(1e-4, 1, 15), 40)  # with ties
    p = pd.Series(numbers, index=range(5, 45))
    np.testing.assert_allclose(intervals.holm(p), multipletests(numbers, method="holm")[1])


@pytest.mark.parametrize(("p", "verdict"), [(0.05, "undecided"), (0.0499, "better")])
def test_a_verdict_needs_a_p_below_the_level(p, verdict):
    table = pd.DataFrame({"verdict": ["better"], "p": [p]})
    assert intervals.holm_verdicts(table).tolist() == [verdict]


def test_groups_without_a_verdict_count_none():
    table = pd.DataFrame({"of": ["b", "a"], "verdict": ["better", "worse"]})
    counts = intervals.count_verdicts(table, ["of"])
    assert counts.to_dict("index") == {
        "a": {"better": 0, "undecided": 0, "worse": 1},
        "b": {"better": 1, "undecided": 0, "worse": 0},
    }


def test_holm_of_nothing_is_nothing():
    assert intervals.holm(pd.Series([np.nan])).isna().all()


def weak_and_strong() -> pd.DataFrame:
    """Twenty patterns: the difference of the first is beyond doubt, that of the others is weak."""
    rng = np.random.default_rng(0)
    weak = rng.standard_normal(5)
    weak = 0.1 * (weak - weak.mean()) / weak.std(ddof=1) + 0.13  # t = 2.9, p = 0.044
    tables = []
    for number in range(20):
        difference = [1.0, 1.1, 0.9, 1.0, 1.0] if number == 0 else list(weak)
        rows = seeds_of({"a": difference, "b": [0.0] * 5})
        tables.append(rows.assign(pattern=f"x{number}"))
    return pd.concat(tables)


def test_many_weak_verdicts_do_not_survive_the_correction():
    table = intervals.paired(weak_and_strong(), "a", "b")
    assert (table["verdict"] == "better").all()
    assert table["holm"].tolist() == ["better"] + 19 * ["undecided"]
    counts = intervals.count_verdicts(table.assign(all="all"), ["all"])
    assert counts.loc["all"].to_dict() == {"better": 20, "undecided": 0, "worse": 0}


def test_verdicts_are_counted_before_and_after_the_correction():
    table = intervals.paired(weak_and_strong(), "a", "b").assign(all="all")
    counts = intervals.count_verdicts_and_holm(table, ["all"]).loc["all"]
    assert counts[["better", "undecided", "worse"]].tolist() == [20, 0, 0]
    assert counts[["better, Holm", "undecided, Holm", "worse, Holm"]].tolist() == [1, 19, 0]


def test_robult_is_set_against_each_method_that_is_there():
    methods = seeds_of(
        {"robult": [3.0, 3.1, 3.2], "gmc": [1.0, 1.0, 1.0], "linear": [4.0, 4.0, 4.0]}
    )
    rows = methods.assign(pattern="x")
    table = intervals.against_each(rows, ["pattern"], ["linear", "unimodal", "robult", "gmc"])
    assert table.index.tolist() == [0, 1]
    assert table["against"].tolist() == ["linear", "gmc"]
    assert table["verdict"].tolist() == ["worse", "better"]
    alone = intervals.paired(rows, "robult", "gmc", ["pattern"])
    assert table["difference"].iloc[1] == alone["difference"].item()


def test_one_weak_verdict_alone_does():
    rows = weak_and_strong()
    table = intervals.paired(rows[rows["pattern"] == "x1"], "a", "b")
    assert table["holm"].tolist() == ["better"]


def test_changes_correct_over_all_their_rows():
    rows = weak_and_strong()
    one = rows[rows["pattern"] == "x1"]
    twins = [one[one["method"] == "a"].assign(method=name) for name in "cdefghijklmnopqrstuv"]
    table = intervals.changes(pd.concat([one, *twins]), "b", ["pattern"], "method")
    assert list(table["method"]) == ["a", *"cdefghijklmnopqrstuv"]
    assert table.index.is_unique
    assert (table["verdict"] == "better").all()
    assert (table["holm"] == "undecided").all()


# As text -----------------------------------------------------------------------------------------


def test_a_number_with_its_interval_as_text():
    mean = pd.Series([0.51234, -1.0, 0.25, np.nan])
    half = pd.Series([0.0306, 0.0, np.nan, np.nan])
    text = intervals.with_interval(mean, half)
    assert text.tolist() == ["0.512 ± 0.031", "-1.000 ± 0.000", "0.250", "–"]
    signed = intervals.with_interval(mean, half, digits=1, sign=True)
    assert signed.tolist() == ["+0.5 ± 0.0", "-1.0 ± 0.0", "+0.2", "–"]


def test_a_star_marks_what_is_decided():
    table = pd.DataFrame(
        {
            "difference": [0.1, -0.2, 0.0, 0.3],
            "half": [0.2, 0.1, np.nan, 0.1],
            "verdict": ["undecided", "worse", "undecided", "better"],
        }
    )
    assert intervals.with_star(table).tolist() == [
        "+0.100 ± 0.200",
        "-0.200 ± 0.100 *",
        "+0.000",
        "+0.300 ± 0.100 *",
    ]
