"""What `robult reproduce` says before it starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from robult_study import plans
from robult_study.report.forecast import MINUTES, announce
from robult_study.runs.grid import expected
from robult_study.settings import Settings, read_settings

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def settings_of(profile: str, output: Path) -> Settings:
    values = {"profile": profile, "data_sets": "pid", "n_seeds": 2, "output": output}
    return read_settings(values)


def announced(names: list[str], settings: Settings, earlier: dict | None = None) -> list[str]:
    lines: list[str] = []
    announce(names, settings, earlier or {}, lines.append)
    return lines


def test_a_full_profile_says_how_many_runs_the_plans_hold(tmp_path):
    settings = settings_of("full", tmp_path)
    lines = announced(["05_critical_difference", "09_rbf_weights"], settings)
    configs = plans.comparison(settings) + plans.pseudo_pairs(settings) + plans.weightings(settings)
    runs = expected(configs, settings.store, settings.jobs)
    assert lines[-1] == f"plans of notebooks 05, 09 with {settings.jobs} jobs: {runs}"
    n_runs = len({config.key("data") for config in configs})
    assert f" jobs: {n_runs} runs, 0 of them in store/" in lines[-1]


def test_a_notebook_without_a_plan_has_no_forecast_of_runs(tmp_path):
    lines = announced(["01_pid_motivation"], settings_of("full", tmp_path))
    assert len(lines) == 3
    assert "hours or more" in lines[0]


@pytest.mark.parametrize(
    ("earlier", "minutes"),
    [
        ({}, 3),
        ({"04_comparison": {"status": "ok", "seconds": 600.0}}, 10),
        ({"04_comparison": {"status": "failed", "seconds": 600.0}}, 3),
    ],
)
def test_the_time_is_that_of_the_last_run_or_the_measured_one(tmp_path, earlier, minutes):
    lines = announced(["04_comparison"], settings_of("quick", tmp_path), earlier)
    assert re.match(f"profile quick, 2 seeds, about {minutes} min: 04_comparison", lines[0])


def test_every_measured_notebook_is_there():
    numbers = {path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert set(MINUTES) == numbers
