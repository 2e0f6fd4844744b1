"""One number per run and *view*, which ablations and sweeps compare.

The number is always the data set's first metric, errors negated, so that higher is better.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from robult_study.results.availability import has_all, modalities_present
from robult_study.results.metrics import primary

SINGLE = "one modality (mean)"
FUSED = "all, fused branch"
LATE = "all, late fusion"
VIEWS = (SINGLE, FUSED, LATE)


def scores(results: pd.DataFrame) -> pd.DataFrame:
    """The numbers of `run_grid`'s table.

    There is one `value` per data_set, method, tag, label_fraction, seed and view. The views are the
    mean over the single modalities, the full set by the fused branch, and the full set by late
    fusion.
    """
    rows = primary(results)
    full = has_all(rows)
    single = modalities_present(rows) == 1
    late = rows["variant"] == "late_fusion"
    views = np.select([full & late, full & ~late, single & ~late], [LATE, FUSED, SINGLE], "")
    rows = rows.assign(view=views)
    by = ["data_set", "method", "tag", "label_fraction", "seed", "view"]
    return rows[rows["view"] != ""].groupby(by, sort=False)["value"].mean().reset_index()
