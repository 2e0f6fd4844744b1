"""Gloo ranks on this machine stand for devices: losses and gradients equal those of one process."""

from __future__ import annotations

import socket
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from robult_core.datasets.container import MultimodalData
from robult_core.distributed import gather, own_rows, shard, world_size
from robult_core.method import Batch, Method
from robult_core.methods import METHODS, make_method
from robult_core.tasks import Classification
from robult_core.training import TrainingConfig, own_share, train

pytestmark = pytest.mark.xdist_group("ranks")  # one worker, which shares `results`

# --- the cases: a method, a batch, and where its labels and modalities are ------------------------


class Case(NamedTuple):
    """One step of a method on a batch of `size` rows."""

    method: str
    labels: str
    presence: str
    size: int
    progress: float = 0.0

    def __str__(self) -> str:
        return "-".join(str(value) for value in self)


LABELS = {
    "even": [0, 1, 3, 4, 6, 7, 9, 10],  # the same number on each of 2 or 3 ranks
    "uneven": [0, 1, 2, 3, 5, 9],
    "first": [0, 1, 2],  # the other ranks have none
    "none": [],
}
CASES = [
    *[Case(method, "even", "complete", 12) for method in METHODS],
    *[Case(method, "uneven", "complete", 12) for method in METHODS],
    *[Case(method, "first", "complete", 12) for method in METHODS],
    *[Case(method, "none", "complete", 12) for method in METHODS],
    *[Case(method, "uneven", "missing", 12) for method in METHODS],
    *[Case(method, "uneven", "first rows incomplete", 12) for method in METHODS],
    *[Case(method, "uneven", "complete", 11) for method in METHODS],  # does not divide
    *[Case(method, "uneven", "missing", 2) for method in METHODS],  # 3 ranks: one is empty
    Case("prompt_trans", "even", "complete", 12, progress=0.9),  # prompts are drawn at random
    Case("prompt_trans", "uneven", "missing", 12, progress=0.9),
]


def make_data(n: int = 64) -> MultimodalData:
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.randn(n, 5, generator=generator) for name in ("a", "b")}
    split = np.array(["train"] * n)
    return MultimodalData("noise", Classification(3), inputs, torch.arange(n) % 3, split)


