"""The hyper-parameter search: the same first points for every method, one winner each.

A run of the search trains on 70 % of the training part and is scored on the other 30 %; test rows
are not in the data it sees. So the search sees the labels of 30 % of the training rows, many more
than the 5 % of the study. `fold_configs` selects a second time by labelled rows only.

1. `design`: 16 points of a Sobol sequence over the method's settings.
2. `around`: 8 points of another one in a box around the best of these, a step to either side.
3. `beyond`: where the best of all lies on an edge, a step further; it moves there while a step
   gains more than its standard error.

Points are ranked within their method in every block, a data set and a seed; the winner has the best
mean rank. The scores of all points are committed (`SCORES`); `robult search` computes them anew and
notebook 04 shows them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc, sem

from robult_core.datasets import entry
from robult_core.protocol import FOLDS
from robult_core.tasks import higher_is_better
from robult_study.runs.configuration import RunConfig

SCORES = Path(__file__).with_name("search_results.csv")
FOLD_SCORES = Path(__file__).with_name("search_folds.csv")
STEP_SCORES = Path(__file__).with_name("search_steps.csv")
MAPS = Path(__file__).with_name("search_maps.csv")
FUSION_SCORES = Path(__file__).with_name("search_late_fusion.csv")

DATA_SETS = ("digits", "handwritten", "cub10", "utd_mhad", "mosi")
SEEDS = (0, 1, 2)

LABEL_SHARE = 0.05  # of the paper
VALIDATION_SHARE = 0.3


@dataclass(frozen=True)
class Setting:
    """The values that are tried for one setting, from `low` to `high`.

    step: by how much one step moves it; a factor where `logarithmic`, else a difference.
    least, most: values that it cannot leave.
    """

    low: float
    high: float
    step: float
    logarithmic: bool = True
    least: float = 0.0
    most: float = float("inf")

    def between(self, share: float, low: float | None = None, high: float | None = None) -> float:
        """The value at a share of the way from `low` to `high`, with two digits."""
        low = self.low if low is None else low
        high = self.high if high is None else high
        if self.logarithmic:
            return _two_digits(low * (high / low) ** share)
        return _two_digits(low + share * (high - low))

    def moved(self, value: float, steps: int) -> float:
        """The value so many steps up or, where negative, down; within what is possible."""
        moved = value * self.step**steps if self.logarithmic else value + self.step * steps
        return _two_digits(min(max(moved, self.least), self.most))


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


RATE = Setting(3e-4, 1e-2, step=2.0)
DROPOUT = Setting(0.0, 0.7, step=0.15, logarithmic=False, most=0.9)

# The same kinds of settings for all: rate, dropout, and what is most influential of the method's
# own, weights of losses first.
SEARCH_SPACE: dict[str, dict[str, Setting]] = {
    "robult": {
        "learning_rate": RATE,
        "dropout": DROPOUT,
        "temperature": Setting(0.1, 3.0, step=2.0),
        "unlabeled_weight": Setting(0.25, 8.0, step=2.0),
    },
    "unimodal": {
        "learning_rate": RATE,
        "dropout": DROPOUT,
        "weight_decay": Setting(0.005, 5.0, step=4.0),
    },
    "gmc": {
        "learning_rate": RATE,
        "dropout": DROPOUT,
        "temperature": Setting(0.1, 3.0, step=2.0),
        "contrastive_weight": Setting(0.01, 1.0, step=2.0),
    },
    "action_mae": {
        "learning_rate": RATE,
        "dropout": DROPOUT,
        "reconstruction_weight": Setting(0.03, 3.0, step=2.0),
        "label_smoothing": Setting(0.0, 0.3, step=0.1, logarithmic=False, most=0.9),
    },
    "prompt_trans": {
        "learning_rate": RATE,
        "dropout": DROPOUT,
        "stage_one": Setting(0.05, 0.6, step=0.15, logarithmic=False, least=0.02, most=0.95),
        "prompt_scale": Setting(1.0, 30.0, step=2.0),
    },
    "robult_distilled": {
        "learning_rate": RATE,
        "dropout": DROPOUT,
        "unlabeled_weight": Setting(0.25, 8.0, step=2.0),
        "distillation_weight": Setting(0.25, 4.0, step=2.0),
    },
}
TRAINING = ("learning_rate", "weight_decay")  # belong to the training loop, others to the method
DESIGN_POINTS = 16
AROUND_POINTS = 8
SOBOL_SEED = 0

# The second selection, and the number of steps.
FOLD_POINTS = 4  # of each method, its best ones
FOLD_SEEDS = (0,)
STEP_FACTORS = (0.5, 1, 2.5, 5)  # 200 to 2,000 steps where the study takes 400
STEP_DATA_SETS = ("digits", "cub10", "utd_mhad")

FUSE_LATE = ("robult", "unimodal", "robult_distilled")  # the methods of the search that do

# The form of g_i and g_0, tried after the search with its winners; None stands for linear maps.
MAP_POINTS = [
    {"bottleneck": units, "reconstruction_weight": weight}
    for units in (None, 128, 16, 4)
    for weight in (1.0, 0.0)
]

Point = dict[str, float]


# The points ---------------------------------------------------------------------------------------


def design(method: str) -> list[Point]:
    """The first points of a method, which fill the space of its settings."""
    space = SEARCH_SPACE[method]
    points = []
    for shares in _sobol(len(space), DESIGN_POINTS):
        point = {
            name: setting.between(share)
            for (name, setting), share in zip(space.items(), shares, strict=True)
        }
        points.append(point)
    return points


def around(method: str, center: Point) -> list[Point]:
    """Points in a box around another one, a step to either side of it in every setting."""
    space = SEARCH_SPACE[method]
    points = []
    for shares in _sobol(len(space), AROUND_POINTS):
        point = {}
        for (name, setting), share in zip(space.items(), shares, strict=True):
            low, high = setting.moved(center[name], -1), setting.moved(center[name], 1)
            point[name] = setting.between(share, low, high)
        points.append(point)
    return points


def beyond(method: str, point: Point, tried: Iterable[Point]) -> list[Point]:
    """A step further in every direction in which `point` lies on an edge of what was tried.

    It lies on one where no other point is a step away or more. Where a setting cannot go further,
    it has no edge.
    """
    tried = list(tried)
    further = []
    for name, setting in SEARCH_SPACE[method].items():
        values = [other[name] for other in tried]
        for direction in (-1, 1):
            value = setting.moved(point[name], direction)
            is_edge = all((other - value) * direction < 0 for other in values)
            if is_edge and value != point[name]:
                further.append({**point, name: value})
    return further


def _sobol(dimensions: int, count: int) -> np.ndarray:
    """Scrambled Sobol points in the unit cube, the same ones each time."""
    return qmc.Sobol(dimensions, scramble=True, seed=SOBOL_SEED).random(count)


def space_table() -> pd.DataFrame:
    """What was tried for each method: a row per setting, with its first range."""
    rows = []
    for method, space in SEARCH_SPACE.items():
        for name, setting in space.items():
            shown = f"{setting.low:g} to {setting.high:g}"
            scale = "logarithmic" if setting.logarithmic else "linear"
            rows.append({"method": method, "setting": name, "range": shown, "scale": scale})
    return pd.DataFrame(rows)


# The runs -----------------------------------------------------------------------------------------


def config_of(
    method: str, point: Mapping[str, Any], data_set: str, seed: int, steps: int, **fields: Any
) -> RunConfig:
    """A run of the search at one point, tagged with it.

    The share of labels is scaled so that as many are seen as in the study proper.
    """
    defaults = {
        "rows": "validation",
        "label_fraction": LABEL_SHARE / (1 - VALIDATION_SHARE),
        "tag": json.dumps(point),
    }
    return RunConfig(
        data_set,
        method,
        seed,
        hyper={name: value for name, value in point.items() if name not in TRAINING},
        training={"steps": steps} | {name: point[name] for name in point if name in TRAINING},
        **(defaults | fields),
    )


def configs_of(
    points: Mapping[str, Sequence[Point]],
    data_sets: Sequence[str],
    seeds: Iterable[int],
    steps: int,
) -> list[RunConfig]:
    """The runs at the points of each method, in every block."""
    blocks = itertools.product(seeds, data_sets, points)
    return [
        config_of(method, point, data_set, seed, steps)
        for seed, data_set, method in blocks
        for point in points[method]
    ]


def fold_configs(
    best: Mapping[str, Sequence[Point]], data_sets: Sequence[str], steps: int
) -> list[RunConfig]:
    """The best points of each method once more, scored on thirds of the labelled rows."""
    return [
        config_of(
            method,
            point,
            data_set,
            seed,
            steps,
            rows=f"fold {fold}",
            label_fraction=LABEL_SHARE,
        )
        for seed, data_set, method in itertools.product(FOLD_SEEDS, data_sets, best)
        for point in best[method]
        for fold in range(FOLDS)
    ]


def step_configs(
    best: Mapping[str, Point], data_sets: Sequence[str], seeds: Iterable[int], steps: int
) -> list[RunConfig]:
    """The winner of each method, trained for more and for fewer steps than `steps`."""
    chosen = [name for name in data_sets if name in STEP_DATA_SETS] or data_sets
    blocks = itertools.product(seeds, chosen, best, STEP_FACTORS)
    return [
        config_of(method, best[method], data_set, seed, round(steps * factor))
        for seed, data_set, method, factor in blocks
    ]


def map_configs(
    winner: Point, data_sets: Sequence[str], seeds: Iterable[int], steps: int
) -> list[RunConfig]:
    """Robult's winner with linear and with narrow g_i and g_0, with and without L_rec."""
    configs = []
    for data_set, seed, form in itertools.product(data_sets, seeds, MAP_POINTS):
        changed = {name: value for name, value in form.items() if value is not None}
        point = {**winner, **changed}
        configs.append(config_of("robult", point, data_set, seed, steps, tag=json.dumps(form)))
    return configs


