"""What a notebook does: its start, its runs, and how figures and tables are saved."""

from __future__ import annotations
import __future__

import math
import re
import string
import sys
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from robult_study import notebook as module
from robult_study import plans
from robult_study.notebook import PARAMETERS, Notebook, picture_bundle, start
from robult_study.runs.configuration import RunConfig
from robult_study.settings import SettingsError

EMPTY = dict.fromkeys(PARAMETERS) | {"seed": 0}
SHORT = RunConfig("digits", "robult", hyper={"width": 16}, training={"steps": 5}, snapshots=(0,))


@pytest.fixture
def notebook(tmp_path) -> Notebook:
    return start(EMPTY | {"profile": "smoke", "output": str(tmp_path / "mine")})


# The second cell ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits():
    start(EMPTY | {"profile": "smoke", "seed": 3})
    first = torch.rand(3)
    start(EMPTY | {"profile": "smoke", "seed": 3})
    assert torch.equal(first, torch.rand(3))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sede": 3}, "unknown parameter 'sede', did you mean 'seed'"),
        ({"lr": "1e-3"}, "unknown parameter 'lr'"),
        ({"seed": "3"}, "seed of Parameters is '3'"),
    ],
)
def test_a_bad_parameter_is_one_clear_sentence(bad, message):
    with pytest.raises(SettingsError, match=message) as caught:
        start(EMPTY | bad)
    assert "\n" not in str(caught.value)


def is_free(name: str) -> bool:
    return name not in (*PARAMETERS, "exit", "quit")


@given(st.text(string.ascii_lowercase, min_size=1).filter(is_free))
def test_every_unknown_name_is_refused(name):
    with pytest.raises(SettingsError, match=f"unknown parameter '{name}'"):
        start(EMPTY | {"profile": "smoke", name: 1})


def test_what_a_notebook_defines_by_itself_is_no_parameter(notebook):
    shell = {"In": [""], "Out": {}, "_i": "", "math": math, "start": start}
    shell["annotations"] = __future__.annotations
    namespace = EMPTY | shell | {"profile": "smoke"}
    assert start(namespace).settings.profile == "smoke"
    later_cells = {"notebook": notebook, "settings": notebook.settings, "frame": pd.DataFrame()}
    assert start(namespace | later_cells).settings.profile == "smoke"  # the cell is run again


# Runs --------------------------------------------------------------------------------------------


def test_a_run_is_looked_up_by_its_configuration(notebook):
    table = notebook.run([SHORT])
    record = notebook.record(SHORT)
    assert record.key == table["key"].iloc[0]
    assert record.config["training"]["steps"] == 5
    trained = notebook.restore(SHORT, step=0)
    assert torch.equal(trained.state_dict()["c.weight"], record.weights(0)["c.weight"])


def test_the_records_of_a_table_come_in_its_order(notebook):
    table = notebook.run([replace(SHORT, seed=1), SHORT])
    records = notebook.records(table)
    assert [record.key for record in records] == list(table["key"].unique())
    notebook.settings.store.remove(records[0].key)
    gone = f"no record {records[0].key[:12]} any more: run the grid again"
    with pytest.raises(LookupError, match=gone):
        notebook.records(table)


def test_a_run_that_is_not_there_is_one_clear_sentence(notebook):
    with pytest.raises(LookupError, match=r"no record of robult on digits, seed 0.* notebook.run"):
        notebook.record(SHORT)
    notebook.run([SHORT])
    with_weights = replace(SHORT, keep_weights=True)
    with pytest.raises(LookupError, match="with these settings and files"):
        notebook.record(with_weights)


# Figures, tables, texts --------------------------------------------------------------------------


def line() -> matplotlib.figure.Figure:
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    return figure


