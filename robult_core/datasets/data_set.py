"""One entry of the catalogue: what a data set is, which files it needs, how they are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.download import GITHUB, Remote, build_in_place, fetch
from robult_core.datasets.files import DataError, npz_names, sha256_of, verify
from robult_core.tasks import Task


def data_folder(folder: str | Path | None = None) -> Path:
    """The folder given, else `ROBULT_DATA`, else `data/` of the clone that this package lies in.

    An installed package lies in none: there it is `data/` of the working folder.
    """
    home = Path(__file__).resolve().parents[2]
    in_clone = (home / "pyproject.toml").is_file()
    chosen = folder or os.environ.get("ROBULT_DATA") or (home if in_clone else Path.cwd()) / "data"
    return Path(chosen).expanduser()


@dataclass(frozen=True)
class DataSet:
    """One data set of the catalogue.

    task:       what the targets mean; it alone says which metric comes first.
    loader:     is called as `loader(folder, task, **options)`, where `folder` is the data folder.
    needs:      alternatives, each a tuple of file patterns below the data folder that must all be
                there. "a|b" asks for either file, "a.npz::key" for one array of an archive. Sets
                that need no file are built in.
    how:        what a user has to do beyond, or instead of, `robult data get`.
    remotes:    the files that `get` downloads.
    builder:    is called as `builder(folder, base_url, **options)`, turns the downloads into the
                files needed, and returns notes for the user.
    inspect:    is called as `inspect(folder)` and finds problems without reading everything.
    instead_of: the set that this one stands in for where that one is missing.
    published:  file -> SHA-256 that its publisher states; another one is worth a warning.
    unreadable: files that people hold instead of those needed, as a pattern, and what to do.
    encoder:    whether the set holds raw images and texts, which a frozen encoder must read.
    """

    name: str
    task: Task
    modalities: tuple[str, ...]
    loader: Callable[..., MultimodalData]
    licence: str
    source: str
    needs: tuple[tuple[str, ...], ...] = ()
    how: str = ""
    remotes: tuple[Remote, ...] = ()
    builder: Callable[..., list[str]] | None = None
    inspect: Callable[..., list[str]] | None = None
    instead_of: str = ""
    published: Mapping[str, str] = field(default_factory=dict)
    unreadable: tuple[str, str] = ("", "")
    encoder: bool = False

    @property
    def builtin(self) -> bool:
        """Whether the set comes with the program and needs no file."""
        return not self.needs

    @property
    def downloadable(self) -> bool:
        """Whether `get` can fetch the set."""
        return bool(self.remotes) or self.builder is not None

    @property
    def remedy(self) -> str:
        """What to do when files are missing or damaged."""
        if not self.downloadable:
            return self.how
        command = f"run 'robult data get {self.name}'"
        return f"{command} ({self.how})" if self.how else command

    def files(self, folder: str | Path | None = None) -> dict[str, bool]:
        """Pattern -> whether it is there, of the alternative nearest to complete; reads nothing."""
        root = data_folder(folder)
        alternatives = []
        for patterns in self.needs:
            alternatives.append({pattern: bool(matches(root, pattern)) for pattern in patterns})
        return min(alternatives, key=_number_missing, default={})

    def missing(self, folder: str | Path | None = None) -> tuple[str, ...]:
        """The files that are not there, each with its alternatives, in words."""
        return tuple(either(pattern) for pattern, there in self.files(folder).items() if not there)

    def load(self, folder: str | Path | None = None, **options: object) -> MultimodalData:
        """Read the set as it is published, not standardised.

        Raises DataError with the remedy when files are missing or damaged.
        """
        root = data_folder(folder)
        missing = self.missing(folder)
        if missing:
            lacking = f"data set '{self.name}' lacks {', '.join(missing)} in '{root}'"
            raise DataError("; ".join([f"{lacking}: {self.remedy}", *self._held_instead(root)]))
        self._verify(root)
        data = self.loader(root, self.task, **options)
        for split in ("train", "test"):
            if not len(data.rows(split)):
                empty = f"the {split} part of data set '{self.name}' in '{root}' is empty"
                raise DataError(f"{empty}: {self.remedy}")
        return replace(
            data,
            name=self.name,
            licence=self.licence,
            source=self.source,
            notes=(*data.notes, *self.warnings(root)),
        )

    def _verify(self, root: Path) -> None:
        """Compare the downloads that were kept with their published SHA-256."""
        for remote in self.remotes:
            path = root / remote.target
            if remote.sha256 is not None and path.exists():
                verify(path, remote.sha256, self.remedy)

    def _held_instead(self, root: Path) -> list[str]:
        """What to do with files that are there but cannot be read."""
        pattern, advice = self.unreadable
        return [advice] if pattern and matches(root, pattern) else []

    def warnings(self, folder: str | Path | None = None) -> list[str]:
        """Files whose SHA-256 is not the published one, which may be another version."""
        warnings = []
        for name, published in self.published.items():
            path = data_folder(folder) / name
            if path.is_file() and sha256_of(path) != published:
                differs = f"The SHA-256 of {name} is not the published one"
                warnings.append(f"{differs} ({published[:8]}…): it may be another version.")
        return warnings

    def check(self, folder: str | Path | None = None) -> list[str]:
        """Problems, one sentence each, with the remedy; empty when the set can be used."""
        root = data_folder(folder)
        absent = [pattern for pattern, there in self.files(folder).items() if not there]
        if absent:
            problems = [f"missing: {either(pattern, root)}; {self.remedy}" for pattern in absent]
            return [*problems, *self._held_instead(root)]
        if self.inspect is not None:
            return self.inspect(root)
        try:
            self.load(folder)
        except (ValueError, ImportError) as error:
            return [str(error)]
        return []

    def get(
        self, folder: str | Path | None = None, base_url: str = GITHUB, **options: object
    ) -> list[str]:
        """Download and build the set below the data folder, and return notes for the user.

        Either everything is written or nothing; what is there and whole stays as it is.
        """
        if self.builtin or not self.check(folder):
            return [f"{self.name}: already there"]
        if not self.downloadable:
            cannot = f"data set '{self.name}' cannot be downloaded by this program"
            raise DataError(f"{cannot} ({self.licence}): {self.how}")
        notes: list[str] = []

        def make(temporary: Path) -> None:
            fetch(self.remotes, temporary, base_url)
            if self.builder is not None:
                notes.extend(self.builder(temporary, base_url, **options))

        root = data_folder(folder)
        build_in_place(root, make)
        return [f"{self.name}: written to {root}", *notes]


def matches(root: Path, pattern: str) -> Path | None:
    """The first file below `root` that fits a pattern of `DataSet.needs`, or None."""
    for choice in pattern.split("|"):
        name, _, key = choice.partition("::")
        path = next(root.glob(name), None) if "*" in name else root / name
        if path is None or not path.exists():
            continue
        if not key or key in npz_names(path):
            return path
    return None


def either(pattern: str, root: Path | None = None) -> str:
    """A pattern of `DataSet.needs` in words, with the folder before it where one is given."""
    places = []
    for choice in pattern.split("|"):
        name, _, key = choice.partition("::")
        place = name if root is None else str(root / name)
        places.append(f"'{key}' in {place}" if key else place)
    return " or ".join(places)


def _number_missing(files: dict[str, bool]) -> int:
    return list(files.values()).count(False)
