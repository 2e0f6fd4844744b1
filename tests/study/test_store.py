"""Records are written whole or not at all, checked when read, and never lost."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import ENVIRONMENT, flip_byte

from robult_study.runs import store as module
from robult_study.runs.store import (
    DamagedRecord,
    Store,
    StoreError,
    canonical,
    sha256,
    to_parquet,
    weights_name,
)

KEY = sha256(b"a run")
OTHER = sha256(b"another run")
CONTENT = {
    "config": {"data_set": "digits", "method": "robult", "seed": 0},
    "metrics": [
        {"pattern": "a", "variant": "", "metric": "auroc", "value": None},
        {"pattern": "a", "variant": "", "metric": "f1", "value": 0.1},
    ],
    "label_rows": [3, 5],
    "numerics": "0",
    "timings": {"total_seconds": 1.0},
}


@pytest.fixture
def files() -> dict[str, bytes]:
    from safetensors.torch import save

    table = to_parquet(pd.DataFrame({"row": [1, 2], "pattern": ["a", "a"], "score_0": [0.25, 0.5]}))
    return {
        "predictions.parquet": table,
        "curves.parquet": table,
        weights_name(): save({"w": torch.arange(3.0)}),
    }


@pytest.fixture
def store(tmp_path, files) -> Store:
    store = Store(tmp_path / "store")
    store.put(KEY, CONTENT, files)
    return store


def test_what_went_in_comes_out(store):
    record = store.get(KEY)
    assert record.config == CONTENT["config"]
    assert record.label_rows == [3, 5]
    assert record.key == KEY
    assert record.metrics["value"].isna().tolist() == [True, False]
    assert record.predictions()["score_0"].tolist() == [0.25, 0.5]
    assert record.weights()["w"].tolist() == [0, 1, 2]
    assert [one.key for one in store.records()] == store.keys() == [KEY]
    assert store.problems() == {}
    assert store.leftovers() == []


def test_an_empty_place_holds_nothing_and_stays_untouched(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert store.get(KEY) is None
    assert store.keys() == []
    assert list(store.records()) == []
    assert store.failed() == {}
    assert not store.folder.exists()


def test_a_file_that_was_not_kept(store):
    assert store.get(KEY, (weights_name(10),)) is None
    with pytest.raises(KeyError, match=r"run \w{12} kept no weights_10.safetensors"):
        store.get(KEY).weights(10)


def test_a_richer_record_takes_the_place_of_a_poorer_one(store, files):
    store.put(KEY, CONTENT, files | {weights_name(10): files[weights_name()]})
    assert store.get(KEY, (weights_name(10),)).weights(10)["w"].tolist() == [0, 1, 2]
    assert store.keys() == [KEY]
    assert store.leftovers() == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_no_changed_byte_of_a_record_is_served(store, position, value, cut):
    path = store.folder / "records" / KEY / "record.json"
    whole = path.read_bytes()
    place = int(position * len(whole))
    changed = whole[:place] if cut else whole[:place] + bytes([value]) + whole[place + 1 :]
    path.write_bytes(changed)
    try:
        if changed == whole:
            assert store.get(KEY) is not None
        else:
            with pytest.raises(DamagedRecord, match=KEY[:12]):
                store.get(KEY)
            assert list(store.records()) == []
    finally:
        path.write_bytes(whole)


def test_an_edited_or_lost_file_is_named(store):
    folder = store.folder / "records" / KEY
    content = bytearray((folder / "predictions.parquet").read_bytes())
    content[20] ^= 1
    (folder / "predictions.parquet").write_bytes(content)
    with pytest.raises(DamagedRecord, match=r"predictions.parquet .* edited"):
        store.get(KEY).predictions()
    assert list(store.problems()) == [KEY]
    (folder / "predictions.parquet").unlink()
    with pytest.raises(DamagedRecord, match=r"predictions.parquet of record .* was lost"):
        store.get(KEY)


def test_a_record_under_another_key_is_not_served(store):
    shutil.copytree(store.folder / "records" / KEY, store.folder / "records" / OTHER)
    with pytest.raises(DamagedRecord, match=OTHER[:12]):
        store.get(OTHER)


@pytest.mark.parametrize(
    "text", ["[1]", "", "null", '"text"', "{}", '{"digest": 1}', "[" * 10**5, '{"digest": NaN}']
)
def test_a_record_that_is_something_else_is_damage(store, text):
    (store.folder / "records" / KEY / "record.json").write_text(text)
    with pytest.raises(DamagedRecord, match=r"record\.json of .* was (lost|edited)"):
        store.get(KEY)
    assert list(store.problems()) == [KEY]
    assert list(store.records()) == []


@pytest.mark.parametrize("name", ["predictions.parquet", "curves.parquet", "weights.safetensors"])
@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"x"])
def test_a_record_with_a_file_of_another_size_is_not_served(store, name, change):
    path = store.folder / "records" / KEY / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DamagedRecord, match=f"{name} of record .* was lost or cut short"):
        store.get(KEY)
    assert list(store.records()) == []


def test_sound_reads_every_byte_and_sets_a_damaged_record_aside(store, capsys):
    assert store.sound(KEY).key == KEY
    assert store.sound(OTHER) is None
    flip_byte(store.folder / "records" / KEY / "predictions.parquet")
    assert store.get(KEY) is not None  # its size is right
    assert store.sound(KEY) is None
    said = capsys.readouterr().err
    assert "predictions.parquet of record" in said
    assert "damaged" in said
    assert store.keys() == []


def test_what_a_record_was_asked_for_survives_damage_to_its_files(store):
    (store.folder / "records" / KEY / "curves.parquet").unlink()
    configuration, names = store.request(KEY)
    assert configuration == CONTENT["config"]
    assert names == {"curves.parquet", "predictions.parquet", weights_name()}
    (store.folder / "records" / KEY / "record.json").write_text("[1]")
    with pytest.raises(DamagedRecord):
        store.request(KEY)


def test_a_damaged_record_is_set_aside_not_deleted_and_a_sound_one_stays(store):
    assert store.set_aside(KEY) is None
    (store.folder / "records" / KEY / "curves.parquet").unlink()
    kept = store.set_aside(KEY)
    assert store.get(KEY) is None
    assert (kept / "predictions.parquet").exists()
    assert kept.is_relative_to(store.folder / "damaged")


@pytest.mark.parametrize(
    "text",
    ['{"format"', "", "[1]", '{"format": "1"}', '{"format": true}', '{"format": null}', "{}"],
)
def test_a_marker_that_cannot_be_read_stops_nothing_and_is_written_anew(store, files, text):
    marker = store.folder / "store.json"
    marker.write_text(text)
    damaged = Store(store.folder)
    assert damaged.get(KEY) is not None
    assert damaged.problems() == {}
    assert "store.json is not readable: the next write makes it anew" in damaged.marker_problem()
    damaged.put(OTHER, CONTENT, files)
    assert json.loads(marker.read_text()) == {"format": module.FORMAT}
    assert damaged.marker_problem() == ""


def test_a_marker_that_is_gone_is_written_anew(store, files):
    (store.folder / "store.json").unlink()
    assert Store(store.folder).get(KEY) is not None
    assert Store(store.folder).marker_problem() == ""
    store.put(OTHER, CONTENT, files)
    assert (store.folder / "store.json").exists()


def test_a_folder_with_other_files_does_not_become_a_store(tmp_path, files):
    (tmp_path / "letter.txt").write_text("not ours")
    with pytest.raises(StoreError, match="holds other files: choose an empty folder or a store"):
        Store(tmp_path).put(KEY, CONTENT, files)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_store_that_another_process_is_making_is_no_folder_of_other_files(tmp_path, files):
    (tmp_path / "tmp").mkdir()
    Store(tmp_path).put(KEY, CONTENT, files)
    assert Store(tmp_path).get(KEY) is not None


def test_a_file_in_the_place_of_a_store_is_one_sentence(tmp_path, files):
    (tmp_path / "file").write_text("not ours")
    message = r"cannot write \(Not a directory\) to store .*file: choose another folder"
    with pytest.raises(StoreError, match=message):
        Store(tmp_path / "file").put(KEY, CONTENT, files)
    assert (tmp_path / "file").read_text() == "not ours"


def test_a_store_from_the_future(store):
    (store.folder / "store.json").write_text(canonical({"format": module.FORMAT + 1}))
    with pytest.raises(
        StoreError, match=f"newer robult_study .format {module.FORMAT + 1}.*update robult"
    ):
        Store(store.folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_write_error_leaves_the_store_as_it_was(store, files, monkeypatch, number, after):
    calls = []
    real = module.write_through

    def failing(path, content):
        calls.append(path)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        real(path, content)

    monkeypatch.setattr(module, "write_through", failing)
    with pytest.raises(
        StoreError,
        match="no permission to write"
        if number == errno.EACCES
        else "no space left .* all finished runs are kept",
    ):
        store.put(OTHER, CONTENT, files)
    assert store.keys() == [KEY]
    assert store.problems() == {}
    assert store.leftovers() == []


def test_a_really_full_disk(tmp_path, files):
    place = tmp_path / "small"
    place.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True
        ).returncode
    ):
        pytest.skip(
            "mounting a small tmpfs needs root; the faked write errors above stand in for it"
        )
    try:
        store = Store(place / "store")
        store.put(KEY, CONTENT, files)
        with pytest.raises(StoreError, match="no space left"):
            store.put(OTHER, CONTENT, files | {"large": bytes(10**6)})
        assert store.keys() == [KEY]
        assert store.problems() == {}
        assert store.leftovers() == []
        store.put(OTHER, CONTENT, files)  # the failed attempt gave its space back
        assert len(store.keys()) == 2
    finally:
        subprocess.run(["umount", place], check=True)


HOLDER = """
import sys
from robult_study.runs.store import Store
with Store(sys.argv[1]).lock(sys.argv[2]):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_only_one_process_holds_a_key(store):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.folder, KEY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        assert holder.stdout.readline() == "mine\n"
        with pytest.raises(TimeoutError), store.lock(KEY, wait=False):
            pass
        (store.folder / "tmp" / f"{KEY}-abc").mkdir()
        assert store.leftovers() == []  # its writer is alive
    finally:
        holder.kill()
        holder.communicate()
    with store.lock(KEY, wait=False):  # the dead give their locks back
        pass
    assert [path.name for path in store.leftovers()] == [f"{KEY}-abc"]


