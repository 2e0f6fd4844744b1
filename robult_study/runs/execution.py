"""Computing one run: from a configuration and raw data to the record's content and its files."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import evaluate, having, predict
from robult_core.method import Method
from robult_core.methods import make_method
from robult_core.methods.sanity import LinearHead, sanity_predictions
from robult_core.protocol import (
    label_fold,
    label_split,
    paper_patterns,
    pattern_modalities,
    pattern_name,
    patterns,
    validation_split,
)
from robult_core.training import train
from robult_study.runs.configuration import RunConfig
from robult_study.runs.fingerprint import numeric_versions, numerics
from robult_study.runs.missing import without_some
from robult_study.runs.several_ranks import fabric_of, on_all_ranks
from robult_study.runs.store import Record, to_parquet, weights_name

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LATENCY_ROWS = 64
LATENCY_CALLS = 5

Pattern = tuple[str, ...]


@dataclass
class Scene:
    """What a run works on: standardised data, the rows it may learn from, those it is scored on."""

    data: MultimodalData
    origin: np.ndarray  # (rows of data,): the row of the data set behind each of them
    labeled: np.ndarray  # rows whose labels are seen
    scored: np.ndarray  # rows whose predictions are kept
    patterns: Sequence[Pattern]  # availability patterns to score


@dataclass
class Outcome:
    """What computing a run yields."""

    scores: dict[str, np.ndarray]  # pattern -> (rows that have it, outputs)
    metrics: list[dict[str, Any]]
    timings: dict[str, Any]
    parameters: int | None = None
    curves: list[tuple[int, str, float]] = field(default_factory=list)  # step, term, value
    weights: dict[str, bytes] = field(default_factory=dict)  # by name of file


def execute(config: RunConfig, data: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Compute one run on raw `data`: the content of its record, and its files by name.

    One thread computes, on each rank. Everything but `timings` depends on the configuration and the
    data alone, bit for bit on one machine.
    """
    fabric = fabric_of(config) if config.is_trained else None
    return on_all_ranks(_on_one_thread, fabric, config, data)


def _on_one_thread(
    fabric: Fabric | None, config: RunConfig, data: MultimodalData
) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            return _execute(fabric, config, data)
    finally:
        torch.set_num_threads(threads)


def _execute(
    fabric: Fabric | None, config: RunConfig, raw: MultimodalData
) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """The record of a run; None on all ranks but the first."""
    started = time.perf_counter()
    scene = _scene(config, raw)
    outcome = _trained(fabric, config, scene) if config.is_trained else _untrained(config, scene)
    if outcome is None:
        return None
    outcome.timings["total_seconds"] = time.perf_counter() - started
    outcome.timings["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    content = {
        "config": config.complete(),
        "data_checksum": raw.checksum,
        "numerics": numerics(),
        "versions": {"python": platform.python_version(), **numeric_versions()},
        "label_rows": scene.origin[scene.labeled].tolist(),
        "metrics": [_without_nan(row) for row in outcome.metrics],
        "parameters": outcome.parameters,
        "timings": outcome.timings,
    }
    curves = pd.DataFrame(outcome.curves, columns=["step", "term", "value"])
    files = {
        "curves.parquet": to_parquet(curves),
        "predictions.parquet": to_parquet(_predictions(outcome.scores, scene)),
        **outcome.weights,
    }
    return content, files


def _scene(config: RunConfig, raw: MultimodalData) -> Scene:
    searching = config.rows != "test"
    data, labeled = _data_and_labels(config, raw)
    scored = data.rows("test")
    if config.missing_in_training:
        data = without_some(data, config.missing_in_training, config.remedy, config.seed)
        labeled = np.intersect1d(labeled, data.rows("train"))
    else:
        data = data.standardized()
    few_patterns = searching or config.post
    return Scene(
        data=data,
        origin=raw.rows("train") if searching else np.arange(len(raw)),
        labeled=labeled,
        scored=scored,
        patterns=paper_patterns(data.names) if few_patterns else patterns(data.names),
    )


def _data_and_labels(config: RunConfig, raw: MultimodalData) -> tuple[MultimodalData, np.ndarray]:
    """The rows that the run learns from and is scored on, and those of them with labels."""
    share, seed = config.label_fraction, config.seed
    if config.rows == "test":
        return raw, label_split(raw, share, seed)
    if config.rows == "validation":
        data = validation_split(raw, seed)
        return data, label_split(data, share, seed)
    fold = int(config.rows.removeprefix("fold "))
    return label_fold(raw, label_split(raw, share, seed), fold, seed)


