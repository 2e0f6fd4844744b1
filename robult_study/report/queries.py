"""The sentences that answer the notebooks, each a named query over the tables of a run.

A query takes the folder of the tables and returns what they say: whole sentences whose every
number, name and verdict is read from them. Where an outcome decides between two sentences the
query's docstring states the rule. It returns None where a run has not the rows to speak of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from robult_study.results.intervals import with_interval
from robult_study.results.layout import listed
from robult_study.results.overview import weak_rows
from robult_study.results.rankings import P_AGAINST_ROBULT, WITHIN
from robult_study.results.tables import COLUMNS
from robult_study.wording import in_table

AT_HAND = "our runs on the data at hand"
GRADES = ("reproduced", "partly", "not", "missing")
ROBULT = COLUMNS["robult"]
VARIANT = COLUMNS["robult_distilled"]
LOSSES = {
    "L_sup": "the loss of the labels (L_sup)",
    "L_rec": "the reconstruction (L_rec)",
    "L_lb": "the contrast of labelled samples (L_lb)",
    "L_ulb": "the contrast of unlabelled samples (L_ulb)",
}
GMC = COLUMNS["gmc"]
TAUGHT = COLUMNS["unimodal_distilled"]  # the control of the variant
LABELLED_ONLY = "no L_ulb, labelled candidates"
ON_LABELS = "encoders of the same kind trained on the labels alone"
SMALL = 0.01  # a change of a mean below it is called next to none
EXACT = 0.001  # bits; what decompositions that are equal on paper may differ by
PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")


class Finding(NamedTuple):
    """What was found: the answer in one sentence, and the numbers it rests on."""

    title: str
    text: str


def read(tables: Path, name: str, dtype: type | None = None) -> pd.DataFrame:
    """The table of a run; raises FileNotFoundError where the run did not make it.

    dtype: str keeps every cell as it was written.
    """
    return pd.read_csv(tables / f"{name}.csv", dtype=dtype)


# When `_on_sets` counts a set.
WON = "A set is won where a row is clearly better, paired by seed, and none clearly worse."


# 01, 02 and 03 -----------------------------------------------------------------------------------


def alignment(tables: Path) -> Finding:
    """Whether a perfectly aligned part of pid keeps the redundancy, up to `EXACT` bits."""
    kept = read(tables, "01_aligned_exact").set_index("case")
    pid, gate = kept.drop(index="AND"), kept.loc["AND"]
    equal = (pid["R"] - pid["I(z;Y)"]).abs() < EXACT
    title = "Perfect alignment keeps what two modalities share and loses what each alone knows."
    if not equal.all():
        title = "Perfect alignment does not keep just what two modalities share."
    text = (
        f"In {equal.sum()} of {len(equal)} cases of pid the aligned part holds the redundancy, to "
        f"{EXACT} bits, and nothing of the unique parts. For AND it holds {gate['I(z;Y)']:.2f} of "
        f"{gate['R']:.2f} bits: what Eq. 1 calls redundant need not be shared by the inputs."
    )
    return Finding(title, text)


def estimates(tables: Path) -> Finding:
    """Whether estimators err by more than a tenth of a bit a part with the fewest samples."""
    errors = read(tables, "01_estimate_errors")
    few, many = errors["samples"].min(), errors["samples"].max()
    at_few = errors.loc[errors["samples"] == few, "mean"]
    at_many = errors.loc[errors["samples"] == many, "mean"]
    title = "Estimates of the four parts from few samples are right to a tenth of a bit."
    if at_few.max() > 0.1:
        title = (
            "Estimates of the four parts from few samples can be wrong by more than a tenth of "
            "a bit."
        )
    text = (
        f"From {few} samples they err by {at_few.min():.2f} to {at_few.max():.2f} bits a part in "
        f"the mean over parts and seeds, by world and estimator, from {many} samples by "
        f"{at_many.min():.2f} to {at_many.max():.2f}."
    )
    return Finding(title, text)


def example(tables: Path) -> Finding:
    """The verdicts on the paper's own example; its words and intervals are the table's."""
    verdicts = read(tables, "01_verdicts").set_index("statement of the paper")
    synergy = verdicts.loc["the example demonstrates synergy"]
    harder = verdicts.loc["X1 alone is harder to learn from"]
    title = "The paper's example is about learning, not about synergy."
    if harder["verdict here"] != "holds":
        title = "The paper's example shows neither synergy nor easier learning from both."
    text = (
        f"Its synergy falls {synergy['number']}. After 100 samples a "
        f"{harder['number'].replace(' after 100 samples:', ' reaches')}."
    )
    return Finding(title, text)


def scene(tables: Path) -> Finding:
    """What a run sees, and which modalities are not shown to tell more than a constant guess."""
    sets = read(tables, "data_overview")
    labels = sets["labels a run sees"]
    rows = read(tables, "yardstick")
    rows = rows.dropna(subset="constant guess")  # there is none for several labels a sample
    single = rows[~rows["pattern"].str.contains("+", regex=False)]
    weak = weak_rows(single)
    title = f"A run sees all modalities of its training rows and {labels.min()} to {labels.max()}"
    text = (
        f"A linear model is shown to gain from {len(single) - len(weak)} of the {len(single)} "
        f"modalities of {len(sets)} data sets (95 % interval over {single['n'].min()} seeds)."
    )
    if len(weak):
        words = listed(
            f"{_place((row.data_set, row.pattern, row.metric))} {row.mean:.3f} ± {row.half:.3f} "
            f"against {row.guess:.3f}"
            for row in weak.rename(columns={"constant guess": "guess"}).itertuples()
        )
        text += f" Not shown to tell more than a constant guess: {words}."
    return Finding(f"{title} labels.", text)


def step_by_step(tables: Path) -> Finding:
    """On how many sets Robult is clearly better or worse than its control, and by how much."""
    table = read(tables, "paired_differences", str)  # from few seeds bare numbers, such as +0.1
    table = table.set_index(["data_set", "pattern", "metric"])
    against = table["against Unimodal"]
    better, worse = _starred(against)
    lead = against.map(_number)
    most, least = (
        f"{against[place].removesuffix(' *')} ({_place(place)})"
        for place in (lead.idxmax(), lead.idxmin())
    )
    linear_better, linear_worse = _starred(table["against linear"])
    text = (
        f"{WON} It is clearly better than Unimodal in {better} of {len(table)} rows and "
        f"clearly worse in {worse}; the differences go from {least} to {most}. Against a linear "
        f"model it is clearly better in {linear_better} rows and clearly worse in {linear_worse}."
    )
    return Finding(_on_sets(_starred_verdicts(against), "Robult", ON_LABELS), text)


def _on_sets(verdicts: pd.DataFrame, ours: str, others: str) -> str:
    """On how many sets one beats the other, in words.

    verdicts: columns data_set and verdict ("better", "worse" or another word), a line per row.
    """
    better, worse = _sets_won_and_lost(verdicts, "verdict")
    n_sets = verdicts["data_set"].nunique()
    return f"{ours} beats {others} on {better} of {n_sets} sets, and loses on {worse}."


def _sets_won_and_lost(verdicts: pd.DataFrame, column: str) -> tuple[int, int]:
    """On how many sets some row is better and none is worse, and the reverse."""
    of_set = verdicts.groupby("data_set")[column].agg(set)
    won = of_set.map(lambda said: "better" in said and "worse" not in said).sum()
    lost = of_set.map(lambda said: "worse" in said and "better" not in said).sum()
    return int(won), int(lost)


def _after_holm(rows: pd.DataFrame) -> str:
    """What is left of sets and rows after Holm's correction, for the end of a sentence."""
    won, lost = _sets_won_and_lost(rows, "holm")
    better, worse = _better_and_worse(rows["holm"])
    return f"after Holm's correction {better} and {worse}, and {won} and {lost} of the sets"


