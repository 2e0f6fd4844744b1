"""What training on incomplete samples costs, by remedy: the last section of notebook 07."""

from __future__ import annotations

import pandas as pd

from robult_study.results.intervals import changes, summarize
from robult_study.results.metrics import axis_labels
from robult_study.results.scores import LATE, scores
from robult_study.runs.missing import MASKED

CURVE = ["data_set", "view"]


def remedy_scores(results: pd.DataFrame) -> pd.DataFrame:
    """`scores` by remedy and by the rate of missing modalities in %, in the column `missing`."""
    rates = results.get("missing_in_training", pd.Series(0.0, results.index)).fillna(0.0)
    parts = [scores(part).assign(missing=100 * rate) for rate, part in results.groupby(rates)]
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["view"] != LATE].rename(columns={"tag": "remedy"})


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval by data set, view, remedy and rate, with the metric.

    rows: `remedy_scores`.
    """
    means = summarize(rows, [*CURVE, "remedy", "missing"])
    return means.assign(metric=means["data_set"].map(axis_labels(rows)))


def most_often_best(curve: pd.DataFrame) -> tuple[str, int, int]:
    """The remedy with the best mean at most points, at how many, and of how many.

    curve: `curves`. Points where nothing is missing are left out.
    """
    lossy = curve[curve["missing"] > 0]
    means = lossy.pivot(index=[*CURVE, "missing"], columns="remedy", values="mean")
    best = means.idxmax(axis=1).value_counts()
    return str(best.index[0]), int(best.iloc[0]), len(means)


def against_masked(rows: pd.DataFrame) -> pd.DataFrame:
    """Every other remedy minus the masked training, paired by seed, where something is missing."""
    lossy = rows[rows["missing"] > 0]
    differences = changes(lossy, MASKED, [*CURVE, "missing"], "remedy")
    return differences.sort_values([*CURVE, "missing"], kind="stable", ignore_index=True)


def sentences(differences: pd.DataFrame) -> list[str]:
    """On how many points each remedy is clearly better or worse than masked training."""
    lines = []
    for remedy, rows in differences.groupby("remedy", sort=False):
        better = int((rows["verdict"] == "better").sum())
        worse = int((rows["verdict"] == "worse").sum())
        lines.append(
            f"{remedy} against masked: of {len(rows)} points clearly better in {better}, "
            f"clearly worse in {worse}"
        )
    return lines
