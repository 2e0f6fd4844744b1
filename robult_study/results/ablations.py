"""What the losses and switches of Robult change: the tables of notebook 06.

A *change* is a variant minus Robult's defaults, paired by seed; errors are negated, so that above 0
the variant is better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from robult_study.results.intervals import LEVEL, changes, count_verdicts_and_holm, summarize
from robult_study.results.layout import (
    interval_table,
    laid_out,
    listed,
    most_often,
    star_table,
    with_half_columns,
)
from robult_study.results.metrics import measured, only_first, oriented
from robult_study.results.scores import FUSED, SINGLE, VIEWS, scores
from robult_study.results.tables import BLOCK, OTHER, paper_rows, paper_table, wide
from robult_study.results.variants import ABLATIONS, DEFAULT, LABELED_ONLY, NO_CONTRAST, narrow

TERM_NAMES = {  # the columns of Table 3
    "gmc": "GMC",
    "robult": "Robult",
    "no_supervised": "(1) no L_sup",
    "no_reconstruction": "(2) no L_rec",
    "no_labeled": "(3) no L_lb",
    "no_unlabeled": "(4) no L_ulb",
}
LINEAR_MAPS = "linear (default)"
SMALL_CHANGE = 0.02  # a switch whose intervals lie within this of 0 cannot matter much


# Table 3 -----------------------------------------------------------------------------------------


def table3(results: pd.DataFrame) -> pd.DataFrame:
    """Table 3 as printed and, in a block of its own, ours on other features, as text."""
    printed = wide(paper_table(3)).map("{:.3f}".format)
    rows = measured(paper_rows(results))
    ours = interval_table(summarize(rows, [*BLOCK, "method"]), BLOCK, "method")
    both = pd.concat({"paper": printed, OTHER: ours}, names=["block"])
    present = [name for name in TERM_NAMES if name in both]
    return both[present].rename(columns=TERM_NAMES)


def term_changes(results: pd.DataFrame) -> pd.DataFrame:
    """Each ablation minus Robult on the paper's metrics; `without` is the name of the loss."""
    rows = oriented(measured(paper_rows(results)))
    table = changes(rows[rows["method"] != "gmc"], "robult", BLOCK, "method")
    return table.assign(without=table["method"].map(TERM_NAMES))


def answers(changed: pd.DataFrame) -> pd.DataFrame:
    """Whether each loss is needed on each data set, by its first metric; changed: `term_changes`.

    A loss is needed where some pattern is clearly worse without it and none clearly better. "Better
    without" is the other way round, however small the difference is.
    """
    groups = only_first(changed).groupby(["data_set", "without"], sort=False)
    rows = {group: _answer(rows) for group, rows in groups}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["data_set", "without"])


