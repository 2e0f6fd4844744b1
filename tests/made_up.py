"""Made-up results whose answers are known, in the form of `run_grid`'s table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

SEEDS = 3


def results(
    values: Mapping[str, float],
    data_set: str = "digits",
    metric: str = "accuracy",
    seeds: int = SEEDS,
    noise: float = 0.0,
    full: float = 0.1,
    **columns: object,
) -> pd.DataFrame:
    """Rows of runs on two modalities, a and b.

    values: number by method; the full set is better by `full`, and every number has some noise.
    columns: further columns, or other values of the usual ones.
    """
    rng = np.random.default_rng(0)
    rows = []
    for method, value in values.items():
        for seed in range(seeds):
            for pattern in ("a", "b", "a+b"):
                bonus = full if pattern == "a+b" else 0.0
                row = {"data_set": data_set, "method": method, "seed": seed, "pattern": pattern}
                row |= {"metric": metric, "value": value + bonus + noise * rng.standard_normal()}
                rows.append(row)
    usual = {"label_fraction": 0.05, "rows": "test", "post": "", "variant": "", "tag": ""}
    return pd.DataFrame(rows).assign(**usual).assign(**columns)


def seeds_of(values: Mapping[str, list[float]]) -> pd.DataFrame:
    """One number per method and seed."""
    rows = []
    for method, numbers in values.items():
        for seed, value in enumerate(numbers):
            rows.append({"method": method, "seed": seed, "value": value})
    return pd.DataFrame(rows)
