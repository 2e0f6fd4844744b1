"""Claims: their grades on the paper's printed numbers, and on synthetic results where each statement is known to be true, false or missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_study.results import claims, tables
from robult_study.results.claims import MISSING, NOT, PARTLY, REPRODUCED, Table
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Store

CLAIMS = {claim.id: claim for claim in claims.claims().itertuples()}
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
ABLATED = {
    "robult": 0.8,
    "no_supervised": 0.5,
    "no_reconstruction": 0.6,
    "no_labeled": 0.7,
    "no_unlabeled": 0.7,
}
LOSSES = {
    "no_reconstruction": "reconstruction_weight",
    "no_labeled": "labeled_weight",
    "no_unlabeled": "unlabeled_weight",
}


def rows(
    values: dict[str, float], data_set="digits", metric="accuracy", full=0.05, seeds=3
) -> pd.DataFrame:
    """Rows like those of `tables.paper_rows`: patterns text, audio and full (better by `full`), a little noise by seed."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "data_set": data_set,
                "method": method,
                "seed": seed,
                "label_fraction": 0.05,
                "pattern": pattern,
                "variant": "",
                "metric": metric,
                "value": value + full * (pattern == "full") + 0.001 * rng.standard_normal(),
            }
            for method, value in values.items()
            for seed in range(seeds)
            for pattern in ("text", "audio", "full")
        ]
    )


def grade(name: str, frame: pd.DataFrame, costs: pd.DataFrame | None = None) -> claims.Finding:
    """The claim on these rows as data at hand."""
    return claims.on_runs(CLAIMS[name], frame, costs, paper=False)


def sentiment(values: dict[str, float], metric="mae") -> pd.DataFrame:
    return pd.concat(
        [
            rows(values, "mosi", metric),
            rows(values, "mosi", "corr"),
            rows({"x": 1.0}, "mosi", "mae"),
        ]
    )


def test_every_claim_has_its_grade_on_the_printed_numbers():
    assert set(PRINTED) == set(CLAIMS)


@pytest.mark.parametrize("name", PRINTED)
def test_printed(name):
    expected, words = PRINTED[name]
    found = claims.printed(CLAIMS[name])
    assert found.grade == expected
    assert words in found.evidence


def test_printed_ranks_meet_the_fixture():
    evidence = claims.printed(CLAIMS["rank-gap"]).evidence
    assert "robult 1.11, gmc 2.33, unimodal 3.33, prompt_trans 3.78, action_mae 4.44" in evidence
    assert "Wilcoxon-Holm separates Robult from gmc, unimodal, prompt_trans, action_mae" in evidence


@pytest.mark.parametrize("name", [name for name in CLAIMS if name != "linear"])
def test_missing_without_runs(name):
    found = grade(name, rows({"linear": 0.5}).iloc[:0])
    assert found.grade == MISSING
    assert found.evidence


def test_paper_files_are_named_when_absent():
    for name, words in (
        ("best-mosei", "CMU-MOSEI (cmu-mosei/"),
        ("comparable", "Hateful Memes (hateful_memes/"),
    ):
        found = claims.on_runs(CLAIMS[name], rows(METHODS), None, paper=True)
        assert found.grade == MISSING
        assert words in found.evidence


def test_paper_sets_are_graded_apart():
    frame = pd.concat([rows(METHODS), rows(dict(METHODS, robult=0.1), "food101")])
    assert claims.on_runs(CLAIMS["best-classification"], frame, None, paper=True).grade == NOT
    assert grade("best-classification", frame).grade == REPRODUCED


def test_synthetic_sets_do_not_count():
    assert grade("best-classification", rows(METHODS, "pid")).grade == MISSING


@pytest.mark.parametrize(("better", "expected"), [(0.8, REPRODUCED), (0.1, NOT)])
def test_best_classification(better, expected):
    assert grade("best-classification", rows(dict(METHODS, robult=better))).grade == expected


def test_best_classification_allows_one_exception():
    frame = rows(METHODS)
    one = (frame["method"] == "gmc") & (frame["pattern"] == "full")
    found = grade("best-classification", frame.assign(value=frame["value"].mask(one, 0.99)))
    assert found.grade == REPRODUCED
    assert "2 of 3 rows (not: digits full accuracy)" in found.evidence


