"""The paper's Tables 1-3 as printed, and ours laid out the same way: metric within modality block, one column per method.

A number of the paper stands beside ours only where the data set has the paper's own features and split (`SAME_FEATURES`); every other set is in
a block headed "other features". **Best** and <u>second</u> are marked; the two sanity rows compete for them like any method.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from robult_core.datasets import CATALOGUE
from robult_core.methods.sanity import SANITY
from robult_study.results.intervals import paired, summarize
from robult_study.runs.configuration import RunConfig
from robult_study.runs.store import Store

BLOCK = ["data_set", "pattern", "metric"]
COLUMNS = {
    "unimodal": "Unimodal",
    "prompt_trans": "Prompt-Trans",
    "gmc": "GMC",
    "action_mae": "ActionMAE",
    "robult": "Robult",
    "linear": "linear",
    "self_training": "self-training",
}
BASELINES = ("unimodal", "prompt_trans", "gmc", "action_mae")
OTHER = "other features"
PAPER_SETS = {
    "mosi-mult": "CMU-MOSI",
    "mosei-mult": "CMU-MOSEI",
    "mm-imdb": "MM-IMDb",
    "food101": "UPMC Food-101",
    "hateful-memes": "Hateful Memes",
}
SAME_FEATURES = (
    "mosi-mult",
    "mosei-mult",
)  # of the other three the paper does not name its features
METRICS = {  # kind of task: the paper's metrics, and those shown beside them
    "regression": (("mae", "corr", "f1_gmc", "accuracy"), ("f1",)),
    "multilabel": (("f1_macro",), ()),
    "binary": (("auroc",), ("accuracy", "f1_macro")),
    "classes": (("accuracy",), ("f1_macro",)),
}
MARKS = {
    "mae": "regression",
    "f1_samples": "multilabel",
    "auroc": "binary",
}  # metrics that tell the kind
ABLATIONS = {  # names in Table 3's CSV, and the weight that is zero; the first is followed by a logistic regression
    "no_supervised": "supervised_weight",
    "no_reconstruction": "reconstruction_weight",
    "no_labeled": "labeled_weight",
    "no_unlabeled": "unlabeled_weight",
}
BUDGET = ("training.steps", "training.learning_rate")  # what a method's default run may carry


def configs(data_sets: Sequence[str], seeds: Sequence[int], steps: int) -> list[RunConfig]:
    """The runs of notebook 04: every method and sanity row on every set (self-training is not defined for regression)."""
    return [
        RunConfig(
            name,
            method,
            seed,
            training={"steps": steps} if method not in SANITY else {},
            tag=method,
        )
        for name in data_sets
        for method in COLUMNS
        for seed in seeds
        if (method, CATALOGUE[name].task.kind) != ("self_training", "regression")
    ]


def paper_table(n: int) -> pd.DataFrame:
    """Table 1, 2 or 3 as printed, tidy: data_set, pattern, method, metric, value."""
    if n not in (1, 2, 3):
        raise ValueError(f"the paper has no table {n}: choose 1, 2 or 3")
    return pd.read_csv(files("robult_study").joinpath(f"results/paper/table{n}.csv"))


def oriented(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with errors (MAE) negated, so that higher is better everywhere."""
    return rows.assign(value=rows["value"].where(rows["metric"] != "mae", -rows["value"]))


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Blocks (data_set, pattern, metric) x methods, means over seeds, in order of appearance."""
    return rows.pivot_table(
        index=BLOCK, columns="method", values="value", aggfunc="mean", sort=False
    )


def kinds(rows: pd.DataFrame) -> pd.Series:
    """Kind of task of each row's data set, told from its metrics: a key of `METRICS`."""
    marked = rows[rows["metric"].isin(MARKS)].drop_duplicates(["data_set", "metric"])
    told = {
        name: MARKS[metric]
        for name, metric in zip(marked["data_set"], marked["metric"], strict=True)
    }
    return pd.Series([told.get(name, "classes") for name in rows["data_set"]], rows.index)


