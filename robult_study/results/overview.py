"""What the data sets hold and how hard they are: the tables of notebook 02."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from robult_core.datasets import MultimodalData
from robult_core.datasets.container import SPLITS
from robult_core.protocol import label_split, paper_patterns, pattern_name
from robult_study.results.intervals import summarize
from robult_study.results.layout import listed
from robult_study.results.metrics import direction

NOTEWORTHY_SHARE = 0.055  # of labels, where 5 % were asked for

DataSets = Mapping[str, MultimodalData]


def overview(sets: DataSets, fraction: float, seed: int) -> pd.DataFrame:
    """One row per data set: task, modalities, rows, the labels that a run sees, first metric."""
    rows = []
    for name, data in sets.items():
        shapes = [
            f"{modality} ({' x '.join(map(str, shape))})" for modality, shape in data.shapes.items()
        ]
        row = {"data set": name, "task": data.task.kind, "modalities": listed(shapes)}
        row |= {split: len(data.rows(split)) for split in SPLITS}
        row["labels a run sees"] = len(label_split(data, fraction, seed))
        row["judged by"] = data.task.primary
        rows.append(row)
    return pd.DataFrame(rows)


def label_counts(sets: DataSets, fraction: float, seed: int) -> pd.DataFrame:
    """Training rows per class and how many of them show their label.

    The columns are data_set, class, rows and labelled. In multilabel data a class is a label, and
    rows are those that have it; a score counts as its rounded value.
    """
    tables = []
    for name, data in sets.items():
        known = label_split(data, fraction, seed)
        rows = _class_counts(data, data.rows("train"))
        labeled = _class_counts(data, known).reindex(rows.index, fill_value=0)
        table = pd.DataFrame({"rows": rows, "labelled": labeled}).rename_axis("class").reset_index()
        table.insert(0, "data_set", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _class_counts(data: MultimodalData, rows: np.ndarray) -> pd.Series:
    targets = data.targets[rows]
    if data.task.kind == "multilabel":
        return pd.Series(targets.sum(0).numpy())
    classes = data.task.label_classes(targets).numpy()
    return pd.Series(classes).value_counts().sort_index()


def label_sentences(counts: pd.DataFrame) -> list[str]:
    """The fewest labels of a class, and the sets that see more than asked for."""
    groups = counts.groupby("data_set", sort=False)
    fewest = groups["labelled"].min()
    share = groups["labelled"].sum() / groups["rows"].sum()
    above = share[share > NOTEWORTHY_SHARE]
    fewest_words = [f"{name} {count}" for name, count in fewest.items()]
    above_words = [f"{name} ({value:.1%})" for name, value in above.items()]
    return [
        f"Fewest labels of a class: {listed(fewest_words)}.",
        f"Sets whose share lies above 5.5 % because of the minimum of two: {listed(above_words)}.",
    ]


def totals_sentence(counts: pd.DataFrame) -> str:
    """How many training rows of each set show their label; counts: `label_counts`."""
    totals = counts.groupby("data_set", sort=False)[["labelled", "rows"]].sum()
    return "Labels seen: " + listed(
        f"{name} {total.labelled} of {total.rows}" for name, total in totals.iterrows()
    )


def draw_sentences(data: MultimodalData, fraction: float, seed: int) -> list[str]:
    """Whether a seed draws the same labelled rows again, and how many another seed shares."""
    first = label_split(data, fraction, seed)
    again = label_split(data, fraction, seed)
    other = label_split(data, fraction, seed + 1)
    shared = len(np.intersect1d(first, other))
    by_chance = len(first) ** 2 / len(data.rows("train"))
    return [
        f"The same seed draws the same rows: {np.array_equal(first, again)}.",
        f"The next seed shares {shared} of {len(first)} rows with it, "
        f"chance would give {by_chance:.0f}.",
    ]


def transcripts(data: MultimodalData, rows: np.ndarray) -> pd.DataFrame:
    """What was said, the score and its class, for a person to read; nothing that is published."""
    scores = data.targets[rows]
    texts = [data.display["transcript"][row] for row in rows]
    classes = data.task.label_classes(scores).numpy()
    columns = {"transcript": texts, "score": scores.numpy(), "class": classes}
    return pd.DataFrame(columns, index=rows)


# How hard it is ----------------------------------------------------------------------------------


def constant_guess(data: MultimodalData) -> float:
    """The first metric of the best guess that never changes; NaN where it has no meaning."""
    if data.task.primary == "mae":
        test = data.targets[data.rows("test")]
        median = data.targets[data.rows("train")].median()
        return (test - median).abs().mean().item()
    if data.task.primary == "accuracy":
        return largest_class_share(data)
    return np.nan


def largest_class_share(data: MultimodalData) -> float:
    """The share of the most frequent class among the test rows of a classification."""
    targets = data.targets[data.rows("test")]
    return targets.bincount().max().item() / len(targets)


def yardstick(results: pd.DataFrame, sets: DataSets) -> pd.DataFrame:
    """The linear row from each modality and from all, with intervals, beside a constant guess."""
    tables = []
    for name, data in sets.items():
        shown = [pattern_name(pattern) for pattern in paper_patterns(data.names)]
        chosen = results[results["data_set"] == name]
        chosen = chosen[(chosen["metric"] == data.task.primary) & chosen["pattern"].isin(shown)]
        tables.append(chosen)
    table = summarize(pd.concat(tables), ["data_set", "metric", "pattern"])
    guesses = {name: constant_guess(data) for name, data in sets.items()}
    table["constant guess"] = table["data_set"].map(guesses)
    return table[["data_set", "metric", "pattern", "mean", "half", "n", "constant guess"]]


def weak_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `yardstick` whose interval does not lie above the constant guess.

    A row without a guess, as for several labels a sample, is not among them.
    """
    known = table.dropna(subset="constant guess")
    gain = (known["mean"] - known["constant guess"]) * known["metric"].map(direction)
    return known[~(gain > known["half"])]


def weak_sentence(table: pd.DataFrame) -> str:
    """The rows of `yardstick` that are not shown to beat the constant guess, in words."""
    weak = weak_rows(table)
    names = listed(weak["data_set"] + " " + weak["pattern"])
    return f"Rows not shown to beat the constant guess: {names}."
