"""Tables: the printed numbers against hand-picked cells, our layout on synthetic results whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_study.results import tables
from robult_study.runs.store import Store

METHODS = {"robult": 0.7, "gmc": 0.6, "unimodal": 0.5}
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


def results(
    values: dict[str, float], data_set="digits", metric="accuracy", seeds=3, noise=0.0, **columns
) -> pd.DataFrame:
    """Rows as `run_grid` returns them: patterns a, b and a+b; `values` by method; the full set is 0.1 better."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "data_set": data_set,
            "method": method,
            "seed": seed,
            "label_fraction": 0.05,
            "rows": "test",
            "post": "",
            "pattern": pattern,
            "variant": "",
            "metric": metric,
            "value": value + 0.1 * (pattern == "a+b") + noise * rng.standard_normal(),
        }
        for method, value in values.items()
        for seed in range(seeds)
        for pattern in ("a", "b", "a+b")
    ]
    return pd.DataFrame(rows).assign(**columns)


@pytest.mark.parametrize(("table", "data_set", "pattern", "method", "metric", "value"), PRINTED)
def test_printed_cells(table, data_set, pattern, method, metric, value):
    rows = tables.paper_table(table)
    found = rows.query(
        "data_set == @data_set and pattern == @pattern and method == @method and metric == @metric"
    )
    assert found["value"].tolist() == [value]


@pytest.mark.parametrize(("table", "count", "blocks"), [(1, 128, 32), (2, 45, 9), (3, 132, 22)])
def test_printed_tables_are_complete(table, count, blocks):
    rows = tables.paper_table(table)
    assert len(rows) == count
    assert len(tables.wide(rows)) == blocks
    assert rows["value"].notna().all()
    assert not rows.duplicated(["data_set", "pattern", "method", "metric"]).any()


def test_tables_1_and_3_print_the_same_robult_and_gmc():
    keys = ["data_set", "pattern", "method", "metric"]
    both = pd.concat([tables.paper_table(1), tables.paper_table(2)]).merge(
        tables.paper_table(3), on=keys
    )
    assert (
        len(both) == 16 * 2 + 3 * 2
    )  # MOSI's four patterns and metrics, and the AUROC of Hateful Memes
    assert (both["value_x"] == both["value_y"]).all()


def test_no_fourth_table():
    with pytest.raises(ValueError, match="no table 4"):
        tables.paper_table(4)


def test_paper_rows_keep_singles_and_full_set():
    frame = results({"robult": 0.7, "gmc": 0.6})
    pair = frame[frame["pattern"] == "a+b"].assign(pattern="a+b+c")
    rows = tables.paper_rows(pd.concat([frame, pair]))
    assert set(rows["pattern"]) == {"a", "b", "full"}
    assert len(rows) == 2 * 3 * 3


def test_paper_rows_leave_out_what_is_not_the_papers():
    frame = results({"robult": 0.7})
    others = [
        frame.assign(variant="late_fusion"),
        frame.assign(label_fraction=0.1),
        frame.assign(rows="validation"),
        frame.assign(**{"hyper.width": 64}),
        frame.assign(**{"training.sampling": "shuffle"}),
        frame.assign(post="logistic"),
    ]
    assert len(tables.paper_rows(pd.concat([frame, *others]))) == len(frame)
    assert len(tables.paper_rows(frame.assign(**{"training.steps": 50}))) == len(frame)


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"hyper.reconstruction_weight": 0.0}, "no_reconstruction"),
        ({"hyper.labeled_weight": 0.0}, "no_labeled"),
        ({"hyper.unlabeled_weight": 0.0}, "no_unlabeled"),
        ({"hyper.supervised_weight": 0.0, "post": "logistic"}, "no_supervised"),
    ],
)
def test_ablations_are_named(columns, name):
    assert set(tables.paper_rows(results({"robult": 0.7}, **columns))["method"]) == {name}


@pytest.mark.parametrize(
    "columns",
    [
        {"hyper.supervised_weight": 0.0},
        {"hyper.labeled_weight": 0.5},
        {"hyper.labeled_weight": 0.0, "hyper.unlabeled_weight": 0.0},
    ],
)
def test_half_ablations_are_not(columns):
    assert tables.paper_rows(results({"robult": 0.7}, **columns)).empty


def test_cells_mark_best_and_second_and_read_errors_downwards():
    accuracy = tables.cells(results({"robult": 0.7, "gmc": 0.6, "linear": 0.8}))
    assert accuracy.query("pattern == 'a'").set_index("method")["place"].to_dict() == {
        "robult": 2,
        "gmc": 3,
        "linear": 1,
    }
    error = tables.cells(results({"robult": 0.7, "gmc": 0.6}, data_set="mosi", metric="mae"))
    assert error.query("pattern == 'a'").set_index("method")["place"].to_dict() == {
        "robult": 2,
        "gmc": 1,
    }


