"""Controls that redraw a picture at once: the dials of `pid` (notebook 01), what is there and what
follows (03), the maps of the latents (08), and the weights of Eq. 5 (09).

Nothing is trained or embedded here, so that an answer takes well under 200 ms. The picture is an
HTML image with alt text. Every control is an ordinary slider, list or box with its full label, so
that Tab and the arrow keys move it; a button sets all of them back. Saved copies drop widgets:
each has a static twin in `plots`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.pid import CASES, COMPONENTS, Dials
from robult_core.evaluation import predict
from robult_core.method import Method
from robult_study.markup import html_image
from robult_study.plots.decomposition import dial_row, draw_ceilings
from robult_study.plots.latent_pictures import draw_map
from robult_study.plots.pair_weights import draw_histogram, draw_weights, largest_classes
from robult_study.plots.samples import draw_prediction, draw_sample
from robult_study.results.pairs import pair_masks, widened_weights
from robult_study.wording import METHOD_NAMES, PID_NAMES, in_words

if TYPE_CHECKING:
    from ipywidgets import VBox, Widget

Draw = Callable[..., tuple[Figure, str]]


def picture(figure: Figure, alt: str) -> str:
    """The figure as an HTML image with alt text, at 80 dots per inch for speed."""
    buffer = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    canvas.print_figure(buffer, format="png", dpi=80, pil_kwargs={"compress_level": 1})
    code = base64.b64encode(buffer.getvalue()).decode()
    return html_image(code, alt, style="max-width: 100%")


def explorer(draw: Draw, controls: Mapping[str, Widget]) -> VBox:
    """Controls, a button that sets them back, and a picture that follows them.

    draw: called with the value of every control by name; returns the figure and its alt text.
    """
    from ipywidgets import HTML, Button, Layout, VBox

    image = HTML()
    start = {name: control.value for name, control in controls.items()}

    def refresh(_: Any = None) -> None:
        values = {name: control.value for name, control in controls.items()}
        image.value = picture(*draw(**values))

    def set_back(_: Any = None) -> None:
        for name, value in start.items():
            controls[name].value = value

    for control in controls.values():
        control.style = {"description_width": "initial"}
        control.layout = Layout(width="34em")
        control.observe(refresh, "value")
    reset = Button(description="reset", tooltip="set every control back to its start")
    reset.on_click(set_back)
    refresh()
    return VBox([*controls.values(), reset, image])


def _side_by_side(*widths: float, height: float = 4) -> tuple[Figure, list[Axes]]:
    """Axes at fixed places, because a layout at every move takes longer than the drawing."""
    figure = Figure(figsize=(9, height), layout="none")
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    figure.subplots_adjust(left=0.07, right=0.98, top=0.9, bottom=0.5 / height, wspace=0.25)
    return figure, list(axes)


def dials_explorer() -> VBox:
    """Bits on each dial of `pid` against its decomposition and the best possible accuracies.

    The static twin is `plots.pid_ceilings`.
    """
    from ipywidgets import FloatSlider

    def draw(**dials: float) -> tuple[Figure, str]:
        row = dial_row(Dials(**dials))
        figure, (left, right) = _side_by_side(1, 1, height=1.7)
        draw_ceilings(left, right, pd.DataFrame({"": row}).T)
        left.set_xlim(0, len(COMPONENTS))
        bits = ", ".join(f"{PID_NAMES[part]} {row[part]:.2f}" for part in COMPONENTS)
        best = f"best accuracy with both modalities {row['x1+x2']:.2f}"
        return figure, f"bits at these dials: {bits}; {best}"

    controls = {}
    for name, bits in asdict(CASES["mixed"]).items():
        label = f"{PID_NAMES[name]} (bits)"
        controls[name] = FloatSlider(value=bits, description=label, min=0.0, max=1.0, step=0.05)
    return explorer(draw, controls)


def availability_explorer(method: Method, data: MultimodalData, texts: bool = True) -> VBox:
    """Which modalities of a test sample are there, and what the trained model then predicts.

    data: standardised, as the method was trained on. texts: False keeps transcripts out of a saved
    copy. The static twin is `plots.availability_grid`.
    """
    from ipywidgets import Checkbox, IntSlider

    rows = data.rows("test")

    def draw(sample: int, **there: bool) -> tuple[Figure, str]:
        figure, (left, right) = _side_by_side(1, 2.5)
        row = int(rows[sample])
        pattern = tuple(name for name in data.names if there[name])
        draw_sample(left, data, row, pattern, texts)
        if not pattern:
            text = "switch on at least one modality"
            right.text(0.5, 0.5, text, ha="center", transform=right.transAxes)
            return figure, "no modality is there"
        scores = predict(method, data, rows[[sample]], pattern)[0]
        draw_prediction(right, data, row, scores)
        return figure, f"sample {row} with {', '.join(pattern)}: {_best(data, scores)}"

    last = len(rows) - 1
    controls = {"sample": IntSlider(description="test sample (number)", min=0, max=last)}
    for name in data.names:
        controls[name] = Checkbox(description=in_words(name), value=True, indent=False)
    return explorer(draw, controls)


def _best(data: MultimodalData, scores: np.ndarray) -> str:
    if data.task.kind == "regression":
        return f"score {scores[0]:.2f}"
    return f"largest probability {scores.max():.2f} for class {scores.argmax()}"


def embedding_explorer(maps: pd.DataFrame, data: MultimodalData, texts: bool = True) -> VBox:
    """The maps of the latents by model, kind and colour; all latents of one sample are ringed.

    maps: rows of `latents.map_frame` with a column `model`. texts: False keeps transcripts out of a
    saved copy. The static twin is `plots.latent_maps`.
    """
    from ipywidgets import Dropdown, IntSlider, SelectionSlider

    rows = maps["row"].unique()
    models = {METHOD_NAMES.get(name, name): name for name in maps["model"].unique()}

    def draw(model: str, kind: str, colouring: str, point: int) -> tuple[Figure, str]:
        figure, (left, right) = _side_by_side(2, 1)
        frame = maps[(maps["model"] == model) & (maps["kind"] == kind)]
        chosen = frame[frame["row"] == rows[point]]
        draw_map(left, frame, colouring)
        ring = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.6}
        left.scatter(chosen["x"], chosen["y"], s=130, **ring)
        left.set_title(f"{kind}, {in_words(model)}")
        draw_sample(right, data, int(rows[point]), data.names, texts)
        alt = f"{kind} of the latents, {model}, coloured by {colouring}"
        return figure, f"{alt}; sample {rows[point]} is ringed"

    last = len(rows) - 1
    options = list(models.items())
    controls = {
        "model": SelectionSlider(description="model", options=options, value=options[-1][1]),
        "kind": Dropdown(description="map", options=list(maps["kind"].unique())),
        "colouring": Dropdown(description="coloured by", options=["class", "modality"]),
        "point": IntSlider(description="sample ringed (number)", min=0, max=last),
    }
    return explorer(draw, controls)


def weights_explorer(
    view: Mapping[str, torch.Tensor],
    truth: torch.Tensor,
    names: tuple[str, ...],
    temperature: float,
) -> VBox:
    """Temperature of phi and width of the kernel against the weights of one batch.

    view: `pairs.contrastive_view` of the batch. truth: `(B,)` hidden classes. The width counts
    in standard deviations of the anchor's row. The static twin is `plots.weight_matrices`.
    """
    from ipywidgets import Dropdown, FloatLogSlider

    pseudo, true = pair_masks(view, truth)
    order = largest_classes(view["classes"].numpy())

    def draw(temperature: float, width: float, modality: str) -> tuple[Figure, str]:
        weights = widened_weights(view, temperature, width)[names.index(modality)]
        figure, (left, right) = _side_by_side(1, 1)
        draw_weights(left, weights, pseudo, true, order)
        draw_histogram(right, weights[pseudo], true[pseudo])
        right.legend(loc="upper left")
        left.set_title(f"{in_words(modality)}: the two largest classes")
        of_true = _mean(weights, pseudo & true)
        of_false = _mean(weights, pseudo & ~true)
        means = f"{of_true} of true and {of_false} of false pairs"
        right.set_title(f"mean weight {means}")
        alt = f"temperature {temperature:.2f}, width {width:.2f}"
        return figure, f"{alt}: mean weight {means}"

    span = {"base": 10, "min": -1.3, "max": 0.7, "step": 0.05}
    wide = {"base": 10, "min": -1, "max": 1, "step": 0.05}
    label = "kernel width (row deviations)"
    controls = {
        "temperature": FloatLogSlider(value=temperature, description="temperature of phi", **span),
        "width": FloatLogSlider(value=1.0, description=label, **wide),
        "modality": Dropdown(
            description="modality", options=[(in_words(name), name) for name in names]
        ),
    }
    return explorer(draw, controls)


def _mean(weights: np.ndarray, pairs: np.ndarray) -> str:
    return f"{weights[pairs].mean():.2f}" if pairs.any() else "none"
