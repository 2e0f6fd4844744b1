"""A study cannot lose work: kills, two processes, a cluster that loses a worker.

The runs are real, small ones on digits.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest
from joblib.externals.loky import get_reusable_executor
from small_runs import ENVIRONMENT, small, wait_for

from robult_core import datasets
from robult_study.runs import configuration, workers
from robult_study.runs.execution import execute
from robult_study.runs.fingerprint import numerics
from robult_study.runs.grid import AllRunsFailed, keys, repeat, run_grid
from robult_study.runs.store import Store

KILLS = int(os.environ.get("ROBULT_KILLS", "10"))
GRID = small(seed=range(max(14, 2 * KILLS)), method=["robult", "unimodal"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> pd.DataFrame:
    """The table of the grid, computed in one process that nobody kills."""
    return run_grid(GRID, tmp_path_factory.mktemp("undisturbed"), progress=False)


@pytest.fixture
def two_cores(monkeypatch) -> None:
    """Two worker processes wherever the tests run."""
    monkeypatch.setattr(workers, "cores", lambda: 2)


# How many processes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "runs", "expected"),
    [(1, 10, 1), (2, 10, 2), (4, 10, 4), (1_000_000, 10, 4), (12, 2, 2), (3, 0, 1)],
)
def test_no_process_is_started_that_could_not_work(monkeypatch, jobs, runs, expected):
    monkeypatch.setattr(workers, "cores", lambda: 4)
    assert workers.useful_jobs(jobs, runs) == expected


@pytest.mark.parametrize(("ranks", "expected"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_runs_on_several_ranks_share_the_cores(monkeypatch, ranks, expected):
    monkeypatch.setattr(workers, "cores", lambda: 4)
    assert workers.useful_jobs(10, 10, ranks) == expected


@pytest.mark.serial
def test_a_million_jobs_start_no_more_processes_than_there_are_runs(tmp_path, two_cores):
    get_reusable_executor().shutdown()
    counts = []
    measuring = threading.Event()

    def count() -> None:
        while not measuring.wait(0.05):
            counts.append(len(loky_workers()))

    counter = threading.Thread(target=count)
    counter.start()
    run_grid(small(seed=range(4)), tmp_path, jobs=1_000_000, progress=False)
    measuring.set()
    counter.join()
    assert 1 <= max(counts) <= 2


def loky_workers() -> list[psutil.Process]:
    """The worker processes of this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:  # it ended meanwhile
            continue
        if "loky" in command and "resource_tracker" not in command:
            found.append(process)
    return found


# The same numbers everywhere ---------------------------------------------------------------------


def test_parallel_equals_serial_bit_for_bit(finished, tmp_path, two_cores):
    store, table = finished
    configs = small(keep_weights=True, snapshots=(0, 10))
    parallel = run_grid(configs, tmp_path, jobs=2, progress=False)
    pd.testing.assert_frame_equal(parallel, table, check_exact=True)
    assert everything_but_timings(Store(tmp_path)) == everything_but_timings(store)


def everything_but_timings(store: Store) -> dict[str, tuple[str, dict[str, bytes]]]:
    """All of every record but its timings, and the digest, which covers them."""
    found = {}
    for record in store.records():
        content = {name: value for name, value in record.content.items() if name != "timings"}
        files = {name: record.read(name) for name in record.files}
        found[record.key] = json.dumps(content, sort_keys=True), files
    return found


def test_a_worker_with_other_code_computes_nothing(tmp_path, monkeypatch):
    (config,) = small(seed=0)
    checksum = datasets.load("digits").checksum
    key = config.key(checksum)
    monkeypatch.setattr(configuration, "numerics", lambda: "another version")
    answer = workers.compute_one(key, config, checksum, tmp_path, wait=True)
    assert answer[0] == key
    assert "code or a library differs on this worker" in answer[1]
    assert Store(tmp_path).keys() == []


