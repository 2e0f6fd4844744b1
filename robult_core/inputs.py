"""What people hand to an estimator, read into arrays by modality: dicts, frames, tensors.

`Modalities` holds one array per modality. A sample lacks a modality where its whole row is NaN, or
where the modality is not in the dict at all.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robult_core.arrays import LARGEST, as_array
from robult_core.checks import check_modality_name
from robult_core.standardization import SMALLEST_DEVIATION

logger = logging.getLogger("robult_core")

BLOCK = 4096  # rows that are turned into doubles at once
MOST_LOST = 0.01  # of a feature's range, by rounding to float32
ROUNDING = 1e-12  # of a feature's size: below it a range is rounding in float64
TYPICAL = 2000  # rows that tell what is usual
WILD = 1e6  # times what is usual
RARE = 0.01  # of the rows
PLAIN_ARRAY_NAME = "x"  # the name of the one modality of a plain array


class Modalities(Mapping[str, Any]):
    """A dict of modalities whose samples can be taken like the rows of an array.

    scikit-learn's `cross_val_score` and `GridSearchCV` need that: `Modalities(X)[rows]` is the same
    dict for some samples, and `Modalities(X)["text"]` is one modality. `len(Modalities(X))` is the
    number of samples, not of modalities::

        search = GridSearchCV(MultimodalClassifier(), {"method": ["robult", "gmc"]})
        search.fit(Modalities({"text": X_text, "audio": X_audio}), y)
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        if not arrays:
            raise ValueError(
                "X is an empty dict: give at least one modality, such as {'text': array}"
            )
        self.arrays = {name: _indexable(x, name) for name, x in arrays.items()}
        lengths = {name: len(x) for name, x in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"'{name}' has {length}" for name, length in lengths.items())
            raise ValueError(
                f"the modalities have different numbers of samples ({counts}): "
                "give every modality the same samples in the same order"
            )
        for name, x in self.arrays.items():
            check_same_rows(self.arrays, name, x)

    @property
    def shape(self) -> tuple[int]:
        """The number of samples, as scikit-learn asks for it."""
        return (len(next(iter(self.arrays.values()))),)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.arrays[key]
        if isinstance(key, tuple) and key[1:] == (Ellipsis,):  # as scikit-learn asks for rows
            key = key[0]
        if isinstance(key, Integral):
            key = [key]
        if not isinstance(key, slice):
            key = _row_numbers(key, len(self))
        return Modalities({name: _rows(x, key) for name, x in self.arrays.items()})

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        shapes = [f"{name} {tuple(x.shape)}" for name, x in self.arrays.items()]
        return f"Modalities({', '.join(shapes)})"


def _row_numbers(key: Any, n: int) -> np.ndarray:
    """Rows that a list, an array or a mask names, as numbers: polars takes no mask."""
    rows = np.asarray(key)
    if rows.dtype != bool:
        return rows.astype(np.int64) if not rows.size else rows
    if rows.shape != (n,):
        raise IndexError(f"the mask of rows has shape {rows.shape}: expected ({n},)")
    return np.flatnonzero(rows)


def _indexable(x: Any, name: str) -> Any:
    """One modality as something with a shape, whose rows can be taken; lists become arrays."""
    _refuse_sparse(x, name)
    if x is None:
        raise ValueError(f"modality '{name}' is None: leave it out of the dict where it is missing")
    try:
        array = x if hasattr(x, "shape") else as_array(x)
    except ValueError:
        raise ValueError(
            f"the samples of modality '{name}' have different shapes: give all the same, for "
            "instance by padding sequences with steps of zeros"
        ) from None
    if not array.shape:
        raise ValueError(
            f"modality '{name}' is a {type(x).__name__}: give an array, a tensor or a frame"
        )
    return array


