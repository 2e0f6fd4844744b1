"""Labels as people have them, read into what a task trains on."""

from __future__ import annotations

import logging
import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from robult_core.arrays import LARGEST, as_array
from robult_core.checks import is_number

LARGEST_WHOLE = 2**53  # up to it every whole number is a float of its own
logger = logging.getLogger("robult_core")

# Names of classes that are hardly meant as such.
LOOK_UNLABELED = {"-", "?", "-1", "na", "n/a", "nan", "nil", "none", "null"}
LOOK_UNLABELED |= {"missing", "unknown", "unlabeled", "unlabelled"}


class Targets(NamedTuple):
    """Encoded labels of N samples: `values` holds zeros where `known (N,)` is False.

    `classes` are the classes of a classification, or the names of several labels.
    """

    values: np.ndarray
    known: np.ndarray
    classes: np.ndarray | None = None


def column(y: Any, n: int) -> np.ndarray:
    """`y` as an array with one row per sample."""
    if y is None:
        raise ValueError(
            "fit requires y to be passed, but the target y is None: give the labels, "
            "with the mark of an unlabelled sample where one is unknown"
        )
    labels = _labels(y)
    if labels.ndim == 0 or len(labels) != n:
        count = 0 if labels.ndim == 0 else len(labels)
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} samples and "
            f"y has {count} labels; give every sample one, or the mark of an unlabelled sample"
        )
    return labels


def _labels(y: Any) -> np.ndarray:
    """The labels of any container as one array."""
    try:
        return as_array(y)
    except ValueError:
        raise ValueError(
            "the rows of y have different lengths: turn sets of labels into rows of 0 and 1, "
            "for instance by scikit-learn's MultiLabelBinarizer"
        ) from None


def _flat(labels: np.ndarray) -> np.ndarray:
    """A column vector as a flat array, with scikit-learn's own warning."""
    if labels.ndim != 2 or labels.shape[1] != 1:
        return labels
    from sklearn.exceptions import DataConversionWarning

    message = "A column-vector y was passed when a 1d array was expected: pass y.ravel()"
    warnings.warn(message, DataConversionWarning, stacklevel=4)
    return labels[:, 0]


def _is_missing(labels: np.ndarray) -> np.ndarray:
    """Where a label is None, NaN, pandas' NA or an empty text, as an empty cell is read."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind not in "OUS":
        return np.zeros(len(labels), dtype=bool)
    missing = [stands_for_nothing(label) or _is_blank(label) for label in labels.tolist()]
    return np.array(missing, dtype=bool)


def _is_blank(label: Any) -> bool:
    return isinstance(label, str) and not label.strip()


def stands_for_nothing(label: Any) -> bool:
    """Whether a label is None, NaN or pandas' NA, which answers no comparison."""
    if label is None or type(label).__name__ == "NAType":
        return True
    return isinstance(label, float) and math.isnan(label)


def _is_mark(labels: np.ndarray, mark: Any) -> np.ndarray:
    """Where a label is the mark of an unlabelled sample."""
    if labels.dtype.kind in "iuf" and is_number(mark):
        return labels == mark
    return np.array([_equals(label, mark) for label in labels.tolist()], dtype=bool)


def _equals(label: Any, mark: Any) -> bool:
    """Numbers are compared by value, whatever their type, and everything else by type and value.

    So -1 equals -1.0 and numpy's -1, but 1 equals neither "1" nor True.
    """
    label, mark = _plain(label), _plain(mark)
    if is_number(label) and is_number(mark):
        return label == mark
    return type(label) is type(mark) and label == mark


def _plain(label: Any) -> Any:
    """The Python value inside a numpy scalar."""
    return label.item() if isinstance(label, np.generic) else label


def read_classes(y: Any, n: int, unlabeled: Any) -> Targets:
    """Class numbers from 0 up, in the order of the sorted classes.

    Raises ValueError where nothing is labelled, where labels are fractions, and where there is one
    class only.
    """
    given, known = known_classes(y, n, unlabeled)
    classes, codes = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        only = classes.tolist()[0]
        hint = _one_class_hint(classes, unlabeled)
        raise ValueError(f"y holds one class only, {only!r}: a classifier needs at least two{hint}")
    values = np.zeros(n, dtype=np.int64)
    values[known] = codes
    return Targets(values, known, classes)


