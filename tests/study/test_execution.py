"""What one run yields: a record that follows from its configuration and data, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import small

from robult_core import datasets
from robult_core.methods import make_method
from robult_core.methods.sanity import sanity_predictions
from robult_core.protocol import label_split
from robult_core.training import TrainingConfig, train
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import execute, restore
from robult_study.runs.fingerprint import numerics
from robult_study.runs.grid import grid, run_grid
from robult_study.runs.store import Record, Store


@pytest.fixture
def digits() -> datasets.MultimodalData:
    return datasets.load("digits")


@pytest.fixture
def record(finished) -> Record:
    """The run with seed 0."""
    store, table = finished
    return store.get(table["key"].iloc[0])


def test_a_record_holds_what_the_study_promises(finished, digits):
    store, table = finished
    for record in store.records():
        content = record.content
        assert RunConfig(**record.config).key(digits.checksum) == record.key
        assert content["numerics"] == numerics()
        assert content["data_checksum"] == digits.checksum
        assert content["versions"]["torch"].startswith("2.")
        assert content["parameters"] == sum(value.numel() for value in record.weights().values())
        timings = content["timings"]
        assert timings["train_seconds"] > 0
        assert timings["seconds_per_step"] == pytest.approx(timings["train_seconds"] / 20)
        assert len(timings["latency_ms"]) == len(digits.names) + 1
        assert record.curves()["step"].max() == 20
        assert not torch.equal(record.weights(0)["c.weight"], record.weights(10)["c.weight"])
    seeds, variants, metrics = 2, 15 + 1, 2  # the one more is late fusion of all modalities
    assert len(table) == seeds * variants * metrics


def test_a_record_holds_what_training_by_hand_gives(finished, digits):
    """Weights and batches follow from the seed of the configuration, bit for bit."""
    store, table = finished
    record = store.get(table.loc[table["seed"] == 1, "key"].iloc[0])
    data = digits.standardized()
    torch.manual_seed(1)
    method = make_method("robult", data.task, data.shapes, width=16)
    settings = TrainingConfig(steps=20, batch_size=32)
    history = train(method, data, label_split(data, 0.05, 1), settings, seed=1)
    for name, value in record.weights().items():
        assert torch.equal(method.state_dict()[name], value)
    assert list(record.curves().itertuples(index=False, name=None)) == history.rows


def test_each_seed_draws_labels_of_its_own(finished, digits):
    store, _ = finished
    drawn = {record.config["seed"]: record.label_rows for record in store.records()}
    assert set(drawn) == {0, 1}
    for seed, rows in drawn.items():
        assert rows == label_split(digits, 0.05, seed).tolist()
    assert drawn[0] != drawn[1]


def test_labels_are_drawn_from_training_rows_by_their_share(tmp_path, digits):
    run_grid(small(seed=0, label_fraction=0.5), tmp_path, progress=False)
    (record,) = Store(tmp_path).records()
    assert set(record.label_rows) <= set(digits.rows("train").tolist())
    assert len(record.label_rows) == pytest.approx(len(digits.rows("train")) / 2, rel=0.02)


def test_metrics_follow_from_the_stored_predictions(record, digits):
    predictions = record.predictions().query("pattern == 'top_left'")
    rows = predictions["row"].to_numpy()
    assert rows.tolist() == digits.rows("test").tolist()
    predicted = predictions.filter(like="score_").to_numpy().argmax(1)
    accuracy = (predicted == digits.targets.numpy()[rows]).mean()
    stored = record.metrics.query("pattern == 'top_left' and metric == 'accuracy'")["value"].item()
    assert accuracy == stored


@pytest.mark.parametrize("standardised", [True, False], ids=["standardised", "raw"])
def test_a_restored_method_predicts_what_was_stored(record, digits, standardised):
    method = restore(record, digits.standardized() if standardised else digits)
    rows = torch.from_numpy(digits.rows("test"))
    with torch.no_grad():
        scores = method.predict({"top_left": digits.standardized().modalities["top_left"][rows]})
    stored = record.predictions().query("pattern == 'top_left'").filter(like="score_")
    np.testing.assert_allclose(scores.numpy(), stored.to_numpy(), atol=1e-6)


def test_validation_rows_are_training_rows(tmp_path, digits):
    trained = small(seed=0, rows="validation")
    sanity = small(seed=0, method="linear", hyper={}, rows="validation")
    table = run_grid([*trained, *sanity], tmp_path, progress=False)
    for record in Store(tmp_path).records():
        scored = set(record.predictions()["row"])
        assert scored <= set(digits.rows("train").tolist())
        assert not scored & set(record.label_rows)
    assert set(table["pattern"]) == {*digits.names, "+".join(digits.names)}


def test_a_fold_is_scored_on_a_third_of_the_labelled_rows(tmp_path, digits):
    folds = [config for i in range(3) for config in small(seed=0, rows=f"fold {i}")]
    run_grid(folds, tmp_path, progress=False)
    labeled = set(label_split(digits, 0.05, 0).tolist())
    scored = []
    for record in Store(tmp_path).records():
        held_out = set(record.predictions()["row"])
        assert held_out | set(record.label_rows) == labeled
        assert not held_out & set(record.label_rows)
        scored += held_out
    assert sorted(scored) == sorted(labeled)


def test_sanity_rows_and_the_logistic_head(tmp_path, digits):
    sanity = grid(data_set="digits", method=["linear", "self_training"])
    untrained = {"width": 16, "supervised_weight": 0.0}
    table = run_grid(
        sanity + small(seed=0, post="logistic", hyper=untrained), tmp_path, progress=False
    )
    full = "+".join(digits.names)
    rows = table[(table["metric"] == "accuracy") & (table["pattern"] == full)]
    accuracy = rows.set_index("method")["value"]
    assert accuracy["linear"] > 0.7
    assert accuracy["robult"] > 0.5  # the untrained classifier itself would be near 0.1
    assert set(table.loc[table["method"] == "self_training", "pattern"]) == {full}


def test_sanity_scores_stay_with_their_samples_where_some_lack_a_modality(digits):
    """Each row is scored as itself, not as the row that stands in its place among all of them."""
    first = digits.names[:1]
    present = torch.ones(len(digits.names), len(digits), dtype=torch.bool)
    present[0, ::2] = False
    data = replace(digits, present=present)
    _, files = execute(RunConfig("digits", "linear"), data)
    predictions = pd.read_parquet(BytesIO(files["predictions.parquet"]))
    rows = data.rows("test")
    standardized, labeled = data.standardized(), label_split(data, 0.05, 0)
    scores = sanity_predictions("linear", standardized, labeled, rows, [first], 0)[first]
    have_it = rows % 2 == 1
    stored = predictions.query(f"pattern == '{first[0]}'")
    assert stored["row"].tolist() == rows[have_it].tolist()
    np.testing.assert_allclose(stored.filter(like="score_"), scores[have_it], atol=1e-6)


def test_without_labels_there_are_weights_and_no_predictions(tmp_path):
    table = run_grid(small(seed=0, label_fraction=0, keep_weights=True), tmp_path, progress=False)
    (record,) = Store(tmp_path).records()
    assert table.empty
    assert record.label_rows == []
    assert record.content["timings"]["latency_ms"] == {}
    assert len(record.predictions()) == 0
    assert record.weights()


def test_threads_outside_do_not_move_a_number(record, digits):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        content, files = execute(small()[0], digits)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert content["metrics"] == record.content["metrics"]
    assert files["predictions.parquet"] == record.read("predictions.parquet")
