"""One run on two ranks, through the command line, and in bfloat16: the numbers of one process."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from robult_core import datasets
from robult_study.cli import main
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import execute
from robult_study.runs.several_ranks import fabric_of, on_all_ranks
from robult_study.runs.store import Record, Store

FIELDS = {
    "data_set": "digits",
    "method": "robult",
    "hyper": {"width": 16, "dropout": 0.0},  # each rank would draw a dropout of its own
    "training": {"steps": 4},
}


def run_from_the_command_line(folder: Path, *options: str) -> Record:
    (folder / "grid.json").write_text(json.dumps(FIELDS))
    words = ["runs", "--store", str(folder / "store"), "start", str(folder / "grid.json")]
    result = CliRunner().invoke(main, [*words, *options])
    assert result.exit_code == 0, result.output
    (record,) = Store(folder / "store").records()
    return record


def values(content: dict[str, Any]) -> np.ndarray:
    return np.array([value for _, _, _, value in map(dict.values, content["metrics"])], float)


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """The record's content of one process."""
    content, _ = execute(RunConfig(**FIELDS), datasets.load("digits"))
    return content


def test_two_ranks_make_the_record_of_one_process_and_say_so(tmp_path, alone):
    record = run_from_the_command_line(tmp_path, "--ranks", "2")
    assert record.config["ranks"] == 2
    assert record.config == alone["config"] | {"ranks": 2}
    assert record.label_rows == alone["label_rows"]
    assert record.metrics["pattern"].tolist() == [row["pattern"] for row in alone["metrics"]]
    # 540 test rows: one that changes its class moves an accuracy by less than 0.002
    np.testing.assert_allclose(record.metrics["value"], values(alone), atol=0.004)


def test_bfloat16_moves_no_accuracy_by_more_than_a_point(alone):
    config = RunConfig(**FIELDS, precision="bfloat16")
    content, files = execute(config, datasets.load("digits"))
    assert content["config"]["precision"] == "bfloat16"
    _, float32 = execute(RunConfig(**FIELDS), datasets.load("digits"))
    curves, in_float32 = (read_curves(one) for one in (files, float32))
    np.testing.assert_allclose(curves, in_float32, rtol=0.2, atol=0.02)
    assert np.mean(curves != in_float32) > 0.9  # else the training would be in float32 after all
    np.testing.assert_allclose(values(content), values(alone), atol=0.02)


def read_curves(files: dict[str, bytes]) -> np.ndarray:
    return pd.read_parquet(BytesIO(files["curves.parquet"]))["value"].to_numpy()


def fail(fabric: Any) -> None:
    if fabric.global_rank == 1:
        raise FloatingPointError("the loss is nan")


def test_a_rank_that_fails_is_one_sentence():
    fabric = fabric_of(RunConfig(**FIELDS, ranks=2))
    with pytest.raises(RuntimeError, match=r"^rank 1 failed: FloatingPointError: the loss is nan$"):
        on_all_ranks(fail, fabric)


def test_one_process_in_float32_needs_no_fabric():
    assert fabric_of(RunConfig(**FIELDS)) is None


def test_a_device_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cuda', which this machine lacks"):
        execute(RunConfig(**FIELDS, device="cuda"), datasets.load("digits"))
