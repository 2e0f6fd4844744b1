"""Records of finished runs on disk: written whole or not at all, checked when read, never lost by a kill, a full disk or a second process.

    store.json                     format version of the folder
    records/<key>/record.json      configuration, metrics, timings, versions, label rows, and the SHA-256 of every file and of itself
    records/<key>/curves.parquet, predictions.parquet, weights[_<step>].safetensors
    failed/<key>.json              configuration and error of a run that failed (removed when it succeeds)
    locks/, tmp/, damaged/         who computes what; folders in the making; records that failed their check, set aside

A record is made in tmp/, flushed to the disk and renamed into place, which is atomic. One process computes a run while it holds the lock of
its key; the operating system drops the lock when its holder dies.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
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
KEY_LENGTH = 64
REMEDY = "`robult runs prune --yes` or the next grid sets it aside"
NO_SPACE, NO_RIGHT = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)


class StoreError(OSError):
    """The store cannot be written (disk full, no permission) or is too new to be read: no run can go on."""


class DamagedRecord(ValueError):
    """A record that does not match its own hashes; it is never served."""


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The bytes of a frame as parquet, the same for the same frame."""
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


@dataclass(frozen=True)
class Record:
    """One finished run. `content` is record.json, already checked; the other files are checked when read."""

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
        return pd.DataFrame(
            self.content["metrics"], columns=["pattern", "variant", "metric", "value"]
        ).astype({"value": float})

    @property
    def label_rows(self) -> list[int]:
        """Rows of the data set whose labels the run saw."""
        return list(self.content["label_rows"])

    def read(self, name: str) -> bytes:
        """Content of one file after checking its hash; KeyError where the run did not keep it, DamagedRecord where it changed."""
        if name not in self.content["files"]:
            raise KeyError(
                f"run {self.key[:12]} kept no {name}: ask for it in its RunConfig and run it again"
            )
        path = self.folder / name
        content = path.read_bytes() if path.exists() else b""
        if sha256(content) != self.content["files"][name]["sha256"]:
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


def weights_name(step: int | None = None) -> str:
    """File of the weights after `step` steps; None: after the last one."""
    return "weights.safetensors" if step is None else f"weights_{step}.safetensors"


def weights_step(name: str) -> int | None:
    """The inverse of `weights_name`."""
    return int(name[8:-12]) if name.startswith("weights_") else None


