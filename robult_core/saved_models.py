"""Fitted models on disk: weights as safetensors, everything else as JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from robult_core.atomic import write_whole
from robult_core.targets import stands_for_nothing

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
CHECKSUM = "description_sha256"  # files of 0.2.0 and before have none


def write_model(
    folder: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> Path:
    """Write `model.safetensors` and `model.json` below `folder`, which is made."""
    from safetensors.torch import save

    if folder.is_file():
        raise ValueError(f"'{folder}' is a file: name a folder for the model")
    folder.mkdir(parents=True, exist_ok=True)
    on_cpu = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    weights = save(on_cpu)
    content = {"format": FORMAT, "weights_sha256": sha256(weights).hexdigest(), **description}
    try:
        content = _plain(content)
        text = json.dumps({**content, CHECKSUM: _digest(content)}, indent=1, allow_nan=False)
    except TypeError as error:
        raise ValueError(
            f"the model cannot be saved, because JSON holds no such value ({error}): "
            "fit with labels and settings that are numbers or text"
        ) from None
    write_whole(folder / WEIGHTS, weights)
    write_whole(folder / DESCRIPTION, text.encode())
    return folder


def _plain(value: Any) -> Any:
    """A value that JSON can hold.

    NaN becomes None, which marks a missing label as well, and so does a generator of random
    numbers. Arrays and the column names of frames become lists.
    """
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if stands_for_nothing(value):
        return None
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def read_model(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_model` wrote; ValueError for files that are missing, damaged, newer or edited."""
    from safetensors.torch import load

    if folder.is_file():
        raise ValueError(f"'{folder}' is a file: name the folder that save wrote")
    description = _read_description(folder / DESCRIPTION)
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"'{path}' is missing: save the model again") from None
    if description.get("weights_sha256") not in (None, sha256(weights).hexdigest()):
        raise ValueError(
            f"'{path}' is not the file that '{DESCRIPTION}' belongs to, or was changed: "
            "save the model again"
        )
    try:
        return load(weights), description
    except Exception as error:  # safetensors raises an error of its own
        raise ValueError(f"'{path}' is damaged ({error}): save the model again") from None


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"'{path}' is missing: name the folder that save wrote") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is damaged ({error}): save the model again") from None
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"'{path}' has format {found!r}, this version reads {FORMAT}: "
            "save the model again, or install the version that wrote it"
        )
    if description.pop(CHECKSUM, None) not in (None, _digest(description)):
        raise ValueError(
            f"'{path}' is not as it was saved: undo what was edited, or save the model again"
        )
    return description


def _digest(content: Mapping[str, Any]) -> str:
    """A checksum of everything in a description, so that no edit goes by in silence.

    A wrong class or scale would load and give wrong answers.
    """
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
