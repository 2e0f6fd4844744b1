"""What the tests of the study share."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from small_repository import reproduced  # noqa: F401, a fixture of several files
from small_runs import small

from robult_study.runs import store as store_module
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path_factory) -> None:
    """No variable of the caller decides; results go to a temporary folder."""
    for name in ("ROBULT_PROFILE", "ROBULT_JOBS", "ROBULT_SCHEDULER", "ROBULT_HEADLESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROBULT_OUT", str(tmp_path_factory.mktemp("results") / "out"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> tuple[Store, pd.DataFrame]:
    """A store with two runs, computed in this process, and their table; tests only read it."""
    store = Store(tmp_path_factory.mktemp("finished") / "store")
    return store, run_grid(small(keep_weights=True, snapshots=(0, 10)), store, progress=False)


@pytest.fixture
def full_disk(monkeypatch) -> Callable[[], AbstractContextManager[None]]:
    """Makes a context in which every write finds the disk full."""

    def write(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    @contextmanager
    def full() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(store_module, "write_through", write)
            yield

    return full
