"""Each grader at the thresholds of its rule, on tables of blocks x methods made for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_study.results import graders
from robult_study.results.graders import MISSING, NOT, PARTLY, REPRODUCED, Table
from robult_study.results.ranks import Procedures
from robult_study.results.tables import BLOCK

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
        ([0.20, 0.01, 0.09], PARTLY),  # ahead, but the interval contains 0
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


def test_one_interval_that_contains_zero_is_enough():
    clear, unclear = seeded([0.10, 0.11, 0.09], pattern="text"), seeded([0.20, 0.01, 0.09])
    both = Table(pd.concat([clear.wide, unclear.wide]), pd.concat([clear.seeds, unclear.seeds]))
    found = graders.grade("best_significantly", both)
    assert found.grade == PARTLY
    assert "of 2 paired 95 % intervals 1 lie above 0, 0 below" in found.evidence


# Correlation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "full", "expected"),
    [
        (0.479001, 0.4, REPRODUCED),  # a gain of 19.75 % and a little
        (0.478999, 0.4, PARTLY),
        (0.48, 0.49, PARTLY),  # the largest gain is not on text
        (0.400001, 0.3, PARTLY),
        (0.4, 0.3, NOT),
        (0.3, 0.3, NOT),
    ],
)
def test_the_gain_in_correlation(text, full, expected):
    numbers = table(metric="corr", robult=[text, full], gmc=[0.4, 0.4], unimodal=[0.1, 0.1])
    assert grade("correlation_gain", numbers) == expected


def test_a_ratio_to_a_small_correlation_says_nothing():
    small = table(metric="corr", robult=[0.9, 0.9], gmc=[0.1, 0.1])
    found = graders.grade("correlation_gain", small)
    assert found == (MISSING, "no data set and pattern on which a baseline reaches a Corr of 0.1")
    one = table(metric="corr", robult=[0.9, 0.5], gmc=[0.1, 0.101])
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
    ("robult_full", "expected"), [(0.59, REPRODUCED), (0.61, NOT), (0.5, REPRODUCED)]
)
def test_the_smallest_gap(robult_full, expected):
    patterns = ("text", "audio", "full")
    numbers = table(patterns=patterns, robult=[0.4, 0.6, robult_full], gmc=[0.3, 0.5, 0.5])
    found = graders.grade("smallest_gap", numbers)
    assert found.grade == expected
    assert "gmc 0.100" in found.evidence


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
    ("labeled", "expected"), [([0.4, 0.4], REPRODUCED), ([0.4, 0.5], NOT), ([0.4, 0.6], NOT)]
)
def test_every_loss_helps_falls_at_one_cell(labeled, expected):
    found = graders.grade("every_loss_helps", ablated(no_labeled=labeled))
    assert found.grade == expected
    if expected == NOT:
        assert "7 of 8 cells (not: digits full accuracy no_labeled)" in found.evidence


def test_every_loss_is_needed_for_the_statement():
    numbers = table(robult=[0.5, 0.5], no_labeled=[0.1, 0.1])
    found = graders.grade("every_loss_helps", numbers)
    assert found == (MISSING, "no runs of no_supervised, no_reconstruction, no_unlabeled")


@pytest.mark.parametrize(
    ("reconstruction", "expected"),
    [([0.4, 0.4], REPRODUCED), ([0.4, 0.5], NOT), ([0.6, 0.6], NOT)],
)
def test_the_unique_part_helps(reconstruction, expected):
    numbers = ablated(no_reconstruction=reconstruction)
    assert grade("unique_part_helps", numbers) == expected


def test_two_of_three_cells_are_partly():
    numbers = many(robult=[0.5] * 3, no_reconstruction=[0.4, 0.4, 0.6])
    assert grade("unique_part_helps", numbers) == PARTLY


@pytest.mark.parametrize(
    ("supervised", "expected"),
    [
        ([0.1, 0.1, 0.1], REPRODUCED),
        ([0.3, 0.3, 0.3], NOT),  # not even the lowest on average
        ([0.1, 0.1, 0.31], PARTLY),
    ],
)
def test_poorest_without_supervision(supervised, expected):
    labeled = 0.2 if expected == NOT else 0.3
    numbers = many(
        no_supervised=supervised,
        no_reconstruction=[0.3] * 3,
        no_labeled=[labeled] * 3,
        no_unlabeled=[0.3] * 3,
    )
    assert grade("poorest_without_supervision", numbers) == expected


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
    rows = [
        {"data_set": "digits", "method": name, "parameters": cost, "seconds_per_step": cost}
        for name, cost in costs.items()
    ]
    return Table(pd.DataFrame(), costs=pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("robult", "expected"), [(1, REPRODUCED), (25, PARTLY), (35, NOT), (50, NOT)]
)
def test_lightweight_by_place_among_five(robult, expected):
    numbers = timed(unimodal=20, robult=robult, gmc=30, action_mae=40, prompt_trans=45)
    assert grade("lightweight", numbers) == expected


def test_lightweight_needs_both_quantities():
    numbers = timed(unimodal=20, robult=1, gmc=30)
    slow = numbers.costs["method"] == "robult"
    costs = numbers.costs.assign(seconds_per_step=numbers.costs["seconds_per_step"].mask(slow, 99))
    assert grade("lightweight", numbers._replace(costs=costs)) == NOT


@pytest.mark.parametrize("costs", [{"robult": 1}, {"gmc": 1}, {"gmc": 1, "unimodal": 2}])
def test_lightweight_is_missing_without_a_comparison(costs):
    found = graders.grade("lightweight", timed(**costs))
    assert found == (MISSING, "no timings of runs of Robult and of another method")


@pytest.mark.parametrize(
    ("counts", "expected"), [([2, 5, 8, 11, 14, 17], REPRODUCED), ([1, 2, 4, 8, 16, 32], NOT)]
)
def test_linear_growth_is_equal_increments(monkeypatch, counts, expected):
    monkeypatch.setattr(graders, "_count_parameters", lambda n: counts[n - 1])
    assert grade("linear_growth", Table(pd.DataFrame())) == expected


def test_robult_itself_grows_linearly():
    found = graders.grade("linear_growth", Table(pd.DataFrame()))
    assert found.grade == REPRODUCED
    words = found.evidence.split(" parameters")[0].split(", ")
    counts = [int(word.replace(",", "")) for word in words]
    assert len(counts) == 6
    assert len(set(np.diff(counts))) == 1


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
    numbers = many(
        robult=[0.5] * len(agree), no_reconstruction=[0.4 if one else 0.6 for one in agree]
    )
    assert grade("unique_part_helps", numbers) == expected


def test_evidence_names_four_blocks_and_counts_the_others():
    numbers = many(robult=[0.4] * 6, gmc=[0.5] * 6)
    assert "digits m3 accuracy and 2 more" in graders.grade("best_in_all", numbers).evidence


@pytest.mark.parametrize("name", sorted(set(graders.GRADERS) - {"linear_growth"}))
def test_an_empty_table_lacks_something(name):
    found = graders.grade(name, Table(pd.DataFrame({"robult": [1.0]})))
    assert found.grade == MISSING
    assert found.evidence


def test_every_grader_states_its_rule_in_one_sentence():
    for grader in graders.GRADERS.values():
        rule = grader.__doc__.split("\n\n")[0]
        assert rule.endswith(".")
        assert len(rule.split()) > 6
