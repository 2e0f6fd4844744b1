"""Labels as people have them: which of them are known, and what they become."""

from __future__ import annotations

import numpy as np
import pytest

from robult_core.targets import read_classes

ZERO_ONE_UNKNOWN = [
    [np.int64(0), np.int64(1), np.int64(-1), None],
    [0.0, 1.0, -1.0, None],
    [0, np.int64(1), np.float32(-1), np.nan],
]


@pytest.mark.parametrize("labels", ZERO_ONE_UNKNOWN, ids=["numpy", "floats", "mixed"])
def test_the_mark_is_found_among_numbers_of_every_type(labels):
    targets = read_classes(np.array(labels, dtype=object), 4, -1)
    assert targets.known.tolist() == [True, True, False, False]
    assert targets.classes.tolist() == [0, 1]


@pytest.mark.parametrize("mark", [np.int64(-1), -1.0])
def test_a_mark_may_be_a_number_of_every_type(mark):
    assert read_classes([0, 1, -1], 3, mark).known.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("labels", "mark"),
    [
        (["1", "2"], 1),
        ([1, 2], "1"),
        ([1, 2], True),
        ([True, False], 1),
        (np.array([True, False], dtype=object), 1),
        ([-1, 1], None),
    ],
)
def test_a_text_and_a_truth_value_equal_no_number(labels, mark):
    assert read_classes(labels, 2, mark).known.all()


@pytest.mark.parametrize(("labels", "shown"), [([3, 3], "3"), (["a", "a"], "'a'")])
def test_the_only_class_is_shown_as_it_was_given(labels, shown):
    with pytest.raises(ValueError, match=f"y holds one class only, {shown}: a classifier"):
        read_classes(labels, 2, -1)


@pytest.mark.parametrize("mark", ["unknown", "N/A", " ? "])
def test_a_class_that_looks_like_a_mark_is_warned_of(mark, caplog):
    labels = ["cat", mark, "dog", mark]
    targets = read_classes(labels, 4, -1)
    assert targets.known.all()
    assert f"2 samples have the class {mark!r}" in caplog.text
    assert f"unlabeled={mark!r}" in caplog.text
    caplog.clear()
    read_classes(labels, 4, mark)
    assert not caplog.text