def known_classes(y: Any, n: int, unlabeled: Any) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the labelled samples, all of one type, and `known (N,)`: which these are."""
    labels = column(y, n)
    labels = _flat(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"y has shape {labels.shape}: a classifier needs (samples,) labels. For several labels "
            "per sample use MultimodalMultilabelClassifier"
        )
    known = ~(_is_missing(labels) | _is_mark(labels, unlabeled))
    given = labels[known]
    _check_mark(given, unlabeled)
    if not len(given):
        raise ValueError(
            f"no sample has a label: all {n} are marked as unlabelled ({unlabeled!r}, None or NaN)"
        )
    if given.dtype.kind == "O":
        kinds = {type(_plain(label)) for label in given}
        if len(kinds) > 1 and not all(issubclass(kind, (int, float, bool)) for kind in kinds):
            names = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(f"y mixes {names}: give all labels the same type")
        given = np.array(given.tolist())
    if given.dtype.kind == "f":
        fractions = given[given != np.floor(given)]
        if len(fractions) or not np.isfinite(given).all():
            shown = fractions[0] if len(fractions) else given[~np.isfinite(given)][0]
            raise ValueError(
                f"Unknown label type: y holds the number {shown}, which is no class. "
                "For continuous targets use MultimodalRegressor"
            )
        if np.abs(given).max() > LARGEST_WHOLE:
            raise ValueError(
                f"y holds the class {given[np.abs(given).argmax()]:.17g}, and numbers beyond 2^53 "
                "merge with their neighbours: give the classes as text"
            )
        given = given.astype(np.int64)
    return given, known


def _check_mark(given: np.ndarray, unlabeled: Any) -> None:
    """ValueError where the mark of unlabelled samples is a text such as "-1", and y has numbers."""
    if not isinstance(unlabeled, str) or given.dtype.kind not in "iuf":
        return
    try:
        number = float(unlabeled)
    except ValueError:
        return
    if (given == number).any():
        raise ValueError(
            f"unlabeled is the text {unlabeled!r}, and y has it as a number: give {unlabeled} "
            "without quotation marks, or None where it is a class"
        )


def warn_of_marks(targets: Targets) -> None:
    """A class by the name "unknown" is more likely a sample without a label."""
    assert targets.classes is not None
    codes = targets.values[targets.known]
    for code, name in enumerate(targets.classes.tolist()):
        if isinstance(name, str) and name.strip().lower() in LOOK_UNLABELED:
            logger.warning(
                "%d samples have the class %r: if that marks samples without a label, say so by "
                "unlabeled=%r (on the command line: --unlabeled)",
                int((codes == code).sum()),
                name,
                name,
            )


def _one_class_hint(classes: np.ndarray, unlabeled: Any) -> str:
    if unlabeled == -1 and classes[0] == 1:
        return ". Where -1 is a class of yours, name another mark, such as unlabeled=None"
    return ""


def read_numbers(y: Any, n: int) -> Targets:
    """Continuous targets; NaN and None are unlabelled samples."""
    labels = column(y, n)
    labels = _flat(labels)
    if labels.ndim != 1:
        raise ValueError(f"y has shape {labels.shape}: a regressor needs (samples,) numbers")
    numbers = _numbers(labels, "targets")
    known = ~np.isnan(numbers)
    if not known.any():
        raise ValueError(f"no sample has a target: all {n} are NaN")
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise ValueError(f"y is infinite (inf) in row {row}: give a finite number, or NaN for none")
    largest = np.abs(numbers[known]).max()
    if largest > LARGEST:
        raise ValueError(f"y holds the target {largest:.3g}, too large for float32: rescale it")
    return Targets(np.where(known, numbers, 0.0), known)


def _numbers(labels: np.ndarray, kind: str) -> np.ndarray:
    """Labels as floats, with NaN where there is none; ValueError for what is no number."""
    if labels.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: y holds complex {kind}, give real numbers")
    if labels.dtype.kind in "mM":
        raise ValueError(f"y holds dates as {kind}: give numbers, such as days since the first")
    if labels.dtype.kind == "O":
        labels = np.where(_is_missing(labels.ravel()).reshape(labels.shape), np.nan, labels)
    try:
        return labels.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y holds {kind} that are not numbers ({error})") from None


def read_indicators(y: Any, n: int) -> Targets:
    """Rows of 0 and 1, one column per label; a row of -1 (or NaN) is an unlabelled sample."""
    labels = column(y, n)
    if labels.ndim != 2 or labels.shape[1] < 2:
        raise ValueError(
            f"y has shape {labels.shape}: a multilabel classifier needs (samples, labels) of 0 "
            "and 1 with at least two labels; scikit-learn's MultiLabelBinarizer makes them of sets"
        )
    numbers = _numbers(labels, "indicators")
    numbers = np.where(np.isnan(numbers), -1.0, numbers)
    known = ~(numbers == -1).all(axis=1)
    if not known.any():
        raise ValueError(f"no sample has labels: all {n} rows of y are -1")
    bad = known & ~np.isin(numbers, (0, 1)).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"row {row} of y is {labels[row].tolist()}: give 0 and 1, or -1 in the whole row where "
            "the sample is unlabelled"
        )
    values = np.where(known[:, None], numbers, 0).astype(np.int64)
    names = getattr(y, "columns", range(labels.shape[1]))  # of a frame
    return Targets(values, known, np.asarray(list(names)))
