"""The losses against slow loops written from the equations, geometry a person can check, invariances and edge cases."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core.losses import (
    NORMALIZERS,
    REFERENCES,
    WEIGHTINGS,
    latent_reconstruction_loss,
    rbf_weights,
    soft_pu_anchor_terms,
    soft_pu_loss,
)

EXACT = {"rtol": 1e-10, "atol": 1e-10}


# --- the equations, one pair at a time ----------------------------------------------------------------------------------


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.linalg.norm(vector), 1e-12)


def slow_row(s, z, present, j, temperature):
    """phi(s_j, z_k) and log v(s_j, z_k) of one modality for all k that are there (Eq. 2); NaN elsewhere."""
    there = np.flatnonzero(present)
    phi = np.full(len(s), math.nan)
    phi[there] = [math.exp(unit(s[j]) @ unit(z[k]) / temperature) for k in there]
    return phi, np.log(phi / np.nansum(phi)), there


def slow_weight(values, there, reference, k, bandwidth, hard):
    """Eq. 5 with readings 6 and 7; `values` are phi or the cosine."""
    width = np.std(values[there]) if bandwidth is None else bandwidth
    distance = abs(reference - values[k])
    if distance == 0 or (bandwidth is None and width <= 1e-14):
        return 1.0
    return float(distance <= width) if hard else math.exp(-(distance**2) / (2 * width**2))


def slow_pairs(s, z, classes, labeled, present, i, j, temperature, bandwidth, weighting, reference):
    """log v of anchor j, B_{1,1}, B_{1,0} and the weight of each of its partners, for modality i."""
    phi, log_v, there = slow_row(s, z[i], present[i], j, temperature)
    values = temperature * np.log(phi) if weighting == "cosine" else phi
    same = [k for k in there if classes[k] == classes[j]]
    both = [k for k in same if labeled[j] and labeled[k]]
    pseudo = [k for k in same if k not in both]
    stand_in = [k for k in same if labeled[k]] if reference == "class" else both
    middle = np.mean(values[stand_in]) if stand_in else values[j]
    if weighting == "none":
        return log_v, both, pseudo, dict.fromkeys(pseudo, 1.0)
    weights = {
        k: slow_weight(values, there, middle, k, bandwidth, weighting == "hard") for k in pseudo
    }
    return log_v, both, pseudo, weights


def slow_loss(
    s,
    z,
    classes,
    labeled,
    present,
    temperature,
    bandwidth=None,
    weighting="rbf",
    reference="own",
    normalizer="count",
):
    """Eq. 4 and Eq. 6, means over modalities and anchors (reading 2)."""
    anchors = np.flatnonzero(present.all(axis=0))
    first, second = [], []
    for i in range(len(z)):
        for j in anchors:
            log_v, both, pseudo, weights = slow_pairs(
                s, z, classes, labeled, present, i, j, temperature, bandwidth, weighting, reference
            )
            norm = len(pseudo) if normalizer == "count" else sum(weights.values())
            first.append(-sum(log_v[k] for k in both) / max(len(both), 1))
            second.append(-sum(weights[k] * log_v[k] for k in pseudo) / (norm or 1))
    return (np.mean(first), np.mean(second)) if len(anchors) else (0.0, 0.0)


def tensors(*arrays):
    return tuple(torch.from_numpy(np.asarray(array)) for array in arrays)


@st.composite
def cases(draw):
    """Arrays s, z, classes, labeled, present of a random batch, and options of the loss."""
    n_modalities, size = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    s, z = rng.normal(size=(size, 3)), rng.normal(size=(n_modalities, size, 3))
    classes = rng.integers(draw(st.integers(1, 4)), size=size)
    labeled = rng.random(size) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    present = rng.random((n_modalities, size)) < draw(st.sampled_from([1.0, 0.8, 0.3]))
    options = {
        "temperature": draw(st.sampled_from([0.05, 0.2, 1.0])),
        "bandwidth": draw(st.sampled_from([None, 0.5, 10.0])),
    }
    return (s, z, classes, labeled, present), options


@given(cases())
@settings(max_examples=80, deadline=None)
def test_equals_slow_loop(case):
    (s, z, classes, labeled, present), options = case
    expected = slow_loss(s, z, classes, labeled, present, **options)
    *inputs, mask = tensors(s, z, classes, labeled, present)
    for block_size in (None, *range(1, len(s) + 1)):
        out = soft_pu_loss(*inputs, present=mask, block_size=block_size, **options)
        np.testing.assert_allclose([out.labeled.item(), out.unlabeled.item()], expected, **EXACT)
        assert out.total == out.labeled + out.unlabeled


@given(
    cases(),
    st.sampled_from(WEIGHTINGS),
    st.sampled_from(REFERENCES),
    st.sampled_from(NORMALIZERS),
    st.integers(1, 9),
)
@settings(max_examples=120, deadline=None)
def test_switches_equal_slow_loops(case, weighting, reference, normalizer, block_size):
    (s, z, classes, labeled, present), options = case
    switches = {"weighting": weighting, "reference": reference, "normalizer": normalizer}
    expected = slow_loss(s, z, classes, labeled, present, **options, **switches)
    *inputs, mask = tensors(s, z, classes, labeled, present)
    out = soft_pu_loss(*inputs, present=mask, block_size=block_size, **options, **switches)
    np.testing.assert_allclose([out.labeled.item(), out.unlabeled.item()], expected, **EXACT)


@given(cases(), st.sampled_from(WEIGHTINGS), st.sampled_from(REFERENCES))
@settings(max_examples=60, deadline=None)
def test_weights_equal_slow_loop(case, weighting, reference):
    (s, z, classes, labeled, present), options = case
    expected = np.zeros((len(z), len(s), len(s)))
    for i in range(len(z)):
        for j in np.flatnonzero(present.all(axis=0)):
            weights = slow_pairs(
                s,
                z,
                classes,
                labeled,
                present,
                i,
                j,
                *options.values(),
                weighting=weighting,
                reference=reference,
            )
            for k, weight in weights[3].items():
                expected[i, j, k] = weight
    *inputs, mask = tensors(s, z, classes, labeled, present)
    found = rbf_weights(*inputs, present=mask, weighting=weighting, reference=reference, **options)
    np.testing.assert_allclose(found, expected, **EXACT)


# --- geometry on the circle -----------------------------------------------------------------------------------------------


def circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


LOG_SUM = math.log(
    math.e + 1
)  # of a row with one partner ahead (cosine 1) and one at a right angle (cosine 0)


@pytest.mark.parametrize(
    ("classes", "labeled", "expected"),
    [
        ([0, 1], [True, True], (LOG_SUM - 1, 0)),  # each has itself: -log v = log(e + 1) - 1
        ([0, 0], [True, True], (LOG_SUM - 0.5, 0)),  # the mean of log(e + 1) - 1 and log(e + 1)
        ([0, 1], [False, False], (0, LOG_SUM - 1)),  # itself, at its own reference: weight 1
        # the other lies e - 1 from the reference, two deviations (e - 1) / 2: weight exp(-2)
        ([0, 0], [False, False], (0, (LOG_SUM - 1 + math.exp(-2) * LOG_SUM) / 2)),
        # labelled anchor: itself, and the other at weight exp(-2); unlabelled anchor: both, as above
        (
            [0, 0],
            [True, False],
            ((LOG_SUM - 1) / 2, (math.exp(-2) * LOG_SUM * 1.5 + (LOG_SUM - 1) / 2) / 2),
        ),
    ],
)
def test_two_points_at_a_right_angle(classes, labeled, expected):
    points = circle(0, 90)
    out = soft_pu_loss(
        points, points[None], torch.tensor(classes), torch.tensor(labeled), temperature=1.0
    )
    np.testing.assert_allclose([out.labeled, out.unlabeled], expected, **EXACT)


def test_loss_falls_as_partners_of_a_class_come_closer():
    s, labeled, classes = circle(0, 180), torch.tensor([True, True]), torch.tensor([0, 1])
    losses = [
        soft_pu_loss(s, circle(angle, 180 + angle)[None], classes, labeled).labeled.item()
        for angle in (170, 120, 60, 20, 0)
    ]
    assert losses == sorted(losses, reverse=True)


# --- gradients ------------------------------------------------------------------------------------------------------------


def leaves(n_modalities=2, size=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(size, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    z = torch.randn(
        n_modalities, size, 3, dtype=torch.float64, generator=generator, requires_grad=True
    )
    return s, z


CLASSES, LABELED = torch.tensor([0, 0, 1, 1, 0]), torch.tensor([True, True, True, False, False])


@pytest.mark.parametrize(
    "options",
    [
        {"weighting": "none"},
        {"weight_gradient": True},
        {"weight_gradient": True, "bandwidth": 0.5},
        {"weight_gradient": True, "weighting": "cosine", "normalizer": "weights"},
        {"weight_gradient": True, "reference": "class", "block_size": 2},
    ],
)
def test_gradcheck(options):
    def total(s, z):
        return soft_pu_loss(s, z, CLASSES, LABELED, **options).total

    assert torch.autograd.gradcheck(total, leaves())


@pytest.mark.parametrize("weighting", ["rbf", "cosine", "hard"])
def test_weights_are_constants_by_default(weighting):
    """The gradient is that of Eq. 6 with the weights written in as numbers (reading 8)."""
    s, z = leaves()
    loss = soft_pu_loss(s, z, CLASSES, LABELED, weighting=weighting).unlabeled
    weights = rbf_weights(s, z, CLASSES, LABELED, weighting=weighting)
    assert not weights.requires_grad
    logits = (
        torch.einsum("jd,mkd->mjk", *(torch.nn.functional.normalize(one, dim=-1) for one in (s, z)))
        / 0.2
    )
    pairs = (CLASSES[:, None] == CLASSES) & ~(LABELED[:, None] & LABELED)
    expected = -((weights * logits.log_softmax(-1)).sum(-1) / pairs.sum(-1).clamp(min=1)).mean()
    torch.testing.assert_close(
        torch.autograd.grad(loss, (s, z)), torch.autograd.grad(expected, (s, z))
    )


def test_latent_reconstruction_gradcheck():
    s, z = leaves()
    assert torch.autograd.gradcheck(latent_reconstruction_loss, (z, z.detach().flip(1)))
    assert torch.autograd.gradcheck(latent_reconstruction_loss, (s[None], z.detach()[:1]))


# --- invariances ----------------------------------------------------------------------------------------------------------


@given(cases(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_order_of_samples_modalities_and_names_of_classes_do_not_matter(case, seed):
    (s, z, classes, labeled, present), options = case
    rng = np.random.default_rng(seed)
    rows, order = rng.permutation(len(s)), rng.permutation(len(z))
    *inputs, mask = tensors(s, z, classes, labeled, present)
    *shuffled, other = tensors(
        s[rows], z[order][:, rows], 7 * classes[rows] - 3, labeled[rows], present[order][:, rows]
    )
    one, two = (
        soft_pu_loss(*inputs, present=mask, **options),
        soft_pu_loss(*shuffled, present=other, **options),
    )
    np.testing.assert_allclose([one.labeled, one.unlabeled], [two.labeled, two.unlabeled], **EXACT)


def test_length_of_vectors_does_not_matter():
    s, z = (one.detach() for one in leaves())
    one, two = soft_pu_loss(s, z, CLASSES, LABELED), soft_pu_loss(3 * s, 0.01 * z, CLASSES, LABELED)
    torch.testing.assert_close(one.total, two.total)


# --- edge cases: finite in value and gradient, and as the docstring says ----------------------------------------------------


def finite(out, *inputs) -> bool:
    gradients = torch.autograd.grad(out.total, inputs)
    return all(bool(value.isfinite().all()) for value in (out.labeled, out.unlabeled, *gradients))


@pytest.mark.parametrize("labeled", [False, True])
@pytest.mark.parametrize(("n_modalities", "size"), [(1, 1), (3, 1), (1, 4), (2, 0)])
def test_one_sample_one_modality_all_or_no_labels(n_modalities, size, labeled):
    s, z = leaves(n_modalities, size)
    for options in ({}, {"weight_gradient": True}, {"bandwidth": 1.0}, {"normalizer": "weights"}):
        out = soft_pu_loss(
            s, z, torch.zeros(size, dtype=torch.long), torch.full((size,), labeled), **options
        )
        assert finite(out, s, z)
        assert (out.unlabeled if labeled else out.labeled) == 0
        assert size > 1 or out.total == 0


def test_class_with_one_sample_has_itself_as_partner():
    s, z = leaves(1, 3)
    terms, _, _ = soft_pu_anchor_terms(
        s, z, torch.tensor([0, 1, 1]), torch.tensor([True] * 3), temperature=1.0
    )
    logits = (
        torch.nn.functional.normalize(s, dim=-1) @ torch.nn.functional.normalize(z[0], dim=-1).T
    )
    torch.testing.assert_close(terms[0, 0], -logits.log_softmax(-1)[0, 0])


def test_no_anchor_when_every_sample_lacks_a_modality():
    s, z = leaves(2, 4)
    present = torch.tensor([[True, True, False, False], [False, False, True, True]])
    out = soft_pu_loss(
        s,
        z,
        torch.zeros(4, dtype=torch.long),
        torch.tensor([True, False, True, False]),
        present=present,
    )
    assert out.total == 0
    assert finite(out, s, z)


def test_modality_that_nobody_has():
    s, z = leaves(2, 4)
    present = torch.tensor([[True] * 4, [False] * 4])
    for block_size in (None, 3):
        out = soft_pu_loss(
            s,
            z,
            torch.zeros(4, dtype=torch.long),
            torch.tensor([True] * 4),
            present=present,
            block_size=block_size,
        )
        assert out.total == 0
        assert finite(out, s, z)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e30])
def test_absent_rows_may_hold_anything(garbage):
    s, z = leaves()
    present = torch.tensor([[True, True, False, True, True], [True, True, True, True, False]])
    clean = soft_pu_loss(s, z, CLASSES, LABELED, present=present)
    with torch.no_grad():
        dirty_s, dirty_z = s.clone(), z.clone()
        dirty_s[~present.all(0)], dirty_z[~present] = garbage, garbage
    dirty_s, dirty_z = dirty_s.requires_grad_(), dirty_z.requires_grad_()
    dirty = soft_pu_loss(dirty_s, dirty_z, CLASSES, LABELED, present=present)
    assert (dirty.labeled, dirty.unlabeled) == (clean.labeled, clean.unlabeled)
    gradients = (
        torch.autograd.grad(clean.total, (s, z)),
        torch.autograd.grad(dirty.total, (dirty_s, dirty_z)),
    )
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_equal_representations_weigh_one():
    s, z = (
        torch.ones(shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 3), (2, 4, 3))
    )
    classes, labeled = torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.bool)
    for options in (
        {},
        {"weight_gradient": True},
        {"weighting": "cosine", "weight_gradient": True},
    ):
        out = soft_pu_loss(s, z, classes, labeled, **options)
        torch.testing.assert_close(out.unlabeled.item(), math.log(4))
        assert finite(out, s, z)
    torch.testing.assert_close(
        rbf_weights(s, z, classes, labeled), torch.ones(2, 4, 4, dtype=torch.float64)
    )


@pytest.mark.parametrize("temperature", [0.01, 0.005])
@pytest.mark.parametrize(
    "options", [{}, {"bandwidth": 1.0}, {"weighting": "cosine"}, {"weight_gradient": True}]
)
def test_float32_at_small_temperatures(temperature, options):
    """phi reaches exp(1 / 0.005) here; the weights still agree with float64."""
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(12, 16, generator=generator, requires_grad=True)
    z = torch.randn(2, 12, 16, generator=generator, requires_grad=True)
    classes, labeled = torch.arange(12) % 3, torch.arange(12) < 5
    out = soft_pu_loss(s, z, classes, labeled, temperature=temperature, **options)
    exact = soft_pu_loss(
        s.double(), z.double(), classes, labeled, temperature=temperature, **options
    )
    assert finite(out, s, z)
    if temperature == 0.005 and options.get("bandwidth"):
        return  # a fixed width of 1 against exp(200) is no number of float32; the weights are 0 or 1 then
    found, wanted = ([one.labeled.item(), one.unlabeled.item()] for one in (out, exact))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


# --- blocks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(
    "options", [{}, {"weight_gradient": True, "reference": "class", "normalizer": "weights"}]
)
def test_blocks_equal_the_plain_path_in_value_and_gradient(block_size, options):
    s, z = leaves(3)
    present = torch.ones(3, 5, dtype=torch.bool)
    present[1, 2] = False
    plain = soft_pu_loss(s, z, CLASSES, LABELED, present=present, block_size=5, **options)
    tiled = soft_pu_loss(s, z, CLASSES, LABELED, present=present, block_size=block_size, **options)
    torch.testing.assert_close(
        [tiled.labeled, tiled.unlabeled], [plain.labeled, plain.unlabeled], **EXACT
    )
    torch.testing.assert_close(
        torch.autograd.grad(tiled.total, (s, z)), torch.autograd.grad(plain.total, (s, z)), **EXACT
    )


MEMORY = """
import torch
from robult_core.losses import soft_pu_loss
torch.set_num_threads(1)
s, z = torch.randn(2000, 16, requires_grad=True), torch.randn(2, 2000, 16, requires_grad=True)
classes, labeled = torch.arange(2000) % 10, torch.arange(2000) % 20 == 0
def high_water():  # of this program: ru_maxrss would begin at that of the process that started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
def peak(block_size):
    soft_pu_loss(s, z, classes, labeled, block_size=block_size).total.backward()
    return high_water()
