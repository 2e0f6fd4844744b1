"""The encoders that all methods share (reading 23), and the joint network f_0 (reading 13).

A modality is described by its sample shape: `(F,)` gets a residual MLP and `(T, F)` a GRU. Any
`nn.Module` that maps a batch to `(B, width)` stands for itself. All methods build their encoders
here, so that no method wins by its encoder.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

Spec = tuple[int, ...] | int | nn.Module


class ResidualMLP(nn.Module):
    """A linear map plus an MLP whose last layer starts at zero (reading 23).

    So training starts from the linear map.
    """

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, width)
        first = nn.Linear(in_features, width)
        last = nn.Linear(width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.inner = nn.Sequential(first, nn.ReLU(), nn.Dropout(dropout), last)

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch dim"]:
        return self.linear(x) + self.inner(x)


class SequenceEncoder(nn.Module):
    """A GRU read out at the last step that is not padding, then a linear layer.

    A step is padding when all its features are zero. Sequences may be padded on the left or on the
    right, because public files do either. A sample of padding alone is read out at its first step.
    """

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.gru = nn.GRU(in_features, width, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, x: Float[Tensor, "batch steps features"]) -> Float[Tensor, "batch dim"]:
        states, _ = self.gru(x)  # (B, T, d)
        is_content = x.abs().sum(-1) > 0  # (B, T)
        number = torch.arange(1, x.shape[1] + 1, device=x.device)  # (T,) steps counted from 1
        last = (is_content * number).amax(dim=1).clamp(min=1) - 1  # (B,)
        sample = torch.arange(len(x), device=x.device)
        return self.head(states[sample, last])


def make_encoder(spec: Spec, width: int, dropout: float = 0.3) -> nn.Module:
    """The encoder of one modality.

    spec: a sample shape, a feature width, or a module that already yields `(B, width)`.

    Raises ValueError for a shape that no built-in encoder reads.
    """
    if isinstance(spec, nn.Module):
        return spec
    shape = _sample_shape(spec)
    if len(shape) == 1:
        return ResidualMLP(shape[0], width, dropout)
    if len(shape) == 2:
        return SequenceEncoder(shape[1], width, dropout)
    raise ValueError(
        f"no built-in encoder for samples of shape {shape}: "
        f"pass an nn.Module that maps a batch to (B, {width})"
    )


class JointEncoder(nn.Module):
    """f_0 on the raw inputs (reading 13).

    Vectors are concatenated into one encoder and each sequence has a GRU of its own. Several of
    these towers are mixed by a linear layer.
    """

    def __init__(self, specs: Mapping[str, Spec], width: int, dropout: float = 0.3) -> None:
        super().__init__()
        shapes: dict[str, tuple[int, ...]] = {}
        for name, spec in specs.items():
            if isinstance(spec, nn.Module):
                raise ValueError(
                    f"modality '{name}' has its own module: pass a joint network f_0 as well"
                )
            shapes[name] = _sample_shape(spec)
        self.vectors = tuple(name for name, shape in shapes.items() if len(shape) == 1)
        self.sequences = tuple(name for name, shape in shapes.items() if len(shape) == 2)
        self.towers = nn.ModuleDict()
        if self.vectors:
            in_features = sum(shapes[name][0] for name in self.vectors)
            self.towers["vectors"] = ResidualMLP(in_features, width, dropout)
        for index, name in enumerate(self.sequences):  # by index: a name may be anything
            self.towers[f"sequence{index}"] = SequenceEncoder(shapes[name][1], width, dropout)
        count = len(self.towers)
        self.mix = nn.Linear(width * count, width) if count > 1 else nn.Identity()

    def forward(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch dim"]:
        outputs = []
        if self.vectors:
            vectors = torch.cat([inputs[name] for name in self.vectors], dim=-1)
            outputs.append(self.towers["vectors"](vectors))
        for index, name in enumerate(self.sequences):
            outputs.append(self.towers[f"sequence{index}"](inputs[name]))
        return self.mix(torch.cat(outputs, dim=-1))


def _sample_shape(spec: tuple[int, ...] | int) -> tuple[int, ...]:
    """A feature width stands for the shape of a vector."""
    return (spec,) if isinstance(spec, int) else tuple(spec)
