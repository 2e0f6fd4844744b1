"""GMC's architecture for sequences: a flattened GRU per modality, and MulT as the joint encoder.

MulT (Tsai et al. 2019) is a cross-modal transformer. Layers, widths and rates are those of GMC's
released MOSI model, read from its public code; the number of steps and of modalities come from the
data. B samples, T steps of a target, S of a source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robult_core.methods.vit import xavier

STREAM = 30  # width of one cross-modal stream
HEADS = 5  # attention heads of every transformer
LAYERS = 5  # layers of every transformer
EMBEDDING_DROPOUT = 0.25  # on what enters a transformer
RESIDUAL_DROPOUT = 0.1  # inside its layers
ATTENTION_DROPOUT = 0.1  # on attention weights, but for cross-modal ones from no language
LANGUAGE_DROPOUT = 0.25  # on language input
# MulT treats language apart: it drops out its input, and attention where it is the source.
LANGUAGE = ("text", "language")


class FlatGRU(nn.Module):
    """All outputs of a GRU flattened, step after step, then one linear layer.

    It maps `(B, T, F)` to `(B, width)`; T is fixed by the data.
    """

    def __init__(self, steps: int, features: int, hidden: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(features, hidden, batch_first=True)
        self.out = nn.Linear(steps * hidden, width)

    def forward(self, x: Float[Tensor, "batch steps features"]) -> Float[Tensor, "batch dim"]:
        states, _ = self.gru(x)  # (B, T, hidden)
        return self.out(states.flatten(1))


def sinusoidal_position(
    first: Float[Tensor, "batch steps"], width: int
) -> Float[Tensor, "batch steps dim"]:
    """Positions of steps whose first channel is `first`.

    Step t, counted from 0, uses t + 1; the halves are [sin | cos] with frequencies
    10000^(-k / (half - 1)). A step whose first channel is exactly 0 counts as padding and gets the
    zero vector, as in the released code.
    """
    half = width // 2
    exponent = -math.log(10000.0) / (half - 1)
    frequency = torch.exp(torch.arange(half, device=first.device) * exponent)
    step = torch.arange(1, first.shape[1] + 1, device=first.device)
    angle = step[:, None] * frequency  # (T, half)
    table = torch.cat([angle.sin(), angle.cos()], dim=-1)  # (T, width)
    is_real = first != 0
    return table * is_real.unsqueeze(-1)


def causal_mask(
    n_query: int, n_key: int, device: torch.device | None = None
) -> Bool[Tensor, "queries keys"]:
    """True where key k is blocked for query q: where k > q + |n_key - n_query|."""
    every_pair = torch.ones(n_query, n_key, dtype=torch.bool, device=device)
    return every_pair.triu(1 + abs(n_key - n_query))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward; one LayerNorm serves queries, keys and values."""

    def __init__(self, width: int, attention_dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            width, HEADS, dropout=attention_dropout, batch_first=True
        )
        self.norm_attention = nn.LayerNorm(width)
        self.norm_forward = nn.LayerNorm(width)
        self.forward_net = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            nn.Dropout(RESIDUAL_DROPOUT),
            nn.Linear(4 * width, width),
            nn.Dropout(RESIDUAL_DROPOUT),
        )

    def forward(
        self,
        x: Float[Tensor, "batch queries dim"],
        source: Float[Tensor, "batch keys dim"],
        blocked: Bool[Tensor, "queries keys"],
    ) -> Float[Tensor, "batch queries dim"]:
        """`x` after attending to `source` and the feed-forward net."""
        key = self.norm_attention(source)
        query = self.norm_attention(x)
        attended, _ = self.attention(query, key, key, attn_mask=blocked, need_weights=False)
        x = x + F.dropout(attended, RESIDUAL_DROPOUT, self.training)
        return x + self.forward_net(self.norm_forward(x))


