"""The rules by which the paper's claims are graded, one function each.

A grader gets one table, so that the paper's printed numbers and ours face the same statement. The
first paragraph of its docstring is the rule, which stands beside every verdict.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from scipy import stats

from robult_study.results import detection
from robult_study.results.grading import (
    MISSING,
    NOT,
    PARTLY,
    REPRODUCED,
    Finding,
    Missing,
    Table,
    best_evidence,
    blocks_with,
    drop_evidence,
    drops_without,
    grade_cells,
    grade_every_cell,
    grade_sets,
    interval_bounds,
    interval_words,
    lowered,
    mostly_above,
    mostly_for,
    number_words,
    over_patterns,
    pair_words,
    rival_pairs,
    rivals_of,
    robults_lead,
    share_of_sets,
    share_words,
    single_and_full,
)
from robult_study.results.intervals import LEVEL, paired
from robult_study.results.layout import listed
from robult_study.results.pairs import RBF, UNWEIGHTED
from robult_study.results.ranks import TooFewBlocks, procedures, smallest_p
from robult_study.results.ranks import ranks as method_ranks
from robult_study.results.tables import BLOCK, COMPARED, NO_WEIGHTS
from robult_study.results.variants import ABLATIONS

LARGEST_GAIN = 0.1975  # what rounds to the 19.8 % that the paper prints
COMPARABLE = 0.01  # our reading of "comparable" where the paper prints no spread
LEAST_CORRELATION = 0.1  # below this Corr of the second best a relative gain says nothing
EQUAL = 2  # "equal" is read as: neither costs more than twice as much as the other
WEIGHT = {  # columns of `costs.costs` in which a method can be heavy -> in words
    "parameters": "parameters",
    "seconds_per_step": "seconds per step",
    "latency_full_ms": "ms per prediction",
}
MULTIMODAL = ("prompt_trans", "gmc", "action_mae")  # the other methods that fuse
LEAST_STEPS = 5  # numbers of modalities that a curve over them needs
LINE = 0.75  # of the variance of the times, which other work on a machine disturbs
TOLERANCE = 1e-6  # of bits, those of exact decompositions

Grader = Callable[[Table], Finding]


# The abstract ------------------------------------------------------------------------------------


def superior(table: Table) -> Finding:
    """Robult beats each other method in most rows, with one modality and with all of them.

    The paper says where ("both in …") and not by how much, so the better mean counts, but over
    seeds only where more intervals say so than the contrary. Each data set has the same weight,
    however many rows it has.
    """
    rivals = rivals_of(table)
    lead = table.wide[rivals].rsub(table.wide["robult"], axis=0)
    is_full = lead.index.get_level_values("pattern") == "full"
    shares = {}
    for where, chosen in (("one modality", ~is_full), ("all", is_full)):
        for name in rivals:
            ahead = lead.loc[chosen, name].dropna() > 0
            if len(ahead):
                is_seen = _is_seen_ahead(table, name, full=where == "all")
                shares[f"{where} against {name}"] = share_of_sets(ahead & is_seen)
    shares = pd.Series(shares, dtype=float)
    words = number_words(shares, ".0%")
    return Finding(
        grade_cells(shares > 0.5),
        f"share of rows in which Robult is better, each data set with the same weight: {words}",
    )


def _is_seen_ahead(table: Table, name: str, *, full: bool) -> bool:
    """Whether intervals say that Robult is ahead of a method, with all modalities or with one."""
    if table.seeds is not None:
        is_full = table.seeds["pattern"] == "full"
        table = table._replace(seeds=table.seeds[is_full == full])
    return mostly_for(interval_bounds(table, [("robult", name)]))


def smaller_gap(table: Table) -> Finding:
    """Robult loses less with one modality instead of all than the median of the other methods.

    The loss is the full set minus the mean of the single modalities. "Mitigates" and "resilience"
    compare with what is usual, so the median is asked for, not the smallest loss of all.
    """
    rivals = rivals_of(table)
    single, full = single_and_full(table.wide[[*rivals, "robult"]])
    gap = (full - single).dropna(subset=["robult"])
    median = gap[rivals].median(axis=1)
    smaller = gap["robult"] < median
    words = pair_words(gap["robult"], median, "against", ".3f")
    return Finding(grade_sets(smaller), f"{share_words(smaller)}; loss against the median: {words}")


def lightweight(table: Table) -> Finding:
    """Robult is no heavier than the median of the other multimodal methods.

    Compared are parameters, seconds per step and ms per prediction, set by set. "Lightweight" is
    read as lighter than usual, not as the lightest; Unimodal fuses nothing and is no rival here.
    """
    light, usual, added = [], {}, {}
    for column, words in WEIGHT.items():
        cost = _costs_by_method(table.costs, column)
        median = cost[list(MULTIMODAL)].median(axis=1)
        light.append(cost["robult"] <= median)
        usual[words] = (cost["robult"] / median).median()
        added[words] = (cost["robult"] / cost["unimodal"]).median()
    return Finding(
        grade_cells(pd.concat(light)),
        f"in multiples of that median: {number_words(pd.Series(usual), '.2f')}; "
        f"in multiples of Unimodal: {number_words(pd.Series(added), '.2f')}",
    )


def _costs_by_method(costs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Data sets x the paper's methods; a method that was not timed has no number."""
    timed = set() if costs.empty else set(costs["method"])
    if not {"robult", "unimodal"} <= timed or timed.isdisjoint(MULTIMODAL):
        raise Missing("no timings of runs of Robult, Unimodal and another multimodal method")
    table = costs.pivot(index="data_set", columns="method", values=column)
    return table.reindex(columns=COMPARED).dropna(subset="robult")


