"""`robult fit | predict | describe`: the estimators from the command line, for files of your own.

They need nothing but the light install; a parquet file needs pandas and pyarrow as well.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np

    from robult_core.inputs import Modalities
    from robult_core.targets import Targets

ID = click.option("--id", "identity", help="Column that names the samples: no feature.")
MOST_LINES = 20  # of classes that are listed
FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
TASK = click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression", "multilabel"]),
    default="auto",
    show_default=True,
    help="What the labels are.",
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")


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
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the model.",
)
@ID
@TASK
@METHOD
@click.option("--unlabeled", default="-1", show_default=True, help="Label of unlabelled samples.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--max-steps", type=click.IntRange(1), help="Gradient steps [default: by size].")
@click.option("--calibrate", is_flag=True, help="Calibrate the probabilities; five more trainings.")
@DEVICE
def fit(
    files: tuple[Path, ...],
    target: str,
    out: Path,
    identity: str | None,
    task: str,
    **options: Any,
) -> None:
    """Train on FILES: one npz archive, or one csv or parquet file per modality.

    Samples that have no modality at all are left out, and so are those that an array or column
    "split" does not call "train".
    """
    from robult_core.datasets.own_files import SPLIT, read_split, split_target
    from robult_core.inputs import Modalities
    from robult_core.saved_models import DESCRIPTION
    from robult_study.own_samples import has_any, read_samples, refuse_hidden_id, remember_id

    tables, _ = read_samples(files, [target, SPLIT], identity, required=[target, identity])
    split = tables.pop(SPLIT, None)
    modalities, labels = split_target(tables, target)
    refuse_hidden_id(modalities)
    if (out / DESCRIPTION).exists():
        raise ValueError(f"'{out}' holds a model already: delete it, or choose another --out")
    model = _estimator(task, labels, options)
    samples = Modalities(modalities)
    there = has_any(samples)
    if split is not None:
        trains = read_split(split, len(labels)) == "train"
        click.echo(f"'{SPLIT}' leaves {int((~trains).sum())} of {len(trains)} samples out")
        samples, labels, there = samples[trains], labels[trains], there[trains]
    for line in _label_lines(*_read_labels(labels[there], options["unlabeled"], task)):
        click.echo(line)
    try:
        model.fit(samples[there], labels[there])
    except FloatingPointError as error:  # the training diverged
        raise click.ClickException(str(error)) from error
    model.save(out)
    remember_id(out, identity)
    empty = int((~there).sum())
    left_out = f" ({empty} without any modality left out)" if empty else ""
    click.echo(
        f"{type(model).__name__} on {', '.join(modalities)}: {there.sum()} samples{left_out}, "
        f"{model.n_steps_} steps; saved in {out}"
    )


def _estimator(task: str, labels: np.ndarray, options: dict[str, Any]) -> Any:
    """The estimator that fits the task."""
    from robult_core import estimators

    kind = _kind(task, labels)
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


def _kind(task: str, labels: np.ndarray) -> str:
    """The kind of task; "auto" takes it from the labels.

    Raises ValueError for several columns of other numbers than labels have, because they come from
    a file of features that is named like the target.
    """
    from robult_core.datasets.own_files import has_fractions, kind_of_labels

    kind = kind_of_labels(labels) if task == "auto" else task
    if labels.ndim == 2 and labels.shape[1] > 1 and has_fractions(labels):
        raise ValueError(
            f"the target has {labels.shape[1]} columns with fractions, which are no labels: "
            "a file that is named like the target holds labels alone, so rename it"
        )
    return kind


def _mark_of_unlabeled(labels: np.ndarray, text: str) -> str | int | None:
    """The label of unlabelled samples as it stands among the labels: a name, a number or none.

    Raises ValueError where the labels are numbers and the text is none.
    """
    if labels.dtype.kind in "OUS":
        return text
    if text.lower() == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"--unlabeled is '{text}', but the labels are numbers: give a whole number, such as "
            "-1, or none where every number is a class"
        ) from None


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False))
@FILES
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A csv file."
)
@click.option(
    "--target",
    default="y",
    show_default=True,
    help="Array or column of labels, if there: no feature.",
)
@ID
@DEVICE
def predict(
    model: Path,
    files: tuple[Path, ...],
    out: Path,
    target: str,
    identity: str | None,
    device: str,
) -> None:
    """Predict from whatever modalities FILES hold with the MODEL that `robult fit` saved.

    The columns of a csv or parquet file are found by the names that they had at fit, in any order;
    others are not read. The first column of the table is the id of the sample, where a column
    names it (the one of the fit, unless --id names another), else its row from 0 up. A sample that
    has no modality at all gets empty cells.
    """
    from robult_core.datasets.own_files import SPLIT, as_modalities, files_behind
    from robult_core.estimators import load_model
    from robult_core.inputs import Modalities
    from robult_study.own_samples import has_any, id_of_fit, read_samples

    if not out.absolute().parent.is_dir():
        raise ValueError(f"the folder of '{out}' is missing: make it, or choose another --out")
    if out.resolve() in {path.resolve() for path in files_behind(files)}:
        raise ValueError(f"--out is '{out}', one of the files to predict from: choose another")
    estimator = load_model(model, device)
    features = {name: list(columns) for name, columns in estimator.column_names_.items()}
    required = [identity]
    identity = identity or id_of_fit(model)
    columns = [target, SPLIT]
    tables, ids = read_samples(files, columns, identity, required=required, features=features)
    for name in columns:
        tables.pop(name, None)
    samples = Modalities(as_modalities(tables))
    there = has_any(samples)
    header, given = _answers(estimator, samples[there])
    answers = zip(*given, strict=True)
    empty = ("",) * len(header)
    names = range(len(there)) if ids is None else ids
    with open(out, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["row" if ids is None else identity, *header])
        for name, is_there in zip(names, there, strict=True):
            writer.writerow([name, *(next(answers) if is_there else empty)])
    click.echo(f"{there.sum()} predictions from {', '.join(samples)} in {out}")
    if not there.all():
        click.echo(f"{(~there).sum()} samples have no modality at all: their cells are empty")


def _answers(estimator: Any, samples: Modalities) -> tuple[list[str], list[Any]]:
    """The columns of the table of predictions: the answers, and the probability of each label."""
    predicted = estimator.predict(samples)
    several = predicted.ndim == 2  # one column per label
    header = [f"prediction_{label}" for label in estimator.classes_] if several else ["prediction"]
    columns = list(predicted.T) if several else [predicted]
    if hasattr(estimator, "classes_"):
        header += [f"probability_{label}" for label in estimator.classes_]
        columns += list(estimator.predict_proba(samples).T)
    return header, columns


@click.command()
@FILES
@click.option("--target", default="y", show_default=True, help="Name of the array of labels.")
@click.option("--unlabeled", default="-1", show_default=True, help="Label of unlabelled samples.")
@ID
@TASK
def describe(
    files: tuple[Path, ...], target: str, unlabeled: str, identity: str | None, task: str
) -> None:
    """Say what FILES hold: modalities, what is missing, labels per class."""
    from robult_core.datasets.own_files import SPLIT, as_modalities
    from robult_core.inputs import feature_names
    from robult_core.multimodal import first_names
    from robult_core.targets import warn_of_marks
    from robult_study.own_samples import read_samples, refuse_hidden_id

    tables, _ = read_samples(files, [target, SPLIT], identity, required=[identity])
    split = tables.pop(SPLIT, None)
    features = {name: table for name, table in tables.items() if name != target}
    try:
        refuse_hidden_id(features)
    except ValueError as error:
        click.echo(str(error))
    for name, table in as_modalities(features).items():
        shape = " x ".join(map(str, table.shape[1:]))
        names = feature_names(table)
        columns = "" if names is None else f"; columns {first_names(names)}"
        click.echo(
            f"{name}: {len(table)} samples of {shape} features, {_lacking(name, table)}{columns}"
        )
    if split is not None:
        parts = ", ".join(f"{count} {part}" for part, count in Counter(map(str, split)).items())
        click.echo(f"{SPLIT}: {parts}")
    lengths = {name: len(table) for name, table in tables.items()}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} {length}" for name, length in lengths.items())
        click.echo(f"numbers of samples differ ({given}): give the same samples in the same order")
    if target not in tables:
        click.echo(f"no target '{target}': name it with --target to train")
        return
    try:
        kind, targets = _read_labels(tables[target], unlabeled, task)
    except ValueError as error:
        click.echo(f"{target}: {error}")
        return
    for line in _label_lines(kind, targets):
        click.echo(line)
    if kind == "classification":  # a fit warns by itself
        warn_of_marks(targets)


def _lacking(name: str, table: np.ndarray) -> str:
    """How many samples lack a modality, or what keeps it from being read."""
    from robult_core.inputs import presence, to_array

    try:
        there = presence(to_array(table, name), name)
    except ValueError as error:
        return f"cannot be trained on ({error})"
    return f"{int((~there).sum())} lack it"


def _read_labels(labels: np.ndarray, unlabeled: str, task: str) -> tuple[str, Targets]:
    """The kind of task, and the labels as it takes them."""
    from robult_core.targets import read_classes, read_indicators, read_numbers

    kind = _kind(task, labels)
    if kind == "regression":
        return kind, read_numbers(labels, len(labels))
    if kind == "multilabel":
        return kind, read_indicators(labels, len(labels))
    return kind, read_classes(labels, len(labels), _mark_of_unlabeled(labels, unlabeled))


def _label_lines(kind: str, targets: Targets) -> list[str]:
    """How many samples have a label, and how many of each class or what range of numbers."""
    import numpy as np

    known = targets.values[targets.known]
    first = f"{kind}: {len(known)} of {len(targets.known)} samples are labelled"
    if kind == "regression":
        return [first, f"  mean {known.mean():.3f}, from {known.min():g} to {known.max():g}"]
    assert targets.classes is not None
    if kind == "multilabel":
        pairs = zip(targets.classes, known.sum(axis=0), strict=True)
        return [first, *(f"  label {label}: {count} samples" for label, count in pairs)]
    pairs = zip(targets.classes, np.bincount(known), strict=True)
    counts = [f"  class {label}: {count} samples" for label, count in pairs]
    if len(counts) > MOST_LINES:
        counts = [*counts[:MOST_LINES], f"  … and {len(counts) - MOST_LINES} more classes"]
    lines = [first, *counts]
    n_classes = len(targets.classes)
    if targets.classes.dtype.kind in "iuf" and n_classes > max(MOST_LINES, len(known) / 2):
        lines.append(
            f"  {n_classes} classes among {len(known)} labels: if they are measurements, "
            "say --task regression"
        )
    return lines
