"""The methods by name: `METHODS[name]` is (class, configuration), `make_method` builds one.

To add a method, subclass `baseline.Baseline` with `outputs`, `losses`, `predict` and `latents`,
write its configuration as a `@validated` class, and add a row to `METHODS`. CONTRIBUTING.md says
the rest, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral
from typing import Any

from torch import nn

from robult_core.checks import check_modality_name, is_number
from robult_core.encoders import Spec
from robult_core.method import Method
from robult_core.methods.action_mae import ActionMAE, ActionMAEConfig
from robult_core.methods.gmc import GMC, GMCConfig
from robult_core.methods.prompt_trans import PromptTrans, PromptTransConfig
from robult_core.methods.robult_distilled import RobultDistilled, RobultDistilledConfig
from robult_core.methods.unimodal import Unimodal, UnimodalConfig
from robult_core.methods.unimodal_distilled import UnimodalDistilled, UnimodalDistilledConfig
from robult_core.model import Robult, RobultConfig
from robult_core.tasks import Task

METHODS: Mapping[str, tuple[type[Any], type[Any]]] = {
    "robult": (Robult, RobultConfig),
    "unimodal": (Unimodal, UnimodalConfig),
    "gmc": (GMC, GMCConfig),
    "action_mae": (ActionMAE, ActionMAEConfig),
    "prompt_trans": (PromptTrans, PromptTransConfig),
    "robult_distilled": (RobultDistilled, RobultDistilledConfig),
    "unimodal_distilled": (UnimodalDistilled, UnimodalDistilledConfig),
}


def make_method(
    name: str, task: Task, specs: Mapping[str, Spec], joint: nn.Module | None = None, **hyper: Any
) -> Method:
    """A fresh method.

    specs: modality name -> sample shape, feature width or module, as in `encoders`.
    joint: a network from the mapping of inputs to `(B, width)`, in place of the built-in f_0.
        Robult on raw inputs, Unimodal and GMC have one; ActionMAE and Prompt-Trans have none.
    hyper: fields of the method's configuration.

    Raises ValueError for an unknown method or setting, naming the allowed ones, for modalities
    without a usable name, and for a joint network that the method has no place for.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"unknown method '{name}': choose one of {', '.join(METHODS)}")
    method, config = METHODS[name]
    allowed = [field.name for field in fields(config)]
    for setting in hyper:
        if setting not in allowed:
            raise ValueError(
                f"method '{name}' has no setting '{setting}': choose from {', '.join(allowed)}"
            )
    _check_modalities(name, specs)
    if joint is None:
        made = method(task, specs, config(**hyper))
    elif method.takes_joint:
        made = method(task, specs, config(**hyper), joint=joint)
    else:
        raise ValueError(f"method '{name}' has no joint network f_0: leave joint out")
    made.sample_shapes = _sample_shapes(specs)
    return made


def _sample_shapes(specs: Mapping[str, Spec]) -> dict[str, tuple[int, ...]]:
    """The shape of a sample of each modality whose encoder is built in."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, spec in specs.items():
        if isinstance(spec, int):
            shapes[name] = (spec,)
        elif not isinstance(spec, nn.Module):
            shapes[name] = tuple(spec)
    return shapes


def _check_modalities(method: str, specs: Mapping[str, Spec]) -> None:
    """ValueError where there is no modality, or one with an unusable name or shape."""
    if not specs:
        raise ValueError(f"method '{method}' got no modality: give at least one")
    for name, spec in specs.items():
        check_modality_name(name, f"method '{method}'")
        if isinstance(spec, nn.Module):
            continue
        sizes = (spec,) if isinstance(spec, int) else spec
        are_sizes = isinstance(sizes, tuple | list) and len(sizes) > 0
        if not are_sizes or not all(is_number(size, Integral) and size > 0 for size in sizes):
            raise ValueError(
                f"modality '{name}' of method '{method}' has the shape {spec!r}: "
                "give a width, a tuple such as (50, 300), or a module"
            )
