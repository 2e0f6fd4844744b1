"""The paper's own files, written here in exactly the published forms with their known oddities."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from robult_core import datasets
from robult_core.datasets.affect import first_occurrences, padding_side
from robult_core.datasets.features import image_text_features, make_encoders
from robult_core.datasets.files import DataError
from robult_core.datasets.vision_language import GENRES
from robult_study.data_commands import data as command

SIZES = {"train": 6, "valid": 3, "test": 4}
DIMS = {"mosi": (300, 5, 20), "mosei": (300, 74, 35)}


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch):
    monkeypatch.delenv("ROBULT_ENCODER", raising=False)


def sequences(rng, n: int, steps: int, width: int, side: str) -> np.ndarray:
    """`(n, steps, width)` with two steps of padding in every sample."""
    x = rng.normal(size=(n, steps, width))
    x[:, slice(None, 2) if side == "left" else slice(-2, None)] = 0
    return x


def mult(
    widths: tuple[int, int, int], steps: tuple[int, int, int] = (50, 50, 50), as_bytes: bool = True
) -> dict:
    """A MulT file: left padding, -inf and NaN in audio, ids [video, start, end]."""
    rng, content = np.random.default_rng(0), {}
    for split, n in SIZES.items():
        ids = [[f"{split}{i}", "0.1", "2.5"] for i in range(n)]
        content[split] = {
            name: sequences(rng, n, t, width, "left")
            for name, t, width in zip(("text", "audio", "vision"), steps, widths, strict=True)
        }
        content[split]["labels"] = rng.uniform(-3, 3, (n, 1, 1))
        content[split]["id"] = np.array(
            [[part.encode() for part in row] if as_bytes else row for row in ids]
        )
    content["train"]["audio"][1, 7, 2] = -np.inf
    content["train"]["audio"][1, 8, 2] = np.nan
    return content


def mmsa(widths: tuple[int, int, int], steps: tuple[int, int, int] = (50, 50, 50)) -> dict:
    """An MMSA file: right padding, BERT text of width 768, texts and string ids."""
    rng, content = np.random.default_rng(0), {}
    for split, n in SIZES.items():
        content[split] = {
            name: sequences(rng, n, t, width, "right").astype(np.float32)
            for name, t, width in zip(("text", "audio", "vision"), steps, widths, strict=True)
        }
        content[split] |= {
            "raw_text": [f"words {i}" for i in range(n)],
            "text_bert": rng.normal(size=(n, 3, 50)),
            "id": [f"{split}{i}$_$3" for i in range(n)],
            "annotations": ["Positive"] * n,
            "classification_labels": np.ones(n),
            "regression_labels": rng.uniform(-3, 3, n),
        }
    return content


def put(path: Path, content: object, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("name", "file", "corpus"),
    [
        ("mosi-mult", "cmu-mosi/mosi_data.pkl", "mosi"),
        ("mosi-mult", "cmu-mosi/mosi_raw.pkl", "mosi"),
        ("mosei-mult", "cmu-mosei/mosei_senti_data.pkl", "mosei"),
        ("mosei-mult", "cmu-mosei/mosei_data.pkl", "mosei"),
    ],
)
def test_mult_files(tmp_path, name, file, corpus, protocol):
    content = mult(DIMS[corpus], as_bytes=corpus == "mosi")
    put(tmp_path / file, content, protocol)
    assert name in datasets.available(tmp_path)
    data = datasets.load(name, tmp_path)
    assert data.shapes == {
        m: (50, w) for m, w in zip(("text", "audio", "vision"), DIMS[corpus], strict=True)
    }
    assert [len(data.rows(split)) for split in SIZES] == list(SIZES.values())
    assert data.modalities["audio"][1, 7:9, 2].tolist() == [0, 0]
    np.testing.assert_allclose(data.targets[6:9], content["valid"]["labels"].ravel(), rtol=1e-6)
    card = str(data.describe())
    assert "2 audio values that were not finite set to 0." in card
    assert "text: padding on the left in 13 samples, on the other side in 0." in card
    assert datasets.CATALOGUE[name].check(tmp_path) == []


def test_mmsa_files_text_width_is_read(tmp_path):
    content = mmsa((768, 5, 20))
    put(tmp_path / "cmu-mosi/Processed/aligned_50.pkl", content)
    data = datasets.load("mosi-mmsa", tmp_path)
    assert data.shapes == {"text": (50, 768), "audio": (50, 5), "vision": (50, 20)}
    assert "vision: padding on the right in 13 samples, on the other side in 0." in data.notes
    assert data.display["transcript"][6] == "words 0"
    np.testing.assert_allclose(data.targets[:6], content["train"]["regression_labels"], rtol=1e-6)


def test_unaligned_files_count_only_without_aligned_ones(tmp_path):
    put(tmp_path / "cmu-mosei/unaligned_50.pkl", mmsa((768, 74, 35), steps=(50, 60, 55)))
    assert "mosei-mmsa-unaligned" in datasets.available(tmp_path)
    data = datasets.load("mosei-mmsa-unaligned", tmp_path)
    assert data.shapes == {"text": (50, 768), "audio": (60, 74), "vision": (55, 35)}
    put(tmp_path / "cmu-mosei/aligned_50.pkl", mmsa((768, 74, 35)))
    assert [name for name in datasets.available(tmp_path) if "mosei" in name] == ["mosei-mmsa"]
    assert (
        datasets.load("mosei-mmsa-unaligned", tmp_path).shapes == data.shapes
    )  # asked for by name
    put(tmp_path / "cmu-mosi/mosi_data_noalign.pkl", mult(DIMS["mosi"], steps=(50, 70, 80)))
    assert datasets.load("mosi-mult-unaligned", tmp_path).shapes["audio"] == (70, 5)


def test_repeated_ids_missing_labels_and_empty_text(tmp_path):
    content = mult(DIMS["mosi"])
    content["train"]["id"][0] = content["test"]["id"][2]  # the test row stays
    content["train"]["labels"][3] = np.nan
    content["train"]["text"][4] = 0
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    data = datasets.load("mosi-mult", tmp_path)
    assert [len(data.rows(split)) for split in SIZES] == [4, 3, 4]
    assert data.present.sum(1).tolist() == [10, 11, 11]
    assert not data.present[0, 2]  # row 4, after rows 0 and 3 left
    for note in (
        "1 rows without a finite label left out.",
        "1 rows with a repeated id left out.",
        "1 samples whose text is all zero counted as lacking it.",
    ):
        assert note in data.notes


def test_mult_file_without_ids(tmp_path):
    content = mult(DIMS["mosi"])
    for part in content.values():
        del part["id"]
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    assert len(datasets.load("mosi-mult", tmp_path)) == 13


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop("valid"), "has no splits train, valid and test"),
        (
            lambda c: c["train"].pop("vision"),
            "not in the published form .'vision'.*every split needs text, audio, vision",
        ),
        (
            lambda c: c["test"].update(labels=c["test"]["labels"][:-1]),
            r"'text' in .* has shape \(13, 50, 300\): expected \(12, steps, features\)",
        ),
        (
            lambda c: c["test"].update(audio=c["test"]["audio"][..., :-1]),
            "not in the published form",
        ),
    ],
)
def test_damaged_affect_files(tmp_path, damage, message):
    content = mult(DIMS["mosi"])
    damage(content)
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    with pytest.raises(DataError, match=message):
        datasets.load("mosi-mult", tmp_path)
    assert len(datasets.CATALOGUE["mosi-mult"].check(tmp_path)) == 1


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["train", "valid", "test"])),
        min_size=1,
        max_size=12,
    )
)
def test_one_row_per_id_and_the_most_protected_one(rows):
    ids, split = [str(i) for i, _ in rows], np.array([part for _, part in rows])
    keep = first_occurrences(ids, split)
    assert sorted(np.array(ids)[keep]) == sorted(set(ids))
    order = ["test", "valid", "train"]
    for row in np.flatnonzero(keep):
        assert order.index(split[row]) == min(
            order.index(part) for name, part in zip(ids, split, strict=True) if name == ids[row]
        )


def test_padding_side_by_hand():
    x = np.ones((3, 4, 2))
    assert padding_side(x) == "no padding"
    x[0, :2] = 0
    x[1, :1] = 0
    x[2, 3:] = 0
    assert padding_side(x) == "padding on the left in 2 samples, on the other side in 1"


# --- features ----------------------------------------------------------------------------------------------------------


class Encoder:
    """A user's callable that counts how often it is asked."""

    def __init__(self, kind: str, name: str | None) -> None:
        self.kind, self.calls = kind, 0
        if name:
            self.name = name

    def __call__(self, items: list) -> np.ndarray:
        self.calls += 1
        if self.kind == "text":
            return np.array([[len(item), item.count("a"), 1] for item in items], dtype=float)
        assert all(item.mode == "RGB" for item in items)
        return np.array([[*np.asarray(item).reshape(-1, 3).mean(0).tolist(), 1] for item in items])


