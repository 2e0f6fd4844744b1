"""Small notebooks run as `robult reproduce` runs the real ones: one good, one that fails, one that hangs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from robult_study.cli import main
from robult_study.report import publish as publishing
from robult_study.report import reproduce as running
from robult_study.results import variants as ablations
from robult_study.runs.grid import GUESS_SECONDS, clock
from robult_study.settings import SettingsError, read_settings

pytestmark = pytest.mark.xdist_group(
    "reproduce"
)  # one worker: the run of the fixture `run` is shared
PARAMETERS = "profile = None\ndata_sets = None\nseed = 0\nn_seeds = None\noutput = None"
START = "from robult_study.notebook import start\n\nnotebook = start(globals())\nsettings = notebook.settings"
GOOD = [
    START,
    "import matplotlib.pyplot as plt\nimport pandas as pd\n\nfigure, axes = plt.subplots()\naxes.plot([1, 2])\n"
    "frame = pd.DataFrame({'x': [1.0, 2.0]})\nnotebook.show(figure, '01_line', alt='A \"rising\" line', data=frame)",
    "notebook.table(frame, '01_numbers', caption='Numbers')",
    "import ipywidgets\n\nprint(__import__('os').getcwd(), settings.jobs, settings.headless)\nipywidgets.FloatSlider()",
]


def write_notebook(path: Path, *code: str) -> None:
    text = f"# Title of {path.stem}\n\nEquation $x_1 < y$ and\n\n$$\\begin{{aligned}} a &= b \\end{{aligned}}$$\n\ncode `$x$`, $5."
    cells = [new_markdown_cell(text), new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    book = new_notebook(cells=[*cells, *map(new_code_cell, code)], metadata={"kernelspec": kernel})
    nbformat.write(book, path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A repository with a failing and a good notebook, run once through the command line."""
    root = tmp_path_factory.mktemp("repository")
    write_notebook(
        root / "notebooks/01_bad.ipynb",
        "print('before')",
        "# why\nvalue = 1\nvalue / 0",
        "print('never')",
    )
    write_notebook(root / "notebooks/02_good.ipynb", *GOOD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "repository", lambda: root)
        arguments = [
            "reproduce",
            "--profile",
            "quick",
            "--data-sets",
            "pid",
            "--jobs",
            "1",
            "--output",
            str(root / "out/quick"),
        ]
        result = CliRunner().invoke(main, arguments)
    return root, root / "out/quick", result


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_a_failure_names_the_cell_and_the_error_and_stops_no_other(run):
    _, output, result = run
    assert result.exit_code == 1
    assert re.search(
        r"\[1/2\] 01_bad: failed, \d+ s\n    cell 4 \(# why\) raised ZeroDivisionError: division by zero",
        result.output,
    )
    assert re.search(r"\[2/2\] 02_good: ok, \d+ s", result.output)
    assert "1 of 2 notebooks ok" in result.output
    entries = manifest(output)["notebooks"]
    assert {name: entry["status"] for name, entry in entries.items()} == {
        "01_bad": "failed",
        "02_good": "ok",
    }


def test_the_start_says_what_runs_how_long_and_where_results_go(run):
    lines = run[2].output.splitlines()
    assert re.match(r"profile quick, 3 seeds, about \d+ min: 01_bad, 02_good", lines[0])
    assert lines[1].startswith("data: pid; without digits")
    assert re.match(r"0 finished runs are there and reused; results go to .*quick", lines[2])


