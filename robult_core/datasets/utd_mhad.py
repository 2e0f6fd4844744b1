"""UTD-MHAD: 861 recordings of 27 actions, from the original files to three vectors each.

Inertial: the signal at 32 instants. Skeleton: 20 joints relative to the hip at 16 instants.
Depth: motion maps in three projections. Subjects 1, 3, 5, 7 train, the others test.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.download import Remote, fetch
from robult_core.datasets.files import check_derived, get_hint, read_mat, read_npz, save_npz
from robult_core.tasks import Task

Keys = list[tuple[int, int, int]]  # action, subject, trial

FINGERPRINTS = {
    "inertial": -219407.9508904229,
    "skeleton": -88580.71439764606,
    "depth": 169277.2796690307,
}
REPOSITORY = "woo-chia-wei/kinect-sequence-classification"
COMMIT = "65e9b13950d7971c8d1e49e960f6796bd0dc9257"
# Folder of the raw files and the name of the array in them, by modality.
RAW = {
    "inertial": ("Inertial", "d_iner"),
    "skeleton": ("Skeleton", "d_skel"),
    "depth": ("Depth", "d_depth"),
}
NEVER_PUBLISHED = {(8, 1, 4), (23, 6, 4), (27, 8, 4)}
HIP = 3  # index of the joint that the others are taken relative to
ACTIONS = (
    "swipe left",
    "swipe right",
    "wave",
    "clap",
    "throw",
    "cross arms",
    "basketball shoot",
    "draw x",
    "draw circle clockwise",
    "draw circle counter-clockwise",
    "draw triangle",
    "bowling",
    "boxing",
    "baseball swing",
    "tennis swing",
    "arm curl",
    "tennis serve",
    "push",
    "knock",
    "catch",
    "pick up and throw",
    "jog",
    "walk",
    "sit to stand",
    "stand to sit",
    "lunge",
    "squat",
)


def file_name(key: tuple[int, int, int], kind: str) -> str:
    """The path of one recording in the repository's data folder; `kind` names a modality."""
    action, subject, trial = key
    return f"{RAW[kind][0]}/a{action}_s{subject}_t{trial}_{kind}.mat"


def _all_keys() -> Keys:
    """Every recording, in the order of the file names."""
    keys = set()
    for action in range(1, 28):
        for subject in range(1, 9):
            keys |= {(action, subject, trial) for trial in range(1, 5)}
    return sorted(keys - NEVER_PUBLISHED, key=lambda key: file_name(key, "inertial"))


KEYS = _all_keys()


def load_utd_mhad(folder: Path, task: Task) -> MultimodalData:
    """861 recordings of 27 actions; subjects 1, 3, 5, 7 train, the others test."""
    path = folder / "utd_mhad/utd_mhad.npz"
    hint = get_hint("utd_mhad")
    content = read_npz(path, (*FINGERPRINTS, "action", "subject"), hint)
    check_derived(path, content, FINGERPRINTS, hint)
    return MultimodalData(
        name="utd_mhad",
        task=task,
        modalities={name: torch.from_numpy(content[name]) for name in FINGERPRINTS},
        targets=torch.from_numpy(content["action"] - 1),
        split=np.where(content["subject"] % 2 == 1, "train", "test"),
        class_names=ACTIONS,
    )


def get_utd_mhad(folder: Path, base_url: str, keys: Keys = KEYS) -> list[str]:
    """Download the recordings below `folder`, build utd_mhad.npz, drop the recordings (170 MB)."""
    fetch(remotes(keys), folder, base_url)
    build_utd_mhad(folder / "utd_mhad/raw", folder / "utd_mhad/utd_mhad.npz", keys)
    shutil.rmtree(folder / "utd_mhad/raw")
    pinned = "no hash of its raw files is published: the pinned commit names them"
    return [f"{pinned}, the arrays were compared with ours"]


def remotes(keys: Keys = KEYS) -> list[Remote]:
    """The raw recordings; no hash of single files is published, the commit pins them."""
    names = [file_name(key, kind) for key in keys for kind in RAW]
    return [Remote(f"utd_mhad/raw/{name}", REPOSITORY, COMMIT, f"data/{name}") for name in names]