soft_pu_loss(s[:64], z[:, :64], classes[:64], labeled[:64], block_size=32).total.backward()
start = high_water()
print(start, peak(100), peak(2000))
"""


def test_blocks_need_less_memory():
    """High-water marks of one process: first in tiles of 100 rows, then whole; B = 2000, M = 2."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read the high-water mark")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120
    )
    start, tiled, plain = map(int, done.stdout.split())
    assert tiled - start < (plain - start) / 2


# --- wrong arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": torch.zeros(2, 4, 3)}, r"z \(2, 4, 3\)"),
        ({"s": torch.zeros(2, 5, 3)}, r"s has shape \(2, 5, 3\)"),
        ({"classes": torch.zeros(4)}, r"classes has shape \(4,\)"),
        ({"labeled": torch.zeros(6, dtype=torch.bool)}, r"labeled has shape \(6,\)"),
        ({"present": torch.ones(5, 2, dtype=torch.bool)}, r"present has shape \(5, 2\)"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"bandwidth": -1.0}, "bandwidth is -1.0"),
        ({"block_size": 0}, "block_size is 0"),
        ({"weighting": "gauss"}, "weighting is 'gauss': choose one of rbf"),
        ({"reference": "mean"}, "reference is 'mean'"),
        ({"normalizer": "sum"}, "normalizer is 'sum'"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {
        "s": torch.zeros(5, 3),
        "z": torch.zeros(2, 5, 3),
        "classes": CLASSES,
        "labeled": LABELED,
    }
    with pytest.raises(ValueError, match=message):
        soft_pu_loss(**(arguments | change))


# --- Eq. 10 ---------------------------------------------------------------------------------------------------------------


def test_latent_reconstruction_closed_forms():
    latent = circle(0, 0, 0, 0, 0)[None]
    rebuilt = circle(0, 180, 90, 45, 60)[None]
    for index, expected in enumerate([0, 0, 1, 0.5, 0.75]):  # 1 - cos^2
        one = latent_reconstruction_loss(rebuilt[:, [index]], latent[:, [index]])
        torch.testing.assert_close(one.item(), float(expected))
    torch.testing.assert_close(latent_reconstruction_loss(rebuilt, latent).item(), 2.25 / 5)


def test_latent_reconstruction_leaves_sign_and_length_free():
    _, z = leaves()
    rebuilt = torch.randn(z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    value = latent_reconstruction_loss(rebuilt, z)
    torch.testing.assert_close(latent_reconstruction_loss(-5 * rebuilt, 0.1 * z), value)
    expected = np.mean(
        [
            1 - (unit(a) @ unit(b)) ** 2
            for a, b in zip(
                rebuilt.flatten(0, 1).numpy(), z.detach().flatten(0, 1).numpy(), strict=True
            )
        ]
    )
    torch.testing.assert_close(value.item(), float(expected))


def test_latent_reconstruction_edge_cases():
    assert latent_reconstruction_loss(torch.zeros(2, 0, 3), torch.zeros(2, 0, 3)) == 0
    zero = torch.zeros(1, 2, 3, requires_grad=True)
    loss = latent_reconstruction_loss(zero, torch.ones(1, 2, 3))
    assert loss == 1
    assert torch.autograd.grad(loss, zero)[0].isfinite().all()
    with pytest.raises(ValueError, match="must agree"):
        latent_reconstruction_loss(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4))
