"""MM-IMDb (hdf5 and raw), UPMC Food-101 and Hateful Memes, read from their published files (layouts: `data/README.md`)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from robult_core.datasets.affect import count_note, first_occurrences
from robult_core.datasets.container import MultimodalData
from robult_core.datasets.features import REMEDY, Encoders, image_text_features
from robult_core.datasets.files import DataError, require
from robult_core.tasks import Classification, Multilabel, Task

_GENRES = """Drama Comedy Romance Thriller Crime Action Adventure Horror Documentary Mystery Sci-Fi Fantasy Family Biography War
History Music Animation Musical Western Sport Short Film-Noir"""
GENRES = tuple(_GENRES.split())


@dataclass
class Records:
    """Raw samples, one entry per row: id, text, image path, target, split; and what was left out."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    targets: list = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, text: object, image: Path, target: object, split: str) -> None:
        for column, value in zip(
            (self.ids, self.texts, self.images, self.targets, self.split),
            (name, str(text or ""), image, target, split),
            strict=True,
        ):
            column.append(value)


def _json(path: Path) -> object:
    try:
        return json.loads(require(path, "see data/README.md for the layout").read_text(encoding="utf-8"))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"file '{path}' is not valid JSON ({error}): get it again from its publisher") from error


def imdb_records(root: Path) -> Records:
    """split.json and per movie <id>.json and <id>.jpeg, together in dataset/ or apart in labels/ and images/; the longest plot counts."""
    records, unknown, missing = Records(), 0, 0
    texts, images = (root / "dataset",) * 2 if (root / "dataset").is_dir() else (root / "labels", root / "images")
    for part, split in {"train": "train", "dev": "valid", "test": "test"}.items():
        for name in _json(root / "split.json")[part]:
            if not (texts / f"{name}.json").is_file():
                missing += 1
                continue
            movie = _json(texts / f"{name}.json")
            target = [int(genre in movie.get("genres", ())) for genre in GENRES]
            unknown += not any(target)
            if any(target):
                records.add(name, max(movie.get("plot") or [""], key=len), images / f"{name}.jpeg", target, split)
    records.notes += count_note(missing, "movies of split.json without a description file left out")
    records.notes += count_note(unknown, "movies without any of the 23 genres left out")
    return records


def food_records(root: Path) -> Records:
    """class_idx.json, split.json, text.json, images/{train,test}/<class>/<file>."""
    records, unlabeled = Records(), 0
    index, texts = _json(root / "class_idx.json"), _json(root / "text.json")
    for part, split in {"train": "train", "val": "valid", "test": "test"}.items():
        for name in _json(root / "split.json")[part]:
            label = name.rpartition("_")[0]
            unlabeled += label not in index
            if label in index:
                image = root / "images" / ("test" if part == "test" else "train") / label / name
                records.add(name, texts.get(name), image, index[label], split)
    records.notes += count_note(unlabeled, "files whose class is not in class_idx.json left out")
    return records


def hateful_records(root: Path) -> Records:
    """train.jsonl, dev_seen.jsonl (or dev), test_seen.jsonl (or test); the unseen files are not merged: rows are repeated across them."""
    records, unlabeled = Records(), 0
    for names, split in ((("train",), "train"), (("dev_seen", "dev"), "valid"), (("test_seen", "test"), "test")):
        paths = [root / f"{name}.jsonl" for name in names]
        path = next((path for path in paths if path.is_file()), paths[0])
        for number, line in enumerate(
            require(path, "see data/README.md for the layout").read_text(encoding="utf-8").splitlines(), 1
        ):
            try:
                meme = json.loads(line) if line.strip() else None
            except ValueError as error:
                raise DataError(
                    f"line {number} of '{path}' is not valid JSON ({error}): get the file again from its publisher"
                ) from error
            unlabeled += meme is not None and meme.get("label") is None
            if meme and meme.get("label") is not None:
                image = root / str(meme.get("img", ""))
                padded = root / "img" / f"{int(meme['id']):05d}.png"
                records.add(
                    str(meme["id"]), meme.get("text"), image if image.is_file() else padded, int(meme["label"]), split
                )
    records.notes += count_note(unlabeled, "rows without a label left out")
    return records


# kind -> folder, reader, task, class names (empty: those of the folders)
KINDS: dict[str, tuple[str, Callable[[Path], Records], Task, tuple[str, ...]]] = {
    "mm-imdb-raw": ("mm-imdb", imdb_records, Multilabel(23), GENRES),
    "food101": ("food101", food_records, Classification(101), ()),
    "hateful-memes": ("hateful_memes", hateful_records, Classification(2, primary="auroc"), ("not hateful", "hateful")),
}


