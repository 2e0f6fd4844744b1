"""A grid of runs: compute what is missing, in parallel or on a cluster, and return one tidy table.

    configs = grid(data_set=["digits", "pid"], method=["robult", "unimodal"], seed=range(3))
    table = run_grid(configs, "out/quick/store", jobs=2)

One code path through joblib: this process, processes on one machine, or the workers of a dask scheduler (`pip install 'robult[dask]'`; with
dask-jobqueue that is Slurm; start workers with one thread each). A finished run is a record in the store, so a grid that is interrupted
goes on where it stopped.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import joblib
import pandas as pd
import torch
from filelock import Timeout
from joblib.externals.loky.process_executor import BrokenProcessPool

from robult_core import datasets
from robult_core.datasets.container import MultimodalData
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import execute
from robult_study.runs.fingerprint import numerics
from robult_study.runs.store import DamagedRecord, Record, Store, StoreError

GUESS_SECONDS = 5.0  # of a run about which no record says anything
ATTEMPTS = 3  # times that a worker process may die before its runs count as failed
BUSY = "computed by another process"
CONNECT_SECONDS = 10
_RNG = (
    threading.Lock()
)  # torch has one random generator per process: threads of one worker take turns


def grid(**fields: Any) -> list[RunConfig]:
    """All combinations; a list, tuple or range is a dimension (`snapshots` excepted), anything else is the same for every run."""
    many = {
        name: name != "snapshots" and isinstance(value, (list, tuple, range))
        for name, value in fields.items()
    }
    lists = [value if many[name] else [value] for name, value in fields.items()]
    return [
        RunConfig.from_dict(dict(zip(fields, values, strict=True)))
        for values in itertools.product(*lists)
    ]


def run_grid(
    configs: Iterable[RunConfig],
    store: Store | str | Path,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what the store lacks; returns rows of key, configuration columns, pattern, variant, metric, value.

    jobs: processes on this machine; scheduler: address of a dask scheduler instead. A failed run leaves the others alone: it is printed, kept
    in the store for `robult runs repeat`, listed in `.attrs["failed"]`, and absent from the table unless its record is there and merely lacks
    weights or snapshots. Raises RuntimeError when every run failed, StoreError when the store cannot be written, ConnectionError when no scheduler answers.
    """
    store = store if isinstance(store, Store) else Store(store)
    checksums, keyed = keys(configs)
    todo = missing(keyed, store)
    if todo and progress:
        print(_forecast(keyed, todo, checksums, store, jobs), flush=True)
    shown = _Progress(len(todo), progress and bool(todo))
    with shown.bar:
        failed = _run_all(todo, checksums, store, jobs, scheduler, shown) if todo else {}
    for key, error in failed.items():
        print(
            f"failed: {todo[key].method} on {todo[key].data_set}, seed {todo[key].seed}: {error}",
            file=sys.stderr,
        )
        print(
            f"  repeat it alone: robult runs --store {store.folder} repeat {key[:12]}",
            file=sys.stderr,
        )
    tables = [
        frame(store.get(key), config)
        for key, config in keyed
        if key not in failed or store.get(key)
    ]
    if not tables and failed:
        raise RuntimeError(f"every run failed, the first with: {next(iter(failed.values()))}")
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    table.attrs["failed"] = [{"key": key, "error": error} for key, error in failed.items()]
    return table


def expected(configs: Iterable[RunConfig], store: Store | str | Path, jobs: int = 1) -> str:
    """How many runs a grid has, how many of them are there, how long the rest will take; one sentence a line."""
    store = store if isinstance(store, Store) else Store(store)
    checksums, keyed = keys(configs)
    return _forecast(keyed, missing(keyed, store), checksums, store, jobs)


def keys(configs: Iterable[RunConfig]) -> tuple[dict[str, str], list[tuple[str, RunConfig]]]:
    """Checksums of the data as they are now, and the key of each configuration."""
    configs = list(configs)
    checksums = {
        name: datasets.load(name).checksum
        for name in dict.fromkeys(one.data_set for one in configs)
    }
    return checksums, [(one.key(checksums[one.data_set]), one) for one in configs]


