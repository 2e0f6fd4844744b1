"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is slow, and not wrong
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data; tests that need it are skipped without."""
    folder = Path(os.environ.get("ROBULT_DATA", ""))
    if not os.environ.get("ROBULT_DATA") or not (folder / "mosi/raw").is_dir():
        pytest.skip("ROBULT_DATA does not name a folder with the real data sets")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `-n 2 --dist loadgroup`, tests marked serial share one worker, so that they do not
    disturb each other."""
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))
