"""`robult fit | predict | describe` on small files, as a new user would call them."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from option_facts import option_facts

from robult_core.estimators import MultimodalClassifier, load_model
from robult_study import own_data_commands
from robult_study.own_data_commands import describe, fit, predict


def arrays(n=60):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    audio = rng.standard_normal((n, 4)) + 2 * y[:, None]
    text = rng.standard_normal((n, 3)) - 2 * y[:, None]
    audio[0] = np.nan
    labels = np.where(rng.random(n) < 0.6, y, -1)
    return {"audio": audio, "text": text}, labels, y


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def rows(path):
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_from_an_archive_to_predictions(tmp_path):
    X, labels, y = arrays()
    np.savez(tmp_path / "data.npz", **X, y=labels)
    np.savez(tmp_path / "new.npz", text=X["text"])
    out = tmp_path / "model"
    done = run(fit, tmp_path / "data.npz", "--out", out, "--max-steps", 60, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "MultimodalClassifier on audio, text: 60 samples, 60 steps" in done.output
    done = run(predict, out, tmp_path / "new.npz", "--out", tmp_path / "p.csv")
    assert done.exit_code == 0, done.output
    assert f"60 predictions from text in {tmp_path / 'p.csv'}" in done.output
    table = rows(tmp_path / "p.csv")
    model = load_model(out, "cpu")
    assert [int(row["prediction"]) for row in table] == model.predict({"text": X["text"]}).tolist()
    assert (
        np.mean([int(row["prediction"]) == label for row, label in zip(table, y, strict=True)])
        > 0.8
    )
    total = [float(row["probability_0"]) + float(row["probability_1"]) for row in table]
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_a_training_that_diverges_is_one_sentence_and_leaves_no_model(tmp_path, monkeypatch):
    def diverge(*_: object, **__: object) -> None:
        raise FloatingPointError("the loss is nan at step 2: lower learning_rate (now 1e+30)")

    monkeypatch.setattr(MultimodalClassifier, "fit", diverge)
    X, labels, _ = arrays()
    np.savez(tmp_path / "data.npz", **X, y=labels)
    done = run(fit, tmp_path / "data.npz", "--out", tmp_path / "model")
    assert done.exit_code == 1
    sentence = "Error: the loss is nan at step 2: lower learning_rate (now 1e+30)"
    assert done.output.splitlines()[-1] == sentence
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_table_per_modality(tmp_path, kind):
    X, labels, _ = arrays()
    files = []
    for name, x in {**X, "y": labels[:, None]}.items():
        frame = pd.DataFrame(x).add_prefix("c")
        path = tmp_path / f"{name}.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        files.append(path)
    done = run(fit, *files, "--out", tmp_path / "model", "--max-steps", 20, "--device", "cpu")
    assert done.exit_code == 0, done.output
    done = run(describe, *files)
    assert "audio: 60 samples of 4 features, 1 lack it; columns c0, c1, c2, c3" in done.output
    assert f"classification: {(labels >= 0).sum()} of 60 samples are labelled" in done.output
    assert f"  class 1: {(labels == 1).sum()} samples" in done.output
    assert "differ" not in done.output


def test_several_labels_are_predicted_by_their_names_with_probabilities(tmp_path):
    X, _, y = arrays()
    pd.DataFrame(X["text"]).add_prefix("t").to_csv(tmp_path / "text.csv", index=False)
    labels = pd.DataFrame({"rock": y, "jazz": 1 - y}).astype(float)
    labels[::3] = np.nan
    labels.to_csv(tmp_path / "y.csv", index=False)
    files, out = [tmp_path / "text.csv", tmp_path / "y.csv"], tmp_path / "model"
    said = run(describe, *files).output
    assert "multilabel: 40 of 60 samples are labelled" in said
    assert f"  label rock: {int(labels['rock'].sum())} samples" in said
    done = run(fit, *files, "--out", out, "--max-steps", 30, "--device", "cpu")
    assert done.exit_code == 0, done.exception
    done = run(predict, out, tmp_path / "text.csv", "--out", tmp_path / "p.csv")
    assert done.exit_code == 0, done.exception
    table = pd.read_csv(tmp_path / "p.csv")
    answers = ["prediction_rock", "prediction_jazz", "probability_rock", "probability_jazz"]
    assert list(table.columns) == ["row", *answers]
    above = table[["probability_rock", "probability_jazz"]].to_numpy() > 0.5
    assert (table[["prediction_rock", "prediction_jazz"]].to_numpy() == above).all()
    assert (table["prediction_rock"] == y).mean() > 0.8


def test_several_labels_of_an_archive_have_numbers_for_names(tmp_path):
    X, _, y = arrays()
    np.savez(tmp_path / "d.npz", text=X["text"], y=np.stack([y, 1 - y], axis=1))
    out = tmp_path / "model"
    run(fit, tmp_path / "d.npz", "--out", out, "--max-steps", 2, "--device", "cpu")
    run(predict, out, tmp_path / "d.npz", "--out", tmp_path / "p.csv")
    names = ["prediction_0", "prediction_1", "probability_0", "probability_1"]
    assert list(rows(tmp_path / "p.csv")[0]) == ["row", *names]


def test_columns_are_found_by_the_names_of_the_fit(tmp_path):
    """In another order, and beside columns that the model does not know."""
    X, labels, _ = arrays()
    text = pd.DataFrame(X["text"]).add_prefix("t").assign(mood=labels)
    text.to_csv(tmp_path / "text.csv", index=False)
    out, new = tmp_path / "model", tmp_path / "new"
    new.mkdir()
    text[["mood", "t2", "t0", "t1"]].assign(name="a").to_csv(new / "text.csv", index=False)
    run(fit, tmp_path / "text.csv", "--target", "mood", "--out", out, "--max-steps", 5)
    run(predict, out, tmp_path / "text.csv", "--out", tmp_path / "p.csv")
    done = run(predict, out, new / "text.csv", "--out", tmp_path / "turned.csv")
    assert done.exit_code == 0, done.exception
    assert rows(tmp_path / "turned.csv") == rows(tmp_path / "p.csv")
    text.drop(columns="t1").to_csv(new / "text.csv", index=False)
    done = run(predict, out, new / "text.csv", "--out", tmp_path / "p.csv")
    assert "lacks the column 't1', which the model was trained with" in str(done.exception)


def test_a_sample_without_any_modality_has_empty_cells(tmp_path):
    X, labels, _ = arrays()
    X["text"][0] = np.nan  # its audio is missing already
    np.savez(tmp_path / "d.npz", **X, y=labels)
    np.savez(tmp_path / "new.npz", audio=X["audio"])
    out = tmp_path / "model"
    done = run(fit, tmp_path / "d.npz", "--out", out, "--max-steps", 2, "--device", "cpu")
    assert "59 samples (1 without any modality left out), 2 steps" in done.output
    done = run(predict, out, tmp_path / "new.npz", "--out", tmp_path / "p.csv")
    assert "59 predictions from audio" in done.output
    assert "1 samples have no modality at all: their cells are empty" in done.output
    first, second, *_ = table = rows(tmp_path / "p.csv")
    assert (first.pop("row"), set(first.values())) == ("0", {""})
    answer = load_model(out, "cpu").predict({"audio": X["audio"][1:2]})
    assert second["prediction"] == str(answer[0])
    assert len(table) == 60
    np.savez(tmp_path / "new.npz", audio=np.full((3, 4), np.nan))
    done = run(predict, out, tmp_path / "new.npz", "--out", tmp_path / "p.csv")
    assert str(done.exception) == "no sample has a modality: every row of audio is empty or NaN"


def test_a_folder_that_is_missing_is_named_before_anything_is_predicted(tmp_path):
    (tmp_path / "model").mkdir()
    places = [tmp_path / "model", tmp_path / "new.npz", "--out", tmp_path / "gone" / "p.csv"]
    assert "gone/p.csv' is missing: make it" in str(run(predict, *places).exception)


def test_numbers_become_a_regression(tmp_path):
    X, _, y = arrays()
    target = np.where(np.arange(60) % 2, y + 0.5 * X["text"][:, 0], np.nan)
    np.savez(tmp_path / "data.npz", text=X["text"], y=target)
    out = tmp_path / "model"
    done = run(fit, tmp_path / "data.npz", "--out", out, "--max-steps", 20, "--device", "cpu")
    assert "MultimodalRegressor on text" in done.output
    assert "regression: 30 of 60" in run(describe, tmp_path / "data.npz").output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "no file has 'y', as a column or an array: d.npz has audio, text"),
        ({"audio": np.ones((3, 2))}, "'audio' has 3 rows and the target 'y' 60"),
        ({"audio": None, "text": None}, "nothing beside the target 'y'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, change, message):
    X, labels, _ = arrays()
    tables = {**X, "y": labels} | change
    np.savez(tmp_path / "d.npz", **{name: x for name, x in tables.items() if x is not None})
    done = run(fit, tmp_path / "d.npz", "--out", tmp_path / "model")
    assert message in str(done.exception)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("task", ["auto", "regression"])
def test_a_file_of_features_that_is_named_like_the_target_is_told(tmp_path, task):
    X, _, y = arrays()
    pd.DataFrame(X["text"]).add_prefix("t").assign(state=y).to_csv(
        tmp_path / "state.csv", index=False
    )
    pd.DataFrame(X["audio"]).add_prefix("a").to_csv(tmp_path / "audio.csv", index=False)
    files = [tmp_path / "state.csv", tmp_path / "audio.csv"]
    done = run(fit, *files, "--target", "state", "--task", task, "--out", tmp_path / "model")
    assert "columns with fractions, which are no labels: a file that is named" in str(
        done.exception
    )
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("most", "said"), [(60, True), (3, False)])
def test_whole_numbers_that_look_like_measurements_are_told(tmp_path, most, said):
    X, _, _ = arrays()
    np.savez(tmp_path / "data.npz", **X, y=np.arange(60) % most)
    output = run(describe, tmp_path / "data.npz").output
    words = f"{most} classes among 60 labels: if they are measurements, say --task regression"
    assert (words in output) is said


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_only_a_classification_is_calibrated(tmp_path, task):
    X, _, y = arrays()
    target = y + 0.5 if task == "regression" else np.stack([y, 1 - y], axis=1)
    np.savez(tmp_path / "data.npz", **X, y=target)
    done = run(fit, tmp_path / "data.npz", "--out", tmp_path / "model", "--calibrate")
    assert str(done.exception) == (
        f"--calibrate is for a classification, and the task is {task}: leave --calibrate out"
    )
    assert not (tmp_path / "model").exists()


def test_the_mark_of_unlabelled_samples_is_a_number_among_numbers(tmp_path):
    X, labels, _ = arrays()
    np.savez(tmp_path / "data.npz", **X, y=labels)
    message = (
        "--unlabeled is 'nobody', but the labels are numbers: give a whole number, such as -1, or "
        "none where every number is a class"
    )
    told = ["--unlabeled", "nobody"]
    done = run(fit, tmp_path / "data.npz", "--out", tmp_path / "model", *told)
    assert str(done.exception) == message
    assert f"y: {message}" in run(describe, tmp_path / "data.npz", *told).output


def test_every_number_can_be_a_class(tmp_path):
    X, _, y = arrays()
    np.savez(tmp_path / "data.npz", **X, y=2 * y - 1)
    done = run(describe, tmp_path / "data.npz", "--unlabeled", "none")
    assert "classification: 60 of 60 samples are labelled" in done.output
    done = run(describe, tmp_path / "data.npz")
    assert "y: y holds one class only, 1: a classifier needs at least two" in done.output


def test_the_mark_of_unlabelled_samples_is_a_name_among_names(tmp_path):
    X, labels, _ = arrays()
    names = np.array(["none", "cat", "dog"])[labels + 1]
    np.savez(tmp_path / "data.npz", **X, y=names)
    done = run(describe, tmp_path / "data.npz", "--unlabeled", "none")
    assert f"{(labels >= 0).sum()} of 60 samples are labelled" in done.output


def test_files_that_cannot_be_read_are_named(tmp_path):
    assert "gone.npz' is missing" in str(run(describe, tmp_path / "gone.npz").exception)
    (tmp_path / "bad.npz").write_bytes(b"not an archive")
    assert "bad.npz' cannot be read" in str(run(describe, tmp_path / "bad.npz").exception)
    (tmp_path / "data.xlsx").write_bytes(b"")
    assert "is not one of .npz, .csv, .parquet" in str(
        run(describe, tmp_path / "data.xlsx").exception
    )


def test_a_model_is_not_written_over_another(tmp_path):
    X, labels, _ = arrays()
    np.savez(tmp_path / "d.npz", **X, y=labels)
    out = tmp_path / "model"
    assert run(fit, tmp_path / "d.npz", "--out", out, "--max-steps", 2).exit_code == 0
    weights = (out / "model.safetensors").read_bytes()
    again = run(fit, tmp_path / "d.npz", "--out", out, "--max-steps", 3)
    assert "holds a model already: delete it, or choose another --out" in str(again.exception)
    assert (out / "model.safetensors").read_bytes() == weights


def test_describe_says_where_numbers_of_samples_differ(tmp_path):
    X, labels, _ = arrays()
    np.savez(tmp_path / "d.npz", audio=X["audio"][1:], text=X["text"], y=labels)
    said = run(describe, tmp_path / "d.npz").output
    assert "numbers of samples differ (audio 59, text 60, y 60)" in said


def test_a_modality_that_was_not_there_at_fit_says_how_files_are_named(tmp_path):
    X, labels, _ = arrays()
    np.savez(tmp_path / "d.npz", **X, y=labels)
    np.savez(tmp_path / "new.npz", new_text=X["text"])
    run(fit, tmp_path / "d.npz", "--out", tmp_path / "model", "--max-steps", 2)
    done = run(predict, tmp_path / "model", tmp_path / "new.npz", "--out", tmp_path / "p.csv")
    message = str(done.exception)
    assert "leave it out (labels of a file are named by --target), or rename it" in message


def test_samples_are_named_by_their_id_or_their_row(tmp_path):
    X, labels, _ = arrays()
    text = pd.DataFrame(X["text"]).add_prefix("t")
    text.insert(0, "id", [f"{row:03}" for row in range(60)])
    text["mood"] = labels
    text.to_csv(tmp_path / "text.csv", index=False)
    out, named = tmp_path / "model", ["--id", "id", "--target", "mood"]
    done = run(fit, tmp_path / "text.csv", "--out", out, "--max-steps", 20, *named)
    assert done.exit_code == 0, done.exception
    assert load_model(out, "cpu").n_features_in_ == {"text": 3}
    run(predict, out, tmp_path / "text.csv", "--out", tmp_path / "p.csv", *named)
    assert [row["id"] for row in rows(tmp_path / "p.csv")][:3] == ["000", "001", "002"]
    np.savez(tmp_path / "new.npz", text=X["text"])
    run(predict, out, tmp_path / "new.npz", "--out", tmp_path / "p.csv")
    assert [row["row"] for row in rows(tmp_path / "p.csv")] == [str(row) for row in range(60)]
    done = run(describe, tmp_path / "text.csv", *named)
    assert "text: 60 samples of 3 features" in done.output
    done = run(predict, out, tmp_path / "new.npz", "--out", tmp_path / "p.csv", "--id", "name")
    assert "no file has 'name'" in str(done.exception)


def two_files(folder):
    """text.csv with labels and audio.csv; both name their samples by numbers."""
    X, labels, _ = arrays()
    frames = {}
    for name, x in X.items():
        frames[name] = pd.DataFrame(x).add_prefix(name[0]).assign(id=np.arange(60))
    frames["text"]["mood"] = labels
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return frames


def test_the_column_that_names_samples_is_remembered(tmp_path):
    frames = two_files(tmp_path)
    out, new = tmp_path / "model", tmp_path / "new"
    new.mkdir()
    files = [tmp_path / "text.csv", tmp_path / "audio.csv"]
    named = ["--id", "id", "--target", "mood", "--max-steps", 5]
    assert run(fit, *files, "--out", out, *named).exit_code == 0
    assert run(predict, out, *files, "--out", tmp_path / "p.csv").exit_code == 0
    assert [row["id"] for row in rows(tmp_path / "p.csv")] == [str(row) for row in range(60)]
    turned = frames["audio"][["id", "a3", "a2", "a1", "a0"]].assign(more=1.0)
    turned.to_csv(new / "audio.csv", index=False)
    done = run(predict, out, files[0], new / "audio.csv", "--out", tmp_path / "turned.csv")
    assert done.exit_code == 0, done.exception
    assert rows(tmp_path / "turned.csv") == rows(tmp_path / "p.csv")
    turned[::-1].to_csv(new / "audio.csv", index=False)
    done = run(predict, out, files[0], new / "audio.csv", "--out", tmp_path / "p.csv")
    assert "two files differ in the column 'id'" in str(done.exception)


def test_a_column_that_can_only_name_samples_is_no_feature(tmp_path):
    two_files(tmp_path)
    files = [tmp_path / "text.csv", tmp_path / "audio.csv"]
    message = (
        "the column 'id' is the same in text, audio and differs in every row: "
        "say --id id where it names the samples, or drop it"
    )
    done = run(fit, *files, "--target", "mood", "--out", tmp_path / "model")
    assert str(done.exception) == message
    assert message in run(describe, *files, "--target", "mood").output


def test_a_split_says_what_trains(tmp_path):
    X, labels, _ = arrays()
    split = np.where(np.arange(60) < 40, "train", "test")
    np.savez(tmp_path / "d.npz", **X, y=labels, split=split)
    out = tmp_path / "model"
    done = run(fit, tmp_path / "d.npz", "--out", out, "--max-steps", 2)
    assert done.output.splitlines()[0] == "'split' leaves 20 of 60 samples out"
    assert "40 samples" in done.output
    assert "split: 40 train, 20 test" in run(describe, tmp_path / "d.npz").output
    done = run(predict, out, tmp_path / "d.npz", "--out", tmp_path / "p.csv")
    assert done.exit_code == 0, done.exception
    assert len(rows(tmp_path / "p.csv")) == 60


def test_a_modality_with_holes_is_described(tmp_path):
    X, labels, _ = arrays()
    X["text"][3, 1] = np.nan
    np.savez(tmp_path / "d.npz", **X, y=labels)
    said = run(describe, tmp_path / "d.npz").output
    assert "text: 60 samples of 3 features, cannot be trained on (modality 'text' has NaN" in said
    assert "classification: " in said


def test_predictions_do_not_overwrite_what_they_are_made_from(tmp_path):
    two_files(tmp_path)
    out, text = tmp_path / "model", tmp_path / "text.csv"
    run(fit, text, "--out", out, "--target", "mood", "--id", "id", "--max-steps", 2)
    done = run(predict, out, tmp_path, "--out", text)
    assert "one of the files to predict from: choose another" in str(done.exception)
    assert "mood" in text.read_text()


def test_a_fit_says_which_labels_it_saw(tmp_path):
    X, labels, _ = arrays()
    np.savez(tmp_path / "d.npz", **X, y=np.where(labels < 0, -999, labels))
    done = run(fit, tmp_path / "d.npz", "--out", tmp_path / "model", "--max-steps", 2)
    lines = done.output.splitlines()
    assert lines[0] == "classification: 60 of 60 samples are labelled"
    assert lines[1] == f"  class -999: {(labels < 0).sum()} samples"


def label_lines(labels):
    kind, targets = own_data_commands._read_labels(labels, "-1", "auto")
    return own_data_commands._label_lines(kind, targets)


def test_of_many_classes_twenty_are_listed():
    lines = label_lines(np.repeat(np.arange(30), 2))
    assert lines[20:] == ["  class 19: 2 samples", "  … and 10 more classes"]


def test_files_without_a_target_are_described(tmp_path):
    X, labels, _ = arrays()
    np.savez(tmp_path / "d.npz", **X, y=labels)
    said = run(describe, tmp_path / "d.npz", "--target", "mood").output.splitlines()
    assert said[-1] == "no target 'mood': name it with --target to train"


@pytest.mark.parametrize(
    ("labels", "lines"),
    [
        (
            [[1, 0], [1, 1], [0, 0]],
            [
                "multilabel: 3 of 3 samples are labelled",
                "  label 0: 2 samples",
                "  label 1: 1 samples",
            ],
        ),
        (
            [0.5, 1.5, np.nan, 3.25],
            ["regression: 3 of 4 samples are labelled", "  mean 1.750, from 0.5 to 3.25"],
        ),
        (
            [0, 2, -1, 2],
            [
                "classification: 3 of 4 samples are labelled",
                "  class 0: 1 samples",
                "  class 2: 2 samples",
            ],
        ),
    ],
)
def test_labels_are_counted_by_their_kind(labels, lines):
    assert label_lines(np.array(labels)) == lines


@pytest.mark.parametrize("command", [fit, describe])
def test_a_class_that_looks_like_a_mark_is_warned_of_once(tmp_path, command, caplog):
    X, labels, _ = arrays()
    np.savez(tmp_path / "d.npz", **X, y=np.array(["unknown", "cat", "dog"])[labels + 1])
    options = ["--out", tmp_path / "model", "--max-steps", 2] if command is fit else []
    done = run(command, tmp_path / "d.npz", *options)
    assert f"  class unknown: {(labels < 0).sum()} samples" in done.output
    (warning,) = [text for text in caplog.messages if "marks samples without a label" in text]
    assert warning == (
        f"{(labels < 0).sum()} samples have the class 'unknown': if that marks samples without a "
        "label, say so by unlabeled='unknown' (on the command line: --unlabeled)"
    )


def test_whole_numbers_are_described_as_the_task_takes_them(tmp_path):
    np.savez(tmp_path / "d.npz", text=np.ones((4, 2)), y=np.array([0, 2, 5, 5]))
    said = run(describe, tmp_path / "d.npz", "--task", "regression").output.splitlines()
    assert said[1:] == [
        "regression: 4 of 4 samples are labelled",
        "  mean 3.000, from 0 to 5",
    ]


def test_a_place_of_the_wrong_kind_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    done = run(fit, tmp_path / "gone.npz", "--out", tmp_path / "file")
    assert (done.exit_code, "file' is a file." in done.output) == (2, True), done.output
    (tmp_path / "model").mkdir()
    done = run(predict, tmp_path / "model", tmp_path / "gone.npz", "--out", tmp_path)
    assert (done.exit_code, "is a directory." in done.output) == (2, True), done.output


class Predicting:
    """An estimator whose predictions are given."""

    def __init__(self, predicted: np.ndarray, labels: Sequence[str] = ()):
        self.predicted = predicted
        if labels:
            self.classes_ = labels

    def predict(self, modalities) -> np.ndarray:
        return self.predicted

    def predict_proba(self, modalities) -> np.ndarray:
        return self.predicted / 2


def test_labels_have_a_column_each_and_scores_one():
    indicators = np.array([[1, 0], [1, 1], [0, 0]])
    header, columns = own_data_commands._answers(Predicting(indicators, ["jazz", "rock"]), {})
    answers = ["prediction_jazz", "prediction_rock", "probability_jazz", "probability_rock"]
    assert header == answers
    assert np.array_equal(columns, [*indicators.T, *(indicators.T / 2)])
    scores = np.array([0.5, 1.5])
    assert own_data_commands._answers(Predicting(scores), {}) == (["prediction"], [scores])


OPTIONS = {
    "fit": {
        "files": "Path, required, file_okay True, dir_okay True, nargs -1",
        "target": "String, default y",
        "out": "Path, required, dir_okay True",
        "identity": "String",
        "task": "Choice, choices ('auto', 'classification', 'regression', 'multilabel'), "
        "default auto",
        "method": "String, default robult_distilled",
        "unlabeled": "String, default -1",
        "seed": "IntRange, min 0, default 0",
        "max_steps": "IntRange, min 1",
        "calibrate": "Bool, is_flag",
        "device": "String, default auto",
    },
    "predict": {
        "model": "Path, required, exists True, dir_okay True",
        "files": "Path, required, file_okay True, dir_okay True, nargs -1",
        "out": "Path, required, file_okay True",
        "target": "String, default y",
        "identity": "String",
        "device": "String, default auto",
    },
    "describe": {
        "files": "Path, required, file_okay True, dir_okay True, nargs -1",
        "target": "String, default y",
        "unlabeled": "String, default -1",
        "identity": "String",
        "task": "Choice, choices ('auto', 'classification', 'regression', 'multilabel'), "
        "default auto",
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_ask_for_what_they_promise(name):
    assert option_facts(getattr(own_data_commands, name)) == OPTIONS[name]
