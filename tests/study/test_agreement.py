"""A rerun set against published records: real runs on digits, and records changed by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from robult_study.cli import main
from robult_study.report.agreement import compare, report
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import everything, run_grid
from robult_study.runs.store import Store
from robult_study.settings import SettingsError

pytestmark = pytest.mark.xdist_group("agreement")  # one worker, which shares `computed`

STEPS = {"steps": 2}
CONFIGS = [
    RunConfig("digits", "robult", 0, training=STEPS),
    RunConfig("digits", "robult", 1, training=STEPS),
    RunConfig("digits", "robult", 0, hyper={"temperature": 0.1}, training=STEPS),
    RunConfig("digits", "linear", 0),
]


@pytest.fixture(scope="module")
def computed(tmp_path_factory) -> Path:
    """A folder of results with four runs."""
    folder = tmp_path_factory.mktemp("computed")
    run_grid(CONFIGS, folder / "store", progress=False)
    return folder


@pytest.fixture
def published(computed, tmp_path) -> Path:
    """Published records equal to the computed ones, made by another state of the code."""
    folder = tmp_path / "reports"
    metrics = everything(Store(computed / "store")).drop(columns="current")
    metrics["key"] = metrics["key"].str.replace("^.", "x", regex=True)
    write_published(folder, metrics)
    return folder


def write_published(folder: Path, metrics: pd.DataFrame, **content: object) -> None:
    folder.mkdir(exist_ok=True)
    metrics.to_parquet(folder / "runs.parquet", index=False)
    (folder / "manifest.json").write_text(json.dumps(content))


def read_published(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs.parquet")


def text_of(computed: Path, published: Path, **options: float) -> str:
    return "\n".join(report(compare(computed, published, **options)))


def test_equal_runs_are_bit_equal_whatever_their_keys(computed, published):
    agreement = compare(computed, published)
    assert list(agreement.runs["verdict"]) == ["bit-equal"] * 4
    assert (agreement.runs[["largest", "mean"]] == 0).all(axis=None)
    assert agreement.runs["n"].min() > 5
    assert not len(agreement.only_here)
    assert not len(agreement.only_published)
    expected = "4 of the 4 runs here were published: 4 are bit-equal, 0 agree within 0.01, 0 are"
    assert agreement.line.startswith(expected)


def test_a_store_without_its_folder_of_results_is_taken_too(computed, published):
    assert compare(computed / "store", published).line == compare(computed, published).line


@pytest.mark.parametrize(
    ("difference", "tolerance", "verdict"),
    [
        (1e-12, 0.01, "within tolerance"),
        (0.0099, 0.01, "within tolerance"),
        (0.0101, 0.01, "further apart"),
        (0.0101, 0.02, "within tolerance"),
        (0.0101, 0.0, "further apart"),
        (np.nan, 0.01, "further apart"),
    ],
)
def test_one_changed_number_decides_about_its_run(
    computed, published, difference, tolerance, verdict
):
    metrics = read_published(published)
    is_linear = metrics["method"] == "linear"
    changed = metrics.index[is_linear & (metrics["metric"] == "accuracy")][0]
    metrics.loc[changed, "value"] -= difference
    write_published(published, metrics)
    runs = compare(computed, published, tolerance).runs.set_index("method")
    assert set(runs.loc["robult", "verdict"]) == {"bit-equal"}
    assert runs.loc["linear", "verdict"] == verdict
    assert runs.loc["linear", "where"] == f"accuracy of {metrics.loc[changed, 'pattern']}"
    if not np.isnan(difference):
        assert runs.loc["linear", "largest"] == pytest.approx(difference, abs=1e-9)
        n = runs.loc["linear", "n"]
        assert runs.loc["linear", "mean"] == pytest.approx(difference / n, abs=1e-9)


def test_what_is_far_apart_is_listed(computed, published):
    metrics = read_published(published)
    metrics.loc[metrics["method"] == "linear", "value"] += 0.25
    write_published(published, metrics)
    text = text_of(computed, published)
    assert "- linear on digits, seed 0, 5 % labels: 0.2500 apart (" in text
    assert text.endswith("1 are further apart (at most 0.250)")


def test_settings_and_seeds_are_part_of_what_is_matched(computed, published):
    metrics = read_published(published)
    metrics["seed"] = metrics["seed"].replace({1: 7})
    is_warm = metrics["hyper.temperature"] == 0.1
    metrics["hyper.temperature"] = metrics["hyper.temperature"].mask(is_warm, 0.2)
    write_published(published, metrics)
    agreement = compare(computed, published)
    assert len(agreement.runs) == 2
    assert set(agreement.only_here["seed"]) == {0, 1}
    text = "\n".join(report(agreement))
    assert "- not compared: 2 published runs of other settings or seeds" in text
    assert "- not compared: 2 runs here were not published (seed 1; hyper.temperature 0.1)" in text


def test_runs_that_differ_in_the_missing_modalities_are_not_mixed_up(tmp_path):
    """They differ in no group of settings, and each is equal to its own twin alone."""
    data = RunConfig("digits", "robult", 0, training=STEPS)
    configs = [
        replace(data, missing_in_training=rate, remedy=remedy)
        for rate, remedy in ((0.3, "mean"), (0.7, "mean"), (0.7, "neighbours"))
    ]
    run_grid([data, *configs], tmp_path / "store", progress=False)
    folder = tmp_path / "reports"
    write_published(folder, everything(Store(tmp_path / "store")).drop(columns="current"))
    agreement = compare(tmp_path, folder)
    assert agreement.runs["verdict"].tolist() == ["bit-equal"] * 4


def test_a_run_on_another_device_is_the_same_run(computed, published):
    write_published(published, read_published(published).assign(device="cuda"))
    assert len(compare(computed, published).runs) == len(CONFIGS)


def test_settings_that_one_side_does_not_know_do_not_part_equal_runs(computed, published):
    metrics = read_published(published).drop(columns="hyper.late_fusion")
    metrics["hyper.of_older_code"] = np.where(metrics["method"] == "robult", "only value", None)
    write_published(published, metrics)
    assert len(compare(computed, published).runs) == 4


def test_a_setting_that_runs_of_one_side_differ_in_is_matched(computed, published):
    metrics = read_published(published)
    older = metrics.assign(**{"hyper.of_older_code": "a"}, key="y" + metrics["key"].str[1:])
    write_published(published, pd.concat([metrics, older]))
    agreement = compare(computed, published)
    assert len(agreement.runs) == 4
    assert len(agreement.only_published) == 4


def test_data_sets_that_are_not_here_are_named(computed, published):
    metrics = read_published(published)
    elsewhere = metrics.assign(data_set="mosi", key="z" + metrics["key"].str[1:])
    write_published(published, pd.concat([metrics, elsewhere]))
    text = text_of(computed, published)
    assert "- not compared: 4 published runs on mosi, of which none is here" in text
    assert "4 of the 4 runs here were published" in text


def test_what_differs_in_code_data_versions_and_hardware_is_said(computed, published, tmp_path):
    differing = {
        "data": {"digits": "0" * 64, "mosi": "1"},
        "versions": {"torch": "1.0", "matplotlib": "0"},
        "hardware": {"cores": 64},
    }
    write_published(published, read_published(published), **differing)
    text = text_of(computed, published)
    assert "come from another state of the code and libraries behind the numbers" in text
    assert "- data set digits: " in text
    assert "000000000000000000000000 published" in text
    assert "- version of torch: " in text
    assert "the hardware of these runs is unknown" in text
    assert "matplotlib" not in text
    assert "mosi" not in text
    with_manifest = tmp_path / "with_manifest"
    shutil.copytree(computed, with_manifest)
    (with_manifest / "manifest.json").write_text(json.dumps({"hardware": {"cores": 2}}))
    assert "- cores: 2 here, 64 published" in text_of(with_manifest, published)


def test_equal_keys_or_fingerprints_prove_the_same_code(computed, published):
    records = list(Store(computed / "store").records())
    sentence = "come from the same state of the code"
    assert sentence not in text_of(computed, published)
    write_published(published, read_published(published), numerics=records[0].content["numerics"])
    assert sentence in text_of(computed, published)
    metrics = everything(Store(computed / "store")).drop(columns="current")
    write_published(published, metrics)
    assert sentence in text_of(computed, published)


def test_without_a_common_run_it_says_so(computed, published):
    metrics = read_published(published)
    write_published(published, metrics.assign(seed=metrics["seed"] + 50))
    text = text_of(computed, published)
    assert text.endswith("none of the 4 runs here was published with the same settings")


def test_either_side_may_be_missing(computed, published, tmp_path):
    with pytest.raises(SettingsError, match="holds no runs: name the folder of a run"):
        compare(tmp_path, published)
    with pytest.raises(SettingsError, match="there are no published records"):
        compare(computed, tmp_path)


def test_the_command_prints_the_answer_and_writes_every_run(computed, published, monkeypatch):
    monkeypatch.setattr("robult_study.report.agreement.repository", lambda: published.parent)
    path = published / "agreement.csv"
    words = ["compare", str(computed), "--tolerance", "0.5", "--csv", str(path)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0
    last = result.output.splitlines()[-1]
    assert last.startswith(
        "4 of the 4 runs here were published: 4 are bit-equal, 0 agree within 0.5"
    )
    table = pd.read_csv(path)
    assert len(table) == 4
    assert {"data_set", "method", "seed", "verdict", "largest", "where"} <= set(table)
