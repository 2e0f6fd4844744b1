"""The tables of notebook 02 on built-in data and on rows whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from robult_core.datasets import MultimodalData, load
from robult_core.tasks import Multilabel, Regression
from robult_study.results import overview


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def made(task, targets) -> MultimodalData:
    split = np.repeat(["train", "test"], [len(targets) - 4, 4])
    return MultimodalData("made", task, {"a": torch.ones(len(targets), 2)}, targets, split)


def test_one_row_per_set(digits):
    table = overview.overview({"digits": digits}, 0.05, 0)
    row = table.iloc[0]
    assert row["train"] + row["valid"] + row["test"] == len(digits)
    assert row["labels a run sees"] == 63
    assert "top_left (16)" in row["modalities"]


def test_counts_add_up_to_the_rows_and_the_labels(digits):
    counts = overview.label_counts({"digits": digits}, 0.05, 0)
    assert counts["rows"].sum() == len(digits.rows("train"))
    assert counts["labelled"].sum() == 63
    assert counts["class"].tolist() == list(range(10))
    totals = f"digits 63 of {len(digits.rows('train'))}"
    assert overview.totals_sentence(counts) == f"Labels seen: {totals}"
    first, second = overview.label_sentences(counts)
    assert first == f"Fewest labels of a class: digits {counts['labelled'].min()}."
    assert second.endswith("minimum of two: none.")


def test_labels_of_multilabel_data_are_counted_one_by_one():
    targets = torch.tensor([[1, 0], [1, 1], [0, 1], [1, 0]] * 5)
    counts = overview.label_counts({"made": made(Multilabel(2), targets)}, 1.0, 0)
    assert counts["rows"].tolist() == [12, 8]
    assert counts["labelled"].tolist() == [12, 8]


def test_a_seed_draws_the_same_rows(digits):
    same, other = overview.draw_sentences(digits, 0.05, 0)
    assert same.endswith("True.")
    assert "of 63 rows with it, chance would give 3." in other


def test_the_constant_guess(digits):
    test = digits.targets[digits.rows("test")].numpy()
    expected = np.bincount(test).max() / len(test)
    assert overview.constant_guess(digits) == pytest.approx(expected)
    scores = torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0, 1.0, 4.0])
    assert overview.constant_guess(made(Regression(), scores)) == pytest.approx(1.0)
    labels = torch.tensor([[1, 0]] * 6)
    assert np.isnan(overview.constant_guess(made(Multilabel(2), labels)))


def test_what_does_not_beat_the_guess_is_named(digits):
    rows = []
    for seed in range(3):
        for pattern, value in (("top_left", 0.5), ("top_right", 0.1), ("unknown", 0.9)):
            rows.append(("digits", seed, "accuracy", pattern, value + 0.01 * seed))
    results = pd.DataFrame(rows, columns=["data_set", "seed", "metric", "pattern", "value"])
    table = overview.yardstick(results, {"digits": digits})
    assert table["pattern"].tolist() == ["top_left", "top_right"]
    assert table["mean"].tolist() == pytest.approx([0.51, 0.11])
    words = overview.weak_sentence(table)
    assert words == "Rows not shown to beat the constant guess: digits top_right."
