"""What notebook 10 measures: an estimator on data of one's own, when sensors fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from robult_core.calibration import expected_calibration_error, reliability
from robult_core.estimators import MultimodalClassifier
from robult_core.protocol import pattern_name, patterns, random_missing
from robult_study.results.tables import COLUMNS

Arrays = Mapping[str, np.ndarray]  # sensor -> (N, F)
CURVE = ["rate", "draw", "model", "accuracy"]
OURS = COLUMNS["robult_distilled"]  # what the estimators train by default
FILLED = "logistic regression, means filled in"


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


def filled_by_means(
    train: Arrays,
    labels: np.ndarray,
    test: tuple[Arrays, np.ndarray],
    rates: Sequence[float],
    draws: int,
) -> pd.DataFrame:
    """What people do without a method for missing sensors: one linear model, means filled in.

    train, labels: the training samples, -1 where one is unlabelled. test: samples and classes.
    The columns are those of `CURVE`.
    """
    X, y = test
    linear = _linear(train, labels, tuple(train))
    means = np.hstack([x.mean(axis=0) for x in train.values()])
    rows = []
    for rate in rates:
        for draw in range(draws):
            side_by_side = np.hstack(list(with_failures(X, rate, draw).values()))
            filled = np.where(np.isnan(side_by_side), means, side_by_side)
            rows.append((rate, draw, FILLED, linear.score(filled, y)))
    return pd.DataFrame(rows, columns=CURVE)


def failures_title(curves: pd.DataFrame) -> str:
    """What both models reach at the highest rate; curves: both in the columns of `CURVE`."""
    highest = curves["rate"].max()
    reached = curves[curves["rate"] == highest].groupby("model")["accuracy"].mean()
    return (
        f"With {highest:.0%} of the sensors gone the one model is right for {reached[OURS]:.0%} "
        f"of the samples, a linear model with means filled in for {reached[FILLED]:.0%}"
    )


def accuracy_by_pattern(
    model: MultimodalClassifier, train: Arrays, labels: np.ndarray, X: Arrays, y: np.ndarray
) -> pd.DataFrame:
    """Accuracy for every set of sensors that is there, beside a linear model made for that set."""
    rows = []
    for pattern in patterns(tuple(X)):
        chosen = {name: X[name] for name in pattern}
        linear = _linear(train, labels, pattern)
        row = {
            "sensors": pattern_name(pattern),
            "number": len(pattern),
            OURS: model.score(chosen, y),
            "linear": linear.score(np.hstack(list(chosen.values())), y),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _linear(train: Arrays, labels: np.ndarray, names: Sequence[str]) -> Pipeline:
    """A logistic regression on some sensors of the labelled samples."""
    known = labels != -1
    features = np.hstack([train[name][known] for name in names])
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return linear.fit(features, labels[known])


def calibration_rows(
    models: Mapping[str, MultimodalClassifier], X: Arrays, y: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reliability curves and calibration errors of models, from all sensors and from one."""
    curves, errors = [], []
    for label, model in models.items():
        codes = np.searchsorted(model.classes_, y)
        for pattern in (tuple(X), tuple(X)[:1]):
            probabilities = model.predict_proba({name: X[name] for name in pattern})
            sensors = "all sensors" if len(pattern) > 1 else pattern[0]
            place = {"model": label, "sensors": sensors}
            curves += [place | point for point in reliability(probabilities, codes)]
            error = expected_calibration_error(probabilities, codes)
            errors.append(place | {"calibration error": error})
    return pd.DataFrame(curves), pd.DataFrame(errors)


def reliability_title(errors: pd.DataFrame) -> str:
    """The calibration error of both models from all sensors; errors: `calibration_rows`."""
    of_all = errors[errors["sensors"] == "all sensors"].set_index("model")["calibration error"]
    return (
        f"The calibration error with all sensors is {of_all['plain']:.2f} before and "
        f"{of_all['calibrated']:.2f} after calibration"
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


def contributions_title(added: pd.DataFrame) -> str:
    """In how many samples each sensor adds most; added: `contributions`."""
    most = added.loc[added.groupby("sample")["added"].idxmax(), "sensor"]
    counts = most.value_counts().reindex(added["sensor"].unique(), fill_value=0)
    return (
        f"Each sensor adds most to {counts.min()} to {counts.max()} of "
        f"{added['sample'].nunique()} samples"
    )