def test_significance_needs_intervals_above_0():
    lower = {"robult": 0.3, "gmc": 0.5}  # of an error: better
    frame = rows(lower, "mosi", "mae")
    assert grade("best-sentiment", frame).grade == REPRODUCED
    noise = np.where(frame["seed"] == 0, 0.5, 0.0) * (frame["method"] == "gmc")
    assert grade("best-sentiment", frame.assign(value=frame["value"] + noise)).grade == PARTLY
    assert grade("best-sentiment", rows({"robult": 0.5, "gmc": 0.3}, "mosi", "mae")).grade == NOT


def test_all_metrics_falls_at_one_counter_example():
    good = pd.concat(
        [
            rows({"robult": 0.3, "gmc": 0.5}, "mosi", "mae"),
            rows({"robult": 0.5, "gmc": 0.3}, "mosi", "corr"),
        ]
    )
    assert grade("best-mosei", good).grade == REPRODUCED
    one = (good["metric"] == "corr") & (good["pattern"] == "text") & (good["method"] == "gmc")
    assert grade("best-mosei", good.assign(value=good["value"].mask(one, 0.9))).grade == NOT


@pytest.mark.parametrize(
    ("robult", "gmc", "grade_wanted"),
    [(0.5, 0.3, REPRODUCED), (0.31, 0.3, PARTLY), (0.2, 0.3, NOT), (0.5, 0.05, MISSING)],
)
def test_correlation_gain(robult, gmc, grade_wanted):
    frame = rows({"robult": robult, "gmc": gmc}, "mosi", "corr", full=0.0)
    assert grade("corr-gain", pd.concat([frame, frame.assign(metric="mae")])).grade == grade_wanted


@pytest.mark.parametrize(("robult", "expected"), [(0.5, REPRODUCED), (0.8, REPRODUCED), (0.3, NOT)])
def test_comparable(robult, expected):
    frame = rows({"robult": robult, "prompt_trans": 0.5})
    shift = (
        np.where(frame["seed"] == 0, 0.01, -0.01) * (frame["method"] == "robult") * (robult == 0.5)
    )
    assert grade("comparable", frame.assign(value=frame["value"] + shift)).grade == expected


@pytest.mark.parametrize(("extra", "expected"), [(0.2, REPRODUCED), (-0.2, NOT)])
def test_smallest_gap(extra, expected):
    frame = rows({"robult": 0.5, "gmc": 0.5})
    shift = extra * ((frame["method"] == "gmc") & (frame["pattern"] == "full"))
    assert grade("smallest-gap", frame.assign(value=frame["value"] + shift)).grade == expected


def blocks(values: dict[str, float]) -> pd.DataFrame:
    return pd.concat([rows(values, f"set{i}", "f1_macro") for i in range(10)])


def test_rank_gap_and_tie():
    clear = blocks(METHODS)
    assert (
        grade("rank-gap", clear).grade == PARTLY
    )  # 30 blocks in one order: Nemenyi still cannot tell neighbours apart
    assert grade("tied", clear).grade == PARTLY
    assert grade("rank-gap", blocks(dict(METHODS, robult=0.1))).grade == NOT
    rng = np.random.default_rng(1)
    same = clear[clear["method"].isin(["action_mae", "prompt_trans", "robult"])]
    assert grade("tied", same.assign(value=rng.normal(size=len(same)))).grade == REPRODUCED


def test_rank_gap_by_both_procedures():
    few = blocks({"robult": 0.8, "gmc": 0.5, "unimodal": 0.5})
    assert grade("rank-gap", few).grade == REPRODUCED


@pytest.mark.parametrize(
    ("name", "true", "false"),
    [
        ("any-ablation", {}, {"no_labeled": 0.9}),
        ("no-supervised", {}, {"no_supervised": 0.79}),
        ("equal-terms", {}, {"no_unlabeled": 0.4}),
        ("unique-helps", {}, {"no_reconstruction": 0.9}),
    ],
)
def test_ablation_claims(name, true, false):
    assert grade(name, rows(ABLATED | true)).grade == REPRODUCED
    assert grade(name, rows(ABLATED | false)).grade == NOT
    assert "no runs of" in grade(name, rows({"robult": 0.8})).evidence


