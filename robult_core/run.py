"""One run: a frozen configuration, the key it is stored under, and what computing it yields.

The key is the SHA-256 of the complete configuration (defaults spelled out), the data's checksum and `numerics()`, a fingerprint of all code
that can move a number. So an equal run is never computed twice, and a change that can move a number never meets an old record.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import evaluate, having, predict
from robult_core.methods import METHODS, make_method
from robult_core.methods.base import Method
from robult_core.methods.sanity import SANITY, LinearHead, sanity_predictions
from robult_core.protocol import label_split, paper_patterns, pattern_name, patterns, validation_split
from robult_core.store import Record, canonical, sha256, to_parquet, weights_name, weights_step
from robult_core.training import History, TrainingConfig, train

MOVING = (
    "losses", "model", "encoders", "tasks", "protocol", "training", "evaluation", "run", "distributed", "datasets/container", "methods/*",
)  # fmt: skip
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "lightning-fabric", "iterative-stratification")
CHOICES = {"rows": ("test", "validation"), "post": ("", "logistic")}
PLAIN = ("data_set", "method", "seed", "label_fraction", "rows", "post", "tag")  # fields that are columns as they are
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LATENCY_ROWS = 64


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
            raise ValueError(f"unknown method '{self.method}': choose one of {', '.join([*METHODS, *SANITY])}")
        for name, values in CHOICES.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(map(repr, values))}")
        if int(self.seed) != self.seed or self.seed < 0:
            raise ValueError(f"seed is {self.seed}: it must be an integer from 0 up")
        if not 0 <= self.label_fraction <= 1:
            raise ValueError(f"label fraction is {self.label_fraction}: it must lie between 0 (none) and 1 (all)")
        if self.post and self.method != "robult":
            raise ValueError(f"post={self.post!r} is defined for method 'robult', not for '{self.method}'")
        object.__setattr__(self, "snapshots", tuple(self.snapshots))
        steps = self.complete()["training"].get("steps", 0)  # raises where hyper or training hold something unknown
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
                raise ValueError(f"unknown field '{name}' in a run configuration: choose from {', '.join(names)}")
        if not {"data_set", "method"} <= set(values):
            raise ValueError(f"a run configuration needs data_set and method, this one has {dict(values)}")
        return cls(**values)

    def complete(self) -> dict[str, Any]:
        """The configuration with every default spelled out, as plain values; what the key is made of."""
        trained = self.method in METHODS
        hyper = _settings(METHODS[self.method][1], self.hyper, self.method) if trained else {}
        if self.hyper and not trained:
            raise ValueError(f"method '{self.method}' has no setting '{next(iter(self.hyper))}': leave hyper empty")
        training = _settings(TrainingConfig, self.training, "training")
        return {
            "data_set": self.data_set, "method": self.method, "seed": int(self.seed), "label_fraction": float(self.label_fraction),
            "hyper": hyper, "training": training if trained else {}, "rows": self.rows, "post": self.post,
        }  # fmt: skip

    def key(self, checksum: str) -> str:
        return sha256(canonical({"config": self.complete(), "data": checksum, "numerics": numerics()}).encode())

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
        raise ValueError(f"unknown setting '{unknown[0]}' for {owner}: choose from {', '.join(known)}")
    values = {}
    for name, value in given.items():
        if isinstance(known[name].default, (int, float)) and not isinstance(value, (int, float)):
            raise ValueError(f"setting '{name}' of {owner} is {value!r}: give a number, like {known[name].default}")
        whole = isinstance(value, int) and not isinstance(value, bool)
        values[name] = float(value) if whole and "float" in str(known[name].type) else value
    return asdict(kind(**values))


@cache
def numerics() -> str:
    """Fingerprint of all that can move a number: the modules in `MOVING` without comments and docstrings, and the versions of `LIBRARIES`."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for name in MOVING for path in folder.glob(f"{name}.py") if path.name != "search.py"):
        digest.update(f"{path.relative_to(folder).as_posix()} {code_of(path.read_text(encoding='utf-8'))}".encode())
    return hashlib.sha256(digest.digest() + canonical(_versions()).encode()).hexdigest()[:16]


def code_of(source: str) -> str:
    """The syntax tree of a module without docstrings and comments, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _versions() -> dict[str, str]:
    """Library versions without the local part (`+cpu`)."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in LIBRARIES}


