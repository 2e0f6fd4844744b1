"""The container: what it refuses, its checksum, selection of modalities, standardisation by
training rows."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from robult_core.datasets.container import BLOCK, MultimodalData
from robult_core.tasks import Classification, Multilabel, Regression


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


def with_value(value: float, row: int | list[int]) -> torch.Tensor:
    x = torch.zeros(10, 4)
    x[row, 2] = value
    return x


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": {}}, "'toy' has no modality"),
        ({"modalities": {"": torch.zeros(10, 4)}}, "'' cannot name a modality of 'toy'"),
        ({"modalities": {"a+b": torch.zeros(10, 4)}}, r"'a\+b' cannot name a modality"),
        ({"modalities": {1: torch.zeros(10, 4)}}, "1 cannot name a modality of 'toy': give a text"),
        ({"modalities": {"a": torch.zeros(10, 0)}}, r"'a' of 'toy' has shape \(10, 0\): drop it"),
        ({"modalities": {"a": torch.zeros(10, 0, 3)}}, r"has shape \(10, 0, 3\): drop it"),
        ({"modalities": {"a": [["x"]] * 10}}, "modality 'a' of 'toy' has the type .* give numbers"),
        ({"modalities": {"a": [[1], [1, 2]] * 5}}, "'a' of 'toy' cannot be read .* equal length"),
        (
            {"modalities": {"a": torch.zeros(0, 4)}, "targets": [], "split": []},
            "'toy' has no sample",
        ),
        (
            {"modalities": {"a": np.ma.masked_equal(np.arange(10.0).reshape(10, 1), 3)}},
            "modality 'a' of 'toy' is an array with masked entries: fill them",
        ),
        ({"class_names": ("same", "same")}, "'toy' has a class name twice: give each class"),
        ({"targets": ["a"] * 10}, "the targets of 'toy' has the type .*: give numbers"),
        ({"targets": np.linspace(0, 1, 10)}, "labels have shape"),
        ({"present": torch.ones(2, 10)}, "present of 'toy' has the type torch.float32"),
        ({"known": torch.ones(9, dtype=torch.bool)}, r"known of 'toy' has shape \(9,\)"),
        ({"class_names": ("no", "yes", "perhaps")}, "'toy' has 3 class_names for 2 classes"),
        (
            {
                "task": Multilabel(2),
                "targets": torch.ones(10, 2, dtype=torch.long),
                "class_names": ("only",),
            },
            "'toy' has 1 class_names for 2 classes: name all or none",
        ),
        (
            {"modalities": {"a": torch.zeros(10)}},
            r"modality 'a' of 'toy' has shape \(10,\): expected \(N, F\)",
        ),
        ({"modalities": {"a": torch.zeros(9, 4)}}, "has 9 rows but there are 10 targets"),
        ({"modalities": {"a": with_value(math.nan, 7)}}, "NaN or infinite values, first in row 7"),
        ({"modalities": {"a": with_value(-math.inf, 3)}}, "NaN or infinite values, first in row 3"),
        ({"modalities": {"a": with_value(math.inf, [2, 5])}}, "infinite values, first in row 2"),
        ({"modalities": {"a": torch.zeros(10, 4) * 1j}}, "type torch.complex64: give real numbers"),
        (
            {"modalities": {"a": torch.zeros(10)}, "unscaled": ("a",)},
            r"modality 'a' of 'toy' has shape \(10,\): expected",
        ),
        ({"split": np.array(["train"] * 9)}, "give 10 words, one per sample"),
        ({"split": np.array(["train"] * 9 + ["dev"])}, "holds 'dev': choose from train"),
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


def test_numbers_of_any_type_become_those_of_the_container():
    values = np.arange(40).reshape(10, 4)
    for given in (values, values.tolist(), values.astype(">f8"), torch.from_numpy(values).half()):
        x = make_data(modalities={"a": given}).modalities["a"]
        assert x.dtype == torch.float32
        assert x.tolist() == values.tolist()
    flags = make_data(modalities={"a": values % 2 == 0}).modalities["a"]
    assert flags.dtype == torch.float32
    mirrored = values[::-1, ::-1]
    assert make_data(modalities={"a": mirrored}).modalities["a"].tolist() == mirrored.tolist()
    sparse = torch.from_numpy(values).to_sparse()
    assert make_data(modalities={"a": sparse}).modalities["a"].tolist() == values.tolist()
    read_only = values.astype(np.float32)
    read_only.flags.writeable = False
    assert make_data(modalities={"a": read_only}).modalities["a"].tolist() == values.tolist()


@pytest.mark.parametrize(
    ("task", "given", "dtype"),
    [
        (Classification(2), [0, 1] * 5, torch.int64),
        (Classification(2), np.array([0, 1] * 5, dtype=np.uint8), torch.int64),
        (Classification(2), [False, True] * 5, torch.int64),
        (Classification(2), [0.0, 1.0] * 5, torch.int64),
        (Regression(), [1, 2] * 5, torch.float32),
        (Regression(), np.array([0.5, 2.0] * 5), torch.float32),
        (Multilabel(2), [[0, 1]] * 10, torch.int64),
        (Multilabel(2), np.array([[0.0, 1.0]] * 10), torch.int64),
        (Multilabel(2), np.array([[False, True]] * 10), torch.int64),
    ],
)
def test_targets_take_the_type_of_the_task(task, given, dtype):
    targets = make_data(task=task, targets=given).targets
    assert targets.dtype == dtype
    assert targets.tolist() == np.asarray(given).tolist()


def test_what_is_a_tensor_of_the_right_type_is_not_copied():
    x = torch.zeros(10, 4)
    assert make_data(modalities={"a": x}).modalities["a"] is x


def test_a_list_of_names_is_a_split():
    data = make_data(split=["train"] * 9 + ["test"])
    assert data.rows("test").tolist() == [9]


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="unknown split 'tset': choose one of train, valid, test"):
        make_data().rows("tset")


def test_a_hole_is_found_wherever_it_is():
    n = 2 * BLOCK + 3
    x = torch.zeros(n, 2)
    x[BLOCK + 5, 1] = math.inf
    fields = {"targets": torch.zeros(n, dtype=torch.long), "split": ["train"] * n}
    with pytest.raises(ValueError, match=f"first in row {BLOCK + 5}: repair or drop it"):
        make_data(modalities={"a": x}, **fields)


def test_unscaled_modalities_keep_their_type_and_shape():
    ids = torch.arange(20).reshape(10, 2)
    pixels = torch.zeros(10, 3, 4, 4, dtype=torch.uint8)
    data = make_data(
        modalities={"text": ids, "image": pixels, "a": torch.randn(10, 4)},
        unscaled=("text", "image"),
    )
    scaled = data.standardized()
    assert scaled.modalities["text"] is data.modalities["text"]
    assert scaled.modalities["image"].dtype == torch.uint8
    assert not torch.equal(scaled.modalities["a"], data.modalities["a"])
    assert data.select(("text", "a")).unscaled == ("text",)
    shape = r"'image' of 'toy' has shape \(10, 3, 4, 4\): expected \(N, F\)"
    with pytest.raises(ValueError, match=shape):
        make_data(modalities={"image": pixels})


def test_rows_whose_label_is_unknown():
    known = torch.arange(10) != 2
    data = make_data(known=known)
    assert data.rows("train").tolist() == [0, 1, 2, 3, 4, 5]
    assert data.labeled_rows("train").tolist() == [0, 1, 3, 4, 5]
    assert make_data().labeled_rows("train").tolist() == [0, 1, 2, 3, 4, 5]
    assert data.describe()["labels, train"] == "0: 2, 1: 3"
    assert data.describe()["unlabelled"] == "1 samples"


def test_the_card_counts_by_task():
    assert make_data().describe()["labels, test"] == "0: 1, 1: 2"
    named = make_data(class_names=("no", "yes")).describe()
    assert named["labels, test"] == "no: 1, yes: 2"
    labels = make_data(task=Multilabel(2), targets=[[0, 1]] * 10).describe()
    assert labels["labels, test"] == "0: 0, 1: 3"
    scores = make_data(task=Regression(), targets=[0.6, -2.0] * 5).describe()
    assert scores["labels, test"] == "-2: 2, 1: 1 (rounded; mean -1.133, range -2 to 0.6)"
    assert scores["licence"] == "not stated"


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
        make_data(known=torch.arange(10) > 0),
        make_data(unscaled=("a",)),
        make_data(modalities={"a": data.modalities["a"]}),
        make_data(modalities={"b": data.modalities["b"], "a": data.modalities["a"]}),
        make_data(modalities={"a": data.modalities["a"] + 1e-6, "b": data.modalities["b"]}),
    ]
    assert len({data.checksum, *(other.checksum for other in others)}) == 12
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


def test_it_travels_to_another_process():
    data = make_data()
    copied = pickle.loads(pickle.dumps(data))
    assert copied.checksum == data.checksum
    with pytest.raises(TypeError):
        copied.modalities["c"] = data.targets  # read-only there too


def test_what_needs_no_repair_is_served():
    values = np.arange(10.0).reshape(10, 1)
    assert make_data(modalities={"a": np.ma.array(values)}).shapes == {"a": (1,)}
    learnt = torch.ones(10, 4, requires_grad=True)
    assert not make_data(modalities={"a": learnt}).modalities["a"].requires_grad
    display = {"image": list(range(10))}
    data = make_data(display=display)
    assert data.display == display
    with pytest.raises(FrozenInstanceError):
        data.name = "other"


def test_the_card_tells_what_is_missing():
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, :3] = False
    card = make_data(present=mask, notes=("One.", "Two."), source="here").describe()
    assert card["modality a"] == "4 features, missing in 0 of 10 samples"
    assert card["modality b"] == "5 x 3 features, missing in 3 of 10 samples"
    assert make_data().describe()["modality b"] == "5 x 3 features, missing in 0 of 10 samples"
    assert card["task"] == "classification, 2 output(s), judged by accuracy"
    assert card["samples"] == "6 train, 1 valid, 3 test"
    assert (card["notes"], card["source"]) == ("One. Two.", "here")
    assert "unlabelled" not in card