def test_a_full_profile_says_how_many_runs_and_how_long(tmp_path):
    settings = read_settings(
        {"profile": "full", "data_sets": "pid", "n_seeds": 2, "output": str(tmp_path)}
    )
    said: list[str] = []
    books = [
        Path("05_critical_difference.ipynb"),
        Path("06_ablations.ipynb"),
        Path("07_sweeps.ipynb"),
    ]
    running._announce(books, settings, {}, said.append, jobs=2)
    variants = len(ablations.TERMS) + 1 + len(ablations.switches())
    runs = 2 * (
        variants + 6 * len(running.SHARES)
    )  # Robult's and GMC's plain runs are among those of the label shares
    words = f"grids of notebooks 06, 07 with 2 jobs, an upper bound: {runs} runs, 0 of them in store/; expected time"
    assert said[-1].startswith(words)
    assert said[-1].endswith(clock(runs * GUESS_SECONDS / 2))
    running._announce([Path("01_pid_motivation.ipynb")], settings, {}, said.append)
    assert "grids" not in said[-1]


def test_the_forecast_knows_the_shares_of_notebook_07():
    text = (Path(running.__file__).parents[2] / "notebooks/07_sweeps.ipynb").read_text()
    assert str(running.SHARES) in text


def test_partial_output_is_kept(run):
    text = (run[1] / "01_bad.ipynb").read_text()
    assert "before\\n" in text
    assert "ZeroDivisionError" in text
    assert "ZeroDivisionError" in (run[1] / "01_bad.html").read_text()


def test_the_kernel_gets_folder_jobs_and_headless(run):
    root, output, _ = run
    assert f"{root / 'notebooks'} 1 True" in (output / "02_good.html").read_text()


def test_pages_need_no_network_and_describe_every_image(run):
    for page in run[1].glob("*.html"):
        soup = BeautifulSoup(page.read_text(), "html.parser")
        assert not soup("script")
        assert not [
            tag
            for tag in soup.select("[src], link[href]")
            if str(tag.get("src") or tag.get("href")).startswith(("http", "//"))
        ]
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", page.read_text())
        assert all(
            image.get("alt") not in (None, "", "No description has been provided for this image")
            for image in soup("img")
        )
    assert (
        BeautifulSoup((run[1] / "02_good.html").read_text(), "html.parser").img["alt"]
        == 'A "rising" line'
    )


def test_equations_become_mathml_and_code_stays(run):
    soup = BeautifulSoup((run[1] / "02_good.html").read_text(), "html.parser")
    assert [formula["display"] for formula in soup("math")] == ["inline", "block"]
    assert len(soup.select("math mtr mtd")) == 2
    assert soup.find("code", string="$x$") is not None
    assert "$5." in soup.get_text()


def test_widgets_are_left_out(run):
    assert "FloatSlider(" not in (run[1] / "02_good.ipynb").read_text().replace(
        "ipywidgets.FloatSlider(", ""
    )
    assert "widgets" not in nbformat.read(run[1] / "02_good.ipynb", 4).metadata


def test_every_hash_in_the_manifest_is_right_and_nothing_is_missing(run):
    output, found = run[1], manifest(run[1])
    for name, digest in found["files"].items():
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == digest, name
    written = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert written == set(found["files"]) | {"manifest.json"}  # no draft is left either


def test_the_manifest_says_how_the_numbers_were_made(run):
    found = manifest(run[1])
    assert found["parameters"] == {"profile": "quick", "data_sets": "pid"}
    assert set(found["data"]) == {"pid"}
    assert re.fullmatch("[0-9a-f]{64}", found["data"]["pid"])
    assert {"python", "torch"} <= set(found["versions"])
    assert found["hardware"]["cores"] >= 1
    assert {"commit", "dirty"} == set(found["git"])


def test_the_index_links_what_is_there(run):
    soup = BeautifulSoup((run[1] / "index.html").read_text(), "html.parser")
    links = {tag["href"] for tag in soup("a")} | {tag["src"] for tag in soup("img")}
    assert {
        "02_good.html",
        "02_good.ipynb",
        "figures/01_line.png",
        "figures/01_line.csv",
        "tables/01_numbers.html",
    } <= links
    assert all((run[1] / link).exists() for link in links)


