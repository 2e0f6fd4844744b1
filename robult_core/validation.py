"""Settings that check themselves: frozen dataclasses whose types say what is allowed, and whose errors are one sentence.

The checking is pydantic's. A class is written as

    @validated
    class TrainingConfig:
        steps: Count = 400
        weight_decay: Weight = 0.05
        sampling: Literal["extra_labeled", "shuffle"] = "extra_labeled"

and `TrainingConfig(steps=0)` raises ValueError("steps of TrainingConfig is 0: it should be greater than or equal to 1").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

T = TypeVar("T", bound=type)

Count = Annotated[int, Field(ge=1)]  # a number of things: steps, rows, units
Whole = Annotated[int, Field(ge=0)]  # a seed, a number of layers that may be none
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]  # of a loss term
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # of dropout: at 1 nothing is left
Seed = Annotated[Whole, Field(lt=2**32)]  # scikit-learn takes no larger one

# Strict: "1" is no number and True is no integer; a whole number stands for a float as everywhere in Python.
_STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass_transform(frozen_default=True)
def validated(cls: T) -> T:
    """A frozen dataclass that checks the type and range of every field when it is made.

    Raises ValueError naming the first field that is wrong, its value and what it should be.
    """
    checked = checked_dataclass(frozen=True, config=_STRICT)(cls)
    checked.__init__ = _with_one_sentence(checked.__init__, checked)
    return checked


def _with_one_sentence(make: Callable[..., None], owner: type) -> Callable[..., None]:
    @wraps(make)
    def __init__(self: Any, *values: Any, **named: Any) -> None:
        try:
            make(self, *values, **named)
        except ValidationError as error:
            raise ValueError(sentence(error, owner)) from None

    return __init__


def sentence(error: ValidationError, owner: type) -> str:
    """The first problem of a validation as one sentence: the field, its value, what it should be."""
    problem = error.errors()[0]
    names = [field.name for field in fields(owner)]
    where = next((str(place) for place in problem["loc"] if place in names), None)
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown setting '{problem['loc'][0]}' of {owner.__name__}: choose from {', '.join(names)}"
    if where is None:  # a check of the whole, whose message is a sentence already
        return str(problem.get("ctx", {}).get("error", problem["msg"]))
    wish = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    return f"{where} of {owner.__name__} is {problem['input']!r}: {wish}"
