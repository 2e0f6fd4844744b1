"""Files of your own: an npz archive, or one csv or parquet file per modality.

    load("data.npz")          arrays "text", "audio", ... and the labels "y"
    load("folder")            text.csv, audio.csv, ... where the labels are y.csv or a column "y"

Whole numbers and text are classes, numbers with a fraction are a regression, several columns of 0
and 1 are several labels. A class is unknown where the label is -1 (text: empty) or NaN. A number
with a fraction is unknown only where it is empty or NaN, because -1 is a value there. Several
labels are unknown in a row of -1 or NaN. Samples with an unknown label take part in the training.
A row of NaN says that a sample lacks the modality. An array or column "split" of "train", "valid"
and "test" is optional; without it the labelled samples are split 70/30 with seed 0, class by class
where there are enough labels.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robult_core.checks import stratification
from robult_core.datasets.container import SPLITS, MultimodalData
from robult_core.datasets.data_set import DataSet, data_folder
from robult_core.datasets.files import DataError, count_note, read_npz, reading
from robult_core.inputs import presence, to_array, to_tensor
from robult_core.targets import (
    Targets,
    read_classes,
    read_indicators,
    read_numbers,
    warn_of_marks,
)
from robult_core.tasks import Classification, Multilabel, Regression, Task

KINDS = (".npz", ".csv", ".parquet")
SPLIT = "split"
TARGET = "y"
TEST_SHARE = 0.3
UNLABELED = -1  # beside NaN and None; among text it is the empty one
ABSENT = ("", "NA", "N/A", "NaN", "nan", "null", "None")  # cells of a csv file without a value
REMEDY = "check the path, or export the data again"
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}
OTHER_SPLIT_NAMES = {"val": "valid", "dev": "valid", "validation": "valid", "training": "train"}


# --- reading tables -------------------------------------------------------------------------------


class Table(np.ndarray):
    """The cells of a csv or parquet file with the names of its columns, as a small frame.

    Rows of it keep the names, so that an estimator knows the features of a file by name.
    """

    columns: tuple[str, ...] | None

    def __array_finalize__(self, source: Any) -> None:
        self.columns = getattr(source, "columns", None)


def read_tables(
    paths: str | Path | Sequence[str | Path],
    columns: Sequence[str] = (),
    *,
    required: Sequence[str] = (),
    ids: Sequence[str] = (),
    features: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, np.ndarray]:
    """Arrays by name: the entries of an npz archive, or one array per csv or parquet file.

    paths: one path or several; a folder stands for the files in it.
    columns: names of columns that become arrays of their own, wherever they stand: the labels.
    required: names that some file must give.
    ids: those of `columns` whose cells stay as they are written.
    features: the only columns that are read of a table, in this order, by the name of the table;
        None, or a table that is not named here: all of them.

    A csv or parquet file is named without its ending and is a `Table`. One with a single column is
    flat; an empty cell is NaN, or None among text. Raises DataError for a file that is missing,
    damaged or of another kind, for a required name that no file gives, for a feature that its table
    lacks, for text where a modality should be, and where some files name their samples by a column
    of `ids` and others do not.
    """
    contents = {path: _read_file(path, ids) for path in files_behind(paths)}
    _check_required(required, ids, contents)
    _check_ids(ids, contents)
    tables: dict[str, np.ndarray] = {}
    for path, content in contents.items():
        wanted = (features or {}).get(path.stem)
        named = content if path.suffix == ".npz" else _table(path, content, columns, wanted)
        for name, array in named.items():
            if name in tables and name not in columns:
                raise DataError(f"two files give the name '{name}': rename one of them")
            if name in tables and not _equal(tables[name], array):
                raise DataError(
                    f"two files differ in the column '{name}', the second is '{path}': "
                    "give all files the same samples in the same order"
                )
            tables[name] = array
    return tables


def files_behind(paths: str | Path | Sequence[str | Path]) -> Iterator[Path]:
    """The files that the paths stand for."""
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        if not path.is_dir():
            yield path
            continue
        inside = files_of(path)
        if not inside:
            raise DataError(f"folder '{path}' holds no {', '.join(KINDS)} file: {REMEDY}")
        yield from inside


def _read_file(path: Path, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of an archive, or the columns of a table, by name."""
    if path.suffix == ".npz":
        return read_npz(path, None, REMEDY, first="")
    if path.suffix not in KINDS:
        raise DataError(f"file '{path}' is not one of {', '.join(KINDS)}: convert it first")
    with reading(path, f"a {path.suffix[1:]} table", REMEDY, first=""):
        return _read_csv(path, ids) if path.suffix == ".csv" else _read_parquet(path, ids)


