"""Encoders by sample shape; padding on either side; no modality reaches another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robult_core.encoders import JointEncoder, ResidualMLP, SequenceEncoder, make_encoder


def test_encoder_by_sample_shape():
    module = nn.Linear(3, 8)
    assert make_encoder(module, 8) is module
    for spec, x in (
        ((5,), torch.randn(4, 5)),
        (5, torch.randn(4, 5)),
        ((6, 3), torch.randn(4, 6, 3)),
    ):
        assert make_encoder(spec, 8)(x).shape == (4, 8)
    with pytest.raises(
        ValueError,
        match=r"samples of shape \(3, 4, 4\): pass an nn.Module that maps a batch to \(B, 8\)",
    ):
        make_encoder((3, 4, 4), 8)


def test_residual_mlp_starts_as_its_linear_map():
    encoder, x = ResidualMLP(5, 8, dropout=0.5), torch.randn(4, 5)
    torch.testing.assert_close(encoder(x), encoder.linear(x))


@pytest.mark.parametrize("length", [1, 3, 6])
def test_padding_after_the_content_changes_nothing(length):
    encoder = SequenceEncoder(3, 8, dropout=0.0).eval()
    content = torch.randn(2, length, 3)
    padded = torch.cat([content, torch.zeros(2, 6 - length, 3)], dim=1)
    torch.testing.assert_close(encoder(padded), encoder(content))


def test_left_padding_reads_the_last_step():
    encoder = SequenceEncoder(3, 8, dropout=0.0).eval()
    x = torch.cat([torch.zeros(2, 4, 3), torch.randn(2, 2, 3)], dim=1)
    torch.testing.assert_close(encoder(x), encoder.head(encoder.gru(x)[0][:, -1]))


def test_sequence_of_padding_only_is_finite():
    assert SequenceEncoder(3, 8, dropout=0.0)(torch.zeros(2, 4, 3)).isfinite().all()


def test_joint_encoder_uses_every_modality_whatever_its_name():
    specs = {"a.b": (5,), "": 2, "audio": (4, 3), "keys": (6, 2)}
    inputs = {
        name: torch.randn(3, *((spec,) if isinstance(spec, int) else spec))
        for name, spec in specs.items()
    }
    inputs = {name: x.requires_grad_() for name, x in inputs.items()}
    fused = JointEncoder(specs, 8)(inputs)
    assert fused.shape == (3, 8)
    for gradient in torch.autograd.grad(fused.sum(), list(inputs.values())):
        assert gradient.abs().sum() > 0
