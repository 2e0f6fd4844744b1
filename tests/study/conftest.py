"""What the tests of the study share."""

from __future__ import annotations

import pytest
from small_repository import reproduced  # noqa: F401, a fixture of several files


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path_factory) -> None:
    """No variable of the caller decides; results go to a temporary folder."""
    for name in ("ROBULT_PROFILE", "ROBULT_JOBS", "ROBULT_SCHEDULER", "ROBULT_HEADLESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROBULT_OUT", str(tmp_path_factory.mktemp("results") / "out"))
