"""One run: a frozen configuration, and the key its record is stored under.

The key is the SHA-256 of the complete configuration (with every default spelled out), the data's
checksum, and `numerics()`, the fingerprint of all code that can move a number. So an equal run is
never computed twice, and a change that can move a number never meets an old record.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from robult_core.datasets.catalogue import VILT
from robult_core.datasets.files import folder_digest
from robult_core.methods import METHODS
from robult_core.methods.sanity import SANITY
from robult_core.training import TrainingConfig
from robult_core.validation import Count, Seed, Share, Whole, validated
from robult_study.runs.fingerprint import numerics
from robult_study.runs.missing import MASKED
from robult_study.runs.store import canonical, sha256, weights_name, weights_step

PLACE = ("device", "ranks", "precision")  # where a training computes
COLUMNS = ("data_set", "method", "seed", "label_fraction", "rows", "post", *PLACE, "tag")


@validated
class RunConfig:
    """What one run computes. ValueError where a field is wrong, before anything is trained.

    hyper, training: settings of the method and of the training that differ from their defaults.
    rows: "test", or what stands in for the test rows in the hyper-parameter search: "validation"
        for rows cut from the training part, "fold 0" to "fold 2" for a third of the labelled rows.
    post: "logistic" fits a linear model on the vectors that the trained method's classifier sees
        (ablation 1 of Table 3).
    missing_in_training: the rate at which each modality of a training sample is missing.
    remedy: what is done about it, a key of `runs.missing.REMEDIES`.
    device, ranks, precision: where and how a training computes: on so many processes, each with a
        share of every batch, in float32 or with bfloat16 where torch deems it safe. All give the
        same numbers within rounding, and with dropout within its noise. Sanity rows ignore them.
    tag: a name for tables.
    keep_weights: whether the record keeps the trained weights.
    snapshots: the steps after which it keeps the weights as well; 0 is before the first step.

    The last three move no number and are no part of the key.
    """

    data_set: str
    method: str
    seed: Seed = 0
    label_fraction: Share = 0.05
    hyper: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    rows: Literal["test", "validation", "fold 0", "fold 1", "fold 2"] = "test"
    post: Literal["", "logistic"] = ""
    missing_in_training: Share = 0.0
    remedy: Literal["masked", "dropped", "mean", "neighbours"] = MASKED
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    ranks: Count = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    tag: str = ""
    keep_weights: bool = False
    snapshots: tuple[Whole, ...] = ()

    @field_validator("method")
    @classmethod
    def _known_method(cls, name: str) -> str:
        known = [*METHODS, *SANITY]
        if name not in known:
            raise ValueError(f"unknown method, choose one of {', '.join(known)}")
        return name

    @field_validator("snapshots", mode="before")
    @classmethod
    def _steps_as_tuple(cls, steps: Any) -> Any:
        return tuple(steps) if isinstance(steps, list) else steps  # JSON has no tuples

    def __post_init__(self) -> None:
        if self.post and self.method != "robult":
            raise ValueError(
                f"post={self.post!r} is defined for method 'robult', not for '{self.method}'"
            )
        if self.missing_in_training and not self.is_trained:
            raise ValueError(
                f"missing_in_training={self.missing_in_training} is defined for trained methods, "
                f"not for '{self.method}'"
            )
        if self.ranks > 1 and self.device == "mps":
            raise ValueError(f"ranks is {self.ranks} on device 'mps', which takes one: choose 1")
        self.complete()  # raises where hyper or training hold something wrong
        has_tokens = self.data_set.endswith(VILT)
        reads_tokens = self.hyper.get("vilt_folder") is not None
        if has_tokens != reads_tokens:
            raise ValueError(
                f"data set '{self.data_set}' with vilt_folder={self.hyper.get('vilt_folder')!r}: "
                f"a ViLT reads the sets whose names end in '{VILT}', and nothing else reads those"
            )
        if reads_tokens:
            _check_vilt_folder(Path(self.hyper["vilt_folder"]))
        if self.is_trained and any(step > self.steps for step in self.snapshots):
            raise ValueError(
                f"snapshots are {self.snapshots}: "
                f"a run of {self.steps} steps has weights at steps 0 to {self.steps}"
            )

    @property
    def is_trained(self) -> bool:
        """Whether gradient steps are taken; the sanity rows take none."""
        return self.method in METHODS

    @property
    def steps(self) -> int:
        """Gradient steps; 1 for a sanity row, so that time per step means something for it too."""
        return self.training_config().steps if self.is_trained else 1

    def training_config(self) -> TrainingConfig:
        """The settings of the training loop."""
        return TrainingConfig(**self.training)

    def complete(self) -> dict[str, Any]:
        """The configuration as plain values with every default; the key is made of it."""
        training = asdict(self.training_config())
        return {
            "data_set": self.data_set,
            "method": self.method,
            "seed": self.seed,
            "label_fraction": self.label_fraction,
            "hyper": self._complete_hyper(),
            "training": training if self.is_trained else {},
            "rows": self.rows,
            "post": self.post,
            "missing_in_training": self.missing_in_training,
            "remedy": self.remedy if self.missing_in_training else MASKED,
            "device": self.device if self.is_trained else "cpu",
            "ranks": self.ranks if self.is_trained else 1,
            "precision": self.precision if self.is_trained else "float32",
        }

    def _complete_hyper(self) -> dict[str, Any]:
        if self.is_trained:
            _, method_config = METHODS[self.method]
            return asdict(method_config(**self.hyper))
        if self.hyper:
            first = next(iter(self.hyper))
            raise ValueError(f"method '{self.method}' has no setting '{first}': leave hyper empty")
        return {}

    def key(self, checksum: str) -> str:
        """The key of this run on data with this checksum, computed by the present code."""
        parts = {"config": self.complete(), "data": checksum, "numerics": numerics()}
        backbone = self.hyper.get("vilt_folder")
        if backbone is not None:
            parts["backbone"] = folder_digest(Path(backbone))
        return sha256(canonical(parts).encode())

    @property
    def files(self) -> tuple[str, ...]:
        """Optional files that a record of this run must hold."""
        if not self.is_trained:
            return ()
        names = [weights_name(step) for step in self.snapshots]
        if self.keep_weights:
            names.append(weights_name())
        return tuple(names)

    def keeping(self, files: Iterable[str]) -> RunConfig:
        """The same run, keeping the weights among `files` too."""
        names = {*files, *self.files}
        if len(names) == len(self.files):
            return self
        steps = {weights_step(name) for name in names if name.startswith("weights")}
        last = None  # stands for the weights after the last step
        snapshots = tuple(sorted(steps - {last}))
        return replace(self, keep_weights=last in steps, snapshots=snapshots)

    def columns(self) -> dict[str, Any]:
        """The configuration as table columns; settings become `hyper.<name>`, `training.<name>`."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        if self.missing_in_training:
            columns |= {"missing_in_training": self.missing_in_training, "remedy": self.remedy}
        columns |= {f"hyper.{name}": value for name, value in self.hyper.items()}
        columns |= {f"training.{name}": value for name, value in self.training.items()}
        return columns


def _check_vilt_folder(folder: Path) -> None:
    """ValueError unless the folder holds a ViLT, the one whose tokenizer reads the data."""
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"vilt_folder is '{folder}', which has no config.json: name the folder of a ViLT"
        )
    reading = os.environ.get("ROBULT_VILT")
    if reading and Path(reading).resolve() != folder.resolve():
        raise ValueError(
            f"vilt_folder is '{folder}', and the token ids are made by ROBULT_VILT='{reading}': "
            "name one folder in both"
        )
