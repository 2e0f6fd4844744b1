"""An executed notebook as one HTML file that opens without a network: equations as MathML, no scripts, widgets left to their static twins."""

from __future__ import annotations

import html
import re
from copy import deepcopy
from typing import Any

WIDGET = "application/vnd.jupyter.widget-view+json"
_MATH = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|(\\begin\{(\w+\*?)\}.+?\\end\{\4\})|(?<![\\$])\$([^$\s](?:[^$]*?[^$\s\\])?)\$(?!\d)",
    re.DOTALL,
)


def without_widgets(notebook: Any) -> Any:
    """A copy without live widgets and their state, which need a running kernel."""
    notebook = deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if WIDGET not in output.get("data", {})
            ]
    return notebook


def _with_alt(notebook: Any) -> Any:
    """Turn pictures into HTML images that carry their alt text; nbconvert forgets it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data, alt = (
                output.get("data", {}),
                output.get("metadata", {}).get("image/png", {}).get("alt"),
            )
            if "image/png" in data and alt:
                picture = data.pop("image/png").replace("\n", "")
                data["text/html"] = (
                    f'<img src="data:image/png;base64,{picture}" alt="{html.escape(alt)}">'
                )
    return notebook


def to_html(notebook: Any, title: str) -> str:
    """One self-contained page."""
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True, require_js_url="", mathjax_url="")
    page, _ = exporter.from_notebook_node(
        _with_alt(without_widgets(notebook)), {"metadata": {"name": title}}
    )
    soup = BeautifulSoup(page, "html.parser")
    for script in soup("script"):
        script.decompose()
    for area in soup.select(".jp-RenderedMarkdown, .jp-RenderedLatex"):
        for text in area.find_all(string=_MATH.search):
            if not text.find_parent(["code", "pre", "math"]):
                text.replace_with(BeautifulSoup(_typeset(str(text)), "html.parser"))
    return str(soup)


def _typeset(text: str) -> str:
    """Text with TeX as HTML with MathML, which browsers show by themselves; a formula that does not parse stays TeX."""
    from latex2mathml.converter import convert

    parts, end = [], 0
    for match in _MATH.finditer(text):
        block = match[1] or match[2] or match[3]
        parts.append(html.escape(text[end : match.start()]))
        try:
            formula = (block or match[5]).replace(
                "{aligned}", "{align*}"
            )  # the converter knows the latter only
            parts.append(convert(formula, display="block" if block else "inline"))
        except (
            Exception
        ):  # the converter raises many kinds; a report is worth more than one formula
            parts.append(f"<code>{html.escape(match[0])}</code>")
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])
