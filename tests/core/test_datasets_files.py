"""Damaged files: each mistake gives one clear sentence, and nothing half-written stays."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robult_core.datasets.files import (
    DataError,
    check_unpacked_size,
    fingerprint,
    read_mat,
    read_npz,
    reading,
    same_fingerprint,
    save_npz,
    verify,
)


def test_missing_file_names_path_and_remedy(tmp_path):
    with pytest.raises(DataError, match=r"gone\.npz' is missing: run it"):
        read_npz(tmp_path / "gone.npz", ("a",), "run it")


@pytest.mark.parametrize("reader", [read_npz, read_mat])
@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 cut"])
def test_garbled_file_is_one_sentence(tmp_path, reader, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as a .*delete it, then get it"):
        reader(tmp_path / "x", ("a",), "get it")


def test_cut_archive_and_absent_key(tmp_path):
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


def test_an_archive_that_holds_far_more_than_its_size_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    block = bytes(2**24)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(80):
            member.write(block)

    def unpacked(*_: object, **__: object) -> None:
        raise AssertionError("the archive was opened")

    monkeypatch.setattr(np, "load", unpacked)
    with pytest.raises(DataError, match=r"\(1 MiB unpack to 1.2 GiB, which is damage or malice"):
        read_npz(path, None, "get it")


@pytest.mark.parametrize(
    ("packed", "unpacked", "refused"),
    [
        (100, 2**30, False),
        (100, 2**30 + 1, True),
        (6_000_000, 1_200_000_000, False),  # 200 times its size
        (6_000_000, 1_200_000_001, True),
    ],
)
def test_an_archive_may_hold_a_gibibyte_or_200_times_its_size(
    tmp_path, monkeypatch, packed, unpacked, refused
):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    end = (tmp_path / "empty.zip").read_bytes()
    path.write_bytes(bytes(packed - len(end)) + end)
    member = zipfile.ZipInfo("a.npy")
    member.file_size = unpacked
    monkeypatch.setattr(zipfile.ZipFile, "infolist", lambda _: [member])
    if not refused:
        check_unpacked_size(path)
        return
    with pytest.raises(ValueError, match="which is damage or malice"):
        check_unpacked_size(path)


def test_a_fingerprint_by_hand():
    assert fingerprint(np.ones(3)) == pytest.approx(6 + 1 + np.cos(1) + np.cos(2))


def test_large_archives_of_real_features_are_read(tmp_path):
    """Zeros compress a thousand times; below the limit of size that is no reason to refuse them."""
    save_npz(tmp_path / "x.npz", a=np.zeros((1000, 1000)))
    assert read_npz(tmp_path / "x.npz", None, "get it")["a"].shape == (1000, 1000)


def test_verify_names_both_hashes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"SHA-256 ba7816bf8f01…, published 000000000000…"):
        verify(tmp_path / "x", "0" * 64, "get it")


@given(st.integers(0, 999), st.floats(0.01, 100))
def test_fingerprint_sees_one_changed_entry_but_not_rounding(index, change):
    x = np.random.default_rng(0).standard_normal(1000)
    altered = x.copy()
    altered[index] += change
    assert same_fingerprint(x.astype(np.float32), fingerprint(x))
    assert not same_fingerprint(altered, fingerprint(x))


def test_failed_write_of_an_archive_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        save_npz(tmp_path / "x.npz", a=np.ones(3))
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named_with_its_extra(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    absent = r"needs a package that is not installed .*pip install '\.\[.*in the clone"
    with pytest.raises(DataError, match=absent), reading(tmp_path / "x", "x", "y"):
        raise ImportError("No module named 'h5py'")


def test_a_file_too_large_for_memory_is_one_sentence(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    full = r"x' \(0.0 GiB on the disk\) does not fit in memory: use a machine"
    with pytest.raises(DataError, match=full), reading(tmp_path / "x", "x", "y"):
        raise MemoryError
