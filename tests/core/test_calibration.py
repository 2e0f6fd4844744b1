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


def test_a_probability_of_zero_has_a_finite_loss():
    impossible = np.array([[1.0, 0.0]])
    assert log_loss(impossible, np.array([1])) == pytest.approx(-np.log(1e-12))
    assert log_loss(impossible, np.array([0])) == 0


@pytest.mark.parametrize(("answer", "temperature"), [(0, 0.05), (1, 20.0)])
def test_temperatures_end_at_a_twentieth_and_at_twenty(answer, temperature):
    """Always right asks for the surest probabilities, always wrong for the least sure ones."""
    probabilities = np.array([[0.6, 0.4]] * 4)
    found = fit_temperature(probabilities, np.full(4, answer))
    assert found == pytest.approx(temperature, rel=1e-3)


def test_there_are_ten_bins_and_certainty_is_in_the_last_one():
    confidence = np.linspace(0.5, 1, 101)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    truth = np.zeros(101, dtype=int)
    by_default = [point["rows"] for point in reliability(probabilities, truth)]
    assert by_default == np.bincount((confidence * 10).astype(int).clip(max=9))[5:].tolist()
    calibrated = (1 - confidence).mean()  # always right: every bin is off by its doubt
    assert expected_calibration_error(probabilities, truth) == pytest.approx(calibrated)
    assert reliability(probabilities, truth, bins=1)[0]["rows"] == 101
    with pytest.raises(ValueError, match="bins is 0"):
        reliability(probabilities, truth, bins=0)


HALVES = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("probabilities", "truth", "message"),
    [
        (np.full(2, 0.5), [0, 0], r"shape \(2,\) and truth \(2,\): expected \(N, C\) and \(N,\)"),
        (HALVES, [0], r"shape \(2, 2\) and truth \(1,\)"),
        (HALVES * 0.99, [0, 0], "do not add up to 1 in every row"),
        (np.array([[1.5, -0.5]]), [0], "do not add up to 1 in every row"),
        (HALVES, [0, 2], "truth holds class 2: give numbers from 0 to 1"),
        (HALVES, [-1, 2], "truth holds class -1: give numbers from 0 to 1"),
    ],
)
def test_what_are_no_probabilities_or_classes_is_named(probabilities, truth, message):
    for check in (fit_temperature, reliability):
        with pytest.raises(ValueError, match=message):
            check(probabilities, np.array(truth))


def test_rounded_probabilities_are_served_and_no_rows_have_no_error():
    rounded = np.array([[0.9995, 0.0]])
    assert reliability(rounded, np.array([0]))[0]["accuracy"] == 1
    with pytest.raises(ValueError, match="there are 0 rows"):
        expected_calibration_error(HALVES[:0], np.array([], dtype=int))
