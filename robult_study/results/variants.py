"""Named variants of Robult (Table 3, and every switch of the readings), and what a variant or a sweep changes, paired by seed.

Notebooks 06 and 07 run these. `scores` turns `run_grid`'s table into one number per run and *view*: the mean over the single modalities, the full
set (fused branch), and the full set by late fusion; always the task's first metric, errors negated, so that higher is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from robult_core.model import RobultConfig
from robult_core.protocol import pattern_name
from robult_study.results import tables
from robult_study.results.intervals import paired
from robult_study.runs.configuration import RunConfig
from robult_study.runs.store import Record

SWITCH_SEEDS = 3  # at most, as in the paper; with the ten of the full profile the switches would be most of the study
VIEWS = ("one modality (mean)", "all, fused branch", "all, late fusion")
_SWITCHES = (  # group, setting, values other than the default: readings 11-13, 16; 8, 14; 5-7, 10; 16; 22
    ("architecture", "combine", ("concat",)),
    ("architecture", "full_input", ("s",)),
    ("architecture", "fusion", ("latents",)),
    ("architecture", "width", (64, 256)),
    ("architecture", "bottleneck", (128, 16)),
    ("gradients", "reconstruction_updates", ("f",)),
    ("gradients", "weight_gradient", (True,)),
    ("weights", "weighting", ("none", "hard", "cosine")),
    ("weights", "bandwidth", (1.0,)),
    ("weights", "reference", ("class",)),
    ("weights", "normalizer", ("weights",)),
    ("contrast", "temperature", (0.1, 0.2, 0.5, 1.0)),
    ("batches", "sampling", ("shuffle",)),
)


@dataclass(frozen=True)
class Variant:
    """A name and what differs from Robult's defaults; `name` becomes the runs' tag."""

    group: str
    name: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    post: str = ""


DEFAULT = Variant("", "robult")
TERMS = tuple(
    Variant("loss terms", name, {weight: 0.0}, post="logistic" if name == "no_supervised" else "")
    for name, weight in tables.ABLATIONS.items()
)

NO_CONTRAST = Variant(
    "loss terms", "no L_lb, no L_ulb", {"labeled_weight": 0.0, "unlabeled_weight": 0.0}
)


def switches() -> list[Variant]:
    """One variant per switch and value; a value that is the default is left out."""
    found = []
    for group, setting, values in _SWITCHES:
        place = "hyper" if setting in RobultConfig.__dataclass_fields__ else "training"
        for value in values:
            if place == "training" or getattr(RobultConfig(), setting) != value:
                found.append(Variant(group, f"{setting} {value}", **{place: {setting: value}}))
    return found


def configs(
    variants: Iterable[Variant], data_sets: Sequence[str], seeds: Sequence[int], steps: int
) -> list[RunConfig]:
    """The runs of `variants`; that of `DEFAULT` is Robult's own run in notebook 04, so its record is shared."""
    return [
        RunConfig(
            name,
            "robult",
            seed,
            hyper=one.hyper,
            training={"steps": steps, **one.training},
            post=one.post,
            tag=one.name,
        )
        for one in variants
        for name in data_sets
        for seed in seeds
    ]


def primary(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of each data set's first metric (`tables.METRICS`), errors negated."""
    return tables.oriented(tables.first_metric(results))


def scores(results: pd.DataFrame) -> pd.DataFrame:
    """One `value` per data_set, method, tag, label_fraction, seed and view."""
    rows = primary(results)
    size = rows["pattern"].str.count(r"\+")
    full = size == size.groupby(rows["data_set"]).transform("max")
    late = rows["variant"] == "late_fusion"
    rows = rows.assign(
        view=np.select(
            [full & late, full & ~late, (size == 0) & ~late], [VIEWS[2], VIEWS[1], VIEWS[0]], ""
        )
    )
    by = ["data_set", "method", "tag", "label_fraction", "seed", "view"]
    return rows[rows["view"] != ""].groupby(by, sort=False)["value"].mean().reset_index()


def changes(
    rows: pd.DataFrame,
    base: str = "robult",
    by: Sequence[str] = ("data_set", "view"),
    column: str = "tag",
) -> pd.DataFrame:
    """Every other value of `column` minus `base`, paired by seed: `by`, column, difference, half, low, high, n, verdict."""
    others = [name for name in rows[column].unique() if name != base]
    return pd.concat(
        [paired(rows, name, base, by, column).assign(**{column: name}) for name in others],
        ignore_index=True,
    )


def stored_scores(
    record: Record, wanted: Sequence[tuple[str, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the data set that have every pattern of `wanted`, and their scores `(patterns, n, C)`, from a record's predictions."""
    stored = record.predictions()
    parts = [
        stored[stored["pattern"] == pattern_name(one)].drop(columns="pattern").set_index("row")
        for one in wanted
    ]
    common = sorted(set.intersection(*(set(part.index) for part in parts)))
    return np.array(common), np.stack([part.loc[common].to_numpy(float) for part in parts])


def crossings(rows: pd.DataFrame, x: str) -> pd.DataFrame:
    """Where Robult's mean and that of another method change places along `x`, linearly between neighbours; `clear` when intervals agree."""
    by, base, found = ["data_set", "view"], "robult", []
    table = changes(rows, base, [*by, x], "method").sort_values(x)
    for group, part in table.groupby([*by, "method"], sort=False):
        for (_, one), (_, two) in zip(part[:-1].iterrows(), part[1:].iterrows(), strict=True):
            if one["difference"] * two["difference"] < 0:
                share = one["difference"] / (one["difference"] - two["difference"])
                ahead = group[-1] if two["difference"] > 0 else base
                clear = {one["verdict"], two["verdict"]} == {"better", "worse"}
                found.append(
                    (*group, one[x] + share * (two[x] - one[x]), one[x], two[x], ahead, clear)
                )
    return pd.DataFrame(
        found, columns=[*by, "against", "crossing", "after", "before", "ahead_then", "clear"]
    )