def missing(keyed: Iterable[tuple[str, RunConfig]], store: Store) -> dict[str, RunConfig]:
    """Runs that the store cannot serve, by key, each once; it keeps all files that anyone asks or asked for. Damaged records are set aside."""
    todo: dict[str, RunConfig] = {}
    for key, config in keyed:
        try:
            record = store.get(key)
        except DamagedRecord as error:
            print(f"{error} (now in {store.set_aside(key)})", file=sys.stderr)
            record = store.get(key)
        if record is None or not set(config.files) <= set(record.content["files"]):
            todo[key] = config.keeping(
                [
                    *(record.content["files"] if record else ()),
                    *(todo[key].files if key in todo else ()),
                ]
            )
    return todo


def _forecast(
    keyed: list,
    todo: Mapping[str, RunConfig],
    checksums: Mapping[str, str],
    store: Store,
    jobs: int,
) -> str:
    """Runs, how many are there, expected time from like records; data sets that changed since records were made."""
    rates: dict[tuple, list[float]] = {}  # seconds per step of older runs
    changed: Counter[str] = Counter()
    for record in store.records():
        config, content = record.config, record.content
        seconds = content["timings"]["total_seconds"] / config["training"].get("steps", 1)
        rates.setdefault((config["data_set"], config["method"]), []).append(seconds)
        now = checksums.get(config["data_set"], content["data_checksum"])
        changed[config["data_set"]] += (
            content["numerics"] == numerics() and content["data_checksum"] != now
        )
    expected = 0.0
    for config in todo.values():
        rate = rates.get((config.data_set, config.method))
        expected += (
            mean(rate) * config.complete()["training"].get("steps", 1) if rate else GUESS_SECONDS
        )
    total = len({key for key, _ in keyed})
    counts = f"{total} runs, {total - len(todo)} of them in {store.folder.name}/"
    lines = [f"{counts}; expected time for the rest: {clock(expected / jobs)}"]
    for name, count in changed.items():
        lines += (
            [f"data set '{name}' changed since {count} records were made: they are not used"]
            if count
            else []
        )
    return "\n".join(lines)


def clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def frame(record: Record, config: RunConfig | None = None) -> pd.DataFrame:
    """One row per pattern, variant and metric, with the columns of `config` (the record's own, complete, if None)."""
    if (
        config is None
    ):  # not through RunConfig: a record of older code may hold settings that are gone
        groups = {name: record.config[name] for name in ("hyper", "training")}
        columns = {name: value for name, value in record.config.items() if name not in groups} | {
            "tag": ""
        }
        columns |= {
            f"{group}.{name}": value
            for group, found in groups.items()
            for name, value in found.items()
        }
    else:
        columns = config.columns()
    return pd.DataFrame({"key": record.key, **columns}, index=range(len(record.metrics))).join(
        record.metrics
    )


def everything(store: Store, stale: bool = True) -> pd.DataFrame:
    """The metrics of all sound records as one table; `current` where the present code made them, without `stale` only those."""
    flagged = [(record, record.content["numerics"] == numerics()) for record in store.records()]
    tables = [frame(record).assign(current=now) for record, now in flagged if now or stale]
    return (
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["key", "current"])
    )


def repeat(key: str, store: Store) -> Record:
    """Compute a stored or failed run once more in this process, errors and all; a record that is there already is returned."""
    failed = store.failed()
    config = RunConfig.from_dict(failed[key]["config"] if key in failed else store.get(key).config)
    data = datasets.load(config.data_set)
    key = config.key(data.checksum)
    with store.lock(key):
        if store.get(key) is None:
            store.put(key, *_executed(config, data))
    return store.get(key)


