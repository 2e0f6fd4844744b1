"""Tests of robult_study.table_markup."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from robult_study.table_markup import ROWS_IN_VIEW, folded, named_index, styled


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"value": [0.5] * rows, "words": [f"word{i}" for i in range(rows)]})


def cells(markup: str) -> list[str]:
    return [cell.strip() for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", markup)]


def test_text_stands_on_the_left_and_numbers_do_not():
    table = frame(1).set_index(pd.Index(["a"], name="row"))
    style = styled(table, "Both").to_html().split("</style>")[0]
    left = re.findall(r"(\S+) \{\s*text-align: left", style)
    assert left == ["th.row_heading", "th.index_name", ".col1"]


def test_ten_rows_are_in_view_at_once():
    markup = folded(styled(frame(ROWS_IN_VIEW), "Short"), "short")
    assert "<details" not in markup
    assert "word9" in markup


@pytest.mark.parametrize("more", [1, 5])
def test_the_rows_below_the_tenth_unfold(more):
    markup = folded(styled(frame(ROWS_IN_VIEW + more), "Long"), "long")
    top, rest = markup.split("<details>")
    shown = [cell for cell in cells(top) if cell.startswith("word") and cell != "words"]
    hidden = [cell for cell in cells(rest) if cell.startswith("word") and cell != "words"]
    assert shown == [f"word{i}" for i in range(ROWS_IN_VIEW)]
    assert hidden == [f"word{ROWS_IN_VIEW + i}" for i in range(more)]
    assert re.search(r"<summary>(.*)</summary>", rest)[1] == f"{more} more row{'s' * (more > 1)}"
    assert len(re.findall(r'id="T_long"', markup)) == len(re.findall(r'id="T_long_rest"', markup))


def test_a_table_of_joined_parts_keeps_all_its_rows():
    joined = pd.concat([frame(8), frame(8)])
    top, rest = folded(styled(joined, "Joined"), "joined").split("<details>")
    assert [cells(top).count("word1"), cells(rest).count("word1")] == [2, 0]
    assert [cells(top).count("word7"), cells(rest).count("word7")] == [1, 1]


def test_a_table_whose_rows_share_a_name_is_not_folded():
    table = frame(12).set_index(pd.Index(["a", "b"] * 6, name="row"))
    markup = folded(styled(table, "Shared"), "shared")
    assert "<details" not in markup
    assert "word11" in markup


def test_rows_of_an_index_of_two_levels_keep_their_names():
    pairs = pd.MultiIndex.from_product([["digits", "pid"], range(8)], names=["data_set", "seed"])
    table = frame(16).set_index(pairs)
    top, rest = folded(styled(table, "Two levels"), "two").split("<details>")
    assert "pid" in cells(top)
    assert "pid" in cells(rest)
    assert "digits" not in cells(rest)


def test_a_style_of_single_cells_survives_the_fold():
    table = frame(12)
    bold = table.style.highlight_max(subset=["words"], props="font-weight: bold")  # word9
    top, _ = folded(styled(bold, "Bold"), "bold").split("<details>")
    assert "font-weight: bold" in top
    assert re.findall(r"#(\S+) \{\s*font-weight: bold", top) == ["T_bold_row9_col1"]


def test_patterns_are_named_in_words():
    names = ["top_left+bottom_right", "x1+x2", "not_a+name", "± full", "x2, full", "a, b"]
    table = pd.DataFrame({"sensors": names})
    assert cells(styled(table, "Words").to_html())[1:] == [
        "top left + bottom right",
        "both",
        "not_a+name",
        "± all",
        "x^2, all",
        "a, b",
    ]


@pytest.mark.parametrize(
    ("index", "says_something"),
    [
        (pd.RangeIndex(2), False),
        (pd.Index([3, 5]), False),
        (pd.Index(["a", "b"]), True),
        (pd.Index([3, 5], name="rate"), True),
        (pd.MultiIndex.from_tuples([(0, 1), (1, 0)]), True),
    ],
)
def test_an_index_that_only_counts_is_not_shown(index, says_something):
    assert named_index(pd.DataFrame({"x": [1, 2]}, index=index)) == says_something
