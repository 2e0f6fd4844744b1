"""The sanity rows of every table: simple models of scikit-learn. If these win, the table says so.

`linear` is a logistic regression, or a ridge regression for scores, on the modalities present side
by side: one model per pattern. `self_training` is scikit-learn's SelfTrainingClassifier around it,
on all modalities only. It is defined for classes, so regression has no such row.
`linear_distillation` lets the linear model on all modalities, which are there at training time,
label the other training rows; then one linear model per pattern learns all rows. Labelled rows keep
their labels.

`LinearHead` is no row of its own: it puts the same linear model on what a trained method sees.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from robult_core.checks import (
    Pattern,
    Rows,
    check_labeled_rows,
    check_pattern,
    check_rows,
    check_seed,
)
from robult_core.datasets.container import MultimodalData
from robult_core.method import Method
from robult_core.model import Robult
from robult_core.tasks import Task

if TYPE_CHECKING:  # the runs of other methods do without it
    from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

SANITY = ("linear", "self_training", "linear_distillation")

# C of the logistic regression, on standardised features. Our choice; the second serves where there
# is nothing to choose by.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
DEFAULT_STRENGTH = 1e-2
# Of the ridge, chosen by leave-one-out. Our choice, likewise.
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10000.0)
DEFAULT_PENALTY = 100.0
UNLABELED = -1  # scikit-learn's mark


def sanity_predictions(
    name: str,
    data: MultimodalData,
    labeled_rows: Rows,
    rows: Rows,
    patterns: Iterable[Pattern],
    seed: int,
) -> dict[Pattern, np.ndarray]:
    """Scores `(n, C)` of `rows` for each pattern that the row `name` is defined for.

    "linear" and "linear_distillation" are defined for all of them, "self_training" for the full set
    (and never for regression). `data` is standardised. Only the targets of `labeled_rows` are read.

    Raises ValueError for an unknown name, for rows, patterns or seeds that do not fit, and where no
    row is labelled.
    """
    if name not in SANITY:
        raise ValueError(f"unknown sanity row '{name}': choose one of {', '.join(SANITY)}")
    labeled_rows = check_labeled_rows(labeled_rows, data)
    rows = check_rows(rows, data)
    patterns = [check_pattern(pattern, data.names) for pattern in patterns]
    check_seed(seed)
    if not len(labeled_rows):
        raise ValueError(
            f"'{name}' needs labelled rows, '{data.name}' has none here: raise the label fraction"
        )
    predictors = {
        "linear": _linear,
        "self_training": _self_training,
        "linear_distillation": _linear_distillation,
    }
    return predictors[name](data, labeled_rows, rows, patterns, seed)


def _linear(
    data: MultimodalData,
    labeled_rows: np.ndarray,
    rows: np.ndarray,
    patterns: Iterable[Pattern],
    seed: int,
) -> dict[Pattern, np.ndarray]:
    known = _known_rows(data, labeled_rows)
    targets = data.targets.numpy()[known]
    return _linear_by_pattern(data, known, targets, rows, patterns, seed)


def _self_training(
    data: MultimodalData,
    labeled_rows: np.ndarray,
    rows: np.ndarray,
    patterns: Iterable[Pattern],
    seed: int,
) -> dict[Pattern, np.ndarray]:
    if data.task.kind == "regression":
        return {}
    train = data.rows("train")
    known = np.isin(train, labeled_rows)
    targets = _targets_where(known, data.targets.numpy()[train])
    scores = {}
    for pattern in patterns:
        if len(pattern) == len(data.names):
            x = _side_by_side(data, pattern)
            scores[tuple(pattern)] = self_training_scores(
                data.task, x[train], targets, known, x[rows], seed
            )
    return scores


def _linear_distillation(
    data: MultimodalData,
    labeled_rows: np.ndarray,
    rows: np.ndarray,
    patterns: Iterable[Pattern],
    seed: int,
) -> dict[Pattern, np.ndarray]:
    train = data.rows("train")
    targets = distilled_targets(data, labeled_rows, seed)
    return _linear_by_pattern(data, train, targets, rows, patterns, seed)


def _linear_by_pattern(
    data: MultimodalData,
    fitted: np.ndarray,
    targets: np.ndarray,
    rows: np.ndarray,
    patterns: Iterable[Pattern],
    seed: int,
) -> dict[Pattern, np.ndarray]:
    """Scores of `rows` from one linear model per pattern, fitted on the rows `fitted`."""
    scores = {}
    for pattern in patterns:
        x = _side_by_side(data, pattern)
        scores[tuple(pattern)] = linear_scores(data.task, x[fitted], targets, x[rows], seed)
    return scores


def distilled_targets(data: MultimodalData, labeled_rows: np.ndarray, seed: int) -> np.ndarray:
    """Targets of all training rows, in the form of the task.

    They are the given ones of `labeled_rows`. Elsewhere they are what the linear model on all
    modalities, fitted on the labelled rows, answers: a class, a score, or a set of labels.
    """
    train = data.rows("train")
    known = np.isin(train, labeled_rows)
    targets = _targets_where(known, data.targets.numpy()[train])
    if known.all():
        return targets
    x = _side_by_side(data, data.names)[train]
    scores = linear_scores(data.task, x[known], targets[known], x[~known], seed)
    targets[~known] = data.task.decode(torch.from_numpy(scores)).numpy()
    return targets


def _side_by_side(data: MultimodalData, pattern: Pattern) -> np.ndarray:
    """The features of several modalities, `(N, F)`."""
    flat = [data.modalities[name].flatten(1).numpy() for name in pattern]
    return np.concatenate(flat, axis=1)


def _known_rows(data: MultimodalData, labeled_rows: np.ndarray) -> np.ndarray:
    """The labelled training rows, ascending as all of them are."""
    train = data.rows("train")
    return train[np.isin(train, labeled_rows)]


def _targets_where(known: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The known targets, and zeros in place of those that no model may see."""
    blanked = np.zeros_like(targets)
    blanked[known] = targets[known]
    return blanked


