"""The paper's Tables 1 to 3 as printed, and ours laid out the same way.

A row is a *block*: a data set, an availability pattern and a metric. A column is a method. A number
of the paper stands beside ours only where the data set has the paper's own features and split
(`SAME_FEATURES`); every other set is in a block headed "other features". **Best** and <u>second</u>
are marked, and the sanity rows compete for them like any method.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from robult_core.methods.sanity import SANITY
from robult_core.multimodal import DEFAULT_METHOD
from robult_study.results.availability import has_all, modalities_present
from robult_study.results.intervals import (
    VERDICTS,
    against_each,
    count_verdicts_and_holm,
    paired,
    summarize,
    with_interval,
)
from robult_study.results.layout import interval_table, laid_out, listed, star_table
from robult_study.results.metrics import is_regression, measured, only_first, oriented
from robult_study.results.variants import ABLATIONS

BLOCK = ["data_set", "pattern", "metric"]
COLUMNS = {  # the name of a method in records -> the heading of its column
    "unimodal": "Unimodal",
    "prompt_trans": "Prompt-Trans (small backbone)",
    "gmc": "GMC",
    "action_mae": "ActionMAE",
    "robult": "Robult",
    "robult_distilled": "Distilled Robult",
    "unimodal_distilled": "Distilled Unimodal",
    "linear": "linear",
    "self_training": "self-training",
    "linear_distillation": "linear distillation",
}
PRINTED_COLUMNS = {**COLUMNS, "prompt_trans": "Prompt-Trans"}  # the paper's own, on ViLT
BASELINES = ("unimodal", "prompt_trans", "gmc", "action_mae")
COMPARED = (*BASELINES, "robult")  # the paper's five methods
CONTENDERS = (*COMPARED, "robult_distilled")  # what this study sets beside each other
CONTROLS = ("unimodal_distilled", "linear", "linear_distillation")  # that every data set can have
SIMPLER = ("linear", "self_training", "linear_distillation", "unimodal_distilled")
OTHER = "other features"
PAPER_SETS = {
    "mosi-mult": "CMU-MOSI",
    "mosei-mult": "CMU-MOSEI",
    "mm-imdb": "MM-IMDb",
    "food101": "UPMC Food-101",
    "hateful-memes": "Hateful Memes",
}
SAME_FEATURES = (  # for the other three the paper does not name its features
    "mosi-mult",
    "mosei-mult",
)
PAPER_SHARE = 0.05  # of the labels
NO_WEIGHTS = "no_weights"  # the name of Robult without the weights of Eq. 5, beside the ablations
BUDGET = ("training.steps", "training.learning_rate")  # what a method's default run may carry


# The paper's numbers, and the rows of ours that belong beside them -------------------------------


def paper_table(n: int) -> pd.DataFrame:
    """Table 1, 2 or 3 as printed, tidy: data_set, pattern, method, metric, value."""
    if n not in (1, 2, 3):
        raise ValueError(f"the paper has no table {n}: choose 1, 2 or 3")
    return pd.read_csv(files("robult_study").joinpath(f"results/paper/table{n}.csv"))


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Blocks x methods, means over seeds, blocks in order of appearance."""
    return rows.pivot_table(
        index=BLOCK, columns="method", values="value", aggfunc="mean", sort=False
    )


def paper_rows(results: pd.DataFrame, variant: str = "") -> pd.DataFrame:
    """The rows of `run_grid`'s table that the paper's tables have.

    These are the single modalities and the full set, whose pattern becomes "full", on test rows at
    5 % labels with a method's default settings. The runs of Table 3 get the ablation's name as
    `method`. variant: "late_fusion" for the other prediction of the full set. An empty table, which
    has no columns, gives one without rows.
    """
    if results.empty:
        columns = [*BLOCK, "method", "seed", "label_fraction", "variant", "value"]
        return pd.DataFrame(columns=columns)
    rows = results.assign(method=named(results))
    for column, value in {"variant": variant, "rows": "test"}.items():
        if column in rows:
            rows = rows[rows[column] == value]
    single = modalities_present(rows) == 1
    full = has_all(rows) & ~single
    share = np.isclose(rows["label_fraction"].astype(float), PAPER_SHARE)
    rows = rows.assign(pattern=rows["pattern"].mask(full, "full"))
    return rows[rows["method"].notna() & share & (full | single)].reset_index(drop=True)