# 04 and 05 ---------------------------------------------------------------------------------------


def default_gain(tables: Path) -> Finding:
    """What the estimators train against a linear model, on sets and in accuracy.

    A set is won where one modality or all are clearly better, and neither is clearly worse.
    """
    table = read(tables, "04_default_gains", str).set_index(["data_set", "pattern", "metric"])
    lead = table["linear"]
    by_set = []
    for (name, metric), rows in lead.groupby(level=["data_set", "metric"], sort=False):
        single, full = (f"{_number(text):+.2f}{'*' * text.endswith('*')}" for text in rows)
        error = "" if metric == "accuracy" else f" (minus {_place([metric])})"
        by_set.append(f"{_place([name])}{error} {single} and {full}")
    text = (
        f"Minus a linear model made for the same modalities, in accuracy from one modality and "
        f"from all: {'; '.join(by_set)} (* the 95 % interval leaves out 0)."
    )
    ours = f"What the estimators train, {VARIANT},"
    return Finding(_on_sets(_starred_verdicts(lead), ours, "a linear model"), text)


def ranks(tables: Path) -> Finding:
    """Who has the best mean rank within a seed over all blocks, with one modality, and with all."""
    table = read(tables, "04_mean_ranks").set_index("method").rename(index=COLUMNS)
    views = [name for name in table if not name.startswith(WITHIN)]
    everything, single, full, per_set, with_controls = views[:5]
    firsts = [_rank_numbers(table, view).idxmin() for view in (everything, single, full)]
    title = f"{firsts[0]} ranks first over all, {firsts[1]} with one modality, "
    title += f"{firsts[2]} with every modality."
    if len(set(firsts)) == 1:
        title = f"{firsts[0]} ranks first with one modality, with every modality, and over all."
    places = [_place_of_robult(table, view) for view in (everything, per_set)]
    if places[0] != PLACES[0]:
        title += f" Robult is {places[0]} of {len(_within_seeds(table, everything))}"
        title += "." if places[0] == places[1] else f", with one value for each set {places[1]}."
    n_blocks, n_sets = (re.findall(r"\d+", view)[0] for view in (everything, per_set))
    leaders = table[with_controls].nsmallest(3)
    among = listed(f"{name} {rank:.2f}" for name, rank in leaders.items())
    text = (
        f"Mean ranks within a seed over {n_blocks} blocks of real data: "
        f"{_with_best_rival(table, everything)}; with one modality "
        f"{_with_best_rival(table, single)}; with every modality "
        f"{_with_best_rival(table, full)}; with one value for each of {n_sets} sets "
        f"{_with_best_rival(table, per_set)}. Ranks of the means, with the controls ranked too: "
        f"{among}."
    )
    return Finding(title, text)


