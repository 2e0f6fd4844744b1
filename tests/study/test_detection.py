"""Tables of notebook 09 from judgements whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from robult_study.results import detection, pairs
from robult_study.results.pairs import RBF, SAME_SHARE, UNWEIGHTED


def judged(gain=0.1, seeds=3) -> pd.DataFrame:
    """RBF is better than every rival by `gain`, from the first step on."""
    rows = []
    for seed in range(seeds):
        for step in (0, 10, 20):
            for anchors in detection.ANCHORS:
                for measure in ("AUROC", "average precision", "precision", "kept"):
                    for weight in (RBF, "RBF, labelled reference", "confidence", "cosine"):
                        value = 0.5 + gain * (weight == RBF) + 0.001 * seed
                        rows.append(("digits", seed, step, anchors, measure, weight, value))
                    for weight in (UNWEIGHTED, SAME_SHARE):
                        value = 0.5 + 0.002 * seed
                        rows.append(("digits", seed, step, anchors, measure, weight, value))
    columns = ["data_set", "seed", "step", "anchors", "measure", "weight", "value"]
    return pd.DataFrame(rows, columns=columns)


def test_the_verdict_follows_the_sign_of_the_difference():
    means = detection.after_start(judged(0.1))
    assert set(detection.against_rivals(means)["verdict"]) == {"RBF better"}
    assert detection.grade(detection.against_rivals(means)) == "holds"
    worse = detection.against_rivals(detection.after_start(judged(-0.1)))
    assert set(worse["verdict"]) == {"RBF worse"}
    assert detection.grade(worse) == "not shown"


def test_two_seeds_give_no_verdict():
    compared = detection.against_rivals(detection.after_start(judged(0.1, seeds=2)))
    assert set(compared["verdict"]) == {"no difference seen"}


def test_the_first_step_counts_in_no_verdict():
    rows = judged(0.1)
    rows.loc[rows["step"] == 0, "value"] = 9.0
    assert detection.after_start(rows)["value"].max() < 1


def test_a_line_per_question():
    means = detection.after_start(judged())
    lines = detection.verdict_lines(means, detection.against_rivals(means))
    assert lines[0] == "AUROC of the RBF weight after the start of training: digits 0.60"
    assert "precision against no weights: RBF better on 1 of 1 sets" in lines
    assert len(lines) == 1 + sum(map(len, detection.RIVALS.values()))


def test_curves_and_references_are_means_over_seeds():
    curves = detection.curves(judged(), ["AUROC"], [RBF])
    assert curves["mean"].tolist() == pytest.approx([0.601] * 3)
    assert curves["panel"].unique().tolist() == ["digits: AUROC"]
    reference = detection.by_reference(judged(), 20)
    moments = {"before training", "during training", "after training"}
    assert set(reference["moment"]) == moments
    level = detection.level_of_use(judged(), [0, 20])
    assert level["step"].tolist() == [0, 20]


def test_steps_that_are_shown():
    assert detection.shown_steps((0, 10, 20, 40, 100, 200, 400)) == [0, 20, 40, 400]
    assert detection.shown_steps((0, 30)) == [0, 30]


def test_a_wider_kernel_weighs_more():
    generator = torch.Generator().manual_seed(0)
    view = {
        "s": torch.randn(8, 4, generator=generator),
        "z": torch.randn(2, 8, 4, generator=generator),
        "classes": torch.tensor([0, 1] * 4),
        "labeled": torch.tensor([True, False] * 4),
    }
    truth = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1])
    panels = detection.weight_panels(view, [0.5], [0.5, 2.0])
    narrow, wide = panels.values()
    pseudo, true = pairs.pair_masks(view, truth)
    assert not pseudo.diagonal().any()
    assert (wide[pseudo] >= narrow[pseudo]).all()
    table = detection.mean_weights(panels, pseudo, true)
    assert table.loc["true"].iloc[0] == pytest.approx(narrow[pseudo & true].mean())
    assert np.isfinite(table.to_numpy()).all()
