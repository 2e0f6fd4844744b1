"""The command line: what it offers, and that a wrong word is one sentence and a non-zero status."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

import robult_core
from robult_study import cli
from robult_study.cli import main
from robult_study.report.agreement import TOLERANCE
from robult_study.settings import PROFILES


def call(*arguments: str):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        (
            (),
            [
                "reproduce",
                "publish",
                "site",
                "data",
                "runs",
                "search",
                "fit",
                "predict",
                "describe",
            ],
        ),
        (("data",), ["list", "get", "check"]),
        (("runs",), ["start", "list", "show", "export", "verify", "prune", "repeat"]),
    ],
)
def test_help_lists_the_commands(group, commands):
    result = call(*group, "--help")
    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.output for command in commands)


def test_reproduce_offers_the_options_of_the_contract():
    output = call("reproduce", "--help").output
    assert all(
        option in output
        for option in ("--profile [smoke|quick|full]", "--only", "--jobs", "--scheduler")
    )


def test_the_options_know_what_the_modules_behind_them_say():
    """The modules load too slowly for help, so their constants stand in the command line too."""
    assert tuple(cli.PROFILE.choices) == tuple(PROFILES)
    tolerance = next(option for option in cli.compare.params if option.name == "tolerance")
    assert tolerance.default == TOLERANCE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "--profile", "fast"], "'fast' is not one of 'smoke', 'quick', 'full'"),
        (["reproduce", "--jobs", "0"], "0 is not in the range"),
        (["reproduce", "--jobs", "-1"], "-1 is not in the range"),
        (["reproduce", "--output", "/etc"], "output is '/etc', which holds other files"),
        (["reproduce", "--output", "/"], "output is '/', which holds other files"),
        (["search", "--jobs", "0"], "0 is not in the range"),
        (["search", "--data-sets", "digit"], "did you mean 'digits'"),
        (["search", "--data-sets", "digits"], "does not replace the committed scores"),
        (["search", "--n-seeds", "1"], "does not replace the committed scores"),
        (["reproduce", "--profile", "smoke", "--only", "99"], "no notebook"),
        (["reproduce", "--profile", "smoke", "--data-sets", "digit"], "did you mean 'digits'"),
        (["publish", "--source", "/nonexistent"], "there is no finished run in '/nonexistent'"),
    ],
)
def test_a_wrong_option_is_one_sentence(arguments, message, monkeypatch, tmp_path):
    monkeypatch.setenv("ROBULT_OUT", str(tmp_path))
    result = call(*arguments)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "robult_study", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert robult_core.__version__ in done.stdout
