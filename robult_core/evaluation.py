"""Predictions for every availability pattern, and the metrics of each as tidy rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from robult_core.checks import (
    Pattern,
    Rows,
    check_kind,
    check_pattern,
    check_rows,
)
from robult_core.datasets.container import MultimodalData
from robult_core.method import Method
from robult_core.protocol import pattern_name

CHUNK = 1024  # rows per pass; it bounds the memory and changes no result


@torch.no_grad()
def predict(
    method: Method, data: MultimodalData, rows: Rows, pattern: Pattern
) -> Float[np.ndarray, "rows outputs"]:
    """Scores of the samples `rows` when only the modalities of `pattern` are there.

    The data must be standardised as it was for the training; nothing is scaled here.

    Raises ValueError for rows or patterns that the data does not have, and for a method that was
    trained without labels.
    """
    chunks = _chunks(method, data, rows, pattern)
    return _joined([method.predict(inputs) for inputs in chunks])


@torch.no_grad()
def predict_all(
    method: Method, data: MultimodalData, rows: Rows, patterns: Sequence[Pattern]
) -> dict[str, dict[str, Float[np.ndarray, "rows outputs"]]]:
    """By pattern name, the scores of `predict` under "" and those of the variants by their names.

    Whatever the number of patterns, each modality is encoded once.
    """
    parts: dict[str, dict[str, list[Tensor]]] = {}
    for inputs in _chunks(method, data, rows, data.names):
        with _encoding_once(method):
            for pattern in patterns:
                given = {name: inputs[name] for name in check_pattern(pattern, data.names)}
                scores = {"": method.predict(given), **method.predict_variants(given)}
                of_pattern = parts.setdefault(pattern_name(pattern), {})
                for variant, values in scores.items():
                    of_pattern.setdefault(variant, []).append(values)
    return {
        name: {variant: _joined(values) for variant, values in variants.items()}
        for name, variants in parts.items()
    }


@contextmanager
def _encoding_once(method: Method) -> Iterator[None]:
    """Within it, an encoder that gets the very same tensor again gives its first answer again."""
    encoders = set(method.unimodal_encoders())
    for encoder in encoders:
        encoder.forward = cache(encoder.forward)  # tensors are compared by identity
    try:
        yield
    finally:
        for encoder in encoders:
            del encoder.forward  # the class's own method is seen again


def evaluate(
    method: Method, data: MultimodalData, rows: Rows, patterns: Iterable[Pattern]
) -> tuple[list[dict[str, Any]], dict[str, Float[np.ndarray, "_ outputs"]]]:
    """The metrics of every pattern as tidy rows, and the scores by pattern name.

    The rows have the keys pattern, variant, metric and value; `variant` is "" for the method's own
    prediction. Samples that lack a modality of a pattern (`data.present`) are left out of it, and a
    pattern that no sample has gets no row.

    Raises ValueError where a row has no known label.
    """
    records = []
    scores = {}
    _check_known(data, rows)
    patterns = [check_pattern(pattern, data.names) for pattern in patterns]
    chosen = {pattern_name(pattern): having(data, rows, pattern) for pattern in patterns}
    found: dict[str, dict[str, np.ndarray]] = {}
    for group in _of_the_same_rows(patterns, chosen):
        found |= predict_all(method, data, chosen[pattern_name(group[0])], group)
    for name in map(pattern_name, patterns):
        if name not in found:
            continue
        targets = data.targets[torch.from_numpy(chosen[name])].numpy()
        scores[name] = found[name][""]
        for variant, values in found[name].items():
            for metric, value in data.task.metrics(values, targets).items():
                row = {"pattern": name, "variant": variant, "metric": metric, "value": value}
                records.append(row)
    return records, scores


def _check_known(data: MultimodalData, rows: Rows) -> None:
    """ValueError for rows whose targets are placeholders."""
    rows = check_rows(rows, data)
    if data.known is None:
        return
    unknown = rows[~data.known.numpy()[rows]]
    if len(unknown):
        raise ValueError(
            f"{len(unknown)} of the {len(rows)} rows to measure have no known label, the first is "
            f"row {unknown[0]}: leave them out (data.labeled_rows names those that have one)"
        )


def _of_the_same_rows(
    patterns: Sequence[Pattern], chosen: Mapping[str, np.ndarray]
) -> list[list[Pattern]]:
    """Patterns that some sample has, those of the same samples together."""
    groups: dict[bytes, list[Pattern]] = {}
    for pattern in patterns:
        rows = chosen[pattern_name(pattern)]
        if len(rows):
            groups.setdefault(rows.tobytes(), []).append(pattern)
    return list(groups.values())


def having(data: MultimodalData, rows: Rows, pattern: Pattern) -> Int[np.ndarray, " chosen"]:
    """Those of the rows whose samples have every modality of the pattern."""
    rows = check_rows(rows, data)
    pattern = check_pattern(pattern, data.names)
    if data.present is None:
        return rows
    modalities = [data.names.index(name) for name in pattern]
    present = data.present[modalities][:, torch.from_numpy(rows)]
    return rows[present.all(dim=0).numpy()]


def _chunks(
    method: Method, data: MultimodalData, rows: Rows, pattern: Pattern
) -> Iterator[dict[str, Tensor]]:
    """The inputs of `rows` on the method's device, in evaluation mode, `CHUNK` rows at a time.

    Without any row there is one empty chunk, so that a prediction has its shape.
    """
    check_kind("method", method, Method)
    check_kind("data", data, MultimodalData)
    if not method.saw_labels:
        raise ValueError(
            "this method was trained without labels: it has representations (`latents`), but its "
            "classifier learnt nothing; give some labels"
        )
    index = torch.from_numpy(check_rows(rows, data))
    pattern = check_pattern(pattern, data.names)
    method.check_samples({name: data.shapes[name] for name in pattern})
    method.eval()
    device = next(method.parameters()).device
    for start in range(0, max(len(index), 1), CHUNK):
        chunk = index[start : start + CHUNK]
        yield {name: data.modalities[name][chunk].to(device) for name in pattern}


def _joined(scores: list[Tensor]) -> Float[np.ndarray, "rows outputs"]:
    return torch.cat(scores).float().cpu().numpy()
