"""Each grader at the thresholds of its rule, on tables of blocks x methods made for it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from robult_study.results import graders
from robult_study.results.graders import MISSING, NOT, PARTLY, REPRODUCED, Table
from robult_study.results.pairs import RBF, UNWEIGHTED
from robult_study.results.ranks import Procedures
from robult_study.results.tables import BLOCK
from robult_study.results.variants import ABLATIONS

FULL = ("full",)
BOTH = ("text", "full")


def table(
    *, patterns: tuple[str, ...] = BOTH, metric: str = "accuracy", **methods: list[float]
) -> Table:
    """Blocks of one data set with these numbers of each method, without seeds."""
    index = [("digits", pattern, metric) for pattern in patterns]
    return Table(pd.DataFrame(methods, pd.MultiIndex.from_tuples(index, names=BLOCK)))


def many(**methods: list[float]) -> Table:
    """As many blocks as there are numbers, each a single modality of its own."""
    count = len(next(iter(methods.values())))
    return table(patterns=tuple(f"m{i}" for i in range(count)), **methods)


def seeded(
    difference: list[float], rival: str = "gmc", pattern: str = "full", level: float = 0.5
) -> Table:
    """One block in which Robult is ahead of a rival by `difference`, seed by seed."""
    rows = []
    for seed, ahead in enumerate(difference):
        for method, value in (("robult", level + ahead), (rival, level)):
            rows.append(("digits", pattern, "accuracy", method, seed, value))
    frame = pd.DataFrame(rows, columns=[*BLOCK, "method", "seed", "value"])
    wide = frame.pivot_table(index=BLOCK, columns="method", values="value", sort=False)
    return Table(wide, frame)


def grade(name: str, on: Table) -> str:
    return graders.grade(name, on).grade


# Best means --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("robult", "most", "all_"),
    [
        ([0.6, 0.6, 0.6, 0.6], REPRODUCED, REPRODUCED),
        ([0.6, 0.6, 0.6, 0.5], REPRODUCED, NOT),  # a tie is no lead, and the one exception
        ([0.6, 0.6, 0.6, 0.4], REPRODUCED, NOT),
        ([0.6, 0.6, 0.5, 0.4], NOT, NOT),  # just half of them
        ([0.5, 0.5, 0.5, 0.5], NOT, NOT),
    ],
)
def test_best_in_most_and_in_all(robult, most, all_):
    numbers = many(robult=robult, gmc=[0.5] * 4, unimodal=[0.3] * 4)
    assert grade("best_in_most", numbers) == most
    assert grade("best_in_all", numbers) == all_


def test_two_exceptions_of_five_are_partly_most():
    numbers = many(robult=[0.6, 0.6, 0.6, 0.4, 0.4], gmc=[0.5] * 5)
    found = graders.grade("best_in_most", numbers)
    assert found.grade == PARTLY
    assert (
        "best mean in 3 of 5 rows (not: digits m3 accuracy, digits m4 accuracy)" in found.evidence
    )


def test_a_single_row_has_no_exception():
    assert grade("best_in_most", many(robult=[0.5], gmc=[0.5])) == NOT


def test_the_sanity_rows_are_no_rivals():
    numbers = many(robult=[0.6], gmc=[0.5], linear=[0.9])
    assert grade("best_in_all", numbers) == REPRODUCED


def test_a_block_without_robult_does_not_count():
    numbers = many(robult=[0.6, np.nan], gmc=[0.5, 0.5])
    assert grade("best_in_all", numbers) == REPRODUCED


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ([0.10, 0.11, 0.09], REPRODUCED),
        ([0.20, 0.01, 0.09], PARTLY),  # ahead, but the one interval contains 0
        ([0.10, 0.11], PARTLY),  # two seeds give no interval
        ([-0.10, -0.11, -0.09], NOT),
        ([0.0, 0.0, 0.0], NOT),
    ],
)
def test_best_significantly_needs_intervals_above_zero(difference, expected):
    assert grade("best_significantly", seeded(difference)) == expected


def test_print_has_no_intervals():
    found = graders.grade("best_significantly", many(robult=[0.6], gmc=[0.5]))
    assert found.grade == PARTLY
    assert "no intervals: the printed table gives no spread" in found.evidence


def joined(*tables: Table) -> Table:
    return Table(pd.concat([one.wide for one in tables]), pd.concat([one.seeds for one in tables]))


def test_most_intervals_against_each_method_are_enough():
    clear = [seeded([0.10, 0.11, 0.09], pattern=pattern) for pattern in ("text", "audio")]
    unclear = seeded([0.20, 0.01, 0.09])
    found = graders.grade("best_significantly", joined(*clear, unclear))
    assert found.grade == REPRODUCED
    assert "of 3 paired 95 % intervals 2 lie above 0, 0 below" in found.evidence
    assert grade("best_significantly", joined(clear[0], unclear)) == PARTLY


def test_one_method_that_is_not_clearly_beaten_makes_it_partly():
    clear, unclear = seeded([0.10, 0.11, 0.09]), seeded([0.20, 0.01, 0.09], "unimodal")
    seeds = pd.concat([clear.seeds, unclear.seeds[unclear.seeds["method"] == "unimodal"]])
    seeds.loc[seeds["method"] == "unimodal", "value"] = [0.3, 0.6, 0.5]
    wide = seeds.pivot_table(index=BLOCK, columns="method", values="value", sort=False)
    assert grade("best_significantly", Table(wide, seeds)) == PARTLY


# Superior ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "full", "expected"),
    [
        (0.6, 0.6, REPRODUCED),
        (0.4, 0.6, NOT),  # behind gmc and unimodal with one modality: half of four
        (0.55, 0.4, NOT),
        (0.5, 0.6, PARTLY),  # behind gmc alone, and there with one modality only
        (0.4, 0.4, NOT),
    ],
)
def test_superior_with_one_modality_and_with_all(text, full, expected):
    numbers = table(robult=[text, full], gmc=[0.5, 0.5], unimodal=[0.45, 0.45])
    assert grade("superior", numbers) == expected


@pytest.mark.parametrize(
    ("difference", "expected"),
    [([0.10, 0.11, 0.09], REPRODUCED), ([0.20, 0.01, 0.09], NOT), ([0.10, 0.11], REPRODUCED)],
)
def test_superior_over_seeds_needs_more_intervals_above_than_below(difference, expected):
    assert grade("superior", seeded(difference)) == expected


def test_superior_looks_at_the_rows_that_a_method_has():
    numbers = table(robult=[0.6, 0.6], gmc=[0.5, 0.5], prompt_trans=[np.nan, 0.7])
    found = graders.grade("superior", numbers)
    assert found.grade == PARTLY
    assert "all against prompt_trans 0%" in found.evidence
    assert "one modality against prompt_trans" not in found.evidence


# Correlation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "full", "expected"),
    [
        (0.479001, 0.4, REPRODUCED),  # a gain of 19.75 % and a little
        (0.478999, 0.4, PARTLY),
        (0.48, 0.6, REPRODUCED),  # a larger gain elsewhere says nothing against it
        (0.400001, 0.3, PARTLY),
        (0.4, 0.6, NOT),
        (0.3, 0.3, NOT),
    ],
)
def test_the_gain_in_correlation(text, full, expected):
    numbers = table(metric="corr", robult=[text, full], gmc=[0.4, 0.4], unimodal=[0.1, 0.1])
    assert grade("correlation_gain", numbers) == expected


def test_a_ratio_to_a_small_correlation_says_nothing():
    small = table(metric="corr", robult=[0.9, 0.9], gmc=[0.1, 0.1])
    found = graders.grade("correlation_gain", small)
    assert found == (MISSING, "no data set on which a baseline reaches a Corr of 0.1 from text")
    one = table(metric="corr", robult=[0.9, 0.5], gmc=[0.101, 0.1])
    assert graders.grade("correlation_gain", one).evidence.count("%") == 1


def test_only_the_correlation_counts():
    assert grade("correlation_gain", table(robult=[0.9, 0.9], gmc=[0.5, 0.5])) == MISSING


# Comparable --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("robult", "expected"), [(0.0, REPRODUCED), (-0.0001, NOT), (0.5, REPRODUCED)]
)
def test_comparable_in_print_is_within_a_hundredth(robult, expected):
    numbers = table(patterns=FULL, robult=[robult], prompt_trans=[0.01])
    assert grade("comparable", numbers) == expected


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ([-0.20, -0.01, -0.09], REPRODUCED),  # the interval contains 0
        ([-0.10, -0.11, -0.09], NOT),
        ([0.0, 0.0, 0.0], REPRODUCED),  # its upper end is 0
        ([0.10, 0.11, 0.09], REPRODUCED),
        ([-0.10, -0.11], MISSING),  # two seeds give no interval
    ],
)
def test_comparable_on_runs_is_no_interval_below_zero(difference, expected):
    assert grade("comparable", seeded(difference, "prompt_trans")) == expected


def test_comparable_looks_at_the_full_set_only():
    numbers = table(robult=[0.1, 0.5], prompt_trans=[0.9, 0.5])
    assert grade("comparable", numbers) == REPRODUCED


# Gaps between one modality and all ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("robult_full", "expected"),
    [
        (0.55, REPRODUCED),
        (0.64, REPRODUCED),  # not the smallest gap, and below the median of 0.15
        (0.65, NOT),
        (0.70, NOT),
    ],
)
def test_the_gap_is_below_the_median(robult_full, expected):
    numbers = table(
        patterns=("text", "audio", "full"),
        robult=[0.4, 0.6, robult_full],
        gmc=[0.3, 0.5, 0.5],
        unimodal=[0.3, 0.5, 0.55],
        action_mae=[0.3, 0.5, 0.9],
    )
    found = graders.grade("smaller_gap", numbers)
    assert found.grade == expected
    assert f"digits accuracy {robult_full - 0.5:.3f} against 0.150" in found.evidence
    votes = int(expected == REPRODUCED)
    assert (
        f"holds in {votes} of 1 cells, {votes:.0%} with the same weight for each" in found.evidence
    )


# Ranks -------------------------------------------------------------------------------------------


def with_p(monkeypatch, nemenyi: float, wilcoxon: float, first: str = "robult") -> Table:
    """A table whose procedures find these p values for every pair of three methods."""
    names = ["robult", "action_mae", "prompt_trans"]
    names.sort(key=lambda name: name != first)
    blocks = pd.DataFrame(0.5, index=range(30), columns=names)
    means = pd.Series([1.0, 2.0, 3.0], names)
    p = {
        "Nemenyi": pd.DataFrame(nemenyi, names, names),
        "Wilcoxon-Holm": pd.DataFrame(wilcoxon, names, names),
    }
    monkeypatch.setattr(graders, "procedures", lambda *_: Procedures(blocks, means, p))
    return Table(blocks)


@pytest.mark.parametrize(
    ("nemenyi", "wilcoxon", "gap", "tie"),
    [
        (0.049, 0.049, REPRODUCED, NOT),
        (0.05, 0.049, PARTLY, PARTLY),
        (0.049, 0.05, PARTLY, PARTLY),
        (0.05, 0.05, NOT, REPRODUCED),
    ],
)
def test_rank_gap_and_tie_at_the_level(monkeypatch, nemenyi, wilcoxon, gap, tie):
    numbers = with_p(monkeypatch, nemenyi, wilcoxon)
    assert grade("rank_gap", numbers) == gap
    assert grade("tied", numbers) == tie


def test_a_rank_gap_needs_the_first_place(monkeypatch):
    numbers = with_p(monkeypatch, 0.001, 0.001, first="action_mae")
    assert grade("rank_gap", numbers) == NOT


def test_a_rank_gap_needs_every_other_method(monkeypatch):
    numbers = with_p(monkeypatch, 0.001, 0.001)
    p = graders.procedures().p
    p["Nemenyi"].loc["robult", "prompt_trans"] = 0.2
    found = graders.grade("rank_gap", numbers)
    assert found.grade == PARTLY
    assert "Nemenyi separates Robult from action_mae; " in found.evidence


def test_ranks_of_too_few_blocks_are_missing():
    numbers = many(robult=[0.5], action_mae=[0.4], prompt_trans=[0.3])
    found = graders.grade("rank_gap", numbers)
    assert found == (MISSING, "ranks need 2 blocks of 3 methods, there are 1 of 3")


# Ablations ---------------------------------------------------------------------------------------


def ablated(robult: float = 0.5, **losses: list[float]) -> Table:
    """Robult and its four ablations on two patterns; each loss costs something unless given."""
    worse = {"no_supervised": [0.1, 0.1]}
    for name in ("no_reconstruction", "no_labeled", "no_unlabeled"):
        worse[name] = [0.3, 0.3]
    return table(robult=[robult, robult], **(worse | losses))


@pytest.mark.parametrize(
    ("labeled", "expected"),
    [
        ([0.4, 0.4], REPRODUCED),
        ([0.4, 0.55], REPRODUCED),  # higher in one cell, lower overall
        ([0.4, 0.6], NOT),  # the same overall
        ([0.6, 0.6], NOT),
    ],
)
def test_every_loss_helps_overall(labeled, expected):
    found = graders.grade("every_loss_helps", ablated(no_labeled=labeled))
    assert found.grade == expected
    if expected == NOT:
        assert "3 of 4 cells (not: digits mean accuracy no_labeled)" in found.evidence


def on_sets(**methods: list[float]) -> Table:
    """One block per number, each of a data set of its own."""
    count = len(next(iter(methods.values())))
    index = [(f"set{i}", "full", "accuracy") for i in range(count)]
    return Table(pd.DataFrame(methods, pd.MultiIndex.from_tuples(index, names=BLOCK)))


def test_an_ablation_helps_where_it_lowers_most_sets():
    worse = dict.fromkeys(ABLATIONS, [0.3] * 3)
    two_of_three = on_sets(robult=[0.5] * 3, **(worse | {"no_labeled": [0.4, 0.4, 0.6]}))
    assert grade("every_loss_helps", two_of_three) == REPRODUCED
    half = on_sets(robult=[0.5] * 2, **(dict.fromkeys(ABLATIONS, [0.3] * 2)))
    half.wide["no_unlabeled"] = [0.4, 0.6]
    assert grade("every_loss_helps", half) == NOT


def test_every_loss_is_needed_for_the_statement():
    numbers = table(robult=[0.5, 0.5], no_labeled=[0.1, 0.1])
    found = graders.grade("every_loss_helps", numbers)
    assert found == (MISSING, "no runs of no_supervised, no_reconstruction, no_unlabeled")


@pytest.mark.parametrize(
    ("reconstruction", "expected"),
    [([0.4, 0.4], REPRODUCED), ([0.4, 0.55], REPRODUCED), ([0.4, 0.6], NOT), ([0.6, 0.6], NOT)],
)
def test_the_unique_part_and_the_weights_help_overall(reconstruction, expected):
    numbers = ablated(no_reconstruction=reconstruction)
    assert grade("unique_part_helps", numbers) == expected
    renamed = numbers.wide.rename(columns={"no_reconstruction": "no_weights"})
    assert grade("weights_enhance_performance", Table(renamed)) == expected


def with_seeds(numbers: Table, count: int = 3) -> Table:
    """The same table from seeds that agree."""
    means = numbers.wide.stack().reset_index(name="value")
    means = means.rename(columns={means.columns[3]: "method"})
    return Table(
        numbers.wide,
        pd.concat([means.assign(seed=seed) for seed in range(count)], ignore_index=True),
    )


@pytest.mark.parametrize(
    "name",
    [
        "unique_part_helps",
        "every_loss_helps",
        "poorest_without_supervision",
        "harms_single_modalities",
        "equal_terms",
    ],
)
def test_a_loss_helps_over_seeds_only_where_an_interval_says_so(name):
    numbers = with_seeds(BOTH_WAYS[name][0])
    assert grade(name, numbers) == REPRODUCED
    # Robult is as good on average, but its seeds are 2 apart
    is_robult = numbers.seeds["method"] == "robult"
    numbers.seeds.loc[is_robult, "value"] += 2 * (numbers.seeds["seed"] - 1)
    assert grade(name, numbers) == NOT


def test_two_of_three_sets_are_partly():
    numbers = on_sets(robult=[0.5] * 3, no_reconstruction=[0.4, 0.4, 0.6])
    assert grade("unique_part_helps", numbers) == PARTLY


@pytest.mark.parametrize(
    ("supervised", "labeled", "expected"),
    [
        ([0.1, 0.1, 0.1], 0.3, REPRODUCED),
        ([0.1, 0.1, 0.31], 0.3, REPRODUCED),  # not the lowest everywhere, but by mean rank
        ([0.3, 0.3, 0.3], 0.2, PARTLY),  # lower, but another ablation is poorer
        ([0.1, 0.6, 0.6], 0.3, NOT),  # lower on one set of three
    ],
)
def test_poorest_without_supervision(supervised, labeled, expected):
    numbers = on_sets(
        robult=[0.5] * 3,
        no_supervised=supervised,
        no_reconstruction=[0.3] * 3,
        no_labeled=[labeled] * 3,
        no_unlabeled=[0.3] * 3,
    )
    assert grade("poorest_without_supervision", with_seeds(numbers)) == expected
    without_spread = PARTLY if expected == REPRODUCED else expected
    assert grade("poorest_without_supervision", numbers) == without_spread


@pytest.mark.parametrize(("count", "expected"), [(1, PARTLY), (2, PARTLY), (3, REPRODUCED)])
def test_significantly_poorer_needs_intervals(count, expected):
    found = graders.grade("poorest_without_supervision", with_seeds(ablated(), count))
    assert found.grade == expected
    assert f"of {int(count == 3)} paired 95 % intervals" in found.evidence


def test_half_of_the_sets_are_not_most():
    worse = {name: [0.3, 0.3] for name in ABLATIONS} | {"no_supervised": [0.1, 0.6]}
    numbers = with_seeds(on_sets(robult=[0.5, 0.5], **worse))
    assert grade("poorest_without_supervision", numbers) == NOT


def test_a_set_of_several_metrics_counts_once_for_the_poorest_ablation():
    def ablated_on(name: str, metric: str, no_supervised: float) -> pd.DataFrame:
        values = {"robult": 0.5, "no_supervised": no_supervised, "no_reconstruction": 0.45}
        values |= {"no_labeled": 0.4, "no_unlabeled": 0.3}
        return pd.DataFrame([{"data_set": name, "pattern": "mean", "metric": metric} | values])

    rows = [ablated_on("mosi", metric, 0.35) for metric in ("acc2", "acc7", "f1")]
    rows.append(ablated_on("digits", "accuracy", 0.1))
    numbers = with_seeds(Table(pd.concat(rows).set_index(BLOCK)))
    found = graders.grade("poorest_without_supervision", numbers)
    # counted by metric no_unlabeled would be poorer, 3.75 against 3.25
    assert "no_supervised 3.50" in found.evidence
    assert "no_unlabeled 3.50" in found.evidence
    assert found.grade == REPRODUCED


@pytest.mark.parametrize(
    "name",
    [
        "superior",
        "smaller_gap",
        "unique_part_helps",
        "every_loss_helps",
        "harms_single_modalities",
        "equal_terms",
    ],
)
def test_a_set_has_the_same_weight_however_many_metrics_it_has(name):
    good, bad = BOTH_WAYS[name]
    tables = [good.wide.rename({"digits": "one"}), good.wide.rename({"digits": "two"})]
    metrics = ("accuracy", "f1_macro", "mae", "corr")
    tables += [bad.wide.rename({"digits": "mosi", "accuracy": metric}) for metric in metrics]
    # "superior" and "any" ask for most sets, the others for every set
    expected = REPRODUCED if name in ("superior", "every_loss_helps") else PARTLY
    assert grade(name, Table(pd.concat(tables))) == expected


@pytest.mark.parametrize(
    ("single", "full", "expected"),
    [
        (0.30, 0.40, REPRODUCED),  # costs 0.2 with one modality, 0.1 with all
        (0.30, 0.30, NOT),  # as much
        (0.30, 0.20, NOT),  # more with all
        (0.50, 0.60, NOT),  # nothing with one modality, a gain with all
    ],
)
def test_harm_to_single_modalities(single, full, expected):
    numbers = ablated(no_reconstruction=[single, full])
    assert grade("harms_single_modalities", numbers) == expected


@pytest.mark.parametrize(
    ("labeled", "unlabeled", "expected"),
    [
        (0.5, 0.25, REPRODUCED),  # 0.25 and 0.5: just twice
        (0.25, 0.5, REPRODUCED),
        (0.5, 0.2499, NOT),
        (0.75, 0.75, NOT),  # nothing at all
        (0.75, 0.5, NOT),
    ],
)
def test_equal_terms_are_within_a_factor_of_two(labeled, unlabeled, expected):
    numbers = ablated(0.75, no_labeled=[labeled] * 2, no_unlabeled=[unlabeled] * 2)
    assert grade("equal_terms", numbers) == expected


# Lightweight and linear --------------------------------------------------------------------------


def timed(**costs: float) -> Table:
    """Methods that cost the same by each measure, on one data set."""
    rows = []
    for name, cost in costs.items():
        rows.append({"data_set": "digits", "method": name} | dict.fromkeys(graders.WEIGHT, cost))
    return Table(costs=pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("robult", "expected"), [(1, REPRODUCED), (35, REPRODUCED), (40, REPRODUCED), (41, NOT)]
)
def test_lightweight_is_no_heavier_than_the_median(robult, expected):
    numbers = timed(unimodal=20, robult=robult, gmc=30, action_mae=40, prompt_trans=45)
    found = graders.grade("lightweight", numbers)
    assert found.grade == expected
    assert f"in multiples of Unimodal: parameters {robult / 20:.2f}" in found.evidence


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(["parameters"], PARTLY), (["parameters", "seconds_per_step"], NOT)],
)
def test_lightweight_by_two_measures_of_three_is_partly(columns, expected):
    numbers = timed(unimodal=20, robult=1, gmc=30, action_mae=40, prompt_trans=45)
    numbers.costs.loc[numbers.costs["method"] == "robult", columns] = 99
    assert grade("lightweight", numbers) == expected


@pytest.mark.parametrize(
    "costs", [{"robult": 1, "unimodal": 1}, {"gmc": 1, "unimodal": 1}, {"robult": 1, "gmc": 2}]
)
def test_lightweight_is_missing_without_a_comparison(costs):
    found = graders.grade("lightweight", timed(**costs))
    assert found.grade == MISSING
    assert found.evidence.startswith("no timings of runs of Robult, Unimodal and another")


def over_modalities(milliseconds: list[float], method: str = "robult") -> Table:
    count = 2 * np.arange(1, len(milliseconds) + 1)
    steps = pd.DataFrame({"method": method, "modalities": count, "milliseconds": milliseconds})
    return Table(steps=steps)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        ([5.0, 7.1, 8.9, 11.0, 13.1, 14.9], REPRODUCED),
        ([5.0, 9.0, 12.0, 14.0, 15.0, 15.5], REPRODUCED),  # grows more slowly
        ([4.0, 16.1, 35.9, 64.0, 100.1, 143.9], NOT),  # by the square
        ([15.0, 13.0, 11.1, 9.0, 7.1, 5.0], NOT),  # no growth at all
        ([16.8, 22.6, 25.6, 31.3, 46.2, 41.3], PARTLY),  # a bend of half the rise is not excluded
        ([5.0, 15.0, 6.0, 16.0, 7.0, 17.0], PARTLY),  # too noisy for a line
    ],
)
def test_growth_over_modalities(milliseconds, expected):
    assert grade("linear_growth", over_modalities(milliseconds)) == expected


def test_growth_needs_five_times_of_robult():
    words = "no times of a step over 5 numbers of modalities: `make bench`"
    assert graders.grade("linear_growth", Table()) == (MISSING, words)
    assert graders.grade("linear_growth", over_modalities([1, 2, 3, 4])) == (MISSING, words)
    assert graders.grade("linear_growth", over_modalities([1, 2, 3, 4, 5], "gmc")).grade == MISSING


# Section 1 ---------------------------------------------------------------------------------------


def resolved(*synergy: float) -> Table:
    bins = pd.Index(2 ** np.arange(1, len(synergy) + 1), name="bins per modality")
    return Table(example=pd.DataFrame({"synergy": synergy}, bins))


@pytest.mark.parametrize(
    ("synergy", "expected"),
    [
        ((0.1, 0.4, 0.4), REPRODUCED),
        ((0.1, 0.4, 0.2), REPRODUCED),
        ((0.1, 0.4, 0.19), PARTLY),
        ((0.0, 0.0, 0.0), NOT),
    ],
)
def test_the_synergy_that_is_left_with_fine_bins(synergy, expected):
    assert grade("example_has_synergy", resolved(*synergy)) == expected


def learned(*lead: float) -> Table:
    """Networks whose accuracy from both is ahead by so much, seed by seed; a linear model is."""
    rows = []
    for seed, ahead in enumerate(lead):
        for name, accuracy in (("x1", 0.8), ("x1+x2", 0.8 + ahead)):
            rows.append(("network", name, 100, seed, accuracy))
            rows.append(("linear", name, 100, seed, 0.5 + 0.4 * (name == "x1+x2")))
    columns = ["model", "input", "training samples", "seed", "test accuracy"]
    return Table(learned=pd.DataFrame(rows, columns=columns))


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        ((0.10, 0.11, 0.09), REPRODUCED),
        ((0.20, 0.01, 0.09), PARTLY),
        ((-0.10, -0.11, -0.09), NOT),
        ((0.0, 0.0, 0.0), NOT),
    ],
)
def test_networks_learn_the_example_from_one_modality_and_from_both(lead, expected):
    assert grade("example_is_harder_alone", learned(*lead)) == expected


def aligned(told: dict[str, float]) -> Table:
    """What is told of R = 1 and U1 = 0.5 in some worlds, and of a world that tells nothing."""
    rows = {name: {"R": 1.0, "U1": 0.5, "I(z;Y)": bits} for name, bits in told.items()}
    rows["synergy"] = {"R": 0.0, "U1": 0.0, "I(z;Y)": 0.0}
    return Table(aligned=pd.DataFrame(rows).T)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"a": 1.0, "b": 1.2}, REPRODUCED),  # R, and not all of U
        ({"a": 1.0, "b": 1.0, "c": 0.9}, PARTLY),
        ({"a": 1.0, "b": 0.9}, NOT),  # half of the worlds
        ({"a": 1.5}, NOT),  # U is kept
    ],
)
def test_what_the_aligned_part_tells(told, expected):
    assert grade("alignment_keeps_the_shared_part", aligned(told)) == expected


def test_without_a_unique_part_nothing_can_be_lost():
    numbers = aligned({"a": 1.0})
    numbers.aligned.loc["a", "U1"] = 0.0
    assert grade("alignment_keeps_the_shared_part", numbers) == REPRODUCED


# Fig. 4 ------------------------------------------------------------------------------------------


def judged(early: float, late: float, gain: list[float], data_set: str = "digits") -> Table:
    """The share of true pairs at two moments, and what the weights gain in each seed."""
    rows = []
    for seed, more in enumerate(gain):
        for step, share in ((0, 0.1), (10, early), (400, late)):
            rows.append((data_set, seed, step, UNWEIGHTED, "precision", share))
            rows.append((data_set, seed, step, RBF, "precision", share + more))
            rows.append((data_set, seed, step, RBF, "AUROC", 0.5 - more))
    columns = ["data_set", "seed", "step", "weight", "measure", "value"]
    return Table(pairs=pd.DataFrame(rows, columns=columns).assign(anchors="all"))


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        ([0.10, 0.11, 0.09], REPRODUCED),
        ([0.20, 0.01, 0.09], NOT),  # the interval contains 0
        ([-0.10, -0.11, -0.09], NOT),
        ([0.10, 0.11], MISSING),  # two seeds give no interval
    ],
)
def test_the_weights_against_no_weights(gain, expected):
    assert grade("weights_reduce_false_positives", judged(0.5, 0.6, gain)) == expected


@pytest.mark.parametrize(
    ("early", "late", "expected"), [(0.5, 0.6, REPRODUCED), (0.6, 0.6, NOT), (0.7, 0.6, NOT)]
)
def test_false_positives_early_and_late(early, late, expected):
    numbers = judged(early, late, [0.0] * 3)
    assert grade("early_false_positives", numbers) == expected


def test_fig_4_is_partly_seen_on_two_sets_of_three():
    good = [0.10, 0.11, 0.09]
    three = [judged(0.5, 0.6, good, name) for name in ("a", "b")]
    three.append(judged(0.7, 0.6, [-0.1] * 3, "c"))
    numbers = Table(pairs=pd.concat([one.pairs for one in three]))
    assert grade("weights_reduce_false_positives", numbers) == PARTLY
    assert grade("early_false_positives", numbers) == PARTLY


# What they share ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agree", "expected"),
    [
        ([True, True], REPRODUCED),
        ([True, True, False], PARTLY),
        ([True, False], NOT),
        ([False], NOT),
    ],
)
def test_more_than_half_is_partly(agree, expected):
    numbers = on_sets(
        robult=[0.5] * len(agree), no_reconstruction=[0.4 if one else 0.6 for one in agree]
    )
    assert grade("unique_part_helps", numbers) == expected


def test_evidence_names_four_blocks_and_counts_the_others():
    numbers = many(robult=[0.4] * 6, gmc=[0.5] * 6)
    assert "digits m3 accuracy and 2 more" in graders.grade("best_in_all", numbers).evidence


@pytest.mark.parametrize("name", graders.GRADERS)
def test_an_empty_table_lacks_something(name):
    found = graders.grade(name, Table(pd.DataFrame({"robult": [1.0]})))
    assert found.grade == MISSING
    assert found.evidence


def ranked(robult: float, action_mae: float) -> Table:
    """Twelve sets of three methods."""
    small = np.linspace(0, 0.01, 12)
    return on_sets(
        robult=list(robult + small),
        action_mae=list(action_mae + small * (-1) ** np.arange(12)),
        prompt_trans=[0.5] * 12,
    )


BOTH_WAYS = {  # grader -> a table that reproduces its claim, and one that does not
    "superior": (table(robult=[0.6, 0.6], gmc=[0.5, 0.5]), table(robult=[0.4] * 2, gmc=[0.5] * 2)),
    "smaller_gap": (
        table(robult=[0.5, 0.6], gmc=[0.3, 0.5]),
        table(robult=[0.3, 0.6], gmc=[0.4, 0.5]),
    ),
    "lightweight": (
        timed(robult=1, unimodal=1, gmc=2, action_mae=3),
        timed(robult=4, unimodal=1, gmc=2, action_mae=3),
    ),
    "example_has_synergy": (resolved(0.1, 0.4), resolved(0.0, 0.0)),
    "example_is_harder_alone": (learned(0.10, 0.11, 0.09), learned(-0.10, -0.11, -0.09)),
    "alignment_keeps_the_shared_part": (aligned({"a": 1.0}), aligned({"a": 0.5})),
    "unique_part_helps": (ablated(), ablated(no_reconstruction=[0.6, 0.6])),
    "early_false_positives": (judged(0.5, 0.6, [0.0] * 3), judged(0.6, 0.5, [0.0] * 3)),
    "weights_reduce_false_positives": (
        judged(0.5, 0.6, [0.10, 0.11, 0.09]),
        judged(0.5, 0.6, [-0.10, -0.11, -0.09]),
    ),
    "weights_enhance_performance": (
        table(robult=[0.5, 0.5], no_weights=[0.4, 0.4]),
        table(robult=[0.5, 0.5], no_weights=[0.6, 0.6]),
    ),
    "best_significantly": (seeded([0.10, 0.11, 0.09]), seeded([-0.10, -0.11, -0.09])),
    "best_in_all": (many(robult=[0.6], gmc=[0.5]), many(robult=[0.4], gmc=[0.5])),
    "correlation_gain": (
        table(metric="corr", robult=[0.6, 0.6], gmc=[0.4, 0.4]),
        table(metric="corr", robult=[0.3, 0.6], gmc=[0.4, 0.4]),
    ),
    "best_in_most": (many(robult=[0.6] * 2, gmc=[0.5] * 2), many(robult=[0.4] * 2, gmc=[0.5] * 2)),
    "comparable": (
        seeded([0.10, 0.11, 0.09], "prompt_trans"),
        seeded([-0.10, -0.11, -0.09], "prompt_trans"),
    ),
    "rank_gap": (ranked(0.9, 0.7), ranked(0.1, 0.7)),
    "tied": (ranked(0.9, 0.5), ranked(0.6, 0.9)),
    "every_loss_helps": (ablated(), ablated(no_labeled=[0.6, 0.6])),
    "poorest_without_supervision": (
        with_seeds(ablated()),
        with_seeds(ablated(no_supervised=[0.6, 0.6])),
    ),
    "harms_single_modalities": (
        ablated(no_reconstruction=[0.3, 0.4]),
        ablated(no_reconstruction=[0.4, 0.3]),
    ),
    "equal_terms": (ablated(), ablated(no_labeled=[0.6, 0.6])),
    "linear_growth": (
        over_modalities([5.0, 7.1, 8.9, 11.0, 13.1]),
        over_modalities([4.0, 16.1, 35.9, 64.0, 100.1]),
    ),
}


@pytest.mark.parametrize("name", graders.GRADERS)
def test_every_grader_can_end_either_way(name):
    reproduces, fails = BOTH_WAYS[name]
    assert grade(name, reproduces) == REPRODUCED
    assert grade(name, fails) == NOT


@pytest.mark.parametrize("name", graders.GRADERS)
def test_every_grader_states_its_rule_in_one_sentence(name):
    rule = graders.rule(name)
    assert rule.endswith(".")
    assert len(rule.split()) > 6
    assert not re.search(r"\n|\. [A-Z]", rule)
