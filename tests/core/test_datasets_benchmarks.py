"""The sets anyone can get: loaders, builders against the reference, downloads from loopback, the catalogue and its commands."""

from __future__ import annotations

import filecmp
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from robult_core import datasets
from robult_core.datasets import mosi, utd_mhad
from robult_core.datasets.files import DataError
from robult_study.data_commands import data as command

EXPECTED = {  # samples per split, modality widths
    "digits": ((1257, 0, 540), (16, 16, 16, 16)),
    "handwritten": ((1600, 0, 400), (240, 76, 216, 47, 64, 6)),
    "cub10": ((420, 0, 180), (1024, 300)),
    "utd_mhad": ((431, 0, 430), (192, 960, 720)),
    "mosi": ((1284, 229, 686), (384, 73)),
    "mosi-tfidf": ((1284, 229, 686), (100, 73)),
}
SAMPLE = [(a, s, 1) for a in (1, 27) for s in (1, 2)]


class StubEncoder:
    """Stands for the sentence encoder, whose weights no test downloads."""

    seen: list[str]

    def encode(self, texts: list[str]) -> np.ndarray:
        self.seen = texts
        return np.array([[len(text), text.count("a")] for text in texts], dtype=np.float64)


@pytest.fixture
def mirror(data_folder):
    """The real files behind the addresses of the pinned sources, on loopback."""
    paths = {
        f"/{r.repository}/{r.commit}/{r.path}": data_folder / r.target
        for e in datasets.CATALOGUE.values()
        for r in e.remotes
    }
    for remote in utd_mhad.remotes(SAMPLE):
        paths[f"/{remote.repository}/{remote.commit}/{remote.path}"] = (
            data_folder / remote.target.replace("/raw/", "/raw_sample/")
        )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = paths.get(unquote(self.path))
            body = path.read_bytes() if path else b""
            self.send_response(200 if path else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.paths = paths
    yield server, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def counts(data: datasets.MultimodalData) -> tuple[int, ...]:
    return tuple(len(data.rows(split)) for split in ("train", "valid", "test"))


def test_digits_quadrants_rebuild_the_image():
    data = datasets.load("digits")
    parts = {name: x.reshape(-1, 4, 4).numpy() for name, x in data.modalities.items()}
    top = np.concatenate([parts["top_left"], parts["top_right"]], axis=2)
    bottom = np.concatenate([parts["bottom_left"], parts["bottom_right"]], axis=2)
    np.testing.assert_array_equal(np.concatenate([top, bottom], axis=1), data.display["image"])
    share = [
        np.bincount(data.targets[data.rows(split)], minlength=10) for split in ("train", "test")
    ]
    assert np.abs(share[0] / 0.7 - share[1] / 0.3).max() < 4  # stratified


@pytest.mark.parametrize("name", EXPECTED)
def test_real_sets(name, request):
    folder = None if name == "digits" else request.getfixturevalue("data_folder")
    data = datasets.load(name, folder)
    splits, widths = EXPECTED[name]
    assert (counts(data), tuple(x.shape[1] for x in data.modalities.values())) == (splits, widths)
    assert data.name == name
    assert data.names == datasets.CATALOGUE[name].modalities
    assert data.task == datasets.CATALOGUE[name].task
    assert data.licence
    assert data.source
    assert data.checksum == datasets.load(name, folder).checksum


def test_utd_mhad_splits_by_subject_and_mosi_by_video(data_folder):
    subject = np.load(data_folder / "utd_mhad/utd_mhad.npz")["subject"]
    utd = datasets.load("utd_mhad", data_folder)
    assert set(subject[utd.rows("train")]) == {1, 3, 5, 7}
    sentiment = datasets.load("mosi", data_folder)
    videos = np.array(
        [
            line.split(",")[1]
            for line in (data_folder / "mosi/mosi.csv").read_text().splitlines()[1:]
        ]
    )
    seen = [set(videos[sentiment.rows(split)]) for split in ("train", "valid", "test")]
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_tfidf_is_fitted_on_training_transcripts_only(data_folder, tmp_path):
    shutil.copytree(
        data_folder / "mosi",
        tmp_path / "mosi",
        ignore=shutil.ignore_patterns("raw"),
        copy_function=shutil.copyfile,
    )
    changed = _reword(tmp_path / "mosi/mosi.csv")
    before, after = datasets.load("mosi-tfidf", data_folder), datasets.load("mosi-tfidf", tmp_path)
    train = before.rows("train")
    assert changed > 600
    assert torch.equal(before.modalities["text"][train], after.modalities["text"][train])
    assert not torch.equal(before.modalities["text"], after.modalities["text"])


def _reword(path: Path) -> int:
    """Give every test transcript other words; returns how many."""
    import pandas as pd

    table = pd.read_csv(path)
    test = table["fold"] == "test"
    table.loc[test, "text"] = "a film of good and bad people"
    table.to_csv(path, index=False)
    return int(test.sum())


# --- built files against the reference -------------------------------------------------------------------------------


def test_utd_mhad_is_built_from_raw_recordings_as_the_reference(data_folder, tmp_path):
    utd_mhad.build_utd_mhad(data_folder / "utd_mhad/raw_sample", tmp_path / "x.npz", SAMPLE)
    built, reference = np.load(tmp_path / "x.npz"), np.load(data_folder / "utd_mhad/utd_mhad.npz")
    keys = list(zip(reference["action"], reference["subject"], reference["trial"], strict=True))
    assert keys == utd_mhad.KEYS
    rows = [keys.index(key) for key in SAMPLE]
    for name in ("action", "subject", "trial"):
        np.testing.assert_array_equal(built[name], reference[name][rows])
    for name in ("inertial", "skeleton", "depth"):
        np.testing.assert_allclose(built[name], reference[name][rows], rtol=0, atol=1e-7)


def test_mosi_is_built_from_raw_files_as_the_reference(data_folder, tmp_path):
    encoder = StubEncoder()
    mosi.build_mosi(data_folder / "mosi/raw", tmp_path / "mosi.npz", encoder)
    built, reference = np.load(tmp_path / "mosi.npz"), np.load(data_folder / "mosi/mosi.npz")
    for name in ("audio", "score"):
        np.testing.assert_array_equal(built[name], reference[name])
    assert filecmp.cmp(tmp_path / "mosi.csv", data_folder / "mosi/mosi.csv", shallow=False)
    assert built["text"].shape == (2199, 2)
    assert all(text == text.lower() for text in encoder.seen)


def test_mosi_reads_only_the_first_column_of_the_leaking_text_files(data_folder, tmp_path):
    """Whatever stands beside the row number changes nothing, words and NaN included."""
    raw = tmp_path / "raw"
    shutil.copytree(data_folder / "mosi/raw", raw)
    for name in ("text_train.csv", "text_test.csv"):
        (raw / name).chmod(0o644)
        rows = [line.split(",")[0] for line in (raw / name).read_text().splitlines()]
        (raw / name).write_text(
            "".join(f'{row},"poison",nan,inf,{i}\n' for i, row in enumerate(rows))
        )
    mosi.build_mosi(raw, tmp_path / "mosi.npz")
    np.testing.assert_array_equal(
        np.load(tmp_path / "mosi.npz")["audio"], np.load(data_folder / "mosi/mosi.npz")["audio"]
    )
    assert filecmp.cmp(tmp_path / "mosi.csv", data_folder / "mosi/mosi.csv", shallow=False)


def test_resample_keeps_a_straight_line_and_its_ends():
    line = np.linspace(0, 1, 7)[:, None] * [1.0, -2.0]
    np.testing.assert_allclose(
        utd_mhad.resample(line, 32), np.linspace(0, 1, 32)[:, None] * [1.0, -2.0], atol=1e-12
    )
    np.testing.assert_array_equal(utd_mhad.resample(np.ones((1, 3)), 4), np.ones((4, 3)))


def test_depth_maps_of_a_still_scene_are_zero():
    assert not utd_mhad.depth_maps(np.full((24, 32, 5), 2000, dtype=np.uint16)).any()


# --- download ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["handwritten", "cub10", "mosi"])
def test_get_from_loopback_gives_the_same_data(name, mirror, data_folder, tmp_path):
    _, base = mirror
    options = {"encoder": StubEncoder()} if name == "mosi" else {}
    notes = datasets.CATALOGUE[name].get(tmp_path, base, **options)
    assert f"{name}: written to {tmp_path}" in notes[0]
    built, reference = datasets.load(name, tmp_path), datasets.load(name, data_folder)
    for modality in set(built.names) - ({"text"} if name == "mosi" else set()):
        assert torch.equal(built.modalities[modality], reference.modalities[modality])
    assert torch.equal(built.targets, reference.targets)
    assert (built.split == reference.split).all()
    assert datasets.CATALOGUE[name].get(tmp_path, "http://127.0.0.1:9") == [
        f"{name}: already there"
    ]
    assert not list(tmp_path.glob(".partial-*"))


def test_get_mosi_without_a_sentence_encoder_serves_tfidf_only(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(mosi, "sentence_encoder", lambda: None)
    notes = datasets.CATALOGUE["mosi"].get(tmp_path, mirror[1])
    assert "only 'mosi-tfidf' is ready" in notes[1]
    assert {"mosi", "mosi-tfidf"} & set(datasets.available(tmp_path)) == {"mosi-tfidf"}
    with pytest.raises(
        DataError, match=r"'mosi' lacks mosi/mosi.npz::text .* run 'robult data get mosi'"
    ):
        datasets.load("mosi", tmp_path)


def test_get_utd_mhad_from_loopback(mirror, data_folder, tmp_path):
    notes = datasets.CATALOGUE["utd_mhad"].get(tmp_path, mirror[1], keys=SAMPLE)
    assert "the pinned commit names them" in notes[1]
    assert [path.name for path in (tmp_path / "utd_mhad").iterdir()] == ["utd_mhad.npz"]
    assert len(np.load(tmp_path / "utd_mhad/utd_mhad.npz")["action"]) == 4
    with pytest.raises(
        DataError, match=r"is altered: 'inertial' \(4, 192\)"
    ):  # four rows are not the published set
        datasets.load("utd_mhad", tmp_path)


def test_an_altered_download_leaves_nothing(mirror, data_folder, tmp_path):
    server, base = mirror
    bad = tmp_path / "bad.csv"
    bad.write_bytes(
        (data_folder / "mosi/raw/label.csv").read_bytes().replace(b",2.4,", b",2.5,", 1)
    )
    server.paths[next(path for path in server.paths if path.endswith("mosi/label.csv"))] = bad
    with pytest.raises(
        DataError, match=r"mosi/label.csv' was not downloaded: its SHA-256 is not the published one"
    ):
        datasets.CATALOGUE["mosi"].get(tmp_path / "data", base)
    assert list((tmp_path / "data").iterdir()) == []


# --- damage ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(data_folder, tmp_path):
    """A writable copy of the real sets."""
    shutil.copytree(
        data_folder,
        tmp_path / "data",
        ignore=shutil.ignore_patterns("raw", "raw_sample"),
        copy_function=shutil.copyfile,
    )
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["handwritten", "cub10", "utd_mhad", "mosi"])
def test_truncated_file(name, copy):
    path = copy / datasets.CATALOGUE[name].needs[0][0].partition("::")[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"run 'robult data get {name}'"):
        datasets.load(name, copy)
    assert len(datasets.CATALOGUE[name].check(copy)) == 1


def _rewrite(path: Path, **changes: np.ndarray) -> None:
    content = dict(np.load(path))
    np.savez(path, **{**content, **changes})


def test_altered_nan_and_wrong_shape(copy):
    path = copy / "utd_mhad/utd_mhad.npz"
    x = np.load(path)["skeleton"]
    changed, hole = x.copy(), x.copy()
    changed[3, 4] += 1
    hole[3, 4] = np.nan
    for value, message in (
        (changed, "is altered: 'skeleton'"),
        (hole, "NaN or infinite values in 'skeleton'"),
        (x[:-1], "altered: 'skeleton'"),
    ):
        _rewrite(path, skeleton=value)
        with pytest.raises(DataError, match=message):
            datasets.load("utd_mhad", copy)


def test_unequal_lengths(copy):
    path = copy / "mosi/mosi.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(
        DataError, match=r"mosi.csv has 2198 rows but mosi.npz 2199: delete both, then run"
    ):
        datasets.load("mosi", copy)


