"""The five methods by name: `METHODS[name]` is (class, configuration), `make_method` builds one from validated settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any

from torch import nn

from robult_core.encoders import Spec
from robult_core.methods.base import Batch, Method
from robult_core.tasks import Task

__all__ = ["METHODS", "Batch", "Method", "make_method"]

_PLACES = {  # where each lives; imported on use, because Robult's own module imports this package
    "robult": ("robult_core.model", "Robult"),
    "unimodal": ("robult_core.methods.unimodal", "Unimodal"),
    "gmc": ("robult_core.methods.gmc", "GMC"),
    "action_mae": ("robult_core.methods.action_mae", "ActionMAE"),
    "prompt_trans": ("robult_core.methods.prompt_trans", "PromptTrans"),
}


@cache
def _methods() -> dict[str, tuple[type[Method], type]]:
    found = {name: (import_module(module), cls) for name, (module, cls) in _PLACES.items()}
    return {name: (getattr(module, cls), getattr(module, f"{cls}Config")) for name, (module, cls) in found.items()}


def __getattr__(name: str) -> Any:
    if name == "METHODS":
        return _methods()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def make_method(
    name: str, task: Task, specs: Mapping[str, Spec], joint: nn.Module | None = None, **hyper: Any
) -> Method:
    """A fresh method; `specs` as in `encoders`, `joint` replaces the built-in f_0, `hyper` are fields of the method's configuration.

    Raises ValueError for an unknown method or setting, naming the allowed ones.
    """
    if name not in _PLACES:
        raise ValueError(f"unknown method '{name}': choose one of {', '.join(_PLACES)}")
    method, config = _methods()[name]
    allowed = [field.name for field in fields(config)]
    unknown = sorted(set(hyper) - set(allowed))
    if unknown:
        raise ValueError(f"method '{name}' has no setting '{unknown[0]}': choose from {', '.join(allowed)}")
    if not specs:
        raise ValueError(f"method '{name}' got no modality: give at least one")
    return method(task, specs, config(**hyper), joint=joint)