def encoders(name: str | None = "stub") -> dict[str, Encoder]:
    return {kind: Encoder(kind, name) for kind in ("image", "text")}


def picture(path: Path, colour: int = 9, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 6), colour if mode != "RGB" else (colour, 0, 0)).save(path)
    return path


def test_features_are_cached_by_encoder_and_data(tmp_path):
    images = [picture(tmp_path / f"{i}.png", i) for i in range(3)]
    first = encoders()
    made = image_text_features(["a", " ", "aa"], images, first, tmp_path)
    assert made["present"].tolist() == [[True, False, True], [True] * 3]
    assert made["image"].shape == (3, 4)
    again = encoders()
    cached = image_text_features(["a", " ", "aa"], images, again, tmp_path)
    assert [e.calls for e in (*first.values(), *again.values())] == [1, 1, 0, 0]
    for key, value in made.items():
        np.testing.assert_array_equal(cached[key], value)
    image_text_features(["a", "b", "aa"], images, again, tmp_path)
    image_text_features(["a", " ", "aa"], images, other := encoders("other"), tmp_path)
    image_text_features(["a", " ", "aa"], images, nameless := encoders(None), tmp_path)
    assert [e.calls for e in (*again.values(), *other.values(), *nameless.values())] == [1] * 6
    assert (
        len(list(tmp_path.glob("features-*.npz"))) == 3
    )  # a callable without a name is not cached


