"""Prompt-Trans: missing-aware prompts (Lee et al. 2023) on a frozen transformer.

It has no unlabelled term: only labelled rows train it. There is one set of prompts for each pattern
of present modalities, 2^M - 1 of them; the original defines two modalities, and beyond that it is
our extension. Prompts of the input type are prepended to the sequence before each of the first
blocks and stay in it. Those of the attention type are prepended half to the keys and half to the
values. A missing modality enters as dummy input.

Our default is "Prompt-Trans (small backbone)". Stage 1, the first 30 % of the steps, trains a small
transformer and the head on labelled complete rows, as the original's `finetune_first` does. Stage 2
freezes the transformer and learns prompts, pooler and head, with modalities missing at random. With
`vilt_folder` the frozen backbone is a real ViLT from a local folder (`vilt.py`), and there is no
stage 1. B samples, M modalities, P prompts before a block, D token width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import Batch, complete_rows, make_encoders, present_mask, rows_or_first
from robult_core.methods.baseline import Baseline
from robult_core.methods.vit import Block, xavier
from robult_core.tasks import Task
from robult_core.validation import Count, Even, Positive, Rate, Share, validated

if TYPE_CHECKING:
    from robult_core.methods.vilt import ViltBackbone

PromptType = Literal["input", "attention"]


@validated
class PromptTransConfig:
    """The small backbone, the prompts, and the two stages.

    The original's backbone is ViLT-B/32, with 12 blocks of width 768 and 16 prompts in 6 blocks.
    """

    # of the common encoders: width is our choice as for Robult, dropout was chosen by
    # `robult search` (see notebook 04)
    width: Count = 128
    dropout: Rate = 0.29
    # sizes of the small backbone, our choice: D, tokens per modality, heads, blocks and their
    # dropout
    token_width: Count = 64
    tokens: Count = 4
    heads: Count = 8
    blocks: Count = 2
    block_dropout: Rate = 0.1
    # P, even because prompts of the attention type are cut into halves, and how many blocks have
    # prompts; our choice for the small backbone
    prompt_length: Even = 4
    prompt_blocks: Count = 2
    # the original's default
    prompt_type: PromptType = "input"
    # prompts are stored divided by it, so that one common learning rate moves them that much
    # faster: the original trains at 1e-2 where the common rate is 1e-3; chosen by `robult search`
    prompt_scale: Positive = 15.0
    # whether the pattern of every complete training row is redrawn at every access; without it,
    # which is the original's default, the prompts of missing modalities are never trained
    simulate_missing: bool = True
    # share of the steps in stage 1; chosen by `robult search` (see notebook 04)
    stage_one: Share = 0.31
    # folder with the weights of a ViLT, in place of the small backbone
    vilt_folder: str | None = None


# --- the prompts ----------------------------------------------------------------------------------


def prompt_patterns(n_modalities: int) -> Bool[Tensor, "sets modalities"]:
    """The pattern of each of the 2^M - 1 prompt sets: complete first, then by size from 1 up."""
    sizes = [n_modalities, *range(1, n_modalities)]
    patterns = []
    for size in sizes:
        for subset in combinations(range(n_modalities), size):
            patterns.append([modality in subset for modality in range(n_modalities)])
    return torch.tensor(patterns)


class Prompts(nn.Module):
    """One table of prompts, `(sets, blocks, P, D)`.

    Set i starts as zeros but for row i, modulo P, of ones; for the attention type one such row in
    each half. For two modalities this is the original's initialisation.
    """

    patterns: Tensor
    bits: Tensor
    set_of: Tensor

    def __init__(self, n_modalities: int, config: PromptTransConfig, width: int) -> None:
        super().__init__()
        self.scale = config.prompt_scale
        patterns = prompt_patterns(n_modalities)
        table = self._initial_table(len(patterns), config, width)
        self.table = nn.Parameter(table / self.scale)
        # A pattern read as a binary number is the index of its set.
        bits = 2 ** torch.arange(n_modalities)
        set_of = torch.zeros(2**n_modalities, dtype=torch.long)
        set_of[(patterns * bits).sum(dim=1)] = torch.arange(len(patterns))
        self.register_buffer("patterns", patterns, persistent=False)
        self.register_buffer("bits", bits, persistent=False)
        self.register_buffer("set_of", set_of, persistent=False)

    @staticmethod
    def _initial_table(n_sets: int, config: PromptTransConfig, width: int) -> Tensor:
        length = config.prompt_length
        half = length // 2
        table = torch.zeros(n_sets, config.prompt_blocks, length, width)
        for index in range(n_sets):
            if config.prompt_type == "attention":
                table[index, :, index % half] = 1.0
                table[index, :, half + index % half] = 1.0
            else:
                table[index, :, index % length] = 1.0
        return table

    def forward(
        self, present: Bool[Tensor, "batch modalities"]
    ) -> Float[Tensor, "batch blocks prompts dim"]:
        """The prompts of each sample's pattern."""
        number = (present * self.bits).sum(dim=1)
        return self.table[self.set_of[number]] * self.scale

    def draw(
        self, n: int, generator: torch.Generator | None = None
    ) -> Bool[Tensor, "n modalities"]:
        """n random patterns, complete with probability 1 / (M + 1).

        The size of the others is uniform on 1..M-1. For M = 2 that is one third each, as in the
        original. Beyond, single modalities come up more often than they would among 2^M - 1 equal
        patterns.
        """
        count = self.patterns.shape[1]
        size = torch.randint(1, count, (n, 1), generator=generator)
        is_complete = torch.rand(n, 1, generator=generator) < 1 / (count + 1)
        size[is_complete] = count
        rank = torch.rand(n, count, generator=generator).argsort(dim=1).argsort(dim=1)
        return rank < size


