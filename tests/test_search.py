"""The hyper-parameter search: 12 points per method, committed scores, and defaults that are the winners."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from robult_core.methods import METHODS
from robult_core.methods.search import SEARCH_SPACE
from robult_core.search import grid_points, load_results, search_configs, winners


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
        [("a", "p", "x", "accuracy", 0, 0.9), ("a", "q", "x", "accuracy", 0, 0.8), ("a", "p", "y", "mae", 0, 1.0), ("a", "q", "y", "mae", 0, 2.0)],
        columns=["method", "point", "data_set", "metric", "seed", "score"],
    )  # fmt: skip
    table = winners(scores)
    assert table["point"].tolist() == ["p", "q"]
    assert table["mean_rank"].tolist() == [1.0, 2.0]
