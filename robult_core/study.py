"""A grid of runs: compute what is missing, in parallel or on a cluster, and return one tidy table.

    configs = grid(data_set=["digits", "pid"], method=["robult", "unimodal"], seed=range(3))
    table = run_grid(configs, "out/quick/store", jobs=2)

One code path through joblib: this process, processes on one machine, or the workers of a dask scheduler (`pip install 'robult-core[cluster]'`; with
dask-jobqueue that is Slurm; start workers with one thread each). A finished run is a record in the store, so a grid that is interrupted
goes on where it stopped.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import pandas as pd
from filelock import Timeout
from joblib.externals.loky.process_executor import BrokenProcessPool

from robult_core import datasets
from robult_core.datasets.container import MultimodalData
from robult_core.run import RunConfig, execute, numerics
from robult_core.store import DamagedRecord, Record, Store, StoreError

GUESS_SECONDS = 5.0  # of a run about which no record says anything
ATTEMPTS = 3  # times that a run whose worker process died is tried
CONNECT_SECONDS = 10
_RNG = threading.Lock()  # torch has one random generator per process: threads of one worker take turns


class Outcome(NamedTuple):
    """How one run ended: "done", "busy" (another process computes it) or "failed"."""

    key: str
    status: str
    error: str = ""


def grid(**fields: Any) -> list[RunConfig]:
    """All combinations; a list, tuple or range is a dimension (`snapshots` excepted), anything else is the same for every run."""
    lists = {name: list(value) if _is_dimension(name, value) else [value] for name, value in fields.items()}
    return [RunConfig.from_dict(dict(zip(lists, values, strict=True))) for values in itertools.product(*lists.values())]


def _is_dimension(name: str, value: object) -> bool:
    return name != "snapshots" and isinstance(value, (list, tuple, range))


def run_grid(
    configs: Iterable[RunConfig],
    store: Store | str | Path,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what the store lacks; returns rows of key, configuration columns, pattern, variant, metric, value.

    jobs: processes on this machine; scheduler: address of a dask scheduler instead. A failed run leaves the others alone: it is printed, kept
    in the store for `robult runs repeat`, listed in `.attrs["failed"]`, and absent from the table. Raises RuntimeError when every run
    failed, StoreError when the store cannot be written, ConnectionError when no scheduler answers.
    """
    configs, store = list(configs), store if isinstance(store, Store) else Store(store)
    checksums = {name: datasets.load(name).checksum for name in dict.fromkeys(config.data_set for config in configs)}
    keyed = [(config.key(checksums[config.data_set]), config) for config in configs]
    todo = missing(keyed, store)
    if todo and progress:
        print("\n".join(forecast(keyed, todo, checksums, store, jobs)), flush=True)
    failed = _run_all(todo, checksums, store, jobs, scheduler, _Progress(len(todo), progress)) if todo else {}
    for key, error in failed.items():
        print(
            f"failed: {todo[key].method} on {todo[key].data_set}, seed {todo[key].seed}: {error}\n  {repeat_line(key, store)}",
            file=sys.stderr,
        )
    tables = [frame(store.get(key), config) for key, config in keyed if key not in failed]
    if not tables and failed:
        raise RuntimeError(f"every run failed, the first with: {next(iter(failed.values()))}")
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    table.attrs["failed"] = [{"key": key, "error": error} for key, error in failed.items()]
    return table


def missing(keyed: Iterable[tuple[str, RunConfig]], store: Store) -> dict[str, RunConfig]:
    """Runs that the store cannot serve, by key, each once, asking for all files that any of its configurations asks for."""
    todo: dict[str, RunConfig] = {}
    for key, config in keyed:
        try:
            sound = store.get(key, config.files) is not None
        except DamagedRecord as error:
            print(f"{error} (kept in {store.set_aside(key)})", file=sys.stderr)
            sound = False
        if not sound and len(config.files) >= len(todo.get(key, config).files):
            todo[key] = config
    return todo


def forecast(
    keyed: list, todo: Mapping[str, RunConfig], checksums: Mapping[str, str], store: Store, jobs: int = 1
) -> list[str]:
    """Sentences to print before a grid: number of runs, how many are there, expected time; data sets that changed since older records."""
    known: dict[tuple, list[float]] = {}
    changed: dict[str, int] = {}
    for record in store.records():
        data_set, steps = record.config["data_set"], record.config["training"].get("steps", 1)
        known.setdefault((data_set, record.config["method"]), []).append(
            record.content["timings"]["total_seconds"] / steps
        )
        if record.content["numerics"] == numerics() and record.content["data_checksum"] != checksums.get(
            data_set, record.content["data_checksum"]
        ):
            changed[data_set] = changed.get(data_set, 0) + 1
    seconds = 0.0
    for config in todo.values():
        rates = known.get((config.data_set, config.method))
        seconds += sum(rates) / len(rates) * config.complete()["training"].get("steps", 1) if rates else GUESS_SECONDS
    total = len({key for key, _ in keyed})
    lines = [
        f"{total} runs, {total - len(todo)} of them in {store.folder.name}/; expected time for the rest: {clock(seconds / jobs)}"
    ]
    return lines + [
        f"data set '{name}' changed since {count} records were made: they are not used"
        for name, count in changed.items()
    ]


