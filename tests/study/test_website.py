"""The site is whole: Sphinx warns of nothing, links lead to files, nothing asks for a network."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlparse

import nbformat
import pytest
from bs4 import BeautifulSoup
from made_up import seeds_of
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robult_study.plans import SWEPT
from robult_study.report import website
from robult_study.report.website import LOSS, NEEDS, build_site, run_sphinx
from robult_study.results.intervals import summarize
from robult_study.settings import SettingsError

pytestmark = pytest.mark.xdist_group("website")  # one worker, which builds the `pages` once

ROOT = Path(__file__).resolve().parents[2]
TAKEN = ("docs", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "README.md")
WITH_SPHINX = pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDS),
    reason="the site needs Sphinx and its theme: pip install '.[docs]'",
)
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PYTHON = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}


def write_executed(path: Path) -> None:
    """A small notebook as it ran: an equation, a picture with alt text, a table, and a widget."""
    picture = {"image/png": PIXEL, "text/plain": "a dot"}
    alt = {"image/png": {"alt": "a dot"}}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Box()"}
    outputs = [
        new_output("display_data", picture, metadata=alt),
        new_output("display_data", {"text/html": "<table><tr><td>1</td></tr></table>"}),
        new_output("display_data", widget),
    ]
    cells = [
        new_markdown_cell("# 01 A question\n\nWhat is $x^2$?"),
        new_code_cell("show()", outputs=outputs, execution_count=1),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=PYTHON), path)


def write_means(folder: Path, **columns: object) -> None:
    """The table behind the moving figure as notebook 07 writes it, of made-up scores."""
    scores = seeds_of({name: [0.5, 0.6, 0.7] for name in SWEPT})
    scores = scores.assign(data_set="utd_mhad", rate=0.5)
    means = summarize(scores, ["data_set", "method", "rate"]).rename(columns=columns)
    (folder / LOSS).parent.mkdir(parents=True)
    means.to_csv(folder / LOSS, index=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The pages of this repository around one small executed notebook.

    The other notebooks are pages of one line and the figures are dots, so that it builds quickly.
    """
    folder = tmp_path_factory.mktemp("repository")
    for name in TAKEN:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    for name in ("data/README.md", "reports/claims.md"):
        (folder / name).parent.mkdir()
        shutil.copyfile(ROOT / name, folder / name)
    write_means(folder)
    (folder / "figures").mkdir()
    (folder / "figures/README.md").write_text("# Figures\n")
    shutil.copyfile(ROOT / "figures/01_gates.png", folder / "figures/04_one_or_all.png")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        write_executed(folder / "reports" / path.name)
    sockets = shutil.ignore_patterns("kernel-ipc*")  # of kernels that run at this moment
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=sockets)
    return folder


