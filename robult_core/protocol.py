"""The protocol of section 3.2: which labels a run sees, which modalities are there at test time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robult_core.checks import (
    Pattern,
    Rows,
    check_count,
    check_labeled_rows,
    check_pattern,
    check_seed,
    check_share,
    is_number,
    stratification,
    training_rows,
)
from robult_core.datasets.container import MultimodalData

FOLDS = 3  # of the labelled rows, for a selection that sees no others
LARGEST_MASK = 2**30  # cells, each of which takes 8 bytes while it is drawn
MIN_PER_CLASS = 2  # labels per class at least, as far as the class has them. Our choice


# --- labels -------------------------------------------------------------------------------------


def label_split(data: MultimodalData, fraction: float, seed: int) -> Int[np.ndarray, " rows"]:
    """The rows whose label a run may see: a stratified share of the training rows, ascending.

    There are at least two per class, or one where only one exists. Regression is stratified by its
    rounded scores, multilabel iteratively. `fraction` 1 keeps every training label, 0 none. Rows
    whose label the data set itself does not know are never among them; where it knows none, the
    result is empty.

    Raises ValueError for a fraction outside [0, 1] and for data without training rows.
    """
    check_share("label fraction", fraction)
    check_seed(seed)
    training_rows(data)
    labeled = data.labeled_rows("train")
    if fraction == 0 or not len(labeled):
        return labeled[:0]
    if fraction == 1:
        return labeled
    targets = data.targets[labeled]
    if data.task.kind == "multilabel":
        chosen = _multilabel_share(targets.numpy(), fraction, seed)
    else:
        chosen = _class_share(data.task.label_classes(targets).numpy(), fraction, seed)
    return labeled[chosen]


def validation_split(data: MultimodalData, seed: int, share: float = 0.3) -> MultimodalData:
    """The training part alone, cut again: `share` of its rows become "test".

    So the same code scores them. It serves the hyper-parameter search: the real test rows and a
    validation split that the set ships are not in the result.

    Raises ValueError for a share that is not strictly between 0 and 1, and for data with fewer than
    two labelled training rows.
    """
    from sklearn.model_selection import train_test_split

    check_share("validation share", share)
    if share in (0, 1):
        raise ValueError(f"validation share is {share!r}: it must lie strictly between 0 and 1")
    check_seed(seed)
    train = training_rows(data)
    labeled = data.labeled_rows("train")  # only these can be scored
    if len(labeled) < 2:
        raise ValueError(
            f"'{data.name}' has {len(labeled)} labelled training rows: "
            "a validation split needs at least two"
        )
    places = np.searchsorted(train, labeled)
    classes = data.task.label_classes(data.targets[torch.from_numpy(labeled)]).numpy()
    strata = stratification(classes, share)
    _, held_out = train_test_split(places, test_size=share, random_state=seed, stratify=strata)
    return _training_part(data, held_out)


def label_fold(
    data: MultimodalData, labeled_rows: Rows, fold: int, seed: int
) -> tuple[MultimodalData, Int[np.ndarray, " labeled"]]:
    """The training part alone, a third of whose labelled rows become "test", and the other two.

    It serves a selection that sees no label beyond those of the study. `fold` is 0, 1 or 2; classes
    are spread evenly over the three, as far as they have rows.

    Raises ValueError for another fold and for fewer than three labelled rows.
    """
    labeled_rows = check_labeled_rows(labeled_rows, data)
    check_seed(seed)
    if not is_number(fold, Integral) or fold not in range(FOLDS):
        raise ValueError(f"fold is {fold!r}: choose 0, 1 or 2")
    if len(labeled_rows) < FOLDS:
        raise ValueError(
            f"{len(labeled_rows)} labelled rows do not make {FOLDS} folds: raise the label fraction"
        )
    shuffled = np.random.default_rng(seed).permutation(labeled_rows)
    classes = data.task.label_classes(data.targets[torch.from_numpy(shuffled)]).numpy()
    by_class = shuffled[np.argsort(classes, kind="stable")]
    places = np.searchsorted(training_rows(data), by_class)
    held_out = places[fold::FOLDS]
    return _training_part(data, held_out), np.setdiff1d(places, held_out)


def _training_part(data: MultimodalData, held_out: Int[np.ndarray, " rows"]) -> MultimodalData:
    """The training rows alone, some of which become "test"."""
    train = training_rows(data)
    split = np.full(len(train), "train", dtype="<U5")
    split[held_out] = "test"
    return replace(
        data,
        modalities={name: x[train] for name, x in data.modalities.items()},
        targets=data.targets[train],
        split=split,
        present=None if data.present is None else data.present[:, train],
        known=None if data.known is None else data.known[train],
        display={},
    )


def _class_share(
    classes: Int[np.ndarray, " rows"], fraction: float, seed: int
) -> Int[np.ndarray, " chosen"]:
    """A stratified share, ascending."""
    rng = np.random.default_rng(seed)
    values, counts = np.unique(classes, return_counts=True)
    chosen = []
    for value, quota in zip(values, _quotas(counts, fraction), strict=True):
        members = np.flatnonzero(classes == value)
        chosen.append(rng.permutation(members)[:quota])
    return np.sort(np.concatenate(chosen))


def _quotas(counts: Int[np.ndarray, " classes"], fraction: float) -> Int[np.ndarray, " classes"]:
    """How many rows of each class are chosen.

    Shares are rounded by largest remainder, so that the total is the one asked for; then the
    minimum per class is met.
    """
    exact = counts * fraction
    quotas = np.floor(exact).astype(int)
    left_over = round(counts.sum() * fraction) - quotas.sum()
    largest_remainder_first = np.argsort(quotas - exact, kind="stable")
    quotas[largest_remainder_first[: max(left_over, 0)]] += 1
    return np.minimum(np.maximum(quotas, MIN_PER_CLASS), counts)


def _multilabel_share(
    targets: Int[np.ndarray, "rows labels"], fraction: float, seed: int
) -> Int[np.ndarray, " chosen"]:
    """Iterative stratification, then more rows until each label that occurs twice is seen twice."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    rng = np.random.default_rng(seed)
    n = len(targets)
    wanted = max(1, round(n * fraction))
    size = min(wanted, n - 1)  # neither side may be empty
    splitter = MultilabelStratifiedShuffleSplit(
        n_splits=1, train_size=size, test_size=n - size, random_state=seed
    )
    first_side, _ = next(splitter.split(np.zeros(n), targets))
    chosen = set(first_side.tolist())
    rarest_first = np.argsort(targets.sum(0), kind="stable")
    for label in rarest_first:
        members = np.flatnonzero(targets[:, label]).tolist()
        seen = len(chosen.intersection(members))
        missing = min(MIN_PER_CLASS, len(members)) - seen
        if missing > 0:
            others = [row for row in members if row not in chosen]
            chosen.update(rng.permutation(others)[:missing].tolist())
    return np.array(sorted(chosen))


