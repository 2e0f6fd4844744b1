"""The decomposition against closed forms, an independent library and the released estimators."""

from __future__ import annotations

import json
import math
import subprocess
import sys
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
    nats = {
        "I_x1_y": information_nats(table.sum(1)),
        "I_x2_y": information_nats(table.sum(0)),
        "I_x1x2_y": information_nats(table.reshape(-1, table.shape[2])),
    }
    assert nats == pytest.approx(case["mutual_information_nats"], abs=2e-6)


def information_nats(joint):
    return info.mutual_information(joint) * math.log(2)


def test_nats_of_and():
    assert info.decompose(AND).nats["redundancy"] == pytest.approx(0.215762, abs=1e-6)


@st.composite
def tables(draw):
    """Random joint tables up to 4x4x4 with a third of the cells empty and states without mass."""
    shape = tuple(draw(st.integers(2, 4)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.exponential(size=shape) * (rng.random(shape) > 0.3)
    weights[tuple(rng.integers(0, shape))] += 0.1
    if draw(st.booleans()):
        weights[0] = 0.0
        weights[1, 0, 0] += 0.1
    return weights / weights.sum()


@given(tables(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_invariances(table, seed):
    pid = info.decompose(table)
    both = info.mutual_information(table.reshape(-1, table.shape[2]))
    first = info.mutual_information(table.sum(1))
    assert pid.total == pytest.approx(both, abs=1e-9)
    assert pid.redundancy + pid.unique1 == pytest.approx(first, abs=1e-9)
    assert min(astuple(pid)) > -1e-12

    swapped = info.decompose(table.transpose(1, 0, 2))
    mirrored = info.PID(swapped.redundancy, swapped.unique2, swapped.unique1, swapped.synergy)
    rng = np.random.default_rng(seed)
    order = np.ix_(*[rng.permutation(n) for n in table.shape])
    reordered = info.decompose(table[order])
    padded = info.decompose(np.pad(table, ((0, 1), (1, 0), (0, 2))))
    for other in (mirrored, reordered, padded):
        assert astuple(other) == pytest.approx(astuple(pid), abs=2e-6)


def parts_by_dit(table):
    """Only for gates: on some random tables dit stops early, and not always at the same place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside dit and its dependencies
        import dit

        cells = ["".join(map(str, cell)) for cell in np.ndindex(table.shape)]
        distribution = dit.Distribution(cells, table.ravel())
        lattice = dit.pid.PID_BROJA(distribution, [[0], [1]], [2])
        redundancy, unique1, unique2, synergy = ((0,), (1,)), ((0,),), ((1,),), ((0, 1),)
        return [lattice.get_pi(node) for node in (redundancy, unique1, unique2, synergy)]


@pytest.mark.parametrize("name", ["and", "xor", "unique1", "redundant", "copy_y_is_pair"])
def test_agrees_with_dit_on_gates(name):
    """dit starts at random and at times stops early, with less synergy: its best of six counts."""
    table = EXACT[name][0]
    best = max((parts_by_dit(table) for _ in range(6)), key=lambda parts: parts[3])
    assert astuple(info.decompose(table)) == pytest.approx(best, abs=1e-4)


def largest_conditional_entropy_by_cvxpy(p):
    """The same programme, written down as it reads."""
    import cvxpy as cp

    q = [cp.Variable(p.shape[:2], nonneg=True) for _ in range(p.shape[2])]  # one table per y
    marginals = []
    for y, q_y in enumerate(q):
        marginals.append(cp.sum(q_y, axis=1) == p[:, :, y].sum(1))
        marginals.append(cp.sum(q_y, axis=0) == p[:, :, y].sum(0))
    entropy = -sum(cp.sum(cp.rel_entr(q_y, sum(q))) for q_y in q)
    problem = cp.Problem(cp.Maximize(entropy), marginals)
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
    whole = info._largest_conditional_entropy(table)
    assert info._largest_conditional_entropy(split) == pytest.approx(whole, abs=1e-7)
    assert astuple(info.decompose(split)) == pytest.approx(astuple(info.decompose(table)), abs=1e-7)


def test_independent_systems_add_up():
    table = np.array(RANDOM_3X3X2)
    product = np.einsum("abc,xyz->axbycz", table, AND).reshape(6, 6, 4)
    parts, parts_of_and = astuple(info.decompose(table)), astuple(info.decompose(AND))
    added = np.add(parts, parts_of_and)
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
        (np.array([[[-np.inf, 1.0]]]), "probability -inf"),
    ],
)
def test_bad_tables_are_named(table, message):
    with pytest.raises(ValueError, match=message):
        info.decompose(table)


def test_decompose_samples_finds_clusters_and_knows_its_bias():
    rng = np.random.default_rng(0)
    bits1, bits2 = rng.integers(0, 2, (2, 1500))
    centers = rng.standard_normal((2, 12))
    x1 = centers[bits1] + 0.05 * rng.standard_normal((1500, 12))
    x2 = centers[bits2] + 0.05 * rng.standard_normal((1500, 12))
    y = bits1 ^ bits2
    estimate = info.decompose_samples(x1, x2, y, clusters=2)
    assert astuple(estimate) == pytest.approx((0, 0, 0, 1), abs=0.01)
    states = info.decompose_samples(bits1, bits2, y)  # integers are states already
    assert astuple(states) == pytest.approx(astuple(estimate), abs=1e-9)
    baseline = info.permutation_baseline(x1, x2, y, clusters=2, n_permutations=5)
    assert len(baseline) == 5
    assert 0 < max(pid.total for pid in baseline) < 0.02
    finer = info.permutation_baseline(x1, x2, y, clusters=10, n_permutations=3)
    assert min(pid.total for pid in finer) > max(pid.total for pid in baseline)


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


@pytest.mark.parametrize("lengths", [(3, 2), (0, 0)])
def test_unequal_and_empty_columns_are_named(lengths):
    with pytest.raises(ValueError, match=rf"columns of \[{lengths[0]}, {lengths[1]}\]"):
        info.joint_table(*map(np.arange, lengths))


def test_one_column_has_a_table():
    assert info.joint_table(np.array([5, 7, 7, 7])).tolist() == [0.25, 0.75]


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
    twice = info.sinkhorn(matrix, rows, columns, calls=2)
    assert torch.equal(scaled, twice)  # the second call fits
    assert scaled.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    tight = info.sinkhorn(matrix, rows, columns, tolerance=1e-10)
    assert torch.allclose(tight.sum(1), rows)
    assert torch.allclose(tight.sum(0), columns)


def posteriors(*of_first_class):
    """p(y|x) of two classes, `(N, 2)`."""
    first = torch.tensor(of_first_class, dtype=torch.float64)
    return torch.stack([first, 1 - first], dim=1)


def test_alignment_information_meets_the_released_code():
    logits = [
        [[0.2, -0.1], [0.5, 0.3], [-0.4, 0.1]],
        [[0.0, 0.6], [-0.3, 0.2], [0.4, -0.5]],
        [[0.1, 0.1], [0.7, -0.2], [-0.6, 0.8]],
    ]
    given1 = posteriors(0.7, 0.2, 0.6)
    given2 = posteriors(0.5, 0.35, 0.65)
    given12 = posteriors(0.9, 0.15, 0.7)
    prior = torch.tensor([0.5, 0.5], dtype=torch.float64)
    loss, union = info.alignment_information(
        torch.tensor(logits, dtype=torch.float64), given1, given2, prior
    )
    assert loss.item() == pytest.approx(0.062724, abs=1e-6)
    assert union.item() == pytest.approx(0.161112, abs=1e-6)
    first, second, both = (
        info.posterior_information(given, prior).item() for given in (given1, given2, given12)
    )
    assert [first, second, both] == pytest.approx([0.098388, 0.030467, 0.240262], abs=1e-6)
    parts = asdict(info.PID.from_information(first, second, union.item(), both))
    expected = {
        "redundancy": -0.032257,
        "unique1": 0.130645,
        "unique2": loss.item(),
        "synergy": 0.07915,
    }
    assert parts == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("lengths", [(9, 9, 8), (7, 7, 7)])
def test_batch_estimate_wants_equal_lengths_of_eight(lengths):
    x1, x2, y = (np.ones((n, 2)) for n in lengths)
    with pytest.raises(ValueError, match="of {}, {}, {} samples".format(*lengths)):
        info.batch_estimate(x1, x2, y[:, 0])


def test_batch_estimate_has_defaults_and_serves_eight_samples():
    options = {"epochs": 10, "classifier_epochs": 40, "batch": 256}
    label = np.bitwise_and
    assert batch_on_gate(label, 600) == batch_on_gate(label, 600, seed=0, **options)
    assert all(map(math.isfinite, astuple(batch_on_gate(label, 8, epochs=1))))


def batch_on_gate(label, n, **options):
    bits1, bits2 = np.random.default_rng(0).integers(0, 2, (2, n))
    y = label(bits1, bits2)
    return info.batch_estimate(np.eye(2)[bits1], np.eye(2)[bits2], y, **options)


def test_batch_estimate_is_repeatable_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    options = {"epochs": 1, "classifier_epochs": 2}
    first = batch_on_gate(np.bitwise_and, 600, **options)
    assert torch.equal(before, torch.get_rng_state())
    assert first == batch_on_gate(np.bitwise_and, 600, **options)
    assert first != batch_on_gate(np.bitwise_and, 600, seed=1, **options)
    assert all(map(math.isfinite, astuple(first)))


def test_batch_estimate_serves_more_than_two_classes():
    parts = batch_on_gate(lambda a, b: 2 * a + b, 64, epochs=1, classifier_epochs=1)
    assert all(map(math.isfinite, astuple(parts)))


def test_batch_estimate_is_measured_on_rows_that_nothing_was_fitted_on(monkeypatch):
    """Its classifiers are replaced by ones that know the fitted rows by heart and no other."""

    fitted, measured = [], []

    def by_heart(x, labels, train, *_):
        fitted.append(len(train))
        given = torch.full((len(x), 2), 0.5)
        given[train] = torch.eye(2)[labels[train]].clamp(0.01, 0.99)
        return given

    real = info.alignment_information

    def information(logits, given1, given2, prior):
        if not torch.is_grad_enabled():
            measured.append(torch.cat([given1, given2]))
        return real(logits, given1, given2, prior)

    monkeypatch.setattr(info, "_posteriors", by_heart)
    monkeypatch.setattr(info, "alignment_information", information)
    estimate = batch_on_gate(lambda a, b: a, 1000, epochs=1)
    assert fitted == [750] * 3
    assert [len(given) for given in measured] == [2 * 250]
    assert all((given == 0.5).all() for given in measured)
    assert estimate.redundancy + estimate.unique1 == pytest.approx(0, abs=0.01)
    assert estimate.redundancy + estimate.unique2 == pytest.approx(0, abs=0.01)
    assert sum(astuple(estimate)) == pytest.approx(0, abs=0.01)


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
    bits = np.random.default_rng(0).integers(0, 2, 6000)
    estimate = info.batch_estimate(np.eye(2)[bits], np.eye(2)[bits], bits)
    assert astuple(estimate) == pytest.approx((1, 0, 0, 0), abs=0.05)


def test_importing_the_module_loads_no_solver():
    """Clarabel, scipy's sparse matrices and scikit-learn load on use."""
    code = "import sys, robult_core.information; print(*{'clarabel', 'cvxpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_sum_that_is_rounded_is_made_one():
    table = info.check_table(np.full(2, 0.5) * (1 + 5e-7), 1)
    assert table.sum() == pytest.approx(1, abs=1e-12)
    assert info.entropy(np.ones(1)) == 0


def test_rounding_makes_no_information_negative():
    rng = np.random.default_rng(0)
    rows, columns = rng.dirichlet(np.ones(5), size=(2, 50))
    found = [info.mutual_information(np.outer(*pair)) for pair in zip(rows, columns, strict=True)]
    assert min(found) == 0


def test_the_solver_is_silent_and_its_answer_stays_as_it_is(capfd):
    parts = info.decompose(AND)
    assert capfd.readouterr().out == ""
    assert hash(parts)


def test_features_become_unit_rows_and_five_components(monkeypatch):
    from sklearn.cluster import KMeans

    seen = []
    monkeypatch.setattr(KMeans, "fit_predict", lambda _, x: seen.append(x) or np.zeros(40))
    features = np.random.default_rng(0).standard_normal((40, 9))
    info.discretize(features, 40)
    info.discretize(features[:, :3], 1, components=4)
    info.discretize(7 * features, 2)
    assert [x.shape for x in seen] == [(40, 5), (40, 3), (40, 5)]
    np.testing.assert_allclose(seen[2], seen[0])


def test_samples_are_put_into_twenty_clusters_and_shuffled_twenty_times():
    rng = np.random.default_rng(0)
    x1, x2 = rng.standard_normal((2, 60, 3))
    y = rng.integers(0, 2, 60)
    assert info.decompose_samples(x1, x2, y) == info.decompose_samples(x1, x2, y, 20, 0)
    assert info.decompose_samples(x1, x2, y) != info.decompose_samples(x1, x2, y, 20, 1)
    first = info.permutation_baseline(x1, x2, y, n_permutations=1)
    assert first == info.permutation_baseline(x1, x2, y, 20, 0, 1)
    assert len(info.permutation_baseline(y, y, y)) == 20


def test_an_impossible_class_gives_no_infinite_information():
    certain = torch.eye(2).repeat(3, 1)
    information = info.posterior_information(certain, torch.tensor([0.5, 0.5]))
    assert information.item() == pytest.approx(math.log(2))


def test_scaling_ends_as_soon_as_either_sum_fits():
    """After the columns are scaled the rows fit, or after the rows the columns do."""
    fits = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    once = info.sinkhorn(fits, fits.sum(1), fits.sum(0) * 1.004)
    torch.testing.assert_close(once, fits * 1.004)
    then_rows = info.sinkhorn(fits, fits.sum(1), fits.sum(0) * 1.004, tolerance=0.0039)
    torch.testing.assert_close(then_rows, fits)


def test_the_networks_have_the_widths_of_the_released_code():
    layers = [layer for layer in info._network(3, 7) if isinstance(layer, torch.nn.Linear)]
    widths = [(layer.in_features, layer.out_features) for layer in layers]
    assert widths == [(3, 32), (32, 32), (32, 32), (32, 32), (32, 7)]


def test_logits_of_the_alignment_are_products_of_standardised_vectors():
    alignment = info.Alignment(3, 3, 2)
    alignment.second = alignment.first
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    logits = alignment(x, x)
    assert logits.shape == (5, 5, 2)
    lengths = logits.diagonal()  # ten numbers of variance 1, divided by the root of ten
    torch.testing.assert_close(lengths, torch.full((2, 5), math.sqrt(10)), rtol=1e-3, atol=0)


def test_a_last_partial_batch_is_left_out_unless_it_is_the_only_one():
    rows = torch.arange(10)
    assert [len(part) for part in info._full_batches(rows, 4)] == [4, 4]
    assert [len(part) for part in info._full_batches(rows[:3], 4)] == [3]
