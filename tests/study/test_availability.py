"""Numbers by the modalities present, against sums worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from robult_study.results import availability

NAMES = ("a", "b", "c")
WORTH = {"a": 0.1, "b": 0.2, "c": -0.05}  # what a modality adds, whatever else is there
PATTERNS = ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]


@pytest.fixture
def runs() -> pd.DataFrame:
    """Robult is additive; GMC gets 0.32 from every subset."""
    rows = []
    for pattern in PATTERNS:
        robult = 0.2 + sum(WORTH[name] for name in pattern.split("+"))
        for method, value in (("robult", robult), ("gmc", 0.32)):
            for seed in range(3):
                row = {"data_set": "digits", "method": method, "seed": seed, "pattern": pattern}
                rows.append(row | {"metric": "accuracy", "variant": "", "value": value})
    return pd.DataFrame(rows)


def test_modalities_are_counted_and_the_full_set_is_known(runs):
    other = runs.assign(data_set="cub10", pattern="a")
    both = pd.concat([runs, other], ignore_index=True)
    counts = availability.modalities_present(both)
    assert counts[both["pattern"] == "a+c"].unique().tolist() == [2]
    full = both[availability.has_all(both)]
    assert set(zip(full["data_set"], full["pattern"], strict=True)) == {
        ("digits", "a+b+c"),
        ("cub10", "a"),
    }


def test_sizes_are_averaged_over_their_subsets(runs):
    late = runs.assign(variant="late_fusion", value=9.0)
    rows = availability.subsets(pd.concat([runs, late]))
    means = availability.by_size(rows)
    assert means["method"].unique().tolist() == ["robult", "gmc"]  # in order of appearance
    table = means.set_index(["method", "seed", "present"])["value"]
    assert table["robult", 0, 1] == pytest.approx(0.2 + 0.25 / 3)
    assert table["robult", 0, 2] == pytest.approx(0.2 + 0.5 / 3)
    assert table["robult", 0, 3] == pytest.approx(0.45)


def test_the_best_method_is_counted_per_subset(runs):
    rows = availability.subsets(runs)
    others = [rows.assign(data_set=name, value=9.0) for name in ("cub10", "handwritten")]
    means = availability.pattern_means(pd.concat([rows, *others]), "digits")
    assert len(means) == 2 * 7
    # GMC leads on a (0.30 of Robult), c (0.15) and a+c (0.25)
    assert availability.best_per_subset(means).to_dict() == {"robult": 4, "gmc": 3}
    assert availability.mean_place(means, "robult") == pytest.approx((4 * 1 + 3 * 2) / 7)


def test_all_modalities_stand_against_the_best_smaller_subset_with_the_spread_over_seeds(runs):
    is_full = (runs["pattern"] == "a+b+c") & (runs["method"] == "robult")
    noisy = runs.assign(value=runs["value"] + 0.01 * is_full * (runs["seed"] - 1))
    rows = availability.subsets(noisy)
    gaps = availability.all_against_best_subset(rows, "digits", NAMES)
    found = gaps.set_index("method")
    assert found["mean"].to_dict() == pytest.approx({"robult": -0.05, "gmc": 0.0})
    assert found["sd"].to_dict() == pytest.approx({"robult": 0.01, "gmc": 0.0})


def test_means_of_negated_errors_say_so(runs):
    scores = runs.assign(data_set="mosi", metric="mae")
    means = availability.pattern_means(availability.subsets(scores), "mosi")
    assert set(means["metric"]) == {"mae, negated"}
    gmc = means[means["method"] == "gmc"]
    assert gmc["mean"].tolist() == pytest.approx([-0.32] * len(PATTERNS))
    accuracies = availability.pattern_means(availability.subsets(runs), "digits")
    assert set(accuracies["metric"]) == {"accuracy"}


def test_gains_are_what_each_modality_adds(runs):
    rows = availability.subsets(runs)
    others = [rows.assign(data_set=name, value=9.0) for name in ("cub10", "handwritten")]
    table = availability.gains(pd.concat([rows, *others]), "digits", NAMES)
    gains = table.set_index(["added", "method"])["mean"]
    for name, worth in WORTH.items():
        assert gains[name, "robult"] == pytest.approx(worth)
        assert gains[name, "gmc"] == pytest.approx(0)
    assert (table["n"] == 3).all()


def test_the_title_counts_the_subsets_that_a_method_is_best_on():
    rows = [("x", "robult", 0.5), ("x", "gmc", 0.4), ("y", "robult", 0.3), ("y", "gmc", 0.4)]
    means = pd.DataFrame(rows, columns=["pattern", "method", "mean"])
    title = availability.best_title(means, "robult")
    assert title == "is the best of 2 methods on 1 of 2 subsets"
    assert availability.best_title(means, "linear").endswith("on 0 of 2 subsets")
