"""What notebook 06 finds in models, on models small enough to work it out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robult_core.datasets import load
from robult_core.evaluation import predict
from robult_core.methods import make_method
from robult_core.protocol import label_split
from robult_study.results import geometry, latents, one_batch, reconstruction


@pytest.fixture(scope="module")
def digits():
    return load("digits").standardized()


@pytest.fixture(scope="module")
def labeled(digits):
    return label_split(digits, 0.05, 0)


@pytest.fixture(scope="module")
def model(digits):
    model = one_batch.untrained(digits, 0)
    model.saw_labels = True  # so that its guesses can be looked at
    return model


def test_an_untrained_model_depends_on_the_seed_alone(digits):
    first, again, other = (one_batch.untrained(digits, seed) for seed in (0, 0, 1))
    state, same = first.state_dict(), again.state_dict()
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert any(not torch.equal(state[name], other.state_dict()[name]) for name in state)


def test_reconstruction_reaches_g_and_r_only(digits, labeled):
    batch = reconstruction.mixed_batch(digits, labeled)
    table = one_batch.routes(one_batch.untrained(digits, 0), batch)
    reached = table.index[table["reconstruction"] > 0]
    assert set(reached) == {"g", "r"}
    assert table.loc["f", "supervised_unimodal"] > 0


def test_a_linear_map_of_full_width_copies_h(digits, model):
    torch.manual_seed(0)
    narrow = make_method("robult", digits.task, digits.shapes, bottleneck=2)
    table = reconstruction.copies({"full": model, "narrow": narrow}, digits)
    assert table.index.name == "model"
    assert (table.loc["full"] > 0.99).all()
    assert (table.loc["narrow"] < 0.9).all()


def test_one_modality_is_the_mean_over_modalities_errors_negated(digits, model):
    rows = digits.rows("test")[:50]
    targets = digits.targets[rows].numpy()
    accuracies = []
    for name in digits.names:
        guessed = predict(model, digits, rows, (name,)).argmax(1)
        accuracies.append((guessed == targets).mean())
    found = reconstruction.one_modality(model, digits, rows)
    assert found == pytest.approx(np.mean(accuracies))


def test_an_error_is_negated(data_folder):
    mosi = load("mosi").standardized()
    model = one_batch.untrained(mosi, 0)
    model.saw_labels = True
    assert reconstruction.one_modality(model, mosi, mosi.rows("test")[:20]) < 0


def test_collapse_looks_at_three_groups_of_rows(digits, labeled, model):
    table = reconstruction.collapse({"model": model}, digits, labeled)
    columns = ["labelled rows", "test rows", "other training rows", reconstruction.COSINE]
    assert list(table.columns) == columns
    row = table.loc["model"]
    unlabeled = np.setdiff1d(digits.rows("train"), labeled)
    assert row["labelled rows"] == reconstruction.one_modality(model, digits, labeled)
    assert row["other training rows"] == reconstruction.one_modality(model, digits, unlabeled)
    held = latents.collect(model, digits, digits.rows("test"))
    cosines = [geometry.mean_cosine(held[f"z/{name}"]) for name in digits.names]
    assert row[reconstruction.COSINE] == pytest.approx(np.mean(cosines))
