"""Small sets of raw images and texts in the published layouts, and models that read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


class Encoder:
    """A user's callable that counts how often it is asked."""

    def __init__(self, kind: str, name: str | None) -> None:
        self.kind = kind
        self.calls = 0
        if name:
            self.name = name

    def __call__(self, items: list) -> np.ndarray:
        self.calls += 1
        if self.kind == "text":
            return np.array([[len(item), item.count("a"), 1] for item in items], dtype=float)
        assert all(item.mode == "RGB" for item in items)
        return np.array([[*np.asarray(item).reshape(-1, 3).mean(0).tolist(), 1] for item in items])


def encoders(name: str | None = "stub") -> dict[str, Encoder]:
    """An encoder for images and one for texts; without a name nothing is cached."""
    return {kind: Encoder(kind, name) for kind in ("image", "text")}


def picture(path: Path, colour: int = 9, mode: str = "RGB") -> Path:
    """A picture of one colour, 8 by 6."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 6), colour if mode != "RGB" else (colour, 0, 0)).save(path)
    return path


def write_json(path: Path, content: object) -> Path:
    """A JSON file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_lines(path: Path, objects: list[dict], encoding: str = "utf-8") -> Path:
    """One JSON object a line, with characters as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(item, ensure_ascii=False) for item in objects]
    path.write_text("\n".join(lines) + "\n", encoding=encoding, newline="\n")
    return path


def meme(number: int, label: int | None, text: str, **changes: object) -> dict:
    """One line of Hateful Memes; without a label it has no such field."""
    line = {"id": number, "img": f"img/{number:05d}.png", "text": text} | changes
    return line if label is None else line | {"label": label}


def hateful(folder: Path, dev: str = "dev_seen", test: str = "test_seen") -> Path:
    """Nine memes with every oddity.

    One has no label, one id is repeated, the list gives one file name without its zeros, one image
    is missing and one text is empty.
    """
    root = folder / "hateful_memes"
    train = [
        meme(1, 0, "a cat"),
        meme(2, 1, "a dog", img="img/2.png"),
        meme(3, 0, ""),
        meme(4, 1, "cat dog"),
        meme(8, 1, "shared"),
    ]
    write_lines(root / "train.jsonl", train)
    write_lines(root / f"{dev}.jsonl", [meme(5, 0, "a"), meme(8, 1, "shared")])
    write_lines(root / f"{test}.jsonl", [meme(6, 1, "dog"), meme(7, None, "cat")])
    for number in (1, 2, 3, 5, 6, 7, 8):
        picture(root / f"img/{number:05d}.png", number)
    return root


MOVIES = {
    "0000001": {"plot": ["short", "the longest plot"], "genres": ["Drama", "War"]},
    "0000002": {"plot": [], "genres": ["Film-Noir"]},
    "0000003": {"plot": ["x"], "genres": ["Adult"]},
    "0000004": {"plot": ["y"], "genres": ["Comedy", "News"]},
    "0000005": {"plot": "one plot", "genres": "Musical"},
}


def imdb(folder: Path, texts: str = "dataset", images: str = "dataset") -> Path:
    """Five movies; one has no genre of the set, and one of split.json is not there."""
    root = folder / "mm-imdb"
    for name, movie in MOVIES.items():
        picture(root / images / f"{name}.jpeg")
        write_json(root / texts / f"{name}.json", movie)
    splits = {
        "train": ["0000001", "0000002"],
        "dev": ["0000003", "0000009", "0000005"],
        "test": ["0000004"],
    }
    write_json(root / "split.json", splits)
    return root


FOOD_INDEX = {f"class_{number}": number for number in range(99)} | {
    "frozen_yogurt": 99,
    "tacos": 100,
}
FOOD_SPLITS = {
    "train": ["frozen_yogurt_1.jpg", "tacos_2.jpg", "tacos_3.jpg", "pizza_9.jpg"],
    "val": ["tacos_4.jpg"],
    "test": ["frozen_yogurt_5.jpg"],
}


def food(folder: Path) -> Path:
    """Food-101 as the prompts code has it; tacos_3 has neither text nor image, pizza no class."""
    root = folder / "food101"
    texts = {}
    for part, names in FOOD_SPLITS.items():
        for name in names:
            if name == "tacos_3.jpg":
                continue
            texts[name] = "words"
            place = "test" if part == "test" else "train"
            picture(root / "images" / place / name.rpartition("_")[0] / name)
    write_json(root / "class_idx.json", FOOD_INDEX)
    write_json(root / "split.json", FOOD_SPLITS)
    write_json(root / "text.json", texts)
    return root


def kaggle_food(folder: Path) -> Path:
    """Food-101 as Kaggle gives it: titles hold commas, quotes and ends of lines; no validation."""
    root = folder / "food101"
    train = [
        'apple_pie_0.jpg,"Pie, with ""apples""\nand cream",apple_pie\n',
        "tacos_1.jpg,Tacos – the best,tacos\n",
    ]
    test = ["apple_pie_7.jpg,,apple_pie\n", "tacos_8.jpg,plain,tacos\n"]
    for split, lines in {"train": train, "test": test}.items():
        path = root / f"texts/{split}_titles.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8-sig", newline="")
    for place in ("train/apple_pie/apple_pie_0", "train/tacos/tacos_1", "test/tacos/tacos_8"):
        picture(root / f"images/{place}.jpg")
    picture(root / "images/test/apple_pie/apple_pie_7.jpg")
    return root


def tiny_vilt(folder: Path) -> Path:
    """A tiny random ViLT with a tokenizer, in the layout of a published checkpoint.

    As in BERT's vocabulary, [PAD], [UNK], [CLS] and [SEP] are 0, 100, 101 and 102.
    """
    import torch
    from transformers import BertTokenizer, ViltConfig, ViltModel

    folder.mkdir(parents=True, exist_ok=True)
    unused = [f"[unused{number}]" for number in range(1, 100)]
    words = ["[PAD]", *unused, "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "shared"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = ViltConfig(
        vocab_size=len(words),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        max_position_embeddings=10,
        max_image_length=-1,
    )
    torch.manual_seed(0)
    ViltModel(config).save_pretrained(folder)
    return folder
