"""Commands load when they are called, and an error is one sentence."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from small_runs import ENVIRONMENT

from robult_study.cli import LAZY, main
from robult_study.commands import LazySentences

HEAVY = ("torch", "numpy", "pandas", "pydantic", "sklearn", "matplotlib", "joblib")


@pytest.mark.parametrize("name", LAZY)
def test_every_command_of_the_help_is_there(name):
    command = main.get_command(click.Context(main), name)
    assert command.name == name
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert LAZY[name][1] in CliRunner().invoke(main, ["--help"]).output


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from robult_study.cli import main\n"
        "for words in ([], ['runs'], ['search'], ['fit'], ['reproduce']):\n"
        "    assert CliRunner().invoke(main, [*words, '--help']).exit_code == 0\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.split() == []


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
