"""`robult data`: what is listed, checked and fetched, and what a user reads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from option_facts import option_facts
from public_sets import mirror
from raw_sets import hateful, kaggle_food

from robult_core import datasets
from robult_core.datasets import DataError
from robult_study import data_commands
from robult_study.data_commands import data as command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Calls the command on an empty data folder; returns exit code and output."""
    monkeypatch.delenv("ROBULT_ENCODER", raising=False)

    def call(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command, [*arguments, "--folder", str(tmp_path)])
        return result.exit_code, result.output

    return call


def line_of(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.split()[:1] == [name])


def test_list_names_the_file_that_is_there_and_the_alternatives_of_those_that_are_not(
    run, tmp_path
):
    (tmp_path / "cmu-mosi").mkdir()
    (tmp_path / "cmu-mosi/mosi_raw.pkl").write_bytes(b"")
    hateful(tmp_path, dev="dev")
    kaggle_food(tmp_path)
    code, output = run("list")
    assert code == 0
    assert line_of(output, "digits").endswith("built in")
    assert line_of(output, "digits").split()[1] == "yes"
    assert line_of(output, "mosei-mult").split()[1] == "no"
    assert line_of(output, "mosi-mult").endswith("cmu-mosi/mosi_raw.pkl")
    assert "cmu-mosei/mosei_senti_data.pkl or cmu-mosei/mosei_data.pkl" in line_of(
        output, "mosei-mult"
    )
    assert "run 'robult data get handwritten'" in line_of(output, "handwritten")
    assert "hateful_memes/train.jsonl" in line_of(output, "hateful-memes")
    assert "food101/texts/train_titles.csv" in line_of(output, "food101")
    assert "ROBULT_ENCODER" in output
    assert "data/README.md" in output


def test_check_names_files_alternatives_encoder_and_guide(run, tmp_path):
    code, output = run("check", "cub10", "digits", "mosi-mult", "hateful-memes")
    assert code == 1
    path = f"{tmp_path}/cub10/cub_googlenet_doc2vec_c10.mat"
    assert f"missing: {path}; run 'robult data get cub10'" in output
    mosi = f"{tmp_path}/cmu-mosi/mosi_data.pkl or {tmp_path}/cmu-mosi/mosi_raw.pkl"
    assert f"missing: {mosi}; put mosi_data.pkl or mosi_raw.pkl as MulT publishes it" in output
    assert "digits: in order" in output
    assert "data/README.md" in output


def test_check_of_everything_says_where_each_set_goes(run):
    code, output = run("check", "all")
    assert code == 1
    for advice in (
        "put multimodal_imdb.hdf5 into mm-imdb/",
        "put train.jsonl",
        "put class_idx.json",
        "digits: in order",
    ):
        assert advice in output


def test_get_then_check_with_the_card(run, data_folder):
    with mirror(data_folder) as (_, address):
        code, output = run("get", "cub10", "--base-url", address)
    assert (code, "cub10: written to" in output) == (0, True)
    code, output = run("check", "cub10", "--card")
    assert (code, "1024 features" in output) == (0, True)


def test_what_cannot_be_had_is_said(run):
    code, output = run("get", "food101")
    assert (code, "cannot be downloaded" in output) == (1, True)
    code, output = run("check", "nope")
    assert (code, "unknown data set 'nope'" in output) == (1, True)


def test_files_of_your_own_are_looked_for_in_the_folder(run, tmp_path):
    np.savez(tmp_path / "mine.npz", text=np.zeros((10, 1)), y=np.arange(10) % 2)
    code, output = run("check", "mine.npz")
    assert (code, "mine: in order" in output) == (0, True), output


def test_the_card_shows_everything(data_folder):
    card = "\n".join(datasets.load("mosi", data_folder).describe().values())
    for item in (
        "384 features, missing in 0 of 2199",
        "1284 train, 229 valid, 686 test",
        "rounded; mean",
        "research use",
    ):
        assert item in card
    digits = datasets.load("digits").describe()
    assert "0: 124, 1: 127" in digits["labels, train"]
    assert digits["checksum"] == datasets.load("digits").checksum


# On made-up sets


def refused(folder, base_url):
    raise DataError("it cannot be reached: try again")


@pytest.fixture
def made_up(monkeypatch):
    """A set that nobody offers, one that cannot be reached, and one that comes."""
    shared = {"files": lambda folder: ["a.txt", "b.txt"], "warnings": lambda folder: ["old"]}
    card = SimpleNamespace(describe=lambda: {"name": "good", "task": "none"})
    sets = {
        "offline": {"downloadable": False, "check": lambda folder: ["a is odd", "b is odd"]},
        "refused": {"downloadable": True, "get": refused, "check": lambda folder: ["c is odd"]},
        "good": {
            "downloadable": True,
            "get": lambda folder, base_url: ["good: written", "good: checked"],
            "check": lambda folder: [],
            "load": lambda folder: card,
        },
    }
    catalogue = {name: SimpleNamespace(name=name, **shared, **own) for name, own in sets.items()}
    monkeypatch.setattr(data_commands, "CATALOGUE", catalogue)
    return catalogue


def test_get_all_leaves_out_what_nobody_offers_and_goes_on_after_a_failure(made_up, tmp_path):
    result = CliRunner().invoke(command, ["get", "all", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stdout == "good: written\ngood: checked\n"
    assert result.stderr == "refused: it cannot be reached: try again\n"
    del made_up["refused"]
    assert CliRunner().invoke(command, ["get", "all", "--folder", str(tmp_path)]).exit_code == 0


def test_check_names_what_is_found_what_is_wrong_and_what_is_odd(made_up, tmp_path):
    (tmp_path / "b.txt").write_text("")
    result = CliRunner().invoke(command, ["check", "all", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "offline: 2 problem(s)",
        f"  found: {tmp_path / 'b.txt'}",
        "  a is odd",
        "  b is odd",
        "refused: 1 problem(s)",
        f"  found: {tmp_path / 'b.txt'}",
        "  c is odd",
        "good: in order",
        "  warning: old",
        data_commands.GUIDE,
    ]


def test_the_card_follows_where_it_is_asked_for(made_up, tmp_path):
    for name in ("offline", "refused"):
        del made_up[name]
    result = CliRunner().invoke(command, ["check", "all", "--card", "--folder", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output.splitlines()[2:] == ["name  good", "task  none"]


def test_columns_are_as_wide_as_their_longest_text(capsys):
    data_commands._print_columns([("a", "bb", "the last"), ("aaa", "b", "one")])
    assert capsys.readouterr().out == "a    bb  the last\naaa  b   one\n"


OPTIONS = {
    "get": {
        "names": "String, required, nargs -1",
        "folder": "Path, file_okay True, dir_okay True",
        "base_url": "String",
    },
    "check": {
        "names": "String, required, nargs -1",
        "folder": "Path, file_okay True, dir_okay True",
        "cards": "Bool, is_flag",
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_ask_for_what_they_promise(name):
    assert option_facts(command.commands[name]) == OPTIONS[name]
