"""Tables of training on incomplete samples."""

from __future__ import annotations

import pandas as pd

from robult_study.results.missing_training import (
    against_masked,
    curves,
    most_often_best,
    remedy_scores,
    sentences,
)

# remedy -> accuracy at 0 %, at 50 %; dropping has no point at 50 %
VALUES = {"masked": (0.8, 0.7), "mean": (0.8, 0.6), "dropped": (0.8, None)}


def results():
    rows = []
    for remedy, values in VALUES.items():
        for rate, value in zip((None, 0.5), values, strict=True):
            for seed in range(3):
                for pattern in ("a", "b", "a+b"):
                    if value is not None:
                        rows.append((remedy, rate, seed, pattern, value + 0.01 * seed))
    columns = ["tag", "missing_in_training", "seed", "pattern", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(
        data_set="digits", method="robult", label_fraction=0.05, variant="", metric="accuracy"
    )


def test_scores_by_remedy_and_rate():
    rows = remedy_scores(results())
    assert set(rows["missing"]) == {0, 50}
    assert set(rows["view"]) == {"one modality (mean)", "all, fused branch"}
    curve = curves(rows)
    assert set(curve["metric"]) == {"accuracy"}
    means = curve.set_index(["view", "remedy", "missing"])["mean"]
    assert means["all, fused branch", "mean", 50.0].round(6) == 0.61
    assert ("all, fused branch", "dropped", 50.0) not in means.index


def test_without_any_loss_all_is_at_rate_0():
    complete = results().drop(columns="missing_in_training")
    assert set(remedy_scores(complete.drop_duplicates(["tag", "seed", "pattern"]))["missing"]) == {
        0
    }


def test_other_remedies_stand_against_masked_training():
    differences = against_masked(remedy_scores(results()))
    assert differences["remedy"].tolist() == ["mean", "mean"]
    assert differences["difference"].round(6).tolist() == [-0.1, -0.1]
    assert sentences(differences) == [
        "mean against masked: of 2 points clearly better in 0, clearly worse in 2"
    ]


def test_the_remedy_that_is_best_most_often_is_named_where_something_is_missing():
    values = {"masked": (0.9, 0.5, 0.2, 0.6), "mean": (0.8, 0.6, 0.3, 0.1)}
    rows = []
    for remedy, means in values.items():
        for missing, mean in zip((0, 10, 30, 50), means, strict=True):
            rows.append(("a", "one", remedy, missing, mean))
    curve = pd.DataFrame(rows, columns=["data_set", "view", "remedy", "missing", "mean"])
    assert most_often_best(curve) == ("mean", 2, 3)
