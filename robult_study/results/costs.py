"""What a method costs: parameters, seconds per step, milliseconds per prediction."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robult_core.protocol import pattern_modalities
from robult_study.provenance import repository
from robult_study.results.layout import laid_out
from robult_study.results.tables import CONTENDERS, named
from robult_study.runs.store import Store

STEPS = "| method | M | step ms |"  # how the table of steps of the benchmarks begins
QUANTITIES = {  # column of `costs` -> heading
    "parameters": "parameters",
    "seconds_per_step": "s per step",
    "latency_one_ms": "ms, one modality",
    "latency_full_ms": "ms, all",
}


def costs(results: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Medians over seeds by data_set and method of the columns of `QUANTITIES`.

    They come from the records of a method's default runs. The latency is that of 64 samples, with
    one modality the median over modalities.
    """
    columns = ["data_set", "method", *QUANTITIES]
    keys = []
    if len(results):
        keys = results.loc[named(results).isin(CONTENDERS), "key"].unique()
    rows = [_cost(store.get(key).content) for key in keys]
    table = pd.DataFrame(rows, columns=columns)
    return table.groupby(["data_set", "method"], sort=False).median().reset_index()


def _cost(content: Mapping[str, Any]) -> dict[str, Any]:
    timings = content["timings"]
    latency = timings["latency_ms"]
    sizes = {pattern: len(pattern_modalities(pattern)) for pattern in latency}
    largest = max(sizes, key=sizes.get)
    single = [latency[pattern] for pattern, size in sizes.items() if size == 1]
    return {
        "data_set": content["config"]["data_set"],
        "method": content["config"]["method"],
        "parameters": content["parameters"],
        "seconds_per_step": timings["seconds_per_step"],
        "latency_one_ms": np.median(single),
        "latency_full_ms": latency[largest],
    }


def costs_table(table: pd.DataFrame) -> pd.DataFrame:
    """`costs` with a row per quantity and data set, a column per method."""
    renamed = table.rename(columns=QUANTITIES)
    tidy = renamed.melt(["data_set", "method"], list(QUANTITIES.values()), "quantity")
    laid = laid_out(tidy, ["quantity", "data_set"], "method", "value", CONTENDERS)
    return laid.sort_index()


def in_figures(value: float) -> str:
    """A number of the table as text: a large one whole, a small one with three digits."""
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if round(value) >= 1000 else f"{value:.3g}"


def relative_costs(laid: pd.DataFrame) -> pd.DataFrame:
    """Medians over data sets in multiples of Unimodal; laid: `costs_table`."""
    return laid.div(laid["unimodal"], axis=0).groupby(level="quantity").median()


def benchmarked_steps(path: Path | None = None) -> pd.DataFrame:
    """The time of a training step over the number of modalities: method, modalities, milliseconds.

    It is the table that `python -m benchmarks` writes into `benchmarks/results.md`, measured on
    random vectors; empty where there is no such file.
    """
    path = path or repository() / "benchmarks/results.md"
    columns = ["method", "modalities", "milliseconds"]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    _, _, table = path.read_text(encoding="utf-8").partition(STEPS)
    rows = []
    for line in takewhile(lambda text: text.startswith("|"), table.splitlines()[2:]):
        method, count, time = line.strip("| ").split(" | ")[:3]
        rows.append((method, int(count), float(time)))
    return pd.DataFrame(rows, columns=columns)
