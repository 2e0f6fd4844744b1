"""The small sets of one file each: their content, splits and labels."""

from __future__ import annotations

import numpy as np
import pytest
from public_sets import mirror

from robult_core import datasets
from robult_core.datasets.files import DataError


def test_digits_quadrants_rebuild_the_image():
    data = datasets.load("digits")
    quadrants = {name: x.reshape(-1, 4, 4).numpy() for name, x in data.modalities.items()}
    top = np.concatenate([quadrants["top_left"], quadrants["top_right"]], axis=2)
    bottom = np.concatenate([quadrants["bottom_left"], quadrants["bottom_right"]], axis=2)
    np.testing.assert_array_equal(np.concatenate([top, bottom], axis=1), data.display["image"])


def test_digits_are_stratified():
    data = datasets.load("digits")
    train, test = (np.bincount(data.targets[data.rows(split)]) for split in ("train", "test"))
    assert np.abs(train / 0.7 - test / 0.3).max() < 4


@pytest.mark.parametrize(
    ("name", "start"), [("digits", "32be80febd7e"), ("handwritten", "5657"), ("cub10", "73e3")]
)
def test_the_data_have_not_moved(name, start, data_folder):
    assert datasets.load(name, data_folder).checksum.startswith(start)


def test_handwritten_classes_are_the_digits(data_folder):
    """The picture of a zero is empty in the middle, that of a one is not."""
    data = datasets.load("handwritten", data_folder)
    middle = [data.display["image"][data.targets == label][:, 6:10, 6:9].mean() for label in (0, 1)]
    assert middle[0] < 1
    assert middle[1] > 3


@pytest.mark.parametrize("name", ["handwritten", "cub10"])
def test_get_from_loopback_gives_the_same_data(name, data_folder, tmp_path):
    with mirror(data_folder) as (_, address):
        notes = datasets.CATALOGUE[name].get(tmp_path, address)
    assert f"{name}: written to {tmp_path}" in notes[0]
    assert datasets.load(name, tmp_path).checksum == datasets.load(name, data_folder).checksum
    again = datasets.CATALOGUE[name].get(tmp_path, "http://127.0.0.1:9")
    assert again == [f"{name}: already there"]
    assert not list(tmp_path.glob(".partial-*"))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("handwritten", "handwritten/handwritten_6views.mat"),
        ("cub10", "cub10/cub_googlenet_doc2vec_c10.mat"),
    ],
)
def test_a_cut_file(name, file, data_folder, tmp_path):
    path = tmp_path / file
    path.parent.mkdir()
    content = (data_folder / file).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"run 'robult data get {name}'"):
        datasets.load(name, tmp_path)
    assert len(datasets.CATALOGUE[name].check(tmp_path)) == 1
