"""Every quantitative claim of sections 3.3 and 3.4, put to the paper's own Tables 1-3, to runs on the paper's data, and to the data at hand.

A claim is a row of `paper/claims.csv` and a function of one table of blocks x methods, so that printed numbers and ours face the same statement.
Grades: a statement about many cells is "reproduced" where all agree, "partly" where more than half do, else "not"; one that says "any" or
"all" falls at the first counter-example; "missing" names what it lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from robult_study.results import tables
from robult_study.results import variants as ablations
from robult_study.results.intervals import mean_ranks, nemenyi, paired, smallest_p, wilcoxon_holm
from robult_study.results.tables import ABLATIONS, BASELINES, BLOCK, PAPER_SETS
from robult_study.runs import grid as study
from robult_study.runs.store import Store

REPRODUCED, PARTLY, NOT, MISSING = "reproduced", "partly", "not", "missing"
LEVEL = 0.05
PLACES = {
    "printed": "the paper's own numbers",
    "paper": "our runs on the paper's data",
    "ours": "our runs on the data at hand",
}


class Missing(ValueError):
    """What a claim needs and the table lacks; the message names it."""


class Finding(NamedTuple):
    """Grade and the numbers behind it."""

    grade: str
    evidence: str


class Table(NamedTuple):
    """`wide`: `tables.wide` of oriented rows, higher is better. `seeds`: the rows themselves, and `costs`; None for the printed tables."""

    wide: pd.DataFrame
    seeds: pd.DataFrame | None = None
    costs: pd.DataFrame | None = None


# --- what the tests share ---------------------------------------------------------------------------------------------


def _need(table: Table, *methods: str) -> pd.DataFrame:
    """Blocks in which all `methods` have a number, their columns first."""
    absent = [name for name in methods if name not in table.wide or table.wide[name].isna().all()]
    if absent:
        raise Missing(f"no runs of {', '.join(absent)}")
    return table.wide.dropna(subset=list(methods))


def _rivals(table: Table) -> list[str]:
    _need(table, "robult")
    return [name for name in BASELINES if name in table.wide] or list(_need(table, *BASELINES))


def _grade(agree: pd.Series, universal: bool = False) -> str:
    if len(agree) == 0:
        raise Missing("no block has all the numbers needed")
    return REPRODUCED if agree.all() else PARTLY if agree.mean() > 0.5 and not universal else NOT


def _names(index: pd.Index) -> str:
    more = f" and {len(index) - 4} more" if len(index) > 4 else ""
    return ", ".join(" ".join(block) for block in index[:4]) + more or "none"


def _list(values: pd.Series, form: str = ".3f") -> str:
    return ", ".join(
        f"{name if isinstance(name, str) else ' '.join(name)} {x:{form}}"
        for name, x in values.items()
    )


def _intervals(table: Table, pairs: list[tuple[str, str]]) -> tuple[str, bool]:
    """Where the paired 95 % intervals of a - b lie, in words; True when there are some and all lie above 0."""
    if table.seeds is None:
        return "the table prints no spread over its 3 seeds, so no interval can be formed", False
    bounds = pd.concat(
        [paired(table.seeds, a, b, by=BLOCK)[["low", "high"]] for a, b in pairs]
    ).dropna()
    above, below = int((bounds["low"] > 0).sum()), int((bounds["high"] < 0).sum())
    words = f"of {len(bounds)} paired 95 % intervals {above} lie above 0, {below} below, the rest contain it"
    return words, 0 < above == len(bounds)


def _split(blocks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean of the single modalities and the full set, per data set and metric."""
    is_full = blocks.index.get_level_values("pattern") == "full"
    single = blocks[~is_full].groupby(level=["data_set", "metric"], sort=False).mean()
    return single, blocks[is_full].droplevel("pattern").reindex(single.index)


# --- section 3.3 ------------------------------------------------------------------------------------------------------


def best(table: Table, option: str) -> Finding:
    """Robult has the best mean of all in every block ("exception": in all but one; "intervals": and no paired interval contains 0)."""
    rivals = _rivals(table)
    margin = (table.wide["robult"] - table.wide[rivals].max(axis=1)).dropna()
    behind = margin.index[margin <= 0]
    words, clear = _intervals(table, [("robult", other) for other in rivals])
    grade = _grade(margin > 0, universal=option == "universal")
    if option == "exception" and len(behind) == 1 < len(margin):
        grade = REPRODUCED
    if option == "intervals" and grade == REPRODUCED and not clear:
        grade = PARTLY
    held = len(margin) - len(behind)
    return Finding(
        grade, f"best mean in {held} of {len(margin)} rows (not: {_names(behind)}); {words}"
    )