@pytest.fixture(scope="module")
def pages(root, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("site")
    build_site(root, target, say=lambda _: None)
    return target


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@WITH_SPHINX
def test_every_page_is_there(pages, root):
    documents = [path.stem for path in (root / "docs").glob("*.md")]
    assert len(documents) > 8
    assert [name for name in documents if not (pages / f"docs/{name}.html").exists()] == []
    for name in ("index", "search", "reports/01_pid_motivation", "reports/claims", "CHANGELOG"):
        assert (pages / f"{name}.html").exists(), name


@WITH_SPHINX
def test_links_lead_to_files_and_nothing_is_loaded_from_a_network(pages):
    lost = []
    documents = [page for page in pages.rglob("*.html") if "_static" not in page.parts]
    for page in documents:
        for tag in soup(page).find_all(["a", "link", "script", "img"]):
            url = urlparse(tag.get("href") or tag.get("src") or "")
            if url.scheme == "data":
                continue
            if tag.name != "a":
                assert not url.netloc, f"{page.name} loads {tag}"
            if not url.scheme and url.path and not (page.parent / unquote(url.path)).exists():
                lost.append(f"{page.name}: {url.path}")
    assert lost == []


@WITH_SPHINX
def test_a_notebook_shows_picture_and_equation_and_offers_itself(pages, root):
    page = soup(pages / "reports/01_pid_motivation.html")
    assert page.h1.get_text().startswith("01 A question")
    assert page.find("img", alt="a dot")
    assert "x^2" in page.select_one(".math").get_text()
    assert "Box()" not in page.get_text()
    (offer,) = page.select("a.download")
    published = (root / "reports/01_pid_motivation.ipynb").read_bytes()
    assert (pages / "reports" / offer["href"]).read_bytes() == published


def constants(script: str) -> tuple[list[dict[str, str]], dict[str, list[str]]]:
    """LOSS and LOOKS, as a page gives them to the moving figure."""
    _, _, text = script.partition("const LOSS = ")
    rows, length = json.JSONDecoder().raw_decode(text)
    looks, _ = json.JSONDecoder().raw_decode(text[length:].removeprefix(", LOOKS = "))
    return rows, looks


@WITH_SPHINX
def test_the_moving_figure_has_a_mean_and_a_look_for_every_method(pages):
    page = (pages / "docs/explore.html").read_text()
    rows, looks = constants(page)
    assert {row["method"] for row in rows} == set(SWEPT)
    for row in rows:
        assert row["data_set"] == "UTD-MHAD"
        assert float(row["low"]) < float(row["mean"]) < float(row["high"])
    names, colors = zip(*[looks[name] for name in SWEPT], strict=True)
    assert "Distilled Robult" in names
    assert "Prompt-Trans" in names
    assert len(set(colors)) == len(SWEPT)
    assert "explore.js" in page
    assert "explore.js" not in (pages / "index.html").read_text()


def scripts_of(folder: Path) -> list[str | None]:
    """What the page of the moving figure loads when a folder of sources is built."""
    scripts: list[str | None] = []
    app = SimpleNamespace(srcdir=folder, add_js_file=lambda name, **_: scripts.append(name))
    runpy.run_path(str(ROOT / "docs/conf.py"))["add_explorer"](app, "docs/explore")
    return scripts


@WITH_SPHINX
def test_without_a_table_of_means_the_moving_figure_is_a_sentence(tmp_path):
    assert scripts_of(tmp_path) == []
    write_means(tmp_path / "old", mean="difference")
    assert scripts_of(tmp_path / "old") == []
    write_means(tmp_path / "new")
    assert scripts_of(tmp_path / "new") == [None, "explore.js"]
    assert "needs JavaScript" in (ROOT / "docs/explore.md").read_text()


@pytest.mark.skipif(not (ROOT / LOSS).exists(), reason="the published run has no such table yet")
def test_the_published_means_are_of_methods_that_the_figure_knows():
    with (ROOT / LOSS).open(newline="") as content:
        rows = list(csv.DictReader(content))
    assert {row["method"] for row in rows} == set(SWEPT)
    assert all(float(row["low"]) <= float(row["high"]) for row in rows)


@WITH_SPHINX
def test_arguments_are_a_list_that_ends_before_the_errors(pages):
    names = soup(pages / "docs/api.html").select("li > p > strong")
    texts = {name.get_text(): name.parent.parent.get_text() for name in names}
    assert {"X", "y", "sample_weight", "validation"} <= set(texts)
    assert "the last weights are kept." in texts["validation"]
    assert "Raises" not in texts["validation"]


@WITH_SPHINX
def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "index.md").write_text("# A page\n\n[lost](lost.md)\n")
    with pytest.raises(SettingsError, match=r"index\.md:3: .*lost\.md"):
        run_sphinx(tmp_path, ROOT / "docs", tmp_path / "site")


def test_without_sphinx_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(website, "NEEDS", ("no_such_package",))
    with pytest.raises(SettingsError, match=r"pip install '\.\[docs\]' in the clone"):
        build_site()
