"""Label splits, patterns, random missing: shares, minima, determinism, no test row anywhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core import datasets, protocol
from robult_core.datasets.container import MultimodalData
from robult_core.protocol import (
    label_fold,
    label_split,
    missing_by_label,
    missing_by_value,
    paper_patterns,
    pattern_modalities,
    pattern_name,
    patterns,
    random_missing,
    validation_split,
)
from robult_core.tasks import Classification, Multilabel, Regression


def make_data(task, targets, n_test: int = 5, n_valid: int = 3) -> MultimodalData:
    """Training rows carry `targets`; other rows lie between them, so positions are not rows."""
    n = len(targets)
    filler = targets[:1].expand(n_valid + n_test, *targets.shape[1:])
    order = torch.from_numpy(np.random.default_rng(0).permutation(n + n_valid + n_test))
    split = np.array(["train"] * n + ["valid"] * n_valid + ["test"] * n_test)[order]
    return MultimodalData(
        "toy",
        task,
        {"a": torch.arange(len(order))[:, None].float()},
        torch.cat([targets, filler])[order],
        split,
    )


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.floats(0.001, 0.999),
    st.integers(0, 10),
    st.sampled_from(["classification", "regression"]),
)
@settings(max_examples=80)
def test_shares_are_stratified_with_at_least_two_per_class(counts, fraction, seed, kind):
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n_classes = max(2, len(counts))
    task = Classification(n_classes) if kind == "classification" else Regression(bound=10.0)
    data = make_data(task, targets if kind == "classification" else targets.float() + 0.3)
    rows = label_split(data, fraction, seed)
    assert set(rows) <= set(data.rows("train"))
    assert (np.diff(rows) > 0).all()
    found = np.bincount(task.label_classes(data.targets[rows]).numpy(), minlength=len(counts))
    for count, total in zip(found, counts, strict=True):
        assert min(2, total) <= count <= total
        assert count == min(2, total) or abs(count - total * fraction) < 1
    assert len(rows) >= round(sum(counts) * fraction)
    if min(total * fraction for total in counts) >= 2:
        assert len(rows) == round(sum(counts) * fraction)


@pytest.fixture
def ten_classes() -> MultimodalData:
    return make_data(Classification(10), torch.arange(400) % 10)


def test_same_seed_same_rows(ten_classes):
    first, again, other = (label_split(ten_classes, 0.05, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert len(first) == 20


def test_labels_of_other_splits_are_not_read(ten_classes):
    targets = ten_classes.targets.clone()
    targets[torch.from_numpy(np.flatnonzero(ten_classes.split != "train"))] = 9
    changed = MultimodalData(
        "toy", ten_classes.task, ten_classes.modalities, targets, ten_classes.split
    )
    assert label_split(changed, 0.05, 0).tolist() == label_split(ten_classes, 0.05, 0).tolist()


def test_no_and_all_labels(ten_classes):
    assert label_split(ten_classes, 0, 0).tolist() == []
    assert label_split(ten_classes, 1, 0).tolist() == ten_classes.rows("train").tolist()


@pytest.mark.parametrize("fraction", [-0.01, 1.01, math.nan, math.inf])
def test_fraction_outside_is_named(ten_classes, fraction):
    with pytest.raises(ValueError, match=f"label fraction is {fraction}: it must lie between 0"):
        label_split(ten_classes, fraction, 0)


@given(st.floats(0.001, 0.999), st.integers(0, 5), st.integers(20, 80))
@settings(max_examples=25)
def test_multilabel_shows_every_label_twice(fraction, seed, size):
    targets = torch.from_numpy(
        (np.random.default_rng(seed).random((size, 4)) < [0.6, 0.3, 0.1, 0.02]).astype(int)
    )
    data = make_data(Multilabel(4), targets)
    rows = label_split(data, fraction, seed)
    assert set(rows) <= set(data.rows("train"))
    assert (np.diff(rows) > 0).all()
    seen, there = data.targets[rows].sum(0), data.targets[data.rows("train")].sum(0)
    assert (seen >= there.clamp(max=2)).all()
    assert rows.tolist() == label_split(data, fraction, seed).tolist()


def test_multilabel_share_is_close_to_the_one_asked_for():
    targets = torch.from_numpy(
        (np.random.default_rng(0).random((1000, 4)) < [0.6, 0.4, 0.3, 0.2]).astype(int)
    )
    rows = label_split(data := make_data(Multilabel(4), targets), 0.1, 0)
    assert abs(len(rows) - 100) <= 5
    shares = data.targets[rows].float().mean(0) - targets.float().mean(0)
    assert shares.abs().max() < 0.03


def test_five_percent_of_real_data(data_folder):
    """Two labels per action are more than 5 % (54 of 431); the others get their share."""
    expected = {"utd_mhad": 54, "handwritten": 80, "cub10": 21}
    for name, count in expected.items():
        data = datasets.load(name, data_folder)
        for seed in range(3):
            rows = label_split(data, 0.05, seed)
            assert len(rows) == count
            assert np.bincount(data.targets[rows].numpy()).min() >= 2
            assert set(rows) <= set(data.rows("train"))


def test_patterns():
    assert patterns(("a", "b")) == [("a",), ("b",), ("a", "b")]
    assert patterns(("a",)) == [("a",)]
    assert paper_patterns(("a",)) == [("a",)]
    assert paper_patterns(("a", "b", "c")) == [("a",), ("b",), ("c",), ("a", "b", "c")]
    assert pattern_name(("text", "audio")) == "text+audio"
    six = patterns(tuple("abcdef"))
    assert len(set(six)) == len(six) == 63
    assert [len(pattern) for pattern in six] == sorted(len(pattern) for pattern in six)
    assert six[-1] == tuple("abcdef")


@pytest.mark.parametrize("name", ["text", "text+audio", "a+b+c"])
def test_a_pattern_is_recovered_from_its_name(name):
    assert pattern_name(pattern_modalities(name)) == name


def test_names_and_patterns_are_inverse():
    for pattern in patterns(("text", "audio", "video")):
        assert pattern_modalities(pattern_name(pattern)) == pattern


@pytest.mark.parametrize("name", ["", "text+", "+audio", "text++audio"])
def test_a_name_with_an_empty_modality_is_refused(name):
    with pytest.raises(ValueError, match="has an empty modality: write it like 'text\\+audio'"):
        pattern_modalities(name)


def test_doubled_modalities_have_no_patterns():
    with pytest.raises(ValueError, match="holds a modality twice"):
        patterns(("a", "b", "a"))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_outside_are_refused(ten_classes, seed):
    for draw in (
        lambda: label_split(ten_classes, 0.05, seed),
        lambda: validation_split(ten_classes, seed),
        lambda: random_missing(5, 2, 0.5, seed),
    ):
        with pytest.raises(ValueError, match=f"seed is {seed}: it must be a whole number"):
            draw()


def test_a_share_of_no_training_rows_is_refused(ten_classes):
    nothing = replace(ten_classes, split=np.array(["test"] * len(ten_classes)))
    for draw in (label_split, validation_split):
        with pytest.raises(ValueError, match="'toy' has no training rows"):
            draw(nothing, seed=0, **({"fraction": 0.5} if draw is label_split else {}))


@pytest.mark.parametrize("seed", range(3))
def test_remainders_of_a_share_go_to_the_largest_ones(seed):
    """Of 10 %, classes of 30, 29 and 24 get 3, 2.9 and 2.4 rows: 8 in all, the last one only 2."""
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor([24, 30, 29]))
    data = make_data(Classification(3), targets)
    rows = label_split(data, 0.1, seed)
    assert np.bincount(data.targets[rows].numpy()).tolist() == [2, 3, 3]


def test_validation_rows_are_stratified():
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor([60, 30, 10]))
    cut = validation_split(make_data(Classification(3), targets), seed=0)
    assert np.bincount(cut.targets[cut.rows("test")].numpy()).tolist() == [18, 9, 3]


@given(st.integers(0, 50), st.integers(1, 5), st.floats(0, 1), st.integers(0, 2**31))
def test_every_sample_keeps_a_modality(n, n_modalities, rate, seed):
    present = random_missing(n, n_modalities, rate, seed)
    assert present.shape == (n_modalities, n)
    assert present.dtype == torch.bool
    assert present.any(0).all()
    assert torch.equal(present, random_missing(n, n_modalities, rate, seed))
    if rate == 0:
        assert present.all()
    if rate == 1:
        assert (present.sum(0) == 1).all()


def test_missing_rate_is_met_and_the_keeper_is_drawn_alike():
    present = random_missing(20000, 3, 0.3, 0)
    assert (present.float().mean(1) - (0.7 + 0.3**3 / 3)).abs().max() < 0.015
    assert (random_missing(20000, 3, 1.0, 0).float().mean(1) - 1 / 3).abs().max() < 0.015


def test_a_mask_that_no_memory_holds_is_refused():
    with pytest.raises(ValueError, match=f"a mask of 2 modalities by {10**12} samples is too larg"):
        random_missing(10**12, 2, 0.5, 0)
    with pytest.raises(ValueError, match=f"a mask of {10**12} modalities by 3 samples is too larg"):
        missing_by_label(np.arange(3), 10**12, 0.5, 0)
    protocol._check_mask(2**30, 1, 0.5)
    with pytest.raises(ValueError, match="draw at most 1073741824 cells at a time"):
        protocol._check_mask(2**29 + 1, 2, 0.5)


def test_a_negative_number_of_samples_is_refused():
    with pytest.raises(ValueError, match="n is -1"):
        random_missing(-1, 2, 0.5, 0)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_missing_rate_outside_is_named(rate):
    with pytest.raises(ValueError, match=f"missing rate is {rate}"):
        random_missing(5, 2, rate, 0)


@given(
    st.lists(st.integers(-3, 6), max_size=30), st.integers(1, 5), st.floats(0, 1), st.integers(0, 9)
)
@settings(max_examples=50)
def test_loss_by_label_spares_the_modality_of_the_class(classes, n_modalities, rate, seed):
    classes = np.array(classes, dtype=int)
    present = missing_by_label(classes, n_modalities, rate, seed)
    assert present.shape == (n_modalities, len(classes))
    for sample, label in enumerate(classes):
        assert present[label % n_modalities, sample]
    assert torch.equal(present, missing_by_label(classes, n_modalities, rate, seed))


def test_loss_by_label_takes_the_others_at_the_rate():
    classes = np.arange(30000) % 3
    present = missing_by_label(classes, 3, 0.3, 0).numpy()
    others = np.arange(3)[:, None] != classes
    assert (1 - present)[others].mean() == pytest.approx(0.3, abs=0.01)
    alone = missing_by_label(classes, 3, 1.0, 0).numpy()
    assert (alone == ~others).all()


def test_loss_by_value_takes_the_most_extreme_readings():
    size = np.array([[1.0, 2.0, 3.0, 4.0], [9.0, 8.0, 7.0, 6.0]])
    present = missing_by_value(size, 0.5)
    assert present.tolist() == [[True, True, False, False], [False, False, True, True]]
    assert missing_by_value(size, 0.0).all()
    # all would be lost: each keeps the modality in which it stands lowest
    assert missing_by_value(size, 1.0).tolist() == [
        [True, True, False, False],
        [False, False, True, True],
    ]
    low = np.array([[1.0, 2.0], [5.0, 4.0]])
    assert missing_by_value(low, 1.0).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("rate", [-0.1, 1.5, math.nan])
def test_loss_that_is_not_at_random_refuses_a_rate_that_is_none(rate):
    with pytest.raises(ValueError, match="missing rate is"):
        missing_by_label(np.zeros(4, dtype=int), 2, rate, 0)
    with pytest.raises(ValueError, match="missing rate is"):
        missing_by_value(np.ones((2, 4)), rate)


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (Classification(3), torch.arange(60) % 3),
        (
            Classification(3),
            torch.tensor([0] * 30 + [1] * 29 + [2]),
        ),  # a class of one: no stratified cut exists
        (Regression(), torch.linspace(-3, 3, 60)),
        (Multilabel(2), torch.randint(2, (60, 2), generator=torch.Generator().manual_seed(0))),
    ],
)
def test_validation_split_never_holds_test_rows(task, targets):
    data = make_data(task, targets)
    cut = validation_split(data, seed=0)
    assert len(cut) == 60
    assert (
        sorted(cut.modalities["a"][:, 0].tolist()) == data.rows("train").tolist()
    )  # the feature is the row's number
    assert len(cut.rows("test")) == 18
    assert len(cut.rows("train")) == 42
    numbers = cut.modalities["a"][:, 0].long()
    assert torch.equal(cut.targets, data.targets[numbers])
    assert (
        validation_split(data, 0).split.tolist()
        == cut.split.tolist()
        != validation_split(data, 1).split.tolist()
    )


@pytest.mark.parametrize("share", [0, 1, 0.0])
def test_a_validation_split_has_two_sides(ten_classes, share):
    with pytest.raises(ValueError, match=f"share is {share}: it must lie strictly between 0 and 1"):
        validation_split(ten_classes, 0, share)


def test_data_without_a_known_training_label():
    data = make_data(Classification(2), torch.arange(20) % 2)
    unknown = replace(data, known=torch.from_numpy(data.split != "train"))
    assert not len(label_split(unknown, 0.5, 0))
    with pytest.raises(ValueError, match="'toy' has 0 labelled training rows: a validation split"):
        validation_split(unknown, 0)


def test_a_validation_split_of_few_rows_of_many_classes():
    data = make_data(Classification(10), torch.arange(20) % 10)
    assert len(validation_split(data, 0).rows("test")) == 6


def test_validation_split_carries_presence():
    data = make_data(Classification(2), torch.arange(40) % 2)
    present = torch.arange(48)[None] % 3 > 0
    masked = MultimodalData(
        "toy", data.task, data.modalities, data.targets, data.split, present=present
    )
    cut = validation_split(masked, 0)
    assert torch.equal(cut.present[0], cut.modalities["a"][:, 0].long() % 3 > 0)


# --- folds of the labelled rows -------------------------------------------------------------------


def test_folds_share_out_the_labelled_rows_and_every_class_evenly():
    data = make_data(Classification(3), torch.arange(60) % 3)
    labeled = label_split(data, 0.3, seed=0)
    held_out = []
    for fold in range(3):
        cut, kept = label_fold(data, labeled, fold, seed=0)
        numbers = cut.modalities["a"][:, 0].long().numpy()  # the feature is the row's number
        assert sorted(numbers) == data.rows("train").tolist()
        scored = numbers[cut.rows("test")]
        assert sorted([*scored, *numbers[kept]]) == labeled.tolist()
        assert set(numbers[kept]) <= set(numbers[cut.rows("train")])
        per_class = torch.bincount(cut.targets[cut.rows("test")], minlength=3)
        assert per_class.max() - per_class.min() <= 1
        assert torch.equal(cut.targets, data.targets[numbers])
        held_out += scored.tolist()
    assert sorted(held_out) == labeled.tolist()


def test_another_seed_cuts_other_folds():
    data = make_data(Classification(3), torch.arange(60) % 3)
    labeled = label_split(data, 0.3, seed=0)
    first, second = (label_fold(data, labeled, 0, seed)[1].tolist() for seed in (0, 1))
    assert first != second


def test_no_fourth_fold_and_no_folds_of_two_rows():
    data = make_data(Classification(3), torch.arange(60) % 3)
    labeled = label_split(data, 0.3, seed=0)
    for fold in (3, -1, True):
        with pytest.raises(ValueError, match=f"fold is {fold}: choose 0, 1 or 2"):
            label_fold(data, labeled, fold, seed=0)
    assert len(label_fold(data, labeled[:3], 2, seed=0)[1]) == 2
    with pytest.raises(ValueError, match="2 labelled rows do not make 3 folds"):
        label_fold(data, labeled[:2], 0, seed=0)


def test_two_labelled_rows_can_be_cut_and_one_cannot():
    data = make_data(Classification(2), torch.arange(20) % 2)
    train = data.rows("train")
    for count in (1, 2):
        known = torch.zeros(len(data), dtype=torch.bool)
        known[train[:count]] = True
        few = replace(data, known=known)
        if count == 1:
            with pytest.raises(ValueError, match="has 1 labelled training rows"):
                validation_split(few, 0, 0.5)
            continue
        cut = validation_split(few, 0, 0.5)
        assert cut.known.sum() == 2
        assert cut.labeled_rows("test").tolist() == cut.rows("test").tolist()
        assert len(cut.rows("test")) == 1


def test_nearly_all_rows_of_several_labels_may_be_seen():
    targets = torch.from_numpy((np.random.default_rng(0).random((20, 2)) < 0.5).astype(int))
    assert len(label_split(make_data(Multilabel(2), targets), 0.999, 0)) >= 19


def test_a_seed_draws_the_same_rows_for_ever():
    """Stored runs are found again by their seed, so what a seed draws must never change."""
    data = make_data(Classification(3), torch.arange(30) % 3)
    assert label_split(data, 0.2, 7).tolist() == [0, 9, 11, 21, 24, 27]
    cut = validation_split(data, 7)
    numbers = cut.modalities["a"][:, 0].long().numpy()
    assert numbers[cut.rows("test")].tolist() == [1, 10, 13, 14, 16, 19, 23, 25, 29]
    assert label_fold(data, data.rows("train")[:9], 1, 7)[1].tolist() == [0, 1, 3, 4, 7, 8]
    targets = torch.from_numpy((np.random.default_rng(0).random((30, 3)) < 0.4).astype(int))
    assert label_split(make_data(Multilabel(3), targets), 0.1, 7).tolist() == [4, 9, 17, 22, 32]
    assert random_missing(6, 2, 0.7, 7).int().tolist() == [[0, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    assert missing_by_label(np.arange(6), 2, 0.7, 7).int().tolist() == [
        [1, 1, 1, 0, 1, 1],
        [0, 1, 1, 1, 0, 1],
    ]
