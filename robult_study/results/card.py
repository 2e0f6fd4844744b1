"""The data card: what a set holds, printed beside every result that uses it."""

from __future__ import annotations

import numpy as np

from robult_core.datasets.container import SPLITS, MultimodalData


def card_items(data: MultimodalData) -> dict[str, str]:
    """Label -> text, in reading order; `pandas.Series(card_items(data))` makes a column of it."""
    present = None if data.present is None else data.present.numpy()
    items = {
        "data set": data.name,
        "task": f"{data.task.kind}, {data.task.n_outputs} output(s), judged by {data.task.primary}",
    }
    for index, (name, shape) in enumerate(data.shapes.items()):
        missing = 0 if present is None else int((~present[index]).sum())
        items[f"modality {name}"] = (
            f"{' x '.join(map(str, shape))} features, missing in {missing} of {len(data)} samples"
        )
    items["samples"] = ", ".join(f"{len(data.rows(split))} {split}" for split in SPLITS)
    for split in SPLITS:
        rows = data.rows(split)
        if len(rows):
            items[f"labels, {split}"] = _labels(data, rows)
    items |= {
        "licence": data.licence or "not stated",
        "source": data.source or "not stated",
        "checksum": data.checksum,
    }
    if data.notes:
        items["notes"] = " ".join(data.notes)
    return items


def _labels(data: MultimodalData, rows: np.ndarray) -> str:
    """Count per class: classes, rounded scores, or positives per label."""
    targets = data.targets[rows]
    if data.task.kind == "multilabel":
        names, counts = range(targets.shape[1]), (targets > 0.5).sum(0).tolist()
    else:
        names, counts = (
            x.tolist() for x in data.task.label_classes(targets).unique(return_counts=True)
        )
    named = data.class_names if data.task.kind != "regression" else ()
    text = ", ".join(
        f"{named[label] if named else label}: {count}"
        for label, count in zip(names, counts, strict=True)
    )
    if data.task.kind == "regression":
        text += (
            f" (rounded; mean {targets.mean():.3f}, range {targets.min():g} to {targets.max():g})"
        )
    return text


def card(data: MultimodalData) -> str:
    """The card as text, one line per item."""
    items = card_items(data)
    width = max(map(len, items))
    return "\n".join(f"{key:<{width}}  {value}" for key, value in items.items())