def test_only_runs_some_and_keeps_the_entries_of_the_others(run, monkeypatch, tmp_path):
    root = run[0]
    output = tmp_path / "out"
    shutil.copytree(run[1], output)
    before = manifest(output)
    before["notebooks"].pop("01_bad")  # it comes later, and stands first all the same
    (output / "manifest.json").write_text(json.dumps(before))
    write_notebook(root / "notebooks/01_bad.ipynb", "print('repaired')")
    outcomes = running.reproduce(
        "quick",
        only=["01"],
        data_sets="pid",
        output=str(output),
        folder=root / "notebooks",
        say=lambda _: None,
    )
    assert [outcome.status for outcome in outcomes] == ["ok"]
    found = [(name, entry["status"]) for name, entry in manifest(output)["notebooks"].items()]
    assert found == [("01_bad", "ok"), ("02_good", "ok")]


def test_a_hanging_cell_is_stopped_and_its_output_kept(tmp_path):
    path = tmp_path / "03_hang.ipynb"
    write_notebook(path, "import time\n\nprint('waiting', flush=True)\ntime.sleep(600)")
    outcome = running.run_notebook(path, tmp_path, {}, cell_seconds=3.0)
    assert outcome.status == "failed"
    assert outcome.error.startswith(
        "cell 3 (import time) raised CellTimeoutError: A cell timed out"
    )
    assert outcome.seconds < 60
    text = (tmp_path / "03_hang.ipynb").read_text()
    assert "waiting\\n" in text
    assert "stopped here: CellTimeoutError" in text


def test_a_kernel_that_fails_to_start_is_tried_once_more(tmp_path, monkeypatch):
    path, calls = tmp_path / "01_a.ipynb", []
    write_notebook(path, "print(1)")
    monkeypatch.setattr(
        running,
        "_execute",
        lambda *arguments: calls.append(arguments) or RuntimeError("Kernel died before replying"),
    )
    outcome = running.run_notebook(path, tmp_path, {}, 3.0)
    assert len(calls) == 2
    assert outcome.error == "the kernel did not start: RuntimeError: Kernel died before replying"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["07"]}, "no notebook starts with '07': there are 01_a"),
        ({"profile": "fast"}, "profile is 'fast'"),
        ({"data_sets": "digit"}, "did you mean 'digits'"),
        ({"output": "/dev/null/out"}, "cannot write to '/dev/null/out'"),
    ],
)
def test_a_wrong_option_is_told_before_anything_runs(tmp_path, options, message):
    write_notebook(tmp_path / "01_a.ipynb", "1")
    with pytest.raises(SettingsError, match=message):
        running.reproduce(
            **{"profile": "smoke", "output": str(tmp_path / "out")} | options, folder=tmp_path
        )
    assert not (tmp_path / "out/01_a.ipynb").exists()


@pytest.fixture
def whole(run, tmp_path, monkeypatch):
    """A repository whose only notebook ran well on every data set (here: pid)."""
    shutil.copytree(run[1], tmp_path / "out/quick")
    write_notebook(tmp_path / "notebooks/02_good.ipynb", *GOOD)
    content = manifest(run[1])
    del content["notebooks"]["01_bad"]
    (tmp_path / "out/quick/manifest.json").write_text(json.dumps(content))
    monkeypatch.setattr(publishing, "_all_sets", lambda: ["pid"])
    return tmp_path, content


