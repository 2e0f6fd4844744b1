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
    all_above,
    grade_cells,
    grade_every_cell,
    interval_bounds,
    interval_words,
)


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
    [([0.1, 0.2], True), ([0.1, -0.1], False), ([0.1, 0.0], False), ([], False)],
)
def test_an_interval_that_touches_0_does_not_lie_above_it(low, expected):
    bounds = pd.DataFrame({"low": low, "high": [1.0] * len(low)}, dtype=float)
    assert all_above(bounds) is expected


def test_without_intervals_nothing_lies_above():
    assert all_above(None) is False


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


def test_means_without_seeds_have_no_intervals():
    assert interval_bounds(Table(pd.DataFrame()), [("robult", "gmc")]) is None


def test_intervals_are_counted_on_either_side():
    bounds = pd.DataFrame({"low": [0.1, 0.0, -0.2, -0.3], "high": [0.2, 0.1, 0.0, -0.1]})
    assert interval_words(bounds).startswith("of 4 paired 95 % intervals 1 lie above 0, 1 below")
