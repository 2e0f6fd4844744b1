"""`make publish`: a whole run is copied into reports/ and figures/, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_repository import GOOD, read_content, write_content, write_notebook

from robult_study.report import publish as publishing
from robult_study.report.publish import marks, publish, renew, renew_notebook, scrub
from robult_study.settings import SettingsError

pytestmark = pytest.mark.xdist_group("reproduce")  # one worker, which shares the run `reproduced`


@pytest.fixture
def root(reproduced, tmp_path, monkeypatch) -> Path:
    """A repository whose only notebook ran well on every data set (here: pid)."""
    folder = tmp_path / "repository"
    shutil.copytree(reproduced.output, folder / "out/quick")
    write_notebook(folder / "notebooks/02_good.ipynb", *GOOD)
    content = read_content(reproduced.output)
    del content["notebooks"]["01_bad"]
    write_content(folder / "out/quick", content)
    monkeypatch.setattr(publishing, "obtainable_sets", lambda: ["pid"])
    return folder


def add(root: Path, name: str, text: str) -> None:
    """Put a file into the run, as a notebook would have written it."""
    output = root / "out/quick"
    (output / name).write_text(text)
    content = read_content(output)
    content["files"][name] = hashlib.sha256(text.encode()).hexdigest()
    write_content(output, content)


def quietly_publish(root: Path) -> None:
    publish("quick", root=root, say=lambda _: None)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_run_is_copied_without_pages(root):
    (root / "reports").mkdir()
    (root / "reports/README.md").write_text("kept")
    quietly_publish(root)
    reports = {"02_good.ipynb", "manifest.json", "README.md", "tables/01_numbers.csv"}
    assert names(root / "reports") == reports
    pictures = {"01_line.png", "01_line.pdf", "01_line.csv"}
    assert names(root / "figures") == pictures | {"README.md"}
    assert (root / "reports/README.md").read_text() == "kept"
    content = read_content(root / "reports")
    assert list(content["notebooks"]) == ["02_good"]
    assert len(content["files"]) == 5
    for name, digest in content["files"].items():
        path = root / name if name.startswith("figures/") else root / "reports" / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_published_texts_name_no_folder_of_this_machine(root):
    add(root, "claims.md", f"written in {root}/out and /elsewhere")
    quietly_publish(root)
    assert (root / "reports/claims.md").read_text() == "written in ./out and /elsewhere"


def test_the_metrics_of_all_runs_are_published(root, monkeypatch):
    rows = pd.DataFrame({"key": ["a", "a", "b"], "value": [0.1, 0.2, 0.3], "current": True})
    monkeypatch.setattr("robult_study.runs.grid.everything", lambda store, stale: rows)
    said = []
    publish("quick", root=root, say=said.append)
    published = pd.read_parquet(root / "reports/runs.parquet")
    pd.testing.assert_frame_equal(published, rows.drop(columns="current"))
    assert said[-1].startswith("published 1 notebooks and 2 runs of quick")


def test_publishing_again_removes_what_is_gone(root):
    quietly_publish(root)
    stale = read_content(root / "reports")
    stale["files"] |= {"tables/old.csv": "", "figures/old.png": ""}
    write_content(root / "reports", stale)
    (root / "reports/tables/old.csv").write_text("old")
    (root / "figures/old.png").write_text("old")
    (root / "figures/screenshots").mkdir()
    (root / "figures/screenshots/01.png").write_text("not of a run: neither listed nor removed")
    quietly_publish(root)
    first = (root / "reports/manifest.json").read_bytes()
    quietly_publish(root)
    assert (root / "reports/manifest.json").read_bytes() == first
    assert (root / "figures/screenshots/01.png").exists()
    assert "figures/screenshots/01.png" not in read_content(root / "reports")["files"]
    assert not (root / "reports/tables/old.csv").exists()
    assert not (root / "figures/old.png").exists()


OUTSIDE = [
    "../victim.txt",
    "../../victim.txt",
    "tables/../../victim.txt",
    "figures/../victim.txt",
    "figures/../../victim.txt",
    "{root}/victim.txt",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_published_manifest_cannot_delete_anything_outside(root, name):
    quietly_publish(root)
    victims = [root / "victim.txt", root.parent / "victim.txt"]
    for victim in victims:
        victim.write_text("alive")
    content = read_content(root / "reports")
    content["files"][name.format(root=root)] = ""
    write_content(root / "reports", content)
    before = names(root)
    with pytest.raises(SettingsError, match="does not name a file inside"):
        quietly_publish(root)
    assert [victim.read_text() for victim in victims] == ["alive", "alive"]
    assert names(root) == before  # what was published before is there too


@pytest.mark.parametrize("name", ["tables/../../../stolen.csv", "figures/../../../stolen.png"])
def test_the_manifest_of_a_run_cannot_copy_from_or_to_outside(root, name):
    (root / "stolen.csv").write_text("secret")
    (root / "stolen.png").write_text("secret")
    content = read_content(root / "out/quick")
    content["files"][name] = ""
    write_content(root / "out/quick", content)
    before = names(root)
    with pytest.raises(SettingsError, match="stolen"):
        quietly_publish(root)
    assert names(root) == before


def test_a_linked_table_is_not_published(root):
    secret = root.parent / "secret.csv"
    secret.write_text("secret")
    table = root / "out/quick/tables/01_numbers.csv"
    table.unlink()
    table.symlink_to(secret)
    content = read_content(root / "out/quick")
    content["files"]["tables/01_numbers.csv"] = hashlib.sha256(b"secret").hexdigest()
    write_content(root / "out/quick", content)
    with pytest.raises(SettingsError, match="does not name a file inside"):
        quietly_publish(root)
    assert not (root / "reports").exists()


def test_a_linked_reports_folder_is_not_written(root):
    (root / "elsewhere").mkdir()
    (root / "reports").symlink_to(root / "elsewhere")
    with pytest.raises(SettingsError, match="does not name a file inside"):
        quietly_publish(root)
    assert names(root / "elsewhere") == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": "smoke"}, "a smoke run is not published"),
        ({"notebooks": {}}, "notebook 02_good is not run in this run"),
        ({"status": "failed"}, "notebook 02_good is failed in this run"),
        ({"data": ["digits"]}, "notebook 02_good ran without pid"),
        ({"numerics": "0"}, "the code or a library behind the numbers changed since notebook 02"),
        ({"files": {"figures/01_line.png": "0"}}, r"'figures/01_line\.png' was changed"),
        ({"files": {}}, "there is no finished run in"),
        ({"files": None}, "there is no finished run in"),
        ({"profile": None}, "there is no finished run in"),
        ({"notebooks": {"02_good": None}}, "there is no finished run in"),
        ({"files": {"tables/gone.csv": "0"}}, r"'tables/gone\.csv' is missing: reproduce"),
    ],
)
def test_publish_refuses(root, change, message):
    content = read_content(root / "out/quick")
    of_the_notebook = {"status", "data", "numerics"}
    if of_the_notebook & set(change):
        content["notebooks"]["02_good"] |= change
    else:
        content |= change
    write_content(root / "out/quick", content)
    with pytest.raises(SettingsError, match=message):
        publish("quick", root=root)
    assert not (root / "reports").exists()


def test_a_file_that_the_manifest_leaves_out_is_not_passed_over(root):
    content = read_content(root / "out/quick")
    del content["files"]["tables/01_numbers.csv"]
    write_content(root / "out/quick", content)
    with pytest.raises(SettingsError, match=r"'tables/01_numbers\.csv' is no file of this run"):
        publish("quick", root=root)
    assert not (root / "reports").exists()


def test_publish_without_a_run_says_what_to_do(tmp_path):
    write_notebook(tmp_path / "notebooks/01_a.ipynb")
    with pytest.raises(
        SettingsError, match="out/full': run 'robult reproduce' first, with the same"
    ):
        publish("full", root=tmp_path)


RANKS = """method,all blocks (2),"within seeds, all blocks",one modality (1),\
"within seeds, one modality",every modality (1),"within seeds, every modality",\
one value per set (1),"within seeds, one value per set","all blocks, with controls (2)"
robult,1.2,1.30,1.6,1.6,1.0,1.0,1.0,1.0,1.4
gmc,1.9,1.80,1.5,1.5,2.0,2.0,2.0,2.0,2.4
unimodal,2.9,2.90,2.9,2.9,3.0,3.0,3.0,3.0,3.1
"""


def test_publish_renews_the_numbers_of_the_pages(root):
    for name, part in (("README.md", "findings"), ("docs/results.md", "results")):
        first, last = marks(part)
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"before\n{first}\nold | numbers\n{last}\nafter\n")
    add(root, "tables/04_headline.md", "| a |\n")
    add(root, "tables/04_mean_ranks.csv", RANKS)
    quietly_publish(root)
    first, last = marks("results")
    results = (root / "docs/results.md").read_text()
    assert results == f"before\n{first}\n\n| a |\n\n{last}\nafter\n"
    readme = (root / "README.md").read_text()
    assert "seed over 2 blocks of real data: Robult 1.3, GMC 1.8; with" in readme
    assert "old" not in readme


def test_a_query_that_fails_does_so_before_anything_is_written(root):
    add(root, "tables/04_mean_ranks.csv", "method,all\nrobult,1.2\n")
    with pytest.raises(ValueError, match="not enough values"):
        quietly_publish(root)
    assert not (root / "reports").exists()


def test_a_page_without_marks_stays_and_publish_says_so(root):
    (root / "docs").mkdir()
    (root / "docs/results.md").write_text("no marks\n")
    add(root, "tables/04_headline.md", "| a |\n")
    said = []
    publish("quick", root=root, say=said.append)
    assert (root / "docs/results.md").read_text() == "no marks\n"
    assert [line.partition(":")[0] for line in said[:2]] == [
        "README.md has no answers",
        "docs/results.md has no results",
    ]


def test_a_part_is_renewed_as_often_as_one_likes(tmp_path):
    first, last = marks("results")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{first}\nold | numbers\n{last}\nafter\n")
    for table in ("| a |\n| - |\n| \\1 |\n", "| b |\n"):
        assert renew(page, "results", table)
        assert page.read_text() == f"before\n{first}\n\n{table}\n{last}\nafter\n"
    for text in ("no marks\n", f"{first}\nno end\n", f"no beginning\n{last}\n"):
        page.write_text(text)
        assert not renew(page, "results", "| a |\n")
        assert page.read_text() == text


def test_publish_answers_on_the_first_screen_of_source_and_copy(root):
    first, last = marks("answer")
    source = root / "notebooks/04_a.ipynb"
    cells = [new_code_cell(f"print('{first}')"), new_markdown_cell(f"{first}\nold\n{last}")]
    nbformat.write(new_notebook(cells=cells), source)
    copied = root / "reports/04_a.ipynb"
    copied.parent.mkdir(parents=True)
    shutil.copy(source, copied)
    for path in (source, copied):
        for _ in range(2):
            assert renew_notebook(path, "answer", "- new\n")
            code, answer = nbformat.read(path, as_version=4).cells
            assert answer.source == f"{first}\n\n- new\n\n{last}"
            assert code.source == cells[0].source
    nbformat.write(new_notebook(cells=cells[:1]), source)
    assert not renew_notebook(source, "answer", "- new\n")


def test_scrub_replaces_whole_paths_only(monkeypatch):
    monkeypatch.setenv("ROBULT_DATA", "/data/sets")
    monkeypatch.setenv("HOME", "/")
    assert scrub("a / b, file:///a/repo/f.png", Path("/a/repo")) == "a / b, ./f.png"
    text = 'File "/a/repo/x.py", /a/repo2/y, /b/a/repo/z, /data/sets/mosi, /tmp/ipykernel_1/2.py'
    expected = 'File "./x.py", /a/repo2/y, /b/a/repo/z, $ROBULT_DATA/mosi, <cell>'
    assert scrub(text, Path("/a/repo")) == expected


def test_a_hand_written_page_is_never_removed(root):
    quietly_publish(root)
    (root / "reports/README.md").write_text("kept")
    content = read_content(root / "reports")
    content["files"]["README.md"] = ""
    (root / "reports/manifest.json").write_text(json.dumps(content))
    quietly_publish(root)
    assert (root / "reports/README.md").read_text() == "kept"
