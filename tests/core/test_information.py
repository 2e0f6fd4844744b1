"""information.py against closed forms, an independent library and the figures of the released estimators."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict, astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core import information as info

# Tables and parts in bits, solved once at 1e-12 outside this package (fixture pid_exact.json).
RANDOM_3X3X2 = [
    [[0.037, 0.053], [0.029, 0.046], [0.011, 0.175]],
    [[0.001, 0.146], [0.03, 0.016], [0.028, 0.016]],
    [[0.047, 0.056], [0.098, 0.012], [0.163, 0.036]],
]
AND = info.gate_table(lambda a, b: a & b)
EXACT = {
    "and": (AND, (0.311278, 0, 0, 0.5)),
    "or": (info.gate_table(lambda a, b: a | b), (0.311278, 0, 0, 0.5)),
    "xor": (info.gate_table(lambda a, b: a ^ b), (0, 0, 0, 1)),
    "unique1": (info.gate_table(lambda a, b: a), (0, 1, 0, 0)),
    "redundant": (np.array([[[0.5, 0], [0, 0]], [[0, 0], [0, 0.5]]]), (1, 0, 0, 0)),
    "copy_y_is_pair": (info.gate_table(lambda a, b: 2 * a + b), (0, 1, 1, 0)),
    "random_3x3x2": (np.array(RANDOM_3X3X2), (0.07815, 0.118668, 0, 0.187741)),
    "noisy_and": (0.9 * AND + 0.05 * AND.sum(2, keepdims=True), (0.20535, 0, 0, 0.356802)),
}

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures/pid_exact.json").read_text())["cases"]


@pytest.mark.parametrize("name", EXACT)
def test_exact_parts_of_known_tables(name):
    table, bits = EXACT[name]
    assert astuple(info.decompose(table)) == pytest.approx(bits, abs=1e-6)


@pytest.mark.parametrize("name", FIXTURE)
def test_the_fixture_is_met_in_bits_nats_and_mutual_information(name):
    case = FIXTURE[name]
    table = np.array(case["P"])
    parts = info.decompose(table)
    assert asdict(parts) == pytest.approx(case["bits"], abs=2e-6)
    assert parts.nats == pytest.approx(case["nats"], abs=2e-6)
    sides = {
        "I_x1_y": table.sum(1),
        "I_x2_y": table.sum(0),
        "I_x1x2_y": table.reshape(-1, table.shape[2]),
    }
    found = {side: info.mutual_information(joint) * math.log(2) for side, joint in sides.items()}
    assert found == pytest.approx(case["mutual_information_nats"], abs=2e-6)


def test_nats_of_and():
    assert info.decompose(AND).nats["redundancy"] == pytest.approx(0.215762, abs=1e-6)


@st.composite
def tables(draw):
    """Random joint tables up to 4x4x4, about a third of the cells empty; some states have no mass at all."""
    shape = tuple(draw(st.integers(2, 4)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.exponential(size=shape) * (rng.random(shape) > 0.3)
    weights[tuple(rng.integers(0, shape))] += 0.1
    if draw(st.booleans()):
        weights[0] = 0.0
        weights[1, 0, 0] += 0.1
    return weights / weights.sum()


@given(tables(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_invariances(table, seed):
    pid = info.decompose(table)
    assert pid.total == pytest.approx(
        info.mutual_information(table.reshape(-1, table.shape[2])), abs=1e-9
    )
    assert min(astuple(pid)) > -1e-12
    assert pid.redundancy + pid.unique1 == pytest.approx(
        info.mutual_information(table.sum(1)), abs=1e-9
    )
    swapped = info.decompose(table.transpose(1, 0, 2))
    assert astuple(swapped) == pytest.approx(
        (pid.redundancy, pid.unique2, pid.unique1, pid.synergy), abs=2e-6
    )
    rng = np.random.default_rng(seed)
    orders = np.ix_(*[rng.permutation(n) for n in table.shape])
    assert astuple(info.decompose(table[orders])) == pytest.approx(astuple(pid), abs=2e-6)
    padded = np.pad(table, ((0, 1), (1, 0), (0, 2)))
    assert astuple(info.decompose(padded)) == pytest.approx(astuple(pid), abs=2e-6)


def parts_by_dit(table):
    """Only for gates: on some random tables dit stops early, at a place that differs between runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside dit and its dependencies
        import dit

        cells = ["".join(map(str, cell)) for cell in np.ndindex(table.shape)]
        lattice = dit.pid.PID_BROJA(dit.Distribution(cells, table.ravel()), [[0], [1]], [2])
        return [lattice.get_pi(node) for node in (((0,), (1,)), ((0,),), ((1,),), ((0, 1),))]