def test_a_transcript_table_that_does_not_belong_to_its_archive(copy):
    path = copy / "mosi/mosi.csv"
    head, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(head + "".join(reversed(lines)))
    with pytest.raises(
        DataError, match=r"mosi.csv and mosi.npz in '.*' hold other scores: delete both, then run"
    ):
        datasets.load("mosi", copy)
    path.write_text(head.replace("fold", "part") + "".join(lines))
    assert "mosi.csv' cannot be read as CSV" in datasets.entry("mosi").check(copy)[0]


# --- catalogue and commands --------------------------------------------------------------------------------------------


def test_the_cases_of_pid_have_names():
    from robult_core.datasets.pid import CASES

    for case in CASES:
        data = datasets.load(f"pid-{case}")
        assert data.name == f"pid-{case}"
        assert data.task == datasets.entry(f"pid-{case}").task
        same = datasets.load("pid", case=case)
        assert torch.equal(data.modalities["x1"], same.modalities["x1"])
        assert torch.equal(data.targets, same.targets)
    assert not [name for name in datasets.CATALOGUE if name.startswith("pid-")]


def test_the_guide_names_every_data_set():
    guide = (Path(datasets.__file__).parents[2] / "data/README.md").read_text()
    assert [name for name in datasets.CATALOGUE if f"`{name}`" not in guide] == []


