"""The figures with what each says: their captions, and the page figures/README.md."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

HEAD = """# Figures

Every figure of the notebooks with its message and what a reader sees in it, written by
`make publish`. The first two digits name the notebook.
"""


class Caption(NamedTuple):
    """What a PNG says of itself: its message, which is the title, and its alt text."""

    title: str
    alt: str


def captions(folder: Path) -> dict[str, Caption]:
    """The caption of each PNG in a folder of figures by its name without the suffix."""
    from PIL import Image

    found = {}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as image:
            title = " ".join(image.info.get("Title", "").split())
            found[path.stem] = Caption(title, image.info.get("Description", ""))
    return found


def gallery(folder: Path) -> str:
    """The page in markdown: a table of pictures and messages for each notebook."""
    lines = [HEAD]
    for number, group in groupby(captions(folder).items(), key=_notebook):
        lines += [f"## Notebook {number}", "", "| figure | what it says |", "| --- | --- |"]
        lines += [_row(folder, name, caption) for name, caption in group]
        lines.append("")
    return "\n".join(lines)


def _notebook(entry: tuple[str, Caption]) -> str:
    return entry[0][:2]


def _row(folder: Path, name: str, caption: Caption) -> str:
    alt = caption.alt.replace("|", "\\|")
    title = f"**{caption.title}** " if caption.title else ""
    kinds = [kind for kind in ("pdf", "csv") if (folder / f"{name}.{kind}").exists()]
    links = ", ".join(f"[{kind.upper()}]({name}.{kind})" for kind in kinds)
    files = f" ({links})" if links else ""
    return f"| ![{alt}]({name}.png) | {title}{alt} `{name}`{files} |"
