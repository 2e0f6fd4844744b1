"""What the estimators cost by default: a fit of usual size, much data, many predictions.

`python -m benchmarks.estimators fit|memory|predict` measures one of them in this process, which
must be fresh; `python -m benchmarks --only estimators` makes the table.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.measure import in_fresh_process, peak_megabytes, table
from robult_core.estimators import MultimodalClassifier

MODALITIES = ("text", "audio", "video")
WIDTH = 128  # features of a modality
CLASSES = 10
LABELED = 0.05
# samples, and the same where a few minutes are all there is
SIZES = {
    "fit": (5_000, 2_000),
    "memory": (100_000, 20_000),
    "predict": (1_000_000, 100_000),
}
FEW_STEPS = 20  # how long a training runs does not change what it holds in memory


def made_up(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Three modalities of 128 features that tell the class, and the labels of one in twenty."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, n)
    X = {}
    for name in MODALITIES:
        centres = rng.standard_normal((CLASSES, WIDTH), dtype=np.float32)
        X[name] = rng.standard_normal((n, WIDTH), dtype=np.float32)
        for rows in np.array_split(np.arange(n), max(1, n // 10_000)):
            X[name][rows] += centres[y[rows]]  # no peak here, which would hide a later one
    return X, np.where(rng.random(n) < LABELED, y, -1)


def measure_fit(n: int) -> str:
    """Seconds of a fit."""
    X, y = made_up(n)
    start = time.perf_counter()
    model = MultimodalClassifier(device="cpu", random_state=0).fit(X, y)
    return f"{time.perf_counter() - start:.1f} s, {model.n_steps_} steps"


def measure_memory(n: int) -> str:
    """What a fit holds in memory beyond the data."""
    X, y = made_up(n)
    model = MultimodalClassifier(device="cpu", random_state=0, max_steps=FEW_STEPS)
    return f"{peak_megabytes(lambda: model.fit(X, y)):.0f} MiB beyond the data"


def measure_predict(n: int) -> str:
    """What predictions hold in memory beyond the data, and their seconds."""
    X, y = made_up(n)
    model = MultimodalClassifier(device="cpu", random_state=0, max_steps=FEW_STEPS)
    few = slice(0, 2_000)
    model.fit({name: x[few] for name, x in X.items()}, y[few])
    start = time.perf_counter()
    risen = peak_megabytes(lambda: model.predict(X))
    return f"{risen:.0f} MiB beyond the data, {time.perf_counter() - start:.1f} s"


MEASURES = {"fit": measure_fit, "memory": measure_memory, "predict": measure_predict}
GOALS = {
    "fit": "20 s on 2 cores",
    "memory": "2,048 MiB beyond the data",
    "predict": "little beyond the answers, which are 38 MiB",
}


def report(quick: bool) -> str:
    """A table of what was measured, each in a process of its own."""
    rows = []
    for name, sizes in SIZES.items():
        for n in sorted(sizes)[: 1 if quick else 2]:
            samples = f"{n:,} x {len(MODALITIES)} x {WIDTH}"
            measured = in_fresh_process("benchmarks.estimators", name, n)
            rows.append((name, samples, measured, GOALS[name]))
    head = ("what", "samples x modalities x features", "measured", "goal for the largest size")
    return table(head, rows)


if __name__ == "__main__":
    what, size = sys.argv[1:]
    print(MEASURES[what](int(size)))
