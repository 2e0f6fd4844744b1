"""A modality that holds next to nothing about the task, and what the alignment makes of it."""

from __future__ import annotations

import pandas as pd

from robult_core.datasets import MultimodalData
from robult_study.results.intervals import paired, summarize
from robult_study.results.layout import interval_table, laid_out, listed
from robult_study.results.metrics import oriented
from robult_study.results.overview import largest_class_share
from robult_study.results.tables import COLUMNS
from robult_study.results.variants import NO_ALIGNMENT, NO_PSEUDO_LABELS

METRICS = ("accuracy", "mae", "corr")
CELL = ["pattern", "metric"]
AFTER_HOLM = "after Holm"
PAIRS = (
    ("robult", "unimodal"),
    (NO_ALIGNMENT.name, "unimodal"),
    ("robult", NO_ALIGNMENT.name),
    ("robult", NO_PSEUDO_LABELS.name),
)
SHOWN = ("linear", "unimodal", "robult", NO_ALIGNMENT.name)


def noise_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of `plans.noise` with the run's tag as method, errors negated."""
    rows = results.assign(method=results["tag"])
    return oriented(rows[(rows["variant"] == "") & rows["metric"].isin(METRICS)])


def noise_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval of the controls, Robult and its variants, as text; rows: `noise_rows`."""
    summary = summarize(rows, [*CELL, "method"])
    order = sorted(rows["method"].unique())
    return interval_table(summary, CELL, "method", order)


def noise_differences(rows: pd.DataFrame) -> pd.DataFrame:
    """The differences of `PAIRS`, as `paired` gives them; rows: `noise_rows`."""
    tables = []
    for first, second in PAIRS:
        table = paired(rows, first, second, by=CELL)
        tables.append(table.assign(comparison=_comparison(first, second)))
    columns = ["comparison", *CELL, "difference", "low", "high", "verdict", "holm"]
    return pd.concat(tables)[columns].rename(columns={"holm": AFTER_HOLM})


def _comparison(first: str, second: str) -> str:
    return f"{COLUMNS.get(first, first)} minus {COLUMNS.get(second, second)}"


def best_constant(data: MultimodalData) -> float:
    """The accuracy on test rows of the best guess that never changes.

    For scores that is the more frequent sign; rows with a score of 0 do not count.
    """
    if data.task.kind != "regression":
        return largest_class_share(data)
    targets = data.targets[data.rows("test")]
    positive = (targets[targets != 0] > 0).float().mean().item()
    return max(positive, 1 - positive)


def noise_sentences(rows: pd.DataFrame) -> list[str]:
    """What the alignment changes: accuracies by pattern, and what Holm's correction leaves.

    rows: `noise_rows`; errors are negated.
    """
    accuracy = rows[rows["metric"] == "accuracy"]
    means = accuracy.groupby(["pattern", "method"], sort=False)["value"].mean().reset_index()
    table = laid_out(means, ["pattern"], "method", "value")
    sentences = []
    for pattern, row in table.iterrows():
        numbers = ", ".join(f"{name} {row[name]:.3f}" for name in SHOWN)
        change = row["robult"] - row[NO_ALIGNMENT.name]
        sentences.append(f"{pattern}: {numbers}; the alignment changes Robult by {change:+.3f}")
    changes = noise_differences(rows)
    changes = changes[changes["comparison"] == _comparison("robult", NO_ALIGNMENT.name)]
    decided = listed(
        f"{row.pattern} {row.metric} {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
        for row in changes[changes[AFTER_HOLM] != "undecided"].itertuples()
    )
    sentences.append(f"What the alignment clearly changes, after Holm's correction: {decided}.")
    return sentences