def check_same_rows(arrays: Mapping[str, Any], name: str, other: Any) -> None:
    """ValueError where a frame or series of pandas has other rows than the first frame has.

    Rows are compared by the index. Two indexes without a common name say nothing, because then one
    of them does not name the samples.
    """
    frames = [(first, x) for first, x in arrays.items() if hasattr(x, "iloc")]
    if not frames or not hasattr(other, "iloc"):
        return
    first, frame = frames[0]
    if len(frame) != len(other):
        return  # another message says so
    if frame.index.equals(other.index) or frame.index.intersection(other.index).empty:
        return
    is_reordered = frame.index.symmetric_difference(other.index).empty
    wrong = "the same index in different orders" if is_reordered else "only a part of the index"
    raise ValueError(
        f"'{first}' and '{name}' have {wrong}{'' if is_reordered else ' in common'}: "
        "give the same samples in the same order, for instance by .loc, or .reset_index(drop=True) "
        "where the index does not name samples"
    )


def _refuse_sparse(x: Any, name: str) -> None:
    """Sparse matrices would have to be unpacked, which may need more memory than there is."""
    if hasattr(x, "toarray") or (isinstance(x, Tensor) and x.layout != torch.strided):
        raise TypeError(
            f"modality '{name}' is a sparse matrix, and sparse input is not supported: "
            "pass x.toarray(), or reduce its width first, for instance by TruncatedSVD"
        )


def _rows(x: Any, key: Any) -> Any:
    """Some rows of an array or a frame."""
    if hasattr(x, "iloc"):
        return x.iloc[key]
    return x[key]


def read_modalities(X: Any, columns: Mapping[str, Collection[Any]] | None = None) -> Modalities:
    """The modalities behind whatever the user gave, not yet checked for their values.

    X: a mapping from names to arrays; or one frame, cut by `columns` (name -> its columns); or one
    plain array, which is one modality of the name "x".
    """
    if columns is not None:
        _check_column_names(columns)
        return Modalities({name: _columns(X, wanted, name) for name, wanted in columns.items()})
    if isinstance(X, Modalities):
        return X
    _refuse_sparse(X, PLAIN_ARRAY_NAME)  # one of scipy's formats is a dict
    if not isinstance(X, Mapping):
        return Modalities({PLAIN_ARRAY_NAME: _plain_array(X)})
    for name in X:
        check_modality_name(name, "X")
    return Modalities(X)


def _plain_array(X: Any) -> Any:
    """One array that stands for one modality; ValueError for what is none."""
    try:
        plain = X if hasattr(X, "shape") else as_array(X)
    except ValueError:
        raise ValueError(
            f"X is a {type(X).__name__} of arrays of different shapes: give a dict that names the "
            "modalities, such as {'text': first, 'audio': second}"
        ) from None
    if not plain.shape:
        given = "None" if X is None else f"a {type(X).__name__}"
        raise ValueError(f"X is {given}: give a dict with one array per modality, or one array")
    return plain


def _check_column_names(columns: Any) -> None:
    """`modalities` is a dict from names to lists of columns."""
    if not isinstance(columns, Mapping):
        raise ValueError(
            f"modalities is a {type(columns).__name__}: give a dict from the name of each modality "
            "to a list of its columns, such as {'text': ['t0', 't1']}"
        )
    if not columns:
        raise ValueError(
            "modalities is an empty dict: name the columns of at least one modality, such as "
            "{'text': ['t0', 't1']}"
        )
    for name, wanted in columns.items():
        check_modality_name(name, "X")
        if isinstance(wanted, str) or not isinstance(wanted, Collection) or not len(wanted):
            raise ValueError(
                f"modalities gives '{name}' {wanted!r}: give a list of columns, such as ['t0']"
            )


def columns_there(frame: Any, columns: Mapping[str, Collection[Any]]) -> dict[str, Collection[Any]]:
    """The modalities of which a frame has any column: it lacks the others, as a dict may."""
    names = set(getattr(frame, "columns", ()))
    there = {name: wanted for name, wanted in columns.items() if not names.isdisjoint(wanted)}
    return there or dict(columns)


