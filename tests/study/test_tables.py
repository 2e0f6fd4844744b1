"""Tables 1 to 3: the printed numbers cell by cell, our layout on results whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up import results

from robult_study.results import tables
from robult_study.results.layout import to_markdown

KEYS = ["data_set", "pattern", "method", "metric"]
PRINTED = [
    (1, "CMU-MOSI", "text", "unimodal", "mae", 1.41),
    (1, "CMU-MOSI", "audio", "gmc", "corr", -0.065),
    (1, "CMU-MOSI", "full", "robult", "f1", 0.657),
    (1, "CMU-MOSEI", "vision", "action_mae", "accuracy", 0.561),
    (1, "CMU-MOSEI", "text", "robult", "corr", 0.459),
    (1, "CMU-MOSEI", "full", "unimodal", "mae", 0.783),
    (2, "MM-IMDb", "image", "action_mae", "f1_macro", 0.039),
    (2, "UPMC Food-101", "full", "unimodal", "accuracy", 0.138),
    (2, "UPMC Food-101", "text", "prompt_trans", "accuracy", 0.151),
    (2, "Hateful Memes", "full", "prompt_trans", "auroc", 0.635),
    (3, "CMU-MOSI", "text", "no_labeled", "f1", 0.593),
    (3, "CMU-MOSI", "vision", "no_reconstruction", "corr", -0.023),
    (3, "CMU-MOSI", "full", "no_supervised", "mae", 1.588),
    (3, "Hateful Memes", "full", "no_labeled", "auroc", 0.634),
    (3, "Hateful Memes", "image", "gmc", "accuracy", 0.551),
    (3, "Hateful Memes", "full", "no_unlabeled", "accuracy", 0.552),
]
METHODS = {"robult": 0.7, "gmc": 0.6, "unimodal": 0.5}


def sentiment(
    values: dict[str, float], data_set: str = "mosi", metric: str = "mae"
) -> pd.DataFrame:
    """Made-up results of scores, on text and audio."""
    names = {"a": "text", "b": "audio", "a+b": "text+audio"}
    return results(values, data_set, metric).replace({"pattern": names})


# The paper's tables ------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "data_set", "pattern", "method", "metric", "value"), PRINTED)
def test_printed_cells(table, data_set, pattern, method, metric, value):
    rows = tables.paper_table(table).set_index(KEYS)["value"]
    assert rows[data_set, pattern, method, metric] == value


@pytest.mark.parametrize(("table", "count", "blocks"), [(1, 128, 32), (2, 45, 9), (3, 132, 22)])
def test_printed_tables_are_complete(table, count, blocks):
    rows = tables.paper_table(table)
    assert len(rows) == count
    assert len(tables.wide(rows)) == blocks
    assert rows["value"].notna().all()
    assert not rows.duplicated(KEYS).any()


def test_tables_1_and_3_print_the_same_robult_and_gmc():
    first = pd.concat([tables.paper_table(1), tables.paper_table(2)])
    both = first.merge(tables.paper_table(3), on=KEYS)
    # the four patterns and metrics of MOSI, and the AUROC of Hateful Memes
    assert len(both) == 16 * 2 + 3 * 2
    assert (both["value_x"] == both["value_y"]).all()


def test_there_is_no_fourth_table():
    with pytest.raises(ValueError, match="no table 4"):
        tables.paper_table(4)


# The rows that belong beside them ----------------------------------------------------------------


def test_paper_rows_keep_singles_and_the_full_set():
    two = results({"robult": 0.7, "gmc": 0.6})
    three = two[two["pattern"] == "a+b"].assign(pattern="a+b+c")
    rows = tables.paper_rows(pd.concat([two, three]))
    assert set(rows["pattern"]) == {"a", "b", "full"}
    assert len(rows) == 2 * 3 * 3
    full = rows[rows["pattern"] == "full"]
    assert full["value"].tolist() == three["value"].tolist()


def test_the_single_modality_of_a_set_with_one_is_no_full_set():
    one = results({"robult": 0.7}).query("pattern == 'a'")
    assert set(tables.paper_rows(one)["pattern"]) == {"a"}


@pytest.mark.parametrize(
    "columns",
    [
        {"variant": "late_fusion"},
        {"label_fraction": 0.1},
        {"rows": "validation"},
        {"hyper.width": 64},
        {"training.sampling": "shuffle"},
        {"post": "logistic"},
    ],
)
def test_paper_rows_leave_out_what_is_not_the_papers(columns):
    assert tables.paper_rows(results({"robult": 0.7}).assign(**columns)).empty


def test_the_budget_is_no_changed_setting():
    rows = results({"robult": 0.7}).assign(**{"training.steps": 50, "training.learning_rate": 0.1})
    assert len(tables.paper_rows(rows)) == len(rows)


def test_no_results_are_rows_with_columns():
    rows = tables.paper_rows(pd.DataFrame())
    assert rows.empty
    assert {"data_set", "pattern", "metric", "method", "seed", "value"} <= set(rows)


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"hyper.reconstruction_weight": 0.0}, "no_reconstruction"),
        ({"hyper.labeled_weight": 0.0}, "no_labeled"),
        ({"hyper.unlabeled_weight": 0.0}, "no_unlabeled"),
        ({"hyper.supervised_weight": 0.0, "post": "logistic"}, "no_supervised"),
        ({"hyper.weighting": "none"}, "no_weights"),
    ],
)
def test_ablations_are_named(columns, name):
    rows = results({"robult": 0.7}).assign(**columns)
    assert set(tables.paper_rows(rows)["method"]) == {name}


@pytest.mark.parametrize(
    "columns",
    [
        {"hyper.supervised_weight": 0.0},
        {"hyper.labeled_weight": 0.5},
        {"hyper.labeled_weight": 0.0, "post": "logistic"},
        {"hyper.labeled_weight": 0.0, "method": "robult_distilled"},
        {"hyper.labeled_weight": 0.0, "method": "gmc"},
        {"hyper.weighting": "hard"},
        {"hyper.weighting": "rbf"},
        {"hyper.weighting": "none", "post": "logistic"},
        {"hyper.weighting": "none", "hyper.width": 64},
        {"hyper.labeled_weight": 0.0, "hyper.unlabeled_weight": 0.0},
        {"hyper.labeled_weight": 0.0, "hyper.width": 64},
    ],
)
def test_half_ablations_are_not(columns):
    rows = results({"robult": 0.7}).assign(**columns)
    assert tables.paper_rows(rows).empty


# Our Tables 1 and 2 ------------------------------------------------------------------------------


def places(table: pd.DataFrame) -> dict[str, float]:
    first = table["pattern"].iloc[0]
    return table[table["pattern"] == first].set_index("method")["place"].to_dict()


def test_places_read_errors_downwards_and_include_the_sanity_rows():
    accuracy = tables.cells(results({"robult": 0.7, "gmc": 0.6, "linear": 0.8}))
    assert places(accuracy) == {"robult": 2, "gmc": 3, "linear": 1}
    error = tables.cells(sentiment({"robult": 0.7, "gmc": 0.6}))
    assert places(error) == {"robult": 2, "gmc": 1}
    marked = tables.comparison(accuracy).iloc[0]
    assert marked["linear"] == "<b>0.800 ± 0.000</b>"
    assert marked["Robult"] == "<u>0.700 ± 0.000</u>"
    assert marked["GMC"] == "0.600 ± 0.000"


def test_equal_means_share_the_better_place():
    tied = tables.cells(results({"robult": 0.5, "gmc": 0.5, "unimodal": 0.25}, full=0.0))
    assert places(tied) == {"robult": 1, "gmc": 1, "unimodal": 3}


def test_cells_show_the_papers_metrics_and_those_beside_them():
    rows = [results(METHODS, metric=name) for name in ("accuracy", "f1_macro", "auroc")]
    assert set(tables.cells(pd.concat(rows))["metric"]) == {"accuracy", "f1_macro"}


def test_the_papers_own_sets_come_first_with_its_numbers():
    rows = pd.concat([sentiment({"robult": 0.6}, name) for name in ("mosi", "mosi-mult")])
    table = tables.cells(rows)
    printed = table.set_index(["data_set", "pattern"])["paper"]
    assert printed["mosi-mult", "text"] == 1.397
    assert printed["mosi"].isna().all()
    text = tables.comparison(table)
    assert text.index.get_level_values("block")[0] == "CMU-MOSI"
    cell = text.loc[("CMU-MOSI", "mosi-mult", "text", "mae"), "Robult"]
    assert cell == "<b>0.600 ± 0.000</b> (paper 1.397)"
    assert "paper" not in text.loc[(tables.OTHER, "mosi", "text", "mae"), "Robult"]


@pytest.mark.parametrize(
    ("data_set", "metric", "block"),
    [
        ("mosi-mult", "mae", "CMU-MOSI"),
        ("mosei-mult", "mae", "CMU-MOSEI"),
        ("mosi-mmsa", "mae", tables.OTHER),
        ("mosei-mmsa", "mae", tables.OTHER),
        ("mosi-mult-unaligned", "mae", tables.OTHER),
        ("mm-imdb", "f1_macro", tables.OTHER),
        ("food101", "accuracy", tables.OTHER),
        ("hateful-memes", "auroc", tables.OTHER),
    ],
)
def test_only_two_sets_have_the_papers_features(data_set, metric, block):
    table = tables.cells(results({"robult": 0.6}, data_set, metric))
    assert set(table["block"]) == {block}


def test_the_f1_of_gmc_meets_the_papers_f1():
    table = tables.cells(sentiment({"robult": 0.6}, "mosei-mult", "f1_gmc"))
    assert table.set_index("pattern").loc["text", "paper"] == 0.739
    other = tables.cells(sentiment({"robult": 0.6}, "mosei-mult", "f1"))
    assert other["paper"].isna().all()


def test_a_method_without_a_number_has_a_dash():
    rows = results({"robult": 0.7, "self_training": 0.6})
    rows = rows[(rows["method"] == "robult") | (rows["pattern"] == "a+b")]
    text = tables.comparison(tables.cells(rows))
    assert list(text.columns) == ["Robult", "self-training"]
    assert text["self-training"].tolist() == ["–", "–", "<u>0.700 ± 0.000</u>"]
    assert to_markdown(text).count("\n") == 2 + 3


def test_two_seeds_give_no_interval_in_the_table():
    text = tables.comparison(tables.cells(results({"robult": 0.7}, seeds=2)))
    assert text["Robult"].tolist() == ["<b>0.700</b>", "<b>0.700</b>", "<b>0.800</b>"]


def test_sentiment_is_table_1_and_classes_are_table_2():
    rows = pd.concat([results(METHODS), sentiment({"robult": 0.6, "gmc": 0.7})])
    parts = tables.by_paper_table(tables.comparison(tables.cells(rows)))
    assert set(parts) == {1, 2}
    assert list(parts[1].columns) == ["GMC", "Robult"]
    assert list(parts[2].columns) == ["Unimodal", "GMC", "Robult"]
    only = tables.by_paper_table(tables.comparison(tables.cells(results(METHODS))))
    assert set(only) == {2}


def test_the_default_is_set_against_simpler_ways_seed_by_seed():
    rows = [
        results({"robult_distilled": 0.7, "linear": 0.6, "robult": 0.1}),
        sentiment({"robult_distilled": 1.2, "linear": 1.1}),
    ]
    table = tables.default_gains(pd.concat(rows))
    assert table.index.tolist() == [
        ("digits", "one modality, mean of 2", "accuracy"),
        ("digits", "all", "accuracy"),
        ("mosi", "one modality, mean of 2", "mae"),
        ("mosi", "all", "mae"),
    ]
    assert list(table.columns) == ["linear"]  # nothing else was run
    better, worse = "+0.100 ± 0.000 *", "-0.100 ± 0.000 *"  # errors are negated
    assert table["linear"].tolist() == [better, better, worse, worse]


def test_the_headline_has_two_lines_a_set_and_the_best_in_bold():
    rows = [
        results(METHODS),
        sentiment({"robult": 1.2, "gmc": 1.1}),
        sentiment({"robult": 0.1, "gmc": 0.2}, metric="corr"),
    ]
    table = tables.headline(tables.in_brief(pd.concat(rows)))
    assert table.index.tolist() == [
        ("digits", "one modality, mean of 2", "accuracy"),
        ("digits", "all", "accuracy"),
        ("mosi", "one modality, mean of 2", "mae"),
        ("mosi", "all", "mae"),
    ]
    assert table["Robult"].tolist() == [
        "<b>0.700</b> ± 0.000",
        "<b>0.800</b> ± 0.000",
        "1.200 ± 0.000",
        "1.300 ± 0.000",
    ]
    assert table["GMC"].tolist() == [
        "0.600 ± 0.000",
        "0.700 ± 0.000",
        "<b>1.100</b> ± 0.000",
        "<b>1.200</b> ± 0.000",
    ]
    assert table["Unimodal"].tolist()[2:] == ["–", "–"]


def test_late_fusion_stands_beside_the_fused_branch():
    fused = results({"robult": 0.7, "unimodal": 0.5, "gmc": 0.6})
    late = results({"robult": 0.8}, variant="late_fusion").query("pattern == 'a+b'")
    table = tables.late_fusion(pd.concat([fused, late]))
    assert table.index.tolist() == [("digits", "accuracy")]
    assert table.iloc[0].to_dict() == {
        "Robult, fused": "0.800 ± 0.000",
        "Unimodal, fused": "0.600 ± 0.000",
        "Robult, late fusion": "0.900 ± 0.000",
    }


@pytest.mark.parametrize(
    ("linear", "words"), [(0.9, "3 of 3 rows: digits a accuracy (linear)"), (0.1, "0 of 3 rows.")]
)
def test_the_sanity_sentence_says_who_wins(linear, words):
    table = tables.cells(results({"robult": 0.7, "linear": linear}))
    assert words in tables.sanity_sentence(table)


# Differences -------------------------------------------------------------------------------------


@pytest.fixture
def differences() -> pd.DataFrame:
    """On an error: Robult is clearly better than GMC and clearly worse than Unimodal."""
    rows = sentiment({"robult": 1.0, "gmc": 1.2, "unimodal": 0.9})
    shared = rows["seed"] * 0.5  # cancels in a pair
    own = np.random.default_rng(0).normal(0, 1e-3, len(rows))
    return tables.differences(rows.assign(value=rows["value"] + shared + own))


def test_differences_are_paired_and_signed(differences):
    table = differences.set_index(["against", "pattern"])
    assert np.allclose(table.loc["gmc", "difference"], 0.2, atol=0.01)
    assert (table.loc["gmc", "verdict"] == "better").all()
    assert (table.loc["unimodal", "verdict"] == "worse").all()
    assert list(dict.fromkeys(differences["against"])) == ["unimodal", "gmc"]


def test_differences_within_noise_are_undecided():
    table = tables.differences(results({"robult": 0.7, "gmc": 0.7}, noise=0.05))
    assert "undecided" in set(table["verdict"])


def test_holm_corrects_over_the_rows_against_one_method():
    """p = 0.012 in one of three rows survives among three rows (0.036), not among six (0.072)."""
    scatter = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    scatter /= scatter.std(ddof=1)
    difference = 0.01 * (scatter + 4.4 / np.sqrt(5))  # t = 4.4 with 4 degrees of freedom
    rows = results({"robult": 0.7, "gmc": 0.7, "unimodal": 0.7}, seeds=5)
    ahead = (rows["method"] == "robult") & (rows["pattern"] == "a")
    gain = difference[rows["seed"]] * ahead
    table = tables.differences(rows.assign(value=rows["value"] + gain))
    decided = table[table["pattern"] == "a"]
    assert decided["p"].tolist() == pytest.approx([0.0117, 0.0117], abs=1e-3)
    assert decided["holm"].tolist() == ["better", "better"]


def test_verdicts_are_counted_raw_and_corrected(differences):
    raw = tables.verdicts(differences, ["against"])[["better", "undecided", "worse"]]
    assert raw.loc["gmc"].tolist() == [3, 0, 0]
    assert raw.loc["unimodal"].tolist() == [0, 0, 3]
    corrected = tables.verdicts(differences, ["against"]).filter(like="Holm")
    assert corrected.sum(axis=1).tolist() == [3, 3]
    assert tables.verdicts(differences).index.names == ["against", "data_set"]
    assert tables.verdict_sentence(differences) == (
        "3 intervals better, 0 undecided, 3 worse; after Holm's correction 3 better, 3 worse"
    )
    against_gmc = differences[differences["against"] == "gmc"]
    assert tables.verdict_sentence(against_gmc) == (
        "3 intervals better, 0 undecided, 0 worse; after Holm's correction 3 better, 0 worse"
    )


def test_the_largest_differences_of_both_directions(differences):
    undecided = differences.iloc[[0]].assign(verdict="undecided", difference=9.0)
    table = tables.largest(pd.concat([differences, undecided], ignore_index=True), 2)
    assert table["verdict"].tolist() == ["worse", "worse", "better", "better"]
    assert table["difference"].is_monotonic_increasing
    assert len(tables.largest(differences, 5)) == 6  # each once


def test_the_lead_is_counted_in_print_and_here():
    words = tables.lead_sentence(results({"robult": 0.7, "gmc": 0.6, "linear": 0.9}))
    assert "40 of 41 rows (paper" in words  # Hateful Memes' full set is Prompt-Trans'
    assert "3 of 3 rows (here" in words
    assert words.endswith("best in most rows holds here.")
    tied = tables.lead_sentence(results({"robult": 0.5, "gmc": 0.5}))
    assert "0 of 3 rows (here" in tied
    assert tied.endswith("best in most rows does not hold here.")