# --- availability -------------------------------------------------------------------------------


def patterns(names: Sequence[str]) -> list[Pattern]:
    """Every non-empty subset of the modalities, 2^M - 1 of them, singles first, full set last."""
    names = check_pattern(names, tuple(names))
    subsets: list[Pattern] = []
    for size in range(1, len(names) + 1):
        subsets.extend(combinations(names, size))
    return subsets


def paper_patterns(names: Sequence[str]) -> list[Pattern]:
    """The rows of Tables 1 and 2: each modality alone and the full set."""
    singles: list[Pattern] = [(name,) for name in names]
    if len(names) == 1:
        return singles
    return [*singles, tuple(names)]


def pattern_name(pattern: Sequence[str]) -> str:
    """The name of an availability pattern, as in `text+audio`."""
    return "+".join(pattern)


def pattern_modalities(name: str) -> Pattern:
    """The modalities of a pattern's name: `text+audio` is ("text", "audio")."""
    modalities = tuple(name.split("+"))
    if not all(modalities):
        raise ValueError(f"pattern '{name}' has an empty modality: write it like 'text+audio'")
    return modalities


def random_missing(
    n: int, n_modalities: int, rate: float, seed: int
) -> Bool[Tensor, "modalities batch"]:
    """A presence mask in which each modality of each sample is missing with probability `rate`.

    A sample that would lose everything keeps one modality drawn at random. Raises ValueError for a
    rate outside [0, 1], for counts that are none and for a mask of more than 2^30 cells.
    """
    check_count("n", n, least=0)
    _check_mask(n, n_modalities, rate)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    present = rng.random((n_modalities, n)) >= rate
    keeper = rng.integers(n_modalities, size=n)
    is_empty = ~present.any(axis=0)
    present[keeper[is_empty], np.flatnonzero(is_empty)] = True
    return torch.from_numpy(present)


def _check_mask(n: int, n_modalities: int, rate: float) -> None:
    """Raise ValueError for a mask that cannot be drawn."""
    check_count("n_modalities", n_modalities)
    check_share("missing rate", rate)
    if int(n) * int(n_modalities) > LARGEST_MASK:
        raise ValueError(
            f"a mask of {n_modalities} modalities by {n} samples is too large: "
            f"draw at most {LARGEST_MASK} cells at a time"
        )


def missing_by_label(
    classes: Int[np.ndarray, " batch"], n_modalities: int, rate: float, seed: int
) -> Bool[Tensor, "modalities batch"]:
    """A presence mask that depends on the class: missing not at random.

    Modality c mod M of a sample of class c is always there, and each other one is missing with
    probability `rate`. At rate 1 every class is seen by one modality alone. Raises ValueError as
    `random_missing` does.
    """
    classes = np.asarray(classes)
    _check_mask(len(classes), n_modalities, rate)
    check_seed(seed)
    rng = np.random.default_rng(seed)
    present = rng.random((n_modalities, len(classes))) >= rate
    present[classes % n_modalities, np.arange(len(classes))] = True
    return torch.from_numpy(present)


def missing_by_value(
    size: Float[np.ndarray, "modalities batch"], rate: float
) -> Bool[Tensor, "modalities batch"]:
    """A presence mask that depends on the values: missing not at random.

    size: how extreme the reading of each modality is for each sample, for example the mean square
        of its standardised features.

    The share `rate` of the samples with the most extreme readings of a modality lack it, like a
    sensor that fails where it is needed. A sample that would lose everything keeps the modality in
    which it stands lowest among all samples. Raises ValueError for a rate outside [0, 1].
    """
    check_share("missing rate", rate)
    size = np.asarray(size)
    n = size.shape[1]
    place = size.argsort(axis=1, kind="stable").argsort(axis=1)  # 0 is the least extreme
    present = place < n - round(rate * n)
    is_empty = ~present.any(axis=0)
    present[place.argmin(axis=0)[is_empty], np.flatnonzero(is_empty)] = True
    return torch.from_numpy(present)
