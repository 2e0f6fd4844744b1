"""What the search found: winners, a second selection, the number of steps; notebook 04.

All scores are those that `robult search` committed, on validation rows or on labelled rows; no test
row is behind any of them.
"""

from __future__ import annotations

import json

import pandas as pd
from scipy.stats import sem

from robult_study.results.intervals import summarize, with_interval
from robult_study.results.layout import interval_table, listed
from robult_study.results.metrics import oriented
from robult_study.results.tables import COLUMNS
from robult_study.runs import search

STEPS = "training.steps"  # the column of `search.STEP_SCORES`
BLOCK = ["data_set", "seed"]


def words(point: str) -> str:
    """A point of the search as a reader sees it."""
    settings = json.loads(point).items()
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in settings)


def form_words(point: str) -> str:
    """A form of g_i and g_0 (`search.MAP_POINTS`) as a reader sees it."""
    form = json.loads(point)
    units, weight = form["bottleneck"], form["reconstruction_weight"]
    maps = "linear" if units is None else f"through {units} ReLU units"
    return f"{maps}, {'with' if weight else 'without'} L_rec"


# Winners -----------------------------------------------------------------------------------------


def top_points(scores: pd.DataFrame, count: int) -> pd.DataFrame:
    """The winner of each method and the next best points, with their mean ranks as text."""
    ranks = rank_texts(scores)
    rows = []
    for method in scores["method"].unique():
        for point in search.best_points(scores, method, count):
            name = json.dumps(point)
            row = {"method": COLUMNS[method], "point": words(name)}
            rows.append({**row, "mean rank": ranks[method, name]})
    return pd.DataFrame(rows)


def rank_texts(scores: pd.DataFrame) -> pd.Series:
    """The mean rank of every point within its method, as text with its interval over the seeds.

    The index is method and point, the best point of each method first.
    """
    by_seed = search.ranked(scores).groupby(["method", "point", "seed"], sort=False)["rank"].mean()
    spread = summarize(by_seed.rename("value").reset_index(), ["method", "point"])
    means = search.mean_ranks(scores).merge(spread, on=["method", "point"])
    text = with_interval(means["mean_rank"], means["half"], digits=2)
    return pd.Series(text.to_numpy(), pd.MultiIndex.from_frame(means[["method", "point"]]))


def map_table(scores: pd.DataFrame) -> pd.DataFrame:
    """The forms of g_i and g_0 with their mean ranks, best first; scores: of `search.MAPS`."""
    ranks = rank_texts(scores).rename("mean rank").reset_index()
    return ranks.assign(point=ranks["point"].map(form_words)).drop(columns="method")


def score_table(scores: pd.DataFrame) -> pd.DataFrame:
    """The mean score of every point, as text with its interval over seeds, a column per set."""
    rows = scores.rename(columns={"score": "value"}).assign(
        method=scores["method"].map(COLUMNS), point=scores["point"].map(words)
    )
    index = ["method", "stage", "point"]
    return interval_table(summarize(rows, [*index, "data_set"]), index, "data_set")


# A second selection, by labelled rows only -------------------------------------------------------


def over_folds(folds: pd.DataFrame) -> pd.DataFrame:
    """The mean score over the thirds of the labelled rows; folds: of `search.FOLD_SCORES`."""
    by = ["method", "point", "data_set", "metric", "seed"]
    return folds.groupby(by, sort=False)["score"].mean().reset_index()


