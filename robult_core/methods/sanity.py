"""The sanity rows of every table: linear models from scikit-learn, and self-training. If these win, the table says so.

`linear`: logistic (ridge for regression) on the concatenation of the modalities present, one model per pattern. `self_training`: scikit-learn's
SelfTrainingClassifier around it, on the concatenation of all modalities only; it is defined for classes, so regression has no such row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.semi_supervised import SelfTrainingClassifier
from torch import Tensor

from robult_core.datasets.container import MultimodalData
from robult_core.method import Method
from robult_core.tasks import Task

SANITY = ("linear", "self_training")
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # C of the logistic regression, on standardised features
ALPHAS = tuple(10.0**k for k in range(0, 5))  # of the ridge, chosen by leave-one-out
UNLABELED = -1  # scikit-learn's mark


class Constant:
    """Predicts one class: what is left when all labelled rows agree."""

    def __init__(self, value: int) -> None:
        self.classes_ = np.array([value])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.ones((len(x), 1))


def _logistic(strength: float = 0.01) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=2000)


def choose_strength(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """C by cross-validated log-likelihood inside the labelled rows; a fixed 0.01 where a class has a single row."""
    smallest = np.unique(y, return_counts=True)[1].min()
    if smallest < 2:
        return 0.01
    folds = StratifiedKFold(min(3, smallest), shuffle=True, random_state=seed)
    scores = [
        cross_val_score(_logistic(c), x, y, cv=folds, scoring="neg_log_loss").mean()
        for c in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(scores))]


def _classifier(x: np.ndarray, y: np.ndarray, known: np.ndarray, seed: int, self_training: bool):
    """Fitted classifier of `y`, of which only `known` rows may be read."""
    classes = np.unique(y[known])
    if len(classes) == 1:
        return Constant(int(classes[0]))
    base = _logistic(choose_strength(x[known], y[known], seed))
    if not self_training:
        return base.fit(x[known], y[known])
    return SelfTrainingClassifier(clone(base)).fit(x, np.where(known, y, UNLABELED))


def _probabilities(model, x: np.ndarray, n_classes: int) -> np.ndarray:
    """`(n, n_classes)`, 0 for classes without a labelled row."""
    full = np.zeros((len(x), n_classes))
    full[:, model.classes_.astype(int)] = model.predict_proba(x)
    return full


def fit_scores(
    task: Task,
    x: np.ndarray,
    targets: np.ndarray,
    known: np.ndarray,
    queries: np.ndarray,
    seed: int,
    self_training: bool = False,
) -> np.ndarray:
    """Scores `(n, C)` of `queries` from a model fitted on `x` (its `known` rows, or all of them when self-training)."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # few rows per class and unfinished solvers are what this row is about
        if task.kind == "regression":
            model = RidgeCV(ALPHAS) if known.sum() > 2 else Ridge(ALPHAS[2])
            return model.fit(x[known], targets[known]).predict(queries)[:, None]
        if task.kind == "classification":
            return _probabilities(
                _classifier(x, targets, known, seed, self_training), queries, task.n_outputs
            )
        columns = [
            _classifier(x, column, known, seed, self_training) for column in targets.T
        ]  # one model per label
        return np.stack([_probabilities(model, queries, 2)[:, 1] for model in columns], axis=1)


def sanity_predictions(
    name: str,
    data: MultimodalData,
    labeled_rows: np.ndarray,
    rows: np.ndarray,
    patterns: Iterable[tuple[str, ...]],
    seed: int,
) -> dict[tuple[str, ...], np.ndarray]:
    """Scores `(n, C)` of `rows` for each pattern the row is defined for: all of them for "linear", the full set for "self_training"
    (nothing for regression). Only targets of `labeled_rows` are read; ValueError when there is none. `data`: standardised.
    """
    if name not in SANITY:
        raise ValueError(f"unknown sanity row '{name}': choose one of {', '.join(SANITY)}")
    if not len(labeled_rows):
        raise ValueError(
            f"'{name}' needs labelled rows, '{data.name}' has none here: raise the label fraction"
        )
    self_training = name == "self_training"
    if self_training and data.task.kind == "regression":
        return {}
    train = data.rows("train")
    known = np.isin(train, labeled_rows)
    targets = np.zeros((len(train), *data.targets.shape[1:]), dtype=data.targets.numpy().dtype)
    targets[known] = data.targets.numpy()[train[known]]
    scores = {}
    for pattern in patterns:
        if not self_training or len(pattern) == len(data.names):
            x = np.concatenate([data.modalities[one].flatten(1).numpy() for one in pattern], axis=1)
            scores[tuple(pattern)] = fit_scores(
                data.task, x[train], targets, known, x[rows], seed, self_training
            )
    return scores


class LinearHead(Method):
    """Ablation 1 of Table 3: a linear model per kind of vector that Robult's classifier would see, fitted on labelled rows after training."""

    def __init__(
        self, method: Method, data: MultimodalData, labeled_rows: np.ndarray, seed: int = 0
    ) -> None:
        super().__init__()
        self.method, self.task, self.names, self.seed = (
            method.eval(),
            method.task,
            method.names,
            seed,
        )
        index = torch.from_numpy(np.asarray(labeled_rows))
        self.targets = data.targets[index].numpy()
        self.vectors = self._vectors({name: x[index] for name, x in data.modalities.items()})

    @torch.no_grad()
    def _vectors(self, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        return {
            name: vector.double().cpu().numpy()
            for name, vector in self.method.classifier_inputs(inputs).items()
        }

    def _scores(self, name: str, queries: np.ndarray) -> Tensor:
        known = np.ones(len(self.targets), dtype=bool)
        return torch.from_numpy(
            fit_scores(self.task, self.vectors[name], self.targets, known, queries, self.seed)
        ).float()

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        found = self._vectors(inputs)
        used = ["full"] if "full" in found else list(found)
        return torch.stack([self._scores(name, found[name]) for name in used]).mean(dim=0)
