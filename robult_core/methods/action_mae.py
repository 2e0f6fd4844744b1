"""ActionMAE (Woo et al. 2023): rebuild the tokens of dropped modalities and classify those.

Each modality is one token of the common encoder. The encoder passes memory tokens and the kept
tokens through two transformer blocks. The decoder gets a mask token in every dropped slot and
passes all slots through two blocks and a linear map: R. The fusion sums, over the modalities, a
linear layer on R, for the kept slots too. B samples, M modalities, N memory tokens, D token width.

`variant="fixed"`, the default: sinusoidal positions say which modality a token is, before the
encoder and before the decoder; the memory tokens never reach the fusion; with nothing missing the
decoder runs as ever.

`variant="released"` reproduces the published code: there are no positions, hence all missing slots
get the same reconstruction. With nothing missing the fusion reads the first M tokens of
[memory | modalities], as they leave the encoder. At evaluation the k kept tokens fill the first k
slots, whatever their modality, and the fusion takes them for the first k modalities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import Batch, make_encoders, present_mask
from robult_core.methods.baseline import Baseline
from robult_core.methods.vit import Block, xavier
from robult_core.tasks import Task, weighted_mean
from robult_core.validation import Count, Even, Rate, Share, Weight, validated


@validated
class ActionMAEConfig:
    """The common encoders, the two small transformers, and the loss."""

    # of the common encoders, our choice as for Robult
    width: Count = 128
    # of the common encoders (reading 23); chosen by `robult search` (see notebook 04)
    dropout: Rate = 0.71
    # D; our choice, the release has 512 for video
    token_width: Even = 64
    # attention heads and blocks, of the encoder and of the decoder each, as released
    heads: Count = 8
    blocks: Count = 2
    # N; the default of the released configuration, where its training script has 4
    memory_tokens: Count = 1
    # of the cross-entropy, where losses other than that of classes have none; chosen by
    # `robult search` (see notebook 04); .1 as released
    label_smoothing: Share = 0.22
    # chosen by `robult search` (see notebook 04); 1 as released
    reconstruction_weight: Weight = 0.12
    # our choice: the defects of the released code are no part of the method
    variant: Literal["fixed", "released"] = "fixed"


def random_keep(
    present: Bool[Tensor, "batch modalities"], generator: torch.Generator | None = None
) -> Bool[Tensor, "batch modalities"]:
    """Which tokens are kept: a random subset for each sample, of one size for the whole batch.

    The size is uniform on 1..M. Only tokens that are present are kept; a sample with fewer of them
    than the size keeps all that it has.
    """
    size = int(torch.randint(1, present.shape[1] + 1, (), generator=generator))
    noise = torch.rand(present.shape, generator=generator).to(present.device)
    order = noise.masked_fill(~present, 2.0)  # what is absent comes last
    rank = order.argsort(dim=1).argsort(dim=1)
    return (rank < size) & present


def masked_reconstruction_loss(
    output: Float[Tensor, "*tokens dim"],
    target: Float[Tensor, "*tokens dim"],
    dropped: Bool[Tensor, "*tokens"],
    normalize: bool = True,
) -> Float[Tensor, ""]:
    """L_rec: the mean over features of (R - T')^2, averaged over the dropped tokens.

    T' is the target with mean 0 and unbiased variance 1 over the features of each token, or the
    target itself without `normalize`. It is not detached: encoders move towards what can be
    rebuilt. Where nothing is dropped the loss is exactly 0.
    """
    if normalize:
        centered = target - target.mean(-1, keepdim=True)
        # Tensor.var takes ten times as long
        variance = centered.square().sum(-1, keepdim=True) / (target.shape[-1] - 1)
        target = centered / (variance + 1e-6).sqrt()
    per_token = (output - target).square().mean(-1)
    return (per_token * dropped).sum() / dropped.sum().clamp(min=1)


def sine_positions(n_tokens: int, width: int, n_memory: int) -> Float[Tensor, "tokens dim"]:
    """Positions of N memory tokens, which are zero, and of M tokens, the first of which is 1.

    The halves are [sin | cos], with frequencies 10000^(-k / (width / 2)). `width` must be even.
    """
    half = width // 2
    frequency = torch.exp(torch.arange(half) * (-math.log(10000.0) / half))
    angle = torch.arange(1, n_tokens + 1)[:, None] * frequency  # (M, half)
    of_tokens = torch.cat([angle.sin(), angle.cos()], dim=-1)  # (M, width)
    of_memory = torch.zeros(n_memory, width)
    return torch.cat([of_memory, of_tokens])


class ActionMAE(Baseline):
    """L_rec on all samples and the supervised loss on the labelled ones."""

    learning_rate = 1.4e-3  # chosen by `robult search` (see notebook 04)

    positions: Tensor

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: ActionMAEConfig | None = None,
    ) -> None:
        super().__init__(task, specs)
        self.config = config or ActionMAEConfig()
        config = self.config
        width = config.token_width
        self.encoders = make_encoders(specs, config.width, config.dropout)
        self.to_token = nn.ModuleList(nn.Linear(config.width, width) for _ in self.names)
        self.memory = nn.Parameter(torch.randn(config.memory_tokens, width) * 0.02)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.encoder = self._blocks()
        self.decoder = self._blocks()
        self.encoder_norm = nn.LayerNorm(width)
        self.decoder_norm = nn.LayerNorm(width)
        self.reconstruct = nn.Linear(width, width)
        self.fusion = nn.ModuleList(nn.Linear(width, task.n_outputs) for _ in self.names)
        for module in (self.encoder, self.decoder, self.reconstruct, self.fusion):
            module.apply(xavier)
        positions = sine_positions(len(self.names), width, config.memory_tokens)
        if config.variant == "released":
            positions = torch.zeros_like(positions)
        self.register_buffer("positions", positions, persistent=False)

    def _blocks(self) -> nn.ModuleList:
        config = self.config
        return nn.ModuleList(Block(config.token_width, config.heads) for _ in range(config.blocks))

    # --- the losses -----------------------------------------------------------------------------

    def prepared(self, batch: Batch) -> Batch:
        """All samples, each with the tokens that it keeps."""
        present = present_mask(batch, len(self.names))
        return replace(batch, kept=random_keep(present.T, self.generator).T)

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """Tokens, what is rebuilt of those kept, and its logits."""
        assert batch.kept is not None  # by `prepared`
        tokens = self._tokens(batch.inputs)
        rebuilt = self._autoencode(tokens, batch.kept.T)
        return {
            "tokens": tokens.transpose(0, 1),
            "rebuilt": rebuilt.transpose(0, 1),
            "logits": self._fuse(rebuilt),
        }

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """L_rec of the tokens that were dropped, and the supervised loss of what is rebuilt."""
        assert batch.kept is not None  # by `prepared`
        dropped = present_mask(batch, len(self.names)) & ~batch.kept
        reconstruction = masked_reconstruction_loss(outputs["rebuilt"], outputs["tokens"], dropped)
        return {
            "reconstruction": self.config.reconstruction_weight * reconstruction,
            "supervised": self._supervised(outputs["logits"], batch),
        }

    def _supervised(self, logits: Float[Tensor, "batch outputs"], batch: Batch) -> Tensor:
        """The task's loss on the labelled rows, smoothed where it is one of classes."""
        labeled = batch.labeled
        if self.task.kind != "classification" or not labeled.any():
            return self.task.supervised_loss(logits, batch.targets, labeled, batch.weights)
        known, targets = logits[labeled], batch.targets[labeled].long()
        smoothing = self.config.label_smoothing
        if batch.weights is None:
            return F.cross_entropy(known, targets, label_smoothing=smoothing)
        losses = F.cross_entropy(known, targets, label_smoothing=smoothing, reduction="none")
        return weighted_mean(losses, batch.weights[labeled])

    # --- the networks ---------------------------------------------------------------------------

    def _tokens(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch modalities dim"]:
        """One token per modality; zeros, which nothing reads, where it is not given."""
        given = {}
        for name, to_token in zip(self.names, self.to_token, strict=True):
            if name in inputs:
                given[name] = to_token(self._encode(name, inputs))
        blank = torch.zeros_like(next(iter(given.values())))
        return torch.stack([given.get(name, blank) for name in self.names], dim=1)

    def _autoencode(
        self,
        tokens: Float[Tensor, "batch modalities dim"],
        keep: Bool[Tensor, "batch modalities"],
    ) -> Float[Tensor, "batch modalities dim"]:
        """R from the tokens that are kept."""
        visible = F.pad(keep, (self.config.memory_tokens, 0), value=True)  # (B, N + M)
        encoded = self._encode_visible(tokens, visible)
        if self.config.variant == "released" and keep.all():
            return encoded[:, : len(self.names)]
        return self._decode(encoded, visible)

    def _encode_visible(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Memory and modality tokens after the encoder, `(B, N + M, D)`; zeros where not visible.

        The blocks get the visible tokens alone, moved together. Samples with fewer of them than
        others are filled up with tokens that nobody attends to.
        """
        memory = self.memory.expand(len(tokens), -1, -1)
        x = torch.cat([memory, tokens], dim=1) + self.positions
        longest = int(visible.sum(dim=1).max()) if len(visible) else 0
        order = visible.argsort(dim=1, descending=True, stable=True)[:, :longest]  # (B, L)
        index = order.unsqueeze(-1).expand(-1, -1, x.shape[-1])  # (B, L, D)
        short = x.gather(1, index)
        mask = visible.gather(1, order)
        for block in self.encoder:
            short = block(short, mask=None if mask.all() else mask)
        return torch.zeros_like(x).scatter(1, index, self.encoder_norm(short))

    def _decode(self, encoded: Tensor, visible: Tensor) -> Tensor:
        """R `(B, M, D)`, with the mask token in the slots that are not visible."""
        filled = torch.where(visible.unsqueeze(-1), encoded, self.mask_token)
        x = filled + self.positions
        for block in self.decoder:
            x = block(x)
        decoded = self.decoder_norm(x)[:, self.config.memory_tokens :]
        return self.reconstruct(decoded)

    def _fuse(
        self, rebuilt: Float[Tensor, "batch modalities dim"]
    ) -> Float[Tensor, "batch outputs"]:
        """Logits: the sum over modalities of a linear layer each."""
        layers: Any = self.fusion
        side_by_side = torch.cat([layer.weight for layer in layers], dim=1)  # (C, M D)
        bias = torch.stack([layer.bias for layer in layers]).sum(dim=0)
        return F.linear(rebuilt.flatten(1), side_by_side, bias)

    # --- prediction and inspection --------------------------------------------------------------

    def predict(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch outputs"]:
        """Scores of what is rebuilt from the modalities given."""
        _, rebuilt = self._rebuild(inputs)
        return self.task.scores(self._fuse(rebuilt))

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """`z/<modality>`: tokens of those given; `r/<modality>`: reconstructions in all slots.

        With every modality given there is `s` too, the mean of the reconstructions.
        """
        tokens, rebuilt = self._rebuild(inputs)
        latents = {f"z/{name}": tokens[:, i] for i, name in enumerate(self.names) if name in inputs}
        for i, name in enumerate(self.names):
            latents[f"r/{name}"] = rebuilt[:, i]
        if self._are_all(inputs):
            latents["s"] = rebuilt.mean(dim=1)
        return latents

    def _rebuild(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens and reconstructions, both `(B, M, D)`, from the modalities given."""
        given = self.check_inputs(inputs)
        tokens = self._tokens(inputs)
        is_given = torch.tensor([name in given for name in self.names], device=tokens.device)
        keep = is_given.expand(len(tokens), -1)
        if self.config.variant == "released":
            kept_first = is_given.argsort(descending=True, stable=True)
            return tokens, self._autoencode(tokens[:, kept_first], keep[:, kept_first])
        return tokens, self._autoencode(tokens, keep)