def _check_required(
    required: Sequence[str],
    ids: Sequence[str],
    contents: Mapping[Path, Mapping[str, np.ndarray]],
) -> None:
    """DataError for a name that neither an array, nor a column, nor a whole table has.

    A table of several columns names several labels, but it cannot name the samples.
    """
    for name in required:
        tables = [content for path, content in contents.items() if path.stem == name]
        if any(len(content) == 1 or name not in ids for content in tables):
            continue
        if any(name in content for content in contents.values()):
            continue
        there = "; ".join(
            f"{path.name} has {_first_names(list(content))}" for path, content in contents.items()
        )
        raise DataError(f"no file has '{name}', as a column or an array: {there}")


def _check_ids(ids: Sequence[str], contents: Mapping[Path, Mapping[str, np.ndarray]]) -> None:
    """DataError where only some files name their samples: the rows of the others may be others."""
    for name in ids:
        others = {path: content for path, content in contents.items() if path.stem != name}
        naming = [path for path, content in others.items() if name in content]
        silent = [path for path in others if path not in naming]
        if naming and silent:
            raise DataError(
                f"'{naming[0]}' names its samples in the column '{name}', and '{silent[0]}' has no "
                f"such column: add it, so that their rows can be compared"
            )


def _first_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, … ({len(names)} in all)"


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that can be read, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in KINDS)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    is_number = a.dtype.kind == "f" and b.dtype.kind == "f"
    return np.array_equal(a, b, equal_nan=is_number)


def _table(
    path: Path,
    table: dict[str, np.ndarray],
    columns: Sequence[str],
    features: Sequence[str] | None,
) -> dict[str, np.ndarray]:
    """The table as one array by the name of its file, and each of `columns` that it has."""
    tables = {name: table.pop(name) for name in columns if name in table}
    if features is not None:
        table = _features(path, table, features)
    if not table:
        return tables
    texts = [name for name, column in table.items() if column.dtype.kind == "O"]
    if texts and len(table) > 1:
        raise _no_numbers(texts[0], table[texts[0]], path)
    cells = list(table.values())
    named = (cells[0] if len(cells) == 1 else np.column_stack(cells)).view(Table)
    named.columns = tuple(table)
    tables[path.stem] = named
    return tables


def _features(
    path: Path, table: Mapping[str, np.ndarray], features: Sequence[str]
) -> dict[str, np.ndarray]:
    """These columns of the table, in this order; DataError where it lacks one."""
    for name in features:
        if name not in table:
            raise DataError(
                f"'{path}' lacks the column '{name}', which the model was trained with: "
                f"it has {_first_names(list(table))}"
            )
    return {name: table[name] for name in features}


def _no_numbers(name: str, cells: np.ndarray, path: Path) -> DataError:
    """What is wrong with a column of objects; parquet files may hold one that is empty."""
    given = [cell for cell in cells if cell is not None]
    if not given:
        return DataError(f"column '{name}' of '{path}' is empty: drop the column")
    example = next((cell for cell in given if not _is_number(str(cell))), given[0])
    return DataError(
        f"column '{name}' of '{path}' holds text, such as {example!r}: "
        "give numbers, drop the column, or name it by --target or --id"
    )


