"""The fast loss against the plain one: values, gradients for every use, edge cases, memory."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from robult_core import fused_loss
from robult_core.fused_loss import fast_path_applies, fused_soft_pu_loss
from robult_core.losses import SoftPUOptions, soft_pu_loss

TEMPERATURES = (0.01, 0.05, 0.2, 1.0, 10.0)


class Case(NamedTuple):
    s: torch.Tensor
    z: torch.Tensor
    classes: torch.Tensor
    labeled: torch.Tensor
    present: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> Case:
        return self._replace(s=self.s.to(dtype), z=self.z.to(dtype))


def make_vectors(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Random directions, lengths between 1 and 3."""
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    lengths = 1 + 2 * torch.rand(*shape[:-1], 1, dtype=torch.float64, generator=generator)
    return torch.nn.functional.normalize(x, dim=-1) * lengths


def make_case(
    seed=0, batch=24, modalities=2, width=8, n_classes=3, *, labels="some", missing="none"
) -> Case:
    generator = torch.Generator().manual_seed(seed)
    s = make_vectors(generator, batch, width)
    z = make_vectors(generator, modalities, batch, width)
    classes = torch.randint(n_classes, (batch,), generator=generator) * 7 - 3
    share = {"none": 0.0, "some": 0.4, "all": 1.0}[labels]
    labeled = torch.rand(batch, generator=generator) < share
    if missing == "none":
        return Case(s, z, classes, labeled)
    present = torch.rand(modalities, batch, generator=generator) < 0.7
    if missing == "modality":
        present[0] = False
    z[~present] = math.nan  # what is not there may hold anything
    s[~present.all(0)] = math.inf
    return Case(s, z, classes, labeled, present)


