"""The sanity rows read labelled targets only, learn, and give scores in the task's form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import StratifiedKFold
from sklearn.semi_supervised import SelfTrainingClassifier

from robult_core.datasets.container import MultimodalData
from robult_core.methods import make_method
from robult_core.methods.sanity import (
    SANITY,
    LinearHead,
    choose_strength,
    distilled_targets,
    linear_scores,
    sanity_predictions,
)
from robult_core.protocol import patterns
from robult_core.tasks import Classification, Multilabel, Regression

TASKS = (Classification(3), Regression(), Multilabel(3))
LABELED = np.arange(0, 80, 2)
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)


def targets_of(task, hidden):
    if task.kind == "classification":
        return torch.tensor((hidden[:, 0] > 0).astype(np.int64) + (hidden[:, 1] > 0))
    if task.kind == "regression":
        return torch.tensor(hidden[:, 0]).float()
    return torch.tensor((hidden > 0).astype(np.int64))


def toy(task, n=120):
    """Two noisy linear views of three hidden numbers; 80 training rows."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 3))
    views = {}
    for name in ("a", "b"):
        view = hidden @ rng.normal(size=(3, 5)) + rng.normal(size=(n, 5)) / 4
        views[name] = torch.tensor(view).float()
    split = np.where(np.arange(n) < 80, "train", "test")
    return MultimodalData("toy", task, views, targets_of(task, hidden), split).standardized()


def predictions(name, data, labeled=LABELED):
    return sanity_predictions(name, data, labeled, data.rows("test"), patterns(data.names), 0)


def defined_patterns(name, task):
    if name != "self_training":
        return [("a",), ("b",), ("a", "b")]
    return [] if task.kind == "regression" else [("a", "b")]


@every_task
@pytest.mark.parametrize("name", SANITY)
def test_scores_have_the_form_of_the_task(name, task):
    data = toy(task)
    scores = predictions(name, data)
    assert list(scores) == defined_patterns(name, task)
    for values in scores.values():
        assert values.shape == (len(data.rows("test")), task.n_outputs)
        assert np.isfinite(values).all()


@every_task
@pytest.mark.parametrize("name", SANITY)
def test_unknown_targets_change_nothing(name, task):
    data = toy(task)
    garbage = data.targets.clone()
    hidden = np.setdiff1d(np.arange(len(data)), LABELED)
    garbage[hidden] = 1 - garbage[hidden].clamp(0, 1)
    scores = predictions(name, data)
    again = predictions(name, replace(data, targets=garbage))
    assert scores.keys() == again.keys()
    for pattern, values in scores.items():
        np.testing.assert_array_equal(values, again[pattern])


@every_task
@pytest.mark.parametrize("name", SANITY)
def test_the_full_set_is_learnt(name, task):
    if ("a", "b") not in defined_patterns(name, task):
        pytest.skip("this row is not defined for the task")
    data = toy(task)
    truth = data.targets[torch.from_numpy(data.rows("test"))].numpy()
    metrics = task.metrics(predictions(name, data)["a", "b"], truth)
    if task.kind == "regression":
        assert metrics["mae"] < 0.4
    else:
        assert metrics[task.primary] > 0.62  # the most frequent answer reaches .5


def slow_models(task, x, targets):
    """Linear models of the targets, as a function from queries to scores."""
    if task.kind == "regression":
        ridge = RidgeCV((1.0, 10.0, 100.0, 1000.0, 10000.0)).fit(x, targets)
        return lambda queries: ridge.predict(queries)[:, None]
    columns = targets.T if task.kind == "multilabel" else [targets]
    models = []
    for column in columns:
        strength = choose_strength(x, column, 0)
        models.append(LogisticRegression(C=strength, max_iter=2000).fit(x, column))
    if task.kind == "multilabel":
        return lambda queries: np.stack([m.predict_proba(queries)[:, 1] for m in models], axis=1)
    return models[0].predict_proba


def slow_answers(task, scores):
    if task.kind == "regression":
        return scores[:, 0]
    if task.kind == "multilabel":
        return scores > 0.5
    return scores.argmax(1)


@every_task
def test_linear_distillation_equals_a_slow_reference(task):
    data = toy(task)
    a, b = (data.modalities[name].numpy() for name in ("a", "b"))
    together = np.concatenate([a, b], axis=1)
    targets = data.targets.numpy()[:80].copy()
    teacher = slow_models(task, together[LABELED], targets[LABELED])
    for row in np.setdiff1d(np.arange(80), LABELED):
        targets[row] = slow_answers(task, teacher(together[row : row + 1]))[0]
    scores = predictions("linear_distillation", data)
    for pattern, x in {("a",): a, ("b",): b, ("a", "b"): together}.items():
        student = slow_models(task, x[:80], targets)
        np.testing.assert_allclose(scores[pattern], student(x[80:]), rtol=1e-4, atol=1e-5)


@every_task
def test_linear_distillation_keeps_the_labels_that_are_given(task):
    data = toy(task)
    wrong = data.targets.clone()
    wrong[LABELED[:5]] = 1 - wrong[LABELED[:5]].clamp(0, 1)
    targets = distilled_targets(replace(data, targets=wrong), LABELED, 0)
    assert len(targets) == 80
    np.testing.assert_array_equal(targets[LABELED], wrong.numpy()[LABELED])


