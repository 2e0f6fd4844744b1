"""Mean 0 and deviation 1 against numpy, padding, constants and blocks."""

from __future__ import annotations

import numpy as np
import torch

from robult_core import standardization
from robult_core.standardization import Standardizer


def test_vectors_against_numpy():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 0.1 + 7
    scaled = Standardizer.fit(x).apply(x).numpy()
    expected = (x.numpy() - x.numpy().mean(0)) / x.numpy().std(0)
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-5)


def test_padding_counts_in_no_mean_and_stays_zero():
    x = torch.ones(2, 3, 1)
    x[0, 0] = 3.0
    x[1, 2] = 0.0  # padding
    standardizer = Standardizer.fit(x)
    assert standardizer.mean.item() == (3 + 4) / 5
    assert standardizer.apply(x)[1, 2].item() == 0.0


def test_a_constant_feature_becomes_zero_and_a_wild_value_is_cut():
    x = torch.tensor([[1.0, 5.0]] * 99 + [[100.0, 5.0]])
    standardizer = Standardizer.fit(x)
    scaled = standardizer.apply(x)
    assert scaled[:, 1].abs().max() == 0
    assert scaled[-1, 0] == 5
    assert standardizer.apply(-x)[-1, 0] == -5
    assert standardizer.apply(-x, clip=0.5)[-1, 0] == -0.5


def test_no_rows_leave_features_as_they_are():
    x = torch.tensor([[0.5, -2.0]])
    assert torch.equal(Standardizer.fit(x[:0]).apply(x), x)


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    x = torch.randn(20, 4, 2, generator=torch.Generator().manual_seed(1))
    standardizer = Standardizer.fit(x)
    whole = standardizer.apply(x)
    monkeypatch.setattr(standardization, "BLOCK", 3)
    assert torch.equal(standardizer.apply(x), whole)


def test_short_steps_are_no_padding():
    x = torch.randn(20, 4, 2, generator=torch.Generator().manual_seed(1)) * 0.1
    steps = x.reshape(-1, 2).numpy()
    standardizer = Standardizer.fit(x)
    expected = (x.numpy() - steps.mean(0)) / steps.std(0)
    np.testing.assert_allclose(standardizer.apply(x), expected, rtol=1e-4, atol=1e-5)
    assert hash(standardizer)  # nobody changes it after it was fitted
