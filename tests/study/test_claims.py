"""Claims: their grades on the paper's printed numbers, and which rows of ours each is put to."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study import plans
from robult_study.results import claims, costs, graders, tables
from robult_study.results.graders import MISSING, NOT, PARTLY, REPRODUCED
from robult_study.results.variants import ABLATIONS
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store

CLAIMS = {claim.id: claim for claim in claims.claims()}
PRINTED = {
    "best-sentiment": (PARTLY, "32 of 32"),
    "best-mosei": (REPRODUCED, "16 of 16"),
    "corr-gain": (PARTLY, "CMU-MOSEI full +38.5%"),
    "best-classification": (REPRODUCED, "8 of 9 rows (not: Hateful Memes full auroc)"),
    "comparable": (REPRODUCED, "-0.003"),
    "smallest-gap": (REPRODUCED, "robult 0.023, action_mae 0.024"),
    "rank-gap": (PARTLY, "Nemenyi separates Robult from unimodal"),
    "tied": (REPRODUCED, "Nemenyi 0.899, Wilcoxon-Holm 0.387"),
    "any-ablation": (NOT, "84 of 88 cells (not: CMU-MOSI text f1 no_labeled"),
    "no-supervised": (PARTLY, "13 of 22"),
    "no-reconstruction": (NOT, "CMU-MOSI f1 +0.069 against +0.090"),
    "equal-terms": (PARTLY, "CMU-MOSI corr +0.065 and +0.048"),
    "unique-helps": (REPRODUCED, "22 of 22"),
    "lightweight": (MISSING, "prints no number"),
    "linear": (MISSING, "prints no number"),
}
METHODS = {"robult": 0.8, "gmc": 0.7, "unimodal": 0.6, "prompt_trans": 0.5, "action_mae": 0.4}
BEHIND = {**METHODS, "robult": 0.1}


def rows(values: dict[str, float], data_set: str = "digits", metric: str = "accuracy"):
    """Rows like those of `tables.paper_rows`."""
    runs = results(values, data_set, metric, noise=0.001, full=0.05)
    return runs.replace({"pattern": {"a": "text", "b": "audio", "a+b": "full"}})


def ours(name: str, frame: pd.DataFrame) -> graders.Finding:
    return claims.on_data_at_hand(CLAIMS[name], frame)


# The list ----------------------------------------------------------------------------------------


def test_every_claim_names_a_grader_and_sets_that_the_paper_has():
    known = set(tables.PAPER_SETS.values())
    for claim in CLAIMS.values():
        assert claim.grader in graders.GRADERS
        assert set(claim.sets) <= known
        assert claim.quote
    assert {claim.grader for claim in CLAIMS.values()} == set(graders.GRADERS)


@pytest.mark.parametrize("name", CLAIMS)
def test_the_grade_on_the_papers_own_numbers(name):
    expected, words = PRINTED[name]
    found = claims.on_print(CLAIMS[name])
    assert found.grade == expected
    assert words in found.evidence


def test_printed_ranks_meet_the_fixture():
    evidence = claims.on_print(CLAIMS["rank-gap"]).evidence
    assert "robult 1.11, gmc 2.33, unimodal 3.33, prompt_trans 3.78, action_mae 4.44" in evidence
    assert "Wilcoxon-Holm separates Robult from gmc, unimodal, prompt_trans, action_mae" in evidence


# Which rows a claim is put to --------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CLAIMS if name != "linear"])
def test_a_claim_about_runs_is_missing_without_them(name):
    found = ours(name, rows({"linear": 0.5}).iloc[:0])
    assert found.grade == MISSING
    assert found.evidence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best-mosei", "CMU-MOSEI (cmu-mosei/"),
        ("comparable", "Hateful Memes (hateful_memes/"),
        ("lightweight", "CMU-MOSI (cmu-mosi/"),
    ],
)
def test_files_of_the_paper_are_named_when_absent(name, words):
    found = claims.on_papers_data(CLAIMS[name], rows(METHODS))
    assert found.grade == MISSING
    assert found.evidence.startswith("file missing: ")
    assert words in found.evidence


def test_the_papers_sets_are_graded_apart():
    frame = pd.concat([rows(METHODS), rows(BEHIND, "food101")])
    claim = CLAIMS["best-classification"]
    assert claims.on_papers_data(claim, frame).grade == NOT
    assert claims.on_data_at_hand(claim, frame).grade == REPRODUCED


def test_a_claim_about_one_set_looks_at_that_set():
    frame = pd.concat([rows(BEHIND, "food101"), rows(METHODS, "hateful-memes", "auroc")])
    comparable = {"robult": 0.5, "prompt_trans": 0.9}
    other = pd.concat([frame, rows(comparable, "food101")])
    assert claims.on_papers_data(CLAIMS["smallest-gap"], other).evidence.count(" of 1 sets") == 1


def test_synthetic_sets_do_not_count():
    assert ours("best-classification", rows(METHODS, "pid")).grade == MISSING


def test_table_1_is_about_scores_and_table_2_about_classes():
    classes = rows(METHODS)
    scores = rows({"robult": 0.3, "gmc": 0.5}, "mosi", "mae")  # of an error: better
    both = pd.concat([classes.assign(value=-classes["value"]), scores])
    assert ours("best-sentiment", both).grade == REPRODUCED
    assert ours("best-classification", both).grade == NOT
    assert ours("best-sentiment", classes).grade == MISSING


def test_a_claim_about_f1_looks_at_f1_of_every_kind_of_set():
    f1 = pd.concat([rows(METHODS, name, "f1_macro") for name in ("digits", "cub10", "mosi")])
    other = rows(BEHIND, "digits", "accuracy")
    found = ours("rank-gap", pd.concat([f1, other]))
    assert found.evidence.startswith("mean ranks over 9 blocks: robult 1.00")


def test_costs_are_those_of_the_sets_at_hand():
    cost = pd.DataFrame(
        {
            "data_set": ["digits", "digits", "pid", "pid"],
            "method": ["robult", "gmc", "robult", "gmc"],
            "parameters": [1, 2, 9, 2],
            "seconds_per_step": [1.0, 2.0, 9.0, 2.0],
        }
    )
    found = claims.on_data_at_hand(CLAIMS["lightweight"], rows(METHODS), cost)
    assert found.grade == REPRODUCED


# All together ------------------------------------------------------------------------------------


def test_without_any_run_every_claim_about_runs_is_missing(tmp_path):
    nothing = pd.DataFrame()
    path = tmp_path / "claims.md"
    graded = claims.write_claims(nothing, path, costs.costs(nothing, Store(tmp_path)))
    found = graded.set_index("id")
    # counted on models, not on runs
    assert found.index[found["ours"] != MISSING].tolist() == ["linear"]
    assert found.loc["rank-gap", "printed"] == PARTLY
    assert "Data at hand: no runs; 0 seeds" in path.read_text(encoding="utf-8")


@pytest.fixture
def runs() -> pd.DataFrame:
    """All methods, and all ablations but the first, which need a logistic regression."""
    tables_ = [results(METHODS, noise=0.001)]
    for weight in list(ABLATIONS.values())[1:]:
        tables_.append(results({"robult": 0.1}).assign(**{f"hyper.{weight}": 0.0}))
    return pd.concat(tables_)


def test_write_claims(runs, tmp_path):
    path = tmp_path / "new" / "claims.md"
    graded = claims.write_claims(runs, path)
    text = path.read_text(encoding="utf-8")
    assert list(graded["id"]) == list(CLAIMS)
    for claim in CLAIMS.values():
        assert f"## {claim.id}\n\n> {claim.quote} (section {claim.section})" in text
    assert "Data at hand: digits; 3 seeds" in text
    ours_ = graded.set_index("id")["ours"]
    assert ours_["best-classification"] == REPRODUCED
    assert ours_["unique-helps"] == REPRODUCED
    assert ours_["any-ablation"] == MISSING


def test_grades_are_counted_and_disagreements_told(runs):
    graded = claims.claims_table(runs)
    counts = claims.count_grades(graded)
    assert list(counts.columns) == list(claims.PLACES.values())
    assert (counts.sum() == len(CLAIMS)).all()
    sentences = claims.disagreements(graded)
    wanted = "best-classification: reproduced on the paper's own numbers"
    assert not [sentence for sentence in sentences if sentence.startswith(wanted)]
    changed = graded.assign(printed=NOT)
    assert any(line.startswith("unique-helps: not on") for line in claims.disagreements(changed))
    assert not any(line.startswith("any-ablation") for line in claims.disagreements(changed))


def test_grades_and_evidence_are_columns_of_the_same_table(runs):
    graded = claims.claims_table(runs)
    assert list(claims.grades(graded).columns) == ["id", "quote", *claims.PLACES.values()]
    assert list(claims.evidence(graded, "ours").columns) == ["id", "ours", "ours_evidence"]


def test_claims_about_the_losses_are_those_of_section_3_4_and_one_more(runs):
    graded = claims.claims_table(runs)
    table = claims.ablation_claims(graded)
    quotes = [claim.quote for claim in CLAIMS.values() if claim.section == "3.4"]
    assert table["the paper says"].tolist() == [*quotes, CLAIMS["unique-helps"].quote]


def test_at_hand_reads_what_the_store_has(tmp_path):
    store = Store(tmp_path)
    plan = plans.compare(["digits"], [0], 2)
    assert claims.at_hand(plan, store).empty
    some = [config for config in plan if config.method in ("unimodal", "linear")]
    made = run_grid(some, store, progress=False)
    found = claims.at_hand(plan, store)
    assert found["value"].tolist() == made["value"].tolist()
    assert set(found["method"]) == {"unimodal", "linear"}
