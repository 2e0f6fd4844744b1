"""Figures: they show the numbers that they are given, in one look, and nothing covers anything."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from figure_facts import check_approved
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.pid import COMPONENTS
from robult_core.protocol import pattern_name, patterns
from robult_core.tasks import Classification, Multilabel, Regression
from robult_study import plots
from robult_study.plots import architecture, data_scenarios, own_data, samples, style
from robult_study.results import pairs, ranks, tables
from robult_study.results.rankings import printed_blocks
from robult_study.results.variants import EQUAL_WEIGHTS, NO_CONTRAST, PARTS, TERMS, switches
from robult_study.wording import PID_NAMES, WORDS, in_words

mpl.use("Agg")


@pytest.fixture(autouse=True)
def look():
    style.use_style()
    yield
    plt.close("all")


def legend_of(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def titles_of(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def marks(ax, marker: str = "o") -> list:
    """The lines of an axes that carry this marker."""
    return [line for line in ax.lines if line.get_marker() == marker and len(line.get_xdata())]


def band_heights(ax) -> list[float]:
    """The extent of each band in y; a line without intervals has an empty one."""
    paths = [path for band in ax.collections for path in band.get_paths()]
    return [float(np.ptp(path.vertices[:, 1])) for path in paths]


# The look


def lightness(color: str) -> float:
    return float(np.dot(to_rgb(color), (0.2126, 0.7152, 0.0722)))


def test_methods_parts_modalities_and_the_rest_share_no_colour():
    methods = set(style.METHOD_COLORS.values())
    parts = set(style.PID_COLORS.values())
    modalities = set(style.MODALITY_COLORS)
    rest = set(style.CYCLE)
    latents = set(style.LATENT_COLORS.values())
    assert len(methods) == len(tables.COLUMNS)
    assert len(parts) == len(COMPONENTS)
    for one, other in combinations((methods, parts, modalities, rest | latents), 2):
        assert not one & other
    assert len(latents) == len(style.LATENT_COLORS)


def test_no_figure_takes_the_colour_of_a_modality_by_name():
    names = [name for name, color in style.MUTED.items() if color in style.MODALITY_COLORS]
    for path in Path(style.__file__).parent.glob("*.py"):
        taken = re.findall(r'MUTED\["(\w+)"\]', path.read_text())
        assert not set(taken) & set(names), path.name


def test_modalities_differ_in_grey():
    values = sorted(lightness(color) for color in style.MODALITY_COLORS)
    assert min(np.diff(values)) > 0.08


def test_parts_of_the_decomposition_differ_in_grey():
    values = sorted(lightness(color) for color in style.PID_COLORS.values())
    assert min(np.diff(values)) > 0.08
    assert len(set(style.PID_HATCHES.values())) == len(COMPONENTS)


def test_a_method_looks_the_same_beside_any_others():
    few = style.looks(["robult", "mine"])
    many = style.looks(["other", "gmc", "robult"])
    for part in ("palette", "markers", "dashes"):
        assert few[part]["robult"] == many[part]["robult"]
    assert few["palette"]["mine"] not in style.METHOD_COLORS.values()


def test_what_has_a_colour_of_its_own_has_a_marker_and_a_line_style():
    for look in style.looks([]).values():
        assert set(look) == set(style.FIXED_COLORS)
    lines = style.line_handles(["x1", "x2", "x1+x2"])
    assert len({line.get_color() for line in lines}) == 3
    assert len({line.get_linestyle() for line in lines}) > 1


def test_weights_of_pairs_look_alike_in_every_figure_and_differ_within_one():
    detectors = [*pairs.WEIGHTS, *pairs.RIVALS]
    used = [pairs.RBF, pairs.UNWEIGHTED, pairs.SAME_SHARE, *style.CUTS]
    for names in (detectors, used):
        look = style.looks(names)
        for part in ("palette", "markers"):
            assert len({look[part][name] for name in names}) == len(names)
    hues = {style.WEIGHT_COLORS[name] for name in detectors}
    assert not hues & {style.WEIGHT_COLORS[name] for name in style.CUTS}


def test_methods_and_data_sets_come_in_their_own_order_and_others_after_them():
    assert style.ordered(["mine", "gmc", "robult", "gmc"]) == ["robult", "gmc", "mine"]
    assert style.ordered(["toy", "mosi", "cub10", "pid"]) == ["pid", "cub10", "mosi", "toy"]


def test_every_figure_has_the_data_sets_in_one_order():
    turned = cells().iloc[::-1].assign(row="all", step=1)
    assert titles_of(plots.method_comparison(turned)) == ["digits", "MOSI"]
    lines = plots.curve_panels(turned, "step", "method", "data_set")
    assert titles_of(lines) == ["digits", "MOSI"]
    spots = plots.dots(turned, "row", "data_set", "pattern", "method")
    assert [tick.get_text() for tick in spots.axes[0].get_yticklabels()] == ["digits", "MOSI"]
    assert titles_of(plots.lead_panels(leads().iloc[::-1], "labels"))[:2] == ["digits", "MOSI"]
    parts = ("pattern", "without", "data_set", "change")
    sections = [ax.get_ylabel() for ax in plots.forest(changes().iloc[::-1], *parts).axes[::2]]
    assert sections == ["digits", "MOSI"]


@pytest.mark.parametrize(
    "variant", [*TERMS, NO_CONTRAST, EQUAL_WEIGHTS, *PARTS, *switches()], ids=lambda one: one.name
)
def test_every_variant_has_words(variant):
    assert variant.name in WORDS
    assert "_" not in re.sub(r"\$[^$]*\$", "", in_words(variant.name))


def test_title_and_legend_get_room_of_their_own():
    figure, _ = plt.subplots(figsize=(4, 2))
    style.finish(figure, "a finding " * 12, style.line_handles(["robult", "gmc"]))
    figure.canvas.draw()
    assert figure.get_figheight() > 2.5
    assert "\n" in figure.get_suptitle()
    panel = figure.axes[0].get_window_extent()
    assert not panel.overlaps(figure.legends[0].get_window_extent())


def test_a_title_sets_losses_as_formulas():
    figure, _ = plt.subplots()
    style.finish(figure, "With L_rec, not L_sup: 0.5")
    assert figure.get_suptitle() == "With $L_{rec}$, not $L_{sup}$: 0.5"


def test_a_narrow_figure_is_widened_for_its_title_and_legend():
    figure, _ = plt.subplots(figsize=(1.2, 2))
    style.finish(figure, "A title of several words", style.line_handles(["robult", "gmc"]))
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width


def test_smoke_figures_are_stamped():
    figure, _ = plt.subplots()
    style.mark_smoke(figure)
    assert [text.get_text() for text in figure.texts] == ["smoke"]


def test_using_the_core_loads_no_plotting():
    code = (
        "import sys, robult_core, robult_core.training, robult_core.information\n"
        "print(*{'matplotlib', 'seaborn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


# Intervals


def test_intervals_end_at_the_range_of_their_metric():
    frame = pd.DataFrame(
        {
            "metric": ["accuracy", "corr", "mae", "mae, negated"],
            "mean": [0.5, 0.5, 0.5, -0.5],
            "low": [-1.0, -2.0, -1.0, -2.0],
            "high": [2.0, 2.0, 9.0, 1.0],
        }
    )
    drawn = style.drawn_intervals(frame)
    assert drawn["low"].tolist() == [0.0, -1.0, 0.0, -2.0]
    assert drawn["high"].tolist() == [1.0, 1.0, 9.0, 0.0]


def test_fewer_than_three_values_have_no_interval():
    frame = pd.DataFrame({"mean": 0.5, "low": 0.4, "high": 0.6, "n": [1, 2, 3]})
    assert style.drawn_intervals(frame)["low"].isna().tolist() == [True, True, False]
    assert style.drawn_intervals(frame.drop(columns="n"))["low"].notna().all()


def test_three_rows_give_back_the_middle_and_the_interval():
    frame = pd.DataFrame({"name": ["a", "b"], "mean": [1.0, 2.0], "low": [0.5, np.nan]})
    rows = style.interval_rows(frame.assign(high=[4.0, np.nan]))
    spread = rows.groupby("name")["value"].agg(["median", "min", "max"])
    assert spread.loc["a"].tolist() == [1.0, 0.5, 4.0]
    assert spread.loc["b"].tolist() == [2.0, 2.0, 2.0]


# Panels of lines and dots


def curves_frame(panels: str = "abc", low: float = 0.1, high: float = 0.2) -> pd.DataFrame:
    rows = []
    for panel in panels:
        for method, mean in (("unimodal", 0.4), ("robult", 0.6)):
            for x in (1, 5, 25):
                rows.append((panel, method, x, mean + x / 100))
    frame = pd.DataFrame(rows, columns=["panel", "method", "x", "mean"])
    return frame.assign(low=frame["mean"] - low, high=frame["mean"] + high)


def test_curve_panels_draw_means_bands_and_the_look_of_a_method():
    figure = plots.curve_panels(curves_frame(), "x", "method", "panel", 2, "accuracy", title="Up")
    assert titles_of(figure) == ["a", "b", "c"]
    assert figure.get_suptitle() == "Up"
    assert legend_of(figure) == ["Robult", "Unimodal"]
    first = figure.axes[0]
    assert first.get_ylabel() == "accuracy"
    robult = first.lines[0]
    assert np.allclose(robult.get_ydata(), [0.61, 0.65, 0.85])
    assert to_hex(robult.get_color()).upper() == style.METHOD_COLORS["robult"]
    assert len(first.collections) == 2
    assert band_heights(first) == pytest.approx([0.54, 0.54])  # 0.3 and the rise of the line


def test_highlighted_groups_alone_have_a_band_and_are_thick():
    figure = plots.curve_panels(curves_frame("a"), "x", "method", "panel", highlight=["robult"])
    ax = figure.axes[0]
    assert len(band_heights(ax)) == 1
    assert ax.lines[0].get_linewidth() > 2 * ax.lines[1].get_linewidth()


def test_bands_end_at_the_bounds():
    frame = curves_frame("a", low=3, high=3)
    figure = plots.curve_panels(frame, "x", "method", "panel", bounds=(0, 1))
    low, high = figure.axes[0].get_ylim()
    assert -0.06 < low <= 0
    assert 1 <= high < 1.06


def test_the_axis_of_an_error_runs_downwards():
    frame = curves_frame("ab").assign(metric="accuracy")
    frame.loc[frame["panel"] == "b", "metric"] = "mae"
    rising, falling = plots.curve_panels(frame, "x", "method", "panel").axes
    assert rising.get_ylabel() == "accuracy"
    assert rising.get_ylim()[0] < rising.get_ylim()[1]
    assert falling.get_ylabel() == "mean absolute error\n(lower is better)"
    assert falling.get_ylim()[0] > falling.get_ylim()[1]


def test_rows_of_panels_are_named_once_and_share_their_axis():
    frame = pd.concat([curves_frame("ab").assign(view=view) for view in ("one", "all")])
    figure = plots.curve_panels(frame, "x", "method", "panel", row="view", share_y="row")
    assert titles_of(figure) == ["a", "b", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == ["one", "", "all", ""]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "x", "x"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_logarithmic_ticks_are_what_was_measured():
    figure = plots.curve_panels(curves_frame("a"), "x", "method", "panel", log=True)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["1", "5", "25"]


def test_logarithmic_ticks_do_not_crowd():
    _, ax = plt.subplots()
    style.log_ticks(ax, [1, 2, 5, 10, 25, 50, 100])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "5", "25", "100"]


def test_logarithmic_ticks_stand_a_sixth_of_the_axis_apart():
    _, ax = plt.subplots()
    style.log_ticks(ax, [1, 2.3, 100])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2.3", "100"]
    style.log_ticks(ax, [1, 2, 100])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "100"]


def test_a_legend_has_as_many_columns_as_fit():
    figure, _ = plt.subplots(figsize=(6, 2))
    handles = [plt.Line2D([], [], label="x" * 12) for _ in range(7)]
    assert style.fitting_columns(figure, handles) == 4  # 1.5 inches each: rows of 4 and 3
    assert style.fitting_columns(figure, handles[:5]) == 3  # rows of 3 and 2
    assert style.fitting_columns(figure, handles[:1]) == 1
    long = [plt.Line2D([], [], label="x" * 200)]
    assert style.fitting_columns(figure, long) == 1
    style.finish(figure, "", handles, columns=2)
    assert figure.legends[0]._ncols == 2
    assert figure.get_figheight() == pytest.approx(2 + 0.1 + 4 * 0.2)


def test_marks_of_whole_numbers_stand_at_whole_numbers():
    frame = curves_frame("a").assign(x=[1, 2, 3] * 2)
    whole = plots.curve_panels(frame, "x", "method", "panel").axes[0]
    assert all(place % 1 == 0 for place in whole.get_xticks())
    halves = plots.curve_panels(frame.assign(x=frame["x"] / 4), "x", "method", "panel").axes[0]
    assert not all(place % 1 == 0 for place in halves.get_xticks())


def test_measured_whole_numbers_carry_the_marks_where_they_stand_apart():
    frame = curves_frame("a").assign(x=[0.0, 10.0, 70.0] * 2)
    (ax,) = plots.curve_panels(frame, "x", "method", "panel").axes
    assert ax.get_xticks().tolist() == [0, 10, 70]
    (ax,) = plots.curve_panels(frame.replace(10.0, 5.0), "x", "method", "panel").axes
    assert 5 not in ax.get_xticks()


@pytest.mark.parametrize(("count", "all_named"), [(8, True), (9, False)])
def test_eight_equally_spaced_values_are_all_named_nine_are_not(count, all_named):
    values = [7.0 * value for value in range(count)]
    ax = plt.figure().add_subplot()
    style.linear_ticks(ax, values)
    assert (ax.get_xticks().tolist() == values) is all_named


def test_ranges_reach_from_least_to_largest_and_show_the_truth():
    rows = []
    for part in ("redundancy", "synergy"):
        for samples_seen in (1, 10):
            for seed in range(5):
                rows.append((part, "plug-in", samples_seen, samples_seen + seed, 1.5))
    frame = pd.DataFrame(rows, columns=["part", "method", "n", "bits", "exact"])
    figure = plots.ranges(frame, "n", "bits", "method", "part", truth="exact")
    first, second = figure.axes
    assert titles_of(figure) == ["redundancy R", "synergy S"]
    assert first.lines[0].get_ydata().tolist() == [3, 12]
    assert band_heights(first) == [13]  # from 1 to 14
    assert list(first.lines[-1].get_ydata()) == [1.5, 1.5]
    assert first.get_ylim() == second.get_ylim()
    assert legend_of(figure) == ["plug-in", "exact"]


def dots_frame() -> pd.DataFrame:
    rows = []
    for data_set in ("digits", "utd_mhad"):
        for measure in ("AUROC", "kept"):
            for weight, mean in (("RBF", 0.8), ("cosine", 0.6)):
                for anchors in ("all", "labelled"):
                    rows.append((data_set, measure, weight, anchors, mean))
    frame = pd.DataFrame(rows, columns=["data_set", "measure", "weight", "anchors", "mean"])
    return frame.assign(low=frame["mean"] - 0.1, high=frame["mean"] + 0.3, n=3)


def test_dots_stand_at_their_means_with_intervals_cut_at_the_bounds():
    bounds = (0, 1)
    figure = plots.dots(
        dots_frame(), "data_set", "anchors", "measure", "weight", title="T", bounds=bounds
    )
    assert titles_of(figure) == ["AUROC", "share of the pairs used", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == ["digits", "", "UTD-MHAD", ""]
    assert legend_of(figure) == ["RBF", "cosine"]
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all", "labelled"]
    drawn = [value for line in marks(ax) for value in line.get_xdata()]
    assert drawn == pytest.approx([0.8, 0.8])
    ends = [value for line in ax.lines for value in line.get_xdata()]
    assert np.nanmax(ends) == 1.0


def test_dots_of_one_quantity_share_their_axis():
    frame = dots_frame()
    frame.loc[frame["measure"] == "kept", ["mean", "low", "high"]] += 5
    one = plots.dots(frame, None, "anchors", "measure", "weight", "AUROC")
    each = plots.dots(frame, "data_set", "anchors", "measure", "weight")
    assert one.axes[0].get_xlim() == one.axes[1].get_xlim()
    assert each.axes[0].get_xlim() != each.axes[1].get_xlim()


def test_a_panel_without_numbers_is_left_out_and_those_of_every_row_come_first():
    frame = dots_frame()
    frame = frame[(frame["data_set"] == "digits") | (frame["measure"] == "kept")]
    figure = plots.dots(frame, "data_set", "anchors", "measure", "weight")
    assert titles_of(figure)[:2] == ["share of the pairs used", "AUROC"]
    assert [ax.get_visible() for ax in figure.axes] == [True, True, True, False]
    labels = [ax.xaxis.get_tick_params()["labelbottom"] for ax in figure.axes]
    assert labels[:3] == [False, True, True]  # AUROC ends in the first row


def test_losses_are_shares_of_their_first_point():
    rows = [
        ("digits", "reconstruction", 10, 4.0),
        ("digits", "reconstruction", 20, 1.0),
        ("digits", "unlabeled_contrastive", 10, 8.0),
        ("digits", "unlabeled_contrastive", 20, 6.0),
        ("digits", "total", 10, 12.0),
    ]
    frame = pd.DataFrame(rows, columns=["data_set", "term", "step", "mean"])
    figure = plots.loss_curves(frame.assign(low=frame["mean"], high=frame["mean"], n=3))
    lines = [line.get_ydata().tolist() for line in figure.axes[0].lines]
    assert lines == [[1, 0.25], [1, 0.75]]
    assert legend_of(figure) == [
        "reconstruction ($L_{rec}$)",
        "contrastive, unlabelled ($L_{ulb}$)",
    ]


# The information decomposition


def worlds() -> pd.DataFrame:
    parts = {"redundancy": [1.0, 0.0], "unique1": [0.0, 0.5], "unique2": 0.0, "synergy": 0.02}
    accuracies = {"x1": [1.0, 0.5], "x2": 0.5, "x1+x2": 1.0, "chance": 0.5}
    return pd.DataFrame(parts | accuracies, index=pd.Index(["copy", "AND"], name="world"))


def test_bars_are_stacked_and_only_wide_parts_carry_numbers():
    figure = plots.pid_bars(worlds(), title="Worlds")
    ax = figure.axes[0]
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == pytest.approx([1, 0, 0, 0.5, 0, 0, 0.02, 0.02])
    assert [bar.get_x() for bar in ax.patches][-2:] == [1.0, 0.5]
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["R 1.00", "U1 0.50"]
    assert legend_of(figure) == ["redundancy R", "unique U1", "unique U2", "synergy S"]
    assert ax.get_xlim() == pytest.approx((0, 1.05 * 1.02))  # no bar ends at the edge


def test_ceilings_show_the_best_accuracy_of_each_modality():
    figure = plots.pid_ceilings(worlds())
    right = figure.axes[1]
    assert [bar.get_width() for bar in right.patches] == [1.0, 0.5, 0.5, 0.5, 1.0, 1.0]
    assert right.lines[-1].get_xdata().tolist() == [0.5, 0.5]
    numbers = [text.get_text() for text in right.texts]
    assert numbers[::2] == ["1.00 from $x^1$", "0.50 from $x^2$", "1.00 from both"]
    assert legend_of(figure) == list(PID_NAMES.values())


def test_a_row_of_the_dials_holds_bits_and_accuracies():
    row = plots.dial_row("synergy")
    assert row["synergy"] == pytest.approx(1, abs=1e-6)
    assert (row["x1"], row["x2"], row["x1+x2"], row["chance"]) == (0.5, 0.5, 1.0, 0.5)


@pytest.mark.parametrize("draw", [plots.pid_diagram, plots.robult_diagram])
def test_texts_of_a_diagram_do_not_overlap(draw):
    figure = draw(title="A diagram")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    assert len(boxes) > 5
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_arrows_of_the_diagram_join_nodes_that_exist():
    ends = {name for edge in architecture.edges() for name in edge}
    assert ends == set(architecture.NODES)


# Samples and scenarios

QUADRANTS = ("top_left", "bottom_right")


@pytest.fixture
def images() -> MultimodalData:
    views = {name: torch.zeros(3, 16) for name in QUADRANTS}
    split = np.array(["train", "train", "test"])
    pixels = {"image": np.arange(192).reshape(3, 8, 8)}
    targets = torch.tensor([0, 1, 1])
    return MultimodalData("toy", Classification(2), views, targets, split, display=pixels)


def test_scenarios_frame_what_is_labelled_and_hatch_what_is_missing(images):
    figure = plots.scenarios(
        images,
        train=np.array([0, 1]),
        labeled=np.array([False, True]),
        test=np.array([2]),
        present=np.array([[True], [False]]),
    )
    drawn = [ax for ax in figure.axes if ax.images]
    assert titles_of(figure)[:2] == ["no label", "label 1"]
    assert [len(ax.patches) for ax in drawn] == [0, 0, 1]
    widths = [ax.spines["left"].get_linewidth() for ax in drawn]
    assert widths[1] > widths[0]


def test_label_shares_draw_the_counts():
    counts = {"class": [0, 1, 0], "rows": [40, 20, 9], "labelled": [2, 3, 1]}
    figure = plots.label_shares(pd.DataFrame({"data_set": ["a", "a", "b"], **counts}))
    assert titles_of(figure) == ["a: 5 of 60 rows", "b: 1 of 9 rows"]
    assert [bar.get_height() for bar in figure.axes[0].patches] == [40, 20, 2, 3]
    assert [text.get_text() for text in figure.axes[0].texts] == ["2", "3"]


def test_sample_wall_shows_each_sample_with_its_title(images):
    rows = np.array([2, 0])
    present = np.array([[True, True], [False, True]])
    figure = plots.sample_wall(images, rows, present, ["one", "two"], columns=2)
    assert titles_of(figure) == ["one", "two"]
    assert [len(ax.patches) for ax in figure.axes] == [1, 0]  # a missing quadrant is covered
    assert np.array_equal(figure.axes[0].images[0].get_array(), images.display["image"][2])


def test_missing_quadrants_are_covered_where_they_lie(images):
    figure = plots.availability_grid(images, 2, {("top_left",): np.array([0.3, 0.7])})
    sample, prediction = figure.axes
    assert sample.get_title() == "top left"
    assert [patch.get_xy() for patch in sample.patches] == [(4.0, 4.0)]
    heights = [bar.get_height() for bar in prediction.patches]
    assert heights == [0.3, 0, 0, 0.7]  # the true class is drawn apart, hatched
    assert "true class 1" in prediction.get_title()
    assert prediction.get_xlabel() == "class"


def test_a_score_is_drawn_with_the_truth():
    views = {"text": torch.zeros(1, 2), "audio": torch.zeros(1, 2)}
    targets = torch.tensor([-1.5])
    split = np.array(["test"])
    data = MultimodalData("spoken", Regression(), views, targets, split)
    figure = plots.availability_grid(data, 0, {("text",): np.array([0.5])})
    left, right = figure.axes
    assert "missing: audio" in left.texts[0].get_text()
    assert right.lines[0].get_xdata() == [-1.5, -1.5]
    assert right.patches[0].get_width() == 0.5
    assert marks(right, "D")[0].get_xdata() == [0.5]  # seen where the bar has no width
    assert right.get_xlim() == (-3, 3)


def test_a_picture_on_disk_is_drawn_and_sensors_that_are_no_part_of_it_are_named(tmp_path):
    plt.imsave(tmp_path / "meme.png", np.zeros((6, 8, 3)))
    data = MultimodalData(
        "memes",
        Classification(2),
        {"image": torch.zeros(1, 2), "text": torch.zeros(1, 2)},
        torch.zeros(1, dtype=torch.int64),
        np.array(["test"]),
        display={"image": [str(tmp_path / "meme.png")]},
    )
    _, ax = plt.subplots()
    samples.draw_sample(ax, data, 0, ("image",))
    assert ax.images[0].get_array().shape[:2] == (6, 8)
    assert ax.get_xlabel() == "missing: text"
    assert not ax.patches


# The comparison


def cells() -> pd.DataFrame:
    rows = []
    for data_set, metric in (("digits", "accuracy"), ("mosi", "mae"), ("mosi", "corr")):
        for method, mean in (("gmc", 0.6), ("robult", 0.9), ("linear", 0.5)):
            for pattern in ("top_left", "full"):
                rows.append((data_set, metric, method, pattern, mean))
    frame = pd.DataFrame(rows, columns=["data_set", "metric", "method", "pattern", "mean"])
    return frame.assign(low=frame["mean"] - 0.3, high=frame["mean"] + 0.3, n=5)


def test_comparison_has_a_panel_per_set_and_turns_errors_round():
    figure = plots.method_comparison(cells(), title="Robult leads")
    digits, mosi = figure.axes
    assert titles_of(figure) == ["digits", "MOSI"]
    assert [tick.get_text() for tick in digits.get_xticklabels()] == ["top\nleft", "all"]
    assert legend_of(figure) == ["Robult", "GMC", "linear"]
    assert digits.get_ylim()[0] < digits.get_ylim()[1] <= 1.05  # intervals end at 1
    assert mosi.get_ylim()[0] > mosi.get_ylim()[1] >= 0.1
    assert "lower is better" in mosi.get_ylabel()


def test_comparison_shows_the_first_metric_whatever_comes_first_in_the_rows():
    figure = plots.method_comparison(cells().iloc[::-1])
    by_title = dict(zip(titles_of(figure), figure.axes, strict=True))
    assert by_title["MOSI"].get_ylabel().startswith("mean absolute error")


def test_comparison_counts_the_best_means_where_it_has_no_title():
    title = plots.method_comparison(cells()).get_suptitle().replace("\n", " ")
    assert title.startswith("Robult has the best mean of 3 methods and controls in 2 of 4 columns")


def test_comparison_draws_no_interval_of_two_seeds():
    figure = plots.method_comparison(cells().assign(n=2))
    ends = [value for line in figure.axes[0].lines for value in line.get_ydata()]
    assert {round(end, 3) for end in ends if np.isfinite(end)} <= {0.0, 0.5, 0.6, 0.9, 1.0}


def test_one_or_all_shows_contenders_with_their_control_and_names_the_one_that_leads_most():
    numbers = {
        ("digits", "accuracy"): {"robult": (0.5, 0.6), "gmc": (0.7, 0.5), "linear": (0.9, 0.9)},
        ("mosi", "mae"): {"robult": (1.5, 1.4), "gmc": (1.3, 1.2), "linear": (0.9, 0.9)},
    }
    numbers["digits", "accuracy"]["unimodal_distilled"] = (0.4, 0.5)
    rows = []
    for (data_set, metric), methods in numbers.items():
        for method, values in methods.items():
            for pattern, mean in zip(("one modality, mean of 2", "all"), values, strict=True):
                row = {"data_set": data_set, "pattern": pattern, "metric": metric, "mean": mean}
                rows.append({**row, "method": method, "low": mean, "high": mean, "n": 3})
    brief = pd.DataFrame(rows)
    figure = plots.one_or_all(brief)
    assert legend_of(figure) == ["Robult", "GMC", "Distilled Unimodal"]
    title = figure.get_suptitle().replace("\n", " ")
    assert title == (
        "With one modality left GMC has the best mean of the 3 here on 2 of 2 data sets, "
        "with all on 1"
    )


@pytest.fixture
def printed():
    return ranks.procedures(printed_blocks(), tables.COMPARED)


def test_critical_difference_returns_every_pair_of_the_printed_table(printed):
    blocks, mean_ranks, p_values = printed
    figure, pairs = plots.critical_difference_pair(
        mean_ranks, p_values, 2.03, len(blocks), "printed"
    )
    assert len(pairs) == 10
    robult_gmc = pairs.set_index(["method", "other"]).loc[("gmc", "robult")].to_dict()
    assert robult_gmc == pytest.approx({"Nemenyi": 0.4718, "Wilcoxon-Holm": 0.0391}, abs=1e-4)
    assert figure.get_suptitle() == "printed"
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 4]
    assert sorted(len(bar.get_xdata()) for bar in bars) == [2, 3, 3]  # Robult with GMC; two threes


def test_only_nemenyi_has_a_ruler_and_it_is_as_long_as_the_critical_difference(printed):
    blocks, mean_ranks, p_values = printed
    figure, _ = plots.critical_difference_pair(mean_ranks, p_values, 2.03, len(blocks))
    nemenyi, wilcoxon = figure.axes
    rulers = [line for line in nemenyi.lines if line.get_marker() == "|"]
    assert [np.ptp(line.get_xdata()) for line in rulers] == pytest.approx([2.03])
    assert "critical difference 2.03" in [text.get_text().strip() for text in nemenyi.texts]
    assert not [line for line in wilcoxon.lines if line.get_marker() == "|"]
    assert nemenyi.get_xlim() == wilcoxon.get_xlim() == (1, 5)


def test_a_diagram_without_bars_says_so_and_names_are_black(printed):
    blocks, mean_ranks, p_values = printed
    apart = {"Wilcoxon-Holm": p_values["Wilcoxon-Holm"] * 0}
    figure, _ = plots.critical_difference_pair(mean_ranks, apart, 2.03, len(blocks))
    (ax,) = figure.axes
    assert ax.get_title("left") == "Wilcoxon-Holm: mean rank over 9 blocks (1 is best)"
    *names, note = ax.texts
    assert note.get_text() == "no bar: every pair is told apart"
    assert {name.get_color() for name in names} == {"black"}


# Ablations


def changes() -> pd.DataFrame:
    """Two losses on two sets: only the audio of `mosi` has an interval that leaves out 0."""
    rows = []
    for without in ("no_supervised", "no_unlabeled"):
        for data_set, pattern, difference in (
            ("digits", "top_left", 0.01),
            ("digits", "full", -0.02),
            ("mosi", "audio", -0.4),
        ):
            rows.append((without, data_set, pattern, difference))
    frame = pd.DataFrame(rows, columns=["without", "data_set", "pattern", "difference"])
    return frame.assign(
        low=frame["difference"] - 0.1, high=frame["difference"] + 0.1, n=3, metric="accuracy"
    )


def test_forest_fills_the_markers_whose_interval_leaves_out_0():
    figure = plots.forest(changes(), "pattern", "without", "data_set", "change", title="T")
    assert figure.legends[0].get_title().get_text() == "change"
    assert titles_of(figure) == ["without $L_{sup}$", "without $L_{ulb}$", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == ["digits", "", "MOSI", ""]
    digits, _, mosi, _ = figure.axes
    assert [label.get_text() for label in digits.get_yticklabels()] == ["top left", "all"]
    assert {line.get_markerfacecolor() for line in marks(digits)} == {"white"}
    assert "white" not in {line.get_markerfacecolor() for line in marks(mosi)}
    assert digits.get_xlim() == mosi.get_xlim()


def test_columns_of_a_forest_can_have_a_scale_of_their_own():
    small = changes()
    small.loc[small["without"] == "no_unlabeled", ["difference", "low", "high"]] /= 100
    parts = (small, "pattern", "without", "data_set", "change")
    one, other = plots.forest(*parts).axes[:2]
    assert one.get_xlim() == other.get_xlim()
    one, other, below, _ = plots.forest(*parts, share_x="col").axes
    assert one.get_xlim() == below.get_xlim()
    assert np.ptp(one.get_xlim()) > 50 * np.ptp(other.get_xlim())


def test_forest_without_intervals_is_hollow():
    figure = plots.forest(changes().assign(n=2), "pattern", "without", "data_set", "change")
    for ax in figure.axes:
        assert {line.get_markerfacecolor() for line in marks(ax)} == {"white"}


def switched() -> pd.DataFrame:
    rows = []
    for tag, decided in (("width 64", 0), ("temperature 0.1", 2), ("combine concat", 1)):
        for view in ("one", "all"):
            for index, data_set in enumerate(("digits", "cub10")):
                verdict = "worse" if index < decided else "undecided"
                rows.append((tag, view, data_set, -0.05 * (1 + decided), verdict))
    return pd.DataFrame(rows, columns=["tag", "view", "data_set", "difference", "verdict"])


def test_heat_map_shows_the_switches_that_matter_with_their_numbers():
    figure, drawn = plots.switch_heat_map(switched(), ("one", "all"), most=2)
    first = figure.axes[0]
    assert set(drawn["tag"]) == {"temperature 0.1", "combine concat"}
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == ["temperature 0.1", "u and z side by side, not summed"]
    assert [text.get_text() for text in first.texts] == ["-.150", "-.150", "-.100", ""]
    assert [text.get_color() for text in first.texts] == ["white", "white", "black", "black"]
    assert figure.axes[-1].get_ylabel().replace("\n", " ") == (
        "change in accuracy; above 0 is better"
    )
    assert titles_of(figure)[:2] == ["one", "all"]


def test_heat_map_can_show_every_switch():
    _, drawn = plots.switch_heat_map(switched(), ("one",), most=None)
    assert drawn["tag"].nunique() == 3


# Sweeps


def leads() -> pd.DataFrame:
    rows = []
    for against in ("gmc", "unimodal"):
        for data_set in ("digits", "mosi"):
            for view in ("one", "all"):
                for share in (1, 5, 100):
                    rows.append((against, data_set, view, share, 0.1 if view == "one" else -0.1))
    frame = pd.DataFrame(rows, columns=["against", "data_set", "view", "labels", "difference"])
    return frame.assign(low=frame["difference"] - 0.05, high=frame["difference"] + 0.05, n=3)


def test_leads_have_a_row_per_rival_and_one_scale():
    figure = plots.lead_panels(leads(), "labels", log=True, title="T")
    assert titles_of(figure) == ["digits", "MOSI", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == ["Robult −\nUnimodal", "Robult −\nGMC"]
    assert figure.get_supylabel().replace("\n", " ") == (
        "Robult minus the other, accuracy (MOSI: minus mean absolute error); above 0 Robult is "
        "better"
    )
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    one, both = figure.axes[0].lines[:2]
    assert one.get_ydata().tolist() == [0.1] * 3
    assert both.is_dashed()
    assert not one.is_dashed()
    assert legend_of(figure) == ["one", "all"]
    assert [tick.get_text() for tick in figure.axes[2].get_xticklabels()] == ["1", "5", "100"]


def test_leads_of_one_set_have_room_for_their_labels():
    frame = leads().query("data_set == 'mosi'").replace({"against": {"gmc": "prompt_trans"}})
    figure = plots.lead_panels(frame, "labels")
    assert figure.get_figwidth() >= 3.5
    assert figure.axes[1].get_ylabel() == "Robult −\nPrompt-Trans"


def test_leads_of_two_seeds_have_no_band():
    figure = plots.lead_panels(leads().assign(n=2), "labels")
    assert not [height for ax in figure.axes for height in band_heights(ax)]


def test_leads_over_modalities_have_a_mark_for_each_number_of_them():
    frame = leads().replace({"labels": {5: 2, 100: 3}}).rename(columns={"labels": "present"})
    figure = plots.lead_panels(frame, "present")
    assert all(ax.get_xticks().tolist() == [1, 2, 3] for ax in figure.axes)


def test_the_axis_of_leads_names_the_metric_of_each_set():
    ends = "; right of 0 Robult is better"
    assert plots.lead_label(["digits"]) == f"Robult minus the other, accuracy{ends}"
    assert plots.lead_label(["mosi", "digits", "cub10"]) == (
        f"Robult minus the other, accuracy (MOSI: minus mean absolute error){ends}"
    )


def test_patterns_stand_by_size_with_the_range_of_the_others():
    values = {"x": 0.4, "y": 0.2, "x+y": 0.9}
    rows = []
    for pattern, value in values.items():
        for method, gap in (("robult", 0.0), ("gmc", -0.1), ("linear", -0.15)):
            rows.append((pattern, method, value + gap, "accuracy"))
    frame = pd.DataFrame(rows, columns=["pattern", "method", "mean", "metric"])
    figure = plots.pattern_ranges(frame, ("x", "y"))
    top, bottom = figure.axes
    assert list(top.lines[0].get_ydata()) == [0.2, 0.4, 0.9]
    segments = top.collections[0].get_segments()
    assert [np.ptp(segment[:, 1]) for segment in segments] == pytest.approx([0.05] * 3)
    dark = bottom.collections[0].get_array().astype(bool)
    assert dark.reshape(2, 3).tolist() == [[False, True, True], [True, False, True]]
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["1", "2"]
    assert legend_of(figure)[0] == "Robult"


def test_negated_errors_of_patterns_are_named_and_their_axis_stays_upright():
    rows = [("x", "robult", -1.2, "mae, negated"), ("x", "gmc", -1.4, "mae, negated")]
    frame = pd.DataFrame(rows, columns=["pattern", "method", "mean", "metric"])
    top = plots.pattern_ranges(frame, ("x",)).axes[0]
    assert top.get_ylabel() == "minus mean\nabsolute error"
    assert not top.yaxis_inverted()


# Maps of latents and weights of pairs


def latents_frame(n_classes: int = 2) -> pd.DataFrame:
    rows = []
    for model in ("before training", "gmc"):
        for role, modality in (("s", "all"), ("z", "text"), ("u", "text"), ("z", "audio")):
            for label in range(n_classes):
                rows.append((model, role, modality, label, label + len(model), len(role)))
    return pd.DataFrame(rows, columns=["model", "role", "modality", "label", "x", "y"])


def test_maps_stand_beside_each_other_by_model_and_below_each_other_by_colour():
    figure = plots.latent_maps(latents_frame(), "model", "T")
    assert titles_of(figure) == ["before training", "GMC", "", ""]
    rows = ["coloured by class", "", "coloured by modality", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == rows
    numbers = [[text.get_text() for text in ax.texts] for ax in figure.axes]
    assert numbers == [["0", "1"], ["0", "1"], [], []]
    roles = ["u (unique part)", "z (shared part)", "s (all modalities)"]
    assert legend_of(figure) == ["text", "audio", *roles]
    assert figure.get_suptitle() == "T"


def test_maps_by_modality_keep_black_for_what_is_fused_and_lay_it_on_top():
    figure = plots.latent_maps(latents_frame(), "model")
    colors = figure.axes[2].collections[0].get_facecolors()[:, :3]
    assert np.allclose(colors[-2:], 0)
    assert not np.isclose(colors[:-2], 0).all(axis=1).any()


def test_ten_classes_have_ten_hues_and_modalities_others():
    figure = plots.latent_maps(latents_frame(n_classes=10), "model")
    by_class = {to_hex(color) for color in figure.axes[0].collections[0].get_facecolors()}
    by_modality = {to_hex(color) for color in figure.axes[2].collections[0].get_facecolors()}
    assert len(by_class) == 10
    assert not by_class & by_modality


def test_largest_classes_come_sorted_by_class():
    classes = np.array([2, 0, 1, 2, 0, 2])
    assert plots.largest_classes(classes).tolist() == [1, 4, 0, 3, 5]
    assert plots.largest_classes(classes, 1).tolist() == [0, 3, 5]


def test_matrices_mark_false_pairs_and_leave_others_out():
    weights = np.arange(9).reshape(3, 3) / 9
    pairs = np.array([[False, True, False], [True, False, False], [False, False, False]])
    true = np.array([[True, False, False], [True, True, False], [False, False, True]])
    order = np.array([1, 0])
    figure = plots.weight_matrices({"narrow": weights, "wide": weights}, pairs, true, order, 2)
    ax = figure.axes[0]
    assert titles_of(figure)[:2] == ["narrow", "wide"]
    shown = ax.collections[0].get_array().reshape(2, 2)
    assert shown.mask.tolist() == [[True, False], [False, True]]
    assert shown[1, 0] == weights[0, 1]
    rings = ax.lines[0]
    assert (rings.get_xdata().tolist(), rings.get_ydata().tolist()) == ([0.5], [1.5])
    assert legend_of(figure) == ["false pair", "no pseudo-positive"]


def test_histograms_outline_true_and_false_pairs():
    weights = [0.01, 0.02, 0.98, 0.99]
    frame = pd.DataFrame({"w": weights, "true": [False, False, True, True]})
    frame = pd.concat([frame.assign(data_set="digits", step=step) for step in (0, 40)])
    figure = plots.weight_histograms(frame, "w")
    assert titles_of(figure) == ["step 0: 50% false", "step 40: 50% false"]
    true, false = figure.axes[0].patches
    assert true.get_xy()[:, 1].max() == pytest.approx(20)  # all in a bin that is 0.05 wide
    assert false.get_xy()[:, 1].max() == pytest.approx(20)
    assert false.get_linestyle() != true.get_linestyle()
    assert false.get_edgecolor() != true.get_edgecolor()
    assert legend_of(figure) == ["true pairs", "false pairs"]


def test_histograms_of_one_kind_of_pairs_are_drawn():
    frame = pd.DataFrame({"w": [0.1, 0.2], "true": True, "data_set": "digits", "step": 0})
    figure = plots.weight_histograms(frame, "w")
    assert len(figure.axes[0].patches) == 1


def test_ranks_by_steps_have_the_best_on_top():
    rows = []
    for method, ranked in (("robult", (1, 2)), ("gmc", (2, 1))):
        for steps, rank in zip((200, 400), ranked, strict=True):
            row = {"data_set": "digits", "method": method, "training.steps": steps, "mean": rank}
            rows.append({**row, "low": rank, "high": rank, "n": 3})
    figure = plots.ranks_by_steps(pd.DataFrame(rows))
    (ax,) = figure.axes
    bottom, top = ax.get_ylim()
    assert bottom > top
    assert ax.get_ylabel() == "mean rank (1 is best)"
    assert ax.get_xlabel() == "gradient steps"
    title = figure.get_suptitle().replace("\n", " ")
    assert "has the best mean rank in 1 of 2 pairs of a set and a number of steps" in title


# Own data


def test_dots_of_few_samples_are_left_out_and_the_legend_explains_the_size():
    figure = reliabilities()
    for ax in figure.axes:
        assert [len(line.get_xdata()) for line in ax.lines] == [2, 2, 2]
        assert [len(dots.get_offsets()) for dots in ax.collections] == [2, 2]
    assert legend_of(figure) == ["plain", "calibrated", "perfect", "10 samples", "30 samples"]


def test_contributions_count_the_samples_in_which_a_sensor_adds_most():
    figure = contributions()
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["a\n(adds most in 0)", "b\n(adds most in 6)"]
    medians = [line.get_xdata()[1] for line in ax.lines[:2]]
    assert medians == pytest.approx([0.05, 0.15])
    assert legend_of(figure) == ["a sample", "median and middle half of the samples"]


def test_models_that_are_methods_keep_their_marks():
    (ax,) = sensors_that_fail().axes
    drawn = [line.get_marker() for line in ax.get_legend().get_lines()]
    expected = [style.METHOD_MARKERS[name] for name in ("robult_distilled", "linear")]
    assert drawn[::2] == expected


# Every figure as it was approved


def worlds_by_name() -> pd.DataFrame:
    return pd.DataFrame({name: plots.dial_row(name) for name in ("mixed", "noisy")}).T


def picture_data() -> MultimodalData:
    """Eight pictures in two quadrants; classes have names, one of them too long to be printed."""
    views = {name: torch.zeros(8, 16) for name in QUADRANTS}
    split = np.array(["train"] * 6 + ["test"] * 2)
    pixels = {"image": np.arange(512).reshape(8, 8, 8)}
    targets = torch.arange(8) % 2
    names = ("cat", "lion")
    task = Classification(2)
    return MultimodalData("toy", task, views, targets, split, display=pixels, class_names=names)


def spoken_data(task, targets: torch.Tensor) -> MultimodalData:
    views = {"text": torch.zeros(1, 2), "audio": torch.zeros(1, 2)}
    said = {"transcript": ["many words that were said " * 20]}
    return MultimodalData("spoken", task, views, targets, np.array(["test"]), display=said)


def availability_of_pictures():
    scores = {("top_left",): np.array([0.3, 0.7]), QUADRANTS: np.array([0.9, 0.1])}
    return plots.availability_grid(picture_data(), 7, scores, title="T")


def availability_of_scores(score: float):
    data = spoken_data(Regression(), torch.tensor([-1.5]))
    return plots.availability_grid(data, 0, {("text",): np.array([score])})


def availability_of_labels():
    data = spoken_data(Multilabel(3), torch.tensor([[1, 0, 1]]))
    return plots.availability_grid(data, 0, {("text",): np.array([0.2, 0.5, 0.8])})


def scenario():
    few = np.arange(8) % 4 == 0
    present = np.array([[True, False], [False, True]])
    rows = np.arange(6)
    return plots.scenarios(picture_data(), rows, few[:6], np.array([6, 7]), present, title="T")


def shares_of_labels():
    many = {"data_set": "many", "class": range(25), "rows": 9, "labelled": 2}
    few = {"data_set": "few", "class": range(3), "rows": 20, "labelled": 3}
    return plots.label_shares(pd.concat([pd.DataFrame(many), pd.DataFrame(few)]), title="T")


def bits_by_samples(parts: int):
    rows = []
    for part in range(parts):
        for n in (1, 10):
            rows += [(f"part {part}", "plug-in", n, n + seed, 1.5) for seed in range(3)]
    frame = pd.DataFrame(rows, columns=["part", "method", "n", "bits", "exact"])
    return plots.ranges(frame, "n", "bits", "method", "part", truth="exact", title="T")


def subset_ranges(names: str):
    rows = []
    for number, pattern in enumerate(patterns(tuple(names))):
        for method, value in (("robult", 0.01 * number), ("gmc", 0.005), ("linear", 0.002)):
            rows.append((pattern_name(pattern), method, value, "accuracy"))
    frame = pd.DataFrame(rows, columns=["pattern", "method", "mean", "metric"])
    return plots.pattern_ranges(frame, tuple(names))


def weights_of_pairs(columns: int):
    weights = np.linspace(0, 1, 9).reshape(3, 3)
    masks = (~np.eye(3, dtype=bool), np.eye(3, dtype=bool))
    panels = {"narrow": weights, "wide": weights, "wider": weights}
    return plots.weight_matrices(panels, *masks, np.arange(3), columns, title="T")


def weight_densities():
    frame = pd.DataFrame({"w": [0.01, 0.98, 0.99], "true": [False, True, True], "data_set": "a"})
    steps = [frame.assign(step=step) for step in (0, 40)]
    return plots.weight_histograms(pd.concat(steps, ignore_index=True), "w")


def ranked():
    blocks, mean_ranks, p_values = ranks.procedures(printed_blocks(), tables.COMPARED)
    return plots.critical_difference_pair(mean_ranks, p_values, 2.03, len(blocks), "printed")[0]


def sensors_that_fail():
    rows = [
        (model, rate, 1 - rate / 2)
        for model in ("Robult", "filled", "linear")
        for rate in (0.0, 0.5)
    ]
    return own_data.failure_curves(pd.DataFrame(rows, columns=["model", "rate", "accuracy"]), "T")


def reliabilities():
    rows = []
    for sensors in ("all", "top_left"):
        for model in ("plain", "calibrated"):
            rows += [(sensors, model, confidence, 0.5, 30) for confidence in (0.4, 0.9)]
            rows.append((sensors, model, 0.1, 0.0, 1))
    columns = ["sensors", "model", "confidence", "accuracy", "rows"]
    return own_data.reliability_curves(pd.DataFrame(rows, columns=columns), "T")


def contributions():
    rows = [
        (n, name, 0.1 * n + more) for name, more in (("a", 0), ("b", 0.1)) for n in range(-2, 4)
    ]
    np.random.seed(0)  # seaborn scatters the dots
    frame = pd.DataFrame(rows, columns=["sample", "sensor", "added"])
    return own_data.sensor_contributions(frame, "T")


def stamped():
    figure = plt.figure()
    style.mark_smoke(figure)
    return figure


def looks_of_everything():
    """A line for each method, and for as many other names as there are colours."""
    figure = plt.figure(figsize=(6, 2))
    names = [*style.METHOD_COLORS, *(f"other {number}" for number in range(len(style.CYCLE)))]
    return style.finish(figure, "Every look " * 9, style.line_handles(names))


def curves_in_rows():
    views = [curves_frame("ab").assign(view=view) for view in ("one", "all")]
    frame = pd.concat(views, ignore_index=True)
    options = {"row": "view", "share_y": "row", "size": (2.0, 1.5), "highlight": ["robult"]}
    return plots.curve_panels(frame.assign(metric="mae"), "x", "method", "panel", **options)


def losses():
    rows = [("reconstruction", step, 40.0 / step) for step in (10, 20, 40)]
    frame = pd.DataFrame(rows, columns=["term", "step", "mean"])
    frame = frame.assign(low=frame["mean"], high=frame["mean"], n=3)
    sets = [frame.assign(data_set=name) for name in ("b", "a")]
    return plots.loss_curves(pd.concat(sets, ignore_index=True))


def walls():
    rows = np.array([7, 0, 1])
    present = np.array([[True, True, True], [False, True, True]])
    return plots.sample_wall(picture_data(), rows, present, ["one", "two", "three"], 3, "T")


FIGURES = {
    "looks": looks_of_everything,
    "smoke": stamped,
    "curves": lambda: plots.curve_panels(curves_frame("abcd"), "x", "method", "panel", title="T"),
    "curves_in_rows": curves_in_rows,
    "ranges_of_two": lambda: bits_by_samples(2),
    "ranges_of_three": lambda: bits_by_samples(3),
    "dots": lambda: plots.dots(dots_frame(), "data_set", "anchors", "measure", "weight"),
    "dots_of_one": lambda: plots.dots(dots_frame(), None, "anchors", "measure", "weight", "AUROC"),
    "losses": losses,
    "pid_diagram": plots.pid_diagram,
    "robult_diagram": plots.robult_diagram,
    "pid_bars": lambda: plots.pid_bars(worlds()),
    "pid_ceilings": lambda: plots.pid_ceilings(worlds_by_name()),
    "availability_of_pictures": availability_of_pictures,
    "availability_of_scores": lambda: availability_of_scores(0.5),
    "availability_of_low_scores": lambda: availability_of_scores(-0.5),
    "availability_of_labels": availability_of_labels,
    "wall": walls,
    "scenarios": scenario,
    "label_shares": shares_of_labels,
    "comparison": lambda: plots.method_comparison(cells()),
    "one_or_all": lambda: plots.one_or_all(cells().replace({"pattern": {"full": "all"}})),
    "critical_difference": ranked,
    "forest": lambda: plots.forest(changes(), "pattern", "without", "data_set", "change"),
    "switches": lambda: plots.switch_heat_map(switched(), ("one", "all"), most=2)[0],
    "leads": lambda: plots.lead_panels(leads(), "labels", log=True),
    "few_subsets": lambda: subset_ranges("abc"),
    "many_subsets": lambda: subset_ranges("abcdef"),
    "maps": lambda: plots.latent_maps(latents_frame(), "model"),
    "weights_in_a_row": lambda: weights_of_pairs(3),
    "weights_in_two_rows": lambda: weights_of_pairs(2),
    "weight_histograms": weight_densities,
    "failures": sensors_that_fail,
    "reliability": reliabilities,
    "contributions": contributions,
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_as_it_was_approved(name):
    check_approved(name, FIGURES[name]())


@pytest.mark.parametrize(("n_classes", "named"), [(3, [0, 1, 2]), (22, [*range(0, 22, 3)])])
def test_of_many_classes_some_are_named(n_classes, named):
    classes = pd.DataFrame({"class": range(n_classes), "rows": 9, "labelled": 2})
    (ax,) = data_scenarios.label_shares(classes.assign(data_set="digits")).axes
    assert ax.get_xticks().tolist() == named
    assert [int(label.get_text()) for label in ax.get_xticklabels()] == named
    assert ax.get_title() == f"digits: {2 * n_classes} of {9 * n_classes} rows"
    assert [text.get_text() for text in ax.texts] == (["2"] * 3 if n_classes == 3 else [])
    assert ax.get_xlabel() == ("class" if n_classes == 3 else "class (2 labels in each)")
