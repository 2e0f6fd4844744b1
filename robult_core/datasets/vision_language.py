"""MM-IMDb (hdf5 and raw), UPMC Food-101 and Hateful Memes, read from their published files (layouts: `data/README.md`)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from robult_core.datasets.affect import count_note, first_occurrences
from robult_core.datasets.container import MultimodalData
from robult_core.datasets.features import REMEDY, Encoders, image_text_features
from robult_core.datasets.files import DataError, reading
from robult_core.tasks import Task

_GENRES = """Drama Comedy Romance Thriller Crime Action Adventure Horror Documentary Mystery Sci-Fi Fantasy Family Biography War
History Music Animation Musical Western Sport Short Film-Noir"""
GENRES = tuple(_GENRES.split())
PARTS = (
    ("train", "train"),
    ("dev", "valid"),
    ("val", "valid"),
    ("test", "test"),
)  # published name, ours


AGAIN = "get it again from its publisher, the layout is in data/README.md"


class Row(NamedTuple):
    """One raw sample; the text may be empty and the image missing."""

    id: str
    text: str
    image: Path
    target: int | list[int]
    split: str


def _json(path: Path) -> Any:
    with reading(path, "JSON", AGAIN):
        return json.loads(path.read_text(encoding="utf-8"))


def imdb_rows(root: Path) -> tuple[list[Row], list[str]]:
    """split.json, <id>.json and <id>.jpeg, both in dataset/ or in labels/ and images/; the longest plot counts."""
    rows, unknown, missing = [], 0, 0
    texts, images = (
        (root / "dataset",) * 2
        if (root / "dataset").is_dir()
        else (root / "labels", root / "images")
    )
    splits = _json(root / "split.json")
    for name, split in ((name, split) for part, split in PARTS for name in splits.get(part, ())):
        if not (texts / f"{name}.json").is_file():
            missing += 1
            continue
        movie = _json(texts / f"{name}.json")
        target = [int(genre in movie.get("genres", ())) for genre in GENRES]
        unknown += not any(target)
        if any(target):
            rows.append(
                Row(
                    name,
                    max(movie.get("plot") or [""], key=len),
                    images / f"{name}.jpeg",
                    target,
                    split,
                )
            )
    notes = count_note(missing, "movies of split.json without a description file left out")
    return rows, notes + count_note(unknown, "movies without any of the 23 genres left out")


def food_rows(root: Path) -> tuple[list[Row], list[str]]:
    """class_idx.json, split.json, text.json, images/{train,test}/<class>/<file>; the class is in the file name."""
    index, texts, splits = (_json(root / f"{name}.json") for name in ("class_idx", "text", "split"))
    rows, unlabeled = [], 0
    for name, split in ((name, split) for part, split in PARTS for name in splits.get(part, ())):
        label = name.rpartition("_")[0]
        unlabeled += label not in index
        if label in index:
            image = root / "images" / ("test" if split == "test" else "train") / label / name
            rows.append(Row(name, str(texts.get(name) or ""), image, index[label], split))
    return rows, count_note(unlabeled, "files whose class is not in class_idx.json left out")


def hateful_rows(root: Path) -> tuple[list[Row], list[str]]:
    """train, dev_seen (or dev), test_seen (or test) .jsonl; the unseen files repeat rows and are not merged."""
    rows, unlabeled = [], 0
    for names, split in (
        (("train",), "train"),
        (("dev_seen", "dev"), "valid"),
        (("test_seen", "test"), "test"),
    ):
        path = next(
            (root / f"{name}.jsonl" for name in names if (root / f"{name}.jsonl").is_file()),
            root / names[0],
        )
        with reading(path, "JSON lines", AGAIN):
            for line in filter(str.strip, path.read_text(encoding="utf-8").splitlines()):
                meme = json.loads(line)
                image = root / meme["img"]
                image = image if image.is_file() else root / "img" / f"{int(meme['id']):05d}.png"
                unlabeled += meme.get("label") is None
                if meme.get("label") is not None:
                    rows.append(
                        Row(
                            str(meme["id"]),
                            str(meme["text"] or ""),
                            image,
                            int(meme["label"]),
                            split,
                        )
                    )
    return rows, count_note(unlabeled, "rows without a label left out")


# kind -> folder, reader, class names (empty: those of the image folders)
KINDS: dict[str, tuple[str, Callable, tuple[str, ...]]] = {
    "mm-imdb-raw": ("mm-imdb", imdb_rows, GENRES),
    "food101": ("food101", food_rows, ()),
    "hateful-memes": ("hateful_memes", hateful_rows, ("not hateful", "hateful")),
}


def load_records(folder: Path, task: Task, kind: str, encoders: Encoders = None) -> MultimodalData:
    """Features of the raw set `kind`; a row without text or readable image lacks that modality, without both it is left out."""
    where, read, class_names = KINDS[kind]
    rows, notes = read(folder / where)
    if not rows:
        raise DataError(
            f"no sample of '{kind}' can be read below '{folder / where}': run 'robult data check {kind}'"
        )
    ids, texts, images, targets, split = zip(*rows, strict=True)
    features = image_text_features(texts, images, encoders, folder / where)
    fresh, present = first_occurrences(ids, np.array(split)), features["present"]
    notes = notes + count_note(int((~fresh).sum()), "rows with a repeated id left out")
    for name, there in zip(("text", "image"), present, strict=True):
        notes += count_note(int((~there & fresh).sum()), f"samples without a usable {name}")
    notes += count_note(
        int((~present.any(axis=0) & fresh).sum()), "of them without either left out"
    )
    keep = np.flatnonzero(fresh & present.any(axis=0))
    names = (
        {target: image.parent.name for target, image in zip(targets, images, strict=True)}
        if not class_names
        else {}
    )
    mask = torch.from_numpy(present[:, keep])
    return MultimodalData(
        name=kind,
        task=task,
        modalities={name: torch.from_numpy(features[name][keep]) for name in ("text", "image")},
        targets=torch.tensor([targets[row] for row in keep]),
        split=np.array(split)[keep],
        class_names=class_names
        or tuple(names.get(label, f"class {label}") for label in range(task.n_outputs)),
        present=None if mask.all() else mask,
        display={"text": [texts[row] for row in keep], "image": [str(images[row]) for row in keep]},
        notes=tuple(notes),
    )


def check_records(folder: Path, kind: str) -> list[str]:
    """Problems of a raw set without opening images: unreadable lists, missing images, no encoder."""
    where, read = KINDS[kind][:2]
    try:
        images = [row.image for row in read(folder / where)[0]]
    except DataError as error:
        return [str(error)]
    missing = [path for path in images if not path.is_file()]
    problems = [] if os.environ.get("ROBULT_ENCODER") else [f"no encoder: {REMEDY}"]
    if missing:
        lead = f"missing: {len(missing)} of {len(images)} images, first {missing[0]}"
        problems.append(f"{lead}; their rows keep their text")
    return problems


def load_imdb_hdf5(folder: Path, task: Task) -> MultimodalData:
    """multimodal_imdb.hdf5: word2vec of the plot (300; NaN where no word is known), VGG features (4096), 23 genres; fuel's split attribute."""
    path = folder / "mm-imdb/multimodal_imdb.hdf5"
    with reading(path, "the published hdf5 file", AGAIN):
        import h5py  # extra `paper`

        with h5py.File(path, "r") as file:
            text, image = file["features"][:], file["vgg_features"][:]
            genres, ids = file["genres"][:], file["imdb_ids"][:].astype(str)
            names = json.loads(file["genres"].attrs["target_names"])
            split = np.full(len(ids), "", dtype="<U5")
            for row in file.attrs["split"]:
                split[int(row["start"]) : int(row["stop"])] = dict(PARTS)[row["split"].decode()]
    fresh = first_occurrences(ids, split)
    there = np.stack([np.isfinite(text).all(1), np.isfinite(image).all(1)])
    keep = fresh & there.any(0)
    notes = count_note(int((~fresh).sum()), "rows with a repeated id left out")
    notes += count_note(
        int((~there[0]).sum()), "plots without a known word counted as lacking text"
    )
    text, image = (
        np.where(ok[:, None], x, 0).astype(np.float32)[keep]
        for ok, x in zip(there, (text, image), strict=True)
    )
    return MultimodalData(
        name="mm-imdb",
        task=task,
        modalities={"text": torch.from_numpy(text), "image": torch.from_numpy(image)},
        targets=torch.from_numpy(genres[keep].astype(np.int64)),
        split=split[keep],
        class_names=tuple(names),
        present=None if there[:, keep].all() else torch.from_numpy(there[:, keep]),
        notes=tuple(notes),
    )
