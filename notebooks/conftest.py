"""Plain `pytest --nbmake notebooks/`: the smoke profile, results in a temporary folder, no front
end."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial

import pytest
from nbmake import nb_run
from traitlets.config import Config

SHARED = "ROBULT_SMOKE_OUT"  # names the folder to workers and to the test in a browser
FIRST_HALF = ("03", "04", "05", "06", "07")  # they share runs, and take as long as the others

# Every worker has socket files of its own, so that kernels that start at once clash on nothing.
SOCKETS = tempfile.mkdtemp(prefix="robult_kernel_")
sockets_in_files = Config({"KernelManager": {"transport": "ipc", "ip": f"{SOCKETS}/socket"}})
nb_run.NotebookClient = partial(nb_run.NotebookClient, config=sockets_in_files)


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("ROBULT_PROFILE", "smoke")
    os.environ.setdefault("ROBULT_HEADLESS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not is_worker(config):
        os.environ[SHARED] = tempfile.mkdtemp(prefix="robult_smoke_")
    os.environ["ROBULT_OUT"] = os.environ[SHARED]  # never the user's own results


def is_worker(config: pytest.Config) -> bool:
    """Whether this is a process of pytest-xdist, which inherits the folder that is there."""
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two kernels run at a time, at most: each half of the notebooks stays on one worker."""
    for item in items:
        if item.path.suffix == ".ipynb":
            half = "first" if item.path.name.startswith(FIRST_HALF) else "second"
            item.add_marker(pytest.mark.xdist_group(f"{half} half of the notebooks"))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(SOCKETS, ignore_errors=True)
    if not is_worker(config):
        shutil.rmtree(os.environ.pop(SHARED), ignore_errors=True)
