"""The checks behind every notebook's second cell, and how figures and tables are saved."""

from __future__ import annotations

import math
import string

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from robult_core.datasets import BUILTIN, available
from robult_study.settings import PARAMETERS, PROFILES, SettingsError, _picture, start

NONE = dict.fromkeys(PARAMETERS) | {"seed": 0}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("ROBULT_PROFILE", "ROBULT_JOBS", "ROBULT_SCHEDULER", "ROBULT_HEADLESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROBULT_OUT", str(tmp_path / "out"))


@pytest.fixture
def smoke(tmp_path):
    return start(NONE | {"profile": "smoke", "output": str(tmp_path / "mine")})


def test_profile_is_the_parameter_then_the_environment_then_quick(monkeypatch):
    assert start(NONE).profile == "quick"
    monkeypatch.setenv("ROBULT_PROFILE", "full")
    assert start(NONE).profile == "full"
    assert start(NONE | {"profile": "smoke"}).profile == "smoke"
    monkeypatch.setenv("ROBULT_PROFILE", "fast")
    with pytest.raises(SettingsError, match="profile is 'fast'"):
        start(NONE)


@pytest.mark.parametrize("profile", PROFILES)
def test_defaults_of_each_profile(profile):
    settings = start(NONE | {"profile": profile})
    assert settings.seeds == tuple(range(PROFILES[profile].seeds))
    assert settings.steps == PROFILES[profile].steps
    assert settings.data_sets == tuple(BUILTIN if profile == "smoke" else available())
    assert settings.smoke == (profile == "smoke")


def test_seed_shifts_the_seeds_and_fixes_the_generators():
    settings = start(NONE | {"seed": 3, "n_seeds": 2})
    first = torch.rand(3)
    start(NONE | {"seed": 3})
    assert settings.seeds == (3, 4)
    assert torch.equal(first, torch.rand(3))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"sede": 3}, "unknown parameter 'sede', did you mean 'seed'"),
        ({"lr": "1e-3"}, "unknown parameter 'lr'"),
        ({"seed": "3"}, "seed is '3': give a whole number"),
        ({"seed": 1e-3}, "seed is 0.001"),
        ({"seed": True}, "seed is True"),
        ({"seed": -1}, "seed is -1"),
        ({"n_seeds": 0}, "n_seeds is 0: give a whole number of at least 1"),
        ({"profile": "quik"}, "profile is 'quik', did you mean 'quick'"),
        ({"profile": 1}, "profile is 1"),
        ({"data_sets": "digit"}, "unknown data set 'digit', did you mean 'digits'"),
        ({"data_sets": 3}, "data_sets is 3"),
        ({"data_sets": []}, "data_sets is"),
        ({"output": 3}, "output is 3"),
    ],
)
def test_a_bad_parameter_is_one_clear_sentence(bad, message):
    with pytest.raises(SettingsError, match=message) as caught:
        start(NONE | bad)
    assert "\n" not in str(caught.value)


@given(
    st.text(string.ascii_lowercase, min_size=1).filter(
        lambda name: name not in (*PARAMETERS, "exit", "quit")
    )
)
def test_every_unknown_name_is_refused(name):
    with pytest.raises(SettingsError, match=f"unknown parameter '{name}'"):
        start(NONE | {"profile": "smoke", name: 1})


def test_what_a_notebook_defines_by_itself_is_no_parameter(smoke):
    namespace = NONE | {
        "In": [""],
        "Out": {},
        "_i": "",
        "math": math,
        "start": start,
        "profile": "smoke",
    }
    assert start(namespace).profile == "smoke"
    again = namespace | {
        "settings": smoke,
        "frame": pd.DataFrame(),
    }  # the cell is run a second time
    assert start(again).profile == "smoke"


def test_data_sets_as_text_or_list():
    assert start(NONE | {"data_sets": "digits, pid"}).data_sets == ("digits", "pid")
    assert start(NONE | {"data_sets": ["pid", "pid"]}).data_sets == ("pid",)


def test_a_data_set_that_is_not_there_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBULT_DATA", str(tmp_path))
    with pytest.raises(SettingsError, match=r"'cub10' is not in .*robult data get cub10"):
        start(NONE | {"data_sets": "cub10"})


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write to '.*file/out'.*ROBULT_OUT"):
        start(NONE | {"output": str(tmp_path / "file" / "out")})


def test_jobs_and_scheduler_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ROBULT_JOBS", "3")
    monkeypatch.setenv("ROBULT_SCHEDULER", "tcp://127.0.0.1:1")
    settings = start(NONE)
    assert (settings.jobs, settings.scheduler) == (3, "tcp://127.0.0.1:1")
    monkeypatch.setenv("ROBULT_JOBS", "many")
    with pytest.raises(SettingsError, match="ROBULT_JOBS is 'many'"):
        start(NONE)


