"""Encoders of the user inside a method: which fit, and what is said of the others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robult_core.own_encoders import check_modules, make_method_with
from robult_core.tasks import Classification

SHAPES = {"text": (6,), "audio": (4,)}


def made(encoders, method="robult", **settings):
    return make_method_with(encoders, method, Classification(3), SHAPES, settings)


@pytest.mark.parametrize("method", ["robult", "robult_distilled", "action_mae", "prompt_trans"])
def test_a_copy_of_the_encoder_is_in_the_method(method):
    encoder = nn.Linear(6, 8)
    before = encoder.weight.detach().clone()
    model = made({"text": encoder}, method, width=8)
    own = [module for module in model.modules() if getattr(module, "weight", None) is not None]
    same = [module for module in own if module.weight.shape == before.shape]
    assert any(torch.equal(module.weight, before) for module in same)
    assert all(module is not encoder for module in own)
    assert model.predict({"text": torch.zeros(5, 6)}).shape == (5, 3)


def test_without_encoders_the_settings_stay_as_they_are():
    assert made({}, width=8, fusion="inputs").config.fusion == "inputs"
    assert made({}, width=8).config.fusion == "inputs"
    assert made({"text": nn.Linear(6, 8)}, width=8).config.fusion == "latents"
    assert made({}, "gmc", width=8).predict({"audio": torch.zeros(2, 4)}).shape == (2, 3)


@pytest.mark.parametrize(
    ("method", "settings"),
    [("gmc", {}), ("unimodal", {}), ("robult", {"fusion": "inputs"})],
)
def test_a_method_with_a_joint_network_is_refused(method, settings):
    with pytest.raises(ValueError, match="choose robult, robult_distilled, action_mae or") as error:
        made({"text": nn.Linear(6, 8)}, method, width=8, **settings)
    assert f"method '{method}' needs a joint network" in str(error.value)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="unknown method 'magic'"):
        made({"text": nn.Linear(6, 8)}, "magic")


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (nn.Linear(6, 4), r"gives shape \(2, 4\) for 2 samples, expected \(2, 8\): end it in"),
        (nn.Linear(7, 8), r"fails on float32 samples of shape \(6,\): mat1 and mat2"),
        (nn.GRU(6, 8), r"gives shape \(\) for 2 samples"),  # a pair, no tensor
    ],
)
def test_an_encoder_that_does_not_fit_is_one_clear_sentence(encoder, message):
    with pytest.raises(ValueError, match=f"the encoder of 'text' {message}") as error:
        made({"text": encoder}, width=8)
    assert "\n" not in str(error.value)


def test_an_encoder_is_tried_as_it_predicts():
    """Batch normalisation of two equal samples would be refused or moved in training mode."""
    encoder = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 8))
    made({"text": encoder}, width=8)
    assert encoder[0].num_batches_tracked == 0
    assert encoder.training


def test_what_cannot_be_an_encoder_is_named():
    with pytest.raises(ValueError, match=r"the encoder of .text. is a int: give an nn\.Module"):
        check_modules({"text": 5})
    check_modules({"text": nn.Identity()})
    with pytest.raises(ValueError, match="the modality 'video', which X lacks: it has text, audio"):
        made({"video": nn.Linear(6, 8), "touch": nn.Linear(6, 8)})
