"""Hateful Memes (Kiela et al. 2020): one JSON object a line, in one file a part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robult_core.datasets.files import DataError, count_note, reading
from robult_core.datasets.records import AGAIN, RawSet, Records, Row, inside

# Our split -> the files that may hold it, the first one found counts. The "unseen" files repeat
# rows of the others and are not merged.
FILES = {
    "train": ("train",),
    "valid": ("dev_seen", "dev"),
    "test": ("test_seen", "test"),
}
CLASS_NAMES = ("not hateful", "hateful")


def read_lists(root: Path) -> Records:
    """train, dev_seen (or dev) and test_seen (or test) .jsonl; rows without a label are left out.

    Raises DataError for a part without any label, as the test file of the challenge's first phase.
    """
    rows: list[Row] = []
    unlabeled = 0
    for split, names in FILES.items():
        paths = [root / f"{name}.jsonl" for name in names]
        path = next((path for path in paths if path.is_file()), paths[0])
        has_labels = False
        for number, meme in read_lines(path):
            label = meme.get("label")
            if label is None:
                unlabeled += 1
                continue
            has_labels = True
            rows.append(_row(root, path, number, meme, split))
        if not has_labels:
            advice = f"get {names[0]}.jsonl, which has them, from the publisher"
            raise DataError(f"'{path}' has no labels: {advice}")
    notes = count_note(unlabeled, "rows without a label left out")
    return Records(rows, tuple(FILES), CLASS_NAMES, tuple(notes))


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file and the numbers of their lines, from 1.

    Only a line feed ends a line: captions may hold the other ends of lines that Unicode knows.
    """
    with reading(path, "text", AGAIN):
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            meme = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number} of '{path}' is no JSON ({error}): {AGAIN}") from error
        if not isinstance(meme, dict) or not {"id", "img", "text"} <= set(meme):
            raise DataError(f"line {number} of '{path}' lacks id, img or text: {AGAIN}")
        for key in ("img", "text"):
            if not isinstance(meme[key], str):
                wrong = f"has {meme[key]!r:.40} as its {key}, expected a text"
                raise DataError(f"line {number} of '{path}' {wrong}: {AGAIN}")
        yield number, meme


def _row(root: Path, path: Path, number: int, meme: dict[str, Any], split: str) -> Row:
    where = f"line {number} of '{path}'"
    if meme["label"] not in (0, 1):
        raise DataError(f"{where} has the label {meme['label']!r}, expected 0 or 1: {AGAIN}")
    image = inside(root, meme["img"], where)
    identity = str(meme["id"])
    if not image.is_file():  # in some copies the names are padded with zeros and the list is not
        image = root / "img" / Path(f"{identity.zfill(5)}.png").name
    return Row(identity, meme["text"], image, int(meme["label"]), split)


HATEFUL_MEMES = RawSet("hateful-memes", "hateful_memes", read_lists, longest=128)
