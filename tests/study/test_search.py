"""The hyper-parameter search: 12 points per method, committed scores, winners as defaults."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from robult_core.methods import METHODS
from robult_study.cli import main
from robult_study.runs import search as module
from robult_study.runs import workers
from robult_study.runs.search import (
    DATA_SETS,
    LABEL_SHARE,
    MAP_POINTS,
    MAP_SEEDS,
    MAPS,
    SCORES,
    SEARCH_SPACE,
    SEEDS,
    grid_points,
    load_results,
    map_configs,
    plan,
    scored,
    search_configs,
    winners,
)
from robult_study.runs.store import Store

# What is tried -----------------------------------------------------------------------------------


def test_the_search_never_sees_test_rows_and_as_many_labels_as_the_study():
    configs = search_configs(["digits"], [0], steps=10)
    assert len(configs) == 12 * len(SEARCH_SPACE)
    assert {config.rows for config in configs} == {"validation"}
    assert {round(config.label_fraction * 0.7, 6) for config in configs} == {LABEL_SHARE}


def test_a_point_is_what_the_run_does():
    for config in search_configs(["digits"], [0], steps=10):
        point = json.loads(config.tag)
        assert {**config.hyper, **config.training} == point | {"steps": 10}


def test_the_maps_are_tried_on_validation_rows():
    configs = map_configs(["digits", "pid"], [0, 1], steps=10)
    assert len(configs) == 2 * 2 * len(MAP_POINTS)
    assert {config.rows for config in configs} == {"validation"}
    assert {config.method for config in configs} == {"robult"}


def test_the_plan_is_what_was_committed():
    for path, configs in plan(DATA_SETS, None, steps=400).items():
        committed = load_results(path)
        columns = ["method", "point", "data_set", "seed"]
        asked = {(run.method, run.tag, run.data_set, run.seed) for run in configs}
        assert asked == set(committed[columns].itertuples(index=False, name=None))
    assert {config.seed for config in plan(["digits"], 2, steps=10)[SCORES]} == {0, 1}


# What was found ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", list(SEARCH_SPACE))
def test_every_method_has_twelve_points_and_all_of_them_were_scored(method):
    points = [json.dumps(point) for point in grid_points(method)]
    assert len(points) == len(set(points)) == 12
    rows = load_results().query("method == @method")
    assert set(rows["point"]) == set(points)
    assert (rows.groupby("point").size() == len(DATA_SETS) * len(SEEDS)).all()


@pytest.mark.parametrize("method", list(SEARCH_SPACE))
def test_the_defaults_are_the_winners(method):
    best = json.loads(winners(load_results()).query("method == @method").iloc[0]["point"])
    kind, config = METHODS[method]
    rate = best.pop("learning_rate")
    assert rate == pytest.approx(kind.learning_rate)
    assert best == pytest.approx({name: getattr(config(), name) for name in best})


def test_winners_rank_within_method_and_errors_count_downwards():
    scores = pd.DataFrame(
        [
            ("a", "p", "x", "accuracy", 0, 0.9),
            ("a", "q", "x", "accuracy", 0, 0.8),
            ("a", "p", "y", "mae", 0, 1.0),
            ("a", "q", "y", "mae", 0, 2.0),
        ],
        columns=["method", "point", "data_set", "metric", "seed", "score"],
    )
    table = winners(scores)
    assert table["point"].tolist() == ["p", "q"]
    assert table["mean_rank"].tolist() == [1.0, 2.0]


def test_no_form_of_the_maps_beat_the_default_on_validation_rows():
    """Linear maps with L_rec are within 0.3 of the best mean rank of the eight."""
    scores = load_results(MAPS)
    assert set(scores["point"]) == {json.dumps(point) for point in MAP_POINTS}
    counts = scores.groupby("point")["score"].agg(["size", "count"])
    assert (counts == len(DATA_SETS) * len(MAP_SEEDS)).all(axis=None)
    rank = winners(scores).set_index("point")["mean_rank"]
    assert rank[json.dumps(MAP_POINTS[0])] < rank.min() + 0.3
    assert METHODS["robult"][1]().bottleneck is MAP_POINTS[0]["bottleneck"]


def test_a_score_is_the_mean_of_the_first_metric_over_patterns():
    rows = [
        ("top", "", "accuracy", 0.5),
        ("top+left", "", "accuracy", 0.7),
        ("top", "", "f1_macro", 0.1),
        ("top+left", "late_fusion", "accuracy", 0.0),
    ]
    table = pd.DataFrame(rows, columns=["pattern", "variant", "metric", "value"])
    table = table.assign(method="robult", tag="{}", data_set="digits", seed=0)
    (score,) = scored(table).to_dict("records")
    assert score == {
        "method": "robult",
        "point": "{}",
        "data_set": "digits",
        "metric": "accuracy",
        "seed": 0,
        "score": pytest.approx(0.6),
    }


# The command -------------------------------------------------------------------------------------


@pytest.fixture
def short_search(monkeypatch) -> None:
    """A search of two methods at two points, with a few steps."""
    space = {name: {"learning_rate": [1e-3, 3e-3]} for name in ("robult", "unimodal")}
    monkeypatch.setattr(module, "SEARCH_SPACE", space)
    monkeypatch.setattr(module, "MAP_POINTS", MAP_POINTS[:2])
    monkeypatch.setenv("ROBULT_PROFILE", "smoke")


def search(folder: Path) -> str:
    words = ["search", "--data-sets", "digits", "--n-seeds", "1", "--jobs", "1"]
    words += ["--store", str(folder / "store"), "--output", str(folder / "scores")]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_search_is_computed_from_the_command_line_and_resumed(
    short_search, tmp_path, monkeypatch
):
    committed = [path.read_bytes() for path in (SCORES, MAPS)]
    said = search(tmp_path)
    assert f"4 runs scored in {tmp_path / 'scores' / SCORES.name}" in said
    assert f"2 runs scored in {tmp_path / 'scores' / MAPS.name}" in said
    scores = load_results(tmp_path / "scores" / SCORES.name)
    assert list(scores.columns) == list(load_results().columns)
    assert scores["score"].between(0, 1).all()
    assert len(load_results(tmp_path / "scores" / MAPS.name)) == 2
    records = list(Store(tmp_path / "store").records())
    assert {record.config["rows"] for record in records} == {"validation"}
    monkeypatch.setattr(workers, "execute", None)  # everything is there
    (tmp_path / "scores" / SCORES.name).unlink()
    search(tmp_path)
    pd.testing.assert_frame_equal(load_results(tmp_path / "scores" / SCORES.name), scores)
    assert [path.read_bytes() for path in (SCORES, MAPS)] == committed


def test_a_search_of_which_runs_fail_writes_no_scores(short_search, tmp_path, monkeypatch):
    real = workers.execute

    def failing(config, data):
        if config.method == "unimodal":
            raise MemoryError("no room")
        return real(config, data)

    monkeypatch.setattr(workers, "execute", failing)
    words = ["search", "--data-sets", "digits", "--n-seeds", "1", "--jobs", "1"]
    result = CliRunner().invoke(main, [*words, "--output", str(tmp_path / "scores")])
    assert result.exit_code == 1
    assert "search_results.csv was not written, because runs failed" in result.output
    assert not (tmp_path / "scores").exists()
