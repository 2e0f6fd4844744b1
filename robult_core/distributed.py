"""Training on W ranks: each runs the networks on its share of a batch, all know the whole loss.

Every rank draws the same batch. `shard` cuts it into equal shares, and after the networks `gather`
brings the outputs of all ranks together, so that every rank computes the same loss of the whole
batch. On the way back each rank follows its own rows alone, W times as strong, because DDP then
averages the gradients of the parameters over the ranks. So losses and gradients equal those of one
process that holds the whole batch. `Method.loss_terms` does all of this: a method knows no ranks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch import distributed as dist

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    copies of its last row, which `gather` leaves out again.
    """
    ranks = world_size()
    if ranks == 1:
        return rows
    missing = -len(rows) % ranks
    filled = torch.cat([rows, *[rows[-1:]] * missing])
    return filled.chunk(ranks)[dist.get_rank()]


def gather(
    outputs: Mapping[str, Float[Tensor, "*leading share width"]], n_rows: int
) -> Mapping[str, Float[Tensor, "*leading batch width"]]:
    """The outputs for all `n_rows` samples of a batch, from those of each rank for its share.

    All of them travel in one collective. Gradients are those of `n_rows` samples where every rank
    computes the same loss. On one rank they are the outputs themselves.

    Raises ValueError where an output has other rows than `shard` gives this rank, which is before
    anything travels.
    """
    ranks = world_size()
    if ranks == 1:
        return outputs
    _check_shares(outputs, n_rows)
    rows_first = [output.movedim(-2, 0) for output in outputs.values()]
    own = torch.cat([output.flatten(1) for output in rows_first], dim=1)
    if own.requires_grad:
        own.register_hook(lambda gradient: gradient * ranks)
    shares = [torch.empty_like(own) for _ in range(ranks)]
    dist.all_gather(shares, own.detach())
    shares[dist.get_rank()] = own  # the only share that carries gradients here
    whole = torch.cat(shares)[:n_rows]
    parts = whole.split([output[0].numel() for output in rows_first], dim=1)
    return {
        name: part.reshape(n_rows, *output.shape[1:]).movedim(0, -2)
        for name, part, output in zip(outputs, parts, rows_first, strict=True)
    }


def _check_shares(outputs: Mapping[str, Tensor], n_rows: int) -> None:
    """ValueError where an output does not hold one share of `n_rows` rows."""
    share = math.ceil(n_rows / world_size())
    for name, output in outputs.items():
        own = output.shape[-2]
        if own != share:
            raise ValueError(
                f"'{name}' has {own} rows on rank {dist.get_rank()}, and a share of {n_rows} rows "
                f"on {world_size()} ranks has {share}: cut batches by shard"
            )


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

    def loss_terms(batch: Batch) -> dict[str, Tensor]:
        with fabric.autocast():  # on one rank fabric sets the precision of `forward` alone
            terms = wrapped.loss_terms(batch)
        return {name: term.float() for name, term in terms.items()}

    return loss_terms
