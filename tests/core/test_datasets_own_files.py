"""Files of one's own: archives and tables, unknown labels, missing modalities, every mistake."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from robult_core import datasets
from robult_core.datasets.files import DataError
from robult_core.datasets.own_files import kind_of_labels, load_own_files, read_tables
from robult_core.protocol import label_split, validation_split
from robult_core.tasks import Classification, Multilabel, Regression

N = 40


def arrays() -> dict[str, np.ndarray]:
    """Three classes; every fifth label is unknown, and one sample lacks its audio."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % 3
    audio = rng.normal(size=(N, 4))
    audio[1] = np.nan
    labels[::5] = -1
    return {"text": rng.normal(size=(N, 3)), "audio": audio, "y": labels}


def archive(folder, **changes):
    """data.npz in a folder; an array that is None is left out."""
    content = {**arrays(), **changes}
    np.savez(folder / "data.npz", **{name: x for name, x in content.items() if x is not None})
    return str(folder / "data.npz")


def test_an_archive_is_a_data_set_by_its_path(tmp_path):
    path = archive(tmp_path)
    data = datasets.load(path)
    entry = datasets.entry(path)
    assert data.name == entry.name == "data"
    assert data.names == entry.modalities == ("text", "audio")
    assert data.task == entry.task == Classification(3)
    assert data.class_names == ("0", "1", "2")
    assert entry.load().checksum == data.checksum
    assert entry.missing() == ()
    assert entry.check() == []
    assert (entry.builtin, entry.downloadable) == (False, False)
    assert path not in datasets.CATALOGUE


def test_unknown_labels_train_and_are_not_labels(tmp_path):
    data = datasets.load(archive(tmp_path))
    unknown = ~data.known.numpy()
    assert unknown.tolist() == [row % 5 == 0 for row in range(N)]
    assert set(data.split[unknown]) == {"train"}
    assert (len(data.rows("train")), len(data.rows("test"))) == (8 + 22, 10)
    assert len(data.labeled_rows("train")) == 22
    assert not set(label_split(data, 1.0, 0)) & set(np.flatnonzero(unknown))
    assert not set(label_split(data, 0.5, 0)) & set(np.flatnonzero(unknown))
    held = validation_split(data, 0)
    assert held.known[held.rows("test")].all()
    assert int((~held.known).sum()) == 8
    assert data.describe()["unlabelled"] == "8 samples"


def test_known_labels_are_part_of_the_checksum(tmp_path):
    data = datasets.load(archive(tmp_path))
    labels = np.where(arrays()["y"] < 0, 0, arrays()["y"])  # the places that unknown labels hold
    assert data.checksum != datasets.load(archive(tmp_path, y=labels)).checksum


def test_a_row_of_nan_lacks_the_modality(tmp_path):
    data = datasets.load(archive(tmp_path))
    assert data.present[0].all()
    assert (~data.present[1]).nonzero().flatten().tolist() == [1]
    assert not data.modalities["audio"][1].any()
    assert data.modalities["audio"].dtype == torch.float32


def test_a_sample_without_any_modality_is_left_out(tmp_path):
    text = arrays()["text"]
    text[1] = np.nan
    data = datasets.load(archive(tmp_path, text=text))
    assert len(data) == N - 1
    assert "1 samples without any modality left out." in data.notes


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("place", ["file", "column", "column in both"])
def test_a_folder_of_tables_is_the_same_as_the_archive(tmp_path, kind, place):
    folder = tmp_path / "data"
    folder.mkdir()
    content = arrays()
    frames = {name: pd.DataFrame(content[name]).add_prefix("f") for name in ("text", "audio")}
    if place == "file":
        frames["y"] = pd.DataFrame({"label": content["y"]})
    for name in ("audio", "text") if place == "column in both" else ("audio",):
        if place != "file":
            frames[name]["y"] = content["y"]
    for name, frame in frames.items():
        path = folder / f"{name}.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    data = datasets.load(str(folder))
    other = datasets.load(archive(tmp_path))
    assert data.task == other.task
    assert torch.equal(data.targets, other.targets)
    assert (data.split == other.split).all()
    for name in ("text", "audio"):
        torch.testing.assert_close(data.modalities[name], other.modalities[name])


@pytest.mark.parametrize(
    ("labels", "task", "known"),
    [
        (["cat", "dog", "", "cat"] * 10, Classification(2), 30),
        ([True, False] * 20, Classification(2), 40),
        ([1.0, 2.0, np.nan, 3.0] * 10, Classification(3), 30),
        ([0.5, 2.0, np.nan, 3.0] * 10, Regression(), 30),
        ([[0, 1], [1, 1], [-1, -1], [1, 0]] * 10, Multilabel(2), 30),
        ([[0.0], [1.0], [-1.0], [1.0]] * 10, Classification(2), 30),
    ],
)
def test_the_task_follows_from_the_labels(tmp_path, labels, task, known):
    data = datasets.load(archive(tmp_path, y=np.array(labels)))
    assert data.task == task
    assert (N if data.known is None else int(data.known.sum())) == known


