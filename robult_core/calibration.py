"""Probabilities one can trust: temperature scaling (Guo et al. 2017) and how far off they are.

One temperature per availability pattern, fitted on labelled rows that the predicting model did not
see. The temperature changes no decision, only how sure the probabilities are.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from robult_core.checks import check_count

SMALLEST = 1e-12  # a probability of 0 has no logarithm
RANGE = (np.log(0.05), np.log(20.0))  # of log temperatures that are searched


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Class probabilities `(N, C)` at a temperature; above 1 they are less sure than before.

    They are p^(1/T), normalised over the classes.
    """
    powers = np.maximum(probabilities, SMALLEST) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The mean negative logarithm of the probability of the true class."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(of_truth, SMALLEST)).mean())


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the smallest log loss on held-out rows; 1 where there are none."""
    _check_probabilities(probabilities, truth)
    if not len(truth):
        return 1.0

    def loss(log_temperature: float) -> float:
        at_temperature = scaled(probabilities, float(np.exp(log_temperature)))
        return log_loss(at_temperature, truth)

    found = minimize_scalar(loss, bounds=RANGE, method="bounded")
    return float(np.exp(found.x))


def expected_calibration_error(
    probabilities: np.ndarray, truth: np.ndarray, bins: int = 10
) -> float:
    """The mean distance of confidence and accuracy over bins of equal width.

    Each bin weighs as much as it has rows; probabilities `(N, C)`, truth `(N,)` class numbers
    (Naeini et al. 2015).
    """
    rows = reliability(probabilities, truth, bins)
    if not rows:
        raise ValueError("there are 0 rows, so nothing can be off: give at least one")
    gaps = [row["rows"] * abs(row["confidence"] - row["accuracy"]) for row in rows]
    return float(sum(gaps) / len(truth))


def reliability(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> list[dict]:
    """The points of a reliability curve: confidence, accuracy and rows of each filled bin.

    Raises ValueError for what are no probabilities, or no classes, and for fewer than one bin.
    """
    _check_probabilities(probabilities, truth)
    check_count("bins", bins)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    points = []
    for number in np.unique(bin_of):
        inside = bin_of == number
        points.append(
            {
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(right[inside].mean()),
                "rows": int(inside.sum()),
            }
        )
    return points


def _check_probabilities(probabilities: np.ndarray, truth: np.ndarray) -> None:
    """ValueError unless there is a distribution over C classes and a class for every row."""
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1]:
        raise ValueError(
            f"probabilities have shape {probabilities.shape} and truth {truth.shape}: "
            "expected (N, C) and (N,)"
        )
    total = probabilities.sum(axis=1)
    if not np.allclose(total, 1, atol=1e-3) or (probabilities < 0).any():
        raise ValueError("probabilities do not add up to 1 in every row: give those of the model")
    strangers = truth[(truth < 0) | (truth >= probabilities.shape[1])]
    if len(strangers):
        raise ValueError(
            f"truth holds class {strangers[0]}: give numbers from 0 to {probabilities.shape[1] - 1}"
        )
