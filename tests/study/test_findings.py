"""The findings say what the tables of a run say, and notice where they do not carry the words."""

from __future__ import annotations

import pytest

from robult_study.report.findings import checked, claims, control, findings, reconstruction
from robult_study.settings import SettingsError

DIFFERENCES = """data_set,verdict,against
a,better,unimodal
a,better,unimodal
b,better,unimodal
b,worse,unimodal
b,worse,gmc
"""
HEADLINE = """data_set,pattern,metric,Robult,self-training
a,"one modality, mean of 2",accuracy,0.5 ± 0.1,–
a,all,accuracy,0.8 ± 0.1,<b>0.9</b> ± 0.1
b,all,accuracy,<b>0.8</b> ± 0.1,0.7 ± 0.1
"""
ANSWERS = """data_set,without,one modality,full
a,(1) no L_sup,-0.2,-0.1
a,(2) no L_rec,0.001,-0.004
"""
CLAIMS = """grade,the paper's own numbers,our runs on the data at hand
missing,2,1
not,2,4
reproduced,3,2
"""


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "04_differences.csv").write_text(DIFFERENCES)
    (folder / "04_headline.csv").write_text(HEADLINE)
    (folder / "06_answers.csv").write_text(ANSWERS)
    (folder / "05_claims_counted.csv").write_text(CLAIMS)
    return folder


def test_robult_is_counted_against_its_control_and_self_training(tables):
    finding = control(tables)
    assert "better than its control in 3 of 4 rows and worse in 1." in finding.text
    assert "on 1 of 2 sets (a)." in finding.text
    assert finding.holds
    (tables / "04_differences.csv").write_text(DIFFERENCES.replace("b,better", "b,worse"))
    assert not control(tables).holds


def test_the_largest_change_without_a_loss_is_named(tables):
    finding = reconstruction(tables)
    assert "by more than 0.004;" in finding.text
    assert "moves one by 0.20." in finding.text
    assert finding.holds
    (tables / "06_answers.csv").write_text(ANSWERS.replace("0.001", "0.02"))
    assert not reconstruction(tables).holds


def test_a_grade_that_no_claim_got_counts_as_none(tables):
    finding = claims(tables)
    assert finding.title == "Of the paper's 7 statements 2 are reproduced"
    assert finding.text.endswith("0 in part and 4 not.")


def test_a_table_that_is_not_there_leaves_its_finding_out(tables):
    assert len(findings(tables.parent)) == 3  # no ranks
    assert checked(tables.parent).count("\n") == 3


def test_words_that_the_numbers_do_not_carry_are_an_error(tables):
    (tables / "06_answers.csv").write_text(ANSWERS.replace("0.001", "0.02"))
    with pytest.raises(SettingsError, match=r"'The loss that .*findings\.py"):
        checked(tables.parent)
