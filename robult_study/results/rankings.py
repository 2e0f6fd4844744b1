"""Mean ranks of the methods: the last tables of notebook 04, and the diagrams of notebook 05.

Both leave out synthetic data, which are made so that a chosen kind of information is there, unless
they are asked for (`synthetic`, for the smoke profile).
"""

from __future__ import annotations

import pandas as pd

from robult_study.results.intervals import LEVEL, summarize
from robult_study.results.layout import interval_table, listed
from robult_study.results.metrics import oriented, primary, without_synthetic
from robult_study.results.ranks import (
    Procedures,
    critical_difference,
    friedman,
    mean_ranks,
    pairs_apart,
    ranks,
    smallest_p,
)
from robult_study.results.tables import BLOCK, COLUMNS, COMPARED, paper_rows, paper_table, wide

COMPARED_LIST = list(COMPARED)
WITH_LINEAR = [*COMPARED, "linear"]


def ranked_blocks(results: pd.DataFrame, synthetic: bool = False) -> pd.DataFrame:
    """The first metric, higher is better, in blocks that five methods and the linear row have."""
    rows = primary(paper_rows(results))
    if not synthetic:
        rows = without_synthetic(rows)
    return wide(rows)[WITH_LINEAR].dropna()


def mean_rank_table(blocks: pd.DataFrame) -> pd.DataFrame:
    """Mean ranks over all blocks, single modalities and full sets, beside the paper's Table 2.

    blocks: `ranked_blocks`. The best method over all blocks comes first.
    """
    views = {
        "all": blocks,
        "single": blocks.drop("full", level="pattern"),
        "full": blocks.xs("full", level="pattern"),
    }
    columns = {}
    for name, view in views.items():
        columns[f"{name} ({len(view)} blocks)"] = mean_ranks(view[COMPARED_LIST])
    table = pd.DataFrame(columns)
    table["with the linear row"] = mean_ranks(blocks)
    printed = printed_blocks()
    table[f"paper's Table 2 ({len(printed)} blocks)"] = mean_ranks(printed[COMPARED_LIST])
    return table.sort_values(table.columns[0]).rename_axis("method")


def printed_blocks() -> pd.DataFrame:
    """The paper's Table 2, which stands in for the F1 values behind its Figure 5."""
    return wide(oriented(paper_table(2)))


def ranks_by_set(blocks: pd.DataFrame) -> pd.DataFrame:
    """Mean rank of the five methods on each data set; blocks: `ranked_blocks`."""
    return ranks(blocks[COMPARED_LIST]).groupby(level="data_set", sort=False).mean()


def place_sentences(blocks: pd.DataFrame) -> list[str]:
    """Who is first over all blocks, where Robult is, and where it leads."""
    means = mean_ranks(blocks[COMPARED_LIST])
    place = means.rank()["robult"]
    by_set = ranks_by_set(blocks)
    leads = by_set.index[by_set.idxmin(axis=1) == "robult"]
    return [
        f"First over all blocks: {means.index[0]}. Robult's place: {place:.0f} of {len(means)}.",
        f"Robult leads on: {listed(leads, 'no set')}",
    ]


# Figure 5 ----------------------------------------------------------------------------------------


def f1_rows(results: pd.DataFrame, synthetic: bool = False) -> pd.DataFrame:
    """The macro F1 of every method, single modality and full set; of a score, that of its sign."""
    rows = paper_rows(results)
    rows = rows[rows["metric"] == "f1_macro"]
    return rows if synthetic else without_synthetic(rows)


def f1_table(rows: pd.DataFrame, blocks: pd.DataFrame) -> pd.DataFrame:
    """Mean and interval of the numbers behind `blocks`, as text; rows: `f1_rows`."""
    table = interval_table(summarize(rows, [*BLOCK, "method"]), BLOCK, "method")
    return table.loc[blocks.index, blocks.columns]


def per_set(blocks: pd.DataFrame) -> pd.DataFrame:
    """One value per data set, the mean over its patterns.

    Blocks of one data set share test samples and labels, so this is the honest count.
    """
    return blocks.groupby(level="data_set", sort=False).mean()


def friedman_sentence(blocks: pd.DataFrame) -> str:
    """Friedman's test in words."""
    test = friedman(blocks)
    return (
        f"Friedman: chi2 {test['chi2']:.2f}, p {test['p']:.1e}; Iman-Davenport F {test['f']:.2f}; "
        f"critical difference {test['cd']:.2f} over {test['blocks']} blocks"
    )


def order_words(means: pd.Series) -> str:
    """Mean ranks in words, best first."""
    return listed(f"{COLUMNS[name]} {rank:.2f}" for name, rank in means.items())


def separation_sentences(tested: Procedures) -> list[str]:
    """What the two procedures could separate at the most, and what they do separate."""
    n_methods, n_blocks = len(tested.ranks), len(tested.blocks)
    counts = [f"{name} {pairs_apart(p)}" for name, p in tested.p.items()]
    return [
        f"critical difference {critical_difference(n_methods, n_blocks):.2f}, "
        f"smallest p of Wilcoxon-Holm {smallest_p(n_methods, n_blocks):.2f}",
        f"pairs separated at {LEVEL:g}: {listed(counts)}",
    ]
