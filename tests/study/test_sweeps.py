"""Crossings, leaders and tallies of curves whose answer is known."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study.results import sweeps
from robult_study.results.scores import FUSED, SINGLE


def curves(**values: tuple[float, ...]) -> pd.DataFrame:
    """Means of methods over x = 1, 2, 3 with a little spread over three seeds."""
    rows = []
    for method, means in values.items():
        for x, mean in enumerate(means, start=1):
            for seed in range(3):
                spread = 0.01 * seed + 0.001 * (seed == 2) * (method == "gmc")
                rows.append(("a", "v", method, x, seed, mean + spread))
    return pd.DataFrame(rows, columns=["data_set", "view", "method", "x", "seed", "value"])


def crossings_of(rows: pd.DataFrame) -> pd.DataFrame:
    return sweeps.crossings(sweeps.leads(rows, "x"), "x")


def test_the_labels_of_each_share():
    table = sweeps.share_counts({"a": {0.05: 50, 1.0: 1400}, "b": {0.01: 20, 0.05: 60}})
    assert list(table.columns) == ["1 %", "5 %", "100 %"]
    assert table.loc["a"].tolist() == ["–", "50", "1,400"]
    assert table.loc["b"].tolist() == ["20", "60", "–"]


def test_a_lead_is_robult_minus_the_other():
    table = sweeps.leads(curves(robult=(0.5, 0.5), gmc=(0.4, 0.6), linear=(0.1, 0.1)), "x")
    lead = table.set_index(["against", "x"])["difference"]
    assert list(dict.fromkeys(table["against"])) == ["gmc", "linear"]
    assert lead["gmc", 1] == pytest.approx(0.1, abs=1e-3)
    assert lead["gmc", 2] == pytest.approx(-0.1, abs=1e-3)
    assert lead["linear", 2] == pytest.approx(0.4)


# Crossings ---------------------------------------------------------------------------------------


def test_a_crossing_is_found_between_neighbours():
    found = crossings_of(curves(robult=(0.0, 0.4, 0.8), gmc=(0.4, 0.5, 0.6)))
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["after"], row["before"], row["ahead_then"]) == (2, 3, "robult")
    assert row["clear"]
    assert row["crossing"] == pytest.approx(2 + 0.1 / 0.3, abs=0.01)


def test_the_other_method_may_be_ahead_afterwards():
    found = crossings_of(curves(robult=(0.4, 0.5, 0.6), gmc=(0.0, 0.4, 0.8)))
    assert found["ahead_then"].tolist() == ["gmc"]


def test_points_are_taken_in_the_order_of_the_dial():
    rows = curves(robult=(0.0, 0.4, 0.8), gmc=(0.4, 0.5, 0.6))
    assert crossings_of(rows[::-1])["crossing"].item() == pytest.approx(2.33, abs=0.01)


def test_a_crossing_within_noise_is_not_clear():
    rows = curves(robult=(0.4, 0.5), gmc=(0.41, 0.49))
    noisy = rows["value"] + 0.05 * (rows["method"] == "gmc") * (rows["seed"] - 1)
    found = crossings_of(rows.assign(value=noisy))
    assert found["clear"].tolist() == [False]
    assert "1 crossings with another method, 0 of them clear" in sweeps.crossings_sentence(found)


def test_parallel_curves_do_not_cross():
    found = crossings_of(curves(robult=(0.5, 0.6, 0.7), gmc=(0.4, 0.5, 0.6)))
    assert found.empty
    assert sweeps.crossings_sentence(found).startswith("0 crossings")


def test_crossings_in_words():
    found = crossings_of(curves(robult=(0.0, 0.4, 0.8), gmc=(0.4, 0.5, 0.6)))
    row = sweeps.crossings_table(found).iloc[0]
    assert (row["against"], row["between"], row["clear"]) == ("GMC", "2 and 3", "yes")
    assert row["ahead above it"] == "Robult"


# Leaders and spread ------------------------------------------------------------------------------


def test_leaders_are_named_with_their_means():
    rows = curves(robult=(0.4, 0.8), gmc=(0.6, 0.6), linear=(0.1, 0.1))
    table = sweeps.leaders(rows, "x")
    assert table["leader"].tolist() == ["GMC", "Robult"]
    assert table["second"].tolist() == ["Robult", "GMC"]
    assert table["clear"].tolist() == ["yes", "yes"]
    assert table["mean"].tolist() == ["0.610 ± 0.026", "0.810 ± 0.025"]
    assert table["its mean"].tolist() == ["0.410 ± 0.025", "0.610 ± 0.026"]
    assert table["x"].tolist() == [1, 2]


def test_a_lead_within_noise_is_not_clear():
    rows = curves(robult=(0.5,), gmc=(0.51,))
    noisy = rows["value"] + 0.1 * (rows["method"] == "gmc") * (rows["seed"] - 1)
    assert sweeps.leaders(rows.assign(value=noisy), "x")["clear"].tolist() == ["no"]


def test_the_spread_of_methods_at_both_ends():
    rows = curves(robult=(0.2, 0.5, 0.9), gmc=(0.6, 0.7, 0.85))
    spread = sweeps.spread_of_methods(rows, "x").iloc[0]
    # GMC has 0.001 more in the third seed: sd 0.001 / sqrt(3), half of the interval 0.00143
    assert spread["with the fewest labels"] == "0.400 ± 0.001"
    assert spread["with the most"] == "0.050 ± 0.001"
    fewer = rows[~((rows["method"] == "gmc") & (rows["seed"] == 0))]
    fewer = fewer.assign(value=fewer["value"] + 3 * (fewer["seed"] == 0))
    # Robult's own first seed is far up; of the seeds that both have GMC is the better one
    assert sweeps.spread_of_methods(fewer, "x").iloc[0]["with the fewest labels"] == "0.400"
    sentence = sweeps.rise_sentence(sweeps.curve_means(rows, "x"))
    assert "2 of 2 lines rise" in sentence
    assert "on 1 of 1 panels" in sentence


def test_share_scores_have_the_share_really_used_and_are_sorted():
    tables = [results({"robult": 0.5}, label_fraction=share) for share in (1.0, 0.05)]
    late = results({"robult": 0.9}, variant="late_fusion")
    rows = sweeps.share_scores(pd.concat([*tables, late]), {"digits": {0.05: 12.5, 1.0: 100.0}})
    assert rows["labels"].unique().tolist() == [12.5, 100]
    assert set(rows["view"]) == {SINGLE, FUSED}


# Random loss -------------------------------------------------------------------------------------


def test_the_drop_is_from_no_loss_to_one_modality_left():
    rows = []
    for method, end in (("robult", 0.6), ("gmc", 0.7)):
        for rate, value in ((0.0, 0.9), (0.5, 0.1), (1.0, end)):
            for seed in range(3):
                row = {"data_set": "digits", "method": method, "seed": seed, "rate": rate}
                rows.append(row | {"value": value})
    dropped = sweeps.drop(pd.DataFrame(rows))
    assert dropped.groupby("method")["value"].mean().to_dict() == pytest.approx(
        {"robult": 0.3, "gmc": 0.2}
    )
    summary = dropped.groupby(["data_set", "method"])["value"].agg(mean="mean").reset_index()
    assert sweeps.least_drop(summary).to_dict() == {"digits": "gmc"}


# The general claim -------------------------------------------------------------------------------


def test_the_tally_counts_robult_against_each_method():
    rows = curves(robult=(0.5, 0.5), gmc=(0.4, 0.6), unimodal=(0.1, 0.1))
    parts = [sweeps.points(rows[rows["x"] == x], "x", "x {:g}") for x in (1, 2)]
    assert parts[1]["where"].unique().tolist() == ["x 2"]
    table = sweeps.tally(parts)
    assert table.loc[
        "GMC", ["Robult clearly better", "undecided", "Robult clearly worse"]
    ].tolist() == [1, 0, 1]
    assert table.loc["Unimodal", "Robult clearly better"] == 2
    assert table.loc["Unimodal", "Robult clearly better, Holm"] == 2
    ahead, behind = sweeps.tally_sentences(table)
    assert ahead.endswith("against: Unimodal")
    assert behind == "and not against: GMC"


def test_the_lead_is_robult_minus_the_other():
    rows = curves(robult=(0.5, 0.6), gmc=(0.4, 0.7))
    leads = sweeps.leads(rows, "x")
    assert leads["against"].tolist() == ["gmc", "gmc"]
    assert leads["difference"].tolist() == pytest.approx([0.1, -0.1], abs=0.01)
    assert (leads["low"] < leads["difference"]).all()
    assert (leads["difference"] < leads["high"]).all()


def test_the_title_counts_clear_leads_and_names_the_rivals_with_the_most():
    rows = curves(robult=(0.5, 0.5), gmc=(0.4, 0.3), prompt_trans=(0.4, 0.3), linear=(0.4, 0.7))
    leads = sweeps.leads(rows, "x")
    assert sweeps.lead_title(leads) == (
        "Robult is clearly ahead in 5 of 6 comparisons, most often of GMC and Prompt-Trans "
        "(2 each), and clearly behind in 1, most often linear (1)"
    )
    undecided = leads.assign(verdict="undecided")
    title = "Robult is clearly ahead in 0 of 6 comparisons and clearly behind in 0"
    assert sweeps.lead_title(undecided) == title
