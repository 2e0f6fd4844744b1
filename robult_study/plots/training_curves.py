"""How far each loss falls in training, in a panel per data set."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from robult_study.plots.panels import curve_panels
from robult_study.wording import LOSS_TERMS


def loss_curves(frame: pd.DataFrame, title: str = "") -> Figure:
    """Each loss over the steps as a share of its first point, so that all panels are comparable.

    frame: columns data_set, term, step, mean, low, high, n.
    """
    known = frame[frame["term"].isin(LOSS_TERMS)]
    by_curve = known.sort_values("step").groupby(["data_set", "term"], sort=False)
    start = by_curve["mean"].transform("first")
    shares = known.assign(**{end: known[end] / start for end in ("mean", "low", "high")})
    return curve_panels(
        shares,
        "step",
        "term",
        "data_set",
        label="share of first point",
        share_y=True,
        title=title,
    )
