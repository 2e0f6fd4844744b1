"""The pre-norm transformer block that ActionMAE and Prompt-Trans share.

Both originals use the block of ViT; Prompt-Trans adds the attention-type prompts of missing-aware
prompting (Lee et al. 2023). Tokens are `(B, N, D)`; key masks are `(B, K)` bool, True where a key
may be attended to.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


def attend(
    query: Float[Tensor, "batch queries dim"],
    key: Float[Tensor, "batch keys dim"],
    value: Float[Tensor, "batch keys dim"],
    heads: int,
    prompt: Float[Tensor, "batch prompts dim"] | None = None,
    mask: Bool[Tensor, "batch visible"] | None = None,
) -> Float[Tensor, "batch queries dim"]:
    """Multi-head attention of streams that are projected already, with scale head_dim^-0.5.

    prompt: the first half of its P tokens is prepended to the keys and the second half to the
        values, head by head (attention-type prompts). `mask` then covers P / 2 + K keys.
    """
    if prompt is not None:
        key_prompt, value_prompt = prompt.chunk(2, dim=1)
        key = torch.cat([key_prompt, key], dim=1)
        value = torch.cat([value_prompt, value], dim=1)
    allowed = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, K)
    attended = F.scaled_dot_product_attention(
        _split_heads(query, heads),
        _split_heads(key, heads),
        _split_heads(value, heads),
        attn_mask=allowed,
    )
    return attended.transpose(1, 2).flatten(2)


def _split_heads(stream: Tensor, heads: int) -> Tensor:
    """`(B, N, D) -> (B, heads, N, D / heads)`."""
    return stream.unflatten(-1, (heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`; the MLP is 4 times as wide, with GELU."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"token width {width} is not a multiple of {heads} attention heads: "
                "change one of them"
            )
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.norm_mlp = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        prompt: Float[Tensor, "batch prompts dim"] | None = None,
        mask: Bool[Tensor, "batch visible"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Tokens after attention and MLP; `prompt` and `mask` as in `attend`."""
        query, key, value = self.qkv(self.norm_attention(x)).chunk(3, dim=-1)
        attended = attend(query, key, value, self.heads, prompt, mask)
        x = x + self.dropout(self.out(attended))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


def xavier(module: nn.Module) -> None:
    """Make a linear layer Xavier-uniform with zero bias, as both originals do.

    It is meant for `nn.Module.apply`.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