def test_handwritten_classes_are_the_digits(data_folder):
    """The picture of a zero is empty in the middle, that of a one is not."""
    data = datasets.load("handwritten", data_folder)
    middle = [data.display["image"][data.targets == label][:, 6:10, 6:9].mean() for label in (0, 1)]
    assert middle[0] < 1
    assert middle[1] > 3


def test_available_lists_what_is_found_builtin_first(tmp_path, data_folder):
    assert datasets.available(tmp_path) == list(datasets.BUILTIN) == ["pid", "digits"]
    found = ["pid", "digits", "handwritten", "cub10", "utd_mhad", "mosi"]
    assert datasets.available(data_folder) == found


def test_folder_comes_from_argument_then_environment_then_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBULT_DATA", str(tmp_path / "a"))
    assert datasets.data_folder(tmp_path / "b") == tmp_path / "b"
    assert datasets.data_folder() == tmp_path / "a"
    monkeypatch.delenv("ROBULT_DATA")
    assert datasets.data_folder() == Path(datasets.__file__).parents[2] / "data"


def test_unknown_and_absent_names(tmp_path):
    with pytest.raises(
        DataError, match=r"unknown data set 'mnist': known ones are pid, .*hateful-memes"
    ):
        datasets.load("mnist")
    with pytest.raises(
        DataError,
        match=r"'cub10' lacks cub10/cub_googlenet_doc2vec_c10.mat in .* run 'robult data get cub10'",
    ):
        datasets.load("cub10", tmp_path)
    with pytest.raises(DataError, match=r"cannot be downloaded .*put train.jsonl"):
        datasets.CATALOGUE["hateful-memes"].get(tmp_path)