def test_images_that_do_not_decode_are_absent(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    whole = picture(tmp_path / "grey.png", 7, "L")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:40])
    images = [whole, tmp_path / "text.png", tmp_path / "gone.png", tmp_path / "cut.png"]
    made = image_text_features(["t"] * 4, images, encoders(), tmp_path)
    assert made["present"][1].tolist() == [True, False, False, False]
    assert not made["image"][1:].any()


def test_wrong_encoders_are_one_sentence(tmp_path):
    images = [picture(tmp_path / "a.png")]
    with pytest.raises(DataError, match="need a frozen encoder: set ROBULT_ENCODER"):
        make_encoders(None)
    with pytest.raises(DataError, match=r"config\.json' is missing: set ROBULT_ENCODER"):
        make_encoders(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(
        DataError, match=r"config\.json' cannot be read as a model .*: set ROBULT_ENCODER"
    ):
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
    words = {word: i for i, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", "a", "cat", "dog"])}
    config = CLIPConfig(
        text_config={
            **small,
            "vocab_size": len(words),
            "max_position_embeddings": 8,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "pad_token_id": 0,
        },
        vision_config={**small, "image_size": 16, "patch_size": 8},
        projection_dim=12,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=8,
    )
    processor = CLIPImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning"
)  # raised inside transformers
def test_local_transformers_folder(tmp_path, clip, monkeypatch):
    hateful(tmp_path)
    monkeypatch.setenv("ROBULT_ENCODER", str(clip))
    assert "hateful-memes" in datasets.available(tmp_path)
    data = datasets.load("hateful-memes", tmp_path)
    assert data.shapes == {"text": (12,), "image": (12,)}
    assert torch.equal(
        data.modalities["text"], datasets.load("hateful-memes", tmp_path).modalities["text"]
    )
    assert len(list((tmp_path / "hateful_memes").glob("features-*.npz"))) == 1


# --- Hateful Memes -------------------------------------------------------------------------------------------------------


def hateful(folder: Path, dev: str = "dev_seen", test: str = "test_seen") -> Path:
    """Nine memes: an unlabelled one, a repeated id, an id whose file name is zero-padded, a missing image, an empty text."""
    root = folder / "hateful_memes"
    rows = {
        "train": [
            (1, 0, "a cat"),
            (2, 1, "a dog"),
            (3, 0, ""),
            (4, 1, "cat dog"),
            (8, 1, "shared"),
        ],
        dev: [(5, 0, "a"), (8, 1, "shared")],
        test: [(6, 1, "dog"), (7, None, "cat")],
    }
    for name, items in rows.items():
        lines = []
        for number, label, text in items:
            meme = {
                "id": number,
                "img": f"img/{number if number == 2 else f'{number:05d}'}.png",
                "text": text,
            }
            lines.append(json.dumps(meme if label is None else {**meme, "label": label}))
            if number != 4:
                picture(root / f"img/{number:05d}.png", number)
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("names", [("dev_seen", "test_seen"), ("dev", "test")])
def test_hateful_memes(tmp_path, names):
    hateful(tmp_path, *names)
    data = datasets.load("hateful-memes", tmp_path, encoders=encoders())
    assert data.task.primary == "auroc"
    assert [len(data.rows(split)) for split in ("train", "valid", "test")] == [4, 2, 1]
    assert data.targets.tolist() == [0, 1, 0, 1, 0, 1, 1]
    assert data.present.tolist() == [
        [True, True, False, True, True, True, True],
        [True, True, True, False, True, True, True],
    ]
    for note in (
        "1 rows without a label left out.",
        "1 rows with a repeated id left out.",
        "1 samples without a usable text.",
        "1 samples without a usable image.",
    ):
        assert note in data.notes
    assert "missing in 1 of 7 samples" in str(data.describe())


def test_hateful_memes_broken_line_and_check(tmp_path):
    root = hateful(tmp_path)
    result = CliRunner().invoke(command, ["check", "hateful-memes", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "missing: 1 of 8 images" in result.output
    assert "no encoder: set ROBULT_ENCODER" in result.output
    assert f"found: {root / 'train.jsonl'}" in result.output
    with pytest.raises(DataError, match="need a frozen encoder"):
        datasets.load("hateful-memes", tmp_path)
    with open(root / "train.jsonl", "a") as handle:
        handle.write('{"id": 9, "img"')
    with pytest.raises(DataError, match=r"train.jsonl' cannot be read as JSON lines"):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())


# --- Food-101 ------------------------------------------------------------------------------------------------------------


def test_food101(tmp_path):
    root = tmp_path / "food101"
    index = {f"class_{i}": i for i in range(99)} | {"frozen_yogurt": 99, "tacos": 100}
    names = {
        "train": ["frozen_yogurt_1.jpg", "tacos_2.jpg", "tacos_3.jpg", "pizza_9.jpg"],
        "val": ["tacos_4.jpg"],
        "test": ["frozen_yogurt_5.jpg"],
    }
    for part, files in names.items():
        for name in files:
            if name != "tacos_3.jpg":
                picture(
                    root
                    / "images"
                    / ("test" if part == "test" else "train")
                    / name.rpartition("_")[0]
                    / name
                )
    texts = {name: "words" for files in names.values() for name in files if name != "tacos_3.jpg"}
    for name, content in (("class_idx", index), ("split", names), ("text", texts)):
        (root / f"{name}.json").write_text(json.dumps(content))
    data = datasets.load("food101", tmp_path, encoders=encoders())
    assert data.targets.tolist() == [99, 100, 100, 99]
    assert data.split.tolist() == ["train", "train", "valid", "test"]
    assert (data.class_names[99], data.class_names[100]) == ("frozen_yogurt", "tacos")
    assert "1 of them without either left out." in data.notes
    assert "1 files whose class is not in class_idx.json left out." in data.notes
    (root / "split.json").write_text('{"train": [')
    with pytest.raises(DataError, match=r"split.json' cannot be read as JSON"):
        datasets.load("food101", tmp_path, encoders=encoders())


# --- MM-IMDb -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [("dataset", "dataset"), ("labels", "images")])
def test_imdb_raw(tmp_path, layout):
    root = tmp_path / "mm-imdb"
    movies = {
        "0000001": {"plot": ["short", "the longest plot"], "genres": ["Drama", "War"]},
        "0000002": {"plot": [], "genres": ["Film-Noir"]},
        "0000003": {"plot": ["x"], "genres": ["Adult"]},
        "0000004": {"plot": ["y"], "genres": ["Comedy", "News"]},
    }
    for name, movie in movies.items():
        picture(root / layout[1] / f"{name}.jpeg")
        (root / layout[0]).mkdir(exist_ok=True)
        (root / layout[0] / f"{name}.json").write_text(json.dumps(movie))
    (root / "split.json").write_text(
        json.dumps(
            {"train": ["0000001", "0000002"], "dev": ["0000003", "0000009"], "test": ["0000004"]}
        )
    )
    data = datasets.load("mm-imdb-raw", tmp_path, encoders=encoders())
    assert data.display["text"] == ["the longest plot", "", "y"]
    assert (
        data.targets.sum(0)[
            [GENRES.index(g) for g in ("Drama", "War", "Film-Noir", "Comedy")]
        ].tolist()
        == [1] * 4
    )
    assert data.present.tolist() == [[True, False, True], [True] * 3]
    assert "1 movies without any of the 23 genres left out." in data.notes
    assert "1 movies of split.json without a description file left out." in data.notes


def imdb_hdf5(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")

    path = folder / "mm-imdb/multimodal_imdb.hdf5"
    path.parent.mkdir(parents=True)
    rng, n = np.random.default_rng(0), 10
    with h5py.File(path, "w") as file:
        text = rng.normal(size=(n, 300)).astype(np.float32)
        text[2] = np.nan
        file["features"], file["vgg_features"] = text, rng.normal(size=(n, 4096)).astype(np.float32)
        file["genres"] = rng.integers(0, 2, (n, 23)).astype(np.int32)
        file["genres"].attrs["target_names"] = json.dumps(GENRES)
        file["imdb_ids"] = np.array([f"{i:07d}" for i in (*range(9), 0)], dtype="S7")
        spans = [("train", 0, 6), ("dev", 6, 7), ("test", 7, 10)]
        rows = [
            (s, source, a, b, None, 1, b".")
            for s, a, b in spans
            for source in ("features", "vgg_features")
        ]
        kind = [
            ("split", "S5"),
            ("source", "S15"),
            ("start", int),
            ("stop", int),
            ("indices", h5py.special_dtype(ref=h5py.Reference)),
            ("available", bool),
            ("comment", "S1"),
        ]
        file.attrs["split"] = np.array(
            [(s.encode(), t.encode(), *rest) for s, t, *rest in rows], dtype=kind
        )
    return path


def test_imdb_hdf5(tmp_path):
    path = imdb_hdf5(tmp_path)
    assert "mm-imdb" in datasets.available(tmp_path)
    data = datasets.load("mm-imdb", tmp_path)
    assert data.shapes == {"text": (300,), "image": (4096,)}
    assert [len(data.rows(split)) for split in ("train", "valid", "test")] == [
        5,
        1,
        3,
    ]  # row 0 repeats a test id
    assert data.present.sum(1).tolist() == [8, 9]
    assert data.class_names == GENRES
    assert "1 plots without a known word counted as lacking text." in data.notes
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read as the published hdf5 file"):
        datasets.load("mm-imdb", tmp_path)


def test_partly_there_is_told_apart(tmp_path):
    root = hateful(tmp_path)
    (root / "test_seen.jsonl").unlink()
    output = (
        CliRunner().invoke(command, ["check", "hateful-memes", "--folder", str(tmp_path)]).output
    )
    assert f"found: {root / 'dev_seen.jsonl'}" in output
    names = f"{root / 'test_seen.jsonl'} or {root / 'test.jsonl'}"
    assert f"missing: {names}; put train.jsonl" in output
    with pytest.raises(DataError, match=r"lacks hateful_memes/test_seen.jsonl or .*test.jsonl in"):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())


def test_check_tells_where_to_put_each_of_the_papers_sets(tmp_path):
    result = CliRunner().invoke(command, ["check", "all", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    for part in (
        f"cmu-mosi/mosi_data.pkl or {tmp_path}/cmu-mosi/mosi_raw.pkl; put mosi_data.pkl",
        "put multimodal_imdb.hdf5 into mm-imdb/",
        "put train.jsonl",
        "put class_idx.json",
        "digits: in order",
    ):
        assert part in result.output
