"""Probes against channels whose information is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robult_core.datasets import MultimodalData
from robult_core.tasks import Classification
from robult_study.results import probes
from robult_study.results.probes import Side


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def halves(latent: np.ndarray, target: np.ndarray) -> tuple[Side, Side]:
    """The first half as training side, the second as test side."""
    middle = len(latent) // 2
    return Side(latent[:middle], target[:middle]), Side(latent[middle:], target[middle:])


def as_latent(bit: np.ndarray) -> np.ndarray:
    return bit[:, None] * 2.0 - 1


# Rows --------------------------------------------------------------------------------------------


def test_probe_rows_hold_every_class_of_a_sorted_file():
    labels = torch.arange(10).repeat_interleave(60)  # sorted, as in the files of handwritten
    split = np.resize(["train", "train", "test"], len(labels))
    inputs = {"a": torch.zeros(len(labels), 2)}
    data = MultimodalData("sorted", Classification(10), inputs, labels, split)
    rows = probes.probe_rows(data, 150)
    assert len(set(rows)) == 150
    assert set(split[rows]) == {"train"}
    assert set(labels[rows].tolist()) == set(range(10))
    assert sorted(probes.probe_rows(data, 10_000)) == data.rows("train").tolist()
    assert probes.probe_rows(data, 150, seed=1).tolist() != rows.tolist()


# Classes -----------------------------------------------------------------------------------------


def test_bits_of_a_binary_channel():
    """A bit behind a channel that flips 11 % of it carries 1 - h(0.11) = 0.500 bits."""
    rng = np.random.default_rng(0)
    bit = rng.integers(0, 2, 8000)
    seen = bit ^ (rng.random(8000) < 0.11)
    assert probes.probe_bits(*halves(as_latent(seen), bit)) == pytest.approx(0.5, abs=0.05)


def test_an_unrelated_bit_carries_nothing_and_never_less():
    rng = np.random.default_rng(0)
    seen, other = rng.integers(0, 2, (2, 8000))
    assert 0 <= probes.probe_bits(*halves(as_latent(seen), other)) < 0.01
    bit = np.arange(40) % 2
    train, test = Side(as_latent(bit), bit), Side(as_latent(bit), 1 - bit)
    assert probes.probe_bits(train, test) == 0  # wrong every time, which is far worse than chance


def test_the_entropy_is_that_of_the_test_labels():
    """Four equal classes that can be read without doubt carry two bits."""
    labels = np.tile(np.arange(4), 200)
    latent = 50 * np.eye(4)[labels]
    assert probes.probe_bits(*halves(latent, labels)) == pytest.approx(2, abs=0.02)


def test_a_probe_sees_only_what_is_large_enough():
    """One scale for the whole latent: a direction 1000 times smaller than another is not found."""
    rng = np.random.default_rng(0)
    bit = rng.integers(0, 2, 600)
    large = rng.standard_normal(600)
    equal = np.stack([large, 2.0 * bit - 1], axis=1)
    small = np.stack([large, 1e-3 * (2.0 * bit - 1)], axis=1)
    assert probes.probe_bits(*halves(equal, bit)) > 0.8
    assert probes.probe_bits(*halves(small, bit)) < 0.05


def test_a_constant_latent_is_no_accident():
    labels = np.tile([0, 1], 50)
    assert probes.probe_accuracy(*halves(np.zeros((100, 2)), labels)) == 0.5


def test_accuracy_of_classes_that_lie_apart():
    labels = np.tile([0, 1], 100)
    apart = points(200, 3) + 20 * labels[:, None]
    assert probes.probe_accuracy(*halves(apart, labels)) == 1


def test_which_modality_a_latent_comes_from():
    same = {"z/a": points(300, 3), "z/b": points(300, 3, 1)}
    others = {"z/a": points(300, 3, 2), "z/b": points(300, 3, 3)}
    assert probes.modality_probe(same, others, "z") == pytest.approx(0.5, abs=0.08)
    cloud = points(200, 3)
    moved = {"z/a": cloud, "z/b": cloud + 20, "u/a": cloud}
    assert probes.modality_probe(moved, moved, "z") == 1
    assert np.isnan(probes.modality_probe(moved, moved, "u"))


# Other latents -----------------------------------------------------------------------------------


def test_the_share_explained():
    x = points(600, 4)
    linear = x @ points(4, 3, 1) + 5
    assert probes.explained(*halves(x, linear)) == pytest.approx(1, abs=1e-6)
    assert probes.explained(*halves(x, points(600, 3, 2))) == pytest.approx(0, abs=0.1)
    half = x[:, :1] + points(600, 1, 3)  # signal and noise of equal variance
    assert probes.explained(*halves(x, half)) == pytest.approx(0.5, abs=0.12)


def test_misdirection_is_one_minus_the_squared_cosine():
    x = points(400, 4)
    target = x @ points(4, 3, 1)
    train, test = halves(x, target)
    longer = test._replace(target=7 * test.target)
    assert probes.misdirection(train, longer) == pytest.approx(0, abs=1e-6)
    plane, asked = halves(points(400, 2, 2), points(400, 2, 2))
    right_angle = np.array([[0.0, 1.0], [-1.0, 0.0]])
    turned = asked._replace(target=asked.target @ right_angle)
    assert probes.misdirection(plane, turned) == pytest.approx(1, abs=1e-6)


# Hidden bits -------------------------------------------------------------------------------------


def test_component_bits_read_the_bits_that_are_there():
    rng = np.random.default_rng(0)
    names = ("redundancy", "unique1", "unique2", "synergy1", "synergy2")
    components = {name: rng.integers(0, 2, 400) for name in names}
    own = np.stack([components["redundancy"], components["unique2"]], axis=1) * 2.0 - 1
    rows = np.arange(200), np.arange(200, 400)
    train, test = ({"z/x2": own[side], "u/x2": own[side], "s": own[side]} for side in rows)
    found = probes.component_bits(train, test, components, rows, "z")
    assert set(found["latent"]) == {"z/x2"}
    bits = found.set_index("component")["value"]
    assert bits["redundancy"] > 0.8
    assert bits["own unique"] > 0.8
    assert bits["own half of synergy"] < 0.1
    assert bits["other's unique"] < 0.1
    of_s = probes.component_bits(train, test, components, rows, "s").set_index("component")["value"]
    assert of_s["redundancy"] > 0.8
    first, second = of_s["own unique"]  # those of x1 and of x2
    assert first < 0.1 < 0.8 < second
    assert "other's unique" not in of_s
