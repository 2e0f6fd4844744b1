"""The page of a run links what is there."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from robult_study.report.index import write_index
from robult_study.report.manifest import read_manifest


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


@pytest.mark.xdist_group("reproduce")
def test_the_index_opens_with_findings_and_verdicts(reproduced, tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    ranks = (
        'method,all blocks (2),"within seeds, all blocks",one modality (1),'
        '"within seeds, one modality",every modality (1),"within seeds, every modality",'
        'one value per set (1),"within seeds, one value per set","all blocks, with controls (2)"\n'
        "robult,3,3,3,3,3,3,3,3,3\ngmc,1,1,1,1,1,1,1,1,1\n"
    )
    (tables / "04_mean_ranks.csv").write_text(ranks)
    (tables / "05_claims.csv").write_text("id,quote,verdict\nbest,<it wins>,not\n")
    write_index(tmp_path, read_manifest(reproduced.output), {})
    soup = BeautifulSoup((tmp_path / "index.html").read_text(), "html.parser")
    headings = [tag.get_text() for tag in soup("h2")]
    assert headings[:3] == ["Findings", "The paper's statements", "Notebooks"]
    finding = soup.find("li").get_text()
    assert "real data: GMC 1, Robult 3; with" in finding
    assert [tag.get_text() for tag in soup.table("td")] == ["<it wins>", "not"]
