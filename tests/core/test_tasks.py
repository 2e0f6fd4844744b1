"""Metrics against a fixture of GMC's code and scikit-learn, rounding, classes, wrong targets."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robult_core.tasks import (
    LATE_FUSION,
    Classification,
    Multilabel,
    Regression,
    check_late_fusion,
    higher_is_better,
    round_half_away,
)

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures/metrics.json").read_text())
TASKS = {
    "classification": Classification(3),
    "regression": Regression(),
    "multilabel": Multilabel(3),
}


def test_regression_metrics_equal_the_fixture():
    predictions, truth = np.array(FIXTURE["predictions"]), np.array(FIXTURE["truth"])
    found, expected = Regression().metrics(predictions[:, None], truth), FIXTURE["results"]
    gmc = expected["exclude_zero_True"]
    pairs = {
        "mae": gmc["mae"],
        "corr": gmc["correlation"],
        "accuracy": gmc["accuracy"],
        "f1_gmc": gmc["f1_score"],
        "f1": expected["conventional_f1_order_true_first_exclude_zero"]["f1_weighted"],
        # the fixture rounds halves to even, which takes 2.5 to its truth 2; reading 19 makes it 3
        "accuracy_7": expected["acc7"] - 1 / 12,
    }
    for name, value in pairs.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert set(found) == set(Regression.metric_names)


def test_constant_prediction_has_no_correlation():
    truth = np.array(FIXTURE["truth"])
    found, expected = (
        Regression().metrics(np.full((12, 1), 0.5), truth),
        FIXTURE["constant_prediction_0_5"],
    )
    assert math.isnan(found["corr"])
    assert found["mae"] == pytest.approx(expected["mae"], abs=1e-6)
    assert found["f1_gmc"] == pytest.approx(expected["f1_score"], abs=1e-6)
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)


def test_nearly_constant_prediction_and_truth_of_zeros_do_not_warn():
    nearly = np.full(5, 0.5) + 1e-17 * np.arange(5)
    assert "corr" in Regression().metrics(nearly[:, None], np.arange(5.0))
    zeros = Regression().metrics(np.arange(5.0)[:, None], np.zeros(5))
    assert all(math.isnan(zeros[name]) for name in ("corr", "accuracy", "f1", "f1_gmc", "f1_macro"))
    assert zeros["mae"] == 2


def test_multilabel_metrics_equal_the_fixture():
    case = FIXTURE["multilabel"]
    scores = Multilabel(3).scores(torch.tensor(case["logits"])).numpy()
    found = Multilabel(3).metrics(scores, np.array(case["labels"]))
    assert found == pytest.approx(
        {f"f1_{name}": value for name, value in case["f1"].items()}, abs=1e-6
    )


def test_auroc_equals_the_fixture():
    case = FIXTURE["auroc"]
    scores = Classification(2).scores(torch.tensor(case["two_class_logits"])).numpy()
    np.testing.assert_allclose(scores[:, 1], case["prob_pos"], atol=1e-6)
    assert Classification(2).metrics(scores, np.array(case["labels"]))["auroc"] == pytest.approx(
        0.833333, abs=1e-6
    )
    assert math.isnan(Classification(2).metrics(scores, np.ones(5, dtype=int))["auroc"])


@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (3, 3), (5, 3), (4,)])
def test_scores_that_do_not_fit_are_refused(shape):
    message = re.escape(f"scores have shape {shape}: expected (4, 3), targets by outputs")
    with pytest.raises(ValueError, match=message):
        Classification(3).metrics(np.zeros(shape), np.zeros(4, dtype=int))


@pytest.mark.parametrize("targets", [torch.tensor(1), torch.zeros(2, 2, dtype=int), torch.ones(2)])
def test_targets_of_another_form_are_refused(targets):
    with pytest.raises(ValueError, match=r"labels have shape .*: expected .N,. integers"):
        Classification(3).check_targets(targets)


def test_macro_f1_counts_a_class_that_nobody_has_as_zero():
    scores = np.eye(4)[[0, 1, 0, 1]]
    assert Classification(4).metrics(scores, np.array([0, 1, 0, 1])) == {
        "accuracy": 1.0,
        "f1_macro": 0.5,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, 1),
        (1.5, 2),
        (2.5, 3),
        (-0.5, -1),
        (-1.5, -2),
        (0.49999997, 0),
        (-0.49999997, 0),
        (0, 0),
        (2.4, 2),
    ],
)
def test_halves_round_away_from_zero(value, expected):
    assert round_half_away(torch.tensor([value]))[0] == expected


@given(st.floats(-1e6, 1e6))
def test_rounding_is_to_the_nearest_and_odd(value):
    exact = torch.tensor([value], dtype=torch.float64)
    assert (round_half_away(exact) - exact).abs() <= 0.5
    assert round_half_away(-exact) == -round_half_away(exact)


def test_regression_classes_are_the_seven_bins():
    targets = torch.tensor([-9.0, -3.0, -2.5, -0.4, 0.0, 0.5, 1.4, 2.6, 3.0, 7.0])
    assert Regression().label_classes(targets).tolist() == [-3, -3, -3, 0, 0, 1, 1, 3, 3, 3]


@given(st.integers(2, 80), st.integers(0, 2**31))
def test_multilabel_classes_are_label_sets(n_labels, seed):
    targets = torch.from_numpy(np.random.default_rng(seed).integers(2, size=(30, n_labels)))
    targets[1], targets[29] = targets[0], 0
    classes = Multilabel(n_labels).label_classes(targets)
    same_set = (targets[:, None] == targets[None]).all(-1)
    assert torch.equal(classes[:, None] == classes[None], same_set)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_contrastive_class_is_the_label_or_the_pseudo_label(task):
    logits = torch.randn(6, task.n_outputs, generator=torch.Generator().manual_seed(0))
    decoded = task.decode(task.scores(logits))
    targets = torch.zeros_like(decoded)
    labeled = torch.tensor([True, False] * 3)
    classes = task.contrastive_classes(targets, labeled, logits)
    assert torch.equal(classes[labeled], task.label_classes(targets)[labeled])
    assert torch.equal(classes[~labeled], task.label_classes(decoded)[~labeled])


def four_targets(task):
    """The third of them is unlabelled and holds nonsense."""
    return {
        "classification": torch.tensor([0, 2, 1, 1]),
        "regression": torch.tensor([0.5, -1, math.nan, 2]),
    }.get(task.kind, torch.tensor([[0, 1, 1], [1, 0, 0], [9, 9, 9], [0, 0, 1]]))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_weight_two_equals_the_row_twice(task):
    logits, targets = torch.randn(4, task.n_outputs), four_targets(task)
    labeled = torch.tensor([True, True, False, True])
    weights = torch.tensor([1.0, 2.0, math.nan, 1.0])
    twice = torch.tensor([0, 1, 1, 3])
    expected = task.supervised_loss(logits[twice], targets[twice], labeled[twice])
    weighted = task.supervised_loss(logits, targets, labeled, weights)
    torch.testing.assert_close(weighted, expected)
    torch.testing.assert_close(
        task.supervised_loss(logits, targets, labeled, weights * 3), expected
    )
    assert task.supervised_loss(logits, targets, labeled & ~labeled, weights) == 0


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_supervised_loss_is_the_mean_over_labelled_rows(task):
    logits = torch.randn(4, task.n_outputs, requires_grad=True)
    targets = four_targets(task)
    labeled = torch.tensor([True, True, False, True])
    each = task.per_sample_loss(logits, targets)
    torch.testing.assert_close(task.supervised_loss(logits, targets, labeled), each[labeled].mean())
    none = task.supervised_loss(logits, targets, torch.zeros(4, dtype=torch.bool))
    assert none == 0
    assert torch.autograd.grad(none, logits)[0].abs().sum() == 0


@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        (Classification(3), torch.tensor([0, 3]), r"label 3 is outside the task's classes 0\.\.2"),
        (Classification(3), torch.tensor([0, -1, 5]), "label -1 is outside"),
        (Classification(3), torch.tensor([0.0, math.nan]), "expected .N,. integers"),
        (Classification(3), torch.zeros(2, 1, dtype=torch.long), "expected .N,. integers"),
        (Regression(), torch.tensor([0.0, math.nan]), "target nan is not a finite number"),
        (Regression(), torch.tensor([math.inf, math.nan]), "target inf is not a finite number"),
        (Regression(), torch.zeros(2, 1), "expected .N,., one number"),
        (Multilabel(3), torch.tensor([[0, 2, 3]]), "multilabel target 2 is neither 0 nor 1"),
        (Multilabel(3), torch.tensor([0, 1, 1]), r"shape \(3,\): pass a \(N, 3\) indicator"),
        (Multilabel(3), torch.zeros(2, 4, dtype=torch.long), r"pass a \(N, 3\) indicator"),
    ],
)
def test_targets_outside_the_task_are_named(task, targets, message):
    with pytest.raises(ValueError, match=message):
        task.check_targets(targets)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Classification(-2), "greater than or equal to 1"),
        (lambda: Classification(0), "greater than or equal to 1"),
        (lambda: Classification(1), "there must be at least 2 classes"),
        (lambda: Classification(2.5), "valid integer"),
        (lambda: Classification(3, primary="mae"), "primary of Classification is 'mae': choose"),
        (
            lambda: Classification(10, primary="auroc"),
            "'auroc' for 10 classes: it is defined for two classes, so choose accuracy",
        ),
        (lambda: Regression(3), "should be 1"),
        (lambda: Regression(bound=0.0), "bound of Regression is 0.0"),
        (lambda: Multilabel(1), "use classification with two classes"),
        (lambda: Multilabel(-2), "greater than or equal to 1"),
    ],
)
def test_tasks_that_make_no_sense_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_mae_is_better_when_lower():
    names = [name for task in TASKS.values() for name in task.metric_names]
    assert [name for name in names if not higher_is_better(name)] == ["mae"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_scores_that_are_not_finite_have_no_metrics(task, value):
    targets = np.zeros((4, 3), dtype=int) if task.kind == "multilabel" else np.zeros(4, dtype=int)
    scores = np.full((4, task.n_outputs), 0.5)
    scores[1:, 0] = value
    with pytest.raises(ValueError, match="scores of 3 of 4 rows are not finite numbers"):
        task.metrics(scores, targets)


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (
            np.zeros((4, 2)),
            np.zeros(4, dtype=int),
            r"shape \(4, 2\): expected \(4, 3\), targets by",
        ),
        (np.zeros((3, 3)), np.zeros(4, dtype=int), r"shape \(3, 3\): expected \(4, 3\)"),
        (np.zeros((0, 3)), np.zeros(0, dtype=int), "there is no row to measure"),
        (np.zeros((2, 3)), np.array([0, 7]), "label 7 is outside the task's classes"),
    ],
)
def test_scores_that_do_not_fit_are_named(scores, targets, message):
    with pytest.raises(ValueError, match=message):
        Classification(3).metrics(scores, targets)


# --- late fusion (reading 17) ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", TASKS)
@given(seed=st.integers(0, 10_000))
def test_late_fusion_from_scores_equals_that_from_logits(kind, seed):
    """Slow references: mean of scores, scores of the mean logit, scores weighted by certainty."""
    task = TASKS[kind]
    logits = torch.randn(
        3, 4, task.n_outputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    scores = task.scores(logits)
    neutral = 0.5 if kind == "multilabel" else 0.0
    certainty = [(one - neutral).abs().max(dim=-1).values[:, None] for one in scores]
    products = [weight * one for weight, one in zip(certainty, scores, strict=True)]
    weighted = sum(products) / sum(certainty)
    expected = {
        "probabilities": sum(scores) / 3,
        "logits": task.scores(sum(logits) / 3),
        "confidence": sum(scores) / 3 if kind == "regression" else weighted,
    }
    assert set(expected) == set(LATE_FUSION)
    for rule, value in expected.items():
        torch.testing.assert_close(task.late_fusion(scores, rule), value)


@pytest.mark.parametrize("rule", LATE_FUSION)
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_late_fusion_of_equal_scores_is_that_score(task, rule):
    logits = torch.randn(5, task.n_outputs, generator=torch.Generator().manual_seed(0))
    scores = task.scores(logits)
    torch.testing.assert_close(task.late_fusion(torch.stack([scores] * 3), rule), scores)
    with_a_blind_one = torch.stack([scores, task.scores(0 * logits)])
    assert torch.isfinite(task.late_fusion(with_a_blind_one, rule)).all()


def test_an_unknown_rule_of_late_fusion_is_named():
    with pytest.raises(ValueError, match="late fusion is 'bogus': choose one of probabilities"):
        check_late_fusion("bogus")


def test_a_confident_modality_counts_more():
    task = Classification(3)
    sure, unsure = torch.tensor([[9.0, 0, 0]]), torch.tensor([[0, 0.5, 0]])
    scores = task.scores(torch.stack([sure, unsure]))
    by_confidence = task.late_fusion(scores, "confidence")
    assert by_confidence[0, 0] > task.late_fusion(scores, "probabilities")[0, 0]


def test_modalities_that_exclude_everything_or_know_nothing_fuse_to_finite_scores():
    opposed = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    torch.testing.assert_close(
        Classification(2).late_fusion(opposed, "logits"), torch.tensor([[0.5, 0.5]])
    )
    blind = torch.full((2, 1, 3), 0.5)
    assert Multilabel(3).late_fusion(blind, "confidence").isfinite().all()


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_loss_of_a_target_as_a_score_is_that_of_the_target(task):
    logits = torch.randn(4, task.n_outputs, generator=torch.Generator().manual_seed(0))
    targets = four_targets(task)[[0, 1, 3]]
    if task.kind == "classification":
        certain = torch.eye(3)[targets]
    else:
        certain = targets.float().reshape(3, -1)
    rows = logits[[0, 1, 3]]
    torch.testing.assert_close(task.soft_loss(rows, certain), task.per_sample_loss(rows, targets))


def test_scores_and_labels_as_distributions():
    of_classes, of_labels = TASKS["classification"], TASKS["multilabel"]
    scores = torch.tensor([[0.2, 0.3, 0.5]])
    assert torch.equal(of_classes.distributions(scores), scores)
    assert of_classes.label_distributions(torch.tensor([2])).tolist() == [[0, 0, 1]]
    assert torch.equal(of_classes.from_distributions(scores), scores)
    both = of_labels.distributions(scores)
    torch.testing.assert_close(both, torch.tensor([[[0.8, 0.2], [0.7, 0.3], [0.5, 0.5]]]))
    assert torch.equal(of_labels.from_distributions(both), scores)
    labels = of_labels.label_distributions(torch.tensor([[0, 1, 0]]))
    assert labels.tolist() == [[[1, 0], [0, 1], [1, 0]]]


def test_a_half_is_no_label_and_zero_is_not_positive():
    scores = torch.tensor([[0.5, 0.51, 0.49]])
    assert TASKS["multilabel"].decode(scores).tolist() == [[0, 1, 0]]
    halves = TASKS["multilabel"].metrics(scores.numpy(), np.array([[0, 1, 0]]))
    assert halves["f1_micro"] == 1
    found = Regression().metrics(np.zeros((2, 1)), np.array([-1.0, -2.0]))
    assert found["accuracy"] == 1


def test_the_area_under_the_curve_may_lead_for_two_classes():
    assert Classification(2, primary="auroc").primary == "auroc"
