"""ActionMAE (Woo et al. 2023): drop random modalities, reconstruct their tokens from the rest, classify the reconstructions.

One token per modality from the common encoder. Encoder: memory tokens and kept tokens through two transformer blocks. Decoder: dropped slots
filled with a mask token, two blocks, a linear map R. Fusion: sum over modalities of a linear layer on R, for kept slots too.

`variant="fixed"` (default): sinusoidal positions say which modality a token is, before the encoder and the decoder; memory tokens are always
stripped; with nothing missing the decoder still runs. `variant="released"` reproduces the published code: no positions, hence one and the
same reconstruction for every missing slot, and with nothing missing the fusion reads the first M tokens of [memory | modalities].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import Batch, Method, check_choice, make_encoders, present_mask
from robult_core.methods.vit import Block, xavier
from robult_core.tasks import Task


@dataclass(frozen=True)
class ActionMAEConfig:
    """Two blocks each, 1 : 1 losses, label smoothing .1 as released (smoothing only where the task has classes); token width 64 with 8 heads
    and one memory token instead of 512 and 4: there is no video here.
    """

    width: int = 128
    dropout: float = 0.3
    token_width: int = 64
    heads: int = 8
    blocks: int = 2
    memory_tokens: int = 1
    label_smoothing: float = 0.1
    reconstruction_weight: float = 0.1  # searched, notebook 04; 1 as released
    variant: str = "fixed"

    def __post_init__(self) -> None:
        check_choice(self.variant, "variant", ("fixed", "released"))


def random_keep(present: Tensor) -> Tensor:
    """`(B, M)` bool, the tokens kept: one size for the batch, uniform on 1..M, and for each sample its own random subset of that size.

    present `(B, M)`: only present tokens are kept; a sample with fewer of them than the size keeps all it has.
    """
    size = int(torch.randint(1, present.shape[1] + 1, ()))
    noise = torch.rand(present.shape, device=present.device).masked_fill(~present, 2.0)
    return (noise.argsort(dim=1).argsort(dim=1) < size) & present


def masked_reconstruction_loss(
    output: Tensor, target: Tensor, dropped: Tensor, normalize: bool = True
) -> Tensor:
    """L_rec: mean over features of (R - T')^2, averaged over dropped tokens; output and target `(B, M, D)`, dropped `(B, M)` bool.

    T' is the token with mean 0 and (unbiased) variance 1 over its features. It is not detached: encoders move towards what can be
    reconstructed. Nothing dropped: exactly 0.
    """
    if normalize:
        target = (target - target.mean(-1, keepdim=True)) / (
            target.var(-1, keepdim=True) + 1e-6
        ).sqrt()
    per_token = (output - target).square().mean(-1)
    return (per_token * dropped).sum() / dropped.sum().clamp(min=1)


def sine_positions(n_tokens: int, width: int, n_memory: int) -> Tensor:
    """`(n_memory + n_tokens, width)`: zeros for memory, position i + 1 for token i, halves [sin | cos], frequencies 10000^(-k / (width / 2))."""
    half = width // 2
    frequency = torch.exp(torch.arange(half) * (-math.log(10000.0) / half))
    angle = torch.arange(1, n_tokens + 1)[:, None] * frequency
    return torch.cat([torch.zeros(n_memory, width), torch.cat([angle.sin(), angle.cos()], dim=-1)])


class ActionMAE(Method):
    """L_rec on all samples, supervised loss on labelled ones."""

    learning_rate = 3e-3  # searched, notebook 04

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: ActionMAEConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.task, self.names, self.config = task, tuple(specs), config or ActionMAEConfig()
        config, width, count = self.config, self.config.token_width, len(self.names)
        self.encoders = make_encoders(specs, config.width, config.dropout)
        self.to_token = nn.ModuleList(nn.Linear(config.width, width) for _ in self.names)
        self.memory = nn.Parameter(torch.randn(config.memory_tokens, width) * 0.02)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.encoder, self.decoder = self._blocks(), self._blocks()
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.reconstruct = nn.Linear(width, width)
        self.fusion = nn.ModuleList(nn.Linear(width, task.n_outputs) for _ in self.names)
        for module in (self.encoder, self.decoder, self.reconstruct, self.fusion):
            module.apply(xavier)
        positions = sine_positions(count, width, config.memory_tokens)
        self.register_buffer(
            "positions",
            positions if config.variant == "fixed" else torch.zeros_like(positions),
            persistent=False,
        )

    def _blocks(self) -> nn.ModuleList:
        return nn.ModuleList(
            Block(self.config.token_width, self.config.heads) for _ in range(self.config.blocks)
        )

    def _tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """`(B, M, D)` tokens; zeros for modalities that are not given (they are never read)."""
        given = {
            name: self.to_token[i](self.encoders[i](inputs[name]))
            for i, name in enumerate(self.names)
            if name in inputs
        }
        blank = torch.zeros_like(next(iter(given.values())))
        return torch.stack([given.get(name, blank) for name in self.names], dim=1)

    def _autoencode(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """R `(B, M, D)` from the tokens where `keep (B, M)`."""
        memory = self.memory.expand(len(tokens), -1, -1)
        n_memory = memory.shape[1]
        visible = F.pad(keep, (n_memory, 0), value=True)
        x = torch.cat([memory, tokens], dim=1) + self.positions
        for block in self.encoder:
            x = block(x, mask=visible)
        x = self.encoder_norm(x)
        if self.config.variant == "released" and keep.all():
            return x[:, : tokens.shape[1]]
        x = torch.where(visible.unsqueeze(-1), x, self.mask_token) + self.positions
        for block in self.decoder:
            x = block(x)
        return self.reconstruct(self.decoder_norm(x)[:, n_memory:])

    def _logits(self, reconstruction: Tensor) -> Tensor:
        return torch.stack(
            [layer(reconstruction[:, i]) for i, layer in enumerate(self.fusion)]
        ).sum(dim=0)

    def _supervised(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.task.kind == "classification" and batch.labeled.any():
            targets = batch.targets[batch.labeled].long()
            return F.cross_entropy(
                logits[batch.labeled], targets, label_smoothing=self.config.label_smoothing
            )
        return self.task.supervised_loss(logits, batch.targets, batch.labeled)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        present = present_mask(batch, len(self.names)).T
        tokens, keep = self._tokens(batch.inputs), random_keep(present)
        reconstruction = self._autoencode(tokens, keep)
        rebuilt = masked_reconstruction_loss(reconstruction, tokens, present & ~keep)
        return {
            "reconstruction": self.config.reconstruction_weight * rebuilt,
            "supervised": self._supervised(self._logits(reconstruction), batch),
        }

    def _given(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens and reconstructions from the modalities given."""
        given = self.check_inputs(inputs)
        tokens = self._tokens(inputs)
        keep = torch.tensor([name in given for name in self.names], device=tokens.device).expand(
            len(tokens), -1
        )
        return tokens, self._autoencode(tokens, keep)

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.task.scores(self._logits(self._given(inputs)[1]))

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`z/<modality>`: tokens; `r/<modality>`: reconstructions of all slots; with every modality given `s`, their mean."""
        tokens, rebuilt = self._given(inputs)
        latents = {f"z/{name}": tokens[:, i] for i, name in enumerate(self.names) if name in inputs}
        latents |= {f"r/{name}": rebuilt[:, i] for i, name in enumerate(self.names)}
        return latents | ({"s": rebuilt.mean(dim=1)} if len(inputs) == len(self.names) else {})
