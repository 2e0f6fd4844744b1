"""What `robult reproduce` says before it starts: what will run, for how long, and on which data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from robult_study.settings import Settings

MINUTES = {  # of each notebook in the quick profile, measured with six data sets on 2 cores
    "01": 0.6,
    "02": 0.6,
    "03": 1.2,
    "04": 2.7,
    "05": 0.2,
    "06": 3.3,
    "07": 3.3,
    "08": 2.2,
    "09": 0.3,
    "10": 2.0,
}
UNKNOWN_MINUTES = 1.0  # of a notebook that has not been measured
SMOKE_MINUTES = 0.3  # of any notebook in the smoke profile


def announce(
    names: Sequence[str],
    settings: Settings,
    earlier: dict[str, dict[str, Any]],
    say: Callable[[str], None] = print,
) -> None:
    """Say what will run, how long it takes, what is there already and where results go.

    names: the notebooks without their suffix; earlier: the manifest's entries of notebooks that
    ran before, whose own time is the best forecast.
    """
    duration = _duration(names, settings, earlier)
    say(f"profile {settings.profile}, {len(settings.seeds)} seeds, {duration}: {', '.join(names)}")
    say(f"data: {', '.join(settings.data_sets)}{_missing_data(settings)}")
    n_records = len(settings.store.keys())
    place = short_path(settings.output)
    say(f"{n_records} finished runs are there and reused; results go to {place}")
    if settings.profile == "full":
        _announce_runs(names, settings, say)


def _duration(names: Sequence[str], settings: Settings, earlier: dict[str, dict[str, Any]]) -> str:
    minutes = {}
    for name, entry in earlier.items():
        if entry["status"] == "ok":
            minutes[name] = entry["seconds"] / 60
    unmeasured = [name for name in names if name not in minutes]
    if settings.profile == "full" and unmeasured:
        return "hours or more"
    for name in unmeasured:
        guess = MINUTES.get(name[:2], UNKNOWN_MINUTES)
        minutes[name] = SMOKE_MINUTES if settings.smoke else guess
    total = sum(minutes[name] for name in names)
    return f"about {max(total, 1):.0f} min"


def _missing_data(settings: Settings) -> str:
    """The end of a sentence about data that one could download."""
    missing = [name for name in obtainable_sets() if name not in settings.data_sets]
    if settings.smoke or not missing:
        return ""
    return f"; without {', '.join(missing)} ('robult data get' downloads them)"


def obtainable_sets() -> list[str]:
    """The data sets that everyone can have: built in, or downloaded from a public source."""
    from robult_core.datasets import CATALOGUE

    return [
        item.name
        for item in CATALOGUE.values()
        if not item.instead_of and (item.builtin or item.downloadable)
    ]


def _announce_runs(names: Sequence[str], settings: Settings, say: Callable[[str], None]) -> None:
    """Say how many runs the plans of these notebooks hold, each counted once, and their time."""
    from robult_study.plans import by_notebook
    from robult_study.runs.grid import expected

    chosen = {name[:2] for name in names}
    plans = by_notebook(settings, chosen)
    if plans:
        configs = [config for plan in plans.values() for config in plan]
        numbers = ", ".join(plans)
        runs = expected(configs, settings.store, settings.jobs)
        say(f"plans of notebooks {numbers} with {settings.jobs} jobs: {runs}")


def short_path(path: Path) -> str:
    """A path as one types it: relative to the working folder where it lies below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
