"""The weights of Eq. 5 pair by pair, against a loop and against weights whose worth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from robult_core.datasets import load
from robult_core.losses import rbf_weights
from robult_core.methods import make_method
from robult_core.protocol import label_split
from robult_study.results import pairs

SIZE = 9


@pytest.fixture
def view() -> dict[str, Tensor]:
    """Two modalities, three classes, the first four samples labelled."""
    generator = torch.Generator().manual_seed(0)
    return {
        "s": torch.randn(SIZE, 5, generator=generator),
        "z": torch.randn(2, SIZE, 5, generator=generator),
        "classes": torch.arange(SIZE) % 3,
        "labeled": torch.arange(SIZE) < 4,
        "confidence": torch.linspace(0.2, 1, SIZE),
    }


@pytest.fixture
def truth(view) -> Tensor:
    """The class of every labelled and of every other unlabelled sample is right."""
    right = view["labeled"] | (torch.arange(SIZE) % 2 == 0)
    return torch.where(right, view["classes"], (view["classes"] + 1) % 3)


def test_pairs_equal_a_loop(view, truth):
    frame = pairs.pair_frame(view, truth, temperature=0.5)
    arguments = [view[name] for name in ("s", "z", "classes", "labeled")]
    weights = rbf_weights(*arguments, temperature=0.5)
    expected = []
    for m in range(2):
        for j in range(SIZE):
            for k in range(SIZE):
                both_labeled = bool(view["labeled"][j] and view["labeled"][k])
                same_class = bool(view["classes"][j] == view["classes"][k])
                if j != k and same_class and not both_labeled:
                    confidence = float(view["confidence"][j] * view["confidence"][k])
                    cosine = torch.cosine_similarity(view["s"][j], view["z"][m, k], dim=0).item()
                    true = bool(truth[j] == truth[k])
                    labeled = bool(view["labeled"][j])
                    row = (m, j, k, labeled, true, confidence, cosine, float(weights[m, j, k]))
                    expected.append(row)
    columns = ["modality", "anchor", "partner", "labelled anchor", "true", "confidence", "cosine"]
    found = frame[[*columns, pairs.RBF]]
    wanted = pd.DataFrame(expected, columns=found.columns)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    assert (frame[pairs.UNWEIGHTED] == 1).all()


@pytest.mark.parametrize("name", pairs.WEIGHTS)
def test_each_way_to_weigh_has_its_own_options(view, truth, name):
    frame = pairs.pair_frame(view, truth, temperature=0.5)
    others = [other for other in pairs.WEIGHTS if other != name]
    assert all(not np.allclose(frame[name], frame[other]) for other in others)


@pytest.fixture
def judged_pairs() -> pd.DataFrame:
    """Three true pairs and a false one; RBF knows it all, other weights know nothing."""
    true = np.array([True, True, True, False])
    columns = {name: np.ones(4) for name in (*pairs.WEIGHTS, *pairs.RIVALS)}
    frame = pd.DataFrame(columns).assign(true=true)
    frame[pairs.RBF] = true.astype(float)
    # one of the true pairs lies below the false one
    return frame.assign(cosine=[0.9, 0.1, 0.8, 0.5], confidence=[0.96, 0.8, 0.6, 0.92])


def values_of(frame: pd.DataFrame) -> pd.Series:
    return pairs.judge(frame).set_index(["weight", "measure"])["value"]


def test_perfect_and_useless_detectors(judged_pairs):
    value = values_of(judged_pairs)
    assert value[pairs.RBF, "AUROC"] == 1
    assert value[pairs.RBF, "average precision"] == 1
    assert value[pairs.UNWEIGHTED, "AUROC"] == 0.5
    assert value[pairs.UNWEIGHTED, "average precision"] == 0.25
    assert value["cosine", "AUROC"] == pytest.approx(2 / 3)


def test_what_a_weight_keeps_and_how_true_that_is(judged_pairs):
    value = values_of(judged_pairs)
    assert (value[pairs.RBF, "precision"], value[pairs.RBF, "kept"]) == (1, 0.75)
    assert (value[pairs.UNWEIGHTED, "precision"], value[pairs.UNWEIGHTED, "kept"]) == (0.75, 1)
    assert value["confidence > 0.7", "kept"] == 0.75
    assert value["confidence > 0.7", "precision"] == pytest.approx(2 / 3)
    assert value["confidence > 0.95", "kept"] == 0.25
    assert value["confidence > 0.95", "precision"] == 1
    # as many as the RBF weights add up to: the three most confident
    assert value[pairs.SAME_SHARE, "kept"] == 0.75
    assert value[pairs.SAME_SHARE, "precision"] == pytest.approx(2 / 3)


def test_pairs_of_one_kind_cannot_be_detected(judged_pairs):
    value = values_of(judged_pairs[judged_pairs["true"]])
    assert np.isnan(value[pairs.RBF, "AUROC"])
    assert value[pairs.UNWEIGHTED, "precision"] == 1


def test_no_pairs_keep_nothing(judged_pairs):
    value = values_of(judged_pairs.iloc[:0].astype({"true": bool}))
    assert value.isna().all()
    assert (pairs.SAME_SHARE, "kept") not in value


def test_a_threshold_that_keeps_nothing_has_no_precision(judged_pairs):
    value = values_of(judged_pairs.assign(confidence=0.1))
    assert np.isnan(value["confidence > 0.7", "precision"])
    assert value["confidence > 0.7", "kept"] == 0


# The view of a real model ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return load("digits").standardized()


@pytest.fixture(scope="module")
def model(digits):
    """An untrained model whose residual layers no longer start at 0, so that dropout shows."""
    torch.manual_seed(0)
    made = make_method("robult", digits.task, digits.shapes, width=16)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


def test_a_view_keeps_given_labels_and_repeats(digits, model):
    labeled = label_split(digits, 0.05, 0)
    ((batch, truth),) = pairs.inspection_batches(digits, labeled, seed=0)
    view = pairs.contrastive_view(model, batch, seed=1)
    again = pairs.contrastive_view(model, batch, seed=1)
    other = pairs.contrastive_view(model, batch, seed=2)
    assert batch.labeled.sum() >= 8
    assert torch.equal(view["classes"][batch.labeled], truth[batch.labeled])
    assert (view["confidence"][batch.labeled] == 1).all()
    assert (view["confidence"][~batch.labeled] < 1).all()
    assert view["z"].shape == (4, *view["s"].shape)
    assert all(torch.equal(view[name], again[name]) for name in view)
    assert not torch.equal(view["s"], other["s"])  # dropout is on
    assert not model.training


def test_batches_are_those_of_training(digits):
    labeled = label_split(digits, 0.05, 0)
    several = pairs.inspection_batches(digits, labeled, seed=0, count=3)
    assert len(several) == 3
    batch, truth = several[0]
    assert len(truth) == len(batch.targets) == 64 + 8
    assert torch.equal(truth[batch.labeled], batch.targets[batch.labeled])
    assert not torch.equal(truth, batch.targets)  # hidden labels are blanked in the batch
