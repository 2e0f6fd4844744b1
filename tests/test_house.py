"""The rules of the house: who imports whom, the form of notebooks, links that lead somewhere."""

from __future__ import annotations

import ast
import csv
import json
import re
import shlex
import sys
import tomllib
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from without_packages import run_without

import robult_core
from robult_study.cli import main
from robult_study.report.findings import ANSWERS, all_answers, answers_table, as_list, findings
from robult_study.report.gallery import gallery
from robult_study.report.publish import marks

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "robult_core").rglob("*.py"))
PACKAGES = CORE + sorted((ROOT / "robult_study").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORBIDDEN_IN_CORE = [
    "robult_study",
    "matplotlib",
    "seaborn",
    "pandas",
    "IPython",
    "ipywidgets",
    "papermill",
    "nbconvert",
    "umap",
    "dask",
    "transformers",
    "h5py",
    "clarabel",
    "pooch",
    "click",
]
MOST_LINES = 12  # of a code cell
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module)
    return modules


def top_levels(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_core_imports_nothing_of_the_study(path):
    assert not top_levels(path) & {"robult_study", "joblib", "matplotlib", "seaborn", "IPython"}


ABOVE = {  # of each package of the study, what stands above it
    "runs": {"results", "plots", "plans", "report", "notebook"},
    "results": {"plots", "plans", "report", "notebook"},
    "plots": {"plans", "report", "notebook"},
    "report": {"notebook"},
}


@pytest.mark.parametrize("package", ABOVE)
def test_no_import_of_the_study_points_upwards(package):
    for path in (ROOT / "robult_study" / package).rglob("*.py"):
        for module in imports(path):
            if module.startswith("robult_study."):
                assert module.split(".")[1] not in ABOVE[package], f"{path.name} imports {module}"


def test_no_two_modules_share_a_name_and_none_shadows_the_standard_library():
    stems = [path.stem for path in PACKAGES if not path.stem.startswith("__")]
    assert [name for name, count in Counter(stems).items() if count > 1] == []
    assert set(stems) & sys.stdlib_module_names == set()


LAZY_COMMANDS = ROOT / "robult_study/commands.py"  # loads a command when it is called
OTHERS = [path for path in PACKAGES if path != LAZY_COMMANDS]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_import_hides_behind_a_string(path):
    assert "import_module" not in path.read_text()


@pytest.mark.parametrize("name", robult_core.__all__)
def test_every_public_name_resolves(name):
    assert getattr(robult_core, name) is not None


WHOLE_LIFE = """
import importlib, pkgutil, sys
import robult_core
for module in pkgutil.walk_packages(robult_core.__path__, "robult_core."):
    importlib.import_module(module.name)
data = robult_core.load("digits").standardized()
labeled = robult_core.label_split(data, 0.05, seed=0)
method = robult_core.make_method("robult", data.task, data.shapes, width=8)
robult_core.train(method, data, labeled, robult_core.TrainingConfig(steps=2))
robult_core.evaluate(method, data, data.rows("test")[:20], robult_core.patterns(data.names)[:2])
from safetensors.torch import save_file
save_file(method.state_dict(), sys.argv[1])
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_a_life_of_the_core_loads_nothing_of_the_study(tmp_path):
    """A fresh process imports every module of the core, trains, evaluates and saves a method.

    scikit-learn itself imports joblib, which is therefore not on the list, and pandas where it is
    there. So pandas is hidden: scikit-learn goes on without it, and a module of ours would fail.
    """
    done = run_without(["pandas"], WHOLE_LIFE, str(tmp_path / "weights.safetensors"))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & set(FORBIDDEN_IN_CORE) == set()


def test_citation_names_software_and_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == robult_core.__version__ == PROJECT["version"]
    assert [author["family-names"] for author in citation["references"][0]["authors"]] == [
        "Nguyen",
        "Kamboj",
        "Do",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_the_form_that_all_share(path):
    book = json.loads(path.read_text())
    assert book["metadata"]["kernelspec"] == {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    text = ["".join(cell["source"]) for cell in code]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert code[0]["metadata"]["tags"] == ["parameters"]
    assert text[0].split("\n") == [
        "profile = None",
        "data_sets = None",
        "seed = 0",
        "n_seeds = None",
        "output = None",
    ]
    assert "notebook = start(globals())" in text[1]
    assert "notebook.finish(" in text[-1]
    assert [source for source in text if source.count("\n") >= MOST_LINES] == []
    prose = "\n".join(
        "".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown"
    )
    assert len(re.findall(r"^# ", prose, re.MULTILINE)) == 1
    assert not re.search(
        r"(?:^|[\s\"'(=])(?:/(?:home|root|work|tmp|Users)/|\.\./)", prose + "\n".join(text)
    )


def shown(source: str) -> list[ast.Call]:
    """Calls of `notebook.show` in a code cell."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == "notebook.show"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_the_checklist_as_far_as_a_machine_can_tell(path):
    book = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)  # cell ids included
    assert len({cell["id"] for cell in book.cells}) == len(book.cells) <= 40
    assert book.cells[0].cell_type == "markdown"
    assert book.cells[0].source.startswith("# ")
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    prose = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "**Question.**" in prose
    assert re.search(r"(Run time|Expected time).*([Ss]econd|minute| s\b)", prose)
    assert "## What was learned" in prose
    assert re.search(r"does not show|Not shown", prose)
    for call in [call for source in code for call in shown(source)]:
        assert len(call.args) > 2 or "alt" in {keyword.arg for keyword in call.keywords}, (
            ast.unparse(call)
        )
        assert ast.unparse(call.args[1]).lstrip("f'").startswith(path.name[:3]), ast.unparse(call)


