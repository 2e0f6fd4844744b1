"""What a reader sees in place of a code name."""

from __future__ import annotations

import pytest

from robult_study.wording import in_sentence, in_table, in_text, in_words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("top_left", "top left"),
        ("robult", "Robult"),
        ("never_seen", "never seen"),
        (3, "3"),
        ("no_labeled", "without $L_{lb}$"),
        ("mae, negated", "minus mean\nabsolute error"),
    ],
)
def test_figures_print_words_or_spaces(name, words):
    assert in_words(name) == words


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        (
            "mosi full corr (linear), pid x1 f1_macro",
            "MOSI all correlation (linear), pid x^1 macro F1",
        ),
        ("utd_mhad 0.76, Distilled Robult leads", "UTD-MHAD 0.76, Distilled Robult leads"),
        (
            "text+audio: robult 0.69, robult_distilled 0.7",
            "text+audio: Robult 0.69, Distilled Robult 0.7",
        ),
        ("digits accuracy no_labeled, no_weights", "digits accuracy without L_lb, without weights"),
        ("fully mosi-mult", "fully mosi-mult"),  # parts of other words
    ],
)
def test_a_sentence_has_words_for_code_names(sentence, words):
    assert in_sentence(sentence) == words


def test_a_printed_line_has_no_marks_of_a_formula():
    assert in_text("no_labeled") == "without L_lb"
    assert in_text("mae, negated") == "minus mean absolute error"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("utd_mhad", "UTD-MHAD"),
        ("data_set", "data set"),
        ("top_left+top_right", "top left + top right"),
        ("fou, zer", "Fourier, Zernike"),
        ("± gmc", "± GMC"),
        ("fou, image", "fou, image"),  # a part that has no words
        ("n_seeds", "n_seeds"),
        ("0.5 ± 0.1", "0.5 ± 0.1"),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_tables_print_words_only_where_every_part_has_some(cell, words):
    assert in_table(cell) == words