def test_show_writes_png_pdf_csv_and_keeps_the_alt_text(notebook, capsys):
    figure = line()
    notebook.show(figure, "00_line", alt="A rising line.", data=pd.DataFrame({"x": [0, 1]}))
    folder = notebook.settings.output / "figures"
    assert {path.name for path in folder.iterdir()} == {"00_line.png", "00_line.pdf", "00_line.csv"}
    with Image.open(folder / "00_line.png") as picture:
        assert picture.info["Description"] == "A rising line."
    assert (folder / "00_line.csv").read_text().split() == ["x", "0", "1"]
    assert not plt.fignum_exists(figure.number)
    assert "A rising line." in capsys.readouterr().out


def test_who_cannot_see_a_figure_gets_its_message(notebook, capsys):
    figure = line()
    figure.suptitle("It rises\nby one")
    notebook.show(figure, "00_line", alt="A line.")
    assert "It rises by one. A line." in capsys.readouterr().out


def test_said_sentences_have_words_for_code_names(notebook, capsys):
    notebook.say("utd_mhad: robult", "mosi audio mae")
    assert capsys.readouterr().out == "UTD-MHAD: Robult\nMOSI audio mean absolute error\n"


def test_a_run_says_what_its_own_tables_answer(notebook, capsys):
    counts = pd.DataFrame(
        {"grade": ["not", "reproduced"], "our runs on the data at hand": [3, 1]}
    ).set_index("grade")
    notebook.table(counts, "05_claims_counted", "Grades")
    named = pd.DataFrame({"id": ["first"], "our runs on the data at hand": ["reproduced"]})
    notebook.table(named, "05_claims", "Grades by name")
    capsys.readouterr()
    notebook.learned("05")
    assert "Of the paper's 4 statements 1 are reproduced" in capsys.readouterr().out


@pytest.mark.parametrize(("profile", "marked"), [("smoke", True), ("quick", False)])
def test_smoke_figures_are_stamped(tmp_path, profile, marked):
    notebook = start(EMPTY | {"profile": profile, "output": str(tmp_path)})
    figure = line()
    notebook.show(figure, "f", alt="A line.")
    assert ("smoke" in [text.get_text() for text in figure.texts]) == marked


def test_the_same_figure_twice_is_the_same_bytes(notebook):
    folder = notebook.settings.output / "figures"
    written = []
    for _ in range(2):
        notebook.show(line(), "f", alt="A line.")
        written.append([(folder / name).read_bytes() for name in ("f.png", "f.pdf")])
    assert written[0] == written[1]


def test_show_needs_alt_text_and_a_plain_name(notebook):
    figure = matplotlib.figure.Figure()
    with pytest.raises(SettingsError, match="has no alt text"):
        notebook.show(figure, "f", alt=" ")
    with pytest.raises(SettingsError, match=r"'\.\./f' cannot name a file"):
        notebook.show(figure, "../f", alt="x")


def test_table_saves_frame_and_styler(notebook):
    frame = pd.DataFrame({"method": ["action_mae"], "value": [0.12345]})
    notebook.table(frame, "plain", caption="Numbers")
    notebook.table(frame.set_index("method").style.format(precision=1), "styled", caption="Numbers")
    folder = notebook.settings.output / "tables"
    assert pd.read_csv(folder / "plain.csv").equals(frame)
    assert pd.read_csv(folder / "styled.csv").equals(frame)
    assert "0.123<" in (folder / "plain.html").read_text().replace(" ", "")
    assert "Numbers" in (folder / "styled.html").read_text()
    assert 'class="row_heading' not in (folder / "plain.html").read_text()
    assert 'class="row_heading' in (folder / "styled.html").read_text()
    for name in ("plain", "styled"):  # words for readers, names of the code in the file
        markup = (folder / f"{name}.html").read_text()
        assert "ActionMAE" in markup
        assert "action_mae" not in markup


def test_a_table_without_rows_is_a_table(notebook):
    frame = pd.DataFrame({"method": ["gmc"], "value": [0.5]}).iloc[:0]
    notebook.table(frame, "empty", caption="Nothing is decided")
    markup = (notebook.settings.output / "tables/empty.html").read_text()
    assert {"method", "value"} <= set(_cells(markup))


