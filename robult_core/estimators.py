"""The front door: estimators in scikit-learn's manner for several modalities and few labels.

    from robult_core.estimators import MultimodalClassifier
    model = MultimodalClassifier(random_state=0).fit({"text": X_text, "audio": X_audio}, y)
    model.predict({"audio": X_audio_new})

Samples whose label is unknown take part in the training, samples that lack a modality take part
with what they have, and any non-empty subset of the modalities is enough to predict. Public are the
three classes `MultimodalClassifier`, `MultimodalRegressor` and `MultimodalMultilabelClassifier`,
and `load`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from robult_core.calibration import fit_temperature, scaled
from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import having, predict
from robult_core.inputs import (
    Modalities,
    feature_names,
    presence,
    read_modalities,
    to_array,
    to_tensor,
)
from robult_core.method import Method
from robult_core.methods import make_method
from robult_core.protocol import pattern_name, patterns
from robult_core.standardization import Standardizer
from robult_core.targets import Targets, read_classes, read_indicators, read_numbers
from robult_core.tasks import Classification, Multilabel, Regression, Task
from robult_core.training import TrainingConfig, train

__all__ = [
    "Modalities",
    "MultimodalClassifier",
    "MultimodalMultilabelClassifier",
    "MultimodalRegressor",
    "load",
]

logger = logging.getLogger("robult_core")

CHUNK = 4096  # samples that are read and predicted at once, so that memory stays bounded
FEWEST_STEPS, MOST_STEPS, EPOCHS = 400, 2000, 10
FOLDS = 5  # of cross-fitting


def default_steps(n_samples: int, batch_size: int) -> int:
    """Gradient steps for a training set: ten times through the data, at least 400, at most 2,000.

    400 is the number of the study, whose sets have some hundreds to some thousands of samples.
    """
    ten_epochs = EPOCHS * n_samples // batch_size
    return int(np.clip(ten_epochs, FEWEST_STEPS, MOST_STEPS))


class _Multimodal(TransformerMixin, BaseEstimator):
    """What the three estimators share; see `MultimodalClassifier` for the parameters."""

    _kind: ClassVar[str]

    def __init__(
        self,
        method: str = "robult",
        *,
        settings: Mapping[str, Any] | None = None,
        modalities: Mapping[str, Sequence[Any]] | None = None,
        encoders: Mapping[str, nn.Module] | None = None,
        max_steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float | None = None,
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
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    # --- fitting ------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> _Multimodal:
        """Train on samples of which some have a label.

        X: a dict with one array per modality, `(N, F)` features or `(N, T, F)` sequences, as numpy
        arrays, frames of pandas or polars, or torch tensors; or one frame, cut by the parameter
        `modalities`; or one array. A row of NaN says that this sample lacks the modality.
        y: one label per sample, with the mark of an unlabelled sample where it is unknown.
        Raises ValueError in one sentence before any training starts.
        """
        given = read_modalities(X, self.modalities)
        arrays = {name: to_array(x, name) for name, x in given.items()}
        present = _presence(arrays)
        targets = self._read_targets(y, len(given))
        self._remember_inputs(X, given, arrays)
        self.standardizers_ = self._standardizers(arrays, present)
        tensors = {
            name: self._standardized(name, to_tensor(array, present[row]))
            for row, (name, array) in enumerate(arrays.items())
        }
        data = MultimodalData(
            name="your data",
            task=self._task(targets),
            modalities=tensors,
            targets=torch.from_numpy(self._trained_values(targets)),
            split=np.full(len(given), "train"),
            present=None if present.all() else torch.from_numpy(present),
            unscaled=tuple(self.encoders or ()),
        )
        labeled_rows = np.flatnonzero(targets.known)
        seed = self._seed()
        self.n_steps_ = self._training_config(len(data)).steps
        known = f"{len(labeled_rows)} of {len(data)} samples are labelled"
        logger.info("%s: %s, %d steps", type(self).__name__, known, self.n_steps_)
        self.model_ = self._trained(data, labeled_rows, seed)
        self._after_training(data, labeled_rows, seed)
        return self

    def _trained(self, data: MultimodalData, labeled_rows: np.ndarray, seed: int) -> Method:
        """A trained method; the caller's random state stays as it is."""
        config = self._training_config(len(data))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self._make_method(data.task, data.shapes)
            train(
                model,
                data,
                labeled_rows,
                config,
                seed=seed,
                fabric=_fabric(self.device),
                on_step=_progress_bar(config.steps, self.verbose),
            )
        return model

    def _after_training(self, data: MultimodalData, labeled_rows: np.ndarray, seed: int) -> None:
        """What a kind of estimator still learns from the training samples."""

    def _make_method(self, task: Task, shapes: Mapping[str, tuple[int, ...]]) -> Method:
        """A fresh method for these modalities; own encoders are copied, never trained in place."""
        own = dict(self.encoders or {})
        unknown = [name for name in own if name not in shapes]
        if unknown:
            raise ValueError(
                f"encoders names the modality '{unknown[0]}', which X lacks: "
                f"it has {', '.join(shapes)}"
            )
        specs = {name: deepcopy(own[name]) if name in own else shapes[name] for name in shapes}
        settings = dict(self.settings or {})
        if own and self.method == "robult":
            settings.setdefault("fusion", "latents")  # f_0 on the h_i needs no network of its own
        return make_method(self.method, task, specs, **settings)

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
        if isinstance(self.random_state, (int, np.integer)):
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
        self.__dict__.pop("feature_names_in_", None)
        if self.column_names_:
            only = next(iter(self.column_names_.values()))
            self.feature_names_in_: Any = only if plain else self.column_names_

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
        chunks = [
            self._chunk_scores(given[start : start + CHUNK], start)
            for start in range(0, len(given), CHUNK)
        ]
        return np.concatenate(chunks)

    def _chunk_scores(self, given: Modalities, start: int) -> np.ndarray:
        """Scores of some samples, group by group of those that have the same modalities."""
        tensors, present = self._read(given, start)
        scores = np.empty((len(given), self.model_.task.n_outputs), dtype=np.float32)
        for rows, names in _groups(present, tuple(given)):
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
        tensors = {
            name: self._standardized(name, to_tensor(array, present[row]))
            for row, (name, array) in enumerate(arrays.items())
        }
        return tensors, present

    def _checked_modalities(self, X: Any) -> Modalities:
        """The modalities of new samples in the order of the fit, checked against it."""
        columns = self.modalities
        if columns is not None and isinstance(X, Mapping):
            columns = None  # a dict is fine too
        given = read_modalities(X, columns)
        unknown = [name for name in given if name not in self.modality_names_]
        if unknown:
            raise ValueError(
                f"modality '{unknown[0]}' was not there at fit, which had "
                f"{', '.join(self.modality_names_)}"
            )
        for name, x in given.items():
            self._check_columns(name, x)
        if not len(given):
            raise ValueError(
                "Found array with 0 sample(s) while a minimum of 1 is required: X holds no sample"
            )
        return Modalities({name: given[name] for name in self.modality_names_ if name in given})

    def _check_columns(self, name: str, x: Any) -> None:
        """The features of a modality are those of the fit, by number and by name."""
        fitted, columns = self.column_names_.get(name), feature_names(x)
        if fitted is not None and columns is not None and list(fitted) != list(columns):
            raise ValueError(
                "The feature names should match those that were passed during fit: modality "
                f"'{name}' has the columns {_few(columns)}, at fit it had {_few(fitted)}"
            )
        shape = tuple(getattr(x, "shape", np.asarray(x).shape))[1:]
        if shape and shape != self.sample_shapes_[name]:
            expected = self.sample_shapes_[name]
            raise ValueError(
                f"X has {shape[-1]} features, but {type(self).__name__} is expecting "
                f"{expected[-1]} features as input: modality '{name}' has samples of shape "
                f"{shape}, at fit they had {expected}"
            )

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

        They add up to the scores of all modalities minus those of nobody, which are the class
        shares of the labelled samples (the mean target for regression). A modality that a sample
        lacks adds nothing to it. Exact for at most 10 modalities (`robult_core.shapley`).
        """
        from robult_core.shapley import shapley_values

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
        """Write the fitted model to a folder of two files, safetensors and JSON, without pickle."""
        from robult_core.saved_models import save_estimator

        check_is_fitted(self, "model_")
        return save_estimator(self, Path(folder))

    # --- what differs between the kinds ---------------------------------------------------------

    def _read_targets(self, y: Any, n: int) -> Targets:
        raise TypeError(f"{type(self).__name__} does not read targets")

    def _task(self, targets: Targets) -> Task:
        raise TypeError(f"{type(self).__name__} has no task")

    def _trained_values(self, targets: Targets) -> np.ndarray:
        return targets.values


class MultimodalClassifier(ClassifierMixin, _Multimodal):
    """A classifier for several modalities, few labels, and modalities that may be missing.

    method: any name in `robult_core.methods.METHODS`. The default is the paper's Robult: over the
        data sets of the study it has the best mean rank of the five methods on validation rows.
    settings: fields of the method's configuration that differ from its defaults.
    modalities: where X is one frame, the columns of each modality by its name.
    encoders: modality name -> an `nn.Module` from a batch to `(B, width)`; a copy of it is trained.
        Its modality is not standardised and may have any shape.
    unlabeled: the label that marks an unlabelled sample; None and NaN always do. Where -1 is a
        class of yours, name another mark or None.
    max_steps: gradient steps; None: ten times through the data, at least 400, at most 2,000.
    batch_size, learning_rate: of the training; None is the method's own rate, which was searched.
    calibrate: fit one temperature per availability pattern by cross-fitting, so that probabilities
        can be trusted. It trains five more times. Below 5 labelled samples per class nothing is
        held out, and the probabilities stay uncalibrated.
    device: "auto", "cpu", "cuda" or "mps".
    verbose: True shows a progress bar, False none; None shows one where a terminal watches.
    random_state: an integer makes two fits equal bit for bit.

    Attributes after `fit`: `classes_`, `n_features_in_` and `feature_names_in_` by modality,
    `modality_names_`, `model_` (the trained `Method`), `temperatures_`, `n_steps_`.
    """

    _kind = "classification"

    def __init__(
        self,
        method: str = "robult",
        *,
        settings: Mapping[str, Any] | None = None,
        modalities: Mapping[str, Sequence[Any]] | None = None,
        encoders: Mapping[str, nn.Module] | None = None,
        unlabeled: Any = -1,
        max_steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float | None = None,
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
            device=device,
            verbose=verbose,
            random_state=random_state,
        )
        self.unlabeled = unlabeled
        self.calibrate = calibrate

    def _read_targets(self, y: Any, n: int) -> Targets:
        return read_classes(y, n, self.unlabeled)

    def _task(self, targets: Targets) -> Task:
        assert targets.classes is not None
        self.classes_ = targets.classes
        counts = np.bincount(targets.values[targets.known], minlength=len(targets.classes))
        self.base_scores_ = counts / counts.sum()
        return Classification(len(targets.classes))

    def _after_training(self, data: MultimodalData, labeled_rows: np.ndarray, seed: int) -> None:
        """Fit the temperatures on labelled samples that the predicting method did not see."""
        self.temperatures_: dict[str, float] = {}
        if not self.calibrate:
            return
        codes = data.targets[labeled_rows].numpy()
        if np.bincount(codes).min() < FOLDS:
            logger.warning(
                "a class has fewer than %d labelled samples: the probabilities stay uncalibrated",
                FOLDS,
            )
            return
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        held_out: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for seen, unseen in folds.split(labeled_rows, codes):
            model = self._trained(data, labeled_rows[seen], seed)
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
        """The accuracy on labelled samples; ValueError for a class that `fit` never saw."""
        check_is_fitted(self, "model_")
        strangers = np.setdiff1d(np.asarray(y), self.classes_)
        if len(strangers):
            raise ValueError(
                f"y holds the class {strangers[0]!r}, which fit never saw: "
                f"it knows {_few(self.classes_)}"
            )
        return super().score(X, y, sample_weight)


class MultimodalRegressor(RegressorMixin, _Multimodal):
    """A regressor for several modalities, few targets, and modalities that may be missing.

    The target of an unlabelled sample is NaN. Everything else is as in `MultimodalClassifier`.
    Targets are standardised inside, so that the loss does not depend on their unit.
    """

    _kind = "regression"

    def _read_targets(self, y: Any, n: int) -> Targets:
        return read_numbers(y, n)

    def _task(self, targets: Targets) -> Task:
        known = targets.values[targets.known]
        self.target_mean_ = float(known.mean())
        self.target_deviation_ = float(known.std()) or 1.0
        self.base_scores_ = np.array([self.target_mean_])
        return Regression()

    def _trained_values(self, targets: Targets) -> np.ndarray:
        scaled = (targets.values - self.target_mean_) / self.target_deviation_
        return np.where(targets.known, scaled, 0).astype(np.float32)

    def _predicted(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        return super()._predicted(inputs) * self.target_deviation_ + self.target_mean_

    def predict(self, X: Any) -> np.ndarray:
        """The predicted target of each sample, from whatever modalities X holds."""
        return self._scores(X)[:, 0].astype(np.float64)


class MultimodalMultilabelClassifier(ClassifierMixin, _Multimodal):
    """A classifier for samples with several labels each.

    y is `(N, C)` of 0 and 1; a row of -1 is an unlabelled sample.

    Everything else is as in `MultimodalClassifier`.
    """

    _kind = "multilabel"

    def _read_targets(self, y: Any, n: int) -> Targets:
        return read_indicators(y, n)

    def _task(self, targets: Targets) -> Task:
        self.base_scores_ = targets.values[targets.known].mean(axis=0)
        self.n_labels_ = targets.values.shape[1]
        return Multilabel(self.n_labels_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each label, `(N, C)`, from whatever modalities X holds."""
        return self._scores(X)

    def predict(self, X: Any) -> np.ndarray:
        """Rows of 0 and 1: the labels whose probability is above one half."""
        return (self.predict_proba(X) > 0.5).astype(np.int64)


