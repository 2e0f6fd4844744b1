"""Records of finished runs on disk.

A record is written whole or not at all, and it is checked when it is read. No kill, no full disk
and no second process loses one.

    store.json            format version of the folder
    records/<key>/        one record:
        record.json           configuration, metrics, timings, versions, label rows, and the
                              SHA-256 of every file and of itself
        curves.parquet, predictions.parquet, weights[_<step>].safetensors
    failed/<key>.json     configuration, files and error of a run that failed, until it succeeds
    locks/                who computes what
    tmp/                  folders in the making
    damaged/              records that failed their check, set aside

`settings.store_folder` chooses the folder: `store` in ROBULT_OUT, or else in out/<profile>.

A record is made in tmp/, flushed to the disk and renamed into place, which is atomic. One process
computes a run while it holds the lock of its key; the operating system drops the lock when its
holder dies.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from robult_core.atomic import write_through, write_whole

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
FOLDERS = ("records", "failed", "locks", "tmp", "damaged")
PARTS = {"config": dict, "numerics": str, "timings": dict, "metrics": list}  # of a run
KEY_LENGTH = 64
REMEDY = "`robult runs prune --yes` or the next grid sets it aside"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
LOST = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class StoreError(OSError):
    """The store cannot be written, or a newer program wrote it; no run can go on."""


class DamagedRecord(ValueError):
    """A record that does not match its own hashes; it is never served."""


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The bytes of a frame as parquet, the same for the same frame."""
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def weights_name(step: int | None = None) -> str:
    """File of the weights after `step` steps; None: after the last one."""
    return "weights.safetensors" if step is None else f"weights_{step}.safetensors"


def weights_step(name: str) -> int | None:
    """The inverse of `weights_name`."""
    number = name.removeprefix("weights").removesuffix(".safetensors").removeprefix("_")
    return int(number) if number else None