def test_a_table_says_in_words_what_it_is_indexed_by(notebook):
    index = pd.MultiIndex.from_tuples([("utd_mhad", "x1")], names=["data_set", "pattern"])
    frame = pd.DataFrame({"prompt_trans": [1.0], "mean": [2.0]}, index=index)
    notebook.table(frame, "indexed", caption="Numbers")
    markup = (notebook.settings.output / "tables/indexed.html").read_text()
    assert {"data set", "UTD-MHAD", "Prompt-Trans (small backbone)"} <= set(_cells(markup))
    assert {"x^1", "mean"} <= set(_cells(markup))  # no marks of formulas; "mean" is no remedy


def _cells(markup: str) -> list[str]:
    return [cell.strip() for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", markup)]


def test_a_text_is_written_beside_the_tables(notebook):
    notebook.write("04_headline.md", "| ü |\n")
    written = notebook.settings.output / "tables" / "04_headline.md"
    assert written.read_text(encoding="utf-8") == "| ü |\n"
    with pytest.raises(SettingsError, match=r"neither \.md nor \.csv"):
        notebook.write("04_headline.txt", "")
    with pytest.raises(SettingsError, match="cannot name a file"):
        notebook.write("../README.md", "")


def test_progress_leaves_nothing_in_a_copy_that_nobody_watched(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("ROBULT_HEADLESS", "1")
    notebook = start(EMPTY | {"output": str(tmp_path)})
    assert list(notebook.progress("ab", "letters")) == ["a", "b"]
    output = capsys.readouterr()
    assert output.out == output.err == ""


def test_progress_is_a_bar_when_someone_watches(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("ROBULT_HEADLESS", "0")
    notebook = start(EMPTY | {"output": str(tmp_path)})
    assert list(notebook.progress("ab", "letters")) == ["a", "b"]
    output = capsys.readouterr()
    assert output.out == ""
    assert "letters" in output.err


def test_stop_says_why_and_ends_without_an_error(notebook, capsys):
    with pytest.raises(SystemExit) as ended:
        notebook.stop("there is nothing to do")
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "there is nothing to do"
    assert re.fullmatch(r"this run took \d{1,3} s", lines[-1])


def test_answers_are_kept_in_the_folder_of_results(notebook):
    assert notebook.cached(plans.narrow_map_units)("pid") == 4
    assert (notebook.settings.output / "cache" / "answers").is_dir()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"commit": "0123456789abcdef", "dirty": True}, "0123456789ab, with local changes"),
        ({"commit": "0123456789abcdef", "dirty": False}, "0123456789ab"),
        ({"commit": None, "dirty": None}, "not a git repository"),
    ],
)
def test_the_watermark_names_the_commit(monkeypatch, state, words):
    monkeypatch.setattr(module, "git_state", lambda folder: state)
    assert module._commit() == words


def test_a_kernel_displays_the_picture_with_its_alt_text(monkeypatch, notebook):
    shown = []
    monkeypatch.setitem(sys.modules, "ipykernel", module)
    monkeypatch.setattr(
        "IPython.display.display", lambda *bundle, **how: shown.append((bundle, how))
    )
    for bundle, metadata in (
        ({"image/png": "cG5n", "text/plain": "A line."}, {"image/png": {"alt": "A line."}}),
        ({"text/html": "<p>", "text/plain": "A line."}, {}),
    ):
        module._display(bundle)
        assert shown.pop() == ((bundle,), {"metadata": metadata, "raw": True})


def test_finish_prints_the_watermark(notebook, capsys):
    notebook.finish()
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__.split('+')[0]}" in printed
    assert "profile smoke, seeds 0, 1" in printed
    assert str(notebook.settings.output) not in printed


def test_a_front_end_gets_an_image_with_alt_text_and_a_saved_copy_a_png():
    live = picture_bundle(b"png", 'a < "b"', headless=False)
    saved = picture_bundle(b"png", 'a < "b"', headless=True)
    assert live["text/html"] == '<img src="data:image/png;base64,cG5n" alt="a &lt; &quot;b&quot;">'
    assert saved == {"image/png": "cG5n", "text/plain": 'a < "b"'}
