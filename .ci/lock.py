"""Write requirements.lock and environment.yml from what .venv holds: `make lock`.

The requirements of the package with all its extras are followed as they are on each supported
Python under Linux. So packages that nobody asks for stay out, and one list serves every version.
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
WITH_TORCH = ("nvidia-", "cuda-", "triton")  # come with torch itself where its build wants them
HEAD = (
    "# Exact versions of everything, for Python 3.11 to 3.13; written by 'make lock', do not edit."
)
CONDA = """name: robult
channels:
  - conda-forge
dependencies:
  - python>=3.11,<3.14
  - pip
  - pip:
"""


def is_wanted(requirement: Requirement, extras: set[str]) -> bool:
    """Whether some supported Python asks for a requirement of a package with these extras."""
    if requirement.marker is None:
        return True
    for version in PYTHONS:
        for extra in ["", *extras]:
            environment = {
                "python_version": version,
                "python_full_version": f"{version}.0",
                "extra": extra,
            }
            if requirement.marker.evaluate(environment):
                return True
    return False


def direct_requirements() -> list[Requirement]:
    """What the project and its extras ask for."""
    content = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(content)["project"]
    texts = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        texts += extra
    return [Requirement(text) for text in texts]


def all_versions() -> dict[str, str]:
    """Name -> installed version of everything that the project and its extras need."""
    queue = direct_requirements()
    versions: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        visit = (name, frozenset(requirement.extras))
        if visit in seen or name.startswith(WITH_TORCH):
            continue
        seen.add(visit)
        installed = installed_distribution(requirement)
        versions[name] = installed.version.split("+")[0]
        for text in installed.requires or []:
            needed = Requirement(text)
            if is_wanted(needed, requirement.extras):
                queue.append(needed)
    return dict(sorted(versions.items()))


def installed_distribution(requirement: Requirement) -> importlib.metadata.Distribution:
    """The installed package of a requirement; the program ends where it is absent or unfitting."""
    try:
        installed = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        sys.exit(
            f"'{requirement}' is needed on one of Python {', '.join(PYTHONS)} but not installed: "
            f"pip install '{requirement.name}', then again"
        )
    if not requirement.specifier.contains(installed.version, prereleases=True):
        sys.exit(
            f"'{requirement}' is asked for but {installed.version} is installed: "
            "install a fitting version, then again"
        )
    return installed


def main() -> None:
    """Write both files."""
    pins = [f"{name}=={version}" for name, version in all_versions().items()]
    lock = "\n".join([HEAD, *pins])
    conda_pins = "\n".join(f"      - {pin}" for pin in pins)
    (ROOT / "requirements.lock").write_text(f"{lock}\n", encoding="utf-8")
    (ROOT / "environment.yml").write_text(f"{HEAD}\n{CONDA}{conda_pins}\n", encoding="utf-8")
    print(f"{len(pins)} packages in requirements.lock and environment.yml")


if __name__ == "__main__":
    main()
