"""The hyper-parameter search: its points, how it climbs, committed scores, winners as defaults."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from robult_core.methods import METHODS
from robult_core.tasks import FUSION_RULE
from robult_study.cli import main
from robult_study.results import selection
from robult_study.runs import search as module
from robult_study.runs import workers
from robult_study.runs.search import (
    DATA_SETS,
    FOLD_SCORES,
    FUSION_SCORES,
    LABEL_SHARE,
    MAP_POINTS,
    MAPS,
    SCORES,
    SEARCH_SPACE,
    SEEDS,
    STEP_SCORES,
    TRAINING,
    around,
    best_points,
    beyond,
    configs_of,
    design,
    fold_configs,
    load_results,
    map_configs,
    mean_ranks,
    next_points,
    scored,
    step_configs,
    winner,
)
from robult_study.runs.store import Store
from robult_study.settings import PROFILES

METHOD = "unimodal"
SPACE = SEARCH_SPACE[METHOD]
every_method = pytest.mark.parametrize("method", list(SEARCH_SPACE))


# The points --------------------------------------------------------------------------------------


@every_method
def test_the_design_fills_the_space_with_sixteen_points(method):
    points = pd.DataFrame(design(method))
    assert len(points.drop_duplicates()) == 16
    for name, setting in SEARCH_SPACE[method].items():
        assert points[name].between(setting.low, setting.high).all()
        halves = pd.cut(points[name].rank(), 4).value_counts()
        assert (halves == 4).all()  # each quarter of a range has a quarter of the points
        middle = (
            (setting.low * setting.high) ** 0.5
            if setting.logarithmic
            else (setting.low + setting.high) / 2
        )
        assert 6 <= (points[name] < middle).sum() <= 10
    assert design(method) == design(method)


@every_method
def test_the_points_around_another_are_at_most_a_step_away(method):
    center = design(method)[3]
    points = pd.DataFrame(around(method, center))
    assert len(points.drop_duplicates()) == 8
    for name, setting in SEARCH_SPACE[method].items():
        low, high = setting.moved(center[name], -1), setting.moved(center[name], 1)
        assert points[name].between(low, high).all()
        assert points[name].nunique() > 4


@every_method
def test_every_point_is_one_that_its_method_takes(method):
    center = design(method)[0]
    for point in [*design(method), *around(method, center), *beyond(method, center, [center])]:
        (config,) = configs_of({method: [point]}, ["digits"], [0], 10)
        assert config.complete()["method"] == method


def test_beyond_an_edge_lies_a_step_in_its_direction_only():
    point = {"learning_rate": 0.001, "dropout": 0.3, "weight_decay": 0.05}
    tried = [
        point,
        {"learning_rate": 0.004, "dropout": 0.0, "weight_decay": 0.001},
        {"learning_rate": 0.0001, "dropout": 0.35, "weight_decay": 1.0},
    ]
    # a step of the dropout is 0.15: nothing was tried at 0.45 or above
    assert beyond(METHOD, point, tried) == [{**point, "dropout": 0.45}]


def test_a_setting_at_its_limit_has_no_edge_to_leave():
    point = {"learning_rate": 0.001, "dropout": 0.0, "weight_decay": 0.05}
    tried = [
        point,
        {"learning_rate": 0.1, "dropout": 0.9, "weight_decay": 50.0},
        {"learning_rate": 0.0001, "dropout": 0.9, "weight_decay": 0.0001},
    ]
    assert beyond(METHOD, point, tried) == []


# How it climbs -----------------------------------------------------------------------------------


def scores_of(stages: dict[str, list[tuple[dict[str, float], list[float]]]]) -> pd.DataFrame:
    """Scores of one method on one data set, a number for each seed."""
    rows = []
    for stage, points in stages.items():
        for point, numbers in points:
            for seed, score in enumerate(numbers):
                row = (stage, METHOD, json.dumps(point), "digits", "accuracy", seed, score)
                rows.append(row)
    columns = ["stage", "method", "point", "data_set", "metric", "seed", "score"]
    return pd.DataFrame(rows, columns=columns)


INNER = {"learning_rate": 0.001, "dropout": 0.3, "weight_decay": 0.05}
FRAME = [  # around INNER, worse than it, and closed on all sides but above its dropout
    ({"learning_rate": 0.1, "dropout": 0.0, "weight_decay": 50.0}, [0.1, 0.1, 0.1]),
    ({"learning_rate": 0.00001, "dropout": 0.0, "weight_decay": 0.0001}, [0.2, 0.2, 0.2]),
]
HIGHER = {**INNER, "dropout": 0.45}


def test_stages_follow_one_another():
    nothing = scores_of({})
    assert next_points(nothing, METHOD) == ("design", design(METHOD))
    first = scores_of({"design": [(INNER, [0.5, 0.5, 0.5]), *FRAME]})
    assert next_points(first, METHOD) == ("around", around(METHOD, INNER))
    both = scores_of({"design": FRAME, "around": [(INNER, [0.5, 0.5, 0.5])]})
    assert next_points(both, METHOD) == ("beyond", [HIGHER])


@pytest.mark.parametrize(
    ("numbers", "is_taken"),
    [([0.6, 0.6, 0.6], True), ([0.6, 0.4, 0.4], False), ([0.6, 0.6, 0.4], False)],
    ids=["better in all blocks", "in one", "in two, within a standard error"],
)
def test_a_step_is_taken_where_it_gains_more_than_its_standard_error(numbers, is_taken):
    inside = {"design": FRAME, "around": [(INNER, [0.5, 0.5, 0.5])]}
    scores = scores_of({**inside, "beyond": [(HIGHER, numbers)]})
    assert winner(scores, METHOD) == (HIGHER if is_taken else INNER)
    stage, points = next_points(scores, METHOD)
    assert stage == "beyond"
    assert points == ([{**INNER, "dropout": 0.6}] if is_taken else [])


def test_the_best_points_begin_with_the_winner():
    tempting = [(HIGHER, [0.6, 0.6, 0.4])]
    inside = {"design": FRAME, "around": [(INNER, [0.5, 0.5, 0.5])]}
    scores = scores_of({**inside, "beyond": tempting})
    assert best_points(scores, METHOD, 2) == [INNER, HIGHER]


def test_ranks_are_within_method_and_errors_count_downwards():
    scores = pd.DataFrame(
        [
            ("a", "p", "x", "accuracy", 0, 0.9),
            ("a", "q", "x", "accuracy", 0, 0.8),
            ("a", "p", "y", "mae", 0, 1.0),
            ("a", "q", "y", "mae", 0, 2.0),
        ],
        columns=["method", "point", "data_set", "metric", "seed", "score"],
    )
    table = mean_ranks(scores)
    assert table["point"].tolist() == ["p", "q"]
    assert table["mean_rank"].tolist() == [1.0, 2.0]


def test_a_score_is_the_mean_of_the_first_metric_over_patterns():
    rows = [
        ("top", "", "accuracy", 0.5),
        ("top+left", "", "accuracy", 0.7),
        ("top", "", "f1_macro", 0.1),
        ("top+left", "late_fusion", "accuracy", 0.0),
    ]
    table = pd.DataFrame(rows, columns=["pattern", "variant", "metric", "value"])
    table = table.assign(method="robult", tag="{}", data_set="digits", seed=0, rows="fold 1")
    (score,) = scored(table, ["rows"]).to_dict("records")
    assert score == {
        "method": "robult",
        "point": "{}",
        "data_set": "digits",
        "metric": "accuracy",
        "seed": 0,
        "rows": "fold 1",
        "score": pytest.approx(0.6),
    }


# The runs ----------------------------------------------------------------------------------------


def test_the_search_never_sees_test_rows_and_as_many_labels_as_the_study():
    configs = configs_of({METHOD: design(METHOD)}, ["digits", "pid"], [0, 1], steps=10)
    assert len(configs) == 16 * 2 * 2
    assert {config.rows for config in configs} == {"validation"}
    assert {round(config.label_fraction * 0.7, 6) for config in configs} == {LABEL_SHARE}
    for config in configs:
        point = json.loads(config.tag)
        assert {**config.hyper, **config.training} == point | {"steps": 10}


def test_the_second_selection_sees_labelled_rows_only():
    best = {METHOD: design(METHOD)[:2]}
    configs = fold_configs(best, ["digits"], steps=10)
    assert len(configs) == 2 * 3
    assert {config.rows for config in configs} == {"fold 0", "fold 1", "fold 2"}
    assert {config.label_fraction for config in configs} == {LABEL_SHARE}


def test_steps_and_maps_are_tried_with_the_winner():
    point = design("robult")[0]
    lengths = step_configs({"robult": point}, ["digits", "mosi"], [0], steps=400)
    assert [config.training["steps"] for config in lengths] == [200, 400, 1000, 2000]
    assert {config.data_set for config in lengths} == {"digits"}
    forms = map_configs(point, ["digits"], [0, 1], steps=10)
    assert len(forms) == 2 * len(MAP_POINTS)
    assert {config.hyper["temperature"] for config in forms} == {point["temperature"]}


# What was found ----------------------------------------------------------------------------------


@every_method
def test_every_method_had_the_same_budget_before_the_edges(method):
    rows = load_results().query("method == @method")
    points = rows.groupby("stage")["point"].unique()
    assert list(points["design"]) == [json.dumps(point) for point in design(method)]
    assert len(points["around"]) == 8
    assert (rows.groupby("point").size() == len(DATA_SETS) * len(SEEDS)).all()


@every_method
def test_no_winner_lies_on_an_edge_that_is_worth_leaving(method):
    assert next_points(load_results(), method)[1] == []


@every_method
def test_the_defaults_are_the_winners(method):
    best = winner(load_results(), method)
    kind, config = METHODS[method]
    assert best.pop("learning_rate") == pytest.approx(kind.learning_rate)
    decay = best.pop("weight_decay", None)
    if decay is not None:
        assert decay == pytest.approx(kind.weight_decay)
    assert best == pytest.approx({name: getattr(config(), name) for name in best})


def test_the_number_of_steps_and_the_rule_of_fusion_are_those_of_validation_rows():
    assert PROFILES["full"].steps == selection.chosen_steps(load_results(STEP_SCORES))
    fused = load_results(FUSION_SCORES)
    rules = fused.groupby("tag")["value"].mean()
    assert rules.idxmax() == f"late_fusion {FUSION_RULE}"


def test_no_form_of_the_maps_beat_the_default_on_validation_rows():
    """Linear maps with L_rec are within 0.3 of the best mean rank of the eight."""
    scores = load_results(MAPS)
    assert set(scores["point"]) == {json.dumps(point) for point in MAP_POINTS}
    counts = scores.groupby("point")["score"].agg(["size", "count"])
    assert (counts == len(DATA_SETS) * len(SEEDS)).all(axis=None)
    rank = mean_ranks(scores).set_index("point")["mean_rank"]
    assert rank[json.dumps(MAP_POINTS[0])] < rank.min() + 0.3
    assert METHODS["robult"][1]().bottleneck is MAP_POINTS[0]["bottleneck"]


# The command -------------------------------------------------------------------------------------


@pytest.fixture
def short_search(monkeypatch) -> None:
    """A search of two methods at a few points, with a few steps."""
    space = {name: {"learning_rate": module.RATE} for name in ("robult", METHOD)}
    monkeypatch.setattr(module, "SEARCH_SPACE", space)
    monkeypatch.setattr(module, "DESIGN_POINTS", 2)
    monkeypatch.setattr(module, "AROUND_POINTS", 2)
    monkeypatch.setattr(module, "FOLD_POINTS", 1)
    monkeypatch.setattr(module, "STEP_FACTORS", (1, 2))
    monkeypatch.setattr(module, "MAP_POINTS", MAP_POINTS[:2])
    monkeypatch.setattr(module, "FUSE_LATE", ("robult",))
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
    files = (SCORES, FOLD_SCORES, STEP_SCORES, MAPS, FUSION_SCORES)
    committed = [path.read_bytes() for path in files]
    said = search(tmp_path)
    for path in files:
        table = load_results(tmp_path / "scores" / path.name)
        assert f"{len(table)} scores in {tmp_path / 'scores' / path.name}" in said
        assert list(table.columns) == list(load_results(path).columns)
    scores = load_results(tmp_path / "scores" / SCORES.name)
    assert scores["score"].between(0, 1).all()
    assert {"design", "around"} <= set(scores["stage"])
    records = list(Store(tmp_path / "store").records())
    assert {record.config["rows"] for record in records} == {
        "validation",
        "fold 0",
        "fold 1",
        "fold 2",
    }
    monkeypatch.setattr(workers, "execute", None)  # everything is there
    (tmp_path / "scores" / SCORES.name).unlink()
    search(tmp_path)
    pd.testing.assert_frame_equal(load_results(tmp_path / "scores" / SCORES.name), scores)
    assert [path.read_bytes() for path in files] == committed


def test_a_search_of_which_runs_fail_writes_no_scores(short_search, tmp_path, monkeypatch):
    real = workers.execute

    def failing(config, data):
        if config.method == METHOD:
            raise MemoryError("no room")
        return real(config, data)

    monkeypatch.setattr(workers, "execute", failing)
    words = ["search", "--data-sets", "digits", "--n-seeds", "1", "--jobs", "1"]
    result = CliRunner().invoke(main, [*words, "--output", str(tmp_path / "scores")])
    assert result.exit_code == 1
    assert "no scores were written, because runs failed" in result.output
    assert not (tmp_path / "scores").exists()


def test_settings_of_the_training_are_known_as_such():
    assert {name for space in SEARCH_SPACE.values() for name in space} & set(TRAINING) == set(
        TRAINING
    )
