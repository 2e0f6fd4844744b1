"""The page `index.html` of a run: findings and verdicts first, then notebooks, figures, tables."""

from __future__ import annotations

import csv
from pathlib import Path

from robult_core.atomic import write_whole
from robult_study.report.findings import findings
from robult_study.report.gallery import captions
from robult_study.report.manifest import Manifest

NAME = "index.html"
CLAIMS = "05_claims.csv"


def write_index(folder: Path, manifest: Manifest, files: dict[str, str]) -> None:
    """Write the page of a folder of results; files: the names of what is there, with hashes."""
    import jinja2

    tables = sorted((folder / "tables").glob("*.html"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("robult_study", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("index.html.j2").render(
        manifest=manifest,
        files=files,
        findings=findings(folder),
        claims=_claims(folder / "tables" / CLAIMS),
        figures=captions(folder / "figures"),
        tables=[path.stem for path in tables],
    )
    write_whole(folder / NAME, page.encode())


def _claims(table: Path) -> list[list[str]]:
    """The verdicts of notebook 05, the names of the columns first; none where it has not run."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as content:
        return list(csv.reader(content))
