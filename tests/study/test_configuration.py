"""Run configurations: what is refused at construction, and what is part of a record's key."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from functools import partial

import pytest

from robult_core.model import RobultConfig
from robult_core.training import TrainingConfig
from robult_study.runs import configuration as module
from robult_study.runs.configuration import RunConfig

DEFAULT = RunConfig("digits", "robult")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"method": "robot"}, "method of RunConfig is 'robot': unknown method, choose one of rob"),
        ({"data_set": None}, "data_set of RunConfig is None: it should be a valid string"),
        ({"seed": -1}, "seed of RunConfig is -1: it should be greater than or equal to 0"),
        ({"seed": 1.5}, "seed of RunConfig is 1.5: it should be a valid integer"),
        ({"seed": None}, "seed of RunConfig is None: it should be a valid integer"),
        ({"seed": "1"}, "seed of RunConfig is '1': it should be a valid integer"),
        ({"seed": 2**32}, f"seed of RunConfig is {2**32}: it should be less than {2**32}"),
        ({"label_fraction": 1.5}, "label_fraction of RunConfig is 1.5: it should be less than"),
        ({"label_fraction": -0.1}, "label_fraction of RunConfig is -0.1: it should be greater"),
        ({"label_fraction": None}, "label_fraction of RunConfig is None: it should be a valid"),
        ({"label_fraction": "5%"}, "label_fraction of RunConfig is '5%': it should be a valid"),
        ({"label_fraction": float("nan")}, "label_fraction of RunConfig is nan: it should be"),
        (
            {"rows": "train"},
            "rows of RunConfig is 'train': it should be 'test', 'validation', 'fold",
        ),
        ({"device": "auto"}, "device of RunConfig is 'auto': it should be 'cpu', 'cuda' or 'mps'"),
        ({"device": "mps", "ranks": 2}, "ranks is 2 on device 'mps', which takes one"),
        ({"ranks": 0}, "ranks of RunConfig is 0: it should be greater than or equal to 1"),
        ({"precision": "float16"}, "precision of RunConfig is 'float16': it should be 'float32'"),
        ({"post": "svm"}, "post of RunConfig is 'svm': it should be '' or 'logistic'"),
        ({"method": "gmc", "post": "logistic"}, "post='logistic' is defined for method 'robult'"),
        ({"hyper": 3}, "hyper of RunConfig is 3: it should be a valid dictionary"),
        ({"hyper": {"temprature": 1.0}}, "unknown setting 'temprature' .*temperature"),
        ({"hyper": {"width": 0}}, "width.* is 0"),
        ({"hyper": {"width": {"a": [1]}}}, "width of RobultConfig is {'a'"),
        ({"hyper": {"temperature": "hot"}}, "temperature of RobultConfig is 'hot'"),
        ({"hyper": {"temperature": float("nan")}}, "temperature of RobultConfig is nan"),
        ({"training": {"epochs": 3}}, "unknown setting 'epochs' of TrainingConfig"),
        ({"method": "linear", "hyper": {"width": 3}}, "method 'linear' has no setting 'width'"),
        ({"method": "linear", "training": {"epochs": 3}}, "unknown setting 'epochs'"),
        ({"colour": "red"}, "unknown setting 'colour' of RunConfig: choose from data_set"),
        ({"snapshots": "first"}, "snapshots of RunConfig is 'first'"),
        ({"snapshots": (-1,)}, "snapshots.* of RunConfig is -1"),
        ({"training": {"steps": 10}, "snapshots": (0, 11)}, "a run of 10 steps has weights at"),
    ],
)
def test_a_bad_configuration_is_one_sentence(fields, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        RunConfig(**{"data_set": "digits", "method": "robult"} | fields)
    assert "\n" not in str(caught.value)


def test_a_configuration_needs_a_data_set():
    with pytest.raises(ValueError, match="data_set of RunConfig"):
        RunConfig(method="robult")


def test_json_and_pickle_give_the_same_configuration_back():
    config = RunConfig("pid", "gmc", 3, snapshots=(0, 10))
    assert pickle.loads(pickle.dumps(config)) == config
    fields = {"data_set": "pid", "method": "gmc", "seed": 3, "snapshots": [0, 10]}
    assert RunConfig(**json.loads(json.dumps(fields))) == config


@pytest.mark.parametrize(
    "same",
    [
        RunConfig("digits", "robult", tag="a name", keep_weights=True, snapshots=(1,)),
        RunConfig("digits", "robult", hyper={"width": RobultConfig().width}),
        RunConfig("digits", "robult", training={"steps": TrainingConfig().steps}),
        RunConfig("digits", "robult", hyper={"labeled_weight": 1}),  # 1.0 is the default
        RunConfig(**json.loads(json.dumps(DEFAULT.complete()))),
    ],
)
def test_the_key_knows_nothing_but_what_moves_a_number(same):
    assert same.key("abc") == DEFAULT.key("abc")


@pytest.mark.parametrize(
    "change",
    [
        {"data_set": "pid"},
        {"method": "unimodal"},
        {"seed": 1},
        {"label_fraction": 0.5},
        {"hyper": {"width": 77}},
        {"training": {"steps": 3}},
        {"rows": "validation"},
        {"rows": "fold 1"},
        {"post": "logistic"},
        {"missing_in_training": 0.5},
        {"missing_in_training": 0.5, "remedy": "mean"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_key_knows_everything_that_moves_a_number(change):
    assert replace(DEFAULT, **change).key("abc") != DEFAULT.key("abc")


def test_remedies_differ_where_something_is_missing():
    lossy = replace(DEFAULT, missing_in_training=0.5)
    assert replace(lossy, remedy="mean").key("abc") != lossy.key("abc")
    assert replace(DEFAULT, remedy="mean").key("abc") == DEFAULT.key("abc")
    columns = replace(lossy, remedy="mean").columns()
    assert (columns["missing_in_training"], columns["remedy"]) == (0.5, "mean")
    assert "remedy" not in DEFAULT.columns()
    with pytest.raises(ValueError, match="is defined for trained methods"):
        RunConfig("digits", "linear", missing_in_training=0.5)


def test_methods_without_settings_have_keys_of_their_own():
    keys = {RunConfig("digits", method).key("abc") for method in ("linear", "self_training")}
    assert len(keys) == 2


def test_the_key_knows_the_data_and_the_code(monkeypatch):
    key = DEFAULT.key("abc")
    assert DEFAULT.key("abd") != key
    monkeypatch.setattr(module, "numerics", lambda: "changed")
    assert DEFAULT.key("abc") != key


def test_a_run_may_keep_its_first_and_its_last_weights():
    config = RunConfig("digits", "robult", training={"steps": 10}, snapshots=(0, 10))
    assert config.snapshots == (0, 10)


def test_a_run_asks_for_the_files_it_keeps():
    config = RunConfig("digits", "robult", keep_weights=True, snapshots=(0, 10))
    assert config.files == (
        "weights_0.safetensors",
        "weights_10.safetensors",
        "weights.safetensors",
    )
    assert RunConfig("digits", "linear", keep_weights=True).files == ()
    richer = DEFAULT.keeping(["weights_5.safetensors", "curves.parquet", *config.files])
    assert richer.snapshots == (0, 5, 10)
    assert richer.keep_weights
    assert richer.keeping([]) is richer


def test_columns_name_what_was_asked_for():
    config = RunConfig("digits", "robult", hyper={"width": 16}, training={"steps": 5}, tag="x")
    columns = config.columns()
    assert columns["hyper.width"] == 16
    assert columns["training.steps"] == 5
    assert columns["tag"] == "x"
    assert "keep_weights" not in columns


@pytest.mark.parametrize(
    ("data_set", "method", "hyper"),
    [
        ("hateful-memes", "prompt_trans", {"vilt_folder": "vilt"}),
        ("hateful-memes-vilt", "prompt_trans", {}),
        ("hateful-memes-vilt", "robult", {}),
        ("food101-vilt", "linear", {}),
    ],
)
def test_a_vilt_reads_token_ids_and_pixels_and_nothing_else_does(data_set, method, hyper):
    with pytest.raises(ValueError, match="a ViLT reads the sets whose names end in '-vilt'"):
        RunConfig(data_set, method, hyper=hyper)


def test_a_run_of_prompt_trans_on_a_vilt(tmp_path, monkeypatch):
    monkeypatch.delenv("ROBULT_VILT", raising=False)
    folder = tmp_path / "vilt"
    on_vilt = partial(
        RunConfig, "hateful-memes-vilt", "prompt_trans", hyper={"vilt_folder": str(folder)}
    )
    with pytest.raises(ValueError, match=r"which has no .*: name the folder of a ViLT"):
        on_vilt()
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights").write_bytes(b"1234")
    config = on_vilt()
    assert config.complete()["hyper"]["vilt_folder"] == str(folder)
    key = config.key("0")
    assert key == on_vilt().key("0")
    (folder / "weights").write_bytes(b"4321")
    os.utime(folder / "weights", ns=(1, 1))
    assert config.key("0") != key  # other weights, another run
    monkeypatch.setenv("ROBULT_VILT", str(folder))
    on_vilt()
    monkeypatch.setenv("ROBULT_VILT", str(tmp_path))
    with pytest.raises(ValueError, match=r"are made by ROBULT_VILT=.*: name one folder"):
        on_vilt()


@pytest.mark.parametrize(
    "place", [{"device": "cuda"}, {"ranks": 2}, {"precision": "bfloat16"}], ids=str
)
def test_where_a_training_computes_is_part_of_its_key_and_not_of_a_sanity_rows(place):
    assert replace(DEFAULT, **place).key("0") != DEFAULT.key("0")
    linear = RunConfig("digits", "linear")
    assert replace(linear, **place).key("0") == linear.key("0")
    plain = {"device": "cpu", "ranks": 1, "precision": "float32"}
    assert plain.items() <= replace(linear, **place).complete().items()
