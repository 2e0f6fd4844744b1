"""The site: README, the pages of docs/, the published notebooks and the API, as HTML.

A folder is laid out like the repository, with README as its first page, so that one set of links
serves both; Sphinx makes the site of it. `docs/conf.py` holds Sphinx's settings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from robult_study.provenance import repository
from robult_study.report.export import with_alt_texts, without_widgets
from robult_study.report.forecast import short_path
from robult_study.settings import SettingsError

SINGLE = ("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "data/README.md")
FOLDERS = ("docs", "figures", "notebooks")  # whose files are taken as they are
LOSS = "reports/tables/07_random_loss.csv"  # what the figure of docs/explore.md draws
NEEDS = ("sphinx", "myst_nb", "pydata_sphinx_theme")
TO_SOURCES = re.compile(r"\]\((?=(\.\./)*notebooks/)")  # links to notebooks that are no pages
CONTENTS = """
```{toctree}
:hidden:

docs/notebooks
docs/results
docs/explore
docs/own_data
docs/variant
docs/api
docs/readings
docs/experience
docs/alternatives
docs/running
figures/README
reports/claims
data/README
CONTRIBUTING
CHANGELOG
```
"""


def build_site(
    root: Path | None = None, target: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Build the site of a repository into `target`, by default out/site; returns its first page.

    What was in `target` is removed. Raises SettingsError where Sphinx is not installed, or where
    it warns of anything, such as a link that leads nowhere.
    """
    root = root or repository()
    target = target or root / "out" / "site"
    if any(find_spec(name) is None for name in NEEDS):
        raise SettingsError(
            "the site needs Sphinx and its theme: run pip install '.[docs]' in the clone"
        )
    with TemporaryDirectory() as folder:
        lay_out(root, Path(folder))
        run_sphinx(Path(folder), root / "docs", target)
    first = target / "index.html"
    say(f"the site is built; open {short_path(first)}")
    return first


def lay_out(root: Path, source: Path) -> None:
    """Fill a folder with everything that Sphinx reads."""
    _copy(root / "README.md", root, source)
    (source / "README.md").rename(source / "index.md")
    with (source / "index.md").open("a", encoding="utf-8") as first:
        first.write(CONTENTS)
    for name in SINGLE:
        _copy(root / name, root, source)
    for folder in FOLDERS:
        for path in (root / folder).glob("*.*"):
            _copy(path, root, source)
    _copy(root / "reports/claims.md", root, source)
    if (root / LOSS).exists():
        _copy(root / LOSS, root, source)
    for path in (root / "reports").glob("*.ipynb"):
        _copy_notebook(path, source)


def _copy(path: Path, root: Path, source: Path) -> None:
    target = source / path.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".md":
        text = path.read_text(encoding="utf-8")
        target.write_text(TO_SOURCES.sub("](path:", text), encoding="utf-8")
    else:
        shutil.copyfile(path, target)


def _copy_notebook(path: Path, source: Path) -> None:
    """An executed notebook without widgets, with described pictures and a download of itself."""
    import nbformat

    original = source / "downloads" / path.name
    original.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, original)
    notebook = with_alt_texts(without_widgets(nbformat.read(path, as_version=4)))
    title, _, prose = notebook.cells[0].source.partition("\n")
    offer = f"{{download}}`Download this notebook as it ran <../downloads/{path.name}>`"
    notebook.cells[0].source = f"{title}\n\n{offer}\n{prose}"
    nbformat.write(notebook, source / "reports" / path.name)


def run_sphinx(source: Path, settings: Path, target: Path) -> None:
    """Make HTML of the pages in `source` with the conf.py in `settings`.

    Raises SettingsError with everything that Sphinx warns of.
    """
    shutil.rmtree(target, ignore_errors=True)
    options = ["-q", "--fail-on-warning", "--keep-going", "-b", "html", "-c", str(settings)]
    command = [sys.executable, "-m", "sphinx", *options, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(target / ".doctrees", ignore_errors=True)
    if done.returncode:
        lines = done.stderr.replace(f"{source}/", "").strip()
        raise SettingsError(f"the site was not built: mend these places, then again\n{lines}")
