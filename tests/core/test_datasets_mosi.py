"""MOSI as anyone can get it: built from raw files, split by video, no leak, damage named."""

from __future__ import annotations

import filecmp
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from public_sets import StubEncoder, mirror

from robult_core import datasets
from robult_core.datasets import mosi
from robult_core.datasets.files import DataError, fingerprint


@pytest.fixture
def copy(data_folder, tmp_path):
    """A writable copy of the built files, in a data folder of its own."""
    (tmp_path / "data/mosi").mkdir(parents=True)
    for name in ("mosi.npz", "mosi.csv"):
        shutil.copyfile(data_folder / "mosi" / name, tmp_path / "data/mosi" / name)
    return tmp_path / "data"


def test_the_folds_are_by_video(data_folder):
    data = datasets.load("mosi", data_folder)
    lines = (data_folder / "mosi/mosi.csv").read_text().splitlines()[1:]
    videos = np.array([line.split(",")[1] for line in lines])
    seen = [set(videos[data.rows(split)]) for split in ("train", "valid", "test")]
    assert len(set.union(*seen)) == sum(map(len, seen)) == 93


def test_tfidf_is_fitted_on_training_transcripts_only(data_folder, copy):
    changed = reword_test_part(copy / "mosi/mosi.csv")
    before = datasets.load("mosi-tfidf", data_folder)
    after = datasets.load("mosi-tfidf", copy)
    train = before.rows("train")
    assert changed > 600
    text = before.modalities["text"]
    assert text.shape == (2199, 100)
    assert text.norm().item() == pytest.approx(26.821745, rel=1e-4)
    assert torch.equal(before.modalities["text"][train], after.modalities["text"][train])
    assert not torch.equal(before.modalities["text"], after.modalities["text"])


def reword_test_part(path: Path) -> int:
    """Give every test transcript other words; returns how many."""
    import pandas as pd

    table = pd.read_csv(path)
    test = table["fold"] == "test"
    table.loc[test, "text"] = "a film of good and bad people"
    table.to_csv(path, index=False)
    return int(test.sum())


def test_it_is_built_from_raw_files_as_the_reference(data_folder, tmp_path):
    encoder = StubEncoder()
    mosi.build_mosi(data_folder / "mosi/raw", tmp_path / "mosi.npz", encoder)
    built = np.load(tmp_path / "mosi.npz")
    reference = np.load(data_folder / "mosi/mosi.npz")
    for name in ("audio", "score"):
        np.testing.assert_array_equal(built[name], reference[name])
        assert fingerprint(built[name]) == pytest.approx(mosi.FINGERPRINTS[name], rel=1e-9)
    assert filecmp.cmp(tmp_path / "mosi.csv", data_folder / "mosi/mosi.csv", shallow=False)
    assert built["text"].shape == (2199, 2)
    assert all(text == text.lower() for text in encoder.seen)


def test_only_the_first_column_of_the_leaking_text_files_is_read(data_folder, tmp_path):
    """Whatever stands beside the row number changes nothing, words and NaN included."""
    raw = tmp_path / "raw"
    shutil.copytree(data_folder / "mosi/raw", raw)
    for name in ("text_train.csv", "text_test.csv"):
        (raw / name).chmod(0o644)
        numbers = [line.split(",")[0] for line in (raw / name).read_text().splitlines()]
        lines = [f'{number},"poison",nan,inf,{i}\n' for i, number in enumerate(numbers)]
        (raw / name).write_text("".join(lines))
    mosi.build_mosi(raw, tmp_path / "mosi.npz")
    built = np.load(tmp_path / "mosi.npz")
    np.testing.assert_array_equal(built["audio"], np.load(data_folder / "mosi/mosi.npz")["audio"])
    assert filecmp.cmp(tmp_path / "mosi.csv", data_folder / "mosi/mosi.csv", shallow=False)


def test_get_from_loopback_gives_the_same_data(data_folder, tmp_path):
    with mirror(data_folder) as (_, address):
        notes = datasets.CATALOGUE["mosi"].get(tmp_path, address, encoder=StubEncoder())
    assert f"mosi: written to {tmp_path}" in notes[0]
    built = datasets.load("mosi", tmp_path)
    reference = datasets.load("mosi", data_folder)
    assert torch.equal(built.modalities["audio"], reference.modalities["audio"])
    assert torch.equal(built.targets, reference.targets)
    assert (built.split == reference.split).all()
    again = datasets.CATALOGUE["mosi"].get(tmp_path, "http://127.0.0.1:9")
    assert again == ["mosi: already there"]


def test_without_a_sentence_encoder_get_serves_tfidf_only(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(mosi, "sentence_encoder", lambda: None)
    with mirror(data_folder) as (_, address):
        notes = datasets.CATALOGUE["mosi"].get(tmp_path, address)
    assert "only 'mosi-tfidf' is ready" in notes[1]
    assert {"mosi", "mosi-tfidf"} & set(datasets.available(tmp_path)) == {"mosi-tfidf"}
    lacking = r"'mosi' lacks 'text' in mosi/mosi.npz .* run 'robult data get mosi'"
    with pytest.raises(DataError, match=lacking):
        datasets.load("mosi", tmp_path)


def test_an_altered_download_leaves_nothing(data_folder, tmp_path):
    bad = tmp_path / "bad.csv"
    labels = (data_folder / "mosi/raw/label.csv").read_bytes()
    bad.write_bytes(labels.replace(b",2.4,", b",2.5,", 1))
    altered = r"mosi/label.csv' was not downloaded: its SHA-256 is not the published one"
    with mirror(data_folder) as (pages, address):
        pages[next(path for path in pages if path.endswith("mosi/label.csv"))] = bad
        with pytest.raises(DataError, match=altered):
            datasets.CATALOGUE["mosi"].get(tmp_path / "data", address)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_cut_archive(copy):
    path = copy / "mosi/mosi.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"run 'robult data get mosi'"):
        datasets.load("mosi", copy)


def test_unequal_lengths(copy):
    path = copy / "mosi/mosi.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    unequal = r"mosi.csv has 2198 rows but mosi.npz 2199: delete both, then run"
    with pytest.raises(DataError, match=unequal):
        datasets.load("mosi", copy)


def test_a_transcript_table_that_does_not_belong_to_its_archive(copy):
    path = copy / "mosi/mosi.csv"
    head, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(head + "".join(reversed(lines)))
    other = r"mosi.csv and mosi.npz in '.*' hold other scores: delete both, then run"
    with pytest.raises(DataError, match=other):
        datasets.load("mosi", copy)
    path.write_text(head.replace("fold", "part") + "".join(lines))
    assert "mosi.csv' cannot be read as CSV" in datasets.entry("mosi").check(copy)[0]


def without_weights(*_: object, **__: object) -> None:
    raise OSError("no weights here")


@pytest.mark.parametrize("package", [None, SimpleNamespace(SentenceTransformer=without_weights)])
def test_there_is_no_sentence_encoder_without_its_package_or_its_weights(monkeypatch, package):
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    assert mosi.sentence_encoder() is None
