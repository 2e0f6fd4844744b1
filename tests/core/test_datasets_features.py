"""Frozen encoders: callables, a local transformers folder, the cache, images that do not decode."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from raw_sets import encoders, hateful, picture

from robult_core import datasets
from robult_core.datasets import features
from robult_core.datasets.features import (
    cache_key,
    folder_digest,
    image_text_features,
    make_encoders,
    open_image,
)
from robult_core.datasets.files import DataError


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch):
    monkeypatch.delenv("ROBULT_ENCODER", raising=False)


def test_features_are_cached_by_encoder_and_data(tmp_path):
    images = [picture(tmp_path / f"{number}.png", number) for number in range(3)]
    first = encoders()
    made = image_text_features(["a", " ", "aa"], images, first, tmp_path)
    assert made["present"].tolist() == [[True, False, True], [True] * 3]
    assert made["image"].shape == (3, 4)
    again = encoders()
    cached = image_text_features(["a", " ", "aa"], images, again, tmp_path)
    assert [encoder.calls for encoder in (*first.values(), *again.values())] == [1, 1, 0, 0]
    for key, value in made.items():
        np.testing.assert_array_equal(cached[key], value)
    image_text_features(["a", "b", "aa"], images, again, tmp_path)
    other = encoders("other")
    image_text_features(["a", " ", "aa"], images, other, tmp_path)
    nameless = encoders(None)
    image_text_features(["a", " ", "aa"], images, nameless, tmp_path)
    calls = [one.calls for one in (*again.values(), *other.values(), *nameless.values())]
    assert calls == [1] * 6
    assert len(list(tmp_path.glob("features-*.npz"))) == 3  # a nameless callable is not cached


def test_images_that_do_not_decode_are_absent(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    whole = picture(tmp_path / "grey.png", 7, "L")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:40])
    images = [whole, tmp_path / "text.png", tmp_path / "gone.png", tmp_path / "cut.png"]
    made = image_text_features(["t"] * 4, images, encoders(), tmp_path)
    assert made["present"][1].tolist() == [True, False, False, False]
    assert not made["image"][1:].any()


def test_a_batch_without_a_picture_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "BATCH", 2)
    whole = picture(tmp_path / "whole.png", 7)
    images = [tmp_path / "gone.png", tmp_path / "lost.png", whole]
    made = image_text_features(["t"] * 3, images, encoders(), tmp_path)
    assert made["present"][1].tolist() == [False, False, True]
    assert made["image"][2].any()


def test_a_huge_picture_costs_its_row_only(tmp_path, monkeypatch):
    images = [picture(tmp_path / "small.png"), tmp_path / "huge.png", tmp_path / "large.png"]
    Image.new("L", (60, 60)).save(images[1])
    Image.new("L", (40, 40)).save(images[2])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)  # 3600 is an error, 1600 a warning
    assert [open_image(path) is not None for path in images] == [True, False, True]
    made = image_text_features(["t"] * 3, images, encoders(), tmp_path)
    assert made["present"][1].tolist() == [True, False, True]


@pytest.mark.parametrize("error", [RuntimeError, SyntaxError, MemoryError, OSError])
def test_whatever_a_decoder_raises_costs_the_row_only(tmp_path, monkeypatch, error):
    """A damaged AVIF raises RuntimeError, a broken PNG SyntaxError."""

    def fail(*_: object) -> None:
        raise error("Failed to decode image")

    path = picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", fail)
    assert open_image(path) is None


def test_a_damaged_avif_is_absent(tmp_path):
    pytest.importorskip("PIL.AvifImagePlugin")
    path = tmp_path / "a.avif"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert open_image(path) is not None
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 8  # the coded picture
    content[start : start + 60] = b"\xff" * 60
    path.write_bytes(content)
    with Image.open(path) as image, pytest.raises(RuntimeError, match="Failed to decode"):
        image.convert("RGB")
    assert open_image(path) is None


def test_wrong_encoders_are_one_sentence(tmp_path):
    images = [picture(tmp_path / "a.png")]
    with pytest.raises(DataError, match="need a frozen encoder: set ROBULT_ENCODER"):
        make_encoders(None)
    with pytest.raises(DataError, match=r"config\.json' is missing: set ROBULT_ENCODER"):
        make_encoders(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DataError, match=r"folder '.*' cannot be read as a model .*: set ROBULT_"):
        make_encoders(str(tmp_path))
    with pytest.raises(DataError, match="give exactly 'image' and 'text'"):
        make_encoders({"image": len})
    flat = {"image": encoders()["image"], "text": lambda items: np.ones(len(items))}
    with pytest.raises(DataError, match=r"text encoder gave shape \(1,\) for 1 items"):
        image_text_features(["a"], images, flat, tmp_path)
    with pytest.raises(DataError, match="no image can be read"):
        image_text_features(["a"], [tmp_path / "gone.png"], encoders(), tmp_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A tiny random CLIP in the layout of a real model folder."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        PreTrainedTokenizerFast,
    )

    folder = tmp_path_factory.mktemp("clip")
    small = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    words = ["<pad>", "<unk>", "<s>", "</s>", "a", "cat", "dog"]
    numbers = {word: number for number, word in enumerate(words)}
    text_config = small | {
        "vocab_size": len(words),
        "max_position_embeddings": 8,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    config = CLIPConfig(
        text_config=text_config,
        vision_config={**small, "image_size": 16, "patch_size": 8},
        projection_dim=12,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    raw = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=8,
    )
    crop = {"height": 16, "width": 16}
    processor = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=crop)
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def test_damaged_weights_name_their_folder(clip, tmp_path):
    shutil.copytree(clip, tmp_path / "clip")
    weights = tmp_path / "clip/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match=r"folder '.*clip' cannot be read as a model .*deserializ"):
        make_encoders(str(tmp_path / "clip"))


# Both warnings are raised inside transformers.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_local_transformers_folder(tmp_path, clip, monkeypatch):
    hateful(tmp_path)
    monkeypatch.setenv("ROBULT_ENCODER", str(clip))
    assert "hateful-memes" in datasets.available(tmp_path)
    data = datasets.load("hateful-memes", tmp_path)
    assert data.shapes == {"text": (12,), "image": (12,)}
    again = datasets.load("hateful-memes", tmp_path)
    assert torch.equal(data.modalities["text"], again.modalities["text"])
    assert len(list((tmp_path / "hateful_memes").glob("features-*.npz"))) == 1


def test_a_picture_that_changed_at_equal_size_is_another(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"1234")
    key = cache_key("encoder", ["words"], [path])
    os.utime(path, ns=(1, 1))
    assert cache_key("encoder", ["words"], [path]) != key


def test_names_of_features_change_with_what_made_them(tmp_path):
    path = picture(tmp_path / "a.png")
    (tmp_path / "config.json").write_text("{}")
    first = folder_digest(tmp_path)
    keys = {cache_key("n", ["t"], [path]), cache_key("n", ["t"], [tmp_path / "gone.png"])}
    keys |= {cache_key("n", ["u"], [path]), cache_key("m", ["t"], [path])}
    path.write_bytes(path.read_bytes() + b"0")
    keys.add(cache_key("n", ["t"], [path]))
    assert [len(key) for key in keys] == [16] * 5
    assert folder_digest(tmp_path) != first
    assert len(first) == 12