def test_show_writes_png_pdf_csv_and_keeps_the_alt_text(smoke, capsys):
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    smoke.show(figure, "00_line", alt="A rising line.", data=pd.DataFrame({"x": [0, 1]}))
    folder = smoke.output / "figures"
    assert {path.name for path in folder.iterdir()} == {"00_line.png", "00_line.pdf", "00_line.csv"}
    with Image.open(folder / "00_line.png") as picture:
        assert picture.info["Description"] == "A rising line."
    assert (folder / "00_line.csv").read_text().split() == ["x", "0", "1"]
    assert not plt.fignum_exists(figure.number)
    assert "A rising line." in capsys.readouterr().out


@pytest.mark.parametrize(("profile", "marked"), [("smoke", True), ("quick", False)])
def test_smoke_figures_are_stamped(tmp_path, profile, marked):
    settings = start(NONE | {"profile": profile, "output": str(tmp_path)})
    figure, _ = plt.subplots()
    settings.show(figure, "f", alt="Empty axes.")
    assert ("smoke" in [text.get_text() for text in figure.texts]) == marked


def test_the_same_figure_twice_is_the_same_bytes(smoke):
    written = []
    for _ in range(2):
        figure, axes = plt.subplots()
        axes.plot([0, 1])
        smoke.show(figure, "f", alt="A line.")
        written.append(
            [(smoke.output / "figures" / f"f.{kind}").read_bytes() for kind in ("png", "pdf")]
        )
    assert written[0] == written[1]


def test_show_needs_alt_text_and_a_plain_name(smoke):
    figure = matplotlib.figure.Figure()
    with pytest.raises(SettingsError, match="has no alt text"):
        smoke.show(figure, "f", alt=" ")
    with pytest.raises(SettingsError, match=r"'\.\./f' cannot name a file"):
        smoke.show(figure, "../f", alt="x")


def test_table_saves_frame_and_styler(smoke):
    frame = pd.DataFrame({"method": ["robult"], "value": [0.12345]})
    smoke.table(frame, "plain", caption="Numbers")
    smoke.table(frame.set_index("method").style.format(precision=1), "styled", caption="Numbers")
    folder = smoke.output / "tables"
    assert pd.read_csv(folder / "plain.csv").equals(frame)
    assert pd.read_csv(folder / "styled.csv").equals(frame)
    assert "0.123<" in (folder / "plain.html").read_text().replace(" ", "")
    assert "Numbers" in (folder / "styled.html").read_text()


def test_progress_prints_a_line_per_item_when_nobody_watches(monkeypatch, capsys):
    monkeypatch.setenv("ROBULT_HEADLESS", "1")
    settings = start(NONE)
    assert list(settings.progress("ab", "letters")) == ["a", "b"]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "letters 1/2",
        "letters 2/2",
    ]


def test_finish_prints_the_watermark(smoke, capsys):
    smoke.finish()
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__.split('+')[0]}" in printed
    assert "profile smoke, seeds 0, 1" in printed
    assert str(smoke.output) not in printed


def test_a_front_end_gets_an_image_with_alt_text_and_a_saved_copy_a_png():
    live, saved = (_picture(b"png", 'a < "b"', headless) for headless in (False, True))
    assert live["text/html"] == '<img src="data:image/png;base64,cG5n" alt="a &lt; &quot;b&quot;">'
    assert saved == {"image/png": "cG5n", "text/plain": 'a < "b"'}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ROBULT_HEADLESS": "1", "JPY_SESSION_NAME": "x"}, True),
        ({"ROBULT_HEADLESS": "0"}, False),
        ({"JPY_SESSION_NAME": "x"}, False),
    ],
)
def test_headless_is_decided_by_the_front_end_or_by_the_user(monkeypatch, environment, expected):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert start(NONE | {"profile": "smoke"}).headless == expected


def test_cached_answers_come_back_without_the_work(tmp_path, monkeypatch):
    from sklearn.manifold import TSNE

    from robult_study.results import latents

    settings = start({"profile": "smoke", "output": str(tmp_path)})
    points = np.random.default_rng(0).normal(size=(12, 3))
    first = settings.cached(latents.embed)(points, "tsne")
    monkeypatch.setattr(TSNE, "fit_transform", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(settings.cached(latents.embed)(points, "tsne"), first)
    np.testing.assert_array_equal(
        start({"profile": "smoke", "output": str(tmp_path)}).cached(latents.embed)(points, "tsne"),
        first,
    )
    with pytest.raises(pytest.fail.Exception):  # other arguments are another question
        settings.cached(latents.embed)(points + 1, "tsne")
    for place in (
        "robult_study.runs.configuration.code_of",
        "robult_study.runs.configuration.numerics",
    ):  # other code, of its module or of a method
        with monkeypatch.context() as patch:
            patch.setattr(place, lambda *_: "another")
            changed = settings.cached(latents.embed)
        with pytest.raises(pytest.fail.Exception):
            changed(points, "tsne")
    monkeypatch.setattr("robult_study.settings.versions", lambda: {"scikit-learn": "another"})
    with pytest.raises(pytest.fail.Exception):
        settings.cached(latents.embed)(points, "tsne")
