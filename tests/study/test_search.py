"""The hyper-parameter search: 12 points per method, committed scores, and defaults that are the winners."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from robult_core.methods import METHODS
from robult_study.runs.search import (
    MAP_POINTS,
    MAPS,
    grid_points,
    load_results,
    run_maps,
    search_configs,
    winners,
)
from robult_study.runs.search_space import SEARCH_SPACE
from robult_study.runs.store import Store


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_has_twelve_points_and_all_of_them_were_scored(method):
    points = [json.dumps(point) for point in grid_points(method)]
    assert len(points) == len(set(points)) == 12
    found = load_results().query("method == @method")
    assert set(found["point"]) == set(points)
    assert found.groupby("point")["data_set"].nunique().nunique() == 1


@pytest.mark.parametrize("method", list(METHODS))
def test_the_defaults_are_the_winners(method):
    best = json.loads(winners(load_results()).query("method == @method").iloc[0]["point"])
    kind, config = METHODS[method]
    defaults = {"learning_rate": kind.learning_rate} | {
        name: getattr(config(), name) for name in best if name != "learning_rate"
    }
    assert best == pytest.approx({name: defaults[name] for name in best})


def test_the_search_never_sees_test_rows_and_as_many_labels_as_the_study():
    configs = search_configs(("digits",), (0,), steps=10)
    assert len(configs) == 12 * len(SEARCH_SPACE)
    assert {config.rows for config in configs} == {"validation"}
    assert {round(config.label_fraction * 0.7, 6) for config in configs} == {0.05}


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
    """Every point scored on every set and seed; linear maps with L_rec are within 0.3 of the best mean rank of the eight."""
    scores = load_results(MAPS)
    assert set(scores["point"]) == {json.dumps(point) for point in MAP_POINTS}
    assert (
        scores.groupby("point")["score"].agg(["size", "count"]).to_numpy().tolist()
        == [[15, 15]] * 8
    )
    rank = winners(scores).set_index("point")["mean_rank"]
    assert rank[json.dumps(MAP_POINTS[0])] < rank.min() + 0.3
    assert METHODS["robult"][1]().bottleneck is MAP_POINTS[0]["bottleneck"]


def test_the_maps_are_scored_on_validation_rows(tmp_path):
    store = Store(tmp_path)
    scores = run_maps(("digits",), (0,), store, steps=2)
    assert len(scores) == 8
    assert {record.config["rows"] for record in store.records()} == {"validation"}
    assert scores["score"].between(0, 1).all()
