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
    """The folder that holds this package and the notebooks; the working folder for a package installed elsewhere."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "notebooks").is_dir() else Path.cwd()


def git_state(root: Path) -> dict[str, object]:
    """Commit and whether files differ from it; commit None outside a git repository."""

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {
            "commit": ask("rev-parse", "HEAD"),
            "dirty": bool(ask("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def versions() -> dict[str, str]:
    """Version of Python and of each library, without the local part (`+cpu`)."""
    found = {name: importlib.metadata.version(name).split("+")[0] for name in LIBRARIES}
    return {"python": platform.python_version(), **found}


def hardware() -> dict[str, object]:
    """Cores this process may use, memory in GiB, processor and system; nothing that names the machine."""
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
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