def _with_best_rival(table: pd.DataFrame, view: str) -> str:
    """The mean ranks of Robult, of its variant where there is one, and of the best rival."""
    text = _within_seeds(table, view)
    ours = text.index.intersection([ROBULT, VARIANT])
    numbers = _rank_numbers(table, view)
    named = numbers[[*ours, numbers.drop(index=ours).idxmin()]].sort_values(kind="stable")
    return listed(f"{name} {text[name]}" for name in named.index)


def _place_of_robult(table: pd.DataFrame, view: str) -> str:
    numbers = _rank_numbers(table, view)
    place = int((numbers < numbers[ROBULT]).sum())
    return PLACES[place] if place < len(PLACES) else f"number {place + 1}"


def _rank_numbers(table: pd.DataFrame, view: str) -> pd.Series:
    return _within_seeds(table, view).map(_number)


def _within_seeds(table: pd.DataFrame, view: str) -> pd.Series:
    """The mean ranks within a seed of the methods that are ranked in a view, as text."""
    text = table[f"{WITHIN}{view.split(' (')[0]}"].astype(str)  # from few seeds bare numbers
    return text[text != "–"]


def control(tables: Path) -> Finding:
    """Robult against the same encoders without it, by counted verdicts, and self-training."""
    differences = read(tables, "04_differences")
    rows = differences[differences["against"] == "unimodal"]
    better, worse = _better_and_worse(rows["verdict"])
    brief = read(tables, "04_headline")
    whole = brief[(brief["pattern"] == "all") & (brief["self-training"] != "–")]
    ahead = _ahead(whole, "self-training", ROBULT)
    text = (
        f"{WON} It is clearly better in {better} of {len(rows)} rows and clearly worse in {worse} "
        f"({_after_holm(rows)}). With every modality there, self-training of a logistic "
        f"regression has a better mean than Robult on {ahead.sum()} of {len(whole)} sets"
    )
    if VARIANT in whole:
        text += f", than {VARIANT} on {_ahead(whole, 'self-training', VARIANT).sum()}"
    return Finding(_on_sets(rows, "Robult", ON_LABELS), f"{text}.")


