"""What notebook 10 measures: an estimator on data of one's own, when sensors fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from robult_core.calibration import expected_calibration_error, reliability
from robult_core.datasets import MultimodalData
from robult_core.estimators import MultimodalClassifier
from robult_core.methods.sanity import LinearModel
from robult_core.protocol import label_split, pattern_name, patterns, random_missing
from robult_core.tasks import Classification
from robult_study.results.intervals import summarize
from robult_study.results.layout import interval_table
from robult_study.results.tables import COLUMNS

Arrays = Mapping[str, np.ndarray]  # sensor -> (N, F)
CURVE = ["rate", "draw", "model", "accuracy"]
OURS = COLUMNS["robult_distilled"]  # what the estimators train by default
LINEAR = COLUMNS["linear"]
FILLED = "linear, means filled in"


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


def filled_by_means(
    train: Arrays,
    labels: np.ndarray,
    test: tuple[Arrays, np.ndarray],
    rates: Sequence[float],
    draws: int,
) -> pd.DataFrame:
    """What a linear model can do about failed sensors: it stands on all, means filled in.

    train, labels: the training samples, -1 where one is unlabelled. test: samples and classes.
    The columns are those of `CURVE`.
    """
    X, y = test
    linear = Linear(train, labels, tuple(train))
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
        f"Where each sensor fails at a rate of {highest:.0%}, the one model is right for "
        f"{reached[OURS]:.0%} of the samples, a linear model with means filled in for "
        f"{reached[FILLED]:.0%}"
    )


def accuracy_by_pattern(
    model: MultimodalClassifier, train: Arrays, labels: np.ndarray, X: Arrays, y: np.ndarray
) -> pd.DataFrame:
    """Accuracy for every set of sensors that is there, beside a linear model made for that set.

    The columns are sensors, number (of sensors), method and value.
    """
    rows = []
    for pattern in patterns(tuple(X)):
        chosen = {name: X[name] for name in pattern}
        linear = Linear(train, labels, pattern)
        place = (pattern_name(pattern), len(pattern))
        rows.append((*place, OURS, model.score(chosen, y)))
        rows.append((*place, LINEAR, linear.score(np.hstack(list(chosen.values())), y)))
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

    def score(self, features: np.ndarray, y: np.ndarray) -> float:
        """Accuracy on samples whose sensors stand side by side, `(N, F)`."""
        scores = self.model.scores(self.scaler.transform(features))
        return float(np.mean(scores.argmax(axis=1) == y))


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
