"""How far a grid is: a bar where someone watches, lines in a log."""

from __future__ import annotations

import time

from tqdm.auto import tqdm

from robult_study.settings import is_headless

LINE_SECONDS = 2.0  # at least between two lines
LINES = 20  # at most about so many


class Progress:
    """Counts runs that are done, and shows how many, how many failed, and the time to come.

    Where nobody watches, it prints a line now and then and one for the last run.
    """

    def __init__(self, total: int, show: bool) -> None:
        self._total = total
        self._done = 0
        self._failed = 0
        self._prints_lines = show and is_headless()
        self._bar = tqdm(total=total, unit="run", disable=not show or self._prints_lines)
        self._started = time.perf_counter()
        self._printed = self._started

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def step(self, failed: bool) -> None:
        """One more run is done, or has failed."""
        self._done += 1
        self._failed += failed
        if self._failed:
            self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
        self._bar.update()
        if self._prints_lines and self._is_time_for_a_line():
            self._print_line()

    def _is_time_for_a_line(self) -> bool:
        now = time.perf_counter()
        pause = max(LINE_SECONDS, (now - self._started) / LINES)
        return now - self._printed >= pause or self._done == self._total

    def _print_line(self) -> None:
        self._printed = time.perf_counter()
        spent = self._printed - self._started
        line = f"[{self._done}/{self._total}] {clock(spent)}"
        left = self._total - self._done
        if left:
            line += f", about {clock(spent / self._done * left)} left"
        if self._failed:
            line += f", {self._failed} failed"
        print(line, flush=True)


def clock(seconds: float) -> str:
    """A time as text, in seconds or in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
