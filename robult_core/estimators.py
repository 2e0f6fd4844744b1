"""The front door: estimators in scikit-learn's manner for several modalities and few labels.

    from robult_core.estimators import MultimodalClassifier
    model = MultimodalClassifier(random_state=0).fit({"text": X_text, "audio": X_audio}, y)
    model.predict({"audio": X_audio_new})

Samples whose label is unknown take part in the training, samples that lack a modality take part
with what they have, and any non-empty subset of the modalities is enough to predict. Public are the
three classes `MultimodalClassifier`, `MultimodalRegressor` and `MultimodalMultilabelClassifier`,
and `load_model`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor, nn

from robult_core.calibration import fit_temperature, scaled
from robult_core.evaluation import having, predict
from robult_core.inputs import Modalities
from robult_core.multimodal import DEFAULT_METHOD, Lesson, MultimodalEstimator, first_names, logger
from robult_core.protocol import pattern_name, patterns
from robult_core.saved_models import read_model
from robult_core.targets import (
    Targets,
    known_classes,
    read_classes,
    read_indicators,
    read_numbers,
    stands_for_nothing,
    warn_of_marks,
)
from robult_core.tasks import Classification, Multilabel, Regression, Task

__all__ = [
    "Modalities",
    "MultimodalClassifier",
    "MultimodalMultilabelClassifier",
    "MultimodalRegressor",
    "load_model",
]

FOLDS = 5  # of cross-fitting


class MultimodalClassifier(ClassifierMixin, MultimodalEstimator):
    """A classifier for several modalities, few labels, and modalities that may be missing.

    method: any name in `robult_core.methods.METHODS`. The default is Distilled Robult, our variant
        of the paper's method and the best on validation rows of four of five data sets: mean
        accuracy over single modalities and all of them, with 5 % of the labels, of the default,
        the paper's Robult and GMC .74, .64, .62 on digits, .88, .86, .85 on handwritten, .77, .71,
        .74 on cub10, .70, .69, .68 on utd_mhad; mean absolute error 1.12, 1.20, 1.08 on mosi, where
        GMC is better. With all labels a linear model is often as good or better
        (benchmarks/README.md of the repository). Where no labelled sample has
        every modality, GMC is refused and Unimodal predicts by late fusion.
    settings: fields of the method's configuration that differ from its defaults, as in
        {"width": 64}; a search over parameters names them "settings__width".
    modalities: where X is one frame, the columns of each modality by its name.
    encoders: modality name -> an `nn.Module` from a batch to `(B, width)`; a copy of it is trained.
        Its modality comes in float32, is not standardised and may have any shape. The methods
        robult, robult_distilled, action_mae and prompt_trans take encoders whose width is that of
        the method, 128 unless `settings` names another `width`; the others need a joint network as
        well, which only `make_method(..., joint=...)` takes.
    unlabeled: the label that marks an unlabelled sample; None and NaN always do. Where -1 is a
        class of yours, name another mark or None.
    class_weight: a dict from classes to weights, or "balanced", as in scikit-learn: such weights
        that every class counts alike. They multiply `sample_weight` of `fit` and weigh the
        supervised loss only, the other losses treat all samples alike.
    max_steps: gradient steps; None: ten times through the data, at least 400, at most 2,000.
    batch_size, learning_rate: of the training; None is the method's own rate, which was searched.
    patience: checks without a better one after which early stopping ends the training; it needs a
        validation part, which only you can give (see `fit`).
    calibrate: fit one temperature per availability pattern by cross-fitting. That does not bring
        every model's probabilities nearer to how often they are right (notebook 10), so compare
        both on samples of yours. It trains five more times. Below 5 labelled samples per class
        nothing is held out, the probabilities stay uncalibrated, and a warning says so.
    device: "auto", "cpu", "cuda" or "mps".
    verbose: True shows a progress bar, False none; None shows one where a terminal watches.
    random_state: an integer makes two fits equal bit for bit.

    `cross_val_score`, `GridSearchCV` and their like cut X into rows: give them `Modalities(X)` and
    leave `scoring` unset, because other scorers would count unlabelled samples as errors.

    An encoder of one's own, for images `(N, 1, 28, 28)` beside plain features::

        image = nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 12 * 12, 128)
        )
        model = MultimodalClassifier(encoders={"image": image})
        model.fit({"image": images, "text": text_features}, y)

    Attributes after `fit`: `classes_`, `n_features_in_` and `feature_names_in_` by modality,
    `modality_names_`, `model_` (the trained `Method`), `temperatures_`, `n_steps_`
    (the gradient steps behind the weights) and, after early stopping, `validation_scores_` by step,
    for a regressor in the unit of the target.
    """

    def __init__(
        self,
        method: str = DEFAULT_METHOD,
        *,
        settings: Mapping[str, Any] | None = None,
        modalities: Mapping[str, Collection[Any]] | None = None,
        encoders: Mapping[str, nn.Module] | None = None,
        unlabeled: Any = -1,
        class_weight: Mapping[Any, float] | str | None = None,
        max_steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float | None = None,
        patience: int = 5,
        calibrate: bool = False,
        device: str = "auto",
        verbose: bool | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            method,
            settings=settings,
            modalities=modalities,
            encoders=encoders,
            max_steps=max_steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            device=device,
            verbose=verbose,
            random_state=random_state,
        )
        self.unlabeled = unlabeled
        self.class_weight = class_weight
        self.calibrate = calibrate

    def _check_parameters(self) -> None:
        super()._check_parameters()
        mark = self.unlabeled
        if not (mark is None or np.isscalar(mark) or stands_for_nothing(mark)):
            raise ValueError(f"unlabeled is {mark!r}: give one label, such as -1, or None")
        weights = self.class_weight
        if not (weights is None or weights == "balanced" or isinstance(weights, Mapping)):
            raise ValueError(
                f"class_weight is {weights!r}: give a dict from classes to weights, "
                "'balanced' or None"
            )

    def _read_targets(self, y: Any, n: int) -> Targets:
        targets = read_classes(y, n, self.unlabeled)
        warn_of_marks(targets)
        return targets

    def _remember_targets(self, targets: Targets) -> None:
        assert targets.classes is not None
        self.classes_ = targets.classes
        counts = np.bincount(targets.values[targets.known], minlength=len(targets.classes))
        self.base_scores_ = counts / counts.sum()

    def _class_weights(self, targets: Targets) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        assert targets.classes is not None
        labels = targets.classes[targets.values[targets.known]]
        given = self.class_weight
        return compute_sample_weight(dict(given) if isinstance(given, Mapping) else given, labels)

    def _read_truth(self, y: Any, n: int) -> Targets:
        labels, known = known_classes(y, n, self.unlabeled)
        self._check_known(labels)
        codes = np.zeros(n, dtype=np.int64)
        codes[known] = np.searchsorted(self.classes_, labels)
        return Targets(codes, known, self.classes_)

    def _check_known(self, classes: np.ndarray) -> None:
        strangers = np.setdiff1d(classes, self.classes_)
        if len(strangers):
            raise ValueError(
                f"y holds the class {strangers.tolist()[0]!r}, which fit never saw: "
                f"it knows {first_names(self.classes_)}"
            )

    def _task_of(self, n_outputs: int) -> Task:
        return Classification(n_outputs)

    def _before_training(self, lesson: Lesson, labeled_rows: np.ndarray) -> None:
        """Fit the temperatures on labelled samples that the predicting method did not see."""
        self.temperatures_: dict[str, float] = {}
        if not self.calibrate:
            return
        data = lesson.data
        codes = data.targets[labeled_rows].numpy()
        if np.bincount(codes).min() < FOLDS:
            logger.warning(
                "a class has fewer than %d labelled samples: the probabilities stay uncalibrated",
                FOLDS,
            )
            return
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=lesson.seed)
        held_out: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for seen, unseen in folds.split(labeled_rows, codes):
            model = self._trained(lesson, labeled_rows[seen])[0]
            for pattern in patterns(data.names):
                rows = having(data, labeled_rows[unseen], pattern)
                if len(rows):
                    probabilities = predict(model, data, rows, pattern)
                    truth = data.targets[rows].numpy()
                    held_out.setdefault(pattern_name(pattern), []).append((probabilities, truth))
        for name, pairs in held_out.items():
            probabilities, truth = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
            self.temperatures_[name] = fit_temperature(probabilities, truth)

    def _predicted(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        probabilities = super()._predicted(inputs)
        temperature = self.temperatures_.get(pattern_name(tuple(inputs)), 1.0)
        return probabilities if temperature == 1.0 else scaled(probabilities, temperature)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities `(N, C)` in the order of `classes_`, from whatever modalities X holds."""
        return self._scores(X)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sample."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy on the labelled samples; ValueError for a class that `fit` never saw."""
        known, codes, weights = self._labeled_part(X, y, sample_weight)
        return super().score(known, self.classes_[codes], weights)


