"""The hyper-parameter search: 12 grid points per method, one winner per method over all data sets.

Every point trains on 70 % of the training part and is scored on the rest; test rows are not in the data it sees. The winner has the best mean
rank over (data set, seed); grid, all scores and winners are kept in `search_results.csv` beside this file, which notebook 04 shows.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pandas as pd

from robult_core.tasks import higher_is_better
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import run_grid
from robult_study.runs.search_space import SEARCH_SPACE
from robult_study.runs.store import Store

RESULTS = Path(__file__).parent / "search_results.csv"
TRAINING = ("learning_rate",)  # settings of the training loop; the others belong to the method
VALIDATION_SHARE = 0.3
MAPS = RESULTS.with_name(
    "search_maps.csv"
)  # the form of g_i and g_0, tried after the search with its winners
MAP_POINTS = [
    {"bottleneck": units, "reconstruction_weight": weight}
    for units in (None, 128, 16, 4)
    for weight in (1.0, 0.0)
]


def grid_points(method: str) -> list[dict[str, Any]]:
    """The 12 settings tried for a method, each a mapping of names to values."""
    space = SEARCH_SPACE[method]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def search_configs(
    data_sets: tuple[str, ...], seeds: tuple[int, ...], steps: int
) -> list[RunConfig]:
    """All runs of the search; the label share of 5 % is scaled so that as many labels are seen as in the study proper."""
    return [
        RunConfig(
            data_set=data_set,
            method=method,
            seed=seed,
            rows="validation",
            label_fraction=0.05 / (1 - VALIDATION_SHARE),
            hyper={name: value for name, value in point.items() if name not in TRAINING},
            training={
                "steps": steps,
                **{name: value for name, value in point.items() if name in TRAINING},
            },
            tag=json.dumps(point),
        )
        for data_set, seed, method in itertools.product(data_sets, seeds, SEARCH_SPACE)
        for point in grid_points(method)
    ]


def run_search(
    data_sets: tuple[str, ...],
    seeds: tuple[int, ...],
    store: Store,
    steps: int = 400,
    jobs: int = 1,
) -> pd.DataFrame:
    """Run the search; one row per method, point, data set and seed: `score`, the task's primary metric, mean over single and full patterns."""
    return _scores(run_grid(search_configs(data_sets, seeds, steps), store, jobs=jobs))


def run_maps(
    data_sets: tuple[str, ...],
    seeds: tuple[int, ...],
    store: Store,
    steps: int = 400,
    jobs: int = 1,
) -> pd.DataFrame:
    """Robult with linear and narrow g_i and g_0, with and without L_rec, on validation rows; scores as `run_search` gives them.

    5 % of the rows left for training are labelled.
    """
    configs = [
        RunConfig(
            data_set,
            "robult",
            seed,
            hyper={name: value for name, value in point.items() if value is not None},
            training={"steps": steps},
            rows="validation",
            tag=json.dumps(point),
        )
        for data_set, seed, point in itertools.product(data_sets, seeds, MAP_POINTS)
    ]
    return _scores(run_grid(configs, store, jobs=jobs))


def _scores(table: pd.DataFrame) -> pd.DataFrame:
    from robult_core import datasets

    primary = {name: datasets.load(name).task.primary for name in table["data_set"].unique()}
    table = table[(table.variant == "") & (table.metric == table.data_set.map(primary))]
    keys = ["method", "tag", "data_set", "metric", "seed"]
    return (
        table.groupby(keys, sort=False)
        .value.mean()
        .rename("score")
        .reset_index()
        .rename(columns={"tag": "point"})
    )


def winners(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean rank of every point within its method over (data set, seed), best first; the first row of a method is its winner."""
    signed = scores.score.where(scores.metric.map(higher_is_better), -scores.score)
    rank = signed.groupby([scores.method, scores.data_set, scores.seed]).rank(ascending=False)
    means = (
        rank.groupby([scores.method, scores.point], sort=False)
        .mean()
        .rename("mean_rank")
        .reset_index()
    )
    return means.sort_values(["method", "mean_rank"], kind="stable").reset_index(drop=True)


def load_results(path: Path = RESULTS) -> pd.DataFrame:
    """The committed search (or that of the maps, `MAPS`): every score of every point."""
    return pd.read_csv(path)
