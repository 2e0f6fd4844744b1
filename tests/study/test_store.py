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

import robult_core
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
    "timings": {"total_seconds": 1.0},
}
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(robult_core.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
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
    with pytest.raises(KeyError, match=r"kept no weights_10.safetensors"):
        store.get(KEY).weights(10)


def test_a_richer_record_takes_the_place_of_a_poorer_one(store, files):
    store.put(KEY, CONTENT, files | {weights_name(10): files[weights_name()]})
    assert store.get(KEY, (weights_name(10),)).weights(10)["w"].tolist() == [0, 1, 2]
    assert store.keys() == [KEY]
    assert store.leftovers() == []


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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


def test_a_damaged_record_is_set_aside_not_deleted_and_a_sound_one_stays(store):
    assert store.set_aside(KEY) is None
    (store.folder / "records" / KEY / "curves.parquet").unlink()
    kept = store.set_aside(KEY)
    assert store.get(KEY) is None
    assert (kept / "predictions.parquet").exists()
    assert kept.is_relative_to(store.folder / "damaged")


def test_a_marker_that_cannot_be_read(store):
    (store.folder / "store.json").write_text('{"format"')
    with pytest.raises(StoreError, match=r"store.json is not readable: delete it"):
        Store(store.folder)
    (store.folder / "store.json").unlink()
    assert Store(store.folder).get(KEY) is not None


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


def test_only_one_process_holds_a_key(store):
    script = f"import sys; from robult_study.runs.store import Store\nwith Store({str(store.folder)!r}).lock({KEY!r}): print('mine', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
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
print("ready", flush=True)
for index in range(100000):
    body = bytes([index % 251]) * 300000
    store.put(sha256(str(index % 7).encode()), {"index": index}, {"a": body, "b": body})
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
        writer.stdout.readline()
        time.sleep(dice.uniform(0.02, 0.25))
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
    for path in store.leftovers():
        shutil.rmtree(path)
    assert list((store.folder / "tmp").iterdir()) == []


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
