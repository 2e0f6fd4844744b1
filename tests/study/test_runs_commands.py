from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from robult_core import datasets
from robult_study.provenance import repository
from robult_study.runs.configuration import RunConfig
from robult_study.runs.fingerprint import numerics
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store, canonical, sha256
from robult_study.runs_commands import runs

GOOD = RunConfig("digits", "robult", hyper={"width": 16}, training={"steps": 5})
BAD = RunConfig(
    "digits", "robult", hyper={"width": 16}, training={"steps": 5, "learning_rate": 1e30}
)


@pytest.fixture
def store(tmp_path) -> Store:
    """One run of this code, one of another version, one that failed, one folder that a killed run left."""
    store = Store(tmp_path / "store")
    run_grid([GOOD, BAD], store, progress=False)
    record = next(store.records())
    stale = {name: value for name, value in record.content.items() if name != "files"} | {
        "numerics": "old"
    }
    stale["config"] = stale["config"] | {
        "hyper": {"gone": 1}
    }  # a setting that this code does not know any more
    store.put(sha256(b"stale"), stale, {"curves.parquet": record.read("curves.parquet")})
    (store.folder / "tmp" / "gone-1").mkdir()
    return store


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(runs, ["--store", str(folder), *arguments])


def keys(store: Store) -> tuple[str, str, str]:
    """The keys of the good, the bad and the stale run."""
    checksum = datasets.load("digits").checksum
    return GOOD.key(checksum), BAD.key(checksum), sha256(b"stale")


def test_start_computes_a_grid_from_the_command_line(tmp_path):
    path, folder = tmp_path / "grid.json", tmp_path / "new"
    fields = {
        "data_set": "digits",
        "method": "robult",
        "seed": [0, 1],
        "hyper": {"width": 16},
        "training": {"steps": 5},
    }
    path.write_text(json.dumps(fields))
    first = call(folder, "start", str(path))
    assert first.exit_code == 0
    assert "2 runs, 0 of them in new/" in first.output
    assert f"2 runs are in {folder}, 0 failed" in first.output
    assert set(Store(folder).keys()) >= {GOOD.key(datasets.load("digits").checksum)}
    assert "expected time" not in call(folder, "start", str(path)).output  # nothing is left to do


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["digits"]', "grid.json holds ['digits']: give an object"),
        ('{"data_set": "digits", "colour": 1}', "unknown field 'colour' in a run configuration"),
        ('{"data_set": "digits"', "Expecting"),
    ],
)
def test_a_grid_that_cannot_be_read_is_one_sentence(tmp_path, content, message):
    (tmp_path / "grid.json").write_text(content)
    result = call(tmp_path / "new", "start", str(tmp_path / "grid.json"))
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "new").exists()


def test_list_marks_stale_and_failed_runs(store):
    good, bad, stale = keys(store)
    lines = call(store.folder, "list").output.splitlines()
    assert {line.split()[0] for line in lines} == {good[:12], f"{stale[:12]}*", f"{bad[:12]}!"}
    assert "the loss is nan" in next(line for line in lines if line.startswith(bad[:12]))


def test_show_takes_the_beginning_of_a_key(store):
    good, bad, _ = keys(store)
    output = call(store.folder, "show", good[:9]).output
    assert '"steps": 5' in output
    assert "late_fusion" in output
    assert "FloatingPointError" in call(store.folder, "show", bad[:9]).output
    result = call(store.folder, "show", "zzz")
    assert result.exit_code == 1
    assert (
        result.output
        == "Error: 0 runs have a key that starts with 'zzz': `robult runs list` shows them\n"
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_is_one_tidy_table(store, tmp_path, suffix):
    path = tmp_path / f"all.{suffix}"
    assert call(store.folder, "export", str(path)).exit_code == 0
    table = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert set(table["current"]) == {True, False}
    part = table[table["current"]]
    record = store.get(keys(store)[0])
    assert part["value"].tolist() == pytest.approx(record.metrics["value"].tolist())
    assert set(part["training.steps"]) == {5}
    assert {
        "data_set",
        "method",
        "seed",
        "label_fraction",
        "hyper.width",
        "hyper.gone",
        "pattern",
        "variant",
        "metric",
    } <= set(table)


def test_export_knows_two_formats(store, tmp_path):
    result = call(store.folder, "export", str(tmp_path / "all.xlsx"))
    assert "all.xlsx is neither .parquet nor .csv" in result.output
    assert result.exit_code == 1


def test_verify_names_what_is_damaged(store):
    assert call(store.folder, "verify").output == "2 records are sound, 0 damaged\n"
    path = store.folder / "records" / keys(store)[0] / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 255
    path.write_bytes(content)
    result = call(store.folder, "verify")
    assert result.exit_code == 1
    assert "predictions.parquet" in result.output
    assert "1 records are sound, 1 damaged" in result.output


def test_prune_asks_first_and_keeps_what_is_current(store):
    good, bad, stale = keys(store)
    gone = sha256(b"failed long ago")
    store.put_failed(gone, store.failed()[bad] | {"numerics": "another version"})
    store.put_failed(
        good, store.failed()[bad] | {"numerics": "another version"}
    )  # adding weights failed; its record is sound
    damaged = sha256(b"damaged")
    store.put(damaged, {"numerics": numerics()}, {})
    (store.folder / "records" / damaged / "record.json").write_text("{")
    asked = call(store.folder, "prune").output
    assert asked.startswith(
        "would remove (repeat with --yes): 1 records and 2 failures of other code, 1 leftovers"
    )
    assert set(store.keys()) == {good, stale, damaged}
    assert set(store.failed()) == {bad, gone, good}
    assert call(store.folder, "prune", "--yes").output.startswith(
        "removed: 1 records and 2 failures of other code, 1 leftovers; set aside: 1 damaged"
    )
    assert store.keys() == [good]
    assert set(store.failed()) == {bad}
    assert store.leftovers() == []
    assert [path.name.split("-")[0] for path in (store.folder / "damaged").iterdir()] == [damaged]


def test_repeat_runs_a_failed_run_with_its_whole_error(store):
    good, bad, _ = keys(store)
    assert isinstance(call(store.folder, "repeat", bad[:9]).exception, FloatingPointError)
    entry = store.failed()[bad] | {"config": GOOD.complete() | {"seed": 7}}
    (store.folder / "failed" / f"{bad}.json").write_text(canonical(entry))
    assert "accuracy" in call(store.folder, "repeat", bad[:9]).output
    assert len(store.keys()) == 3
    assert "accuracy" in call(store.folder, "repeat", good[:9]).output


@pytest.mark.parametrize(
    ("variable", "value"), [("ROBULT_PROFILE", "nowhere"), ("ROBULT_OUT", "out/nowhere")]
)
def test_the_store_of_the_profile_is_the_default_from_any_folder(
    tmp_path, monkeypatch, variable, value
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROBULT_OUT", raising=False)
    monkeypatch.setenv(variable, value)
    result = CliRunner().invoke(runs, ["list"])
    assert result.exit_code == 1
    assert (
        f"there is no store at {repository() / 'out' / 'nowhere' / 'store'}: name one with --store"
        in result.output
    )


def test_a_store_from_the_future_is_one_sentence(store):
    (store.folder / "store.json").write_text(json.dumps({"format": 99}))
    result = call(store.folder, "list")
    assert result.exit_code == 1
    assert "was written by a newer robult_study (format 99" in result.output