def named(results: pd.DataFrame) -> pd.Series:
    """The method of each row, or the name of the ablation; missing where settings are changed.

    A row of Robult is an ablation where the weight of just that loss is 0, or where just the
    weights of Eq. 5 are left out (`NO_WEIGHTS`).
    """
    prefixes = ("hyper.", "training.")
    settings = [name for name in results if name.startswith(prefixes) and name not in BUDGET]
    n_changed = results[settings].notna().sum(axis=1)
    post = results["post"] if "post" in results else pd.Series("", results.index)
    method = results["method"].where((n_changed == 0) & (post == ""))
    one_changed = (n_changed == 1) & (results["method"] == "robult")
    for name, weight in ABLATIONS.items():
        column = f"hyper.{weight}"
        if column in results:
            right_post = post == ("logistic" if name == "no_supervised" else "")
            method = method.mask(one_changed & (results[column] == 0) & right_post, name)
    if "hyper.weighting" in results:
        unweighted = (results["hyper.weighting"] == "none") & (post == "")
        method = method.mask(one_changed & unweighted, NO_WEIGHTS)
    return method


# Tables 1 and 2 ----------------------------------------------------------------------------------


def cells(results: pd.DataFrame) -> pd.DataFrame:
    """One row per cell of our tables.

    Columns: data_set, pattern, metric, method, mean, half, low, high, n, place (1 is best, 2
    second), block (the paper's name of the set, or `OTHER`), paper (the printed number, or NaN).
    """
    rows = measured(paper_rows(results), also=True)
    table = summarize(rows[rows["method"].isin(COLUMNS)], [*BLOCK, "method"])
    table = table.drop(columns="sd")
    table["place"] = _places(table)
    papers_own = {name: PAPER_SETS[name] for name in SAME_FEATURES}
    table["block"] = table["data_set"].map(papers_own).fillna(OTHER)
    return table.merge(_printed(), on=["block", "pattern", "metric", "method"], how="left")


def _places(table: pd.DataFrame) -> pd.Series:
    signed = oriented(table.assign(value=table["mean"]))
    return signed.groupby(BLOCK)["value"].rank(ascending=False, method="min")


def _printed() -> pd.DataFrame:
    """Tables 1 and 2; the F1 of Table 1 is most likely computed as GMC's code does."""
    sentiment = paper_table(1).replace({"metric": {"f1": "f1_gmc"}})
    both = pd.concat([sentiment, paper_table(2)])
    return both.rename(columns={"data_set": "block", "value": "paper"})


def comparison(table: pd.DataFrame) -> pd.DataFrame:
    """`cells` as text in the paper's layout, valid in HTML and in markdown.

    The index is block and `BLOCK`, the paper's own sets first; there is one column per method.
    """
    text = with_interval(table["mean"], table["half"])
    text = text.mask(table["place"] == 1, "<b>" + text + "</b>")
    text = text.mask(table["place"] == 2, "<u>" + text + "</u>")
    bracket = " (paper " + table["paper"].map("{:g}".format) + ")"
    text += bracket.where(table["paper"].notna(), "")
    other = table["block"] == OTHER
    ordered = table.assign(text=text).loc[other.sort_values(kind="stable").index]
    laid = laid_out(ordered, ["block", *BLOCK], "method", order=COLUMNS)
    return laid.rename(columns=COLUMNS)