# Section 1 ---------------------------------------------------------------------------------------


def example_has_synergy(table: Table) -> Finding:
    """At least half of the example's synergy is left in fine bins; in coarse bins only: partly.

    Synergy in the sense of Eq. 1 does not depend on how coarsely one looks.
    """
    if table.example.empty:
        raise Missing("no decomposition of the example")
    synergy = table.example["synergy"]
    largest, finest = synergy.max(), synergy.iloc[-1]
    grade = REPRODUCED if finest >= largest / 2 else PARTLY
    if largest <= TOLERANCE:
        grade = NOT
    return Finding(
        grade,
        f"{largest:.2f} bits of synergy in {synergy.idxmax()} bins per modality, "
        f"{finest:.2f} in {synergy.index[-1]}",
    )


def example_is_harder_alone(table: Table) -> Finding:
    """In the example a network is more accurate from both modalities than from X^1 alone.

    Asked for is a paired interval over seeds above 0; ahead without it: partly.
    """
    if table.learned.empty:
        raise Missing("no networks that learned the example")
    networks = table.learned[table.learned["model"] == "network"]
    networks = networks.rename(columns={"test accuracy": "value"})
    lead = paired(networks, "x1+x2", "x1", ["training samples"], "input")
    grade = grade_cells(lead["verdict"] == "better")
    if grade == NOT and (lead["difference"] > 0).all():
        grade = PARTLY
    words = [
        f"after {row['training samples']} samples {row['difference']:+.3f} ± {row['half']:.3f}"
        for row in lead.to_dict("records")
    ]
    return Finding(grade, f"accuracy from both minus that from X^1: {listed(words)}")


def alignment_keeps_the_shared_part(table: Table) -> Finding:
    """What two modalities can align on tells all of R and less than all of U.

    It is asked in every exact world of notebook 01 whose first modality tells something.
    """
    if table.aligned.empty:
        raise Missing("no exact worlds")
    worlds = table.aligned[table.aligned[["R", "U1"]].sum(axis=1) > TOLERANCE]
    told = worlds["I(z;Y)"]
    keeps = told >= worlds["R"] - TOLERANCE
    loses = (told < worlds["R"] + worlds["U1"] - TOLERANCE) | (worlds["U1"] <= TOLERANCE)
    bits = [
        f"{row.Index} {row.told:.2f} (R is {row.R:.2f}, U {row.U1:.2f})"
        for row in worlds.assign(told=told).itertuples()
    ]
    return Finding(grade_cells(keeps & loses), f"bits that the aligned part tells: {listed(bits)}")


# Fig. 4 ------------------------------------------------------------------------------------------


def early_false_positives(table: Table) -> Finding:
    """Early in training fewer of the pseudo-positive pairs are true than at its end.

    Early is the first moment looked at after the start, since an untrained classifier knows
    nothing by construction.
    """
    precision = _precision(table)
    precision = precision[precision["weight"] == UNWEIGHTED]
    shares = precision.pivot_table(index="data_set", columns="step", values="value", sort=False)
    steps = sorted(step for step in shares if step > 0)
    if len(steps) < 2:
        raise Missing("no weights of two moments of a training")
    early, late = shares[steps[0]], shares[steps[-1]]
    words = [f"{name} {early[name]:.2f} and {late[name]:.2f}" for name in shares.index]
    return Finding(
        grade_cells(early < late),
        f"share of true pairs after {steps[0]} and {steps[-1]} steps: {listed(words)}",
    )