def test_publish_copies_a_whole_run_without_paths_of_this_machine(whole, run):
    root, _ = whole
    page = root / "out/quick/02_good.html"
    assert str(run[0]) in page.read_text()
    content = json.loads((root / "out/quick/manifest.json").read_text())
    page.write_text(page.read_text().replace(str(run[0]), str(root)))  # as if it had run here
    content["files"]["02_good.html"] = hashlib.sha256(page.read_bytes()).hexdigest()
    (root / "out/quick/manifest.json").write_text(json.dumps(content))
    (root / "reports").mkdir()
    (root / "reports/README.md").write_text("kept")
    publishing.publish("quick", root=root, say=lambda _: None)
    names = {path.name for path in (root / "reports").iterdir()}
    assert names == {
        "02_good.ipynb",
        "02_good.html",
        "index.html",
        "manifest.json",
        "tables",
        "README.md",
    }
    assert {path.name for path in (root / "figures").iterdir()} == {
        "01_line.png",
        "01_line.pdf",
        "01_line.csv",
    }
    assert str(root) not in (root / "reports/02_good.html").read_text()
    soup = BeautifulSoup((root / "reports/index.html").read_text(), "html.parser")
    assert all((root / "reports" / tag["src"]).exists() for tag in soup("img"))
    for name, digest in manifest(root / "reports")["files"].items():
        path = root / name if name.startswith("figures/") else root / "reports" / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_publishing_again_removes_what_is_gone(whole):
    root, _ = whole
    publishing.publish("quick", root=root, say=lambda _: None)
    stale = manifest(root / "reports")
    stale["files"]["tables/old.csv"] = ""
    (root / "reports/tables/old.csv").write_text("old")
    (root / "reports/manifest.json").write_text(json.dumps(stale))
    (root / "figures/screenshots").mkdir()
    (root / "figures/screenshots/01.png").write_bytes((root / "figures/01_line.png").read_bytes())
    for _ in range(2):
        publishing.publish("quick", root=root, say=lambda _: None)
    assert (
        root / "figures/screenshots/01.png"
    ).exists()  # not of a run: neither listed nor removed
    assert "figures/screenshots/01.png" not in manifest(root / "reports")["files"]
    assert not (root / "reports/tables/old.csv").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(profile="smoke"), "a smoke run is not published"),
        (
            lambda m: m["notebooks"]["02_good"].update(status="failed"),
            "notebook 02_good is failed in this run",
        ),
        (lambda m: m["notebooks"].clear(), "notebook 02_good is not run in this run"),
        (
            lambda m: m["notebooks"]["02_good"].update(data=["digits"]),
            "notebook 02_good ran without pid",
        ),
        (
            lambda m: m["files"].update({"figures/01_line.png": "0"}),
            "'figures/01_line.png' is missing or changed",
        ),
    ],
)
def test_publish_refuses(whole, change, message):
    root, content = whole
    change(content)
    (root / "out/quick/manifest.json").write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=message):
        publishing.publish("quick", root=root)
    assert not (root / "reports").exists()


def test_publish_without_a_run_says_what_to_do(tmp_path):
    write_notebook(tmp_path / "notebooks/01_a.ipynb")
    with pytest.raises(SettingsError, match="run 'make reproduce' first"):
        publishing.publish("quick", root=tmp_path)


def test_publish_renews_the_results_of_the_readme(tmp_path):
    readme, (first, last) = tmp_path / "README.md", publishing.MARKS
    readme.write_text(f"before\n{first}\nold | numbers\n{last}\nafter\n")
    for table in ("| a |\n| - |\n| \\1 |\n", "| b |\n"):
        assert publishing.renew_readme(readme, table)
        assert readme.read_text() == f"before\n{first}\n\n{table}\n{last}\nafter\n"
    readme.write_text("no marks\n")
    assert not publishing.renew_readme(readme, "| a |\n")
    assert readme.read_text() == "no marks\n"


def test_scrub_replaces_whole_paths_only(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBULT_DATA", "/data/sets")
    monkeypatch.setenv("HOME", "/")
    assert publishing.scrub("a / b, file:///a/repo/f.png", Path("/a/repo")) == "a / b, ./f.png"
    text = (
        'File "/a/repo/x.py", /a/repo2/y, /b/a/repo/z, /data/sets/mosi and /tmp/ipykernel_12/345.py'
    )
    expected = 'File "./x.py", /a/repo2/y, /b/a/repo/z, $ROBULT_DATA/mosi and <cell>'
    assert publishing.scrub(text, Path("/a/repo")) == expected