def run(loss, case: Case, weights=(1.0, 1.0), **options):
    """Both terms, and the gradients of their weighted sum for s and z."""
    s = case.s.clone().requires_grad_()
    z = case.z.clone().requires_grad_()
    terms = loss(s, z, case.classes, case.labeled, present=case.present, **options)
    total = weights[0] * terms.labeled + weights[1] * terms.unlabeled
    return *(term.detach() for term in terms), *torch.autograd.grad(total, (s, z))


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference in units of the largest entry, or of 1/10 where all are smaller."""
    if not found.numel():
        return 0.0
    return float(
        (found.double() - expected.double()).abs().max()
        / expected.double().abs().max().clamp(min=0.1)
    )


def assert_same(found, expected, tolerance: float = 1e-12) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert error(one, other) <= tolerance


# --- the numbers of the plain path ----------------------------------------------------------------

cases = st.builds(
    make_case,
    seed=st.integers(0, 10**6),
    batch=st.integers(1, 40),
    modalities=st.integers(1, 4),
    width=st.sampled_from([1, 2, 5, 16]),
    n_classes=st.sampled_from([1, 2, 5, 40]),
    labels=st.sampled_from(["none", "some", "all"]),
    missing=st.sampled_from(["none", "some", "modality"]),
)
weights = st.tuples(*[st.sampled_from([-1.0, 0.0, 0.3, 1.0, 2.0])] * 2)


@settings(max_examples=200)
@given(
    cases, st.sampled_from(TEMPERATURES), st.sampled_from([1, 2, 7, 16, 64, None]), weights, weights
)
def test_equals_plain_path(case, temperature, block_size, used, forecast):
    expected = run(soft_pu_loss, case, used, temperature=temperature)
    names = {"labeled_weight": forecast[0], "unlabeled_weight": forecast[1]}
    found = run(
        fused_soft_pu_loss, case, used, temperature=temperature, block_size=block_size, **names
    )
    rounding = max(1e-12, 1e-13 / temperature)  # logits are as large as 1 / temperature
    assert_same(found, expected, rounding)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("labels", ["none", "some", "all"])
def test_single_precision_is_as_close_as_the_plain_path(temperature, labels):
    """A wide batch with vectors that share a direction, so that v varies little within a row."""
    case = make_case(batch=300, width=32, n_classes=4, labels=labels)
    case = case._replace(s=case.s + 1, z=case.z + 1)
    expected = run(soft_pu_loss, case, temperature=temperature)
    plain = run(soft_pu_loss, case.to(torch.float32), temperature=temperature)
    found = run(fused_soft_pu_loss, case.to(torch.float32), temperature=temperature)
    for one, other, exact in zip(found, plain, expected, strict=True):
        assert one.dtype == torch.float32
        assert error(one, exact) <= 2 * error(other, exact) + 1e-6


def test_default_temperature_is_that_of_the_plain_path():
    case = make_case()
    assert_same(run(fused_soft_pu_loss, case), run(soft_pu_loss, case))


def test_gradient_against_finite_differences():
    """With every label known no weight enters, and the loss is an ordinary function."""
    case = make_case(batch=9, width=4, labels="all")
    inputs = case.s.requires_grad_(), case.z.requires_grad_()

    def term(s, z):
        return fused_soft_pu_loss(s, z, case.classes, case.labeled, block_size=4).labeled

    assert torch.autograd.gradcheck(term, inputs)


# --- any use of the terms -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "used", [(1.0, 2.0), (0.5, 1.0), (-3.0, -6.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1.0, -2.0)]
)
def test_gradient_for_any_upstream_gradient(used):
    """With the weights announced, with a multiple of them and with others."""
    case = make_case()
    announced = {"labeled_weight": 1.0, "unlabeled_weight": 2.0}
    assert_same(run(fused_soft_pu_loss, case, used, **announced), run(soft_pu_loss, case, used))


@pytest.mark.parametrize("name", ["labeled", "unlabeled", "total"])
def test_gradient_of_one_term_alone(name):
    gradients = []
    for loss in (soft_pu_loss, fused_soft_pu_loss):
        case = make_case()
        inputs = case.s.requires_grad_(), case.z.requires_grad_()
        gradients.append(torch.autograd.grad(getattr(loss(*case[:4]), name).square(), inputs))
    assert_same(gradients[1], gradients[0])


def test_forecast_changes_no_value():
    case = make_case()
    plain = fused_soft_pu_loss(*case[:4])
    assert_same(fused_soft_pu_loss(*case[:4], labeled_weight=5.0, unlabeled_weight=0.0), plain, 0.0)


def test_forecast_saves_the_second_evaluation(monkeypatch):
    calls = []
    evaluate = fused_loss._evaluate

    def counted(*arguments):
        calls.append(arguments)
        return evaluate(*arguments)

    monkeypatch.setattr(fused_loss, "_evaluate", counted)
    run(
        fused_soft_pu_loss,
        make_case(),
        (0.7 * 0.1, 0.7 * 0.3),
        labeled_weight=0.1,
        unlabeled_weight=0.3,
    )
    assert len(calls) == 1
    run(fused_soft_pu_loss, make_case(), (1.0, 0.0))
    assert len(calls) == 3
    fused_soft_pu_loss(*make_case()[:4])
    assert calls[-1][-1] is None  # nobody asks for a gradient, so none is forecast


@pytest.mark.parametrize("which", ["s", "z"])
def test_one_input_with_gradient(which):
    case = make_case()
    expected = run(soft_pu_loss, case)[2 if which == "s" else 3]
    tensor = getattr(case, which).requires_grad_()
    fused_soft_pu_loss(*case[:4]).total.backward()
    assert error(tensor.grad, expected) <= 1e-12


def test_backward_twice_and_in_chains():
    case = make_case()
    expected = run(soft_pu_loss, case)[2]
    s = case.s.clone().requires_grad_()
    total = fused_soft_pu_loss(2 * s / 2, case.z, case.classes, case.labeled).total
    total.backward(retain_graph=True)
    total.backward()
    assert error(s.grad, 2 * expected) <= 1e-12


def test_values_without_gradient():
    case = make_case()
    case.s.requires_grad_()
    with torch.no_grad():
        found = fused_soft_pu_loss(*case[:4])
    assert not found.total.requires_grad
    assert_same(found, [term.detach() for term in soft_pu_loss(*case[:4])])


def test_inputs_are_left_alone():
    case = make_case(missing="some")
    before = [tensor.clone() for tensor in case]
    run(fused_soft_pu_loss, case)
    for tensor, copy in zip(case, before, strict=True):
        torch.testing.assert_close(tensor, copy, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("used", [(1.0, 1.0), (1.0, 3.0)])
def test_second_derivative_is_refused(used):
    case = make_case()
    s = case.s.requires_grad_()
    terms = fused_soft_pu_loss(s, case.z, case.classes, case.labeled)
    total = used[0] * terms.labeled + used[1] * terms.unlabeled
    (gradient,) = torch.autograd.grad(total, s, create_graph=True)
    assert error(gradient.detach(), run(soft_pu_loss, make_case(), used)[2]) <= 1e-12
    with pytest.raises(RuntimeError, match="no second derivative: call"):
        gradient.square().sum().backward()


# --- edge cases -----------------------------------------------------------------------------------


def test_one_sample_one_modality():
    for labels in ("none", "all"):
        found = run(fused_soft_pu_loss, make_case(batch=1, modalities=1, labels=labels))
        assert_same(found, [torch.zeros_like(tensor) for tensor in found])


def test_no_sample():
    found = run(fused_soft_pu_loss, make_case(batch=0))
    assert_same(found, [torch.zeros_like(tensor) for tensor in found])


def test_no_anchor():
    case = make_case(missing="modality")
    found = run(fused_soft_pu_loss, case)
    assert_same(found, [torch.zeros_like(tensor) for tensor in found])


def test_no_label_leaves_the_labelled_term_at_zero():
    labeled, unlabeled, *_ = run(fused_soft_pu_loss, make_case(labels="none"))
    assert labeled == 0
    assert unlabeled > 0


def test_all_labels_leave_the_unlabelled_term_at_zero():
    labeled, unlabeled, *_ = run(fused_soft_pu_loss, make_case(labels="all"))
    assert labeled > 0
    assert unlabeled == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "temperature", TEMPERATURES[1:]
)  # at 0.01 rounding passes for a width, on both paths
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_identical_rows_weigh_one(dtype, temperature, sign):
    """All v are 1 / B and the width is 0, so every weight is 1 and a term with partners log B."""
    case = make_case(batch=30, n_classes=1, modalities=1)
    direction = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    same = case._replace(s=direction.expand(30, 8), z=(sign * direction).expand(1, 30, 8)).to(dtype)
    found = run(fused_soft_pu_loss, same, temperature=temperature)
    share = float(same.labeled.double().mean())
    assert float(found[0]) == pytest.approx(share * math.log(30), rel=1e-4)
    assert float(found[1]) == pytest.approx(math.log(30), rel=1e-4)
    assert all(tensor.isfinite().all() for tensor in found)


def test_vectors_of_zeros_are_as_in_the_plain_path():
    case = make_case()
    case.s[3] = 0
    case.z[1, 5] = 0
    case.z[0, 7] *= 1e-13  # below the length that is normalised
    found, expected = run(fused_soft_pu_loss, case), run(soft_pu_loss, case)
    assert_same(found, expected)


def test_samples_that_lack_a_modality_are_partners_not_anchors():
    case = make_case(missing="some")
    *_, grad_s, grad_z = run(fused_soft_pu_loss, case)
    assert (grad_s[~case.present.all(0)] == 0).all()
    assert (grad_z[~case.present] == 0).all()
    lone = case.present & ~case.present.all(0)
    assert grad_z[lone].abs().sum() > 0


@pytest.mark.parametrize(
    "classes", [[2**62, -(2**62), 2**62, 0], [2**62, 2**62 + 1, 2**62, 2**62 + 1]]
)
def test_any_integers_are_classes(classes):
    case = make_case(batch=4)._replace(classes=torch.tensor(classes))
    assert_same(run(fused_soft_pu_loss, case), run(soft_pu_loss, case))


def test_order_of_samples_does_not_matter():
    case = make_case(missing="some")
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    shuffled = Case(
        case.s[order],
        case.z[:, order],
        case.classes[order],
        case.labeled[order],
        case.present[:, order],
    )
    labeled, unlabeled, grad_s, grad_z = run(fused_soft_pu_loss, case)
    assert_same(
        run(fused_soft_pu_loss, shuffled), (labeled, unlabeled, grad_s[order], grad_z[:, order])
    )


# --- where the fast path applies ------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"bandwidth": 2.0},
        {"weighting": "cosine"},
        {"weighting": "hard"},
        {"weighting": "none"},
        {"reference": "class"},
        {"normalizer": "weights"},
        {"weight_gradient": True},
        {"labeled_candidates": "labeled"},
    ],
)
def test_other_switches_take_the_plain_path(option):
    case = make_case(missing="some")
    assert not fast_path_applies(*case[:4], present=case.present, **option)
    assert_same(run(fused_soft_pu_loss, case, **option), run(soft_pu_loss, case, **option), 0.0)


def test_defaults_take_the_fast_path():
    case = make_case()
    defaults = asdict(SoftPUOptions())
    assert fast_path_applies(*case[:4], **defaults)
    terms = fused_soft_pu_loss(case.s.requires_grad_(), *case[1:4], **defaults)
    assert terms.labeled.grad_fn.name() == "_FusedSoftPUBackward"


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_temperature_takes_the_fast_path(temperature, dtype):
    case = make_case(missing="some").to(dtype)
    assert fast_path_applies(*case[:4], present=case.present, temperature=temperature, block_size=7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_the_plain_path(dtype):
    case = make_case().to(dtype)
    assert not fast_path_applies(*case[:4])
    assert fused_soft_pu_loss(*case[:4]).total.dtype == dtype


def test_autocast_takes_the_plain_path():
    case = make_case().to(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fast_path_applies(*case[:4])
    assert fast_path_applies(*case[:4])


@pytest.mark.parametrize(
    "change",
    [
        {"z": torch.zeros(2, 24, 3)},
        {"s": torch.zeros(2, 24, 8)},
        {"classes": torch.zeros(23)},
        {"classes": torch.zeros(24)},
        {"labeled": torch.zeros(24, 1)},
        {"labeled": torch.zeros(24)},
        {"present": torch.ones(2, 24)},
        {"present": torch.ones(3, 24, dtype=torch.bool)},
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"block_size": 0},
        {"bandwith": 1.0},
        {"weighting": "soft"},
    ],
)
def test_errors_are_those_of_the_plain_path(change):
    arguments = make_case().to(torch.float32)._asdict() | change
    raised = []
    for loss in (soft_pu_loss, fused_soft_pu_loss):
        with pytest.raises((ValueError, TypeError)) as caught:
            loss(**arguments)
        raised.append((caught.type, str(caught.value)))
    assert raised[0] == raised[1]


# --- memory ---------------------------------------------------------------------------------------


class LargestTensor(TorchDispatchMode):
    """Entries of the largest tensor that any operation returns."""

    entries = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


@pytest.mark.parametrize("modalities", [1, 3])
@pytest.mark.parametrize("used", [(1.0, 1.0), (1.0, 2.0)])
@pytest.mark.parametrize("missing", ["none", "some"])
def test_no_tensor_grows_with_the_square_of_the_batch(modalities, used, missing):
    largest = {}
    for batch in (400, 800):
        case = make_case(batch=batch, modalities=modalities, missing=missing)
        with LargestTensor() as mode:
            run(fused_soft_pu_loss, case, used, block_size=32)
        largest[batch] = mode.entries
        assert mode.entries <= 32 * batch
    assert largest[800] <= 2 * largest[400]


def test_accelerator():
    if not torch.cuda.is_available():
        pytest.skip("no accelerator here")
    case = make_case(batch=100, missing="some")
    expected = run(fused_soft_pu_loss, case, block_size=32)
    found = run(fused_soft_pu_loss, Case(*(tensor.cuda() for tensor in case)), block_size=32)
    assert_same([tensor.cpu() for tensor in found], expected)