@pytest.mark.parametrize("name", ["and", "xor", "unique1", "redundant", "copy_y_is_pair"])
def test_agrees_with_dit_on_gates(name):
    """dit minimises from a random start and at times stops early, with less synergy: its best of six counts."""
    table = EXACT[name][0]
    best = max((parts_by_dit(table) for _ in range(6)), key=lambda parts: parts[3])
    assert astuple(info.decompose(table)) == pytest.approx(best, abs=1e-4)


def largest_conditional_entropy_by_cvxpy(p):
    """The same programme, written down as it reads."""
    import cvxpy as cp

    q = [cp.Variable(p.shape[:2], nonneg=True) for _ in range(p.shape[2])]
    fixed = [
        cp.sum(q[k], axis=1 - axis) == p[:, :, k].sum(1 - axis)
        for k in range(len(q))
        for axis in (0, 1)
    ]
    problem = cp.Problem(cp.Maximize(-sum(cp.sum(cp.rel_entr(part, sum(q))) for part in q)), fixed)
    return problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 4, 2), (4, 3, 5), (6, 6, 10)])
def test_programme_equals_the_plain_formulation(shape):
    table = np.random.default_rng(sum(shape)).dirichlet(np.full(np.prod(shape), 0.5)).reshape(shape)
    direct = info._largest_conditional_entropy(table)
    assert direct == pytest.approx(largest_conditional_entropy_by_cvxpy(table), abs=1e-6)


def test_states_that_say_the_same_are_merged_without_change():
    table = np.array(RANDOM_3X3X2)
    split = np.concatenate([0.25 * table[:1], table[1:], 0.75 * table[:1]])  # state 0 in two halves
    assert info._merge(split).shape == (3, 3, 2)
    assert info._merge(table).shape == (3, 3, 2)
    assert info._largest_conditional_entropy(split) == pytest.approx(
        info._largest_conditional_entropy(table), abs=1e-7
    )
    assert astuple(info.decompose(split)) == pytest.approx(astuple(info.decompose(table)), abs=1e-7)


def test_independent_systems_add_up():
    table = np.array(RANDOM_3X3X2)
    product = np.einsum("abc,xyz->axbycz", table, AND).reshape(6, 6, 4)
    added = [
        a + b
        for a, b in zip(astuple(info.decompose(table)), astuple(info.decompose(AND)), strict=True)
    ]
    assert astuple(info.decompose(product)) == pytest.approx(added, abs=1e-5)


def test_entropy_and_mutual_information():
    assert info.entropy(np.full(8, 1 / 8)) == pytest.approx(3)
    assert info.entropy(np.array([1.0, 0.0])) == 0
    assert info.mutual_information(np.diag([0.25] * 4)) == pytest.approx(2)
    assert info.mutual_information(np.outer([0.3, 0.7], [0.9, 0.1])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.full((2, 2), 0.25), "has 2 axes: expected 3"),
        (np.zeros((0, 2, 2)), "none of them empty"),
        (np.full((2, 2, 2), 0.2), "sums to 1.6"),
        (np.array([[[1.5, -0.5]]]), "probability -0.5"),
        (np.array([[[np.nan, 1.0]]]), "probability nan"),
    ],
)
def test_bad_tables_are_named(table, message):
    with pytest.raises(ValueError, match=message):
        info.decompose(table)


def test_decompose_samples_finds_clusters_and_knows_its_bias():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 1500))
    centers = rng.standard_normal((2, 12))
    x1, x2 = (centers[bits] + 0.05 * rng.standard_normal((1500, 12)) for bits in (a, b))
    estimate = info.decompose_samples(x1, x2, a ^ b, clusters=2)
    assert astuple(estimate) == pytest.approx((0, 0, 0, 1), abs=0.01)
    states = info.decompose_samples(a, b, a ^ b)  # integers are states already
    assert astuple(states) == pytest.approx(astuple(estimate), abs=1e-9)
    baseline = info.permutation_baseline(x1, x2, a ^ b, clusters=2, n_permutations=5)
    assert len(baseline) == 5
    assert 0 < max(part.total for part in baseline) < 0.02
    finer = info.permutation_baseline(x1, x2, a ^ b, clusters=10, n_permutations=3)
    assert min(part.total for part in finer) > max(part.total for part in baseline)


@pytest.mark.parametrize(
    ("x", "clusters", "message"),
    [
        (np.full((4, 2), np.inf), 2, "pass a finite"),
        (np.zeros(4), 2, r"shape \(4,\)"),
        (np.ones((4, 2)), 9, "clusters=9 does not fit 4"),
    ],
)
def test_bad_features_are_named(x, clusters, message):
    with pytest.raises(ValueError, match=message):
        info.discretize(x, clusters)


