"""One container for every data set: named modalities, targets, split, task and where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from robult_core.tasks import Task

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class MultimodalData:
    """N samples seen by M modalities.

    modalities: name -> float32 `(N, F)` for vectors or `(N, T, F)` for sequences, in a fixed order.
    targets:    `(N,)` int64 (classification), `(N,)` float32 (regression) or `(N, C)` int64 of 0/1 (multilabel).
    split:      `(N,)` array of "train", "valid" or "test".
    present:    `(M, N)` bool, False where a sample lacks a modality (its features are zero there); None when complete.
    display:    what a person can look at, name -> N items (images, transcripts); never used by a method.
    """

    name: str
    task: Task
    modalities: Mapping[str, Tensor]
    targets: Tensor
    split: np.ndarray
    class_names: tuple[str, ...] = ()
    present: Tensor | None = None
    display: Mapping[str, object] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    notes: tuple[
        str, ...
    ] = ()  # what was skipped or repaired, one sentence each, for the data card

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", MappingProxyType(dict(self.modalities)))
        if not self.modalities:
            raise ValueError(f"data set '{self.name}' has no modality: give at least one")
        n = len(self.targets)
        for name, x in self.modalities.items():
            if x.ndim not in (2, 3):
                raise ValueError(
                    f"modality '{name}' of '{self.name}' has shape {tuple(x.shape)}: expected (N, F) or (N, T, F)"
                )
            if len(x) != n:
                raise ValueError(
                    f"modality '{name}' of '{self.name}' has {len(x)} rows but there are {n} targets: give every modality the same rows"
                )
            if not torch.isfinite(x).all():
                row = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0, 0])
                raise ValueError(
                    f"modality '{name}' of '{self.name}' has NaN or infinite values, first in row {row}: repair or drop the row"
                )
        if len(self.split) != n or not set(np.unique(self.split)) <= set(SPLITS):
            raise ValueError(f"split of '{self.name}' must hold {n} entries out of {SPLITS}")
        if self.present is not None and tuple(self.present.shape) != (len(self.modalities), n):
            raise ValueError(
                f"present of '{self.name}' has shape {tuple(self.present.shape)}: expected {(len(self.modalities), n)}"
            )
        self.task.check_targets(self.targets)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.modalities)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample per modality: `(F,)` or `(T, F)`."""
        return {name: tuple(x.shape[1:]) for name, x in self.modalities.items()}

    def rows(self, split: str) -> np.ndarray:
        """Indices of one split, ascending."""
        return np.flatnonzero(self.split == split)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over everything a run can depend on."""
        digest = hashlib.sha256(repr((self.name, self.task)).encode())
        for name, x in self.modalities.items():
            digest.update(f"{name}{tuple(x.shape)}".encode())
            digest.update(np.ascontiguousarray(x.numpy()).tobytes())
        digest.update(np.ascontiguousarray(self.targets.numpy()).tobytes())
        digest.update(" ".join(self.split).encode())
        if self.present is not None:
            digest.update(np.ascontiguousarray(self.present.numpy()).tobytes())
        return digest.hexdigest()

    def select(self, names: tuple[str, ...]) -> MultimodalData:
        """The same samples with some of the modalities, in the container's order."""
        unknown = set(names) - set(self.names)
        if unknown or not names:
            raise ValueError(
                f"modalities {sorted(unknown) or names} are not in '{self.name}', which has {self.names}"
            )
        kept = [index for index, name in enumerate(self.names) if name in names]
        present = None if self.present is None else self.present[kept]
        return replace(
            self,
            modalities={self.names[i]: self.modalities[self.names[i]] for i in kept},
            present=present,
        )

    def standardized(self, clip: float = 5.0) -> MultimodalData:
        """Every feature with mean 0 and deviation 1 over the training rows, clipped at `clip` deviations, alike for all methods.

        Sequences share one mean per feature over samples and steps; steps that are all zero are padding and stay zero.
        """
        train = torch.from_numpy(self.rows("train"))
        scaled = {}
        for index, (name, x) in enumerate(self.modalities.items()):
            valid = (
                torch.ones(len(x), dtype=torch.bool)
                if self.present is None
                else self.present[index]
            )
            rows = train[valid[train]]
            steps = x[rows].reshape(-1, x.shape[-1])
            if x.ndim == 3:
                steps = steps[steps.abs().sum(-1) > 0]
            steps = (
                steps.double() if len(steps) else torch.zeros(1, x.shape[-1], dtype=torch.float64)
            )
            deviation, mean = torch.std_mean(steps, dim=0, correction=0)
            deviation[deviation < 1e-8] = 1.0  # a constant feature becomes 0, not noise
            z = ((x.double() - mean) / deviation).clamp(-clip, clip).float()
            if x.ndim == 3:
                z = z * (x.abs().sum(-1, keepdim=True) > 0)
            scaled[name] = z * valid.reshape(-1, *[1] * (x.ndim - 1))
        return replace(self, modalities=scaled)