def weights_reduce_false_positives(table: Table) -> Finding:
    """With the weights of Eq. 5 more of the pseudo-positives are true than without weights.

    Each pair counts by its weight; asked for is a paired interval over seeds above 0.
    """
    means = detection.by_moment(_precision(table))
    later = means[means["moment"] == detection.AFTER]
    gain = paired(later, RBF, UNWEIGHTED, by=["data_set"], column="weight").dropna(subset="low")
    if gain.empty:
        raise Missing("fewer than three seeds")
    words = [
        f"{row.data_set} {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
        for row in gain.itertuples()
    ]
    return Finding(
        grade_cells(gain["verdict"] == "better"), f"share of true pairs gained: {listed(words)}"
    )


def _precision(table: Table) -> pd.DataFrame:
    """The share of true pairs by weighting, run and step."""
    if table.pairs.empty:
        raise Missing("no runs that kept their weights over training (notebook 09)")
    return detection.of_all(table.pairs, ["precision"])


def weights_enhance_performance(table: Table) -> Finding:
    """Without the weights of Eq. 5 the means over patterns are lower, and intervals say so.

    More intervals say so than the contrary.
    """
    return _lower_without(table, NO_WEIGHTS)


def _lower_without(table: Table, variant: str) -> Finding:
    means = over_patterns(table, "robult", variant)
    drop = drops_without(means, variant).stack()
    lower = lowered(means, variant)
    evidence = f"{share_words(lower)}; {drop_evidence(means, drop, [variant])}"
    return Finding(grade_sets(lower), evidence)


# Section 3.3 -------------------------------------------------------------------------------------


def best_in_most(table: Table) -> Finding:
    """Robult has the best mean of all methods, in all rows but one at the most.

    With more rows behind: partly where it leads in more than half of them.
    """
    margin = robults_lead(table)
    grade = grade_cells(margin > 0)
    if (margin <= 0).sum() == 1 < len(margin):
        grade = REPRODUCED
    return Finding(grade, best_evidence(table, margin))


def best_in_all(table: Table) -> Finding:
    """Robult has the best mean of all methods in every row; one counter-example makes it "not"."""
    margin = robults_lead(table)
    return Finding(grade_every_cell(margin > 0), best_evidence(table, margin))


def best_significantly(table: Table) -> Finding:
    """Robult has the best mean in every row, and against each method most intervals lie above 0.

    The paper names no test, so most of the paired intervals are asked for, not all. With all means
    ahead but without such intervals: partly.
    """
    margin = robults_lead(table)
    grade = grade_cells(margin > 0)
    clear = [mostly_above(interval_bounds(table, [pair])) for pair in rival_pairs(table)]
    if grade == REPRODUCED and not all(clear):
        grade = PARTLY
    return Finding(grade, best_evidence(table, margin))


def correlation_gain(table: Table) -> Finding:
    """On text Robult's Corr is at least 19.8 % above the second best.

    Any gain there: partly.
    """
    rivals = rivals_of(table)
    is_corr = table.wide.index.get_level_values("metric") == "corr"
    corr = table.wide[is_corr].droplevel("metric")
    second = corr[rivals].max(axis=1)
    gain = (corr["robult"] / second - 1)[second > LEAST_CORRELATION].dropna()
    on_text = gain[gain.index.get_level_values("pattern") == "text"]
    if on_text.empty:
        raise Missing("no data set on which a baseline reaches a Corr of 0.1 from text")
    grade = PARTLY if (on_text > 0).all() else NOT
    if (on_text >= LARGEST_GAIN).all():
        grade = REPRODUCED
    return Finding(grade, f"gain over the second best: {number_words(gain, '+.1%')}")


