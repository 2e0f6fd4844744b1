"""UPMC Food-101 (Wang et al. 2015): recipe texts and images of 101 dishes, in two layouts.

The lists of the missing-aware prompts code are class_idx.json, split.json and text.json. As Kaggle
gives the set there are texts/train_titles.csv and texts/test_titles.csv, which imply a split
without a validation part. Images lie in images/train/<class>/ and images/test/<class>/ either way.
"""

from __future__ import annotations

import csv
from pathlib import Path

from robult_core.datasets.files import DataError, count_note, reading
from robult_core.datasets.records import (
    AGAIN,
    RawSet,
    Records,
    Row,
    announced,
    plain_name,
    read_object,
    read_splits,
)

N_CLASSES = 101


def read_lists(root: Path) -> Records:
    """The lists of the prompts code where they are, else the titles as Kaggle gives them."""
    if (root / "text.json").is_file():
        return _read_json_lists(root)
    return _read_titles(root)


def _read_json_lists(root: Path) -> Records:
    """The class of a sample is its file name up to the last underscore."""
    index = _class_index(root / "class_idx.json")
    texts = read_object(root / "text.json")
    pairs = read_splits(root / "split.json")
    rows = []
    unknown = 0
    for name, split in pairs:
        label = name.rpartition("_")[0]
        if label not in index:
            unknown += 1
            continue
        text = texts.get(name) or ""
        if not isinstance(text, str):
            raise DataError(f"'{name}' in '{root / 'text.json'}' is {text!r:.40}, no text: {AGAIN}")
        rows.append(Row(name, text, _image(root, split, label, name), index[label], split))
    notes = count_note(unknown, "files whose class is not in class_idx.json left out")
    return Records(rows, announced(pairs), _names(index), tuple(notes))


def _class_index(path: Path) -> dict[str, int]:
    """Name of a class -> its number; DataError unless these are numbers of one class each."""
    index = read_object(path)
    numbers = [number for number in index.values() if type(number) is int]
    inside = all(0 <= number < N_CLASSES for number in numbers)
    if len(set(numbers)) < len(index) or not inside:
        raise DataError(f"'{path}' does not number its classes from 0 to 100: {AGAIN}")
    return index


def _read_titles(root: Path) -> Records:
    """Classes are numbered in alphabetical order, unless class_idx.json is there."""
    titles: list[tuple[str, str, str, str]] = []
    for split in ("train", "test"):
        path = root / f"texts/{split}_titles.csv"
        titles += [(*title, split) for title in _titles(path)]
    labels = sorted({label for _, _, label, _ in titles})
    given = root / "class_idx.json"
    index = _class_index(given) if given.is_file() else {label: i for i, label in enumerate(labels)}
    unknown = [label for label in labels if label not in index]
    if unknown or len(index) > N_CLASSES:
        found = f"{len(labels)} classes, first unknown {unknown[:1]}"
        raise DataError(f"the titles in '{root / 'texts'}' are of {found}: {AGAIN}")
    rows = []
    for name, text, label, split in titles:
        rows.append(Row(name, text, _image(root, split, label, name), index[label], split))
    sizes = f"{_count(rows, 'train')} train, {_count(rows, 'test')} test, no validation part"
    notes = (f"Split as texts/*.csv imply: {sizes}.",)
    return Records(rows, ("train", "test"), _names(index), notes)


def _titles(path: Path) -> list[tuple[str, str, str]]:
    """(file, title, class) of every row; titles may hold commas and ends of lines."""
    titles: list[tuple[str, str, str]] = []
    with (
        reading(path, "a table of titles", AGAIN),
        open(path, encoding="utf-8-sig", newline="") as f,
    ):
        reader = csv.reader(f)
        for cells in reader:
            if len(cells) != 3:
                where = f"the row that ends in line {reader.line_num} of '{path}'"
                raise DataError(f"{where} has {len(cells)} columns, expected 3: {AGAIN}")
            name, title, label = cells
            if not titles and "." not in name:  # a line of headings
                continue
            titles.append((plain_name(path, name), title, plain_name(path, label)))
    return titles


def _image(root: Path, split: str, label: str, name: str) -> Path:
    """Training and validation images lie together."""
    return root / "images" / ("test" if split == "test" else "train") / label / name


def _names(index: dict[str, int]) -> tuple[str, ...]:
    """Names in the order of the numbers; a number that no class has gets a name all the same."""
    named = {number: name for name, number in index.items()}
    return tuple(named.get(number, f"class {number}") for number in range(N_CLASSES))


def _count(rows: list[Row], split: str) -> int:
    return sum(row.split == split for row in rows)


FOOD101 = RawSet("food101", "food101", read_lists, longest=512)