def test_a_class_that_looks_like_a_mark_is_warned_of(tmp_path, caplog):
    datasets.load(archive(tmp_path, y=np.array(["cat", "unknown"] * 20)))
    assert "20 samples have the class 'unknown'" in caplog.text


def test_few_labels_of_many_classes_are_split_all_the_same(tmp_path):
    """Of 20 labels 6 are test rows, too few for each of 10 classes to have one."""
    labels = np.full(N, -1)
    labels[:20] = np.arange(20) % 10
    data = datasets.load(archive(tmp_path, y=labels))
    assert data.task == Classification(10)
    assert len(data.rows("test")) == 6


def test_one_number_cannot_be_split(tmp_path):
    numbers = np.full(N, np.nan)
    numbers[3] = 0.5
    with pytest.raises(DataError, match="one sample has a label, and the split needs two"):
        datasets.load(archive(tmp_path, y=numbers))


def test_minus_one_is_a_value_among_numbers_with_a_fraction(tmp_path):
    numbers = np.linspace(0.25, 4, N)
    numbers[0], numbers[1] = -1.0, np.nan
    data = datasets.load(archive(tmp_path, y=numbers))
    assert data.known.tolist() == [True, False] + [True] * (N - 2)


def test_an_empty_column_of_a_parquet_file_is_named(tmp_path):
    frame = pd.DataFrame({"a": np.zeros(3), "b": np.array([None] * 3, dtype=object)})
    frame.to_parquet(tmp_path / "text.parquet")
    with pytest.raises(DataError, match=r"column 'b' of '.*text.parquet' is empty: drop the"):
        read_tables(tmp_path / "text.parquet")


def test_the_task_can_be_said(tmp_path):
    path = archive(tmp_path, y=np.arange(N, dtype=float))
    assert datasets.load(path).task == Classification(N)
    data = datasets.load(path, task="regression")
    assert data.task == Regression()
    train = data.targets[data.rows("train")]
    assert train.mean().item() == pytest.approx(0, abs=1e-6)
    assert train.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert any("Targets are given in deviations" in note for note in data.notes)


def test_another_name_of_the_target(tmp_path):
    path = archive(tmp_path, y=None, mood=arrays()["y"])
    assert datasets.load(path, target="mood").names == ("text", "audio")
    with pytest.raises(DataError, match="no file has 'y', as a column or an array: "):
        datasets.load(path)


def test_a_split_is_kept_and_evaluated_samples_need_a_label(tmp_path):
    split = np.array(["train"] * 20 + ["dev"] * 10 + ["test"] * 10)
    data = datasets.load(archive(tmp_path, split=split))
    sizes = [len(data.rows(part)) for part in ("train", "valid", "test")]
    assert sizes == [20, 8, 8]
    assert "4 evaluated samples without a label left out." in data.notes
    assert data.names == ("text", "audio")


def test_sequences_and_single_features(tmp_path):
    steps = np.zeros((N, 5, 2))
    data = datasets.load(archive(tmp_path, video=steps, age=np.arange(N)))
    assert data.shapes == {"text": (3,), "audio": (4,), "video": (5, 2), "age": (1,)}


def test_the_name_of_a_file_becomes_a_plain_one(tmp_path):
    (tmp_path / "My Data.v2").mkdir()
    path = archive(tmp_path / "My Data.v2")
    assert datasets.load(path).name == "data"
    (tmp_path / "My Data.v2/data.npz").rename(tmp_path / "My Data.v2.npz")
    assert datasets.load(str(tmp_path / "My Data.v2.npz")).name == "my_data_v2"


def test_a_name_below_the_data_folder(tmp_path):
    archive(tmp_path)
    assert datasets.load("data.npz", tmp_path).name == "data"


