"""Files of a data set: read with one clear sentence when they are missing, truncated or altered; downloaded and built all or nothing."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

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


def sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def require(path: Path, remedy: str) -> Path:
    """The path when a file is there, else a DataError."""
    if not path.is_file():
        raise DataError(f"file '{path}' is missing: {remedy}")
    return path


def verify(path: Path, expected: str, remedy: str) -> Path:
    """The path when its SHA-256 is the published one, else a DataError."""
    found = sha256(require(path, remedy))
    if found != expected:
        raise DataError(
            f"file '{path}' is altered or truncated (SHA-256 {found[:12]}…, published {expected[:12]}…): delete it, then {remedy}"
        )
    return path


def read_mat(path: Path, keys: Iterable[str], remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB file by name."""
    from scipy.io import loadmat

    try:
        content = loadmat(require(path, remedy))
    except DataError:
        raise
    except Exception as error:  # scipy raises a dozen kinds on damaged input
        raise DataError(f"file '{path}' cannot be read as a MATLAB file ({error}): delete it, then {remedy}") from error
    return _keys(content, keys, path, remedy)


def read_npz(path: Path, keys: Iterable[str], remedy: str) -> dict[str, np.ndarray]:
    """Arrays of a numpy archive by name; pickled objects inside are refused."""
    try:
        with open(require(path, remedy), "rb") as handle, np.load(handle, allow_pickle=False) as archive:
            content = {key: archive[key] for key in archive.files}
    except DataError:
        raise
    except Exception as error:  # zip, zlib and numpy errors on damaged input
        raise DataError(
            f"file '{path}' cannot be read as a numpy archive ({error}): delete it, then {remedy}"
        ) from error
    return _keys(content, keys, path, remedy)


def _keys(content: dict, keys: Iterable[str], path: Path, remedy: str) -> dict[str, np.ndarray]:
    missing = [key for key in keys if key not in content]
    if missing:
        raise DataError(
            f"file '{path}' has no entry {missing[0]!r}: it is not the published file; delete it, then {remedy}"
        )
    return {key: content[key] for key in keys}


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
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(buffer.getvalue())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def fingerprint(x: np.ndarray) -> float:
    """Weighted sum in float64: equal within rounding where arrays are, whatever machine computed them."""
    flat = np.asarray(x, dtype=np.float64).ravel()
    return float(flat @ (2 + np.cos(np.arange(flat.size))))


def same_fingerprint(x: np.ndarray, expected: float) -> bool:
    """Within 1e-5 of the norm: rounding of float32 is a hundred times smaller, a changed entry larger."""
    return abs(fingerprint(x) - expected) <= 1e-5 * float(np.linalg.norm(np.asarray(x, dtype=np.float64)))


def fetch(remotes: Iterable[Remote], folder: Path, base_url: str = GITHUB, progress: bool = True) -> None:
    """Download every file below `folder`; eight at a time when there are hundreds. Raises DataError naming the first that fails."""
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    remotes = list(remotes)
    many = len(remotes) > 20
    with ThreadPoolExecutor(8 if many else 1) as pool:
        futures = [pool.submit(_fetch_one, remote, folder, base_url, progress and not many) for remote in remotes]
        try:
            for future in tqdm(futures, unit="file", disable=not (progress and many)):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(remote: Remote, folder: Path, base_url: str, progress: bool) -> None:
    import pooch

    pooch.utils.get_logger().setLevel("WARNING")
    path = folder / remote.target
    try:
        pooch.retrieve(
            remote.url(base_url),
            known_hash=f"sha256:{remote.sha256}" if remote.sha256 else None,
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=60),
        )
    except Exception as error:  # requests and pooch raise many kinds; the sentence names the address in every case
        if getattr(error, "response", None) is not None:
            error.response.close()
        reason = "its SHA-256 is not the published one" if "hash" in str(error) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"'{remote.url(base_url)}' was not downloaded ({reason}): check the connection and try again, or put the file at '{path.name}' by hand"
        ) from error


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
        raise DataError(
            f"cannot write below '{folder}' ({error.strerror or error}): choose a folder you may write to with --folder or ROBULT_DATA"
        ) from error