def load_records(folder: Path, kind: str, encoders: Encoders = None) -> MultimodalData:
    """Features of the raw set `kind`; a row without text or without a readable image lacks that modality, without both it is left out."""
    where, read, task, class_names = KINDS[kind]
    records = read(folder / where)
    if not records.ids:
        raise DataError(f"no sample of '{kind}' can be read below '{folder / where}': run 'robult data check {kind}'")
    features = image_text_features(records.texts, records.images, encoders, folder / where)
    fresh, present = first_occurrences(records.ids, np.array(records.split)), features["present"]
    keep = np.flatnonzero(fresh & present.any(axis=0))
    notes = [*records.notes, *count_note(int((~fresh).sum()), "rows with a repeated id left out")]
    for name, there in zip(("text", "image"), present, strict=True):
        notes += count_note(int((~there & fresh).sum()), f"samples without a usable {name}")
    notes += count_note(int((~present.any(axis=0) & fresh).sum()), "of them without either left out")
    mask = torch.from_numpy(present[:, keep])
    return MultimodalData(
        name=kind,
        task=task,
        modalities={name: torch.from_numpy(features[name][keep]) for name in ("text", "image")},
        targets=torch.tensor([records.targets[row] for row in keep]),
        split=np.array(records.split)[keep],
        class_names=class_names or _folder_names(records),
        present=None if mask.all() else mask,
        display={"text": [records.texts[row] for row in keep], "image": [str(records.images[row]) for row in keep]},
        notes=tuple(notes),
    )


def _folder_names(records: Records) -> tuple[str, ...]:
    names = {target: image.parent.name for target, image in zip(records.targets, records.images, strict=True)}
    return tuple(names.get(label, f"class {label}") for label in range(max(names) + 1))


def check_records(folder: Path, kind: str) -> list[str]:
    """Problems of a raw set without opening images: unreadable lists, missing images, no encoder."""
    where, read = KINDS[kind][:2]
    try:
        records = read(folder / where)
    except (DataError, KeyError) as error:
        return [str(error)]
    missing = [path for path in records.images if not path.is_file()]
    problems = [] if os.environ.get("ROBULT_ENCODER") else [f"no encoder: {REMEDY}"]
    if missing:
        problems.append(
            f"missing: {len(missing)} of {len(records.images)} images, first {missing[0]}; their rows keep their text"
        )
    return problems


def load_imdb_hdf5(folder: Path) -> MultimodalData:
    """multimodal_imdb.hdf5: word2vec of the plot (300; NaN where no word is known), VGG features (4096), 23 genres; fuel's split attribute."""
    try:
        import h5py
    except ImportError as error:
        raise DataError("multimodal_imdb.hdf5 needs h5py: pip install 'robult-core[paper]'") from error
    path = folder / "mm-imdb/multimodal_imdb.hdf5"
    try:
        with h5py.File(path, "r") as file:
            text, image = file["features"][:], file["vgg_features"][:]
            genres, ids = file["genres"][:], file["imdb_ids"][:].astype(str)
            names = json.loads(file["genres"].attrs["target_names"])
            spans = {row["split"].decode(): (int(row["start"]), int(row["stop"])) for row in file.attrs["split"]}
    except (OSError, KeyError, ValueError) as error:
        raise DataError(
            f"file '{path}' is not the published hdf5 file ({error}): get it again from its publisher"
        ) from error
    split = np.full(len(ids), "", dtype="<U5")
    for part, (start, stop) in spans.items():
        split[start:stop] = {"dev": "valid"}.get(part, part)
    fresh = first_occurrences(ids, split)
    there = np.stack([np.isfinite(text).all(1), np.isfinite(image).all(1)])
    keep = fresh & there.any(0)
    notes = count_note(int((~fresh).sum()), "rows with a repeated id left out")
    notes += count_note(int((~there[0]).sum()), "plots without a known word counted as lacking text")
    text, image = (
        np.where(ok[:, None], x, 0).astype(np.float32)[keep] for ok, x in zip(there, (text, image), strict=True)
    )
    return MultimodalData(
        name="mm-imdb",
        task=Multilabel(genres.shape[1]),
        modalities={"text": torch.from_numpy(text), "image": torch.from_numpy(image)},
        targets=torch.from_numpy(genres[keep].astype(np.int64)),
        split=split[keep],
        class_names=tuple(names),
        present=None if there[:, keep].all() else torch.from_numpy(there[:, keep]),
        notes=tuple(notes),
    )
