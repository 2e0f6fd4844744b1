"""The tables about the search, on made-up scores whose answers are known."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from robult_study.results import selection
from robult_study.runs.search import MAP_POINTS, design

GOOD, OTHER = (json.dumps(point) for point in design("gmc")[:2])
MINE, THEIRS = (json.dumps(point) for point in design("unimodal")[:2])


def table(rows: list[tuple], *more: str) -> pd.DataFrame:
    columns = ["method", "point", "data_set", "metric", "seed", *more, "score"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def scores() -> pd.DataFrame:
    """GMC does better at its first point; on digits Unimodal is ahead of it, on mosi behind."""
    rows = [
        ("gmc", GOOD, "digits", "accuracy", 0, 0.8),
        ("gmc", OTHER, "digits", "accuracy", 0, 0.7),
        ("gmc", GOOD, "mosi", "mae", 0, 1.0),
        ("gmc", OTHER, "mosi", "mae", 0, 1.1),
        ("unimodal", MINE, "digits", "accuracy", 0, 0.9),
        ("unimodal", THEIRS, "digits", "accuracy", 0, 0.1),
        ("unimodal", MINE, "mosi", "mae", 0, 1.5),
        ("unimodal", THEIRS, "mosi", "mae", 0, 2.0),
    ]
    return table(rows).assign(stage="around")


def folds_of(numbers: dict[tuple[str, str], tuple[float, float]]) -> pd.DataFrame:
    """The scores of points on two folds of digits."""
    rows = []
    for (method, point), values in numbers.items():
        for fold, value in enumerate(values):
            rows.append((method, point, "digits", "accuracy", 0, f"fold {fold}", value))
    return table(rows, "rows")


@pytest.fixture
def folds() -> pd.DataFrame:
    """By labelled rows GMC's other point is better, and so is GMC than Unimodal."""
    return folds_of(
        {
            ("gmc", GOOD): (0.5, 0.7),
            ("gmc", OTHER): (0.9, 0.5),
            ("unimodal", MINE): (0.4, 0.4),
            ("unimodal", THEIRS): (0.3, 0.3),
        }
    )


def test_a_point_in_words():
    point = json.dumps({"learning_rate": 0.001, "stage_one": 0.5})
    assert selection.words(point) == "learning rate 0.001, stage one 0.5"


def test_a_form_of_the_maps_in_words():
    forms = [selection.form_words(json.dumps(point)) for point in MAP_POINTS]
    assert forms[0] == "linear, with L_rec"
    assert forms[-1] == "through 4 ReLU units, without L_rec"
    assert len(set(forms)) == len(MAP_POINTS)


def test_the_best_points_of_each_method(scores):
    best = selection.top_points(scores, 2)
    assert best["method"].tolist() == ["GMC", "GMC", "Unimodal", "Unimodal"]
    assert best["point"].tolist()[0] == selection.words(GOOD)
    assert best["mean rank"].tolist() == ["1.00", "2.00", "1.00", "2.00"]
    wide = selection.score_table(scores)
    assert wide.loc[("GMC", "around", selection.words(GOOD)), "mosi"] == "1.000"


def test_three_seeds_give_ranks_and_scores_their_intervals(scores):
    seeds = []
    for seed in range(3):
        own = scores.assign(seed=seed)
        is_good = own["point"] == GOOD
        own.loc[is_good, "score"] += 0.2 * (seed - 1)
        seeds.append(own)
    several = pd.concat(seeds)
    ranks = selection.rank_texts(several)
    # within the seeds its mean rank is 1.5, 1 and 1.5: behind on digits first, on mosi last
    assert ranks["gmc", GOOD] == "1.33 ± 0.72"
    best = selection.top_points(several, 1).set_index("method")
    assert best.loc["GMC", "mean rank"] == ranks["gmc", GOOD]
    table = selection.score_table(several)
    assert table.loc[("GMC", "around", selection.words(GOOD)), "digits"] == "0.800 ± 0.497"


