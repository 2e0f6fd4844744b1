"""The fingerprint sees every module that can move a number, and no comment."""

from __future__ import annotations

import ast

import pytest

from robult_study.runs import fingerprint
from robult_study.runs.fingerprint import ROOT, code_of, moving_files, numerics


def test_numerics_sees_code_and_not_words():
    source = 'def f(x):\n    """Words."""\n    return x + 1  # why\n'
    assert code_of(source) == code_of("def f(x):\n\n    return (x + 1)\n")
    assert code_of(source) != code_of(source.replace("1", "2"))


def test_numerics_sees_versions(monkeypatch):
    numerics.cache_clear()
    before = numerics()
    monkeypatch.setattr(fingerprint, "version", lambda name: "0.0")
    numerics.cache_clear()
    assert numerics() != before
    numerics.cache_clear()


def test_every_entry_of_the_fingerprint_matches_a_file(monkeypatch):
    names = {path.stem for path in moving_files()}
    assert names >= {"losses", "model", "container", "gmc", "execution"}
    monkeypatch.setattr(fingerprint, "MOVING", (*fingerprint.MOVING, "robult_core/gone.py"))
    with pytest.raises(
        RuntimeError, match=r"'robult_core/gone\.py' of the fingerprint matches no file"
    ):
        moving_files()


MOVES_NOTHING = {
    "robult_study.runs.store",  # bytes, no numbers
    "robult_study.runs.fingerprint",
    "robult_core.datasets.catalogue",  # names of data sets; what they hold is in their checksum
    "robult_core.datasets.files",  # errors of reading files
}


def test_everything_a_run_imports_is_in_the_fingerprint():
    """No import of a fingerprinted module leads out of the fingerprint."""
    covered = moving_files()
    imported = set()
    for path in covered:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("robult_"):
                imported.add(node.module)
    modules = {path.relative_to(ROOT).with_suffix("") for path in covered}
    names = {".".join(module.parts).removesuffix(".__init__") for module in modules}
    assert imported - names <= MOVES_NOTHING
