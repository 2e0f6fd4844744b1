"""Controls that redraw a figure at once: the embedding (notebook 08), the weights of Eq. 5 (09), and what is there and what follows (03).

Nothing is trained or embedded here, so an answer takes well under 200 ms. The picture is an HTML image with alt text, drawn without pyplot;
every control is an ordinary slider, list or box with its full label, so the keyboard moves it. Saved copies drop widgets: each has a static twin
in `plots`.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import predict
from robult_core.losses import positive_masks, rbf_weights
from robult_core.method import Method
from robult_study.plots import figures as plots

if TYPE_CHECKING:
    from ipywidgets import VBox, Widget

Draw = Callable[..., tuple[Figure, str]]


def picture(figure: Figure, alt: str) -> str:
    """The figure as an HTML image with alt text, at 80 dots per inch for speed."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(
        buffer, format="png", dpi=80, pil_kwargs={"compress_level": 1}
    )
    code = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img src="data:image/png;base64,{code}" alt="{html.escape(alt)}" style="max-width: 100%">'
    )


def explorer(draw: Draw, controls: Mapping[str, Widget]) -> VBox:
    """Controls above a picture; whenever one moves, `draw(**values)` gives the new figure and its alt text."""
    from ipywidgets import HTML, Layout, VBox

    image = HTML()

    def refresh(_: Any = None) -> None:
        image.value = picture(*draw(**{name: control.value for name, control in controls.items()}))

    for control in controls.values():
        control.style = {"description_width": "initial"}
        control.layout = Layout(width="34em")
        control.observe(refresh, "value")
    refresh()
    return VBox([*controls.values(), image])


def _panels(*widths: float) -> tuple[Figure, list]:
    """A figure with axes side by side at fixed places: laying out anew at each move would take longer than drawing."""
    figure = Figure(figsize=(9, 4), layout="none")
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    figure.subplots_adjust(left=0.07, right=0.98, top=0.9, bottom=0.13, wspace=0.25)
    return figure, list(np.atleast_1d(axes))


def embedding_explorer(maps: pd.DataFrame, data: MultimodalData, texts: bool = True) -> VBox:
    """Step, kind and colouring of the maps (`latents.map_frame` with a column `step`), and one sample picked out: all its latents are ringed.

    texts: False keeps transcripts out of a saved copy.
    """
    from ipywidgets import Dropdown, IntSlider, SelectionSlider

    rows, steps = maps["row"].unique(), maps["step"].unique().tolist()

    def draw(step: int, kind: str, colouring: str, point: int) -> tuple[Figure, str]:
        figure, (left, right) = _panels(2, 1)
        frame = maps[(maps["step"] == step) & (maps["kind"] == kind)]
        chosen = frame[frame["row"] == rows[point]]
        plots.draw_map(left, frame, colouring)
        left.scatter(
            chosen["x"], chosen["y"], s=130, facecolors="none", edgecolors="black", linewidths=1.6
        )
        left.set_title(f"{kind} after {step} steps")
        plots.draw_sample(right, data, int(rows[point]), data.names, texts)
        return (
            figure,
            f"{kind} of the latents after {step} steps, coloured by {colouring}; sample {rows[point]} ringed",
        )

    controls = {
        "step": SelectionSlider(description="training step", options=steps, value=steps[-1]),
        "kind": Dropdown(description="map", options=list(maps["kind"].unique())),
        "colouring": Dropdown(description="coloured by", options=["class", "modality"]),
        "point": IntSlider(description="sample shown", min=0, max=len(rows) - 1),
    }
    return explorer(draw, controls)


def weights_explorer(
    view: Mapping[str, torch.Tensor],
    truth: torch.Tensor,
    names: tuple[str, ...],
    temperature: float,
) -> VBox:
    """Temperature of phi and width of the RBF (in deviations of the anchor's row) against the weights of one batch of `latents.contrastive_view`."""
    from ipywidgets import Dropdown, FloatLogSlider

    four = [view[name] for name in ("s", "z", "classes", "labeled")]
    pairs = positive_masks(view["classes"], view["labeled"])[1].fill_diagonal_(False).numpy()
    true = (truth[:, None] == truth[None]).numpy()
    order = np.argsort(view["classes"].numpy(), kind="stable")

    def draw(temperature: float, width: float, modality: str) -> tuple[Figure, str]:
        # a Gaussian c times as wide is the same one to the power of 1 / c^2
        weights = rbf_weights(*four, temperature=temperature)[names.index(modality)].numpy() ** (
            1 / width**2
        )
        figure, (left, right) = _panels(1, 1)
        plots.draw_weights(left, weights, pairs, true, order)
        plots.draw_histogram(right, weights[pairs], true[pairs])
        right.legend(loc="upper left")
        means = [
            weights[pairs & kind].mean() if (pairs & kind).any() else np.nan
            for kind in (true, ~true)
        ]
        left.set_title(f"weights of {modality}, samples sorted by class", fontsize=9)
        right.set_title(f"mean {means[0]:.2f} on true, {means[1]:.2f} on false pairs", fontsize=9)
        found = f"mean weight {means[0]:.2f} of true and {means[1]:.2f} of false pairs"
        return figure, f"temperature {temperature:.2f}, width {width:.2f}: {found}"

    span = {"base": 10, "min": -1.3, "max": 0.7, "step": 0.05}
    controls = {
        "temperature": FloatLogSlider(description="temperature", value=temperature, **span),
        "width": FloatLogSlider(
            description="RBF width (row deviations)", value=1.0, base=10, min=-1, max=1, step=0.05
        ),
        "modality": Dropdown(description="modality", options=list(names)),
    }
    return explorer(draw, controls)


def availability_explorer(method: Method, data: MultimodalData, texts: bool = True) -> VBox:
    """Which modalities are there, and what the trained model then predicts for a test row: bars of probabilities, or the score.

    data: standardised, as the method was trained on; texts as in `embedding_explorer`. The static twin is `plots.availability_grid`.
    """
    from ipywidgets import Checkbox, IntSlider

    rows = data.rows("test")

    def draw(sample: int, **there: bool) -> tuple[Figure, str]:
        figure, (left, right) = _panels(1, 2.5)
        row, pattern = int(rows[sample]), tuple(name for name in data.names if there[name])
        plots.draw_sample(left, data, row, pattern, texts)
        if not pattern:
            right.text(
                0.5, 0.5, "switch on at least one modality", ha="center", transform=right.transAxes
            )
            return figure, "no modality is there"
        scores = predict(method, data, rows[[sample]], pattern)[0]
        plots.draw_prediction(right, data, row, scores)
        best = f"largest probability {scores.max():.2f} for class {scores.argmax()}"
        best = f"score {scores[0]:.2f}" if data.task.kind == "regression" else best
        return figure, f"sample {row} with {', '.join(pattern)}: {best}"

    boxes = {
        name: Checkbox(description=name.replace("_", " "), value=True, indent=False)
        for name in data.names
    }
    return explorer(
        draw, {"sample": IntSlider(description="sample", min=0, max=len(rows) - 1), **boxes}
    )
