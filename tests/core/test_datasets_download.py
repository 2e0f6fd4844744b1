"""Downloads: checked hashes, many files, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback import serve

from robult_core.datasets import download
from robult_core.datasets.download import Remote, build_in_place, fetch
from robult_core.datasets.files import DataError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc"


def test_the_hash_is_checked(tmp_path):
    remote = Remote("x/a b.txt", "o/r", "c", "a b.txt", ABC)
    with serve({"/o/r/c/a b.txt": b"abc"}) as address:
        fetch([remote], tmp_path, address)
    assert (tmp_path / "x/a b.txt").read_bytes() == b"abc"
    with (
        serve({"/o/r/c/a b.txt": b"abd"}) as address,
        pytest.raises(DataError, match="its SHA-256 is not the published one"),
    ):
        fetch([remote], tmp_path / "other", address)
    assert not list((tmp_path / "other").rglob("*.txt"))


def test_many_files_and_an_absent_one(tmp_path):
    remotes = [Remote(f"{number}.txt", "o/r", "c", f"{number}.txt") for number in range(25)]
    pages = {f"/o/r/c/{number}.txt": b"%d" % number for number in range(25)}
    with serve(pages) as address:
        fetch(remotes, tmp_path, address)
        assert sorted(int(path.read_text()) for path in tmp_path.iterdir()) == list(range(25))
        with pytest.raises(DataError, match=r"o/r/c/nope' was not downloaded \(HTTPError: 404"):
            fetch([Remote("nope", "o/r", "c", "nope")], tmp_path, address)


@pytest.mark.parametrize(
    ("error", "failures", "tries"),
    [
        (ConnectionError("reset"), 0, 1),
        (ConnectionError("reset"), 2, 3),
        (ConnectionError("reset"), 99, 3),
        (ValueError("the hash differs"), 99, 1),  # trying again would not help
    ],
)
def test_a_broken_connection_is_tried_three_times(tmp_path, monkeypatch, error, failures, tries):
    tried = []

    def retrieve(url, *_):
        tried.append(url)
        if len(tried) <= failures:
            raise error

    monkeypatch.setattr(download, "_retrieve", retrieve)
    remote = Remote("a", "o/r", "c", "a")
    if failures < tries:
        fetch([remote], tmp_path, "http://x")
    else:
        with pytest.raises(DataError, match="'http://x/o/r/c/a' was not downloaded"):
            fetch([remote], tmp_path, "http://x")
    assert len(tried) == tries


def test_a_failed_build_leaves_nothing(tmp_path):
    def make(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        build_in_place(tmp_path / "data", make)
    assert list((tmp_path / "data").iterdir()) == []


def test_no_write_permission_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")  # a folder below a file cannot be made, whoever asks
    with pytest.raises(DataError, match=r"cannot write below .*choose a folder you may write to"):
        build_in_place(tmp_path / "file" / "data", lambda folder: None)


def test_what_a_file_is_pinned_to_does_not_change():
    assert hash(Remote("a", "o/r", "c", "a")) == hash(Remote("a", "o/r", "c", "a"))


@pytest.mark.parametrize(
    ("count", "terminal", "bar_per_file", "disable"),
    [(20, True, True, True), (20, False, False, True), (21, True, False, None)],
)
def test_bars_in_a_terminal(tmp_path, monkeypatch, count, terminal, bar_per_file, disable):
    """One for each of a few files; of many files there is one for all, which tqdm itself hides."""
    bars, hidden = [], []

    def tqdm(downloads, disable, **_):
        hidden.append(disable)
        return downloads

    monkeypatch.setattr("tqdm.tqdm", tqdm)
    monkeypatch.setattr(download, "_retrieve", lambda *arguments: bars.append(arguments[-1]))
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    fetch([Remote(f"{n}", "o/r", "c", f"{n}") for n in range(count)], tmp_path, "http://x")
    assert bars == [bar_per_file] * count
    assert hidden == [disable]
