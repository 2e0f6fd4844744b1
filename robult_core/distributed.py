"""More than one device: `gather` makes an in-batch loss see the rows of all ranks (a model larger than one device trains through DDP).

Each of W ranks encodes its share of a batch, gathers the latents of all ranks and computes the *same* loss of the whole batch. On the way
back a rank receives the sum of the W copies' gradients for its own rows, W times what one rank would get; DDP then averages parameter
gradients over ranks, which divides by W again. So loss and gradients equal those of one rank that holds the whole batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


class _AllGather(torch.autograd.Function):
    """All-gather whose backward sums the gradients that every rank holds for this rank's rows."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def world_size() -> int:
    """Number of ranks; 1 when no process group is initialised."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(tensor: Tensor) -> Tensor:
    """Rows of all ranks in rank order, `(b, ...) -> (W b, ...)`, carrying gradients; the tensor itself on one rank.

    Every rank must pass the same shape (`shard` sees to it); integer and boolean tensors pass without gradients.
    """
    if world_size() == 1:
        return tensor
    if tensor.dtype == torch.bool:  # gloo and nccl disagree about booleans
        return _AllGather.apply(tensor.to(torch.uint8)).bool()
    return _AllGather.apply(tensor)


def shard(rows: Tensor) -> Tensor:
    """This rank's rows of a batch, `(W b, ...) -> (b, ...)`. Raises ValueError when the batch does not divide by the ranks."""
    ranks = world_size()
    if len(rows) % ranks:
        raise ValueError(
            f"a batch of {len(rows)} rows does not divide by {ranks} ranks: choose a multiple of {ranks}"
        )
    return rows if ranks == 1 else rows.chunk(ranks)[dist.get_rank()]
