"""A study cannot lose work: kills, damage, two processes, a full disk, a cluster that loses a worker. The runs are real, small ones on digits."""

from __future__ import annotations

import ast
import dataclasses
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from joblib.externals.loky import get_reusable_executor

import robult_core
from robult_core import datasets
from robult_core.model import RobultConfig
from robult_core.training import TrainingConfig
from robult_study.runs import configuration as run
from robult_study.runs import fingerprint, store
from robult_study.runs import grid as study
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import execute, restore
from robult_study.runs.fingerprint import ROOT, code_of, moving_files, numerics
from robult_study.runs.grid import grid, run_grid
from robult_study.runs.store import Store, StoreError

SMALL = {"data_set": "digits", "hyper": {"width": 16}, "training": {"steps": 20, "batch_size": 32}}
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(robult_core.__file__).parents[1]),
    "OMP_NUM_THREADS": "1",
}
KILLS = int(os.environ.get("ROBULT_KILLS", "10"))


def small(**fields: object) -> list[RunConfig]:
    return grid(**{**SMALL, "method": "robult", "seed": [0, 1], **fields})


def plain(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["method", "seed", "pattern", "variant", "metric"], ignore_index=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, pd.DataFrame]:
    """A store with two runs, computed here, one after another."""
    store = Store(tmp_path_factory.mktemp("finished") / "store")
    return store, run_grid(small(keep_weights=True, snapshots=(0, 10)), store, progress=False)


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"method": "robot"}, "unknown method 'robot'"),
        ({"seed": -1}, "seed is -1"),
        ({"label_fraction": 1.5}, "label fraction is 1.5"),
        ({"rows": "train"}, "rows is 'train'"),
        ({"post": "svm"}, "post is 'svm'"),
        ({"method": "gmc", "post": "logistic"}, "post='logistic' is defined for method 'robult'"),
        (
            {"hyper": {"temprature": 1.0}},
            "unknown setting 'temprature' for robult: choose from .*temperature",
        ),
        ({"hyper": {"width": 0}}, "width is 0"),
        (
            {"hyper": {"temperature": "hot"}},
            "setting 'temperature' of robult is 'hot': give a number",
        ),
        ({"training": {"epochs": 3}}, "unknown setting 'epochs' for training"),
        ({"method": "linear", "hyper": {"width": 3}}, "method 'linear' has no setting 'width'"),
        ({"colour": "red"}, "unknown field 'colour' in a run configuration: choose from data_set"),
    ],
)
def test_a_bad_configuration_is_one_sentence(fields, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        RunConfig.from_dict({"data_set": "digits", "method": "robult"} | fields)


def test_a_configuration_needs_a_data_set():
    with pytest.raises(ValueError, match="needs data_set and method, this one has"):
        RunConfig.from_dict({"method": "robult"})


def test_the_key_knows_what_moves_a_number_and_nothing_else(monkeypatch):
    config = RunConfig("digits", "robult")
    key = config.key("abc")
    same = [
        RunConfig("digits", "robult", tag="a name", keep_weights=True, snapshots=(1,)),
        RunConfig(
            "digits",
            "robult",
            hyper={"width": RobultConfig().width},
            training={"steps": TrainingConfig().steps},
        ),
        RunConfig("digits", "robult", hyper={"labeled_weight": int(RobultConfig().labeled_weight)}),
        RunConfig.from_dict(json.loads(json.dumps(config.complete()))),
    ]
    assert {one.key("abc") for one in same} == {key}
    other = [
        dataclasses.replace(config, **change)
        for change in [
            {"seed": 1},
            {"hyper": {"width": 77}},
            {"training": {"steps": 3}},
            {"rows": "validation"},
            {"post": "logistic"},
        ]
    ]
    assert len({key, config.key("abd"), *(one.key("abc") for one in other)}) == 7
    monkeypatch.setattr(run, "numerics", lambda: "changed")
    assert config.key("abc") != key


def test_numerics_sees_code_and_not_words():
    source = 'def f(x):\n    """Words."""\n    return x + 1  # why\n'
    assert code_of(source) == code_of("def f(x):\n\n    return (x + 1)\n")
    assert code_of(source) != code_of(source.replace("1", "2"))


def test_every_entry_of_the_fingerprint_matches_a_file(monkeypatch):
    assert {path.stem for path in moving_files()} >= {
        "losses",
        "model",
        "container",
        "gmc",
        "execution",
    }
    monkeypatch.setattr(fingerprint, "MOVING", (*fingerprint.MOVING, "robult_core/gone.py"))
    with pytest.raises(
        RuntimeError, match="'robult_core/gone.py' of the fingerprint matches no file"
    ):
        moving_files()


def test_everything_a_run_imports_is_in_the_fingerprint():
    """The imports of the fingerprinted modules, followed through both packages, leave no module out but the store, which moves bytes and no numbers."""
    covered = moving_files()
    imported = set()
    for path in covered:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("robult_"):
                imported.add(node.module)
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in covered
    }
    assert imported - names <= {"robult_study.runs.store", "robult_study.runs.fingerprint"}


