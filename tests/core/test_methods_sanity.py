"""The sanity rows: linear models and self-training read labelled targets only and give scores in the task's form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.methods import make_method
from robult_core.methods.sanity import LinearHead, choose_strength, sanity_predictions
from robult_core.protocol import patterns
from robult_core.tasks import Classification, Multilabel, Regression


def _data(task, n=120):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 3))
    views = {
        name: torch.tensor(hidden @ rng.normal(size=(3, 5)) + rng.normal(size=(n, 5)) / 4).float()
        for name in ("a", "b")
    }
    targets = {
        "classification": lambda: torch.tensor(
            (hidden[:, 0] > 0).astype(np.int64) + (hidden[:, 1] > 0)
        ),
        "regression": lambda: torch.tensor(hidden[:, 0]).float(),
        "multilabel": lambda: torch.tensor((hidden > 0).astype(np.int64)),
    }[task.kind]()
    split = np.where(np.arange(n) < 80, "train", "test")
    return MultimodalData("toy", task, views, targets, split).standardized()


TASKS = (Classification(3), Regression(), Multilabel(3))
LABELED = np.arange(0, 80, 2)


@pytest.mark.parametrize("name", ["linear", "self_training"])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_scores_learn_and_ignore_unknown_targets(name, task):
    data = _data(task)
    rows = data.rows("test")
    scores = sanity_predictions(name, data, LABELED, rows, patterns(data.names), 0)
    wanted = (
        []
        if name == "self_training" and task.kind == "regression"
        else [("a", "b")]
        if name == "self_training"
        else patterns(data.names)
    )
    assert list(scores) == wanted
    garbage = data.targets.clone()
    hidden = np.setdiff1d(np.arange(len(data)), LABELED)
    garbage[hidden] = 1 - garbage[hidden].clamp(0, 1)
    again = sanity_predictions(
        name, replace(data, targets=garbage), LABELED, rows, patterns(data.names), 0
    )
    for pattern, values in scores.items():
        assert values.shape == (len(rows), task.n_outputs)
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, again[pattern])
    if ("a", "b") in scores:
        metrics = task.metrics(scores["a", "b"], data.targets[torch.from_numpy(rows)].numpy())
        assert (
            metrics["mae"] < 0.4 if task.kind == "regression" else metrics[task.primary] > 0.62
        )  # the most frequent answer reaches .5


def test_absent_class_and_single_class_get_probability_zero():
    data = _data(Classification(3))
    known = data.rows("train")[data.targets[:80].numpy() != 2]
    scores = sanity_predictions("linear", data, known, data.rows("test"), [("a",)], 0)[("a",)]
    assert (scores[:, 2] == 0).all()
    assert np.allclose(scores.sum(1), 1)
    ones = data.rows("train")[data.targets[:80].numpy() == 1]
    scores = sanity_predictions("self_training", data, ones, data.rows("test"), [("a", "b")], 0)[
        ("a", "b")
    ]
    assert (scores.argmax(1) == 1).all()


def test_strength_is_fixed_when_a_class_has_one_row():
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert choose_strength(x, np.array([0, 0, 1, 1, 2]), 0) == 0.01


def test_errors():
    data = _data(Classification(3))
    with pytest.raises(ValueError, match="unknown sanity row 'forest'"):
        sanity_predictions("forest", data, LABELED, data.rows("test"), [("a",)], 0)
    with pytest.raises(ValueError, match="needs labelled rows"):
        sanity_predictions("linear", data, np.array([], dtype=int), data.rows("test"), [("a",)], 0)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_linear_head_reads_what_the_classifier_would_see(task):
    data = _data(task)
    torch.manual_seed(0)
    method = make_method("robult", task, data.shapes, width=16)
    head = LinearHead(method, data, LABELED)
    inputs = {name: x[:7] for name, x in data.modalities.items()}
    assert head.predict(inputs).shape == (7, task.n_outputs)
    single = head.predict({"a": inputs["a"]})
    assert single.shape == (7, task.n_outputs)
    assert not torch.allclose(single, head.predict(inputs))