def test_the_forms_of_the_maps_have_ranks_with_intervals():
    rows = []
    for seed in range(3):
        for place, point in enumerate(MAP_POINTS):
            rows.append(("robult", json.dumps(point), "digits", "accuracy", seed, 1 - place / 10))
    forms = selection.map_table(table(rows))
    assert forms["mean rank"].tolist()[:2] == ["1.00 ± 0.00", "2.00 ± 0.00"]
    assert forms["point"].tolist()[0] == "linear, with L_rec"


def test_labelled_rows_may_choose_another_point(scores, folds):
    chosen = selection.selections(scores, folds).set_index("method")
    assert chosen["the same"].to_dict() == {"GMC": "no", "Unimodal": "yes"}
    assert chosen.loc["GMC", "by labelled rows"] == selection.words(OTHER)


def test_methods_are_ranked_at_their_winners_where_the_folds_are(scores, folds):
    both = folds.assign(data_set="mosi", metric="mae", score=1.0 - folds["score"])
    ranks = selection.method_ranks(scores, pd.concat([folds, both]))
    assert ranks["validation rows"].to_dict() == {"GMC": 1.5, "Unimodal": 1.5}
    assert ranks["labelled rows"].to_dict() == {"GMC": 1.0, "Unimodal": 2.0}
    only_digits = selection.method_ranks(scores, folds)
    assert only_digits["validation rows"].to_dict() == {"Unimodal": 1.0, "GMC": 2.0}
    sentence = selection.selection_sentence(selection.selections(scores, folds), only_digits)
    assert sentence == (
        "Labelled rows alone choose another point for 1 of 2 methods (GMC). Order of the methods "
        "by validation rows: Unimodal, GMC; by labelled rows: GMC, Unimodal."
    )


def steps_of(*numbers: tuple[float, float, float]) -> pd.DataFrame:
    """Scores at 10, 20 and 40 steps, a tuple for each seed, of one method on digits."""
    rows = []
    for seed, values in enumerate(numbers):
        for count, value in zip((10, 20, 40), values, strict=True):
            rows.append(("gmc", GOOD, "digits", "accuracy", seed, count, value))
    return table(rows, selection.STEPS)


def test_the_fewest_steps_within_a_standard_error_are_chosen():
    clear = steps_of((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    assert selection.chosen_steps(clear) == 40
    assert selection.by_steps(clear).to_dict() == {10: 3, 20: 2, 40: 1}
    close = steps_of((0.1, 0.2, 0.3), (0.1, 0.3, 0.2), (0.1, 0.2, 0.3))
    assert selection.chosen_steps(close) == 20
    assert selection.step_sentence(close) == (
        "Mean rank over methods, sets and seeds: 10 steps 3.00, 20 steps 1.67, 40 steps 1.33; "
        "20 are the fewest within one standard error of the best."
    )


def test_methods_are_ranked_at_each_number_of_steps():
    gmc = steps_of((0.1, 0.2, 0.3))
    other = gmc.assign(method="unimodal", point=MINE, score=[0.2, 0.2, 0.2])
    ranks = selection.step_ranks(pd.concat([gmc, other]))
    by_method = ranks.pivot(index=selection.STEPS, columns="method", values="value")
    assert by_method["gmc"].tolist() == [2, 1.5, 1]
    assert by_method["unimodal"].tolist() == [1, 1.5, 2]


def test_the_rules_of_late_fusion_side_by_side():
    rows = [("digits", "robult", seed, rule, 0.5 + seed / 10) for seed in range(3) for rule in "ab"]
    fused = pd.DataFrame(rows, columns=["data_set", "method", "seed", "tag", "value"])
    fused["tag"] = "late_fusion " + fused["tag"]
    found = selection.fusion_table(fused)
    assert list(found.columns) == ["a", "b"]
    assert found.loc[("digits", "Robult"), "a"] == "0.600 ± 0.248"