def correlation_gain(table: Table) -> Finding:
    """The largest relative gain of Corr over the second best is at least 19.8 % and on text."""
    rivals = _rivals(table)
    corr = table.wide[table.wide.index.get_level_values("metric") == "corr"].droplevel("metric")
    second = corr[rivals].max(axis=1)
    gain = (corr["robult"] / second - 1)[second > 0.1].dropna()  # a ratio to less says nothing
    if gain.empty:
        raise Missing("no data set and pattern on which a baseline reaches a Corr of 0.1")
    grade = (
        REPRODUCED
        if gain.idxmax()[1] == "text" and gain.max() >= 0.1975
        else PARTLY
        if gain.max() > 0
        else NOT
    )
    return Finding(grade, f"gain over the second best: {_list(gain, '+.1%')}")


def comparable(table: Table) -> Finding:
    """Full set: Robult is not below Prompt-Trans (printed: by more than 0.01, our reading; ours: no interval lies below 0)."""
    full = _need(table, "robult", "prompt_trans").xs("full", level="pattern", drop_level=False)
    difference = full["robult"] - full["prompt_trans"]
    fine = difference >= -0.01
    if table.seeds is not None:
        bounds = paired(table.seeds, "robult", "prompt_trans", by=BLOCK).set_index(BLOCK)["high"]
        fine = bounds.reindex(full.index).dropna() >= 0
    return Finding(_grade(fine), f"Robult minus Prompt-Trans: {_list(difference, '+.3f')}")


def smallest_gap(table: Table) -> Finding:
    """Full set minus mean of the single modalities is smallest for Robult."""
    single, full = _split(table.wide[[*_rivals(table), "robult"]].dropna())
    gap = (full - single).dropna()
    smallest = gap.idxmin(axis=1) == "robult"
    words = f"smallest on {smallest.sum()} of {len(gap)} sets; mean gap: {_list(gap.mean().sort_values())}"
    return Finding(_grade(smallest), words)


def procedures(blocks: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series, dict[str, pd.DataFrame]]:
    """Complete blocks of the five methods, their mean ranks, and the p values of both procedures by name."""
    blocks = (
        blocks[[name for name in (*BASELINES, "robult") if name in blocks]]
        .dropna(axis=1, how="all")
        .dropna()
    )
    if blocks.shape[1] < 3 or len(blocks) < 2:
        raise Missing(
            f"ranks need 2 blocks of 3 methods, there are {len(blocks)} of {blocks.shape[1]}"
        )
    return (
        blocks,
        mean_ranks(blocks),
        {"Nemenyi": nemenyi(blocks), "Wilcoxon-Holm": wilcoxon_holm(blocks)},
    )


def rank_gap(table: Table) -> Finding:
    """Robult leads the mean ranks and differs from every other method by both procedures; by one only: partly."""
    blocks, ranks, p = procedures(_need(table, "robult"))
    apart = {
        name: [other for other in ranks.index if matrix.loc["robult", other] < LEVEL]
        for name, matrix in p.items()
    }
    passed = [len(others) == len(ranks) - 1 for others in apart.values()]
    grade = (
        NOT
        if ranks.index[0] != "robult" or not any(passed)
        else REPRODUCED
        if all(passed)
        else PARTLY
    )
    words = "; ".join(
        f"{name} separates Robult from {', '.join(others) or 'nobody'}"
        for name, others in apart.items()
    )
    floor = f"smallest p Wilcoxon-Holm can reach {smallest_p(len(ranks), len(blocks)):.2g}"
    return Finding(
        grade, f"mean ranks over {len(blocks)} blocks: {_list(ranks, '.2f')}; {words}; {floor}"
    )


def tied(table: Table) -> Finding:
    """ActionMAE and Prompt-Trans do not differ by either procedure; by one only: partly."""
    blocks, _, p = procedures(_need(table, "action_mae", "prompt_trans"))
    values = pd.Series(
        {name: matrix.loc["action_mae", "prompt_trans"] for name, matrix in p.items()}
    )
    grade = (NOT, PARTLY, REPRODUCED)[int((values >= LEVEL).sum())]
    return Finding(grade, f"p over {len(blocks)} blocks: {_list(values)}")


# --- section 3.4 ------------------------------------------------------------------------------------------------------


