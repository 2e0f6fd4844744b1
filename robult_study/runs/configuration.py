"""One run: a frozen configuration, the key it is stored under, and what computing it yields.

The key is the SHA-256 of the complete configuration (defaults spelled out), the data's checksum and `numerics()`, a fingerprint of all code
that can move a number. So an equal run is never computed twice, and a change that can move a number never meets an old record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from robult_core.methods import METHODS
from robult_core.methods.sanity import SANITY
from robult_core.training import TrainingConfig
from robult_study.runs.fingerprint import numerics
from robult_study.runs.store import (
    canonical,
    sha256,
    weights_name,
    weights_step,
)

CHOICES = {"rows": ("test", "validation"), "post": ("", "logistic")}
PLAIN = (
    "data_set",
    "method",
    "seed",
    "label_fraction",
    "rows",
    "post",
    "tag",
)  # fields that are columns as they are


@dataclass(frozen=True)
class RunConfig:
    """What one run computes; validated here, before anything is trained.

    hyper, training: settings of the method's and of the training's configuration that differ from the defaults.
    rows: "test", or "validation" for the hyper-parameter search: rows cut from the training part stand in for the test rows.
    post: "logistic" fits a linear model on the vectors that the trained method's classifier sees (ablation 1 of Table 3).
    tag: a name for tables; keep_weights, snapshots (steps whose weights are kept): these three do not change the numbers nor the key.
    """

    data_set: str
    method: str
    seed: int = 0
    label_fraction: float = 0.05
    hyper: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    rows: str = "test"
    post: str = ""
    tag: str = ""
    keep_weights: bool = False
    snapshots: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in {*METHODS, *SANITY}:
            raise ValueError(
                f"unknown method '{self.method}': choose one of {', '.join([*METHODS, *SANITY])}"
            )
        for name, values in CHOICES.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of {', '.join(map(repr, values))}"
                )
        if int(self.seed) != self.seed or self.seed < 0:
            raise ValueError(f"seed is {self.seed}: it must be an integer from 0 up")
        if not 0 <= self.label_fraction <= 1:
            raise ValueError(
                f"label fraction is {self.label_fraction}: it must lie between 0 (none) and 1 (all)"
            )
        if self.post and self.method != "robult":
            raise ValueError(
                f"post={self.post!r} is defined for method 'robult', not for '{self.method}'"
            )
        object.__setattr__(self, "snapshots", tuple(self.snapshots))
        steps = self.complete()["training"].get(
            "steps", 0
        )  # raises where hyper or training hold something unknown
        if self.method in METHODS and any(not 0 <= step <= steps for step in self.snapshots):
            raise ValueError(
                f"snapshots are {self.snapshots}: a run of {steps} steps has weights at steps 0 to {steps}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The configuration of a mapping; ValueError naming a field that does not exist or one that is missing."""
        names = [one.name for one in fields(cls)]
        for name in values:
            if name not in names:
                raise ValueError(
                    f"unknown field '{name}' in a run configuration: choose from {', '.join(names)}"
                )
        if not {"data_set", "method"} <= set(values):
            raise ValueError(
                f"a run configuration needs data_set and method, this one has {dict(values)}"
            )
        return cls(**values)

    def complete(self) -> dict[str, Any]:
        """The configuration with every default spelled out, as plain values; what the key is made of."""
        trained = self.method in METHODS
        hyper = _settings(METHODS[self.method][1], self.hyper, self.method) if trained else {}
        if self.hyper and not trained:
            raise ValueError(
                f"method '{self.method}' has no setting '{next(iter(self.hyper))}': leave hyper empty"
            )
        training = _settings(TrainingConfig, self.training, "training")
        return {
            "data_set": self.data_set,
            "method": self.method,
            "seed": int(self.seed),
            "label_fraction": float(self.label_fraction),
            "hyper": hyper,
            "training": training if trained else {},
            "rows": self.rows,
            "post": self.post,
        }

    def key(self, checksum: str) -> str:
        return sha256(
            canonical(
                {"config": self.complete(), "data": checksum, "numerics": numerics()}
            ).encode()
        )

    @property
    def files(self) -> tuple[str, ...]:
        """Optional files that a record of this run must hold."""
        steps = [*self.snapshots, *([None] if self.keep_weights else [])]
        return tuple(weights_name(step) for step in steps) if self.method in METHODS else ()

    def keeping(self, files: Iterable[str]) -> RunConfig:
        """The same run, keeping the weights of `files` too."""
        steps = {weights_step(name) for name in {*files, *self.files} if name.startswith("weights")}
        return replace(self, keep_weights=None in steps, snapshots=tuple(sorted(steps - {None})))

    def columns(self) -> dict[str, Any]:
        """The configuration as table columns; a setting becomes `hyper.<name>` or `training.<name>`."""
        plain = {name: getattr(self, name) for name in PLAIN}
        hyper = {f"hyper.{name}": value for name, value in self.hyper.items()}
        return plain | hyper | {f"training.{name}": value for name, value in self.training.items()}


def _settings(kind: type, given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """All settings of a configuration class as plain values, so that 1 and 1.0 make one key."""
    known = {one.name: one for one in fields(kind)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"unknown setting '{unknown[0]}' for {owner}: choose from {', '.join(known)}"
        )
    values = {}
    for name, value in given.items():
        if isinstance(known[name].default, (int, float)) and not isinstance(value, (int, float)):
            raise ValueError(
                f"setting '{name}' of {owner} is {value!r}: give a number, like {known[name].default}"
            )
        whole = isinstance(value, int) and not isinstance(value, bool)
        values[name] = float(value) if whole and "float" in str(known[name].type) else value
    return asdict(kind(**values))