def test_unequal_columns_are_named():
    with pytest.raises(ValueError, match=r"columns of \[3, 2\]"):
        info.joint_table(np.arange(3), np.arange(2))


def test_sinkhorn_meets_the_released_code():
    matrix = torch.tensor([[1.0, 2.0, 0.5], [0.3, 1.5, 1.0], [2.0, 0.2, 0.7]], dtype=torch.float64)
    rows, columns = torch.tensor([[0.7, 0.2, 0.5], [0.6, 0.3, 0.5]], dtype=torch.float64)
    once = info.sinkhorn(matrix, rows, columns, calls=1)
    expected = [
        [0.278121, 0.248054, 0.173825],
        [0.02704, 0.060292, 0.112667],
        [0.33736, 0.015044, 0.147595],
    ]
    assert once.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    scaled = info.sinkhorn(matrix, rows, columns)
    expected = [
        [0.263461, 0.233431, 0.203107],
        [0.023939, 0.053026, 0.123034],
        [0.315668, 0.013984, 0.170348],
    ]
    assert torch.equal(
        scaled, info.sinkhorn(matrix, rows, columns, calls=2)
    )  # the second call fits
    assert scaled.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    tight = info.sinkhorn(matrix, rows, columns, tolerance=1e-10)
    assert torch.allclose(tight.sum(1), rows)
    assert torch.allclose(tight.sum(0), columns)


def test_alignment_information_meets_the_released_code():
    logits = [
        [[0.2, -0.1], [0.5, 0.3], [-0.4, 0.1]],
        [[0.0, 0.6], [-0.3, 0.2], [0.4, -0.5]],
        [[0.1, 0.1], [0.7, -0.2], [-0.6, 0.8]],
    ]
    given1, given2, given12 = (
        torch.tensor([[p, 1 - p] for p in column], dtype=torch.float64)
        for column in ([0.7, 0.2, 0.6], [0.5, 0.35, 0.65], [0.9, 0.15, 0.7])
    )
    prior = torch.tensor([0.5, 0.5], dtype=torch.float64)
    loss, union = info.alignment_information(
        torch.tensor(logits, dtype=torch.float64), given1, given2, prior
    )
    values = [info.posterior_information(part, prior).item() for part in (given1, given2, given12)]
    assert [loss.item(), union.item(), *values] == pytest.approx(
        [0.062724, 0.161112, 0.098388, 0.030467, 0.240262], abs=1e-6
    )
    parts = asdict(info.PID.from_information(values[0], values[1], union.item(), values[2]))
    expected = {
        "redundancy": -0.032257,
        "unique1": 0.130645,
        "unique2": loss.item(),
        "synergy": 0.07915,
    }
    assert parts == pytest.approx(expected, abs=1e-6)


def test_batch_estimate_wants_equal_lengths():
    with pytest.raises(ValueError, match="of 9, 9, 8 samples"):
        info.batch_estimate(np.ones((9, 2)), np.ones((9, 2)), np.ones(8))


def batch_on_gate(label, n, **options):
    a, b = np.random.default_rng(0).integers(0, 2, (2, n))
    return info.batch_estimate(np.eye(2)[a], np.eye(2)[b], label(a, b), **options)


def test_batch_estimate_is_repeatable_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    options = {"epochs": 1, "classifier_epochs": 2}
    first = batch_on_gate(np.bitwise_and, 600, **options)
    assert torch.equal(before, torch.get_rng_state())
    assert first == batch_on_gate(np.bitwise_and, 600, **options)
    assert first != batch_on_gate(np.bitwise_and, 600, seed=1, **options)
    assert all(map(math.isfinite, astuple(first)))


@pytest.mark.parametrize(
    ("label", "bits"),
    [
        (np.bitwise_and, (0.311278, 0, 0, 0.5)),
        (np.bitwise_xor, (0, 0, 0, 1)),
        (lambda a, b: a, (0, 1, 0, 0)),
    ],
    ids=["and", "xor", "unique1"],
)
def test_batch_estimate_is_within_tolerance(label, bits):
    assert astuple(batch_on_gate(label, 6000)) == pytest.approx(bits, abs=0.05)


def test_batch_estimate_of_redundancy_is_within_tolerance():
    a = np.random.default_rng(0).integers(0, 2, 6000)
    assert astuple(info.batch_estimate(np.eye(2)[a], np.eye(2)[a], a)) == pytest.approx(
        (1, 0, 0, 0), abs=0.05
    )
