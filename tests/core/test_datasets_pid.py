"""The synthetic set: its truth is computed, its ceilings are reachable and never exceeded."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from robult_core.datasets import pid
from robult_core.information import mutual_information

dial = st.one_of(st.just(0.0), st.just(1.0), st.floats(0.05, 0.95))


@given(st.tuples(dial, dial, dial, dial))
@settings(max_examples=15)
def test_each_dial_is_its_part_of_the_pid(values):
    table = pid.generating_table(pid.Dials(*values))
    assert table.sum() == pytest.approx(1)
    assert astuple(pid.pid_truth(pid.Dials(*values))["pid"]) == pytest.approx(values, abs=1e-5)


@given(st.floats(0, 1))
def test_channel_has_the_capacity_of_the_dial(bits):
    e = pid.flip_probability(bits)
    assert 0 <= e <= 0.5
    assert mutual_information(np.array([[1 - e, e], [e, 1 - e]]) / 2) == pytest.approx(
        bits, abs=1e-9
    )


def test_bayes_accuracy_of_a_noisy_bit_is_the_chance_that_it_arrives():
    for bits in (0.2, 0.9):
        arrives = 1 - pid.flip_probability(bits)
        assert pid.pid_truth(pid.Dials(unique1=bits))["bayes_accuracy"] == pytest.approx(
            {"x1": arrives, "x2": 0.5, "x1+x2": arrives}
        )


def test_bayes_accuracy_equals_the_loop_over_rules():
    table = pid.generating_table("mixed")
    best = 0.0
    for state in range(8):  # the best rule names the likeliest class of each state
        best += max(sum(table[state, other, k] for other in range(8)) for k in range(16))
    assert pid.bayes_accuracy(table)["x1"] == pytest.approx(best)


@pytest.mark.parametrize("case", pid.CASES)
def test_samples_follow_the_generating_table(case):
    data = pid.load_pid(case, n=4000)
    parts = data.display["components"]
    x1 = 4 * parts["redundancy"] + 2 * parts["unique1"] + parts["synergy1"]
    x2 = 4 * parts["redundancy"] + 2 * parts["unique2"] + parts["synergy2"]
    table = pid.generating_table(case)
    counts = np.zeros(table.shape)
    np.add.at(counts, (x1, x2, data.targets.numpy()), 1)
    assert counts[table == 0].sum() == 0
    assert np.abs(counts / 4000 - table).max() < 0.02
    assert np.array_equal(parts["synergy"], parts["synergy1"] ^ parts["synergy2"])
    assert len(data.class_names) == data.task.n_outputs == table.shape[2]


@pytest.mark.parametrize("case", ["mixed", "noisy", "shared_and_unique"])
def test_channels_flip_as_many_bits_as_their_dials_say(case):
    n = 20000
    data = pid.load_pid(case, n)
    dials = pid.dials_of(case)
    rest = data.targets.numpy()
    for place in reversed(dials.active):  # the last active component is the lowest bit
        rest, bit = np.divmod(rest, 2)
        flipped = (bit != data.display["components"][pid.COMPONENTS[place]]).mean()
        expected = dials.flips[place]
        assert flipped == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


def test_features_carry_noise_of_the_stated_size():
    data = pid.load_pid(n=20000)
    for modality, x in enumerate(data.modalities.values()):
        mixing = pid.mixing_matrix(modality)
        read = x.numpy() @ mixing  # bits and nuisances, each with its noise
        assert np.abs(read[:, :3]).mean() == pytest.approx(1, abs=0.01)
        assert (np.abs(read[:, :3]) - 1).std() == pytest.approx(pid.NOISE, rel=0.02)
        assert mixing.shape == (32, 8)
        nuisance = np.hypot(0.5, 0.2)
        assert read[:, 3:].std() == pytest.approx(nuisance, rel=0.02)
        left_over = x.numpy() - read @ mixing.T
        share = 1 - mixing.shape[1] / pid.WIDTH
        assert left_over.std() == pytest.approx(pid.NOISE * np.sqrt(share), rel=0.02)


def test_bits_can_be_read_from_the_features_and_only_where_they_are():
    assert pytest.approx(6 * norm.cdf(-1 / pid.NOISE), rel=1e-6) == pid.READING_ERROR
    data = pid.load_pid(n=20000)
    parts = data.display["components"]
    for modality, names in enumerate(
        [("redundancy", "unique1", "synergy1"), ("redundancy", "unique2", "synergy2")]
    ):
        features = data.modalities[f"x{modality + 1}"].numpy()
        for column, name in enumerate(names):
            read = features @ pid.mixing_matrix(modality)[:, column] > 0
            assert np.array_equal(read, parts[name])
    stranger = LogisticRegression().fit(
        data.modalities["x2"][:10000].numpy(), parts["unique1"][:10000]
    )
    assert stranger.score(
        data.modalities["x2"][10000:].numpy(), parts["unique1"][10000:]
    ) == pytest.approx(0.5, abs=0.02)


def test_ceilings_are_reached_with_all_labels_and_synergy_is_out_of_reach_for_one_modality():
    data = pid.load_pid("synergy", n=4000)
    train, test = data.rows("train"), data.rows("test")
    both = torch.cat(list(data.modalities.values()), dim=1).numpy()
    y = data.targets.numpy()
    scores = {}
    for name, x in {"x1": data.modalities["x1"].numpy(), "x1+x2": both}.items():
        net = MLPClassifier(
            (32,), max_iter=60, early_stopping=True, n_iter_no_change=60, random_state=0
        )
        with pytest.warns(UserWarning, match="Maximum iterations"):
            scores[name] = net.fit(x[train], y[train]).score(x[test], y[test])
    assert scores["x1"] == pytest.approx(0.5, abs=0.06)
    assert scores["x1+x2"] > 0.97


def test_default_set_is_stratified_fixed_and_named():
    data, again = pid.load_pid(), pid.load_pid("mixed", n=2000, seed=0)
    assert data.checksum == again.checksum
    assert data.checksum != pid.load_pid(seed=1).checksum
    assert data.names == ("x1", "x2")
    assert (len(data.rows("train")), len(data.rows("test"))) == (1400, 600)
    counts = [
        np.bincount(data.targets[data.rows(part)].numpy(), minlength=16)
        for part in ("train", "test")
    ]
    assert np.abs(counts[0] / 1400 - counts[1] / 600).max() < 0.002
    assert data.checksum.startswith("2b84a81ee42779334e8d")  # the published set
    assert pid.load_pid("synergy").name == "pid-synergy"
    assert pid.load_pid(pid.Dials(synergy=1.0), n=20).name == "pid"
    assert data.class_names[5] == "redundancy=0 unique1=1 unique2=0 synergy=1"
    assert len(pid.load_pid(n=160)) == 160


def test_the_cases():
    assert {name: astuple(dials) for name, dials in pid.CASES.items()} == {
        "mixed": (1, 0.8, 0.6, 0.4),
        "redundant": (1, 0, 0, 0),
        "unique1": (0, 1, 0, 0),
        "unique2": (0, 0, 1, 0),
        "synergy": (0, 0, 0, 1),
        "shared_and_unique": (1, 1, 1, 0),
        "noisy": (0.5, 0.5, 0, 0),
    }
    assert hash(pid.CASES["noisy"]) == hash(pid.Dials(0.5, 0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pid.Dials(synergy=1.5), r"synergy=1.5 is outside \[0, 1\]"),
        (lambda: pid.Dials(unique1=float("nan")), "unique1=nan"),
        (lambda: pid.load_pid("sinergy"), "no case 'sinergy': choose one of mixed"),
        (lambda: pid.load_pid(pid.Dials()), "all dials of pid are 0"),
        (lambda: pid.Dials(unique2=-0.1), r"unique2=-0.1 is outside \[0, 1\]"),
        (lambda: pid.load_pid(n=159), "n=159 is too few for 16 classes: ask for at least 160"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