WITH_WIDGETS = {"01", "03", "08", "09"}  # the others may have some


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_widget_has_a_static_twin_and_says_how_to_use_it(path):
    book = nbformat.read(path, as_version=4)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    explorers = [i for i, source in enumerate(code) if re.search(r"(explorer|Slider)\(", source)]
    assert explorers or path.name[:2] not in WITH_WIDGETS
    prose = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    for i in explorers:
        near = code[max(0, i - 6) : i + 4]
        assert any(shown(source) for source in near), code[i]
        assert re.search(r"(?i)static|saved copies", prose)
        assert path.name[:2] not in WITH_WIDGETS or re.search(
            r"(?i)arrow keys|tab (and|moves)", prose
        )


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_links_to_what_exists(page):
    published = (ROOT / "reports/manifest.json").exists()
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    places = [(page.parent / link).resolve().relative_to(ROOT).as_posix() for link in links]
    wanted = [name for name in places if published or not name.startswith(("reports", "figures"))]
    assert [name for name in wanted if not (ROOT / name).exists()] == []


def test_the_readme_fits_a_reader_of_five_minutes():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 1000
    before_the_first_section = text.split("\n## ")[0]
    assert "](figures/" in before_the_first_section
    assert "make reproduce" in before_the_first_section
    assert "MultimodalClassifier" in before_the_first_section
    for path in NOTEBOOKS:
        assert path.name in text
    sources = "".join(path.read_text() for path in NOTEBOOKS)
    shown_here = re.findall(r"\(figures/(\w+)\.png\)", text)
    assert [name for name in shown_here if f'\\"{name}\\"' not in sources] == []


def between_marks(page: str, part: str) -> str:
    first, last = marks(part)
    return (ROOT / page).read_text().split(f"{first}\n")[1].split(last)[0].strip()


def test_the_numbers_of_the_pages_are_the_published_ones():
    found = as_list(findings(ROOT / "reports"))
    assert between_marks("README.md", "findings") == found.strip()
    assert between_marks("README.md", "answers") == answers_table(ROOT).strip()
    table = (ROOT / "reports/tables/04_headline.md").read_text()
    assert between_marks("docs/results.md", "results") == table.strip()
    assert between_marks("docs/results.md", "answers") == all_answers(ROOT).strip()
    assert (ROOT / "figures/README.md").read_text() == gallery(ROOT / "figures")


