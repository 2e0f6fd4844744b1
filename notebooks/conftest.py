"""Plain `pytest --nbmake notebooks/`: the smoke profile, results in a temporary folder, no front
end."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

SHARED = "ROBULT_SMOKE_OUT"  # names the folder to workers and to the test in a browser


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
    """Kernels run one after another, on one worker: parallel ones clash."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.xdist_group("notebooks"))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not is_worker(config):
        shutil.rmtree(os.environ.pop(SHARED), ignore_errors=True)
