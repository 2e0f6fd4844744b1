"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data; tests that need it are skipped without."""
    folder = Path(os.environ.get("ROBULT_DATA", ""))
    if not os.environ.get("ROBULT_DATA") or not (folder / "mosi/raw").is_dir():
        pytest.skip("ROBULT_DATA does not name a folder with the real data sets")
    return folder
