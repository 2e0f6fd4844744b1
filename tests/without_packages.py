"""A process in which chosen packages seem not to be installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HIDE = """
import os, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

sys.path[:] = os.environ["ROBULT_SEARCHED"].split(os.pathsep)
HIDDEN = set(os.environ["ROBULT_HIDDEN"].split(","))

class OthersFinder(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.split(".")[0] in HIDDEN:
            return None
        return super().find_spec(fullname, path, target)

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, OthersFinder]
"""


def run_without(
    packages: Iterable[str], code: str, *arguments: str, sources: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run code where `packages` cannot be found; `sys.argv[1:]` of the code are the arguments.

    Our own packages are those in the folder `sources`. The process starts without `site`, because a
    .pth file may load a package before it is hidden.
    """
    environment = os.environ | {
        "ROBULT_SEARCHED": os.pathsep.join([str(sources), *sys.path]),
        "ROBULT_HIDDEN": ",".join(packages),
    }
    return subprocess.run(
        [sys.executable, "-S", "-c", HIDE + code, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
