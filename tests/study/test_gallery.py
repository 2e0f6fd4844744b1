"""The list of figures says what each picture says of itself."""

from __future__ import annotations

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from robult_study.report.gallery import Caption, captions, gallery


def picture(path, title, alt):
    texts = PngInfo()
    texts.add_text("Title", title)
    texts.add_text("Description", alt)
    Image.new("L", (2, 2)).save(path, pnginfo=texts)


def test_a_row_shows_picture_message_and_files(tmp_path):
    picture(tmp_path / "01_a.png", "It rises\nand falls", "a line | a dot")
    picture(tmp_path / "02_b.png", "", "a bar")
    (tmp_path / "01_a.csv").write_text("x\n1\n")
    assert captions(tmp_path)["01_a"] == Caption("It rises and falls", "a line | a dot")
    lines = gallery(tmp_path).splitlines()
    row = r"| ![a line \| a dot](01_a.png) | **It rises and falls** a line \| a dot `01_a` "
    assert row + "([CSV](01_a.csv)) |" in lines
    assert [line for line in lines if line.startswith("## ")] == [
        "## Notebook 01",
        "## Notebook 02",
    ]


def test_a_picture_without_files_beside_it_has_no_empty_bracket(tmp_path):
    picture(tmp_path / "02_b.png", "", "a bar")
    assert "| ![a bar](02_b.png) | a bar `02_b` |" in gallery(tmp_path)