def _columns(frame: Any, wanted: Collection[Any], name: str) -> Any:
    """The columns of one modality in a frame of pandas or polars."""
    if not hasattr(frame, "columns"):
        raise ValueError(
            f"X is a {type(frame).__name__}, but `modalities` names columns: give one frame"
        )
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise ValueError(
            f"modality '{name}' asks for the column {missing[0]!r}, which the frame lacks: "
            f"it has {', '.join(map(str, frame.columns))}"
        )
    return frame[list(wanted)]


def feature_names(x: Any) -> np.ndarray | None:
    """The column names of a frame whose columns all have strings for names; None otherwise."""
    columns = getattr(x, "columns", None)
    if columns is None or not all(isinstance(column, str) for column in columns):
        return None
    return np.asarray(list(columns), dtype=object)


def to_array(x: Any, name: str) -> np.ndarray:
    """One modality as a float32 array `(N, ...)`; ValueError says what cannot be read."""
    array = as_array(x)
    if array.dtype.kind not in "fiub":
        _refuse_columns(x, name)
        array = _numbers(array, name)
    if array.ndim < 2:
        raise ValueError(
            f"modality '{name}' has shape {array.shape}: expected (samples, features) or "
            "(samples, steps, features). Reshape your data, for instance by x.reshape(-1, 1)"
        )
    if 0 in array.shape[1:]:
        raise ValueError(
            f"modality '{name}' has 0 feature(s) (shape={array.shape}) while a minimum of 1 is "
            "required: leave the modality out"
        )
    _check_range(array, name)
    return array.astype(np.float32, copy=False)


def _refuse_columns(frame: Any, name: str) -> None:
    """ValueError naming the first column of a frame of pandas that holds no numbers."""
    if not hasattr(frame, "iloc") or frame.ndim != 2:
        return
    for place, column in enumerate(frame.columns):
        values = frame.iloc[:, place].dropna()
        where = f"column {column!r} of modality '{name}'"
        if values.dtype.kind in "mM":
            raise ValueError(f"{where} holds dates: give numbers, such as days, or leave it out")
        try:
            values.to_numpy().astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{where} holds values that are not numbers ({error}): encode or leave it out"
            ) from None


def _numbers(array: np.ndarray, name: str) -> np.ndarray:
    """An array of objects as floats; None is a missing number."""
    if array.dtype.kind in "mM":
        raise ValueError(f"modality '{name}' holds dates: give numbers, such as days")
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: modality '{name}' has complex numbers, give real ones"
        )
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"modality '{name}' holds values that are not numbers ({error}): encode them first"
        ) from None


def _check_range(array: np.ndarray, name: str) -> None:
    """No infinite value, and none that float32 cannot hold."""
    if array.dtype.kind != "f":
        return
    largest = float(np.nanmax(np.abs(array), initial=0.0)) if array.size else 0.0
    if np.isinf(largest):
        row = int(np.flatnonzero(np.isinf(array.reshape(len(array), -1)).any(1))[0])
        raise ValueError(
            f"modality '{name}' has an infinite value (inf) in row {row}: "
            "replace it, or set the whole row to NaN where the sample lacks the modality"
        )
    if largest > LARGEST:
        raise ValueError(
            f"modality '{name}' holds the value {largest:.3g}, which is too large for float32: "
            "rescale the feature"
        )