@pytest.mark.parametrize(("number", "queries"), ANSWERS.items())
def test_the_answer_of_a_notebook_is_that_of_the_published_run(number, queries):
    (path,) = ROOT.glob(f"notebooks/{number}_*.ipynb")
    first, last = marks("answer")
    cell = nbformat.read(path, as_version=4).cells[1].source
    shown, not_shown = cell.split(f"{first}\n")[1].split(last)
    assert shown.strip() == as_list(findings(ROOT / "reports", queries)).strip()
    assert not_shown.strip().startswith("**It does not show**")


def test_every_notebook_answers():
    assert list(ANSWERS) == [path.name[:2] for path in NOTEBOOKS]


def python_of(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_examples_of_the_own_data_run_one_after_another(tmp_path, monkeypatch):
    """In a folder with the two files that they name, of which one tells the class."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("robult_core.multimodal.FEWEST_STEPS", 60)
    monkeypatch.setattr("robult_core.multimodal.MOST_STEPS", 60)
    rng = np.random.default_rng(0)
    worn = rng.integers(0, 2, 200)
    state = np.where(rng.random(200) < 0.3, np.array(["good", "worn"])[worn], None)
    frame = pd.DataFrame(rng.normal(worn[:, None], 1, (200, 3)), columns=["p0", "p1", "p2"])
    frame.assign(state=state).to_csv("pressure.csv", index=False)
    pd.DataFrame(rng.normal(3 * worn[:, None], 1, (200, 2))).to_csv("vibration.csv", index=False)
    space: dict = {}
    for block in python_of("docs/own_data.md"):
        exec(block, space)
    assert (space["predicted"] == space["y"]).mean() > 0.6  # a third is chance
    truth = np.array(["good", "worn"])[worn[space["test"]]]
    assert (space["states"] == truth).mean() > 0.8
    assert np.isfinite(space["X_filled"]["audio"]).all()
    assert set(space["added"]) == {"text", "audio"}
    assert np.array_equal(space["same"], space["model"].predict(space["X"]))


def test_the_three_lines_of_the_readme_run():
    """On arrays whose sound tells the class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 100)
    text, audio = (rng.normal(2 * y[:, None], 1, (100, 4)) for _ in range(2))
    space = {"text": text, "audio": audio, "labels": np.where(rng.random(100) < 0.3, y, -1)}
    for block in python_of("README.md"):
        exec(block, space)
    assert (space["predicted"] == y).mean() > 0.8


@pytest.mark.parametrize("page", ["README.md", "docs/own_data.md"])
def test_the_commands_of_a_page_run_on_two_csv_files(page, tmp_path, monkeypatch):
    """Of which one holds the labels, empty where unknown, and the other tells the class."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 100)
    names = np.where(rng.random(100) < 0.3, np.array(["sad", "glad"])[y], "")
    text = [f"{value:.3f},{name}" for value, name in zip(rng.normal(y, 1), names, strict=True)]
    audio = [
        f"{first:.3f},{second:.3f}" for first, second in rng.normal(3 * y[:, None], 1, (100, 2))
    ]
    Path("text.csv").write_text("\n".join(["t0,label", *text]))
    for folder in (Path(), Path("new")):
        folder.mkdir(exist_ok=True)
        (folder / "audio.csv").write_text("\n".join(["a0,a1", *audio]))
    lines = re.findall(r"^robult (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    for command, *arguments in (shlex.split(line, comments=True) for line in lines):
        quick = ["--max-steps", "60"] if command == "fit" else []
        main([command, *arguments, *quick], standalone_mode=False)
    with open("predictions.csv", newline="") as handle:
        predicted = [row["prediction"] for row in csv.DictReader(handle)]
    assert (np.array(predicted) == np.array(["sad", "glad"])[y]).mean() > 0.8


def test_readme_says_how_to_install_the_method_alone():
    assert "\npip install .\n" in (ROOT / "README.md").read_text().split("\n## ")[0]


def test_nothing_is_installed_by_the_name_of_the_project():
    """It is on no index, so that pip would find nothing, or something else of that name."""
    pages = [ROOT / "README.md", ROOT / "data/README.md", *(ROOT / "docs").glob("*.md")]
    by_name = re.compile(r"""pip install ['"]?robult""")
    assert [path.name for path in [*PACKAGES, *pages] if by_name.search(path.read_text())] == []