WRITER = """
import sys
from robult_study.runs.store import Store, sha256
store = Store(sys.argv[1])
for index in range(100000):
    body = bytes([index % 251]) * 300000
    store.put(sha256(str(index % 7).encode()), {"index": index}, {"a": body, "b": body})
    print("written", flush=True)
"""


def test_a_killed_writer_leaves_whole_records_only(tmp_path):
    dice = random.Random(0)
    store = Store(tmp_path / "store")
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, store.folder],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for _ in range(dice.randint(5, 9)):
            writer.stdout.readline()
        time.sleep(dice.uniform(0, 0.03))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert store.problems() == {}
        for record in store.records():
            assert (
                record.read("a")
                == record.read("b")
                == bytes([record.content["index"] % 251]) * 300000
            )
    assert len(store.keys()) >= 5
    store.remove_leftovers()
    assert list((store.folder / "tmp").iterdir()) == []


DIES_BETWEEN_THE_RENAMES = """
import os, signal, sys
from robult_study.runs import store as module

def rename(source, target):
    if str(source).endswith("new"):
        os.kill(os.getpid(), signal.SIGKILL)
    os.replace(source, target)

store = module.Store(sys.argv[1])
module.os.rename = rename
old = store.get(sys.argv[2])
files = {name: old.read(name) for name in old.files} | {"weights_10.safetensors": b"richer"}
with store.lock(sys.argv[2]):
    store.put(sys.argv[2], {"config": {}}, files)
"""


