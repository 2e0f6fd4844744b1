"""The catalogue: what its entries promise, names, folders, what is available."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from robult_core import datasets
from robult_core.datasets.files import DataError
from robult_core.datasets.pid import CASES, Dials

EXPECTED = {  # samples per split, modality widths
    "pid": ((1400, 0, 600), (32, 32)),
    "digits": ((1257, 0, 540), (16, 16, 16, 16)),
    "handwritten": ((1600, 0, 400), (240, 76, 216, 47, 64, 6)),
    "cub10": ((420, 0, 180), (1024, 300)),
    "utd_mhad": ((431, 0, 430), (192, 960, 720)),
    "mosi": ((1284, 229, 686), (384, 73)),
    "mosi-tfidf": ((1284, 229, 686), (100, 73)),
}
# The data did not move when the code did; a changed checksum makes every record of a run stale.
CHECKSUMS = {
    "pid": "2b84a81ee42779334e8d3ca18121b21219c27bd2f263b453ea2482ea1b03fde2",
    "digits": "32be80febd7e96576764be9848dc5caf92a287d894de0ad243df00cbf9e6926a",
    "handwritten": "565748ce7909f93a9fbd8b06c7e200451368842db00fe3ad0ebae1508e9917b0",
    "cub10": "73e30748068976009bc0480a6377422183d7322d1fd9d8aa651bbfdca81d1820",
    "utd_mhad": "ca9bce27c280e28861fbb37384c4dde2ba9996ae8e0ca9034e216e6c9a6fec94",
    "mosi": "f34763cbc50ebde40d560a3df8bb9e4980ccd6e04775a7c6cacc03afd4c2f4e1",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_set_is_what_its_entry_says(name, request):
    folder = None if name in datasets.BUILTIN else request.getfixturevalue("data_folder")
    data = datasets.load(name, folder)
    entry = datasets.CATALOGUE[name]
    sizes = tuple(len(data.rows(split)) for split in ("train", "valid", "test"))
    widths = tuple(x.shape[1] for x in data.modalities.values())
    assert (sizes, widths) == EXPECTED[name]
    assert (data.name, data.names, data.task) == (name, entry.modalities, entry.task)
    assert data.licence
    assert data.source


@pytest.mark.parametrize("name", CHECKSUMS)
def test_the_checksums_have_not_moved(name, request):
    folder = None if name in datasets.BUILTIN else request.getfixturevalue("data_folder")
    assert datasets.load(name, folder).checksum == CHECKSUMS[name]


AFFECT = {  # a name: its publisher's files, and the set that an unaligned one stands in for
    "mosi-mult": ("mosi_data.pkl mosi_raw.pkl", ""),
    "mosi-mult-unaligned": ("mosi_data_noalign.pkl", "mosi-mult"),
    "mosi-mmsa": ("aligned_50.pkl Processed/aligned_50.pkl", ""),
    "mosi-mmsa-unaligned": ("unaligned_50.pkl Processed/unaligned_50.pkl", "mosi-mmsa"),
    "mosei-mult": ("mosei_senti_data.pkl mosei_data.pkl mosei_raw.pkl", ""),
    "mosei-mult-unaligned": ("mosei_senti_data_noalign.pkl mosei_data_noalign.pkl", "mosei-mult"),
    "mosei-mmsa": ("aligned_50.pkl Processed/aligned_50.pkl", ""),
    "mosei-mmsa-unaligned": ("unaligned_50.pkl Processed/unaligned_50.pkl", "mosei-mmsa"),
}


@pytest.mark.parametrize("name", AFFECT)
def test_the_files_of_the_sentiment_sets(name):
    files, stands_in_for = AFFECT[name]
    entry = datasets.CATALOGUE[name]
    folder = f"cmu-{name.partition('-')[0]}"
    assert entry.needs == (("|".join(f"{folder}/{file}" for file in files.split()),),)
    assert entry.instead_of == stands_in_for
    assert entry.unreadable[0] == (f"{folder}/*.dt" if "mult" in name else "")


@pytest.mark.parametrize("case", CASES)
def test_the_cases_of_pid_have_names(case):
    data = datasets.load(f"pid-{case}")
    assert data.name == f"pid-{case}"
    assert data.task == datasets.entry(f"pid-{case}").task
    same = datasets.load("pid", case=case)
    assert torch.equal(data.modalities["x1"], same.modalities["x1"])
    assert torch.equal(data.targets, same.targets)
    assert f"pid-{case}" not in datasets.CATALOGUE


def test_pid_takes_dials():
    assert datasets.load("pid", case=Dials(synergy=1.0), n=50).task.n_outputs == 2


def test_first_metrics_have_one_home():
    primary = {name: entry.task.primary for name, entry in datasets.CATALOGUE.items()}
    assert primary["hateful-memes"] == "auroc"
    assert primary["mm-imdb"] == primary["mm-imdb-raw"] == "f1_macro"
    assert primary["mosi"] == primary["mosei-mult"] == "mae"
    assert primary["utd_mhad"] == "accuracy"
    outputs = {name: entry.task.n_outputs for name, entry in datasets.CATALOGUE.items()}
    assert outputs["mm-imdb"] == outputs["mm-imdb-raw"] == 23
    assert (outputs["food101"], outputs["hateful-memes"]) == (101, 2)


def test_the_guide_names_every_data_set_and_every_file():
    guide = (Path(datasets.__file__).parents[2] / "data/README.md").read_text()
    for name, entry in datasets.CATALOGUE.items():
        assert f"`{name}`" in guide
        for patterns in entry.needs:
            for pattern in patterns:
                for choice in pattern.split("|"):
                    file = Path(choice.partition("::")[0]).name
                    assert file.replace("*", "<id>") in guide, (name, choice)


def test_available_lists_what_is_found_builtin_first(tmp_path, data_folder):
    assert datasets.available(tmp_path) == list(datasets.BUILTIN) == ["pid", "digits"]
    everything = ["pid", "digits", "handwritten", "cub10", "utd_mhad", "mosi"]
    assert datasets.available(data_folder) == everything


def test_a_known_name_comes_before_files_of_that_name(tmp_path):
    folder = tmp_path / "pid-synergy"
    folder.mkdir()
    np.savez(folder / "own.npz", text=np.zeros((10, 1)), y=np.arange(10) % 2)
    assert datasets.load("pid-synergy", tmp_path).names == ("x1", "x2")
    assert datasets.entry("pid-synergy", tmp_path).modalities == ("x1", "x2")


def test_an_entry_is_looked_for_in_the_folder_given(tmp_path):
    np.savez(tmp_path / "own.npz", text=np.zeros((10, 1)), y=np.arange(10) % 2)
    assert datasets.entry("own.npz", tmp_path).modalities == ("text",)
    assert datasets.load("own.npz", tmp_path).names == ("text",)


def test_folder_comes_from_argument_then_environment_then_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBULT_DATA", str(tmp_path / "a"))
    assert datasets.data_folder(tmp_path / "b") == tmp_path / "b"
    assert datasets.data_folder() == tmp_path / "a"
    monkeypatch.delenv("ROBULT_DATA")
    assert datasets.data_folder() == Path(datasets.__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist", r"unknown data set 'mnist': known ones are pid, .*hateful-memes"),
        ("pid-sinergy", r"unknown data set 'pid-sinergy': .*cases .* synergy"),
        (
            "cub10",
            r"'cub10' lacks cub10/cub_googlenet_doc2vec_c10.mat in .* run 'robult data get cub10'",
        ),
    ],
)
def test_unknown_and_absent_names(name, message, tmp_path):
    with pytest.raises(DataError, match=message):
        datasets.load(name, tmp_path)


def test_what_cannot_be_downloaded_says_where_to_put_it(tmp_path):
    with pytest.raises(DataError, match=r"cannot be downloaded .*put train.jsonl"):
        datasets.CATALOGUE["hateful-memes"].get(tmp_path)
