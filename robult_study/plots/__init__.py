"""Figures and widgets of the study; each figure is one function that returns it and writes nothing.

Notebooks say `from robult_study import plots` and draw with `plots.method_comparison(...)`. A file
`NN_name` in figures/ is made by the cell of notebook NN that calls
`notebook.show(..., "NN_name", ...)`. The widgets are in `plots.widgets`, which needs ipywidgets.
"""

from robult_study.plots.ablation_effects import forest, switch_heat_map
from robult_study.plots.architecture import robult_diagram
from robult_study.plots.comparison import (
    critical_difference_pair,
    method_comparison,
    one_or_all,
    ranks_by_steps,
)
from robult_study.plots.data_scenarios import label_shares, scenarios
from robult_study.plots.decomposition import dial_row, pid_bars, pid_ceilings, pid_diagram
from robult_study.plots.latent_pictures import latent_maps
from robult_study.plots.pair_weights import largest_classes, weight_histograms, weight_matrices
from robult_study.plots.panels import curve_panels, dots, ranges
from robult_study.plots.samples import availability_grid, sample_wall
from robult_study.plots.style import first_metrics
from robult_study.plots.sweep_curves import lead_label, lead_panels, pattern_ranges
from robult_study.plots.training_curves import loss_curves
from robult_study.wording import ROLE_NAMES, in_text, in_words

__all__ = [
    "ROLE_NAMES",
    "availability_grid",
    "critical_difference_pair",
    "curve_panels",
    "dial_row",
    "dots",
    "first_metrics",
    "forest",
    "in_text",
    "in_words",
    "label_shares",
    "largest_classes",
    "latent_maps",
    "lead_label",
    "lead_panels",
    "loss_curves",
    "method_comparison",
    "one_or_all",
    "pattern_ranges",
    "pid_bars",
    "pid_ceilings",
    "pid_diagram",
    "ranges",
    "ranks_by_steps",
    "robult_diagram",
    "sample_wall",
    "scenarios",
    "switch_heat_map",
    "weight_histograms",
    "weight_matrices",
]
