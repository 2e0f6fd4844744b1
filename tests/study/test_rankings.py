"""Mean ranks of made-up methods, and the paper's Table 2 against the fixture."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study.results import rankings, ranks, tables

VALUES = {
    "robult": 0.7,
    "gmc": 0.6,
    "unimodal": 0.5,
    "prompt_trans": 0.4,
    "action_mae": 0.3,
    "robult_distilled": 0.2,
}
CONTROLS = {"unimodal_distilled": 0.15, "linear": 0.1, "linear_distillation": 0.05}


@pytest.fixture
def runs() -> pd.DataFrame:
    """Robult leads on `digits` and comes last on `mosi`, whose metric is an error."""
    first = results({**VALUES, **CONTROLS, "linear": 0.65, "self_training": 0.9})
    error = results({**VALUES, **CONTROLS}, "mosi", "mae")
    synthetic = results({**VALUES, **CONTROLS}, "pid")
    return pd.concat([first, error, synthetic])


def test_blocks_are_real_sets_with_a_number_of_every_method(runs):
    blocks = rankings.ranked_blocks(runs)
    assert blocks.index.get_level_values("data_set").unique().tolist() == ["digits", "mosi"]
    assert list(blocks.columns) == [*tables.CONTENDERS, *tables.CONTROLS]
    assert list(rankings.contenders(blocks).columns) == list(tables.CONTENDERS)
    assert blocks.loc["mosi"].max().max() < 0
    assert len(rankings.ranked_blocks(runs, synthetic=True)) == 9


def test_mean_ranks_over_all_single_and_full(runs):
    table = rankings.mean_rank_table(rankings.ranked_blocks(runs))
    assert list(table.columns) == [
        "all blocks (6)",
        "one modality (4)",
        "every modality (2)",
        "one value per set (2)",
        "all blocks, with controls (6)",
        "paper's Table 2 (9)",
    ]
    assert table.loc["robult", "all blocks (6)"] == 3.5  # 1 on digits, 6 on mosi
    assert table.loc["robult", "one value per set (2)"] == 3.5
    assert table.loc["robult", "all blocks, with controls (6)"] == 5  # 1 and 9
    assert table.loc["robult", "paper's Table 2 (9)"] == pytest.approx(1.111, abs=1e-3)
    assert table.index.name == "method"


def test_the_spread_of_mean_ranks_is_that_over_the_ranks_within_each_seed(runs):
    digits = (runs["data_set"] == "digits") & (runs["method"] == "gmc")
    only_full = digits & (runs["seed"] == 2) & (runs["pattern"] == "a+b")
    changed = runs.assign(value=runs["value"].mask(only_full, 0.95))  # above Robult in one seed
    by_seed = rankings.seed_ranks(changed)
    assert by_seed.groupby(["data_set", "method", "pattern"])["seed"].nunique().eq(3).all()
    blocks = rankings.ranked_blocks(changed)
    set_by_seed = rankings.seed_ranks_per_set(changed)
    table = rankings.with_seed_spread(rankings.mean_rank_table(blocks), by_seed, set_by_seed)
    assert list(table.columns[:8]) == [
        "all blocks (6)",
        "within seeds, all blocks",
        "one modality (4)",
        "within seeds, one modality",
        "every modality (2)",
        "within seeds, every modality",
        "one value per set (2)",
        "within seeds, one value per set",
    ]
    # on the full sets Robult's mean rank within a seed is 3.5, 3.5 and 4: sd sqrt(1/12)
    assert table.loc["robult", "every modality (2)"] == 3.5
    assert table.loc["robult", "within seeds, every modality"] == "3.67 ± 0.72"
    assert table.loc["robult", "within seeds, one modality"] == "3.50 ± 0.00"
    assert table.loc["linear", "within seeds, all blocks"] == "–"
    text = rankings.ranks_by_set_table(blocks, by_seed)
    assert text.loc["mosi", "robult"] == "6.00 ± 0.00"
    assert text.loc["digits", "robult"].startswith("1.11 ± 0.48")


def test_a_seed_that_lacks_a_block_has_no_ranks_to_compare(runs):
    lacking = runs[~((runs["seed"] == 1) & (runs["data_set"] == "mosi"))]
    assert set(rankings.seed_ranks(lacking)["seed"]) == {0, 2}


def test_ranks_by_set_and_the_sentences(runs):
    blocks = rankings.ranked_blocks(runs)
    table = rankings.ranks_by_set(blocks)
    assert table.loc["digits", "robult"] == 1
    assert table.loc["mosi", "robult"] == 6
    only = rankings.ranked_blocks(runs[runs["data_set"] == "digits"])
    assert rankings.place_sentences(only) == [
        "First by mean rank over all blocks (3): Robult; one modality (2): Robult; "
        "every modality (1): Robult; "
        "one value per set (1): Robult.",
        "Robult leads on digits.",
        "Distilled Robult leads on no set.",
    ]
    mosi = rankings.ranked_blocks(runs[runs["data_set"] == "mosi"])
    first, *leads = rankings.place_sentences(mosi)
    assert first.startswith("First by mean rank over all blocks (3): Distilled Robult; one mod")
    assert leads == ["Robult leads on no set.", "Distilled Robult leads on mosi."]


def test_a_lead_that_is_shared_is_told(runs):
    mosi = runs[runs["data_set"] == "mosi"]
    same = mosi[mosi["method"] == "robult_distilled"].assign(method="robult")
    tied = pd.concat([mosi[mosi["method"] != "robult"], same])
    assert rankings.place_sentences(rankings.ranked_blocks(tied))[1:] == [
        "Robult leads on mosi (shared).",
        "Distilled Robult leads on mosi (shared).",
    ]


def test_a_method_without_a_run_is_left_out(runs):
    without = runs[runs["method"] != "robult_distilled"]
    assert "robult_distilled" not in rankings.ranked_blocks(without)
    assert rankings.place_sentences(rankings.ranked_blocks(without))[2].endswith("leads on no set.")


def test_the_f1_of_real_sets_as_text():
    rows = pd.concat([results(VALUES, name, "f1_macro") for name in ("digits", "pid")])
    rows = pd.concat([rows, results(VALUES)])
    found = rankings.f1_rows(rows)
    assert set(found["data_set"]) == {"digits"}
    assert set(found["metric"]) == {"f1_macro"}
    assert set(rankings.f1_rows(rows, synthetic=True)["data_set"]) == {"digits", "pid"}
    blocks = found.pivot_table(
        index=["data_set", "pattern", "metric"], columns="method", values="value"
    )
    text = rankings.f1_table(found, blocks[["robult"]])
    assert text["robult"].tolist() == ["0.700 ± 0.000", "0.700 ± 0.000", "0.800 ± 0.000"]


def test_one_value_per_set_is_the_mean_over_patterns(runs):
    blocks = rankings.ranked_blocks(runs)
    means = rankings.per_set(blocks)
    assert len(means) == 2
    assert means.loc["digits", "robult"] == pytest.approx((0.7 + 0.7 + 0.8) / 3)


def test_one_value_per_set_has_its_interval_over_seeds(runs):
    is_digits = runs["data_set"] == "digits"
    ahead = is_digits & (runs["method"] == "gmc") & (runs["seed"] == 2)
    rows = runs.assign(value=runs["value"] + 0.2 * ahead, metric="f1_macro")[is_digits]
    rows = rankings.f1_rows(pd.concat([rows, rows.assign(data_set="cub10")]))
    ours = ranks.procedures(tables.wide(rows), tables.CONTENDERS)
    sets = ranks.procedures(rankings.per_set(ours.blocks), tables.CONTENDERS)
    text = rankings.per_set_table(sets, rows, ours.blocks)
    assert list(text.index) == list(sets.ranks.index)
    # in the third seed GMC is first on both sets: 1, 1 and 2
    assert text.loc["robult"].tolist()[:2] == [1.0, "1.33 ± 1.43"]
    assert text.loc["robult", list(rankings.P_AGAINST_ROBULT)].isna().all()
    nemenyi = text["p against Robult, Nemenyi"].drop("robult")
    assert nemenyi.to_dict() == sets.p["Nemenyi"].loc["robult"].drop("robult").to_dict()
    by_seed = rankings.seed_ranks_per_set(rows.assign(metric="accuracy"))
    assert set(by_seed["seed"]) == {0, 1, 2}


def test_ranks_without_a_complete_seed_have_no_interval(runs):
    halves = [runs[(runs["seed"] == 0) ^ (runs["data_set"] == name)] for name in ("mosi",)]
    rows = rankings.f1_rows(halves[0].assign(metric="f1_macro"))
    ours = ranks.procedures(tables.wide(rows), tables.CONTENDERS)
    sets = ranks.procedures(rankings.per_set(ours.blocks), tables.CONTENDERS)
    text = rankings.per_set_table(sets, rows, ours.blocks)
    assert "±" not in "".join(text["within seeds"])
    by_seed, set_by_seed = rankings.seed_ranks(halves[0]), rankings.seed_ranks_per_set(halves[0])
    blocks = rankings.ranked_blocks(halves[0])
    table = rankings.with_seed_spread(rankings.mean_rank_table(blocks), by_seed, set_by_seed)
    assert table.loc["robult", "within seeds, all blocks"] == "3.50"
    assert rankings.ranks_by_set_table(blocks, by_seed).loc["mosi", "robult"] == "6.00"


def test_a_seed_that_lacks_a_pattern_of_a_set_has_no_rank_of_the_set(runs):
    lacks = (runs["seed"] == 1) & (runs["data_set"] == "mosi") & (runs["pattern"] == "a")
    assert set(rankings.seed_ranks_per_set(runs[~lacks])["seed"]) == {0, 2}


def test_sentences_about_the_printed_table():
    found = ranks.procedures(rankings.printed_blocks(), tables.COMPARED)
    words = rankings.friedman_sentence(found.blocks)
    assert words.startswith("Friedman: chi2 24.53, p 6.2e-05; Iman-Davenport F 17.12;")
    assert words.endswith("critical difference 2.03 over 9 blocks")
    limit, apart = rankings.separation_sentences(found)
    assert limit == "critical difference 2.03, smallest p of Wilcoxon-Holm 0.039"
    assert apart == "pairs separated at 0.05: Nemenyi 4, Wilcoxon-Holm 6"
    assert rankings.order_words(found.ranks).startswith("Robult 1.11, GMC 2.33, Unimodal 3.33")
    title = rankings.separation_title(found)
    assert title == "Nemenyi tells Robult apart from 3 of 4 others, Wilcoxon-Holm from 4"
