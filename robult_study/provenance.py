"""Where numbers were made: repository root, git state, library versions, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "lightning-fabric",
    "umap-learn",
    "clarabel",
    "dit",
    "matplotlib",
    "joblib",
)


def repository() -> Path:
    """The folder that holds this package and the notebooks.

    A package that is installed without them works in the working folder.
    """
    root = Path(__file__).resolve().parents[1]
    return root if (root / "notebooks").is_dir() else Path.cwd()


def git_state(root: Path) -> dict[str, object]:
    """The commit, and whether files differ from it; both None outside a git repository."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def version(library: str) -> str:
    """The installed version of a library, without its local part (`+cpu`)."""
    return importlib.metadata.version(library).split("+")[0]


def versions() -> dict[str, str]:
    """Versions of Python and of every library that results depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def hardware() -> dict[str, object]:
    """Cores, memory, processor and system of this machine, but nothing that names it."""
    import psutil
    import torch

    return {
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def cores() -> int:
    """The number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
