"""The page of a run links what is there."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup


@pytest.mark.xdist_group("reproduce")
def test_the_index_links_what_is_there(reproduced):
    soup = BeautifulSoup((reproduced.output / "index.html").read_text(), "html.parser")
    links = {tag["href"] for tag in soup("a")} | {tag["src"] for tag in soup("img")}
    expected = {
        "02_good.html",
        "02_good.ipynb",
        "figures/01_line.png",
        "figures/01_line.csv",
        "tables/01_numbers.html",
    }
    assert expected <= links
    assert [link for link in links if not (reproduced.output / link).exists()] == []
    assert soup.img["alt"] == 'A "rising" line'
    assert "ZeroDivisionError" in soup.select_one(".failed").parent.get_text()
