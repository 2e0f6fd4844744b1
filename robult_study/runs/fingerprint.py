"""The fingerprint of all code that can move a number; it is part of every record's key."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path

from robult_study.provenance import versions
from robult_study.runs.store import canonical, sha256

ROOT = Path(__file__).resolve().parents[2]
MOVING = (
    "robult_core/losses.py",
    "robult_core/model.py",
    "robult_core/method.py",
    "robult_core/encoders.py",
    "robult_core/tasks.py",
    "robult_core/protocol.py",
    "robult_core/training.py",
    "robult_core/evaluation.py",
    "robult_core/distributed.py",
    "robult_core/validation.py",
    "robult_core/datasets/container.py",
    "robult_core/methods/*.py",
    "robult_study/runs/configuration.py",
    "robult_study/runs/execution.py",
)
LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "lightning-fabric",
    "iterative-stratification",
)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def moving_files() -> list[Path]:
    """The files behind `MOVING`, sorted; RuntimeError where an entry matches no file, because stale records would then be served."""
    files: set[Path] = set()
    for pattern in MOVING:
        matches = set(ROOT.glob(pattern))
        if not matches:
            raise RuntimeError(
                f"'{pattern}' of the fingerprint matches no file: the module was moved, so correct MOVING"
            )
        files |= matches
    return sorted(files)


@cache
def numerics() -> str:
    """Fingerprint of all that can move a number: the modules in `MOVING` without comments and docstrings, and the versions of `LIBRARIES`."""
    digest = hashlib.sha256()
    for path in moving_files():
        digest.update(
            f"{path.relative_to(ROOT).as_posix()} {code_of(path.read_text(encoding='utf-8'))}".encode()
        )
    return hashlib.sha256(digest.digest() + canonical(numeric_versions()).encode()).hexdigest()[:16]


def code_of(source: str) -> str:
    """The syntax tree of a module without docstrings and comments, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def numeric_versions() -> dict[str, str]:
    """Library versions without the local part (`+cpu`)."""
    return {name: importlib.metadata.version(name).split("+")[0] for name in LIBRARIES}


def answers_stamp(function: Callable) -> str:
    """Fingerprint of what can move a cached answer: the function's module, all methods, all versions."""
    module = inspect.getsource(inspect.getmodule(function))
    parts = {"code": code_of(module), "methods": numerics(), "versions": versions()}
    return sha256(canonical(parts).encode())[:16]