def comparable(table: Table) -> Finding:
    """With all modalities no interval of Robult minus Prompt-Trans lies below 0.

    In print, where there is no spread, Robult is not below by more than 0.01, a margin of ours.
    """
    both = blocks_with(table, "robult", "prompt_trans")
    full = both.xs("full", level="pattern", drop_level=False)
    difference = full["robult"] - full["prompt_trans"]
    if table.seeds is None:
        fine = difference >= -COMPARABLE
    else:
        bounds = paired(table.seeds, "robult", "prompt_trans", by=BLOCK).set_index(BLOCK)
        fine = bounds["high"].reindex(full.index).dropna() >= 0
    return Finding(
        grade_cells(fine), f"Robult minus Prompt-Trans: {number_words(difference, '+.3f')}"
    )


def rank_gap(table: Table) -> Finding:
    """Robult leads the mean ranks and differs from every other method by both procedures.

    By one procedure only: partly.
    """
    tested = procedures(blocks_with(table, "robult"), COMPARED)
    others = [name for name in tested.ranks.index if name != "robult"]
    apart = {}
    for procedure, p in tested.p.items():
        apart[procedure] = [name for name in others if p.loc["robult", name] < LEVEL]
    n_passed = sum(names == others for names in apart.values())
    leads = tested.ranks.index[0] == "robult"
    grade = (NOT, PARTLY, REPRODUCED)[n_passed] if leads else NOT
    words = [
        f"{procedure} separates Robult from {listed(names, 'nobody')}"
        for procedure, names in apart.items()
    ]
    floor = smallest_p(len(tested.ranks), len(tested.blocks))
    return Finding(
        grade,
        f"mean ranks over {len(tested.blocks)} blocks: {number_words(tested.ranks, '.2f')}; "
        f"{'; '.join(words)}; smallest p Wilcoxon-Holm can reach {floor:.2g}",
    )


def tied(table: Table) -> Finding:
    """ActionMAE and Prompt-Trans do not differ by either procedure; by one only: partly."""
    tested = procedures(blocks_with(table, "action_mae", "prompt_trans"), COMPARED)
    p = pd.Series(
        {name: pairs.loc["action_mae", "prompt_trans"] for name, pairs in tested.p.items()}
    )
    grade = (NOT, PARTLY, REPRODUCED)[(p >= LEVEL).sum()]
    return Finding(grade, f"p over {len(tested.blocks)} blocks: {number_words(p)}")


# Section 3.4 -------------------------------------------------------------------------------------


def every_loss_helps(table: Table) -> Finding:
    """Each of the four ablations lowers most means over patterns, and intervals say so.

    "Overall" is read as these means, one per data set and metric, each data set with the same
    weight. More intervals have to say so than the contrary. "Any" falls at the first ablation that
    does not lower most of them.
    """
    means = over_patterns(table, "robult", *ABLATIONS)
    drop = drops_without(means, *ABLATIONS)
    lower = pd.Series({name: share_of_sets(lowered(means, name)) for name in ABLATIONS})
    words = number_words(lower, ".0%")
    evidence = drop_evidence(means, drop.stack(), list(ABLATIONS))
    return Finding(
        grade_every_cell(lower > 0.5),
        "share of means that are lower, each data set with the same weight, none where no interval "
        f"says so: {words}; {evidence}",
    )


def unique_part_helps(table: Table) -> Finding:
    """Without L_rec, which keeps U^i, means over patterns are lower, and intervals say so.

    More intervals say so than the contrary.
    """
    return _lower_without(table, "no_reconstruction")


def poorest_without_supervision(table: Table) -> Finding:
    """Without L_sup most means fall to the lowest mean rank, and most intervals say that they fall.

    A mean is one over patterns, for each data set and metric, and each data set has the same
    weight. Where they fall, but another ablation is poorer, or too few intervals say so, as in
    print, which has none: partly.
    """
    means = over_patterns(table, "robult", *ABLATIONS)
    lower = lowered(means, "no_supervised")
    ranks = _ranks_by_set(means, ABLATIONS)
    is_poorest = ranks["no_supervised"] == ranks.max()
    bounds = interval_bounds(means, [("robult", "no_supervised")])
    grade = REPRODUCED if is_poorest and mostly_above(bounds) else PARTLY
    if share_of_sets(lower) <= 0.5:
        grade = NOT
    return Finding(
        grade,
        f"{share_words(lower)}; "
        f"mean ranks of the ablations over data sets, 1 is best: {number_words(ranks, '.2f')}; "
        f"{interval_words(bounds)}",
    )


