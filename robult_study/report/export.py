"""An executed notebook as one HTML page that opens without a network.

Equations are MathML, there are no scripts, and widgets are left to their static twins.
"""

from __future__ import annotations

import html
import re
from copy import deepcopy
from typing import TYPE_CHECKING

from robult_study.markup import html_image

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from nbformat import NotebookNode

WIDGET = "application/vnd.jupyter.widget-view+json"
PROSE = ".jp-RenderedMarkdown, .jp-RenderedLatex"
FORMULA = re.compile(
    r"""
      \$\$ (?P<dollars>.+?) \$\$
    | \\\[ (?P<brackets>.+?) \\\]
    | (?P<environment> \\begin\{(?P<name>\w+\*?)\} .+? \\end\{(?P=name)\} )
    | (?<![\\$]) \$ (?P<inline> [^$\s] (?: [^$]*? [^$\s\\] )? ) \$ (?!\d)
    """,
    re.DOTALL | re.VERBOSE,
)


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """A copy without live widgets and their state, which need a running kernel."""
    notebook = deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = cell.outputs
            cell.outputs = [output for output in outputs if WIDGET not in output.get("data", {})]
    return notebook


def to_html(notebook: NotebookNode, title: str) -> str:
    """One self-contained page of a notebook."""
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True, require_js_url="", mathjax_url="")
    described = with_alt_texts(without_widgets(notebook))
    page, _ = exporter.from_notebook_node(described, {"metadata": {"name": title}})
    soup = BeautifulSoup(page, "html.parser")
    for script in soup("script"):
        script.decompose()
    _typeset_prose(soup)
    return str(soup)


def with_alt_texts(notebook: NotebookNode) -> NotebookNode:
    """Turn pictures into HTML images that carry their alt text, which nbconvert forgets."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if "image/png" in data and alt:
                code = data.pop("image/png").replace("\n", "")
                data["text/html"] = html_image(code, alt)
    return notebook


def _typeset_prose(soup: BeautifulSoup) -> None:
    """Replace the TeX of a page's prose, and leave code as it is."""
    from bs4 import BeautifulSoup

    for area in soup.select(PROSE):
        for text in area.find_all(string=FORMULA.search):
            if not text.find_parent(["code", "pre", "math"]):
                text.replace_with(BeautifulSoup(_typeset(str(text)), "html.parser"))


def _typeset(text: str) -> str:
    """Text with TeX as HTML with MathML, which browsers show by themselves."""
    pieces = []
    end = 0
    for match in FORMULA.finditer(text):
        pieces.append(html.escape(text[end : match.start()]))
        pieces.append(_to_mathml(match))
        end = match.end()
    pieces.append(html.escape(text[end:]))
    return "".join(pieces)


def _to_mathml(match: re.Match[str]) -> str:
    """One formula as MathML; a formula that does not parse stays TeX."""
    from latex2mathml.converter import convert

    block = match["dollars"] or match["brackets"] or match["environment"]
    formula = block or match["inline"]
    formula = formula.replace("{aligned}", "{align*}")  # the converter knows the latter only
    try:
        return convert(formula, display="block" if block else "inline")
    except Exception:  # of many kinds; a report is worth more than one formula
        return f"<code>{html.escape(match[0])}</code>"