def _run_all(
    todo: dict,
    checksums: Mapping[str, str],
    store: Store,
    jobs: int,
    scheduler: str | None,
    progress: _Progress,
) -> dict[str, str]:
    """Run everything in `todo`; the errors by key. What another process computes is waited for at the end."""
    failed: dict[str, str] = {}
    left, wait, deaths = dict(todo), False, 0
    with _engine(jobs, scheduler):
        while left and deaths < ATTEMPTS:
            work = (
                joblib.delayed(_work)(key, one, checksums[one.data_set], store.folder, wait)
                for key, one in left.items()
            )
            try:
                for key, error in joblib.Parallel(return_as="generator_unordered", batch_size=1)(
                    list(work)
                ):
                    if error != BUSY:
                        left.pop(key)
                        progress.step(bool(error))
                    if error and error != BUSY:
                        failed[key] = error
                wait = True
            except BrokenProcessPool:
                deaths += 1
                print(
                    f"a worker process died (killed, or out of memory): time {deaths} of {ATTEMPTS}",
                    file=sys.stderr,
                )
    for key, one in left.items():
        failed[key] = "its worker process died each time: it may need more memory, try jobs=1"
        _put_failed(store, key, one, failed[key])
    return failed


@contextmanager
def _engine(jobs: int, scheduler: str | None) -> Iterator[None]:
    if scheduler is None:
        with joblib.parallel_config(backend="loky", n_jobs=jobs):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError("a scheduler needs dask: pip install 'robult[dask]'") from None
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        remedy = "start one with `dask scheduler`, or leave scheduler out"
        raise ConnectionError(f"no dask scheduler answers at '{scheduler}': {remedy}") from error
    with client, joblib.parallel_config(backend="dask", n_jobs=-1):
        yield


def _work(key: str, config: RunConfig, checksum: str, folder: Path, wait: bool) -> tuple[str, str]:
    """One run in whatever process it lands: its key and its error, if any. Only a store that cannot be written stops the grid."""
    store = Store(folder)
    try:
        if config.key(checksum) != key:
            raise ValueError(
                "the code or a library differs on this worker: bring it to the same version and start again"
            )
        with store.lock(key, wait):
            if store.get(key, config.files) is None:
                store.put(key, *_executed(config, _data(config.data_set, checksum)))
    except Timeout:
        return key, BUSY
    except StoreError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        _put_failed(store, key, config, message, traceback.format_exc())
        return key, message
    return key, ""


def _put_failed(store: Store, key: str, config: RunConfig, error: str, trace: str = "") -> None:
    entry = {
        "config": config.complete(),
        "numerics": numerics(),
        "error": error,
        "traceback": trace,
    }
    store.put_failed(key, entry)


def _executed(config: RunConfig, data: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    """`execute` that leaves the caller's random state alone: what follows a grid must not depend on what was cached."""
    with _RNG, torch.random.fork_rng(devices=[]):
        return execute(config, data)


@lru_cache(maxsize=4)
def _data(name: str, checksum: str) -> MultimodalData:
    data = datasets.load(name)
    if data.checksum != checksum:
        raise ValueError(
            f"data set '{name}' changed while the grid ran, or differs on this worker: start again"
        )
    return data


class _Progress:
    """A bar where someone watches; else at most a line every two seconds and a last one: runs done, failed, time so far and to come."""

    def __init__(self, total: int, show: bool) -> None:
        from tqdm.auto import tqdm

        from robult_study.settings import is_headless

        self.total, self.done, self.failed = total, 0, 0
        self.lines = show and is_headless()
        self.bar = tqdm(total=total, unit="run", disable=not show or self.lines)
        self.started = self.printed = time.perf_counter()

    def step(self, failed: bool) -> None:
        self.done, self.failed = self.done + 1, self.failed + failed
        failures = f", {self.failed} failed" if self.failed else ""
        self.bar.set_postfix_str(failures.lstrip(", "), refresh=False)
        self.bar.update()
        now = time.perf_counter()
        if not self.lines or (
            now - self.printed < max(2.0, (now - self.started) / 20) and self.done < self.total
        ):
            return
        self.printed, spent = now, now - self.started
        left = (
            f", about {clock(spent / self.done * (self.total - self.done))} left"
            if self.done < self.total
            else ""
        )
        print(f"[{self.done}/{self.total}] {clock(spent)}{left}{failures}", flush=True)
