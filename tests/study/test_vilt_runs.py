"""A run of Prompt-Trans on a ViLT, from raw files to a record."""

from __future__ import annotations

import pytest
from raw_sets import hateful, tiny_vilt

from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store


def test_a_run_by_its_configuration(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    vilt = tiny_vilt(tmp_path / "vilt")
    hateful(tmp_path)
    monkeypatch.setenv("ROBULT_DATA", str(tmp_path))
    monkeypatch.setenv("ROBULT_VILT", str(vilt))
    config = RunConfig(
        "hateful-memes-vilt",
        "prompt_trans",
        label_fraction=1.0,
        hyper={"vilt_folder": str(vilt)},
        training={"steps": 3, "batch_size": 4},
    )
    table = run_grid([config], Store(tmp_path / "store"), jobs=1)
    assert set(table["pattern"]) == {"text", "image", "text+image"}
    assert table.attrs["failed"] == []
