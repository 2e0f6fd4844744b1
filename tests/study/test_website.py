"""The site is whole: Sphinx warns of nothing, links lead to files, nothing asks for a network."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from robult_study.report import website
from robult_study.report.website import NEEDS, build_site, run_sphinx
from robult_study.settings import SettingsError

pytestmark = pytest.mark.xdist_group("website")  # one worker, which builds the `pages` once

ROOT = Path(__file__).resolve().parents[2]
TAKEN = ("docs", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "README.md")
WITH_SPHINX = pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDS),
    reason="the site needs Sphinx and its theme: pip install 'robult[docs]'",
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


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The pages of this repository around one small executed notebook.

    The other notebooks are pages of one line and the figures are dots, so that it builds quickly.
    """
    folder = tmp_path_factory.mktemp("repository")
    for name in TAKEN:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    for name in ("data/README.md", "reports/claims.md", "figures/07_random_loss.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "figures/README.md").write_text("# Figures\n")
    shutil.copyfile(ROOT / "figures/01_gates.png", folder / "figures/04_one_or_all.png")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        write_executed(folder / "reports" / path.name)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
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


@WITH_SPHINX
def test_the_moving_figure_holds_its_numbers(pages):
    page = (pages / "docs/explore.html").read_text()
    assert "const LOSS = [{" in page
    assert "explore.js" in page
    assert "explore.js" not in (pages / "index.html").read_text()


@WITH_SPHINX
def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "index.md").write_text("# A page\n\n[lost](lost.md)\n")
    with pytest.raises(SettingsError, match=r"index\.md:3: .*lost\.md"):
        run_sphinx(tmp_path, ROOT / "docs", tmp_path / "site")


def test_without_sphinx_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(website, "NEEDS", ("no_such_package",))
    with pytest.raises(SettingsError, match=r"pip install 'robult\[docs\]'"):
        build_site()
