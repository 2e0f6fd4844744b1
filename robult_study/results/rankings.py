"""Mean ranks of the methods: the last tables of notebook 04, and the diagrams of notebook 05.

Both leave out synthetic data, which are made so that a chosen kind of information is there, unless
they are asked for (`synthetic`, for the smoke profile).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from robult_study.results.intervals import LEVEL, summarize, with_interval
from robult_study.results.layout import interval_table, laid_out, listed
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
from robult_study.results.tables import (
    BLOCK,
    COLUMNS,
    CONTENDERS,
    CONTROLS,
    paper_rows,
    paper_table,
    wide,
)

P_AGAINST_ROBULT = {  # the heading of a column -> its procedure
    "p against Robult, Nemenyi": "Nemenyi",
    "p against Robult, Wilcoxon-Holm": "Wilcoxon-Holm",
}
WITHIN = "within seeds, "  # before the name of a view


def ranked_blocks(results: pd.DataFrame, synthetic: bool = False) -> pd.DataFrame:
    """The first metric, higher is better, in blocks that every contender and control has.

    A method without any run is left out.
    """
    rows = primary(paper_rows(results))
    if not synthetic:
        rows = without_synthetic(rows)
    table = wide(rows)
    return table[[name for name in (*CONTENDERS, *CONTROLS) if name in table]].dropna()


def contenders(blocks: pd.DataFrame) -> pd.DataFrame:
    """The blocks without the controls, which stand near a contender and would shift its rank."""
    return blocks[[name for name in CONTENDERS if name in blocks]]


def mean_rank_table(blocks: pd.DataFrame) -> pd.DataFrame:
    """Mean ranks over all blocks, single modalities, full sets and data sets.

    blocks: `ranked_blocks`. Beside them all blocks with the controls, and the paper's Table 2. The
    best method over all blocks comes first.
    """
    compared = contenders(blocks)
    printed = printed_blocks()
    views = {
        "all blocks": compared,
        "one modality": compared.drop("full", level="pattern"),
        "every modality": compared.xs("full", level="pattern"),
        "one value per set": per_set(compared),
        "all blocks, with controls": blocks,
        "paper's Table 2": printed,
    }
    columns = {f"{name} ({len(view)})": mean_ranks(view) for name, view in views.items()}
    return pd.DataFrame(columns).sort_values(next(iter(columns))).rename_axis("method")


def seed_ranks(results: pd.DataFrame, synthetic: bool = False) -> pd.DataFrame:
    """The rank of each contender in every block of every seed: `BLOCK`, method, seed, value.

    The blocks are those of `ranked_blocks`.
    """
    return _ranks_within(_seed_blocks(results, synthetic))


def seed_ranks_per_set(results: pd.DataFrame, synthetic: bool = False) -> pd.DataFrame:
    """The same with one value per data set: data_set, method, seed, value."""
    blocks = _seed_blocks(results, synthetic)
    return _ranks_within({seed: per_set(own) for seed, own in blocks.items()})


def _seed_blocks(results: pd.DataFrame, synthetic: bool) -> dict[int, pd.DataFrame]:
    return _complete(results, lambda own: contenders(ranked_blocks(own, synthetic)))


def _complete(
    rows: pd.DataFrame, blocks_of: Callable[[pd.DataFrame], pd.DataFrame]
) -> dict[int, pd.DataFrame]:
    """The blocks of each seed; blocks_of: from rows to blocks x methods.

    A seed that lacks a block or a method is left out, because its ranks could not be compared with
    those of the others.
    """
    shape = blocks_of(rows).shape
    found = {seed: blocks_of(own) for seed, own in rows.groupby("seed", sort=False)}
    return {seed: blocks for seed, blocks in found.items() if blocks.shape == shape}


def _ranks_within(blocks: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Ranks within each seed: the index of its blocks, method, seed, value."""
    if not blocks:
        return pd.DataFrame(columns=[*BLOCK, "method", "seed", "value"])
    tables = {
        seed: ranks(own).rename_axis(columns="method").stack() for seed, own in blocks.items()
    }
    return pd.concat(tables, names=["seed"]).rename("value").reset_index()


def with_seed_spread(
    table: pd.DataFrame, by_seed: pd.DataFrame, set_by_seed: pd.DataFrame
) -> pd.DataFrame:
    """`mean_rank_table` with the mean rank within a seed behind each of its first four columns.

    It is text with its interval over the seeds, in a column such as "within seeds, one modality".
    by_seed: `seed_ranks`; set_by_seed: `seed_ranks_per_set`.
    """
    is_full = by_seed["pattern"] == "full"
    parts = [by_seed, by_seed[~is_full], by_seed[is_full], set_by_seed]
    wide = table.copy()
    for name, part in zip(table.columns[: len(parts)], parts, strict=True):
        text = _within_seeds(table[name], part)
        wide.insert(wide.columns.get_loc(name) + 1, f"{WITHIN}{name.split(' (')[0]}", text)
    return wide