def check_resolution(x: Any, name: str) -> None:
    """ValueError where a feature varies too little around its size for float32, such as a time.

    One that is constant but for rounding in float64 is left alone.
    """
    array = as_array(x)
    if array.dtype.kind not in "fiu" or np.can_cast(array.dtype, np.float32) or not array.size:
        return
    array = array.reshape(-1, array.shape[-1])
    lost = np.zeros(array.shape[1])
    lowest, highest = np.full_like(lost, np.inf), np.full_like(lost, -np.inf)
    for start in range(0, len(array), BLOCK):
        block = array[start : start + BLOCK].astype(np.float64)
        error = np.abs(block - block.astype(np.float32))
        lost = np.fmax(lost, np.fmax.reduce(error, axis=0))
        lowest = np.fmin(lowest, np.fmin.reduce(block, axis=0))
        highest = np.fmax(highest, np.fmax.reduce(block, axis=0))
    size = np.fmax(np.abs(lowest), np.abs(highest))
    varies = (highest - lowest > ROUNDING * size) & (size > np.finfo(np.float32).tiny)
    bad = varies & (lost > MOST_LOST * np.where(varies, highest - lowest, 1.0))
    if bad.any():
        column = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"feature {column} of modality '{name}' lies between {lowest[column]:.10g} and "
            f"{highest[column]:.10g}, which float32 cannot tell apart well: subtract its mean, or "
            "leave it out"
        )


def warn_of_tiny_units(array: np.ndarray, name: str) -> None:
    """Say where features vary so little that standardising takes them for constant."""
    rows = array.reshape(-1, array.shape[-1])
    spread = np.nanmax(rows, axis=0) - np.nanmin(rows, axis=0)
    tiny = (spread > 0) & (spread < SMALLEST_DEVIATION)
    if tiny.any():
        logger.warning(
            "%d features of modality '%s', the first is %d, vary by less than %g and count as "
            "constant: give them in a smaller unit",
            int(tiny.sum()),
            name,
            int(np.flatnonzero(tiny)[0]),
            SMALLEST_DEVIATION,
        )


def check_wild_values(array: np.ndarray, name: str) -> None:
    """ValueError where a rare value is so far from the others that nothing is left of them.

    Far means a million times the usual distance of a feature's values from their median, which
    `TYPICAL` rows tell; rare means that nearly none of these rows has such a value.
    """
    rows = array.reshape(-1, array.shape[-1])
    drawn = np.random.default_rng(0).choice(len(rows), min(len(rows), TYPICAL), replace=False)
    some = rows[drawn]
    is_padding = ~some.any(axis=1) if array.ndim == 3 else np.zeros(len(some), dtype=bool)
    some = some[~np.isnan(some).any(axis=1) & ~is_padding].astype(np.float64)
    if not len(some):
        return
    median = np.median(some, axis=0)
    usual = np.median(np.abs(some - median), axis=0)
    reach = np.fmax(np.nanmax(rows, axis=0) - median, median - np.nanmin(rows, axis=0))
    is_rare = (np.abs(some - median) > WILD * usual).mean(axis=0) < RARE
    bad = (usual > 0) & (reach > WILD * usual) & is_rare
    if bad.any():
        column = int(np.flatnonzero(bad)[0])
        row = int(np.nanargmax(np.abs(rows[:, column] - median[column])))
        raise ValueError(
            f"feature {column} of modality '{name}' holds {rows[row, column]:.3g}, and its other "
            f"values lie within about {usual[column]:.3g} of {median[column]:.3g}: correct it, set "
            "the row to NaN, or take logarithms"
        )


def presence(array: np.ndarray, name: str) -> np.ndarray:
    """`(N,)` bool: False where the whole row is NaN. ValueError where a row is NaN in part."""
    holes = np.isnan(array.reshape(len(array), -1))
    absent = holes.all(axis=1)
    partly = holes.any(axis=1) & ~absent
    if partly.any():
        row = int(np.flatnonzero(partly)[0])
        raise ValueError(
            f"modality '{name}' has NaN in some features of row {row}: fill them (steps that a "
            "sequence lacks with zeros), or set the whole row to NaN where the sample lacks the "
            "modality"
        )
    return ~absent


def to_tensor(array: np.ndarray, present: np.ndarray) -> Tensor:
    """Features with zeros where a sample lacks the modality; a copy, never the caller's memory."""
    there = present.reshape(-1, *[1] * (array.ndim - 1))
    return torch.from_numpy(np.where(there, array, np.float32(0)))
