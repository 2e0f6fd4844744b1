"""Gloo ranks on this machine stand for devices: losses and gradients equal those of one process."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
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
from robult_core.distributed import gather, shard, world_size
from robult_core.method import Batch, Method
from robult_core.methods import METHODS, make_method
from robult_core.tasks import Classification
from robult_core.training import TrainingConfig, train

PRELOADED = ["pytest", "torch.distributed", "robult_core.methods", "robult_core.training"]

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
    Case("robult_distilled", "uneven", "missing", 11, progress=0.9),  # its weight has risen
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
    """Loss terms, and gradients after DDP's averaging; plain on one rank."""
    method = make_own_method(case.method)
    method.progress = case.progress
    module: nn.Module = LossTerms(method)
    if world_size() > 1:
        module = DistributedDataParallel(module, find_unused_parameters=True)
    torch.manual_seed(5)
    terms = module(make_batch(case))
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
    results: dict[str, Any] = {"gathered": gathered_rows(), "collectives": collectives_by_method()}
    for case in CASES:
        results[str(case)] = tuple(one_step(case))
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def gathered_rows() -> dict[str, Tensor]:
    """Five samples of two modalities, of which every rank takes its share."""
    rows = torch.arange(10.0).reshape(5, 2).requires_grad_()
    share = shard(rows)
    own = {"rows": share * 2, "views": torch.stack([share + 100, share + 200])}
    whole = gather(own, len(rows))
    weights = torch.arange(1.0, 6.0)[:, None]
    (whole["rows"] * weights).sum().backward()
    return {
        "share": share.detach(),
        "rows": whole["rows"].detach(),
        "views": whole["views"].detach(),
        "gradient": rows.grad,
    }


def collectives_by_method() -> dict[str, list[str]]:
    """The collectives in one step of each method before DDP averages gradients."""
    counts = {}
    for name in METHODS:
        method = make_own_method(name)
        called: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            for kind in ("all_gather", "all_reduce", "broadcast", "reduce_scatter"):
                patch.setattr(dist, kind, spy(kind, called))
            batch = make_batch(Case(name, "uneven", "missing", 11))
            torch.stack(list(method.loss_terms(batch).values())).sum().backward()
        counts[name] = called
    return counts


def spy(kind: str, called: list[str]) -> Callable[..., Any]:
    function = getattr(dist, kind)

    def run(*arguments: Any, **options: Any) -> Any:
        called.append(kind)
        return function(*arguments, **options)

    return run


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(scope="module", params=[2, 3], ids="{} ranks".format)
def results(request, tmp_path_factory) -> list[dict[str, Any]]:
    """What every rank found."""
    folder = tmp_path_factory.mktemp("ranks")
    arguments = (request.param, free_address(), str(folder))
    # One process imports torch, and the ranks are forks of it: seconds instead of half a minute.
    mp.get_context("forkserver").set_forkserver_preload(PRELOADED)
    mp.start_processes(on_rank, arguments, nprocs=request.param, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt") for rank in range(request.param)]


# --- gathering ------------------------------------------------------------------------------------


def test_gathered_rows_are_those_of_the_batch_in_order(results):
    rows = torch.arange(10.0).reshape(5, 2)
    for found in results:
        assert torch.equal(found["gathered"]["rows"], rows * 2)
        assert torch.equal(found["gathered"]["views"], torch.stack([rows + 100, rows + 200]))


def test_a_rank_gets_the_gradient_of_its_own_rows_as_often_as_there_are_ranks(results):
    """DDP divides by the ranks. The copy that fills up the last share gives none."""
    ranks = len(results)
    for rank, found in enumerate(results):
        wanted = torch.zeros(5, 2)
        size = len(found["gathered"]["share"])
        for row in range(rank * size, min(5, (rank + 1) * size)):
            wanted[row] = 2.0 * (row + 1) * ranks
        assert torch.equal(found["gathered"]["gradient"], wanted)


def test_shares_have_equal_length_and_are_filled_with_the_last_row(results):
    shares = [found["gathered"]["share"][:, 0].tolist() for found in results]
    assert shares == {2: [[0, 2, 4], [6, 8, 8]], 3: [[0, 2], [4, 6], [8, 8]]}[len(results)]


def test_a_step_gathers_once(results):
    for found in results:
        for name, called in found["collectives"].items():
            assert called == ["all_gather"], name


def test_one_rank_passes_through():
    outputs = {"logits": torch.randn(3, 2)}
    assert gather(outputs, 3) is outputs
    assert shard(outputs["logits"]) is outputs["logits"]
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
    "random drops": ("action_mae", TrainingConfig(steps=4, batch_size=15)),
}


def train_few_steps(fabric: Any, folder: str) -> None:
    """All trainings on one launch of the ranks; rank 0 says what came out, each what was drawn."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"ranks": world_size(), "drawn": drawn_patterns(fabric)}
    for name, (method_name, config) in TRAININGS.items():
        method = make_own_method(method_name).float()
        history = train(method, make_data(), np.arange(0, 64, 3), config, fabric=fabric)
        found[name] = {"weights": method.state_dict(), "rows": history.rows}
    torch.save(found, f"{folder}/{fabric.global_rank}.pt")


def drawn_patterns(fabric: Any) -> list[Tensor]:
    """What Prompt-Trans draws while each rank uses torch's random numbers at another pace."""
    method = make_own_method("prompt_trans", stage_one=0.0).float()
    batch = make_batch(Case("prompt_trans", "even", "complete", 12))
    drawn: list[Tensor] = []

    def note(step: int, method: Method) -> None:
        torch.rand(1 + fabric.global_rank)
        if step:
            drawn.append(method.prepared(batch).kept)

    config = TrainingConfig(steps=3)
    train(method, make_data(), np.arange(0, 64, 3), config, on_step=note, fabric=fabric)
    return drawn


def trained(ranks: int, folder: Path) -> list[dict[str, Any]]:
    """What each rank found."""
    from lightning_fabric import Fabric

    strategy = "ddp_spawn" if ranks > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=ranks, strategy=strategy)
    fabric.launch(train_few_steps, str(folder))
    return [torch.load(folder / f"{rank}.pt") for rank in range(ranks)]


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory) -> dict[str, Any]:
    return trained(1, tmp_path_factory.mktemp("one"))[0]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory) -> list[dict[str, Any]]:
    return trained(2, tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("name", TRAININGS)
def test_a_short_training_on_two_ranks_is_that_of_one(name, one_rank, two_ranks):
    assert (one_rank["ranks"], two_ranks[0]["ranks"]) == (1, 2)
    one, two = one_rank[name], two_ranks[0][name]
    assert [row[:2] for row in two["rows"]] == [row[:2] for row in one["rows"]]
    losses = [[value for _, _, value in found["rows"]] for found in (one, two)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4, atol=1e-6)
    for key, value in one["weights"].items():
        if not key.endswith("qkv.bias"):  # attention ignores a bias of keys: its gradient is noise
            torch.testing.assert_close(two["weights"][key], value, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_short_training_moves_the_weights(name, one_rank):
    start = make_own_method(TRAININGS[name][0]).float().state_dict()
    end = one_rank[name]["weights"]
    moved = [(end[key] - start[key]).abs().max() for key in start if start[key].is_floating_point()]
    assert max(moved) > 1e-4


def test_ranks_make_the_same_random_choices(two_ranks):
    first, second = (found["drawn"] for found in two_ranks)
    assert len(first) == 3
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
