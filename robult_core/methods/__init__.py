"""The five methods by name: `METHODS[name]` is (class, configuration), `make_method` builds one from validated settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from torch import nn

from robult_core.encoders import Spec
from robult_core.method import Method
from robult_core.methods.action_mae import ActionMAE, ActionMAEConfig
from robult_core.methods.gmc import GMC, GMCConfig
from robult_core.methods.prompt_trans import PromptTrans, PromptTransConfig
from robult_core.methods.unimodal import Unimodal, UnimodalConfig
from robult_core.model import Robult, RobultConfig
from robult_core.tasks import Task

METHODS: Mapping[str, tuple[type[Method], type]] = {
    "robult": (Robult, RobultConfig),
    "unimodal": (Unimodal, UnimodalConfig),
    "gmc": (GMC, GMCConfig),
    "action_mae": (ActionMAE, ActionMAEConfig),
    "prompt_trans": (PromptTrans, PromptTransConfig),
}


def make_method(
    name: str, task: Task, specs: Mapping[str, Spec], joint: nn.Module | None = None, **hyper: Any
) -> Method:
    """A fresh method; `specs` as in `encoders`, `joint` replaces the built-in f_0, `hyper` are fields of the method's configuration.

    Raises ValueError for an unknown method or setting, naming the allowed ones.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method '{name}': choose one of {', '.join(METHODS)}")
    method, config = METHODS[name]
    allowed = [field.name for field in fields(config)]
    unknown = sorted(set(hyper) - set(allowed))
    if unknown:
        raise ValueError(
            f"method '{name}' has no setting '{unknown[0]}': choose from {', '.join(allowed)}"
        )
    if not specs:
        raise ValueError(f"method '{name}' got no modality: give at least one")
    return method(task, specs, config(**hyper), joint=joint)
