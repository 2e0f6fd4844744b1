"""MM-IMDb: the published hdf5 file, and raw plots and posters in both layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from raw_sets import encoders, imdb, write_json

from robult_core import datasets
from robult_core.datasets.files import DataError
from robult_core.datasets.mm_imdb import GENRES


def load(folder):
    return datasets.load("mm-imdb-raw", folder, encoders=encoders())


def genres_of(row) -> list[str]:
    return [genre for genre, has in zip(GENRES, row.tolist(), strict=True) if has]


@pytest.mark.parametrize(("texts", "images"), [("dataset", "dataset"), ("labels", "images")])
def test_raw_movies(tmp_path, texts, images):
    imdb(tmp_path, texts, images)
    data = load(tmp_path)
    assert data.display["text"] == ["the longest plot", "", "one plot", "y"]
    assert data.split.tolist() == ["train", "train", "valid", "test"]
    assert genres_of(data.targets[0]) == ["Drama", "War"]
    assert genres_of(data.targets[1]) == ["Film-Noir"]
    assert genres_of(data.targets[3]) == ["Comedy"]
    assert data.present.tolist() == [[True, False, True, True], [True] * 4]
    assert "1 movies without any of the 23 genres left out." in data.notes
    assert "1 movies of split.json without a description file left out." in data.notes


def test_a_plot_and_a_genre_given_as_text_are_that_plot_and_that_genre(tmp_path):
    imdb(tmp_path)
    data = load(tmp_path)
    assert data.display["text"][2] == "one plot"
    assert genres_of(data.targets[2]) == ["Musical"]  # and not "Music" too


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("split.json", ["0000001"], "split.json' holds a list, expected an object"),
        ("split.json", {"train": {"0000001": 1}}, "'train' in .* is no list of names"),
        ("split.json", {"train": [1]}, "'train' in .* is no list of names"),
        ("split.json", {"train": ["../0000001"]}, "'../0000001', which is no name of a file"),
        ("dataset/0000001.json", [1], "0000001.json' holds a list, expected an object"),
        ("dataset/0000001.json", "plot", "0000001.json' holds a text, expected an object"),
        (
            "dataset/0000001.json",
            {"plot": 7, "genres": ["Drama"]},
            "'plot' in .*0000001.json' is 7, expected a list of texts",
        ),
        (
            "dataset/0000001.json",
            {"plot": [["x"]], "genres": ["Drama"]},
            "'plot' in .* expected a list of texts",
        ),
        (
            "dataset/0000001.json",
            {"plot": ["x"], "genres": {"Drama": 1}},
            "'genres' in .* expected a list of texts",
        ),
    ],
)
def test_other_json_than_published(tmp_path, name, content, message):
    root = imdb(tmp_path)
    write_json(root / name, content)
    with pytest.raises(DataError, match=message):
        load(tmp_path)
    assert len(datasets.CATALOGUE["mm-imdb-raw"].check(tmp_path)) == 1


def test_a_part_of_which_no_movie_is_left_is_refused(tmp_path):
    root = imdb(tmp_path)
    splits = {"train": ["0000001"], "dev": ["0000009"], "test": ["0000004"]}
    write_json(root / "split.json", splits)
    with pytest.raises(DataError, match=r"the valid part of .* without a description file"):
        load(tmp_path)


def hdf5(folder: Path, n_train: int = 6) -> Path:
    """Ten movies: row 0 repeats an id of the test part, row 2 has a plot without a known word."""
    h5py = pytest.importorskip("h5py")

    path = folder / "mm-imdb/multimodal_imdb.hdf5"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    n = 10
    text = rng.normal(size=(n, 300)).astype(np.float32)
    text[2] = np.nan
    spans = [("train", 0, n_train), ("dev", n_train, 7), ("test", 7, 10)]
    rows = []
    for part, start, stop in spans:
        for source in ("features", "vgg_features"):
            rows.append((part.encode(), source.encode(), start, stop, None, 1, b"."))
    kind = [
        ("split", "S5"),
        ("source", "S15"),
        ("start", int),
        ("stop", int),
        ("indices", h5py.special_dtype(ref=h5py.Reference)),
        ("available", bool),
        ("comment", "S1"),
    ]
    with h5py.File(path, "w") as file:
        file["features"] = text
        file["vgg_features"] = rng.normal(size=(n, 4096)).astype(np.float32)
        file["genres"] = rng.integers(0, 2, (n, 23)).astype(np.int32)
        file["genres"].attrs["target_names"] = json.dumps(GENRES)
        file["imdb_ids"] = np.array([f"{i:07d}" for i in (*range(9), 0)], dtype="S7")
        file.attrs["split"] = np.array(rows, dtype=kind)
    return path


def test_the_hdf5_file(tmp_path):
    path = hdf5(tmp_path)
    assert "mm-imdb" in datasets.available(tmp_path)
    data = datasets.load("mm-imdb", tmp_path)
    assert data.shapes == {"text": (300,), "image": (4096,)}
    sizes = [len(data.rows(split)) for split in ("train", "valid", "test")]
    assert sizes == [5, 1, 3]  # row 0 is dropped
    assert data.present.sum(1).tolist() == [8, 9]
    assert data.class_names == GENRES
    assert "1 plots without a known word counted as lacking text." in data.notes
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read as the published hdf5 file"):
        datasets.load("mm-imdb", tmp_path)


def test_an_hdf5_file_with_an_empty_part(tmp_path):
    hdf5(tmp_path, n_train=7)
    with pytest.raises(DataError, match=r"the valid part of .* is empty"):
        datasets.load("mm-imdb", tmp_path)