def _ranks_by_set(means: Table, names: Iterable[str]) -> pd.Series:
    """Mean ranks in which a data set counts once, however many metrics it has."""
    by_metric = method_ranks(means.wide[list(names)])
    return by_metric.groupby(level="data_set").mean().mean()


def harms_single_modalities(table: Table) -> Finding:
    """Removing L_rec costs single modalities something, and more than it costs the full set.

    Both are means over the patterns of a data set and metric; over seeds more intervals have to
    say that it costs something than the contrary.
    """
    single, full = single_and_full(drops_without(table, "no_reconstruction"))
    single, full = single["no_reconstruction"], full["no_reconstruction"]
    is_seen = lowered(table, "no_reconstruction").any()
    words = pair_words(single, full, "against", "+.3f")
    return Finding(
        grade_sets((single > full) & (single > 0) & is_seen),
        f"drop with one modality against drop with all: {words}",
    )


def equal_terms(table: Table) -> Finding:
    """Removing L_lb and removing L_ulb both lower the mean over patterns, neither twice as much.

    Over seeds more intervals have to say so than the contrary, for each. The paper does not say how
    equal; a factor of two is ours.
    """
    means = over_patterns(table, "robult", "no_labeled", "no_unlabeled")
    drop = drops_without(means, "no_labeled", "no_unlabeled")
    both = lowered(means, "no_labeled") & lowered(means, "no_unlabeled")
    equal = both & (drop.max(axis=1) <= EQUAL * drop.min(axis=1))
    shown = drop.droplevel("pattern")
    words = pair_words(shown["no_labeled"], shown["no_unlabeled"], "and", "+.3f")
    return Finding(grade_sets(equal), f"mean drop without L_lb and without L_ulb: {words}")


# Section 4 ---------------------------------------------------------------------------------------


def linear_growth(table: Table) -> Finding:
    """A straight line explains the measured time of a step over M, and no parabola bends upwards.

    The line explains three quarters of the variance, the interval of the square term reaches 0, and
    its upper end bends the line by half of its rise at the most; without the first or the last:
    partly. Parameters are not counted: they grow linearly by construction.
    """
    steps = table.steps
    if not steps.empty:
        steps = steps[steps["method"] == "robult"]
    if len(steps) < LEAST_STEPS:
        raise Missing(f"no times of a step over {LEAST_STEPS} numbers of modalities: `make bench`")
    count, time = steps["modalities"], steps["milliseconds"]
    line = stats.linregress(count, time)
    curve, covariance = np.polyfit(count, time, 2, cov=True)
    quantile = stats.t.ppf(1 - LEVEL / 2, len(steps) - 3)
    half = quantile * np.sqrt(covariance[0, 0])
    straight = line.rvalue**2 >= LINE
    length = count.max() - count.min()
    largest_bend = (curve[0] + half) * (length / 2) ** 2  # how far a parabola leaves its chord
    excluded = largest_bend <= line.slope * length / 2
    grade = REPRODUCED if straight and excluded else PARTLY
    if curve[0] - half > 0 or line.slope <= 0:
        grade = NOT
    values = [f"{value:.1f}" for value in time]
    return Finding(
        grade,
        f"{listed(values)} ms with {listed(count)} modalities; {line.slope:.2f} ms a modality, "
        f"R^2 {line.rvalue**2:.2f}; square term {curve[0]:+.3f} ± {half:.3f}, "
        f"which allows a bend of {largest_bend:.0f} ms",
    )


GRADERS: dict[str, Grader] = {
    grader.__name__: grader
    for grader in (
        superior,
        smaller_gap,
        lightweight,
        example_has_synergy,
        example_is_harder_alone,
        alignment_keeps_the_shared_part,
        unique_part_helps,
        early_false_positives,
        weights_reduce_false_positives,
        weights_enhance_performance,
        best_significantly,
        best_in_all,
        correlation_gain,
        best_in_most,
        comparable,
        rank_gap,
        tied,
        every_loss_helps,
        poorest_without_supervision,
        harms_single_modalities,
        equal_terms,
        linear_growth,
    )
}


def grade(name: str, table: Table) -> Finding:
    """The finding of the grader of that name, or what the table lacks for it."""
    try:
        return GRADERS[name](table)
    except (Missing, TooFewBlocks) as error:
        return Finding(MISSING, str(error))


def rule(name: str) -> str:
    """The rule of the grader of that name: the first paragraph of its docstring."""
    return inspect.getdoc(GRADERS[name]).split("\n\n")[0]
