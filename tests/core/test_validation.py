"""Checked settings: every kind of wrong value gives one sentence with field, value and remedy."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Literal

import numpy as np
import pytest
from pydantic import field_validator

from robult_core.methods.gmc import GMCConfig
from robult_core.validation import Count, Even, Positive, Rate, Share, Weight, Whole, validated


@validated
class Inner:
    size: Count = 1


@validated
class Example:
    steps: Count = 3
    seed: Whole = 0
    rate: Positive = 0.1
    weight: Weight = 1.0
    share: Share = 0.5
    dropout: Rate = 0.3
    kind: Literal["plain", "fancy"] = "plain"
    wanted: bool = False
    bandwidth: Positive | None = None
    folder: str | None = None
    sizes: tuple[Count, ...] = ()
    length: Even = 4
    rows: Count | Literal["all"] = "all"
    inner: Inner = Inner()

    @field_validator("folder")
    @classmethod
    def _is_no_url(cls, value: str | None) -> str | None:
        if value is not None and "://" in value:
            raise ValueError("give the path of a folder")
        return value

    def __post_init__(self) -> None:
        if self.steps < self.seed:
            raise ValueError(f"steps is {self.steps} and seed {self.seed}: keep seed below steps")


@validated
class Needy:
    size: Count


@pytest.mark.parametrize(
    ("field", "value", "wish"),
    [
        ("steps", 0, "it should be greater than or equal to 1"),
        ("steps", "3", "it should be a valid integer"),
        ("steps", 3.0, "it should be a valid integer"),
        ("steps", True, "it should be a valid integer"),
        ("steps", None, "it should be a valid integer"),
        ("seed", -1, "it should be greater than or equal to 0"),
        ("rate", 0, "it should be greater than 0"),
        ("rate", math.inf, "it should be a finite number"),
        ("weight", -0.5, "it should be greater than or equal to 0"),
        ("weight", math.nan, "it should be a finite number"),
        ("weight", "1", "it should be a valid number"),
        ("share", -0.1, "it should be greater than or equal to 0"),
        ("share", 1.1, "it should be less than or equal to 1"),
        ("share", math.nan, "it should be a finite number"),
        ("dropout", 1.0, "it should be less than 1"),
        ("dropout", math.nan, "it should be a finite number"),
        ("kind", "odd", "it should be 'plain' or 'fancy'"),
        ("wanted", 1, "it should be a valid boolean"),
        ("bandwidth", 0.0, "it should be greater than 0 or None"),
        ("folder", 3, "it should be a valid string or None"),
        ("folder", "a://b", "give the path of a folder"),
        ("sizes", [1], "it should be a valid tuple"),
        ("length", 3, "it should be a multiple of 2"),
        ("rows", "some", "it should be a valid integer or 'all'"),
        ("rows", 0, "it should be greater than or equal to 1 or 'all'"),
        ("inner", {"size": 2}, "it should be an instance of Inner"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_field_value_and_remedy(field, value, wish):
    with pytest.raises(ValueError) as caught:
        Example(**{field: value})
    assert str(caught.value) == f"{field} of Example is {value!r}: {wish}"


def test_a_wrong_item_is_named_by_its_place():
    with pytest.raises(ValueError) as caught:
        Example(sizes=(1, 0))
    assert str(caught.value) == (
        "sizes[1] of Example is 0: it should be greater than or equal to 1"
    )


def test_the_first_of_several_wrong_values_is_named():
    with pytest.raises(ValueError, match=r"^seed of Example is -1: .* equal to 0$"):
        Example(seed=-1, weight=-1.0, kind="odd")


@pytest.mark.parametrize(
    ("values", "named", "message"),
    [
        ((), {"self": 3}, "unknown setting 'self' of Example: choose from steps, seed, rate, "),
        ((), {"stepz": 3}, "unknown setting 'stepz' of Example: choose from steps, seed, rate, "),
        ((3, 0, 0), {}, "rate of Example is 0: it should be greater than 0"),
        ((1,) * 15, {}, "Example got more than its 14 values: pass them by name"),
        ((2, 3), {}, "steps is 2 and seed 3: keep seed below steps"),
    ],
)
def test_names_positions_and_several_fields_are_checked(values, named, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Example(*values, **named)


def test_a_field_without_default_is_asked_for():
    with pytest.raises(ValueError, match=r"^size of Needy is missing: give it a value$"):
        Needy()


def test_the_error_hides_the_machinery_behind_it():
    with pytest.raises(ValueError) as caught:
        Example(steps=0)
    assert type(caught.value) is ValueError
    assert caught.value.__suppress_context__


def test_numbers_of_numpy_are_welcome_and_become_plain():
    example = Example(steps=np.int64(7), seed=np.uint8(2), rate=np.float32(0.5), weight=np.int32(2))
    assert [type(value) for value in (example.steps, example.seed)] == [int, int]
    assert [type(value) for value in (example.rate, example.weight)] == [float, float]
    assert example == Example(steps=7, seed=2, rate=0.5, weight=2.0)


NUMBERS = ["steps", "seed", "rate", "weight", "share", "dropout", "bandwidth", "length", "rows"]


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_a_boolean_is_no_number(field, value):
    with pytest.raises(ValueError, match=rf"^{field} of Example is (True|False): it should be a"):
        Example(**{field: value})


@pytest.mark.parametrize("value", [np.float64(3.0), np.bool_(True)])
def test_a_numpy_scalar_of_another_kind_is_no_count(value):
    with pytest.raises(ValueError, match="it should be a valid integer"):
        Example(steps=value)


def test_it_is_a_frozen_dataclass():
    example = Example(steps=5)
    assert [field.name for field in fields(Inner)] == ["size"]
    assert asdict(example)["inner"] == {"size": 1}
    assert replace(example, steps=6) == Example(steps=6)
    assert repr(Inner(2)) == "Inner(size=2)"
    assert pickle.loads(pickle.dumps(Inner(2))) == copy.deepcopy(Inner(2))
    assert len({Inner(2), Inner(2), Inner(3)}) == 2
    with pytest.raises(FrozenInstanceError):
        example.steps = 6


def test_replace_checks_too():
    with pytest.raises(ValueError, match="steps of Example is 0"):
        replace(Example(), steps=0)


def test_a_class_of_the_package_is_checked_alike_under_the_shape_checker():
    with pytest.raises(ValueError) as caught:
        GMCConfig(width="128")
    assert str(caught.value) == "width of GMCConfig is '128': it should be a valid integer"
