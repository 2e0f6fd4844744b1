"""The encoders every method shares (reading 23), and the joint network f_0 (reading 13).

A modality is described by its sample shape: `(F,)` gets a residual MLP, `(T, F)` a GRU; any `nn.Module` that maps a batch to `(B, width)`
stands for itself. All methods build theirs here, so no method wins by its encoder.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Spec = tuple[int, ...] | int | nn.Module


class ResidualMLP(nn.Module):
    """`(B, in) -> (B, width)`: a linear map plus an MLP whose last layer starts at zero, so training starts from the linear map (reading 23)."""

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, width)
        self.inner = nn.Sequential(
            nn.Linear(in_features, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )
        nn.init.zeros_(self.inner[-1].weight)
        nn.init.zeros_(self.inner[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.inner(x)


class SequenceEncoder(nn.Module):
    """`(B, T, F) -> (B, width)`: a GRU read out at the last step that is not padding, then a linear layer.

    A step is padding when all its features are zero; works for left- and right-padded data alike, for public files pad on either side.
    """

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.gru = nn.GRU(in_features, width, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.gru(x)
        real = x.abs().sum(-1) > 0  # (B, T)
        steps = torch.arange(1, x.shape[1] + 1, device=x.device)
        last = (real * steps).amax(dim=1).clamp(
            min=1
        ) - 1  # (B,) a sample of pure padding reads step 0
        return self.head(states[torch.arange(len(x), device=x.device), last])


def make_encoder(spec: Spec, width: int, dropout: float = 0.3) -> nn.Module:
    """Encoder of one modality; `spec` is a sample shape, a feature width or a module that already yields `(B, width)`."""
    if isinstance(spec, nn.Module):
        return spec
    shape = (spec,) if isinstance(spec, int) else tuple(spec)
    if len(shape) == 1:
        return ResidualMLP(shape[0], width, dropout)
    if len(shape) == 2:
        return SequenceEncoder(shape[1], width, dropout)
    raise ValueError(
        f"no built-in encoder for samples of shape {shape}: pass an nn.Module that maps a batch to (B, {width})"
    )


class JointEncoder(nn.Module):
    """f_0 on the raw inputs (reading 13): vectors concatenated into one encoder, a GRU per sequence, then a linear layer if there are several."""

    def __init__(self, specs: Mapping[str, Spec], width: int, dropout: float = 0.3) -> None:
        super().__init__()
        shapes = {name: (spec,) if isinstance(spec, int) else spec for name, spec in specs.items()}
        modules = [name for name, spec in shapes.items() if isinstance(spec, nn.Module)]
        if modules:
            raise ValueError(
                f"modality '{modules[0]}' has its own module: pass a joint network f_0 as well"
            )
        self.vectors = tuple(name for name, shape in shapes.items() if len(shape) == 1)
        self.sequences = tuple(name for name, shape in shapes.items() if len(shape) == 2)
        towers = {}
        if self.vectors:
            towers["vectors"] = ResidualMLP(
                sum(shapes[name][0] for name in self.vectors), width, dropout
            )
        for index, name in enumerate(self.sequences):
            towers[f"sequence{index}"] = SequenceEncoder(shapes[name][1], width, dropout)
        self.towers = nn.ModuleDict(towers)
        self.mix = nn.Linear(width * len(towers), width) if len(towers) > 1 else nn.Identity()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """All modalities by name -> `h_0 (B, width)`."""
        parts = []
        if self.vectors:
            parts.append(
                self.towers["vectors"](torch.cat([inputs[name] for name in self.vectors], dim=-1))
            )
        for index, name in enumerate(self.sequences):
            parts.append(self.towers[f"sequence{index}"](inputs[name]))
        return self.mix(torch.cat(parts, dim=-1))
