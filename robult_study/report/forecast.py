"""What `robult reproduce` says before it starts: what will run, for how long, and on which data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from robult_study.settings import Settings

Entries = Mapping[str, Mapping[str, Any]]  # of a manifest, by name of the notebook

SECONDS = {  # of each notebook in the quick profile when its runs are there, on one core
    "01": 34,
    "02": 13,
    "03": 20,
    "04": 15,
    "05": 10,
    "06": 15,
    "07": 20,
    "08": 60,
    "09": 15,
    "10": 40,
}
UNKNOWN_SECONDS = 30  # of a notebook that has not been measured


def announce(
    names: Sequence[str],
    settings: Settings,
    earlier: Entries,
    say: Callable[[str], None] = print,
) -> None:
    """Say what will run, on which data, where results go, and how long the notebooks take.

    How long the runs take that are not there yet, a grid says itself. names: the notebooks without
    their suffix; earlier: the manifest's entries of notebooks that ran before.
    """
    say(f"profile {settings.profile}, {len(settings.seeds)} seeds: {', '.join(names)}")
    say(f"data: {', '.join(settings.data_sets)}{_missing_data(settings)}")
    n_records = len(settings.store.keys())
    place = short_path(settings.output)
    say(f"{n_records} finished runs are there and reused; results go to {place}")
    at_once = min(settings.jobs, len(names))
    minutes = sum(_seconds(name, earlier) for name in names) / at_once / 60
    say(
        "first the runs that are missing, then the notebooks: "
        f"{at_once} at a time, about {max(minutes, 1):.0f} min"
    )


def longest_first(notebooks: Sequence[Path], earlier: Entries) -> list[Path]:
    """The notebooks in an order that keeps every core at work to the end."""
    return sorted(notebooks, key=lambda path: -_seconds(path.stem, earlier))


def _seconds(name: str, earlier: Entries) -> float:
    """How long a notebook takes: as long as it took before, or as it took here."""
    entry = earlier.get(name, {})
    if entry.get("status") == "ok":
        return entry["seconds"]
    return SECONDS.get(name[:2], UNKNOWN_SECONDS)


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


def short_path(path: Path) -> str:
    """A path as one types it: relative to the working folder where it lies below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
