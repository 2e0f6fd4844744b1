"""Kept answers come back without the work, damage is noticed, and a planted file runs no code."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_runs import flip_byte

from robult_study.runs import answers as module
from robult_study.runs.answers import cached
from robult_study.runs.store import Store

calls: list[str] = []


@dataclass(frozen=True)
class Parts:
    shared: float
    names: tuple[str, ...]


def number(x: np.ndarray, scale: float = 1.0) -> float:
    calls.append("number")
    return float(x.sum() * scale)


def nothing(x: int) -> float:
    calls.append("nothing")
    return math.nan


def parts(x: int) -> list[Parts]:
    calls.append("parts")
    return [Parts(0.1 + 0.2, ("a", "b"))] * x


def frame(x: int) -> pd.DataFrame:
    calls.append("frame")
    return pd.DataFrame({"name": ["a", "b"], "value": [0.1 + 0.2, np.nan], "count": [1, x]})


def array(x: int) -> np.ndarray:
    calls.append("array")
    return np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3) * x


def indexed(x: int) -> pd.DataFrame:
    return pd.DataFrame({"value": [x]}, index=["a"])


@pytest.fixture(autouse=True)
def _no_calls_yet():
    calls.clear()


def answer_file(folder: Path) -> Path:
    """The only file of the only answer in a folder."""
    (path,) = (folder / "records").glob("*/answer.*")
    return path


def test_a_number_comes_back_without_the_work(tmp_path):
    x = np.arange(4.0)
    assert cached(number, tmp_path)(x) == 6.0
    assert cached(number, tmp_path)(x, scale=1.0) == 6.0  # the same question
    assert calls == ["number"]
    assert cached(number, tmp_path)(x + 1) == 10.0
    assert cached(number, tmp_path)(x, 2.0) == 12.0
    assert calls == ["number"] * 3


@pytest.mark.parametrize("function", [parts, frame, array])
def test_every_kind_of_answer_comes_back_as_it_was(tmp_path, function):
    first = cached(function, tmp_path)(2)
    second = cached(function, tmp_path)(2)
    assert calls == [function.__name__]
    for answer in (first, second):
        assert_same(answer, function(2))


def test_nan_is_an_answer(tmp_path):
    assert math.isnan(cached(nothing, tmp_path)(1))
    assert math.isnan(cached(nothing, tmp_path)(1))
    assert calls == ["nothing"]


def test_a_frame_with_an_index_is_refused(tmp_path):
    with pytest.raises(TypeError, match="indexed returns a frame with an index: reset it"):
        cached(indexed, tmp_path)(1)


@pytest.mark.parametrize("name", ["code_of", "numerics", "versions"])
def test_another_code_is_another_question(tmp_path, monkeypatch, name):
    cached(array, tmp_path)(1)
    other = {"python": "another"} if name == "versions" else "another"
    monkeypatch.setattr(module, name, lambda *_: other)
    cached(array, tmp_path)(1)
    assert calls == ["array"] * 2


@pytest.mark.parametrize("function", [number, frame, array])
@pytest.mark.parametrize("place", [0, 40, -1])
def test_one_flipped_byte_is_noticed_and_computed_again(tmp_path, function, place, capsys):
    question = np.ones(2) if function is number else 1
    sound = cached(function, tmp_path)(question)
    flip_byte(answer_file(tmp_path), place)
    mended = cached(function, tmp_path)(question)
    assert calls == [function.__name__] * 2
    assert_same(mended, sound)
    assert "was lost, cut short or edited" in capsys.readouterr().err
    assert Store(tmp_path).problems() == {}


def assert_same(answer: object, expected: object) -> None:
    """Equal in type and in every bit."""
    assert type(answer) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(answer, expected, check_exact=True)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(answer, expected, strict=True)
    else:
        assert answer == expected


class Trap:
    """What a hostile pickle holds."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("function", [number, frame, array])
def test_a_planted_file_runs_no_code(tmp_path, function):
    question = np.ones(2) if function is number else 1
    folder, victim = tmp_path / "answers", tmp_path / "victim"
    sound = cached(function, folder)(question)
    answer_file(folder).write_bytes(pickle.dumps(Trap(victim)))
    assert_same(cached(function, folder)(question), sound)
    assert not victim.exists()


def test_a_planted_array_with_a_matching_hash_runs_no_code_either(tmp_path):
    folder, victim = tmp_path / "answers", tmp_path / "victim"
    cached(array, folder)(1)
    (key,) = Store(folder).keys()
    trap = np.array([Trap(victim)], dtype=object)
    planted = tmp_path / "planted.npy"
    np.save(planted, trap, allow_pickle=True)
    Store(folder).put(key, {}, {module.ARRAY: planted.read_bytes()})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        cached(array, folder)(1)
    assert not victim.exists()
