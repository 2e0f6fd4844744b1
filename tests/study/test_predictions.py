"""Numbers from stored predictions against those of the runs themselves, and against loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_core.datasets import load
from robult_core.tasks import LATE_FUSION
from robult_study.results import availability, predictions
from robult_study.results.scores import LATE, scores
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import run_grid
from robult_study.runs.store import Record, Store, sha256, to_parquet

RATES = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two short runs: their table and their records."""
    store = Store(tmp_path_factory.mktemp("store"))
    configs = [
        RunConfig("digits", "robult", seed, training={"steps": 3}, tag="robult") for seed in (0, 1)
    ]
    table = run_grid(configs, store, progress=False)
    records = [store.get(key) for key in table["key"].unique()]
    return table, records


def stored(folder, table: pd.DataFrame) -> Record:
    """A record that holds nothing but these predictions."""
    content = to_parquet(table)
    (folder / "predictions.parquet").write_bytes(content)
    return Record(folder, {"files": {"predictions.parquet": {"sha256": sha256(content)}}})


def test_stored_scores_keep_the_rows_that_have_every_pattern(tmp_path):
    table = pd.DataFrame(
        {
            "row": [4, 3, 3, 4, 5],
            "pattern": ["x", "x", "y", "y", "y"],
            "score_0": [0.2, 0.1, 0.3, 0.4, 0.5],
        }
    )
    rows, found = predictions.stored_scores(stored(tmp_path, table), [("x",), ("y",)])
    assert rows.tolist() == [3, 4]
    np.testing.assert_allclose(found[..., 0], [[0.1, 0.2], [0.3, 0.4]])


# Late fusion -------------------------------------------------------------------------------------


def test_the_own_rule_gives_back_what_the_runs_found(made, digits):
    table, records = made
    rows = [row for record in records for row in predictions.fusion_rules(record, digits)]
    fused = predictions.fusion_scores(rows)
    assert set(fused["tag"]) == {f"late_fusion {rule}" for rule in LATE_FUSION}
    assert set(fused["view"]) == {LATE}
    runs = table["seed"].nunique()
    words = predictions.agreement_sentence(fused, scores(table))
    assert words.endswith(f"in {runs} of {runs} runs; the largest difference is 0.000")
    shifted = fused.assign(value=fused["value"] + 0.01)
    words = predictions.agreement_sentence(shifted, scores(table))
    assert words.endswith(f"in 0 of {runs} runs; the largest difference is 0.010")
    others = predictions.other_rules(fused)
    assert set(others["tag"]) == {"late_fusion probabilities", "late_fusion confidence"}


# Random loss -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lost(made, digits):
    _, records = made
    rows = [row for record in records for row in predictions.random_loss(record, digits, RATES)]
    return predictions.loss_scores(rows)


def test_no_loss_gives_back_what_the_runs_found(made, lost):
    table, _ = made
    subsets = availability.subsets(table)
    assert predictions.loss_agrees(lost, subsets)
    shifted = lost.assign(value=lost["value"] + 0.01)
    assert not predictions.loss_agrees(shifted, subsets)


def test_the_share_lost_follows_the_rate(lost, digits):
    share = lost.groupby("rate")["lost"].mean()
    assert share[0.0] == 0
    assert share[0.5] == pytest.approx(0.5, abs=0.05)
    assert share[1.0] == pytest.approx(1 - 1 / len(digits.names))


def test_each_sample_gets_the_score_of_what_it_is_left_with():
    names = ("a", "b")
    subsets = [("a",), ("b",), ("a", "b")]
    present = np.array([[True, False, True], [False, True, True]])
    assert predictions._subset_of(present, names, subsets).tolist() == [0, 1, 2]


def test_the_draw_depends_on_the_seed_and_not_on_the_method(made, digits, lost):
    _, records = made
    again = predictions.loss_scores(predictions.random_loss(records[0], digits, RATES))
    first = lost[lost["seed"] == records[0].config["seed"]]
    assert again["value"].tolist() == first["value"].tolist()
    shares = lost[lost["rate"] == 0.5].groupby("seed")["lost"].first()
    assert shares.nunique() == 2


def test_mechanisms_at_the_same_rate_lose_other_samples(made, digits, lost):
    _, records = made
    rows = predictions.mechanisms_of_loss(records[0], digits.standardized())
    table = predictions.loss_scores(rows).set_index("mechanism")
    by_rate = lost[lost["key"] == records[0].key].set_index("rate")["value"]
    assert table.loc["at random", "value"] == by_rate[0.5]
    assert table.loc["one modality each", "value"] == by_rate[1.0]
    assert table.loc["by value", "lost"] == pytest.approx(0.5, abs=0.1)
    assert table.loc["by label", "lost"] == pytest.approx(0.375, abs=0.05)  # 3 of 4 at the rate .5
    assert table.loc["one modality a class", "lost"] == pytest.approx(0.75)
    assert table["value"].nunique() == 5
