"""Temperatures and calibration errors against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from robult_core.calibration import (
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
    scaled,
)


def test_temperature_one_changes_nothing_and_two_takes_roots():
    probabilities = np.array([[0.8, 0.2], [0.5, 0.5]])
    np.testing.assert_allclose(scaled(probabilities, 1.0), probabilities)
    roots = np.sqrt(probabilities)
    expected = roots / roots.sum(1, keepdims=True)
    np.testing.assert_allclose(scaled(probabilities, 2.0), expected)


def test_the_temperature_that_made_the_probabilities_is_found():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4000, 3)) * 2
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in true])
    too_sure = scaled(true, 0.5)
    assert fit_temperature(too_sure, labels) == pytest.approx(2.0, rel=0.1)
    assert fit_temperature(true[:0], labels[:0]) == 1.0


def test_the_log_loss_by_hand():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert log_loss(probabilities, np.array([0, 1])) == pytest.approx(expected)


def test_the_calibration_error_by_hand():
    """Two bins: three rows at .9 of which two are right, one row at .6 that is right."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    truth = np.array([0, 0, 1, 1])
    points = reliability(probabilities, truth, bins=10)
    assert [point["rows"] for point in points] == [1, 3]
    assert points[1]["accuracy"] == pytest.approx(2 / 3)
    expected = (3 * abs(0.9 - 2 / 3) + 1 * abs(0.6 - 1)) / 4
    assert expected_calibration_error(probabilities, truth) == pytest.approx(expected)