def _ahead(rows: pd.DataFrame, one: str, other: str) -> pd.Series:
    """In which rows of the brief table the mean of one method is better than that of another."""
    first, second = (
        rows[name].astype(str).str.replace("</?b>", "", regex=True).map(_number)
        for name in (one, other)
    )
    return (first < second).where(rows["metric"] == "mae", first > second)


def variant(tables: Path) -> Finding | None:
    """Distilled Robult against Robult, by counted verdicts, and against its own control."""
    differences = read(tables, "04_differences")
    rows = differences[differences["against"] == "robult_distilled"]
    if rows.empty:
        return None
    turned = {"better": "worse", "worse": "better"}  # the table says it of Robult
    rows = rows.assign(verdict=rows["verdict"].replace(turned), holm=rows["holm"].replace(turned))
    better, worse = _better_and_worse(rows["verdict"])
    accuracy = rows[rows["metric"] == "accuracy"]
    lead = -accuracy["difference"]
    worst = _place(accuracy.loc[lead.idxmin(), ["data_set", "pattern"]])
    text = (
        f"Distilled Robult is clearly better in {better} of {len(rows)} rows and clearly worse in "
        f"{worse} ({_after_holm(rows)}); its differences in accuracy go from "
        f"{lead.min():+.3f} ({worst}) to {lead.max():+.3f}."
    )
    brief = read(tables, "04_headline")
    if TAUGHT in brief:
        ahead = _ahead(brief, TAUGHT, VARIANT).sum()
        text += (
            f" {TAUGHT}, which has the same teaching without Robult's losses, has a better mean "
            f"than {VARIANT} in {ahead} of the {len(brief)} rows of the brief table."
        )
    return Finding(_on_sets(rows, "Our variant that also teaches itself", "Robult"), text)


def separated(tables: Path) -> Finding:
    """From how many others the two procedures separate Robult at 5 %, in print and here."""
    words = {}
    for place, name in (("here", "05_ours_pairs"), ("printed", "05_paper_pairs")):
        pairs = read(tables, name)
        pairs = pairs[(pairs[["method", "other"]].replace(COLUMNS) == ROBULT).any(axis=1)]
        apart = (pairs[["Nemenyi", "Wilcoxon-Holm"]] < 0.05).sum()
        words[place] = (*apart, len(pairs))
    nemenyi, wilcoxon, others = words["here"]
    title = (
        f"Robult can be told apart from {nemenyi} of {others} others by Nemenyi's procedure, "
        f"from {wilcoxon} by Wilcoxon's with Holm's correction."
    )
    nemenyi, wilcoxon, others = words["printed"]
    per_set = read(tables, "05_per_set").set_index("method").rename(index=COLUMNS)
    within = per_set["within seeds"]
    text = (
        f"On the paper's own Table 2 the two separate it from {nemenyi} and {wilcoxon} of {others}."
    )
    if VARIANT in within:
        text += f" One of the others here is {VARIANT}, with mean rank {within[VARIANT]}."
    apart = (per_set[list(P_AGAINST_ROBULT)] < 0.05).sum()
    nemenyi, wilcoxon = (apart[name] for name in P_AGAINST_ROBULT)
    text += (
        " Blocks of one data set share samples, so both overstate their certainty: with one block "
        f"for each set they separate it from {nemenyi} and {wilcoxon}, and its mean rank by macro "
        f"F1 within a seed is {within[ROBULT]}, beside {within[GMC]} of {GMC}."
    )
    return Finding(title, text)


