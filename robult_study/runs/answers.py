"""Kept answers of slow functions: maps, probes, estimators.

An answer depends on the function's arguments, its module, all methods and the versions of all
libraries; together they are the key. It is kept as a record in a store, JSON or parquet under a
hash, so that damage is noticed and a planted file runs no code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import Any, get_type_hints

import joblib
import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from robult_study.provenance import versions
from robult_study.runs.fingerprint import code_of, numerics
from robult_study.runs.store import Record, Store, canonical, sha256, to_parquet

FRAME = "answer.parquet"
ARRAY = "answer.npy"
PLAIN = "answer.json"


def cached(function: Callable, folder: Path) -> Callable:
    """The function, but an answer that was computed before comes from `folder`.

    The annotation of what it returns says how a plain answer is read back: numbers, texts, lists,
    mappings and dataclasses are kept as JSON, frames without a named index as parquet, and arrays
    as bytes that hold no objects.
    """
    store = Store(folder)
    stamp = _stamp(function)

    @wraps(function)
    def answer(*values: Any, **named: Any) -> Any:
        key = sha256(f"{stamp} {_arguments(function, values, named)}".encode())
        record = store.sound(key)
        if record is None:
            name, content = _encoded(function, function(*values, **named))
            with store.lock(key):
                store.put(key, {}, {name: content})
            record = store.get(key)
        return _decoded(function, record)

    return answer


def _stamp(function: Callable) -> str:
    """What an answer depends on besides its arguments."""
    parts = {
        "function": f"{function.__module__}.{function.__qualname__}",
        "code": code_of(inspect.getsource(inspect.getmodule(function))),
        "methods": numerics(),
        "versions": versions(),
    }
    return sha256(canonical(parts).encode())


def _arguments(function: Callable, values: tuple, named: dict[str, Any]) -> str:
    """A hash of the arguments, the same however they are passed."""
    bound = inspect.signature(function).bind(*values, **named)
    bound.apply_defaults()
    return joblib.hash(bound.arguments)


def _encoded(function: Callable, value: Any) -> tuple[str, bytes]:
    """The file in which an answer is kept, and its content."""
    if isinstance(value, pd.DataFrame):
        if not isinstance(value.index, pd.RangeIndex):
            raise TypeError(f"{function.__name__} returns a frame with an index: reset it")
        return FRAME, to_parquet(value)
    if isinstance(value, np.ndarray):
        buffer = BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return ARRAY, buffer.getvalue()
    plain = _adapter(function).dump_python(value, mode="json")
    return PLAIN, json.dumps(plain).encode()


def _decoded(function: Callable, record: Record) -> Any:
    """The answer in a record."""
    (name,) = record.files
    content = record.read(name)
    if name == FRAME:
        return pd.read_parquet(BytesIO(content))
    if name == ARRAY:
        return np.load(BytesIO(content), allow_pickle=False)
    return _adapter(function).validate_python(json.loads(content))


def _adapter(function: Callable) -> TypeAdapter:
    return TypeAdapter(get_type_hints(function)["return"])