def test_a_grid_is_a_product():
    configs = grid(
        data_set=["digits", "pid"], method=("robult", "gmc"), seed=range(3), snapshots=(1, 2)
    )
    assert len(configs) == len({(c.data_set, c.method, c.seed) for c in configs}) == 12
    assert configs[0].snapshots == (1, 2)


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_record_holds_what_the_study_promises(finished):
    store, table = finished
    data = datasets.load("digits")
    for record in store.records():
        content = record.content
        assert RunConfig.from_dict(record.config).key(data.checksum) == record.key
        assert content["numerics"] == numerics()
        assert content["data_checksum"] == data.checksum
        assert content["versions"]["torch"].startswith("2.")
        assert content["parameters"] == sum(value.numel() for value in record.weights().values())
        assert set(record.label_rows) <= set(data.rows("train").tolist())
        assert content["timings"]["seconds_per_step"] > 0
        assert len(content["timings"]["latency_ms"]) == len(data.names) + 1
        assert record.curves()["step"].max() == 20
        assert not torch.equal(record.weights(0)["c.weight"], record.weights(10)["c.weight"])
    assert len(table) == 2 * (15 + 1) * 2  # seeds, patterns and the late-fusion variant, metrics
    assert table.attrs["failed"] == []


def test_metrics_follow_from_the_stored_predictions(finished):
    store, table = finished
    data = datasets.load("digits")
    record = store.get(table["key"].iloc[0])
    predictions = record.predictions()
    part = predictions[predictions["pattern"] == "top_left"]
    assert part["row"].tolist() == data.rows("test").tolist()
    accuracy = (
        part.filter(like="score_").to_numpy().argmax(1) == data.targets.numpy()[part["row"]]
    ).mean()
    stored = record.metrics.query("pattern == 'top_left' and metric == 'accuracy'")["value"].item()
    assert accuracy == stored


def test_a_restored_method_predicts_what_was_stored(finished):
    store, table = finished
    data = datasets.load("digits").standardized()
    record = store.get(table["key"].iloc[0])
    method = restore(record, data)
    rows = data.rows("test")
    with torch.no_grad():
        scores = method.predict(
            {"top_left": data.modalities["top_left"][torch.from_numpy(rows)]}
        ).numpy()
    stored = record.predictions().query("pattern == 'top_left'").filter(like="score_").to_numpy()
    np.testing.assert_allclose(scores, stored, atol=1e-6)


def test_a_second_call_computes_nothing_and_says_the_same(finished, monkeypatch):
    store, table = finished
    monkeypatch.setattr(study, "execute", None)
    again = run_grid([*small(), *small()], store)
    pd.testing.assert_frame_equal(again.drop_duplicates(), table)


