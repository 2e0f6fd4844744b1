"""Arrays of your own, from an npz archive or from one csv or parquet file per modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robult_core.datasets.files import DataError, reading

KINDS = (".npz", ".csv", ".parquet")
REMEDY = "check the path, or export the data again"


def read_tables(paths: Sequence[str | Path]) -> dict[str, np.ndarray]:
    """Arrays by name: the entries of an npz archive, or one array per csv or parquet file.

    The name of a csv or parquet file, without its ending, is the name of its modality. A table
    with a single column is read as one flat array, which is how labels are written. An empty cell
    is NaN. Raises DataError for a file that is missing, damaged or of another kind.
    """
    tables: dict[str, np.ndarray] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix in KINDS)
            if not inside:
                raise DataError(f"folder '{path}' holds no {', '.join(KINDS)} file: {REMEDY}")
            new = read_tables(inside)
        elif path.suffix == ".npz":
            new = _read_archive(path)
        elif path.suffix in KINDS:
            new = {path.stem: _read_table(path)}
        else:
            raise DataError(f"file '{path}' is not one of {', '.join(KINDS)}: convert it first")
        doubled = sorted(set(new) & set(tables))
        if doubled:
            raise DataError(f"two files give the name '{doubled[0]}': rename one of them")
        tables |= new
    return tables


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with reading(path, "a numpy archive", REMEDY), np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_table(path: Path) -> np.ndarray:
    with reading(path, f"a {path.suffix[1:]} table", REMEDY):
        import pandas as pd

        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    values = frame.to_numpy()
    return values[:, 0] if values.shape[1] == 1 else values


def split_target(
    tables: dict[str, np.ndarray], target: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The modalities and the target, each with the same samples.

    Raises DataError where the target is not there, and where the numbers of samples differ.
    """
    if target not in tables:
        raise DataError(f"there is no '{target}' among {', '.join(tables)}: name the target")
    modalities = {name: table for name, table in tables.items() if name != target}
    if not modalities:
        raise DataError(f"there is nothing beside the target '{target}': give a modality as well")
    for name, table in modalities.items():
        if len(table) != len(tables[target]):
            raise DataError(
                f"'{name}' has {len(table)} rows and the target '{target}' {len(tables[target])}: "
                "give every file the same samples in the same order"
            )
    return modalities, tables[target]
