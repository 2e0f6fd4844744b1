"""The protocol of section 3.2: which labels a run sees, and which modalities are there at test time."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from robult_core.datasets.container import MultimodalData

MIN_PER_CLASS = 2


def label_split(data: MultimodalData, fraction: float, seed: int) -> np.ndarray:
    """Rows of `data` whose label a run may see: a stratified share of the training rows, ascending.

    At least two per class, one where only one exists. Regression is stratified by its rounded scores, multilabel iteratively.
    `fraction` 1 keeps every training label, 0 none. Raises ValueError outside [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise ValueError(
            f"label fraction is {fraction}: it must lie between 0 (no labels) and 1 (all of them)"
        )
    train = data.labeled_rows("train")
    if fraction == 0 or fraction == 1:
        return train if fraction else train[:0]
    targets = data.targets[train]
    if data.task.kind == "multilabel":
        return train[_multilabel_share(targets.numpy(), fraction, seed)]
    return train[_class_share(data.task.label_classes(targets).numpy(), fraction, seed)]


def _class_share(classes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Stratified share with a minimum per class. Quotas are rounded by largest remainder, so that the total is the share asked for."""
    rng = np.random.default_rng(seed)
    values, counts = np.unique(classes, return_counts=True)
    exact = counts * fraction
    quota = np.floor(exact).astype(int)
    extra = round(len(classes) * fraction) - quota.sum()
    quota[np.argsort(quota - exact, kind="stable")[: max(extra, 0)]] += 1
    quota = np.minimum(np.maximum(quota, MIN_PER_CLASS), counts)
    return np.sort(
        np.concatenate(
            [
                rng.permutation(np.flatnonzero(classes == v))[:q]
                for v, q in zip(values, quota, strict=True)
            ]
        )
    )


def _multilabel_share(targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Iterative stratification, then rows are added until every label that occurs twice is seen twice."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    rng = np.random.default_rng(seed)
    size = min(
        max(1, round(len(targets) * fraction)), len(targets) - 1
    )  # neither side may be empty
    splitter = MultilabelStratifiedShuffleSplit(
        n_splits=1, train_size=size, test_size=len(targets) - size, random_state=seed
    )
    chosen = set(next(splitter.split(np.zeros(len(targets)), targets))[0].tolist())
    for label in np.argsort(targets.sum(0), kind="stable"):
        rows = np.flatnonzero(targets[:, label])
        missing = min(MIN_PER_CLASS, len(rows)) - len(chosen & set(rows.tolist()))
        if missing > 0:
            chosen |= set(
                rng.permutation([row for row in rows if row not in chosen])[:missing].tolist()
            )
    return np.array(sorted(chosen))


def validation_split(data: MultimodalData, seed: int, share: float = 0.3) -> MultimodalData:
    """The training part alone, cut again: `share` of its rows become "test", so that the same code scores them.

    For the hyper-parameter search; the real test rows and a shipped validation split are not in the result.
    """
    train = data.rows("train")
    labeled = data.labeled_rows("train")
    _, held = train_test_split(
        np.searchsorted(train, labeled),
        test_size=share,
        random_state=seed,
        stratify=_strata(data, labeled),
    )
    split = np.full(len(train), "train", dtype="<U5")
    split[held] = "test"
    return replace(
        data,
        modalities={name: x[train] for name, x in data.modalities.items()},
        targets=data.targets[train],
        split=split,
        present=None if data.present is None else data.present[:, train],
        known=None if data.known is None else data.known[train],
        display={},
    )


def _strata(data: MultimodalData, rows: np.ndarray) -> np.ndarray | None:
    """Classes to stratify by; None when some class has a single row, which no stratified split can share out."""
    classes = data.task.label_classes(data.targets[rows]).numpy()
    return classes if np.unique(classes, return_counts=True)[1].min() > 1 else None


def patterns(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every non-empty subset of the modalities, singles first, the full set last; 2^M - 1 of them."""
    return [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]


def paper_patterns(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The rows of Tables 1 and 2: each modality alone and the full set."""
    singles = [(name,) for name in names]
    return singles if len(names) == 1 else [*singles, tuple(names)]


def pattern_name(pattern: tuple[str, ...]) -> str:
    """Name of an availability pattern, as in `text+audio`."""
    return "+".join(pattern)


def pattern_modalities(name: str) -> tuple[str, ...]:
    """The modalities of a pattern, by its name; the inverse of `pattern_name`."""
    return tuple(name.split("+"))


def random_missing(n: int, n_modalities: int, rate: float, seed: int) -> torch.Tensor:
    """Presence mask `(M, n)`: each modality of each sample is missing with probability `rate`, but every sample keeps one.

    A sample that would lose everything keeps one modality drawn at random. Raises ValueError for a rate outside [0, 1].
    """
    if not 0 <= rate <= 1 or math.isnan(rate):
        raise ValueError(f"missing rate is {rate}: it must lie between 0 and 1")
    rng = np.random.default_rng(seed)
    present = rng.random((n_modalities, n)) >= rate
    keeper = rng.integers(n_modalities, size=n)
    empty = ~present.any(axis=0)
    present[keeper[empty], np.flatnonzero(empty)] = True
    return torch.from_numpy(present)