def _within_seeds(means: pd.Series, by_seed: pd.DataFrame) -> pd.Series:
    """The mean rank within a seed with its interval over the seeds, as text.

    Where no seed has all blocks it is the rank of the means without an interval; means: those.
    """
    spread = _half(by_seed, ["method"]).set_index("method").reindex(means.index)
    return with_interval(spread["mean"].fillna(means), spread["half"], digits=2)


def _half(by_seed: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The interval over seeds of the mean rank within a seed; by_seed: `seed_ranks`."""
    means = by_seed.groupby([*by, "seed"], sort=False)["value"].mean().reset_index()
    return summarize(means, by)


def printed_blocks() -> pd.DataFrame:
    """The paper's Table 2, which stands in for the F1 values behind its Figure 5."""
    return wide(oriented(paper_table(2)))


def ranks_by_set(blocks: pd.DataFrame) -> pd.DataFrame:
    """Mean rank of the contenders on each data set; blocks: `ranked_blocks`."""
    return ranks(contenders(blocks)).groupby(level="data_set", sort=False).mean()


def ranks_by_set_table(blocks: pd.DataFrame, by_seed: pd.DataFrame) -> pd.DataFrame:
    """The mean rank within a seed on each data set, as text with its interval over the seeds.

    Where no seed has all blocks it is `ranks_by_set`, without an interval.
    """
    means = ranks_by_set(blocks).stack().rename("rank").reset_index()
    by = ["data_set", "method"]
    both = means.merge(_half(by_seed, by), how="left", on=by)
    centre = both["mean"].fillna(both["rank"])
    text = with_interval(centre, both["half"], digits=2)
    return laid_out(both.assign(text=text), ["data_set"], "method")


def place_sentences(blocks: pd.DataFrame) -> list[str]:
    """Who is first in each of the four rankings, and where Robult and its variant lead."""
    table = mean_rank_table(blocks).loc[list(contenders(blocks))]
    firsts = [f"{view}: {COLUMNS[table[view].idxmin()]}" for view in table.columns[:4]]
    by_set = ranks_by_set(blocks)
    is_best = by_set.eq(by_set.min(axis=1), axis=0)
    is_shared = is_best.sum(axis=1) > 1
    sentences = [f"First by mean rank over {'; '.join(firsts)}."]
    for name in ("robult", "robult_distilled"):
        led = by_set.index[is_best[name]] if name in is_best else []
        sets = [f"{data_set} (shared)" if is_shared[data_set] else data_set for data_set in led]
        sentences.append(f"{COLUMNS[name]} leads on {listed(sets, 'no set')}.")
    return sentences


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

    Blocks of one data set share test samples and labels, so they are no independent observations.
    """
    return blocks.groupby(level="data_set", sort=False).mean()


def per_set_table(sets: Procedures, rows: pd.DataFrame, blocks: pd.DataFrame) -> pd.DataFrame:
    """Mean ranks with one value per data set, of the means and within a seed, and p against Robult.

    The second is text with its interval over the seeds. sets: `procedures` of `per_set`; rows:
    `f1_rows`; blocks: those of the diagram.
    """

    def own_blocks(own: pd.DataFrame) -> pd.DataFrame:
        return wide(own).reindex(index=blocks.index, columns=blocks.columns).dropna()

    complete = _complete(rows, own_blocks)
    by_seed = _ranks_within({seed: per_set(own) for seed, own in complete.items()})
    table = sets.ranks.rename("mean rank").to_frame()
    table["within seeds"] = _within_seeds(sets.ranks, by_seed)
    for heading, procedure in P_AGAINST_ROBULT.items():
        p = sets.p[procedure].loc["robult"].reindex(table.index)
        table[heading] = p.mask(table.index == "robult")
    return table


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


def separation_title(tested: Procedures, names: Mapping[str, str] = COLUMNS) -> str:
    """The method with the best mean rank, and from how many others each procedure separates it."""
    first = tested.ranks.index[0]
    n_others = len(tested.ranks) - 1
    counts = {name: int((p[first].drop(first) < LEVEL).sum()) for name, p in tested.p.items()}
    (procedure, apart), *others = counts.items()
    title = f"{procedure} tells {names[first]} apart from {apart} of {n_others} others"
    return title + "".join(f", {name} from {count}" for name, count in others)


def separation_sentences(tested: Procedures) -> list[str]:
    """What the two procedures could separate at the most, and what they do separate."""
    n_methods, n_blocks = len(tested.ranks), len(tested.blocks)
    counts = [f"{name} {pairs_apart(p)}" for name, p in tested.p.items()]
    return [
        f"critical difference {critical_difference(n_methods, n_blocks):.2f}, "
        f"smallest p of Wilcoxon-Holm {smallest_p(n_methods, n_blocks):.2g}",
        f"pairs separated at {LEVEL:g}: {listed(counts)}",
    ]
