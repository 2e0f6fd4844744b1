"""Damaged files, downloads and pickles: each mistake gives one clear sentence, and nothing half-written stays."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core.datasets.download import Remote, build_in_place, fetch
from robult_core.datasets.files import (
    DataError,
    fingerprint,
    read_mat,
    read_npz,
    reading,
    same_fingerprint,
    save_npz,
    verify,
)


@pytest.fixture
def server():
    """A loopback server: `server.pages` maps address paths to bytes, `server.base` is its address."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    instance = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=instance.serve_forever, daemon=True)
    thread.start()
    instance.pages, instance.base = pages, f"http://127.0.0.1:{instance.server_port}"
    yield instance
    instance.shutdown()
    instance.server_close()
    thread.join()


def test_missing_file_names_path_and_remedy(tmp_path):
    with pytest.raises(DataError, match=r"gone\.npz' is missing: run it"):
        read_npz(tmp_path / "gone.npz", ("a",), "run it")


@pytest.mark.parametrize("reader", [read_npz, read_mat])
@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut"])
def test_garbled_file_is_one_sentence(tmp_path, reader, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as a .*delete it, then get it"):
        reader(tmp_path / "x", ("a",), "get it")


def test_truncated_archive_and_absent_key(tmp_path):
    path = tmp_path / "x.npz"
    save_npz(path, a=np.arange(1000.0))
    with pytest.raises(DataError, match=r"cannot be read as a numpy archive \('b is not"):
        read_npz(path, ("b",), "get it")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read as a numpy archive"):
        read_npz(path, ("a",), "get it")


def test_archive_with_pickled_objects_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(DataError, match="allow_pickle=False"):
        read_npz(tmp_path / "x.npz", ("a",), "get it")


def test_verify_names_both_hashes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"SHA-256 ba7816bf8f01…, published 000000000000…"):
        verify(tmp_path / "x", "0" * 64, "get it")


@settings(deadline=None)
@given(st.integers(0, 999), st.floats(0.01, 100))
def test_fingerprint_sees_one_changed_entry_but_not_rounding(index, change):
    x = np.random.default_rng(0).standard_normal(1000)
    altered = x.copy()
    altered[index] += change
    assert same_fingerprint(x.astype(np.float32), fingerprint(x))
    assert not same_fingerprint(altered, fingerprint(x))


def test_failed_build_leaves_nothing(tmp_path):
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


def test_failed_write_of_an_archive_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        save_npz(tmp_path / "x.npz", a=np.ones(3))
    assert list(tmp_path.iterdir()) == []


def test_download_checks_the_hash(tmp_path, server):
    server.pages["/o/r/c/a%20b.txt"] = b"abc"
    good = Remote(
        "x/a b.txt",
        "o/r",
        "c",
        "a b.txt",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )
    fetch([good], tmp_path, server.base)
    assert (tmp_path / "x/a b.txt").read_bytes() == b"abc"
    server.pages["/o/r/c/a%20b.txt"] = b"abd"
    with pytest.raises(DataError, match="its SHA-256 is not the published one"):
        fetch([good], tmp_path / "other", server.base)
    assert not list((tmp_path / "other").rglob("*.txt"))


def test_download_of_many_files_and_an_absent_one(tmp_path, server):
    remotes = [Remote(f"{i}.txt", "o/r", "c", f"{i}.txt") for i in range(25)]
    server.pages.update({f"/o/r/c/{i}.txt": b"%d" % i for i in range(25)})
    fetch(remotes, tmp_path, server.base)
    assert sorted(int(path.read_text()) for path in tmp_path.iterdir()) == list(range(25))
    with pytest.raises(DataError, match=r"o/r/c/nope' was not downloaded \(HTTPError: 404"):
        fetch([Remote("nope", "o/r", "c", "nope")], tmp_path, server.base)


def test_missing_package_is_named_with_its_extra(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    with (
        pytest.raises(
            DataError, match=r"needs a package that is not installed .*pip install 'robult\["
        ),
        reading(tmp_path / "x", "x", "y"),
    ):
        import no_such_package
