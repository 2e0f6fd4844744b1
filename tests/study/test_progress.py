"""A bar where someone watches, lines in a log."""

from __future__ import annotations

import pytest

from robult_study.runs import progress as module
from robult_study.runs.progress import Progress, clock


def test_a_log_gets_a_line_for_the_last_run_and_not_for_each(monkeypatch, capsys):
    monkeypatch.setenv("ROBULT_HEADLESS", "1")
    with Progress(3, show=True) as progress:
        for failed in (False, True, False):
            progress.step(failed)
    assert capsys.readouterr().out == "[3/3] 0 s, 1 failed\n"


def test_a_log_gets_a_line_after_a_pause(monkeypatch, capsys):
    monkeypatch.setenv("ROBULT_HEADLESS", "1")
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    with Progress(2, show=True) as progress:
        progress.step(failed=False)
    assert capsys.readouterr().out == "[1/2] 0 s, about 0 s left\n"


def test_a_bar_is_shown_where_someone_watches(monkeypatch, capsys):
    monkeypatch.setenv("ROBULT_HEADLESS", "0")
    with Progress(1, show=True) as progress:
        progress.step(failed=True)
    output = capsys.readouterr()
    assert "1/1" in output.err
    assert "1 failed" in output.err
    assert output.out == ""


@pytest.mark.parametrize("headless", ["0", "1"])
def test_nothing_is_shown_where_nobody_asks(monkeypatch, capsys, headless):
    monkeypatch.setenv("ROBULT_HEADLESS", headless)
    with Progress(1, show=False) as progress:
        progress.step(failed=False)
    output = capsys.readouterr()
    assert output.out + output.err == ""


def test_times_are_seconds_or_minutes():
    assert clock(119) == "119 s"
    assert clock(121) == "2 min"
