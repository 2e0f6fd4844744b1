"""`robult reproduce`: small notebooks are run as it runs the real ones."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from small_repository import START, read_content, write_content, write_notebook

from robult_study import plans
from robult_study.report.reproduce import Options, reproduce, select
from robult_study.runs import grid
from robult_study.runs.store import StoreError
from robult_study.settings import SettingsError, read_settings

pytestmark = pytest.mark.xdist_group("reproduce")  # one worker, which shares the run `reproduced`


def test_a_failure_names_the_cell_and_the_error_and_stops_no_other(reproduced):
    assert reproduced.result.exit_code == 1
    printed = reproduced.result.output
    assert re.search(r"\[./2\] 01_bad: failed, \d+ s\n    cell 4 \(# why\) raised Zero", printed)
    assert re.search(r"\[./2\] 02_good: ok, \d+ s", printed)
    assert "1 of 2 notebooks ok" in printed
    entries = read_content(reproduced.output)["notebooks"]
    statuses = {name: entry["status"] for name, entry in entries.items()}
    assert statuses == {"01_bad": "failed", "02_good": "ok"}


def test_the_start_says_what_runs_how_long_and_where_results_go(reproduced):
    lines = reproduced.result.output.splitlines()
    assert lines[0] == "profile quick, 3 seeds: 01_bad, 02_good"
    assert lines[1].startswith("data: pid; without digits")
    assert re.match(r"0 finished runs are there and reused; results go to .*quick", lines[2])


def test_the_kernel_gets_folder_jobs_and_headless(reproduced):
    page = (reproduced.output / "02_good.html").read_text()
    assert f"{reproduced.root / 'notebooks'} 1 True" in page


def test_runs_are_computed_before_the_notebooks_which_share_the_jobs(tmp_path, capsys):
    say = "print('jobs', settings.jobs, 'records', len(settings.store.keys()))"
    for name in ("03_runs", "05_none"):
        write_notebook(tmp_path / f"notebooks/{name}.ipynb", START, say)
    output = tmp_path / "out"
    options = Options(profile="smoke", data_sets="pid", n_seeds=1, output=output, jobs=2)
    lines: list[str] = []
    outcomes = reproduce(options, tmp_path / "notebooks", lines.append)
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]
    settings = read_settings({"profile": "smoke", "data_sets": "pid", "n_seeds": 1})
    planned = [*plans.control(settings), *plans.comparison(settings)]
    n_runs = len({config.key("data") for config in planned})
    assert f"{n_runs} runs, 0 of them in store/" in capsys.readouterr().out
    for name in ("03_runs", "05_none"):
        assert f"jobs 1 records {n_runs}" in (output / f"{name}.ipynb").read_text()
    assert any(line.startswith("[2/2] ") for line in lines)


def test_runs_that_cannot_be_computed_ahead_stop_no_notebook(tmp_path, monkeypatch):
    def fail(*arguments: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(grid, "compute_missing", fail)
    write_notebook(tmp_path / "notebooks/02_a.ipynb", "print('ran')")
    lines: list[str] = []
    options = Options(profile="smoke", data_sets="pid", output=tmp_path / "out")
    outcomes = reproduce(options, tmp_path / "notebooks", lines.append)
    assert [outcome.status for outcome in outcomes] == ["ok"]
    assert "not all runs could be computed ahead: the disk is full" in lines


def test_only_runs_some_and_keeps_the_entries_of_the_others(reproduced, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(reproduced.output, output)
    before = read_content(output)
    before["notebooks"].pop("01_bad")  # it comes later, and stands first all the same
    write_content(output, before)
    write_notebook(tmp_path / "notebooks/01_bad.ipynb", "print('repaired')")
    write_notebook(tmp_path / "notebooks/02_good.ipynb", "print('not run')")
    options = Options(profile="quick", only=("01",), data_sets="pid", output=output)
    outcomes = reproduce(options, tmp_path / "notebooks", say=lambda _: None)
    assert [outcome.status for outcome in outcomes] == ["ok"]
    entries = read_content(output)["notebooks"]
    statuses = [(name, entry["status"]) for name, entry in entries.items()]
    assert statuses == [("01_bad", "ok"), ("02_good", "ok")]
    assert entries["02_good"] == before["notebooks"]["02_good"]


def test_the_environment_is_left_as_it_was(reproduced):
    """The run of `reproduced` lies behind, and its variables must not reach later tests."""
    assert os.environ.get("ROBULT_OUT") != str(reproduced.output)
    assert "ROBULT_HEADLESS" not in os.environ


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ("01", "")}, "no notebook starts with '': there are 01_a"),
        ({"only": ("07",)}, "no notebook starts with '07': there are 01_a"),
        ({"profile": "fast"}, "profile of Parameters is 'fast'"),
        ({"data_sets": "digit"}, "did you mean 'digits'"),
        ({"output": Path("/dev/null/out")}, "cannot write to '/dev/null/out'"),
    ],
)
def test_a_wrong_option_is_told_before_anything_runs(tmp_path, options, message):
    write_notebook(tmp_path / "01_a.ipynb", "1")
    values = {"profile": "smoke", "output": tmp_path / "out"} | options
    with pytest.raises(SettingsError, match=message):
        reproduce(Options(**values), folder=tmp_path)
    assert not (tmp_path / "out/01_a.ipynb").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jobs": 0}, "jobs of Options is 0"),
        ({"n_seeds": -1}, "n_seeds of Options is -1"),
        ({"cell_seconds": 0.0}, "cell_seconds of Options is 0.0"),
    ],
)
def test_options_check_themselves(values, message):
    with pytest.raises(ValueError, match=message):
        Options(**values)


@pytest.mark.parametrize("only", [(), ("04",)])
def test_outside_a_clone_it_says_that_it_needs_one(tmp_path, only):
    with pytest.raises(SettingsError, match="run this in a clone of the project"):
        select(tmp_path / "notebooks", only)


def test_notebooks_come_in_order_and_other_files_do_not(tmp_path):
    for name in ("10_b.ipynb", "02_a.ipynb", "draft.ipynb"):
        write_notebook(tmp_path / name)
    assert [path.stem for path in select(tmp_path)] == ["02_a", "10_b"]
    assert [path.stem for path in select(tmp_path, ["1"])] == ["10_b"]
