"""Whatever holds numbers or labels, read into a numpy array: the one reader of containers.

Lists, arrays, masked arrays, memory maps, sparse matrices, tensors of torch, and frames and series
of pandas and polars. What the values mean is said by `inputs` (features) and `targets` (labels).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = float(np.finfo(np.float32).max)  # the largest number of a feature or a target


def as_array(x: Any) -> np.ndarray:
    """The values of any container as one array, without a copy where it can be.

    A missing value is NaN among numbers, and NaN or None among objects. Lists of texts become
    objects, so that NaN among them does not become the text "nan". Raises ValueError, with numpy's
    own words, where the rows have different lengths.
    """
    if hasattr(x, "toarray"):  # scipy's sparse matrices
        return x.toarray()
    if isinstance(x, Tensor):
        x = x.float() if x.dtype == torch.bfloat16 else x  # numpy has no bfloat16
        return x.detach().cpu().numpy()
    if isinstance(x, np.ma.MaskedArray):
        return _without_mask(x)
    array = np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    if array.dtype.kind == "U" and isinstance(x, (list, tuple)):
        array = np.asarray(x, dtype=object)
    if array.dtype.kind == "O":
        array = np.where(_is_na(array), np.nan, array)
    return array


def _without_mask(x: np.ma.MaskedArray) -> np.ndarray:
    """A masked array as a plain one: NaN where a number is masked, None where something else is."""
    if x.dtype.kind in "fiub":
        return np.ma.filled(x.astype(np.float64), np.nan)
    values = x.data.astype(object)
    values[np.ma.getmaskarray(x)] = None
    return values


def _is_na(array: np.ndarray) -> np.ndarray:
    """Where an array of objects holds pandas' NA, which is no float."""
    is_na = [type(value).__name__ == "NAType" for value in array.ravel()]
    return np.array(is_na, dtype=bool).reshape(array.shape)
