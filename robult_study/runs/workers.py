"""Computing runs: in this process, in processes of this machine, or on workers of a cluster.

joblib serves this machine. A cluster is one of dask, which needs `pip install '.[dask]'` in the
clone; with dask-jobqueue that is Slurm. Its workers are started with one thread each, may come and
go while a grid runs, and see the store's folder and the data under the same paths as this process.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import torch
from filelock import Timeout
from joblib.externals.loky.process_executor import BrokenProcessPool

from robult_core import datasets
from robult_core.checks import check_count
from robult_core.datasets.container import MultimodalData
from robult_study.provenance import cores
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import execute
from robult_study.runs.fingerprint import numerics
from robult_study.runs.store import Store, StoreError

if TYPE_CHECKING:
    from distributed import Client, Future

Task = tuple[str, RunConfig, str, Path, bool]  # the arguments of `compute_one`
Engine = Callable[[Sequence[Task]], Iterator[tuple[str, str]]]

ATTEMPTS = 3  # after so many deaths of a worker process, no run that is left is started again
DIED = (
    f"not finished: worker processes died {ATTEMPTS} times, perhaps for lack of memory; "
    "start again with jobs=1"
)
BUSY = "computed by another process"
OTHER_CODE = "bring it to the same version and start again"
CONNECT_SECONDS = 10

# Torch has one random generator per process, so the threads of one worker take turns.
_GENERATOR = threading.Lock()


def useful_jobs(jobs: int, runs: int, ranks: int = 1) -> int:
    """How many of the `jobs` runs can compute at once: not more than there are cores or runs.

    ranks: processes of each run.

    Raises ValueError where `jobs` is no count.
    """
    check_count("jobs", jobs)
    return min(jobs, max(cores() // ranks, 1), max(runs, 1))


@contextmanager
def engine(jobs: int, scheduler: str | None) -> Iterator[Engine]:
    """What `compute_all` computes with: `jobs` processes here, or a dask scheduler's workers.

    Raises ImportError without dask, and ConnectionError where no scheduler answers.
    """
    if scheduler is None:
        with joblib.parallel_config(backend="loky", n_jobs=jobs):
            yield _on_this_machine
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError(
            "a scheduler needs dask: run pip install '.[dask]' in the clone"
        ) from None
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no dask scheduler answers at '{scheduler}': "
            "start one with `dask scheduler`, or leave scheduler out"
        ) from error
    with client:
        yield partial(_on_cluster, client)


def compute_all(
    todo: Mapping[str, RunConfig],
    checksums: Mapping[str, str],
    store: Store,
    on_done: Callable[[bool], None],
    answers: Engine,
) -> dict[str, str]:
    """Compute the runs in `todo`, by key; returns the errors of those that failed.

    checksums: of the data sets. `on_done(failed)` is called after each run. What another process
    computes is waited for at the end. answers: from `engine`.
    """
    failed: dict[str, str] = {}
    left = dict(todo)
    deaths = 0
    wait = False
    while left and deaths < ATTEMPTS:
        tasks = [
            (key, config, checksums[config.data_set], store.folder, wait)
            for key, config in left.items()
        ]
        try:
            for key, error in answers(tasks):
                if error == BUSY:
                    continue
                left.pop(key)
                on_done(bool(error))
                if error:
                    failed[key] = error
            wait = True
        except BrokenProcessPool:
            deaths += 1
            print(
                f"a worker process died (killed, or out of memory): time {deaths} of {ATTEMPTS}",
                file=sys.stderr,
            )
    for key, config in left.items():
        failed[key] = DIED
        _remember_failure(store, key, config, DIED)
    return failed


def _on_this_machine(tasks: Sequence[Task]) -> Iterator[tuple[str, str]]:
    """Key and error of each run, as they finish, in the processes of `engine`."""
    calls = [joblib.delayed(compute_one)(*task) for task in tasks]
    yield from joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)


def _on_cluster(client: Client, tasks: Sequence[Task]) -> Iterator[tuple[str, str]]:
    """Key and error of each run, as they finish, on the workers that a scheduler has by then."""
    from distributed import as_completed

    waiting = {client.submit(compute_one, *task, pure=False): task for task in tasks}
    for future in as_completed(waiting):
        key, config, _, folder, _ = waiting.pop(future)
        answer, error = _answer(client, future)
        if isinstance(error, StoreError):
            raise error
        if error:
            message = _in_words(error)
            _remember_failure(Store(folder), key, config, message)
            yield key, message
        else:
            yield answer


def _answer(client: Client, future: Future) -> tuple[Any, BaseException | None]:
    """What a worker computed and None, or None and what stopped it.

    The scheduler can go away before a run is done, and between that and its answer's way here.

    Raises ConnectionError where it did.
    """
    if future.status == "finished":
        with suppress(OSError, CancelledError):
            return future.result(), None
    elif future.status == "error":
        return None, future.exception()
    raise ConnectionError(
        f"the dask scheduler at '{client.scheduler.address}' is gone: "
        "start it and the grid again, what is done is in the store"
    )


def _in_words(error: BaseException) -> str:
    """Why a worker of a cluster gave no answer of its own."""
    if type(error).__name__ == "KilledWorker":
        return "not finished: the workers that computed it died, perhaps for lack of memory"
    return f"the worker could not take it, {type(error).__name__}: {error}; {OTHER_CODE}"


def compute_one(
    key: str, config: RunConfig, checksum: str, folder: Path, wait: bool
) -> tuple[str, str]:
    """Compute one run in whatever process this is; returns its key and its error, if any.

    Only a store that cannot be written raises, and so stops the whole grid.
    """
    store = Store(folder)
    try:
        if config.key(checksum) != key:
            raise ValueError(f"the code or a library differs on this worker: {OTHER_CODE}")
        with store.lock(key, wait):
            if store.get(key, config.files) is None:
                data = _unchanged_data(config.data_set, checksum)
                store.put(key, *compute(config, data))
    except Timeout:
        return key, BUSY
    except StoreError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        _remember_failure(store, key, config, message, traceback.format_exc())
        return key, message
    return key, ""


def compute(config: RunConfig, data: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    """`execute`, but the caller's random state stays as it is.

    What follows a grid must not depend on which of its runs were in the store.
    """
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        return execute(config, data)


def _remember_failure(
    store: Store, key: str, config: RunConfig, error: str, trace: str = ""
) -> None:
    note = {
        "config": config.complete(),
        "files": sorted(config.files),
        "numerics": numerics(),
        "error": error,
        "traceback": trace,
    }
    store.put_failed(key, note)


@lru_cache(maxsize=4)
def _unchanged_data(name: str, checksum: str) -> MultimodalData:
    """A data set as it was when the grid began."""
    data = datasets.load(name)
    if data.checksum != checksum:
        raise ValueError(
            f"data set '{name}' changed while the grid ran, or differs on this worker: start again"
        )
    return data
