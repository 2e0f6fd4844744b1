"""What graders share: a table of blocks x methods, grades, and evidence in words.

A statement about many cells is "reproduced" where all agree, "partly" where more than half do, else
"not"; one that says "any" or "all" falls at the first counter-example; "missing" names what the
table lacks. In a statement about what holds on data sets each of them has the same weight,
however many metrics it has; one about the best numbers of a table counts its rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from robult_study.results.intervals import paired
from robult_study.results.layout import listed
from robult_study.results.tables import BASELINES, BLOCK, wide

REPRODUCED, PARTLY, NOT, MISSING = "reproduced", "partly", "not", "missing"
NO_BLOCK = "no block has all the numbers needed"
MEAN = "mean"  # the pattern of `over_patterns`
SHOWN = 4  # blocks that an evidence names before it counts the others


class Missing(ValueError):
    """What a claim needs and the table lacks; the message names it."""


class Finding(NamedTuple):
    """A grade and the numbers behind it."""

    grade: str
    evidence: str


NOTHING = pd.DataFrame()


class Table(NamedTuple):
    """What a claim is put to, each part of it empty where there is none; higher is better."""

    wide: pd.DataFrame = NOTHING  # blocks x methods, `tables.wide` of oriented rows
    seeds: pd.DataFrame | None = None  # the rows themselves; the paper prints none
    costs: pd.DataFrame = NOTHING  # `costs.costs`
    pairs: pd.DataFrame = NOTHING  # `detection.judged_runs`
    steps: pd.DataFrame = NOTHING  # `costs.benchmarked_steps`
    aligned: pd.DataFrame = NOTHING  # `pid_estimates.kept_by_alignment`
    example: pd.DataFrame = NOTHING  # `pid_estimates.resolved`
    learned: pd.DataFrame = NOTHING  # `pid_estimates.learned` of several seeds


def blocks_with(table: Table, *methods: str) -> pd.DataFrame:
    """Blocks in which all `methods` have a number."""
    absent = [name for name in methods if name not in table.wide or table.wide[name].isna().all()]
    if absent:
        raise Missing(f"no runs of {', '.join(absent)}")
    return table.wide.dropna(subset=list(methods))


def rivals_of(table: Table) -> list[str]:
    """The paper's other methods, as far as the table has them; Robult must be there too."""
    blocks_with(table, "robult")
    rivals = [name for name in BASELINES if name in table.wide]
    if not rivals:
        raise Missing(f"no runs of {', '.join(BASELINES)}")
    return rivals


def grade_cells(agree: pd.Series) -> str:
    """The grade of a statement about many cells.

    Raises Missing where there is no cell.
    """
    if len(agree) == 0:
        raise Missing(NO_BLOCK)
    if agree.all():
        return REPRODUCED
    return PARTLY if agree.mean() > 0.5 else NOT


def grade_sets(agree: pd.Series) -> str:
    """The grade of a statement about data sets, whose cells are `agree`.

    Every cell counts for "reproduced"; for "more than half" each data set has the same weight.
    """
    grade = grade_cells(agree)
    if grade == REPRODUCED:
        return grade
    return PARTLY if share_of_sets(agree) > 0.5 else NOT


def share_of_sets(agree: pd.Series) -> float:
    """The share of cells that agree, each data set with the same weight."""
    return float(agree.groupby(level="data_set").mean().mean())


def share_words(agree: pd.Series) -> str:
    """In how many cells a statement holds, and what share that is."""
    return (
        f"holds in {agree.sum()} of {len(agree)} cells, "
        f"{share_of_sets(agree):.0%} with the same weight for each data set"
    )


def grade_every_cell(agree: pd.Series) -> str:
    """The grade of a statement that says "any" or "all"."""
    return REPRODUCED if grade_cells(agree) == REPRODUCED else NOT


# Numbers -----------------------------------------------------------------------------------------


def robults_lead(table: Table) -> pd.Series:
    """Robult minus the best of the other methods, per block."""
    rivals = table.wide[rivals_of(table)].max(axis=1)
    return (table.wide["robult"] - rivals).dropna()


def drops_without(table: Table, *ablations: str) -> pd.DataFrame:
    """Robult minus each ablation, per block."""
    blocks = blocks_with(table, "robult", *ablations)
    if blocks.empty:
        raise Missing(NO_BLOCK)
    return blocks[list(ablations)].rsub(blocks["robult"], axis=0)


