"""Files of a data set, read so that a missing, cut or altered one gives a single clear sentence."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from robult_core.atomic import write_whole

MOST_UNPACKED = 2**30  # bytes; an archive that holds more is looked at twice
MOST_COMPRESSED = 200  # times smaller than its content; real features stay far below


class DataError(ValueError):
    """Data that is missing, damaged or not in the expected form; the message says what to do."""


def get_hint(name: str) -> str:
    """The remedy for a missing or damaged file of a set that can be downloaded."""
    return f"run 'robult data get {name}'"


DELETE = "delete it, then "  # what can be downloaded again


@contextmanager
def reading(path: Path, kind: str, remedy: str, first: str = DELETE) -> Iterator[None]:
    """Turn whatever a parser raises on a missing or damaged file into one sentence.

    `remedy` is said in both cases, `first` before it where the file is there but damaged.
    """
    if not path.exists():
        raise DataError(f"file '{path}' is missing: {remedy}")
    place = f"{'folder' if path.is_dir() else 'file'} '{path}'"
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        extras = "pip install '.[study,images,paper]' in the clone"
        needs = f"{place} needs a package that is not installed ({error})"
        raise DataError(f"{needs}: {extras}") from error
    except MemoryError as error:
        size = f"{path.stat().st_size / 2**30:.1f} GiB on the disk"
        more = "use a machine with about twice that in memory"
        raise DataError(f"{place} ({size}) does not fit in memory: {more}") from error
    except Exception as error:  # readers of mat, zip, csv, json and hdf5 raise a dozen kinds
        wrong = f"{place} cannot be read as {kind} ({error})"
        raise DataError(f"{wrong}: {first}{remedy}") from error


def hash_of_file(path: Path) -> str:
    """SHA-256 of a file, read once while it stays as it is: weights and pixels are large."""
    status = path.stat()
    return _hash_once(path, status.st_mtime_ns, status.st_size)


@cache
def _hash_once(path: Path, modified: int, size: int) -> str:
    return sha256_of(path)


def folder_digest(folder: Path) -> str:
    """Twelve digits that change with the content of any file of a model."""
    inside = sorted(path for path in folder.iterdir() if path.is_file())
    files = [(path.name, hash_of_file(path)) for path in inside]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:12]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def verify(path: Path, expected: str, remedy: str) -> None:
    """Raise DataError unless the SHA-256 of the file is the published one."""
    with reading(path, "a file", remedy):
        digest = sha256_of(path)
    if digest != expected:
        hashes = f"SHA-256 {digest[:12]}…, published {expected[:12]}…"
        altered = f"file '{path}' is altered or truncated ({hashes})"
        raise DataError(f"{altered}: delete it, then {remedy}")


def read_mat(path: Path, keys: Iterable[str], remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB file by name."""
    from scipy.io import loadmat

    with reading(path, "a MATLAB file", remedy):
        content = loadmat(path)
        return {key: content[key] for key in keys}


def read_npz(
    path: Path, keys: Iterable[str] | None, remedy: str, first: str = DELETE
) -> dict[str, np.ndarray]:
    """Arrays of a numpy archive by name, all of them without `keys`; no pickled object is read.

    remedy, first: as `reading` says them.
    """
    with reading(path, "a numpy archive", remedy, first), open(path, "rb") as handle:
        check_unpacked_size(path)
        with np.load(handle, allow_pickle=False) as archive:
            return {key: archive[key] for key in (archive.files if keys is None else keys)}


def check_unpacked_size(path: Path) -> None:
    """Raise ValueError where an archive holds implausibly more than its size; unpacks nothing."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if unpacked > MOST_UNPACKED and unpacked > MOST_COMPRESSED * packed:
        holds = f"{packed / 2**20:.0f} MiB unpack to {unpacked / 2**30:.1f} GiB"
        raise ValueError(f"{holds}, which is damage or malice; np.savez writes it uncompressed")


def npz_names(path: Path) -> set[str]:
    """Names inside a numpy archive without reading its arrays; empty when it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {Path(name).stem for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def save_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an archive in full, or leave what was there."""
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(buffer, **named)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def fingerprint(x: np.ndarray) -> float:
    """Weighted sum in float64, equal within rounding on whatever machine the array was computed."""
    weights = 2 + np.cos(np.arange(np.size(x)))
    return float(np.ravel(x).astype(np.float64) @ weights)


def same_fingerprint(x: np.ndarray, expected: float) -> bool:
    """Whether the fingerprints agree within 1e-5 of the norm.

    The rounding of float32 is a hundred times smaller than that, a changed entry is larger.
    """
    tolerance = 1e-5 * np.linalg.norm(x.astype(np.float64))
    return bool(abs(fingerprint(x) - expected) <= tolerance)


def check_derived(
    path: Path, content: dict[str, np.ndarray], expected: dict[str, float], hint: str
) -> None:
    """Raise DataError unless derived arrays equal the reference within the rounding of float32.

    Bit equality would depend on the machine that built them.
    """
    for name, value in expected.items():
        if not np.isfinite(content[name]).all():
            holes = f"file '{path}' has NaN or infinite values in '{name}'"
            raise DataError(f"{holes}: delete it, then {hint}")
        if not same_fingerprint(content[name], value):
            differs = f"'{name}' {content[name].shape} differs from the reference"
            raise DataError(f"file '{path}' is altered: {differs}; delete it, then {hint}")


def count_note(count: int, what: str) -> list[str]:
    """A note for the data card, none when there is nothing to tell."""
    return [f"{count} {what}."] if count else []
