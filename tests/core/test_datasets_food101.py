"""UPMC Food-101 in both layouts: the lists of the prompts code, and the titles as on Kaggle."""

from __future__ import annotations

import pytest
from raw_sets import FOOD_INDEX, encoders, food, kaggle_food, write_json

from robult_core import datasets
from robult_core.datasets.files import DataError


def load(folder):
    return datasets.load("food101", folder, encoders=encoders())


def test_the_lists_of_the_prompts_code(tmp_path):
    food(tmp_path)
    data = load(tmp_path)
    assert data.targets.tolist() == [99, 100, 100, 99]
    assert data.split.tolist() == ["train", "train", "valid", "test"]
    assert (data.class_names[99], data.class_names[100]) == ("frozen_yogurt", "tacos")
    assert "1 samples with neither text nor readable image left out." in data.notes
    assert "1 files whose class is not in class_idx.json left out." in data.notes


def test_the_titles_as_kaggle_gives_them(tmp_path):
    kaggle_food(tmp_path)
    assert datasets.CATALOGUE["food101"].missing(tmp_path) == ()
    data = load(tmp_path)
    assert data.split.tolist() == ["train", "train", "test", "test"]
    assert data.display["text"][0] == 'Pie, with "apples"\nand cream'
    assert data.targets.tolist() == [0, 1, 0, 1]  # in alphabetical order
    assert data.class_names[:3] == ("apple_pie", "tacos", "class 2")
    implied = "Split as texts/*.csv imply: 2 train, 2 test, no validation part."
    assert implied in data.notes
    assert data.present[0].tolist() == [True, True, False, True]  # a title is empty
    assert data.display["image"][2].endswith("images/test/apple_pie/apple_pie_7.jpg")


def test_titles_with_a_line_of_headings_and_the_numbers_of_the_prompts_code(tmp_path):
    root = kaggle_food(tmp_path)
    path = root / "texts/train_titles.csv"
    path.write_text("image,title,class\n" + path.read_text(encoding="utf-8-sig"), newline="")
    write_json(root / "class_idx.json", {"tacos": 0, "apple_pie": 55})
    data = load(tmp_path)
    assert data.targets.tolist() == [55, 0, 55, 0]
    assert data.class_names[55] == "apple_pie"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tacos_9.jpg,no class\n", "row that ends in line 4 of .* has 2 columns, expected 3"),
        ("../../tacos_9.jpg,text,tacos\n", "names '../../tacos_9.jpg', which is no name of a file"),
        ("tacos_9.jpg,text,..\n", "names '..', which is no name of a file"),
    ],
)
def test_damaged_titles(tmp_path, line, message):
    root = kaggle_food(tmp_path)
    with open(root / "texts/train_titles.csv", "a") as handle:
        handle.write(line)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_titles_of_a_class_that_the_numbers_lack(tmp_path):
    root = kaggle_food(tmp_path)
    write_json(root / "class_idx.json", {"tacos": 0})
    with pytest.raises(DataError, match=r"2 classes, first unknown \['apple_pie'\]"):
        load(tmp_path)


def test_a_file_that_is_not_utf_8(tmp_path):
    root = kaggle_food(tmp_path)
    (root / "texts/test_titles.csv").write_bytes(b"tacos_8.jpg,caf\xe9,tacos\n")
    with pytest.raises(DataError, match="cannot be read as a table of titles"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("split", [1], "split.json' holds a list, expected an object"),
        ("split", {"train": "abc"}, "'train' in .*split.json' is no list of names"),
        ("split", {"train": ["../tacos_1.jpg"]}, "names '../tacos_1.jpg', which is no name of a"),
        (
            "split",
            {"train": ["tacos_2.jpg"], "test": []},
            "the test part of 'food101' in .* has no usable sample",
        ),
        ("class_idx", FOOD_INDEX | {"tacos": 99}, "does not number its classes from 0 to 100"),
        ("class_idx", FOOD_INDEX | {"tacos": 101}, "does not number its classes"),
        ("class_idx", FOOD_INDEX | {"tacos": "1"}, "does not number its classes"),
        ("text", {"tacos_2.jpg": ["words"]}, "'tacos_2.jpg' in .*text.json' is .*, no text"),
        ("text", None, "text.json' holds a null, expected an object"),
    ],
)
def test_lists_of_another_form(tmp_path, name, content, message):
    root = food(tmp_path)
    write_json(root / f"{name}.json", content)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_a_cut_list(tmp_path):
    root = food(tmp_path)
    (root / "split.json").write_text('{"train": [')
    with pytest.raises(DataError, match=r"split.json' cannot be read as JSON"):
        load(tmp_path)