def load(folder: str | Path, device: str = "auto") -> Any:
    """An estimator that `save` wrote, ready to predict; ValueError for files of another version."""
    from robult_core.saved_models import load_estimator

    return load_estimator(Path(folder), device)


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


def _groups(
    present: np.ndarray, names: tuple[str, ...]
) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """The samples of each availability pattern, and the modalities that they have."""
    distinct, group = np.unique(present, axis=1, return_inverse=True)
    for number, there in enumerate(distinct.T):
        rows = np.flatnonzero(group.reshape(-1) == number)
        yield rows, tuple(name for name, has in zip(names, there, strict=True) if has)


def _few(names: Any) -> str:
    """The first names of a list, for a message."""
    shown = ", ".join(map(str, names[:5]))
    return shown if len(names) <= 5 else f"{shown}, … ({len(names)} in all)"


def _fabric(device: str) -> Any:
    """Where the training runs."""
    from lightning_fabric import Fabric

    if device not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f"device is {device!r}: choose auto, cpu, cuda or mps")
    return Fabric(accelerator=device, devices=1)


def _progress_bar(steps: int, verbose: bool | None) -> Any:
    """A callback that moves a bar, or None where nobody watches."""
    from tqdm.auto import tqdm

    if verbose is False:
        return None
    bar = tqdm(total=steps, unit="step", disable=False if verbose else None, leave=False)

    def on_step(step: int, _: Method) -> None:
        bar.update(step - bar.n)
        if step == steps:
            bar.close()

    return on_step
