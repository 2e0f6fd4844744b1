"""Writing files so that a reader never meets half of one, whatever kills the writer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk holds it."""
    with open(path, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def write_whole(path: Path, content: bytes, drafts: Path | None = None) -> None:
    """Write a file completely, or leave the one that was there as it was.

    A draft is flushed to the disk and then renamed, which is atomic. The draft lies in the file's
    own folder, or in `drafts`, which must be on the same file system.
    """
    with tempfile.TemporaryDirectory(dir=drafts or path.parent, prefix=f".{path.stem}-") as folder:
        draft = Path(folder) / path.name
        write_through(draft, content)
        os.replace(draft, path)
