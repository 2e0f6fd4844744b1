"""Files of a data set: read with one clear sentence when they are missing, truncated or altered; downloaded and built all or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from robult_core.atomic import write_whole

GITHUB = "https://raw.githubusercontent.com"


class DataError(ValueError):
    """Data that is missing, damaged or not in the expected form; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class Remote:
    """One public file: where it lies below the data folder, repository, pinned commit, path in the repository, SHA-256.

    `sha256` is None for files whose hash nobody published; the commit in their address still pins their content.
    """

    target: str
    repository: str
    commit: str
    path: str
    sha256: str | None = None

    def url(self, base: str = GITHUB) -> str:
        return f"{base}/{self.repository}/{self.commit}/{quote(self.path)}"


@contextmanager
def reading(path: Path, kind: str, remedy: str, first: str = "delete it, then ") -> Iterator[None]:
    """Turn whatever a parser raises on a missing or damaged file into one sentence; `first` is said of damaged ones only."""
    if not path.is_file():
        raise DataError(f"file '{path}' is missing: {remedy}")
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        extras = "pip install 'robult[images,paper]'"
        raise DataError(
            f"file '{path}' needs a package that is not installed ({error}): {extras}"
        ) from error
    except Exception as error:  # scipy, zip, csv, json and hdf5 readers raise a dozen kinds
        raise DataError(
            f"file '{path}' cannot be read as {kind} ({error}): {first}{remedy}"
        ) from error


def verify(path: Path, expected: str, remedy: str) -> None:
    """Raise DataError unless the SHA-256 of the file is the published one."""
    with reading(path, "a file", remedy), open(path, "rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != expected:
        hashes = f"SHA-256 {found[:12]}…, published {expected[:12]}…"
        raise DataError(
            f"file '{path}' is altered or truncated ({hashes}): delete it, then {remedy}"
        )


def read_mat(path: Path, keys: Iterable[str], remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB file by name."""
    from scipy.io import loadmat

    with reading(path, "a MATLAB file", remedy):
        content = loadmat(path)
        return {key: content[key] for key in keys}


def read_npz(path: Path, keys: Iterable[str], remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a numpy archive by name; pickled objects inside are refused."""
    with (
        reading(path, "a numpy archive", remedy),
        open(path, "rb") as handle,
        np.load(handle, allow_pickle=False) as archive,
    ):
        return {key: archive[key] for key in keys}


def npz_names(path: Path) -> set[str]:
    """Names inside a numpy archive without reading its arrays; empty when it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {Path(name).stem for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def save_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an archive whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def fingerprint(x: np.ndarray) -> float:
    """Weighted sum in float64: equal within rounding where arrays are, whatever machine computed them."""
    return float(np.ravel(x).astype(np.float64) @ (2 + np.cos(np.arange(np.size(x)))))


def same_fingerprint(x: np.ndarray, expected: float) -> bool:
    """Within 1e-5 of the norm: rounding of float32 is a hundred times smaller, a changed entry larger."""
    return bool(abs(fingerprint(x) - expected) <= 1e-5 * np.linalg.norm(x.astype(np.float64)))


def fetch(remotes: Iterable[Remote], folder: Path, base_url: str = GITHUB) -> None:
    """Download every file below `folder`; eight at a time when there are hundreds, with a bar in a terminal. Raises DataError naming the first that fails."""
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    remotes = list(remotes)
    many = len(remotes) > 20
    with ThreadPoolExecutor(8 if many else 1) as pool:
        futures = [
            pool.submit(_fetch_one, remote, folder, base_url, not many and sys.stderr.isatty())
            for remote in remotes
        ]
        try:
            for future in tqdm(futures, unit="file", disable=None if many else True):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(remote: Remote, folder: Path, base_url: str, bar: bool, attempts: int = 3) -> None:
    import pooch

    pooch.utils.get_logger().setLevel("WARNING")
    url, path = remote.url(base_url), folder / remote.target
    known, downloader = remote.sha256, pooch.HTTPDownloader(progressbar=bar, timeout=60)
    try:
        pooch.retrieve(
            url,
            known and f"sha256:{known}",
            fname=path.name,
            path=path.parent,
            downloader=downloader,
        )
    except (
        Exception
    ) as error:  # requests and pooch raise many kinds; the sentence names the address in every case
        if getattr(error, "response", None) is not None:
            error.response.close()
        if "hash" in str(error):
            raise DataError(
                f"'{url}' was not downloaded: its SHA-256 is not the published one; try again"
            ) from error
        if attempts == 1:
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"'{url}' was not downloaded ({reason}): check the connection and try again"
            ) from error
        _fetch_one(remote, folder, base_url, bar, attempts - 1)


def build_in_place(folder: Path, make: Callable[[Path], None]) -> None:
    """Run `make(temporary folder)` and move its files below `folder` only when it succeeded."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
            make(Path(temporary))
            for path in sorted(Path(temporary).rglob("*")):
                if path.is_file():
                    target = folder / path.relative_to(temporary)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(path, target)
    except OSError as error:
        remedy = "choose a folder you may write to with --folder or ROBULT_DATA"
        raise DataError(
            f"cannot write below '{folder}' ({error.strerror or error}): {remedy}"
        ) from error