def fusion_configs(
    scores: pd.DataFrame, data_sets: Sequence[str], seeds: Iterable[int], steps: int
) -> list[RunConfig]:
    """The winners of the methods that fuse late, whose predictions are fused by every rule."""
    best = {method: [winner(scores, method)] for method in FUSE_LATE}
    return configs_of(best, data_sets, seeds, steps)


# Scores and winners -------------------------------------------------------------------------------


def scored(table: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """The score of every point: rows of method, point, data_set, metric, seed, score.

    The score is the task's first metric, averaged over the single modalities and the full set.
    `table` is what `run_grid` returns for the configurations above; `by` are columns of it that
    are kept too.
    """
    first_metrics = {name: entry(name).task.primary for name in table["data_set"].unique()}
    is_first = table["metric"] == table["data_set"].map(first_metrics)
    rows = table[is_first & (table["variant"] == "")].rename(columns={"tag": "point"})
    columns = ["method", "point", "data_set", "metric", "seed", *by]
    return rows.groupby(columns, sort=False)["value"].mean().rename("score").reset_index()


def ranked(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores with the rank of every point within its method and block; 1 is best."""
    sign = scores["metric"].map(lambda metric: 1 if higher_is_better(metric) else -1)
    signed = scores.assign(signed=sign * scores["score"])
    blocks = signed.groupby(["method", "data_set", "seed"])["signed"]
    return scores.assign(rank=blocks.rank(ascending=False))


def mean_ranks(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean rank of every point within its method over the blocks, best first."""
    means = ranked(scores).groupby(["method", "point"], sort=False)["rank"].mean()
    table = means.rename("mean_rank").reset_index()
    return table.sort_values(["method", "mean_rank"], kind="stable", ignore_index=True)


def winner(scores: pd.DataFrame, method: str) -> Point:
    """The point that a method is used with: the best one that is not on an edge worth leaving."""
    best, _ = _climb(scores, method)
    return best


def next_points(scores: pd.DataFrame, method: str) -> tuple[str, list[Point]]:
    """What is to be tried next for a method, given its scores so far: a stage and its points.

    There are no points where the search is over.
    """
    own = scores[scores["method"] == method]
    if own.empty:
        return "design", design(method)
    if not (own["stage"] == "around").any():
        return "around", around(method, _best_point(own))
    _, untried = _climb(scores, method)
    return "beyond", untried


def _best_point(scores: pd.DataFrame) -> Point:
    """The point of one method with the best mean rank."""
    return json.loads(mean_ranks(scores)["point"].iloc[0])


def _climb(scores: pd.DataFrame, method: str) -> tuple[Point, list[Point]]:
    """The best point after all steps beyond an edge that were worth it, and steps left to try.

    A step is worth it where the mean gain in rank over the blocks exceeds its standard error.
    """
    own = scores[scores["method"] == method]
    within = own[own["stage"] != "beyond"]
    tried = [json.loads(point) for point in within["point"].unique()]
    ranks = ranked(own).pivot(index=["data_set", "seed"], columns="point", values="rank")
    best = _best_point(within)
    while True:
        further = beyond(method, best, tried)
        untried = [point for point in further if json.dumps(point) not in ranks]
        if untried:
            return best, untried
        gains = {json.dumps(point): _gain(ranks, best, point) for point in further}
        worth_it = {name: gain for name, gain in gains.items() if gain > 0}
        if not worth_it:
            return best, []
        best = json.loads(max(worth_it, key=worth_it.__getitem__))
        tried.append(best)


def _gain(ranks: pd.DataFrame, point: Point, other: Point) -> float:
    """By how much the gain in rank from `point` to `other` exceeds its standard error."""
    gains = ranks[json.dumps(point)] - ranks[json.dumps(other)]
    return float(gains.mean() - sem(gains)) if len(gains) > 1 else float(gains.mean())


def best_points(scores: pd.DataFrame, method: str, count: int) -> list[Point]:
    """The winner of a method, and the points with the next best mean ranks."""
    first = winner(scores, method)
    table = mean_ranks(scores[scores["method"] == method])
    others = [json.loads(point) for point in table["point"]]
    return [first, *[point for point in others if point != first]][:count]


def load_results(path: Path = SCORES) -> pd.DataFrame:
    """The committed scores of the search, or of another of its files."""
    return pd.read_csv(path, keep_default_na=False)


# All of it ----------------------------------------------------------------------------------------


def search(
    run: Callable[[list[RunConfig]], pd.DataFrame],
    data_sets: Sequence[str],
    seeds: Sequence[int],
    steps: int,
) -> dict[Path, pd.DataFrame]:
    """All scores by the file they belong in. `run` computes runs, as `run_grid` does."""
    scores = _all_stages(run, data_sets, seeds, steps)
    best = {method: best_points(scores, method, FOLD_POINTS) for method in SEARCH_SPACE}
    first = {method: points[0] for method, points in best.items()}
    folds = fold_configs(best, data_sets, steps)
    lengths = step_configs(first, data_sets, seeds, steps)
    forms = map_configs(first["robult"], data_sets, seeds, steps)
    return {
        SCORES: scores,
        FOLD_SCORES: scored(run(folds), ["rows"]),
        STEP_SCORES: scored(run(lengths), ["training.steps"]),
        MAPS: scored(run(forms)),
    }


def _all_stages(
    run: Callable[[list[RunConfig]], pd.DataFrame],
    data_sets: Sequence[str],
    seeds: Sequence[int],
    steps: int,
) -> pd.DataFrame:
    """The scores of all points, stage by stage."""
    columns = ["stage", "method", "point", "data_set", "metric", "seed", "score"]
    scores = pd.DataFrame(columns=columns)
    while True:
        asked = {method: next_points(scores, method) for method in SEARCH_SPACE}
        points = {method: chosen for method, (_, chosen) in asked.items() if chosen}
        if not points:
            return scores.sort_values("method", kind="stable", ignore_index=True)
        new = scored(run(configs_of(points, data_sets, seeds, steps)))
        stages = {method: stage for method, (stage, _) in asked.items()}
        new.insert(0, "stage", new["method"].map(stages))
        scores = pd.concat([scores, new], ignore_index=True) if len(scores) else new
