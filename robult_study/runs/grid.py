"""A grid of runs: compute what is missing and return one tidy table.

    configs = grid(data_set=["digits", "pid"], method=["robult", "unimodal"], seed=range(3))
    table = run_grid(configs, "out/quick/store", jobs=2)

A finished run is a record in the store, so a grid that is interrupted goes on where it stopped.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd

from robult_core import datasets
from robult_study.runs.configuration import RunConfig
from robult_study.runs.fingerprint import numerics
from robult_study.runs.progress import Progress, clock
from robult_study.runs.store import DamagedRecord, Record, Store, StoreError
from robult_study.runs.workers import compute, compute_all, engine, useful_jobs

GUESS_SECONDS = 0.006  # of a step about which no record says anything
Keyed = list[tuple[str, RunConfig]]


class AllRunsFailed(RuntimeError):
    """Not a single run of a grid succeeded; the message holds the first error."""


def grid(**fields: Any) -> list[RunConfig]:
    """All combinations of the fields of a `RunConfig`.

    A list, a tuple or a range is a dimension, `snapshots` excepted; anything else is the same for
    every run. Raises ValueError where a value is wrong or a dimension is empty.
    """
    dimensions = [_dimension(name, value) for name, value in fields.items()]
    return [
        RunConfig(**dict(zip(fields, values, strict=True)))
        for values in itertools.product(*dimensions)
    ]


def _dimension(name: str, value: Any) -> list[Any]:
    if name == "snapshots" or not isinstance(value, list | tuple | range):
        return [value]
    if not value:
        raise ValueError(f"dimension '{name}' of the grid is empty: give it at least one value")
    return list(value)


def run_grid(
    configs: Iterable[RunConfig],
    store: Store | str | Path,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Run what the store lacks and return a table of all.

    Its columns are key, those of the configuration, pattern, variant, metric, value.

    jobs: processes on this machine; more than there are cores or runs are not started.
    scheduler: address of a dask scheduler that computes instead.

    A failed run leaves the others alone. It is printed, kept in the store for `robult runs repeat`
    and listed in `.attrs["failed"]`. It has no rows, unless its record is there and merely lacks
    weights or snapshots. `.attrs["runs"]` counts the runs that have a record.

    Raises AllRunsFailed when every run failed, StoreError when the store cannot be written,
    ConnectionError when no scheduler answers.
    """
    store = store if isinstance(store, Store) else Store(store)
    keyed, failed = compute_missing(configs, store, jobs, scheduler, progress)
    return _table(keyed, failed, store)


def compute_missing(
    configs: Iterable[RunConfig],
    store: Store,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
) -> tuple[Keyed, dict[str, str]]:
    """`run_grid` without its table: all runs with their keys, and the errors by key."""
    checksums, keyed = keys(configs)
    todo = missing(keyed, store)
    processes = _useful_jobs(jobs, todo)
    if todo and progress:
        print(forecast(keyed, todo, checksums, store, processes), flush=True)
        if processes < jobs and scheduler is None:
            print(f"{processes} of {jobs} jobs: there are no more cores or runs", flush=True)
    failed: dict[str, str] = {}
    if todo:
        with engine(processes, scheduler) as answers, Progress(len(todo), progress) as shown:
            failed = compute_all(todo, checksums, store, shown.step, answers)
    _print_failures(failed, todo, store)
    return keyed, failed


def _print_failures(failed: Mapping[str, str], todo: Mapping[str, RunConfig], store: Store) -> None:
    for key, error in failed.items():
        config = todo[key]
        print(
            f"failed: {config.method} on {config.data_set}, seed {config.seed}: {error}\n"
            f"  repeat it alone: robult runs --store {store.folder} repeat {key[:12]}",
            file=sys.stderr,
        )


def _table(keyed: Keyed, failed: Mapping[str, str], store: Store) -> pd.DataFrame:
    """The rows of all runs that have a record."""
    tables = []
    recorded = set()
    for key, config in keyed:
        record = store.get(key)
        if record is not None:
            recorded.add(key)
            tables.append(frame(record, config))
        elif key not in failed:
            raise StoreError(f"record {key[:12]} was removed while the grid ran: start it again")
    if not tables and failed:
        first = next(iter(failed.values()))
        raise AllRunsFailed(f"every run failed, the first with: {first}")
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    table.attrs["failed"] = [{"key": key, "error": error} for key, error in failed.items()]
    table.attrs["runs"] = len(recorded)
    return table


def keys(configs: Iterable[RunConfig]) -> tuple[dict[str, str], Keyed]:
    """Checksums of the data as they are now, and every configuration with its key."""
    configs = list(configs)
    names = dict.fromkeys(config.data_set for config in configs)
    checksums = {name: datasets.load(name).checksum for name in names}
    return checksums, [(config.key(checksums[config.data_set]), config) for config in configs]


