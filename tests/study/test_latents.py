"""Numbers about latents against slow references and closed forms; maps and weights against repeats and loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core.datasets import load
from robult_core.datasets.container import MultimodalData
from robult_core.losses import rbf_weights
from robult_core.methods import make_method
from robult_core.protocol import label_split
from robult_core.tasks import Classification
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


def test_alignment_and_uniformity_equal_loops():
    a, b = points(7, 4), points(7, 4, 1)
    ua, ub = a / np.linalg.norm(a, axis=1)[:, None], b / np.linalg.norm(b, axis=1)[:, None]
    expected = np.mean([np.linalg.norm(x - y) ** 2 for x, y in zip(ua, ub, strict=True)])
    assert latents.alignment(a, b) == pytest.approx(expected)
    pairs = [
        np.exp(-2 * np.linalg.norm(ua[i] - ua[j]) ** 2)
        for i in range(7)
        for j in range(7)
        if i != j
    ]
    assert latents.uniformity(a) == pytest.approx(np.log(np.mean(pairs)))


def test_closed_forms_on_a_circle():
    east, north = np.tile([[3.0, 0.0]], (4, 1)), np.tile([[0.0, 0.1]], (4, 1))
    assert latents.alignment(east, east) == 0
    assert latents.alignment(east, north) == pytest.approx(2)
    assert latents.alignment(east, -east) == pytest.approx(4)
    assert latents.uniformity(east) == 0
    assert latents.uniformity(np.array([[1.0, 0.0], [-5.0, 0.0]])) == pytest.approx(-8)
    assert latents.modality_gap(east, -east) == pytest.approx(2)
    assert latents.modality_gap(east, north) == pytest.approx(np.sqrt(2))
    assert np.array_equal(latents.unit(np.zeros((2, 3))), np.zeros((2, 3)))


def cka_from_gram_matrices(a: np.ndarray, b: np.ndarray) -> float:
    """Kornblith et al. 2019 as written: HSIC of the Gram matrices, centred on both sides."""
    centre = np.eye(len(a)) - 1 / len(a)
    hsic = lambda k, m: np.trace(k @ centre @ m @ centre)
    k, m = a @ a.T, b @ b.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(4, 12), scale=st.floats(0.1, 10))
def test_cka_equals_its_definition_and_ignores_rotation_and_scale(seed, n, scale):
    a, b = points(n, 5, seed), points(n, 3, seed + 1)
    value = latents.linear_cka(a, b)
    assert value == pytest.approx(cka_from_gram_matrices(a, b))
    rotation = np.linalg.qr(points(5, 5, seed + 2))[0]
    assert latents.linear_cka(scale * a @ rotation + 3, b) == pytest.approx(value)
    assert latents.linear_cka(a, scale * a @ rotation) == pytest.approx(1)
    assert latents.linear_cka(a, np.ones((n, 2))) == 0


def test_probe_bits_of_a_binary_channel():
    """A bit seen through a channel that flips 11 % carries 1 - h(0.11) = 0.500 bits; an unrelated bit carries none."""
    rng = np.random.default_rng(0)
    bit, noise = rng.integers(0, 2, 8000), rng.random(8000) < 0.11
    seen = (bit ^ noise)[:, None] * 2.0 - 1
    train, test = slice(0, 4000), slice(4000, None)
    assert latents.probe_bits(seen[train], bit[train], seen[test], bit[test]) == pytest.approx(
        0.5, abs=0.05
    )
    other = rng.integers(0, 2, 8000)
    assert latents.probe_bits(seen[train], other[train], seen[test], other[test]) < 0.01


def test_probe_sees_only_what_is_large_enough():
    """One scale for the whole latent: a bit in a direction 1000 times smaller than the largest one is not found."""
    rng = np.random.default_rng(0)
    bit, large = rng.integers(0, 2, 600), rng.standard_normal(600)
    sides = lambda x: (x[:300], bit[:300], x[300:], bit[300:])
    assert latents.probe_bits(*sides(np.stack([large, 2.0 * bit - 1], axis=1))) > 0.8
    assert latents.probe_bits(*sides(np.stack([large, 1e-3 * (2.0 * bit - 1)], axis=1))) < 0.05


def test_probe_accuracy_and_modality_probe():
    a, labels = points(200, 3), np.repeat([0, 1], 100)
    apart = a + 20 * labels[:, None]
    assert latents.probe_accuracy(apart, labels, apart, labels) == 1
    same = {"z/a": points(300, 3), "z/b": points(300, 3, 1)}
    assert latents.modality_probe(
        same, {"z/a": points(300, 3, 2), "z/b": points(300, 3, 3)}, "z"
    ) == pytest.approx(0.5, abs=0.08)
    moved = {"z/a": a, "z/b": a + 20, "u/a": a}
    assert latents.modality_probe(moved, moved, "z") == 1
    assert np.isnan(latents.modality_probe(moved, moved, "u"))


def test_explained_share():
    x, matrix = points(400, 4), points(4, 3, 1)
    target = x @ matrix + 5
    assert latents.explained(x[:300], target[:300], x[300:], target[300:]) == pytest.approx(
        1, abs=1e-6
    )
    noise = points(400, 3, 2)
    assert latents.explained(x[:300], noise[:300], x[300:], noise[300:]) == pytest.approx(
        0, abs=0.1
    )
    half = x[:, :1] @ np.ones((1, 1)) + points(400, 1, 3)  # signal and noise of equal variance
    assert latents.explained(x[:300], half[:300], x[300:], half[300:]) == pytest.approx(
        0.5, abs=0.12
    )


def test_probe_rows_hold_every_class_of_a_sorted_file():
    labels = torch.arange(10).repeat_interleave(
        60
    )  # sorted by class, as in the files of handwritten
    split = np.resize(["train", "train", "test"], len(labels))
    data = MultimodalData(
        "sorted", Classification(10), {"a": torch.zeros(len(labels), 2)}, labels, split
    )
    rows = latents.probe_rows(data, 150)
    assert len(set(rows)) == 150
    assert set(split[rows]) == {"train"}
    assert set(labels[rows].tolist()) == set(range(10))
    assert sorted(latents.probe_rows(data, 10_000)) == data.rows("train").tolist()


def test_misdirection_is_one_minus_the_squared_cosine():
    x, matrix = points(400, 4), points(4, 3, 1)
    target = x @ matrix
    assert latents.misdirection(x[:300], target[:300], x[300:], 7 * target[300:]) == pytest.approx(
        0, abs=1e-6
    )  # any length
    right_angle = np.array([[0.0, 1.0], [-1.0, 0.0]])
    plane = points(400, 2, 2)
    turned = (
        plane[300:] @ right_angle
    )  # fitted on the plane itself, asked about the plane turned by 90 degrees
    assert latents.misdirection(plane[:300], plane[:300], plane[300:], turned) == pytest.approx(
        1, abs=1e-6
    )


def test_component_bits_reads_the_bits_that_are_there():
    rng = np.random.default_rng(0)
    names = ("redundancy", "unique1", "unique2", "synergy1", "synergy2")
    parts = {name: rng.integers(0, 2, 400) for name in names}
    own = np.stack([parts["redundancy"], parts["unique1"]], axis=1) * 2.0 - 1
    rows = np.arange(200), np.arange(200, 400)
    sides = [{"z/x1": own[side], "s": own[side]} for side in rows]
    found = latents.component_bits(*sides, parts, rows, "zu").set_index("component")["value"]
    assert found["redundancy"] > 0.8
    assert found["own unique"] > 0.8
    assert found["own half of synergy"] < 0.1
    assert found["other's unique"] < 0.1


def test_describe_names_every_measure_once(digits, model):
    rows = digits.rows("train")[:200], digits.rows("test")[:100]
    sides = [latents.collect(model, digits, side) for side in rows]
    labels = [digits.targets[side].numpy() for side in rows]
    frame = latents.describe(*sides, *labels)
    assert not frame.duplicated(["latent", "measure"]).any()
    assert set(frame["role"]) == {"s", "z", "u"}
    row = frame[(frame["latent"] == "z/top_left") & (frame["measure"] == "CKA with s")][
        "value"
    ].item()
    assert row == pytest.approx(cka_from_gram_matrices(sides[1]["s"], sides[1]["z/top_left"]))


@pytest.mark.parametrize("kind", latents.MAPS)
def test_maps_are_the_same_on_a_second_run(kind):
    cloud = np.concatenate(
        [points(20, 6), points(20, 6, 1) + 50]
    )  # two clusters that share no neighbour
    first, second = (latents.embed(cloud, kind, seed=3) for _ in range(2))
    assert first.shape == (40, 2)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)


def test_maps_reject_what_they_cannot_draw():
    with pytest.raises(ValueError, match=r"'pca'.*tsne, umap"):
        latents.embed(points(20, 3), "pca")
    with pytest.raises(ValueError, match="4 points"):
        latents.embed(points(4, 3), "tsne")


def test_map_frame_holds_every_latent_of_every_row(digits, model):
    rows = digits.rows("test")[:6]
    held = latents.collect(model, digits, rows)
    frame = latents.map_frame(held, rows, digits.targets[rows].numpy(), "tsne", 0)
    assert len(frame) == 6 * (1 + 2 * 4)  # s, and z and u of four quadrants
    assert set(frame["role"]) == {"s", "z", "u"}
    assert (frame.groupby("row")["label"].nunique() == 1).all()
    assert set(frame[frame["role"] == "s"]["modality"]) == {"all"}


def test_stages_run_from_the_start_to_the_end():
    assert latents.stages(400) == (0, 10, 20, 40, 100, 200, 400)
    assert latents.stages(1) == (0, 1)


# Weights of Eq. 5 against hidden labels -------------------------------------------------------------------------------


def small_view(seed: int = 0, size: int = 9) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    classes = torch.arange(size) % 3
    labeled = torch.arange(size) < 4
    view = {"s": draw(size, 5), "z": draw(2, size, 5), "classes": classes, "labeled": labeled}
    truth = torch.where(labeled | (torch.arange(size) % 2 == 0), classes, (classes + 1) % 3)
    return view | {"confidence": torch.linspace(0.2, 1, size)}, truth


def test_pairs_equal_a_loop():
    view, truth = small_view()
    frame = latents.pair_frame(view, truth, temperature=0.5)
    weights = rbf_weights(view["s"], view["z"], view["classes"], view["labeled"], temperature=0.5)
    expected = []
    for m in range(2):
        for j in range(9):
            for k in range(9):
                pseudo = not (view["labeled"][j] and view["labeled"][k])
                if j != k and pseudo and view["classes"][j] == view["classes"][k]:
                    sure = float(view["confidence"][j] * view["confidence"][k])
                    expected.append(
                        (m, j, k, bool(truth[j] == truth[k]), sure, float(weights[m, j, k]))
                    )
    found = frame[["modality", "anchor", "partner", "true", "confidence", latents.RBF]]
    pd.testing.assert_frame_equal(
        found, pd.DataFrame(expected, columns=found.columns), check_dtype=False
    )
    assert (frame["no weights"] == 1).all()


def test_judge_on_perfect_useless_and_one_sided_weights():
    true = np.array([True, True, True, False])
    frame = pd.DataFrame(
        {name: np.ones(4) for name in (*latents.WEIGHTS, "confidence", "cosine")}
    ).assign(true=true)
    frame[latents.RBF] = true.astype(float)
    frame["cosine"] = [0.9, 0.1, 0.8, 0.5]  # one of three true pairs lies below the false one
    value = latents.judge(frame).set_index(["weight", "measure"])["value"]
    assert (
        value[latents.RBF, "AUROC"]
        == value[latents.RBF, "average precision"]
        == value[latents.RBF, "precision"]
        == 1
    )
    assert value[latents.RBF, "kept"] == 0.75
    assert value["no weights", "AUROC"] == 0.5
    assert value["no weights", "average precision"] == 0.25
    assert value["no weights", "precision"] == 0.75
    assert value["cosine", "AUROC"] == pytest.approx(2 / 3)
    one_sided = latents.judge(frame[true]).set_index(["weight", "measure"])["value"]
    assert np.isnan(one_sided[latents.RBF, "AUROC"])
    assert one_sided["no weights", "precision"] == 1


def test_view_keeps_given_labels_and_repeats(digits, model):
    labeled = label_split(digits, 0.05, 0)
    batch, truth = latents.inspection_batch(digits, labeled, seed=0)[0]
    view, again = (latents.contrastive_view(model, batch, seed=1) for _ in range(2))
    assert batch.labeled.sum() >= 8
    assert torch.equal(view["classes"][batch.labeled], truth[batch.labeled])
    assert (view["confidence"][batch.labeled] == 1).all()
    assert (view["confidence"][~batch.labeled] < 1).all()
    assert all(torch.equal(view[name], again[name]) for name in view)
    assert not model.training
