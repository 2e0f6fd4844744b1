"""What rows, seeds, shares, names and patterns must be: checks of data, training, evaluation
and the protocol.

Every check raises ValueError with the value and the remedy, before any work starts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

if TYPE_CHECKING:  # the container checks its names here
    from robult_core.datasets.container import MultimodalData

Rows = np.ndarray | Sequence[int]  # indices of samples
Pattern = tuple[str, ...]  # the modalities that are there
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one


def is_number(value: Any, kind: type = Real) -> bool:
    """Whether a value is a number of this kind; True is none, though Python lets it count as 1."""
    return isinstance(value, kind) and not isinstance(value, bool)


def check_share(name: str, value: Any) -> None:
    """A share is a number between 0 and 1."""
    if not is_number(value) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} is {value!r}: it must lie between 0 and 1")


def check_seed(seed: Any) -> None:
    """A seed is a whole number that every random generator takes."""
    if not is_number(seed, Integral) or not 0 <= int(seed) <= LARGEST_SEED:
        raise ValueError(
            f"seed is {seed!r}: it must be a whole number between 0 and {LARGEST_SEED}"
        )


def check_kind(name: str, value: Any, kind: type) -> None:
    """A value is of the class that is meant, and not, say, None or a dict."""
    if not isinstance(value, kind):
        given = "None" if value is None else f"a {type(value).__name__}"
        raise ValueError(f"{name} is {given}: give a {kind.__name__}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """A count is a whole number that is not too small."""
    if not is_number(value, Integral) or int(value) < least:
        raise ValueError(f"{name} is {value!r}: it must be a whole number of at least {least}")


def checked_device(device: Any) -> str:
    """The device to compute on; "auto" takes CUDA, else MPS, else the CPU.

    Raises ValueError for a device that is unknown or that this machine lacks.
    """
    is_there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return next(name for name, available in is_there.items() if available)
    if device not in is_there:
        raise ValueError(f"device is {device!r}: choose auto, cpu, cuda or mps")
    if not is_there[device]:
        raise ValueError(f"device is {device!r}, which this machine lacks: choose auto or cpu")
    return device


def check_modality_name(name: Any, place: str) -> None:
    """A pattern is written `text+audio`, so the name of a modality is a text without "+".

    place: the data set or method for whose modality the name is meant.
    """
    if not isinstance(name, str) or not name or "+" in name:
        raise ValueError(
            f"{name!r} cannot name a modality of {place}: "
            "give a text that is not empty and has no '+'"
        )


def check_pattern(pattern: Sequence[str], names: Sequence[str]) -> Pattern:
    """The pattern in the order of `names`; every order of its modalities is the same pattern."""
    if isinstance(pattern, str):
        raise ValueError(f"pattern '{pattern}' is a text: pass a tuple, as in ('{pattern}',)")
    if not isinstance(pattern, Sequence):
        raise ValueError(f"pattern is {pattern!r}: pass a tuple of {', '.join(names)}")
    for name in pattern:
        if name not in names:
            raise ValueError(
                f"pattern {tuple(pattern)} holds '{name}': choose from {', '.join(names)}"
            )
    if len(set(pattern)) < len(pattern):
        raise ValueError(f"pattern {tuple(pattern)} holds a modality twice: name each once")
    if not pattern:
        raise ValueError(f"the pattern is empty: choose from {', '.join(names)}")
    return tuple(name for name in names if name in pattern)


def check_rows(rows: Rows, data: MultimodalData) -> Int[np.ndarray, " rows"]:
    """Rows as an array of indices; negative ones would count from the end and are refused."""
    indices = np.asarray(rows)
    if not indices.size:
        return np.empty(0, dtype=np.int64)
    if indices.dtype == bool:
        raise ValueError("rows are a boolean mask: pass indices, as numpy.flatnonzero gives them")
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            f"rows have shape {indices.shape} and type {indices.dtype}: pass a list of integers"
        )
    outside = indices[(indices < 0) | (indices >= len(data))]
    if len(outside):
        raise ValueError(
            f"row {outside[0]} is not in '{data.name}': choose from 0 to {len(data) - 1}"
        )
    return indices.astype(np.int64)


def training_rows(data: MultimodalData) -> Int[np.ndarray, " rows"]:
    """The training rows, ascending; ValueError where there is none."""
    train = data.rows("train")
    if not len(train):
        raise ValueError(f"'{data.name}' has no training rows: mark some as 'train' in its split")
    return train


def check_labeled_rows(labeled_rows: Rows, data: MultimodalData) -> Int[np.ndarray, " rows"]:
    """The labelled rows, ascending.

    Each is named once, and each is a training row whose label the data set knows.
    """
    rows = np.sort(check_rows(labeled_rows, data))
    not_training = np.setdiff1d(rows, data.rows("train"))
    if len(not_training):
        row = not_training[0]
        raise ValueError(
            f"labelled row {row} of '{data.name}' is a {data.split[row]} row: "
            f"labels may only be taken from its training rows, as label_split does"
        )
    unknown = np.setdiff1d(rows, data.labeled_rows("train"))
    if len(unknown):
        raise ValueError(
            f"labelled row {unknown[0]} of '{data.name}' has no known label: "
            f"choose among its labelled rows, as label_split does"
        )
    repeated = rows[1:][rows[1:] == rows[:-1]]
    if len(repeated):
        raise ValueError(
            f"row {repeated[0]} is named twice among the labelled rows: name each once"
        )
    return rows


def check_weights(
    weights: Any, labeled: Int[np.ndarray, " labeled"], n: int
) -> Float[np.ndarray, " samples"]:
    """The weights of n samples in float32, from one number for all or one for each.

    Only those of the labelled rows are looked at.
    """
    try:
        array = np.asarray(weights, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"weights are not numbers ({error}): give one per sample") from None
    if array.ndim == 0:
        array = np.full(n, array)
    if array.shape != (n,):
        raise ValueError(f"weights have shape {array.shape}: give ({n},), one per sample")
    given = array[labeled]
    wrong = labeled[~(np.isfinite(given) & (given >= 0))]
    if len(wrong):
        raise ValueError(
            f"the weight of sample {wrong[0]} is {array[wrong[0]]}: "
            "give a finite number of at least 0"
        )
    if len(labeled) and not given.any():
        raise ValueError(
            f"the weights of all {len(labeled)} labelled samples are zero, so that nothing is "
            "learnt: give one of them a weight above 0"
        )
    return array


def stratification(
    classes: Int[np.ndarray, " rows"], test_share: float
) -> Int[np.ndarray, " rows"] | None:
    """The classes to stratify a cut by, or None where no cut can be stratified.

    Every class needs a row on both sides: so each has two rows at least, and neither side has fewer
    rows than there are classes. `test_share` of the rows, rounded up, go to the test side.
    """
    n_test = math.ceil(test_share * len(classes))
    n_train = len(classes) - n_test
    _, counts = np.unique(classes, return_counts=True)
    if counts.min() < 2 or len(counts) > min(n_train, n_test):
        return None
    return classes


def check_presence(
    present: Bool[Tensor, "modalities rows"], rows: Int[np.ndarray, " rows"]
) -> None:
    """Every sample has at least one modality; `rows` names the samples in the message."""
    is_empty = ~present.any(dim=0).numpy()
    if is_empty.any():
        raise ValueError(
            f"sample {rows[is_empty][0]} has no modality left: every sample needs at least one"
        )
