"""Figures: they show the numbers they are given, and nothing covers anything else."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.tasks import Classification
from robult_study.plots import figures as plots

mpl.use("Agg")


@pytest.fixture(autouse=True)
def look():
    plots.use_style()
    yield
    mpl.pyplot.close("all")


def test_boxes_of_the_diagram_do_not_overlap():
    figure = plots.robult_diagram()
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) >= len(plots.ROBULT_NODES)
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    for edge in plots.ROBULT_EDGES.split():
        assert set(edge.split("-")) <= set(plots.ROBULT_NODES)


def test_scenarios_hatch_what_is_missing():
    present = np.array([[True, False, True], [True, True, False]])
    figure = plots.scenarios(np.array([True, False]), present, ("text", "audio"))
    training, evaluation = ([patch.get_hatch() for patch in ax.patches] for ax in figure.axes)
    assert not any(training)
    assert sum(hatch is not None for hatch in evaluation) == 2
    assert [text.get_text() for text in figure.axes[0].texts] == ["label", "no label"]


def test_label_shares_draw_the_counts():
    frame = pd.DataFrame(
        {
            "data_set": ["a", "a", "b"],
            "class": [0, 1, 0],
            "rows": [40, 20, 9],
            "labelled": [2, 3, 1],
        }
    )
    figure = plots.label_shares(frame)
    assert [ax.get_title() for ax in figure.axes] == ["a: 5 of 60", "b: 1 of 9"]
    assert [bar.get_height() for bar in figure.axes[0].patches] == [40, 20, 2, 3]


def test_sample_wall_shows_each_sample_with_its_title():
    views = {name: torch.zeros(3, 16) for name in ("top_left", "bottom_right")}
    split = np.array(["train", "train", "test"])
    image = {"image": np.arange(192).reshape(3, 8, 8)}
    data = MultimodalData(
        "toy", Classification(2), views, torch.tensor([0, 1, 1]), split, display=image
    )
    figure = plots.sample_wall(
        data, np.array([2, 0]), np.array([[True, True], [False, True]]), ["one", "two"], columns=2
    )
    assert [ax.get_title() for ax in figure.axes] == ["one", "two"]
    assert [len(ax.patches) for ax in figure.axes] == [1, 0]  # a missing quadrant is covered
    assert np.array_equal(figure.axes[0].images[0].get_array(), image["image"][2])


def test_curve_panels_draw_means_and_give_methods_their_look():
    rows = [
        (name, method, x, x + len(method))
        for name in "abc"
        for method in ("robult", "unimodal")
        for x in (1, 2)
    ]
    frame = pd.DataFrame(rows, columns=["panel", "method", "x", "mean"])
    frame = frame.assign(low=frame["mean"] - 0.5, high=frame["mean"] + 1)
    figure = plots.curve_panels(frame, "x", "method", "panel", columns=2, label="accuracy")
    assert [ax.get_title() for ax in figure.axes[:3]] == ["a", "b", "c"]
    assert not figure.axes[3].axison
    first = figure.axes[0].lines[0]
    assert first.get_ydata().tolist() == [7, 8]
    assert first.get_color() == plots.METHOD_COLORS["robult"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Robult", "Unimodal"]
    bars = plots.curve_panels(frame, "x", "method", "panel", bars=True).axes[0].collections
    assert np.allclose(
        [np.ptp(segment[:, 1]) for bar in bars for segment in bar.get_segments()], 1.5
    )
    assert np.allclose(
        [np.mean(bar.get_segments()[1][:, 1]) for bar in bars], [8.25, 10.25]
    )  # not symmetric


def test_curve_panels_draw_every_group_and_set_bars_apart():
    rows = [("a", method, x, 0.5) for method in ("mine", "robult", "gmc") for x in (1, 100)]
    frame = pd.DataFrame(rows, columns=["panel", "method", "x", "mean"]).assign(low=0.4, high=0.6)
    for log in (False, True):
        figure = plots.curve_panels(frame, "x", "method", "panel", bars=True, log=log)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == [
            "Robult",
            "GMC",
            "mine",
        ]
        first = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
        axis = [np.log(one) / np.log(100) for one in first] if log else [one / 99 for one in first]
        assert min(np.diff(sorted(axis))) > 0.009


def test_curves_reach_from_least_to_largest_and_show_the_truth():
    rows = [
        (part, "plug-in", x, x + seed, 1.5) for part in "ab" for x in (1, 10) for seed in (0, 1, 2)
    ]
    frame = pd.DataFrame(rows, columns=["part", "method", "n", "bits", "exact"])
    figure = plots.curves(frame, "n", "bits", "method", "part", truth="exact")
    first = figure.axes[0]
    assert first.lines[0].get_ydata().tolist() == [2, 11]
    assert first.lines[-1].get_ydata() == [1.5, 1.5]
    assert [np.ptp(segment[:, 1]) for segment in first.collections[0].get_segments()] == [2, 2]
    assert first.get_ylim() == figure.axes[1].get_ylim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["exact", "plug-in"]


def test_a_picture_on_disk_is_drawn_and_sensors_that_are_no_part_of_it_are_named(tmp_path):
    plots.plt.imsave(tmp_path / "meme.png", np.zeros((6, 8, 3)))
    modalities = {"image": torch.zeros(1, 2), "text": torch.zeros(1, 2)}
    data = MultimodalData(
        "memes",
        Classification(2),
        modalities,
        torch.zeros(1, dtype=torch.int64),
        np.array(["test"]),
        display={"image": [str(tmp_path / "meme.png")]},
    )
    figure, ax = plots.plt.subplots()
    plots.draw_sample(ax, data, 0, ("image",))
    assert ax.images[0].get_array().shape[:2] == (6, 8)
    assert ax.get_xlabel() == "missing: text"
    assert not ax.patches
    plots.plt.close(figure)