def by_paper_table(text: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """`comparison` cut as the paper does: Table 1 holds the sentiment scores, Table 2 the rest.

    A table without rows is left out, and so is a method without a number.
    """
    regression = text.index.get_level_values("data_set").map(is_regression).astype(bool)
    tables = {}
    for number, chosen in ((1, regression), (2, ~regression)):
        rows = text[chosen]
        if len(rows):
            tables[number] = rows.loc[:, (rows != "–").any()]
    return tables


def in_brief(results: pd.DataFrame) -> pd.DataFrame:
    """The first metric of each set, for one modality and for all, with its interval over seeds.

    The number for one modality is the mean over the single modalities. The columns are those of
    `summarize` over `BLOCK` and method.
    """
    return summarize(_brief_rows(results), [*BLOCK, "method"])


def _brief_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The numbers of `in_brief` seed by seed: `BLOCK`, method, seed, value."""
    rows = only_first(paper_rows(results))
    rows = rows[rows["method"].isin(COLUMNS)]
    n_single = rows.groupby("data_set")["pattern"].transform("nunique") - 1
    single = "one modality, mean of " + n_single.astype(str)
    rows = rows.assign(pattern=single.mask(rows["pattern"] == "full", "all"))
    return rows.groupby([*BLOCK, "method", "seed"], sort=False)["value"].mean().reset_index()


def default_gains(results: pd.DataFrame) -> pd.DataFrame:
    """What the estimators train minus simpler ways, as text, in the rows of `in_brief`.

    The differences are paired by seed, with their interval and a star where it leaves out 0; errors
    are negated. A way that was not run is left out.
    """
    rows = oriented(_brief_rows(results))
    run = set(rows["method"])
    leads = [
        paired(rows, DEFAULT_METHOD, name, BLOCK).assign(against=COLUMNS[name])
        for name in SIMPLER
        if name in run
    ]
    return star_table(pd.concat(leads).dropna(subset="difference"), BLOCK, "against")


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """`in_brief` as text, the best of each row in bold: the table of the page of results."""
    text = with_interval(table["mean"], table["half"])
    bold = text.str.replace(r"^(\S+)", r"<b>\1</b>", regex=True)
    table = table.assign(text=text.mask(_places(table) == 1, bold))
    return laid_out(table, BLOCK, "method", order=COLUMNS).rename(columns=COLUMNS)


def late_fusion(results: pd.DataFrame) -> pd.DataFrame:
    """The full set by the fused branch and by late fusion, as text, for methods that have both."""
    tables = []
    for variant, way in (("", "fused"), ("late_fusion", "late fusion")):
        rows = measured(paper_rows(results, variant))
        rows = rows[(rows["pattern"] == "full") & rows["method"].isin(["robult", "unimodal"])]
        tables.append(rows.assign(way=way))
    table = summarize(pd.concat(tables), ["data_set", "metric", "method", "way"])
    table["prediction"] = table["method"].map(COLUMNS) + ", " + table["way"]
    return interval_table(table, ["data_set", "metric"], "prediction")


def sanity_sentence(table: pd.DataFrame) -> str:
    """Where a sanity row has the best mean of all; table: `cells`."""
    best = table[table["place"] == 1].drop_duplicates(BLOCK)
    won = best[best["method"].isin(SANITY)]
    where = [
        f"{row.data_set} {row.pattern} {row.metric} ({COLUMNS[row.method]})"
        for row in won.itertuples()
    ]
    places = f": {listed(where)}" if where else ""
    return f"A sanity row has the best mean in {len(won)} of {len(best)} rows{places}."


# Differences -------------------------------------------------------------------------------------


def differences(results: pd.DataFrame) -> pd.DataFrame:
    """Robult minus each other method on the paper's metrics, as `against_each` gives it.

    Errors are negated, so above 0 Robult is better.
    """
    rows = oriented(measured(paper_rows(results)))
    return against_each(rows, BLOCK, COLUMNS)


def verdicts(
    differences: pd.DataFrame, by: Sequence[str] = ("against", "data_set")
) -> pd.DataFrame:
    """How many rows of each group are better, undecided and worse, raw and after Holm."""
    return count_verdicts_and_holm(differences, by)


def largest(differences: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` largest decided differences in either direction, the worst first."""
    decided = differences[differences["verdict"] != "undecided"].sort_values("difference")
    ends = pd.concat([decided.head(count), decided.tail(count)]).drop_duplicates()
    return ends[[*BLOCK, "against", "difference", "low", "high", "verdict", "holm"]]


def verdict_sentence(differences: pd.DataFrame) -> str:
    """The counts of verdicts against all methods of the table, raw and after Holm."""
    raw = differences["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
    corrected = differences["holm"].value_counts().reindex(VERDICTS, fill_value=0)
    return (
        f"{raw['better']} intervals better, {raw['undecided']} undecided, {raw['worse']} worse; "
        f"after Holm's correction {corrected['better']} better, {corrected['worse']} worse"
    )


def lead_sentence(results: pd.DataFrame) -> str:
    """In how many rows Robult has the best mean of the five methods, in print and here.

    "In most rows" are more than half of them.
    """
    printed = _leads(oriented(pd.concat([paper_table(1), paper_table(2)])))
    ours = _leads(oriented(measured(paper_rows(results))))
    held = "holds" if ours.mean() > 0.5 else "does not hold"
    return (
        "Robult has the best mean of the five methods in "
        f"{printed.sum()} of {len(printed)} rows (paper, its own data), "
        f"{ours.sum()} of {len(ours)} rows (here, other data); that it is the best in most rows "
        f"{held} here."
    )


def _leads(rows: pd.DataFrame) -> pd.Series:
    """In which rows Robult has the best mean of the five methods."""
    table = wide(rows[rows["method"].isin(COMPARED)])
    return table["robult"] > table.drop(columns="robult").max(axis=1)
