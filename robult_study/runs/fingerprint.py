"""The fingerprint of all code that can move a number; it is part of every record's key."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from robult_study.provenance import version
from robult_study.runs.store import canonical

ROOT = Path(__file__).resolve().parents[2]
MOVING = (
    "robult_core/losses.py",
    "robult_core/fused_loss.py",
    "robult_core/model.py",
    "robult_core/method.py",
    "robult_core/encoders.py",
    "robult_core/standardization.py",
    "robult_core/tasks.py",
    "robult_core/protocol.py",
    "robult_core/checks.py",
    "robult_core/training.py",
    "robult_core/evaluation.py",
    "robult_core/distributed.py",
    "robult_core/optimizer.py",
    "robult_core/validation.py",
    "robult_core/datasets/container.py",
    "robult_core/methods/*.py",
    "robult_study/runs/configuration.py",
    "robult_study/runs/execution.py",
    "robult_study/runs/missing.py",
    "robult_study/runs/several_ranks.py",
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
    """The files behind `MOVING`, sorted.

    Raises RuntimeError where an entry matches no file, because stale records would then be served.
    """
    files: set[Path] = set()
    for pattern in MOVING:
        matches = set(ROOT.glob(pattern))
        if not matches:
            raise RuntimeError(
                f"'{pattern}' of the fingerprint matches no file: "
                "the module was moved, so correct MOVING"
            )
        files |= matches
    return sorted(files)


@cache
def numerics() -> str:
    """Fingerprint of all that can move a number: the code in `MOVING` and versions of libraries."""
    digest = hashlib.sha256()
    for path in moving_files():
        name = path.relative_to(ROOT).as_posix()
        code = code_of(path.read_text(encoding="utf-8"))
        digest.update(f"{name} {code}".encode())
    libraries = canonical(numeric_versions()).encode()
    return hashlib.sha256(digest.digest() + libraries).hexdigest()[:16]


def code_of(source: str) -> str:
    """The syntax tree of a module without docstrings and comments, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def numeric_versions() -> dict[str, str]:
    """Versions of the libraries that can move a number."""
    return {name: version(name) for name in LIBRARIES}
