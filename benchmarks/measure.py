"""Times, memory and tables: what every benchmark needs."""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


class Times:
    """Seconds of each candidate in each round, and the candidates compared by one of them."""

    def __init__(self, seconds: Mapping[str, list[float]], unit: str) -> None:
        self.seconds = seconds
        self.unit = unit

    def milliseconds(self, name: str) -> float:
        return 1000 * min(self.seconds[name])

    def ratio(self, name: str) -> str:
        """Ratio of the smallest times, and in brackets the median of the ratios in each round."""
        smallest = min(self.seconds[name]) / min(self.seconds[self.unit])
        pairs = zip(self.seconds[name], self.seconds[self.unit], strict=True)
        median = statistics.median(one / other for one, other in pairs)
        return f"{smallest:.2f} ({median:.2f})"


def alternate(candidates: Mapping[str, Callable[[], object]], unit: str, budget: float) -> Times:
    """Run the candidates in turn, so that other work on the machine meets them alike.

    One round warms up. Rounds go on for about `budget` seconds, at least 3 and at most 200 of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    start = time.perf_counter()
    for done in range(-1, 200):
        for name, candidate in candidates.items():
            before = time.perf_counter()
            candidate()
            if done >= 0:
                seconds[name].append(time.perf_counter() - before)
        if done >= 2 and time.perf_counter() - start > budget:
            break
    return Times(seconds, unit)


def peak_megabytes(task: Callable[[], object]) -> float:
    """How far the resident memory of this process rises while `task` runs.

    Exact in a fresh process only, whose earlier peak lies below: run it by `in_fresh_process`.
    """
    gc.collect()
    before = psutil.Process().memory_info().rss
    task()
    return (_peak_bytes() - before) / 2**20


def _peak_bytes() -> int:
    """The largest resident memory of this process so far.

    On Linux it is not what `resource` says: a fresh process inherits that from its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows, and only measurements need it

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_fresh_process(module: str, *arguments: object) -> str:
    """What `python -m module arguments` prints."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
