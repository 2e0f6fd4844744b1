"""Sphinx's settings of the site that `make site` builds with robult_study/report/website.py."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from robult_study.plots.style import METHOD_COLORS
from robult_study.report.website import LOSS
from robult_study.wording import METHOD_NAMES, in_words

project = "Robult, reproduced"
author = "The robult-study authors"
copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["notebooks/*.ipynb", "downloads/*"]  # for download only
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "text/html", 0)]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
default_role = "code"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
maximum_signature_line_length = 88
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "pydata_sphinx_theme"
html_title = project
smartquotes = False  # code in docstrings keeps its quotes
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_search_summary = False  # a browser does not let a page read its neighbours on disk
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
}

ARGUMENT = re.compile(r"^((?:X|[a-z_]\w*)(?:, [a-z_]\w*)*): (.+)")
EXPLORER = "docs/explore"  # the page with the interactive figure
DRAWN = {"data_set", "method", "rate", "mean", "low", "high"}  # the columns that it reads


def list_arguments(*event: Any) -> None:
    """Our docstrings say `name: what it is` line by line; reStructuredText wants a list."""
    lines: list[str] = event[-1]
    listed: list[str] = []
    inside = False
    for line in lines:
        argument = ARGUMENT.match(line)
        if argument:
            if not inside:
                listed.append("")
            listed.append(f"* **{argument[1]}**: {argument[2]}")
        elif inside and line.strip():
            listed.append(f"  {line.strip()}")
        else:
            listed.append(line)
        inside = bool(argument) or (inside and bool(line.strip()))
    lines[:] = [*listed, ""]


def add_explorer(app: Sphinx, page: str, *_: Any) -> None:
    """Give the page of the interactive figure its numbers, because it cannot read files on disk.

    Where the published run does not have them, the page keeps its sentence about that.
    """
    rows = _published_means(Path(app.srcdir) / LOSS) if page == EXPLORER else []
    if rows:
        names = {name: METHOD_NAMES[name].partition(" (")[0] for name in METHOD_COLORS}
        looks = {name: [names[name], color] for name, color in METHOD_COLORS.items()}
        body = f"const LOSS = {json.dumps(rows)}, LOOKS = {json.dumps(looks)};"
        app.add_js_file(None, body=body)
        app.add_js_file("explore.js", loading_method="defer")


def _published_means(path: Path) -> list[dict[str, str]]:
    """The rows of the table behind the figure, without any where it lacks a column."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as content:
        table = csv.DictReader(content)
        if not set(table.fieldnames or ()) >= DRAWN:
            return []
        return [{**row, "data_set": in_words(row["data_set"])} for row in table]


def setup(app: Sphinx) -> None:
    """Connect both to the build."""
    app.connect("autodoc-process-docstring", list_arguments)
    app.connect("html-page-context", add_explorer)
