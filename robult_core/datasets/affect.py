"""CMU-MOSI and CMU-MOSEI as published: the pickles of MulT (GMC reads these) and of MMSA, aligned and unaligned.

Both are a dictionary split -> fields. MulT: 'labels' `(N, 1, 1)`, ids as bytes or text, audio with -inf. MMSA: 'regression_labels' `(N,)`.
Text, audio and vision are `(N, T, F)`; T and F are taken from the arrays, the side of the padding is measured and goes into the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import DataError
from robult_core.datasets.pickles import load_pickle
from robult_core.tasks import Task

MODALITIES = ("text", "audio", "vision")


def load_affect(folder: Path, task: Task, candidates: Sequence[str]) -> MultimodalData:
    """Read the first of `candidates` that is there; rows without a finite label and repeated ids are left out and counted."""
    path = next(folder / candidate for candidate in candidates if (folder / candidate).exists())
    content = load_pickle(path)
    if not isinstance(content, dict) or not {"train", "valid", "test"} <= set(content):
        raise DataError(
            f"pickle '{path}' has no splits train, valid and test: it is neither a MulT nor an MMSA file"
        )
    parts = {split: content[split] for split in ("train", "valid", "test")}
    label_key = "regression_labels" if "regression_labels" in parts["train"] else "labels"
    arrays, labels = _arrays(path, parts, label_key)
    split = np.repeat(list(parts), [len(part[label_key]) for part in parts.values()])
    ids = [_text(item) for part in parts.values() for item in part.get("id", ())]
    fresh = (
        first_occurrences(ids, split)
        if len(ids) == len(labels)
        else np.ones(len(labels), dtype=bool)
    )
    keep = fresh & np.isfinite(labels)
    notes = [f"Read from {path.name}."]
    notes += count_note(int((~np.isfinite(labels)).sum()), "rows without a finite label left out")
    notes += count_note(int((~fresh).sum()), "rows with a repeated id left out")
    modalities, present = {}, []
    for modality, x in arrays.items():
        bad = ~np.isfinite(x)
        notes += count_note(int(bad.sum()), f"{modality} values that were not finite set to 0")
        x[bad] = 0
        x = x if keep.all() else x[keep]
        modalities[modality] = torch.from_numpy(x)
        present.append(torch.from_numpy(x.any(axis=(1, 2))))
        notes += [f"{modality}: {padding_side(x)}."]
        notes += count_note(
            int((~present[-1]).sum()), f"samples whose {modality} is all zero counted as lacking it"
        )
    mask = torch.stack(present)
    raw = [text for part in parts.values() for text in part.get("raw_text", ())]
    return MultimodalData(
        name="affect",
        task=task,
        modalities=modalities,
        targets=torch.from_numpy(labels[keep]),
        split=split[keep],
        present=None if mask.all() else mask,
        display={"transcript": [str(raw[row]) for row in np.flatnonzero(keep)]}
        if len(raw) == len(keep)
        else {},
        notes=tuple(notes),
    )


def _arrays(
    path: Path, parts: dict[str, dict], label_key: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Modalities over all splits in the order train, valid, test, and the labels `(N,)`."""
    try:
        labels = np.concatenate(
            [np.asarray(part[label_key], dtype=np.float32).reshape(-1) for part in parts.values()]
        )
        arrays = {
            name: np.concatenate(
                [np.asarray(part[name], dtype=np.float32) for part in parts.values()]
            )
            for name in MODALITIES
        }
    except (KeyError, ValueError) as error:
        raise DataError(
            f"pickle '{path}' is not in the published form ({error}): every split needs {', '.join(MODALITIES)} and '{label_key}'"
        ) from error
    for name, x in arrays.items():
        if x.ndim != 3 or len(x) != len(labels):
            raise DataError(
                f"'{name}' in '{path}' has shape {x.shape}: expected ({len(labels)}, steps, features), one row per label"
            )
    return arrays, labels


def _text(item: object) -> str:
    """One id: bytes or text, alone or as a row [video, start, end]."""
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    return "_".join(map(_text, item)) if isinstance(item, (np.ndarray, list, tuple)) else str(item)


def first_occurrences(ids: Sequence | np.ndarray, split: np.ndarray) -> np.ndarray:
    """`(N,)` bool, one True per id; of copies the test row stays, then the valid row, so that nothing evaluated is trained on."""
    order = np.argsort([("test", "valid", "train").index(part) for part in split], kind="stable")
    _, first = np.unique(np.asarray(ids, dtype=str)[order], return_index=True)
    keep = np.zeros(len(split), dtype=bool)
    keep[order[first]] = True
    return keep


def count_note(count: int, what: str) -> list[str]:
    """A note for the data card, none when there is nothing to tell."""
    return [f"{count} {what}."] if count else []


def padding_side(x: np.ndarray) -> str:
    """Where `(N, T, F)` has all-zero steps: counted over samples that have some at one end only."""
    real = x.any(axis=2)
    real = real[real.any(axis=1)]
    left, right = int((~real[:, 0] & real[:, -1]).sum()), int((real[:, 0] & ~real[:, -1]).sum())
    if left == right:
        return "no padding" if left == 0 else "padding on either side"
    side, other = ("left", right) if left > right else ("right", left)
    return f"padding on the {side} in {max(left, right)} samples, on the other side in {other}"
