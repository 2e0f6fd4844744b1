"""The hyper-parameter search: 12 grid points per method, one winner per method over all data sets.

Every point trains on 70 % of the training part and is scored on the other 30 %; test rows are not
in the data it sees. The winner has the best mean rank over (data set, seed). The scores of all
points are committed (`SCORES`); `robult search` computes them anew and notebook 04 shows them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from robult_core.datasets import entry
from robult_core.tasks import higher_is_better
from robult_study.runs.configuration import RunConfig

SCORES = Path(__file__).with_name("search_results.csv")
MAPS = Path(__file__).with_name("search_maps.csv")

DATA_SETS = ("digits", "handwritten", "cub10", "utd_mhad", "mosi")
SEEDS = (0,)
MAP_SEEDS = (0, 1, 2)

# The most influential settings of each method. Rates are spread around the common 1e-3.
SEARCH_SPACE: dict[str, dict[str, list[float]]] = {
    "robult": {
        "learning_rate": [1e-3, 3e-3],
        "temperature": [0.3, 0.5, 1.0],
        "unlabeled_weight": [1.0, 2.0],
    },
    "unimodal": {
        "learning_rate": [3e-4, 1e-3, 3e-3],
        "dropout": [0.0, 0.3, 0.5, 0.7],
    },
    "gmc": {
        "learning_rate": [1e-3, 3e-3],
        "temperature": [0.3, 1.0, 3.0],
        "contrastive_weight": [0.1, 1.0],
    },
    "action_mae": {
        "learning_rate": [1e-3, 3e-3],
        "reconstruction_weight": [0.1, 0.3, 1.0],
        "dropout": [0.3, 0.6],
    },
    "prompt_trans": {
        "learning_rate": [1e-3, 3e-3],
        "stage_one": [0.15, 0.3, 0.5],
        "dropout": [0.0, 0.3],
    },
}
TRAINING = ("learning_rate",)  # belongs to the training loop, the others to the method

# The form of g_i and g_0, tried after the search with its winners; None stands for linear maps.
MAP_POINTS = [
    {"bottleneck": units, "reconstruction_weight": weight}
    for units in (None, 128, 16, 4)
    for weight in (1.0, 0.0)
]

LABEL_SHARE = 0.05  # of the paper
VALIDATION_SHARE = 0.3


def grid_points(method: str) -> list[dict[str, Any]]:
    """The 12 settings tried for a method, each a mapping of names to values."""
    space = SEARCH_SPACE[method]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def space_table() -> pd.DataFrame:
    """What was tried for each method: a row per setting, with its values as text."""
    rows = []
    for method, space in SEARCH_SPACE.items():
        for setting, values in space.items():
            shown = ", ".join(map(str, values))
            rows.append({"method": method, "setting": setting, "values": shown})
    return pd.DataFrame(rows)


def search_configs(data_sets: Sequence[str], seeds: Iterable[int], steps: int) -> list[RunConfig]:
    """All runs of the search.

    The share of labels is scaled so that as many are seen as in the study proper.
    """
    configs = []
    for data_set, seed, method in itertools.product(data_sets, seeds, SEARCH_SPACE):
        for point in grid_points(method):
            rates = {name: point[name] for name in point if name in TRAINING}
            config = RunConfig(
                data_set,
                method,
                seed,
                label_fraction=LABEL_SHARE / (1 - VALIDATION_SHARE),
                hyper={name: point[name] for name in point if name not in TRAINING},
                training={"steps": steps, **rates},
                rows="validation",
                tag=json.dumps(point),
            )
            configs.append(config)
    return configs


def map_configs(data_sets: Sequence[str], seeds: Iterable[int], steps: int) -> list[RunConfig]:
    """Robult with linear and with narrow g_i and g_0, with and without L_rec.

    The share of labels is that of the rows left for training.
    """
    configs = []
    for data_set, seed, point in itertools.product(data_sets, seeds, MAP_POINTS):
        config = RunConfig(
            data_set,
            "robult",
            seed,
            label_fraction=LABEL_SHARE,
            hyper={name: value for name, value in point.items() if value is not None},
            training={"steps": steps},
            rows="validation",
            tag=json.dumps(point),
        )
        configs.append(config)
    return configs


def scored(table: pd.DataFrame) -> pd.DataFrame:
    """The score of every point: rows of method, point, data_set, metric, seed, score.

    The score is the task's first metric, averaged over the single modalities and the full set.
    `table` is what `run_grid` returns for the configurations above.
    """
    first_metrics = {name: entry(name).task.primary for name in table["data_set"].unique()}
    is_first = table["metric"] == table["data_set"].map(first_metrics)
    rows = table[is_first & (table["variant"] == "")].rename(columns={"tag": "point"})
    columns = ["method", "point", "data_set", "metric", "seed"]
    return rows.groupby(columns, sort=False)["value"].mean().rename("score").reset_index()


def winners(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean rank of every point within its method over (data set, seed), best first.

    The first row of a method is its winner.
    """
    sign = scores["metric"].map(lambda metric: 1 if higher_is_better(metric) else -1)
    ranked = scores.assign(signed=sign * scores["score"])
    groups = ranked.groupby(["method", "data_set", "seed"])
    ranked["rank"] = groups["signed"].rank(ascending=False)
    means = ranked.groupby(["method", "point"], sort=False)["rank"].mean()
    table = means.rename("mean_rank").reset_index()
    return table.sort_values(["method", "mean_rank"], kind="stable", ignore_index=True)


def load_results(path: Path = SCORES) -> pd.DataFrame:
    """The committed scores of the search, or of the maps (`MAPS`)."""
    return pd.read_csv(path)


def plan(data_sets: Sequence[str], n_seeds: int | None, steps: int) -> dict[Path, list[RunConfig]]:
    """The runs behind each file of scores; `n_seeds` in place of the search's own seeds."""
    seeds = SEEDS if n_seeds is None else range(n_seeds)
    map_seeds = MAP_SEEDS if n_seeds is None else range(n_seeds)
    return {
        SCORES: search_configs(data_sets, seeds, steps),
        MAPS: map_configs(data_sets, map_seeds, steps),
    }
