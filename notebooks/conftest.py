"""Plain `pytest --nbmake notebooks/`: the smoke profile, results in a temporary folder, no front
end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

OUTPUT = Path(tempfile.gettempdir()) / f"robult_smoke_{os.getpid()}"


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("ROBULT_PROFILE", "smoke")
    os.environ.setdefault("ROBULT_HEADLESS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["ROBULT_OUT"] = str(OUTPUT)  # never a tracked file, never the user's own results


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kernels run one after another, on one worker: parallel ones clash."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.xdist_group("notebooks"))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
