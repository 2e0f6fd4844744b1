"""Early stopping on samples that the user sets apart: the best weights are kept."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from torch import Tensor

from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import evaluate
from robult_core.method import Method
from robult_core.protocol import paper_patterns
from robult_core.tasks import higher_is_better

CHECK_EVERY = 50  # steps


class EarlyStopping:
    """Scores a method every 50 steps and after the last one, to be called after each step.

    The score is the mean of the task's first metric over every modality alone and all of them
    together, on the samples of `data` that have them. A call returns True where the training should
    end, which is after `patience` checks that were no better than the best. `scores` holds the
    score by step, and `restore` brings back the best weights, the earliest of several.
    """

    def __init__(self, data: MultimodalData, patience: int, steps: int) -> None:
        self.data = data
        self.patience = patience
        self.steps = steps
        self.scores: dict[int, float] = {}
        self.best_step = 0
        self._best_weights: dict[str, Tensor] = {}

    def __call__(self, step: int, method: Method) -> bool:
        if step == 0 or (step % CHECK_EVERY and step != self.steps):
            return False
        score = self._score(method)
        if not self.scores or self._is_better(score, self.scores[self.best_step]):
            self.best_step = step
            self._best_weights = deepcopy(method.state_dict())
        self.scores[step] = score
        since_best = sum(checked > self.best_step for checked in self.scores)
        return since_best >= self.patience

    def restore(self, method: Method) -> None:
        """Give the method the best weights that were seen."""
        method.load_state_dict(self._best_weights)

    def _score(self, method: Method) -> float:
        rows, _ = evaluate(
            method, self.data, np.arange(len(self.data)), paper_patterns(self.data.names)
        )
        values = [
            row["value"]
            for row in rows
            if row["metric"] == self.data.task.primary and not row["variant"]
        ]
        return float(np.mean(values))

    def _is_better(self, score: float, other: float) -> bool:
        if higher_is_better(self.data.task.primary):
            return score > other
        return score < other