def make_presence(kind: str, size: int) -> Tensor | None:
    if kind == "complete":
        return None
    present = torch.ones(2, size, dtype=torch.bool)
    if kind == "missing":
        present[0, 1::3] = False
        present[1, 5::4] = False
    else:  # the first of two or three ranks holds no complete row
        present[0, : size // 2] = False
    return present


def make_batch(case: Case) -> Batch:
    data = make_data(case.size)
    labeled = torch.zeros(case.size, dtype=torch.bool)
    labeled[[row for row in LABELS[case.labels] if row < case.size]] = True
    inputs = {name: x.double() for name, x in data.modalities.items()}
    return Batch(inputs, data.targets, labeled, make_presence(case.presence, case.size))


def make_own_method(name: str, **hyper: Any) -> Method:
    """A small method whose parameters are none of them zero, so that every gradient flows."""
    torch.manual_seed(1)
    options = {"width": 8, "dropout": 0.0, **hyper}
    if name == "prompt_trans":
        options |= {"block_dropout": 0.0}
    data = make_data(3)
    method = make_method(name, data.task, data.shapes, **options)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return method.double()


class LossTerms(nn.Module):
    """DDP prepares its averaging in `forward`."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.method.loss_terms(batch)


class Step(NamedTuple):
    """What one rank knows after a step."""

    terms: dict[str, Tensor]
    gradients: dict[str, Tensor]


def one_step(case: Case) -> Step:
    """Loss terms on this rank's share, and gradients after DDP's averaging; plain on one rank."""
    method = make_own_method(case.method)
    method.progress = case.progress
    module: nn.Module = LossTerms(method)
    if world_size() > 1:
        module = DistributedDataParallel(module, find_unused_parameters=True)
    torch.manual_seed(5)
    terms = module(own_share(make_batch(case)))
    torch.stack(list(terms.values())).sum().backward()
    values = {name: value.detach() for name, value in terms.items()}
    gradients = {
        name: parameter.grad
        for name, parameter in method.named_parameters()
        if parameter.grad is not None
    }
    return Step(values, gradients)


# --- what runs on each rank -----------------------------------------------------------------------


def on_rank(rank: int, ranks: int, address: str, folder: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=address,
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=60),  # a rank that waits for a gathering nobody joins gives up
    )
    results: dict[str, Any] = {"gathered": gathered_rows(rank)}
    for case in CASES:
        results[str(case)] = tuple(one_step(case))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def gathered_rows(rank: int) -> dict[str, Tensor]:
    """Rank 0 passes one row, rank 1 two rows, rank 2 none."""
    own = [1, 2, 0][rank]
    rows = (torch.arange(2.0 * own).reshape(own, 2) + 10 * rank).requires_grad_()
    whole = gather(rows)
    weights = torch.arange(1.0, len(whole) + 1)[:, None] * (rank + 1)
    (whole * weights).sum().backward()
    drawn = torch.arange(len(whole))
    return {
        "whole": whole.detach(),
        "gradient": rows.grad,
        "flags": gather(torch.arange(own) == 0),
        "own": own_rows(drawn, own),
        "share": shard(torch.arange(1, 6)),
    }


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(scope="module", params=[2, 3], ids="{} ranks".format)
def results(request, tmp_path_factory) -> list[dict[str, Any]]:
    """What every rank found."""
    folder = tmp_path_factory.mktemp("ranks")
    arguments = (request.param, free_address(), str(folder))
    mp.spawn(on_rank, arguments, nprocs=request.param)
    return [torch.load(folder / f"{rank}.pt") for rank in range(request.param)]


# --- gathering ------------------------------------------------------------------------------------


def test_gather_stacks_unequal_ranks_in_order(results):
    for found in results:
        assert found["gathered"]["whole"].tolist() == [[0, 1], [10, 11], [12, 13]]
        assert found["gathered"]["flags"].tolist() == [True, True, False]


def test_gradients_of_gathered_rows_sum_over_ranks(results):
    """Rank r weighs row n with n (r + 1), counted from 1: two ranks give 3 n, three ranks 6 n."""
    factor = {2: 3, 3: 6}[len(results)]
    assert results[0]["gathered"]["gradient"].tolist() == [[factor] * 2]
    assert results[1]["gathered"]["gradient"].tolist() == [[2 * factor] * 2, [3 * factor] * 2]


def test_own_rows_are_those_that_were_gathered(results):
    own = [found["gathered"]["own"].tolist() for found in results]
    assert own == [[0], [1, 2], []][: len(results)]


def test_shares_have_equal_length_and_are_filled_with_zeros(results):
    shares = [found["gathered"]["share"].tolist() for found in results]
    assert shares == {2: [[1, 2, 3], [4, 5, 0]], 3: [[1, 2], [3, 4], [5, 0]]}[len(results)]


def test_one_rank_passes_through():
    rows = torch.randn(3, 2)
    assert gather(rows) is rows
    assert shard(rows) is rows
    assert own_rows(rows, 3) is rows
    assert world_size() == 1


# --- losses and gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ranks_equal_one_process(results, case):
    expected = one_step(case)
    for found in results:
        terms, gradients = found[str(case)]
        assert set(terms) == set(expected.terms)
        for name, value in expected.terms.items():
            torch.testing.assert_close(terms[name], value, msg=name)
        assert set(gradients) == set(expected.gradients)
        for name, value in expected.gradients.items():
            torch.testing.assert_close(gradients[name], value, msg=name)


def test_the_cases_have_gradients_to_compare():
    for case in CASES:
        norms = [gradient.norm() for gradient in one_step(case).gradients.values()]
        assert max(norms) > 1e-3 or case.labels == "none"


# --- training -------------------------------------------------------------------------------------

TRAININGS = {
    "default batch": ("robult", TrainingConfig(steps=2)),
    "two stages": ("prompt_trans", TrainingConfig(steps=6, batch_size=15)),
}


def train_few_steps(fabric: Any, name: str, path: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    method_name, config = TRAININGS[name]
    method = make_own_method(method_name).float()
    history = train(method, make_data(), np.arange(0, 64, 3), config, fabric=fabric)
    if fabric.global_rank == 0:
        content = {"weights": method.state_dict(), "rows": history.rows, "ranks": world_size()}
        torch.save(content, path)


def trained(ranks: int, name: str, folder: Path) -> dict[str, Any]:
    from lightning_fabric import Fabric

    path = folder / f"{ranks}.pt"
    strategy = "ddp_spawn" if ranks > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=ranks, strategy=strategy)
    fabric.launch(train_few_steps, name, str(path))
    return torch.load(path)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_short_training_on_two_ranks_is_that_of_one(name, tmp_path):
    one, two = trained(1, name, tmp_path), trained(2, name, tmp_path)
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert [row[:2] for row in two["rows"]] == [row[:2] for row in one["rows"]]
    losses = [[value for _, _, value in found["rows"]] for found in (one, two)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4, atol=1e-6)
    for key, value in one["weights"].items():
        if not key.endswith("qkv.bias"):  # attention ignores a bias of keys: its gradient is noise
            torch.testing.assert_close(two["weights"][key], value, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_short_training_moves_the_weights(name, tmp_path):
    start = make_own_method(TRAININGS[name][0]).float().state_dict()
    end = trained(1, name, tmp_path)["weights"]
    moved = [(end[key] - start[key]).abs().max() for key in start if start[key].is_floating_point()]
    assert max(moved) > 1e-4