class CrossTransformer(nn.Module):
    """A target attends causally to a source, layer after layer.

    The source is embedded once and read unchanged by every layer. Without a source every layer
    reads the current target instead: that is the self-attention transformer.
    """

    def __init__(self, width: int, attention_dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, attention_dropout) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)
        self.apply(xavier)

    def forward(
        self,
        target: Float[Tensor, "batch queries dim"],
        source: Float[Tensor, "batch keys dim"] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        n_keys = target.shape[1] if source is None else source.shape[1]
        blocked = causal_mask(target.shape[1], n_keys, target.device)
        x = self._embed(target)
        read = None if source is None else self._embed(source)
        for layer in self.layers:
            x = layer(x, x if read is None else read, blocked)
        return self.norm(x)

    def _embed(self, x: Tensor) -> Tensor:
        """Scale, add positions and drop out, `(B, T, width)`."""
        width = x.shape[-1]
        scaled = x * math.sqrt(width)
        position = sinusoidal_position(scaled[..., 0], width)
        return F.dropout(scaled + position, EMBEDDING_DROPOUT, self.training)


def last_step(
    x: Float[Tensor, "batch steps dim"], raw: Float[Tensor, "batch steps features"]
) -> Float[Tensor, "batch dim"]:
    """`x` at the last step whose raw features are not all zero.

    On MulT's left-padded files that is the last step of all, and so it is for a sample of pure
    padding.
    """
    is_real = raw.abs().sum(-1) > 0  # (B, T)
    step = torch.arange(1, raw.shape[1] + 1, device=raw.device)
    last = (is_real * step).amax(dim=1) - 1  # -1 for pure padding
    sample = torch.arange(len(x), device=x.device)
    return x[sample, last]


class MulT(nn.Module):
    """Every modality attends to every other, then to itself; their last steps are joined.

    It maps all sequences by name to `(B, width)`. A single modality goes straight to its
    self-attention transformer.
    """

    def __init__(self, specs: Mapping[str, tuple[int, int]], width: int) -> None:
        super().__init__()
        self.names = tuple(specs)
        n = len(self.names)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(features, STREAM, 1, bias=False) for _, features in specs.values()
        )
        # (target, source) by number
        self.pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        self.cross = nn.ModuleList(
            CrossTransformer(STREAM, self._attention_dropout(source)) for _, source in self.pairs
        )
        stream = STREAM * max(n - 1, 1)  # of all sources side by side
        self.memory = nn.ModuleList(CrossTransformer(stream, ATTENTION_DROPOUT) for _ in self.names)
        joined = n * stream
        self.residual = nn.Sequential(
            nn.Linear(joined, joined), nn.ReLU(), nn.Linear(joined, joined)
        )
        self.out = nn.Linear(joined, width)

    def _attention_dropout(self, source: int) -> float:
        return ATTENTION_DROPOUT if self.names[source] in LANGUAGE else 0.0

    def forward(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch dim"]:
        streams = self._streams(inputs)
        crossed = self._cross(streams)
        last_steps = []
        for name, memory, joined in zip(self.names, self.memory, crossed, strict=True):
            last_steps.append(last_step(memory(joined), inputs[name]))
        h = torch.cat(last_steps, dim=-1)  # (B, M * stream)
        return self.out(h + self.residual(h))

    def _streams(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Each modality as `(B, T, 30)`, with dropout on language input."""
        streams = []
        for name, convolution in zip(self.names, self.convolutions, strict=True):
            drops = self.training and name in LANGUAGE
            x = F.dropout(inputs[name], LANGUAGE_DROPOUT, drops)
            streams.append(convolution(x.transpose(1, 2)).transpose(1, 2))
        return streams

    def _cross(self, streams: list[Tensor]) -> list[Tensor]:
        """What each modality reads in the others, side by side, `(B, T, 30 (M - 1))`."""
        if len(streams) == 1:
            return streams
        crossed: list[list[Tensor]] = [[] for _ in streams]
        for (target, source), transformer in zip(self.pairs, self.cross, strict=True):
            crossed[target].append(transformer(streams[target], streams[source]))
        return [torch.cat(sources, dim=-1) for sources in crossed]
