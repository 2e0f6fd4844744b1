"""`robult runs`: what it says about a store, sound or damaged, and what it does to it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from option_facts import option_facts
from small_runs import flip_byte

from robult_core import datasets
from robult_core.methods import METHODS
from robult_study import runs_commands
from robult_study.runs.configuration import RunConfig
from robult_study.runs.fingerprint import numerics
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store, canonical, sha256
from robult_study.runs_commands import runs

GOOD = RunConfig("digits", "robult", hyper={"width": 16}, training={"steps": 5})
BAD = RunConfig(
    "digits", "robult", hyper={"width": 16}, training={"steps": 5, "learning_rate": 1e30}
)
STALE = sha256(b"stale")
GRID = {
    "data_set": "digits",
    "method": "robult",
    "seed": [0, 1],
    "hyper": {"width": 16},
    "training": {"steps": 5},
}


@pytest.fixture
def store(tmp_path) -> Store:
    """A run of this code, one of other code, one that failed, and what a killed run left."""
    store = Store(tmp_path / "store")
    run_grid([GOOD, BAD], store, progress=False)
    record = next(store.records())
    stale = {name: value for name, value in record.content.items() if name != "files"}
    stale["numerics"] = "old"
    stale["config"] = stale["config"] | {"hyper": {"gone": 1}}  # unknown to this code
    store.put(STALE, stale, {"curves.parquet": record.read("curves.parquet")})
    (store.folder / "tmp" / "gone-1").mkdir()
    return store


@pytest.fixture
def good() -> str:
    """The key of the good run."""
    return GOOD.key(datasets.load("digits").checksum)


@pytest.fixture
def bad() -> str:
    """The key of the run that failed."""
    return BAD.key(datasets.load("digits").checksum)


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(runs, ["--store", str(folder), *arguments])


@pytest.mark.parametrize("command", ["list", "verify", "prune"])
def test_answers_of_notebooks_are_no_runs(tmp_path, command):
    Store(tmp_path).put(STALE, {}, {"answer.json": b"1"})
    result = call(tmp_path, command)
    assert result.exit_code == 1
    assert "holds answers that notebooks keep, and no runs: name a folder" in result.output


@pytest.mark.parametrize("method", [*METHODS, "linear_distillation"])
def test_a_run_of_every_method_keeps_the_columns(method):
    config = {"data_set": "digits", "method": method, "seed": 0, "label_fraction": "0.05"}
    line = runs_commands._line("a" * 64, " ", config)
    assert line.index("seed") == runs_commands._line("a" * 64, " ", {}).index("seed")


# start -------------------------------------------------------------------------------------------


def start(folder: Path, text: str, *options: str) -> Result:
    """`runs start` of a grid file with this text."""
    path = folder / "grid.json"
    path.write_text(text)
    return call(folder / "new", "start", str(path), *options)


def test_start_computes_a_grid_from_the_command_line(tmp_path, good):
    first = start(tmp_path, json.dumps(GRID))
    assert first.exit_code == 0
    assert "2 runs, 0 of them in new/" in first.output
    assert f"2 runs are in {tmp_path / 'new'}, 0 failed" in first.output
    assert Store(tmp_path / "new").get(good) is not None
    again = start(tmp_path, json.dumps(GRID))
    assert "expected time" not in again.output  # nothing is left to do
    assert f"2 runs are in {tmp_path / 'new'}, 0 failed" in again.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["digits"]', "grid.json holds ['digits']: give an object of run fields"),
        ("null", "grid.json holds None: give an object"),
        ("3", "grid.json holds 3: give an object"),
        ("", "grid.json is not JSON (Expecting value"),
        ('{"data_set": "digits"', "grid.json is not JSON (Expecting"),
        ("[" * 100_000, "grid.json is not JSON (maximum recursion depth"),
        ("{}", "data_set of RunConfig"),
        ('{"data_set": "digits", "method": "robult", "colour": 1}', "unknown setting 'colour'"),
        ('{"data_set": "digits", "method": "robult", "self": 1}', "unknown setting 'self'"),
        ('{"data_set": "digits", "method": "robult", "seed": []}', "dimension 'seed' of the grid"),
        ('{"data_set": "digits", "method": "robult", "seed": null}', "seed of RunConfig is None"),
        ('{"data_set": "digits", "method": "robult", "seed": "1"}', "seed of RunConfig is '1'"),
        ('{"data_set": "digits", "method": "robult", "seed": [[0]]}', "seed of RunConfig is [0]"),
        ('{"data_set": "digits", "method": "robult", "seed": 1e400}', "seed of RunConfig is inf"),
        ('{"data_set": null, "method": "robult"}', "data_set of RunConfig is None"),
        ('{"data_set": "../../etc", "method": "robult"}', "no data at '../../etc'"),
        ('{"data_set": "digit", "method": "robult"}', "unknown data set 'digit'"),
        ('{"data_set": "digits", "method": {"a": {}}}', "method of RunConfig is {'a': {}}"),
        (
            '{"data_set": "digits", "method": "robult", "label_fraction": NaN}',
            "label_fraction of RunConfig is nan",
        ),
        (
            '{"data_set": "digits", "method": "robult", "hyper": {"width": {"a": [{}]}}}',
            "width of RobultConfig is {'a': [{}]}",
        ),
        (
            '{"data_set": "digits", "method": "robult", "training": {"steps": "many"}}',
            "steps of TrainingConfig is 'many'",
        ),
        (
            '{"data_set": "digits", "method": "robult", "snapshots": "all"}',
            "snapshots of RunConfig is 'all'",
        ),
    ],
)
def test_a_grid_that_cannot_be_run_is_one_sentence(tmp_path, text, message):
    result = start(tmp_path, text)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_grid_that_is_no_text_is_one_sentence(tmp_path):
    (tmp_path / "grid.json").write_bytes(b"\xff\xfe\x00")
    result = call(tmp_path / "new", "start", str(tmp_path / "grid.json"))
    assert result.exit_code == 1
    assert "grid.json is not JSON ('utf-8' codec" in result.output


def test_a_grid_of_which_every_run_fails_is_one_sentence(tmp_path):
    training = {"steps": 5, "learning_rate": 1e30}
    result = start(tmp_path, json.dumps(GRID | {"training": training}))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "Error: every run failed, the first with: FloatingPointError" in result.output
    assert "Traceback" not in result.output


def test_a_grid_of_which_some_runs_fail_says_how_many(tmp_path):
    settings = [{"steps": 5}, {"steps": 5, "learning_rate": 1e30}]
    result = start(tmp_path, json.dumps(GRID | {"seed": 0, "training": settings}))
    assert result.exit_code == 1
    assert f"1 runs are in {tmp_path / 'new'}, 1 failed" in result.output


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5"])
def test_jobs_that_are_no_count_are_one_sentence(tmp_path, jobs):
    result = start(tmp_path, json.dumps(GRID), "--jobs", jobs)
    assert result.exit_code == 2
    assert "Error: Invalid value for '--jobs'" in result.output
    assert not (tmp_path / "new").exists()


def test_a_hundred_thousand_jobs_are_capped(tmp_path):
    result = start(tmp_path, json.dumps(GRID | {"seed": 0}), "--jobs", "100000")
    assert result.exit_code == 0
    assert "1 of 100000 jobs: there are no more cores or runs" in result.output


@pytest.mark.parametrize("folder", ["/", "/etc"])
def test_a_foreign_folder_does_not_become_a_store(tmp_path, folder):
    (tmp_path / "grid.json").write_text(json.dumps(GRID))
    result = call(Path(folder), "start", str(tmp_path / "grid.json"))
    assert result.exit_code == 1
    assert f"{folder} holds other files: choose an empty folder" in result.output


# list, show, export ------------------------------------------------------------------------------


def test_list_marks_stale_and_failed_runs(store, good, bad):
    lines = call(store.folder, "list").output.splitlines()
    marked = {line.split()[0] for line in lines}
    assert marked == {good[:12], f"{STALE[:12]}*", f"{bad[:12]}!"}
    assert "the loss is nan" in next(line for line in lines if line.startswith(bad[:12]))


def test_a_line_has_columns_and_the_beginnings_of_long_words(store, good):
    config = {"data_set": "digits", "method": "gmc", "seed": 3, "label_fraction": 0.123456789}
    store.put_failed(good, {"config": config, "error": "ValueError: no"})
    lines = call(store.folder, "list").output.splitlines()
    expected = (
        f"{good[:12]}! digits         gmc                 seed 3   labels 0.1234 ValueError: no"
    )
    assert expected in lines


def test_list_takes_a_note_that_lacks_fields(store, bad):
    for config in ({}, {"data_set": ["digits"], "label_fraction": None}):
        store.put_failed(bad, {"config": config, "error": "ValueError: no"})
        result = call(store.folder, "list")
        assert result.exit_code == 0
        assert f"{bad[:12]}!" in result.output


def test_show_takes_the_beginning_of_a_key(store, good, bad):
    output = call(store.folder, "show", good[:9]).output
    assert '"steps": 5' in output
    assert output.startswith('{\n "')
    assert '"metrics"' not in output
    table = store.get(good).metrics.to_string(index=False)
    assert output.endswith(f"}}\n{table}\n")
    failed = call(store.folder, "show", bad[:9]).output
    assert failed.startswith('{\n "')
    assert "FloatingPointError" in failed
    result = call(store.folder, "show", "zzz")
    assert result.exit_code == 1
    assert result.output == (
        "Error: 0 runs have a key that starts with 'zzz': `robult runs list` shows them\n"
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_is_one_tidy_table(store, tmp_path, good, suffix):
    path = tmp_path / f"all.{suffix}"
    assert call(store.folder, "export", str(path)).exit_code == 0
    table = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert set(table["current"]) == {True, False}
    assert "Unnamed: 0" not in table
    current = table[table["current"]]
    metrics = store.get(good).metrics
    assert current["value"].tolist() == pytest.approx(metrics["value"].tolist())
    assert set(current["training.steps"]) == {5}
    run = {"data_set", "method", "seed", "label_fraction", "hyper.width", "hyper.gone"}
    assert run | {"pattern", "variant", "metric"} <= set(table)


def test_export_knows_two_formats(store, tmp_path):
    result = call(store.folder, "export", str(tmp_path / "all.xlsx"))
    assert "all.xlsx is neither .parquet nor .csv" in result.output
    assert result.exit_code == 1


# verify, prune, repeat ---------------------------------------------------------------------------


def test_verify_names_what_is_damaged(store, good):
    assert call(store.folder, "verify").output == "2 records are sound, 0 damaged\n"
    flip_byte(store.folder / "records" / good / "predictions.parquet")
    result = call(store.folder, "verify")
    assert result.exit_code == 1
    assert "predictions.parquet" in result.output
    assert "1 records are sound, 1 damaged" in result.output


def test_prune_asks_first_and_keeps_what_is_current(store, good, bad):
    gone = sha256(b"failed long ago")
    note = store.failed()[bad] | {"numerics": "another version"}
    store.put_failed(gone, note)
    store.put_failed(good, note)  # adding weights failed; its record is sound
    damaged = sha256(b"damaged")
    store.put(damaged, {"numerics": numerics()}, {})
    (store.folder / "records" / damaged / "record.json").write_text("{")
    stale = "1 records and 2 failures of other code and 1 leftovers"
    asked = call(store.folder, "prune").output
    assert asked == (
        f"would remove {stale}; would set aside 1 damaged records (repeat with --yes)\n"
    )
    assert set(store.keys()) == {good, STALE, damaged}
    assert set(store.failed()) == {bad, gone, good}
    done = call(store.folder, "prune", "--yes").output
    assert done == f"removed {stale}; set aside 1 damaged records\n"
    assert store.keys() == [good]
    assert set(store.failed()) == {bad}
    assert store.leftovers() == []
    aside = [path.name.split("-")[0] for path in (store.folder / "damaged").iterdir()]
    assert aside == [damaged]


def damage_record_json(store: Store, bad: str) -> None:
    (store.folder / "records" / STALE / "record.json").write_text("[1]")


def damage_marker(store: Store, bad: str) -> None:
    (store.folder / "store.json").write_text('{"format": "one"}')


def damage_note(store: Store, bad: str) -> None:
    path = store.folder / "failed" / f"{bad}.json"
    path.write_bytes(path.read_bytes()[:40])


def leave_stray_files(store: Store, bad: str) -> None:
    (store.folder / "tmp" / "notes.txt").write_text("?")
    (store.folder / "tmp" / ".DS_Store").write_text("?")


@pytest.mark.parametrize(
    "damage", [damage_record_json, damage_marker, damage_note, leave_stray_files]
)
def test_damage_stops_no_command(store, good, bad, damage):
    damage(store, bad)
    listed = call(store.folder, "list")
    assert listed.exit_code == 0
    assert good[:12] in listed.output
    verified = call(store.folder, "verify")
    assert "records are sound" in verified.output
    assert verified.exit_code == (1 if damage is damage_record_json else 0)
    assert ("store.json is not readable" in verified.output) == (damage is damage_marker)
    pruned = call(store.folder, "prune", "--yes")
    assert pruned.exit_code == 0
    assert store.keys() == [good]
    assert store.leftovers() == []
    assert call(store.folder, "verify").output == "1 records are sound, 0 damaged\n"


def test_repeat_runs_a_failed_run_with_its_whole_error(store, good, bad):
    assert isinstance(call(store.folder, "repeat", bad[:9]).exception, FloatingPointError)
    note = store.failed()[bad] | {"config": GOOD.complete() | {"seed": 7}}
    (store.folder / "failed" / f"{bad}.json").write_text(canonical(note))
    assert "accuracy" in call(store.folder, "repeat", bad[:9]).output
    assert len(store.keys()) == 3
    shown = store.get(good).metrics.to_string(index=False)
    assert call(store.folder, "repeat", good[:9]).output.endswith(f"{shown}\n")


def test_repeat_mends_a_damaged_record(store, good):
    flip_byte(store.folder / "records" / good / "curves.parquet")
    assert call(store.folder, "repeat", good[:9]).exit_code == 0
    assert store.problems() == {}


# Which store -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "folder"),
    [("ROBULT_PROFILE", "full", "out/full"), ("ROBULT_OUT", "out/nowhere", "out/nowhere")],
)
def test_the_store_of_the_profile_is_the_default_from_any_folder(
    tmp_path, monkeypatch, variable, value, folder
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROBULT_OUT", raising=False)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("robult_study.settings.repository", lambda: tmp_path / "clone")
    result = CliRunner().invoke(runs, ["list"])
    assert result.exit_code == 1
    place = tmp_path / "clone" / folder / "store"
    assert f"there is no store at {place}: name one with --store" in result.output


def test_a_profile_that_does_not_exist_is_one_sentence(monkeypatch):
    monkeypatch.delenv("ROBULT_OUT", raising=False)
    monkeypatch.setenv("ROBULT_PROFILE", "nowhere")
    result = CliRunner().invoke(runs, ["list"])
    assert "ROBULT_PROFILE of Environment is 'nowhere': it should be 'smoke'" in result.output


def test_help_needs_no_store(monkeypatch):
    result = CliRunner().invoke(runs, ["--store", "/nowhere", "list", "--help"])
    assert result.exit_code == 0


def test_a_store_from_the_future_is_one_sentence(store):
    (store.folder / "store.json").write_text(json.dumps({"format": 99}))
    result = call(store.folder, "list")
    assert result.exit_code == 1
    assert "was written by a newer robult_study (format 99" in result.output


OPTIONS = {
    "start": {
        "path": "Path, required, exists True, file_okay True",
        "jobs": "IntRange, min 1, default 1",
        "scheduler": "String",
        "device": "String",
        "ranks": "IntRange, min 1",
        "precision": "Choice, choices ('float32', 'bfloat16')",
    },
    "prune": {"yes": "Bool, is_flag"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_ask_for_what_they_promise(name):
    assert option_facts(runs.commands[name]) == OPTIONS[name]
