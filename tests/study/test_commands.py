"""Commands load when they are called, and an error is one sentence."""

from __future__ import annotations

import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner
from small_runs import ENVIRONMENT

from robult_study.cli import LAZY, main
from robult_study.commands import LazySentences

HEAVY = ("torch", "numpy", "pandas", "pydantic", "sklearn", "matplotlib", "joblib")


@pytest.mark.parametrize("name", LAZY)
def test_the_help_of_all_says_what_a_command_says_of_itself(name):
    command = main.get_command(click.Context(main), name)
    assert command.name == name
    assert command.get_short_help_str(limit=100) == LAZY[name][1]


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from robult_study.cli import main\n"
        "for words in (['--help'], ['runs', '--help'], ['search', '--help']):\n"
        "    assert CliRunner().invoke(main, words).exit_code == 0\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.split() == []


@pytest.mark.serial
def test_help_answers_at_once():
    """The goal is half a second; the fastest of three tries, because the machine may be busy."""
    command = [sys.executable, "-m", "robult_study", "--help"]
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True, env=ENVIRONMENT)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("error", [ValueError, OSError, ImportError])
def test_an_error_is_one_sentence(error):
    @click.group(cls=LazySentences)
    def group() -> None:
        """A group."""

    @group.command()
    def fail() -> None:
        """Fail."""
        raise error("the moon is full: wait")

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == 1
    assert result.output == "Error: the moon is full: wait\n"
