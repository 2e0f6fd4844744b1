"""MM-IMDb (Arevalo et al. 2017): the published hdf5 file of features, and the raw movies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robult_core.datasets.affect import first_occurrences
from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import DataError, count_note, reading
from robult_core.datasets.records import (
    AGAIN,
    PARTS,
    RawSet,
    Records,
    Row,
    announced,
    read_object,
    read_splits,
)
from robult_core.tasks import Task

GENRES = (
    "Drama",
    "Comedy",
    "Romance",
    "Thriller",
    "Crime",
    "Action",
    "Adventure",
    "Horror",
    "Documentary",
    "Mystery",
    "Sci-Fi",
    "Fantasy",
    "Family",
    "Biography",
    "War",
    "History",
    "Music",
    "Animation",
    "Musical",
    "Western",
    "Sport",
    "Short",
    "Film-Noir",
)


def read_lists(root: Path) -> Records:
    """split.json, <id>.json and <id>.jpeg: both in dataset/, or in labels/ and images/.

    The longest plot counts. Movies without any of the 23 genres are left out.
    """
    together = root / "dataset"
    texts = together if together.is_dir() else root / "labels"
    images = together if together.is_dir() else root / "images"
    pairs = read_splits(root / "split.json")
    rows = []
    missing = 0
    unknown = 0
    for name, split in pairs:
        path = texts / f"{name}.json"
        if not path.is_file():
            missing += 1
            continue
        movie = read_object(path)
        genres = _texts(path, movie, "genres")
        target = [int(genre in genres) for genre in GENRES]
        if not any(target):
            unknown += 1
            continue
        plot = max(_texts(path, movie, "plot"), key=len, default="")
        rows.append(Row(name, plot, images / f"{name}.jpeg", target, split))
    notes = count_note(missing, "movies of split.json without a description file left out")
    notes += count_note(unknown, "movies without any of the 23 genres left out")
    return Records(rows, announced(pairs), GENRES, tuple(notes))


def _texts(path: Path, movie: dict[str, Any], key: str) -> list[str]:
    """A field that is a list of texts, one text, or absent."""
    value = movie.get(key) or []
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise DataError(f"'{key}' in '{path}' is {value!r:.40}, expected a list of texts: {AGAIN}")
    return values


def load_hdf5(folder: Path, task: Task) -> MultimodalData:
    """multimodal_imdb.hdf5: word2vec of the plot (300), VGG features of the poster (4096).

    The text is NaN where no word of a plot is known; the splits are rows of an attribute.
    """
    path = folder / "mm-imdb/multimodal_imdb.hdf5"
    content = _read_hdf5(path)
    split = content["split"]
    fresh = first_occurrences(content["ids"], split)
    text, image = content["text"], content["image"]
    there = np.stack([np.isfinite(text).all(1), np.isfinite(image).all(1)])
    keep = fresh & there.any(0)
    notes = count_note(int((~fresh).sum()), "rows with a repeated id left out")
    without = int((~there[0]).sum())
    notes += count_note(without, "plots without a known word counted as lacking text")
    for part in ("train", "valid", "test"):
        if not (split[keep] == part).any():
            raise DataError(f"the {part} part of '{path}' is empty: {AGAIN}")
    text[~there[0]] = 0
    image[~there[1]] = 0
    present = there[:, keep]
    return MultimodalData(
        name="mm-imdb",
        task=task,
        modalities={"text": torch.from_numpy(text[keep]), "image": torch.from_numpy(image[keep])},
        targets=torch.from_numpy(content["genres"][keep].astype(np.int64)),
        split=split[keep],
        class_names=content["names"],
        present=None if present.all() else torch.from_numpy(present),
        notes=tuple(notes),
    )


def _read_hdf5(path: Path) -> dict[str, Any]:
    """text, image, genres `(N, ...)`, ids and split `(N,)`, and the names of the genres."""
    with reading(path, "the published hdf5 file", AGAIN):
        import h5py  # extra `paper`

        with h5py.File(path, "r") as file:
            ids = file["imdb_ids"][:].astype(str)
            split = np.full(len(ids), "", dtype="<U5")
            for span in file.attrs["split"]:
                part = PARTS[span["split"].decode()]
                split[int(span["start"]) : int(span["stop"])] = part
            return {
                "text": file["features"][:].astype(np.float32),
                "image": file["vgg_features"][:].astype(np.float32),
                "genres": file["genres"][:],
                "names": tuple(json.loads(file["genres"].attrs["target_names"])),
                "ids": ids,
                "split": split,
            }


MM_IMDB = RawSet("mm-imdb-raw", "mm-imdb", read_lists, longest=1024)
