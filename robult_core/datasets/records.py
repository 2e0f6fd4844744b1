"""Sets of raw images and texts: their lists are read here, their content by a frozen model.

Each set has a reader of its lists (`mm_imdb`, `food101`, `hateful_memes`). What follows is the same
for all: copies are dropped, and texts and images become features of a frozen encoder, or token ids
and pixels for a ViLT.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch

from robult_core.datasets.affect import first_occurrences
from robult_core.datasets.container import MultimodalData
from robult_core.datasets.features import REMEDY, Encoders, image_text_features, open_image
from robult_core.datasets.files import DataError, count_note, reading
from robult_core.datasets.vilt_inputs import vilt_inputs
from robult_core.tasks import Task

AGAIN = "get it again from its publisher, the layout is in data/README.md"
# The names of the parts in published lists, and ours.
PARTS = {"train": "train", "dev": "valid", "val": "valid", "test": "test"}


class Row(NamedTuple):
    """One raw sample; the text may be empty and the image missing."""

    id: str
    text: str
    image: Path
    target: int | list[int]
    split: str


@dataclass(frozen=True)
class Records:
    """What the lists of a set say; `splits` are those that they announce."""

    rows: list[Row]
    splits: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawSet:
    """A set of images and texts below `place` in the data folder.

    longest: tokens of a text for a ViLT, as in the released code of the missing-aware prompts.
    """

    name: str
    place: str
    read: Callable[[Path], Records]
    longest: int

    def load(
        self,
        folder: Path,
        task: Task,
        encoders: Encoders = None,
        vilt_folder: str | Path | None = None,
    ) -> MultimodalData:
        """The set as features of a frozen encoder or, with `vilt_folder`, as tokens and pixels.

        A sample without text or readable image lacks that modality; without both it is left out.
        """
        root = folder / self.place
        records, notes = self._usable(root)
        texts = [row.text for row in records.rows]
        images = [row.image for row in records.rows]
        if vilt_folder is None:
            inputs = image_text_features(texts, images, encoders, root)
        else:
            inputs = vilt_inputs(texts, images, vilt_folder, self.longest, root)
        present = inputs.pop("present")
        for modality, there in zip(("text", "image"), present, strict=True):
            notes += count_note(int((~there).sum()), f"samples without a usable {modality}")
        return MultimodalData(
            name=self.name,
            task=task,
            modalities={name: torch.from_numpy(inputs[name]) for name in ("text", "image")},
            targets=torch.tensor([row.target for row in records.rows]),
            split=np.array([row.split for row in records.rows]),
            class_names=records.class_names,
            present=None if present.all() else torch.from_numpy(present),
            display={"text": texts, "image": [str(path) for path in images]},
            notes=(*records.notes, *notes),
            unscaled=() if vilt_folder is None else ("text", "image"),
        )

    def _usable(self, root: Path) -> tuple[Records, list[str]]:
        """The rows without copies and without those that have neither text nor image; notes."""
        records = self.read(root)
        self._check_splits(root, records)
        split = np.array([row.split for row in records.rows])
        fresh = first_occurrences([row.id for row in records.rows], split)
        unique = [row for row, keep in zip(records.rows, fresh, strict=True) if keep]
        rows = [row for row in unique if row.text.strip() or open_image(row.image) is not None]
        notes = count_note(len(records.rows) - len(unique), "rows with a repeated id left out")
        neither = len(unique) - len(rows)
        notes += count_note(neither, "samples with neither text nor readable image left out")
        usable = Records(rows, records.splits, records.class_names, records.notes)
        self._check_splits(root, usable)
        return usable, notes

    def _check_splits(self, root: Path, records: Records) -> None:
        """Raise DataError where a part that the lists announce has no usable sample."""
        sizes = Counter(row.split for row in records.rows)
        for split in records.splits:
            if not sizes[split]:
                why = " ".join(records.notes) or "its lists are empty"
                empty = f"the {split} part of '{self.name}' in '{root}' has no usable sample"
                raise DataError(f"{empty} ({why}): {AGAIN}")

    def check(self, folder: Path, encoder: str = "ROBULT_ENCODER") -> list[str]:
        """Problems, without opening images: unreadable lists, missing images, no encoder.

        encoder: the variable that names the folder of what reads images and texts.
        """
        root = folder / self.place
        try:
            records = self.read(root)
            self._check_splits(root, records)
        except DataError as error:
            return [str(error)]
        remedy = REMEDY if encoder == "ROBULT_ENCODER" else f"set {encoder} to its local folder"
        problems = [] if os.environ.get(encoder) else [f"no encoder: {remedy}"]
        images = [row.image for row in records.rows]
        missing = [path for path in images if not path.is_file()]
        if missing:
            count = f"{len(missing)} of {len(images)} images, first {missing[0]}"
            problems.append(f"missing: {count}; their rows keep their text")
        return problems


def read_json(path: Path) -> Any:
    """The content of a JSON file, with or without a byte-order mark."""
    with reading(path, "JSON", AGAIN):
        return json.loads(path.read_text(encoding="utf-8-sig"))


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; DataError where it holds something else."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"'{path}' holds a {_kind(content)}, expected an object: {AGAIN}")
    return content


def read_splits(path: Path) -> list[tuple[str, str]]:
    """split.json as (name, split) pairs: an object with lists of names, train, dev or val, test."""
    pairs = []
    for part, names in read_object(path).items():
        if part not in PARTS:
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"'{part}' in '{path}' is no list of names: {AGAIN}")
        pairs += [(plain_name(path, name), PARTS[part]) for name in names]
    return pairs


def plain_name(path: Path, name: str) -> str:
    """The name of a file in a list; DataError where it leads to another folder."""
    if not name or "/" in name or "\\" in name or name in (".", ".."):
        raise DataError(f"'{path}' names {name!r}, which is no name of a file: {AGAIN}")
    return name


def inside(root: Path, name: str, where: str) -> Path:
    """The path of `name` below `root`; DataError where it leads out of it, `where` it was read."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise DataError(f"{where} names the file {name!r}, which leads out of '{root}': {AGAIN}")
    return root / path


def announced(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """The splits of (name, split) pairs; there must be a training and a test part."""
    has_valid = any(split == "valid" for _, split in pairs)
    return ("train", "valid", "test") if has_valid else ("train", "test")


def _kind(value: Any) -> str:
    """The JSON name of a value's type."""
    names = {list: "list", str: "text", bool: "truth value", dict: "object"}
    return names.get(type(value), "number" if isinstance(value, (int, float)) else "null")