def claims(tables: Path) -> Finding:
    """How many of the paper's statements hold on the data at hand, and which."""
    grades = read(tables, "05_claims").set_index("id")[AT_HAND]
    held = listed(grades.index[grades == "reproduced"])
    counts = read(tables, "05_claims_counted").set_index("grade")[AT_HAND]
    reproduced, partly, failed, missing = counts.reindex(GRADES, fill_value=0)
    title = f"Of the paper's {counts.sum()} statements {reproduced} are reproduced"
    text = f"on data that are not the paper's ({held}), {partly} in part and {failed} not"
    text += f"; {missing} cannot be answered by these data." if missing else "."
    return Finding(title, text)


# 06 and 07 ---------------------------------------------------------------------------------------


def needed(tables: Path) -> Finding:
    """The losses that are needed on the most sets, and where each is needed or better left out."""
    answers = read(tables, "06_answers")
    answers["loss"] = answers["without"].str.extract(r"(L_\w+)")[0]
    counts = {}
    for word in ("needed", "better without"):
        counts[word] = answers["the term is"].eq(word).groupby(answers["loss"], sort=False).sum()
    is_needed = counts["needed"]
    n_sets = answers["data_set"].nunique()
    title = "No single loss is shown to be needed on any set."
    most = [LOSSES[name] for name in is_needed.index[is_needed == is_needed.max()]]
    if is_needed.max() > 0:
        title = f"Needed on the most sets: {' and '.join(most)}."
    needs = listed(f"{name} on {count}" for name, count in is_needed.items())
    reverse = counts["better without"]
    harms = [f"{name} on {count}" for name, count in reverse[reverse > 0].items()]
    text = (
        f"Needed means that without it some pattern is clearly worse, paired by seed, and none "
        f"clearly better. Of {n_sets} sets this is so for {needs}; the reverse is so for "
        f"{listed(harms, 'none')}."
    )
    alone = read(tables, "06_labeled_alone").set_index("tag").iloc[:, 0]
    if "no_unlabeled" in alone and LABELLED_ONLY in alone:
        text += (
            " What leaving out L_ulb does hangs on a reading: set against no contrast at all, L_lb "
            f"alone changes accuracy from one modality by {_bare(alone['no_unlabeled'])} as "
            f"printed, and by {_bare(alone[LABELLED_ONLY])} where only labelled samples stand in "
            "the sum of Eq. 4."
        )
    return Finding(title, text)


def reconstruction(tables: Path) -> Finding:
    """What leaving out L_rec changes, next to nothing below `SMALL`, beside the labels' loss."""
    answers = read(tables, "06_answers")
    largest = _largest_change(answers, "L_rec")
    title = "The loss that should keep what is unique to a modality has next to no effect."
    if largest >= SMALL:
        title = "The loss that should keep what is unique to a modality changes some accuracies."
    text = (
        f"Leaving out L_rec moves the mean of no set by more than {_rounded_up(largest):.3f}"
        f"{_farthest(answers, 'L_rec')}; leaving out L_sup moves one by "
        f"{_largest_change(answers, 'L_sup'):.2f}, L_ulb by "
        f"{_largest_change(answers, 'L_ulb'):.2f}."
    )
    return Finding(title, text)


def _farthest(answers: pd.DataFrame, term: str) -> str:
    """How far from 0 the intervals of the mean changes reach; nothing without intervals."""
    rows = answers[answers["without"].str.contains(term)]
    columns = ["one modality", "full"]
    halves = rows.reindex(columns=[f"± {name}" for name in columns]).to_numpy(float)
    if np.isnan(halves).any():
        return ""
    reach = np.max(np.abs(rows[columns].to_numpy(float)) + halves)
    return f" (their 95 % intervals reach to {_rounded_up(reach):.3f})"


def _rounded_up(bound: float) -> float:
    """A bound with three decimals that is not exceeded by what it bounds."""
    return math.ceil(1000 * bound) / 1000


def _largest_change(answers: pd.DataFrame, term: str) -> float:
    rows = answers[answers["without"].str.contains(term)]
    return float(rows[["one modality", "full"]].abs().max(axis=None))