def _trained(fabric: Fabric | None, config: RunConfig, scene: Scene) -> Outcome | None:
    """What the training yields; None on all ranks but the first."""
    data = scene.data
    torch.manual_seed(config.seed)
    settings = config.training_config()
    hyper = config.complete()["hyper"]
    method = make_method(config.method, data.task, data.shapes, **hyper)
    if fabric is None:  # which else moves the method to the device of its rank
        method = method.to(config.device)
    weights: dict[str, bytes] = {}

    def keep(step: int, trained: Method) -> None:
        if step in config.snapshots:
            weights[weights_name(step)] = _weights(trained)

    on_step = keep if config.snapshots else None
    started = time.perf_counter()
    history = train(
        method, data, scene.labeled, settings, seed=config.seed, on_step=on_step, fabric=fabric
    )
    seconds = time.perf_counter() - started
    if fabric is not None and fabric.global_rank > 0:
        return None
    if config.keep_weights:
        weights[weights_name()] = _weights(method)
    timings = {
        "train_seconds": seconds,
        "seconds_per_step": seconds / settings.steps,
        "latency_ms": _latencies(method, scene),
    }
    # Without labels there are representations, curves and weights, but no predictions.
    wanted = scene.patterns if len(scene.labeled) else []
    used = LinearHead(method, data, scene.labeled, config.seed) if config.post else method
    metrics, scores = evaluate(used, data, scene.scored, wanted)
    return Outcome(
        scores=scores,
        metrics=metrics,
        timings=timings,
        parameters=sum(parameter.numel() for parameter in method.parameters()),
        curves=history.rows,
        weights=weights,
    )


def _untrained(config: RunConfig, scene: Scene) -> Outcome:
    """The sanity rows, which have nothing but scores and the time they took."""
    data = scene.data
    started = time.perf_counter()
    predictions = sanity_predictions(
        config.method, data, scene.labeled, scene.scored, scene.patterns, config.seed
    )
    metrics, scores = [], {}
    for pattern, values in predictions.items():
        name = pattern_name(pattern)
        rows = having(data, scene.scored, pattern)
        scores[name] = values[np.isin(scene.scored, rows)]
        measured = data.task.metrics(scores[name], data.targets[torch.from_numpy(rows)].numpy())
        for metric, value in measured.items():
            metrics.append({"pattern": name, "variant": "", "metric": metric, "value": value})
    timings = {"train_seconds": time.perf_counter() - started}
    return Outcome(scores, metrics, timings)


def _latencies(method: Method, scene: Scene) -> dict[str, float]:
    """Milliseconds to predict 64 samples, or all where there are fewer, by pattern of the paper."""
    if not len(scene.labeled):
        return {}
    rows = scene.scored[:LATENCY_ROWS]
    latencies = {}
    for pattern in paper_patterns(scene.data.names):
        seconds = []
        for _ in range(LATENCY_CALLS):
            started = time.perf_counter()
            predict(method, scene.data, rows, pattern)
            seconds.append(time.perf_counter() - started)
        latencies[pattern_name(pattern)] = 1000 * median(seconds)
    return latencies


def _weights(method: Method) -> bytes:
    from safetensors.torch import save

    state = method.state_dict()
    return save({name: value.detach().cpu().clone().contiguous() for name, value in state.items()})


def _predictions(scores: dict[str, np.ndarray], scene: Scene) -> pd.DataFrame:
    """Scores as a table: row of the data set, pattern, score_0 … score_{C-1} (float32)."""
    data = scene.data
    rows = [having(data, scene.scored, pattern_modalities(name)) for name in scores]
    nothing = np.empty((0, data.task.n_outputs))
    values = np.concatenate([nothing, *scores.values()])
    table = pd.DataFrame(values.astype(np.float32)).add_prefix("score_")
    names = np.array(list(scores), dtype=object)
    table.insert(0, "pattern", np.repeat(names, [len(chosen) for chosen in rows]))
    table.insert(0, "row", scene.origin[np.concatenate([scene.scored[:0], *rows])])
    return table


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics with None where a metric is not defined, as JSON has no NaN."""
    return row | {"value": None if math.isnan(row["value"]) else row["value"]}


def restore(record: Record, data: MultimodalData, step: int | None = None) -> Method:
    """The trained method of a record that kept its weights, in evaluation mode.

    step: the step after which they were kept; None for the last one. `data` says what the
    modalities and the task are, raw or standardised.
    """
    method = make_method(record.config["method"], data.task, data.shapes, **record.config["hyper"])
    method.load_state_dict(record.weights(step))
    method.saw_labels = bool(record.label_rows)
    return method.eval()