def run_blocks(
    blocks: nn.ModuleList,
    x: Float[Tensor, "batch tokens dim"],
    prompts: Float[Tensor, "batch blocks prompts dim"] | None,
    kind: PromptType,
    mask: Bool[Tensor, "batch tokens"] | None = None,
) -> tuple[Float[Tensor, "batch out_tokens dim"], int]:
    """Pass a sequence through blocks with prompts; the result and the index of its readout token.

    The sequence grows by P before each block with prompts of the input type, and the readout token
    moves on with it. Prompts of the attention type leave its length alone.
    """
    if prompts is None:
        for block in blocks:
            x = block(x, mask=mask)
        return x, 0
    if kind == "attention":
        return _run_with_attention_prompts(blocks, x, prompts, mask), 0
    return _run_with_input_prompts(blocks, x, prompts, mask)


def _run_with_input_prompts(
    blocks: nn.ModuleList, x: Tensor, prompts: Tensor, mask: Tensor | None
) -> tuple[Tensor, int]:
    """One mask for the longest sequence is built once; each block uses its last N entries."""
    n_prompted = min(prompts.shape[1], len(blocks))
    n_added = n_prompted * prompts.shape[2]
    longest = _extended(mask, n_added)
    for i, block in enumerate(blocks):
        if i < n_prompted:
            x = torch.cat([prompts[:, i], x], dim=1)
        x = block(x, mask=None if longest is None else longest[:, -x.shape[1] :])
    return x, n_added


