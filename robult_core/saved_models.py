"""Fitted estimators on disk: weights as safetensors, everything else as JSON, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robult_core.atomic import write_whole
from robult_core.standardization import Standardizer
from robult_core.tasks import Classification, Multilabel, Regression, Task

if TYPE_CHECKING:
    from robult_core.estimators import _Multimodal

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
PLAIN = ("modality_names_", "n_features_in_", "n_steps_", "n_labels_", "temperatures_")
NUMBERS = ("target_mean_", "target_deviation_")


def save_estimator(model: _Multimodal, folder: Path) -> Path:
    """Write `model.safetensors` and `model.json` below `folder`.

    Raises ValueError where the model holds code of the user, which no file can hold.
    """
    from safetensors.torch import save

    if model.encoders:
        raise ValueError(
            f"the encoders of {', '.join(model.encoders)} are code of yours, which no file can "
            "hold: save model.model_.state_dict() beside your code, or pickle the estimator"
        )
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value for name, value in model.model_.state_dict().items()}
    for name, standardizer in model.standardizers_.items():
        tensors[f"mean.{name}"] = standardizer.mean
        tensors[f"deviation.{name}"] = standardizer.deviation
    on_cpu = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_whole(folder / WEIGHTS, save(on_cpu))
    text = json.dumps(_description(model), indent=1, allow_nan=False)
    write_whole(folder / DESCRIPTION, text.encode())
    return folder


def _description(model: _Multimodal) -> dict[str, Any]:
    parameters = model.get_params(deep=False)
    attributes = {name: getattr(model, name) for name in (*PLAIN, *NUMBERS) if hasattr(model, name)}
    description = {
        "format": FORMAT,
        "estimator": type(model).__name__,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "attributes": {name: _plain(value) for name, value in attributes.items()},
        "sample_shapes": {name: list(shape) for name, shape in model.sample_shapes_.items()},
        "columns": {name: list(names) for name, names in model.column_names_.items()},
        "base_scores": model.base_scores_.tolist(),
        "n_outputs": model.model_.task.n_outputs,
    }
    if hasattr(model, "classes_"):
        description["classes"] = {
            "type": model.classes_.dtype.str,
            "values": model.classes_.tolist(),
        }
    return description


def _plain(value: Any) -> Any:
    """A value that JSON can hold; a generator of random numbers becomes None."""
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    return value


def load_estimator(folder: Path, device: str) -> Any:
    """The estimator that `save_estimator` wrote; ValueError for missing, damaged or newer files."""
    from safetensors.torch import load

    description = _read_description(folder / DESCRIPTION)
    try:
        tensors = load((folder / WEIGHTS).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"'{folder / WEIGHTS}' is missing: save the model again") from None
    except Exception as error:  # safetensors raises an error of its own
        raise ValueError(
            f"'{folder / WEIGHTS}' is damaged ({error}): save the model again"
        ) from None
    model = _empty_estimator(description)
    model.standardizers_ = {
        name: Standardizer(tensors[f"mean.{name}"], tensors[f"deviation.{name}"])
        for name in model.modality_names_
    }
    task = _task(description)
    method = model._make_method(task, model.sample_shapes_)
    weights = {
        name.removeprefix("model."): value
        for name, value in tensors.items()
        if name.startswith("model.")
    }
    method.load_state_dict(weights)
    model.model_ = method.to(_torch_device(device)).eval()
    return model


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"'{path}' is missing: name the folder that save wrote") from None
    except ValueError as error:
        raise ValueError(f"'{path}' is damaged ({error}): save the model again") from None
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"'{path}' has format {found!r}, this version reads {FORMAT}: "
            "save the model again, or install the version that wrote it"
        )
    return description


def _empty_estimator(description: dict[str, Any]) -> Any:
    """The estimator with its parameters and attributes, still without a method."""
    from robult_core import estimators

    names = ("MultimodalClassifier", "MultimodalRegressor", "MultimodalMultilabelClassifier")
    if description["estimator"] not in names:
        raise ValueError(
            f"unknown estimator {description['estimator']!r}: known are {', '.join(names)}"
        )
    model = getattr(estimators, description["estimator"])(**description["parameters"])
    for name, value in description["attributes"].items():
        setattr(model, name, value)
    model.modality_names_ = tuple(model.modality_names_)
    shapes = description["sample_shapes"]
    model.sample_shapes_ = {name: tuple(shapes[name]) for name in model.modality_names_}
    model.column_names_ = {
        name: np.asarray(columns, dtype=object) for name, columns in description["columns"].items()
    }
    model.base_scores_ = np.asarray(description["base_scores"])
    if "classes" in description:
        classes = description["classes"]
        model.classes_ = np.asarray(classes["values"], dtype=classes["type"])
    return model


def _task(description: dict[str, Any]) -> Task:
    if description["estimator"] == "MultimodalRegressor":
        return Regression()
    if description["estimator"] == "MultimodalMultilabelClassifier":
        return Multilabel(description["n_outputs"])
    return Classification(description["n_outputs"])


def _torch_device(device: str) -> torch.device:
    if device != "auto":
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