def _drops(table: Table, *ablations: str) -> pd.DataFrame:
    """Robult minus each ablation, per block."""
    blocks = _need(table, "robult", *ablations)
    return blocks[list(ablations)].rsub(blocks["robult"], axis=0)


def hurts(table: Table, *options: str) -> Finding:
    """Each of the ablations lowers every number of Robult."""
    ablations = [name for name in options if name in ABLATIONS]
    drop = _drops(table, *ablations).stack()
    words, _ = _intervals(table, [("robult", name) for name in ablations])
    held = (
        f"lower in {(drop > 0).sum()} of {len(drop)} cells (not: {_names(drop.index[drop <= 0])})"
    )
    return Finding(_grade(drop > 0, "universal" in options), f"{held}; {words}")


def poorest(table: Table) -> Finding:
    """Without L_sup the numbers are the lowest of the four ablations, in every cell; not even on average: not."""
    four = _need(table, *ABLATIONS)[list(ABLATIONS)]
    lowest, ranks = four.idxmin(axis=1) == "no_supervised", mean_ranks(four)
    grade = _grade(lowest) if ranks.index[-1] == "no_supervised" else NOT
    return Finding(
        grade,
        f"lowest in {lowest.sum()} of {len(lowest)} cells; mean ranks, 1 is best: {_list(ranks, '.2f')}",
    )


def unimodal_harm(table: Table) -> Finding:
    """Removing L_rec costs single modalities something on average, and more than it costs the full set."""
    single, full = (
        part["no_reconstruction"] for part in _split(_drops(table, "no_reconstruction"))
    )
    pairs = "; ".join(
        f"{' '.join(block)} {single[block]:+.3f} against {full[block]:+.3f}"
        for block in single.index
    )
    return Finding(
        _grade((single > full) & (single > 0)),
        f"drop with one modality against drop with all: {pairs}",
    )


def equal_terms(table: Table) -> Finding:
    """Removing L_lb and removing L_ulb both cost something, neither over twice the other (our reading of "equal")."""
    drop = (
        _drops(table, "no_labeled", "no_unlabeled")
        .groupby(level=["data_set", "metric"], sort=False)
        .mean()
    )
    equal = (drop.min(axis=1) > 0) & (drop.max(axis=1) <= 2 * drop.min(axis=1))
    pairs = "; ".join(
        f"{' '.join(block)} {x:+.3f} and {y:+.3f}"
        for block, (x, y) in zip(drop.index, drop.values, strict=True)
    )
    return Finding(_grade(equal), f"mean drop without L_lb and without L_ulb: {pairs}")


# --- lightweight ------------------------------------------------------------------------------------------------------


def lightweight(table: Table) -> Finding:
    """Fewest parameters and seconds per step of all methods, by mean rank over data sets; in the better half: partly."""
    timed = set() if table.costs is None else set(table.costs["method"])
    if not {"robult"} < timed:
        raise Missing("no timings of runs of Robult and of another method")
    words, places = [], []
    for column in ("parameters", "seconds_per_step"):
        ranks = mean_ranks(
            table.costs.pivot(index="data_set", columns="method", values=column).dropna(), False
        )
        words.append(f"mean rank by {column.replace('_', ' ')}: {_list(ranks, '.1f')}")
        places.append(ranks.index.get_loc("robult") / (len(ranks) - 1))
    return Finding(
        REPRODUCED if max(places) == 0 else PARTLY if max(places) < 0.5 else NOT, "; ".join(words)
    )


def linear_growth(table: Table) -> Finding:
    """Parameters of Robult with 1 to 6 modalities of 64 features, counted on models built here: equal increments."""
    from robult_core.methods import make_method
    from robult_core.tasks import Classification

    shapes = [{f"m{i}": (64,) for i in range(count)} for count in range(1, 7)]
    models = [make_method("robult", Classification(10), one) for one in shapes]
    counts = [sum(part.numel() for part in model.parameters()) for model in models]
    words = f"{', '.join(f'{count:,}' for count in counts)} parameters with 1 to 6 modalities"
    return Finding(_grade(pd.Series(np.diff(counts, 2) == 0)), words)


# --- all claims -------------------------------------------------------------------------------------------------------


def claims() -> pd.DataFrame:
    """The claims: id, section, quote, test (a function above), options, table of the paper (0: none), sets it speaks of, metric."""
    return pd.read_csv(
        files("robult_study").joinpath("results/paper/claims.csv"),
        keep_default_na=False,
        dtype={"section": str},
    )


