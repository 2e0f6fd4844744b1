"""Settings that check themselves: frozen dataclasses whose types say what is allowed.

The checking is pydantic's; every error becomes one sentence. A class is written as

    @validated
    class TrainingConfig:
        steps: Count = 400
        weight_decay: Weight = 0.05
        sampling: Literal["extra_labeled", "shuffle"] = "extra_labeled"

and `TrainingConfig(steps=0)` raises ValueError with the message
"steps of TrainingConfig is 0: it should be greater than or equal to 1".
Such a class is an ordinary dataclass for `fields`, `replace` and `asdict`, and for mypy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import wraps
from typing import Annotated, Any, TypeVar, dataclass_transform

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

SettingsClass = TypeVar("SettingsClass", bound=type)


def _plain_number(value: Any) -> Any:
    """The Python number inside a numpy scalar, so that sizes counted by numpy are welcome."""
    return value.item() if isinstance(value, np.generic) else value


_Integer = Annotated[int, BeforeValidator(_plain_number)]
_Finite = Annotated[float, BeforeValidator(_plain_number), Field(allow_inf_nan=False)]

Count = Annotated[_Integer, Field(ge=1)]  # a number of things: steps, rows, units
Whole = Annotated[_Integer, Field(ge=0)]  # a number of layers that may be none
Seed = Annotated[Whole, Field(lt=2**32)]  # scikit-learn takes no larger one
Even = Annotated[Count, Field(multiple_of=2)]  # what is cut into halves
Positive = Annotated[_Finite, Field(gt=0)]
Weight = Annotated[_Finite, Field(ge=0)]  # of a loss term
Share = Annotated[_Finite, Field(ge=0, le=1)]
Rate = Annotated[_Finite, Field(ge=0, lt=1)]  # of dropout, which leaves nothing at 1

# Strict means that "1" is no number and True is no integer; an integer stands for a float, as
# everywhere in Python.
_STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


@dataclass_transform(frozen_default=True)
def validated(cls: SettingsClass) -> SettingsClass:
    """Make a frozen dataclass that checks the type and the range of every field when it is made.

    The checked class raises ValueError, which names the first field that is wrong, its value and
    what it should be. A `__post_init__` may check several fields together: the message of the
    ValueError it raises is passed on as it is.
    """
    checked: Any = checked_dataclass(frozen=True, config=_STRICT)(cls)
    checked.__init__ = _with_one_sentence(checked.__init__, checked)
    return checked


def _with_one_sentence(make: Callable[..., None], owner: type) -> Callable[..., None]:
    @wraps(make)
    def __init__(self: Any, /, *values: Any, **named: Any) -> None:
        try:
            make(self, *values, **named)
        except ValidationError as error:
            raise ValueError(first_problem_in_words(error, owner)) from None

    return __init__


def first_problem_in_words(error: ValidationError, owner: type) -> str:
    """The first problem of a validation of `owner` as one sentence: field, value, remedy."""
    problems = error.errors()
    first = problems[0]
    names = [field.name for field in fields(owner)]
    if not first["loc"]:  # raised by `__post_init__`
        return str(first.get("ctx", {}).get("error", first["msg"]))
    if any(problem["type"] == "unexpected_positional_argument" for problem in problems):
        return f"{owner.__name__} got more than its {len(names)} values: pass them by name"
    field = _field(first, names)
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(names)
        return f"unknown setting '{field}' of {owner.__name__}: choose from {known}"
    if first["type"] == "missing":
        return f"{field} of {owner.__name__} is missing: give it a value"
    same_field = [problem for problem in problems if _field(problem, names) == field]
    default = getattr(owner, field, ...)  # a field without a default is no attribute of the class
    requirement = _requirement(same_field, may_be_none=default is None)
    return f"{field} of {owner.__name__} is {first['input']!r}: {requirement}"


def _field(problem: Mapping[str, Any], names: Sequence[str]) -> str:
    """The field that a problem is about, or the item of a tuple, as "sizes[1]"."""
    place, *steps = problem["loc"]
    name = names[place] if isinstance(place, int) else place
    items = [f"[{step}]" for step in steps if isinstance(step, int)]
    return name + "".join(items)


def _requirement(problems: Sequence[Mapping[str, Any]], may_be_none: bool) -> str:
    """What a value should be, from the problems it has with each of the types it may have."""
    opening = "Input should be "
    messages = [problem["msg"].removeprefix("Value error, ") for problem in problems]
    if not messages[0].startswith(opening):
        return messages[0]
    choices = [message.removeprefix(opening) for message in messages]
    if may_be_none:
        choices.append("None")
    return f"it should be {' or '.join(choices)}"