def _run_with_attention_prompts(
    blocks: nn.ModuleList, x: Tensor, prompts: Tensor, mask: Tensor | None
) -> Tensor:
    """Half of the prompts of a block become keys, so its mask is that much longer."""
    n_prompted = min(prompts.shape[1], len(blocks))
    longer = _extended(mask, prompts.shape[2] // 2)
    for i in range(n_prompted):
        x = blocks[i](x, prompt=prompts[:, i], mask=longer)
    for block in blocks[n_prompted:]:
        x = block(x, mask=mask)
    return x


def _extended(mask: Tensor | None, n_added: int) -> Tensor | None:
    """The mask with `n_added` visible tokens in front."""
    if mask is None:
        return None
    added = mask.new_ones(len(mask), n_added)
    return torch.cat([added, mask], dim=1)


# --- the networks ---------------------------------------------------------------------------------


class SmallBackbone(nn.Module):
    """Common encoders, each output cut into a few tokens, then pre-norm blocks and a final norm.

    A CLS token stands in front, and every token carries an embedding of its modality.
    """

    def __init__(self, specs: Mapping[str, Spec], config: PromptTransConfig) -> None:
        super().__init__()
        self.names = tuple(specs)
        self.count = config.tokens
        self.token_width = config.token_width
        width = config.token_width
        self.encoders = make_encoders(specs, config.width, config.dropout)
        self.to_tokens = nn.ModuleList(
            nn.Linear(config.width, config.tokens * width) for _ in self.names
        )
        self.cls = nn.Parameter(torch.randn(1, width) * 0.02)
        self.kinds = nn.Parameter(torch.randn(len(self.names), config.tokens, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.block_dropout) for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.blocks.apply(xavier)

    def embed(
        self, inputs: Mapping[str, Tensor], present: Bool[Tensor, "batch modalities"]
    ) -> tuple[Float[Tensor, "batch tokens dim"], None]:
        """The CLS token and the tokens of each modality, all of them visible.

        The tokens of a missing modality are its embedding alone: the dummy input.
        """
        batch = len(present)
        sequence = [self.cls.expand(batch, -1, -1)]
        for i, name in enumerate(self.names):
            tokens = self.kinds[i].expand(batch, -1, -1)
            if name in inputs:
                tokens = tokens + self._tokens(i, inputs[name]) * present[:, i, None, None]
            sequence.append(tokens)
        return torch.cat(sequence, dim=1), None

    def _tokens(self, i: int, x: Tensor) -> Tensor:
        """A modality's encoding cut into tokens, `(B, tokens, D)`."""
        flat = self.to_tokens[i](self.encoders[i](x))
        return flat.unflatten(-1, (self.count, self.token_width))


class PromptTrans(Baseline):
    """The backbone, the prompts of each sample's pattern, a pooler and the original's head."""

    learning_rate = 2.1e-3  # chosen by `robult search` (see notebook 04)

    frozen: Tensor
    backbone: SmallBackbone | ViltBackbone

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: PromptTransConfig | None = None,
    ) -> None:
        super().__init__(task, specs)
        self.config = config or PromptTransConfig()
        if len(self.names) < 2:
            raise ValueError(
                f"prompt_trans needs at least two modalities, got {list(self.names)}: "
                "its prompts tell which one is missing"
            )
        width = self._make_backbone(specs)
        self.prompts = Prompts(len(self.names), self.config, width)
        self.pooler = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        self.head = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.LayerNorm(2 * width),
            nn.GELU(),
            nn.Linear(2 * width, task.n_outputs),
        )
        self.register_buffer("frozen", torch.tensor(False))
        if self.config.vilt_folder is not None:
            self.freeze()

    def _make_backbone(self, specs: Mapping[str, Spec]) -> int:
        """Set the backbone and return its token width D."""
        if self.config.vilt_folder is None:
            self.backbone = SmallBackbone(specs, self.config)
            return self.config.token_width
        from robult_core.methods.vilt import ViltBackbone

        self.backbone = ViltBackbone(self.config.vilt_folder, self.names)
        return self.backbone.width

    def unimodal_encoders(self) -> Iterable[nn.Module]:
        return self.backbone.encoders if isinstance(self.backbone, SmallBackbone) else ()

    def freeze(self) -> None:
        """Start stage 2: the backbone gets no gradient any more, and prompts are used."""
        self.frozen.fill_(True)
        for parameter in self.backbone.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimiser skips it from here on

    # --- the loss -------------------------------------------------------------------------------

    def prepared(self, batch: Batch) -> Batch:
        """The labelled samples of the stage that the training is in, with their patterns."""
        if not self.frozen and self.progress >= self.config.stage_one:
            self.freeze()
        usable = batch.labeled
        if not self.frozen:
            usable = usable & complete_rows(batch)
        batch = replace(batch, labeled=usable)[rows_or_first(usable)]
        pattern = present_mask(batch, len(self.names))
        if self.frozen and self.config.simulate_missing:
            pattern = self._simulated(pattern.T).T
        return replace(batch, kept=pattern)

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """The logits of each sample with the prompts of its pattern."""
        assert batch.kept is not None  # by `prepared`
        return {"logits": self.head(self._pooled(batch.inputs, batch.kept.T))}

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The supervised loss of the stage that the training is in."""
        supervised = self.task.supervised_loss(
            outputs["logits"], batch.targets, batch.labeled, batch.weights
        )
        return {"supervised": supervised}

    def _simulated(self, present: Bool[Tensor, "batch modalities"]) -> Tensor:
        """A random pattern for every complete row; the others keep theirs."""
        is_complete = present.all(dim=1, keepdim=True)
        drawn = self.prompts.draw(len(present), self.generator).to(present.device)
        return torch.where(is_complete, drawn, present)

    # --- prediction and inspection --------------------------------------------------------------

    def predict(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch outputs"]:
        """Scores from the modalities given, with the prompts of their pattern."""
        return self.task.scores(self.head(self._pooled_alone(inputs)))

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """Pooled readouts: `z/<modality>` from that modality alone, `s` from all of them."""
        latents = {}
        for name in self.check_inputs(inputs):
            latents[f"z/{name}"] = self._pooled_alone({name: inputs[name]})
        if self._are_all(inputs):
            latents["s"] = self._pooled_alone(inputs)
        return latents

    def _pooled_alone(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """The pooled readout of samples that have the modalities given and no other."""
        given = self.check_inputs(inputs)
        first = inputs[given[0]]
        is_given = torch.tensor([name in given for name in self.names], device=first.device)
        return self._pooled(inputs, is_given.expand(len(first), -1))

    def _pooled(
        self, inputs: Mapping[str, Tensor], present: Bool[Tensor, "batch modalities"]
    ) -> Float[Tensor, "batch dim"]:
        """The pooled readout of samples of any patterns."""
        x, mask = self.backbone.embed(inputs, present)
        prompts = self.prompts(present) if self.frozen else None
        x, readout = run_blocks(self.backbone.blocks, x, prompts, self.config.prompt_type, mask)
        return self.pooler(self.backbone.norm(x[:, readout]))
