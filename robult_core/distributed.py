"""Training on W ranks: each encodes its share of a batch, all compute the same loss of the whole.

`shard` cuts a batch into equal shares, and `gather` brings the rows of all ranks together again. On
the way back a rank receives the sum of the W copies' gradients for its own rows, which is W times
what one process would get. DDP then averages the gradients of the parameters over the ranks, which
divides by W. So losses and gradients equal those of one process that holds the whole batch, and
every rank sees the same loss.

There is one rule for a method: it gathers whatever enters a mean over samples or a comparison
between them, and then reduces as on one rank. `Task.supervised_loss` does so by itself. What a
method draws at random it draws for all rows on every rank alike and keeps `own_rows` of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning_fabric import Fabric

    from robult_core.method import Batch, Method


def world_size() -> int:
    """The number of ranks; it is 1 when no process group is initialised."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1


def shard(rows: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "share ..."]:
    """This rank's share of a batch; the rows themselves on one rank.

    All shares have the same length. A batch that does not divide by the ranks is filled up with
    rows of zeros, which are False in a mask, so that they are neither labelled nor present.
    """
    ranks = world_size()
    if ranks == 1:
        return rows
    missing = -len(rows) % ranks
    filler = rows.new_zeros(missing, *rows.shape[1:])
    filled = torch.cat([rows, filler])
    return filled.chunk(ranks)[dist.get_rank()]


def gather(rows: Shaped[Tensor, "own ..."]) -> Shaped[Tensor, "all ..."]:
    """The rows of all ranks in rank order, carrying gradients; the tensor itself on one rank.

    Ranks may pass different numbers of rows. Tensors of integers and booleans carry no gradient.
    """
    if world_size() == 1:
        return rows
    counts = _row_counts(len(rows), rows.device)
    if rows.dtype == torch.bool:  # gloo and nccl disagree about booleans
        return _AllGather.apply(rows.to(torch.uint8), counts).bool()
    return _AllGather.apply(rows, counts)


def own_rows(drawn: Shaped[Tensor, "all ..."], own: int) -> Shaped[Tensor, "own ..."]:
    """The rows of `drawn` that belong to this rank, which holds `own` of all the rows."""
    if world_size() == 1:
        return drawn
    counts = _row_counts(own, drawn.device)
    return drawn.split(counts)[dist.get_rank()]


def loss_terms_on(method: Method, fabric: Fabric) -> Callable[[Batch], dict[str, Tensor]]:
    """The method's `loss_terms` with the precision and the ranks of a launched fabric.

    The method itself moves to the fabric's device.
    """
    from lightning_fabric.strategies import DDPStrategy

    if isinstance(fabric.strategy, DDPStrategy):
        # a step may reach only some parameters: Prompt-Trans uses no prompts in its first stage
        fabric.strategy._ddp_kwargs["find_unused_parameters"] = True
    wrapped = fabric.setup_module(method)
    wrapped.mark_forward_method("loss_terms")
    return wrapped.loss_terms


def _row_counts(own: int, device: torch.device) -> list[int]:
    """How many rows each rank holds."""
    mine = torch.tensor([own], device=device)
    counts = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(counts, mine)
    return [int(count) for count in counts]


class _AllGather(torch.autograd.Function):
    """All-gather whose backward sums the gradients that every rank holds for this rank's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        longest = max(counts)
        padded = rows.new_zeros(longest, *rows.shape[1:])  # a collective needs equal shapes
        padded[: len(rows)] = rows
        shares = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(shares, padded)
        return torch.cat([share[:count] for share, count in zip(shares, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        summed = gradient.clone()
        dist.all_reduce(summed)
        return summed.split(ctx.counts)[dist.get_rank()], None
