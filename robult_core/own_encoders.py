"""Encoders that a user brings to an estimator: checked, tried on zeros, and put into a method."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from robult_core.method import Method
from robult_core.methods import METHODS, make_method
from robult_core.model import Robult
from robult_core.tasks import Task

Shape = tuple[int, ...]  # of one sample


def check_modules(encoders: Mapping[str, Any]) -> None:
    """ValueError for an encoder that is no `nn.Module`."""
    for name, encoder in encoders.items():
        if not isinstance(encoder, nn.Module):
            kind = type(encoder).__name__
            raise ValueError(f"the encoder of '{name}' is a {kind}: give an nn.Module")


def make_method_with(
    encoders: Mapping[str, nn.Module],
    method: str,
    task: Task,
    shapes: Mapping[str, Shape],
    settings: Mapping[str, Any],
) -> Method:
    """A fresh method with encoders of the user for some modalities, or for none.

    The encoders are copied, never trained in place; the method makes those of the other modalities
    from their shapes. Raises ValueError for an encoder of a modality that is not there, for one
    that does not read its samples or gives another width than the method's, and for a method that
    needs a joint network of raw inputs as well.
    """
    if encoders:
        _check_names(encoders, shapes)
        _check_no_joint(method, settings)
        if _is_robult(method):  # f_0 on the h_i needs no network of its own
            settings = {"fusion": "latents", **settings}
    specs = {
        name: deepcopy(encoders[name]) if name in encoders else shape
        for name, shape in shapes.items()
    }
    made = make_method(method, task, specs, **settings)
    config: Any = made.config
    for name, encoder in encoders.items():
        _check_output(name, encoder, shapes[name], config.width)
    return made


def _check_names(encoders: Mapping[str, nn.Module], shapes: Mapping[str, Shape]) -> None:
    unknown = [name for name in encoders if name not in shapes]
    if unknown:
        raise ValueError(
            f"encoders names the modality '{unknown[0]}', which X lacks: it has {', '.join(shapes)}"
        )


def _check_no_joint(method: str, settings: Mapping[str, Any]) -> None:
    """The method needs no f_0 of raw inputs, which only the user could give."""
    fuses_latents = _is_robult(method) and settings.get("fusion", "latents") == "latents"
    if method not in METHODS or fuses_latents:  # an unknown method is named by make_method
        return
    method_class, _ = METHODS[method]
    if method_class.takes_joint:
        raise ValueError(
            f"method '{method}' needs a joint network beside encoders of your own, which an "
            "estimator cannot take: choose robult, robult_distilled, action_mae or prompt_trans, "
            "or build the method by make_method(..., joint=...)"
        )


def _is_robult(method: str) -> bool:
    """Whether the method is a Robult, whose f_0 may work on the h_i."""
    return method in METHODS and issubclass(METHODS[method][0], Robult)


def _check_output(name: str, encoder: nn.Module, shape: Shape, width: int) -> None:
    """The encoder reads samples of this shape and gives `(B, width)`."""
    probe = deepcopy(encoder).cpu().eval()
    try:
        with torch.no_grad():
            output = probe(torch.zeros(2, *shape))
    except Exception as error:  # whatever the user's code raises
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"the encoder of '{name}' fails on float32 samples of shape {shape}: {reason}"
        ) from error
    found = tuple(getattr(output, "shape", ()))
    if found != (2, width):
        raise ValueError(
            f"the encoder of '{name}' gives shape {found} for 2 samples, expected {(2, width)}: "
            f"end it in a layer of width {width}, or name its own by settings={{'width': ...}}"
        )
