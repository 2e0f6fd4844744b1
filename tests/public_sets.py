"""What tests of the real sets share: pinned sources on loopback, a stand-in for an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from loopback import serve

from robult_core import datasets
from robult_core.datasets import utd_mhad
from robult_core.datasets.download import Remote

SAMPLE = [(action, subject, 1) for action in (1, 27) for subject in (1, 2)]


class StubEncoder:
    """Stands for the sentence encoder, whose weights no test downloads."""

    seen: list[str]

    def encode(self, texts: list[str]) -> np.ndarray:
        self.seen = texts
        return np.array([[len(text), text.count("a")] for text in texts], dtype=np.float64)


@contextmanager
def mirror(folder: Path) -> Iterator[tuple[dict[str, Path], str]]:
    """The real files behind the paths of the pinned sources; yields these pages and the address."""
    pages = {}
    for entry in datasets.CATALOGUE.values():
        for remote in entry.remotes:
            pages[page(remote)] = folder / remote.target
    for remote in utd_mhad.remotes(SAMPLE):
        pages[page(remote)] = folder / remote.target.replace("/raw/", "/raw_sample/")
    with serve(pages) as address:
        yield pages, address


def page(remote: Remote) -> str:
    """The path of a file's address."""
    return f"/{remote.repository}/{remote.commit}/{remote.path}"


def rewrite(path: Path, **changes: np.ndarray) -> None:
    """Replace some arrays of an archive."""
    content = dict(np.load(path))
    np.savez(path, **{**content, **changes})
