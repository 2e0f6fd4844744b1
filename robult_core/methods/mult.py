"""GMC's architecture for sequences: a flattened GRU per modality and a cross-modal transformer (MulT, Tsai et al. 2019) as joint encoder.

Layers, widths and rates as in the released MOSI model (read from its public code); the number of steps and of modalities come from the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robult_core.methods.vit import xavier

STREAM, HEADS, LAYERS = (
    30,
    5,
    5,
)  # width of one cross-modal stream, attention heads, layers of every transformer
LANGUAGE = (
    "text",
    "language",
)  # MulT treats language apart: dropout on its input, attention dropout where it is the source


class FlatGRU(nn.Module):
    """`(B, T, F) -> (B, width)`: all T outputs of a GRU flattened (step-major), then one linear layer; T is fixed by the data."""

    def __init__(self, steps: int, features: int, hidden: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(features, hidden, batch_first=True)
        self.out = nn.Linear(steps * hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.gru(x)[0].flatten(1))


def sinusoidal_position(first: Tensor, width: int) -> Tensor:
    """Positions `(B, T, width)` for steps whose first channel is `first (B, T)`: step t (from 0) uses t + 1, halves [sin | cos],
    frequencies 10000^(-k / (half - 1)). A step whose first channel is exactly 0 is padding and gets the zero vector.
    """
    half = width // 2
    frequency = torch.exp(
        torch.arange(half, device=first.device) * (-math.log(10000.0) / (half - 1))
    )
    angle = torch.arange(1, first.shape[1] + 1, device=first.device)[:, None] * frequency
    table = torch.cat([angle.sin(), angle.cos()], dim=-1)
    return table * (first != 0).unsqueeze(-1)


def causal_mask(n_query: int, n_key: int, device: torch.device | None = None) -> Tensor:
    """`(n_query, n_key)` bool, True where key k is blocked for query q: k > q + |n_key - n_query|."""
    return torch.ones(n_query, n_key, dtype=torch.bool, device=device).triu(
        1 + abs(n_key - n_query)
    )


class Layer(nn.Module):
    """Pre-norm attention and feed-forward; one LayerNorm serves queries, keys and values."""

    def __init__(self, width: int, attention_dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            width, HEADS, dropout=attention_dropout, batch_first=True
        )
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.forward_net = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(4 * width, width),
            nn.Dropout(0.1),
        )

    def forward(self, x: Tensor, source: Tensor, blocked: Tensor) -> Tensor:
        key = self.norm_attention(source)
        attended, _ = self.attention(
            self.norm_attention(x), key, key, attn_mask=blocked, need_weights=False
        )
        x = x + F.dropout(attended, 0.1, self.training)
        return x + self.forward_net(self.norm_forward(x))


class CrossTransformer(nn.Module):
    """`(B, T, width)` attends to `(B, S, width)` causally; the source is embedded once and read unchanged by every layer.

    With `x` as its own source every layer reads the current `x` instead: the self-attention transformer.
    """

    def __init__(self, width: int, attention_dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, attention_dropout) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)
        self.apply(xavier)

    def _embed(self, x: Tensor) -> Tensor:
        x = x * math.sqrt(x.shape[-1])
        return F.dropout(x + sinusoidal_position(x[..., 0], x.shape[-1]), 0.25, self.training)

    def forward(self, x: Tensor, source: Tensor | None = None) -> Tensor:
        blocked = causal_mask(x.shape[1], (x if source is None else source).shape[1], x.device)
        x, source = self._embed(x), None if source is None else self._embed(source)
        for layer in self.layers:
            x = layer(x, x if source is None else source, blocked)
        return self.norm(x)


def last_step(x: Tensor, raw: Tensor) -> Tensor:
    """`(B, T, W) -> (B, W)` at the last step whose raw features are not all zero: the last one on MulT's left-padded files."""
    steps = torch.arange(1, raw.shape[1] + 1, device=raw.device)
    last = ((raw.abs().sum(-1) > 0) * steps).amax(
        dim=1
    ) - 1  # -1 (the last step) where a sample is pure padding
    return x[torch.arange(len(x), device=x.device), last]


class MulT(nn.Module):
    """All sequences by name -> `(B, width)`: every modality attends to every other, then to itself; last steps are joined."""

    def __init__(self, specs: Mapping[str, tuple[int, int]], width: int) -> None:
        super().__init__()
        self.names = tuple(specs)
        n = len(self.names)
        stream = STREAM * max(
            n - 1, 1
        )  # a single modality goes straight to its self-attention transformer
        self.convolutions = nn.ModuleList(
            nn.Conv1d(features, STREAM, 1, bias=False) for _, features in specs.values()
        )
        self.pairs = [
            (target, source) for target in range(n) for source in range(n) if target != source
        ]
        rates = [0.1 if self.names[source] in LANGUAGE else 0.0 for _, source in self.pairs]
        self.cross = nn.ModuleList(CrossTransformer(STREAM, rate) for rate in rates)
        self.memory = nn.ModuleList(CrossTransformer(stream, 0.1) for _ in self.names)
        self.residual = nn.Sequential(
            nn.Linear(n * stream, n * stream), nn.ReLU(), nn.Linear(n * stream, n * stream)
        )
        self.out = nn.Linear(n * stream, width)

    def _streams(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Each modality as `(B, T, 30)`; dropout on language input only."""
        streams = []
        for name, convolution in zip(self.names, self.convolutions, strict=True):
            x = F.dropout(inputs[name], 0.25, self.training and name in LANGUAGE)
            streams.append(convolution(x.transpose(1, 2)).transpose(1, 2))
        return streams

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        streams = self._streams(inputs)
        crossed = {
            pair: net(streams[pair[0]], streams[pair[1]])
            for pair, net in zip(self.pairs, self.cross, strict=True)
        }
        parts = []
        for target, (name, memory) in enumerate(zip(self.names, self.memory, strict=True)):
            joined = [crossed[pair] for pair in self.pairs if pair[0] == target] or [
                streams[target]
            ]
            parts.append(last_step(memory(torch.cat(joined, dim=-1)), inputs[name]))
        h = torch.cat(parts, dim=-1)
        return self.out(h + self.residual(h))
