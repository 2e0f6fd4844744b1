"""What notebook 10 measures: an estimator on data of one's own, when sensors fail."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from robult_core.calibration import expected_calibration_error, reliability
from robult_core.datasets import MultimodalData
from robult_core.estimators import MultimodalClassifier
from robult_core.methods.sanity import LinearModel
from robult_core.protocol import Pattern, label_split, pattern_name, patterns, random_missing
from robult_core.tasks import Classification
from robult_study.results.intervals import summarize, with_interval
from robult_study.results.layout import interval_table
from robult_study.results.tables import COLUMNS

Arrays = Mapping[str, np.ndarray]  # sensor -> (N, F)
CURVE = ["rate", "draw", "model", "accuracy"]
OURS = COLUMNS["robult_distilled"]  # what the estimators train by default
LINEAR = COLUMNS["linear"]
FILLED = "linear, means filled in"
ALL = "all sensors"
MADE_FOR_SUBSETS = "linear, a model for every subset"


def drawn_labels(data: MultimodalData, share: float, seed: int) -> np.ndarray:
    """The labels of the training samples, -1 except for a stratified share of them."""
    labels = np.full(len(data), -1)
    rows = label_split(data, share, seed)
    labels[rows] = data.targets[rows]
    return labels[data.rows("train")]


def with_failures(X: Arrays, rate: float, seed: int) -> dict[str, np.ndarray]:
    """The same samples where each sensor of each sample has failed with probability `rate`.

    A failed sensor is a row of NaN. Every sample keeps one sensor.
    """
    n_samples = len(next(iter(X.values())))
    present = random_missing(n_samples, len(X), rate, seed).numpy()
    failed = {}
    for there, (name, x) in zip(present, X.items(), strict=True):
        array = np.array(x, dtype=np.float32)
        array[~there] = np.nan
        failed[name] = array
    return failed


def failure_curve(
    model: MultimodalClassifier, X: Arrays, y: np.ndarray, rates: Sequence[float], draws: int
) -> pd.DataFrame:
    """Accuracy of the model by the rate at which sensors fail, in the columns of `CURVE`."""
    rows = []
    for rate in rates:
        for draw in range(draws):
            failed = with_failures(X, rate, draw)
            rows.append((rate, draw, OURS, model.score(failed, y)))
    return pd.DataFrame(rows, columns=CURVE)


def linear_curves(
    linear: Mapping[Pattern, Linear], X: Arrays, y: np.ndarray, rates: Sequence[float], draws: int
) -> pd.DataFrame:
    """What linear models can do about failed sensors, in two ways, in the columns of `CURVE`.

    One stands on all sensors and has the means of the training samples filled in. The other is
    many: each sample goes to the model that was made for the sensors that are there.
    linear: `linear_models`.
    """
    rows = []
    for rate in rates:
        for draw in range(draws):
            failed = with_failures(X, rate, draw)
            filled = linear[tuple(X)].accuracy_with_means(failed, y)
            rows.append((rate, draw, FILLED, filled))
            rows.append((rate, draw, MADE_FOR_SUBSETS, _accuracy_by_subset(linear, failed, y)))
    return pd.DataFrame(rows, columns=CURVE)


def _accuracy_by_subset(linear: Mapping[Pattern, Linear], X: Arrays, y: np.ndarray) -> float:
    """The accuracy where each sample goes to the model made for the sensors that it has."""
    there = {name: ~np.isnan(x).any(axis=1) for name, x in X.items()}
    right = 0.0
    for pattern, model in linear.items():
        rows = np.all([has == (name in pattern) for name, has in there.items()], axis=0)
        if rows.any():
            chosen = np.hstack([X[name][rows] for name in pattern])
            right += model.score(chosen, y[rows]) * rows.sum()
    return right / len(y)


def failures_title(curves: pd.DataFrame) -> str:
    """What the models reach at the highest rate; curves: all in the columns of `CURVE`."""
    highest = curves["rate"].max()
    reached = curves[curves["rate"] == highest].groupby("model")["accuracy"].mean()
    return (
        f"Where each sensor fails at a rate of {highest:.0%}, the one model is right for "
        f"{reached[OURS]:.0%} of the samples, linear models made for every subset for "
        f"{reached[MADE_FOR_SUBSETS]:.0%}"
    )


def accuracy_by_pattern(
    model: MultimodalClassifier, linear: Mapping[Pattern, Linear], X: Arrays, y: np.ndarray
) -> pd.DataFrame:
    """Accuracy for every set of sensors that is there, beside the linear model made for that set.

    linear: `linear_models`. The columns are sensors, number (of sensors), method and value.
    """
    rows = []
    for pattern, made_for_it in linear.items():
        chosen = {name: X[name] for name in pattern}
        place = (pattern_name(pattern), len(pattern))
        rows.append((*place, OURS, model.score(chosen, y)))
        rows.append((*place, LINEAR, made_for_it.score(np.hstack(list(chosen.values())), y)))
    return pd.DataFrame(rows, columns=["sensors", "number", "method", "value"])


def pattern_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy ± half of its interval by set of sensors, a column per method.

    rows: `accuracy_by_pattern` of several seeds, with a column `seed`.
    """
    summary = summarize(rows, ["sensors", "number", "method"])
    return interval_table(summary, ["sensors", "number"], "method", order=[OURS, LINEAR])


def number_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The same for the mean over all sets of a size; rows: as in `pattern_table`."""
    means = rows.groupby(["number", "method", "seed"], sort=False)["value"].mean().reset_index()
    summary = summarize(means, ["number", "method"])
    table = interval_table(summary, ["number"], "method", order=[OURS, LINEAR])
    return table.rename_axis("sensors there")


def training_table(scores: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Accuracy ± half of its interval by what a model was trained on.

    scores: entries with the keys "trained on", seed and value.
    """
    summary = summarize(pd.DataFrame(scores), ["trained on"])
    text = with_interval(summary["mean"], summary["half"])
    return text.set_axis(pd.Index(summary["trained on"])).rename("accuracy").to_frame()