def selections(scores: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """The point of each method that validation rows choose, and the one that labelled rows choose.

    The second chooses among the best points of the first.
    """
    by_labels = search.mean_ranks(over_folds(folds)).groupby("method", sort=False).head(1)
    by_labels = by_labels.set_index("method")["point"]
    rows = []
    for method in scores["method"].unique():
        first = json.dumps(search.winner(scores, method))
        second = by_labels[method]
        row = {"method": COLUMNS[method], "by validation rows": words(first)}
        same = "yes" if first == second else "no"
        rows.append({**row, "by labelled rows": words(second), "the same": same})
    return pd.DataFrame(rows)


def method_ranks(scores: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """The mean rank of the methods at their winners, by validation rows and by labelled rows.

    Both are over the blocks, a data set and a seed, that the folds have.
    """
    labelled = over_folds(folds)
    blocks = pd.MultiIndex.from_frame(labelled[BLOCK].drop_duplicates())
    own = scores[pd.MultiIndex.from_frame(scores[BLOCK]).isin(blocks)]
    views = {"validation rows": own, "labelled rows": labelled}
    winners = {name: json.dumps(search.winner(scores, name)) for name in scores["method"].unique()}
    columns = {}
    for name, view in views.items():
        at_winner = view[view["point"] == view["method"].map(winners)]
        table = _by_method(at_winner)
        columns[name] = table.rank(axis=1, ascending=False).mean()
    return pd.DataFrame(columns).sort_values("validation rows").rename(index=COLUMNS)


def _by_method(scores: pd.DataFrame) -> pd.DataFrame:
    """Blocks x methods, higher is better; scores: one point per method and block."""
    rows = oriented(scores.rename(columns={"score": "value"}))
    return rows.pivot(index=BLOCK, columns="method", values="value")


def selection_sentence(chosen: pd.DataFrame, ranks: pd.DataFrame) -> str:
    """Whether the second selection changes winners and the order of methods.

    chosen: `selections`; ranks: `method_ranks`.
    """
    changed = chosen.loc[chosen["the same"] == "no", "method"]
    orders = [listed(ranks[name].sort_values(kind="stable").index) for name in ranks]
    return (
        f"Labelled rows alone choose another point for {len(changed)} of {len(chosen)} methods "
        f"({listed(changed, 'none')}). Order of the methods by validation rows: {orders[0]}; "
        f"by labelled rows: {orders[1]}."
    )


# The number of steps -----------------------------------------------------------------------------


def step_ranks(steps: pd.DataFrame) -> pd.DataFrame:
    """The rank of each method in every block and number of steps; steps: `search.STEP_SCORES`.

    The rows have data_set, seed, method, `STEPS` and value, the rank; 1 is best.
    """
    rows = oriented(steps.rename(columns={"score": "value"}))
    ranks = rows.groupby([*BLOCK, STEPS])["value"].rank(ascending=False)
    return rows.assign(value=ranks)[[*BLOCK, "method", STEPS, "value"]]


def by_steps(steps: pd.DataFrame) -> pd.Series:
    """The mean rank of each number of steps over all methods and blocks; 1 is best."""
    return _ranks_by_steps(steps).mean()


def chosen_steps(steps: pd.DataFrame) -> int:
    """The fewest steps whose mean rank lies within one standard error of the best one."""
    ranks = _ranks_by_steps(steps)
    best = ranks.mean().idxmin()
    for count in ranks.columns:
        behind = ranks[count] - ranks[best]
        if behind.mean() <= sem(behind):
            return int(count)
    return int(best)


def _ranks_by_steps(steps: pd.DataFrame) -> pd.DataFrame:
    """Ranks of the numbers of steps (columns, few to many) for each method in each block."""
    rows = oriented(steps.rename(columns={"score": "value"}))
    table = rows.pivot(index=["method", *BLOCK], columns=STEPS, values="value")
    return table.rank(axis=1, ascending=False)


def step_sentence(steps: pd.DataFrame) -> str:
    """The mean ranks of the numbers of steps, and the one that is used."""
    ranks = by_steps(steps)
    numbers = [f"{count:,} steps {rank:.2f}" for count, rank in ranks.items()]
    return (
        f"Mean rank over methods, sets and seeds: {listed(numbers)}; {chosen_steps(steps):,} are "
        "the fewest within one standard error of the best."
    )


# Late fusion -------------------------------------------------------------------------------------


def fusion_table(fused: pd.DataFrame) -> pd.DataFrame:
    """The full set on validation rows by each rule of late fusion, as text with its interval.

    fused: of `search.FUSION_SCORES`; errors are negated.
    """
    rules = fused["tag"].str.removeprefix("late_fusion ")
    rows = fused.assign(rule=rules, method=fused["method"].map(COLUMNS))
    summary = summarize(rows, ["data_set", "method", "rule"])
    return interval_table(summary, ["data_set", "method"], "rule")