def test_paper_number_only_beside_the_papers_set():
    rows = pd.concat(
        [results({"robult": 0.6}, data_set=name, metric="mae") for name in ("mosi", "mosi-mult")]
    )
    rows["pattern"] = rows["pattern"].replace({"a": "text", "b": "audio", "a+b": "text+audio"})
    table = tables.cells(rows)
    assert table.loc[table["data_set"] == "mosi", "paper"].isna().all()
    assert table.query("data_set == 'mosi-mult' and pattern == 'text'")["paper"].tolist() == [1.397]
    text = tables.comparison(table)
    assert text.index.get_level_values("block")[0] == "CMU-MOSI"  # the paper's sets come first
    assert (
        text.loc[("CMU-MOSI", "mosi-mult", "text", "mae"), "Robult"]
        == "<b>0.600 ± 0.000</b> (paper 1.397)"
    )
    assert "paper" not in text.loc[(tables.OTHER, "mosi", "text", "mae"), "Robult"]


def test_f1_of_gmc_meets_the_papers_f1():
    rows = results({"robult": 0.6}, data_set="mosei-mult", metric="f1_gmc")
    rows = pd.concat([rows, rows.assign(metric="mae")]).replace({"pattern": {"a": "text"}})
    assert tables.cells(rows).query("metric == 'f1_gmc' and pattern == 'text'")[
        "paper"
    ].tolist() == [0.739]


def test_comparison_has_a_dash_where_a_method_has_no_number():
    frame = results({"robult": 0.7, "self_training": 0.6})
    frame = frame[(frame["method"] == "robult") | (frame["pattern"] == "a+b")]
    text = tables.comparison(tables.cells(frame))
    assert list(text.columns) == ["Robult", "self-training"]
    assert text["self-training"].tolist() == ["–", "–", "<u>0.700 ± 0.000</u>"]
    assert tables.to_markdown(text).count("\n") == 2 + 3


def test_differences_are_paired_and_signed():
    frame = results({"robult": 1.0, "gmc": 1.2, "unimodal": 0.9}, data_set="mosi", metric="mae")
    noise = frame["seed"] * 0.5 + np.random.default_rng(0).normal(
        0, 1e-3, len(frame)
    )  # the seed's part cancels in a pair
    table = tables.differences(frame.assign(value=frame["value"] + noise)).set_index(
        ["against", "pattern"]
    )
    assert np.allclose(table.loc["gmc", "difference"], 0.2, atol=0.01)
    assert (table.loc["gmc", "verdict"] == "better").all()
    assert (table.loc["unimodal", "verdict"] == "worse").all()


def test_differences_within_noise_are_undecided():
    table = tables.differences(results({"robult": 0.7, "gmc": 0.7}, noise=0.05))
    assert "undecided" in set(table["verdict"])


@pytest.mark.parametrize(
    ("linear", "words"), [(0.9, "3 of 3 rows: digits a accuracy (linear)"), (0.1, "0 of 3 rows.")]
)
def test_sanity_sentence_says_who_wins(linear, words):
    assert words in tables.sanity_sentence(tables.cells(results({"robult": 0.7, "linear": linear})))


def test_costs_are_medians_over_seeds(tmp_path):
    store = Store(tmp_path)
    frame = results({"robult": 0.7, "gmc": 0.6}).query("pattern == 'a'")
    for row in frame.itertuples():
        latency = {"a": 1.0, "b": 3.0, "a+b": 5.0}
        store.put(
            f"{row.method}-{row.seed}",
            {
                "config": {"data_set": "digits", "method": row.method, "seed": row.seed},
                "parameters": 10 if row.method == "gmc" else 20,
                "timings": {"seconds_per_step": 0.01 * (row.seed + 1), "latency_ms": latency},
            },
            {},
        )
    table = tables.costs(
        frame.assign(key=frame["method"] + "-" + frame["seed"].astype(str)), store
    ).set_index("method")
    assert table.loc["robult"].drop("data_set").to_dict() == pytest.approx(
        {"parameters": 20, "seconds_per_step": 0.02, "latency_one_ms": 2.0, "latency_full_ms": 5.0}
    )


def test_configs_cover_every_method_and_leave_out_self_training_of_regression():
    configs = tables.configs(["digits", "mosi"], [0, 1], 10)
    assert len(configs) == 2 * (7 + 6)
    assert {one.training.get("steps") for one in configs if one.method == "gmc"} == {10}
    assert not [one for one in configs if one.method == "self_training" and one.data_set == "mosi"]


def test_headline_has_two_lines_a_set_and_the_best_in_bold():
    frame = pd.concat(
        [
            results(METHODS),
            results({"robult": 1.2, "gmc": 1.1}, "mosi", "mae"),
            results({"robult": 0.1, "gmc": 0.2}, "mosi", "corr"),
        ]
    )
    table = tables.headline(frame)
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
