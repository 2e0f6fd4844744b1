"""From raw images and texts to a trained Prompt-Trans on a (tiny, random) ViLT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from raw_sets import food, hateful, imdb, kaggle_food, tiny_vilt

from robult_core import datasets
from robult_core.datasets.files import DataError
from robult_core.datasets.vilt_inputs import vilt_inputs
from robult_core.evaluation import evaluate
from robult_core.method import Batch
from robult_core.methods import make_method
from robult_core.methods.vilt import load_vilt, normalized
from robult_core.protocol import label_split, patterns
from robult_core.training import TrainingConfig, train

CLS, SEP = 101, 102
SETS = {
    "hateful-memes": hateful,
    "food101": food,
    "food101 of kaggle": kaggle_food,
    "mm-imdb-raw": imdb,
}


@pytest.fixture(scope="module")
def vilt(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    return tiny_vilt(tmp_path_factory.mktemp("vilt"))


def test_tokens_pixels_and_what_is_there(tmp_path, vilt):
    hateful(tmp_path)
    data = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    text, image = data.modalities["text"], data.modalities["image"]
    assert (text.dtype, image.dtype) == (torch.int64, torch.uint8)
    assert data.shapes["image"] == (3, 32, 32)
    words = {"a": 104, "cat": 105, "dog": 106}
    assert text[0].tolist() == [CLS, words["a"], words["cat"], SEP]
    assert text[2].tolist() == [CLS, SEP, 0, 0]  # an absent text is the empty string
    assert data.present[:, 2].tolist() == [False, True]
    assert data.present[:, 3].tolist() == [True, False]
    assert image[0].flatten(1).unique(dim=1).flatten().tolist() == [1, 0, 0]
    assert not image[3].any()
    assert data.unscaled == ("text", "image")


def test_tokens_and_pixels_are_not_standardised_and_count_in_the_checksum(tmp_path, vilt):
    hateful(tmp_path)
    data = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    scaled = data.standardized()
    for name in data.names:
        assert scaled.modalities[name] is data.modalities[name]
    again = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    assert again.checksum == data.checksum


def test_pixels_lie_in_a_file_and_are_made_once(tmp_path, vilt, monkeypatch):
    root = hateful(tmp_path)
    first = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    assert sorted(path.suffix for path in root.glob("vilt-*")) == [".npy", ".npz"]
    assert not list(root.glob(".partial-*"))

    def opened(*_: object) -> None:
        raise AssertionError("an image was opened again")

    monkeypatch.setattr("robult_core.datasets.vilt_inputs.open_image", opened)
    second = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    assert torch.equal(first.modalities["image"], second.modalities["image"])


def test_pixels_that_were_left_half_written_are_made_again(tmp_path, vilt):
    root = hateful(tmp_path)
    checksum = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt).checksum
    next(root.glob("vilt-*.npz")).unlink()  # it is written last
    next(root.glob("vilt-*.npy")).write_bytes(b"half")
    assert datasets.load("hateful-memes", tmp_path, vilt_folder=vilt).checksum == checksum


def test_pixels_that_changed_are_made_again(tmp_path, vilt):
    root = hateful(tmp_path)
    checksum = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt).checksum
    pixels = next(root.glob("vilt-*.npy"))
    content = bytearray(pixels.read_bytes())
    content[-7] ^= 255
    pixels.write_bytes(content)
    assert datasets.load("hateful-memes", tmp_path, vilt_folder=vilt).checksum == checksum


def test_a_check_asks_for_the_folder_of_the_vilt(tmp_path, monkeypatch):
    hateful(tmp_path)
    monkeypatch.delenv("ROBULT_VILT", raising=False)
    problems = datasets.entry("hateful-memes-vilt").check(tmp_path)
    assert "no encoder: set ROBULT_VILT to its local folder" in problems
    monkeypatch.setenv("ROBULT_VILT", "anywhere")
    assert not any(
        "no encoder" in one for one in datasets.entry("hateful-memes-vilt").check(tmp_path)
    )


def test_a_text_is_cut_to_the_longest_that_is_asked_for(tmp_path, vilt):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4), (255, 0, 0)).save(path)
    made = vilt_inputs(["a cat a cat a cat", ""], [path, path], vilt, 5, tmp_path)
    assert made["text"].shape == (2, 5)
    assert made["text"][0, [0, -1]].tolist() == [CLS, SEP]
    assert made["image"][0, 0].min() == 255


def test_bytes_become_numbers_from_minus_one_to_one():
    pixels = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert normalized(pixels).flatten().tolist() == [-1, 1]
    numbers = torch.rand(1, 3, 2, 2)
    assert normalized(numbers) is numbers


@pytest.mark.parametrize("name", SETS)
def test_from_raw_files_to_a_trained_prompt_trans(tmp_path, vilt, name):
    SETS[name](tmp_path)
    raw = datasets.load(name.partition(" ")[0], tmp_path, vilt_folder=vilt)
    data = raw.standardized()
    torch.manual_seed(0)
    method = make_method("prompt_trans", data.task, data.shapes, vilt_folder=str(vilt))
    before = method.prompts.table.detach().clone()
    train(method, data, label_split(data, 1.0, 0), TrainingConfig(steps=4, batch_size=4))
    assert not torch.equal(before, method.prompts.table)
    records, scores = evaluate(method, data, data.rows("test"), patterns(data.names))
    for values in scores.values():
        assert np.isfinite(values).all()
    assert {record["pattern"] for record in records} <= {"text", "image", "text+image"}
    assert records


def test_an_absent_text_gives_what_the_empty_string_gives(tmp_path, vilt):
    """Whether its row holds the tokens of the empty string or nothing at all."""
    hateful(tmp_path)
    data = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    method = make_method("prompt_trans", data.task, data.shapes, vilt_folder=str(vilt)).eval()
    rows = torch.tensor([2, 2])
    ids = data.modalities["text"][rows].clone()
    ids[1] = 0
    inputs = {"text": ids, "image": data.modalities["image"][rows]}
    present = torch.tensor([[False, True]] * 2)
    tokens, mask = method.backbone.embed(inputs, present)
    torch.testing.assert_close(tokens[0], tokens[1])
    assert mask[0].tolist() == mask[1].tolist()
    assert mask[0, :4].tolist() == [True, True, False, False]


def test_a_batch_of_absent_texts_trains(tmp_path, vilt):
    hateful(tmp_path)
    data = datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
    method = make_method("prompt_trans", data.task, data.shapes, vilt_folder=str(vilt))
    rows = torch.tensor([2])
    batch = Batch(
        {name: x[rows] for name, x in data.modalities.items()},
        data.targets[rows],
        torch.tensor([True]),
        data.present[:, rows],
    )
    assert torch.isfinite(method.loss_terms(batch)["supervised"])


def test_the_name_of_a_set_as_a_vilt_reads_it(tmp_path, vilt, monkeypatch):
    hateful(tmp_path)
    monkeypatch.delenv("ROBULT_VILT", raising=False)
    with pytest.raises(DataError, match="token ids and pixels need a ViLT: set ROBULT_VILT"):
        datasets.load("hateful-memes-vilt", tmp_path)
    monkeypatch.setenv("ROBULT_VILT", str(vilt))
    data = datasets.load("hateful-memes-vilt", tmp_path)
    assert (data.name, data.unscaled) == ("hateful-memes-vilt", ("text", "image"))
    assert "hateful-memes-vilt" not in datasets.available(tmp_path)
    with pytest.raises(DataError, match="unknown data set 'digits-vilt'"):
        datasets.load("digits-vilt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"config.json' is missing: put config.json, the weights and the tokenizer"),
        ("{", r"config.json' cannot be read as the configuration of a ViLT"),
        (json.dumps({"model_type": "bert"}), "it describes a model of type 'bert'"),
    ],
)
def test_folders_without_a_vilt(tmp_path, content, message):
    hateful(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(DataError, match=message):
        datasets.load("hateful-memes", tmp_path, vilt_folder=folder)


def test_damaged_weights_name_their_folder(tmp_path, vilt):
    shutil.copytree(vilt, tmp_path / "vilt")
    weights = tmp_path / "vilt/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"folder '.*vilt' cannot be read as a ViLT .*deserializ"):
        load_vilt(str(tmp_path / "vilt"))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, vilt, monkeypatch):
    hateful(tmp_path)

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("robult_core.datasets.vilt_inputs._write_pixels", full)
    message = r"cannot write .* GiB of pixels to .*No space left.*: make room there"
    with pytest.raises(DataError, match=message):
        datasets.load("hateful-memes", tmp_path, vilt_folder=vilt)
