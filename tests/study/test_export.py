"""Pages of executed notebooks: no network, no scripts, equations as MathML."""

from __future__ import annotations

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

pytestmark = pytest.mark.xdist_group("reproduce")
UNDESCRIBED = (None, "", "No description has been provided for this image")


def test_pages_need_no_network_and_describe_every_image(reproduced):
    pages = sorted(reproduced.output.glob("*.html"))
    assert len(pages) == 3
    for page in pages:
        text = page.read_text()
        soup = BeautifulSoup(text, "html.parser")
        assert not soup("script")
        sources = [tag.get("src") or tag.get("href") for tag in soup.select("[src], link[href]")]
        assert [source for source in sources if source.startswith(("http", "//"))] == []
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", text)
        assert [image for image in soup("img") if image.get("alt") in UNDESCRIBED] == []
    good = BeautifulSoup((reproduced.output / "02_good.html").read_text(), "html.parser")
    assert good.img["alt"] == 'A "rising" line'


def test_equations_become_mathml_and_code_stays(reproduced):
    page = (reproduced.output / "02_good.html").read_text()
    soup = BeautifulSoup(page, "html.parser")
    assert [formula["display"] for formula in soup("math")] == ["inline", "block"]
    assert len(soup.select("math mtr mtd")) == 2
    assert soup.find("code", string="$x$") is not None
    assert "$5." in soup.get_text()


def test_widgets_are_left_out(reproduced):
    path = reproduced.output / "02_good.ipynb"
    text = path.read_text().replace("ipywidgets.FloatSlider(", "")
    assert "FloatSlider(" not in text
    assert "widgets" not in nbformat.read(path, 4).metadata
