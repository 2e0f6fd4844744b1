"""Geometry of latents against loops, closed forms and definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from robult_core.datasets import load
from robult_core.methods import make_method
from robult_study.results import geometry, latents

EAST = np.tile([[3.0, 0.0]], (4, 1))
NORTH = np.tile([[0.0, 0.1]], (4, 1))


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def test_alignment_and_uniformity_equal_loops():
    a, b = points(7, 4), points(7, 4, 1)
    unit_a = a / np.linalg.norm(a, axis=1)[:, None]
    unit_b = b / np.linalg.norm(b, axis=1)[:, None]
    squared = [np.linalg.norm(x - y) ** 2 for x, y in zip(unit_a, unit_b, strict=True)]
    assert geometry.alignment(a, b) == pytest.approx(np.mean(squared))
    potentials = []
    for i in range(7):
        for j in range(7):
            if i != j:
                potentials.append(np.exp(-2 * np.linalg.norm(unit_a[i] - unit_a[j]) ** 2))
    assert geometry.uniformity(a) == pytest.approx(np.log(np.mean(potentials)))


def test_closed_forms_on_a_circle():
    assert geometry.alignment(EAST, EAST) == 0
    assert geometry.alignment(EAST, NORTH) == pytest.approx(2)
    assert geometry.alignment(EAST, -EAST) == pytest.approx(4)
    assert geometry.uniformity(EAST) == 0
    assert geometry.uniformity(np.array([[1.0, 0.0], [-5.0, 0.0]])) == pytest.approx(-8)
    assert geometry.modality_gap(EAST, -EAST) == pytest.approx(2)
    assert geometry.modality_gap(EAST, NORTH) == pytest.approx(np.sqrt(2))


def test_the_mean_cosine_leaves_out_a_row_with_itself():
    assert geometry.mean_cosine(EAST) == pytest.approx(1)
    assert geometry.mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0]])) == 0
    assert geometry.mean_cosine(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-1)


def cka_from_gram_matrices(a: np.ndarray, b: np.ndarray) -> float:
    """Kornblith et al. 2019 as written: HSIC of the Gram matrices, centred on both sides."""
    centre = np.eye(len(a)) - 1 / len(a)

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        return np.trace(k @ centre @ m @ centre)

    k, m = a @ a.T, b @ b.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@hypothesis_settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(4, 12), scale=st.floats(0.1, 10))
def test_cka_equals_its_definition_and_ignores_rotation_and_scale(seed, n, scale):
    a, b = points(n, 5, seed), points(n, 3, seed + 1)
    value = geometry.linear_cka(a, b)
    assert value == pytest.approx(cka_from_gram_matrices(a, b))
    rotation = np.linalg.qr(points(5, 5, seed + 2))[0]
    assert geometry.linear_cka(scale * a @ rotation + 3, b) == pytest.approx(value)
    assert geometry.linear_cka(a, scale * a @ rotation) == pytest.approx(1)
    assert geometry.linear_cka(a, np.ones((n, 2))) == 0


def test_describe_names_every_measure_once():
    digits = load("digits").standardized()
    torch.manual_seed(0)
    model = make_method("robult", digits.task, digits.shapes, width=16)
    rows = digits.rows("train")[:200], digits.rows("test")[:100]
    train, test = (latents.collect(model, digits, side) for side in rows)
    labels = [digits.targets[side].numpy() for side in rows]
    frame = geometry.describe(train, test, *labels)
    assert not frame.duplicated(["latent", "measure"]).any()
    assert set(frame["role"]) == {"s", "z", "u"}
    values = frame.set_index(["latent", "measure"])["value"]
    z = "z/top_left"
    assert values[z, "CKA with s"] == pytest.approx(cka_from_gram_matrices(test["s"], test[z]))
    assert values[z, "gap to s"] == geometry.modality_gap(test["s"], test[z])
    assert values[z, "alignment to s"] == geometry.alignment(test["s"], test[z])
    assert ("s", "CKA with s") not in values
    assert values["z", "probe: modality"] == pytest.approx(1, abs=0.2)


def test_describe_leaves_out_the_unique_parts_that_a_method_does_not_have():
    rng = np.random.default_rng(0)
    side = {name: rng.standard_normal((40, 3)) for name in ("s", "z/text", "z/audio")}
    frame = geometry.describe(side, side, np.arange(40) % 2, np.arange(40) % 2)
    assert set(frame["role"]) == {"s", "z"}
    assert frame["value"].notna().all()
