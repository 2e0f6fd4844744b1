"""Modalities that go missing in training: the losses, and each remedy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.tasks import Classification
from robult_study.runs.missing import REMEDIES, has_all, without_some

N = 40


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(N) % 2
    inputs = {name: torch.randn(N, 3, generator=generator) + 4 * y[:, None] for name in "ab"}
    split = np.array(["train"] * 30 + ["test"] * 10)
    return MultimodalData("toy", Classification(2), inputs, y, split)


def test_masked_samples_keep_what_they_have_and_test_samples_all(data):
    masked = without_some(data, 0.5, "masked", 0)
    assert masked.present[:, 30:].all()
    assert masked.present.any(dim=0).all()
    lacking = ~masked.present[0]
    assert 3 < lacking.sum() < 20
    assert (masked.modalities["a"][lacking] == 0).all()
    kept = data.modalities["a"][:30][masked.present[0, :30]].double()
    expected = (data.modalities["a"].double() - kept.mean(0)) / kept.std(0, correction=0)
    torch.testing.assert_close(masked.modalities["a"][~lacking], expected[~lacking].float())


def test_dropped_samples_are_no_training_rows(data):
    masked, dropped = (without_some(data, 0.5, remedy, 0) for remedy in ("masked", "dropped"))
    complete = masked.present.all(dim=0).numpy()
    assert dropped.rows("train").tolist() == np.flatnonzero(complete[:30]).tolist()
    assert dropped.rows("test").tolist() == list(range(30, 40))
    assert has_all(data, 0.5, 0).tolist() == dropped.rows("train").tolist()
    assert dropped.present is None


def test_the_mean_is_that_of_the_samples_which_have_the_modality(data):
    masked, filled = (without_some(data, 0.5, remedy, 0) for remedy in ("masked", "mean"))
    for name, there in zip("ab", masked.present[:, :30], strict=True):
        mean = masked.modalities[name][:30][there].mean(0)
        torch.testing.assert_close(mean, torch.zeros(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(filled.modalities[name], masked.modalities[name])
    assert filled.present is None


def test_neighbours_are_the_nearest_by_what_both_have(data):
    masked, filled = (without_some(data, 0.5, remedy, 0) for remedy in ("masked", "neighbours"))
    a, b = (masked.modalities[name][:30] for name in "ab")
    has_a, has_b = masked.present[:, :30]
    row = int(torch.nonzero(~has_a)[0])
    # it has b alone, so the distance of any sample that has both is that of their b
    distances = torch.where(has_a & has_b, (b - b[row]).square().sum(1), torch.inf)
    nearest = distances.argsort()[:5]
    torch.testing.assert_close(filled.modalities["a"][row], a[nearest].mean(0))
    assert torch.equal(filled.modalities["a"][:30][has_a], a[has_a])
    assert torch.equal(filled.modalities["a"][30:], masked.modalities["a"][30:])


@pytest.mark.parametrize("remedy", REMEDIES)
def test_one_seed_loses_the_same_and_another_seed_other_modalities(data, remedy):
    one, two, other = (without_some(data, 0.5, remedy, seed) for seed in (0, 0, 1))
    assert one.checksum == two.checksum
    assert one.checksum != other.checksum