def judge(claim, table: Table) -> Finding:
    """Grade of one row of `claims` on one table."""
    try:
        return globals()[claim.test](table, *filter(None, claim.options.split(";")))
    except Missing as error:
        return Finding(MISSING, str(error))


def printed(claim) -> Finding:
    """Grade on the paper's own numbers."""
    if not claim.table:
        return Finding(MISSING, "the paper prints no number for it")
    rows = tables.paper_table(claim.table)
    return judge(
        claim,
        Table(tables.wide(tables.oriented(rows[rows["data_set"].isin(claim.sets.split(";"))]))),
    )


def on_runs(claim, rows: pd.DataFrame, costs: pd.DataFrame | None, paper: bool) -> Finding:
    """Grade on runs (`tables.paper_rows`): over the paper's own sets, or over all others but the synthetic ones."""
    kind = tables.kinds(rows)
    rows = (
        rows[(kind == "regression") == (claim.table == 1)]
        if claim.table in (1, 2) and not claim.metric
        else rows
    )
    sets = claim.sets.split(";") if claim.sets else list(PAPER_SETS.values())
    own = rows["data_set"].map(PAPER_SETS)
    chosen = rows[own.isin(sets) if paper else own.isna() & ~rows["data_set"].str.startswith("pid")]
    if paper and chosen.empty:
        lacking = [f"{name} ({_file(key)})" for key, name in PAPER_SETS.items() if name in sets]
        return Finding(MISSING, f"file missing: {', '.join(lacking)}")
    chosen = chosen[chosen["metric"] == claim.metric] if claim.metric else tables.measured(chosen)
    some = costs if costs is None else costs[costs["data_set"].isin(chosen["data_set"])]
    return judge(claim, Table(tables.wide(tables.oriented(chosen)), tables.oriented(chosen), some))


def _file(key: str) -> str:
    from robult_core.datasets import CATALOGUE

    return ", ".join(CATALOGUE[key].missing()) or "there, but not run"


def at_hand(
    store: Store, data_sets: Sequence[str], seeds: Sequence[int], steps: int
) -> pd.DataFrame:
    """`run_grid`'s table of the runs of notebooks 04 (all methods) and 06 (the four ablations) that the store already has."""
    wanted = tables.configs(data_sets, seeds, steps) + ablations.configs(
        ablations.TERMS, data_sets, seeds, steps
    )
    _, keyed = study.keys(wanted)
    absent = study.missing(keyed, store)
    found = [study.frame(store.get(key), config) for key, config in keyed if key not in absent]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def claims_table(results: pd.DataFrame, costs: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per claim: id, section, quote, and for each of `PLACES` the grade and, as `…_evidence`, the numbers."""
    rows, table = tables.paper_rows(results), []
    for claim in claims().itertuples():
        found = [printed(claim), *(on_runs(claim, rows, costs, paper) for paper in (True, False))]
        row = {"id": claim.id, "section": claim.section, "quote": claim.quote}
        for place, finding in zip(PLACES, found, strict=True):
            row |= {place: finding.grade, f"{place}_evidence": finding.evidence}
        table.append(row)
    return pd.DataFrame(table)


def write_claims(
    results: pd.DataFrame, path: str | Path, costs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Write all claims, grades and evidence as markdown; returns `claims_table`."""
    table, rows = claims_table(results, costs), tables.paper_rows(results)
    grades = table[["id", "section", "quote", *PLACES]].rename(columns=PLACES).set_index("id")
    about = f"Data at hand: {_data_at_hand(rows)}."
    text = [
        "# Claims of the paper, tested",
        (__doc__ or "").strip(),
        about,
        tables.to_markdown(grades),
    ]
    for row in table.itertuples():
        text.append(f"## {row.id}\n\n> {row.quote} (section {row.section})")
        found = {
            words: (getattr(row, key), getattr(row, f"{key}_evidence"))
            for key, words in PLACES.items()
        }
        text.append(
            "\n".join(
                f"- {words}: **{grade}**. {evidence}" for words, (grade, evidence) in found.items()
            )
        )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n\n".join(text) + "\n", encoding="utf-8")
    return table


def _data_at_hand(rows: pd.DataFrame) -> str:
    sets = ", ".join(dict.fromkeys(rows["data_set"])) or "no runs"
    return f"{sets}; {rows['seed'].nunique()} seeds, 5 % labels; synthetic sets (`pid`) are not used for grades"
