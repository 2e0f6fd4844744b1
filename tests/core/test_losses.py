"""The losses against slow loops from the equations, plain geometry, invariances and edge cases."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core.losses import (
    SoftPUOptions,
    _tile_size,
    latent_reconstruction_loss,
    positive_masks,
    rbf_weights,
    soft_pu_anchor_terms,
    soft_pu_loss,
)
from robult_core.model import RobultConfig

EXACT = {"rtol": 1e-10, "atol": 1e-10}


# --- the equations, one pair at a time ------------------------------------------------------------


class Case(NamedTuple):
    """A batch as arrays."""

    s: np.ndarray
    z: np.ndarray
    classes: np.ndarray
    labeled: np.ndarray
    present: np.ndarray

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arguments of `soft_pu_loss`."""
        return {name: torch.from_numpy(array) for name, array in self._asdict().items()}


class SlowRow(NamedTuple):
    """What Eq. 4 and 6 say about one anchor and one modality."""

    log_v: np.ndarray
    labeled_log_v: np.ndarray
    labeled_pairs: list[int]
    unlabeled_pairs: list[int]
    weights: dict[int, float]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.linalg.norm(vector), 1e-12)


def slow_row(case: Case, i: int, j: int, options: SoftPUOptions) -> SlowRow:
    """Eq. 2, 3 and 5 for anchor j and modality i (readings 3 to 7)."""
    there = [k for k in range(len(case.s)) if case.present[i, k]]
    cosine = {k: unit(case.s[j]) @ unit(case.z[i, k]) for k in there}
    phi = {k: math.exp(cosine[k] / options.temperature) for k in there}
    candidates = there
    if options.labeled_candidates == "labeled":
        candidates = [k for k in there if case.labeled[k]]
    log_v = np.full(len(case.s), math.nan)
    labeled_log_v = np.full(len(case.s), math.nan)
    for k in there:
        log_v[k] = math.log(phi[k] / sum(phi.values()))
    for k in candidates:
        labeled_log_v[k] = math.log(phi[k] / sum(phi[h] for h in candidates))
    same_class = [k for k in there if case.classes[k] == case.classes[j]]
    labeled_pairs = [k for k in same_class if case.labeled[j] and case.labeled[k]]
    unlabeled_pairs = [k for k in same_class if k not in labeled_pairs]

    proximity = cosine if options.weighting == "cosine" else phi
    positives = labeled_pairs
    if options.reference == "class":
        positives = [k for k in same_class if case.labeled[k]]
    reference = np.mean([proximity[k] for k in positives]) if positives else proximity[j]
    width = options.bandwidth
    if width is None:
        width = np.std(list(proximity.values()))
    weights = {
        k: slow_weight(abs(reference - proximity[k]), width, options) for k in unlabeled_pairs
    }
    return SlowRow(log_v, labeled_log_v, labeled_pairs, unlabeled_pairs, weights)


def slow_weight(distance: float, width: float, options: SoftPUOptions) -> float:
    """Eq. 5; a row of equal proximities has width 0 and weight 1 (reading 7)."""
    if options.weighting == "none" or distance == 0:
        return 1.0
    if options.bandwidth is None and width <= 1e-14:
        return 1.0
    if options.weighting == "hard":
        return float(distance <= width)
    return math.exp(-(distance**2) / (2 * width**2))


def slow_loss(case: Case, options: SoftPUOptions) -> tuple[float, float]:
    """Eq. 4 and Eq. 6, means over modalities and anchors (reading 2)."""
    eq_4, eq_6 = [], []
    for i in range(len(case.z)):
        for j in np.flatnonzero(case.present.all(axis=0)):
            row = slow_row(case, i, j, options)
            labeled_sum = -sum(row.labeled_log_v[k] for k in row.labeled_pairs)
            weighted_sum = -sum(row.weights[k] * row.log_v[k] for k in row.unlabeled_pairs)
            norm = len(row.unlabeled_pairs)
            if options.normalizer == "weights":
                norm = sum(row.weights.values())
            eq_4.append(labeled_sum / max(len(row.labeled_pairs), 1))
            eq_6.append(weighted_sum / (norm or 1))
    if not eq_4:
        return 0.0, 0.0
    return np.mean(eq_4), np.mean(eq_6)


