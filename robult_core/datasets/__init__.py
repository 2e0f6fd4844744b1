"""Every data set by name: `load`, `available`, `CATALOGUE`; files lie in `ROBULT_DATA` or, without it, in the repository's `data/`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import (
    GITHUB,
    DataError,
    Remote,
    build_in_place,
    fetch,
    npz_names,
    verify,
)
from robult_core.tasks import Classification, Multilabel, Regression, Task
from robult_study.results.card import card

__all__ = [
    "BUILTIN",
    "CATALOGUE",
    "DataError",
    "DataSet",
    "MultimodalData",
    "available",
    "card",
    "data_folder",
    "load",
]


def data_folder(folder: str | Path | None = None) -> Path:
    """The folder given, else `ROBULT_DATA`, else `data/` of the repository this package lies in."""
    return Path(
        folder or os.environ.get("ROBULT_DATA") or Path(__file__).resolve().parents[2] / "data"
    ).expanduser()


def _resolve(dotted: str) -> object:
    module, _, name = dotted.partition(":")
    return getattr(import_module(f"robult_core.datasets.{module}"), name)


@dataclass(frozen=True)
class DataSet:
    """One catalogue entry.

    loader:  "module:function" below this package, imported on use; called with the data folder (not if built in) and `options`.
    needs:   alternatives, each a tuple of file patterns below the data folder ("a.npz::key" asks for an entry of an archive).
    remotes: files that `get` downloads; `builder` names "module:function" that turns them into the files needed.
    """

    name: str
    task: Task
    modalities: tuple[str, ...]
    loader: str
    licence: str
    needs: tuple[tuple[str, ...], ...] = ()
    source: str = ""
    how: str = ""
    remotes: tuple[Remote, ...] = ()
    builder: str = ""
    inspect: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    encoder: bool = False  # raw images and texts: needs a frozen encoder, see `features`
    variant: bool = False  # of another entry: known by name, not listed by `available`

    @property
    def builtin(self) -> bool:
        return not self.needs

    @property
    def remedy(self) -> str:
        extra = f" ({self.how})" if self.how else ""
        return (
            f"run 'robult data get {self.name}'{extra}"
            if self.builder or self.remotes
            else self.how
        )

    def files(self, folder: str | Path | None = None) -> dict[str, bool]:
        """Pattern -> found, of the alternative that is nearest to complete; nothing is read."""
        root = data_folder(folder)
        choices = [
            {pattern: _found(root, pattern) for pattern in patterns} for patterns in self.needs
        ]
        return min(choices, key=lambda found: len(found) - sum(found.values()), default={})

    def missing(self, folder: str | Path | None = None) -> tuple[str, ...]:
        """The patterns of `files` that are not found."""
        return tuple(pattern for pattern, found in self.files(folder).items() if not found)

    def load(self, folder: str | Path | None = None, **options: object) -> MultimodalData:
        """Read the set as it is published, not standardised; raises DataError with the remedy when its files are missing or damaged."""
        missing = self.missing(folder)
        if missing:
            raise DataError(
                f"data set '{self.name}' lacks {', '.join(missing)} in '{data_folder(folder)}': {self.remedy}"
            )
        self._verify(data_folder(folder))
        arguments = () if self.builtin else (data_folder(folder),)
        data = _resolve(self.loader)(*arguments, **{**self.options, **options})
        return replace(data, name=self.name, licence=self.licence, source=self.source)

    def _verify(self, root: Path) -> None:
        for remote in self.remotes:
            if remote.sha256 and (root / remote.target).exists():
                verify(root / remote.target, remote.sha256, self.remedy)

    def check(self, folder: str | Path | None = None) -> list[str]:
        """Problems, one sentence each: what is missing or altered and where to put it. Empty when the set can be used."""
        missing = [
            f"missing: {data_folder(folder) / pattern}; {self.remedy}"
            for pattern in self.missing(folder)
        ]
        if missing:
            return missing
        if self.inspect:
            return _resolve(self.inspect)(data_folder(folder), **self.options)
        try:
            self.load(folder)
        except (ValueError, ImportError) as error:
            return [str(error)]
        return []

    def get(
        self, folder: str | Path | None = None, base_url: str = GITHUB, **options: object
    ) -> list[str]:
        """Download and build below the data folder, all or nothing; what is there and whole stays. Returns notes for the user."""
        if self.builtin or not self.check(folder):
            return [f"{self.name}: already there"]
        if not self.remotes and not self.builder:
            raise DataError(
                f"data set '{self.name}' cannot be downloaded by this program ({self.licence}): {self.how}"
            )
        notes: list[str] = []

        def make(temporary: Path) -> None:
            fetch(self.remotes, temporary, base_url)
            if self.builder:
                notes.extend(_resolve(self.builder)(temporary, base_url=base_url, **options))

        build_in_place(data_folder(folder), make)
        return [f"{self.name}: written to {data_folder(folder)}", *notes]


def _found(root: Path, pattern: str) -> bool:
    pattern, _, key = pattern.partition("::")
    if key:
        return key in npz_names(root / pattern)
    return any(root.glob(pattern)) if "*" in pattern else (root / pattern).exists()


# A stand-in until the catalogue itself is a table of tasks.
_TASKS = {
    "classification": Classification(2),
    "binary": Classification(2, primary="auroc"),
    "multilabel": Multilabel(23),
    "regression": Regression(),
}


def _entry(
    name: str, files: Mapping[str, list[str]] = MappingProxyType({}), **fields: object
) -> DataSet:
    frozen = {key: _frozen(value) for key, value in fields.items()}
    frozen["task"] = _TASKS["binary" if name == "hateful-memes" else frozen["task"]]
    return DataSet(
        name, remotes=tuple(Remote(target, *where) for target, where in files.items()), **frozen
    )


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


_LINES = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
CATALOGUE: Mapping[str, DataSet] = {name: _entry(name, **fields) for name, fields in _LINES.items()}
STAND_INS = ("-unaligned", "-tfidf")
BUILTIN = tuple(name for name, entry in CATALOGUE.items() if entry.builtin and not entry.variant)


def available(folder: str | Path | None = None) -> list[str]:
    """Names that can be loaded now, built-in ones first; looks for files only, reads none.

    Stand-ins (unaligned files, `mosi-tfidf`) count where what they stand for is missing; raw images and texts where `ROBULT_ENCODER`
    names an encoder.
    """
    ready = [item for item in CATALOGUE.values() if not item.variant and not item.missing(folder)]
    names = [item.name for item in ready if not item.encoder or os.environ.get("ROBULT_ENCODER")]
    return [
        name
        for name in names
        if not name.endswith(STAND_INS) or name.rpartition("-")[0] not in names
    ]


def load(name: str, folder: str | Path | None = None, **options: object) -> MultimodalData:
    """The data set of that name, raw features; `options` go to its loader (`encoders=` for sets of images and texts)."""
    return entry(name).load(folder, **options)


def entry(name: str) -> DataSet:
    """The catalogue entry of that name."""
    if name not in CATALOGUE:
        raise DataError(f"unknown data set '{name}': known ones are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]