def robust(tables: Path) -> Finding:
    """Against whom Robult is clearly better more often than worse, few labels and heavy loss.

    It is ahead of another only where Holm's correction leaves it so.
    """
    counts = read(tables, "07_verdict").set_index("against")
    better, worse = counts["Robult clearly better"], counts["Robult clearly worse"]
    surely, sadly = (counts[f"Robult clearly {word}, Holm"] for word in ("better", "worse"))
    ahead = (better > worse) & (surely > sadly)
    compared = listed(
        f"{name} {better[name]} and {worse[name]} ({surely[name]} and {sadly[name]})"
        for name in counts.index
    )
    n_places = counts[["Robult clearly better", "undecided", "Robult clearly worse"]].iloc[0].sum()
    title = (
        f"With few labels or most sensors gone, Robult is ahead of {ahead.sum()} of "
        f"{len(counts)} others."
    )
    text = (
        f"Ahead means clearly better, paired by seed, in more of {n_places} places than clearly "
        f"worse, and after Holm's correction as well. A place is a data set, one modality or all, "
        f"and a share of labels of nominally 5 % or less (two a class at the least) or a rate of "
        f"loss of 0.5 or 1. Better and worse against each, in brackets "
        f"after the correction: {compared}."
    )
    return Finding(title, text)


def least_lost(tables: Path) -> Finding:
    """On how many sets Robult loses least when sensors fail, by the mean, and the largest gaps."""
    cells = read(tables, "07_random_drop").set_index("data_set")
    lost = cells.map(_number)
    least = lost.idxmin(axis=1)
    firsts = int((least == ROBULT).sum())
    title = f"By the means Robult loses least when sensors fail on {firsts} of {len(lost)} sets."
    gaps = (lost[ROBULT] - lost.min(axis=1))[least != ROBULT].nlargest(2)
    words = listed(
        f"{_place([name])} {cells.loc[name, ROBULT]} against {cells.loc[name, least[name]]} of "
        f"{least[name]}"
        for name in gaps.index
    )
    text = f"What is lost from no loss to one modality left, where the gap is largest: {words}."
    return Finding(title, text)


def incomplete_training(tables: Path) -> Finding:
    """Which remedies are clearly better than masking at more points than they are clearly worse."""
    table = read(tables, "07_missing_training").set_index(["data_set", "view", "missing"])
    counts = {name: _starred(table[name]) for name in table}
    won = [name for name, (better, worse) in counts.items() if better > worse]
    title = (
        "Where modalities are missing in training, no remedy beats leaving them out of the losses."
    )
    if won:
        names = " and ".join(f"*{name}*" for name in won)
        verbs = ("beats", "it loses") if len(won) == 1 else ("beat", "they lose")
        title = (
            f"Where modalities are missing in training, {names} {verbs[0]} masking at more points "
            f"than {verbs[1]}."
        )
    words = listed(
        f"*{name}* {better} and {worse} of {(table[name] != '–').sum()}"
        for name, (better, worse) in counts.items()
    )
    text = (
        "Masking leaves what is missing out of the losses; the others drop incomplete samples, or "
        "fill in the mean or the nearest neighbours' values. Clearly better and worse than masking "
        f"at points (a set, one modality or all, a rate): {words}."
    )
    return Finding(title, text)


# 08, 09 and 10 -----------------------------------------------------------------------------------


def unique_part(tables: Path) -> Finding:
    """Whether z holds at least as many bits of its modality's own bit as u, by the means."""
    rows = read(tables, "08_own_bit")
    after = rows[rows["state"] == "with L_rec"]
    after = after.set_index(after["role"].str[0])  # "z (shared part)"
    text = with_interval(after["mean"], after["half"], digits=2)
    title = (
        "The unique part u is not shown to keep more of what is unique to its modality than z does."
    )
    if after["mean"]["z"] < after["mean"]["u"]:
        title = "The unique part u keeps more of what is unique to its modality than z does."
    text = (
        f"Of the one bit that only its own modality has, z holds {text['z']}, u {text['u']}, and "
        f"the s that z is aligned with {text['s']} bits (pid, narrow maps, a linear reader)."
    )
    return Finding(title, text)


