"""The findings say what the tables of a run say, and notice where they do not carry the words."""

from __future__ import annotations

import pytest

from robult_study.report.findings import ANSWERS as ANSWERS_OF
from robult_study.report.findings import checked, claims, control, findings, ranks, reconstruction
from robult_study.settings import SettingsError

RANKS = """method,all (22 blocks),single (17 blocks),full (5 blocks),with the linear row
robult,1.5,1.7,1.4,1.6
gmc,2.0,1.6,3.4,2.2
unimodal,2.9,2.9,2.8,3.2
"""
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


def test_robults_ranks_are_read_over_all_and_by_what_is_present(tables):
    (tables / "04_mean_ranks.csv").write_text(RANKS)
    finding = ranks(tables)
    assert "over 22 blocks of real data is 1.50, the next is GMC's 2.00." in finding.text
    assert "With every modality there it is 1.40 against 3.40;" in finding.text
    assert "with a single one GMC is ahead, 1.60 against 1.70." in finding.text
    assert finding.holds


@pytest.mark.parametrize(
    ("row", "other"),
    [
        ("robult,1.5,1.7,1.4", "robult,2.1,1.7,1.4"),  # not first over all
        ("unimodal,2.9,2.9,2.8", "unimodal,1.9,2.9,2.8"),  # the next is not GMC
        ("robult,1.5,1.7,1.4", "robult,1.5,1.7,3.5"),  # not ahead with every modality
        ("robult,1.5,1.7,1.4", "robult,1.5,1.5,1.4"),  # ahead with a single one
        ("unimodal,2.9,2.9,2.8", "unimodal,2.9,1.65,2.8"),  # third with a single one
    ],
)
def test_the_words_on_ranks_hold_for_such_ranks_alone(tables, row, other):
    (tables / "04_mean_ranks.csv").write_text(RANKS.replace(row, other))
    assert not ranks(tables).holds


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
    assert finding.text.endswith("0 in part and 4 not; 1 cannot be answered by these data.")
    (tables / "05_claims_counted.csv").write_text(CLAIMS.replace("missing,2,1\n", ""))
    assert claims(tables).text.endswith("0 in part and 4 not.")


def test_a_table_that_is_not_there_leaves_its_finding_out(tables):
    assert len(findings(tables.parent)) == 3  # no ranks
    assert checked(tables.parent).count("\n") == 3


def test_words_that_the_numbers_do_not_carry_are_an_error(tables):
    (tables / "06_answers.csv").write_text(ANSWERS.replace("0.001", "0.02"))
    with pytest.raises(SettingsError, match=r"'The loss that .*findings\.py"):
        checked(tables.parent)


def test_a_notebook_answers_with_its_own_findings(tables):
    (finding,) = findings(tables.parent, "06")
    assert finding == reconstruction(tables)
    assert findings(tables.parent, "04") == [control(tables)]  # no ranks
    everything = [finding for number in ANSWERS_OF for finding in findings(tables.parent, number)]
    assert everything == findings(tables.parent)
