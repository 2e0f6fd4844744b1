"""Early stopping: when it checks, what it keeps, when it ends a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from robult_core.datasets.container import MultimodalData
from robult_core.early_stopping import CHECK_EVERY, EarlyStopping
from robult_core.method import Method
from robult_core.tasks import Classification, Regression


class Constant(Method):
    """It answers the number that is its only weight, or that class with certainty."""

    def __init__(self, task):
        super().__init__()
        self.task, self.names = task, ("a", "b")
        self.answer = nn.Parameter(torch.zeros(()))

    def predict(self, inputs):
        n = len(next(iter(inputs.values())))
        if self.task.kind == "regression":
            return self.answer.detach().expand(n, 1)
        return torch.eye(self.task.n_outputs)[int(self.answer)].expand(n, -1)


def held_out(task, targets, present=None):
    n = len(targets)
    inputs = {"a": torch.zeros(n, 2), "b": torch.zeros(n, 2)}
    return MultimodalData("held out", task, inputs, targets, ["valid"] * n, present=present)


def run(task, targets, answers, patience=2, steps=None):
    """The early stopping of a training in which the method's weight takes `answers` by check."""
    method = Constant(task)
    stopping = EarlyStopping(held_out(task, targets), patience, steps or CHECK_EVERY * len(answers))
    ended = None
    for step in range(stopping.steps + 1):
        with torch.no_grad():
            method.answer.fill_(answers[max(0, step - 1) // CHECK_EVERY])
        if stopping(step, method):
            ended = step
            break
    stopping.restore(method)
    return stopping, ended, method.answer.item()


TARGETS = torch.tensor([0, 1, 1, 2])  # answering 1 is right in half of them


def test_it_stops_after_patience_checks_and_keeps_the_best():
    stopping, ended, answer = run(Classification(3), TARGETS, [0, 1, 2, 0, 1])
    assert stopping.scores == {50: 0.25, 100: 0.5, 150: 0.25, 200: 0.25}
    assert (ended, stopping.best_step, answer) == (200, 100, 1)


def test_what_never_improves_keeps_the_first_check():
    stopping, ended, answer = run(Classification(3), TARGETS, [1, 1, 1, 1])
    assert (ended, stopping.best_step, answer) == (150, 50, 1)


def test_lower_is_better_for_an_error():
    stopping, ended, answer = run(Regression(), torch.tensor([2.0, 2.0]), [0, 1, 3, 5, 2])
    assert stopping.scores == {50: 2.0, 100: 1.0, 150: 1.0, 200: 3.0}
    assert (ended, answer) == (200, 1)


def test_what_improves_runs_to_the_end_whose_last_step_is_a_check():
    stopping, ended, answer = run(Regression(), torch.tensor([9.0]), [1, 2], steps=70)
    assert ended is None
    assert list(stopping.scores) == [50, 70]
    assert (stopping.best_step, answer) == (70, 2)


def test_samples_count_where_they_have_the_modality():
    present = torch.tensor([[True, True, False, False], [False, True, True, True]])
    method = Constant(Classification(3))  # answers 0: right for the first sample
    stopping = EarlyStopping(held_out(Classification(3), TARGETS, present), 1, 1)
    stopping(1, method)
    assert stopping.scores[1] == pytest.approx(np.mean([1 / 2, 0 / 3, 0 / 1]))
