"""The figures of notebook 10: sensors that fail, calibration, who decides."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from robult_study.plots.style import METHOD_COLORS, METHOD_DASHES, METHOD_MARKERS, MUTED, finish
from robult_study.results.failing_sensors import adds_most
from robult_study.wording import in_words

FAILING = {  # how the three models of `failure_curves` look; the second is no method
    "palette": [METHOD_COLORS["robult_distilled"], MUTED["olive"], METHOD_COLORS["linear"]],
    "markers": [METHOD_MARKERS["robult_distilled"], "v", METHOD_MARKERS["linear"]],
    "dashes": [METHOD_DASHES["robult_distilled"], (4, 1.5), METHOD_DASHES["linear"]],
}
MODELS = {
    "plain": {"color": MUTED["wine"], "linestyle": "-"},
    "calibrated": {"color": MUTED["olive"], "linestyle": "--"},
}
PERFECT = {"color": "black", "linewidth": 0.8, "linestyle": ":", "marker": ""}
LEAST = 10  # samples of a dot; the accuracy over fewer is chance
AREAS = (20, 110)  # of the dot of so many samples, and of the largest


def failure_curves(rows: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy against the rate at which sensors fail, a band from the worst to the best draw."""
    figure, ax = plt.subplots(figsize=(7.0, 3.6))
    sns.lineplot(
        rows,
        x="rate",
        y="accuracy",
        hue="model",
        style="model",
        errorbar=("pi", 100),
        markersize=7,
        markeredgewidth=0.5,  # a wider white edge would eat the star
        **FAILING,
        ax=ax,
    )
    ax.set(xlabel="rate at which a sensor fails", ylim=(0, 1))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(title=None)
    return finish(figure, title)


def reliability_curves(curves: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy against confidence, a panel per set of sensors; on the diagonal both agree.

    curves: columns sensors, model, confidence, accuracy and rows; a dot grows with its rows, and
    one of fewer than `LEAST` is left out.
    """
    panels = curves["sensors"].unique()
    most = curves["rows"].max()
    shown = curves[curves["rows"] >= LEAST]
    figure, axes = plt.subplots(1, len(panels), figsize=(7.6, 3.6), sharey=True, squeeze=False)
    for ax, sensors in zip(axes[0], panels, strict=True):
        panel = shown[shown["sensors"] == sensors]
        for model, look in MODELS.items():
            points = panel[panel["model"] == model]
            areas = np.interp(points["rows"], (LEAST, most), AREAS)
            ax.plot(points["confidence"], points["accuracy"], marker="", **look)
            ax.scatter(points["confidence"], points["accuracy"], areas, color=look["color"])
        ax.plot([0, 1], [0, 1], **PERFECT)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02), title=in_words(sensors), xlabel="confidence")
    axes[0, 0].set_ylabel("accuracy")
    handles = [Line2D([], [], label=model, **look) for model, look in MODELS.items()]
    handles.append(Line2D([], [], label="perfect", **PERFECT))
    for rows, area in zip((LEAST, most), AREAS, strict=True):
        size = {"markersize": area**0.5, "color": "#888888", "linestyle": "none"}
        handles.append(Line2D([], [], marker="o", label=f"{rows} samples", **size))
    return finish(figure, title, handles)


def sensor_contributions(rows: pd.DataFrame, title: str = "") -> Figure:
    """What each sensor adds to the probability of the predicted class, one dot per sample.

    rows: `failing_sensors.contributions`. Below the dots stand their median and, as a bar, the
    middle half of them.
    """
    figure, ax = plt.subplots(figsize=(7.0, 3.2))
    sample = {"color": "#888888", "marker": "o", "linestyle": "none"}
    middle = {"color": "black", "marker": "o", "markersize": 5, "linewidth": 1.5}
    counts = adds_most(rows)
    sns.stripplot(rows, x="added", y="sensor", color=sample["color"], size=3, alpha=0.7, ax=ax)
    quarters = rows.groupby("sensor", sort=False)["added"].quantile([0.25, 0.5, 0.75]).unstack()
    for place, (low, median, high) in enumerate(quarters.to_numpy()):
        below = place + 0.28
        ax.plot([low, median, high], [below] * 3, markevery=[1], **middle)
    names = [f"{in_words(name)}\n(adds most in {count})" for name, count in counts.items()]
    ax.set_yticks(range(len(names)), names)
    ax.axvline(0, color="black", linewidth=0.8, linestyle="-", marker="")
    ax.set(xlabel="added to the probability of the predicted class", ylabel="")
    ax.set_ylim(len(names) - 0.5, -0.4)
    handles = [
        Line2D([], [], label="a sample", markersize=3, **sample),
        Line2D([], [], label="median and middle half of the samples", **middle),
    ]
    return finish(figure, title, handles)
