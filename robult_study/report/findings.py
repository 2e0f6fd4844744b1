"""What README, the page of a run and a notebook's first screen say: what was found.

`queries` holds the sentences, whose numbers come from the tables of a run. `make publish` writes
them into README, and into the notebooks that answer with them, between two marks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from robult_study.report.queries import Finding

ANSWERS = {  # notebook -> the queries in robult_study/report/queries.py that answer it
    "01": ("alignment", "estimates", "example"),
    "02": ("scene",),
    "03": ("step_by_step",),
    "04": ("ranks", "default_gain", "control", "variant"),
    "05": ("separated", "claims"),
    "06": ("needed", "reconstruction"),
    "07": ("robust", "least_lost", "incomplete_training"),
    "08": ("unique_part", "separable", "objective"),
    "09": ("detector", "weighted_training"),
    "10": ("own_data", "calibrated"),
}
# Those of README and of a run's page.
MAIN = ("default_gain", "ranks", "reconstruction", "claims")


def findings(folder: Path, names: Sequence[str] = MAIN) -> list[Finding]:
    """What the named queries find in the tables of a folder; those without a table are left out.

    So are those whose table was written by another version, which called a column otherwise.

    folder: what holds `tables/`, such as reports/ or out/quick/. names: functions of `queries`.
    """
    from robult_study.report import queries  # it loads pandas

    found = []
    for name in names:
        query: Callable[[Path], Finding | None] = getattr(queries, name)
        try:
            found.append(query(folder / "tables"))
        except (FileNotFoundError, KeyError):
            continue
    return [finding for finding in found if finding is not None]


def as_list(found: Sequence[Finding]) -> str:
    """Findings as a list in markdown; no line ends between a number and its "±"."""
    lines = "".join(f"- **{finding.title}** {finding.text}\n" for finding in found)
    return lines.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def all_answers(root: Path) -> str:
    """What was found in every published notebook, in markdown, under the notebook's question."""
    parts = []
    for question, link, found in _answered(root):
        if found:
            parts.append(f"### [{question}](../{link})\n\n{as_list(found)}")
    return "\n".join(parts)


def answers_table(root: Path) -> str:
    """The notebooks of a repository as a table in markdown: question, and what was found first.

    The question is the part of the notebook's title up to its first question mark.
    """
    lines = ["| question | answer |", "| --- | --- |"]
    for question, link, found in _answered(root):
        answer = found[0].title if found else "Not published yet."
        asked = re.sub(r"\?.*", "?", question)
        lines.append(f"| [{asked}]({link}) | {answer} |")
    return "\n".join(lines) + "\n"


def _answered(root: Path) -> Iterator[tuple[str, str, list[Finding]]]:
    """Title, link and findings of every notebook of a repository; the published copy's link."""
    import nbformat

    for path in sorted(root.glob("notebooks/[0-9][0-9]_*.ipynb")):
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        published = root / "reports" / path.name
        link = (published if published.exists() else path).relative_to(root).as_posix()
        found = findings(root / "reports", ANSWERS.get(path.name[:2], ()))
        yield title.lstrip("# "), link, found