# Kills -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes():
    """Makes processes that have imported everything, so that a kill finds them at work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["robult_study.runs.grid", "robult_core.model", "lightning_fabric", "sklearn.datasets"]
    )
    here = Path(__file__).parent
    path = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(here), str(here.parent)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        yield context


def run_in_group(folder: Path, jobs: int, sender: Connection) -> None:
    """The grid as the leader of a process group; sends how many runs it computed, and its rows."""
    os.setsid()
    computed = []

    def counting(*arguments: object) -> object:
        computed.append(1)
        return execute(*arguments)

    workers.execute = counting
    table = run_grid(GRID, folder, jobs=jobs, progress=False)
    sender.send((len(computed), len(table)))


def start(context: BaseContext, folder: Path, jobs: int) -> tuple[BaseProcess, Connection]:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_in_group, args=(folder, jobs, sender))
    process.start()
    sender.close()
    return process, receiver


@pytest.mark.serial
def test_kill_9_at_random_moments_changes_nothing(tmp_path, processes, undisturbed):
    """The whole process group dies, workers included; every fifth time it has two of them.

    `ROBULT_KILLS` sets how often; `kills_50.json` holds what 50 kills left.
    """
    dice = random.Random(1)
    store = Store(tmp_path)
    seen = [0]
    for kill in range(KILLS):
        process, _ = start(processes, tmp_path, jobs=2 if kill % 5 == 4 else 1)
        wait_for(lambda: len(store.keys()) > seen[-1])  # it works by now
        time.sleep(dice.uniform(0.0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert store.problems() == {}
        seen.append(len(store.keys()))
    assert seen[-1] < len(GRID)  # the last kill still found work to interrupt
    table = run_grid(GRID, tmp_path, progress=False)
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)
    assert store.problems() == {}
    assert all(record.content["numerics"] == numerics() for record in store.records())
    assert len(store.keys()) == len(GRID)
    print(f"records after each kill: {seen}")


@pytest.mark.serial
def test_two_processes_share_a_store_and_the_work(tmp_path, processes, undisturbed):
    both = [start(processes, tmp_path, jobs=1) for _ in range(2)]
    answers = [receiver.recv() for _, receiver in both]
    for process, _ in both:
        process.join()
    assert sum(computed for computed, _ in answers) == len(GRID)  # nothing is computed twice
    assert min(computed for computed, _ in answers) > 0
    assert {rows for _, rows in answers} == {len(undisturbed)}
    table = run_grid(GRID, tmp_path, progress=False)
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)
    assert Store(tmp_path).problems() == {}


def test_runs_whose_workers_always_die_can_be_repeated_alone(tmp_path, monkeypatch, capsys):
    def die(*arguments: object, **options: object) -> None:
        raise workers.BrokenProcessPool

    monkeypatch.setattr(workers.joblib, "Parallel", die)
    with pytest.raises(AllRunsFailed, match="not finished: worker processes died 3 times"):
        run_grid(small(), tmp_path, progress=False)
    assert capsys.readouterr().err.count("a worker process died") == workers.ATTEMPTS
    store = Store(tmp_path)
    failed = list(store.failed())
    assert len(failed) == 2
    assert all("start again with jobs=1" in note["error"] for note in store.failed().values())
    assert repeat(store.find(failed[0][:12]), store).config["data_set"] == "digits"


def kill_once_three_runs_are_done(store: Store, kill: Callable[[], None]) -> threading.Thread:
    def watch() -> None:
        wait_for(lambda: len(store.keys()) >= 3)
        kill()

    killer = threading.Thread(target=watch)
    killer.start()
    return killer


def kill_the_busiest_worker() -> None:
    max(loky_workers(), key=lambda process: process.cpu_times().user).kill()


@pytest.mark.serial
def test_a_worker_process_that_is_killed_is_replaced(tmp_path, undisturbed, two_cores, capsys):
    killer = kill_once_three_runs_are_done(Store(tmp_path), kill_the_busiest_worker)
    table = run_grid(GRID, tmp_path, jobs=2, progress=False)
    killer.join()
    said = capsys.readouterr().err
    assert "a worker process died (killed, or out of memory): time 1 of 3" in said
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)


# A cluster ---------------------------------------------------------------------------------------


def start_dask(folder: Path, module: str, *options: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-m", f"distributed.cli.{module}", "--host", "127.0.0.1"]
    return subprocess.Popen(
        [*command, "--no-dashboard", *options],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )


class Cluster:
    """A dask scheduler and its workers on this machine, as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "scheduler.json"
        place = ["--port", "0", "--scheduler-file", file]
        self.scheduler = start_dask(folder, "dask_scheduler", *place)
        self.workers: list[subprocess.Popen] = []
        wait_for(file.exists)
        self.address = json.loads(file.read_text())["address"]

    def add_worker(self) -> subprocess.Popen:
        options = ["--nthreads", "1", "--no-nanny"]
        self.workers.append(start_dask(self.folder, "dask_worker", self.address, *options))
        return self.workers[-1]

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    started = Cluster(tmp_path)
    yield started
    started.stop()


