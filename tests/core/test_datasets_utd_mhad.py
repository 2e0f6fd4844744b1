"""UTD-MHAD: built from raw recordings as the reference, split by subject, damage named."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from public_sets import SAMPLE, mirror, rewrite

from robult_core import datasets
from robult_core.datasets import utd_mhad
from robult_core.datasets.files import DataError, fingerprint


@pytest.fixture
def copy(data_folder, tmp_path):
    """A writable copy of the archive, in a data folder of its own."""
    path = tmp_path / "utd_mhad/utd_mhad.npz"
    path.parent.mkdir()
    shutil.copyfile(data_folder / "utd_mhad/utd_mhad.npz", path)
    return path


def test_the_split_is_by_subject(data_folder):
    subject = np.load(data_folder / "utd_mhad/utd_mhad.npz")["subject"]
    data = datasets.load("utd_mhad", data_folder)
    assert data.checksum.startswith("ca9bce27c280e28861fb")  # the published set
    assert set(subject[data.rows("train")]) == {1, 3, 5, 7}
    assert set(subject[data.rows("test")]) == {2, 4, 6, 8}


def test_it_is_built_from_raw_recordings_as_the_reference(data_folder, tmp_path):
    utd_mhad.build_utd_mhad(data_folder / "utd_mhad/raw_sample", tmp_path / "x.npz", SAMPLE)
    built = np.load(tmp_path / "x.npz")
    reference = np.load(data_folder / "utd_mhad/utd_mhad.npz")
    keys = list(zip(reference["action"], reference["subject"], reference["trial"], strict=True))
    assert keys == utd_mhad.KEYS
    for name, value in utd_mhad.FINGERPRINTS.items():
        assert fingerprint(reference[name]) == pytest.approx(value, rel=1e-9)
    rows = [keys.index(key) for key in SAMPLE]
    for name in ("action", "subject", "trial"):
        np.testing.assert_array_equal(built[name], reference[name][rows])
    for name in ("inertial", "skeleton", "depth"):
        np.testing.assert_allclose(built[name], reference[name][rows], rtol=0, atol=1e-7)


def test_resample_keeps_a_straight_line_and_its_ends():
    line = np.linspace(0, 1, 7)[:, None] * [1.0, -2.0]
    longer = np.linspace(0, 1, 32)[:, None] * [1.0, -2.0]
    np.testing.assert_allclose(utd_mhad.resample(line, 32), longer, atol=1e-12)
    np.testing.assert_array_equal(utd_mhad.resample(np.ones((1, 3)), 4), np.ones((4, 3)))


def test_depth_maps_of_a_still_scene_are_zero():
    assert not utd_mhad.depth_maps(np.full((24, 32, 5), 2000, dtype=np.uint16)).any()


@pytest.mark.parametrize(
    ("first", "second", "moves"),
    [
        (5000, 5050, False),  # too small a change, and too far for the projections
        (5000, 5051, True),
        (5000, 6499, True),
        (5000, 6500, False),
        (499, 498, False),  # too near
        (500, 499, True),
        (3999, 4000, True),
        (4001, 4000, False),
    ],
)
def test_what_counts_as_a_motion(first, second, moves):
    video = np.full((24, 12, 2), first, dtype=np.uint16)
    video[..., 1] = second
    assert utd_mhad.depth_maps(video).any() == moves


def test_get_from_loopback(data_folder, tmp_path):
    with mirror(data_folder) as (_, address):
        notes = datasets.CATALOGUE["utd_mhad"].get(tmp_path, address, keys=SAMPLE)
    assert "the pinned commit names them" in notes[1]
    assert [path.name for path in (tmp_path / "utd_mhad").iterdir()] == ["utd_mhad.npz"]
    assert len(np.load(tmp_path / "utd_mhad/utd_mhad.npz")["action"]) == 4
    # Four rows are not the published set.
    with pytest.raises(DataError, match=r"is altered: 'inertial' \(4, 192\)"):
        datasets.load("utd_mhad", tmp_path)


def changed(x: np.ndarray) -> np.ndarray:
    x[3, 4] += 1
    return x


def with_a_hole(x: np.ndarray) -> np.ndarray:
    x[3, 4] = np.nan
    return x


def shorter(x: np.ndarray) -> np.ndarray:
    return x[:-1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (changed, "is altered: 'skeleton'"),
        (with_a_hole, "NaN or infinite values in 'skeleton'"),
        (shorter, "altered: 'skeleton'"),
    ],
)
def test_altered_arrays(copy, damage, message):
    rewrite(copy, skeleton=damage(np.load(copy)["skeleton"]))
    with pytest.raises(DataError, match=message):
        datasets.load("utd_mhad", copy.parents[1])


def test_a_cut_archive(copy):
    copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    with pytest.raises(DataError, match=r"run 'robult data get utd_mhad'"):
        datasets.load("utd_mhad", copy.parents[1])
    assert len(datasets.CATALOGUE["utd_mhad"].check(copy.parents[1])) == 1
