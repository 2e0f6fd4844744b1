"""The case of a modality that holds nothing, on made-up runs."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from made_up import results

from robult_core.datasets import MultimodalData
from robult_core.tasks import Classification, Regression
from robult_study.results import noise
from robult_study.results.variants import NO_ALIGNMENT, NO_PSEUDO_LABELS

VALUES = {"linear": 0.5, "unimodal": 0.6, "robult": 0.7}


@pytest.fixture
def rows() -> pd.DataFrame:
    """Accuracy and MAE of the controls and of Robult's variants, known by their tags."""
    tables = []
    for metric in ("accuracy", "mae", "f1"):
        controls = results(VALUES, "mosi", metric)
        tables.append(controls.assign(tag=controls["method"]))
        for variant, value in ((NO_ALIGNMENT, 0.65), (NO_PSEUDO_LABELS, 0.68)):
            tables.append(results({"robult": value}, "mosi", metric, tag=variant.name))
    tables.append(results({"robult": 0.9}, "mosi", variant="late_fusion", tag="robult"))
    return noise.noise_rows(pd.concat(tables))


def test_variants_are_methods_and_errors_are_negated(rows):
    assert set(rows["metric"]) == {"accuracy", "mae"}
    assert NO_ALIGNMENT.name in set(rows["method"])
    table = noise.noise_table(rows)
    assert table.loc[("a", "accuracy"), NO_ALIGNMENT.name] == "0.650 ± 0.000"
    assert table.loc[("a", "mae"), "robult"] == "-0.700 ± 0.000"


def test_differences_name_both_sides(rows):
    table = noise.noise_differences(rows).set_index(["comparison", "pattern", "metric"])
    row = table.loc[("Robult minus Unimodal", "a", "accuracy")]
    assert row["difference"] == pytest.approx(0.1)
    assert row["verdict"] == "better"
    assert table.loc[("Robult minus no L_ulb", "a", "mae"), "difference"] == pytest.approx(-0.02)


def test_sentences_give_the_change_by_the_alignment(rows):
    sentences = noise.noise_sentences(rows)
    *by_pattern, decided = sentences
    assert [sentence.split(":")[0] for sentence in by_pattern] == ["a", "b", "a+b"]
    assert re.match(
        r"What the alignment clearly changes, after Holm's correction: a accuracy \+0\.050 \(",
        decided,
    )
    assert sentences[0].startswith("a: linear 0.500, unimodal 0.600, robult 0.700, no L_PU 0.650")
    assert sentences[0].endswith("changes Robult by +0.050")


def data_with(task, targets: list) -> MultimodalData:
    split = np.array(["train"] + ["test"] * (len(targets) - 1))
    inputs = {"a": torch.zeros(len(targets), 2)}
    return MultimodalData("made up", task, inputs, torch.tensor(targets), split)


def test_the_best_constant_guess():
    scores = data_with(Regression(), [3.0, -0.5, -2.0, -1.0, 1.0, 0.0, 0.0])
    assert noise.best_constant(scores) == pytest.approx(3 / 4)
    classes = data_with(Classification(3), [0, 1, 2, 2, 1, 2])
    assert noise.best_constant(classes) == pytest.approx(3 / 5)
