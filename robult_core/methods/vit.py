"""Pre-norm transformer blocks that ActionMAE and Prompt-Trans share, with the prompts of missing-aware prompting (Lee et al. 2023).

Tokens are `(B, N, D)`, key masks `(B, K)` bool, True where a key may be attended to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    prompt: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Multi-head attention of projected `(B, N, D)` streams, scale head_dim^-0.5.

    prompt `(B, P, D)`: its first half is prepended to the keys, its second half to the values, head by head (attention-type prompts);
    `mask` then covers P/2 + N keys.
    """
    if prompt is not None:
        keys, values = prompt.chunk(2, dim=1)
        key, value = torch.cat([keys, key], dim=1), torch.cat([values, value], dim=1)
    query, key, value = (
        t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value)
    )  # (B, heads, N, D / heads)
    allowed = None if mask is None else mask[:, None, None, :]
    return (
        F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        .transpose(1, 2)
        .flatten(2)
    )


class Block(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`, MLP four times as wide, GELU (the ViT block of both originals)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"token width {width} is not a multiple of {heads} attention heads: change one of them"
            )
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, prompt: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        query, key, value = self.qkv(self.norm_attention(x)).chunk(3, dim=-1)
        x = x + self.dropout(self.out(attend(query, key, value, self.heads, prompt, mask)))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


def xavier(module: nn.Module) -> None:
    """Linear layers Xavier-uniform with zero biases; for `nn.Module.apply` (the originals' initialisation)."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
