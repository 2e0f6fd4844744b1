"""Computing one run: from a configuration and raw data to the content of its record and its files."""

from __future__ import annotations

import math
import platform
import time
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import evaluate, having, predict
from robult_core.method import Method
from robult_core.methods import METHODS, make_method
from robult_core.methods.sanity import LinearHead, sanity_predictions
from robult_core.protocol import (
    label_split,
    paper_patterns,
    pattern_name,
    patterns,
    validation_split,
)
from robult_core.training import TrainingConfig, train
from robult_study.runs.configuration import RunConfig
from robult_study.runs.fingerprint import numeric_versions, numerics
from robult_study.runs.store import Record, to_parquet, weights_name

LATENCY_ROWS = 64


def execute(config: RunConfig, data: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Compute one run on raw `data`, on one thread: the content of its record, and its files by name.

    Everything but `timings` depends on the configuration and the data alone, bit for bit on one machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            return _execute(config, data)
    finally:
        torch.set_num_threads(threads)


def _execute(config: RunConfig, raw: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    started = time.perf_counter()
    validation = config.rows == "validation"
    origin = (
        raw.rows("train") if validation else np.arange(len(raw))
    )  # row of the data set behind each row of `data`
    data = (validation_split(raw, config.seed) if validation else raw).standardized()
    labeled, rows = label_split(data, config.label_fraction, config.seed), data.rows("test")
    wanted = paper_patterns(data.names) if validation or config.post else patterns(data.names)
    compute = _trained if config.method in METHODS else _untrained
    found = compute(config, data, labeled, rows, wanted)
    found["timings"]["total_seconds"] = time.perf_counter() - started
    found["timings"] |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    metrics = [
        row | {"value": None if math.isnan(row["value"]) else row["value"]}
        for row in found["metrics"]
    ]
    content = {
        "config": config.complete(),
        "data_checksum": raw.checksum,
        "numerics": numerics(),
        "versions": {"python": platform.python_version(), **numeric_versions()},
        "label_rows": origin[labeled].tolist(),
        "metrics": metrics,
        "parameters": found["parameters"],
        "timings": found["timings"],
    }
    predictions = to_parquet(_predictions(found["scores"], rows, origin, data))
    return content, {
        "curves.parquet": to_parquet(found["curves"]),
        "predictions.parquet": predictions,
        **found["files"],
    }


def _trained(
    config: RunConfig, data: MultimodalData, labeled: np.ndarray, rows: np.ndarray, wanted: list
) -> dict:
    torch.manual_seed(config.seed)
    settings, files = TrainingConfig(**config.complete()["training"]), {}
    method = make_method(config.method, data.task, data.shapes, **config.complete()["hyper"])

    def keep(step: int, trained: Method) -> None:
        if step in config.snapshots:
            files[weights_name(step)] = _weights(trained)

    started = time.perf_counter()
    history = train(
        method,
        data,
        labeled,
        settings,
        seed=config.seed,
        on_step=keep if config.snapshots else None,
    )
    trained = time.perf_counter() - started
    wanted = (
        wanted if len(labeled) else []
    )  # without labels there are representations, curves and weights, but no predictions
    if config.keep_weights:
        files[weights_name()] = _weights(method)
    latency = {
        pattern_name(one): _latency(method, data, rows, one)
        for one in paper_patterns(data.names)
        if wanted
    }
    used = LinearHead(method, data, labeled, config.seed) if config.post else method
    metrics, scores = evaluate(used, data, rows, wanted)
    timings = {
        "train_seconds": trained,
        "seconds_per_step": trained / settings.steps,
        "latency_ms": latency,
    }
    return {
        "metrics": metrics,
        "scores": scores,
        "curves": _curves(history.rows),
        "files": files,
        "timings": timings,
        "parameters": sum(one.numel() for one in method.parameters()),
    }


def _untrained(
    config: RunConfig, data: MultimodalData, labeled: np.ndarray, rows: np.ndarray, wanted: list
) -> dict:
    """The sanity rows: nothing but scores, and the time they took."""
    started = time.perf_counter()
    found = sanity_predictions(config.method, data, labeled, rows, wanted, config.seed)
    metrics, scores = [], {}
    for pattern, values in found.items():
        chosen = having(data, rows, pattern)
        scores[pattern_name(pattern)] = values[np.isin(rows, chosen)]
        measured = data.task.metrics(
            scores[pattern_name(pattern)], data.targets[torch.from_numpy(chosen)].numpy()
        )
        metrics += [
            {"pattern": pattern_name(pattern), "variant": "", "metric": metric, "value": value}
            for metric, value in measured.items()
        ]
    return {
        "metrics": metrics,
        "scores": scores,
        "files": {},
        "curves": _curves([]),
        "parameters": None,
        "timings": {"train_seconds": time.perf_counter() - started},
    }


def _curves(rows: list[tuple[int, str, float]]) -> pd.DataFrame:
    """The history of a training as a frame."""
    return pd.DataFrame(rows, columns=["step", "term", "value"])


def _latency(
    method: Method, data: MultimodalData, rows: np.ndarray, pattern: tuple[str, ...]
) -> float:
    """Milliseconds to predict 64 samples (fewer where there are fewer), median of 5 calls."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        predict(method, data, rows[:LATENCY_ROWS], pattern)
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds)


def _weights(method: Method) -> bytes:
    from safetensors.torch import save

    return save(
        {
            name: value.detach().cpu().clone().contiguous()
            for name, value in method.state_dict().items()
        }
    )


def _predictions(
    scores: dict[str, np.ndarray], rows: np.ndarray, origin: np.ndarray, data: MultimodalData
) -> pd.DataFrame:
    """Scores as a table: row of the data set, pattern, score_0 … score_{C-1} (float32)."""
    parts = [np.empty((0, data.task.n_outputs)), *scores.values()]
    chosen = [having(data, rows, tuple(pattern.split("+"))) for pattern in scores]
    table = pd.DataFrame(np.concatenate(parts).astype(np.float32)).add_prefix("score_")
    table.insert(
        0, "pattern", np.repeat(np.array(list(scores), dtype=object), [len(one) for one in chosen])
    )
    table.insert(0, "row", origin[np.concatenate([rows[:0], *chosen])])
    return table


def restore(record: Record, data: MultimodalData, step: int | None = None) -> Method:
    """The trained method of a record that kept its weights (after `step` steps), in evaluation mode."""
    method = make_method(record.config["method"], data.task, data.shapes, **record.config["hyper"])
    method.load_state_dict(record.weights(step))
    method.saw_labels = bool(record.label_rows)
    return method.eval()
