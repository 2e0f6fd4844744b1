"""The manifest: what it says, the hashes of all files, and names that lead elsewhere."""

from __future__ import annotations

import hashlib
import re

import pytest
from small_repository import read_content

from robult_study.report.manifest import hash_files, read_manifest, safe_path
from robult_study.runs.fingerprint import numerics
from robult_study.settings import SettingsError


@pytest.mark.xdist_group("reproduce")
def test_every_hash_in_the_manifest_is_right_and_nothing_is_missing(reproduced):
    output = reproduced.output
    files = read_content(output)["files"]
    for name, digest in files.items():
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == digest, name
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert written == set(files) | {"manifest.json"}  # no draft is left either


@pytest.mark.xdist_group("reproduce")
def test_the_manifest_says_how_the_numbers_were_made(reproduced):
    content = read_content(reproduced.output)
    assert content["parameters"] == {"profile": "quick", "data_sets": "pid"}
    assert set(content["data"]) == {"pid"}
    assert re.fullmatch("[0-9a-f]{64}", content["data"]["pid"])
    assert {"python", "torch"} <= set(content["versions"])
    assert content["hardware"]["cores"] >= 1
    assert {"commit", "dirty"} == set(content["git"])
    assert content["numerics"] == numerics()
    assert content["notebooks"]["02_good"]["numerics"] == numerics()


def test_drafts_caches_locks_and_hand_written_pages_are_not_hashed(tmp_path):
    for name in (
        "tables/a.csv",
        ".draft/a.csv",
        "cache/a.pkl",
        "store/locks/a.lock",
        "store/tmp/a",
        "store/records/a/record.json",
        "README.md",
        "manifest.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert set(hash_files(tmp_path)) == {"tables/a.csv", "store/records/a/record.json"}


def test_a_changed_file_gets_another_hash(tmp_path):
    (tmp_path / "a.csv").write_text("one")
    before = hash_files(tmp_path)
    (tmp_path / "a.csv").write_text("three")
    assert hash_files(tmp_path) != before


@pytest.mark.parametrize("text", ["", "[1]", "null", '{"files": [1]}', '{"notebooks": "x"}', "{"])
def test_nonsense_is_no_manifest(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) == {}


@pytest.mark.parametrize("name", ["a.csv", "tables/a.csv", "tables/../a.csv", "./a.csv"])
def test_a_path_inside_is_safe(tmp_path, name):
    assert safe_path(tmp_path, "reports", name) == tmp_path / "reports" / name


@pytest.mark.parametrize(
    "name",
    ["../a.csv", "tables/../../a.csv", "../reports2/a.csv", "/etc/passwd", "", ".", "tables"],
)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "reports/tables").mkdir(parents=True)
    with pytest.raises(SettingsError, match=f"^{re.escape(repr(name))} does not name a file"):
        safe_path(tmp_path, "reports", name)


def test_a_link_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/tables").symlink_to(tmp_path / "victim")
    with pytest.raises(SettingsError, match="does not name a file"):
        safe_path(tmp_path, "reports", "tables/a.csv")
    (tmp_path / "figures").symlink_to(tmp_path / "victim")
    with pytest.raises(SettingsError, match="does not name a file"):
        safe_path(tmp_path, "figures", "a.png")
