"""Encoders by sample shape; padding on either side; no modality reaches another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robult_core.encoders import JointEncoder, ResidualMLP, SequenceEncoder, make_encoder


def test_a_module_stands_for_itself():
    module = nn.Linear(3, 8)
    assert make_encoder(module, 8) is module


@pytest.mark.parametrize(
    ("spec", "sample_shape", "kind"),
    [((5,), (5,), ResidualMLP), (5, (5,), ResidualMLP), ((6, 3), (6, 3), SequenceEncoder)],
)
def test_encoder_by_sample_shape(spec, sample_shape, kind):
    encoder = make_encoder(spec, 8)
    assert type(encoder) is kind
    assert encoder(torch.randn(4, *sample_shape)).shape == (4, 8)


def test_a_shape_without_encoder_is_named():
    message = r"samples of shape \(3, 4, 4\): pass an nn.Module that maps a batch to \(B, 8\)"
    with pytest.raises(ValueError, match=message):
        make_encoder((3, 4, 4), 8)
    with pytest.raises(ValueError, match=r"samples of shape \(\)"):
        make_encoder((), 8)


def test_residual_mlp_starts_as_its_linear_map():
    encoder = ResidualMLP(5, 8, dropout=0.5)
    x = torch.randn(4, 5)
    torch.testing.assert_close(encoder(x), encoder.linear(x))


def test_residual_mlp_leaves_its_linear_map():
    encoder = ResidualMLP(5, 8, dropout=0.0)
    nn.init.ones_(encoder.inner[-1].bias)
    x = torch.randn(4, 5)
    torch.testing.assert_close(encoder(x), encoder.linear(x) + 1)


@pytest.mark.parametrize("length", [1, 3, 6])
def test_padding_after_the_content_changes_nothing(length):
    encoder = SequenceEncoder(3, 8, dropout=0.0).eval()
    content = torch.randn(2, length, 3)
    padding = torch.zeros(2, 6 - length, 3)
    padded = torch.cat([content, padding], dim=1)
    torch.testing.assert_close(encoder(padded), encoder(content))


def test_left_padding_reads_the_last_step():
    encoder = SequenceEncoder(3, 8, dropout=0.0).eval()
    x = torch.cat([torch.zeros(2, 4, 3), torch.randn(2, 2, 3)], dim=1)
    states, _ = encoder.gru(x)
    torch.testing.assert_close(encoder(x), encoder.head(states[:, -1]))


def test_each_sample_is_read_at_its_own_last_step():
    encoder = SequenceEncoder(3, 8, dropout=0.0).eval()
    x = torch.randn(2, 5, 3)
    x[1, 2:] = 0.0
    together = encoder(x)
    torch.testing.assert_close(together[:1], encoder(x[:1]))
    torch.testing.assert_close(together[1:], encoder(x[1:, :2]))


def test_sequence_of_padding_only_is_finite():
    encoder = SequenceEncoder(3, 8, dropout=0.0)
    padding = torch.zeros(2, 4, 3)
    states, _ = encoder.gru(padding)
    torch.testing.assert_close(encoder(padding), encoder.head(states[:, 0]))


def test_small_numbers_are_no_padding():
    encoder = SequenceEncoder(3, 8, dropout=0.0)
    x = torch.full((2, 4, 3), 0.01)
    states, _ = encoder.gru(x)
    torch.testing.assert_close(encoder(x), encoder.head(states[:, -1]))


def test_three_tenths_are_dropped_unless_another_share_is_asked_for():
    for module in (
        make_encoder(5, 8),
        make_encoder((4, 5), 8),
        JointEncoder({"a": 5}, 8),
    ):
        shares = [part.p for part in module.modules() if isinstance(part, nn.Dropout)]
        assert shares == [0.3]


@pytest.mark.parametrize(
    ("specs", "mixed"), [({"a": 5, "b": 2}, False), ({"a": 5, "b": (4, 3)}, True)]
)
def test_one_tower_is_not_mixed(specs, mixed):
    encoder = JointEncoder(specs, 8)
    assert isinstance(encoder.mix, nn.Linear) is mixed


def test_joint_encoder_uses_every_modality_whatever_its_name():
    specs = {"a.b": (5,), "": 2, "audio": (4, 3), "keys": (6, 2)}
    shapes = {"a.b": (5,), "": (2,), "audio": (4, 3), "keys": (6, 2)}
    inputs = {name: torch.randn(3, *shape, requires_grad=True) for name, shape in shapes.items()}
    fused = JointEncoder(specs, 8)(inputs)
    assert fused.shape == (3, 8)
    for gradient in torch.autograd.grad(fused.sum(), list(inputs.values())):
        assert gradient.abs().sum() > 0


def test_joint_encoder_refuses_a_module():
    with pytest.raises(ValueError, match="'image' has its own module: pass a joint network f_0"):
        JointEncoder({"text": 5, "image": nn.Linear(3, 8)}, 8)
