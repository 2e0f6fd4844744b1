"""The figures of notebook 10: sensors that fail, calibration, who decides."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from robult_study.plots.style import METHOD_COLORS, MUTED, finish
from robult_study.plots.wording import in_words

MODELS = (MUTED["wine"], MUTED["olive"])  # plain, calibrated


def failure_curves(rows: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy against the rate at which sensors fail, a band from the worst to the best draw."""
    figure, ax = plt.subplots(figsize=(7.0, 3.6))
    sns.lineplot(
        rows,
        x="rate",
        y="accuracy",
        hue="model",
        style="model",
        markers=True,
        errorbar=("pi", 100),
        palette=[METHOD_COLORS["robult_distilled"], MODELS[1], METHOD_COLORS["linear"]],
        ax=ax,
    )
    ax.set(xlabel="rate at which a sensor fails", ylim=(0, 1))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(title=None)
    return finish(figure, title)


def reliability_curves(curves: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy against confidence, a panel per set of sensors; on the diagonal both agree.

    curves: columns sensors, model, confidence, accuracy and rows; a dot grows with its rows.
    """
    panels = curves["sensors"].unique()
    figure, axes = plt.subplots(1, len(panels), figsize=(7.6, 3.6), sharey=True, squeeze=False)
    for ax, sensors in zip(axes[0], panels, strict=True):
        shown = {"x": "confidence", "y": "accuracy", "hue": "model", "palette": list(MODELS)}
        panel = curves[curves["sensors"] == sensors]
        sns.lineplot(panel, **shown, style="model", ax=ax)
        sns.scatterplot(panel, **shown, size="rows", sizes=(6, 90), legend=False, ax=ax)
        ax.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":", marker="")
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02), title=in_words(sensors))
        ax.legend(title=None)
    return finish(figure, title)


def sensor_contributions(rows: pd.DataFrame, title: str = "") -> Figure:
    """What each sensor adds to the probability of the predicted class, one dot per sample.

    The black mark is the median, its bar holds the middle half of the samples.
    """
    figure, ax = plt.subplots(figsize=(7.0, 3.2))
    rows = rows.assign(sensor=rows["sensor"].map(in_words))
    sns.stripplot(rows, x="added", y="sensor", color=MODELS[0], size=2.5, alpha=0.6, ax=ax)
    sns.pointplot(
        rows,
        x="added",
        y="sensor",
        estimator="median",
        errorbar=("pi", 50),
        color="black",
        linestyle="none",
        ax=ax,
    )
    ax.axvline(0, color="black", linewidth=0.8, linestyle="-", marker="")
    ax.set(xlabel="added to the probability of the predicted class", ylabel="")
    return finish(figure, title)
