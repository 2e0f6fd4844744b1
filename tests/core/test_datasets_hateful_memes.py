"""Hateful Memes from its lists: which files count, unlabelled ones, characters, damage."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from raw_sets import encoders, hateful, meme, picture, write_lines

from robult_core import datasets
from robult_core.datasets.files import DataError
from robult_study.data_commands import data as command

SPLITS = ("train", "valid", "test")


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch):
    monkeypatch.delenv("ROBULT_ENCODER", raising=False)


@pytest.mark.parametrize(
    ("dev", "test"),
    [("dev_seen", "test_seen"), ("dev", "test"), ("dev", "test_seen"), ("dev_seen", "test")],
)
def test_every_name_of_a_part_in_any_combination(tmp_path, dev, test):
    hateful(tmp_path, dev, test)
    data = datasets.load("hateful-memes", tmp_path, encoders=encoders())
    assert data.task.primary == "auroc"
    assert [len(data.rows(split)) for split in SPLITS] == [4, 2, 1]
    assert data.targets.tolist() == [0, 1, 0, 1, 0, 1, 1]
    assert data.present.tolist() == [
        [True, True, False, True, True, True, True],
        [True, True, True, False, True, True, True],
    ]
    for note in (
        "1 rows without a label left out.",
        "1 rows with a repeated id left out.",
        "1 samples without a usable text.",
        "1 samples without a usable image.",
    ):
        assert note in data.notes
    assert "missing in 1 of 7 samples" in str(data.describe())


def test_the_unlabelled_test_file_of_the_first_phase_is_refused(tmp_path):
    root = hateful(tmp_path, "dev", "test")
    write_lines(root / "test.jsonl", [meme(6, None, "dog"), meme(7, None, "cat")])
    message = r"test.jsonl' has no labels: get test_seen.jsonl"
    with pytest.raises(DataError, match=message):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())
    result = CliRunner().invoke(command, ["check", "hateful-memes", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "get test_seen.jsonl" in result.output


def test_an_empty_part_is_refused(tmp_path):
    root = hateful(tmp_path)
    (root / "dev_seen.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"dev_seen.jsonl' has no labels: get dev_seen.jsonl"):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())


def test_a_part_whose_rows_all_lack_text_and_image_is_refused(tmp_path):
    root = hateful(tmp_path)
    write_lines(root / "test_seen.jsonl", [meme(60, 1, " ")])
    with pytest.raises(
        DataError, match=r"the test part of 'hateful-memes' .* has no usable sample"
    ):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())


def test_captions_may_hold_what_unicode_calls_the_end_of_a_line(tmp_path):
    root = hateful(tmp_path)
    captions = ["one\u2028two", "three\u0085four", "five\u000bsix"]
    lines = [meme(20 + number, 1, text) for number, text in enumerate(captions)]
    write_lines(root / "train.jsonl", lines, encoding="utf-8-sig")  # with a byte-order mark
    for line in lines:
        picture(root / line["img"])
    data = datasets.load("hateful-memes", tmp_path, encoders=encoders())
    assert [data.display["text"][row] for row in data.rows("train")] == captions


def test_lines_may_end_as_on_windows(tmp_path):
    root = hateful(tmp_path)
    content = (root / "train.jsonl").read_bytes().replace(b"\n", b"\r\n")
    (root / "train.jsonl").write_bytes(content)
    data = datasets.load("hateful-memes", tmp_path, encoders=encoders())
    assert len(data.rows("train")) == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 9, "img"', "line 6 of .*train.jsonl' is no JSON"),
        ("[" * 100_000, "line 6 of .*train.jsonl' is no JSON"),
        ("[1, 2]", "line 6 of .* lacks id, img or text"),
        ('{"id": 9, "label": 1}', "line 6 of .* lacks id, img or text"),
        ('{"id": 9, "img": "a.png", "text": "", "label": "yes"}', "line 6 of .* the label 'yes'"),
        ('{"id": 9, "img": null, "text": ""}', "line 6 of .* has None as its img, expected a text"),
        ('{"id": 9, "img": "a.png", "text": ["a"]}', r"line 6 of .* has \['a'\] as its text"),
        ('{"id": 9, "img": "../a.png", "text": "", "label": 1}', "'../a.png', which leads out of"),
        ('{"id": 9, "img": "/etc/a.png", "text": "", "label": 1}', "'/etc/a.png', which leads out"),
    ],
)
def test_a_broken_line_is_named_by_its_number(tmp_path, line, message):
    root = hateful(tmp_path)
    with open(root / "train.jsonl", "a") as handle:
        handle.write(line)
    with pytest.raises(DataError, match=message):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())
    assert len(datasets.CATALOGUE["hateful-memes"].check(tmp_path)) == 1


def test_check_says_what_is_missing(tmp_path):
    root = hateful(tmp_path)
    result = CliRunner().invoke(command, ["check", "hateful-memes", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "missing: 1 of 8 images" in result.output
    assert "no encoder: set ROBULT_ENCODER" in result.output
    assert f"found: {root / 'train.jsonl'}" in result.output
    with pytest.raises(DataError, match="need a frozen encoder"):
        datasets.load("hateful-memes", tmp_path)


def test_partly_there_is_told_apart(tmp_path):
    root = hateful(tmp_path)
    (root / "test_seen.jsonl").unlink()
    result = CliRunner().invoke(command, ["check", "hateful-memes", "--folder", str(tmp_path)])
    assert f"found: {root / 'dev_seen.jsonl'}" in result.output
    names = f"{root / 'test_seen.jsonl'} or {root / 'test.jsonl'}"
    assert f"missing: {names}; put train.jsonl" in result.output
    with pytest.raises(DataError, match=r"lacks hateful_memes/test_seen.jsonl or .*test.jsonl in"):
        datasets.load("hateful-memes", tmp_path, encoders=encoders())
