"""Variants are named as the tables expect, and differences are paired."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_core.model import RobultConfig
from robult_core.tasks import Classification, Multilabel, Regression
from robult_study.results import tables
from robult_study.results import variants as ablations
from robult_study.runs.configuration import RunConfig
from robult_study.runs.store import Record, sha256, to_parquet

TASKS = {
    "classification": Classification(4),
    "multilabel": Multilabel(4),
    "regression": Regression(),
}


def run_rows(differences=(0.0, 0.0), method="robult", tag="robult", seeds=3, **more):
    """Accuracy of two modalities and both, seed by seed; `differences` shift the singles and the full set."""
    rows = [
        {
            "data_set": "a",
            "method": method,
            "tag": tag,
            "label_fraction": 0.05,
            "seed": seed,
            "pattern": pattern,
            "variant": variant,
            "metric": "accuracy",
            "value": 0.5 + 0.1 * seed + shift,
            "post": "",
            "rows": "test",
            **more,
        }
        for seed in range(seeds)
        for pattern, variant, shift in (
            ("x", "", differences[0]),
            ("y", "", differences[0] + 0.02),
            ("x+y", "", differences[1]),
            ("x+y", "late_fusion", 0.3),
        )
    ]
    return pd.DataFrame(rows)


def test_terms_are_the_ablations_of_the_tables():
    rows = [
        pd.DataFrame([one.columns()])
        for one in ablations.configs(ablations.TERMS, ["digits"], [0], 10)
    ]
    assert list(tables.named(pd.concat(rows, ignore_index=True))) == list(tables.ABLATIONS)


def test_default_shares_its_record_with_a_plain_run():
    mine = ablations.configs([ablations.DEFAULT], ["digits"], [1], 400)[0]
    assert mine.key("data") == RunConfig("digits", "robult", 1, training={"steps": 400}).key("data")


def test_every_variant_differs_from_the_default_in_one_setting():
    variants = [*ablations.TERMS, *ablations.switches()]
    plain = ablations.configs([ablations.DEFAULT], ["digits"], [0], 10)[0].complete()
    keys = {
        one.key("data")
        for one in ablations.configs([ablations.DEFAULT, *variants], ["digits"], [0], 10)
    }
    assert len(keys) == len(variants) + 1
    for run in ablations.configs(variants, ["digits"], [0], 10):
        complete = run.complete()
        moved = [
            name
            for part in ("hyper", "training")
            for name in plain[part]
            if complete[part][name] != plain[part][name]
        ]
        assert len(moved) == 1, (run.tag, moved)


def test_no_contrast_is_no_row_of_table_3():
    run = ablations.configs([ablations.NO_CONTRAST], ["digits"], [0], 10)[0]
    assert tables.named(pd.DataFrame([run.columns()])).isna().all()


def test_every_choice_of_the_configuration_is_tried():
    tried = {(name, value) for one in ablations.switches() for name, value in one.hyper.items()}
    with pytest.raises(
        ValueError, match="weighting"
    ):  # the message lists the choices, so a new one shows here
        RobultConfig(weighting="?")
    from robult_core.losses import NORMALIZERS, REFERENCES, WEIGHTINGS

    for name, values in {
        "weighting": WEIGHTINGS,
        "reference": REFERENCES,
        "normalizer": NORMALIZERS,
    }.items():
        assert {(name, value) for value in values} - tried == {
            (name, getattr(RobultConfig(), name))
        }


def test_scores_average_single_modalities_and_tell_the_branches_apart():
    table = ablations.scores(run_rows((0.0, 0.2))).set_index(["seed", "view"])["value"]
    assert table[0, ablations.VIEWS[0]] == pytest.approx(0.51)
    assert table[2, ablations.VIEWS[1]] == pytest.approx(0.9)
    assert table[2, ablations.VIEWS[2]] == pytest.approx(1.0)


def test_errors_are_negated():
    rows = pd.concat([run_rows().assign(metric="mae"), run_rows().assign(metric="corr")])
    assert (ablations.scores(rows)["value"] < 0).all()


def test_changes_pair_by_seed():
    rows = ablations.scores(pd.concat([run_rows(), run_rows((-0.1, 0.0), tag="v")]))
    table = ablations.changes(rows).set_index("view")
    assert table.loc[ablations.VIEWS[0], "difference"] == pytest.approx(-0.1)
    assert table.loc[ablations.VIEWS[0], "half"] == pytest.approx(
        0, abs=1e-9
    )  # seeds differ, their differences do not
    assert list(table.loc[list(ablations.VIEWS[:2]), "verdict"]) == ["worse", "undecided"]


def test_stored_scores_keep_the_rows_that_have_every_pattern(tmp_path):
    table = pd.DataFrame(
        {
            "row": [3, 4, 3, 4, 5],
            "pattern": ["x", "x", "y", "y", "y"],
            "score_0": [0.1, 0.2, 0.3, 0.4, 0.5],
        }
    )
    content = to_parquet(table)
    (tmp_path / "predictions.parquet").write_bytes(content)
    record = Record(tmp_path, {"files": {"predictions.parquet": {"sha256": sha256(content)}}})
    rows, found = ablations.stored_scores(record, [("x",), ("y",)])
    assert rows.tolist() == [3, 4]
    np.testing.assert_allclose(found[..., 0], [[0.1, 0.2], [0.3, 0.4]])


def sweep(robult, other):
    """Both views of both methods over x = 1, 2, 3, with a little spread over seeds."""
    rows = [
        ("a", method, "v", x, seed, value + 0.01 * seed + 0.001 * (seed == 2) * (method == "gmc"))
        for method, values in (("robult", robult), ("gmc", other))
        for x, value in enumerate(values, 1)
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["data_set", "method", "view", "x", "seed", "value"])


def test_crossing_is_found_between_neighbours():
    found = ablations.crossings(sweep((0.0, 0.4, 0.8), (0.4, 0.5, 0.6)), "x").iloc[0]
    assert (found["after"], found["before"], found["ahead_then"], bool(found["clear"])) == (
        2,
        3,
        "robult",
        True,
    )
    assert found["crossing"] == pytest.approx(2 + 0.1 / 0.3, abs=0.01)


def test_parallel_curves_do_not_cross():
    assert ablations.crossings(sweep((0.5, 0.6, 0.7), (0.4, 0.5, 0.6)), "x").empty
