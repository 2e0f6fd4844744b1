"""The manifest of a folder of results: how its numbers were made, and the hash of every file.

`manifest.json` holds the profile, seeds, parameters, data checksums, git state, library versions,
hardware and the fingerprint of the code behind the numbers, an entry for each notebook, and the
SHA-256 of every file by its relative path.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from robult_core.atomic import write_whole
from robult_core.datasets.files import hash_of_file
from robult_study.provenance import git_state, hardware, repository, versions
from robult_study.settings import Settings, SettingsError

Manifest = dict[str, Any]

NAME = "manifest.json"
WRITTEN_BY_HAND = "README.md"  # the only file of a folder of results that no run writes
BOOKKEEPING = {("store", "locks"), ("store", "tmp")}
CACHE = "cache"


def new_manifest(settings: Settings, parameters: dict[str, Any]) -> Manifest:
    """The manifest of a run that begins; notebooks of earlier runs keep their entries."""
    from robult_core.datasets import load
    from robult_study.runs.fingerprint import numerics

    return {
        "profile": settings.profile,
        "finished": None,
        "parameters": parameters,
        "seeds": list(settings.seeds),
        "steps": settings.steps,
        "git": git_state(repository()),
        "numerics": numerics(),
        "versions": versions(),
        "hardware": hardware(),
        "data": {name: load(name).checksum for name in settings.data_sets},
        "notebooks": read_manifest(settings.output).get("notebooks", {}),
    }


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; an empty one where there is none that can be read."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        _Content.model_validate(content)
    except (OSError, ValueError, RecursionError):
        return {}
    return content


class _Entry(BaseModel):
    """What others rely on of a notebook in a manifest."""

    status: str
    seconds: float
    data: list[str]


class _Content(BaseModel):
    """What others rely on of a manifest."""

    profile: str = ""
    files: dict[str, str] = {}
    notebooks: dict[str, _Entry] = {}
    data: dict[str, str] = {}


def write_manifest(folder: Path, manifest: Manifest, files: dict[str, str]) -> None:
    """Write the manifest of a folder with the hashes of its files."""
    text = json.dumps({**manifest, "files": files}, indent=1)
    write_whole(folder / NAME, f"{text}\n".encode())


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run by its relative path.

    Left out are the manifest itself, drafts and other hidden files, caches, and the locks and
    drafts of the store. Other notebooks may be at work, so a file that goes away is left out too.
    """
    hashes = {}
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        folders[:] = [name for name in folders if _is_result(inside / name)]
        for name in files:
            if _is_result(inside / name):
                with suppress(FileNotFoundError):
                    hashes[(inside / name).as_posix()] = hash_of_file(Path(place, name))
    return dict(sorted(hashes.items()))


def _is_result(name: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in name.parts)
    is_bookkeeping = name.parts[:2] in BOOKKEEPING or name.parts[0] == CACHE
    return not is_hidden and not is_bookkeeping and name.name not in (NAME, WRITTEN_BY_HAND)


def safe_path(root: Path, folder: str, name: str) -> Path:
    """The path `root/folder/name` of a file that a manifest or a folder listing names.

    A manifest is a file that anyone can write. Raises SettingsError where the path leads out of
    `root/folder`, be it by "..", as an absolute path or through a link, and where a folder stands
    in its place.
    """
    home = root.resolve() / folder
    path = root / folder / name
    if home not in path.resolve().parents or path.is_dir():
        raise SettingsError(
            f"'{name}' does not name a file inside '{root / folder}': nothing was written or "
            "deleted; remove that name from the manifest or the link from the folder"
        )
    return path