def _read_csv(path: Path, ids: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Columns by name. The first line holds names, unless all its cells are numbers."""
    with open(path, newline="", encoding="utf-8-sig") as handle:
        rows = [row for row in csv.reader(handle) if row]
    if not rows:
        raise ValueError("it is empty")
    names = rows[0]
    _check_names(names)
    if all(_is_number(cell) for cell in names):
        names = [f"column {place}" for place in range(1, len(names) + 1)]
    else:
        rows = rows[1:]
    if not rows:
        raise ValueError("it has names of columns and no row")
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two columns are named {doubled!r}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} cells, expected {len(names)}")
    return {
        name: np.array(column, dtype=object) if name in ids else _column(column)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _check_names(names: Sequence[str]) -> None:
    """ValueError where the one name of a file looks like several names, and for a column without.

    pandas writes such a column for the numbers of the rows, which are no feature.
    """
    if not names[0].strip() and len(names) > 1:
        raise ValueError(
            "its first column has no name, as pandas writes the numbers of the rows: "
            "write it with index=False, or name the column"
        )
    for mark, word in OTHER_SEPARATORS.items():
        if len(names) == 1 and mark in names[0]:
            raise ValueError(f"its cells are separated by {word}: save it with commas")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in ABSENT
    return True


def _column(cells: Sequence[str]) -> np.ndarray:
    """The cells as float64, or as text where one is no number."""
    try:
        return np.array(["nan" if cell in ABSENT else cell for cell in cells], dtype=np.float64)
    except ValueError:
        return np.array([None if cell in ABSENT else cell for cell in cells], dtype=object)


def _read_parquet(path: Path, ids: Sequence[str] = ()) -> dict[str, np.ndarray]:
    import pandas as pd

    table = {}
    for name, column in pd.read_parquet(path).items():
        if pd.api.types.is_numeric_dtype(column) and name not in ids:
            table[str(name)] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            present = column.astype(object).where(column.notna(), None)
            table[str(name)] = present.to_numpy()
    return table


# --- modalities and labels ------------------------------------------------------------------------


def as_modalities(tables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tables as features: a table of one column is `(N, 1)`."""
    return {name: x.reshape(-1, 1) if x.ndim == 1 else x for name, x in tables.items()}


def split_target(
    tables: Mapping[str, np.ndarray], target: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The modalities and the target, each with the same samples.

    Raises DataError where the target is not there, and where the numbers of samples differ.
    """
    if target not in tables:
        raise DataError(f"there is no '{target}' among {', '.join(tables)}: name the target")
    modalities = {name: table for name, table in tables.items() if name != target}
    if not modalities:
        raise DataError(f"there is nothing beside the target '{target}': give a modality as well")
    n = len(tables[target])
    for name, table in modalities.items():
        length = len(table) if table.ndim else 0
        if length != n:
            raise DataError(
                f"'{name}' has {length} rows and the target '{target}' {n}: "
                "give every file the same samples in the same order"
            )
    return as_modalities(modalities), tables[target]


def kind_of_labels(labels: np.ndarray) -> str:
    """Several columns are several labels, fractions are numbers, everything else is classes."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        return "multilabel"
    return "regression" if has_fractions(labels) else "classification"


def has_fractions(labels: np.ndarray) -> bool:
    """Whether some known label is a number with a fraction."""
    if labels.dtype.kind != "f":
        return False
    known = labels[~np.isnan(labels)]
    return bool((known != known.round()).any())


def _read_labels(labels: np.ndarray, kind: str) -> tuple[Task, Targets, tuple[str, ...]]:
    """The task, its targets with zeros where unknown, and the names of classes or labels."""
    n = len(labels)
    if kind == "regression":
        return Regression(), read_numbers(labels.ravel(), n), ()
    if kind == "multilabel":
        targets = read_indicators(labels, n)
        names = tuple(f"label {place}" for place in range(labels.shape[1]))
        return Multilabel(labels.shape[1]), targets, names
    if kind == "classification":
        is_text = labels.dtype.kind in "OUS"
        targets = read_classes(labels.ravel(), n, "" if is_text else UNLABELED)
        warn_of_marks(targets)
        assert targets.classes is not None
        names = tuple(str(name) for name in targets.classes)
        return Classification(len(names)), targets, names
    raise DataError(f"task is {kind!r}: choose classification, regression or multilabel")


# --- a data set -----------------------------------------------------------------------------------


def find_own_files(name: str, folder: str | Path | None = None) -> Path | None:
    """The path that a name stands for: itself, or below the data folder; None if there is none."""
    for path in (Path(name).expanduser(), data_folder(folder) / name):
        if path.is_file() and path.suffix in KINDS:
            return path
        if path.is_dir() and files_of(path):
            return path
    return None


def own_data_set(path: Path) -> DataSet:
    """Files of one's own as an entry like those of the catalogue; they are read here."""
    data = load_own_files(path)

    def loader(folder: Path, task: Task, **options: Any) -> MultimodalData:
        return load_own_files(path, **options) if options else data

    return DataSet(
        name=data.name,
        task=data.task,
        modalities=data.names,
        loader=loader,
        licence=data.licence,
        source=data.source,
        needs=((str(path.resolve()),),),
        how=REMEDY,
    )


def load_own_files(path: Path, target: str = TARGET, task: str = "auto") -> MultimodalData:
    """Files of one's own as a data set; the module says how they are laid out.

    task: "classification", "regression", "multilabel", or "auto", which looks at the labels.
    Raises ValueError, which DataError is one of, in one sentence.
    """
    tables = read_tables(path, columns=(target, SPLIT), required=(target,))
    given = tables.pop(SPLIT, None)
    modalities, labels = split_target(tables, target)
    arrays = {name: to_array(x, name) for name, x in modalities.items()}
    present = np.stack([presence(x, name) for name, x in arrays.items()])  # (M, N)
    kind = kind_of_labels(labels) if task == "auto" else task
    label_task, targets, class_names = _read_labels(labels, kind)
    split = _drawn_split(targets, kind) if given is None else read_split(given, len(labels))
    evaluated = np.isin(split, ("valid", "test"))
    empty = ~present.any(axis=0)
    without_label = evaluated & ~targets.known
    keep = ~(empty | without_label)
    notes = count_note(int(empty.sum()), "samples without any modality left out")
    notes += count_note(int(without_label.sum()), "evaluated samples without a label left out")
    for part in ("train", "test"):
        if not (targets.known & keep & (split == part)).any():
            remedy = "label some samples, or leave the split out"
            raise DataError(f"the {part} part of '{path}' has no labelled sample: {remedy}")
    values, scaling_notes = _scaled(targets, split, kind)
    known = targets.known[keep]
    present = present[:, keep]
    return MultimodalData(
        name=re.sub(r"[^a-z0-9]+", "_", path.stem.lower()),  # it names files of results
        task=label_task,
        modalities={
            name: to_tensor(x[keep], there)
            for (name, x), there in zip(arrays.items(), present, strict=True)
        },
        targets=torch.from_numpy(values[keep]),
        split=split[keep],
        class_names=class_names,
        present=None if present.all() else torch.from_numpy(present),
        known=None if known.all() else torch.from_numpy(known),
        source=f"files of your own, {path.name}",
        licence="yours",
        notes=(*notes, *scaling_notes),
    )


def read_split(given: np.ndarray, n: int) -> np.ndarray:
    """The split as the files say it, in our names."""
    if given.shape != (n,):
        raise DataError(f"'{SPLIT}' has shape {given.shape}, expected ({n},): one name a sample")
    names = [OTHER_SPLIT_NAMES.get(str(name), str(name)) for name in given]
    for row, name in enumerate(names):
        if name not in SPLITS:
            choices = ", ".join(SPLITS)
            raise DataError(f"'{SPLIT}' says {name!r} in row {row}: choose from {choices}")
    return np.array(names)


def _drawn_split(targets: Targets, kind: str) -> np.ndarray:
    """70 % of the labelled samples train, 30 % test, seed 0; the unlabelled ones train.

    Classes are split alike where each has labels enough for both sides.
    """
    from sklearn.model_selection import train_test_split

    rows = np.flatnonzero(targets.known)
    if len(rows) < 2:
        raise DataError("one sample has a label, and the split needs two: label more samples")
    strata = None
    if kind == "classification":
        strata = stratification(targets.values[rows], TEST_SHARE)
    _, test = train_test_split(rows, test_size=TEST_SHARE, random_state=0, stratify=strata)
    return np.where(np.isin(np.arange(len(targets.known)), test), "test", "train")


def _scaled(targets: Targets, split: np.ndarray, kind: str) -> tuple[np.ndarray, list[str]]:
    """Numbers in deviations from the mean of the training rows, because losses expect that scale.

    Classes and labels stay as they are.
    """
    if kind != "regression":
        return targets.values, []
    train = targets.values[targets.known & (split == "train")]
    mean, deviation = train.mean(), train.std() or 1.0
    scaled = np.where(targets.known, (targets.values - mean) / deviation, 0.0)
    where = f"in deviations ({deviation:.6g}) from their mean ({mean:.6g}) over the training rows"
    return scaled.astype(np.float32), [f"Targets are given {where}."]