@pytest.mark.parametrize(("kept", "expected"), [(0.1, REPRODUCED), (-0.1, NOT)])
def test_unimodal_harm(kept, expected):
    frame = rows(ABLATED)
    shift = kept * ((frame["method"] == "no_reconstruction") & (frame["pattern"] == "full"))
    assert grade("no-reconstruction", frame.assign(value=frame["value"] + shift)).grade == expected


@pytest.mark.parametrize(("size", "expected"), [(1, REPRODUCED), (25, PARTLY), (50, NOT)])
def test_lightweight(size, expected):
    sizes = {"unimodal": 20, "robult": size, "gmc": 30, "action_mae": 40}
    costs = pd.DataFrame(
        [
            {"data_set": "digits", "method": name, "parameters": n, "seconds_per_step": float(n)}
            for name, n in sizes.items()
        ]
    )
    assert grade("lightweight", rows(METHODS), costs).grade == expected


def test_lightweight_is_missing_without_another_method():
    alone = pd.DataFrame(
        [{"data_set": "digits", "method": "robult", "parameters": 1, "seconds_per_step": 1.0}]
    )
    for costs in (None, alone, alone.assign(method="gmc")):
        found = grade("lightweight", rows(METHODS), costs)
        assert found == (MISSING, "no timings of runs of Robult and of another method")


def test_without_any_run_every_claim_about_runs_is_missing(tmp_path):
    nothing = pd.DataFrame()
    table = claims.write_claims(
        nothing, tmp_path / "claims.md", tables.costs(nothing, Store(tmp_path))
    ).set_index("id")
    assert table.loc[table["ours"] != MISSING].index.tolist() == [
        "linear"
    ]  # counted on models, not on runs
    assert table.loc["rank-gap", "printed"] == PARTLY
    assert "Data at hand: no runs; 0 seeds" in (tmp_path / "claims.md").read_text(encoding="utf-8")


def test_parameters_grow_linearly():
    found = grade("linear", rows(METHODS))
    assert found.grade == REPRODUCED
    counts = [
        int(word.replace(",", "")) for word in found.evidence.split(" parameters")[0].split(", ")
    ]
    assert len(set(np.diff(counts))) == 1


def test_write_claims(tmp_path):
    frame = rows(METHODS).assign(post="", rows="test").replace({"pattern": {"full": "text+audio"}})
    ablated = [
        frame[frame["method"] == "robult"].assign(**{f"hyper.{weight}": 0.0}, value=0.1)
        for weight in LOSSES.values()
    ]
    table = claims.write_claims(pd.concat([frame, *ablated]), tmp_path / "new" / "claims.md")
    text = (tmp_path / "new" / "claims.md").read_text(encoding="utf-8")
    assert list(table["id"]) == list(CLAIMS)
    assert all(f"## {name}\n" in text for name in CLAIMS)
    assert "Data at hand: digits; 3 seeds" in text
    graded = table.set_index("id")["ours"]
    assert graded["best-classification"] == REPRODUCED
    assert graded["unique-helps"] == REPRODUCED
    assert graded["any-ablation"] == MISSING  # one of the four is not there


def test_judge_knows_only_what_a_table_holds():
    assert claims.judge(CLAIMS["tied"], Table(pd.DataFrame({"robult": [1.0]}))).grade == MISSING


def test_at_hand_reads_what_the_store_has(tmp_path):
    store = Store(tmp_path)
    assert claims.at_hand(store, ["digits"], [0], 2).empty
    configs = [
        one for one in tables.configs(["digits"], [0], 2) if one.method in ("unimodal", "linear")
    ]
    made = run_grid(configs, store, progress=False)
    found = claims.at_hand(store, ["digits"], [0], 2)
    assert found["value"].tolist() == made["value"].tolist()
    assert set(found["method"]) == {"unimodal", "linear"}
