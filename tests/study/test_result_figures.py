"""Figures of tables, variants and sweeps: what they draw of frames whose answer is known."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_up import results

from robult_study import plots
from robult_study.results import rankings, ranks, tables

METHODS = {"robult": 0.7, "gmc": 0.6, "unimodal": 0.5}


@pytest.fixture(autouse=True)
def style():
    plots.use_style()
    yield
    plt.close("all")


def test_the_comparison_has_a_panel_per_set_and_turns_errors_round():
    frame = pd.concat([results(METHODS), results(METHODS, "mosi", "mae")])
    figure = plots.method_comparison(tables.cells(frame))
    first, second = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["digits", "mosi"]
    assert first.get_ylim()[0] < first.get_ylim()[1] <= 1.02
    assert second.get_ylim()[0] > second.get_ylim()[1]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["a", "b", "full"]
    assert len(first.get_legend_handles_labels()[1]) == len(METHODS)


def test_the_critical_difference_figure_returns_every_pair_of_the_printed_table():
    blocks, means, p = ranks.procedures(rankings.printed_blocks(), tables.COMPARED)
    figure, pairs = plots.critical_difference_pair(means, p, 2.03, len(blocks), "printed")
    assert len(pairs) == 10
    found = pairs.set_index(["method", "other"]).loc[("gmc", "robult")]
    assert found.to_dict() == pytest.approx({"Nemenyi": 0.4718, "Wilcoxon-Holm": 0.0391}, abs=1e-4)
    assert "critical difference 2.03" in figure.axes[0].get_title()
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 3]
    # Robult with GMC, and two groups of three
    assert sorted(len(bar.get_xdata()) for bar in bars) == [2, 3, 3]


def changed() -> pd.DataFrame:
    """Four variants on two data sets in two views; the second is clearly worse, the last unsure."""
    halves = (0.2, 0.05, 0.3, np.nan)
    rows = []
    for number, half in enumerate(halves):
        for data_set in ("a", "b"):
            for view in ("one", "all"):
                row = {"tag": f"v{number}", "group": "ab"[number % 2], "data_set": data_set}
                rows.append(row | {"view": view, "difference": -0.1 * number, "half": half})
    return pd.DataFrame(rows).sort_values("group", kind="stable")


def test_the_changes_figure_shows_every_variant_and_which_interval_contains_zero():
    figure = plots.changes_panels(changed(), "tag", "view", "data_set", "group")
    panel = figure.axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["v0", "v2", "v1", "v3"]
    hollow = [line for line in panel.lines if line.get_markerfacecolor() == "white"]
    expected = [0.0, -0.2, pytest.approx(-0.3)]  # not v1
    assert [list(line.get_xdata()) for line in hollow] == [expected] * 2


@pytest.mark.parametrize("log", [True, False])
def test_sweep_ticks_are_what_was_measured(log):
    rows = [
        (name, method, x, 0.5, -1.5, 2.5)
        for name in "ab"
        for method in ("robult", "gmc")
        for x in (1, 5, 25)
    ]
    frame = pd.DataFrame(rows, columns=["panel", "method", "labels", "mean", "low", "high"])
    figure = plots.curve_panels(frame, "labels", "method", "panel", log=log, bars=True)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "5", "25"]
    assert figure.axes[0].get_ylim() == (0, 1)


def test_the_matrix_sorts_patterns_and_marks_who_is_there():
    values = {"x": 0.4, "y": 0.2, "x+y": 0.9}
    rows = [
        {"pattern": name, "method": "robult", "mean": value, "metric": "accuracy"}
        for name, value in values.items()
    ]
    top, bottom = plots.pattern_matrix(pd.DataFrame(rows), ("x", "y")).axes
    assert list(top.lines[0].get_ydata()) == [0.2, 0.4, 0.9]
    present = (bottom.images[0].get_array() < 0.5).tolist()
    assert present == [[False, True, True], [True, False, True]]
