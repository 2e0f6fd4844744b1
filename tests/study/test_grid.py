"""Grids: what is computed, what is served, what is said, and what goes wrong."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import diverging, flip_byte, small

from robult_core import datasets
from robult_study.runs import configuration, workers
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import (
    GUESS_SECONDS,
    AllRunsFailed,
    everything,
    forecast,
    grid,
    keys,
    missing,
    repeat,
    run_grid,
)
from robult_study.runs.progress import clock
from robult_study.runs.store import DamagedRecord, Store, StoreError


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def files_of(store: Store, key: str) -> list[str]:
    return sorted(path.name for path in (store.folder / "records" / key).iterdir())


# What a grid is ----------------------------------------------------------------------------------


def test_a_grid_is_a_product():
    configs = grid(
        data_set=["digits", "pid"], method=("robult", "gmc"), seed=range(3), snapshots=(1, 2)
    )
    points = {(config.data_set, config.method, config.seed) for config in configs}
    assert len(configs) == len(points) == 12
    assert configs[0].snapshots == (1, 2)


def test_an_empty_dimension_is_one_sentence():
    with pytest.raises(ValueError, match="dimension 'seed' of the grid is empty"):
        grid(data_set="digits", method="robult", seed=[])


# What is computed and what is served -------------------------------------------------------------


def test_a_second_call_computes_nothing_and_says_the_same(finished, monkeypatch):
    store, table = finished
    monkeypatch.setattr(workers, "execute", None)
    again = run_grid([*small(), *small()], store)
    pd.testing.assert_frame_equal(again.drop_duplicates(), table)
    assert table.attrs["failed"] == []


def test_weights_asked_for_later_are_added_to_the_record(store):
    configs = small(seed=0)
    table = run_grid(configs, store, progress=False)
    richer = run_grid([*configs, *small(seed=0, keep_weights=True)], store, progress=False)
    assert len(store.keys()) == 1
    assert store.get(table["key"][0]).weights()
    assert richer.drop_duplicates().equals(table)


def test_a_record_keeps_what_anyone_asked_for(store):
    run_grid(small(seed=0, snapshots=(5,)), store, progress=False)
    later = [*small(seed=0, snapshots=(10,)), *small(seed=0, keep_weights=True)]
    run_grid(later, store, progress=False)
    (record,) = store.records()
    assert {name for name in record.files if "weights" in name} == {
        "weights.safetensors",
        "weights_5.safetensors",
        "weights_10.safetensors",
    }


def test_a_run_that_fails_while_weights_are_added_keeps_its_row(store, monkeypatch, capsys):
    def failing(config, data):
        raise MemoryError("no room for weights")

    table = run_grid(small(), store, progress=False)
    monkeypatch.setattr(workers, "execute", failing)
    again = run_grid([*small(seed=0, keep_weights=True), *small(seed=1)], store, progress=False)
    assert again.equals(table)
    errors = [failure["error"] for failure in again.attrs["failed"]]
    assert errors == ["MemoryError: no room for weights"]
    assert "no room for weights" in capsys.readouterr().err


def test_a_grid_leaves_the_random_state_of_its_caller_alone(store):
    drawn = []
    for _ in range(2):  # computed, then read from the store
        torch.manual_seed(5)
        run_grid(small(seed=3), store, progress=False)
        drawn.append(torch.rand(3))
    torch.manual_seed(5)
    assert torch.equal(drawn[0], torch.rand(3))
    assert torch.equal(*drawn)


def test_a_change_of_code_serves_nothing_old(finished, monkeypatch):
    store, _ = finished
    monkeypatch.setattr(configuration, "numerics", lambda: "another version")
    _, keyed = keys(small())
    assert len(missing(keyed, store)) == 2


# Damage ------------------------------------------------------------------------------------------


def test_a_damaged_record_is_said_set_aside_and_run_again(store, capsys):
    table = run_grid(small(), store, progress=False)
    path = store.folder / "records" / table["key"][0] / "record.json"
    path.write_text(path.read_text().replace('"value":0.', '"value":0.9', 1))
    again = run_grid(small(), store, progress=False)
    assert "was edited after it was written" in capsys.readouterr().err
    pd.testing.assert_frame_equal(again, table)
    assert len(list((store.folder / "damaged").iterdir())) == 1


@pytest.mark.parametrize("name", ["predictions.parquet", "curves.parquet", "weights.safetensors"])
def test_a_grid_mends_a_record_of_which_one_byte_of_one_file_changed(store, name, capsys):
    configs = small(seed=0, keep_weights=True)
    table = run_grid(configs, store, progress=False)
    key = table["key"][0]
    sound = store.get(key).read(name)
    flip_byte(store.folder / "records" / key / name)
    again = run_grid(configs, store, progress=False)
    assert f"{name} of record {key[:12]} was lost, cut short or edited" in capsys.readouterr().err
    pd.testing.assert_frame_equal(again, table)
    assert store.get(key).read(name) == sound
    assert store.problems() == {}


@pytest.mark.parametrize("damage", ["flipped", "cut", "lost"])
def test_repeat_mends_a_damaged_record_with_all_its_files(store, damage):
    key = run_grid(small(seed=0, snapshots=(5,)), store, progress=False)["key"][0]
    names = files_of(store, key)
    path = store.folder / "records" / key / "predictions.parquet"
    if damage == "flipped":
        flip_byte(path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.unlink()
    record = repeat(key, store)
    assert record.predictions().shape[0] > 0
    assert files_of(store, key) == names
    assert store.problems() == {}


def test_repeat_of_a_record_that_lost_its_configuration_says_what_to_do(store):
    key = run_grid(small(seed=0), store, progress=False)["key"][0]
    (store.folder / "records" / key / "record.json").write_text("[1]")
    with pytest.raises(DamagedRecord, match=r"record\.json of .* was lost.*; start its grid again"):
        repeat(key, store)
    run_grid(small(seed=0), store, progress=False)
    assert store.problems() == {}


# Failures ----------------------------------------------------------------------------------------


def test_one_failed_run_leaves_the_others_alone(store, capsys):
    table = run_grid([*diverging(seed=0), *small()], store)
    output = capsys.readouterr()
    assert sorted(table["seed"].unique()) == [0, 1]
    (failure,) = table.attrs["failed"]
    assert "the loss is nan" in failure["error"]
    assert f"robult runs --store {store.folder} repeat {failure['key'][:12]}" in output.err
    assert "3 runs, 0 of them" in output.out
    assert "[3/3]" in output.out
    assert "1 failed" in output.out
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        repeat(store.find(failure["key"][:8]), store)


@pytest.fixture
def one_memory_error(monkeypatch):
    """Call it, and the next run fails for lack of memory, those after it do not."""

    def arm() -> None:
        execute = workers.execute

        def fail_once(config, data):
            monkeypatch.setattr(workers, "execute", execute)
            raise MemoryError("no room")

        monkeypatch.setattr(workers, "execute", fail_once)

    return arm


@pytest.mark.parametrize("has_record", [False, True])
def test_repeat_of_a_failed_run_keeps_the_files_it_was_asked_for(
    store, one_memory_error, has_record, capsys
):
    if has_record:
        run_grid(small(seed=0, snapshots=(5,)), store, progress=False)
    one_memory_error()
    configs = [*small(seed=0, keep_weights=True, snapshots=(10,)), *small(seed=1)]
    (failure,) = run_grid(configs, store, progress=False).attrs["failed"]
    record = repeat(failure["key"], store)
    wanted = {"weights.safetensors", "weights_10.safetensors"}
    if has_record:
        wanted.add("weights_5.safetensors")
    assert {name for name in record.files if name.startswith("weights")} == wanted
    assert store.failed() == {}


def test_a_grid_of_which_every_run_fails_is_one_sentence(store):
    with pytest.raises(AllRunsFailed, match="every run failed, the first with: FloatingPointError"):
        run_grid(diverging(), store, progress=False)


def test_a_full_disk_stops_the_grid_and_loses_nothing(store, full_disk):
    table = run_grid(small(seed=0), store, progress=False)
    message = r"no space left .* all finished runs are kept"
    with full_disk(), pytest.raises(StoreError, match=message):
        run_grid(small(), store, progress=False)
    assert store.keys() == [table["key"][0]]
    assert store.problems() == {}
    assert len(run_grid(small(), store, progress=False)) == 2 * len(table)


def test_a_store_in_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("not ours")
    with pytest.raises(StoreError, match="holds other files: choose an empty folder"):
        run_grid(small(seed=0), tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


# Data --------------------------------------------------------------------------------------------


def changed(data: datasets.MultimodalData) -> datasets.MultimodalData:
    """The same data but for one number."""
    modalities = {name: values.clone() for name, values in data.modalities.items()}
    modalities["top_left"][0] += 1
    return dataclasses.replace(data, modalities=modalities)


def test_data_that_changed_between_runs_is_said_and_run_again(store, monkeypatch, capsys):
    table = run_grid(small(seed=0), store, progress=False)
    other = changed(datasets.load("digits"))
    monkeypatch.setattr(datasets, "load", lambda name: other)
    again = run_grid(small(seed=0), store)
    assert "data set 'digits' changed since 1 records were made" in capsys.readouterr().out
    assert again["key"][0] != table["key"][0]
    assert len(store.keys()) == 2


def test_data_that_changes_while_the_grid_runs_is_a_failure(store, monkeypatch):
    workers._unchanged_data.cache_clear()
    data = datasets.load("digits")
    versions = iter([data, changed(data)])
    monkeypatch.setattr(datasets, "load", lambda name: next(versions))
    with pytest.raises(AllRunsFailed, match="changed while the grid ran"):
        run_grid(small(seed=0), store, progress=False)


# What is said ------------------------------------------------------------------------------------


def said_of(configs: list[RunConfig], store: Store) -> str:
    """What a grid says before it computes the runs that the store lacks, in one process."""
    checksums, keyed = keys(configs)
    return forecast(keyed, missing(keyed, store), checksums, store, jobs=1)


def test_the_expected_time_follows_from_records_of_the_same_data_and_method(finished):
    store, _ = finished
    seconds = np.mean([record.content["timings"]["total_seconds"] for record in store.records()])
    time_left = clock(98 * seconds)
    assert (
        said_of(small(seed=range(100)), store)
        == f"100 runs, 2 of them in store/; expected time for the rest: {time_left}"
    )
    unknown = small(seed=0, method=["unimodal", "gmc"])
    time_left = clock(GUESS_SECONDS * sum(config.steps for config in unknown))
    assert (
        said_of(unknown, store)
        == f"2 runs, 0 of them in store/; expected time for the rest: {time_left}"
    )


def test_more_jobs_than_cores_are_capped_and_that_is_said(store, monkeypatch, capsys):
    monkeypatch.setattr(workers, "cores", lambda: 1)
    run_grid(small(), store, jobs=1_000_000)
    assert "1 of 1000000 jobs: there are no more cores or runs" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2", True, None])
def test_jobs_that_are_no_count_are_one_sentence(store, jobs):
    with pytest.raises(ValueError, match=f"jobs is {jobs!r}: it must be a whole number"):
        run_grid(small(), store, jobs=jobs)
    assert not store.folder.exists()


def test_everything_marks_what_older_code_made(store):
    run_grid(small(seed=0), store, progress=False)
    (record,) = store.records()
    older = {name: value for name, value in record.content.items() if name != "files"}
    store.put("0" * 64, older | {"numerics": "old"}, {})
    table = everything(store)
    assert table.index.tolist() == list(range(len(table)))
    assert table.groupby("key")["current"].first().to_dict() == {record.key: True, "0" * 64: False}
    current = everything(store, stale=False)
    assert set(current["key"]) == {record.key}
    assert current["current"].all()
    assert json.loads(current.iloc[[0]].to_json(orient="records"))[0]["hyper.width"] == 16


def test_everything_of_an_empty_store_is_an_empty_table(store):
    assert list(everything(store).columns) == ["key", "current"]