@st.composite
def batches(draw) -> Case:
    n_modalities = draw(st.integers(1, 4))
    size = draw(st.integers(1, 9))
    n_classes = draw(st.integers(1, 4))
    share_labeled = draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    share_present = draw(st.sampled_from([1.0, 0.8, 0.3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Case(
        s=rng.normal(size=(size, 3)),
        z=rng.normal(size=(n_modalities, size, 3)),
        classes=rng.integers(n_classes, size=size),
        labeled=rng.random(size) < share_labeled,
        present=rng.random((n_modalities, size)) < share_present,
    )


PLAIN = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.05, 0.2, 1.0]),
        "bandwidth": st.sampled_from([None, 0.5, 10.0]),
    }
)
SWITCHES = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.05, 0.2, 1.0]),
        "bandwidth": st.sampled_from([None, 0.5, 10.0]),
        "weighting": st.sampled_from(["rbf", "cosine", "hard", "none"]),
        "reference": st.sampled_from(["own", "class"]),
        "normalizer": st.sampled_from(["count", "weights"]),
        "labeled_candidates": st.sampled_from(["all", "labeled"]),
    }
)


@given(batches(), PLAIN)
@settings(max_examples=80)
def test_equals_slow_loop(case, options):
    expected = slow_loss(case, SoftPUOptions(**options))
    for block_size in (None, *range(1, len(case.s) + 1)):
        loss = soft_pu_loss(**case.tensors(), block_size=block_size, **options)
        np.testing.assert_allclose(loss, expected, **EXACT)
        assert loss.total == loss.labeled + loss.unlabeled


@given(batches(), SWITCHES, st.integers(1, 9))
@settings(max_examples=120)
def test_switches_equal_slow_loops(case, options, block_size):
    expected = slow_loss(case, SoftPUOptions(**options))
    loss = soft_pu_loss(**case.tensors(), block_size=block_size, **options)
    np.testing.assert_allclose(loss, expected, **EXACT)


@given(batches(), SWITCHES)
@settings(max_examples=60)
def test_weights_equal_slow_loop(case, options):
    expected = np.zeros((len(case.z), len(case.s), len(case.s)))
    for i in range(len(case.z)):
        for j in np.flatnonzero(case.present.all(axis=0)):
            for k, weight in slow_row(case, i, j, SoftPUOptions(**options)).weights.items():
                expected[i, j, k] = weight
    np.testing.assert_allclose(rbf_weights(**case.tensors(), **options), expected, **EXACT)


@given(batches(), SWITCHES)
@settings(max_examples=30)
def test_terms_of_the_anchors_average_to_the_loss(case, options):
    terms = soft_pu_anchor_terms(**case.tensors(), **options)
    loss = soft_pu_loss(**case.tensors(), **options)
    assert terms.anchors.tolist() == case.present.all(axis=0).tolist()
    if terms.anchors.any():
        means = [term[:, terms.anchors].mean() for term in (terms.labeled, terms.unlabeled)]
        np.testing.assert_allclose(loss, means, **EXACT)


def test_positive_pairs_of_five_samples():
    """Samples 0, 1 and 4 share a class, and so do 2 and 3; the labels of 3 and 4 are not known."""
    labeled_pairs, unlabeled_pairs = positive_masks(CLASSES, LABELED)
    assert labeled_pairs.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]]
    assert unlabeled_pairs.nonzero().tolist() == [
        *([0, 4], [1, 4], [2, 3], [3, 2], [3, 3], [4, 0], [4, 1], [4, 4]),
    ]
    some_rows = positive_masks(CLASSES, LABELED, slice(1, 3))
    assert torch.equal(some_rows[0], labeled_pairs[1:3])
    assert torch.equal(some_rows[1], unlabeled_pairs[1:3])


# --- geometry on the circle -----------------------------------------------------------------------


def circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


# of a row with one partner straight ahead (cosine 1) and one at a right angle (cosine 0)
LOG_SUM = math.log(math.e + 1)


