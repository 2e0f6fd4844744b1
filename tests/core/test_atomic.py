"""Files are written whole or not at all, whatever happens in between."""

from __future__ import annotations

import os

import pytest

from robult_core import atomic


def test_a_file_is_written_and_overwritten(tmp_path):
    path = tmp_path / "record.json"
    for content in (b"first", b"", b"second"):
        atomic.write_whole(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_the_draft_lies_where_it_is_asked_to(tmp_path, monkeypatch):
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    written = []
    monkeypatch.setattr(atomic, "write_through", lambda path, content: written.append(path))
    with pytest.raises(FileNotFoundError):  # the stand-in left no draft to rename
        atomic.write_whole(tmp_path / "record.json", b"new", drafts)
    assert written[0].parents[1] == drafts


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_draft(tmp_path, monkeypatch, failing):
    path = tmp_path / "record.json"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="no space left"):
        atomic.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_the_disk_holds_the_draft_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: [events.append("sync"), sync(handle)])
    monkeypatch.setattr(os, "replace", lambda *names: [events.append("rename"), rename(*names)])
    atomic.write_whole(tmp_path / "record.json", b"new")
    assert events == ["sync", "rename"]
