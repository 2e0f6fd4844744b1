"""Tables and figures of notebook 10 on a few samples whose answer is known."""

from __future__ import annotations

import copy

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from robult_core import datasets
from robult_core.calibration import expected_calibration_error
from robult_core.estimators import MultimodalClassifier
from robult_core.methods import sanity
from robult_core.protocol import label_split
from robult_study.plots import own_data
from robult_study.plots.style import METHOD_COLORS
from robult_study.results import failing_sensors
from robult_study.results.tables import COLUMNS


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    X = {name: rng.standard_normal((80, 3)) + 3 * y[:, None] for name in ("left", "right")}
    model = MultimodalClassifier(max_steps=40, random_state=0, device="cpu", verbose=False)
    return model.fit(X, y), X, y


def test_every_sample_keeps_a_sensor_and_the_rest_fails_at_the_rate(fitted):
    _, X, _ = fitted
    none = failing_sensors.with_failures(X, 0.0, 0)
    assert not any(np.isnan(x).any() for x in none.values())
    all_but_one = failing_sensors.with_failures(X, 1.0, 0)
    there = np.stack([~np.isnan(x).any(axis=1) for x in all_but_one.values()])
    assert (there.sum(axis=0) == 1).all()
    assert not np.isnan(X["left"]).any()


def test_without_failures_the_curve_is_the_plain_accuracy(fitted):
    model, X, y = fitted
    curve = failing_sensors.failure_curve(model, X, y, (0.0, 0.5), 2)
    assert curve.loc[curve["rate"] == 0, "accuracy"].unique().tolist() == [model.score(X, y)]
    assert len(curve) == 4


def test_the_two_curves_of_linear_models(fitted):
    """Only the right sensor tells here, so that a sample without it is guessed."""
    _, X, y = fitted
    blind = {"left": np.zeros_like(X["left"]), "right": X["right"]}
    linear = failing_sensors.linear_models(blind, y)
    whole = failing_sensors.linear_curves(linear, blind, y, (0.0,), 1)
    assert (whole["accuracy"] > 0.9).all()
    failed = failing_sensors.with_failures(blind, 0.5, 0)
    seen = ~np.isnan(failed["right"]).any(axis=1)
    guess = linear["left",].score(blind["left"][~seen], y[~seen])
    expected = linear["right",].score(blind["right"][seen], y[seen]) * seen.mean()
    expected += guess * (~seen).mean()
    curve = failing_sensors.linear_curves(linear, blind, y, (0.5,), 1).set_index("model")
    found = curve.loc[failing_sensors.MADE_FOR_SUBSETS, "accuracy"]
    assert found == pytest.approx(expected)
    filled = {"left": blind["left"], "right": np.where(seen[:, None], X["right"], 0)}
    filled["right"][~seen] = X["right"].mean(axis=0)
    with_means = linear["left", "right"].score(np.hstack(list(filled.values())), y)
    assert curve.loc[failing_sensors.FILLED, "accuracy"] == pytest.approx(with_means)


def test_a_row_for_every_set_of_sensors_and_method(fitted):
    model, X, y = fitted
    labels = np.where(np.arange(80) < 40, y, -1)
    linear = failing_sensors.linear_models(X, labels)
    rows = failing_sensors.accuracy_by_pattern(model, linear, X, y)
    assert rows["sensors"].unique().tolist() == ["left", "right", "left+right"]
    ours = rows[rows["method"] == failing_sensors.OURS]
    assert ours["value"].iloc[2] == model.score(X, y)
    assert rows["value"].min() > 0.8


def test_the_linear_model_is_that_of_the_study(fitted, monkeypatch):
    _, X, y = fitted
    monkeypatch.setattr(sanity, "STRENGTHS", (1e-9,))  # it shrinks a model to the shares of classes
    few = np.where(np.arange(80) < 40, 0, y)
    linear = failing_sensors.Linear(X, few, ("left", "right"))
    assert linear.score(np.hstack(list(X.values())), few) == np.mean(few == 0)


def test_tables_have_intervals_over_seeds():
    rows = pd.DataFrame(
        [
            (sensors, number, method, seed, value + 0.1 * seed)
            for sensors, number, value in (("a", 1, 0.2), ("b", 1, 0.4), ("a+b", 2, 0.6))
            for method in (failing_sensors.OURS, failing_sensors.LINEAR)
            for seed in range(3)
        ],
        columns=["sensors", "number", "method", "seed", "value"],
    )
    table = failing_sensors.pattern_table(rows)
    assert table.loc[("a+b", 2), "linear"] == "0.700 ± 0.248"
    by_number = failing_sensors.number_table(rows)
    assert by_number[failing_sensors.OURS].tolist() == ["0.400 ± 0.248", "0.700 ± 0.248"]


def test_the_table_of_training_data_has_intervals_over_seeds():
    scores = []
    for seed in range(3):
        for name, value in (("complete samples", 0.9), ("some lost", 0.8 + 0.01 * seed)):
            scores.append({"trained on": name, "seed": seed, "value": value})
    table = failing_sensors.training_table(scores)
    assert table.loc["complete samples", "accuracy"] == "0.900 ± 0.000"
    assert table.loc["some lost", "accuracy"] == "0.810 ± 0.025"


