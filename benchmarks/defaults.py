"""Do the estimators' defaults hold against linear models? `python -m benchmarks.defaults OUT.csv`.

Every data set of the study that anyone can have, at 5, 20 and 100 % labels; with all labels three
small tables of scikit-learn and two wide ones, made here, each cut into two groups of columns. For
every availability pattern the defaults stand beside a logistic (ridge) regression on the same
labelled rows and the same modalities. Numbers come from validation rows, cut from the training part
by each seed; `--test` takes the test rows instead, once, when nothing is chosen any more. Rows go
to OUT.csv as they come, and a second call goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification

from robult_core import datasets
from robult_core.checks import Pattern
from robult_core.datasets.benchmarks import stratified_split
from robult_core.datasets.container import MultimodalData
from robult_core.estimators import MultimodalClassifier, MultimodalRegressor
from robult_core.methods.sanity import sanity_predictions
from robult_core.protocol import (
    label_split,
    paper_patterns,
    pattern_name,
    patterns,
    validation_split,
)
from robult_core.tasks import Classification, higher_is_better
from robult_study.results.intervals import paired

SETS = ("digits", "handwritten", "cub10", "utd_mhad", "mosi")
WIDE = {"n_samples": 430, "n_features": 4000, "n_redundant": 0, "n_classes": 3, "random_state": 0}
SMALL = {  # name -> a function that gives features and labels
    "wine": partial(load_wine, return_X_y=True),
    "iris": partial(load_iris, return_X_y=True),
    "breast_cancer": partial(load_breast_cancer, return_X_y=True),
    # hundreds of rows, thousands of columns, of which few or many tell something
    "wide_20": partial(make_classification, n_informative=20, class_sep=2.0, **WIDE),
    "wide_500": partial(make_classification, n_informative=500, class_sep=4.0, **WIDE),
}
SHARES = (0.05, 0.2, 1.0)
MOST_PATTERNS = 15  # of more (handwritten has 63) only the singles and the full set are measured
FIELDS = ("data_set", "label_fraction", "seed", "pattern", "method", "value")
MARGIN = -0.02


def load(name: str) -> MultimodalData:
    """A data set of the study, or a small table cut into its first and its second columns."""
    if name not in SMALL:
        return datasets.load(name)
    x, y = SMALL[name]()
    halves = dict(zip(("first", "second"), np.array_split(x, 2, axis=1), strict=True))
    task = Classification(int(y.max()) + 1)
    return MultimodalData(name, task, halves, y, stratified_split(y))


def measured(
    data: MultimodalData, share: float, seed: int, **settings: Any
) -> Iterator[dict[str, Any]]:
    """Rows of the first metric, larger is better, of the defaults and of the linear model."""
    labeled = label_split(data, share, seed)
    rows = data.rows("test")
    every = patterns(data.names)
    if len(every) > MOST_PATTERNS:
        every = paper_patterns(data.names)
    ours = _predictions(data, labeled, rows, every, random_state=seed, **settings)
    linear = sanity_predictions("linear", data.standardized(), labeled, rows, every, seed)
    targets = data.targets[rows].numpy()
    sign = 1 if higher_is_better(data.task.primary) else -1
    for method, by_pattern in (("defaults", ours), ("linear", linear)):
        for pattern, scores in by_pattern.items():
            value = sign * data.task.metrics(scores, targets)[data.task.primary]
            key = (data.name, share, seed, pattern_name(pattern), method, value)
            yield dict(zip(FIELDS, key, strict=True))


def _predictions(
    data: MultimodalData,
    labeled: np.ndarray,
    rows: np.ndarray,
    every: list[Pattern],
    **settings: Any,
) -> dict[Pattern, np.ndarray]:
    """Scores of the estimator by pattern, from the raw features."""
    train = data.rows("train")
    X = {name: x[train].numpy() for name, x in data.modalities.items()}
    known = np.isin(train, labeled)
    targets = data.targets[train].numpy()
    if data.task.kind == "regression":
        model = MultimodalRegressor(device="cpu", **settings)
        model.fit(X, np.where(known, targets, np.nan))
    else:
        model = MultimodalClassifier(device="cpu", **settings)
        model.fit(X, np.where(known, targets, -1))
    queries = {name: x[rows].numpy() for name, x in data.modalities.items()}
    answers = {}
    for pattern in every:
        some = {name: queries[name] for name in pattern}
        if data.task.kind == "regression":
            answers[pattern] = model.predict(some)[:, None]
        else:
            answers[pattern] = model.predict_proba(some)
    return answers


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Defaults minus linear by set, share and pattern, paired by seed, with a verdict.

    `holds`: the lower end of the interval lies above -.02 and the mean above 0.
    """
    by = ["data_set", "label_fraction", "pattern"]
    table = paired(rows, "defaults", "linear", by)
    linear = rows[rows["method"] == "linear"].groupby(by)["value"].mean()
    table = table.join(linear.rename("linear"), on=by)
    table["holds"] = (table["low"] > MARGIN) & (table["difference"] > 0)
    columns = [*by, "linear", "difference", "low", "high", "n", "holds"]
    return table[columns].sort_values(by, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="a csv file")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="*", default=[*SMALL, *SETS])
    parser.add_argument("--shares", nargs="*", type=float, default=SHARES)
    parser.add_argument("--test", action="store_true", help="the test rows: when all is settled")
    arguments = parser.parse_args()
    is_new = not arguments.out.exists()
    seen = pd.DataFrame(columns=FIELDS) if is_new else pd.read_csv(arguments.out)
    done = set(zip(seen["data_set"], seen["label_fraction"], seen["seed"], strict=True))
    with open(arguments.out, "a", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS)
        if is_new:
            writer.writeheader()
        for seed in range(arguments.seeds):
            for name in arguments.sets:
                data = load(name)
                if not arguments.test:
                    data = validation_split(data, seed)
                for share in (1.0,) if name in SMALL else arguments.shares:
                    if (name, share, seed) not in done:
                        writer.writerows(measured(data, share, seed))
                        handle.flush()
    print(summary(pd.read_csv(arguments.out)).round(3).to_string())


if __name__ == "__main__":
    main()
