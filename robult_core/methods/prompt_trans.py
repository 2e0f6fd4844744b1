"""Prompt-Trans: missing-aware prompts (Lee et al. 2023) on a frozen transformer. No unlabelled term: only labelled rows train it.

One prompt set per pattern of present modalities, 2^M - 1 of them. The original defines two modalities; beyond that it is our extension.
Input-type prompts are prepended to the sequence before each of the first blocks and stay in it; attention-type prompts are prepended half to
the keys, half to the values. A missing modality enters as dummy input.

"Prompt-Trans (small backbone)": stage 1, the first 30 % of the steps, trains a small transformer and the head on labelled complete rows
(the original's `finetune_first`); stage 2 freezes it and learns prompts, pooler and head, with simulated missing modalities. With
`vilt_folder` the frozen backbone is a real ViLT from a local folder (`vilt.py`), and there is no stage 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import (
    Batch,
    Method,
    check_choice,
    make_encoders,
    present_mask,
    rows_or_first,
    take,
)
from robult_core.methods.vit import Block, xavier
from robult_core.tasks import Task


@dataclass(frozen=True)
class PromptTransConfig:
    """Sizes of the small backbone are our choice (the original is ViLT-B/32: 12 blocks of width 768, prompts of 16 rows in 6 blocks).

    `simulate_missing`: redraw the pattern of every complete training row at every access. Off, as in the original's default,
    the prompts of missing modalities are never trained. `prompt_scale`: prompts are stored divided by it, so that one common learning
    rate moves them that much faster; the original trains at 1e-2 where the common rate is 1e-3.
    """

    width: int = 128
    dropout: float = 0.0  # this and stage_one: searched, notebook 04
    token_width: int = 64
    tokens: int = 4
    heads: int = 8
    blocks: int = 2
    block_dropout: float = 0.1
    prompt_length: int = 4
    prompt_blocks: int = 2
    prompt_type: str = "input"
    prompt_scale: float = 10.0
    simulate_missing: bool = True
    stage_one: float = 0.3
    vilt_folder: str | None = None

    def __post_init__(self) -> None:
        check_choice(self.prompt_type, "prompt_type", ("input", "attention"))
        if self.prompt_length % 2:
            raise ValueError(
                f"prompt_length is {self.prompt_length}: it must be even, attention-type prompts are split in halves"
            )


def prompt_patterns(n_modalities: int) -> Tensor:
    """`(2^M - 1, M)` bool: the pattern of each prompt set, complete first, then one modality, then two …"""
    sizes = [n_modalities, *range(1, n_modalities)]
    chosen = [subset for size in sizes for subset in combinations(range(n_modalities), size)]
    return torch.tensor([[m in subset for m in range(n_modalities)] for subset in chosen])


class Prompts(nn.Module):
    """One table `(sets, blocks, length, width)`; set i starts as zeros with row i (modulo the length) of ones, for attention type in both halves."""

    def __init__(self, n_modalities: int, config: PromptTransConfig, width: int) -> None:
        super().__init__()
        self.scale = config.prompt_scale
        patterns = prompt_patterns(n_modalities)
        half = config.prompt_length // 2
        table = torch.zeros(len(patterns), config.prompt_blocks, config.prompt_length, width)
        for index in range(len(patterns)):
            if config.prompt_type == "attention":
                table[index, :, [index % half, half + index % half]] = 1.0
            else:
                table[index, :, index % config.prompt_length] = 1.0
        self.table = nn.Parameter(table / self.scale)
        self.register_buffer("patterns", patterns, persistent=False)
        bits = 2 ** torch.arange(n_modalities)
        set_of = torch.zeros(2**n_modalities, dtype=torch.long)
        set_of[(patterns * bits).sum(dim=1)] = torch.arange(len(patterns))
        self.register_buffer("bits", bits, persistent=False)
        self.register_buffer("set_of", set_of, persistent=False)

    def forward(self, present: Tensor) -> Tensor:
        """present `(B, M)` -> prompts `(B, blocks, length, width)` of each sample's pattern."""
        return self.table[self.set_of[(present * self.bits).sum(dim=1)]] * self.scale

    def draw(self, n: int) -> Tensor:
        """n patterns `(n, M)`: complete with probability 1 / (M + 1), else a size uniform on 1..M-1 and a random subset of it.

        For M = 2 that is the original's one third each; beyond, single modalities come up more often than among 2^M - 1 equal patterns.
        """
        count, device = self.patterns.shape[1], self.patterns.device
        size = torch.randint(1, count, (n, 1), device=device)
        size[torch.rand(n, 1, device=device) < 1 / (count + 1)] = count
        return torch.rand(n, count, device=device).argsort(dim=1).argsort(dim=1) < size