def test_csv_files_need_no_pandas(tmp_path):
    """Text with commas and quotes, a byte-order mark, empty cells, and no line of names."""
    (tmp_path / "y.csv").write_text('label\n"a, ""b"""\nc\n', encoding="utf-8-sig")
    (tmp_path / "text.csv").write_text("1,2.5\n,NA\n")
    code = (
        "import sys\n"
        "sys.modules['pandas'] = None\n"
        "from robult_core.datasets.own_files import read_tables\n"
        "tables = read_tables(sys.argv[1])\n"
        "print(tables['text'].tolist(), tables['y'].tolist())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[[1.0, 2.5], [nan, nan]] ['a, \"b\"', 'c']\n", done.stderr


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([1, 2], "classification"),
        (["a", "b"], "classification"),
        ([1.0, np.nan], "classification"),
        ([1.5, np.nan], "regression"),
        ([[1, 0], [0, 0]], "multilabel"),
        ([[1], [0]], "classification"),
    ],
)
def test_kind_of_labels(labels, kind):
    assert kind_of_labels(np.array(labels)) == kind


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": None}, "no file has 'y', as a column or an array"),
        ({"text": None, "audio": None}, "nothing beside the target 'y'"),
        ({"text": np.zeros((3, 2))}, "'text' has 3 rows and the target 'y' 40"),
        ({"text": np.float64(1)}, "'text' has 0 rows and the target 'y' 40"),
        ({"text": np.array(["a"] * N)}, "modality 'text' holds values that are not numbers"),
        ({"text": np.full((N, 2), np.inf)}, r"'text' has an infinite value \(inf\) in row 0"),
        ({"text": np.array([[1, np.nan]] * N)}, "'text' has NaN in some features of row 0"),
        ({"a+b": np.zeros((N, 2))}, r"'a\+b' cannot name a modality of 'data'"),
        ({"y": np.full(N, -1)}, "no sample has a label"),
        ({"y": np.zeros(N, dtype=int)}, "y holds one class only"),
        ({"split": np.array(["train"] * 39 + ["tset"])}, "'split' says 'tset' in row 39"),
        ({"split": np.array(["train"] * 3)}, r"'split' has shape \(3,\), expected \(40,\)"),
        ({"split": np.array(["train"] * N)}, "the test part of .* has no labelled sample"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, changes, message):
    path = archive(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        datasets.load(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.csv", "a,b\n1,2\n3\n", "row 2 has 1 cells, expected 2"),
        ("text.csv", "", "it is empty"),
        ("text.csv", "b,a,a\n1,2,3\n", "two columns are named 'a'"),
        ("text.csv", "1,2\n3,cat\n", "column 'column 2' of .* holds text, such as 'cat'"),
        ("text.csv", ",0,1\n0,2,3\n", "its first column has no name, as pandas writes the numbers"),
        ("text.csv", ",b\n0,2\n", "its first column has no name, as pandas writes the numbers"),
        ("text.csv", "a,b\n", "it has names of columns and no row.: check the path"),
        ("text.csv", "a;b\n1;2\n", "its cells are separated by semicolons: save it with commas"),
        ("text.csv", "a\tb\n1\t2\n", "its cells are separated by tabs: save it with commas"),
        ("text.csv", "a,b\n1,cat\n", "column 'b' of .* holds text, such as 'cat': give numbers"),
        ("text.csv", "a,b\n1,\ud800\n", "cannot be read as a csv table"),
        ("text.parquet", "PAR1", "cannot be read as a parquet table"),
        ("text.npz", "PK", "cannot be read as a numpy archive"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=message):
        read_tables(tmp_path / name)


@pytest.mark.parametrize("name", ["gone/data.npz", "gone.csv", "some/folder"])
def test_a_path_that_is_not_there(name):
    with pytest.raises(DataError, match=f"no data at '{name}': give a .npz, .csv, .parquet file"):
        datasets.load(name)


def test_other_paths(tmp_path):
    with pytest.raises(DataError, match=r"'.*data.xlsx' is not one of .npz, .csv, .parquet"):
        read_tables(tmp_path / "data.xlsx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty' holds no .npz, .csv, .parquet file"):
        read_tables(tmp_path / "empty")
    np.savez(tmp_path / "a.npz", text=np.zeros((2, 1)))
    (tmp_path / "text.csv").write_text("1\n2\n")
    with pytest.raises(DataError, match="two files give the name 'text'"):
        read_tables([tmp_path / "a.npz", tmp_path / "text.csv"])
    archive(tmp_path)
    with pytest.raises(DataError, match="task is 'rank': choose classification"):
        load_own_files(tmp_path / "data.npz", task="rank")


def two_tables(folder, second_ids=("007", "b", "c")):
    """Two modalities whose files both name their samples."""
    (folder / "text.csv").write_text("id,t0,t1,mood\n007,1,2,sad\nb,3,4,\nc,5,6,glad\n")
    lines = [f"{name},{place}" for place, name in enumerate(second_ids)]
    (folder / "audio.csv").write_text("\n".join(["id,a0", *lines]))
    return folder


def test_ids_stay_as_they_are_written_and_are_no_features(tmp_path):
    tables = read_tables(two_tables(tmp_path), ["mood", "id"], required=["id"], ids=["id"])
    assert tables["id"].tolist() == ["007", "b", "c"]
    assert tables["text"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert tables["audio"].tolist() == [0, 1, 2]


def test_files_whose_samples_differ_are_named(tmp_path):
    folder = two_tables(tmp_path, second_ids=("b", "007", "c"))
    with pytest.raises(DataError, match="two files differ in the column 'id'"):
        read_tables(folder, ["mood", "id"], ids=["id"])


def test_every_file_names_its_samples_or_none_does(tmp_path):
    folder = two_tables(tmp_path)
    (folder / "audio.csv").write_text("a0\n1\n2\n3\n")
    with pytest.raises(
        DataError, match=r"text.csv' names its samples in the column 'id', and .*aud"
    ):
        read_tables(folder, ["mood", "id"], ids=["id"])
    (folder / "text.csv").write_text("t0\n1\n2\n3\n")
    for header in ("name", "id"):
        (folder / "id.csv").write_text(f"{header}\na\nb\nc\n")
        assert read_tables(folder, ["id"], ids=["id"])["id"].tolist() == ["a", "b", "c"]


def test_a_name_that_no_file_has_is_told_with_the_names_there_are(tmp_path):
    with pytest.raises(DataError) as error:
        read_tables(two_tables(tmp_path), ["mode"], required=["mode"])
    assert str(error.value) == (
        "no file has 'mode', as a column or an array: "
        "audio.csv has id, a0; text.csv has id, t0, t1, mood"
    )
    (tmp_path / "mode.csv").write_text("m\n1\n2\n3\n")
    assert "mode" in read_tables(tmp_path / "mode.csv", ["mode"], required=["mode"])


def test_several_labels_are_a_table_of_their_own(tmp_path):
    (tmp_path / "text.csv").write_text("t0,t1\n1,2\n3,4\n5,6\n")
    (tmp_path / "y.csv").write_text("rock,jazz\n1,0\n,\n0,1\n")
    labels = read_tables(tmp_path, ["y"], required=["y"])["y"]
    assert labels.columns == ("rock", "jazz")
    assert kind_of_labels(labels) == "multilabel"
    with pytest.raises(DataError, match="no file has 'y'"):  # two columns name no samples
        read_tables(tmp_path, ["y"], required=["y"], ids=["y"])


def test_a_table_keeps_the_names_of_its_columns_with_its_rows(tmp_path):
    tables = read_tables(two_tables(tmp_path), ["mood", "id"], ids=["id"])
    assert tables["text"].columns == tables["text"][[0, 2]].columns == ("t0", "t1")
    assert tables["audio"].columns == ("a0",)
    assert getattr(tables["mood"], "columns", None) is None


def test_features_are_found_by_name_in_their_order(tmp_path):
    """Neither the label nor the id is read, whatever they hold."""
    folder = two_tables(tmp_path)
    tables = read_tables(folder, features={"text": ["t1", "t0"], "audio": ["a0"]})
    assert tables["text"].tolist() == [[2, 1], [4, 3], [6, 5]]
    assert tables["text"].columns == ("t1", "t0")
    assert tables["audio"].tolist() == [0, 1, 2]
    with pytest.raises(DataError) as error:
        read_tables(folder / "text.csv", features={"text": ["t0", "t7"]})
    assert str(error.value) == (
        f"'{folder / 'text.csv'}' lacks the column 't7', which the model was trained with: "
        "it has id, t0, t1, mood"
    )


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, ", … (9 in all)")])
def test_eight_names_are_told(tmp_path, count, more):
    names = [f"c{place}" for place in range(count)]
    (tmp_path / "text.csv").write_text(",".join(names) + "\n" + ",".join("1" * count) + "\n")
    with pytest.raises(DataError) as error:
        read_tables(tmp_path / "text.csv", ["mode"], required=["mode"])
    assert str(error.value).endswith(f"text.csv has {', '.join(names[:8])}{more}")
    assert read_tables(tmp_path / "text.csv")["text"].shape == (1, count)


def test_a_column_with_holes_may_stand_in_two_files(tmp_path):
    (tmp_path / "text.csv").write_text("t0,t1,y\n1,2,0\n3,4,\n")
    (tmp_path / "audio.csv").write_text("a0,y\n5,0\n6,\n")
    assert np.isnan(read_tables(tmp_path, ["y"])["y"]).tolist() == [False, True]


def test_the_split_is_class_by_class(tmp_path):
    labels = np.arange(N) % 4 == 0
    for seed_of_order in range(3):  # by chance it would not be so in every order
        order = np.random.default_rng(seed_of_order).permutation(N)
        data = datasets.load(archive(tmp_path, y=labels[order].astype(int)))
        assert np.bincount(data.targets[data.rows("test")]).tolist() == [9, 3]
