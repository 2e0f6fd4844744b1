"""Containers of numbers and labels, each read as the same array."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from robult_core.arrays import as_array

X = np.array([[1.0, 2.0], [0.0, 3.0]])


@pytest.mark.parametrize(
    "given",
    [
        X,
        X.tolist(),
        tuple(map(tuple, X)),
        torch.tensor(X, requires_grad=True),
        torch.tensor(X).bfloat16(),
        pd.DataFrame(X),
        pd.DataFrame(X).convert_dtypes(),
        np.ma.masked_array(X),
        sparse.csr_matrix(X),
    ],
)
def test_every_container_is_a_plain_array(given):
    array = as_array(given)
    assert type(array) is np.ndarray
    assert array.astype(float).tolist() == X.tolist()


def test_polars_is_read_as_well():
    polars = pytest.importorskip("polars")
    assert as_array(polars.DataFrame(X)).tolist() == X.tolist()
    assert as_array(polars.Series(["a", None])).tolist() == ["a", None]


def test_memory_is_shared_where_it_can_be(tmp_path):
    np.save(tmp_path / "x.npy", X)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(as_array(on_disk), on_disk)
    tensor = torch.tensor(X)
    assert np.shares_memory(as_array(tensor), tensor.numpy())


@pytest.mark.parametrize(
    "given",
    [
        pd.array([1, pd.NA], dtype="Int64"),
        pd.Series([1, pd.NA], dtype="object"),
        np.ma.masked_array([1, 2], mask=[False, True]),
        np.array([1, pd.NA], dtype=object),
        [1, math.nan],
    ],
)
def test_a_number_that_is_missing_is_nan(given):
    first, second = as_array(given).tolist()
    assert first == 1
    assert math.isnan(second)


def test_a_missing_text_is_no_text():
    assert as_array(["a", None]).tolist() == ["a", None]
    assert as_array(np.ma.masked_array(["a", "b"], mask=[False, True])).tolist() == ["a", None]
    for given in (["a", math.nan], ("a", math.nan), pd.Series(["a", pd.NA], dtype="string")):
        first, second = as_array(given).tolist()
        assert first == "a"
        assert math.isnan(second)
    assert as_array(np.array(["a", "nan"])).tolist() == ["a", "nan"]  # a text to its owner


def test_rows_of_different_lengths_are_no_array():
    with pytest.raises(ValueError, match="inhomogeneous"):
        as_array([[1, 2], [3]])
