"""The samples of a user's files: which are there, and the column that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robult_core.atomic import write_whole
from robult_core.datasets.own_files import read_tables
from robult_core.inputs import Modalities, presence, to_array

REMEMBERED = "samples.json"  # beside a model: the column that named the samples at fit


def read_samples(
    files: Sequence[Path],
    columns: Sequence[str],
    identity: str | None,
    *,
    required: Sequence[str | None] = (),
    features: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The arrays of the files by name, and the ids of the samples, where a column names them.

    required: names that some file must give; None is no name. The others are those of
    `read_tables`. Raises ValueError where an array has another number of samples than the ids.
    """
    named = [] if identity is None else [identity]
    tables = read_tables(
        files,
        [*columns, *named],
        required=[name for name in required if name is not None],
        ids=named,
        features=features,
    )
    ids = tables.pop(identity, None) if identity is not None else None
    if ids is None:
        return tables, None
    for name, table in tables.items():
        if len(table) != len(ids):
            raise ValueError(
                f"'{name}' has {len(table)} rows and the id '{identity}' {len(ids)}: "
                "give every file the same samples in the same order"
            )
    return tables, ids


def refuse_hidden_id(tables: Mapping[str, np.ndarray]) -> None:
    """ValueError where all files share a column that differs in every row: an id, no feature."""
    frames = {name: table for name, table in tables.items() if getattr(table, "columns", None)}
    if len(frames) < 2:
        return
    first, *others = frames
    for column in frames[first].columns:
        if any(column not in frames[name].columns for name in others):
            continue
        cells = _cells(frames[first], column)
        is_shared = all(np.array_equal(cells, _cells(frames[name], column)) for name in others)
        if is_shared and len(np.unique(cells)) == len(cells) > 1:
            raise ValueError(
                f"the column '{column}' is the same in {', '.join(frames)} and differs in every "
                f"row: say --id {column} where it names the samples, or drop it"
            )


def _cells(table: np.ndarray, column: str) -> np.ndarray:
    """One column of a table of own files."""
    place = table.columns.index(column)
    return table.reshape(len(table), -1)[:, place]


def has_any(samples: Modalities) -> np.ndarray:
    """`(N,)` bool: which sample has any modality. ValueError where none has."""
    there = np.any([presence(to_array(x, name), name) for name, x in samples.items()], axis=0)
    if not there.any():
        raise ValueError(
            f"no sample has a modality: every row of {', '.join(samples)} is empty or NaN"
        )
    return there


def remember_id(model: Path, identity: str | None) -> None:
    """Keep beside a saved model which column named the samples, if one did."""
    if identity is not None:
        write_whole(model / REMEMBERED, json.dumps({"id": identity}).encode())


def id_of_fit(model: Path) -> str | None:
    """The column that named the samples when `robult fit` made the model; None if none did."""
    path = model / REMEMBERED
    if not path.exists():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"'{path}' is damaged: delete it, and give --id where a column names the samples"
        ) from None
