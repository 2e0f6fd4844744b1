"""One notebook run while nobody watches: a good one, one that fails, one that hangs."""

from __future__ import annotations

import pytest
from small_repository import START, write_notebook

from robult_study.report import headless
from robult_study.report.headless import run_notebook, run_notebooks

pytestmark = pytest.mark.xdist_group("reproduce")


def test_partial_output_is_kept(reproduced):
    text = (reproduced.output / "01_bad.ipynb").read_text()
    assert "before\\n" in text
    assert "ZeroDivisionError" in text
    assert "ZeroDivisionError" in (reproduced.output / "01_bad.html").read_text()


def test_the_copy_names_no_folder_of_papermill_and_no_draft_is_left(reproduced):
    text = (reproduced.output / "02_good.ipynb").read_text()
    assert "input_path" not in text
    assert "output_path" not in text
    assert list(reproduced.output.glob(".*")) == []


def test_a_hanging_cell_is_stopped_and_its_output_kept(tmp_path):
    path = tmp_path / "03_hang.ipynb"
    write_notebook(path, "import time\n\nprint('waiting', flush=True)\ntime.sleep(600)")
    outcome = run_notebook(path, tmp_path, {}, cell_seconds=3.0)
    assert outcome.status == "failed"
    beginning = "cell 3 (import time) raised CellTimeoutError: A cell timed out"
    assert outcome.error.startswith(beginning)
    assert outcome.seconds < 120
    text = (tmp_path / "03_hang.ipynb").read_text()
    assert "waiting\\n" in text
    assert "stopped here: CellTimeoutError" in text


def test_a_notebook_that_finds_nothing_to_do_stops_without_an_error(tmp_path):
    path = tmp_path / "04_stop.ipynb"
    write_notebook(path, START, "notebook.stop('nothing to look at')", "print('nev' + 'er')")
    parameters = {"data_sets": "pid", "output": str(tmp_path / "out")}
    outcome = run_notebook(path, tmp_path, parameters, cell_seconds=60.0)
    assert outcome.status == "ok"
    assert outcome.error == ""
    text = (tmp_path / "04_stop.ipynb").read_text()
    assert "nothing to look at\\n" in text
    assert "data pid" in text  # the watermark
    assert "never" not in text


def test_a_notebook_whose_process_dies_has_failed(tmp_path):
    killed, good = tmp_path / "05_killed.ipynb", tmp_path / "06_good.ipynb"
    write_notebook(killed, "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")
    write_notebook(good, "import time\ntime.sleep(3)")
    outcomes = dict(run_notebooks([killed, good], tmp_path, {}, cell_seconds=60.0, at_once=2))
    assert outcomes[killed].status == "failed"
    assert outcomes[killed].error.startswith("its process ended: ")
    assert outcomes[good].status == "ok"


def test_a_kernel_that_fails_to_start_is_tried_once_more(tmp_path, monkeypatch):
    calls = []

    def fail(*arguments: object) -> Exception:
        calls.append(arguments)
        return RuntimeError("Kernel died before replying")

    monkeypatch.setattr(headless, "_execute", fail)
    path = tmp_path / "01_a.ipynb"
    write_notebook(path, "print(1)")
    outcome = run_notebook(path, tmp_path, {}, 3.0)
    assert len(calls) == 2
    assert outcome.title == "Title of 01_a"
    assert outcome.error == "the kernel did not start: RuntimeError: Kernel died before replying"
