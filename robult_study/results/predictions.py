"""Numbers computed anew from the predictions that runs have stored, without any model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from robult_core.datasets import MultimodalData
from robult_core.protocol import (
    missing_by_label,
    missing_by_value,
    pattern_name,
    patterns,
    random_missing,
)
from robult_core.tasks import FUSION_RULE, LATE_FUSION
from robult_study.results.metrics import primary
from robult_study.results.scores import LATE, scores
from robult_study.runs.store import Record

TOLERANCE = 1e-6  # predictions are stored as float32
LOST_RATE = 0.5  # at which the mechanisms of loss are compared


def stored_scores(
    record: Record, wanted: Sequence[tuple[str, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """The predictions of a record for some patterns.

    Returns the rows of the data set that have every pattern of `wanted`, `(n,)`, and their scores,
    `(patterns, n, C)`.
    """
    stored = record.predictions().set_index(["pattern", "row"])
    tables = [stored.loc[pattern_name(pattern)] for pattern in wanted]
    common = tables[0].index
    for table in tables[1:]:
        common = common.intersection(table.index)
    common = common.sort_values()
    stacked = np.stack([table.loc[common].to_numpy(float) for table in tables])
    return np.array(common), stacked


def _row(record: Record, **columns: object) -> dict[str, object]:
    names = ("data_set", "method", "label_fraction", "seed")
    return {"key": record.key, **{name: record.config[name] for name in names}, **columns}


# Late fusion by other rules ----------------------------------------------------------------------


def fusion_rules(record: Record, data: MultimodalData) -> list[dict[str, object]]:
    """The metrics of one run when the single modalities are fused by each rule of `LATE_FUSION`.

    The rows are like those of `run_grid`, with "late_fusion RULE" as tag.
    """
    rows, single = stored_scores(record, [(name,) for name in data.names])
    targets = data.targets[rows].numpy()
    measures = []
    for rule in LATE_FUSION:
        fused = data.task.late_fusion(torch.from_numpy(single), rule).numpy()
        for metric, value in data.task.metrics(fused, targets).items():
            row = _row(record, tag=f"late_fusion {rule}", variant="late_fusion")
            measures.append(
                {**row, "pattern": pattern_name(data.names), "metric": metric, "value": value}
            )
    return measures


def fusion_scores(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """`scores` of all rows of `fusion_rules`; only the view of late fusion is there."""
    table = scores(pd.DataFrame(rows))
    return table[table["view"] == LATE]


def other_rules(fused: pd.DataFrame) -> pd.DataFrame:
    """The scores of the rules that runs do not use themselves; fused: `fusion_scores`."""
    return fused[fused["tag"] != f"late_fusion {FUSION_RULE}"]


def agreement_sentence(fused: pd.DataFrame, scored: pd.DataFrame) -> str:
    """In how many runs the stored predictions give back the late fusion that the run found itself.

    Where two classes tie, rounding may decide otherwise. fused: `fusion_scores`; scored: `scores`
    of the same runs.
    """
    again = fused[fused["tag"] == f"late_fusion {FUSION_RULE}"]
    by = ["data_set", "method", "label_fraction", "seed", "view"]
    both = again.merge(scored[scored["tag"] == "robult"], on=by)
    apart = (both["value_x"] - both["value_y"]).abs()
    return (
        f"stored predictions give back the late fusion in {(apart < TOLERANCE).sum()} of "
        f"{len(both)} runs; the largest difference is {apart.max():.3f}"
    )


# Random loss of modalities -----------------------------------------------------------------------


def random_loss(
    record: Record, data: MultimodalData, rates: Iterable[float]
) -> list[dict[str, object]]:
    """The metrics of one run when each modality of each sample is missing at a rate.

    A sample gets the stored score of the modalities that it is left with. The draw depends on the
    run's seed alone, so that all methods lose the same. `lost` is the share really lost.
    """
    rows, stored = stored_scores(record, patterns(data.names))
    measures = []
    for rate in rates:
        present = random_missing(len(rows), len(data.names), rate, record.config["seed"]).numpy()
        for row in _measured(record, data, rows, stored, present):
            measures.append({**row, "rate": rate})
    return measures


def _measured(
    record: Record, data: MultimodalData, rows: np.ndarray, stored: np.ndarray, present: np.ndarray
) -> list[dict[str, object]]:
    """The metrics of one run when the sample `rows[j]` has the modalities of `present[:, j]`.

    stored: the scores of every subset, `(patterns, n, C)`. `lost` is the share that is missing.
    """
    chosen = _subset_of(present, data.names, patterns(data.names))
    scores = stored[chosen, np.arange(len(rows))]
    measured = data.task.metrics(scores, data.targets[rows].numpy())
    lost = 1 - present.mean()
    return [
        _row(record, metric=metric, value=value, lost=lost) for metric, value in measured.items()
    ]


def _subset_of(
    present: np.ndarray, names: Sequence[str], subsets: Sequence[tuple[str, ...]]
) -> np.ndarray:
    """The place in `subsets` of what each sample has; present `(M, n)`."""
    places = {subset: place for place, subset in enumerate(subsets)}
    chosen = []
    for column in present.T:
        subset = tuple(name for name, there in zip(names, column, strict=True) if there)
        chosen.append(places[subset])
    return np.array(chosen)


def mechanisms_of_loss(record: Record, data: MultimodalData) -> list[dict[str, object]]:
    """The metrics of one run when modalities of its test samples are lost by different mechanisms.

    data: standardised, since "by value" compares the sizes of the features. The rows have a column
    `mechanism`, such as "by label".
    """
    rows, stored = stored_scores(record, patterns(data.names))
    seed = record.config["seed"]
    count = len(data.names)
    classes = data.task.label_classes(data.targets[rows]).numpy()
    features = [data.modalities[name][rows].flatten(1) for name in data.names]
    size = np.stack([x.square().mean(dim=1).numpy() for x in features])
    masks = {
        "at random": random_missing(len(rows), count, LOST_RATE, seed),
        "by label": missing_by_label(classes, count, LOST_RATE, seed),
        "by value": missing_by_value(size, LOST_RATE),
        "one modality each": random_missing(len(rows), count, 1.0, seed),
        "one modality a class": missing_by_label(classes, count, 1.0, seed),
    }
    measures = []
    for mechanism, present in masks.items():
        for row in _measured(record, data, rows, stored, present.numpy()):
            measures.append({**row, "mechanism": mechanism})
    return measures


def loss_scores(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """The first metric of all rows of `random_loss` or `mechanisms_of_loss`, errors negated."""
    return primary(pd.DataFrame(rows)).assign(view="random loss")


def loss_agrees(lost: pd.DataFrame, subsets: pd.DataFrame) -> bool:
    """Whether a rate of 0 gives back the runs' own numbers for all modalities.

    lost: `loss_scores`; subsets: `availability.subsets` of the same runs.
    """
    most = subsets.groupby("data_set")["present"].transform("max")
    own = subsets[subsets["present"] == most].set_index("key")["value"]
    again = lost[lost["rate"] == 0].set_index("key")["value"]
    return bool(np.allclose(again, own[again.index], atol=TOLERANCE))