# --- the models -----------------------------------------------------------------------------------


class LinearModel:
    """A ridge regression, a logistic regression, or one per label, on the rows of `x`."""

    def __init__(self, task: Task, x: np.ndarray, targets: np.ndarray, seed: int) -> None:
        self.task = task
        with _without_warnings():
            if task.kind == "regression":
                self.models = [_ridge(len(x)).fit(x, targets)]
            elif task.kind == "classification":
                self.models = [_linear_classifier(x, targets, seed)]
            else:
                self.models = [_linear_classifier(x, column, seed) for column in targets.T]

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Scores `(n, C)`."""
        if self.task.kind == "regression":
            return self.models[0].predict(queries)[:, None]
        if self.task.kind == "classification":
            return _probabilities(self.models[0], queries, self.task.n_outputs)
        return _label_probabilities(self.models, queries)


def linear_scores(
    task: Task, x: np.ndarray, targets: np.ndarray, queries: np.ndarray, seed: int
) -> np.ndarray:
    """Scores `(n, C)` of `queries` from a linear model fitted on the rows of `x`."""
    return LinearModel(task, x, targets, seed).scores(queries)


def self_training_scores(
    task: Task,
    x: np.ndarray,
    targets: np.ndarray,
    known: np.ndarray,
    queries: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Scores `(n, C)` of `queries` from self-training on `x`, whose `known` rows have targets."""
    with _without_warnings():
        if task.kind == "classification":
            model = _self_training_classifier(x, targets, known, seed)
            return _probabilities(model, queries, task.n_outputs)
        models = [_self_training_classifier(x, column, known, seed) for column in targets.T]
        return _label_probabilities(models, queries)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Small classes and unconverged solvers are expected in these baselines, so warnings are
    silenced.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Constant:
    """A classifier that always answers with one class: what is left when all labels agree."""

    def __init__(self, value: int) -> None:
        self.classes_ = np.array([value])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.ones((len(x), 1))