@dataclass(frozen=True)
class Record:
    """One finished run.

    `content` is record.json, which has been checked; the other files are checked when read.
    """

    folder: Path
    content: Mapping[str, Any]

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def config(self) -> dict[str, Any]:
        """The complete configuration, defaults spelled out."""
        return dict(self.content["config"])

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Tidy metrics: pattern, variant, metric, value."""
        columns = ["pattern", "variant", "metric", "value"]
        return pd.DataFrame(self.content["metrics"], columns=columns).astype({"value": float})

    @property
    def label_rows(self) -> list[int]:
        """Rows of the data set whose labels the run saw."""
        return list(self.content["label_rows"])

    @property
    def files(self) -> set[str]:
        """Names of the files beside record.json."""
        return set(self.content["files"])

    def read(self, name: str) -> bytes:
        """Content of one file after checking its hash.

        Raises KeyError where the run did not keep it and DamagedRecord where it changed.
        """
        if name not in self.files:
            raise KeyError(
                f"run {self.key[:12]} kept no {name}: ask for it in its RunConfig and run it again"
            )
        content = _bytes_or_none(self.folder / name)
        if content is None or sha256(content) != self.content["files"][name]["sha256"]:
            raise DamagedRecord(
                f"{name} of record {self.key[:12]} was lost, cut short or edited: {REMEDY}"
            )
        return content

    def curves(self) -> pd.DataFrame:
        """Training curves: step, term, value."""
        return pd.read_parquet(BytesIO(self.read("curves.parquet")))

    def predictions(self) -> pd.DataFrame:
        """Scores of the evaluated rows: row, pattern, score_0 … score_{C-1}."""
        return pd.read_parquet(BytesIO(self.read("predictions.parquet")))

    def weights(self, step: int | None = None) -> dict[str, Tensor]:
        """State of the method after training, or after `step` steps, where the run kept it."""
        from safetensors.torch import load

        return load(self.read(weights_name(step)))


class Store:
    """A folder of records. One that does not exist is empty; the first write makes it.

    Raises StoreError where a newer program wrote the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self._records = self.folder / "records"
        self._failed = self.folder / "failed"
        self._tmp = self.folder / "tmp"
        self._marker = self.folder / "store.json"
        written = self._format()
        if written is not None and written > FORMAT:
            raise StoreError(
                f"store {self.folder} was written by a newer robult_study (format {written}, "
                f"this one reads {FORMAT}): update robult or choose another folder"
            )

    def marker_problem(self) -> str:
        """What is wrong with store.json, in a sentence; empty where nothing is."""
        if self._format() is not None or not self._marker.exists():
            return ""
        return f"{self._marker} is not readable: the next write makes it anew"

    def _format(self) -> int | None:
        """The format version in store.json; None where nothing says it.

        No record depends on the file, each is checked by itself, so damage to it stops nothing.
        """
        marker = _json_or_none(self._marker)
        version = marker.get("format") if isinstance(marker, dict) else None
        return version if type(version) is int else None

    def _make(self) -> None:
        """Make the folder on first use; two processes may do so at once.

        Raises StoreError where the folder holds files that are not a store's.
        """
        if self._format() is not None and all((self.folder / name).is_dir() for name in FOLDERS):
            return
        if not self._records.is_dir() and self._holds_other_files():
            raise StoreError(
                f"{self.folder} holds other files: choose an empty folder or a store of runs"
            )
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        write_whole(self._marker, canonical({"format": FORMAT}).encode(), self._tmp)

    def _holds_other_files(self) -> bool:
        """Whether something is there that no store has; another process may be making this one."""
        own = {*FOLDERS, self._marker.name}
        return self.folder.is_dir() and any(path.name not in own for path in self.folder.iterdir())

    # Reading ------------------------------------------------------------------------------------

    def keys(self) -> list[str]:
        """Keys of all records, damaged ones included, sorted."""
        self._finish_replacements("*")
        if not self._records.is_dir():
            return []
        return sorted(path.name for path in self._records.iterdir() if _is_key(path.name))

    def find(self, prefix: str) -> str:
        """The one key that starts with `prefix`, among records and failed runs.

        Raises ValueError where none or several do.
        """
        known = sorted({*self.keys(), *self.failed()})
        matches = [key for key in known if key.startswith(prefix)]
        if len(matches) != 1:
            raise ValueError(
                f"{len(matches)} runs have a key that starts with '{prefix}': "
                "`robult runs list` shows them"
            )
        return matches[0]

    def get(self, key: str, files: Iterable[str] = ()) -> Record | None:
        """The record of a key, or None where there is none that holds all of `files`.

        Raises DamagedRecord where record.json is damaged or another file lacks or has grown bytes.
        """
        folder = self._records / key
        if not folder.exists():
            self._finish_replacements(key)
        if not folder.exists():
            return None
        record = _open_record(folder, key)
        return record if set(files) <= record.files else None

    def records(self) -> Iterator[Record]:
        """All sound records of runs; damaged ones are passed over (`problems` names them)."""
        return filter(_is_run, self.sound_records())

    def sound_records(self) -> Iterator[Record]:
        """All sound records, those of kept answers among them."""
        for key in self.keys():
            with suppress(DamagedRecord):
                record = self.get(key)
                if record is not None:
                    yield record

    def sound(self, key: str) -> Record | None:
        """The record of a key after every byte was checked, or None.

        A damaged one is set aside, which is said on stderr. The caller must not hold the lock.
        """
        try:
            return self._verified(key)
        except DamagedRecord as error:
            place = self.set_aside(key)
            if place is not None:
                print(f"{error} (now in {place})", file=sys.stderr)
            return self._verified(key)  # another process may have mended it by now

    def problems(self, keys: Iterable[str] | None = None) -> dict[str, str]:
        """What is wrong with each damaged record (of `keys`), by key; every byte is read."""
        sentences = {}
        for key in self.keys() if keys is None else keys:
            try:
                self._verified(key)
            except DamagedRecord as error:
                sentences[key] = str(error)
        return sentences

    def _verified(self, key: str) -> Record | None:
        record = self.get(key)
        if record is not None:
            for name in record.files:
                record.read(name)
        return record

    def request(self, key: str) -> tuple[dict[str, Any], set[str]]:
        """What a failed or finished run was asked for: its configuration and its files.

        The record's other files may be damaged. Raises DamagedRecord where record.json is.
        """
        note = _read_note(self._failed / f"{key}.json")
        if note is not None:
            return note["config"], set(note.get("files", ()))
        content = _read_content(self._records / key, key)
        return content["config"], set(content["files"])

    def failed(self) -> dict[str, dict[str, Any]]:
        """Notes of failed runs by key: config, files, error, traceback.

        Unreadable ones are left out.
        """
        notes = {path.stem: _read_note(path) for path in self._notes()}
        return {key: note for key, note in notes.items() if note is not None}

    def _notes(self) -> list[Path]:
        return sorted(self._failed.glob("*.json"))

    # Writing ------------------------------------------------------------------------------------

    def lock(self, key: str, wait: bool = True) -> FileLock:
        """The lock held while a run is computed, as a context manager.

        Without `wait` it raises filelock.Timeout at once when another process holds it.
        """
        with _writing(self.folder):
            self._make()
        return FileLock(self.folder / "locks" / f"{key}.lock", timeout=-1 if wait else 0)

    def put(self, key: str, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Write one record, in place of one that is there; the caller holds the lock.

        Raises StoreError when the disk is full; what was there then stays.
        """
        with _writing(self.folder):
            self._make()
            making = Path(tempfile.mkdtemp(dir=self._tmp, prefix=f"{key}-"))
            try:
                _write_record(making / "new", key, content, files)
                self._replace(making, key)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            self.forget_failure(key)

    def _replace(self, making: Path, key: str) -> None:
        """Move `making/new` into its place, and what is there to `making/old`.

        Directories cannot be exchanged in one step. Between the two renames any reader may finish
        what this process began (`_finish_replacements`), whether it is alive or was killed.
        """
        final, old = self._records / key, making / "old"
        if final.exists():
            os.rename(final, old)
        try:
            os.rename(making / "new", final)
        except OSError:
            if not final.exists():  # else a reader was faster
                if old.exists():
                    os.rename(old, final)
                raise
        _flush_folder(self._records)

    def _finish_replacements(self, key: str) -> None:
        """Finish what a writer left between its two renames, for a key or for all ("*")."""
        for making in self._tmp.glob(f"{key}-*"):
            owner = _owner(making)
            both = (making / "old").exists() and (making / "new").exists()
            if not both or (self._records / owner).exists():
                continue
            for name in ("new", "old"):
                with suppress(DamagedRecord, OSError):
                    _open_record(making / name, owner)
                    os.rename(making / name, self._records / owner)
                    break

    def put_failed(self, key: str, content: Mapping[str, Any]) -> None:
        """Remember how a run failed, so that it can be repeated alone."""
        with _writing(self.folder):
            self._make()
            note = canonical(content).encode()
            write_whole(self._failed / f"{key}.json", note, self._tmp)

    def forget_failure(self, key: str) -> None:
        """Delete the note of a failed run; a record of the same key stays."""
        (self._failed / f"{key}.json").unlink(missing_ok=True)

    def set_aside(self, key: str) -> Path | None:
        """Move a damaged record to damaged/, where it is kept but not served.

        Returns its new place, or None where it is sound by now.
        """
        with self.lock(key):
            if not self.problems([key]):
                return None
            place = Path(tempfile.mkdtemp(dir=self.folder / "damaged", prefix=f"{key}-"))
            os.rename(self._records / key, place / "record")
            return place / "record"

    def remove(self, key: str) -> None:
        """Delete a record; it leaves its place in one step, so that a kill leaves no half of it."""
        with self.lock(key):
            going = tempfile.mkdtemp(dir=self._tmp, prefix=f"{key}-")
            os.rename(self._records / key, Path(going) / "old")
            shutil.rmtree(going)

    def leftovers(self) -> list[Path]:
        """What killed writers left behind: drafts that nobody works on and notes cut short."""
        self._finish_replacements("*")
        drafts = [path for path in sorted(self._tmp.glob("*")) if not self._is_worked_on(path)]
        return drafts + [path for path in self._notes() if _read_note(path) is None]

    def _is_worked_on(self, draft: Path) -> bool:
        """Whether a process holds the lock of the draft's key."""
        owner = _owner(draft)
        if not _is_key(owner):
            return False
        try:
            with self.lock(owner, wait=False):
                return False
        except Timeout:
            return True

    def remove_leftovers(self) -> int:
        """Delete what `leftovers` lists; returns how many there were."""
        paths = self.leftovers()
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return len(paths)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns the errors of the disk into a sentence."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        problem, remedy = f"cannot write ({error.strerror}) to", "choose another folder"
        if error.errno in NO_SPACE:
            problem = "no space left for"
            remedy = "free some and start again, all finished runs are kept"
        elif error.errno in NO_RIGHT:
            problem = "no permission to write to"
            remedy = "choose another folder or change its rights"
        raise StoreError(error.errno, f"{problem} store {folder}: {remedy}") from error


def _write_record(
    folder: Path, key: str, content: Mapping[str, Any], files: Mapping[str, bytes]
) -> None:
    """Write all files of a record into a new folder and wait until the disk holds them."""
    listing = {}
    for name, data in sorted(files.items()):
        listing[name] = {"sha256": sha256(data), "size": len(data)}
    body = {**content, "key": key, "files": listing}
    body["digest"] = sha256(canonical(body).encode())
    folder.mkdir()
    for name, data in files.items():
        write_through(folder / name, data)
    write_through(folder / "record.json", canonical(body).encode())
    _flush_folder(folder)


def _open_record(folder: Path, key: str) -> Record:
    """The record in a folder; DamagedRecord where it is not the record of `key`, whole."""
    content = _read_content(folder, key)
    for name, entry in content["files"].items():
        if _size_or_none(folder / name) != entry["size"]:
            raise DamagedRecord(f"{name} of record {key[:12]} was lost or cut short: {REMEDY}")
    return Record(folder, content)


def _read_content(folder: Path, key: str) -> dict[str, Any]:
    """record.json, checked against its own digest and the key."""
    content = _json_or_none(folder / "record.json")
    if not isinstance(content, dict) or "digest" not in content:
        raise DamagedRecord(f"record.json of {key[:12]} was lost or cut short: {REMEDY}")
    digest = content.pop("digest")
    if digest != _digest_or_none(content) or content.get("key") != key:
        raise DamagedRecord(f"record.json of {key[:12]} was edited after it was written: {REMEDY}")
    if not _is_whole(content):
        raise DamagedRecord(f"record.json of {key[:12]} lacks a part of a record: {REMEDY}")
    return content


def _is_whole(content: Mapping[str, Any]) -> bool:
    """Whether the files of a record are listed with their hashes, as the store writes them."""
    files = content.get("files")
    return isinstance(files, dict) and all(
        isinstance(entry, dict) and entry.keys() >= {"sha256", "size"} for entry in files.values()
    )


def _is_run(record: Record) -> bool:
    """Whether a record has what every run has; kept answers have nothing but files."""
    content = record.content
    parts = all(isinstance(content.get(name), kind) for name, kind in PARTS.items())
    return parts and "total_seconds" in content["timings"]


def _read_note(path: Path) -> dict[str, Any] | None:
    """The note of a failed run; None where it is cut short or no such note."""
    note = _json_or_none(path)
    whole = isinstance(note, dict) and isinstance(note.get("config"), dict) and "error" in note
    return note if whole and _are_texts(note.get("files", [])) else None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _json_or_none(path: Path) -> Any:
    """What a JSON file holds; None where it is lost or is not JSON."""
    content = _bytes_or_none(path)
    try:
        return None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return None


def _digest_or_none(content: object) -> str | None:
    """The hash of a value's JSON text; None where it holds NaN, which no record does."""
    try:
        return sha256(canonical(content).encode())
    except ValueError:
        return None


def _bytes_or_none(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except LOST:
        return None


def _size_or_none(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except LOST:
        return None


def _owner(draft: Path) -> str:
    """The key whose writer made a draft in tmp/; anything else for a stray file."""
    return draft.name.lstrip(".").split("-")[0]


def _is_key(name: str) -> bool:
    return len(name) == KEY_LENGTH


def _flush_folder(folder: Path) -> None:
    """Wait until the disk holds the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
