"""A repository with small notebooks, run once as `robult reproduce` runs the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from click.testing import CliRunner, Result
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from robult_study.cli import main
from robult_study.report import reproduce

PARAMETERS = "profile = None\ndata_sets = None\nseed = 0\nn_seeds = None\noutput = None"
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
START = """from robult_study.notebook import start

notebook = start(globals())
settings = notebook.settings"""
FIGURE = """import matplotlib.pyplot as plt
import pandas as pd

figure, axes = plt.subplots()
axes.plot([1, 2])
frame = pd.DataFrame({'x': [1.0, 2.0]})
notebook.show(figure, '01_line', alt='A "rising" line', data=frame)"""
TABLE = "notebook.table(frame, '01_numbers', caption='Numbers')"
PLACE = """import os

import ipywidgets

print(os.getcwd(), settings.jobs, settings.headless)
ipywidgets.FloatSlider()"""
GOOD = (START, FIGURE, TABLE, PLACE)
BAD = ("print('before')", "# why\nvalue = 1\nvalue / 0", "print('never')")
PROSE = r"""# Title of {stem}

Equation $x_1 < y$ and

$$\begin{{aligned}} a &= b \end{{aligned}}$$

code `$x$`, $5."""


class Reproduced(NamedTuple):
    """The repository, its folder of results, and what the command printed."""

    root: Path
    output: Path
    result: Result


def write_notebook(path: Path, *code: str) -> None:
    """A notebook with prose, a parameters cell and cells of code."""
    cells = [
        new_markdown_cell(PROSE.format(stem=path.stem)),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
    ]
    cells += [new_code_cell(source) for source in code]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)


def read_content(folder: Path) -> dict:
    """What the manifest of a folder holds."""
    return json.loads((folder / "manifest.json").read_text())


def write_content(folder: Path, content: dict) -> None:
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> Reproduced:
    """A repository with a failing and a good notebook, run once through the command line."""
    root = tmp_path_factory.mktemp("repository")
    output = root / "out/quick"
    write_notebook(root / "notebooks/01_bad.ipynb", *BAD)
    write_notebook(root / "notebooks/02_good.ipynb", *GOOD)
    words = "reproduce --profile quick --data-sets pid --jobs 1 --output"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduce, "repository", lambda: root)
        result = CliRunner().invoke(main, [*words.split(), str(output)])
    return Reproduced(root, output, result)
