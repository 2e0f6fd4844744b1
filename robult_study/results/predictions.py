"""Numbers computed anew from the predictions that runs have stored, without any model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from robult_core.datasets import MultimodalData
from robult_core.protocol import pattern_name, patterns, random_missing
from robult_core.tasks import LATE_FUSION
from robult_study.results.metrics import primary
from robult_study.results.scores import LATE, scores
from robult_study.runs.store import Record

TOLERANCE = 1e-6  # predictions are stored as float32
STORED_RULE = "probabilities"  # the late fusion that runs use themselves


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
    return fused[fused["tag"] != f"late_fusion {STORED_RULE}"]


def stored_agree(fused: pd.DataFrame, scored: pd.DataFrame) -> bool:
    """Whether the stored predictions give back the late fusion that the runs found themselves.

    fused: `fusion_scores`; scored: `scores` of the same runs.
    """
    again = fused[fused["tag"] == f"late_fusion {STORED_RULE}"]
    by = ["data_set", "method", "label_fraction", "seed", "view"]
    both = again.merge(scored[scored["tag"] == "robult"], on=by)
    return bool(np.allclose(both["value_x"], both["value_y"], atol=TOLERANCE))


# Random loss of modalities -----------------------------------------------------------------------


def random_loss(
    record: Record, data: MultimodalData, rates: Iterable[float]
) -> list[dict[str, object]]:
    """The metrics of one run when each modality of each sample is missing at a rate.

    A sample gets the stored score of the modalities that it is left with. The draw depends on the
    run's seed alone, so that all methods lose the same. `lost` is the share really lost.
    """
    subsets = patterns(data.names)
    rows, stored = stored_scores(record, subsets)
    targets = data.targets[rows].numpy()
    measures = []
    for rate in rates:
        present = random_missing(len(rows), len(data.names), rate, record.config["seed"]).numpy()
        chosen = _subset_of(present, data.names, subsets)
        measured = data.task.metrics(stored[chosen, np.arange(len(rows))], targets)
        for metric, value in measured.items():
            row = _row(record, rate=rate, metric=metric, value=value, lost=1 - present.mean())
            measures.append(row)
    return measures


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


def loss_scores(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """The first metric of all rows of `random_loss`, errors negated."""
    return primary(pd.DataFrame(rows)).assign(view="random loss")


def loss_agrees(lost: pd.DataFrame, subsets: pd.DataFrame) -> bool:
    """Whether a rate of 0 gives back the runs' own numbers for all modalities.

    lost: `loss_scores`; subsets: `availability.subsets` of the same runs.
    """
    most = subsets.groupby("data_set")["present"].transform("max")
    own = subsets[subsets["present"] == most].set_index("key")["value"]
    again = lost[lost["rate"] == 0].set_index("key")["value"]
    return bool(np.allclose(again, own[again.index], atol=TOLERANCE))
