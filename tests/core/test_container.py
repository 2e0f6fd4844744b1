"""The container: what it refuses, its checksum, selection of modalities, standardisation by
training rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.tasks import Classification


def make_data(**changes) -> MultimodalData:
    generator = torch.Generator().manual_seed(0)
    fields = {
        "name": "toy",
        "task": Classification(2),
        "modalities": {
            "a": 3 + 2 * torch.randn(10, 4, generator=generator),
            "b": torch.randn(10, 5, 3, generator=generator),
        },
        "targets": torch.arange(10) % 2,
        "split": np.array(["train"] * 6 + ["valid"] + ["test"] * 3),
    }
    return MultimodalData(**(fields | changes))


def with_value(value: float, row: int) -> torch.Tensor:
    x = torch.zeros(10, 4)
    x[row, 2] = value
    return x


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": {}}, "'toy' has no modality"),
        (
            {"modalities": {"a": torch.zeros(10)}},
            r"modality 'a' of 'toy' has shape \(10,\): expected \(N, F\)",
        ),
        ({"modalities": {"a": torch.zeros(9, 4)}}, "has 9 rows but there are 10 targets"),
        ({"modalities": {"a": with_value(math.nan, 7)}}, "NaN or infinite values, first in row 7"),
        ({"modalities": {"a": with_value(-math.inf, 3)}}, "NaN or infinite values, first in row 3"),
        ({"split": np.array(["train"] * 9)}, "must hold 10 entries"),
        ({"split": np.array(["train"] * 9 + ["dev"])}, "entries out of"),
        (
            {"present": torch.ones(10, 2, dtype=torch.bool)},
            r"present of 'toy' has shape \(10, 2\): expected \(2, 10\)",
        ),
        ({"targets": torch.arange(10)}, "label 2 is outside the task's classes 0..1"),
    ],
)
def test_refuses_and_names(changes, message):
    with pytest.raises(ValueError, match=message):
        make_data(**changes)


def test_names_shapes_rows():
    data = make_data()
    assert data.names == ("a", "b")
    assert data.shapes == {"a": (4,), "b": (5, 3)}
    assert len(data) == 10
    assert data.rows("test").tolist() == [7, 8, 9]
    with pytest.raises(TypeError):
        data.modalities["c"] = torch.zeros(10, 1)


def test_checksum_depends_on_everything_a_run_can_depend_on():
    data = make_data()
    flipped = data.targets.clone()
    flipped[0] = 1 - flipped[0]
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, 0] = False
    others = [
        make_data(name="other"),
        make_data(task=Classification(3)),
        make_data(targets=flipped),
        make_data(split=np.array(["train"] * 7 + ["test"] * 3)),
        make_data(split=np.array(["test"] * 7 + ["train"] * 3)),
        make_data(present=mask),
        make_data(modalities={"a": data.modalities["a"]}),
        make_data(modalities={"b": data.modalities["b"], "a": data.modalities["a"]}),
        make_data(modalities={"a": data.modalities["a"] + 1e-6, "b": data.modalities["b"]}),
    ]
    assert len({data.checksum, *(other.checksum for other in others)}) == 10
    assert (
        make_data(display={"image": list(range(10))}).checksum
        == make_data().checksum
        == data.checksum
    )


def test_select_keeps_order_and_presence():
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, 3] = False
    data = make_data(present=mask)
    assert data.select(("b", "a")).names == ("a", "b")
    assert torch.equal(data.select(("a",)).present, mask[:1])
    for names in ((), ("smell",)):
        with pytest.raises(ValueError, match="not in 'toy', which has"):
            data.select(names)


def test_standardised_by_training_rows_alone():
    data = make_data()
    train, scaled = data.rows("train"), data.standardized()
    a = scaled.modalities["a"][train].double()
    torch.testing.assert_close(a.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        a.std(0, correction=0), torch.ones(4, dtype=torch.float64), atol=1e-6, rtol=0
    )
    b = scaled.modalities["b"][train].double().reshape(-1, 3)
    torch.testing.assert_close(b.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0)
    moved = {name: x.clone() for name, x in data.modalities.items()}
    moved["a"][9] = 1e6
    other = make_data(modalities=moved).standardized()
    assert torch.equal(other.modalities["a"][:9], scaled.modalities["a"][:9])
    assert torch.equal(other.modalities["a"][9], torch.full((4,), 5.0))  # clipped


def test_constant_feature_becomes_zero():
    x = torch.randn(10, 4)
    x[:, 1] = 7.0
    assert make_data(modalities={"a": x}).standardized().modalities["a"][:, 1].abs().max() == 0


def test_padding_stays_zero_and_out_of_the_mean():
    data = make_data()
    short = data.modalities["b"].clone()
    short[:, 3:] = 0
    padded, cut = (
        make_data(modalities={"b": x}).standardized().modalities["b"] for x in (short, short[:, :3])
    )
    assert padded[:, 3:].abs().max() == 0
    torch.testing.assert_close(padded[:, :3], cut)


def test_absent_samples_stay_zero_and_out_of_the_mean():
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, 2] = False
    data = make_data(present=mask)
    scaled = data.standardized().modalities["a"]
    assert scaled[2].abs().max() == 0
    kept = torch.tensor([0, 1, 3, 4, 5])
    torch.testing.assert_close(scaled[kept].mean(0), torch.zeros(4), atol=1e-6, rtol=0)


def test_training_rows_of_one_modality_may_all_be_absent():
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[0, :6] = False
    assert make_data(present=mask).standardized().modalities["a"].isfinite().all()


def test_replace_recomputes_the_checksum():
    data = make_data()
    before = data.checksum
    assert replace(data, name="other").checksum != before