class MultimodalRegressor(RegressorMixin, MultimodalEstimator):
    """A regressor for several modalities, few targets, and modalities that may be missing.

    The target of an unlabelled sample is NaN, and targets are standardised inside, so that the loss
    does not depend on their unit. The parameters are those of `MultimodalClassifier`, except
    `unlabeled`, `class_weight` and `calibrate`, which a regressor does not have.
    """

    def _read_targets(self, y: Any, n: int) -> Targets:
        return read_numbers(y, n)

    def _remember_targets(self, targets: Targets) -> None:
        known = targets.values[targets.known]
        self.target_mean_ = float(known.mean())
        self.target_deviation_ = float(known.std()) or 1.0
        self.base_scores_ = np.array([self.target_mean_])

    def _task_of(self, n_outputs: int) -> Task:
        return Regression()

    def _trained_values(self, targets: Targets) -> np.ndarray:
        standardized = (targets.values - self.target_mean_) / self.target_deviation_
        return np.where(targets.known, standardized, 0).astype(np.float32)

    def _learn(self, lesson: Lesson, labeled_rows: np.ndarray) -> None:
        super()._learn(lesson, labeled_rows)
        if lesson.validation is not None:
            deviation = self.target_deviation_  # the errors are those of standardised targets
            scores = self.validation_scores_.items()
            self.validation_scores_ = {step: error * deviation for step, error in scores}

    def _predicted(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        standardized = super()._predicted(inputs).astype(np.float64)
        return standardized * self.target_deviation_ + self.target_mean_

    def predict(self, X: Any) -> np.ndarray:
        """The predicted target of each sample, from whatever modalities X holds."""
        return self._scores(X)[:, 0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2, the explained share of the variance, on the samples that have a target."""
        return super().score(*self._labeled_part(X, y, sample_weight))


class MultimodalMultilabelClassifier(ClassifierMixin, MultimodalEstimator):
    """A classifier for samples with several labels each.

    y is `(N, C)` of 0 and 1; a row of -1 or NaN is an unlabelled sample. The parameters are those
    of `MultimodalClassifier`, except `unlabeled`, `class_weight` and `calibrate`, which it does not
    have; `sample_weight` of `fit` can weigh rare labels. `classes_` are the names of the labels:
    the columns of y where it is a frame, else 0, 1, …
    """

    def _read_targets(self, y: Any, n: int) -> Targets:
        return read_indicators(y, n)

    def _read_truth(self, y: Any, n: int) -> Targets:
        targets = read_indicators(y, n)
        given, trained = targets.values.shape[1], len(self.classes_)
        if given != trained:
            raise ValueError(f"y has {given} labels a sample, at fit it had {trained}: give these")
        assert targets.classes is not None
        named = hasattr(y, "columns") and list(self.classes_) != list(range(trained))
        if named and list(targets.classes) != list(self.classes_):
            raise ValueError(
                f"y has the labels {first_names(targets.classes)}, at fit it had "
                f"{first_names(self.classes_)}: give these in the same order"
            )
        return targets

    def _remember_targets(self, targets: Targets) -> None:
        assert targets.classes is not None
        self.base_scores_ = targets.values[targets.known].mean(axis=0)
        self.classes_ = targets.classes

    def _task_of(self, n_outputs: int) -> Task:
        return Multilabel(n_outputs)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each label, `(N, C)`, from whatever modalities X holds."""
        return self._scores(X)

    def predict(self, X: Any) -> np.ndarray:
        """Rows of 0 and 1: the labels whose probability is above one half."""
        return (self.predict_proba(X) > 0.5).astype(np.int64)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of the labelled samples whose labels are all right, as in scikit-learn."""
        return super().score(*self._labeled_part(X, y, sample_weight))


ESTIMATORS = {
    kind.__name__: kind
    for kind in (MultimodalClassifier, MultimodalRegressor, MultimodalMultilabelClassifier)
}


def load_model(folder: str | Path, device: str = "auto") -> MultimodalEstimator:
    """An estimator that `save` wrote, ready to predict.

    Raises ValueError for files of another version and for files that were damaged or edited.
    """
    tensors, description = read_model(Path(folder))
    name = description.get("estimator")
    if not isinstance(name, str) or name not in ESTIMATORS:
        raise ValueError(
            f"unknown estimator {name!r} in '{folder}': known are {first_names([*ESTIMATORS])}"
        )
    try:
        return _restored(ESTIMATORS[name], description, tensors, device)
    except (AttributeError, KeyError, RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"the files in '{folder}' do not fit together ({reason}): save the model again"
        ) from error


def _restored(
    kind: type[MultimodalEstimator],
    description: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    device: str,
) -> MultimodalEstimator:
    parameters = dict(description["parameters"])
    if isinstance(parameters.get("class_weight"), list):
        parameters["class_weight"] = dict(parameters["class_weight"])
    return kind(**parameters)._restore(description, tensors, device)
