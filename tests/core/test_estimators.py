"""Estimators: scikit-learn's own checks, and the same ideas for dicts of modalities."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from robult_core.calibration import log_loss
from robult_core.estimators import (
    Modalities,
    MultimodalClassifier,
    MultimodalMultilabelClassifier,
    MultimodalRegressor,
    load_model,
)
from robult_core.multimodal import default_steps

FAST = {"max_steps": 40, "random_state": 0, "device": "cpu", "verbose": False}
# MultimodalMultilabelClassifier is not among them, because their labels are one column of three
# classes, and it takes rows of 0 and 1 only.
EXCLUDED = {
    "check_sample_weight_equivalence_on_dense_data": "batches are drawn at random, so that a "
    "doubled row is drawn at other times than a row of weight 2",
    "check_do_not_raise_errors_in_init_or_set_params": "under pytest types are checked at the call",
}


def excluded(estimator):
    return EXCLUDED


def close_in_float32(actual, desired, rtol=0, atol=0, **options):
    """scikit-learn's assertion, which expects more than float32 keeps on another number of rows."""
    np.testing.assert_allclose(
        actual, desired, rtol=max(rtol, 1e-4), atol=max(atol, 1e-5), **options
    )


@parametrize_with_checks(
    [MultimodalClassifier(unlabeled=None, **FAST), MultimodalRegressor(**FAST)],
    expected_failed_checks=excluded,
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(estimator, check, monkeypatch):
    """The case of one array. -1 must be an ordinary class there, so it marks nothing."""
    monkeypatch.setattr(estimator_checks, "assert_allclose", close_in_float32)
    check(estimator)


def samples(n=120, seed=0):
    """Two modalities that both tell the class, and the class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    centres = rng.standard_normal((3, 6)) * 3
    text = centres[y] + rng.standard_normal((n, 6))
    audio = centres[y][:, :4] + rng.standard_normal((n, 4))
    return {"text": text, "audio": audio}, y


def few_labels(y, share=0.3, mark=-1):
    known = np.random.default_rng(1).random(len(y)) < share
    return np.where(known, y, mark)


@pytest.fixture(scope="module")
def fitted():
    X, y = samples()
    return MultimodalClassifier(**FAST).fit(X, few_labels(y)), X, y


def test_every_subset_of_modalities_predicts(fitted):
    model, X, y = fitted
    assert model.score(X, y) > 0.8
    for name in X:
        probabilities = model.predict_proba({name: X[name]})
        assert probabilities.shape == (len(y), 3)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
        assert model.score({name: X[name]}, y) > 0.6


def test_a_row_of_nan_equals_a_sample_that_lacks_the_modality(fitted):
    model, X, _ = fitted
    holes = {name: x.copy() for name, x in X.items()}
    holes["text"][::2] = np.nan
    mixed = model.predict_proba(holes)
    without = model.predict_proba({"audio": X["audio"][::2]})
    complete = model.predict_proba({name: x[1::2] for name, x in X.items()})
    np.testing.assert_allclose(mixed[::2], without, atol=1e-6)
    np.testing.assert_allclose(mixed[1::2], complete, atol=1e-6)


def test_training_takes_samples_with_what_they_have(fitted):
    _, X, y = fitted
    holes = {name: x.copy() for name, x in X.items()}
    holes["text"][:40] = np.nan
    holes["audio"][40:80] = np.nan
    model = MultimodalClassifier(**FAST).fit(holes, few_labels(y))
    assert model.score(X, y) > 0.7


def each_lacks_one(X):
    """The same samples, of which every one lacks a modality."""
    first = (np.arange(len(X["text"])) % 2 == 0)[:, None]
    return {
        "text": np.where(first, np.nan, X["text"]),
        "audio": np.where(first, X["audio"], np.nan),
    }


@pytest.mark.parametrize("method", ["unimodal", "unimodal_distilled"])
def test_without_a_complete_label_the_full_set_is_fused_late(fitted, tmp_path, method):
    _, X, y = fitted
    labels = few_labels(y)
    holes = each_lacks_one(X)
    row = int(np.flatnonzero(labels == -1)[0])  # a complete sample without a label is no help
    holes = {name: np.where(np.arange(len(y))[:, None] == row, X[name], holes[name]) for name in X}
    model = MultimodalClassifier(method, **FAST).fit(holes, labels)
    assert model.score(X, y) > 0.8
    again = load_model(model.save(tmp_path))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    labels[row] = y[row]
    assert clone(model).fit(holes, labels).model_.config.full == "joint"
    asked = clone(model).set_params(settings={"full": "joint"}).fit(each_lacks_one(X), y)
    assert asked.model_.config.full == "joint"


def test_gmc_without_a_complete_label_is_refused(fitted):
    _, X, y = fitted
    with pytest.raises(ValueError, match="'gmc' learns from labelled samples that have every mod"):
        MultimodalClassifier("gmc", **FAST).fit(each_lacks_one(X), y)
    MultimodalClassifier("gmc", **FAST).fit(X, few_labels(y))


def test_the_caller_keeps_data_random_state_and_threads(fitted):
    _, X, y = fitted
    before = {name: x.copy() for name, x in X.items()}
    state, numbers, threads = (
        torch.get_rng_state(),
        np.random.get_state()[1],
        torch.get_num_threads(),
    )
    MultimodalClassifier(**{**FAST, "random_state": None}).fit(X, y)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)
    assert torch.get_num_threads() == threads
    for name, x in X.items():
        assert np.array_equal(x, before[name])


def test_two_fits_with_one_seed_are_equal_and_another_seed_differs(fitted):
    model, X, y = fitted
    again = clone(model).fit(X, few_labels(y))
    other = clone(model).set_params(random_state=1).fit(X, few_labels(y))
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))
    assert not np.array_equal(model.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    "relabel",
    [
        lambda y: np.array(["a", "b", "c"])[y],
        lambda y: np.array([10, 20, 30])[y],
        lambda y: np.array([0.0, 1.0, 2.0])[y],
    ],
    ids=["strings", "integers", "floats"],
)
def test_renamed_labels_change_only_their_names(fitted, relabel):
    model, X, y = fitted
    labels = relabel(y).astype(object)
    labels[few_labels(y) == -1] = None
    renamed = clone(model).fit(X, labels)
    assert np.array_equal(renamed.predict_proba(X), model.predict_proba(X))
    assert list(renamed.classes_) == list(np.unique(relabel(y)))
    assert np.array_equal(renamed.predict(X), relabel(model.predict(X)))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_every_mark_of_an_unlabelled_sample_is_the_same(fitted, missing):
    model, X, y = fitted
    labels = y.astype(object)
    labels[few_labels(y) == -1] = missing
    assert np.array_equal(clone(model).fit(X, labels).predict_proba(X), model.predict_proba(X))


def test_the_order_of_the_keys_at_prediction_changes_nothing(fitted):
    model, X, _ = fitted
    turned = dict(reversed(X.items()))
    assert np.array_equal(model.predict_proba(turned), model.predict_proba(X))


@pytest.mark.parametrize(
    "convert",
    [
        torch.from_numpy,
        lambda x: pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])]),
        lambda x: x.astype(np.float32),
        lambda x: x.tolist(),
    ],
    ids=["torch", "pandas", "float32", "lists"],
)
def test_kinds_of_arrays_give_equal_answers(fitted, convert):
    model, X, _ = fitted
    converted = {name: convert(x) for name, x in X.items()}
    np.testing.assert_allclose(model.predict_proba(converted), model.predict_proba(X), atol=1e-5)


def test_memory_maps_are_read_and_left_alone(fitted, tmp_path):
    model, X, y = fitted
    for name, x in X.items():
        np.save(tmp_path / f"{name}.npy", x)
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in X}
    again = clone(model).fit(maps, few_labels(y))
    assert np.array_equal(again.predict_proba(maps), model.predict_proba(X))


def test_polars_frames_fit_and_predict(fitted):
    polars = pytest.importorskip("polars")
    model, X, y = fitted
    labels = few_labels(y)
    frames = {name: polars.DataFrame(x) for name, x in X.items()}
    unknown = polars.Series([None if label < 0 else label for label in labels.tolist()])
    again = clone(model).fit(frames, unknown)
    assert np.array_equal(again.predict_proba(frames), model.predict_proba(X))
    assert again.n_features_in_ == {"text": 6, "audio": 4}
    holes = frames["audio"].with_columns(polars.lit(None).alias("column_0"))
    with pytest.raises(ValueError, match="NaN in some features of row 0"):
        again.predict({"audio": holes})
    wide = polars.DataFrame(np.hstack(list(X.values())))
    columns = {"text": wide.columns[:6], "audio": wide.columns[6:]}
    cut = MultimodalClassifier(modalities=columns, **FAST).fit(wide, labels)
    assert np.array_equal(cut.predict_proba(wide), model.predict_proba(X))
    assert cut.predict(wide[:7]).shape == (7,)


def test_one_frame_is_cut_into_modalities(fitted):
    _, X, y = fitted
    wide = pd.DataFrame(np.hstack(list(X.values()))).add_prefix("f")
    columns = {"text": list(wide.columns[:6]), "audio": list(wide.columns[6:])}
    model = MultimodalClassifier(modalities=columns, **FAST).fit(wide, few_labels(y))
    plain = MultimodalClassifier(**FAST).fit(X, few_labels(y))
    np.testing.assert_allclose(model.predict_proba(wide), plain.predict_proba(X), atol=1e-6)
    assert model.n_features_in_ == {"text": 6, "audio": 4}
    assert list(model.feature_names_in_["audio"]) == list(wide.columns[6:])


def test_a_frame_without_the_columns_of_a_modality_lacks_it(fitted):
    _, X, y = fitted
    wide, columns = frame_of(X)
    model = MultimodalClassifier(modalities=columns, **FAST).fit(wide, y)
    alone = model.predict_proba({"audio": wide[columns["audio"]]})
    assert np.array_equal(model.predict_proba(wide[columns["audio"]]), alone)
    with pytest.raises(ValueError, match="'text' asks for the column 'f0', which the frame lacks"):
        model.predict(wide.drop(columns="f0"))


@pytest.mark.parametrize("method", ["robult", "robult_distilled"])
def test_sequences_and_own_encoders(method):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    sequence = rng.standard_normal((60, 5, 3)) + y[:, None, None]
    image = rng.standard_normal((60, 1, 8, 8)) + y[:, None, None, None]
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 128))
    weights = encoder[0].weight.detach().clone()
    X = {"sensor": sequence, "image": image}
    labels = few_labels(y, share=0.7)
    model = MultimodalClassifier(method, encoders={"image": encoder}, **FAST).fit(X, labels)
    assert model.score(X, y) > 0.8
    assert model.predict({"image": image}).shape == (60,)
    assert torch.equal(encoder[0].weight, weights)  # a copy was trained


def test_saved_and_loaded_in_a_fresh_process(fitted, tmp_path):
    model, X, _ = fitted
    model.save(tmp_path / "model")
    np.savez(tmp_path / "x.npz", **X)
    code = (
        "import sys, numpy as np\n"
        "from robult_core.estimators import load_model\n"
        "X = dict(np.load(sys.argv[2]))\n"
        "np.save(sys.argv[3], load_model(sys.argv[1], device='cpu').predict_proba(X))\n"
    )
    places = [str(tmp_path / name) for name in ("model", "x.npz", "out.npy")]
    subprocess.run([sys.executable, "-c", code, *places], check=True, timeout=120)
    assert np.array_equal(np.load(tmp_path / "out.npy"), model.predict_proba(X))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("damage", ["newer", "cut", "gone", "weights"])
def test_files_that_cannot_be_read_are_named(fitted, tmp_path, damage):
    fitted[0].save(tmp_path)
    description, weights = tmp_path / "model.json", tmp_path / "model.safetensors"
    if damage == "newer":
        description.write_text(description.read_text().replace('"format": 1', '"format": 99'))
    if damage == "cut":
        description.write_text(description.read_text()[:50])
    if damage == "gone":
        description.unlink()
    if damage == "weights":
        weights.write_bytes(weights.read_bytes()[:100])
    words = {
        "newer": "format 99, this version reads 1",
        "cut": "model.json' is damaged",
        "gone": "model.json' is missing",
        "weights": "model.safetensors' is not the file that 'model.json' belongs to",
    }
    with pytest.raises(ValueError, match=words[damage]):
        load_model(tmp_path)


def test_weights_of_another_model_are_refused(fitted, tmp_path):
    model, X, y = fitted
    other = MultimodalClassifier(**FAST | {"random_state": 1}).fit(X, few_labels(y))
    model.save(tmp_path / "one")
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other/model.safetensors", tmp_path / "one")
    with pytest.raises(ValueError, match=r"is not the file that 'model\.json' belongs to"):
        load_model(tmp_path / "one")


def test_a_model_that_cannot_be_saved_leaves_the_old_one(fitted, tmp_path):
    model, X, y = fitted
    model.save(tmp_path)
    names = np.array([b"a", b"b", b"c"])[y]
    other = MultimodalClassifier(**FAST | {"unlabeled": None}).fit(X, names)
    with pytest.raises(ValueError, match="the model cannot be saved, because JSON holds no such"):
        other.save(tmp_path)
    assert np.array_equal(load_model(tmp_path).predict(X), model.predict(X))


def test_loading_leaves_the_generator_of_random_numbers(fitted, tmp_path):
    fitted[0].save(tmp_path)
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_fit_trains_whatever_the_caller_forbids(fitted, context):
    model, X, y = fitted
    with context():
        same = MultimodalClassifier(**FAST).fit(X, few_labels(y))
    assert np.array_equal(same.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_are_cut_by_cross_validation(fitted, kind):
    _, X, y = fitted
    frames = pytest.importorskip(kind)
    named = {name: dict(zip("abcdef", x.T, strict=False)) for name, x in X.items()}
    given = Modalities({name: frames.DataFrame(columns) for name, columns in named.items()})
    scores = cross_val_score(MultimodalClassifier(**FAST), given, few_labels(y), cv=2)
    plain = cross_val_score(MultimodalClassifier(**FAST), Modalities(X), few_labels(y), cv=2)
    assert np.array_equal(scores, plain)
    assert len(given[np.arange(len(y)) < 7]) == 7


def test_what_float32_cannot_hold_is_refused(fitted):
    _, X, y = fitted
    times = X["audio"].copy()
    times[:, 2] += 1.7e9
    words = (
        "feature 2 of modality 'audio' lies between 1699999.*, which float32 cannot tell apart well"
    )
    with pytest.raises(ValueError, match=words):
        MultimodalClassifier(**FAST).fit({"text": X["text"], "audio": times}, y)
    rounded = np.array([0.3, 0.1 + 0.2, 0.3, 0.3])[:, None]  # constant but for rounding
    MultimodalClassifier(max_steps=1).fit(rounded, [0, 1, 0, 1])
    seconds = np.arange(60, dtype=np.int32)[:, None] + 1_700_000_000
    with pytest.raises(ValueError, match="feature 0 of modality 'x' lies between 1700000000 and"):
        MultimodalClassifier(max_steps=1).fit(seconds, np.arange(60) % 2)


def test_a_value_that_leaves_nothing_of_the_others_is_refused(fitted):
    _, X, y = fitted
    wild = X["audio"].copy()
    wild[5, 1] = -1e30
    with pytest.raises(
        ValueError, match=r"feature 1 of modality 'audio' holds -1e\+30, and its other"
    ):
        MultimodalClassifier(**FAST).fit({"text": X["text"], "audio": wild}, y)


def test_values_of_two_sizes_are_no_wild_ones():
    shares = np.where(np.arange(100) < 60, 1e-9 * (1 + np.arange(100)), 0.9)[:, None]
    MultimodalClassifier(max_steps=1, device="cpu").fit(shares, np.arange(100) % 2)


def test_features_in_tiny_units_are_told(fitted, caplog):
    _, X, y = fitted
    MultimodalClassifier(max_steps=1, device="cpu").fit({"a": X["audio"], "t": X["text"]}, y)
    assert caplog.text == ""
    MultimodalClassifier(max_steps=1, device="cpu").fit({"a": X["audio"] * 1e-10}, y)
    assert "4 features of modality 'a', the first is 0, vary by less than 1e-08" in caplog.text


def test_large_targets_keep_their_digits():
    X = np.random.default_rng(0).standard_normal((80, 2))
    model = MultimodalRegressor(max_steps=150, random_state=0, device="cpu")
    near, far = (model.fit(X, X[:, 0] + offset).score(X, X[:, 0] + offset) for offset in (0, 1e8))
    assert far == pytest.approx(near, abs=1e-3)


def test_labels_of_a_frame_in_another_order_are_refused():
    X = np.random.default_rng(0).standard_normal((60, 4))
    y = pd.DataFrame({"rock": X[:, 0] > 0, "jazz": X[:, 1] > 0}).astype(int)
    model = MultimodalMultilabelClassifier(max_steps=2, device="cpu").fit({"x": X}, y)
    with pytest.raises(ValueError, match="y has the labels jazz, rock, at fit it had rock, jazz"):
        model.score({"x": X}, y[["jazz", "rock"]])


def test_the_mark_of_unlabelled_samples_is_one_label(fitted):
    _, X, y = fitted
    with pytest.raises(ValueError, match=r"unlabeled is \[-1\]: give one label"):
        MultimodalClassifier(unlabeled=[-1]).fit(X, y)


def test_a_pickle_works_too(fitted):
    model, X, _ = fitted
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_explanations_add_up(fitted):
    model, X, _ = fitted
    values = model.explain(X)
    total = sum(values.values()) + model.base_scores_
    np.testing.assert_allclose(total, model.predict_proba(X), atol=1e-6)
    holes = {name: x.copy() for name, x in X.items()}
    holes["text"][0] = np.nan
    assert np.abs(model.explain(holes)["text"][0]).max() < 1e-6


def test_latents_by_name_and_side_by_side(fitted):
    model, X, y = fitted
    latents = model.latents(X)
    assert {"s", "z/text", "u/audio"} <= set(latents)
    assert model.transform(X).shape == (len(y), len(model.get_feature_names_out()))
    assert model.get_feature_names_out()[0].endswith("_0")


def test_calibration_fits_a_temperature_per_pattern(fitted, caplog):
    _, X, y = fitted
    labels = few_labels(y, share=0.5)
    unseen = labels == -1
    model = MultimodalClassifier(calibrate=True, **FAST).fit(X, labels)
    plain = MultimodalClassifier(**FAST).fit(X, labels)
    assert set(model.temperatures_) == {"text", "audio", "text+audio"}
    assert np.array_equal(plain.predict(X), model.predict(X))
    for part in ({"text": X["text"]}, {"audio": X["audio"]}, X):
        before, after = (one.predict_proba(part)[unseen] for one in (plain, model))
        assert log_loss(after, y[unseen]) < log_loss(before, y[unseen])
    scarce = np.full(len(y), -1)
    for label in range(3):
        scarce[np.flatnonzero(y == label)[:3]] = label
    poor = MultimodalClassifier(calibrate=True, **FAST).fit(X, scarce)
    assert poor.temperatures_ == {}
    assert "stay uncalibrated" in caplog.text


def test_a_score_looks_at_labelled_samples_only(fitted):
    model, X, y = fitted
    labels = few_labels(y)
    known = labels != -1
    part = {name: x[known] for name, x in X.items()}
    expected = model.score(part, y[known])
    floats = np.where(known, y, np.nan)
    for marked in (labels, np.where(known, y.astype(object), None), floats):
        assert model.score(X, marked) == expected
    weights = np.arange(len(y))
    weighted = model.score(X, labels, sample_weight=weights)
    assert weighted == model.score(part, y[known], sample_weight=weights[known])
    regressor = MultimodalRegressor(**FAST).fit(X, floats)
    assert regressor.score(X, floats) == regressor.score(part, y[known] * 1.0)
    several = np.where(known[:, None], np.eye(3, dtype=int)[y], -1)
    multilabel = MultimodalMultilabelClassifier(**FAST).fit(X, several)
    assert multilabel.score(X, several) == multilabel.score(part, several[known])
    with pytest.raises(ValueError, match="y has 2 labels a sample, at fit it had 3"):
        multilabel.score(X, several[:, :2])


def test_few_labels_are_cross_validated(fitted):
    _, X, y = fitted
    labels = few_labels(y, share=0.5)
    scores = cross_val_score(
        MultimodalClassifier(**FAST), Modalities(X), labels, cv=2, error_score="raise"
    )
    assert scores.min() > 0.6


def test_cross_validation_and_grid_search_take_the_wrapper(fitted):
    _, X, y = fitted
    scores = cross_val_score(MultimodalClassifier(**FAST), Modalities(X), y, cv=2)
    assert scores.min() > 0.6
    search = GridSearchCV(MultimodalClassifier(**FAST), {"batch_size": [16, 32]}, cv=2)
    assert search.fit(Modalities(X), y).best_score_ > 0.6


def test_regression_in_the_users_unit():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 5))
    y = 1000 + 50 * x[:, 0]
    known = np.where(rng.random(150) < 0.5, y, np.nan)
    X = {"a": x, "b": x[:, :2] + 0.1 * rng.standard_normal((150, 2))}
    model = MultimodalRegressor(**{**FAST, "max_steps": 300}).fit(X, known)
    assert model.score(X, y) > 0.7
    assert abs(model.predict({"b": X["b"]}).mean() - 1000) < 20
    values = model.explain(X)
    np.testing.assert_allclose(
        sum(values.values())[:, 0] + model.base_scores_[0], model.predict(X), rtol=1e-5
    )


def test_several_labels_per_sample():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 6))
    y = (x[:, :3] > 0).astype(int)
    known = y.copy()
    known[60:] = -1
    model = MultimodalMultilabelClassifier(**FAST).fit({"a": x, "b": x[:, ::-1].copy()}, known)
    assert model.predict({"a": x}).shape == (120, 3)
    assert (model.predict({"a": x}) == y).mean() > 0.75


def test_steps_follow_the_size_of_the_data():
    assert default_steps(500, 64) == 400
    assert default_steps(5000, 64) == 781
    assert default_steps(10**6, 64) == 2000


def test_tensors_with_gradients_predict(fitted):
    model, X, _ = fitted
    tensors = {name: torch.tensor(x, requires_grad=True) for name, x in X.items()}
    np.testing.assert_allclose(model.predict_proba(tensors), model.predict_proba(X), atol=1e-5)


def test_labels_of_other_rows_than_those_of_the_frames_are_refused(fitted):
    model, X, y = fitted
    frames = {name: pd.DataFrame(x) for name, x in X.items()}
    labels = pd.Series(y)
    weights = pd.Series(np.ones(len(y)))
    turned = labels.iloc[::-1]
    new = MultimodalClassifier(max_steps=2)
    with pytest.raises(ValueError, match="and 'y' have the same index in different orders"):
        new.fit(frames, turned)
    with pytest.raises(ValueError, match="and 'sample_weight' have only a part of the index"):
        new.fit(frames, labels, weights.set_axis(weights.index + 1))
    with pytest.raises(
        ValueError, match=r"validation: .* and 'y' have the same index in different"
    ):
        new.fit(frames, labels, validation=(frames, turned))
    with pytest.raises(ValueError, match="and 'y' have the same index in different orders"):
        model.score(frames, turned)
    assert model.score(frames, labels) == model.score(frames, y)
    named = labels.set_axis([f"sample {row}" for row in range(len(y))])
    assert model.score(frames, named) == model.score(frames, y)  # rows of a frame have no names


def test_the_code_of_a_failed_sensor_is_told(fitted, caplog):
    model, X, _ = fitted
    failed = {"text": X["text"], "audio": X["audio"].copy()}
    model.predict(failed)
    failed["audio"][3:5] = -999.0
    assert caplog.text == ""
    model.predict(failed)
    assert f"2 of {len(X['text'])} samples lie 5 or more deviations" in caplog.text
    assert "of modality 'audio': where a sensor failed give a row of NaN" in caplog.text
    caplog.clear()
    failed["audio"][3:5] = np.nan
    model.predict(failed)
    failed["audio"][3:5] = X["audio"][3:5]
    failed["audio"][3, 0] = 999.0  # one wild value is no failure
    model.predict(failed)
    assert caplog.text == ""


def test_a_fit_that_fails_leaves_no_old_answers(fitted):
    """Else the old weights would answer with the classes of the new labels."""
    _, X, y = fitted
    model = MultimodalClassifier(**FAST).fit(X, y)
    model.set_params(settings={"width": -1})
    with pytest.raises(ValueError, match="width"):
        model.fit(X, np.array(["a", "b", "c"])[y])
    with pytest.raises(NotFittedError):
        model.predict(X)


def frame_of(X):
    wide = pd.DataFrame(np.hstack(list(X.values()))).add_prefix("f")
    return wide, {"text": wide.columns[:6], "audio": wide.columns[6:]}


@pytest.mark.parametrize("unlabeled", [np.nan, pd.NA, np.int64(-1)], ids=["NaN", "NA", "numpy"])
def test_parameters_from_frames_are_saved(fitted, tmp_path, unlabeled):
    _, X, y = fitted
    wide, columns = frame_of(X)
    model = MultimodalClassifier(modalities=columns, unlabeled=unlabeled, **FAST).fit(wide, y)
    again = load_model(model.save(tmp_path))
    assert np.array_equal(again.predict_proba(wide), model.predict_proba(wide))
    assert again.modalities == {name: list(names) for name, names in columns.items()}


def test_the_names_of_features_are_saved(fitted, tmp_path):
    _, X, y = fitted
    wide, columns = frame_of(X)
    by_modality = MultimodalClassifier(modalities=columns, **FAST).fit(wide, y)
    plain = MultimodalClassifier(**FAST).fit(wide, y)
    unnamed = MultimodalClassifier(**FAST).fit(X, y)
    again = load_model(by_modality.save(tmp_path / "by_modality")).feature_names_in_
    assert {name: list(names) for name, names in again.items()} == {
        name: list(names) for name, names in columns.items()
    }
    assert list(load_model(plain.save(tmp_path / "plain")).feature_names_in_) == list(wide.columns)
    assert not hasattr(load_model(unnamed.save(tmp_path / "unnamed")), "feature_names_in_")


def test_settings_are_parameters_of_a_search(fitted):
    _, X, y = fitted
    model = MultimodalClassifier(settings={"width": 16, "dropout": 0.1}, **FAST)
    assert model.get_params()["settings__width"] == 16
    assert model.set_params(settings__width=8).settings == {"width": 8, "dropout": 0.1}
    grid = {"settings__width": [4, 8], "method": ["robult_distilled", "gmc"]}
    search = GridSearchCV(MultimodalClassifier(**FAST), grid, cv=2, error_score="raise")
    best = search.fit(Modalities(X), few_labels(y, share=0.5)).best_estimator_
    assert best.model_.config.width == best.settings["width"] in (4, 8)
    with pytest.raises(ValueError, match="Invalid parameter 'metod'"):
        model.set_params(metod="gmc")


def test_parameters_of_a_wrong_kind_are_one_clear_sentence(fitted):
    _, X, y = fitted
    for parameters, message in (
        ({"settings": [1]}, "settings is a list: give a dict"),
        ({"encoders": [nn.Linear(6, 128)]}, "encoders is a list: give a dict"),
        ({"encoders": {"text": 5}}, "the encoder of 'text' is a int: give an nn.Module"),
        ({"class_weight": "auto"}, "class_weight is 'auto': give a dict"),
    ):
        model = MultimodalClassifier(**FAST)
        for name, value in parameters.items():
            setattr(model, name, value)  # under pytest types are checked at the call
        with pytest.raises(ValueError, match=message):
            model.fit(X, y)


def test_class_weights_are_saved_with_their_classes(fitted, tmp_path):
    _, X, y = fitted
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    model = MultimodalClassifier(class_weight=weights, **FAST).fit(X, y)
    again = load_model(model.save(tmp_path))
    assert again.class_weight == weights
    assert again.get_params() == model.get_params()


def test_files_that_do_not_fit_together_are_named(fitted, tmp_path):
    fitted[0].save(tmp_path)
    description = tmp_path / "model.json"
    edited = json.loads(description.read_text())
    del edited["description_sha256"]  # as in files from before it
    edited["attributes"]["settings_"] = {"width": 64}
    description.write_text(json.dumps(edited))
    message = r"do not fit together \([^\n]*\): save the model again"
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)
    with pytest.raises(ValueError, match=r"model.json' is a file: name the folder"):
        load_model(description)
    with pytest.raises(ValueError, match=r"model.json' is a file: name a folder"):
        fitted[0].save(description)


@pytest.fixture
def saved(fitted, tmp_path) -> Path:
    """The description of a saved model."""
    return fitted[0].save(tmp_path) / "model.json"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("parameters/method", "gmc"),
        ("parameters/extra", 1),
        ("attributes/temperatures_", {"text": 2.0}),
        ("attributes/predict", 1),
        ("sample_shapes/text", [7]),
        ("columns", {"text": ["a"]}),
        ("classes/values", [3, 4, 5]),
        ("classes/type", "O"),
        ("base_scores", None),
        ("estimator", "MultimodalRegressor"),
        ("weights_sha256", None),
    ],
)
def test_no_edit_of_a_description_goes_by_in_silence(saved, place, value):
    description = part = json.loads(saved.read_text())
    *parts, key = place.split("/")
    for name in parts:
        part = part[name]
    part[key] = value
    saved.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"model\.json' is not as it was saved: undo what was"):
        load_model(saved.parent)


def test_a_description_may_be_laid_out_anew(fitted, saved):
    model, X, _ = fitted
    saved.write_text(json.dumps(json.loads(saved.read_text()), sort_keys=True))
    assert np.array_equal(load_model(saved.parent).predict(X), model.predict(X))


def test_a_model_from_before_the_checksum_loads(fitted, saved):
    model, X, _ = fitted
    description = json.loads(saved.read_text())
    del description["description_sha256"]
    saved.write_text(json.dumps(description))
    assert np.array_equal(load_model(saved.parent).predict(X), model.predict(X))


def test_devices_are_checked_alike_at_fit_and_load(fitted, tmp_path, monkeypatch):
    model, X, y = fitted
    model.save(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device, message in (("gpu", "choose auto, cpu, cuda or mps"), ("cuda", "machine lacks")):
        with pytest.raises(ValueError, match=f"device is '{device}'.*{message}"):
            load_model(tmp_path, device=device)
        with pytest.raises(ValueError, match=f"device is '{device}'.*{message}"):
            MultimodalClassifier(**{**FAST, "device": device}).fit(X, y)


def test_no_modality_is_one_clear_sentence(fitted):
    _, X, y = fitted
    with pytest.raises(ValueError, match="modalities is an empty dict: name the columns"):
        MultimodalClassifier(modalities={}, **FAST).fit(pd.DataFrame(X["text"]), y)
    with pytest.raises(ValueError, match="X is an empty dict"):
        Modalities({})


WRONG = [
    ("lengths", {"a": np.ones((3, 2)), "b": np.ones((4, 2))}, [0, 1, 0], "'a' has 3, 'b' has 4"),
    ("empty dict", {}, [0, 1], "empty dict"),
    ("no label", {"a": np.ones((3, 2))}, [-1, -1, -1], "no sample has a label"),
    ("one class", {"a": np.ones((3, 2))}, [1, 1, -1], "one class only.*unlabeled=None"),
    ("fractions", {"a": np.ones((3, 2))}, [0.5, 1.0, 0.0], "0.5.*MultimodalRegressor"),
    ("infinite", {"a": np.array([[np.inf, 1], [0, 1]])}, [0, 1], "inf.*row 0"),
    ("partly NaN", {"a": np.array([[np.nan, 1], [0, 1]])}, [0, 1], "some features of row 0"),
    ("all NaN", {"a": np.full((2, 2), np.nan)}, [0, 1], "sample 0 has no modality"),
    (
        "nobody has it",
        {"a": np.ones((2, 2)), "b": np.full((2, 2), np.nan)},
        [0, 1],
        "'b' is NaN in",
    ),
    ("no sample", {"a": np.ones((0, 3))}, [], "0 sample"),
    ("no X", None, [0, 1], "X is None: give a dict"),
    ("text", "text.csv", [0, 1], "X is a str: give a dict"),
    ("words", {"a": np.array([["x", "y"], ["u", "v"]])}, [0, 1], "'a' holds values that are not"),
    ("huge", {"a": np.array([[1e300, 1], [0, 1]])}, [0, 1], "1e\\+300.*rescale"),
    ("image", {"a": np.ones((3, 1, 8, 8))}, [0, 1, 0], r"\(1, 8, 8\), which no.*encoders={'a':"),
    ("flat", {"a": np.ones(3)}, [0, 1, 0], "shape \\(3,\\)"),
    ("plus", {"a+b": np.ones((2, 2))}, [0, 1], "'a\\+b'"),
    ("mixed", {"a": np.ones((2, 2))}, ["x", 1], "mixes int and str"),
    ("labels", {"a": np.ones((3, 2))}, [0, 1], "3 samples and y has 2 labels"),
    ("method", {"a": np.ones((3, 2))}, [0, 1, 0], "unknown method 'magic'"),
]


@pytest.mark.parametrize(("case", "X", "y", "message"), WRONG, ids=[case[0] for case in WRONG])
def test_wrong_input_is_one_clear_sentence(case, X, y, message):
    method = "magic" if case == "method" else "robult"
    labels = np.array(y, dtype=object) if case == "mixed" else y
    with pytest.raises(ValueError, match=message) as error:
        MultimodalClassifier(method, **FAST).fit(X, labels)
    assert "\n" not in str(error.value)


def test_wrong_input_at_prediction_is_one_clear_sentence(fitted):
    model, X, y = fitted
    with pytest.raises(ValueError, match="modality 'video' was not there at fit"):
        model.predict({"video": X["text"]})
    with pytest.raises(ValueError, match=r"X has 4 features.*expecting 6"):
        model.predict({"text": X["audio"]})
    with pytest.raises(ValueError, match=r"X is one array, and the fit had text, audio: give a"):
        model.predict(X["text"])
    with pytest.raises(ValueError, match=r"shape \(3, 6\), at fit they had \(6,\): give the same"):
        model.predict({"text": np.ones((2, 3, 6))})
    with pytest.raises(ValueError, match=r"the class 7, which fit never saw"):
        model.score(X, np.where(y == 0, 7, y))
    with pytest.raises(NotFittedError):
        MultimodalClassifier().predict(X)
    frame = pd.DataFrame(X["text"], columns=list("abcdef"))
    named = MultimodalClassifier(**FAST).fit({"text": frame, "audio": X["audio"]}, y)
    with pytest.raises(ValueError, match="should match those that were passed during fit"):
        named.predict({"text": frame.rename(columns={"a": "z"})})


def test_an_interrupted_fit_leaves_the_random_state_and_no_old_answers(fitted, monkeypatch):
    _, X, y = fitted
    model = MultimodalClassifier(**FAST).fit(X, y)

    def interrupt(method, *_, **options):
        torch.rand(3)
        options["on_step"](1, method)
        raise KeyboardInterrupt

    monkeypatch.setattr("robult_core.multimodal.train", interrupt)
    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_fit_that_fails_while_it_calibrates_is_no_fit(fitted, monkeypatch):
    _, X, y = fitted
    trainings = []

    def fail_at_the_second(*_, **options):
        trainings.append(options["seed"])
        if len(trainings) == 2:
            raise FloatingPointError

    monkeypatch.setattr("robult_core.multimodal.train", fail_at_the_second)
    model = MultimodalClassifier(calibrate=True, **FAST)
    with pytest.raises(FloatingPointError):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_constant_feature_harms_nothing(fitted):
    _, X, y = fitted
    constant = {**X, "flat": np.full((len(y), 3), 7.0)}
    model = MultimodalClassifier(**FAST).fit(constant, y)
    assert np.isfinite(model.predict_proba(constant)).all()


def unbalanced(y):
    """Labels for all of class 0 and for one in five of the others."""
    rare = (y > 0) & (np.arange(len(y)) % 5 > 0)
    return np.where(rare, -1, y)


def test_balanced_equals_the_dict_and_the_weights(fitted):
    _, X, y = fitted
    labels = unbalanced(y)
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    weights = dict(zip(values.tolist(), counts.sum() / (3 * counts), strict=True))
    balanced = MultimodalClassifier(class_weight="balanced", **FAST).fit(X, labels)
    by_dict = MultimodalClassifier(class_weight=weights, **FAST).fit(X, labels)
    by_sample = np.array([weights.get(label, np.nan) for label in labels])
    weighted = MultimodalClassifier(**FAST).fit(X, labels, sample_weight=by_sample)
    plain = MultimodalClassifier(**FAST).fit(X, labels)
    expected = balanced.predict_proba(X)
    assert np.array_equal(by_dict.predict_proba(X), expected)
    assert np.array_equal(weighted.predict_proba(X), expected)
    assert expected[:, 0].mean() < plain.predict_proba(X)[:, 0].mean()


def test_equal_weights_are_no_weights(fitted):
    model, X, y = fitted
    labels = few_labels(y)
    for weights in (3.0, np.where(labels >= 0, 3.0, 1.0), pd.Series(np.full(len(y), 0.5))):
        again = MultimodalClassifier(**FAST).fit(X, labels, sample_weight=weights)
        assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_a_label_of_weight_0_teaches_nothing(fitted):
    _, X, y = fitted
    labels = few_labels(y, share=0.6)
    weights = np.where(np.arange(len(y)) < 40, 0.0, 1.0)
    wrong = np.where((np.arange(len(y)) < 40) & (labels >= 0), (labels + 1) % 3, labels)
    first = MultimodalClassifier(**FAST).fit(X, labels, sample_weight=weights)
    second = MultimodalClassifier(**FAST).fit(X, wrong, sample_weight=weights)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))


def test_weights_of_the_other_kinds(fitted):
    _, X, y = fitted
    heavy = np.where(y == 2, 30.0, 1.0)
    plain = MultimodalRegressor(**FAST).fit(X, y * 1.0)
    weighted = MultimodalRegressor(**FAST).fit(X, y * 1.0, sample_weight=heavy)
    assert weighted.predict(X).mean() > plain.predict(X).mean()
    several = np.eye(3, dtype=int)[y]
    model = MultimodalMultilabelClassifier(**FAST)
    shares = model.fit(X, several).predict_proba(X)[:, 2].mean()
    assert model.fit(X, several, sample_weight=heavy).predict_proba(X)[:, 2].mean() > shares


@pytest.mark.parametrize("weights", [[1, 2], "balanced", np.zeros(120)])
def test_wrong_weights_are_one_clear_sentence(fitted, weights):
    _, X, y = fitted
    with pytest.raises(ValueError, match="weight"):
        MultimodalClassifier(**FAST).fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="class_weight"):
        MultimodalClassifier(class_weight={7: 1.0}, **FAST).fit(X, y)


def test_early_stopping_keeps_the_best_weights_of_the_validation_part(fitted):
    _, X, y = fitted
    labels = few_labels(y)
    other, truth = samples(90, seed=5)
    options = {**FAST, "max_steps": 120}
    model = MultimodalClassifier(**options).fit(X, labels, validation=(other, truth))
    checks = model.validation_scores_
    assert list(checks) == [50, 100, 120]
    assert model.n_steps_ == max(checks, key=checks.get)
    parts = [{"text": other["text"]}, {"audio": other["audio"]}, other]
    kept = np.mean([model.score(part, truth) for part in parts])
    assert kept == pytest.approx(max(checks.values()))
    plain = clone(model).fit(X, labels)
    assert not hasattr(plain, "validation_scores_")
    assert plain.n_steps_ == 120


def test_validation_scores_of_a_regressor_are_in_the_unit_of_the_target(fitted):
    _, X, y = fitted
    target = 100 + 10.0 * y
    regressor = MultimodalRegressor(**FAST).fit(X, target, validation=(X, target))
    parts = [{"text": X["text"]}, {"audio": X["audio"]}, X]
    errors = [np.abs(regressor.predict(part) - target).mean() for part in parts]
    assert min(regressor.validation_scores_.values()) == pytest.approx(np.mean(errors), rel=1e-4)


def test_early_stopping_ends_a_training_that_does_not_improve(fitted):
    _, X, y = fitted
    noise = np.arange(len(y)) % 3  # has nothing to do with X
    model = MultimodalClassifier(patience=1, **{**FAST, "max_steps": 800})
    model.fit(X, few_labels(y), validation=(X, noise))
    assert len(model.validation_scores_) < 16
    assert model.n_steps_ < max(model.validation_scores_)


def test_labels_of_a_validation_part_mean_what_they_mean_at_fit(fitted):
    _, X, y = fitted
    names = np.array(["a", "b", "c"])[y]
    rows = y > 0  # the validation part has two of the three classes
    part = {name: x[rows] for name, x in X.items()}
    model = MultimodalClassifier(**FAST).fit(X, names, validation=(part, names[rows]))
    assert max(model.validation_scores_.values()) > 0.6
    alone = {name: x[y == 1] for name, x in X.items()}
    one_class = MultimodalClassifier(**FAST).fit(X, names, validation=(alone, names[y == 1]))
    assert max(one_class.validation_scores_.values()) > 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: 3, "validation is no pair"),
        (lambda X, y: ({"text": X["text"]}, y), "validation: X lacks the modality 'audio'"),
        (lambda X, y: (X, y + 3), "validation: y holds the class 3, which fit never saw"),
        (lambda X, y: (X, y[:9]), "validation: .*120 samples and y has 9 labels"),
    ],
)
def test_a_wrong_validation_part_is_one_clear_sentence(fitted, change, message):
    _, X, y = fitted
    with pytest.raises(ValueError, match=message):
        MultimodalClassifier(**FAST).fit(X, y, validation=change(X, y))


@pytest.mark.parametrize("seed", [True, -1, 2**32])
def test_a_random_state_that_is_no_seed_is_refused(fitted, seed):
    _, X, y = fitted
    with pytest.raises(ValueError, match=r"seed is .*: it must be a whole number"):
        MultimodalClassifier(**(FAST | {"random_state": seed})).fit(X, y)


def test_patience_and_steps_are_counts(fitted):
    _, X, y = fitted
    with pytest.raises(ValueError, match="max_steps is 0"):
        MultimodalClassifier(max_steps=0).fit(X, y)
    with pytest.raises(ValueError, match="patience is 0"):
        MultimodalClassifier(patience=0, **FAST).fit(X, y)


def test_some_of_several_modalities_multiply_their_odds():
    X, y = samples()
    X["video"] = X["text"][:, :3] + X["audio"][:, :3]
    model = MultimodalClassifier(**FAST).fit(X, few_labels(y))
    singles = [model.predict_proba({name: X[name]}) for name in ("text", "audio")]
    odds = np.sqrt(singles[0] * singles[1])
    both = model.predict_proba({name: X[name] for name in ("text", "audio")})
    np.testing.assert_allclose(both, odds / odds.sum(1, keepdims=True), rtol=1e-3, atol=1e-6)
    settings = {"late_fusion": "probabilities"}
    of_study = MultimodalClassifier(settings=settings, **FAST).fit(X, few_labels(y))
    mean = of_study.predict_proba({name: X[name] for name in ("text", "audio")})
    np.testing.assert_allclose(mean, np.mean(singles, axis=0), rtol=1e-3, atol=1e-6)
