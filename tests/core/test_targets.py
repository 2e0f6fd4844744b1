"""Labels as people have them: which of them are known, and what they become."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from robult_core.targets import read_classes, read_indicators, read_numbers, warn_of_marks

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
        ([1, 2], "x"),
        ([1, 2], True),
        ([True, False], 1),
        (np.array([True, False], dtype=object), 1),
        ([-1, 1], None),
    ],
)
def test_a_text_and_a_truth_value_equal_no_number(labels, mark):
    assert read_classes(labels, 2, mark).known.all()


def test_a_mark_that_is_the_text_of_a_number_is_refused():
    with pytest.raises(ValueError, match="unlabeled is the text '-1', and y has it as a number"):
        read_classes([-1, 1, 2], 3, "-1")


def test_numbers_that_merge_with_their_neighbours_are_no_classes():
    with pytest.raises(
        ValueError, match=r"y holds the class 1e\+30, and numbers beyond 2\^53 merge"
    ):
        read_classes([1.0, 1e30, 2.0], 3, -1)
    assert read_classes([1.0, float(2**53)], 2, -1).classes.tolist() == [1, 2**53]


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_an_empty_text_is_no_class(kind):
    targets = read_classes(kind(["cat", "", "dog", " "]), 4, -1)
    assert targets.known.tolist() == [True, False, True, False]
    assert targets.classes.tolist() == ["cat", "dog"]


def test_nan_in_a_list_of_texts_is_no_class():
    targets = read_classes(["cat", math.nan, "dog"], 3, -1)
    assert targets.known.tolist() == [True, False, True]
    assert targets.classes.tolist() == ["cat", "dog"]


@pytest.mark.parametrize(("labels", "shown"), [([3, 3], "3"), (["a", "a"], "'a'")])
def test_the_only_class_is_shown_as_it_was_given(labels, shown):
    with pytest.raises(ValueError, match=f"y holds one class only, {shown}: a classifier"):
        read_classes(labels, 2, -1)


@pytest.mark.parametrize("mark", ["unknown", "N/A", " ? ", "-1"])
def test_a_class_that_looks_like_a_mark_is_warned_of(mark, caplog):
    labels = ["cat", mark, "dog", mark, "dog"]
    targets = read_classes(labels, 5, -1)
    assert targets.known.all()
    assert not caplog.text
    warn_of_marks(targets)
    assert f"2 samples have the class {mark!r}" in caplog.text
    assert f"unlabeled={mark!r}" in caplog.text
    caplog.clear()
    warn_of_marks(read_classes(labels, 5, mark))
    assert not caplog.text


def test_classes_are_numbered_in_their_order():
    targets = read_classes(torch.tensor([7, 3, -1, 5, 3]), 5, -1)
    assert targets.classes.tolist() == [3, 5, 7]
    assert targets.values.tolist() == [2, 0, 0, 1, 0]  # the unlabelled sample holds zero
    assert targets.known.tolist() == [True, True, False, True, True]


def test_numbers_are_kept_where_they_are_known():
    targets = read_numbers([2.5, None, math.nan, -1], 4)
    assert targets.values.tolist() == [2.5, 0.0, 0.0, -1.0]
    assert targets.known.tolist() == [True, False, False, True]


def test_indicators_are_kept_where_they_are_known():
    targets = read_indicators([[0, 1], [-1, -1], [math.nan, math.nan], [1, 1]], 4)
    assert targets.values.tolist() == [[0, 1], [0, 0], [0, 0], [1, 1]]
    assert targets.known.tolist() == [True, False, False, True]


def test_indicators_of_frames_and_sparse_matrices():
    frame = pd.DataFrame({"cat": [1, pd.NA], "dog": [0, pd.NA]}, dtype="Int64")
    targets = read_indicators(frame, 2)
    assert targets.known.tolist() == [True, False]
    assert targets.classes.tolist() == ["cat", "dog"]
    packed = read_indicators(sparse.csr_matrix([[0, 1], [1, 0]]), 2)
    assert packed.values.tolist() == [[0, 1], [1, 0]]
    assert packed.classes.tolist() == [0, 1]


def test_a_column_of_labels_is_read_and_warned_of():
    with pytest.warns(DataConversionWarning, match=r"pass y.ravel\(\)"):
        assert read_classes([[4], [2], [4]], 3, -1).values.tolist() == [1, 0, 1]
    with pytest.warns(DataConversionWarning, match=r"pass y.ravel\(\)"):
        assert read_numbers(np.array([[0.5], [1.5]]), 2).values.tolist() == [0.5, 1.5]


def as_classes(y, n):
    return read_classes(y, n, -1)


@pytest.mark.parametrize(
    ("read", "y", "message"),
    [
        (as_classes, None, "the target y is None: give the labels"),
        (as_classes, 3, "X has 2 samples and y has 0 labels; give every sample one"),
        (as_classes, [0, 1, 0], "X has 2 samples and y has 3 labels; give every sample one"),
        (as_classes, [[0, 1], [1, 0]], r"y has shape \(2, 2\): a classifier needs \(samples,\)"),
        (as_classes, [-1, -1], "no sample has a label: all 2 are marked as unlabelled"),
        (as_classes, [0.5, 1.5], "y holds the number 0.5, which is no class"),
        (as_classes, [math.inf, -math.inf], "y holds the number inf, which is no class"),
        (as_classes, ["a", 1], "y mixes int and str: give all labels the same type"),
        (as_classes, np.array(["a", 1], dtype=object), "y mixes int and str: give all labels the"),
        (read_numbers, [[1, 2], [3, 4]], r"y has shape \(2, 2\): a regressor needs"),
        (read_numbers, ["low", "high"], "y holds targets that are not numbers"),
        (read_numbers, [{}, {}], "y holds targets that are not numbers"),
        (read_numbers, [math.inf, math.inf], r"y is infinite \(inf\) in row 0"),
        (read_numbers, [None, math.nan], "no sample has a target: all 2 are NaN"),
        (read_numbers, [0.0, -math.inf], r"y is infinite \(inf\) in row 1: give a finite number"),
        (read_numbers, [1.0, -1e60], r"y holds the target 1e\+60, too large for float32: rescale"),
        (read_numbers, [1 + 1j, 2], "y holds complex targets, give real numbers"),
        (read_numbers, np.array(["2026-01-01", "2026-01-02"], "M8[D]"), "y holds dates as targets"),
        (read_indicators, [["a"], ["a", "b"]], "different lengths: .* MultiLabelBinarizer"),
        (read_indicators, [0, 1], r"y has shape \(2,\): a multilabel classifier needs"),
        (read_indicators, [[0], [1]], r"y has shape \(2, 1\): .* with at least two labels"),
        (read_indicators, [["a", "b"], ["b", "a"]], "y holds indicators that are not numbers"),
        (read_indicators, [[{}, {}], [{}, {}]], "y holds indicators that are not numbers"),
        (read_indicators, [[-1, -1], [-1, -1]], "no sample has labels: all 2 rows of y are -1"),
        (read_indicators, [[0, 1], [1, 2]], r"row 1 of y is \[1, 2\]: give 0 and 1, or -1"),
        (read_indicators, [[0, 1], [1, -1]], r"row 1 of y is \[1, -1\]: give 0 and 1, or -1"),
        (read_indicators, [[0, 2], [2, 1]], r"row 0 of y is \[0, 2\]: give 0 and 1, or -1"),
    ],
)
def test_labels_that_make_no_sense_are_named(read, y, message):
    with pytest.raises(ValueError, match=message):
        read(y, 2)


def test_missing_values_of_pandas_are_unlabelled_samples():
    texts = read_classes(pd.Series(["b", pd.NA, "a", None], dtype="object"), 4, -1)
    assert texts.known.tolist() == [True, False, True, False]
    assert texts.values.tolist() == [1, 0, 0, 0]


def test_masked_labels_are_unlabelled_samples():
    masked = np.ma.masked_array([4, 7, 7, 4], mask=[False, False, True, False])
    targets = read_classes(masked, 4, -1)
    assert targets.known.tolist() == [True, True, False, True]
    assert targets.classes.tolist() == [4, 7]
    assert read_numbers(masked, 4).known.tolist() == [True, True, False, True]


def test_a_positive_class_alone_reminds_of_the_mark():
    """-1 and 1 are two classes to their owner, and one class and a mark to us."""
    hint = "Where -1 is a class of yours, name another mark"
    with pytest.raises(ValueError, match=hint):
        read_classes([1, -1, 1], 3, -1)
    for labels, mark in (([2, 2], -1), ([1, 1], -2)):
        with pytest.raises(ValueError, match=r"a classifier needs at least two$"):
            read_classes(labels, 2, mark)
