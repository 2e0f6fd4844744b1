"""Write requirements.lock and environment.yml from what .venv holds: `make lock`.

Walks the requirements of the package with all its extras as they are on Python 3.11, 3.12 and 3.13 under Linux, so that packages which
nobody asks for stay out and one list serves every version.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")


def wanted(requirement: Requirement, extras: set[str]) -> bool:
    """Whether some supported Python asks for it."""
    marker = requirement.marker
    environments = [
        {"python_version": v, "python_full_version": f"{v}.0", "extra": e}
        for v in PYTHONS
        for e in extras | {""}
    ]
    return marker is None or any(marker.evaluate(environment) for environment in environments)


def closure() -> dict[str, str]:
    """Name -> version of everything that the project and its extras need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    queue = [
        Requirement(text)
        for text in sum(project["optional-dependencies"].values(), project["dependencies"])
    ]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), set(requirement.extras)
        if (name, frozenset(extras)) in seen or name.startswith(("nvidia-", "cuda-", "triton")):
            continue  # GPU libraries come with torch itself where its build wants them
        seen.add((name, frozenset(extras)))
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            sys.exit(
                f"'{requirement}' is needed on one of Python {', '.join(PYTHONS)} but not installed: pip install '{name}', then again"
            )
        if requirement.specifier and not requirement.specifier.contains(
            installed.version, prereleases=True
        ):
            sys.exit(
                f"'{requirement}' is asked for but {installed.version} is installed: install a fitting version, then again"
            )
        found[name] = installed.version.split("+")[0]
        queue += [r for r in map(Requirement, installed.requires or []) if wanted(r, extras)]
    return dict(sorted(found.items()))


def main() -> None:
    pins = [f"{name}=={version}" for name, version in closure().items()]
    head = "# Exact versions of everything, for Python 3.11 to 3.13; written by 'make lock', do not edit.\n"
    (ROOT / "requirements.lock").write_text(head + "\n".join(pins) + "\n", encoding="utf-8")
    conda = [
        "name: robult",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        "  - python>=3.11,<3.14",
        "  - pip",
        "  - pip:",
    ]
    (ROOT / "environment.yml").write_text(
        head + "\n".join([*conda, *(f"      - {pin}" for pin in pins)]) + "\n", encoding="utf-8"
    )
    print(f"{len(pins)} packages in requirements.lock and environment.yml")


if __name__ == "__main__":
    main()
