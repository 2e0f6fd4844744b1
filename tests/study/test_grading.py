"""How a statement about many cells becomes a grade."""

from __future__ import annotations

import pandas as pd
import pytest

from robult_study.results.grading import (
    NOT,
    PARTLY,
    REPRODUCED,
    Missing,
    all_above,
    grade_cells,
    grade_every_cell,
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


def test_intervals_are_counted_on_either_side():
    bounds = pd.DataFrame({"low": [0.1, 0.0, -0.2, -0.3], "high": [0.2, 0.1, 0.0, -0.1]})
    assert interval_words(bounds).startswith("of 4 paired 95 % intervals 1 lie above 0, 1 below")