def build_utd_mhad(raw: Path, target: Path, keys: Keys = KEYS) -> None:
    """Write utd_mhad.npz from the original recordings below `raw`.

    The arrays are compared with the reference when all recordings are asked for.
    """
    rows: dict[str, list[np.ndarray]] = {kind: [] for kind in RAW}
    for key in keys:
        recording = {}
        for kind, (_, array) in RAW.items():
            path = raw / file_name(key, kind)
            recording[kind] = read_mat(path, (array,), get_hint("utd_mhad"))[array]
        rows["inertial"].append(resample(recording["inertial"], 32).ravel())
        rows["skeleton"].append(skeleton_vector(recording["skeleton"]))
        rows["depth"].append(depth_maps(recording["depth"]))
    arrays = {kind: np.array(vectors, dtype=np.float32) for kind, vectors in rows.items()}
    if keys == KEYS:
        wrong = "report it: the raw files are not those of the pinned commit"
        check_derived(target, arrays, FINGERPRINTS, wrong)
    action, subject, trial = np.array(keys, dtype=np.int64).T
    save_npz(target, **arrays, action=action, subject=subject, trial=trial)


def skeleton_vector(joints: np.ndarray) -> np.ndarray:
    """Joints `(20, 3, frames)` -> their places relative to the hip at 16 instants, `(960,)`."""
    relative = joints - joints[HIP : HIP + 1]
    frames = relative.transpose(2, 0, 1)  # (frames, 20, 3)
    return resample(frames, 16).ravel()


def resample(signal: np.ndarray, steps: int) -> np.ndarray:
    """Linear interpolation of a `(T, ...)` signal at `steps` equidistant times, ends included."""
    position = np.linspace(0, len(signal) - 1, steps)
    low = np.minimum(position.astype(int), len(signal) - 2)  # -1 where there is one time only
    high = np.minimum(low + 1, len(signal) - 1)
    weight = (position - low).reshape(-1, *[1] * (signal.ndim - 1))
    return signal[low] * (1 - weight) + signal[high] * weight


def depth_maps(video: np.ndarray) -> np.ndarray:
    """Depth motion maps of a `(height, width, T)` video in millimetres, flattened to `(720,)`.

    Front (24 x 12): the absolute differences of consecutive frames between 50 and 1500, summed.
    Side (24 x 12) and top (12 x 12): the changes of the binary projection of depths from 500 to
    4000, in 200 layers.
    """
    frames = video.transpose(2, 0, 1).astype(np.float32)  # (T, height, width)
    change = np.abs(np.diff(frames, axis=0))
    moved = (change > 50) & (change < 1500)
    front = np.where(moved, change, 0).sum(0, dtype=np.float64)
    moment, row, column = np.nonzero((frames >= 500) & (frames < 4000))
    depth = frames[moment, row, column].astype(np.float64)
    layer = ((depth - 500) / 3500 * 200).astype(int)
    count, height, width = frames.shape
    side = np.zeros((count, height, 200), bool)
    side[moment, row, layer] = True
    top = np.zeros((count, 200, width), bool)
    top[moment, layer, column] = True
    maps = [
        _pooled(front, (24, 12)),
        _pooled(_number_of_changes(side), (24, 12)),
        _pooled(_number_of_changes(top), (12, 12)),
    ]
    return np.concatenate(maps)


def _number_of_changes(projection: np.ndarray) -> np.ndarray:
    """How often each cell of a binary `(T, a, b)` projection changes from frame to frame."""
    changed = projection[1:] ^ projection[:-1]
    return changed.sum(0).astype(np.float64)


def _pooled(motion: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Crop a motion map to where something moved, average-pool it, divide by its maximum."""
    if not motion.any():
        return np.zeros(shape).ravel()
    rows = np.flatnonzero(motion.any(1))
    columns = np.flatnonzero(motion.any(0))
    cropped = torch.from_numpy(motion[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    pooled = torch.nn.functional.adaptive_avg_pool2d(cropped[None], shape)[0].numpy()
    return (pooled / pooled.max()).ravel()
