"""MOSI and MOSEI as MulT and MMSA publish them, written here with their known oddities."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from robult_core import datasets
from robult_core.datasets import affect
from robult_core.datasets.affect import first_occurrences, padding_side
from robult_core.datasets.files import DataError
from robult_study.data_commands import data as command

NAMES = ("text", "audio", "vision")
SIZES = {"train": 6, "valid": 3, "test": 4}
DIMS = {"mosi": (300, 5, 20), "mosei": (300, 74, 35)}
ALIGNED = (50, 50, 50)
VIDEOS = {"mosi": sorted(affect.MOSI_VIDEOS), "mosei": [f"mosei_vid{i:02d}" for i in range(93)]}


def sequences(
    rng: np.random.Generator, n: int, steps: int, width: int, side: str, type_: str = "f8"
) -> np.ndarray:
    """`(n, steps, width)` with two steps of padding in every sample."""
    x = rng.normal(size=(n, steps, width))
    x[:, slice(None, 2) if side == "left" else slice(-2, None)] = 0
    return x.astype(type_)


def mult(
    corpus: str = "mosi",
    widths: tuple[int, int, int] | None = None,
    steps: tuple[int, int, int] = ALIGNED,
) -> dict:
    """A MulT file: left padding, -inf and NaN in audio, ids [video, start, end] (bytes in MOSI)."""
    rng = np.random.default_rng(0)
    content = {}
    first = 0
    for split, n in SIZES.items():
        part = {}
        for name, length, width in zip(NAMES, steps, widths or DIMS[corpus], strict=True):
            part[name] = sequences(rng, n, length, width, "left")
        part["labels"] = rng.uniform(-3, 3, (n, 1, 1))
        ids = [[video, "0.1", "2.5"] for video in VIDEOS[corpus][first : first + n]]
        part["id"] = np.array(ids, dtype="S" if corpus == "mosi" else "U")
        content[split] = part
        first += n
    content["train"]["audio"][1, 7, 2] = -np.inf
    content["train"]["audio"][1, 8, 2] = np.nan
    return content


def mmsa(corpus: str = "mosi", steps: tuple[int, int, int] = ALIGNED) -> dict:
    """An MMSA file: right padding, BERT text of width 768, transcripts and ids "video$_$clip"."""
    rng = np.random.default_rng(0)
    content = {}
    first = 0
    for split, n in SIZES.items():
        part = {}
        for name, length, width in zip(NAMES, steps, (768, *DIMS[corpus][1:]), strict=True):
            part[name] = sequences(rng, n, length, width, "right", "f4")
        part |= {
            "raw_text": [f"words {i}" for i in range(n)],
            "text_bert": rng.normal(size=(n, 3, 50)),
            "id": [f"{video}$_$3" for video in VIDEOS[corpus][first : first + n]],
            "annotations": ["Positive"] * n,
            "classification_labels": np.ones(n),
            "regression_labels": rng.uniform(-3, 3, n),
        }
        content[split] = part
        first += n
    return content


def put(path: Path, content: object, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mosi-mult", "cmu-mosi/mosi_data.pkl"),
        ("mosi-mult", "cmu-mosi/mosi_raw.pkl"),
        ("mosei-mult", "cmu-mosei/mosei_senti_data.pkl"),
        ("mosei-mult", "cmu-mosei/mosei_data.pkl"),
    ],
)
def test_mult_files(tmp_path, name, file, protocol):
    corpus = name.partition("-")[0]
    content = mult(corpus)
    put(tmp_path / file, content, protocol)
    assert name in datasets.available(tmp_path)
    data = datasets.load(name, tmp_path)
    assert data.shapes == {m: (50, w) for m, w in zip(NAMES, DIMS[corpus], strict=True)}
    assert [len(data.rows(split)) for split in SIZES] == list(SIZES.values())
    assert data.modalities["audio"][1, 7:9, 2].tolist() == [0, 0]
    np.testing.assert_array_equal(
        data.modalities["text"][6:9], content["valid"]["text"].astype(np.float32)
    )
    np.testing.assert_allclose(data.targets[6:9], content["valid"]["labels"].ravel(), rtol=1e-6)
    card = str(data.describe())
    assert "2 audio values that were not finite set to 0." in card
    assert "text: padding on the left in 13 samples, on the other side in 0." in card
    assert datasets.CATALOGUE[name].check(tmp_path) == []


def test_mmsa_files_text_width_is_read(tmp_path):
    content = mmsa()
    put(tmp_path / "cmu-mosi/Processed/aligned_50.pkl", content)
    data = datasets.load("mosi-mmsa", tmp_path)
    assert data.shapes == {"text": (50, 768), "audio": (50, 5), "vision": (50, 20)}
    assert "vision: padding on the right in 13 samples, on the other side in 0." in data.notes
    assert data.display["transcript"][6] == "words 0"
    np.testing.assert_allclose(data.targets[:6], content["train"]["regression_labels"], rtol=1e-6)


def test_a_hash_that_mmsa_does_not_publish_is_a_warning(tmp_path):
    put(tmp_path / "cmu-mosi/aligned_50.pkl", mmsa())
    warning = "The SHA-256 of cmu-mosi/aligned_50.pkl is not the published one (d3994fd2…)"
    assert any(warning in note for note in datasets.load("mosi-mmsa", tmp_path).notes)
    output = CliRunner().invoke(command, ["check", "mosi-mmsa", "--folder", str(tmp_path)])
    assert output.exit_code == 0
    assert f"warning: {warning}" in output.output


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("mosi-mmsa", "d3994fd2"),
        ("mosi-mmsa-unaligned", "78e0f8b5"),
        ("mosei-mmsa", "45eccfb7"),
        ("mosei-mmsa-unaligned", "ad8b23d5"),
    ],
)
def test_the_hashes_are_those_that_mmsa_states(name, prefix):
    hashes = datasets.CATALOGUE[name].published.values()
    assert len(hashes) == 2
    assert all(len(value) == 64 and value.startswith(prefix) for value in hashes)


def test_unaligned_files_count_only_without_aligned_ones(tmp_path):
    put(tmp_path / "cmu-mosei/unaligned_50.pkl", mmsa("mosei", steps=(50, 60, 55)))
    assert "mosei-mmsa-unaligned" in datasets.available(tmp_path)
    data = datasets.load("mosei-mmsa-unaligned", tmp_path)
    assert data.shapes == {"text": (50, 768), "audio": (60, 74), "vision": (55, 35)}
    put(tmp_path / "cmu-mosei/aligned_50.pkl", mmsa("mosei"))
    assert [name for name in datasets.available(tmp_path) if "mosei" in name] == ["mosei-mmsa"]
    again = datasets.load("mosei-mmsa-unaligned", tmp_path)  # asked for by name
    assert again.shapes == data.shapes
    put(tmp_path / "cmu-mosi/mosi_data_noalign.pkl", mult(steps=(50, 70, 80)))
    assert datasets.load("mosi-mult-unaligned", tmp_path).shapes["audio"] == (70, 5)


def test_repeated_ids_missing_labels_and_empty_text(tmp_path):
    content = mult()
    content["train"]["id"][0] = content["test"]["id"][2]  # the test row stays
    content["train"]["labels"][3] = np.nan
    content["train"]["text"][4] = 0
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    data = datasets.load("mosi-mult", tmp_path)
    assert [len(data.rows(split)) for split in SIZES] == [4, 3, 4]
    assert data.present.sum(1).tolist() == [10, 11, 11]
    assert not data.present[0, 2]  # row 4, after rows 0 and 3 left
    for note in (
        "1 rows without a finite label left out.",
        "1 rows with a repeated id left out.",
        "1 samples whose text is all zero counted as lacking it.",
    ):
        assert note in data.notes


def test_ids_that_name_videos_only_drop_no_row(tmp_path):
    content = mult()
    for part in content.values():
        part["id"] = np.repeat(part["id"][:1, 0], len(part["id"]))
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    data = datasets.load("mosi-mult", tmp_path)
    assert len(data) == 13
    assert "Ids name videos, not rows, so copies of rows were not looked for." in data.notes


def test_ids_of_more_rows_than_there_are_are_not_used(tmp_path):
    content = mult()
    content["test"]["id"] = content["test"]["id"][[0, 0, 0, 0, 0]]
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    data = datasets.load("mosi-mult", tmp_path)
    assert len(data) == 13
    assert "There are 14 ids for 13 rows, so copies of rows were not looked for." in data.notes


def test_a_test_part_of_training_rows_is_left_with_its_own_rows(tmp_path):
    content = mult()
    content["train"]["id"][:3] = content["test"]["id"][:3]  # a quarter of all rows
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    data = datasets.load("mosi-mult", tmp_path)
    assert "3 rows with a repeated id left out." in data.notes
    assert len(data.rows("test")) == SIZES["test"]


def test_rows_that_moved_from_one_split_to_another_are_refused(tmp_path):
    content = mult()
    audio = {split: part["audio"] for split, part in content.items()}
    content["train"]["audio"] = np.concatenate([audio["train"], audio["test"][:1]])
    content["test"]["audio"] = audio["test"][1:]
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    with pytest.raises(DataError, match=r"'audio' in .* with \[6, 3, 4\] rows as of labels"):
        datasets.load("mosi-mult", tmp_path)


def test_a_score_beyond_the_scale_is_refused(tmp_path):
    content = mult()
    content["valid"]["labels"][1] = 99
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    with pytest.raises(
        DataError, match=r"of valid in .* holds 99, and scores lie between -3 and 3"
    ):
        datasets.load("mosi-mult", tmp_path)


def test_mult_file_without_ids(tmp_path):
    content = mult()
    for part in content.values():
        del part["id"]
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    assert len(datasets.load("mosi-mult", tmp_path)) == 13


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("mosi-mult", "cmu-mosi/mosi_data.pkl", mult("mosei"), "holds CMU-MOSEI .audio 74 and"),
        ("mosi-mult", "cmu-mosi/mosi_raw.pkl", mult("mosei"), "holds CMU-MOSEI"),
        (
            "mosei-mult",
            "cmu-mosei/mosei_data.pkl",
            mult("mosi"),
            "holds CMU-MOSI .*move it to cmu-mo",
        ),
        (
            "mosei-mult",
            "cmu-mosei/mosei_raw.pkl",
            mult("mosi", widths=(300, 74, 35)),
            "holds CMU-MOSI .*13 ids of MOSI",
        ),
        (
            "mosei-mult",
            "cmu-mosei/mosei_raw.pkl",
            mult("mosei", widths=(300, 5, 20)),
            r"holds CMU-MOSI \(audio 5 and vision 20 wide, 0 ids of MOSI\)",
        ),
        ("mosei-mmsa", "cmu-mosei/aligned_50.pkl", mmsa("mosi"), "holds CMU-MOSI"),
        ("mosi-mmsa", "cmu-mosi/aligned_50.pkl", mmsa("mosei"), "holds CMU-MOSEI"),
        (
            "mosi-mult",
            "cmu-mosi/mosi_raw.pkl",
            mult("mosei", widths=(300, 33, 44)),
            r"does not hold CMU-MOSI \(audio 33 and vision 44 wide, 0 ids of MOSI, expected 5 and",
        ),
        (
            "mosei-mult",
            "cmu-mosei/mosei_data.pkl",
            mult("mosei", widths=(300, 33, 709)),
            r"does not hold CMU-MOSEI \(audio 33 and vision 709 wide, 0 ids of MOSI, expected 74",
        ),
        (
            "mosi-mult",
            "cmu-mosi/mosi_data.pkl",
            mmsa("mosi"),
            "holds what MMSA publishes, not MulT",
        ),
        (
            "mosi-mmsa",
            "cmu-mosi/aligned_50.pkl",
            mult("mosi"),
            "holds what MulT publishes, not MMSA",
        ),
    ],
)
def test_other_content_under_the_name_of_a_set(tmp_path, name, file, content, message):
    put(tmp_path / file, content)
    with pytest.raises(DataError, match=message):
        datasets.load(name, tmp_path)
    assert len(datasets.CATALOGUE[name].check(tmp_path)) == 1


def test_the_mosi_of_multibench_has_the_widths_of_mosei_and_is_told_by_its_ids(tmp_path):
    put(tmp_path / "cmu-mosi/mosi_raw.pkl", mult("mosi", widths=(300, 74, 35)))
    assert datasets.load("mosi-mult", tmp_path).shapes["audio"] == (50, 74)


def test_the_files_of_gmc_are_named_with_the_way_to_convert_them(tmp_path):
    folder = tmp_path / "cmu-mosi"
    folder.mkdir()
    (folder / "mosi_train_a.dt").write_bytes(b"PK")
    problems = datasets.CATALOGUE["mosi-mult"].check(tmp_path)
    assert any("the .dt files of GMC" in problem for problem in problems)
    with pytest.raises(DataError, match=r"lacks cmu-mosi/mosi_data.pkl or .*\.dt files of GMC"):
        datasets.load("mosi-mult", tmp_path)
    guide = (Path(datasets.__file__).parents[2] / "data/README.md").read_text()
    assert "mosi_train_a.dt" in guide


def delete_part(content: dict) -> None:
    del content["valid"]


def delete_vision(content: dict) -> None:
    del content["train"]["vision"]


def cut_labels(content: dict) -> None:
    content["test"]["labels"] = content["test"]["labels"][:-1]


def cut_audio(content: dict) -> None:
    content["test"]["audio"] = content["test"]["audio"][..., :-1]


def flat_audio(content: dict) -> None:
    for part in content.values():
        part["audio"] = part["audio"][:, 0]


def emotions(content: dict) -> None:
    for part in content.values():
        part["labels"] = np.repeat(part["labels"], 7, axis=2)


def no_labels(content: dict) -> None:
    content["test"]["labels"][:] = np.nan


def no_vision(content: dict) -> None:
    for part in content.values():
        part["vision"][:] = np.nan


def no_rows(content: dict) -> None:
    content["valid"] = {key: value[:0] for key, value in content["valid"].items()}


def a_list(content: dict) -> None:
    content["train"] = [1, 2]


def texts_for_numbers(content: dict) -> None:
    content["train"]["labels"] = ["good"] * 6


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (delete_part, "has no splits train, valid and test"),
        (
            delete_vision,
            "'vision' of train .*not in the published form .*needs text, audio, vision",
        ),
        (cut_labels, r"'text' in .* has the shapes .*expected .*with .6, 3, 3. rows as of labels"),
        (cut_audio, r"'audio' in .* has the shapes .* alike"),
        (flat_audio, r"'audio' in .* has the shapes .*expected \(rows, steps, features\)"),
        (emotions, r"'labels' of train in .* has shape \(6, 1, 7\): .*one sentiment score a row"),
        (no_labels, "the test part of .* has no row with a finite label"),
        (no_vision, "no row of .*mosi_data.pkl' has any vision: get the file again"),
        (no_rows, "the valid part of .* has no row with a finite label"),
        (a_list, "a split of pickle .* is no dictionary"),
        (texts_for_numbers, "'labels' of train .* is not in the published form"),
    ],
)
def test_damaged_files(tmp_path, damage, message):
    content = mult()
    damage(content)
    put(tmp_path / "cmu-mosi/mosi_data.pkl", content)
    with pytest.raises(DataError, match=message):
        datasets.load("mosi-mult", tmp_path)
    assert len(datasets.CATALOGUE["mosi-mult"].check(tmp_path)) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["train", "valid", "test"])),
        min_size=1,
        max_size=12,
    )
)
def test_one_row_per_id_and_the_most_protected_one(rows):
    ids = [str(number) for number, _ in rows]
    split = np.array([part for _, part in rows])
    keep = first_occurrences(ids, split)
    assert sorted(np.array(ids)[keep]) == sorted(set(ids))
    order = ["test", "valid", "train"]
    for row in np.flatnonzero(keep):
        copies = [part for name, part in zip(ids, split, strict=True) if name == ids[row]]
        assert order.index(split[row]) == min(order.index(part) for part in copies)


def test_padding_side_by_hand():
    x = np.ones((3, 4, 2))
    assert padding_side(x) == "no padding"
    x[0, :2] = 0
    x[1, :1] = 0
    x[2, 3:] = 0
    assert padding_side(x) == "padding on the left in 2 samples, on the other side in 1"
    x[1] = 1
    assert padding_side(x) == "padding on either side"
    x[1] = 0  # a sample without any content has no side
    x[0] = 1
    assert padding_side(x) == "padding on the right in 1 samples, on the other side in 0"


def test_few_videos_of_the_other_corpus_do_not_make_it_that_corpus(tmp_path):
    content = mult("mosei")
    content["train"]["id"][:5, 0] = VIDEOS["mosi"][:5]
    put(tmp_path / "cmu-mosei/mosei_data.pkl", content)
    assert len(datasets.load("mosei-mult", tmp_path)) == 13


def test_without_ids_any_width_may_be_mosi(tmp_path):
    content = mult("mosi", widths=(300, 33, 44))
    for part in content.values():
        del part["id"]
    put(tmp_path / "cmu-mosi/mosi_raw.pkl", content)
    assert datasets.load("mosi-mult", tmp_path).shapes["audio"] == (50, 33)
