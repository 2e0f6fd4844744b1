"""The command line: what it offers, and that a wrong word is one sentence and a non-zero status."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner
from option_facts import option_facts

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


# What the commands hand on


@pytest.mark.parametrize(
    ("statuses", "code"),
    [(["ok", "ok"], 0), (["ok", "failed"], 1), (["timed out", "ok"], 1), ([], 0)],
)
def test_reproduce_hands_its_options_on_and_fails_where_a_notebook_does(
    monkeypatch, tmp_path, statuses, code
):
    given = []

    def run(options, say):
        given.append(options)
        return [SimpleNamespace(status=status) for status in statuses]

    monkeypatch.setattr("robult_study.report.reproduce.reproduce", run)
    result = call("reproduce", "--only", "01, 02", "--only", "03", "--output", str(tmp_path))
    assert result.exit_code == code
    assert given[0].only == ("01", "02", "03")
    assert given[0].output == tmp_path


def test_compare_prints_a_report_and_writes_the_runs_where_asked(monkeypatch, tmp_path):
    runs = pd.DataFrame({"run": ["a"], "difference": [0.5]})
    monkeypatch.setattr(
        "robult_study.report.agreement.compare",
        lambda folder, tolerance: SimpleNamespace(runs=runs, tolerance=tolerance),
    )
    monkeypatch.setattr(
        "robult_study.report.agreement.report", lambda result: [f"up to {result.tolerance}", "all"]
    )
    table = tmp_path / "runs.csv"
    result = call("compare", str(tmp_path), "--tolerance", "0", "--csv", str(table))
    assert result.output == "up to 0.0\nall\n"
    assert table.read_text() == "run,difference\na,0.5\n"
    assert call("compare", str(tmp_path)).output == "up to 0.01\nall\n"


OPTIONS = {
    "reproduce": {
        "profile": "Choice, choices ('smoke', 'quick', 'full')",
        "only": "String, multiple",
        "data_sets": "String",
        "n_seeds": "IntRange, min 1",
        "jobs": "IntRange, min 1",
        "scheduler": "String",
        "output": "Path, dir_okay True, made absolute",
        "cell_seconds": "FloatRange, min 1",
    },
    "publish": {
        "profile": "Choice, choices ('quick', 'full'), default quick",
        "source": "Path, file_okay True, dir_okay True",
    },
    "compare": {
        "folder": "Path, required, exists True, dir_okay True",
        "tolerance": "FloatRange, min 0, default 0.01",
        "table": "Path, file_okay True",
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_ask_for_what_they_promise(name):
    assert option_facts(main.commands[name]) == OPTIONS[name]
