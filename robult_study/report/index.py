"""The page `index.html` of a run: notebooks, figures and tables at a glance."""

from __future__ import annotations

from pathlib import Path

from robult_core.atomic import write_whole
from robult_study.report.manifest import Manifest

NAME = "index.html"


def write_index(folder: Path, manifest: Manifest, files: dict[str, str]) -> None:
    """Write the page of a folder of results; files: the names of what is there, with hashes."""
    import jinja2

    figures = sorted((folder / "figures").glob("*.png"))
    tables = sorted((folder / "tables").glob("*.html"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("robult_study", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("index.html.j2").render(
        manifest=manifest,
        files=files,
        figures={path.stem: _alt_text(path) for path in figures},
        tables=[path.stem for path in tables],
    )
    write_whole(folder / NAME, page.encode())


def _alt_text(picture: Path) -> str:
    """What the notebook said that a reader sees in a picture."""
    from PIL import Image

    with Image.open(picture) as image:
        return image.info.get("Description", "")