def clock(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def frame(record: Record, config: RunConfig | None = None) -> pd.DataFrame:
    """One row per pattern, variant and metric, with the columns of `config` (the record's own, complete, if None)."""
    columns = (config or RunConfig.from_dict(record.config)).columns()
    return pd.DataFrame({"key": record.key, **columns}, index=range(len(record.metrics))).join(record.metrics)


def repeat_line(key: str, store: Store) -> str:
    return f"repeat it alone: robult runs --store {store.folder} repeat {key[:12]}"


def repeat(key: str, store: Store) -> Record:
    """Compute a stored or failed run once more in this process, errors and all; a record that is there already is returned."""
    failed = store.failed()
    config = RunConfig.from_dict(failed[key]["config"] if key in failed else store.get(key).config)
    data = datasets.load(config.data_set)
    key = config.key(data.checksum)
    with store.lock(key):
        if store.get(key, config.files) is None:
            store.put(key, *execute(config, data))
    return store.get(key)


def _run_all(
    todo: dict, checksums: Mapping[str, str], store: Store, jobs: int, scheduler: str | None, progress: _Progress
) -> dict[str, str]:
    """Run everything in `todo`; the errors by key. What another process computes is waited for at the end."""
    failed: dict[str, str] = {}
    left, wait = dict(todo), False
    with _engine(jobs, scheduler):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                while left:
                    work = [
                        joblib.delayed(_work)(key, config, checksums[config.data_set], store.folder, wait)
                        for key, config in left.items()
                    ]
                    for outcome in joblib.Parallel(return_as="generator_unordered", batch_size=1)(work):
                        if outcome.status != "busy":
                            left.pop(outcome.key)
                            progress.step(outcome.status == "failed")
                        if outcome.status == "failed":
                            failed[outcome.key] = outcome.error
                    wait = True
                return failed
            except BrokenProcessPool:
                print(
                    f"a worker process died (out of memory or killed); attempt {attempt} of {ATTEMPTS}", file=sys.stderr
                )
    return failed | dict.fromkeys(left, "its worker process died each time: it may need more memory, try jobs=1")


@contextmanager
def _engine(jobs: int, scheduler: str | None) -> Iterator[None]:
    if scheduler is None:
        with joblib.parallel_config(backend="loky", n_jobs=jobs):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("a scheduler needs dask: pip install 'robult-core[cluster]'") from None
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no dask scheduler answers at '{scheduler}': start one with `dask scheduler`, or leave scheduler out"
        ) from error
    with client, joblib.parallel_config(backend="dask", n_jobs=-1):
        yield


def _work(key: str, config: RunConfig, checksum: str, folder: Path, wait: bool) -> Outcome:
    """One run in whatever process it lands. Only a store that cannot be written stops the grid."""
    store = Store(folder)
    try:
        with store.lock(key, wait):
            if store.get(key, config.files) is None:
                data = _data(config.data_set, checksum)
                with _RNG:
                    content, files = execute(config, data)
                store.put(key, content, files)
    except Timeout:
        return Outcome(key, "busy")
    except StoreError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        store.put_failed(key, {"config": config.complete(), "error": message, "traceback": traceback.format_exc()})
        return Outcome(key, "failed", message)
    return Outcome(key, "done")


@lru_cache(maxsize=4)
def _data(name: str, checksum: str) -> MultimodalData:
    data = datasets.load(name)
    if data.checksum != checksum:
        raise ValueError(
            f"data set '{name}' changed while the grid ran, or differs on this worker: start the grid again"
        )
    return data


class _Progress:
    """At most a line every two seconds and a last one: runs done, failed, time so far and to come."""

    def __init__(self, total: int, show: bool) -> None:
        self.total, self.show, self.done, self.failed = total, show, 0, 0
        self.started = self.printed = time.perf_counter()

    def step(self, failed: bool) -> None:
        self.done, self.failed = self.done + 1, self.failed + failed
        now = time.perf_counter()
        if not self.show or (now - self.printed < max(2.0, (now - self.started) / 20) and self.done < self.total):
            return
        self.printed, spent = now, now - self.started
        left = f", about {clock(spent / self.done * (self.total - self.done))} left" if self.done < self.total else ""
        print(
            f"[{self.done}/{self.total}] {clock(spent)}{left}" + (f", {self.failed} failed" if self.failed else ""),
            flush=True,
        )
