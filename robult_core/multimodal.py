"""What the estimators share: reading, standardising, training, predicting, explaining, saving."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from robult_core.checks import check_count, check_seed, check_weights, checked_device
from robult_core.datasets.container import MultimodalData
from robult_core.early_stopping import EarlyStopping
from robult_core.inputs import (
    Modalities,
    check_resolution,
    check_same_rows,
    check_wild_values,
    columns_there,
    feature_names,
    presence,
    read_modalities,
    to_array,
    to_tensor,
    warn_of_tiny_units,
)
from robult_core.method import Method
from robult_core.methods import METHODS
from robult_core.methods.gmc import GMC
from robult_core.methods.unimodal import Unimodal
from robult_core.own_encoders import check_modules, make_method_with
from robult_core.saved_models import write_model
from robult_core.shapley import shapley_values
from robult_core.standardization import CLIP, Standardizer
from robult_core.targets import Targets
from robult_core.tasks import Task
from robult_core.training import TrainingConfig, train

logger = logging.getLogger("robult_core")

NESTED = "settings__"  # of one setting, as scikit-learn names the parameters of a part
CHUNK = 4096  # samples that are read and predicted at once, so that memory stays bounded
SAVED = (  # plain attributes of a fitted model
    "modality_names_",
    "n_features_in_",
    "n_steps_",
    "settings_",
    "temperatures_",
    "target_mean_",
    "target_deviation_",
)
NEARLY = 0.9  # of the features
FAR = (
    "%d of %d samples lie %g or more deviations from the training samples in nearly every feature "
    "of modality '%s': where a sensor failed give a row of NaN, not the code of its failure"
)
DEFAULT_METHOD = "robult_distilled"  # benchmarks/README.md says by what numbers
FEWEST_STEPS, MOST_STEPS, EPOCHS = 400, 2000, 10


def default_steps(n_samples: int, batch_size: int) -> int:
    """Gradient steps for a training set: ten times through the data, at least 400, at most 2,000.

    400 is the number of the study, whose sets have some hundreds to some thousands of samples.
    """
    ten_epochs = EPOCHS * n_samples // batch_size
    return int(np.clip(ten_epochs, FEWEST_STEPS, MOST_STEPS))


@dataclass(frozen=True)
class Lesson:
    """What one fit trains on, as often as it trains."""

    data: MultimodalData
    weights: np.ndarray | None  # of every sample, in the supervised loss
    validation: MultimodalData | None  # for early stopping
    seed: int


class MultimodalEstimator(TransformerMixin, BaseEstimator):
    """What the three estimators share; see `MultimodalClassifier` for the parameters."""

    def __init__(
        self,
        method: str = DEFAULT_METHOD,
        *,
        settings: Mapping[str, Any] | None = None,
        modalities: Mapping[str, Collection[Any]] | None = None,
        encoders: Mapping[str, nn.Module] | None = None,
        max_steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float | None = None,
        patience: int = 5,
        device: str = "auto",
        verbose: bool | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.settings = settings
        self.modalities = modalities
        self.encoders = encoders
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters; `deep` adds each of the settings by a name such as "settings__width"."""
        parameters = super().get_params(deep=False)
        if deep and isinstance(self.settings, Mapping):
            parameters |= {f"{NESTED}{name}": value for name, value in self.settings.items()}
        return parameters

    def set_params(self, **parameters: Any) -> MultimodalEstimator:
        """Set parameters by name; "settings__width" is one of the settings, the others stay."""
        nested = {
            name.removeprefix(NESTED): parameters.pop(name)
            for name in list(parameters)
            if name.startswith(NESTED)
        }
        super().set_params(**parameters)
        if nested:
            self.settings = {**(self.settings or {}), **nested}
        return self

    # --- fitting ------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation: Any = None,
    ) -> MultimodalEstimator:
        """Train on samples of which some have a label.

        X: a dict with one array per modality, `(N, F)` features or `(N, T, F)` sequences, as numpy
            arrays, frames of pandas or polars, or torch tensors; or one frame, cut by the parameter
            `modalities`; or one array. A row of NaN says that this sample lacks the modality.
        y: one label per sample, with the mark of an unlabelled sample where it is unknown.
        sample_weight: how much each sample counts in the supervised loss, `(N,)`; the other losses
            do not weigh. Weights of unlabelled samples do not matter, and a labelled sample of
            weight 0 is an unlabelled one.
        validation: other samples and their labels, `(X, y)`, for early stopping. Every 50 steps the
            task's first metric (accuracy; mean absolute error; macro F1) is measured on them, as
            the mean over every modality alone and all of them together. The best weights are kept,
            and the training ends after `patience` checks without a better one. Without it nothing
            is held out, and the last weights are kept.

        Raises ValueError or TypeError in one sentence before any training starts, and
        FloatingPointError where the training diverges. An estimator whose fit fails is not fitted,
        even if it was before.
        """
        self.__dict__.pop("model_", None)  # it must not answer with the labels of another fit
        self._check_parameters()
        given = read_modalities(X, self.modalities)
        check_same_rows(given, "y", y)
        check_same_rows(given, "sample_weight", sample_weight)
        arrays, present = self._training_arrays(given)
        targets, weights = self._training_targets(y, sample_weight, len(given))
        self._remember_inputs(X, given, arrays)
        self._remember_targets(targets)
        self.standardizers_ = self._standardizers(arrays, present)
        lesson = Lesson(
            data=self._training_data(arrays, present, targets),
            weights=weights,
            validation=None if validation is None else self._validation_data(validation),
            seed=self._seed(),
        )
        labeled_rows = np.flatnonzero(targets.known)
        self.settings_ = self._settings_of_fit(lesson.data, labeled_rows)
        self._before_training(lesson, labeled_rows)
        self._learn(lesson, labeled_rows)  # last, because its model is what counts as fitted
        return self

    def _check_parameters(self) -> None:
        """What can be said of the parameters before the data are looked at."""
        checked_device(self.device)
        check_count("patience", self.patience)
        if self.max_steps is not None:
            check_count("max_steps", self.max_steps)
        _check_dict("settings", self.settings, "{'width': 64}")
        _check_dict("encoders", self.encoders, "{'image': module}")
        check_modules(self.encoders or {})

    def _training_arrays(self, given: Modalities) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The modalities as arrays, and which sample has which of them `(M, N)`."""
        _check_samples(given)
        arrays = {name: to_array(x, name) for name, x in given.items()}
        own = self.encoders or {}
        for name, array in arrays.items():
            if array.ndim > 3 and name not in own:
                raise ValueError(
                    f"modality '{name}' has samples of shape {array.shape[1:]}, which no built-in "
                    f"encoder reads: give encoders={{'{name}': module}}, or flatten the samples"
                )
        present = _presence(arrays)
        _check_all_there(arrays, present)
        for name, array in arrays.items():
            if name not in own:
                check_resolution(given[name], name)
                check_wild_values(array, name)
                warn_of_tiny_units(array, name)
        return arrays, present

    def _training_targets(
        self, y: Any, sample_weight: Any, n: int
    ) -> tuple[Targets, np.ndarray | None]:
        """The labels of n samples, and their weights; one of weight 0 is not labelled."""
        targets = self._read_targets(y, n)
        weights = self._weights(sample_weight, targets)
        if weights is not None:
            targets = targets._replace(known=targets.known & (weights > 0))
        return targets, weights

    def _training_data(
        self, arrays: Mapping[str, np.ndarray], present: np.ndarray, targets: Targets
    ) -> MultimodalData:
        """The samples as the training loop takes them, standardised."""
        return MultimodalData(
            name="your data",
            task=self._task_of(len(self.base_scores_)),
            modalities=self._tensors(arrays, present),
            targets=torch.from_numpy(self._trained_values(targets)),
            split=np.full(len(targets.known), "train"),
            present=None if present.all() else torch.from_numpy(present),
            unscaled=tuple(self.encoders or ()),
        )

    def _settings_of_fit(self, data: MultimodalData, labeled_rows: np.ndarray) -> dict[str, Any]:
        """The settings of the method, which depend on whether a labelled sample is complete.

        GMC and the joint model of Unimodal learn from such samples only. Without any GMC is
        refused, and Unimodal leaves the full set of modalities to late fusion as well.
        """
        settings = dict(self.settings or {})
        if data.present is None or data.present[:, labeled_rows].all(dim=0).any():
            return settings
        method_class = METHODS[self.method][0] if self.method in METHODS else Method
        if issubclass(method_class, GMC):
            raise ValueError(
                f"method '{self.method}' learns from labelled samples that have every modality, "
                "and none has: choose another method, such as robult_distilled, or leave a "
                "modality out"
            )
        if issubclass(method_class, Unimodal):
            settings.setdefault("full", "late_fusion")
        return settings

    def _learn(self, lesson: Lesson, labeled_rows: np.ndarray) -> None:
        """Train the method that predicts, and keep how that went."""
        n_samples = len(lesson.data)
        self.n_steps_ = self._training_config(n_samples).steps
        known = f"{len(labeled_rows)} of {n_samples} samples are labelled"
        logger.info("%s: %s, %d steps", type(self).__name__, known, self.n_steps_)
        self.model_, stopping = self._trained(lesson, labeled_rows)
        self.__dict__.pop("validation_scores_", None)
        if stopping is not None:
            self.n_steps_, self.validation_scores_ = stopping.best_step, stopping.scores

    def _weights(self, sample_weight: Any, targets: Targets) -> np.ndarray | None:
        """The weight of every sample, or None where those of the labelled samples are all alike."""
        labeled = np.flatnonzero(targets.known)
        n = len(targets.known)
        weights = check_weights(1.0 if sample_weight is None else sample_weight, labeled, n)
        class_weights = self._class_weights(targets)
        if class_weights is not None:
            weights = weights.copy()  # they may be the caller's
            weights[labeled] *= class_weights
            weights = check_weights(weights, labeled, n)
        if (weights[labeled] == weights[labeled[0]]).all():
            return None
        return weights

    def _class_weights(self, targets: Targets) -> np.ndarray | None:
        """The weights of the labelled samples by their class; None where there are none."""
        return None

    def _validation_data(self, validation: Any) -> MultimodalData:
        """The labelled samples of the validation part, read as those of the fit were."""
        try:
            X, y = validation
        except (TypeError, ValueError):
            raise ValueError("validation is no pair: give it as (X, y)") from None
        try:
            given = self._checked_modalities(X)
            lacking = [name for name in self.modality_names_ if name not in given]
            if lacking:
                raise ValueError(
                    f"X lacks the modality '{lacking[0]}': give all of the fit, with rows of NaN "
                    "where a sample lacks one"
                )
            check_same_rows(given, "y", y)
            tensors, present = self._read(given)
            targets = self._read_truth(y, len(given))
            values = self._trained_values(targets)
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
        known = targets.known
        return MultimodalData(
            name="your validation data",
            task=self._task_of(len(self.base_scores_)),
            modalities={name: x[known] for name, x in tensors.items()},
            targets=torch.from_numpy(values[known]),
            split=np.full(int(known.sum()), "valid"),
            present=torch.from_numpy(present[:, known]),
            unscaled=tuple(self.encoders or ()),
        )

    def _trained(
        self, lesson: Lesson, labeled_rows: np.ndarray
    ) -> tuple[Method, EarlyStopping | None]:
        """A trained method, and what its early stopping saw, if there was any.

        The caller's random state stays as it is.
        """
        data = lesson.data
        config = self._training_config(len(data))
        stopping = None
        if lesson.validation is not None:
            stopping = EarlyStopping(lesson.validation, self.patience, config.steps)
        device = checked_device(self.device)
        devices = [torch.cuda.current_device()] if device == "cuda" else []
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.random.fork_rng(devices=devices),
            _progress_bar(config.steps, self.verbose) as bar,
        ):

            def on_step(step: int, method: Method) -> bool:
                bar.update(step - bar.n)
                return stopping is not None and stopping(step, method)

            torch.manual_seed(lesson.seed)
            model = self._make_method(data.task, data.shapes).to(device)
            train(
                model,
                data,
                labeled_rows,
                config,
                seed=lesson.seed,
                weights=lesson.weights,
                on_step=on_step,
            )
        if stopping is not None:
            stopping.restore(model)
        return model, stopping

    def _before_training(self, lesson: Lesson, labeled_rows: np.ndarray) -> None:
        """What a kind of estimator learns beside the method that predicts."""

    def _make_method(self, task: Task, shapes: Mapping[str, tuple[int, ...]]) -> Method:
        """A fresh method for these modalities, with the user's encoders for some of them."""
        encoders = self.encoders or {}
        return make_method_with(encoders, self.method, task, shapes, self.settings_)

    def _training_config(self, n_samples: int) -> TrainingConfig:
        steps = self.max_steps
        if steps is None:
            steps = default_steps(n_samples, self.batch_size)
        return TrainingConfig(
            steps=steps, batch_size=self.batch_size, learning_rate=self.learning_rate
        )

    def _seed(self) -> int:
        """The seed of this fit; without a `random_state` a fresh one that no global state gives."""
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
        if isinstance(self.random_state, Integral):
            check_seed(self.random_state)
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _remember_inputs(self, X: Any, given: Modalities, arrays: Mapping[str, np.ndarray]) -> None:
        """The names, shapes and column names of the modalities, as scikit-learn keeps them."""
        self.modality_names_ = tuple(given)
        self.sample_shapes_ = {name: array.shape[1:] for name, array in arrays.items()}
        widths = {name: shape[-1] for name, shape in self.sample_shapes_.items()}
        columns = {name: feature_names(x) for name, x in given.items()}
        self.column_names_ = {name: names for name, names in columns.items() if names is not None}
        plain = self.modalities is None and not isinstance(X, Mapping)
        self.n_features_in_: Any = next(iter(widths.values())) if plain else widths
        self._remember_feature_names()

    def _remember_feature_names(self) -> None:
        """`feature_names_in_`: of a plain array one array, else one by modality; or none at all."""
        self.__dict__.pop("feature_names_in_", None)
        if not self.column_names_:
            return
        self.feature_names_in_: Any = self.column_names_
        if not isinstance(self.n_features_in_, Mapping):
            self.feature_names_in_ = next(iter(self.column_names_.values()))

    def _standardizers(
        self, arrays: Mapping[str, np.ndarray], present: np.ndarray
    ) -> dict[str, Standardizer]:
        """The statistics of the samples that have a modality; an own encoder gets its input raw."""
        own = self.encoders or {}
        return {
            name: Standardizer.fit(torch.from_numpy(array[present[row]]))
            for row, (name, array) in enumerate(arrays.items())
            if name not in own
        }

    def _standardized(self, name: str, x: Tensor) -> Tensor:
        if name not in self.standardizers_:
            return x
        return self.standardizers_[name].apply(x)

    # --- predicting ---------------------------------------------------------------------------

    def _scores(self, X: Any, names: tuple[str, ...] | None = None) -> np.ndarray:
        """Scores `(N, C)` from what each sample has, of the modalities `names` only where given."""
        check_is_fitted(self, "model_")
        given = self._checked_modalities(X)
        if names is not None:
            given = Modalities({name: given[name] for name in names})
        far: Counter[str] = Counter()
        chunks = [
            self._chunk_scores(given[start : start + CHUNK], start, far)
            for start in range(0, len(given), CHUNK)
        ]
        if names is None:  # an explanation asks for every subset, and would say it as often
            for name in +far:  # those with a count above 0
                logger.warning(FAR, far[name], len(given), CLIP, name)
        return np.concatenate(chunks)

    def _chunk_scores(self, given: Modalities, start: int, far: Counter[str]) -> np.ndarray:
        """Scores of some samples, group by group of those that have the same modalities.

        far: counts, by modality, the samples that lie far from those of the training.
        """
        tensors, present = self._read(given, start)
        for row, (name, x) in enumerate(tensors.items()):
            if name in self.standardizers_:
                far[name] += int(_is_far(x[present[row]]).sum())
        task = self.model_.task
        kind = np.float64 if task.kind == "regression" else np.float32  # a target may be large
        scores = np.empty((len(given), task.n_outputs), dtype=kind)
        for rows, names in _groups_by_pattern(present, tuple(given)):
            inputs = {name: tensors[name][rows] for name in names}
            scores[rows] = self._predicted(inputs)
        return scores

    @torch.no_grad()
    def _predicted(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        self.model_.eval()
        device = next(self.model_.parameters()).device
        on_device = {name: x.to(device) for name, x in inputs.items()}
        return self.model_.predict(on_device).float().cpu().numpy()

    def _read(self, given: Modalities, start: int = 0) -> tuple[dict[str, Tensor], np.ndarray]:
        """Standardised tensors by modality, and which sample has which of them `(M, N)`."""
        arrays = {name: to_array(x, name) for name, x in given.items()}
        present = _presence(arrays, start)
        return self._tensors(arrays, present), present

    def _tensors(self, arrays: Mapping[str, np.ndarray], present: np.ndarray) -> dict[str, Tensor]:
        """Standardised features by modality, with zeros where a sample lacks it."""
        return {
            name: self._standardized(name, to_tensor(array, present[row]))
            for row, (name, array) in enumerate(arrays.items())
        }

    def _checked_modalities(self, X: Any) -> Modalities:
        """The modalities of new samples in the order of the fit, checked against it."""
        columns = None  # of a dict, which is fine too
        if self.modalities is not None and not isinstance(X, Mapping):
            columns = columns_there(X, self.modalities)
        given = read_modalities(X, columns)
        unknown = [name for name in given if name not in self.modality_names_]
        if unknown and not isinstance(X, Mapping):
            raise ValueError(
                f"X is one array, and the fit had {', '.join(self.modality_names_)}: "
                f"give a dict, such as {{'{self.modality_names_[0]}': array}}"
            )
        if unknown:
            raise ValueError(
                f"modality '{unknown[0]}' was not there at fit, which had "
                f"{', '.join(self.modality_names_)}: leave it out (labels of a file are named by "
                "--target), or rename it (a file gives its modality its name)"
            )
        for name, x in given.items():
            self._check_columns(name, x)
        _check_samples(given)
        return Modalities({name: given[name] for name in self.modality_names_ if name in given})

    def _check_columns(self, name: str, x: Any) -> None:
        """The features of a modality are those of the fit, by number and by name."""
        fitted, columns = self.column_names_.get(name), feature_names(x)
        if fitted is not None and columns is not None and list(fitted) != list(columns):
            raise ValueError(
                "The feature names should match those that were passed during fit: modality "
                f"'{name}' has the columns {first_names(columns)}, "
                f"at fit it had {first_names(fitted)}"
            )
        shape = tuple(np.shape(x))[1:]  # of a tensor or a frame without converting it
        expected = self.sample_shapes_[name]
        if not shape or shape == expected:
            return
        if shape[-1] == expected[-1]:
            raise ValueError(
                f"modality '{name}' has samples of shape {shape}, at fit they had {expected}: "
                "give the same; sequences can be cut, or padded with steps of zeros"
            )
        raise ValueError(
            f"X has {shape[-1]} features, but {type(self).__name__} is expecting "
            f"{expected[-1]} features as input: modality '{name}' has samples of shape "
            f"{shape}, at fit they had {expected}"
        )

    def _labeled_part(
        self, X: Any, y: Any, sample_weight: Any
    ) -> tuple[Modalities, np.ndarray, np.ndarray | None]:
        """The labelled samples, their encoded labels and their weights: what a score looks at."""
        check_is_fitted(self, "model_")
        given = self._checked_modalities(X)
        check_same_rows(given, "y", y)
        check_same_rows(given, "sample_weight", sample_weight)
        targets = self._read_truth(y, len(given))
        rows = np.flatnonzero(targets.known)
        weights = None
        if sample_weight is not None:
            weights = check_weights(sample_weight, rows, len(given))[rows]
        return given[rows], targets.values[rows], weights

    def transform(self, X: Any) -> np.ndarray:
        """The latents side by side, `(N, k d)`; `get_feature_names_out` names the columns."""
        return np.concatenate(list(self.latents(X).values()), axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns of `transform` where every modality is there, as "z/text_0"."""
        check_is_fitted(self, "model_")
        nothing = {name: torch.zeros(1, *shape) for name, shape in self.sample_shapes_.items()}
        names = [
            f"{name}_{column}"
            for name, latent in self._latents(nothing).items()
            for column in range(latent.shape[1])
        ]
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def latents(self, X: Any) -> dict[str, np.ndarray]:
        """The latents of samples by name, each `(N, d)`: what `Method.latents` documents.

        Every sample needs every modality that X holds.
        """
        check_is_fitted(self, "model_")
        given = self._checked_modalities(X)
        chunks = []
        for start in range(0, len(given), CHUNK):
            tensors, present = self._read(given[start : start + CHUNK], start)
            if not present.all():
                row = start + int(np.flatnonzero(~present.all(axis=0))[0])
                raise ValueError(
                    f"sample {row} lacks a modality of X, so it has no place in the arrays of "
                    "latents: transform such samples apart, with a dict of what they have"
                )
            chunks.append(self._latents(tensors))
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}

    @torch.no_grad()
    def _latents(self, inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        self.model_.eval()
        device = next(self.model_.parameters()).device
        latents = self.model_.latents({name: x.to(device) for name, x in inputs.items()})
        return {name: latent.float().cpu().numpy() for name, latent in latents.items()}

    def explain(self, X: Any) -> dict[str, np.ndarray]:
        """What each modality adds to each answer: Shapley values by modality, each `(N, C)`.

        They add up to the answer from all modalities (the probabilities of the classes; the target
        of a regression) minus the answer from none, which is the class shares of the labelled
        samples (the mean target). A modality that a sample lacks adds nothing to it. Exact for at
        most 10 modalities (`robult_core.shapley`).
        """
        check_is_fitted(self, "model_")
        given = self._checked_modalities(X)
        arrays = {name: to_array(x, name) for name, x in given.items()}
        present = _presence(arrays)
        nobody = np.broadcast_to(self.base_scores_, (len(given), len(self.base_scores_)))

        def value(coalition: tuple[str, ...]) -> np.ndarray:
            scores = nobody.astype(np.float64)
            rows = np.array([present[tuple(given).index(name)] for name in coalition]).any(axis=0)
            if coalition and rows.any():
                scores[rows] = self._scores(given[np.flatnonzero(rows)], coalition)
            return scores

        return shapley_values(value, tuple(given))

    # --- saving -------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write the fitted model to a folder of two files, safetensors and JSON, without pickle.

        Raises ValueError where the model holds encoders of the user, which no file can hold.
        """
        check_is_fitted(self, "model_")
        if self.encoders:
            raise ValueError(
                f"the encoders of {', '.join(self.encoders)} are code of yours, which no file can "
                "hold: save model.model_.state_dict() beside your code, or pickle the estimator"
            )
        tensors = {f"model.{name}": value for name, value in self.model_.state_dict().items()}
        for name, standardizer in self.standardizers_.items():
            tensors[f"mean.{name}"] = standardizer.mean
            tensors[f"deviation.{name}"] = standardizer.deviation
        return write_model(Path(folder), tensors, self._description())

    def _description(self) -> dict[str, Any]:
        """Everything but the weights, as values that JSON can hold."""
        attributes = {name: getattr(self, name) for name in SAVED if hasattr(self, name)}
        parameters = self.get_params(deep=False)
        if isinstance(parameters.get("class_weight"), Mapping):  # JSON has texts for keys only
            parameters["class_weight"] = list(parameters["class_weight"].items())
        description = {
            "estimator": type(self).__name__,
            "parameters": parameters,
            "attributes": attributes,
            "sample_shapes": self.sample_shapes_,
            "columns": self.column_names_,
            "base_scores": self.base_scores_,
        }
        if hasattr(self, "classes_"):
            classes = self.classes_
            description["classes"] = {"type": classes.dtype.str, "values": classes}
        return description

    def _restore(
        self, description: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str
    ) -> MultimodalEstimator:
        """Become the fitted model that `save` wrote."""
        for name, value in description["attributes"].items():
            setattr(self, name, value)
        self.modality_names_ = tuple(self.modality_names_)
        shapes = description["sample_shapes"]
        self.sample_shapes_ = {name: tuple(shapes[name]) for name in self.modality_names_}
        columns = description["columns"]
        self.column_names_ = {
            name: np.asarray(names, dtype=object) for name, names in columns.items()
        }
        self._remember_feature_names()
        self.base_scores_ = np.asarray(description["base_scores"])
        if "classes" in description:
            classes = description["classes"]
            self.classes_ = np.asarray(classes["values"], dtype=classes["type"])
        self.standardizers_ = {
            name: Standardizer(tensors[f"mean.{name}"], tensors[f"deviation.{name}"])
            for name in self.modality_names_
        }
        task = self._task_of(len(self.base_scores_))
        with torch.random.fork_rng(devices=[]):  # its first weights, which are replaced, are random
            method = self._make_method(task, self.sample_shapes_)
        method.load_state_dict(_of_method(tensors))
        self.model_ = method.to(checked_device(device)).eval()
        return self

    # --- what differs between the kinds ---------------------------------------------------------

    def _read_targets(self, y: Any, n: int) -> Targets:
        raise TypeError(f"{type(self).__name__} does not read targets")

    def _read_truth(self, y: Any, n: int) -> Targets:
        """The labels of other samples, encoded as those of the fit were."""
        return self._read_targets(y, n)

    def _remember_targets(self, targets: Targets) -> None:
        """Keep what the labels say, `base_scores_ (C,)` at least: the answers without any input."""
        raise TypeError(f"{type(self).__name__} does not read targets")

    def _task_of(self, n_outputs: int) -> Task:
        raise TypeError(f"{type(self).__name__} has no task")

    def _trained_values(self, targets: Targets) -> np.ndarray:
        return targets.values


def _check_dict(name: str, value: Any, example: str) -> None:
    """A parameter that is a dict, or None."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{name} is a {type(value).__name__}: give a dict, such as {example}")


def _is_far(standardized: Tensor) -> Tensor:
    """Which samples lie at the ends of the standardised range in nearly every feature, `(N,)`."""
    at_an_end = standardized.abs() >= CLIP
    return at_an_end.flatten(start_dim=1).float().mean(dim=1) > NEARLY


def _presence(arrays: Mapping[str, np.ndarray], start: int = 0) -> np.ndarray:
    """Which sample has which modality `(M, N)`; ValueError naming a sample that has none."""
    present = np.stack([presence(array, name) for name, array in arrays.items()])
    empty = ~present.any(axis=0)
    if empty.any():
        row = start + int(np.flatnonzero(empty)[0])
        raise ValueError(
            f"sample {row} has no modality at all, every row of it is NaN: leave the sample out"
        )
    return present


def _check_samples(given: Modalities) -> None:
    if not len(given):
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required: X holds no sample"
        )


def _check_all_there(arrays: Mapping[str, np.ndarray], present: np.ndarray) -> None:
    """A modality that no sample has cannot be learnt."""
    for name, there in zip(arrays, present, strict=True):
        if not there.any():
            raise ValueError(
                f"modality '{name}' is NaN in every sample, so there is nothing to learn from it: "
                "leave it out"
            )


def _groups_by_pattern(
    present: np.ndarray, names: tuple[str, ...]
) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """The samples of each availability pattern, and the modalities that they have."""
    distinct, group_of = np.unique(present, axis=1, return_inverse=True)
    for group, is_there in enumerate(distinct.T):
        rows = np.flatnonzero(group_of.reshape(-1) == group)
        yield rows, tuple(name for name, there in zip(names, is_there, strict=True) if there)


def first_names(names: Any) -> str:
    """The first names of a list, for a message."""
    shown = ", ".join(map(str, names[:5]))
    return shown if len(names) <= 5 else f"{shown}, … ({len(names)} in all)"


def _progress_bar(steps: int, verbose: bool | None) -> Any:
    """A bar of steps, which shows where `verbose` asks for it, or where a terminal watches."""
    from tqdm.auto import tqdm

    disable = None if verbose is None else not verbose  # None leaves it to the terminal
    return tqdm(total=steps, unit="step", disable=disable, leave=False)


def _of_method(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the method among the tensors of a saved model."""
    prefix = "model."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
