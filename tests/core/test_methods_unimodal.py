"""Unimodal: its models share nothing, and its full row is filled in one of two ways."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from robult_core.method import Batch
from robult_core.methods.unimodal import Unimodal, UnimodalConfig
from robult_core.tasks import Classification

SPECS = {"text": (6,), "audio": (4,), "image": (5,)}


def make(**hyper):
    torch.manual_seed(0)
    return Unimodal(Classification(3), SPECS, UnimodalConfig(width=16, **hyper)).eval()


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(8, *shape, generator=generator) for name, shape in SPECS.items()}


def test_models_are_independent(inputs):
    for x in inputs.values():
        x.requires_grad_()
    batch = Batch(inputs, torch.arange(8) % 3, torch.arange(8) % 2 == 0)
    make().loss_terms(batch)["supervised/audio"].backward()
    assert inputs["audio"].grad is not None
    assert not inputs["text"].grad.any()
    assert not inputs["image"].grad.any()


def test_each_model_learns_from_the_labelled_rows_it_has(inputs):
    labeled = torch.tensor([True, True, True, False, False, False, False, False])
    present = torch.ones(3, 8).bool()
    present[1, 0] = False  # row 0 lacks audio
    inputs["audio"].requires_grad_()
    method = make()
    terms = method.loss_terms(Batch(inputs, torch.arange(8) % 3, labeled, present))
    terms["supervised/audio"].backward()
    reached = inputs["audio"].grad.abs().sum(1) > 0
    assert reached.tolist() == [False, True, True, False, False, False, False, False]
    logits = method._joint_logits({name: x[1:3] for name, x in inputs.items()})
    wanted = method.task.supervised_loss(logits, torch.tensor([1, 2]), torch.ones(2).bool())
    torch.testing.assert_close(terms["supervised/joint"], wanted)


def test_either_reading_of_the_full_row_is_the_variant_of_the_other(inputs):
    joint, late = make(), make(full="late_fusion")
    torch.testing.assert_close(joint.predict_variants(inputs)["late_fusion"], late.predict(inputs))
    torch.testing.assert_close(late.predict_variants(inputs)["joint"], joint.predict(inputs))
    assert (joint.predict(inputs) - late.predict(inputs)).abs().max() > 1e-3


def test_subsets_are_the_mean_of_unimodal_logits(inputs):
    method = make()
    alone = {name: method.predict({name: x}).log() for name, x in inputs.items()}
    pair = {name: inputs[name] for name in ("image", "text")}
    mean = ((alone["text"] + alone["image"]) / 2).softmax(-1)
    torch.testing.assert_close(method.predict(pair), mean)
    assert method.predict_variants(pair) == {}
    everything = torch.stack(list(alone.values())).mean(0).softmax(-1)
    torch.testing.assert_close(make(full="late_fusion").predict(inputs), everything)


def test_a_single_modality_has_no_full_row():
    method = Unimodal(Classification(3), {"only": (4,)}, UnimodalConfig(width=16)).eval()
    x = {"only": torch.randn(2, 4)}
    wanted = method.task.scores(method._unimodal_logits("only", x))
    torch.testing.assert_close(method.predict(x), wanted)
    assert method.predict_variants(x) == {}


def test_two_modalities_have_a_full_row():
    method = Unimodal(Classification(3), {"a": (4,), "b": (4,)}, UnimodalConfig(width=16)).eval()
    x = {"a": torch.randn(2, 4), "b": torch.randn(2, 4)}
    assert list(method.predict_variants(x)) == ["late_fusion"]
    torch.testing.assert_close(method.predict(x), method._joint_scores(x))


def test_the_settings_of_the_tables():
    assert Unimodal.takes_joint
    assert asdict(UnimodalConfig()) == {"width": 128, "dropout": 0.55, "full": "joint"}


def test_inputs_of_zeros_give_finite_scores(inputs):
    zeros = {name: torch.zeros_like(x) for name, x in inputs.items()}
    assert torch.isfinite(make().predict(zeros)).all()


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"full": "both"}, "full of UnimodalConfig is 'both': .*'joint' or 'late_fusion'"),
        ({"width": 0}, "width of UnimodalConfig is 0"),
        ({"dropout": 1.0}, "dropout of UnimodalConfig is 1.0"),
    ],
)
def test_wrong_settings_are_named(hyper, message):
    with pytest.raises(ValueError, match=message):
        UnimodalConfig(**hyper)