def missing(keyed: Iterable[tuple[str, RunConfig]], store: Store) -> dict[str, RunConfig]:
    """The runs that the store cannot serve, by key, each once.

    A run keeps all files that anyone asks for or asked for before. Every byte of a record is
    checked; a damaged one is set aside.
    """
    wanted: dict[str, RunConfig] = {}
    for key, config in keyed:
        wanted[key] = wanted.get(key, config).keeping(config.files)
    todo = {}
    for key, config in wanted.items():
        record = store.sound(key)
        if record is None:
            todo[key] = config
        elif not set(config.files) <= record.files:
            todo[key] = config.keeping(record.files)
    return todo


def _useful_jobs(jobs: int, todo: Mapping[str, RunConfig]) -> int:
    ranks = max((config.ranks for config in todo.values()), default=1)
    return useful_jobs(jobs, len(todo), ranks)


# How long it takes -------------------------------------------------------------------------------


def forecast(
    keyed: Keyed,
    todo: Mapping[str, RunConfig],
    checksums: Mapping[str, str],
    store: Store,
    jobs: int,
) -> str:
    """How many runs a grid has, how many are there, and how long the others, `todo`, will take.

    It also names data sets that changed since their records were made.
    """
    records = list(store.records())
    total = len({key for key, _ in keyed})
    done = total - len(todo)
    time_left = clock(_expected_seconds(todo.values(), records) / jobs)
    lines = [
        f"{total} runs, {done} of them in {store.folder.name}/; "
        f"expected time for the rest: {time_left}"
    ]
    for name, count in _outdated(records, checksums).items():
        lines.append(
            f"data set '{name}' changed since {count} records were made: they are not used"
        )
    return "\n".join(lines)


def _expected_seconds(configs: Iterable[RunConfig], records: Iterable[Record]) -> float:
    """Time to compute runs in one process, from records of the same data and method."""
    rates: dict[tuple[str, str], list[float]] = {}  # seconds per step
    for record in records:
        config = record.config
        steps = config["training"].get("steps", 1)
        rate = record.content["timings"]["total_seconds"] / steps
        rates.setdefault((config["data_set"], config["method"]), []).append(rate)
    seconds = 0.0
    for config in configs:
        known = rates.get((config.data_set, config.method), [GUESS_SECONDS])
        seconds += mean(known) * config.steps
    return seconds


def _outdated(records: Iterable[Record], checksums: Mapping[str, str]) -> Counter[str]:
    """How many records of the present code were made with other data, by data set."""
    counts: Counter[str] = Counter()
    for record in records:
        name = record.config["data_set"]
        made_with = record.content["data_checksum"]
        is_current = record.content["numerics"] == numerics()
        if is_current and checksums.get(name, made_with) != made_with:
            counts[name] += 1
    return counts


# Tables and single runs --------------------------------------------------------------------------


def frame(record: Record, config: RunConfig | None = None) -> pd.DataFrame:
    """One row per pattern, variant and metric, with the columns of `config`.

    Without `config` they are those of the record's own, complete configuration.
    """
    columns = _own_columns(record) if config is None else config.columns()
    rows = range(len(record.metrics))
    return pd.DataFrame({"key": record.key, **columns}, index=rows).join(record.metrics)


def _own_columns(record: Record) -> dict[str, Any]:
    """The columns of a record whose settings this code may not know any more."""
    config = record.config
    groups = {name: config.pop(name) for name in ("hyper", "training")}
    columns = config | {"tag": ""}
    for group, settings in groups.items():
        columns |= {f"{group}.{name}": value for name, value in settings.items()}
    return columns


def everything(store: Store, stale: bool = True) -> pd.DataFrame:
    """The metrics of all sound records as one table.

    `current` says whether the present code made them; without `stale` only those are in it.
    """
    tables = []
    for record in store.records():
        is_current = record.content["numerics"] == numerics()
        if is_current or stale:
            tables.append(frame(record).assign(current=is_current))
    if not tables:
        return pd.DataFrame(columns=["key", "current"])
    return pd.concat(tables, ignore_index=True)


def repeat(key: str, store: Store) -> Record:
    """Compute a failed or a damaged run once more in this process, errors and all.

    It keeps all files that it was asked for. A sound record that holds them is returned as it is.
    Raises DamagedRecord where the record does not even tell its configuration.
    """
    try:
        values, files = store.request(key)
    except DamagedRecord as error:
        raise DamagedRecord(f"{error}; start its grid again, which computes it anew") from None
    config = RunConfig(**values).keeping(files)
    data = datasets.load(config.data_set)
    key = config.key(data.checksum)
    earlier = store.sound(key)  # sets a damaged one aside
    if earlier is not None:
        config = config.keeping(earlier.files)
    with store.lock(key):
        record = store.get(key, config.files)
        if record is None:
            store.put(key, *compute(config, data))
            record = store.get(key)
    return record