def _ridge(n_rows: int) -> Ridge | RidgeCV:
    """A ridge whose penalty is chosen by leave-one-out, as far as there are rows for it."""
    from sklearn.linear_model import Ridge, RidgeCV

    if n_rows > 2:
        return RidgeCV(PENALTIES)
    return Ridge(DEFAULT_PENALTY)


def _logistic(strength: float) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000)


def choose_strength(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """C by cross-validated log-likelihood; a fixed one where a class has a single row."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    _, counts = np.unique(y, return_counts=True)
    smallest = counts.min()
    if smallest < 2:
        return DEFAULT_STRENGTH
    folds = StratifiedKFold(min(3, smallest), shuffle=True, random_state=seed)
    likelihoods = []
    for strength in STRENGTHS:
        model = _logistic(strength)
        held_out = cross_val_score(model, x, y, cv=folds, scoring="neg_log_loss")
        likelihoods.append(held_out.mean())
    return STRENGTHS[int(np.argmax(likelihoods))]


def _linear_classifier(x: np.ndarray, y: np.ndarray, seed: int) -> Any:
    """A logistic regression of `y`, or a constant where there is one class only."""
    classes = np.unique(y)
    if len(classes) == 1:
        return Constant(int(classes[0]))
    return _logistic(choose_strength(x, y, seed)).fit(x, y)


def _self_training_classifier(x: np.ndarray, y: np.ndarray, known: np.ndarray, seed: int) -> Any:
    """The same, which labels the rows that are not `known` step by step."""
    from sklearn.semi_supervised import SelfTrainingClassifier

    classes = np.unique(y[known])
    if len(classes) == 1:
        return Constant(int(classes[0]))
    base = _logistic(choose_strength(x[known], y[known], seed))
    return SelfTrainingClassifier(base).fit(x, np.where(known, y, UNLABELED))


def _probabilities(model: Any, x: np.ndarray, n_classes: int) -> np.ndarray:
    """`(n, n_classes)`, with 0 for classes that have no labelled row."""
    probabilities = np.zeros((len(x), n_classes))
    probabilities[:, model.classes_.astype(int)] = model.predict_proba(x)
    return probabilities


def _label_probabilities(models: list[Any], x: np.ndarray) -> np.ndarray:
    """`(n, labels)` from one model per label."""
    columns = [_probabilities(model, x, 2)[:, 1] for model in models]
    return np.stack(columns, axis=1)


# --- a linear model on a trained method -----------------------------------------------------------


class LinearHead(Method):
    """Ablation 1 of Table 3: linear models on the vectors that Robult's classifier would see.

    There is one for each kind of vector (`classifier_inputs` of the method), fitted on the labelled
    rows after training.
    """

    def __init__(
        self, method: Robult, data: MultimodalData, labeled_rows: np.ndarray, seed: int = 0
    ) -> None:
        super().__init__()
        self.method = method.eval()
        self.task = method.task
        self.names = method.names
        rows = torch.from_numpy(np.asarray(labeled_rows))
        targets = data.targets[rows].numpy()
        vectors = self._vectors({name: x[rows] for name, x in data.modalities.items()})
        self.models = {
            kind: LinearModel(self.task, vector, targets, seed) for kind, vector in vectors.items()
        }

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores `(n, C)` from the full vector, else the mean over the modalities given."""
        queries = self._vectors(inputs)
        kinds = ["full"] if "full" in queries else list(queries)
        scores = [self.models[kind].scores(queries[kind]) for kind in kinds]
        return torch.stack([torch.from_numpy(values).float() for values in scores]).mean(dim=0)

    @torch.no_grad()
    def _vectors(self, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        vectors = self.method.classifier_inputs(inputs)
        return {kind: vector.double().cpu().numpy() for kind, vector in vectors.items()}
