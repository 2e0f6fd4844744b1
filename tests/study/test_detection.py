"""Tables of notebook 09 from judgements whose answer is known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import small

from robult_study.results import detection, pairs
from robult_study.results.pairs import RBF, SAME_SHARE, UNWEIGHTED
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store


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


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    return detection.against_rivals(detection.by_moment(rows))


@pytest.mark.parametrize("moment", [detection.BEFORE, detection.AFTER])
def test_the_verdict_follows_the_sign_of_the_difference(moment):
    better = compared(judged(0.1))
    assert set(better["verdict"]) == {"RBF better"}
    assert detection.grade(better, moment) == "holds"
    worse = compared(judged(-0.1))
    assert set(worse["verdict"]) == {"RBF worse"}
    assert detection.grade(worse, moment) == "not shown"


def test_two_seeds_give_no_verdict():
    assert set(compared(judged(0.1, seeds=2))["verdict"]) == {"no difference seen"}


def better_before_training() -> pd.DataFrame:
    """The RBF weight is better than its rivals at step 0, and worse later."""
    rows = judged(-0.1)
    first = (rows["step"] == 0) & (rows["weight"] == RBF)
    rows.loc[first, "value"] += 0.3
    return rows


def test_the_start_of_training_has_a_verdict_of_its_own():
    table = compared(better_before_training())
    verdicts = table.groupby("moment")["verdict"].unique()
    assert verdicts[detection.BEFORE].tolist() == ["RBF better"]
    assert verdicts[detection.AFTER].tolist() == ["RBF worse"]
    assert detection.grade(table, detection.BEFORE) == "holds"
    assert detection.grade(table, detection.AFTER) == "not shown"


def test_a_line_per_question_names_both_moments():
    means = detection.by_moment(better_before_training())
    lines = detection.verdict_lines(means, detection.against_rivals(means))
    assert lines[:2] == [
        "AUROC of the RBF weight before training: digits 0.70",
        "AUROC of the RBF weight after the start: digits 0.40",
    ]
    assert (
        "precision against no weights: before training RBF better on 1 of 1 sets; "
        "after the start RBF worse on 1 of 1 sets"
    ) in lines
    assert len(lines) == 2 + sum(map(len, detection.RIVALS.values()))


def test_what_precision_gains_stands_beside_what_accuracy_gains():
    rows = []
    for seed in range(3):
        for tag, gain in (("robult", 0.02), ("weighting none", 0.0)):
            rows.append(("digits", "one modality (mean)", tag, seed, 0.5 + gain))
            rows.append(("cub10", "one modality (mean)", tag, seed, 0.5 + gain * (seed - 1)))
            rows.append(("digits", "all, fused branch", tag, seed, 0.7 - gain))
    scored = pd.DataFrame(rows, columns=["data_set", "view", "tag", "seed", "value"])
    gains = detection.accuracy_gains(scored)
    assert gains["difference"].tolist() == pytest.approx([0.02, 0.0, -0.02])
    sentence = detection.gain_sentence(gains, compared(judged(0.1)))
    assert "better with RBF weights on 1 of 1 sets" in sentence
    assert "better on 1, undecided on 1, worse on 0 of 2" in sentence
    assert "digits +0.020 ± 0.000 *, cub10 +0.000 ± 0.050)" in sentence


def test_curves_and_references_are_means_over_seeds():
    curves = detection.curves(judged(), ["AUROC"], [RBF])
    assert curves["mean"].tolist() == pytest.approx([0.601] * 3)
    assert curves["measure"].unique().tolist() == ["AUROC"]
    reference = detection.by_reference(judged(), 20)
    moments = {"before training", "during training", "after training"}
    assert set(reference["moment"]) == moments
    level = detection.level_of_use(judged(), [0, 20])
    assert level["step"].tolist() == [0, 20]


def test_titles_of_the_curves_are_those_of_the_last_step():
    rows = judged()
    rows.loc[(rows["step"] == 20) & (rows["weight"] == RBF), "value"] = 0.8
    curves = detection.curves(rows, ["precision", "kept"], [RBF, UNWEIGHTED])
    title = detection.curves_title(curves, "precision", [UNWEIGHTED])
    levels = "RBF (Eq. 5) 0.80, no weights 0.50"
    assert title == f"Precision after training, mean over data sets: {levels}"


def test_the_title_of_the_references_is_that_of_unlabelled_anchors_before_training():
    rows = judged()
    chosen = rows["anchors"].eq("unlabelled") & rows["step"].eq(0) & rows["weight"].eq(RBF)
    rows.loc[chosen, "value"] = 0.9
    title = detection.references_title(detection.by_reference(rows, 20))
    assert "AUROC 0.90 of RBF (Eq. 5), whose reference is the own pair" in title
    assert title.endswith("0.50 of RBF, labelled reference")


def test_the_title_of_the_histograms_has_both_ends_of_the_training():
    rows = [(0, True, 0.7), (0, True, 0.9), (0, False, 0.6), (9, True, 0.5), (9, False, 0.2)]
    frame = pd.DataFrame([*rows, (5, True, 0.0)], columns=["step", "true", RBF])
    title = detection.histograms_title(frame)
    assert title == (
        "Mean weights, first seed: true 0.80, false 0.60 before training; "
        "true 0.50, false 0.20 after"
    )


def test_the_title_of_the_matrices_sets_true_pairs_against_false_ones():
    means = pd.DataFrame({"a": [0.5, 0.4], "b": [0.9, 0.6]}, index=["true", "false"])
    title = detection.matrices_title(means)
    assert title == (
        "In 2 of 2 settings true pairs weigh more than false ones in the mean; the differences go "
        "from +0.10 to +0.30"
    )


def test_runs_are_judged_at_the_snapshots_that_the_store_has(tmp_path):
    store = Store(tmp_path)
    configs = small(snapshots=(0, 20))
    run_grid(configs[:1], store, progress=False)
    found = detection.judged_runs(configs, store, partial(detection.judged_run, count=1))
    assert set(found["seed"]) == {0}  # the other run was not made
    assert set(found["step"]) == {0, 20}
    assert set(found["data_set"]) == {"digits"}
    assert set(found["anchors"]) == set(detection.ANCHORS)
    precision = detection.of_all(found, ["precision"])["value"]
    assert precision.dropna().between(0, 1).all()


def test_runs_that_kept_no_weights_cannot_be_judged(tmp_path):
    store = Store(tmp_path)
    run_grid(small()[:1], store, progress=False)
    assert detection.judged_runs(small(snapshots=(0, 20)), store).empty


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