def over_patterns(table: Table, *methods: str) -> Table:
    """The table of some methods with one block per data set and metric, the mean over patterns.

    A pattern in which one of them has no number counts for none, and neither does a seed: some
    variants have fewer seeds than Robult.
    """
    blocks = blocks_with(table, *methods)[list(methods)]
    if table.seeds is None:
        return Table(_mean_blocks(blocks))
    complete = table.seeds.set_index(BLOCK).index.isin(blocks.index)
    rows = table.seeds[complete & table.seeds["method"].isin(methods)]
    rows = rows[rows.groupby([*BLOCK, "seed"])["method"].transform("nunique") == len(methods)]
    columns = ["data_set", "metric", "method", "seed"]
    values = rows.groupby(columns, sort=False)["value"].mean().reset_index()
    return Table(_mean_blocks(wide(rows)[list(methods)]), values.assign(pattern=MEAN))


def _mean_blocks(blocks: pd.DataFrame) -> pd.DataFrame:
    """One block per data set and metric: the mean over its patterns."""
    means = blocks.groupby(level=["data_set", "metric"], sort=False).mean()
    return means.assign(pattern=MEAN).set_index("pattern", append=True).reorder_levels(BLOCK)


def lowered(table: Table, ablation: str) -> pd.Series:
    """Which blocks an ablation lowers.

    None where there are intervals over seeds and no more of them lie above 0 than below, because
    then the signs are those of noise.
    """
    drop = drops_without(table, ablation)[ablation]
    return (drop > 0) & mostly_for(interval_bounds(table, [("robult", ablation)]))


def mostly_for(bounds: pd.DataFrame | None) -> bool:
    """Whether more intervals lie above 0 than below; True where there is none, as in print."""
    if bounds is None or bounds.empty:
        return True
    return bool((bounds["low"] > 0).sum() > (bounds["high"] < 0).sum())


def single_and_full(blocks: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean of the single modalities, and the full set, per data set and metric."""
    is_full = blocks.index.get_level_values("pattern") == "full"
    single = blocks[~is_full].groupby(level=["data_set", "metric"], sort=False).mean()
    full = blocks[is_full].droplevel("pattern").reindex(single.index)
    return single, full


# Evidence ----------------------------------------------------------------------------------------


def rival_pairs(table: Table) -> list[tuple[str, str]]:
    """Robult against each of the other methods."""
    return [("robult", name) for name in rivals_of(table)]


def interval_bounds(table: Table, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame | None:
    """Ends of the paired intervals of a - b, per block; None where there are no seeds to pair."""
    if table.seeds is None:
        return None
    intervals = [paired(table.seeds, a, b, by=BLOCK)[["low", "high"]] for a, b in pairs]
    return pd.concat(intervals).dropna()


def mostly_above(bounds: pd.DataFrame | None) -> bool:
    """Whether there are intervals and more than half of them lie above 0."""
    return bounds is not None and len(bounds) > 0 and bool((bounds["low"] > 0).mean() > 0.5)


def interval_words(bounds: pd.DataFrame | None) -> str:
    """Where the intervals lie."""
    if bounds is None:
        return "no intervals: the printed table gives no spread over its 3 seeds"
    above = (bounds["low"] > 0).sum()
    below = (bounds["high"] < 0).sum()
    return (
        f"of {len(bounds)} paired 95 % intervals {above} lie above 0, {below} below, "
        "the rest contain it"
    )


def best_evidence(table: Table, margin: pd.Series) -> str:
    """Where Robult leads; margin: `robults_lead`."""
    behind = margin.index[margin <= 0]
    held = len(margin) - len(behind)
    words = interval_words(interval_bounds(table, rival_pairs(table)))
    return f"best mean in {held} of {len(margin)} rows (not: {block_words(behind)}); {words}"


def drop_evidence(table: Table, drop: pd.Series, ablations: list[str]) -> str:
    """Where numbers are lower; drop: `drops_without`, stacked."""
    words = interval_words(interval_bounds(table, [("robult", name) for name in ablations]))
    not_lower = block_words(drop.index[drop <= 0])
    return f"lower in {(drop > 0).sum()} of {len(drop)} cells (not: {not_lower}); {words}"


def block_words(index: pd.Index) -> str:
    """The first blocks by name and how many more there are."""
    more = f" and {len(index) - SHOWN} more" if len(index) > SHOWN else ""
    return listed(" ".join(block) for block in index[:SHOWN]) + more


def pair_words(first: pd.Series, second: pd.Series, between: str, form: str) -> str:
    """Two numbers of each block in a sentence, with a word between them."""
    pairs = [
        f"{' '.join(block)} {first[block]:{form}} {between} {second[block]:{form}}"
        for block in first.index
    ]
    return "; ".join(pairs)


def number_words(values: pd.Series, form: str = ".3f") -> str:
    """Names and numbers in a sentence."""
    words = []
    for name, value in values.items():
        label = name if isinstance(name, str) else " ".join(name)
        words.append(f"{label} {value:{form}}")
    return listed(words)
