"""Predictions by pattern: the same for a sample alone, in a crowd, and by a per-sample mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from robult_core import evaluation
from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import evaluate, having, predict, predict_all
from robult_core.methods import METHODS, make_method
from robult_core.protocol import pattern_name, patterns
from robult_core.tasks import Classification, Multilabel, Regression

TASKS = {
    "classification": Classification(3),
    "regression": Regression(),
    "multilabel": Multilabel(4),
}
ROWS = np.arange(12, 30)


def make_data(task=TASKS["classification"], present=None) -> MultimodalData:
    generator = torch.Generator().manual_seed(0)
    shapes = {"a": (4,), "b": (5, 3), "c": (2,)}
    targets = {
        "classification": torch.arange(30) % 3,
        "regression": torch.randn(30, generator=generator),
        "multilabel": torch.randint(2, (30, 4), generator=generator),
    }[task.kind]
    views = {name: torch.randn(30, *shape, generator=generator) for name, shape in shapes.items()}
    return MultimodalData(
        "toy", task, views, targets, np.array(["train"] * 12 + ["test"] * 18), present=present
    )


def make_model(data, name="robult"):
    torch.manual_seed(0)
    return make_method(name, data.task, data.shapes, width=8)


def test_prediction_reads_the_rows_and_modalities_asked_for():
    data = make_data()
    model = make_model(data)
    scores = predict(model, data, ROWS, ("a", "c"))
    assert not model.training
    direct = model.predict({name: data.modalities[name][12:30] for name in ("a", "c")})
    np.testing.assert_array_equal(scores, direct.detach().numpy())
    assert predict(model, data, ROWS[:0], ("b",)).shape == (0, 3)


def test_chunks_do_not_matter(monkeypatch):
    data = make_data()
    model = make_model(data)
    whole = predict_all(model, data, ROWS, [data.names])["a+b+c"]
    monkeypatch.setattr(evaluation, "CHUNK", 7)
    parts = predict_all(model, data, ROWS, [data.names])["a+b+c"]
    assert set(whole) == {"", "late_fusion"}
    for name, scores in whole.items():
        np.testing.assert_allclose(parts[name], scores, rtol=1e-5, atol=1e-6)


def test_a_prediction_does_not_compute_the_variants(monkeypatch):
    data = make_data()
    model = make_model(data)

    def fail(inputs):
        raise AssertionError("predict_variants was called")

    monkeypatch.setattr(model, "predict_variants", fail)
    assert predict(model, data, ROWS, data.names).shape == (18, 3)


@pytest.mark.parametrize("name", ["robult", "unimodal", "gmc", "action_mae", "prompt_trans"])
def test_the_order_of_a_pattern_and_of_the_rows_as_a_list_do_not_matter(name):
    data = make_data()
    model = make_model(data, name)
    scores = predict(model, data, ROWS, ("a", "c"))
    np.testing.assert_array_equal(predict(model, data, ROWS.tolist(), ("c", "a")), scores)
    rows, by_pattern = evaluate(model, data, ROWS, [("c", "a")])
    assert {row["pattern"] for row in rows} == set(by_pattern) == {"a+c"}


@pytest.mark.parametrize(
    ("rows", "pattern", "message"),
    [
        (ROWS, ("a", "a"), "holds a modality twice"),
        (ROWS, ("a", "smell"), "holds 'smell': choose from a, b, c"),
        (ROWS, (), "the pattern is empty"),
        (np.arange(30) > 11, ("a",), "boolean mask"),
        ([-1], ("a",), "row -1 is not in 'toy'"),
        ([30], ("a",), "row 30 is not in 'toy': choose from 0 to 29"),
    ],
)
def test_rows_and_patterns_that_make_no_sense_are_refused(rows, pattern, message):
    data = make_data()
    model = make_model(data)
    with pytest.raises(ValueError, match=message):
        predict(model, data, rows, pattern)
    with pytest.raises(ValueError, match=message):
        evaluate(model, data, rows, [pattern])
    with pytest.raises(ValueError, match=message):
        having(data, rows, pattern)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_evaluate_gives_tidy_rows(task):
    data = make_data(task)
    model = make_model(data)
    rows, scores = evaluate(model, data, ROWS, patterns(data.names))
    table = pd.DataFrame(rows)
    assert list(table.columns) == ["pattern", "variant", "metric", "value"]
    assert (
        list(scores)
        == list(dict.fromkeys(table["pattern"]))
        == [pattern_name(one) for one in patterns(data.names)]
    )
    assert not table.duplicated(["pattern", "variant", "metric"]).any()
    assert set(table.loc[table["variant"] == "late_fusion", "pattern"]) == {"a+b+c"}
    for name, values in scores.items():
        expected = task.metrics(values, data.targets[12:30].numpy())
        found = (
            table[(table["pattern"] == name) & (table["variant"] == "")]
            .set_index("metric")["value"]
            .to_dict()
        )
        assert found == pytest.approx(expected, nan_ok=True)
        assert set(found) <= set(task.metric_names)


def test_samples_that_lack_a_modality_are_left_out():
    present = torch.ones(3, 30, dtype=torch.bool)
    present[0, 12:20] = False
    present[2, 20:] = False
    data = make_data(present=present)
    assert having(data, ROWS, ("a",)).tolist() == list(range(20, 30))
    assert having(data, ROWS, ("b",)).tolist() == ROWS.tolist()
    assert having(data, ROWS, ("a", "c")).tolist() == []
    assert having(replace(data, present=None), ROWS, ("a", "c")).tolist() == ROWS.tolist()
    model = make_model(data)
    rows, scores = evaluate(model, data, ROWS, patterns(data.names))
    table = pd.DataFrame(rows)
    assert {name: len(values) for name, values in scores.items()} == {
        "a": 10,
        "b": 18,
        "c": 8,
        "a+b": 10,
        "b+c": 8,
    }
    assert set(table["pattern"]) == set(scores)  # no sample has a+c or a+b+c
    np.testing.assert_allclose(scores["a"], predict(model, data, np.arange(20, 30), ("a",)))


@pytest.mark.parametrize("name", METHODS)
def test_all_patterns_encode_each_modality_once(name):
    generator = torch.Generator().manual_seed(0)
    views = {f"m{i}": torch.randn(30, 4, generator=generator) for i in range(6)}
    targets, split = torch.arange(30) % 3, np.array(["test"] * 30)
    data = MultimodalData("six", Classification(3), views, targets, split)
    model = make_model(data, name)
    calls = []
    for encoder in model.unimodal_encoders():
        encoder.inner.register_forward_hook(lambda module, *_: calls.append(module))
    _, scores = evaluate(model, data, np.arange(30), patterns(data.names))
    assert len(scores) == 63
    assert len(calls) == len(set(calls)) == 6
    calls.clear()
    for pattern in (("m1",), ("m0", "m4"), data.names):
        alone = predict(model, data, np.arange(30), pattern)
        np.testing.assert_array_equal(scores[pattern_name(pattern)], alone)
    assert len(calls) >= 2
    for encoder in model.unimodal_encoders():
        assert "forward" not in vars(encoder)  # nothing is remembered afterwards


def test_evaluation_leaves_random_numbers_alone():
    data = make_data()
    model, state = make_model(data), torch.get_rng_state()
    evaluate(model, data, ROWS, patterns(data.names))
    assert torch.equal(torch.get_rng_state(), state)
