"""Findings come from named queries over the tables that are there, for README and notebooks."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from robult_study.report import queries
from robult_study.report.findings import (
    ANSWERS,
    MAIN,
    all_answers,
    answers_table,
    as_list,
    findings,
)

CLAIMS = "grade,our runs on the data at hand\nreproduced,2\nnot,1\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "reports/tables").mkdir(parents=True)
    (tmp_path / "reports/tables/05_claims_counted.csv").write_text(CLAIMS)
    named = "id,our runs on the data at hand\nfirst,reproduced\n"
    (tmp_path / "reports/tables/05_claims.csv").write_text(named)
    (tmp_path / "notebooks").mkdir()
    for stem, title in (("05_ranks", "05 Which?"), ("09_weights", "09 How?")):
        notebook = new_notebook(cells=[new_markdown_cell(f"# {title}\n\nprose")])
        nbformat.write(notebook, tmp_path / f"notebooks/{stem}.ipynb")
    return tmp_path


def test_every_name_is_a_query_that_states_its_rule():
    named = sum(ANSWERS.values(), ())
    assert set(MAIN) <= set(named)
    assert len(named) == len(set(named))
    for name in named:
        assert getattr(queries, name).__doc__


def test_a_query_whose_table_is_not_there_is_left_out(root):
    (finding,) = findings(root / "reports")
    assert finding == queries.claims(root / "reports/tables")
    assert findings(root / "reports", ANSWERS["05"]) == [finding]  # no pairs
    assert findings(root / "reports", ANSWERS["01"]) == []


def test_a_query_whose_table_has_other_columns_is_left_out(root):
    older = 'method,all (2),single (1),full (1),one value per set (1),"all, with controls (2)"\n'
    (root / "reports/tables/04_mean_ranks.csv").write_text(f"{older}robult,1,1,1,1,1\n")
    assert findings(root / "reports", ["ranks"]) == []


def test_a_query_that_has_no_rows_to_speak_of_is_left_out(root):
    table = "against,verdict,difference\ngmc,better,0.1\n"
    (root / "reports/tables/04_differences.csv").write_text(table)
    assert findings(root / "reports", ("variant",)) == []


def test_findings_are_a_list_in_markdown(root):
    text = as_list(findings(root / "reports"))
    assert text.startswith("- **Of the paper's 3 statements 2 are reproduced** on data")
    assert text.endswith(" 0 in part and 1 not.\n")


def test_no_line_ends_inside_a_number_with_its_interval():
    (line,) = as_list([queries.Finding("It rises.", "From 0.1 ± 0.2 to 0.3 ± 0.1.")]).splitlines()
    assert len(line.split(" ")) == 7  # "-", the title's two words, and four of the text


def test_the_table_of_answers_links_to_the_published_copy_where_there_is_one(root):
    (root / "reports/05_ranks.ipynb").touch()
    lines = answers_table(root).splitlines()
    question = "[05 Which?](reports/05_ranks.ipynb)"
    assert lines[2] == f"| {question} | Of the paper's 3 statements 2 are reproduced |"
    assert lines[3] == "| [09 How?](notebooks/09_weights.ipynb) | Not published yet. |"


def test_all_answers_stand_under_their_questions(root):
    (root / "reports/05_ranks.ipynb").touch()
    found = as_list(findings(root / "reports", ANSWERS["05"]))
    assert all_answers(root) == f"### [05 Which?](../reports/05_ranks.ipynb)\n\n{found}"
