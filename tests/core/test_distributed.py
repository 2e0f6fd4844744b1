"""Two gloo ranks on this machine stand for two devices."""

from __future__ import annotations

import socket
import warnings

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from robult_core.datasets.container import MultimodalData
from robult_core.distributed import gather, shard, world_size
from robult_core.method import Batch
from robult_core.model import Robult, RobultConfig
from robult_core.tasks import Classification
from robult_core.training import TrainingConfig, train

RANKS = 2
TRAINING = TrainingConfig(steps=4, batch_size=16, sampling="shuffle", learning_rate=1e-2)


def make_data(n: int = 64) -> MultimodalData:
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.randn(n, 5, generator=generator) for name in ("a", "b")}
    return MultimodalData(
        "noise", Classification(3), inputs, torch.arange(n) % 3, np.array(["train"] * n)
    )


def make_batch(balanced: bool) -> Batch:
    data = make_data(12)
    labeled = torch.zeros(12, dtype=torch.bool)
    labeled[[0, 1, 3, 6, 7, 9] if balanced else [0, 1, 2, 3, 5, 9]] = True
    return Batch(data.modalities, data.targets, labeled, None)


def make_method() -> Robult:
    torch.manual_seed(1)
    return Robult(
        Classification(3), {"a": (5,), "b": (5,)}, RobultConfig(width=8, dropout=0.0)
    ).double()


def share(batch: Batch) -> Batch:
    inputs = {name: shard(x).double() for name, x in batch.inputs.items()}
    return Batch(inputs, shard(batch.targets), shard(batch.labeled), None)


def one_step(balanced: bool) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Loss terms, averaged over ranks, and gradients after DDP's averaging; on one rank, plainly.
    Loss terms, averaged over ranks, and gradients after DDP's averaging; on one rank, plainly."""
    method = make_method()
    wrapped = (
        LossModule(method)
        if world_size() == 1
        else DistributedDataParallel(LossModule(method), find_unused_parameters=True)
    )
    terms = wrapped(share(make_batch(balanced)))
    chosen = (
        terms
        if balanced
        else {name: value for name, value in terms.items() if "contrastive" in name}
    )
    torch.stack(list(chosen.values())).sum().backward()
    values = {name: value.detach().clone() for name, value in chosen.items()}
    for value in values.values():
        if world_size() > 1:
            dist.all_reduce(value)
            value /= world_size()
    return values, {
        name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None
    }


class LossModule(torch.nn.Module):
    """DDP prepares its averaging in `forward`."""

    def __init__(self, method: Robult) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self.method.loss_terms(batch)


def on_rank(rank: int, address: str, results: object) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=RANKS)
    rows = torch.arange(4.0).reshape(2, 2).requires_grad_()
    whole = gather(rows + 10 * rank)
    (whole * torch.arange(1.0, 5.0).reshape(4, 1) * (rank + 1)).sum().backward()
    flags = gather(torch.tensor([rank == 0, True]))
    steps = {balanced: one_step(balanced) for balanced in (True, False)}
    try:
        shard(torch.zeros(3, 1))
        message = ""
    except ValueError as error:
        message = str(error)
    results[rank] = {
        "whole": whole.detach(),
        "gradient": rows.grad,
        "flags": flags,
        "steps": steps,
        "message": message,
    }
    dist.destroy_process_group()


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(scope="module")
def ranks() -> list[dict]:
    with mp.get_context("spawn").Manager() as manager:
        results = manager.dict()
        mp.spawn(on_rank, (free_address(), results), nprocs=RANKS)
        return [results[rank] for rank in range(RANKS)]


def test_gather_stacks_ranks_in_order(ranks):
    for found in ranks:
        assert found["whole"].tolist() == [[0, 1], [2, 3], [10, 11], [12, 13]]
        assert found["flags"].tolist() == [True, True, False, True]


def test_gradients_of_gathered_rows_sum_over_ranks(ranks):
    assert ranks[0]["gradient"].tolist() == [
        [3, 3],
        [6, 6],
    ]  # weights 1, 2 from rank 0 and twice that from rank 1
    assert ranks[1]["gradient"].tolist() == [[9, 9], [12, 12]]


@pytest.mark.parametrize(
    "balanced",
    [True, False],
    ids=["all terms, labels spread evenly", "contrastive terms, labels spread unevenly"],
)
def test_two_ranks_equal_one(ranks, balanced):
    values, gradients = one_step(balanced)
    for found in ranks:
        many_values, many_gradients = found["steps"][balanced]
        assert set(many_values) == set(values)
        for name, value in values.items():
            torch.testing.assert_close(many_values[name], value, rtol=1e-6, atol=1e-6, msg=name)
        for name, value in gradients.items():
            torch.testing.assert_close(many_gradients[name], value, rtol=1e-6, atol=1e-6, msg=name)
        assert max(value.abs().max() for value in gradients.values()) > 1e-3


def test_a_batch_that_does_not_divide_is_named(ranks):
    assert "3 rows does not divide by 2 ranks" in ranks[0]["message"]


def test_one_rank_passes_through():
    rows = torch.randn(3, 2)
    assert gather(rows) is rows
    assert shard(rows) is rows
    assert world_size() == 1


def train_few_steps(fabric: object, path: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    method = make_method().float()
    history = train(method, make_data(), np.arange(64), TRAINING, fabric=fabric)
    if fabric.global_rank == 0:
        torch.save(
            {
                "weights": method.state_dict(),
                "steps": max(step for step, _, _ in history.rows),
                "ranks": world_size(),
            },
            path,
        )


def test_a_short_ddp_training_gives_the_weights_of_one_rank(tmp_path):
    from lightning_fabric import Fabric

    found = {}
    for ranks_, strategy in [(1, "auto"), (RANKS, "ddp_spawn")]:
        path = tmp_path / f"{ranks_}.pt"
        fabric = Fabric(accelerator="cpu", devices=ranks_, strategy=strategy)
        fabric.launch(train_few_steps, str(path))
        found[ranks_] = torch.load(path)
    assert found[RANKS]["ranks"] == RANKS
    assert found[RANKS]["steps"] == TRAINING.steps
    start = make_method().float().state_dict()
    for name, value in found[1]["weights"].items():
        torch.testing.assert_close(
            found[RANKS]["weights"][name], value, rtol=1e-3, atol=1e-5, msg=name
        )
    assert any((found[1]["weights"][name] - start[name]).abs().max() > 1e-2 for name in start)