def test_card_shows_everything(data_folder):
    text = str(datasets.load("mosi", data_folder).describe())
    for part in (
        "384 features, missing in 0 of 2199",
        "1284 train, 229 valid, 686 test",
        "rounded; mean",
        "research use",
        "checksum",
    ):
        assert part in text
    assert "0: 124, 1: 127" in datasets.load("digits").describe()["labels, train"]


def test_commands(mirror, tmp_path):
    run = CliRunner().invoke
    listed = run(command, ["list", "--folder", str(tmp_path)])
    assert listed.exit_code == 0
    assert "handwritten" in listed.output
    missing = run(command, ["check", "cub10", "digits", "--folder", str(tmp_path)])
    assert missing.exit_code == 1
    assert (
        f"missing: {tmp_path}/cub10/cub_googlenet_doc2vec_c10.mat; run 'robult data get cub10'"
        in missing.output
    )
    got = run(command, ["get", "cub10", "--folder", str(tmp_path), "--base-url", mirror[1]])
    assert (got.exit_code, "cub10: written to" in got.output) == (0, True)
    checked = run(command, ["check", "cub10", "--card", "--folder", str(tmp_path)])
    assert (checked.exit_code, "1024 features" in checked.output) == (0, True)
    refused = run(command, ["get", "food101", "--folder", str(tmp_path)])
    assert (refused.exit_code, "cannot be downloaded" in refused.output) == (1, True)
    assert "unknown data set 'nope'" in run(command, ["check", "nope"]).output