def objective(tables: Path) -> Finding:
    """What L_rec adds to the own bits of u through narrow maps, and to accuracy."""
    rows = read(tables, "objective_22").set_index("quantity")
    named = rows.index.str.contains("own unique bit, narrow maps")
    bits = rows[named].iloc[0]
    titles = {
        "more": "L_rec does what Objective 2.2 asks for: u holds more of its own bit with it.",
        "less": "L_rec does the contrary of Objective 2.2: u holds less of its own bit with it.",
        "no": "L_rec does not visibly do what Objective 2.2 asks for.",
    }
    accuracy = rows[rows.index.str.startswith("accuracy from one modality")]
    counted = listed(
        f"{verdict} in {count}" for verdict, count in accuracy["verdict"].value_counts().items()
    )
    text = (
        f"Through narrow maps it changes the bits of u about its own bit by "
        f"{bits['difference']:+.3f} ({bits['low']:+.3f} to {bits['high']:+.3f}). Accuracy from one "
        f"modality, over sets and both kinds of maps: {counted}."
    )
    heavy = read(tables, "rec_weights_paired").set_index("quantity")
    own, shared = (_difference(heavy, part) for part in ("own unique", "redundancy"))
    if own and shared:
        text += (
            f" With a hundred times its weight u holds {shared} bits more of the shared bit, and "
            f"{own} of its own."
        )
    return Finding(titles[bits["verdict"].split()[0]], text)


def separable(tables: Path) -> Finding:
    """On how many sets the modality of an aligned z is told more surely than by guessing.

    The lower end of the interval has to lie above the accuracy of guessing.
    """
    table = read(tables, "08_modality_probe").set_index("data_set")
    told = table["with L_rec"]
    surely = told.map(_low) > table["guessing"]
    title = (
        f"On {surely.sum()} of {len(table)} sets one can still tell which modality an aligned z "
        "is from."
    )
    numbers = listed(
        f"{_place([name])} {value} ({table['guessing'][name]:.2f} by guessing)"
        for name, value in told.items()
    )
    return Finding(title, f"Accuracy of a linear reader that is asked for the modality: {numbers}.")


def detector(tables: Path) -> Finding:
    """Whether the RBF weight makes pseudo-positives more precise, and ranks as well as rivals."""
    rows = read(tables, "09_verdict")
    precise = _won(rows, "precision", "no weights")
    confident, plain = (_won(rows, "AUROC", rival) for rival in ("confidence", "cosine"))
    better_than_none = (precise["better"] == precise["sets"]).all()
    title = "The weights of Eq. 5 do not find false pairs on every set"
    if better_than_none:
        title = "The weights of Eq. 5 find false pairs better than no weights do"
    last = confident.iloc[-1]
    if last["worse"] > last["better"]:
        title += (
            f", and worse than the classifier's confidence on {last['worse']} of {last['sets']} "
            "sets once training has started"
        )
    levels = read(tables, "09_levels").set_index("data_set")
    reached = listed(f"{_place([name])} {value}" for name, value in levels.iloc[:, -1].items())
    text = (
        f"They make the pseudo-positives clearly more precise on {_by_moment(precise)}. Their "
        f"AUROC for false pairs {levels.columns[-1]}: {reached}. Against the confidence's it is "
        f"{_above_and_below(confident)}; against that of the pair's plain cosine "
        f"{_above_and_below(plain)}."
    )
    return Finding(f"{title}.", text)


def _won(rows: pd.DataFrame, measure: str, rival: str) -> pd.DataFrame:
    """By moment, on how many sets the RBF weight is clearly better and worse, and of how many."""
    chosen = rows[rows["measure"].eq(measure) & rows["rival"].eq(rival)]
    counts = pd.DataFrame({"moment": chosen["moment"], "sets": 1})
    for word in ("better", "worse"):
        counts[word] = chosen["verdict"].eq(f"RBF {word}")
    return counts.groupby("moment", sort=False).sum()


def _by_moment(counts: pd.DataFrame) -> str:
    return listed(
        f"{row['better']} of {row['sets']} sets {moment}" for moment, row in counts.iterrows()
    )


def _above_and_below(counts: pd.DataFrame) -> str:
    return listed(
        f"{moment} clearly above on {row['better']} and below on {row['worse']} of "
        f"{row['sets']} sets"
        for moment, row in counts.iterrows()
    )


