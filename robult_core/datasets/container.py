"""One container for every data set: named modalities, targets, split, task and their source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robult_core.checks import check_kind, check_modality_name
from robult_core.standardization import Standardizer
from robult_core.tasks import Task

Numbers = Tensor | np.ndarray | Sequence[Any]
SPLITS = ("train", "valid", "test")
BLOCK = 1024  # rows per pass; it bounds the memory and changes no result


@dataclass(frozen=True, init=False)
class MultimodalData:
    """N samples seen by M modalities.

    Arrays and lists may be given where tensors are kept, of any number type.

    modalities: name -> float32 `(N, F)` for vectors or `(N, T, F)` for sequences, in a fixed order.
    targets:    `(N,)` int64 (classification), `(N,)` float32 (regression) or `(N, C)` int64 of 0/1
                (multilabel).
    split:      `(N,)` array of "train", "valid" or "test".
    present:    `(M, N)` bool, False where a sample lacks a modality (its features are zero there);
                None when complete.
    known:      `(N,)` bool, False where the label is unknown and the target only holds the place;
                None when all labels are known.
    unscaled:   modalities that keep their type, may have any shape `(N, ...)` and are never
                standardised: token ids and pixels.
    display:    what a person can look at, name -> N items (images, transcripts); no method sees it.
    notes:      what was skipped or repaired, one sentence each.

    Raises ValueError with the name, the value and the remedy.
    """

    name: str
    task: Task
    modalities: Mapping[str, Tensor]
    targets: Tensor
    split: np.ndarray
    class_names: tuple[str, ...]
    present: Tensor | None
    known: Tensor | None
    unscaled: tuple[str, ...]
    display: Mapping[str, Any]
    source: str
    licence: str
    notes: tuple[str, ...]

    def __init__(
        self,
        name: str,
        task: Task,
        modalities: Mapping[Any, Numbers],
        targets: Numbers,
        split: np.ndarray | Sequence[str],
        *,
        class_names: tuple[str, ...] = (),
        present: Numbers | None = None,
        known: Numbers | None = None,
        unscaled: tuple[str, ...] = (),
        display: Mapping[str, Any] | None = None,
        source: str = "",
        licence: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        def keep(field: str, value: Any) -> None:
            object.__setattr__(self, field, value)  # the class is frozen

        check_kind(f"the task of '{name}'", task, Task)
        check_kind(f"modalities of '{name}'", modalities, Mapping)
        keep("name", name)
        keep("task", task)
        keep("unscaled", unscaled)
        keep("modalities", MappingProxyType(self._features(modalities)))
        keep("targets", typed_targets(as_tensor(targets, f"the targets of '{name}'"), task))
        keep("split", np.asarray(split))
        keep("class_names", class_names)
        keep("present", None if present is None else as_tensor(present, f"present of '{name}'"))
        keep("known", None if known is None else as_tensor(known, f"known of '{name}'"))
        keep("display", display or {})
        keep("source", source)
        keep("licence", licence)
        keep("notes", notes)
        self._check()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process is made of; a read-only view does not travel."""
        return self.__dict__ | {"modalities": dict(self.modalities)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, modalities=MappingProxyType(state["modalities"]))

    def _features(self, modalities: Mapping[Any, Numbers]) -> dict[str, Tensor]:
        """The modalities as tensors of the type that is kept."""
        features = {}
        for name, x in modalities.items():
            check_modality_name(name, f"'{self.name}'")
            tensor = as_tensor(x, f"modality '{name}' of '{self.name}'")
            features[name] = tensor if name in self.unscaled else tensor.to(torch.float32)
        return features

    def _check(self) -> None:
        if not len(self):
            raise ValueError(f"data set '{self.name}' has no sample: give at least one row")
        if not self.modalities:
            raise ValueError(f"data set '{self.name}' has no modality: give at least one")
        for name, x in self.modalities.items():
            self._check_shape(name, x)
            self._check_values(name, x)
        self._check_split()
        self._check_mask("present", self.present, (len(self.modalities), len(self)))
        self._check_mask("known", self.known, (len(self),))
        self.task.check_targets(self.targets)
        self._check_class_names()

    def _check_shape(self, name: str, x: Tensor) -> None:
        modality = f"modality '{name}' of '{self.name}'"
        shape = tuple(x.shape)
        if x.ndim not in (2, 3) and not (name in self.unscaled and x.ndim > 1):
            raise ValueError(f"{modality} has shape {shape}: expected (N, F) or (N, T, F)")
        if len(x) != len(self):
            rows = f"{len(x)} rows but there are {len(self)} targets"
            raise ValueError(f"{modality} has {rows}: give every modality the same rows")
        if 0 in shape:
            raise ValueError(f"{modality} has shape {shape}: drop it or give it a feature")

    def _check_values(self, name: str, x: Tensor) -> None:
        if not x.is_floating_point():
            return
        start = 0
        for block in x.split(BLOCK):
            good = torch.isfinite(block).flatten(1).all(1)
            if not good.all():
                row = start + int((~good).nonzero()[0, 0])
                holes = f"has NaN or infinite values, first in row {row}"
                raise ValueError(f"modality '{name}' of '{self.name}' {holes}: repair or drop it")
            start += len(block)

    def _check_split(self) -> None:
        if self.split.shape != (len(self),):
            raise ValueError(
                f"split of '{self.name}' has shape {self.split.shape}: "
                f"give {len(self)} words, one per sample"
            )
        unknown = set(self.split.tolist()) - set(SPLITS)
        if unknown:
            raise ValueError(
                f"split of '{self.name}' holds {unknown.pop()!r}: choose from {', '.join(SPLITS)}"
            )

    def _check_mask(self, field: str, mask: Tensor | None, expected: tuple[int, ...]) -> None:
        if mask is None:
            return
        shape = tuple(mask.shape)
        if shape != expected:
            raise ValueError(f"{field} of '{self.name}' has shape {shape}: expected {expected}")
        if mask.dtype != torch.bool:
            given = f"the type {mask.dtype}"
            raise ValueError(f"{field} of '{self.name}' has {given}: give True and False")

    def _check_class_names(self) -> None:
        """Every class, or label of several, has a name, or none has; numbers need none."""
        expected = self.task.n_outputs
        count = len(self.class_names)
        if count and self.task.kind != "regression" and count != expected:
            raise ValueError(
                f"'{self.name}' has {count} class_names for {expected} classes: name all or none"
            )
        if len(set(self.class_names)) < count:
            raise ValueError(f"'{self.name}' has a class name twice: give each class its own")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities in their fixed order."""
        return tuple(self.modalities)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample per modality: `(F,)` or `(T, F)`."""
        return {name: tuple(x.shape[1:]) for name, x in self.modalities.items()}

    def rows(self, split: str) -> np.ndarray:
        """Indices of one split, ascending."""
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == split)

    def labeled_rows(self, split: str) -> np.ndarray:
        """Indices of the rows of one split whose label is known, ascending."""
        rows = self.rows(split)
        return rows if self.known is None else rows[self.known.numpy()[rows]]

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over everything a run can depend on."""
        digest = hashlib.sha256(repr((self.name, self.task)).encode())
        for name, x in self.modalities.items():
            digest.update(f"{name}{tuple(x.shape)}".encode())
            for content in _blocks_of_bytes(x):
                digest.update(content)
        for content in _blocks_of_bytes(self.targets):
            digest.update(content)
        digest.update(" ".join(self.split).encode())
        if self.present is not None:
            for content in _blocks_of_bytes(self.present):
                digest.update(content)
        if self.known is not None:
            for content in _blocks_of_bytes(self.known):
                digest.update(content)
        if self.unscaled:
            digest.update(f"unscaled {self.unscaled}".encode())
        return digest.hexdigest()

    def select(self, names: tuple[str, ...]) -> MultimodalData:
        """The same samples with some of the modalities, in the container's order."""
        unknown = set(names) - set(self.names)
        if unknown or not names:
            absent = sorted(unknown) or names
            raise ValueError(
                f"modalities {absent} are not in '{self.name}', which has {self.names}"
            )
        kept = [index for index, name in enumerate(self.names) if name in names]
        return replace(
            self,
            modalities={self.names[index]: self.modalities[self.names[index]] for index in kept},
            present=None if self.present is None else self.present[kept],
            unscaled=tuple(name for name in self.unscaled if name in names),
        )

    def standardized(self) -> MultimodalData:
        """Every feature with mean 0 and deviation 1 over the training rows, alike for all methods.

        Values are clipped at 5 deviations. Sequences share one mean per feature over samples
        and steps; steps that are all zero are padding and stay zero, as absent samples do.
        """
        train = torch.from_numpy(self.rows("train"))
        scaled = {}
        for index, (name, x) in enumerate(self.modalities.items()):
            if name in self.unscaled:
                scaled[name] = x
                continue
            there = torch.ones(len(x), dtype=torch.bool)
            if self.present is not None:
                there = self.present[index]
            standardizer = Standardizer.fit(x[train[there[train]]])
            is_there = there.reshape(-1, *[1] * (x.ndim - 1))
            scaled[name] = standardizer.apply(x) * is_there
        return replace(self, modalities=scaled)

    def describe(self) -> dict[str, str]:
        """The data card: label -> text, in reading order."""
        primary = f"judged by {self.task.primary}"
        items = {
            "data set": self.name,
            "task": f"{self.task.kind}, {self.task.n_outputs} output(s), {primary}",
        }
        for index, (name, shape) in enumerate(self.shapes.items()):
            missing = 0 if self.present is None else int((~self.present[index]).sum())
            size = " x ".join(map(str, shape))
            lacking = f"missing in {missing} of {len(self)} samples"
            items[f"modality {name}"] = f"{size} features, {lacking}"
        sizes = [f"{len(self.rows(split))} {split}" for split in SPLITS]
        items["samples"] = ", ".join(sizes)
        for split in SPLITS:
            rows = self.labeled_rows(split)
            if len(rows):
                items[f"labels, {split}"] = self._labels(rows)
        if self.known is not None:
            items["unlabelled"] = f"{int((~self.known).sum())} samples"
        items["licence"] = self.licence or "not stated"
        items["source"] = self.source or "not stated"
        items["checksum"] = self.checksum
        if self.notes:
            items["notes"] = " ".join(self.notes)
        return items

    def _labels(self, rows: np.ndarray) -> str:
        """Samples per class; per rounded score in regression; positives per label in multilabel."""
        targets = self.targets[torch.from_numpy(rows)]
        if self.task.kind == "multilabel":
            counts = list(enumerate((targets > 0.5).sum(0).tolist()))
        else:
            classes, sizes = self.task.label_classes(targets).unique(return_counts=True)
            counts = list(zip(classes.tolist(), sizes.tolist(), strict=True))
        named = self.class_names if self.task.kind != "regression" else ()
        texts = [f"{named[label] if named else label}: {size}" for label, size in counts]
        if self.task.kind != "regression":
            return ", ".join(texts)
        spread = f"range {targets.min():g} to {targets.max():g}"
        return f"{', '.join(texts)} (rounded; mean {targets.mean():.3f}, {spread})"