@every_task
def test_linear_distillation_with_every_label_is_the_linear_row(task):
    data = toy(task)
    everyone = data.rows("train")
    distilled = predictions("linear_distillation", data, everyone)
    for pattern, scores in predictions("linear", data, everyone).items():
        np.testing.assert_array_equal(distilled[pattern], scores)


def test_an_absent_class_gets_probability_zero():
    data = toy(Classification(3))
    known = data.rows("train")[data.targets[:80].numpy() != 2]
    scores = predictions("linear", data, known)[("a",)]
    assert (scores[:, 2] == 0).all()
    assert np.allclose(scores.sum(1), 1)


@pytest.mark.parametrize("name", SANITY)
def test_a_single_class_is_always_the_answer(name):
    data = toy(Classification(3))
    known = data.rows("train")[data.targets[:80].numpy() == 1]
    scores = predictions(name, data, known)["a", "b"]
    assert (scores.argmax(1) == 1).all()


def test_strength_is_fixed_when_a_class_has_one_row():
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert choose_strength(x, np.array([0, 0, 1, 1, 2]), 0) == 0.01


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_regression_works_from_one_row_on(n_rows):
    x = np.random.default_rng(0).normal(size=(n_rows, 2))
    scores = linear_scores(Regression(), x, x[:, 0], x, 0)
    assert scores.shape == (n_rows, 1)
    ridge = Ridge(100.0) if n_rows < 3 else RidgeCV((1.0, 10.0, 100.0, 1000.0, 10000.0))
    np.testing.assert_allclose(scores[:, 0], ridge.fit(x, x[:, 0]).predict(x))


def slow_strength(x, y, n_folds):
    """The C with the largest mean log-likelihood of the rows that were held out."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    likelihoods = {}
    for strength in (0.001, 0.01, 0.1, 1.0):
        by_fold = []
        for train, test in folds.split(x, y):
            model = LogisticRegression(C=strength, max_iter=2000).fit(x[train], y[train])
            by_fold.append(model.predict_log_proba(x[test])[range(len(test)), y[test]].mean())
        likelihoods[strength] = np.mean(by_fold)
    return max(likelihoods, key=likelihoods.get)


@pytest.mark.parametrize(("per_class", "n_folds"), [(2, 2), (4, 3), (9, 3)])
def test_strength_is_chosen_by_three_folds_or_as_many_as_there_are_rows(per_class, n_folds):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], per_class)
    chosen = set()
    for distance in (0.0, 0.5, 1.0, 2.0, 4.0):
        x = rng.normal(size=(2 * per_class, 3)) + distance * y[:, None]
        found = choose_strength(x, y, 0)
        assert found == slow_strength(x, y, n_folds)
        chosen.add(found)
    assert len(chosen) > 1


def test_self_training_is_that_of_scikit_learn():
    data = toy(Classification(3))
    x = np.concatenate([view.numpy() for view in data.modalities.values()], axis=1)
    targets = np.full(80, -1)
    targets[LABELED] = data.targets.numpy()[LABELED]
    strength = choose_strength(x[LABELED], targets[LABELED], 0)
    model = SelfTrainingClassifier(LogisticRegression(C=strength, max_iter=2000))
    wanted = model.fit(x[:80], targets).predict_proba(x[80:])
    np.testing.assert_allclose(predictions("self_training", data)["a", "b"], wanted)


def test_an_unknown_row_and_no_label_are_named():
    data = toy(Classification(3))
    with pytest.raises(ValueError, match="unknown sanity row 'forest': choose one of linear"):
        predictions("forest", data)
    with pytest.raises(ValueError, match="'linear' needs labelled rows, 'toy' has none here"):
        predictions("linear", data, np.array([], dtype=int))


@every_task
def test_linear_head_reads_what_the_classifier_would_see(task):
    data = toy(task)
    torch.manual_seed(0)
    method = make_method("robult", task, data.shapes, width=16)
    head = LinearHead(method, data, LABELED)
    inputs = {name: x[:7] for name, x in data.modalities.items()}
    full = head.predict(inputs)
    single = head.predict({"a": inputs["a"]})
    assert full.shape == (7, task.n_outputs)
    assert single.shape == (7, task.n_outputs)
    assert not torch.allclose(single, full)


def test_linear_head_is_a_linear_model_on_the_vectors():
    data = toy(Regression())
    torch.manual_seed(0)
    method = make_method("robult", data.task, data.shapes, width=16)
    head = LinearHead(method, data, LABELED)
    queries = {"a": data.modalities["a"][:7]}
    with torch.no_grad():
        rows = {"a": data.modalities["a"][LABELED]}
        known = method.classifier_inputs(rows)["a"].double().numpy()
        seen = method.classifier_inputs(queries)["a"].double().numpy()
    wanted = linear_scores(data.task, known, data.targets[LABELED].numpy(), seen, 0)
    np.testing.assert_allclose(head.predict(queries).numpy(), wanted, rtol=1e-5)


def test_linear_head_on_all_modalities_reads_the_full_vector_alone():
    data = toy(Regression())
    torch.manual_seed(0)
    method = make_method("robult", data.task, data.shapes, width=16)
    head = LinearHead(method, data, LABELED)
    queries = {name: x[:7] for name, x in data.modalities.items()}
    with torch.no_grad():
        full = method.classifier_inputs(queries)["full"].double().numpy()
    wanted = np.asarray(head.models["full"].scores(full))
    np.testing.assert_allclose(head.predict(queries).numpy(), wanted, rtol=1e-5)
