"""Runs that take a fraction of a second, and what several tests of the study do with them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import robult_core
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import grid

SMALL = {"data_set": "digits", "hyper": {"width": 16}, "training": {"steps": 20, "batch_size": 32}}
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(robult_core.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
}


def small(**fields: object) -> list[RunConfig]:
    """Two runs of Robult on digits, seeds 0 and 1; `fields` change that."""
    return grid(**{**SMALL, "method": "robult", "seed": [0, 1], **fields})


def diverging(**fields: object) -> list[RunConfig]:
    """Runs that fail: their learning rate is absurd."""
    training = {"steps": 20, "batch_size": 32, "learning_rate": 1e30}
    return small(training=training, **fields)


def flip_byte(path: Path, place: int = 100) -> None:
    """Damage one byte of a file, whose size stays."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 255
    path.write_bytes(content)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true, and fail when it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
