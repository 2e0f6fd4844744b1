"""Latents by name, and maps that are the same when made again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robult_core.datasets import load
from robult_core.methods import make_method
from robult_study.results import latents


def points(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.fixture(scope="module")
def digits():
    return load("digits").standardized()


@pytest.fixture(scope="module")
def model(digits):
    torch.manual_seed(0)
    return make_method("robult", digits.task, digits.shapes, width=16)


def test_latents_are_those_of_the_method_without_dropout(digits, model):
    rows = digits.rows("test")[:5]
    model.train()
    found = latents.collect(model, digits, rows)
    again = latents.collect(model, digits, rows)
    assert not model.training
    assert {"s", "h0", "z/top_left", "u/top_left", "h/top_left"} <= set(found)
    assert found["s"].shape == (5, 16)
    assert found["s"].dtype == np.float64
    assert all(np.array_equal(found[name], again[name]) for name in found)
    alone = latents.collect(model, digits, rows[2:3])
    np.testing.assert_allclose(alone["z/top_left"], found["z/top_left"][2:3], rtol=1e-5)


def test_a_name_has_a_role_and_a_modality():
    assert [latents.role_of(name) for name in ("s", "z/text", "h0")] == ["s", "z", "h0"]
    assert [latents.modality_of(name) for name in ("s", "z/text")] == ["all", "text"]
    names = ["h0", "s", "h/text", "z/text", "u/text"]
    assert latents.of_roles(names) == ["s", "z/text", "u/text"]
    assert latents.of_roles(names, "zu") == ["z/text", "u/text"]


def test_unit_vectors_leave_zero_alone():
    found = latents.unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert found.tolist() == [[0.6, 0.8], [0.0, 0.0]]


@pytest.mark.parametrize("kind", latents.MAPS)
def test_maps_are_the_same_on_a_second_run(kind):
    # two clusters that share no neighbour
    cloud = np.concatenate([points(20, 6), points(20, 6, 1) + 50])
    first = latents.embed(cloud, kind, seed=3)
    second = latents.embed(cloud, kind, seed=3)
    assert first.shape == (40, 2)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)


def test_maps_see_directions_only():
    cloud = points(20, 6)
    longer = cloud * np.linspace(1, 5, 20)[:, None]
    np.testing.assert_allclose(
        latents.embed(cloud, "tsne"), latents.embed(longer, "tsne"), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("count", "kind", "words"), [(20, "pca", r"'pca'.*tsne, umap"), (4, "tsne", "4 points")]
)
def test_maps_reject_what_they_cannot_draw(count, kind, words):
    with pytest.raises(ValueError, match=words):
        latents.embed(points(count, 3), kind)


def test_a_map_frame_holds_every_latent_of_every_row(digits, model):
    rows = digits.rows("test")[:6]
    held = latents.collect(model, digits, rows)
    labels = digits.targets[rows].numpy()
    frame = latents.map_frame(held, rows, labels, "tsne", 0)
    assert len(frame) == 6 * (1 + 2 * 4)  # s, and z and u of four quadrants
    assert set(frame["role"]) == {"s", "z", "u"}
    assert set(frame["kind"]) == {"t-SNE"}
    assert set(frame[frame["role"] == "s"]["modality"]) == {"all"}
    by_row = frame.groupby("row")["label"].unique()
    assert [by_row[row].tolist() for row in rows] == [[label] for label in labels]
