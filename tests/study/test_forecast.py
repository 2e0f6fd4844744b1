"""What `robult reproduce` says before it starts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from robult_study.report import forecast as module
from robult_study.report.forecast import SECONDS, announce, longest_first
from robult_study.settings import Settings, read_settings

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def settings_of(profile: str, output: Path) -> Settings:
    values = {"profile": profile, "data_sets": "pid", "n_seeds": 2, "output": output}
    return read_settings(values)


def announced(names: list[str], settings: Settings, earlier: dict | None = None) -> list[str]:
    lines: list[str] = []
    announce(names, settings, earlier or {}, lines.append)
    return lines


def test_it_says_what_runs_on_which_data_and_where_results_go(tmp_path):
    lines = announced(["05_a", "09_b"], settings_of("full", tmp_path))
    assert lines[0] == "profile full, 2 seeds: 05_a, 09_b"
    assert lines[1].startswith("data: pid; without digits")
    assert re.match("0 finished runs are there and reused; results go to ", lines[2])


@pytest.mark.parametrize(
    ("jobs", "earlier", "forecast"),
    [
        (1, {}, "1 at a time, about 8 min"),
        (4, {}, "2 at a time, about 4 min"),
        (1, {"04_a": {"status": "ok", "seconds": 600.0}}, "1 at a time, about 13 min"),
        (1, {"04_a": {"status": "failed", "seconds": 600.0}}, "1 at a time, about 8 min"),
    ],
)
def test_the_time_is_that_of_the_last_run_or_the_measured_one(
    tmp_path, monkeypatch, jobs, earlier, forecast
):
    monkeypatch.setattr(module, "SECONDS", {"04": 300, "05": 180})
    settings = replace(settings_of("quick", tmp_path), jobs=jobs)
    lines = announced(["04_a", "05_b"], settings, earlier)
    assert lines[-1].endswith(f"then the notebooks: {forecast}")


def test_the_longest_notebook_starts_first():
    paths = [Path("01_a.ipynb"), Path("02_b.ipynb"), Path("10_c.ipynb")]
    earlier = {
        "01_a": {"status": "ok", "seconds": 1.0},
        "02_b": {"status": "ok", "seconds": 3.0},
        "10_c": {"status": "ok", "seconds": 2.0},
    }
    assert [path.stem for path in longest_first(paths, earlier)] == ["02_b", "10_c", "01_a"]


def test_every_measured_notebook_is_there():
    numbers = {path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert set(SECONDS) == numbers
