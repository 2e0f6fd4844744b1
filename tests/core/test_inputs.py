"""What people hand to an estimator: which containers are read, and what is said of the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from robult_core.inputs import (
    Modalities,
    columns_there,
    presence,
    read_modalities,
    to_array,
    to_tensor,
)

X = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    "given",
    [
        X.tolist(),
        [tuple(row) for row in X],
        X.astype(np.float16),
        X.astype(np.uint8),
        X.astype(object),
        X.astype(str),
        torch.tensor(X).bfloat16(),
        torch.tensor(X).long(),
        torch.tensor(X, requires_grad=True),
        pd.DataFrame(X).convert_dtypes(),
        pd.DataFrame(X).astype(object),
        pd.DataFrame(X).astype("Sparse[float]"),
        np.ma.masked_array(X),
    ],
)
def test_every_container_is_read_as_the_same_numbers(given):
    array = to_array(given, "text")
    assert array.dtype == np.float32
    assert np.array_equal(array, X)


@pytest.mark.filterwarnings("error")
def test_half_precision_is_read_without_a_warning():
    assert to_array(torch.tensor(X).half(), "text").dtype == np.float32


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean"])
def test_a_row_of_pandas_na_is_a_sample_that_lacks_the_modality(dtype):
    frame = pd.DataFrame({"a": [1, pd.NA, 0], "b": [0, pd.NA, 1]}, dtype=dtype)
    assert presence(to_array(frame, "text"), "text").tolist() == [True, False, True]


def test_masked_values_are_missing_ones():
    masked = np.ma.masked_array(X, mask=[[0, 0], [1, 1], [0, 0]])
    assert presence(to_array(masked, "text"), "text").tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "column 'b' of modality 'text' holds val"),
        (pd.DataFrame({"a": [1, 2], "b": pd.Timestamp(0)}), "column 'b' .* holds dates"),
        (np.array([["2026-01-01"]], "M8[D]"), "modality 'text' holds dates: give numbers"),
        (np.array([["x"]]), "modality 'text' holds values that are not numbers"),
        (X * 1j, "Complex data not supported: modality 'text'"),
        (np.where(X == 3, np.inf, X), r"infinite value \(inf\) in row 1"),
        (np.where(X == 3, 1e300, X), r"holds the value 1e\+300, which is too large for float32"),
    ],
)
def test_what_is_no_number_is_named_with_its_place(given, message):
    with pytest.raises(ValueError, match=message):
        to_array(given, "text")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "modality 'audio' is None: leave it out of the dict"),
        ([[1, 2], [3], [4]], "samples of modality 'audio' have different shapes: .* padding"),
        (3.5, "modality 'audio' is a float: give an array, a tensor or a frame"),
        (X[:2], r"different numbers of samples \('text' has 3, 'audio' has 2\)"),
    ],
)
def test_what_is_no_modality_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Modalities({"text": X, "audio": given})


def test_frames_whose_rows_are_in_different_orders_are_refused():
    frame = pd.DataFrame(X, index=["a", "b", "c"])
    with pytest.raises(ValueError, match="'text' and 'audio' have the same index in different ord"):
        Modalities({"text": frame, "plain": X, "audio": frame[::-1]})
    with pytest.raises(ValueError, match="'audio' have only a part of the index in common: give"):
        Modalities({"text": frame, "audio": frame.set_index(np.array(["b", "c", "d"]))})
    for other in (frame.copy(), frame.set_index(np.array(["d", "e", "f"])), X):
        assert len(Modalities({"text": frame, "audio": other})) == 3


@pytest.mark.parametrize("given", [sparse.csr_matrix(X), torch.tensor(X).to_sparse()])
def test_sparse_matrices_are_refused_with_a_remedy(given):
    with pytest.raises(TypeError, match=r"modality 'text' is a sparse matrix.*TruncatedSVD"):
        Modalities({"text": given})


def test_samples_are_taken_from_every_container():
    given = Modalities({"a": X.tolist(), "b": torch.tensor(X), "c": pd.DataFrame(X)})
    for rows in ([0, 2], np.array([True, False, True]), slice(0, 3, 2)):
        part = given[rows]
        assert len(part) == 2
        assert all(np.array_equal(to_array(x, "x"), X[[0, 2]]) for x in part.values())
    asked = given[np.array([0, 2]), ...]  # as scikit-learn asks
    assert all(np.array_equal(to_array(x, "x"), X[[0, 2]]) for x in asked.values())
    assert len(given[-1]) == 1
    assert len(given[[]]) == 0
    with pytest.raises(IndexError, match=r"the mask of rows has shape \(2,\): expected \(3,\)"):
        given[np.array([True, False])]
    assert repr(given) == "Modalities(a (3, 2), b (3, 2), c (3, 2))"


@pytest.mark.parametrize(
    ("given", "columns", "message"),
    [
        ([X, X[:, :1]], None, "X is a list of arrays of different shapes: give a dict"),
        (None, None, "X is None: give a dict"),
        (X, {"text": [0]}, "X is a ndarray, but `modalities` names columns: give one frame"),
        (pd.DataFrame(X), {}, "modalities is an empty dict: name the columns"),
        (pd.DataFrame(X), {"text": "t0"}, r"gives 'text' 't0': give a list .* \['t0'\]"),
        (pd.DataFrame(X), {"text": []}, r"gives 'text' \[\]: give a list of columns"),
        (pd.DataFrame(X), {"text": [0, 7]}, "asks for the column 7, which the frame lacks"),
        (pd.DataFrame(X), {"a+b": [0]}, r"'a\+b' cannot name a modality"),
    ],
)
def test_what_cannot_be_cut_into_modalities_is_named(given, columns, message):
    with pytest.raises(ValueError, match=message):
        read_modalities(given, columns)


def test_what_a_sample_lacks_becomes_zeros():
    there = np.array([True, False, True])
    tensor = to_tensor(np.full((3, 2), np.nan, dtype=np.float32), np.zeros(3, dtype=bool))
    assert torch.equal(tensor, torch.zeros(3, 2))
    given = X.astype(np.float32)
    assert to_tensor(given, there).tolist() == [[*given[0]], [0, 0], [*given[2]]]


def test_a_frame_lacks_the_modalities_of_which_it_has_no_column():
    columns = {"text": ["a", "b"], "audio": ["c"]}
    frame = pd.DataFrame(X, columns=["a", "b"])
    assert columns_there(frame, columns) == {"text": ["a", "b"]}
    assert columns_there(frame[["a"]], columns) == {"text": ["a", "b"]}  # read_modalities refuses
    assert columns_there(pd.DataFrame(X), columns) == columns