def as_tensor(x: Numbers, what: str) -> Tensor:
    """Numbers as a tensor on the CPU; nothing is copied that need not be.

    Raises ValueError, beginning with `what`, where there is something else than numbers.
    """
    if isinstance(x, Tensor):
        if x.is_complex():
            raise ValueError(f"{what} has the type {x.dtype}: give real numbers")
        dense = x if x.layout == torch.strided else x.to_dense()
        return dense.detach().cpu() if x.requires_grad or x.device.type != "cpu" else dense
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise ValueError(f"{what} is an array with masked entries: fill them, or use `present`")
    try:
        array = np.asarray(x)
    except ValueError as error:  # lists of unequal length
        raise ValueError(f"{what} cannot be read ({error}): give rows of equal length") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} has the type {array.dtype}: give numbers")
    if any(stride < 0 for stride in array.strides):  # torch knows no mirrored arrays
        array = array.copy()
    native = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(native)


def typed_targets(targets: Tensor, task: Task) -> Tensor:
    """Targets in the type of the task: float32 for regression, else whole numbers as int64.

    Numbers with a fraction, and those that are not finite, are left for the task to refuse.
    """
    if task.kind == "regression":
        return targets.to(torch.float32)
    whole = targets.to(torch.int64)
    return whole if torch.equal(whole.to(targets.dtype), targets) else targets


def _blocks_of_bytes(x: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor, some rows at a time, so that a large one is not copied whole."""
    for block in x.split(BLOCK):
        yield np.ascontiguousarray(block.numpy()).data.cast("B")