def weighted_training(tables: Path) -> Finding:
    """On how many sets training with the RBF weights is clearly more accurate, and less."""
    table = read(tables, "09_accuracy").set_index("data_set")
    single = table["one modality (mean)"]
    better, worse = _starred(single)
    title = (
        f"Accuracy from one modality clearly gains from them on {better} of {len(single)} sets and "
        f"clearly loses on {worse}."
    )
    numbers = listed(f"{_place([name])} {_bare(value)}" for name, value in single.items())
    text = (
        f"Trained with them instead of without, it changes by {numbers} (paired by seed, half of "
        f"the 95 % interval)."
    )
    return Finding(title, text)


def own_data(tables: Path) -> Finding:
    """In how many subsets of sensors one fitted model has a better mean than a linear model."""
    by_pattern = read(tables, "10_patterns")
    by_number = read(tables, "10_by_number").set_index("sensors there")
    ours, linear = (by_pattern[name].map(_number) for name in (VARIANT, "linear"))
    ends = by_number.iloc[[0, -1]]
    numbers = listed(
        f"with {count} of {len(by_number)} sensors {row[VARIANT]} against {row['linear']}"
        for count, row in ends.iterrows()
    )
    title = (
        f"On the digits one fitted model has a better mean than linear models made for each subset "
        f"of the sensors in {(ours > linear).sum()} of {len(by_pattern)}."
    )
    text = (
        f"The accuracy of {VARIANT} is {numbers} of the linear models (digits, 5 % of the labels, "
        "mean over the seeds ± half of the 95 % interval)."
    )
    return Finding(title, text)


def calibrated(tables: Path) -> Finding:
    """Whether calibration lowers the calibration error from all sensors and from one."""
    errors = read(tables, "10_calibration")
    lower = errors["calibrated"].map(_number) < errors["plain"].map(_number)
    title = "Calibration brings probabilities nearer to how often they are right."
    if not lower.all():
        title = (
            "Calibration does not always bring probabilities nearer to how often they are right."
        )
    if not lower.any():
        title = "Calibration did not bring probabilities nearer to how often they are right."
    numbers = listed(
        f"from {row.sensors.replace('_', ' ')} {row.plain} becomes {row.calibrated}"
        for row in errors.itertuples()
    )
    text = f"The expected calibration error {numbers} (digits, 20 % of the labels)."
    return Finding(title, text)


# Words -------------------------------------------------------------------------------------------


def _place(names: Iterable[str]) -> str:
    """Code names of a data set, a pattern and a metric in the words of the tables."""
    return " ".join(str(in_table(name)) for name in names)


def _better_and_worse(verdicts: pd.Series) -> tuple[int, int]:
    """How many verdicts say better, and how many worse."""
    return int((verdicts == "better").sum()), int((verdicts == "worse").sum())


def _starred(texts: pd.Series) -> tuple[int, int]:
    """How many differences "+0.512 ± 0.031 *" lie clearly above and clearly below 0."""
    words = texts.astype(str)  # from too few seeds a table holds bare numbers
    stars = words[words.str.endswith("*")]
    above = int(stars.str.startswith("+").sum())
    return above, len(stars) - above


def _starred_verdicts(texts: pd.Series) -> pd.DataFrame:
    """The verdicts of differences "+0.512 ± 0.031 *", for `_on_sets`; the index has data_set."""
    words = np.where(texts.map(_number) > 0, "better", "worse")
    verdicts = np.where(texts.str.endswith("*"), words, "undecided")
    sets = texts.index.get_level_values("data_set")
    return pd.DataFrame({"data_set": sets, "verdict": verdicts})


def _number(text: object) -> float:
    """The mean of "0.512 ± 0.031", or of a bare number."""
    return float(str(text).split()[0])


def _low(text: object) -> float:
    """The lower end of "0.512 ± 0.031", or the bare number."""
    mean, _, half = str(text).partition(" ± ")
    return float(mean) - float(half or 0)


def _bare(text: object) -> str:
    """A difference without its star."""
    return str(text).removesuffix(" *")


def _difference(table: pd.DataFrame, part: str) -> str:
    """The difference of the bits of u about a part with its interval; nothing without the row."""
    rows = table[table.index.str.contains(part)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
