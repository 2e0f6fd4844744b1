"""Robult against its unimodal control, over training and patterns: the end of notebook 03."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from robult_study.results.availability import modalities_present
from robult_study.results.intervals import count_verdicts, summarize, with_interval
from robult_study.results.layout import listed, star_table
from robult_study.results.metrics import only_first, oriented
from robult_study.results.tables import BLOCK, COLUMNS, paper_table, wide
from robult_study.runs.store import Record

POINTS = 15  # of a training curve; each averages the batches of its part of the training


def training_curves(records: Iterable[Record], steps: int) -> pd.DataFrame:
    """The loss terms along the training, mean over seeds with their interval."""
    tables = []
    for record in records:
        place = {"data_set": record.config["data_set"], "seed": record.config["seed"]}
        tables.append(record.curves().assign(**place))
    curves = pd.concat(tables, ignore_index=True)
    curves = curves[curves["term"] != "total"]
    width = steps / POINTS
    step = (np.ceil(curves["step"] / width) * width).round().astype(int)
    by = ["data_set", "term", "step", "seed"]
    means = curves.assign(step=step).groupby(by, sort=False)["value"].mean().reset_index()
    return summarize(means, by[:3])


def losses_title(curves: pd.DataFrame) -> str:
    """How far L_rec and the contrastive losses fall on the sets; curves: `training_curves`."""
    ends = curves.groupby(["term", "data_set"], sort=False)["mean"].agg(["first", "last"])
    left = ends["last"] / ends["first"]
    contrast = pd.concat([left["labeled_contrastive"], left["unlabeled_contrastive"]])
    return (
        f"L_rec falls to {left['reconstruction'].max():.0%} of its first value or less, the "
        f"contrastive losses to {contrast.min():.0%} to {contrast.max():.0%}"
    )


def fall_sentence(curves: pd.DataFrame) -> str:
    """The supervised loss of the single modalities at both ends; curves: `training_curves`."""
    rows = curves[curves["term"] == "supervised_unimodal"]
    rows = rows.assign(text=with_interval(rows["mean"], rows["half"], digits=2))
    ends = rows.groupby("data_set", sort=False)["text"].agg(["first", "last"])
    words = listed(f"{row.Index} {row.first} -> {row.last}" for row in ends.itertuples())
    return f"Supervised loss of single modalities, first and last point: {words}."


def by_number_present(results: pd.DataFrame) -> pd.DataFrame:
    """The first metric by the number of modalities present, over all subsets of a size."""
    rows = only_first(results[results["variant"] == ""])
    rows = rows.assign(**{"modalities present": modalities_present(rows)})
    by = ["data_set", "metric", "method", "modalities present"]
    means = rows.groupby([*by, "seed"], sort=False)["value"].mean().reset_index()
    return summarize(means, by)


def number_title(every: pd.DataFrame) -> str:
    """On how many sets Robult is ahead of Unimodal, with one and with all modalities.

    every: `by_number_present`; Robult is ahead where its mean is better.
    """
    signed = oriented(every.rename(columns={"mean": "value"}))
    wide = signed.pivot(
        index=["data_set", "modalities present"], columns="method", values="value"
    ).reset_index("modalities present")
    ahead = wide["robult"] > wide["unimodal"]
    count = wide["modalities present"]
    most = count.groupby(level="data_set").transform("max")
    return (
        f"The mean of Robult is above that of Unimodal on {ahead[count == 1].sum()} of "
        f"{wide.index.nunique()} sets with one modality, on {ahead[count == most].sum()} with all"
    )


def differences_table(differences: pd.DataFrame) -> pd.DataFrame:
    """`tables.differences` as text, a column per rival; a star where the interval leaves out 0."""
    names = "against " + differences["against"].map(COLUMNS)
    return star_table(differences.assign(against=names), BLOCK, "against")


def verdict_title(differences: pd.DataFrame) -> str:
    """In how many columns of `plots.method_comparison` Robult is clearly better and worse.

    differences: `tables.differences`, of which the control and the first metrics count; clearly:
    the paired interval leaves out 0.
    """
    rows = only_first(differences[differences["against"] == "unimodal"])
    counts = rows["verdict"].value_counts()
    return (
        f"Robult is clearly better than Unimodal in {counts.get('better', 0)} of {len(rows)} "
        f"columns and clearly worse in {counts.get('worse', 0)}"
    )


def verdict_lines(differences: pd.DataFrame) -> list[str]:
    """Per rival: in how many rows Robult is ahead in the mean, and the counts of verdicts."""
    counts = count_verdicts(differences, ["against"])
    lines = []
    for name, rows in differences.groupby("against", sort=False):
        ahead = int((rows["difference"] > 0).sum())
        count = counts.loc[name]
        lines.append(
            f"Against {COLUMNS[name]}: ahead in the mean in {ahead} of {len(rows)} rows; "
            f"better {count['better']}, undecided {count['undecided']}, worse {count['worse']}."
        )
    return lines


def printed_sentence() -> str:
    """How often the paper's Robult is ahead of its Unimodal, in its own tables."""
    printed = wide(oriented(pd.concat([paper_table(1), paper_table(2)])))
    ahead = int((printed["robult"] > printed["unimodal"]).sum())
    return (
        f"The paper (Tables 1 and 2, its own data, no spread printed): Robult is ahead of Unimodal "
        f"in {ahead} of {len(printed)} rows."
    )