def test_weights_asked_for_later_are_added_to_the_record(tmp_path):
    configs = small(seed=0)
    table = run_grid(configs, tmp_path, progress=False)
    richer = run_grid([*configs, *small(seed=0, keep_weights=True)], tmp_path, progress=False)
    assert len(Store(tmp_path).keys()) == 1
    assert Store(tmp_path).get(table["key"][0]).weights()
    assert richer.drop_duplicates().equals(table)


def test_a_run_that_fails_while_weights_are_added_keeps_its_row(tmp_path, monkeypatch, capsys):
    table = run_grid(small(), tmp_path, progress=False)

    def failing(config, data):
        raise MemoryError("no room for weights")

    monkeypatch.setattr(study, "execute", failing)
    again = run_grid([*small(seed=0, keep_weights=True), *small(seed=1)], tmp_path, progress=False)
    assert again.equals(table)
    assert [entry["error"] for entry in again.attrs["failed"]] == [
        "MemoryError: no room for weights"
    ]
    assert "no room for weights" in capsys.readouterr().err


def test_a_bar_is_shown_where_someone_watches(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ROBULT_HEADLESS", "0")
    run_grid(small(), tmp_path)
    output = capsys.readouterr()
    assert "2/2" in output.err
    assert "[2/2]" not in output.out
    run_grid(small(), tmp_path)
    assert "2/2" not in capsys.readouterr().err  # nothing to compute, no bar


def test_a_record_keeps_what_anyone_asked_for(tmp_path):
    run_grid(small(seed=0, snapshots=(5,)), tmp_path, progress=False)
    run_grid(
        [*small(seed=0, snapshots=(10,)), *small(seed=0, keep_weights=True)],
        tmp_path,
        progress=False,
    )
    record = Store(tmp_path).get(Store(tmp_path).keys()[0])
    assert {name for name in record.content["files"] if "weights" in name} == {
        "weights.safetensors",
        "weights_5.safetensors",
        "weights_10.safetensors",
    }


def test_validation_rows_are_training_rows(tmp_path):
    data = datasets.load("digits")
    table = run_grid(
        small(seed=0, rows="validation")
        + small(seed=0, method="linear", hyper={}, rows="validation"),
        tmp_path,
        progress=False,
    )
    for record in Store(tmp_path).records():
        scored = set(record.predictions()["row"])
        assert scored <= set(data.rows("train").tolist())
        assert not scored & set(record.label_rows)
    assert set(table["pattern"]) == {*data.names, "+".join(data.names)}


def test_sanity_rows_and_the_logistic_head(tmp_path):
    configs = grid(data_set="digits", method=["linear", "self_training"]) + small(
        seed=0, post="logistic", hyper={"width": 16, "supervised_weight": 0}
    )
    table = run_grid(configs, tmp_path, progress=False)
    full = "+".join(datasets.load("digits").names)
    accuracy = table[(table["metric"] == "accuracy") & (table["pattern"] == full)].set_index(
        "method"
    )["value"]
    assert accuracy["linear"] > 0.7
    assert accuracy["robult"] > 0.5  # the untrained classifier itself would be near 0.1
    assert set(table.loc[table["method"] == "self_training", "pattern"]) == {full}


def comparable(store: Store) -> dict[str, tuple]:
    """All of every record but its timings (and the digest, which covers them)."""
    found = {}
    for record in store.records():
        content = {name: value for name, value in record.content.items() if name != "timings"}
        found[record.key] = (
            json.dumps(content, sort_keys=True),
            {name: record.read(name) for name in content["files"]},
        )
    return found


def test_parallel_equals_serial_bit_for_bit(finished, tmp_path):
    store, table = finished
    parallel = run_grid(
        small(keep_weights=True, snapshots=(0, 10)), tmp_path, jobs=2, progress=False
    )
    pd.testing.assert_frame_equal(parallel, table, check_exact=True)
    assert comparable(Store(tmp_path)) == comparable(store)


def test_threads_outside_do_not_move_a_number(finished):
    store, table = finished
    record = store.get(table["key"].iloc[0])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        content, files = execute(small()[0], datasets.load("digits"))
    finally:
        assert torch.get_num_threads() == 2
        torch.set_num_threads(before)
    assert content["metrics"] == record.content["metrics"]
    assert files["predictions.parquet"] == record.read("predictions.parquet")


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_one_failed_run_leaves_the_others_alone(tmp_path, capsys):
    bad = small(seed=0, training={"steps": 20, "batch_size": 32, "learning_rate": 1e30})
    table = run_grid([*bad, *small()], tmp_path / "store")
    output = capsys.readouterr()
    assert sorted(table["seed"].unique()) == [0, 1]
    failure = table.attrs["failed"][0]
    assert "the loss is nan" in failure["error"]
    assert f"robult runs --store {tmp_path / 'store'} repeat {failure['key'][:12]}" in output.err
    assert "3 runs, 0 of them" in output.out
    assert "[3/3]" in output.out
    assert "1 failed" in output.out
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        study.repeat(Store(tmp_path / "store").find(failure["key"][:8]), Store(tmp_path / "store"))
    with pytest.raises(RuntimeError, match="every run failed, the first with: FloatingPointError"):
        run_grid(bad, tmp_path / "store", progress=False)


def test_a_damaged_record_is_said_set_aside_and_run_again(tmp_path, capsys):
    table = run_grid(small(), tmp_path, progress=False)
    path = tmp_path / "records" / table["key"][0] / "record.json"
    path.write_text(path.read_text().replace('"value":0.', '"value":0.9', 1))
    again = run_grid(small(), tmp_path, progress=False)
    assert "was edited after it was written" in capsys.readouterr().err
    pd.testing.assert_frame_equal(again, table)
    assert len(list((tmp_path / "damaged").iterdir())) == 1


def test_a_change_of_code_serves_nothing_old(finished, monkeypatch):
    store, _ = finished
    monkeypatch.setattr(run, "numerics", lambda: "another version")
    checksum = datasets.load("digits").checksum
    keyed = [(config.key(checksum), config) for config in small()]
    assert len(study.missing(keyed, store)) == 2


def test_data_that_changed_between_runs_is_said_and_run_again(
    finished, tmp_path, monkeypatch, capsys
):
    _, table = finished
    run_grid(small(seed=0), tmp_path, progress=False)
    real = datasets.load("digits")
    x = {name: value.clone() for name, value in real.modalities.items()}
    x["top_left"][0] += 1
    monkeypatch.setattr(datasets, "load", lambda name: dataclasses.replace(real, modalities=x))
    again = run_grid(small(seed=0), tmp_path)
    assert "data set 'digits' changed since 1 records were made" in capsys.readouterr().out
    assert again["key"][0] != table["key"][0]
    assert len(Store(tmp_path).keys()) == 2


def test_data_that_changes_while_the_grid_runs_is_a_failure(tmp_path, monkeypatch):
    study._data.cache_clear()
    versions = iter(
        [datasets.load("digits"), dataclasses.replace(datasets.load("digits"), name="other")]
    )
    monkeypatch.setattr(datasets, "load", lambda name: next(versions))
    with pytest.raises(RuntimeError, match="changed while the grid ran"):
        run_grid(small(seed=0), tmp_path, progress=False)


def test_a_worker_with_other_code_computes_nothing(tmp_path, monkeypatch):
    config = small(seed=0)[0]
    checksum = datasets.load("digits").checksum
    key = config.key(checksum)
    monkeypatch.setattr(run, "numerics", lambda: "another version")
    assert (
        "code or a library differs on this worker"
        in study._work(key, config, checksum, tmp_path, True)[1]
    )
    assert Store(tmp_path).keys() == []


def test_a_full_disk_stops_the_grid_and_loses_nothing(tmp_path, monkeypatch):
    table = run_grid(small(seed=0), tmp_path, progress=False)

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write_through", full)
    with pytest.raises(StoreError, match=r"no space left for store .* all finished runs are kept"):
        run_grid(small(), tmp_path, progress=False)
    monkeypatch.undo()
    kept = Store(tmp_path)
    assert kept.keys() == [table["key"][0]]
    assert kept.problems() == {}
    assert len(run_grid(small(), tmp_path, progress=False)) == 2 * len(table)


def test_the_expected_time_follows_from_records_of_the_same_data_and_method(finished):
    store, _ = finished
    seconds = np.mean([record.content["timings"]["total_seconds"] for record in store.records()])
    line = study.expected(small(seed=range(100)), store, jobs=2)
    assert (
        line
        == f"100 runs, 2 of them in store/; expected time for the rest: {study.clock(98 * seconds / 2)}"
    )
    unknown = study.expected(small(seed=0, method=["unimodal", "gmc"]), store.folder)
    assert (
        unknown
        == f"2 runs, 0 of them in store/; expected time for the rest: {study.clock(2 * study.GUESS_SECONDS)}"
    )


# --- several processes ------------------------------------------------------------------------------------------------

GRID = small(seed=range(max(14, 2 * KILLS)), method=["robult", "unimodal"])


@pytest.fixture(scope="module")
def processes():
    """Makes processes that have imported everything already, so that a kill finds them at work and not at import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["robult_study.runs.grid", "robult_core.model", "lightning_fabric", "sklearn.datasets"]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{Path(__file__).parent}"
        )
        yield context


def run_in_group(folder: Path, jobs: int, sender: Connection) -> None:
    """The grid as the leader of a process group; sends how many runs it computed and the length of the table."""
    os.setsid()
    computed = []
    study.execute = lambda *given: (computed.append(1), execute(*given))[1]
    table = run_grid(GRID, folder, jobs=jobs, progress=False)
    sender.send((len(computed), len(table)))


def start(
    context: object, folder: Path, jobs: int
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_in_group, args=(folder, jobs, sender))
    process.start()
    sender.close()
    return process, receiver


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> pd.DataFrame:
    return run_grid(GRID, tmp_path_factory.mktemp("undisturbed"), progress=False)


@pytest.mark.serial
def test_kill_9_at_random_moments_changes_nothing(tmp_path, processes, undisturbed):
    """The whole process group dies, workers included (every fifth time with two of them); `ROBULT_KILLS` sets how often (50: `kills_50.json`)."""
    dice, store, seen = random.Random(1), Store(tmp_path), [0]
    for kill in range(KILLS):
        process, _ = start(processes, tmp_path, jobs=2 if kill % 5 == 4 else 1)
        wait_for(lambda: len(store.keys()) > seen[-1])  # it works by now
        time.sleep(dice.uniform(0.0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert store.problems() == {}
        seen.append(len(store.keys()))
    assert seen[-1] < len(GRID)  # the last kill still found work to interrupt
    table = run_grid(GRID, tmp_path, progress=False)
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)
    assert store.problems() == {}
    assert all(record.content["numerics"] == numerics() for record in store.records())
    assert len(store.keys()) == len(GRID)
    print(f"records after each kill: {seen}")


@pytest.mark.serial
def test_two_processes_share_a_store_and_the_work(tmp_path, processes, undisturbed):
    both = [start(processes, tmp_path, jobs=1) for _ in range(2)]
    answers = [receiver.recv() for _, receiver in both]
    for process, _ in both:
        process.join()
    assert sum(computed for computed, _ in answers) == len(GRID)  # nothing computed twice
    assert min(computed for computed, _ in answers) > 0
    assert {rows for _, rows in answers} == {len(undisturbed)}
    table = run_grid(GRID, tmp_path, progress=False)
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)
    assert Store(tmp_path).problems() == {}


def test_runs_whose_workers_always_die_can_be_repeated_alone(tmp_path, monkeypatch, capsys):
    def die(*given: object, **options: object) -> None:
        raise study.BrokenProcessPool

    monkeypatch.setattr(study.joblib, "Parallel", die)
    with pytest.raises(RuntimeError, match="its worker process died each time"):
        run_grid(small(), tmp_path, progress=False)
    assert capsys.readouterr().err.count("a worker process died") == study.ATTEMPTS
    store = Store(tmp_path)
    assert len(store.failed()) == 2
    assert (
        study.repeat(store.find(next(iter(store.failed()))[:12]), store).config["data_set"]
        == "digits"
    )


def test_a_grid_leaves_the_random_state_of_its_caller_alone(tmp_path):
    drawn = []
    for _ in range(2):  # computed, then read from the store
        torch.manual_seed(5)
        run_grid(small(seed=3), tmp_path, progress=False)
        drawn.append(torch.rand(3))
    torch.manual_seed(5)
    assert torch.equal(drawn[0], torch.rand(3))
    assert torch.equal(*drawn)


@pytest.mark.serial
def test_a_worker_process_that_is_killed_is_replaced(tmp_path, undisturbed, capsys):
    def kill_one() -> None:
        wait_for(lambda: len(Store(tmp_path).keys()) >= 3)
        workers = [
            one
            for one in psutil.Process().children(recursive=True)
            if "loky" in " ".join(one.cmdline())
        ]
        max(workers, key=lambda one: one.cpu_times().user).kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    table = run_grid(GRID, tmp_path, jobs=2, progress=False)
    killer.join()
    assert (
        "a worker process died (killed, or out of memory): time 1 of 3" in capsys.readouterr().err
    )
    pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)


@pytest.mark.serial
def test_a_cluster_that_loses_a_worker_finishes_with_the_same_numbers(tmp_path, undisturbed):
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    address_file = tmp_path / "scheduler.json"
    common = {
        "env": ENVIRONMENT,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "cwd": tmp_path,
    }
    cli = [sys.executable, "-m", "distributed.cli"]
    scheduler = subprocess.Popen(
        [
            *cli[:2],
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            address_file,
        ],
        **common,
    )
    workers = []
    try:
        wait_for(address_file.exists)
        address = json.loads(address_file.read_text())["address"]
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        workers = [
            subprocess.Popen([*cli[:2], "distributed.cli.dask_worker", address, *options], **common)
            for _ in range(2)
        ]
        stored = Store(tmp_path / "store")

        def kill_one() -> None:
            wait_for(lambda: len(stored.keys()) >= 3)
            workers[0].kill()

        killer = threading.Thread(target=kill_one)
        killer.start()
        table = run_grid(GRID, stored, scheduler=address, progress=False)
        killer.join()
        assert workers[0].wait(10) == -signal.SIGKILL
        pd.testing.assert_frame_equal(table, undisturbed, check_exact=True)
        assert stored.problems() == {}
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()


@pytest.mark.serial
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    "ROBULT_SLOW" not in os.environ,
    reason="needs two idle cores and three minutes: set ROBULT_SLOW=1",
)
def test_two_jobs_take_at_most_0_65_of_the_time_of_one(tmp_path):
    configs = small(method="robult", seed=range(30), hyper={}, training={"steps": 400})
    spent = {}
    for jobs in (1, 2):
        get_reusable_executor().shutdown()  # workers start anew: their start counts
        started = time.perf_counter()
        run_grid(configs, tmp_path / str(jobs), jobs=jobs, progress=False)
        spent[jobs] = time.perf_counter() - started
    print(
        f"jobs=1 {spent[1]:.1f} s, jobs=2 {spent[2]:.1f} s, ratio {spent[2] / spent[1]:.3f}, load {os.getloadavg()}"
    )
    assert spent[1] >= 60
    assert spent[2] <= 0.65 * spent[1]


def wait_for(condition: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    monkeypatch.setattr(study, "CONNECT_SECONDS", 1)
    with pytest.raises(ConnectionError, match=r"no dask scheduler answers at 'tcp://127.0.0.1:9'"):
        run_grid(small(seed=0), tmp_path, scheduler="tcp://127.0.0.1:9", progress=False)
    with pytest.raises(ConnectionError, match="no dask scheduler answers at 'nonsense'"):
        run_grid(small(seed=0), tmp_path, scheduler="nonsense", progress=False)
    assert Store(tmp_path).keys() == []