@pytest.mark.serial
def test_a_cluster_that_loses_a_worker_and_gets_one_finishes_with_the_same_numbers(
    tmp_path, undisturbed, cluster
):
    store = Store(tmp_path / "store")
    lost = cluster.add_worker()

    def replace_it() -> None:
        lost.kill()
        cluster.add_worker()

    killer = kill_once_three_runs_are_done(store, replace_it)
    table = run_grid(GRID, store, scheduler=cluster.address, progress=False)
    killer.join()
    assert lost.wait(10) == -signal.SIGKILL
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)
    assert store.problems() == {}


@pytest.mark.serial
def test_a_scheduler_that_goes_away_is_one_sentence_and_what_is_done_stays(tmp_path, cluster):
    import dask

    store = Store(tmp_path / "store")
    cluster.add_worker()
    killer = kill_once_three_runs_are_done(store, cluster.scheduler.kill)
    gone = f"the dask scheduler at '{cluster.address}' is gone"
    patience = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with patience, pytest.raises(ConnectionError, match=gone):
        run_grid(GRID, store, scheduler=cluster.address, progress=False)
    killer.join()
    assert 3 <= len(store.keys()) < len(GRID)


class Answer:
    """A future of dask that is done."""

    def __init__(self, value: Any, status: str) -> None:
        self.value = value
        self.status = status

    def exception(self) -> Exception:
        return self.value

    def result(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def answers_of(monkeypatch, value: Any, status: str) -> workers.Engine:
    """An engine on a cluster where every run ends so."""
    distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")
    monkeypatch.setattr(distributed, "as_completed", list)
    client = SimpleNamespace(
        submit=lambda function, key, *task, pure: Answer(value, status),
        scheduler=SimpleNamespace(address="tcp://here:1"),
    )
    return partial(workers._on_cluster, client)


@pytest.mark.parametrize("error", [ConnectionResetError("closed"), CancelledError("lost")])
def test_a_scheduler_that_goes_away_before_it_hands_over_an_answer_is_the_same_sentence(
    tmp_path, monkeypatch, error
):
    answers = answers_of(monkeypatch, error, "finished")
    _, keyed = keys(small(seed=0))
    with pytest.raises(ConnectionError, match="the dask scheduler at 'tcp://here:1' is gone"):
        workers.compute_all(
            dict(keyed), {"digits": "0", "pid": "0"}, Store(tmp_path), lambda failed: None, answers
        )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (type("KilledWorker", (Exception,), {})(), "the workers that computed it died"),
        (AttributeError("no 'compute_one'"), "the worker could not take it, AttributeError: no"),
    ],
)
def test_a_run_that_a_cluster_does_not_answer_has_failed(tmp_path, monkeypatch, error, said):
    store = Store(tmp_path)
    answers = answers_of(monkeypatch, error, "error")
    _, keyed = keys(small(seed=0))
    todo = dict(keyed)
    sums = {"digits": "0", "pid": "0"}
    failed = workers.compute_all(todo, sums, store, lambda failed: None, answers)
    assert failed.keys() == todo.keys() == store.failed().keys()
    assert all(said in message for message in failed.values())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch, address):
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with pytest.raises(ConnectionError, match=f"no dask scheduler answers at '{address}'"):
        run_grid(small(seed=0), tmp_path, scheduler=address, progress=False)
    assert Store(tmp_path).keys() == []


# Time --------------------------------------------------------------------------------------------


@pytest.mark.serial
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    "ROBULT_SLOW" not in os.environ,
    reason="needs two idle cores and three minutes: set ROBULT_SLOW=1",
)
def test_two_jobs_take_at_most_0_65_of_the_time_of_one(tmp_path):
    configs = small(method="robult", seed=range(30), hyper={}, training={"steps": 400})
    spent = {}
    for jobs in (1, 2):
        get_reusable_executor().shutdown()  # workers start anew: their start counts
        started = time.perf_counter()
        run_grid(configs, tmp_path / str(jobs), jobs=jobs, progress=False)
        spent[jobs] = time.perf_counter() - started
    ratio = spent[2] / spent[1]
    print(f"1 job {spent[1]:.1f} s, 2 jobs {spent[2]:.1f} s, ratio {ratio:.3f}")
    print(f"load {os.getloadavg()}")
    assert spent[1] >= 60
    assert ratio <= 0.65