def execute(config: RunConfig, data: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Compute one run on raw `data`, on one thread: the content of its record, and its files by name.

    Everything but `timings` depends on the configuration and the data alone, bit for bit on one machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            return _execute(config, data)
    finally:
        torch.set_num_threads(threads)


def _execute(config: RunConfig, raw: MultimodalData) -> tuple[dict[str, Any], dict[str, bytes]]:
    started = time.perf_counter()
    validation = config.rows == "validation"
    origin = raw.rows("train") if validation else np.arange(len(raw))  # row of the data set behind each row of `data`
    data = (validation_split(raw, config.seed) if validation else raw).standardized()
    labeled, rows = label_split(data, config.label_fraction, config.seed), data.rows("test")
    wanted = paper_patterns(data.names) if validation or config.post else patterns(data.names)
    compute = _trained if config.method in METHODS else _untrained
    found = compute(config, data, labeled, rows, wanted)
    found["timings"]["total_seconds"] = time.perf_counter() - started
    found["timings"] |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    metrics = found["metrics"].astype({"value": object}).where(found["metrics"]["value"].notna(), None)
    content = {
        "config": config.complete(), "data_checksum": raw.checksum, "numerics": numerics(),
        "versions": {"python": platform.python_version(), **_versions()}, "label_rows": origin[labeled].tolist(),
        "metrics": metrics.to_dict("records"), "parameters": found["parameters"], "timings": found["timings"],
    }  # fmt: skip
    predictions = to_parquet(_predictions(found["scores"], rows, origin, data))
    return content, {
        "curves.parquet": to_parquet(found["curves"]),
        "predictions.parquet": predictions,
        **found["files"],
    }


def _trained(config: RunConfig, data: MultimodalData, labeled: np.ndarray, rows: np.ndarray, wanted: list) -> dict:
    torch.manual_seed(config.seed)
    settings, files = TrainingConfig(**config.complete()["training"]), {}
    method = make_method(config.method, data.task, data.shapes, **config.complete()["hyper"])

    def keep(step: int, trained: Method) -> None:
        if step in config.snapshots:
            files[weights_name(step)] = _weights(trained)

    started = time.perf_counter()
    history = train(method, data, labeled, settings, seed=config.seed, on_step=keep if config.snapshots else None)
    trained = time.perf_counter() - started
    wanted = (
        wanted if len(labeled) else []
    )  # without labels there are representations, curves and weights, but no predictions
    if config.keep_weights:
        files[weights_name()] = _weights(method)
    latency = {pattern_name(one): _latency(method, data, rows, one) for one in paper_patterns(data.names) if wanted}
    used = LinearHead(method, data, labeled, config.seed) if config.post else method
    metrics, scores = evaluate(used, data, rows, wanted)
    timings = {"train_seconds": trained, "seconds_per_step": trained / settings.steps, "latency_ms": latency}
    return {
        "metrics": metrics, "scores": scores, "curves": history.frame, "files": files, "timings": timings,
        "parameters": sum(one.numel() for one in method.parameters()),
    }  # fmt: skip


def _untrained(config: RunConfig, data: MultimodalData, labeled: np.ndarray, rows: np.ndarray, wanted: list) -> dict:
    """The sanity rows: nothing but scores, and the time they took."""
    started = time.perf_counter()
    found = sanity_predictions(config.method, data, labeled, rows, wanted, config.seed)
    metrics, scores = [], {}
    for pattern, values in found.items():
        chosen = having(data, rows, pattern)
        scores[pattern_name(pattern)] = values[np.isin(rows, chosen)]
        measured = data.task.metrics(scores[pattern_name(pattern)], data.targets[torch.from_numpy(chosen)].numpy())
        metrics += [(pattern_name(pattern), "", metric, value) for metric, value in measured.items()]
    return {
        "metrics": pd.DataFrame(metrics, columns=["pattern", "variant", "metric", "value"]), "scores": scores, "files": {},
        "curves": History().frame, "parameters": None, "timings": {"train_seconds": time.perf_counter() - started},
    }  # fmt: skip


def _latency(method: Method, data: MultimodalData, rows: np.ndarray, pattern: tuple[str, ...]) -> float:
    """Milliseconds to predict 64 samples (fewer where there are fewer), median of 5 calls."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        predict(method, data, rows[:LATENCY_ROWS], pattern)
        seconds.append(time.perf_counter() - started)
    return 1000 * median(seconds)


def _weights(method: Method) -> bytes:
    from safetensors.torch import save

    return save({name: value.detach().cpu().clone().contiguous() for name, value in method.state_dict().items()})


def _predictions(scores: dict[str, np.ndarray], rows: np.ndarray, origin: np.ndarray, data: MultimodalData) -> pd.DataFrame:  # fmt: skip
    """Scores as a table: row of the data set, pattern, score_0 … score_{C-1} (float32)."""
    parts = [np.empty((0, data.task.n_outputs)), *scores.values()]
    chosen = [having(data, rows, tuple(pattern.split("+"))) for pattern in scores]
    table = pd.DataFrame(np.concatenate(parts).astype(np.float32)).add_prefix("score_")
    table.insert(0, "pattern", np.repeat(np.array(list(scores), dtype=object), [len(one) for one in chosen]))
    table.insert(0, "row", origin[np.concatenate([rows[:0], *chosen])])
    return table


def restore(record: Record, data: MultimodalData, step: int | None = None) -> Method:
    """The trained method of a record that kept its weights (after `step` steps), in evaluation mode."""
    method = make_method(record.config["method"], data.task, data.shapes, **record.config["hyper"])
    method.load_state_dict(record.weights(step))
    method.saw_labels = bool(record.label_rows)
    return method.eval()
