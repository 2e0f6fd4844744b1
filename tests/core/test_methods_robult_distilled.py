"""Distilled Robult: its targets against a loop from the formulas, and when it is Robult itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robult_core.method import Batch
from robult_core.methods.distillation import align, sharpen
from robult_core.methods.robult_distilled import RobultDistilled, RobultDistilledConfig
from robult_core.model import Robult
from robult_core.tasks import Classification, Multilabel, Regression

SPECS = {"text": (6,), "audio": (4,), "image": (5,)}
TARGETS = {
    "classification": torch.arange(8) % 3,
    "regression": torch.linspace(-3, 3, 8),
    "multilabel": (torch.arange(32).reshape(8, 4) % 3 == 0).long(),
}
TASKS = (Classification(3), Regression(), Multilabel(4))
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
LABELED = torch.arange(8) < 3
NEW_TERMS = {"distillation", "self_training"}


def make(task, specs=SPECS, kind=RobultDistilled, **hyper):
    """A method in the middle of its training, without dropout."""
    torch.manual_seed(0)
    hyper = {"width": 16, "dropout": 0.0, "distillation_weight": 1.0} | hyper
    method = kind(task, specs, RobultDistilledConfig(**hyper))
    method.begin(TARGETS[task.kind][LABELED])
    method.progress = 0.5
    return method


def make_batch(task, labeled=LABELED, specs=SPECS, present=None) -> Batch:
    generator = torch.Generator().manual_seed(3)
    inputs = {name: torch.randn(8, *shape, generator=generator) for name, shape in specs.items()}
    return Batch(inputs, TARGETS[task.kind], labeled, present)


def slow_target(p: np.ndarray, shares: np.ndarray, mean: np.ndarray, trust: float) -> np.ndarray:
    """q of one sample from the formulas of `distillation`."""
    aligned = [p_c * (pi / r) ** trust for p_c, pi, r in zip(p, shares, mean, strict=True)]
    aligned = [value / sum(aligned) for value in aligned]
    sharp = [value ** (1 + trust) for value in aligned]
    return np.array([value / sum(sharp) for value in sharp])


# --- the parts ------------------------------------------------------------------------------------


def test_without_trust_nothing_is_aligned_or_sharpened():
    p = torch.tensor([[0.5, 0.3, 0.2]])
    shares, mean = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.2, 0.4, 0.4])
    torch.testing.assert_close(align(p, shares, mean, 0.0), p)
    torch.testing.assert_close(sharpen(p, 0.0), p)


def test_full_trust_moves_predictions_to_the_shares_of_the_labels():
    mean = torch.tensor([0.2, 0.4, 0.4])
    shares = torch.tensor([0.8, 0.1, 0.1])
    torch.testing.assert_close(align(mean[None], shares, mean, 1.0), shares[None])
    squares = torch.tensor([[0.25, 0.09, 0.04]])
    wanted = squares / squares.sum()
    torch.testing.assert_close(sharpen(torch.tensor([[0.5, 0.3, 0.2]]), 1.0), wanted)


def test_a_class_that_is_never_predicted_leaves_finite_targets():
    mean = torch.tensor([0.0, 1.0])
    aligned = align(torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([0.5, 0.5]), mean, 1.0)
    assert torch.isfinite(aligned).all()


@pytest.mark.parametrize(("n", "wanted"), [(15, 5 / 7), (6, 0.5), (0, 0.0)])
def test_trust_is_the_share_of_labels_among_labels_and_two_a_class(n, wanted):
    method = make(Classification(3))
    method.teacher.trust = 0.0
    method.begin(torch.arange(n) % 3)
    assert method.teacher.trust == pytest.approx(wanted)


def test_labels_that_are_always_trusted_give_the_full_trust():
    method = make(Classification(3), labels_for_trust=0.0)
    assert method.teacher.trust == 1.0


# --- the losses -----------------------------------------------------------------------------------


def test_classification_equals_a_loop():
    method, batch = make(Classification(3)), make_batch(Classification(3))
    outputs = method.outputs(batch)
    full = outputs["full"].detach().numpy()
    unimodal = outputs["unimodal"].detach().numpy()
    terms = method.loss_terms(batch)
    rows = [3, 4, 5, 6, 7]

    def softmax(logits):
        return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    p = {j: softmax(full[j]) / 2 + softmax(unimodal[:, j]).mean(0) / 2 for j in rows}
    shares = np.full(3, 1 / 3)  # the first three labels are 0, 1 and 2
    mean = 0.95 * np.full(3, 1 / 3) + 0.05 * np.mean([p[j] for j in rows], axis=0)
    trust = 3 / (3 + 2 * 3)
    taught, itself = [], []
    for j in rows:
        q = slow_target(p[j], shares, mean, trust)
        taught += [-(q * np.log(softmax(unimodal[m, j]))).sum() for m in range(3)]
        itself.append(-(q * np.log(softmax(full[j]))).sum())
    assert terms["distillation"].item() == pytest.approx(np.mean(taught), rel=1e-5)
    assert terms["self_training"].item() == pytest.approx(trust * np.mean(itself), rel=1e-5)


def test_regression_teaches_the_mean_prediction_and_not_the_fused_branch():
    method, batch = make(Regression()), make_batch(Regression())
    outputs = method.outputs(batch)
    terms = method.loss_terms(batch)
    target = (outputs["full"] + outputs["unimodal"].mean(0)) / 2
    wanted = (outputs["unimodal"] - target).abs()[:, 3:].mean()
    torch.testing.assert_close(terms["distillation"], wanted)
    assert "self_training" not in terms


def test_both_losses_rise_to_their_weight_in_the_first_quarter():
    method, batch = make(Classification(3), distillation_weight=2.0), make_batch(Classification(3))
    values = []
    for progress in (0.0, 0.125, 0.25, 0.9):
        method.progress = progress
        method.begin(TARGETS["classification"][LABELED])  # the running mean starts anew
        values.append(method.loss_terms(batch)["distillation"].item())
    assert values[0] == 0
    assert values[1] == pytest.approx(values[2] / 2)
    assert values[2] == pytest.approx(values[3])


@every_task
def test_targets_carry_no_gradient(task):
    """The gradient is that of fixed targets: the teacher is not moved towards its pupils."""
    method, batch = make(task), make_batch(task)
    outputs = method.outputs(batch)
    present = torch.ones(3, 8, dtype=torch.bool)
    targets = method.teacher.targets(outputs["full"], outputs["unimodal"], present, ~LABELED)
    assert not targets.requires_grad
    method.loss_terms(batch)["distillation"].backward()
    reached = {name for name, part in method.named_children() if has_gradient(part)}
    assert reached == {"f", "g", "g0", "c"}  # not f0: the fused branch only teaches


def has_gradient(part) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters())


# --- edges ----------------------------------------------------------------------------------------


@every_task
def test_without_unlabelled_samples_it_is_robult(task):
    batch = make_batch(task, labeled=torch.ones(8, dtype=torch.bool))
    ours, robult = make(task).loss_terms(batch), make(task, kind=Robult).loss_terms(batch)
    assert all(ours[name] == 0 for name in NEW_TERMS & ours.keys())
    for name, value in robult.items():
        assert torch.equal(ours[name], value)


@every_task
def test_without_any_label_it_is_robult(task):
    method = make(task)
    method.saw_labels = False
    terms = method.loss_terms(make_batch(task, labeled=torch.zeros(8, dtype=torch.bool)))
    assert not NEW_TERMS & terms.keys()


@every_task
def test_a_sample_teaches_and_is_taught_by_the_branches_it_has(task):
    present = torch.ones(3, 8, dtype=torch.bool)
    present[1, 3:6] = False
    present[:, 6] = False
    method, batch = make(task), make_batch(task, present=present)
    terms = method.loss_terms(batch)
    assert all(torch.isfinite(value) for value in terms.values())
    changed = {name: x.clone() for name, x in batch.inputs.items()}
    changed["audio"][3:6] += 5.0
    method.begin(TARGETS[task.kind][LABELED])
    again = method.loss_terms(Batch(changed, batch.targets, batch.labeled, present))
    torch.testing.assert_close(again["distillation"], terms["distillation"])


@every_task
def test_one_modality_is_taught_by_itself_and_the_fused_branch(task):
    specs = {"text": (6,)}
    terms = make(task, specs=specs).loss_terms(make_batch(task, specs=specs))
    assert all(torch.isfinite(value) for value in terms.values())
    assert terms["distillation"] > 0
