"""Samples of a user's files: their ids, and which of them are there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from robult_core.datasets.own_files import Table
from robult_core.inputs import Modalities
from robult_study.own_samples import (
    has_any,
    id_of_fit,
    read_samples,
    refuse_hidden_id,
    remember_id,
)


def table(**columns):
    """Columns as a csv file gives them."""
    named = np.column_stack(list(columns.values())).astype(float).view(Table)
    named.columns = tuple(columns)
    return named


@pytest.fixture
def files(tmp_path):
    (tmp_path / "text.csv").write_text("id,a,b\n007,1,2\n008,3,4\n")
    (tmp_path / "audio.csv").write_text("id,c\n007,5\n008,6\n")
    return [tmp_path / "text.csv", tmp_path / "audio.csv"]


def test_ids_are_read_as_they_are_written_and_are_no_feature(files):
    tables, ids = read_samples(files, ["b"], "id", required=["b", "id"])
    assert ids.tolist() == ["007", "008"]
    assert {name: x.tolist() for name, x in tables.items()} == {
        "text": [1, 3],
        "b": [2, 4],
        "audio": [5, 6],
    }


def test_without_a_column_that_names_them_samples_have_no_ids(files):
    tables, ids = read_samples(files, [], None, required=[None])
    assert ids is None
    assert tables["text"].tolist() == [[7, 1, 2], [8, 3, 4]]
    assert read_samples(files, [], "name")[1] is None
    with pytest.raises(ValueError, match="no file has 'name', as a column or an array"):
        read_samples(files, [], "name", required=["name"])


def test_features_are_read_in_the_order_asked_for(files):
    tables, _ = read_samples(files, [], "id", features={"text": ["b", "a"]})
    assert tables["text"].tolist() == [[2, 1], [4, 3]]


def test_another_number_of_samples_than_ids_is_named(tmp_path):
    np.savez(tmp_path / "d.npz", text=np.ones((9, 2)), id=np.arange(60))
    message = (
        "'text' has 9 rows and the id 'id' 60: give every file the same samples in the same order"
    )
    with pytest.raises(ValueError, match=message):
        read_samples([tmp_path / "d.npz"], [], "id")


def test_a_column_that_can_only_name_samples_is_refused():
    text = table(a=[1, 1, 2], row=[4, 5, 6])
    message = (
        "the column 'row' is the same in text, audio and differs in every row: "
        "say --id row where it names the samples, or drop it"
    )
    with pytest.raises(ValueError, match=message):
        refuse_hidden_id({"text": text, "audio": table(row=[4, 5, 6], b=[1, 1, 2])})


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"audio": table(b=[4, 5, 6])},
        {"audio": table(row=[6, 5, 4])},
        {"audio": table(row=[4, 5, 6]), "video": table(c=[4, 5, 6])},
        {"audio": np.array([[4.0], [5.0], [6.0]])},  # of an archive, without names
    ],
    ids=["one file", "another name", "another order", "not in all", "no table"],
)
def test_a_column_that_not_all_files_share_is_a_feature(others):
    refuse_hidden_id({"text": table(row=[4, 5, 6]), **others})


@pytest.mark.parametrize("cells", [[4, 4, 6], [4], [4, np.nan, 6]])
def test_a_shared_column_that_names_no_sample_is_a_feature(cells):
    refuse_hidden_id({"text": table(row=cells), "audio": table(row=cells)})


def test_samples_that_have_any_modality():
    nothing = [np.nan, np.nan]
    text, audio = np.array([[1.0, 2], nothing, nothing]), np.array([nothing, [1.0, 2], nothing])
    samples = Modalities({"text": text, "audio": audio})
    assert has_any(samples).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="no sample has a modality: every row of text, audio is"):
        has_any(samples[2:])


def test_a_model_remembers_what_named_its_samples(tmp_path):
    remember_id(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    assert id_of_fit(tmp_path) is None
    remember_id(tmp_path, "müde")
    assert json.loads((tmp_path / "samples.json").read_text()) == {"id": "müde"}
    assert id_of_fit(tmp_path) == "müde"


@pytest.mark.parametrize("content", ["[1]", "{}", '{"id'])
def test_what_cannot_be_remembered_says_what_to_do(tmp_path, content):
    (tmp_path / "samples.json").write_text(content)
    with pytest.raises(ValueError, match=r"samples.json' is damaged: delete it, and give --id"):
        id_of_fit(tmp_path)