def measured(rows: pd.DataFrame, also: bool = False) -> pd.DataFrame:
    """Rows of the metrics the paper reports for their kind of task; `also`: and of those shown beside them."""
    wanted = {kind: names + extra * also for kind, (names, extra) in METRICS.items()}
    fits = [
        metric in wanted[kind] for kind, metric in zip(kinds(rows), rows["metric"], strict=True)
    ]
    return rows[np.array(fits, dtype=bool)]


def first_metric(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of each data set's first metric in `METRICS`."""
    return rows[rows["metric"] == np.array([METRICS[kind][0][0] for kind in kinds(rows)])]


def paper_rows(results: pd.DataFrame, variant: str = "") -> pd.DataFrame:
    """The rows of `run_grid`'s table that the paper's tables have: single modalities and the full set, renamed "full".

    Ablation runs get the ablation's name as `method`; other label shares than 5 % and other settings than a method's defaults are left out.
    An empty table, which has no columns, gives one without rows.
    """
    if results.empty:
        return pd.DataFrame(
            columns=[*BLOCK, "method", "seed", "label_fraction", "variant", "value"]
        )
    rows = results.assign(method=named(results))
    for column, value in {"variant": variant, "rows": "test"}.items():
        rows = rows[rows[column] == value] if column in rows else rows
    size = rows["pattern"].str.count(r"\+")
    full = (size > 0) & (size == size.groupby(rows["data_set"]).transform("max"))
    share = np.isclose(rows["label_fraction"].astype(float), 0.05)
    rows = rows.assign(pattern=rows["pattern"].mask(full, "full"))
    return rows[rows["method"].notna() & share & (full | (size == 0))].reset_index(drop=True)


def named(results: pd.DataFrame) -> pd.Series:
    """Method of each row: itself for its defaults, the ablation's name where just that weight is 0, missing otherwise."""
    settings = [
        name for name in results if name.startswith(("hyper.", "training.")) and name not in BUDGET
    ]
    given = results[settings].notna().sum(axis=1)
    post = results["post"] if "post" in results else pd.Series("", results.index)
    method = results["method"].where((given == 0) & (post == ""))
    for name, weight in ABLATIONS.items():
        if (column := f"hyper.{weight}") in results:
            wanted = "logistic" if name == "no_supervised" else ""
            method = method.mask((results[column] == 0) & (given == 1) & (post == wanted), name)
    return method


def cells(results: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: data_set, pattern, metric, method, mean, half, n, place (1 best, 2 second), paper (or NaN), block."""
    rows = measured(paper_rows(results), also=True)
    table = summarize(rows[rows["method"].isin(COLUMNS)], [*BLOCK, "method"]).drop(
        columns=["low", "high", "sd"]
    )
    signed = oriented(table.assign(value=table["mean"]))
    table["place"] = signed.groupby(BLOCK, sort=False)["value"].rank(ascending=False, method="min")
    table["block"] = (
        table["data_set"].map({name: PAPER_SETS[name] for name in SAME_FEATURES}).fillna(OTHER)
    )
    printed = pd.concat([paper_table(1).replace({"metric": {"f1": "f1_gmc"}}), paper_table(2)])
    printed = printed.rename(columns={"data_set": "block", "value": "paper"})
    return table.merge(printed, on=["block", "pattern", "metric", "method"], how="left")


def _spread(half: pd.Series) -> pd.Series:
    """Half of an interval as text after a mean; nothing where a single seed has none."""
    return half.map(lambda value: f" ± {value:.3f}" if value == value else "")


def comparison(table: pd.DataFrame) -> pd.DataFrame:
    """`cells` as text in the paper's layout, valid in HTML and markdown: index block and `BLOCK`, one column per method."""
    text = table["mean"].map("{:.3f}".format) + _spread(table["half"])
    text = text.mask(table["place"] == 1, "<b>" + text + "</b>").mask(
        table["place"] == 2, "<u>" + text + "</u>"
    )
    text += table["paper"].map(lambda value: f" (paper {value:g})" if value == value else "")
    order = table[["block", *BLOCK]].drop_duplicates()
    order = order.sort_values("block", key=lambda block: block == OTHER, kind="stable")
    laid = table.assign(text=text).pivot(index=["block", *BLOCK], columns="method", values="text")
    laid = laid.reindex(pd.MultiIndex.from_frame(order))[[name for name in COLUMNS if name in laid]]
    return laid.replace("nan", np.nan).fillna("–").rename(columns=COLUMNS).rename_axis(columns=None)


def headline(results: pd.DataFrame) -> pd.DataFrame:
    """README's table: the first metric of each set, mean over the single modalities and the full set, ± half of the 95 % interval, best in bold."""
    rows = first_metric(paper_rows(results))
    rows = rows[rows["method"].isin(COLUMNS)]
    count = rows.groupby("data_set")["pattern"].transform("nunique") - 1
    single = "one modality, mean of " + count.astype(str)
    rows = rows.assign(pattern=single.mask(rows["pattern"] == "full", "all"))
    rows = rows.groupby([*BLOCK, "method", "seed"], sort=False)["value"].mean().reset_index()
    table = summarize(rows, [*BLOCK, "method"])
    signed = oriented(table.assign(value=table["mean"]))
    best = signed["value"] == signed.groupby(BLOCK)["value"].transform("max")
    text = table["mean"].map("{:.3f}".format)
    text = text.mask(best, "<b>" + text + "</b>")
    text += _spread(table["half"])
    laid = table.assign(text=text).pivot(index=BLOCK, columns="method", values="text")
    laid = laid.reindex(pd.MultiIndex.from_frame(table[BLOCK].drop_duplicates()))
    return (
        laid[[name for name in COLUMNS if name in laid]]
        .fillna("–")
        .rename(columns=COLUMNS)
        .rename_axis(columns=None)
    )


def to_markdown(table: pd.DataFrame) -> str:
    """A frame as a markdown table, its index as the first columns."""
    flat = table.reset_index()
    lines = [
        list(map(str, flat.columns)),
        ["---"] * flat.shape[1],
        *flat.astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def differences(results: pd.DataFrame) -> pd.DataFrame:
    """Robult minus each other method, paired by seed, on the paper's metrics (MAE negated: above 0 Robult is better), and a verdict."""
    rows = oriented(measured(paper_rows(results)))
    others = [name for name in COLUMNS if name != "robult" and name in set(rows["method"])]
    return pd.concat(
        [paired(rows, "robult", name, BLOCK).assign(against=name) for name in others],
        ignore_index=True,
    )


def sanity_sentence(table: pd.DataFrame) -> str:
    """Where a sanity row has the best mean of all, computed from `cells` so that it cannot be forgotten."""
    best = table[table["place"] == 1].drop_duplicates(BLOCK)
    won = best[best["method"].isin(SANITY)]
    where = ", ".join(
        f"{row.data_set} {row.pattern} {row.metric} ({COLUMNS[row.method]})"
        for row in won.itertuples()
    )
    return f"A sanity row has the best mean in {len(won)} of {len(best)} rows" + (
        f": {where}." if where else "."
    )


def costs(results: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Medians over seeds by data set and method: parameters, seconds_per_step, latency_ms (64 samples) of one modality and of all."""
    key, kept = (
        ["data_set", "method"],
        ["parameters", "seconds_per_step", "latency_full_ms", "latency_one_ms"],
    )
    found = []
    ours = (
        []
        if results.empty
        else results.loc[named(results).isin([*BASELINES, "robult"]), "key"].unique()
    )
    for content in (store.get(one).content for one in ours):
        times, config = content["timings"], content["config"]
        latency = times["latency_ms"]
        full = latency[max(latency, key=lambda pattern: pattern.count("+"))]
        single = np.median([value for pattern, value in latency.items() if "+" not in pattern])
        found.append(
            (
                *(config[name] for name in key),
                content["parameters"],
                times["seconds_per_step"],
                full,
                single,
            )
        )
    return (
        pd.DataFrame(found, columns=[*key, *kept]).groupby(key, sort=False).median().reset_index()
    )
