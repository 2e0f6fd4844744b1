"""How a statement about many cells becomes a grade."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_study.results.grading import (
    NOT,
    PARTLY,
    REPRODUCED,
    Missing,
    Table,
    drops_without,
    grade_cells,
    grade_every_cell,
    interval_bounds,
    interval_words,
    lowered,
    mostly_above,
    over_patterns,
)
from robult_study.results.tables import BLOCK, wide


@pytest.mark.parametrize(
    ("agree", "cells", "every_cell"),
    [
        ([True, True], REPRODUCED, REPRODUCED),
        ([True, True, False], PARTLY, NOT),
        ([True, False], NOT, NOT),  # half is not most
        ([False], NOT, NOT),
    ],
)
def test_all_most_or_fewer_cells(agree, cells, every_cell):
    assert grade_cells(pd.Series(agree)) == cells
    assert grade_every_cell(pd.Series(agree)) == every_cell


def test_no_cell_has_no_grade():
    with pytest.raises(Missing, match="no block has all the numbers needed"):
        grade_cells(pd.Series([], dtype=bool))


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        ([0.1, 0.2], True),
        ([0.1, 0.2, -0.1], True),
        ([0.1, -0.1], False),  # half is not most
        ([0.1, 0.0], False),  # one that touches 0 does not lie above it
        ([], False),
    ],
)
def test_most_intervals_lie_above_0(low, expected):
    bounds = pd.DataFrame({"low": low, "high": [1.0] * len(low)}, dtype=float)
    assert mostly_above(bounds) is expected


def test_without_intervals_nothing_lies_above():
    assert mostly_above(None) is False


def with_patterns(numbers: dict[str, list[float]], patterns: list[str]) -> Table:
    """One data set with these numbers in each pattern, and two seeds that are 0.1 off."""
    index = pd.MultiIndex.from_product([["digits"], patterns, ["accuracy"]], names=BLOCK)
    wide = pd.DataFrame(numbers, index)
    rows = wide.melt(var_name="method", ignore_index=False).reset_index().dropna()
    shifted = [rows.assign(seed=seed, value=rows["value"] + seed / 10) for seed in (-1, 1)]
    return Table(wide, pd.concat(shifted))


def test_the_mean_over_patterns_has_its_seeds():
    numbers = {"robult": [0.2, 0.6], "no_labeled": [0.1, 0.3], "gmc": [0.0, 0.0]}
    means = over_patterns(with_patterns(numbers, ["text", "full"]), "robult", "no_labeled")
    assert means.wide.index.tolist() == [("digits", "mean", "accuracy")]
    assert means.wide.iloc[0].to_dict() == pytest.approx({"robult": 0.4, "no_labeled": 0.2})
    values = means.seeds.set_index(["method", "seed"])["value"]
    assert values["robult"].to_dict() == pytest.approx({-1: 0.3, 1: 0.5})
    assert set(means.seeds["method"]) == {"robult", "no_labeled"}
    drop = drops_without(means, "no_labeled")
    assert drop["no_labeled"].tolist() == pytest.approx([0.2])


def test_a_pattern_that_one_method_lacks_counts_for_none():
    numbers = {"robult": [0.2, 0.6], "no_labeled": [0.1, None]}
    means = over_patterns(with_patterns(numbers, ["text", "full"]), "robult", "no_labeled")
    assert means.wide["robult"].tolist() == pytest.approx([0.2])
    assert means.seeds.query("method == 'robult'")["value"].mean() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ([0.10, 0.11, 0.09], True),
        ([0.20, 0.01, 0.09], False),  # lower by mean, but no interval lies above 0
        ([0.20, 0.01], True),  # two seeds give no interval that could say so
        ([-0.10, -0.11, -0.09], False),
    ],
)
def test_a_block_is_lowered_where_an_interval_says_so(drops, expected):
    rows = [("digits", "full", "accuracy", "robult", seed, 0.5) for seed in range(len(drops))]
    for seed, drop in enumerate(drops):
        rows.append(("digits", "full", "accuracy", "no_labeled", seed, 0.5 - drop))
    frame = pd.DataFrame(rows, columns=[*BLOCK, "method", "seed", "value"])
    wide = frame.pivot_table(index=BLOCK, columns="method", values="value")
    assert lowered(Table(wide, frame), "no_labeled").tolist() == [expected]
    signs = lowered(Table(wide), "no_labeled")  # in print the sign decides
    assert signs.tolist() == [drops[0] > 0]


def test_without_a_common_block_there_is_no_drop():
    numbers = {"robult": [0.2, None], "no_labeled": [None, 0.1]}
    with pytest.raises(Missing, match="no block has all the numbers needed"):
        drops_without(with_patterns(numbers, ["text", "full"]), "no_labeled")


def test_intervals_pair_the_seeds_of_each_block():
    """Robult leads by .1, .2 and .3 in the first block and by nothing in the second."""
    rows = []
    for pattern, lead in (("full", [0.1, 0.2, 0.3]), ("text", [0.0, 0.0, 0.0])):
        for seed, more in enumerate(lead):
            block = {"data_set": "mosi", "pattern": pattern, "metric": "accuracy", "seed": seed}
            rows.append(block | {"method": "robult", "value": 0.5 + more})
            rows.append(block | {"method": "gmc", "value": 0.5})
    table = Table(pd.DataFrame(), seeds=pd.DataFrame(rows))
    bounds = interval_bounds(table, [("robult", "gmc")]).sort_values("low")
    half = 4.303 * 0.1 / np.sqrt(3)  # Student's t at 97.5 % with 2 degrees of freedom
    expected = [[0.2 - half, 0.2 + half], [0.0, 0.0]]
    np.testing.assert_allclose(bounds, expected, atol=1e-4)


def test_as_many_intervals_below_as_above_say_nothing():
    rows = []
    for name, drop in (("a", 0.1), ("b", -0.1), ("c", 0.0)):
        for seed, noise in enumerate((-0.01, 0.0, 0.01)):
            block = {"data_set": name, "pattern": "full", "metric": "accuracy", "seed": seed}
            rows.append(block | {"method": "robult", "value": 0.5 + drop + noise})
            rows.append(block | {"method": "no_labeled", "value": 0.5})
    seeds = pd.DataFrame(rows)
    assert not lowered(Table(wide(seeds), seeds), "no_labeled").any()
    without_b = seeds[seeds["data_set"] != "b"]
    assert lowered(Table(wide(without_b), without_b), "no_labeled")["a"].all()


def test_means_without_seeds_have_no_intervals():
    assert interval_bounds(Table(pd.DataFrame()), [("robult", "gmc")]) is None


def test_intervals_are_counted_on_either_side():
    bounds = pd.DataFrame({"low": [0.1, 0.0, -0.2, -0.3], "high": [0.2, 0.1, 0.0, -0.1]})
    assert interval_words(bounds).startswith("of 4 paired 95 % intervals 1 lie above 0, 1 below")


def test_means_over_patterns_are_over_the_seeds_that_all_have():
    """Robult's third seed, which the variant lacks, would make it look better."""
    rows = [("robult", seed, value) for seed, value in enumerate((0.5, 0.5, 0.9))]
    rows += [("no_weights", seed, 0.6) for seed in range(2)]
    seeds = pd.DataFrame(rows, columns=["method", "seed", "value"])
    seeds = seeds.assign(data_set="digits", pattern="full", metric="accuracy")
    means = over_patterns(Table(wide(seeds), seeds), "robult", "no_weights")
    assert means.wide.iloc[0].to_dict() == pytest.approx({"robult": 0.5, "no_weights": 0.6})
