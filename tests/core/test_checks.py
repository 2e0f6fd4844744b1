"""What is refused before any work starts, in one sentence with the value and the remedy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from robult_core.checks import (
    check_count,
    check_kind,
    check_labeled_rows,
    check_modality_name,
    check_pattern,
    check_presence,
    check_rows,
    check_seed,
    check_share,
    check_weights,
    checked_device,
    stratification,
    training_rows,
)
from robult_core.datasets.container import MultimodalData
from robult_core.tasks import Classification

NAMES = ("text", "audio", "video")


def make_data(split: list[str], known: list[bool] | None = None) -> MultimodalData:
    n = len(split)
    return MultimodalData(
        "toy",
        Classification(2),
        {"a": torch.zeros(n, 2)},
        torch.zeros(n, dtype=torch.long),
        np.array(split),
        known=None if known is None else torch.tensor(known),
    )


DATA = make_data(["train", "valid", "train", "test", "train", "valid"])


@pytest.mark.parametrize(
    "value", [-0.01, 1.01, math.nan, math.inf, None, "0.05", [0.1], True, np.False_]
)
def test_a_share_is_a_number_between_0_and_1(value):
    with pytest.raises(ValueError, match=r"label fraction is .*: it must lie between 0 and 1"):
        check_share("label fraction", value)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.25)])
def test_good_shares_pass(value):
    check_share("label fraction", value)


@pytest.mark.parametrize("seed", [None, -1, 0.5, 2.0, "3", 2**32, True, False, np.True_])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match=r"seed is .*: it must be a whole number between 0 and"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [0, 7, np.int64(3), 2**32 - 1])
def test_good_seeds_pass(seed):
    check_seed(seed)


@pytest.mark.parametrize("value", [None, 0, 1.5, 2.0, "3", True, np.True_])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(ValueError, match=r"^steps is .*: it must be a whole number of at least 1"):
        check_count("steps", value)


def test_good_counts_pass():
    check_count("steps", np.int32(1))
    check_count("layers", 0, least=0)


def test_another_order_is_the_same_pattern():
    assert check_pattern(("video", "text"), NAMES) == ("text", "video")
    assert check_pattern(["audio"], NAMES) == ("audio",)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ((), "the pattern is empty: choose from text, audio, video"),
        (("text", "smell"), "holds 'smell': choose from text, audio, video"),
        (("text", "audio", "text"), "holds a modality twice: name each once"),
        ("text", "'text' is a text: pass a tuple, as in"),
    ],
)
def test_patterns_that_make_no_sense_are_named(pattern, message):
    with pytest.raises(ValueError, match=message):
        check_pattern(pattern, NAMES)


@pytest.mark.parametrize("rows", [[0, 3, 1], (0, 3, 1), np.array([0, 3, 1], dtype=np.int32)])
def test_rows_may_be_lists_and_arrays_of_integers(rows):
    indices = check_rows(rows, DATA)
    assert indices.dtype == np.int64
    assert indices.tolist() == [0, 3, 1]


def test_no_rows_are_rows():
    assert check_rows([], DATA).dtype == np.int64


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([True, False, True, False, True]), "rows are a boolean mask: pass indices"),
        ([-1], "row -1 is not in 'toy': choose from 0 to 5"),
        ([0, 6, 9], "row 6 is not in 'toy': choose from 0 to 5"),
        (np.array([0.0, 1.0]), "type float64: pass a list of integers"),
        (np.zeros((2, 1), dtype=int), r"shape \(2, 1\)"),
    ],
)
def test_rows_that_make_no_sense_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        check_rows(rows, DATA)


def test_labelled_rows_are_sorted():
    assert check_labeled_rows([4, 0], DATA).tolist() == [0, 4]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 3], "labelled row 3 of 'toy' is a test row: labels may only be taken from its train"),
        ([1], "labelled row 1 of 'toy' is a valid row"),
        ([3, 5, 1], "labelled row 1 of 'toy' is a valid row"),
        ([0, 2, 2, 0], "row 0 is named twice among the labelled rows: name each once"),
        (DATA.split == "train", "boolean mask"),
    ],
)
def test_labels_of_other_rows_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        check_labeled_rows(rows, DATA)


def test_a_row_whose_label_nobody_knows_is_no_labelled_row():
    data = make_data(["train", "train", "test", "train"], known=[True, False, True, False])
    assert check_labeled_rows([0], data).tolist() == [0]
    with pytest.raises(ValueError, match="labelled row 1 of 'toy' has no known label"):
        check_labeled_rows([0, 3, 1], data)


def test_data_without_training_rows_is_refused():
    assert training_rows(DATA).tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="'toy' has no training rows: mark some as 'train'"):
        training_rows(make_data(["test", "valid"]))


def test_a_sample_without_any_modality_is_named():
    present = torch.tensor([[True, False, False], [False, False, False]])
    check_presence(present[:, [0]], np.array([10]))
    with pytest.raises(ValueError, match="sample 20 has no modality left: every sample needs"):
        check_presence(present, np.array([10, 20, 30]))


LABELED = np.array([0, 2])


@pytest.mark.parametrize(
    ("weights", "expected"), [([1, math.nan, 0], [1, math.nan, 0]), (2.0, [2, 2, 2])]
)
def test_weights_of_unlabelled_samples_do_not_matter(weights, expected):
    checked = check_weights(weights, LABELED, 3)
    np.testing.assert_array_equal(checked, np.float32(expected))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1], r"shape \(2,\): give \(3,\)"),
        ([1, 1, -1], r"sample 2 is -1.0: give a finite number of at least 0"),
        ([-1, 1, -2], r"sample 0 is -1.0"),
        ([math.inf, 1, 1], r"sample 0 is inf"),
        ([0, 1, 0], r"weights of all 2 labelled samples are zero"),
        (["a", "b", "c"], r"weights are not numbers"),
        ([{}, {}, {}], r"weights are not numbers"),
    ],
)
def test_wrong_weights_are_named(weights, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weights, LABELED, 3)


def test_without_labelled_samples_weights_of_zero_pass():
    assert check_weights([0, 0, 0], LABELED[:0], 3).tolist() == [0, 0, 0]


def test_a_value_of_another_kind_is_named():
    check_kind("data", DATA, MultimodalData)
    with pytest.raises(ValueError, match="data is None: give a MultimodalData"):
        check_kind("data", None, MultimodalData)
    with pytest.raises(ValueError, match="data is a dict: give a MultimodalData"):
        check_kind("data", {}, MultimodalData)


@pytest.mark.parametrize("name", ["", "a+b", 1, None])
def test_what_cannot_name_a_modality_is_named(name):
    check_modality_name("text", "X")
    with pytest.raises(ValueError, match="cannot name a modality of X: give a text"):
        check_modality_name(name, "X")


@pytest.mark.parametrize(
    ("cuda", "mps", "auto"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_best_device_there_is(monkeypatch, cuda, mps, auto):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert checked_device("auto") == auto
    assert checked_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="device is 'tpu': choose auto, cpu, cuda or mps"):
        checked_device("tpu")
    if not cuda:
        with pytest.raises(ValueError, match="device is 'cuda', which this machine lacks"):
            checked_device("cuda")


@pytest.mark.parametrize(
    ("counts", "share", "possible"),
    [
        ((3, 3), 0.3, True),  # 1.8 rows are 2
        ((3, 3), 0.2, True),  # 1.2 rows are 2 as well
        ((3, 3), 0.16, False),  # one row cannot show two classes
        ((3, 3), 0.6, True),  # 2 rows are left to train on
        ((3, 3), 0.7, False),  # and here one
        ((2, 4), 0.5, True),
        ((1, 5), 0.5, False),  # a class of one row
        ((2,) * 10, 0.3, False),  # 6 rows cannot show ten classes
    ],
)
def test_a_cut_is_stratified_where_each_side_can_show_every_class(counts, share, possible):
    classes = np.repeat(np.arange(len(counts)), counts)
    strata = stratification(classes, share)
    assert strata is classes if possible else strata is None