@pytest.mark.parametrize(
    ("classes", "labeled", "expected"),
    [
        ([0, 1], [True, True], (LOG_SUM - 1, 0)),  # each has itself: -log v = log(e + 1) - 1
        ([0, 0], [True, True], (LOG_SUM - 0.5, 0)),  # the mean of log(e + 1) - 1 and log(e + 1)
        ([0, 1], [False, False], (0, LOG_SUM - 1)),  # itself, at its own reference: weight 1
        # the other lies e - 1 from the reference, two deviations (e - 1) / 2: weight exp(-2)
        ([0, 0], [False, False], (0, (LOG_SUM - 1 + math.exp(-2) * LOG_SUM) / 2)),
        # labelled anchor: itself, the other at weight exp(-2); unlabelled anchor: both, as above
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


# --- gradients ------------------------------------------------------------------------------------


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
    unit_s = torch.nn.functional.normalize(s, dim=-1)
    unit_z = torch.nn.functional.normalize(z, dim=-1)
    logits = torch.einsum("jd,mkd->mjk", unit_s, unit_z) / SoftPUOptions().temperature
    pairs = (CLASSES[:, None] == CLASSES) & ~(LABELED[:, None] & LABELED)
    expected = -((weights * logits.log_softmax(-1)).sum(-1) / pairs.sum(-1).clamp(min=1)).mean()
    torch.testing.assert_close(
        torch.autograd.grad(loss, (s, z)), torch.autograd.grad(expected, (s, z))
    )


def test_latent_reconstruction_gradcheck():
    s, z = leaves()
    assert torch.autograd.gradcheck(latent_reconstruction_loss, (z, z.detach().flip(1)))
    assert torch.autograd.gradcheck(latent_reconstruction_loss, (s[None], z.detach()[:1]))


# --- invariances ----------------------------------------------------------------------------------


@given(batches(), PLAIN, st.integers(0, 1000))
@settings(max_examples=30)
def test_order_of_samples_modalities_and_names_of_classes_do_not_matter(case, options, seed):
    rng = np.random.default_rng(seed)
    rows, order = rng.permutation(len(case.s)), rng.permutation(len(case.z))
    shuffled = Case(
        s=case.s[rows],
        z=case.z[order][:, rows],
        classes=7 * case.classes[rows] - 3,
        labeled=case.labeled[rows],
        present=case.present[order][:, rows],
    )
    first = soft_pu_loss(**case.tensors(), **options)
    second = soft_pu_loss(**shuffled.tensors(), **options)
    np.testing.assert_allclose(first, second, **EXACT)


def test_length_of_vectors_does_not_matter():
    s, z = (leaf.detach() for leaf in leaves())
    lengths = torch.tensor([1.0, 2.0, 0.1, 7.0, 3.0], dtype=torch.float64)[:, None]
    plain = soft_pu_loss(s, z, CLASSES, LABELED)
    scaled = soft_pu_loss(lengths * s, lengths.flip(0) * z, CLASSES, LABELED)
    torch.testing.assert_close(scaled, plain)


# --- edge cases: finite in value and gradient, and as the docstring says --------------------------


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


@pytest.mark.parametrize("weighting", ["rbf", "cosine", "hard"])
def test_parallel_representations_of_different_length_weigh_one(weighting):
    """Unit vectors made from different lengths differ in their last bits: a width of rounding."""
    lengths = torch.linspace(0.1, 9.0, 7)[:, None]
    direction = torch.tensor([0.3, -1.1, 0.7])
    points = lengths * direction
    classes, labeled = torch.zeros(7, dtype=torch.long), torch.zeros(7, dtype=torch.bool)
    weights = rbf_weights(points, points[None], classes, labeled, weighting=weighting)
    assert torch.equal(weights, torch.ones(1, 7, 7))


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
        return  # a width of 1 against exp(200) is no number of float32: weights are 0 or 1 then
    found = [term.item() for term in out]
    wanted = [term.item() for term in exact]
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_labelled_candidates_that_all_lack_a_modality_leave_a_finite_gradient():
    s, z = leaves(2)
    present = torch.ones(2, 5, dtype=torch.bool)
    present[1, LABELED] = False
    out = soft_pu_loss(s, z, CLASSES, LABELED, present=present, labeled_candidates="labeled")
    assert finite(out, s, z)
    assert out.labeled == 0


# --- blocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_gradient": True, "reference": "class", "normalizer": "weights"},
        {"labeled_candidates": "labeled"},
    ],
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
    """High-water marks of one process: in tiles of 100 rows, then whole; B = 2000 and M = 2."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to read the high-water mark")
    # freed blocks go back at once, so that marks do not depend on what the allocator keeps
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "100000"}
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    start, tiled, plain = map(int, done.stdout.split())
    assert tiled - start < (plain - start) / 8


# --- what may be passed, and what may not ---------------------------------------------------------


def test_arrays_and_lists_are_served():
    s, z = (leaf.detach() for leaf in leaves())
    present = torch.ones(2, 5, dtype=torch.bool)
    present[0, 1] = False
    expected = soft_pu_loss(s, z, CLASSES, LABELED, present=present)
    arrays = [value.numpy() for value in (s, z, CLASSES, LABELED)]
    assert soft_pu_loss(*arrays, present=present.numpy()) == expected
    lists = [value.tolist() for value in (s, z, CLASSES, LABELED)]
    from_lists = soft_pu_loss(*lists, present=present.tolist())
    torch.testing.assert_close(from_lists, expected, check_dtype=False, rtol=1e-5, atol=1e-6)
    assert rbf_weights(*arrays).shape == (2, 5, 5)
    whole = soft_pu_loss(np.eye(5, dtype=int), [np.eye(5, dtype=int)], CLASSES, LABELED)
    assert whole.total.dtype == torch.get_default_dtype()


def test_there_is_one_default_temperature():
    s, z = (leaf.detach() for leaf in leaves())
    assert RobultConfig().temperature == 0.27
    explicit = soft_pu_loss(s, z, CLASSES, LABELED, temperature=0.27)
    assert soft_pu_loss(s, z, CLASSES, LABELED) == explicit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": torch.zeros(2, 4, 3)}, r"z \(2, 4, 3\)"),
        ({"s": torch.zeros(2, 5, 3)}, r"s has shape \(2, 5, 3\)"),
        ({"s": [["a"] * 3] * 5}, "an argument is of the type <U1: give a tensor or numbers"),
        ({"classes": torch.zeros(4)}, r"classes has shape \(4,\)"),
        ({"labeled": torch.zeros(6, dtype=torch.bool)}, r"labeled has shape \(6,\)"),
        ({"present": torch.ones(5, 2, dtype=torch.bool)}, r"present has shape \(5, 2\)"),
        ({"temperature": 0.0}, "temperature of SoftPUOptions is 0.0: it should be greater than 0"),
        ({"temperature": math.nan}, "temperature of SoftPUOptions is nan"),
        ({"bandwidth": -1.0}, "bandwidth of SoftPUOptions is -1.0"),
        ({"block_size": 0}, "block_size is 0"),
        ({"classes": torch.zeros(5)}, "classes have the type torch.float32: expected integers"),
        ({"classes": LABELED}, "classes have the type torch.bool: expected integers"),
        (
            {"classes": LABELED, "labeled": CLASSES},
            r"labeled has the type torch.int64: expected booleans \(were classes and labeled exch",
        ),
        ({"labeled": [1, 1, -1, -1, 0]}, "labeled has the type torch.int64: expected booleans"),
        ({"present": torch.ones(2, 5)}, "present has the type torch.float32: expected booleans"),
        (
            {"weighting": "gauss"},
            "weighting of SoftPUOptions is 'gauss': it should be 'rbf', 'cosine', 'hard' or 'none'",
        ),
        ({"reference": "mean"}, "reference of SoftPUOptions is 'mean'"),
        ({"normalizer": "sum"}, "normalizer of SoftPUOptions is 'sum'"),
        ({"weight_gradient": 1}, "weight_gradient of SoftPUOptions is 1"),
        ({"tau": 0.1}, "unknown setting 'tau' of SoftPUOptions: choose from temperature"),
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


# --- Eq. 10 ---------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("asked", "size", "tile"),
    [(None, 1024, 1024), (None, 1025, 1023), (None, 4096, 256), (None, 2**21, 1), (7, 2000, 7)],
)
def test_tiles_hold_about_a_million_pairs(asked, size, tile):
    assert _tile_size(asked, size) == tile
