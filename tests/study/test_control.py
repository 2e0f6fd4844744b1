"""Training curves and verdicts of notebook 03 from rows whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from robult_study.results import control


def record(seed: int, offset: float) -> SimpleNamespace:
    rows = []
    for step in range(1, 31):
        rows.append((step, "supervised_unimodal", 3.0 - 0.1 * step + offset))
        rows.append((step, "total", 99.0))
    curves = pd.DataFrame(rows, columns=["step", "term", "value"])
    return SimpleNamespace(config={"data_set": "digits", "seed": seed}, curves=lambda: curves)


def test_a_point_averages_its_part_of_the_training():
    curves = control.training_curves([record(0, 0.0), record(1, 0.2), record(2, 0.1)], 30)
    assert curves["step"].tolist() == list(range(2, 31, 2))
    assert set(curves["term"]) == {"supervised_unimodal"}
    assert curves["mean"].iloc[0] == pytest.approx(3.0 - 0.15 + 0.1)
    assert control.fall_sentence(curves).endswith(": digits 2.95 ± 0.25 -> 0.15 ± 0.25.")


def test_the_title_says_how_far_the_losses_fall():
    last = {"reconstruction": 0.1, "labeled_contrastive": 1.0, "unlabeled_contrastive": 1.5}
    rows = []
    for term, value in last.items():
        rows += [("digits", term, 1, 2.0), ("digits", term, 2, value)]
    curves = pd.DataFrame(rows, columns=["data_set", "term", "step", "mean"])
    assert control.losses_title(curves) == (
        "L_rec falls to 5% of its first value or less, the contrastive losses to 50% to 75%"
    )


def test_the_title_counts_the_sets_on_which_robult_is_ahead():
    rows = []
    for count, ours, control_s in ((1, 0.5, 0.4), (2, 0.6, 0.7)):
        rows += [("digits", "accuracy", "robult", count, ours)]
        rows += [("digits", "accuracy", "unimodal", count, control_s)]
    for count, ours, control_s in ((1, 1.5, 1.4), (3, 1.1, 1.3)):  # errors: lower is better
        rows += [
            ("mosi", "mae", "robult", count, ours),
            ("mosi", "mae", "unimodal", count, control_s),
        ]
    columns = ["data_set", "metric", "method", "modalities present", "mean"]
    title = control.number_title(pd.DataFrame(rows, columns=columns))
    assert title.endswith("on 1 of 2 sets with one modality, on 1 with all")


def test_patterns_of_a_size_are_averaged():
    rows = []
    for seed in range(3):
        for pattern, value in (("top_left", 0.2), ("top_right", 0.4), ("top_left+top_right", 0.8)):
            rows.append(("digits", "accuracy", "robult", pattern, "", seed, value))
    columns = ["data_set", "metric", "method", "pattern", "variant", "seed", "value"]
    table = control.by_number_present(pd.DataFrame(rows, columns=columns))
    means = table.set_index("modalities present")["mean"]
    assert means[1] == pytest.approx(0.3)
    assert means[2] == pytest.approx(0.8)


def test_a_line_per_rival():
    rows = pd.DataFrame(
        {
            "data_set": "digits",
            "pattern": ["top_left", "full"],
            "metric": "accuracy",
            "against": "unimodal",
            "difference": [0.1, -0.01],
            "half": [0.05, 0.05],
            "verdict": ["better", "undecided"],
        }
    )
    other_metric = rows.assign(metric="f1_macro", verdict="worse")
    assert control.verdict_title(pd.concat([rows, other_metric])) == (
        "Robult is clearly better than Unimodal in 1 of 2 columns and clearly worse in 0"
    )
    (line,) = control.verdict_lines(rows)
    assert line == (
        "Against Unimodal: ahead in the mean in 1 of 2 rows; better 1, undecided 1, worse 0."
    )
    table = control.differences_table(rows)
    assert table["against Unimodal"].iloc[0].startswith("+0.100 ± 0.050")


def test_the_papers_own_count():
    assert control.printed_sentence().endswith("in 41 of 41 rows.")
