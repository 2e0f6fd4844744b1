"""Predictions for every availability pattern, and the metrics of each as tidy rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.method import Method
from robult_core.protocol import pattern_name

CHUNK = 1024  # rows per forward pass; a number of memory, not of accuracy


def _inputs(
    data: MultimodalData, rows: np.ndarray, pattern: tuple[str, ...], device
) -> dict[str, torch.Tensor]:
    index = torch.from_numpy(np.asarray(rows))
    return {name: data.modalities[name][index].to(device) for name in pattern}


@torch.no_grad()
def predict(
    method: Method, data: MultimodalData, rows: np.ndarray, pattern: tuple[str, ...]
) -> np.ndarray:
    """Scores `(n, C)` of the samples `rows` when only the modalities of `pattern` are there."""
    return predict_all(method, data, rows, pattern)[""]


@torch.no_grad()
def predict_all(
    method: Method, data: MultimodalData, rows: np.ndarray, pattern: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Scores of `predict` under the name "" and those of the method's variants under theirs.

    Raises ValueError for a method that was trained without labels.
    """
    if not method.saw_labels:
        raise ValueError(
            "this method was trained without labels: it has representations (`latents`), but its classifier learnt nothing; give some labels"
        )
    method.eval()
    device = next(method.parameters()).device
    parts: list[dict[str, torch.Tensor]] = []
    for start in range(0, max(len(rows), 1), CHUNK):
        inputs = _inputs(data, rows[start : start + CHUNK], pattern, device)
        parts.append({"": method.predict(inputs), **method.predict_variants(inputs)})
    return {
        name: torch.cat([part[name] for part in parts]).float().cpu().numpy() for name in parts[0]
    }


def predict_present(
    method: Method, data: MultimodalData, rows: np.ndarray, present: torch.Tensor
) -> np.ndarray:
    """Scores `(n, C)` where `present (M, n)` says per sample which modalities are there; samples are grouped by pattern."""
    if not present.any(dim=0).all():
        row = int((~present.any(dim=0)).nonzero()[0, 0])
        raise ValueError(f"sample {row} has no modality left: every sample needs at least one")
    scores = np.empty((len(rows), data.task.n_outputs), dtype=np.float32)
    distinct, group = torch.unique(present, dim=1, return_inverse=True)
    for number, column in enumerate(distinct.T):
        members = np.flatnonzero(group.numpy() == number)
        pattern = tuple(
            name for name, there in zip(data.names, column.tolist(), strict=True) if there
        )
        scores[members] = predict(method, data, np.asarray(rows)[members], pattern)
    return scores


def evaluate(
    method: Method, data: MultimodalData, rows: np.ndarray, patterns: Iterable[tuple[str, ...]]
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Metrics of every pattern as tidy rows with the keys pattern, variant, metric and value, and the scores by pattern name.

    `variant` is "" for the method's own prediction. Samples that lack a modality of a pattern (`data.present`) are left out of it; a pattern
    that no sample has gets no row.
    """
    records, scores = [], {}
    for pattern in patterns:
        chosen = having(data, np.asarray(rows), pattern)
        if not len(chosen):
            continue
        targets = data.targets[torch.from_numpy(chosen)].numpy()
        for variant, values in predict_all(method, data, chosen, pattern).items():
            measured = data.task.metrics(values, targets)
            records += [
                {
                    "pattern": pattern_name(pattern),
                    "variant": variant,
                    "metric": metric,
                    "value": value,
                }
                for metric, value in measured.items()
            ]
            if not variant:
                scores[pattern_name(pattern)] = values
    return records, scores


def having(data: MultimodalData, rows: np.ndarray, pattern: tuple[str, ...]) -> np.ndarray:
    """The rows whose samples have every modality of the pattern."""
    if data.present is None:
        return rows
    wanted = torch.tensor([data.names.index(name) for name in pattern])
    return rows[data.present[wanted][:, torch.from_numpy(rows)].all(dim=0).numpy()]