class SmallBackbone(nn.Module):
    """Common encoders, each output cut into a few tokens; a CLS token, modality embeddings, pre-norm blocks, a final norm."""

    def __init__(self, specs: Mapping[str, Spec], config: PromptTransConfig) -> None:
        super().__init__()
        self.names, self.count, self.token_width = tuple(specs), config.tokens, config.token_width
        self.encoders = make_encoders(specs, config.width, config.dropout)
        self.to_tokens = nn.ModuleList(
            nn.Linear(config.width, config.tokens * config.token_width) for _ in self.names
        )
        self.cls = nn.Parameter(torch.randn(1, config.token_width) * 0.02)
        self.kinds = nn.Parameter(
            torch.randn(len(self.names), config.tokens, config.token_width) * 0.02
        )
        self.blocks = nn.ModuleList(
            Block(config.token_width, config.heads, config.block_dropout)
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.token_width)
        self.blocks.apply(xavier)

    def embed(self, inputs: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, None]:
        """`(B, 1 + M * tokens, D)`; the tokens of a missing modality are its embedding alone (the dummy input)."""
        parts = [self.cls.expand(len(present), -1, -1)]
        for i, name in enumerate(self.names):
            part = self.kinds[i].expand(len(present), -1, -1)
            if name in inputs:
                tokens = self.to_tokens[i](self.encoders[i](inputs[name])).unflatten(
                    -1, (self.count, self.token_width)
                )
                part = part + tokens * present[:, i, None, None]
            parts.append(part)
        return torch.cat(parts, dim=1), None


def run_blocks(
    blocks: nn.ModuleList, x: Tensor, prompts: Tensor | None, kind: str, mask: Tensor | None = None
) -> tuple[Tensor, int]:
    """Blocks with prompts `(B, prompted blocks, P, D)` -> the sequence and the index of its readout token.

    Input type: the sequence grows by P before each prompted block, the readout moves on with it; one mask for the longest sequence is built
    once and its last N entries are used. Attention type: the length stays.
    """
    layers, length = (
        (0, 0) if prompts is None else (min(prompts.shape[1], len(blocks)), prompts.shape[2])
    )
    added = layers * length if kind == "input" else length // 2
    if mask is not None:
        mask = torch.cat([mask.new_ones(len(x), added), mask], dim=1)
    for i, block in enumerate(blocks):
        if i < layers and kind == "input":
            x = torch.cat([prompts[:, i], x], dim=1)
        prompt = prompts[:, i] if i < layers and kind == "attention" else None
        keys = x.shape[1] + (0 if prompt is None else length // 2)
        x = block(x, prompt=prompt, mask=None if mask is None else mask[:, -keys:])
    return x, layers * length if kind == "input" else 0


class PromptTrans(Method):
    """Frozen backbone, prompts chosen by the pattern of each sample, pooler (linear, tanh) and the original's two-layer head."""

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: PromptTransConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.task, self.names, self.config = task, tuple(specs), config or PromptTransConfig()
        if len(self.names) < 2:
            raise ValueError(
                f"prompt_trans needs at least two modalities, got {list(self.names)}: its prompts tell which one is missing"
            )
        if self.config.vilt_folder is None:
            self.backbone, width = SmallBackbone(specs, self.config), self.config.token_width
        else:
            from robult_core.methods.vilt import ViltBackbone

            self.backbone = ViltBackbone(self.config.vilt_folder, self.names)
            width = self.backbone.width
        self.prompts = Prompts(len(self.names), self.config, width)
        self.pooler = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        hidden = [nn.Linear(width, 2 * width), nn.LayerNorm(2 * width), nn.GELU()]
        self.head = nn.Sequential(*hidden, nn.Linear(2 * width, task.n_outputs))
        self.register_buffer("frozen", torch.tensor(False))
        if self.config.vilt_folder is not None:
            self.freeze()

    def freeze(self) -> None:
        """Start stage 2: the backbone gets no gradient any more, prompts are used."""
        self.frozen.fill_(True)
        for parameter in self.backbone.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimiser skips it from here on

    def _pooled(self, inputs: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Pooled readout `(B, D)`; present `(B, M)` bool."""
        x, mask = self.backbone.embed(inputs, present)
        prompts = self.prompts(present) if self.frozen else None
        x, readout = run_blocks(self.backbone.blocks, x, prompts, self.config.prompt_type, mask)
        return self.pooler(self.backbone.norm(x[:, readout]))

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        if not self.frozen and self.progress >= self.config.stage_one:
            self.freeze()
        present = present_mask(batch, len(self.names)).T
        usable = batch.labeled if self.frozen else batch.labeled & present.all(dim=1)
        rows = rows_or_first(usable)
        pattern = present[rows]
        if self.frozen and self.config.simulate_missing:
            pattern = torch.where(
                pattern.all(dim=1, keepdim=True), self.prompts.draw(len(rows)), pattern
            )
        logits = self.head(self._pooled(take(batch.inputs, rows), pattern))
        return {"supervised": self.task.supervised_loss(logits, batch.targets[rows], usable[rows])}

    def _given(self, inputs: Mapping[str, Tensor], names: tuple[str, ...]) -> Tensor:
        x = inputs[names[0]]
        present = torch.tensor([name in names for name in self.names], device=x.device).expand(
            len(x), -1
        )
        return self._pooled({name: inputs[name] for name in names}, present)

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.task.scores(self.head(self._given(inputs, self.check_inputs(inputs))))

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Pooled readouts: `z/<modality>` from that modality alone, `s` from all of them."""
        given = self.check_inputs(inputs)
        latents = {f"z/{name}": self._given(inputs, (name,)) for name in given}
        return latents | (
            {"s": self._given(inputs, given)} if len(given) == len(self.names) else {}
        )
