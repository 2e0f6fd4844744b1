"""How methods compare along a dial, such as the share of labels: the tables of notebook 07.

Rows have the columns data_set, view, method, seed, value (higher is better) and one for the dial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from robult_study.results.intervals import (
    against_each,
    count_verdicts_and_holm,
    paired,
    summarize,
    with_interval,
)
from robult_study.results.layout import listed, most_often
from robult_study.results.scores import LATE, scores
from robult_study.results.tables import COLUMNS

CURVE = ["data_set", "view"]
ENDS = {"with the fewest labels": "min", "with the most": "max"}


def share_scores(results: pd.DataFrame, used: Mapping[str, Mapping[float, float]]) -> pd.DataFrame:
    """`scores` by the share of labels really used in %, as `labels`; without late fusion.

    used: data set -> share that was asked for -> share in %, as `plans.shares_used` gives it.
    """
    rows = scores(results)
    rows = rows[rows["view"] != LATE].sort_values("label_fraction", kind="stable")
    asked = zip(rows["data_set"], rows["label_fraction"], strict=True)
    return rows.assign(labels=[used[name][share] for name, share in asked])


def share_counts(counts: Mapping[str, Mapping[float, int]]) -> pd.DataFrame:
    """How many labels each share gives, as text, a row per data set.

    counts: data set -> share that was asked for -> labelled rows, as `plans.distinct_shares`.
    """
    table = pd.DataFrame.from_dict(counts, orient="index").rename_axis("data_set")
    table = table[sorted(table)].map("{:,.0f}".format, na_action="ignore").fillna("–")
    return table.rename(columns=lambda share: f"{100 * share:.3g} %")


def leads(rows: pd.DataFrame, dial: str) -> pd.DataFrame:
    """Robult minus each other method at every point of the dial, as `against_each` gives it."""
    return against_each(rows, [*CURVE, dial], rows["method"].unique())


def lead_title(lead: pd.DataFrame) -> str:
    """In how many comparisons Robult is clearly ahead and behind, and of whom most often.

    A comparison is one with one rival at one point; lead: `leads` or `against_each`.
    """
    ahead, behind = (
        lead["verdict"].eq(verdict).groupby(lead["against"], sort=False).sum()
        for verdict in ("better", "worse")
    )
    leads_over = f", most often of {most_often(ahead, _short)}," if ahead.any() else ""
    trails = f", most often {most_often(behind, _short)}" if behind.any() else ""
    return (
        f"Robult is clearly ahead in {ahead.sum()} of {len(lead)} comparisons{leads_over} "
        f"and clearly behind in {behind.sum()}{trails}"
    )


def _short(method: str) -> str:
    """The name of a method without what stands in brackets behind it."""
    return COLUMNS[method].partition(" (")[0]


# Where curves cross, and who leads ---------------------------------------------------------------


def crossings(lead: pd.DataFrame, dial: str) -> pd.DataFrame:
    """Where the mean of Robult and that of another method change places; lead: `leads`.

    Columns: data_set, view, against, crossing (linear between the neighbours), after and before
    (the neighbours), ahead_then, and clear: whether the paired intervals on both sides leave out 0,
    with opposite signs.
    """
    rows = []
    for group, curve in lead.groupby([*CURVE, "against"], sort=False):
        points = curve.sort_values(dial).to_dict("records")
        for left, right in pairwise(points):
            if left["difference"] * right["difference"] < 0:
                rows.append((*group, *_crossing(left, right, dial)))
    columns = [*CURVE, "against", "crossing", "after", "before", "ahead_then", "clear"]
    return pd.DataFrame(rows, columns=columns)


def _crossing(left: dict[str, Any], right: dict[str, Any], dial: str) -> tuple[Any, ...]:
    """Place, neighbours, who is ahead beyond it, and whether that is clear."""
    before, after = left["difference"], right["difference"]
    share = before / (before - after)
    place = left[dial] + share * (right[dial] - left[dial])
    ahead = "robult" if after > 0 else left["against"]
    clear = {left["verdict"], right["verdict"]} == {"better", "worse"}
    return place, left[dial], right[dial], ahead, clear


def crossings_table(crossed: pd.DataFrame) -> pd.DataFrame:
    """`crossings` in words."""
    table = crossed.replace({"against": COLUMNS, "ahead_then": COLUMNS})
    number = "{:g}".format
    table["between"] = table["after"].map(number) + " and " + table["before"].map(number)
    table["clear"] = table["clear"].map({True: "yes", False: "no"})
    table = table.drop(columns=["after", "before"])
    return table.rename(columns={"crossing": "crossing at", "ahead_then": "ahead above it"})


def crossings_sentence(crossed: pd.DataFrame) -> str:
    """How many crossings there are and how many are clear."""
    n_clear = int(crossed["clear"].sum())
    return (
        f"{len(crossed)} crossings with another method, {n_clear} of them clear, "
        "the others within the noise of these seeds"
    )


def leaders(rows: pd.DataFrame, dial: str) -> pd.DataFrame:
    """The two best methods at each point of the dial, and whether the first leads clearly.

    Means are texts with half of their intervals, "0.512 ± 0.031". The two are picked by their
    means, so a clear lead comes a little too easily.
    """
    leading = []
    for group, point in rows.groupby([*CURVE, dial], sort=False):
        summary = summarize(point, ["method"]).set_index("method")
        means = with_interval(summary["mean"], summary["half"])
        first, second = summary["mean"].nlargest(2).index
        verdict = paired(point, first, second, CURVE)["verdict"].item()
        leading.append(
            {
                **dict(zip([*CURVE, dial], group, strict=True)),
                "leader": COLUMNS[first],
                "mean": means[first],
                "second": COLUMNS[second],
                "its mean": means[second],
                "clear": "yes" if verdict == "better" else "no",
            }
        )
    return pd.DataFrame(leading)


# How far apart the methods are -------------------------------------------------------------------


def curve_means(rows: pd.DataFrame, dial: str) -> pd.DataFrame:
    """Mean over seeds, a row per data set, view and point of the dial, a column per method."""
    return rows.groupby([*CURVE, dial, "method"], sort=False)["value"].mean().unstack()


def spread_of_methods(rows: pd.DataFrame, dial: str) -> pd.DataFrame:
    """Best minus worst method at the two ends of the dial, as text with paired intervals.

    The two are picked by their means over the seeds that all methods have, so the gap looks a
    little too wide.
    """
    gaps = []
    for group, curve in rows.groupby(CURVE, sort=False):
        row = dict(zip(CURVE, group, strict=True))
        for words, end in ENDS.items():
            point = _shared_seeds(curve[curve[dial] == curve[dial].agg(end)])
            means = point.groupby("method")["value"].mean()
            gap = paired(point, means.idxmax(), means.idxmin(), CURVE)
            row[words] = with_interval(gap["difference"], gap["half"]).item()
        gaps.append(row)
    return pd.DataFrame(gaps).set_index(CURVE)


def _shared_seeds(point: pd.DataFrame) -> pd.DataFrame:
    """The rows of those seeds that every method has."""
    n_methods = point.groupby("seed")["method"].transform("nunique")
    return point[n_methods == point["method"].nunique()]


def rise_sentence(means: pd.DataFrame) -> str:
    """How many curves rise from end to end, and on how many panels methods draw together."""
    curves = means.groupby(level=CURVE, sort=False)
    first, last = curves.first(), curves.last()
    gain = (last - first).stack()
    before, after = (ends.max(axis=1) - ends.min(axis=1) for ends in (first, last))
    return (
        f"from the fewest to the most labels {(gain > 0).sum()} of {len(gain)} lines rise; "
        f"methods draw together on {(after < before).sum()} of {len(after)} panels"
    )


# What random loss takes --------------------------------------------------------------------------


def drop(lost: pd.DataFrame) -> pd.DataFrame:
    """What each run loses between no loss and one modality left: data_set, method, seed, value."""
    ends = lost.pivot(index=["data_set", "method", "seed"], columns="rate", values="value")
    return (ends[0.0] - ends[1.0]).rename("value").reset_index()


def least_drop(summary: pd.DataFrame) -> pd.Series:
    """The method that loses least on each data set; summary: `summarize` of `drop`."""
    least = summary.groupby("data_set", sort=False)["mean"].idxmin()
    return summary.loc[least].set_index("data_set")["method"]


# The paper's general claim -----------------------------------------------------------------------


def points(rows: pd.DataFrame, dial: str, words: str) -> pd.DataFrame:
    """Rows with a column `where`, their point of the dial in `words`, such as "rate {:g}"."""
    return rows.assign(where=rows[dial].map(words.format))


def tally(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Verdicts of Robult against each other method, counted over all rows, raw and after Holm.

    parts: rows of several dials, each with `points`.
    """
    columns = [*CURVE, "where", "method", "seed", "value"]
    lead = leads(pd.concat([part[columns] for part in parts]), "where")
    table = count_verdicts_and_holm(lead, ["against"]).drop(columns="undecided, Holm")
    names = {}
    for verdict in ("better", "worse"):
        names[verdict] = f"Robult clearly {verdict}"
        names[f"{verdict}, Holm"] = f"Robult clearly {verdict}, Holm"
    return table.rename(index=COLUMNS, columns=names)


def tally_sentences(counted: pd.DataFrame) -> list[str]:
    """Against whom Robult is clearly better more often than clearly worse, before and after Holm.

    counted: `tally`.
    """
    ahead = counted["Robult clearly better"] > counted["Robult clearly worse"]
    ahead &= counted["Robult clearly better, Holm"] > counted["Robult clearly worse, Holm"]
    return [
        "Robult is clearly better more often than clearly worse, after Holm's correction as well, "
        "against: " + listed(counted.index[ahead], "nobody"),
        "and not against: " + listed(counted.index[~ahead], "nobody"),
    ]
