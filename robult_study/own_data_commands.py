"""`robult fit | predict | describe`: the estimators from the command line, for files of your own.

They need nothing but the light install; a csv or parquet file needs pandas as well.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np

ID = click.option("--id", "identity", help="Column that names the samples: no feature.")
FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
TASKS = ("auto", "classification", "regression", "multilabel")


def _default_method() -> str:
    """The method of the estimators, whose module loads torch."""
    from robult_core.multimodal import DEFAULT_METHOD

    return DEFAULT_METHOD


METHOD = click.option(
    "--method",
    default=_default_method,
    show_default="that of the estimators",
    help="Any method of the study.",
)


@click.command()
@FILES
@click.option("--target", default="y", show_default=True, help="Name of the array of labels.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the model.")
@ID
@click.option("--task", type=click.Choice(TASKS), default="auto", show_default=True)
@METHOD
@click.option("--unlabeled", default="-1", show_default=True, help="Label of unlabelled samples.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--max-steps", type=click.IntRange(1), help="Gradient steps [default: by size].")
@click.option("--calibrate", is_flag=True, help="Calibrate the probabilities; five more trainings.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
def fit(
    files: tuple[Path, ...],
    target: str,
    out: Path,
    identity: str | None,
    task: str,
    **options: Any,
) -> None:
    """Train on FILES: one npz archive, or one csv or parquet file per modality."""
    from robult_core.datasets.own_files import split_target
    from robult_core.saved_models import DESCRIPTION

    tables, _ = _tables(files, [target], identity, required=[target])
    modalities, labels = split_target(tables, target)
    if (out / DESCRIPTION).exists():
        raise ValueError(f"'{out}' holds a model already: delete it, or choose another --out")
    model = _estimator(task, labels, options)
    model.fit(modalities, labels)
    model.save(out)
    click.echo(
        f"{type(model).__name__} on {', '.join(modalities)}: {len(labels)} samples, "
        f"{model.n_steps_} steps; saved in {out}"
    )


def _tables(
    files: tuple[Path, ...], columns: list[str], identity: str | None, **options: Any
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """The arrays of the files by name, and the ids of the samples, where a column of them is named.

    Raises ValueError where the files lack that column.
    """
    from robult_core.datasets.own_files import read_tables

    if identity is None:
        return read_tables(files, columns, **options), None
    required = [*options.pop("required", []), identity]
    tables = read_tables(files, [*columns, identity], required=required, ids=[identity])
    ids = tables.pop(identity)
    for name, table in tables.items():
        if len(table) != len(ids):
            raise ValueError(
                f"'{name}' has {len(table)} rows and the id '{identity}' {len(ids)}: "
                "give every file the same samples in the same order"
            )
    return tables, ids


def _estimator(task: str, labels: np.ndarray, options: dict[str, Any]) -> Any:
    """The estimator that fits the task; "auto" takes the kind from the labels."""
    from robult_core import estimators
    from robult_core.datasets.own_files import kind_of_labels

    kind = kind_of_labels(labels) if task == "auto" else task
    if options["calibrate"] and kind != "classification":
        raise ValueError(
            f"--calibrate is for a classification, and the task is {kind}: leave --calibrate out"
        )
    shared = {
        "method": options["method"],
        "random_state": options["seed"],
        "max_steps": options["max_steps"],
        "device": options["device"],
    }
    if kind == "regression":
        return estimators.MultimodalRegressor(**shared)
    if kind == "multilabel":
        return estimators.MultimodalMultilabelClassifier(**shared)
    mark = _mark_of_unlabeled(labels, options["unlabeled"])
    return estimators.MultimodalClassifier(unlabeled=mark, calibrate=options["calibrate"], **shared)


def _mark_of_unlabeled(labels: np.ndarray, text: str) -> str | int:
    """The label of unlabelled samples as it stands among the labels: a name or a number.

    Raises ValueError where the labels are numbers and the text is none.
    """
    if labels.dtype.kind in "OUS":
        return text
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"--unlabeled is '{text}', but the labels are numbers: give a whole number, such as -1"
        ) from None


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False))
@FILES
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A csv file.")
@click.option("--target", default="y", show_default=True, help="Array to leave out, if there.")
@ID
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def predict(
    model: Path,
    files: tuple[Path, ...],
    out: Path,
    target: str,
    identity: str | None,
    device: str,
) -> None:
    """Predict from whatever modalities FILES hold with the MODEL that `robult fit` saved.

    The first column of the table is the id of the sample, or its row from 0 up.
    """
    from robult_core.datasets.own_files import as_modalities
    from robult_core.estimators import load

    estimator = load(model, device)
    tables, ids = _tables(files, [target], identity)
    tables.pop(target, None)
    modalities = as_modalities(tables)
    header, columns = _answers(estimator, modalities)
    header.insert(0, identity or "row")
    columns.insert(0, range(len(columns[0])) if ids is None else ids)
    with open(out, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
    click.echo(f"{len(columns[0])} predictions from {', '.join(modalities)} in {out}")


def _answers(estimator: Any, modalities: dict[str, np.ndarray]) -> tuple[list[str], list[Any]]:
    """The columns of the table of predictions, and the probabilities of a classification."""
    predicted = estimator.predict(modalities)
    if predicted.ndim == 2:
        return [f"label_{index}" for index in range(predicted.shape[1])], list(predicted.T)
    header, columns = ["prediction"], [predicted]
    if hasattr(estimator, "classes_"):
        header += [f"probability_{label}" for label in estimator.classes_]
        columns += list(estimator.predict_proba(modalities).T)
    return header, columns


@click.command()
@FILES
@click.option("--target", default="y", show_default=True, help="Name of the array of labels.")
@click.option("--unlabeled", default="-1", show_default=True, help="Label of unlabelled samples.")
@ID
def describe(files: tuple[Path, ...], target: str, unlabeled: str, identity: str | None) -> None:
    """Say what FILES hold: modalities, what is missing, labels per class."""
    from robult_core.datasets.own_files import as_modalities
    from robult_core.inputs import presence, to_array

    tables, _ = _tables(files, [target], identity)
    features = {name: table for name, table in tables.items() if name != target}
    for name, table in as_modalities(features).items():
        there = presence(to_array(table, name), name)
        shape = " x ".join(map(str, table.shape[1:]))
        missing = int((~there).sum())
        click.echo(f"{name}: {len(table)} samples of {shape} features, {missing} lack it")
    lengths = {name: len(table) for name, table in tables.items()}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {length}" for name, length in lengths.items())
        click.echo(f"numbers of samples differ ({given}): give the same samples in the same order")
    if target not in tables:
        click.echo(f"no target '{target}': name it with --target to train")
        return
    for line in _label_lines(tables[target], unlabeled):
        click.echo(line)


def _label_lines(labels: np.ndarray, unlabeled: str) -> list[str]:
    """How many samples have a label, and how many of each class or what range of numbers."""
    import numpy as np

    from robult_core.datasets.own_files import kind_of_labels
    from robult_core.targets import read_classes, read_indicators, read_numbers

    kind = kind_of_labels(labels)
    if kind == "regression":
        targets = read_numbers(labels, len(labels))
        known = targets.values[targets.known]
        counts = [f"  mean {known.mean():.3f}, from {known.min():g} to {known.max():g}"]
    elif kind == "multilabel":
        targets = read_indicators(labels, len(labels))
        sums = targets.values[targets.known].sum(axis=0)
        counts = [f"  label {index}: {count} samples" for index, count in enumerate(sums)]
    else:
        targets = read_classes(labels, len(labels), _mark_of_unlabeled(labels, unlabeled))
        assert targets.classes is not None
        numbers = np.bincount(targets.values[targets.known])
        pairs = zip(targets.classes, numbers, strict=True)
        counts = [f"  class {label}: {count} samples" for label, count in pairs]
    return [f"{kind}: {int(targets.known.sum())} of {len(labels)} samples are labelled", *counts]