def test_labels_are_drawn_by_seed_and_unknown_elsewhere():
    digits = datasets.load("digits")
    labels = failing_sensors.drawn_labels(digits, 0.05, 0)
    truth = digits.targets[digits.rows("train")].numpy()
    known = labels != -1
    assert known.sum() == len(label_split(digits, 0.05, 0))
    assert (labels[known] == truth[known]).all()
    assert (failing_sensors.drawn_labels(digits, 0.05, 1) != labels).any()


def test_contributions_add_up(fitted):
    model, X, _ = fitted
    added = failing_sensors.contributions(model, X)
    total = added.groupby("sample")["added"].sum()
    probabilities = model.predict_proba(X)
    chosen = probabilities.argmax(axis=1)
    expected = probabilities.max(axis=1) - model.base_scores_[chosen]
    np.testing.assert_allclose(total, expected, atol=1e-6)


def test_calibration_is_set_against_the_same_network_without_temperatures(fitted):
    model, X, y = fitted
    sure = copy.copy(model)
    sure.temperatures_ = {"left+right": 5.0}  # far from sure
    curves, errors = failing_sensors.calibration_rows({0: sure, 1: model}, X, y)
    probabilities = {"plain": model.predict_proba(X), "calibrated": sure.predict_proba(X)}
    of_all = errors[errors["sensors"] == "all sensors"].set_index(["model", "seed"])["value"]
    for label, expected in probabilities.items():
        error = expected_calibration_error(expected, y)
        assert of_all[label, 0] == pytest.approx(error)
    assert of_all["calibrated", 1] == of_all["plain", 1]
    assert sure.temperatures_  # the model itself is left as it was
    assert (curves.groupby(["model", "sensors"])["rows"].sum() == 2 * len(y)).all()
    table = failing_sensors.calibration_table(errors)
    assert table.loc["left", "plain"] == table.loc["left", "calibrated"]


def test_the_sample_that_tells_is_one_where_sensors_disagree(fitted):
    model, X, y = fitted
    torn = {name: x.copy() for name, x in X.items()}
    torn["left"][7] = X["left"][np.flatnonzero(y != y[7])].mean(axis=0)
    told = failing_sensors.telling_sample(model, torn, y)
    one = {name: x[told : told + 1] for name, x in torn.items()}
    answers = {name: model.predict({name: x})[0] for name, x in one.items()}
    assert model.predict(one)[0] == y[told]
    assert len(set(answers.values())) == 2


def test_the_title_of_one_sample():
    answers = {
        ("left",): np.array([0.9, 0.1]),
        ("right",): np.array([0.2, 0.8]),
        ("left", "right"): np.array([0.3, 0.7]),
    }
    title = failing_sensors.answers_title(answers, truth=1)
    assert title == (
        "This sample is told right from all sensors, and right from 1 of 2 sensors alone"
    )
    assert "told wrong from all sensors" in failing_sensors.answers_title(answers, truth=0)


def test_titles_say_what_was_found():
    curves = pd.DataFrame(
        [
            (0.0, 0, failing_sensors.OURS, 0.9),
            (0.5, 0, failing_sensors.OURS, 0.7),
            (0.5, 1, failing_sensors.OURS, 0.8),
            (0.5, 0, failing_sensors.MADE_FOR_SUBSETS, 0.5),
        ],
        columns=failing_sensors.CURVE,
    )
    title = failing_sensors.failures_title(curves)
    assert title == (
        "Where each sensor fails at a rate of 50%, the one model is right for 75% of the samples, "
        "linear models made for every subset for 50%"
    )
    added = pd.DataFrame(
        {
            "sample": [0, 0, 0, 1, 1, 1],
            "sensor": ["a", "b", "c"] * 2,
            "added": [0.1, 0.3, 0.2, 0.0, 0.5, 0.4],
        }
    )
    title = failing_sensors.contributions_title(added)
    assert title == "Each sensor is the one that adds most in 0 to 2 of 2 samples"
    errors = pd.DataFrame(
        {
            "model": ["plain", "plain", "calibrated", "plain"],
            "sensors": ["all sensors", "all sensors", "all sensors", "a"],
            "seed": [0, 1, 0, 0],
            "value": [0.12, 0.14, 0.04, 0.5],
        }
    )
    assert "0.130 before and 0.040 after" in failing_sensors.reliability_title(errors)


def test_the_row_of_the_estimators_is_named_after_their_default(fitted):
    model, _, _ = fitted
    assert COLUMNS[model.method] == failing_sensors.OURS


def test_figures_draw(fitted):
    model, X, y = fitted
    curves, _ = failing_sensors.calibration_rows({0: model}, X, y)
    curve = failing_sensors.failure_curve(model, X, y, (0.0, 0.5), 2)
    linear = failing_sensors.linear_models(X, y)
    theirs = failing_sensors.linear_curves(linear, X, y, (0.0, 0.5), 2)
    both = pd.concat([curve, theirs], ignore_index=True)
    figures = [
        own_data.failure_curves(both, "title"),
        own_data.reliability_curves(curves, "title"),
        own_data.sensor_contributions(failing_sensors.contributions(model, X), "title"),
    ]
    assert figures[0].axes[0].get_ylim() == (0, 1)
    assert len(figures[1].axes) == 2
    assert figures[2].get_suptitle() == "title"
    models = [line.get_color() for line in figures[1].axes[0].lines]
    assert not set(models) & set(METHOD_COLORS.values())  # a colour of a method means that method
    for figure in figures:
        plt.close(figure)
