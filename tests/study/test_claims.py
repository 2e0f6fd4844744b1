"""Claims: their grades on the paper's printed numbers, and which rows of ours each is put to."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study import plans
from robult_study.results import claims, graders, tables
from robult_study.results.grading import MISSING, NOT, PARTLY, REPRODUCED, Finding, Table
from robult_study.results.pairs import RBF, UNWEIGHTED
from robult_study.results.variants import ABLATIONS
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store

CLAIMS = {claim.id: claim for claim in claims.claims()}
NO_NUMBER = "the paper prints no number for it"
PRINTED = {
    "superior": (REPRODUCED, "all against prompt_trans 67%"),
    "resilience": (PARTLY, "6 of 11 cells, 75% with the same weight"),
    "lightweight": (MISSING, NO_NUMBER),
    "example-synergy": (MISSING, NO_NUMBER),
    "example-harder": (MISSING, NO_NUMBER),
    "alignment": (MISSING, NO_NUMBER),
    "unique-helps": (REPRODUCED, "lower in 6 of 6 cells"),
    "early-false-positives": (MISSING, NO_NUMBER),
    "weights-false-positives": (MISSING, NO_NUMBER),
    "weights-performance": (MISSING, NO_NUMBER),
    "best-sentiment": (PARTLY, "32 of 32"),
    "best-mosei": (REPRODUCED, "16 of 16"),
    "corr-gain": (REPRODUCED, "CMU-MOSEI text +19.8%"),
    "best-classification": (REPRODUCED, "8 of 9 rows (not: Hateful Memes full auroc)"),
    "comparable": (REPRODUCED, "-0.003"),
    "mitigates-gaps": (REPRODUCED, "Hateful Memes auroc 0.023 against 0.054"),
    "rank-gap": (PARTLY, "Nemenyi separates Robult from unimodal"),
    "tied": (REPRODUCED, "Nemenyi 0.899, Wilcoxon-Holm 0.387"),
    "any-ablation": (REPRODUCED, "24 of 24 cells"),
    "no-supervised": (PARTLY, "6 of 6 cells, 100% with the same"),
    "no-reconstruction": (NOT, "CMU-MOSI f1 +0.069 against +0.090"),
    "equal-terms": (PARTLY, "CMU-MOSI corr +0.065 and +0.048"),
    "linear": (MISSING, NO_NUMBER),
}
METHODS = {"robult": 0.8, "gmc": 0.7, "unimodal": 0.6, "prompt_trans": 0.5, "action_mae": 0.4}
BEHIND = {**METHODS, "robult": 0.1}


def rows(values: dict[str, float], data_set: str = "digits", metric: str = "accuracy"):
    """Rows like those of `tables.paper_rows`."""
    runs = results(values, data_set, metric, noise=0.001, full=0.05)
    return runs.replace({"pattern": {"a": "text", "b": "audio", "a+b": "full"}})


def study(frame: pd.DataFrame, **parts: pd.DataFrame) -> claims.Study:
    return claims.Study(frame, **parts)


def ours(name: str, frame: pd.DataFrame, **parts: pd.DataFrame) -> Finding:
    return claims.on_data_at_hand(CLAIMS[name], study(frame, **parts))


def theirs(name: str, *frames: pd.DataFrame, **parts: pd.DataFrame) -> Finding:
    return claims.on_papers_data(CLAIMS[name], study(pd.concat(frames), **parts))


# The list ----------------------------------------------------------------------------------------


def test_every_claim_names_a_grader_and_sets_that_the_paper_has():
    known = set(tables.PAPER_SETS.values())
    for claim in CLAIMS.values():
        assert claim.grader in graders.GRADERS
        assert set(claim.sets) <= known
        assert claim.speaks_of in (claims.ANY_DATA, claims.ITS_SETS, claims.NO_DATA)
        assert bool(claim.sets) or not claim.tables
        assert claim.sets or claim.speaks_of != claims.ITS_SETS
    assert {claim.grader for claim in CLAIMS.values()} == set(graders.GRADERS)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_quote_is_whole_sentences(claim):
    assert claim.quote[0].isupper()
    assert claim.quote.endswith(".")
    assert "…" not in claim.quote
    assert "..." not in claim.quote
    assert " [of " not in claim.quote  # no word of ours in it


def test_a_sentence_about_named_sets_speaks_of_them_alone():
    for claim in CLAIMS.values():
        names = [name for name in tables.PAPER_SETS.values() if name in claim.quote]
        if names:
            assert claim.speaks_of == claims.ITS_SETS, claim.id
            assert set(names) <= set(claim.sets)


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


ABOUT_RUNS = [name for name, claim in CLAIMS.items() if claim.speaks_of != claims.NO_DATA]
ABOUT_NO_DATA = [name for name in CLAIMS if name not in ABOUT_RUNS]
NO_ROWS = rows({"linear": 0.5}).iloc[:0]


@pytest.mark.parametrize("name", ABOUT_RUNS)
def test_a_claim_about_runs_is_missing_without_them(name):
    for found in (ours(name, NO_ROWS), theirs(name, NO_ROWS)):
        assert found.grade == MISSING
        assert found.evidence


@pytest.mark.parametrize("name", ABOUT_NO_DATA)
def test_a_claim_about_no_data_needs_no_runs(name, monkeypatch):
    monkeypatch.setattr(claims, "without_data", lambda: Table(aligned=aligned(1.0)))
    needs_worlds = name == "alignment"
    assert ours(name, NO_ROWS).grade == (REPRODUCED if needs_worlds else MISSING)
    assert theirs(name, rows(METHODS, "food101")).grade == MISSING


def aligned(told: float) -> pd.DataFrame:
    return pd.DataFrame({"R": [1.0], "U1": [0.5], "I(z;Y)": [told]}, index=["world"])


def test_the_worlds_of_notebook_01_and_the_benchmarks_are_computed():
    claims.without_data.cache_clear()
    found = {name: ours(name, NO_ROWS) for name in ABOUT_NO_DATA}
    assert MISSING not in {finding.grade for finding in found.values()}
    assert "AND 0.00 (R is 0.31, U 0.00)" in found["alignment"].evidence
    assert found["alignment"].grade == PARTLY  # AND is the counter-example
    assert found["example-synergy"].grade == PARTLY
    assert "in 128" in found["example-synergy"].evidence
    assert "after 100 samples" in found["example-harder"].evidence
    assert "2, 4, 6, 8, 10, 12 modalities" in found["linear"].evidence


@pytest.mark.parametrize(
    "name", [name for name, claim in CLAIMS.items() if claim.speaks_of == claims.ITS_SETS]
)
def test_a_claim_about_named_sets_is_not_put_to_others(name):
    frame = pd.concat([rows(METHODS), rows({"robult": 0.3, "gmc": 0.5}, "mosi", "mae")])
    found = ours(name, frame)
    assert found.grade == MISSING
    sets = ", ".join(CLAIMS[name].sets)
    assert found.evidence == f"it speaks of {sets}: no other data can answer for that"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best-mosei", "CMU-MOSEI (cmu-mosei/"),
        ("comparable", "Hateful Memes (hateful_memes/"),
        ("lightweight", "CMU-MOSI (cmu-mosi/"),
        ("superior", "MM-IMDb (mm-imdb/"),
    ],
)
def test_files_of_the_paper_are_named_when_absent(name, words):
    found = theirs(name, rows(METHODS))
    assert found.grade == MISSING
    assert found.evidence.startswith("file missing: ")
    assert words in found.evidence


def test_a_claim_about_both_sets_needs_both():
    mosi = rows({"robult": 0.3, "gmc": 0.5}, "mosi-mult", "mae")
    mosei = rows({"robult": 0.3, "gmc": 0.5}, "mosei-mult", "mae")
    found = theirs("best-sentiment", mosi)
    assert found.grade == MISSING
    assert found.evidence.startswith("file missing: CMU-MOSEI (")
    assert "CMU-MOSI (" not in found.evidence
    assert theirs("best-sentiment", mosi, mosei).grade == REPRODUCED


def test_a_claim_about_the_method_needs_any_set_of_the_paper():
    assert theirs("superior", rows(METHODS, "food101")).grade == REPRODUCED
    assert theirs("superior", rows(BEHIND, "food101")).grade == NOT


def test_the_papers_sets_are_graded_apart():
    frame = pd.concat([rows(METHODS), rows(BEHIND, "food101")])
    assert theirs("superior", frame).grade == NOT
    assert ours("superior", frame).grade == REPRODUCED


def test_a_claim_about_one_set_looks_at_that_set():
    frame = pd.concat([rows(BEHIND, "food101"), rows(METHODS, "hateful-memes", "auroc")])
    found = theirs("mitigates-gaps", frame)
    assert "hateful-memes auroc" in found.evidence
    assert "food101" not in found.evidence


def test_synthetic_sets_do_not_count():
    assert ours("superior", rows(METHODS, "pid")).grade == MISSING


def test_a_claim_about_the_method_looks_at_scores_and_classes():
    classes = rows(METHODS)
    scores = rows({"robult": 0.3, "gmc": 0.5}, "mosi", "mae")  # of an error: better
    evidence = ours("resilience", pd.concat([classes, scores])).evidence
    assert "digits accuracy" in evidence
    assert "mosi mae" in evidence
    assert ours("superior", pd.concat([classes, scores])).grade == REPRODUCED
    worse = scores.assign(value=-scores["value"])
    assert ours("superior", worse).grade == NOT


def test_a_claim_about_f1_looks_at_f1_of_every_kind_of_set():
    f1 = pd.concat([rows(METHODS, name, "f1_macro") for name in ("digits", "cub10", "mosi")])
    other = rows(BEHIND, "digits", "accuracy")
    later = rows(BEHIND, "cub10", "mae")  # a name that comes after f1_macro
    found = ours("rank-gap", pd.concat([f1, other, later]))
    assert found.evidence.startswith("mean ranks over 9 blocks: robult 1.00")


def test_costs_are_those_of_the_sets_at_hand():
    cost = pd.DataFrame(
        {
            "data_set": ["digits", "digits", "digits", "pid", "pid", "pid"],
            "method": ["robult", "gmc", "unimodal"] * 2,
            "parameters": [1, 2, 1, 9, 2, 1],
            "seconds_per_step": [1.0, 2.0, 1.0, 9.0, 2.0, 1.0],
            "latency_full_ms": [1.0, 2.0, 1.0, 9.0, 2.0, 1.0],
        }
    )
    assert ours("lightweight", rows(METHODS), costs=cost).grade == REPRODUCED


def test_fig_4_is_put_to_the_pairs_of_the_sets_at_hand():
    columns = ["data_set", "seed", "step", "weight", "value"]
    pairs = []
    for data_set, gain in (("digits", 0.1), ("food101", -0.1)):
        for seed in range(3):
            for step in (0, 10, 20):
                share = 0.5 + step / 100 + seed / 1000
                pairs.append((data_set, seed, step, UNWEIGHTED, share))
                pairs.append((data_set, seed, step, RBF, share + gain))
    judged = pd.DataFrame(pairs, columns=columns).assign(measure="precision", anchors="all")
    frame = pd.concat([rows(METHODS), rows(METHODS, "food101")])
    assert ours("weights-false-positives", frame, pairs=judged).grade == REPRODUCED
    assert theirs("weights-false-positives", frame, pairs=judged).grade == NOT
    assert ours("early-false-positives", frame, pairs=judged).grade == REPRODUCED


# All together ------------------------------------------------------------------------------------


def test_without_any_run_every_claim_about_runs_is_missing(tmp_path):
    nothing = claims.gathered([], [], Store(tmp_path), lambda function: function)
    path = tmp_path / "claims.md"
    graded = claims.write_claims(nothing, path)
    found = graded.set_index("id")
    assert found.index[found["ours"] != MISSING].tolist() == ABOUT_NO_DATA
    assert found.loc["rank-gap", "printed"] == PARTLY
    assert "Data at hand: no runs; 0 seeds" in path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs() -> claims.Study:
    """All methods, and all ablations but the first, which need a logistic regression."""
    tables_ = [results(METHODS, noise=0.001)]
    for weight in list(ABLATIONS.values())[1:]:
        tables_.append(results({"robult": 0.1}).assign(**{f"hyper.{weight}": 0.0}))
    tables_.append(results({"robult": 0.1}).assign(**{"hyper.weighting": "none"}))
    return study(tables.paper_rows(pd.concat(tables_)))


@pytest.fixture(scope="module")
def graded(runs) -> pd.DataFrame:
    return claims.claims_table(runs)


def test_write_claims(runs, tmp_path):
    path = tmp_path / "new" / "claims.md"
    graded = claims.write_claims(runs, path)
    text = path.read_text(encoding="utf-8")
    assert list(graded["id"]) == list(CLAIMS)
    for claim in CLAIMS.values():
        words = claim.section if claim.section == "abstract" else f"section {claim.section}"
        rule = graders.rule(claim.grader)
        stated = f"## {claim.id}\n\n> {claim.quote} ({words})\n\n- The rule: {rule}\n- the paper"
        assert stated in text
        assert f"| {claim.id} | {rule} |" in text
    assert "Data at hand: digits; 3 seeds" in text
    ours_ = graded.set_index("id")["ours"]
    assert ours_["superior"] == REPRODUCED
    assert ours_["unique-helps"] == REPRODUCED
    assert ours_["weights-performance"] == REPRODUCED
    assert ours_["any-ablation"] == MISSING


def test_grades_are_counted_and_disagreements_told(graded):
    counts = claims.count_grades(graded)
    assert list(counts.columns) == list(claims.PLACES.values())
    assert (counts.sum() == len(CLAIMS)).all()
    sentences = claims.disagreements(graded)
    assert not [sentence for sentence in sentences if sentence.startswith("superior: ")]
    assert not [sentence for sentence in sentences if MISSING in sentence]
    changed = graded.assign(printed=NOT)
    assert any(line.startswith("unique-helps: not on") for line in claims.disagreements(changed))
    assert not any(line.startswith("any-ablation") for line in claims.disagreements(changed))


def test_the_rule_stands_beside_every_grade(graded):
    shown = claims.grades(graded)
    assert list(shown.columns) == ["id", "quote", "rule", *claims.PLACES.values()]
    shown_evidence = claims.evidence(graded, "ours")
    assert list(shown_evidence.columns) == ["id", "rule", claims.PLACES["ours"], "numbers"]
    assert not shown_evidence["numbers"].str.contains("prompt_trans|no_reconstruction").any()
    assert shown_evidence["numbers"].str.contains("Prompt-Trans").any()
    assert shown["rule"].tolist() == [graders.rule(claim.grader) for claim in CLAIMS.values()]


def test_claims_about_the_losses_are_those_of_section_3_4_and_one_more(graded):
    table = claims.ablation_claims(graded)
    quotes = [claim.quote for claim in CLAIMS.values() if claim.section == "3.4"]
    assert table["the paper says"].tolist() == [CLAIMS["unique-helps"].quote, *quotes]
    assert table["our rule"].iloc[0] == graders.rule("unique_part_helps")


def test_at_hand_reads_what_the_store_has(tmp_path):
    store = Store(tmp_path)
    plan = plans.compare(["digits"], [0], 2)
    assert claims.at_hand(plan, store).empty
    some = [config for config in plan if config.method in ("unimodal", "linear")]
    made = run_grid(some, store, progress=False)
    found = claims.at_hand(plan, store)
    assert found["value"].tolist() == made["value"].tolist()
    assert set(found["method"]) == {"unimodal", "linear"}