class Store:
    """A folder of records. Reading one that does not exist finds nothing; the first write makes it."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        marker = self.folder / "store.json"
        try:
            found = json.loads(marker.read_text())["format"] if marker.exists() else FORMAT
        except (ValueError, KeyError, TypeError):
            raise StoreError(
                f"{marker} is not readable: delete it, the records themselves are checked one by one"
            ) from None
        if found > FORMAT:
            news = f"store {self.folder} was written by a newer robult_study (format {found}, this one reads {FORMAT})"
            raise StoreError(f"{news}: update robult or choose another folder")

    def _make(self) -> None:
        """Make the folder on first use; two processes may do so at once."""
        for name in ("records", "failed", "locks", "tmp", "damaged"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not (self.folder / "store.json").exists():
            write_whole(
                self.folder / "store.json",
                canonical({"format": FORMAT}).encode(),
                self.folder / "tmp",
            )

    def lock(self, key: str, wait: bool = True) -> FileLock:
        """Lock held while a run is computed; as a context manager it raises filelock.Timeout at once when taken and `wait` is False."""
        with _writing(self.folder):
            self._make()
        return FileLock(self.folder / "locks" / f"{key}.lock", timeout=-1 if wait else 0)

    def keys(self) -> list[str]:
        """Keys of all records, damaged ones included, sorted."""
        folder = self.folder / "records"
        return (
            sorted(path.name for path in folder.iterdir() if len(path.name) == KEY_LENGTH)
            if folder.exists()
            else []
        )

    def find(self, prefix: str) -> str:
        """The one key that starts with `prefix`, among records and failed runs; ValueError where none or several do."""
        failed = {path.stem for path in (self.folder / "failed").glob("*.json")}
        found = [key for key in sorted({*self.keys(), *failed}) if key.startswith(prefix)]
        if len(found) != 1:
            raise ValueError(
                f"{len(found)} runs have a key that starts with '{prefix}': `robult runs list` shows them"
            )
        return found[0]

    def get(self, key: str, files: tuple[str, ...] = ()) -> Record | None:
        """The record of a key that has all of `files`, or None; DamagedRecord when it is cut short or edited."""
        folder = self.folder / "records" / key
        if not folder.exists():
            return None
        content = _read_json(folder)
        for name, entry in content["files"].items():
            if not (folder / name).exists() or (folder / name).stat().st_size != entry["size"]:
                raise DamagedRecord(f"{name} of record {key[:12]} was lost or cut short: {REMEDY}")
        return Record(folder, content) if set(files) <= set(content["files"]) else None

    def records(self) -> Iterator[Record]:
        """All sound records; damaged ones are passed over (`problems` names them)."""
        for key in self.keys():
            with suppress(DamagedRecord):
                record = self.get(key)
                if record is not None:
                    yield record

    def put(self, key: str, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Write one record whole or not at all, in place of one that is there; the caller holds the lock. StoreError when the disk is full."""
        listing = {
            name: {"sha256": sha256(data), "size": len(data)}
            for name, data in sorted(files.items())
        }
        content = dict(content) | {"key": key, "files": listing}
        body = canonical(content | {"digest": sha256(canonical(content).encode())})
        final = self.folder / "records" / key
        with _writing(self.folder):
            self._make()
            making = Path(tempfile.mkdtemp(dir=self.folder / "tmp", prefix=f"{key}-"))
            try:
                (making / "new").mkdir()
                for name, data in {**files, "record.json": body.encode()}.items():
                    write_through(making / "new" / name, data)
                if final.exists():  # it lacked a file that is asked for now
                    os.rename(final, making / "old")
                os.rename(making / "new", final)
                _flush_folder(final.parent)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)

    def put_failed(self, key: str, content: Mapping[str, Any]) -> None:
        """Remember how a run failed, so that it can be repeated alone."""
        with _writing(self.folder):
            self._make()
            write_whole(
                self.folder / "failed" / f"{key}.json",
                canonical(content).encode(),
                self.folder / "tmp",
            )

    def failed(self) -> dict[str, dict[str, Any]]:
        """Failed runs by key: config, error, traceback."""
        return {
            path.stem: json.loads(path.read_text())
            for path in sorted((self.folder / "failed").glob("*.json"))
        }

    def problems(self, keys: list[str] | None = None) -> dict[str, str]:
        """What is wrong with each damaged record (of `keys`), by key; every byte is read."""
        found = {}
        for key in self.keys() if keys is None else keys:
            try:
                record = self.get(key)
                for name in record.content["files"] if record else ():
                    record.read(name)
            except DamagedRecord as error:
                found[key] = str(error)
        return found

    def set_aside(self, key: str) -> Path | None:
        """Move a damaged record to damaged/: nothing is lost, nothing is served. None when it is sound, by now."""
        with self.lock(key):
            if not self.problems([key]):
                return None
            target = (
                Path(tempfile.mkdtemp(dir=self.folder / "damaged", prefix=f"{key}-")) / "record"
            )
            os.rename(self.folder / "records" / key, target)
            return target

    def remove(self, key: str) -> None:
        """Delete a record; it leaves its place in one step, so that a kill leaves no half of it."""
        with self.lock(key):
            going = tempfile.mkdtemp(dir=self.folder / "tmp", prefix=f"{key}-")
            os.rename(self.folder / "records" / key, Path(going) / "old")
            shutil.rmtree(going)

    def forget_failure(self, key: str) -> None:
        """Delete the note of a failed run; a record of the same key stays."""
        (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Folders and files in tmp/ whose writer is gone: nobody holds the lock of their key."""
        found = []
        for path in sorted((self.folder / "tmp").glob("*")):
            with suppress(Timeout), self.lock(path.name.lstrip(".").split("-")[0], wait=False):
                found.append(path)
        return found


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns the errors that a person can mend into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            remedy = "free some and start again, all finished runs are kept"
            raise StoreError(error.errno, f"no space left for store {folder}: {remedy}") from error
        if error.errno in NO_RIGHT:
            remedy = "choose another folder or change its rights"
            raise StoreError(
                error.errno, f"no permission to write to store {folder}: {remedy}"
            ) from error
        raise


def _read_json(folder: Path) -> dict[str, Any]:
    """record.json, checked against its own digest and its folder's name."""
    short = folder.name[:12]
    try:
        content = json.loads((folder / "record.json").read_bytes())
        digest = content.pop("digest")
    except (OSError, ValueError, KeyError, AttributeError):
        raise DamagedRecord(f"record.json of {short} was lost or cut short: {REMEDY}") from None
    if digest != sha256(canonical(content).encode()) or content["key"] != folder.name:
        raise DamagedRecord(f"record.json of {short} was edited after it was written: {REMEDY}")
    return content


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
