"""Fitted models on disk: weights as safetensors, everything else as JSON, never pickle."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from torch import Tensor

from robult_core.atomic import write_whole
from robult_core.protocol import pattern_name, patterns
from robult_core.targets import stands_for_nothing
from robult_core.validation import Count, Positive, Share

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


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
        text = json.dumps(_plain(content), indent=1, allow_nan=False)
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
    kind = description.get("estimator")
    if not isinstance(kind, str) or kind not in SHAPES:
        raise ValueError(f"'{path}' has the estimator {kind!r}: known are {', '.join(SHAPES)}")
    try:
        SHAPES[kind].model_validate(description)
    except ValidationError as error:
        raise ValueError(
            f"'{path}' is no description of a {kind}, because {_in_words(error)}: "
            "undo what was edited, or save the model again"
        ) from None
    return description


def _in_words(error: ValidationError) -> str:
    """The first problem of a description: the key, its value, and what it should be."""
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "missing":
        return f"it lacks {key}"
    message = re.sub(r"^(Value error, )|( or instance of \w+)$", "", problem["msg"])
    message = re.sub(r"^(Input|List)", "it", message)
    return f"{key} is {reprlib.repr(problem['input'])}, and {message}" if key else message


# --- what a description holds ---------------------------------------------------------------------

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True)


class _Parameters(_Checked):
    """The parameters that a loaded model reads; a fit checks the others."""

    encoders: None = None  # no file can hold them
    class_weight: Any = None

    @field_validator("class_weight")
    @classmethod
    def _is_a_list_of_pairs(cls, value: Any) -> Any:
        if isinstance(value, list):
            for pair in value:
                if not isinstance(pair, list) or len(pair) != 2:
                    raise ValueError(f"its entry {pair!r} is no pair of a class and its weight")
        return value


class _Attributes(_Checked):
    """The attributes of every fitted model."""

    modality_names_: Annotated[list[str], Field(min_length=1)]
    n_features_in_: Any
    n_steps_: Count
    settings_: dict[str, Any]


class _ClassifierAttributes(_Attributes):
    temperatures_: dict[str, Positive]


class _RegressorAttributes(_Attributes):
    target_mean_: Finite
    target_deviation_: Positive


class _Classes(_Checked):
    """The classes or the names of the labels, and the type of their array."""

    type: str
    values: list[Any]

    @model_validator(mode="after")
    def _are_of_the_type(self) -> _Classes:
        try:
            array = np.asarray(self.values, dtype=self.type)
        except (OverflowError, TypeError, ValueError):
            array = np.empty(0)
        if str(_plain(array)) != str(self.values):  # a text may be cut, a number become a text
            raise ValueError("its values are not of its type")
        return self


class _Description(_Checked):
    """What a model is restored from, beside its weights."""

    parameters: _Parameters
    attributes: _Attributes
    sample_shapes: dict[str, Annotated[list[Count], Field(min_length=1)]]
    columns: dict[str, list[Any]]

    @model_validator(mode="after")
    def _agrees_on_the_modalities(self) -> _Description:
        names = self.attributes.modality_names_
        if sorted(names) != sorted(self.sample_shapes):
            raise ValueError(
                f"attributes.modality_names_ has {', '.join(names)} and sample_shapes "
                f"{', '.join(self.sample_shapes) or 'none'}"
            )
        widths = {name: self.sample_shapes[name][-1] for name in names}
        found = self.attributes.n_features_in_
        if found not in (widths, *widths.values()):
            raise ValueError(
                f"attributes.n_features_in_ is {reprlib.repr(found)} and sample_shapes ends in "
                f"{widths}"
            )
        return self


class _Regressor(_Description):
    attributes: _RegressorAttributes
    base_scores: Annotated[list[Finite], Field(min_length=1, max_length=1)]


class _WithClasses(_Description):
    base_scores: Annotated[list[Share], Field(min_length=2)]
    classes: _Classes

    @model_validator(mode="after")
    def _has_a_score_for_each(self) -> _WithClasses:
        n_classes, n_scores = len(self.classes.values), len(self.base_scores)
        if n_classes != n_scores:
            raise ValueError(f"classes.values has {n_classes} entries and base_scores {n_scores}")
        return self


class _Classifier(_WithClasses):
    attributes: _ClassifierAttributes

    @model_validator(mode="after")
    def _has_sorted_classes(self) -> _Classifier:
        values = np.asarray(self.classes.values)
        if not np.array_equal(values, np.unique(values)):  # a label is found by bisection
            shown = reprlib.repr(self.classes.values)
            raise ValueError(f"classes.values is {shown}, and it should be sorted, each class once")
        return self

    @model_validator(mode="after")
    def _has_temperatures_of_its_patterns(self) -> _Classifier:
        names, given = self.attributes.modality_names_, self.attributes.temperatures_
        strangers = given and sorted(given.keys() - set(map(pattern_name, patterns(names))))
        if strangers:
            raise ValueError(
                f"attributes.temperatures_ has '{strangers[0]}', and the modalities are "
                f"{', '.join(names)}"
            )
        return self


SHAPES: dict[str, type[_Description]] = {  # by the estimator
    "MultimodalClassifier": _Classifier,
    "MultimodalRegressor": _Regressor,
    "MultimodalMultilabelClassifier": _WithClasses,
}