@pytest.fixture
def killed_between_the_renames(store) -> Store:
    """A store whose writer died when the poorer record had left and the richer was not there."""
    command = [sys.executable, "-c", DIES_BETWEEN_THE_RENAMES, store.folder, KEY]
    done = subprocess.run(command, env=ENVIRONMENT, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not (store.folder / "records" / KEY).exists()
    return store


def test_a_kill_between_two_renames_leaves_the_richer_record(killed_between_the_renames):
    record = killed_between_the_renames.get(KEY)
    assert record.read("weights_10.safetensors") == b"richer"
    assert killed_between_the_renames.problems() == {}


def test_prune_after_a_kill_between_two_renames_deletes_neither(killed_between_the_renames):
    store = killed_between_the_renames
    store.remove_leftovers()
    assert store.keys() == [KEY]
    assert store.get(KEY, ["weights_10.safetensors"]) is not None
    assert store.leftovers() == []


def test_keys_after_a_kill_between_two_renames_has_the_record(killed_between_the_renames):
    assert killed_between_the_renames.keys() == [KEY]


def test_where_the_richer_record_is_damaged_the_poorer_one_comes_back(killed_between_the_renames):
    store = killed_between_the_renames
    (draft,) = (store.folder / "tmp").iterdir()
    (draft / "new" / "record.json").write_text("{")
    assert store.get(KEY).config == CONTENT["config"]


def test_a_reader_may_finish_what_a_living_writer_began(store, files, monkeypatch):
    real = os.rename
    richer = files | {weights_name(10): files[weights_name()]}
    renamed, served = [], []

    def rename(source: Path, target: Path) -> None:
        renamed.append(Path(source).name)
        if renamed == [KEY, "new"]:  # the writer is between its two renames
            served.append(store.get(KEY, (weights_name(10),)))
        real(source, target)

    monkeypatch.setattr(module.os, "rename", rename)
    store.put(KEY, CONTENT, richer)
    assert served[0] is not None
    assert renamed == [KEY, "new", "new"]
    assert store.get(KEY, (weights_name(10),)) is not None
    assert store.leftovers() == []


def test_an_error_between_two_renames_brings_the_poorer_record_back(store, files, monkeypatch):
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise OSError(errno.EIO, "the disk is ill")
        real(source, target)

    monkeypatch.setattr(module.os, "rename", rename)
    with pytest.raises(OSError, match="the disk is ill"):
        store.put(KEY, {"config": {}}, files)
    assert store.get(KEY).config == CONTENT["config"]
    assert store.problems() == {}


def test_stray_files_and_notes_cut_short_stop_nothing_and_are_leftovers(store):
    store.put_failed(OTHER, {"config": {}, "error": "ValueError: no", "traceback": ""})
    strays = [store.folder / "tmp" / name for name in ("notes.txt", ".hidden", "a" * 200)]
    for path in strays:
        path.write_text("?")
    cut = store.folder / "failed" / f"{sha256(b'cut')}.json"
    for text in ('{"config": {', "[1]", '{"config": 3, "error": ""}', ""):
        cut.write_text(text)
        assert list(store.failed()) == [OTHER]
        assert set(store.leftovers()) == {*strays, cut}
    assert store.keys() == [KEY]
    assert store.remove_leftovers() == 4
    assert store.leftovers() == []
    assert list(store.failed()) == [OTHER]
    assert (store.folder / "failed" / f"{OTHER}.json").exists()


def test_beginnings_of_keys(store):
    store.put_failed(OTHER, {"config": {}, "error": "ValueError: no", "traceback": ""})
    assert store.find(KEY[:8]) == KEY
    assert store.find(OTHER[:8]) == OTHER
    with pytest.raises(ValueError, match=r"2 runs .* start"):
        store.find("")
    with pytest.raises(ValueError, match="0 runs"):
        store.find("xyz")
    store.put(OTHER, CONTENT, {})
    assert store.failed() == {}  # it succeeded since


def test_canonical_text_knows_no_order_and_no_nan():
    assert canonical({"b": 1, "a": [1.0, None]}) == '{"a":[1.0,null],"b":1}'
    assert json.loads(canonical({"a": 1})) == {"a": 1}
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})
