"""Files from the network: downloaded with their hashes checked, built in full or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from robult_core.datasets.files import DataError

GITHUB = "https://raw.githubusercontent.com"
MANY = 20  # from here on, files are fetched side by side
ATTEMPTS = 3


@dataclass(frozen=True)
class Remote:
    """One public file, pinned by the commit in its address.

    target:     where the file lies below the data folder.
    path:       where it lies in the repository.
    sha256:     None for files whose hash nobody published; the commit still pins their content.
    """

    target: str
    repository: str
    commit: str
    path: str
    sha256: str | None = None

    def url(self, base: str = GITHUB) -> str:
        return f"{base}/{self.repository}/{self.commit}/{quote(self.path)}"


def fetch(remotes: Iterable[Remote], folder: Path, base_url: str = GITHUB) -> None:
    """Download every file below `folder`; raise DataError naming the first that fails.

    Hundreds of files are fetched eight at a time. In a terminal a bar shows how far it is.
    """
    from tqdm import tqdm

    remotes = list(remotes)
    many = len(remotes) > MANY
    bar_per_file = not many and sys.stderr.isatty()
    with ThreadPoolExecutor(8 if many else 1) as pool:
        downloads = []
        for remote in remotes:
            downloads.append(pool.submit(_fetch_one, remote, folder, base_url, bar_per_file))
        try:
            for download in tqdm(downloads, unit="file", disable=None if many else True):
                download.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(remote: Remote, folder: Path, base_url: str, bar: bool) -> None:
    """Download one file, trying again when the connection fails, but not when the hash differs."""
    url = remote.url(base_url)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _retrieve(url, remote.sha256, folder / remote.target, bar)
            return
        except Exception as error:  # requests and pooch raise many kinds
            response = getattr(error, "response", None)
            if response is not None:
                response.close()
            if "hash" in str(error):
                wrong = "its SHA-256 is not the published one; try again"
                raise DataError(f"'{url}' was not downloaded: {wrong}") from error
            if attempt == ATTEMPTS:
                reason = f"{type(error).__name__}: {error}"
                remedy = "check the connection and try again"
                raise DataError(f"'{url}' was not downloaded ({reason}): {remedy}") from error


def _retrieve(url: str, sha256: str | None, path: Path, bar: bool) -> None:
    import pooch

    pooch.utils.get_logger().setLevel("WARNING")
    known_hash = None if sha256 is None else f"sha256:{sha256}"
    downloader = pooch.HTTPDownloader(progressbar=bar, timeout=60)
    pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=downloader)


def build_in_place(folder: Path, make: Callable[[Path], None]) -> None:
    """Run `make(temporary folder)` and move its files below `folder` only when it succeeded."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as temporary:
            make(Path(temporary))
            _move_files(Path(temporary), folder)
    except OSError as error:
        remedy = "choose a folder you may write to with --folder or ROBULT_DATA"
        reason = error.strerror or error
        raise DataError(f"cannot write below '{folder}' ({reason}): {remedy}") from error


def _move_files(source: Path, folder: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