def with_halves(answered: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """`answers` with a column "± one modality" and "± full" behind the two mean changes.

    They are half of the 95 % interval over the seeds of the paired change.
    """
    runs = results[results["tag"].isin([DEFAULT.name, *ABLATIONS])]
    changed = changes(scores(runs), DEFAULT.name, ["data_set", "view"], "tag")
    changed["without"] = changed["tag"].map(TERM_NAMES)
    halves = laid_out(changed, list(answered.index.names), "view", "half")
    return with_half_columns(answered, {"one modality": halves[SINGLE], "full": halves[FUSED]})


def terms_title(changed: pd.DataFrame) -> str:
    """In how many places Robult is clearly worse without each loss; changed: `term_changes`."""
    is_worse = changed["verdict"].eq("worse").groupby(changed["without"], sort=False)
    counts = is_worse.agg(["sum", "size"])
    numbers = [
        f"without {name.split()[-1]} in {worse} of {places}"
        for name, worse, places in counts.itertuples()
    ]
    return f"Clearly worse {listed(numbers)} places"


def _answer(rows: pd.DataFrame) -> dict[str, object]:
    full = rows["pattern"] == "full"
    places = rows["pattern"].mask(full, "all")
    worse = list(places[rows["verdict"] == "worse"])
    better = list(places[rows["verdict"] == "better"])
    return {
        "the term is": _need(bool(worse), bool(better)),
        "one modality": rows.loc[~full, "difference"].mean(),
        "full": rows.loc[full, "difference"].mean(),
        "clearly worse": ", ".join(worse),
        "clearly better": ", ".join(better),
    }


def _need(worse: bool, better: bool) -> str:
    if worse and better:
        return "mixed"
    if worse:
        return "needed"
    return "better without" if better else "not shown to matter"


def most_needed_sentence(changed: pd.DataFrame) -> str:
    """The losses by what their removal costs; changed: `term_changes`."""
    means = only_first(changed).groupby(["data_set", "without"], sort=False)["difference"].mean()
    table = means.unstack()
    places = table.rank(axis=1).mean().sort_values()
    ranked = [f"{name} {place:.1f}" for name, place in places.items()]
    return (
        f"mean rank over {len(table)} sets by what removal costs (1: most needed): {listed(ranked)}"
    )


def felt_sentence(answered: pd.DataFrame) -> str:
    """Where losing L_rec costs one modality more than it costs all; answered: `answers`."""
    rows = answered.xs(TERM_NAMES["no_reconstruction"], level="without")
    single = rows["one modality"]
    felt = rows.index[(single < rows["full"]) & (single < 0)]
    return (
        "the loss of L_rec is felt more with one modality than with all, in the mean, "
        f"on {len(felt)} of {len(rows)} sets: {listed(felt)}"
    )


# L_rec, and what L_lb alone does -----------------------------------------------------------------


def reconstruction_effect(
    results: pd.DataFrame, data_set: str, units: Iterable[int]
) -> pd.DataFrame:
    """With minus without L_rec on one data set, for linear maps and narrow ones of `units`."""
    own = results[(results["data_set"] == data_set) & (results["method"] == "robult")]
    rows = scores(own)
    pairs = {LINEAR_MAPS: (DEFAULT.name, "no_reconstruction")}
    for count in units:
        with_loss, without_loss = narrow(count)
        pairs[f"bottleneck {count}"] = (with_loss.name, without_loss.name)
    tables = []
    for maps, pair in pairs.items():
        effect = changes(rows[rows["tag"].isin(pair)], pair[1], ["data_set", "view"], "tag")
        tables.append(effect.assign(maps=maps))
    return pd.concat(tables, ignore_index=True)


def moved_sentences(effect: pd.DataFrame) -> list[str]:
    """Which numbers L_rec moves; effect: `reconstruction_effect`."""
    moved = effect[effect["verdict"] != "undecided"]
    names = [f"{row.maps}, {row.view} ({row.verdict})" for row in moved.itertuples()]
    return [
        decided_sentence(effect),
        f"L_rec moves: {listed(names, 'nothing that these seeds can see')}",
    ]


def labeled_term_alone(results: pd.DataFrame, data_set: str) -> pd.DataFrame:
    """L_lb alone minus no contrastive term at all, for one modality: a row per reading 24."""
    rows = scores(results[results["data_set"] == data_set])
    tags = ("no_unlabeled", LABELED_ONLY.name, NO_CONTRAST.name)
    chosen = rows[(rows["view"] == SINGLE) & rows["tag"].isin(tags)]
    return changes(chosen, NO_CONTRAST.name, ["data_set", "view"], "tag")


# Switches ----------------------------------------------------------------------------------------


def switch_changes(
    scored: pd.DataFrame, groups: Mapping[str, str], base: str = DEFAULT.name
) -> pd.DataFrame:
    """Each variant of `groups` (name -> group) minus the one named `base`, per data set and view.

    A line that was not run is there with missing numbers, so that a figure keeps its place.
    """
    by = ["data_set", "view", "tag"]
    table = changes(scored, base, by[:2], "tag").set_index(by)
    lines = pd.MultiIndex.from_product([scored["data_set"].unique(), VIEWS, groups], names=by)
    table = table.reindex(lines).reset_index()
    return table.assign(group=table["tag"].map(groups))


def with_fusion(scored: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """`scores` of runs, and those of the rules of late fusion that act after training."""
    return pd.concat([scored, others], ignore_index=True)


def switch_table(changed: pd.DataFrame) -> pd.DataFrame:
    """`switch_changes` as text, a row per variant and view, a column per data set."""
    known = changed.dropna(subset="difference")
    order = known["tag"].drop_duplicates()
    place = known["tag"].map(dict(zip(order, range(len(order)), strict=True)))
    ordered = known.loc[place.sort_values(kind="stable").index]
    columns = known["data_set"].unique()
    return star_table(ordered, ["group", "tag", "view"], "data_set", columns)


def matters(changed: pd.DataFrame) -> pd.DataFrame:
    """Verdicts of each variant, counted over data sets and views, and its extreme changes.

    The columns ending in "Holm" count verdicts corrected over all rows of `switch_changes`.
    """
    known = changed.dropna(subset="difference")
    counts = count_verdicts_and_holm(known, ["tag"])
    extremes = known.groupby("tag", sort=False)["difference"].agg(lowest="min", highest="max")
    return counts.join(extremes)


def kinds(changed: pd.DataFrame, bound: float = SMALL_CHANGE) -> dict[str, list[str]]:
    """The variants by what their intervals say about them, each in one kind.

    A variant "cannot matter much" where every interval contains 0 and lies within `bound` of it.
    """
    known = changed.dropna(subset="difference").groupby("tag", sort=False)
    worse = known["verdict"].agg(lambda verdicts: (verdicts == "worse").any())
    better = known["verdict"].agg(lambda verdicts: (verdicts == "better").any())
    small = (known["low"].min() > -bound) & (known["high"].max() < bound)
    neither = ~better & ~worse
    chosen = {
        "clearly worse somewhere, clearly better nowhere": worse & ~better,
        "clearly better somewhere, clearly worse nowhere": better & ~worse,
        "better here, worse there": better & worse,
        "cannot matter much": neither & small,
        "undecided": neither & ~small,
    }
    return {kind: list(mask.index[mask]) for kind, mask in chosen.items()}


def switches_title(changed: pd.DataFrame, words: Callable[[str], str] = str) -> str:
    """How many intervals leave out 0, and for which variants most do; changed: `switch_changes`.

    words: what a reader sees in place of the name of a variant.
    """
    known = changed.dropna(subset="difference")
    decided = known["verdict"].ne("undecided").groupby(known["tag"], sort=False).sum()
    if not decided.any():
        return f"None of {len(known)} intervals leaves out 0"
    return (
        f"{decided.sum()} of {len(known)} intervals leave out 0, most often those of "
        f"{most_often(decided, words)}"
    )


def decided_sentence(changed: pd.DataFrame) -> str:
    """How many intervals leave out 0, beside what chance alone would give and what Holm leaves."""
    known = changed.dropna(subset="difference")
    decided = (known["verdict"] != "undecided").sum()
    corrected = (known["holm"] != "undecided").sum()
    by_chance = LEVEL * len(known)
    return (
        f"{decided} of {len(known)} intervals leave out 0; by chance alone about {by_chance:.1f} "
        f"would; {corrected} are left after Holm's correction"
    )