class Linear:
    """The study's linear model on some sensors of the labelled samples.

    Features are standardised over all training samples; cross-validation chooses the strength.
    """

    def __init__(self, train: Arrays, labels: np.ndarray, names: Sequence[str]) -> None:
        known = labels != -1
        features = np.hstack([train[name] for name in names])
        self.scaler = StandardScaler().fit(features)
        task = Classification(int(labels.max()) + 1)
        x = self.scaler.transform(features[known])
        self.model = LinearModel(task, x, labels[known], seed=0)

    def accuracy_with_means(self, X: Arrays, y: np.ndarray) -> float:
        """Accuracy where the means of the training samples stand for what is NaN."""
        side_by_side = np.hstack(list(X.values()))
        filled = np.where(np.isnan(side_by_side), self.scaler.mean_, side_by_side)
        return self.score(filled, y)

    def score(self, features: np.ndarray, y: np.ndarray) -> float:
        """Accuracy on samples whose sensors stand side by side, `(N, F)`."""
        scores = self.model.scores(self.scaler.transform(features))
        return float(np.mean(scores.argmax(axis=1) == y))


def linear_models(train: Arrays, labels: np.ndarray) -> dict[Pattern, Linear]:
    """A linear model for every set of sensors; labels: -1 where a training sample has none."""
    return {pattern: Linear(train, labels, pattern) for pattern in patterns(tuple(train))}


def calibration_rows(
    models: Mapping[int, MultimodalClassifier], X: Arrays, y: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reliability curves and calibration errors before and after, from all sensors and from one.

    models: calibrated ones by seed. The curves are over the samples of all seeds together, the
    errors by seed, in the columns model, sensors, seed and value.
    """
    curves, errors = [], []
    for label, calibrated in (("plain", False), ("calibrated", True)):
        for pattern in (tuple(X), tuple(X)[:1]):
            chosen = {name: X[name] for name in pattern}
            place = {"model": label, "sensors": ALL if len(pattern) > 1 else pattern[0]}
            of_seeds = []
            for seed, model in models.items():
                used = model if calibrated else _uncalibrated(model)
                of_seeds.append(used.predict_proba(chosen))
                error = expected_calibration_error(of_seeds[-1], np.searchsorted(used.classes_, y))
                errors.append(place | {"seed": seed, "value": error})
            codes = np.tile(np.searchsorted(used.classes_, y), len(models))
            curves += [place | point for point in reliability(np.concatenate(of_seeds), codes)]
    return pd.DataFrame(curves), pd.DataFrame(errors)


def _uncalibrated(model: MultimodalClassifier) -> MultimodalClassifier:
    """The same trained network without its temperatures; `fit` with one seed trains it alike."""
    plain = copy.copy(model)
    plain.temperatures_ = {}
    return plain


def calibration_table(errors: pd.DataFrame) -> pd.DataFrame:
    """The calibration error by sensors, before and after; errors: `calibration_rows`."""
    summary = summarize(errors, ["sensors", "model"])
    return interval_table(summary, ["sensors"], "model", order=["plain", "calibrated"])


def reliability_title(errors: pd.DataFrame) -> str:
    """The calibration error of both models from all sensors; errors: `calibration_rows`."""
    of_all = errors[errors["sensors"] == ALL].groupby("model")["value"].mean()
    return (
        f"The calibration error with all sensors is {of_all['plain']:.3f} before and "
        f"{of_all['calibrated']:.3f} after calibration"
    )


def telling_sample(model: MultimodalClassifier, X: Arrays, y: np.ndarray) -> int:
    """The first sample that all sensors tell right and some sensor alone wrong; 0 without one."""
    some_wrong = np.zeros(len(y), dtype=bool)
    for name, x in X.items():
        some_wrong |= model.predict({name: x}) != y
    telling = np.flatnonzero((model.predict(X) == y) & some_wrong)
    return int(telling[0]) if len(telling) else 0


def answers_title(answers: Mapping[Pattern, np.ndarray], truth: int) -> str:
    """From which sensors one sample is told right; answers: probabilities `(C,)` by pattern."""
    right = [pattern for pattern, scores in answers.items() if scores.argmax() == truth]
    alone = [name for pattern in right if len(pattern) == 1 for name in pattern]
    return (
        f"This sample is told {'right' if max(answers, key=len) in right else 'wrong'} from all "
        f"sensors, and right from {len(alone)} of {len(answers) - 1} sensors alone"
    )


def contributions(model: MultimodalClassifier, X: Arrays) -> pd.DataFrame:
    """What each sensor adds to the probability of the predicted class: sample, sensor, added."""
    predicted = model.predict_proba(X).argmax(axis=1)
    samples = np.arange(len(predicted))
    frames = []
    for name, values in model.explain(X).items():
        columns = {"sample": samples, "sensor": name, "added": values[samples, predicted]}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def adds_most(added: pd.DataFrame) -> pd.Series:
    """In how many samples each sensor adds most; added: `contributions`."""
    most = added.loc[added.groupby("sample")["added"].idxmax(), "sensor"]
    return most.value_counts().reindex(added["sensor"].unique(), fill_value=0)


def contributions_title(added: pd.DataFrame) -> str:
    """The fewest and the most samples of `adds_most`; added: `contributions`."""
    counts = adds_most(added)
    return (
        f"Each sensor is the one that adds most in {counts.min()} to {counts.max()} of "
        f"{added['sample'].nunique()} samples"
    )
