"""Real sets that anyone can get: digits (built in), handwritten, cub10, utd_mhad and mosi; how their files are read, and built from raw ones.

Splits are the published ones where there are any (by subject for UTD-MHAD, by video for MOSI), else stratified 70/30 with seed 0.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import (
    DataError,
    Remote,
    fetch,
    read_mat,
    read_npz,
    reading,
    same_fingerprint,
    save_npz,
)
from robult_core.tasks import Classification, Regression

if TYPE_CHECKING:
    import pandas as pd

VIEWS = ("pix", "fou", "fac", "zer", "kar", "mor")
# Scores that label.csv lacks, recovered from the label multisets of github pliang279/MFN; the fold is that of the video.
MOSI_RECOVERED = {
    "2WGyTLYerpo_44": 0.2,
    "5W7Z1C_fDaE_24": 2.4,
    "BioHAh1qJAQ_30": -2.0,
    "lXPQBPVc5Cw_30": -2.0,
}
MOSI_FINGERPRINTS = {"audio": 814993.5390423746, "score": 269.70884321079615}
UTD_FINGERPRINTS = {
    "inertial": -219407.9508904229,
    "skeleton": -88580.71439764606,
    "depth": 169277.2796690307,
}
UTD_REPOSITORY = (
    "woo-chia-wei/kinect-sequence-classification",
    "65e9b13950d7971c8d1e49e960f6796bd0dc9257",
)
UTD_KEYS = sorted(  # in the order of file names; three recordings were never published
    {(a, s, t) for a in range(1, 28) for s in range(1, 9) for t in range(1, 5)}
    - {(8, 1, 4), (23, 6, 4), (27, 8, 4)},
    key=lambda key: "a{}_s{}_t{}_".format(*key),
)
_ACTIONS = """swipe left, swipe right, wave, clap, throw, cross arms, basketball shoot, draw x, draw circle clockwise, draw circle counter-clockwise, draw triangle,
bowling, boxing, baseball swing, tennis swing, arm curl, tennis serve, push, knock, catch, pick up and throw, jog, walk, sit to stand, stand to sit, lunge, squat"""
UTD_ACTIONS = tuple(_ACTIONS.replace("\n", " ").split(", "))
Keys = list[tuple[int, int, int]]  # action, subject, trial
SENTENCE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def get_hint(name: str) -> str:
    return f"run 'robult data get {name}'"


def stratified_split(targets: np.ndarray) -> np.ndarray:
    """70 % "train", 30 % "test", the same share of every class, seed 0."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(targets))
    train, _ = train_test_split(rows, train_size=0.7, stratify=targets, random_state=0)
    return np.where(np.isin(rows, train), "train", "test")


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        for name, x in arrays.items()
    }


def _classified(
    name: str, modalities: dict, labels: np.ndarray, split: np.ndarray, names: tuple, **more: object
):
    """The container of a classification set; `labels` count from 0."""
    targets = torch.from_numpy(labels.ravel().astype(np.int64))
    task = Classification(len(names))
    return MultimodalData(
        name, task, tensors(modalities), targets, split, class_names=names, **more
    )


def load_digits() -> MultimodalData:
    """1797 real 8 x 8 digits, each cut into four 4 x 4 quadrants: four sensors that see a part each."""
    from sklearn.datasets import load_digits as bundled

    images, labels = bundled(return_X_y=True)
    images = images.reshape(-1, 8, 8).astype(np.float32)
    corners = {
        "top_left": (0, 0),
        "top_right": (0, 4),
        "bottom_left": (4, 0),
        "bottom_right": (4, 4),
    }
    parts = {
        name: images[:, r : r + 4, c : c + 4].reshape(-1, 16) for name, (r, c) in corners.items()
    }
    return _classified(
        "digits",
        parts,
        labels,
        stratified_split(labels),
        tuple("0123456789"),
        display={"image": images},
    )


def load_handwritten(folder: Path) -> MultimodalData:
    """2000 handwritten digits in six feature views, split 1600/400 as published."""
    keys = [
        f"{part}_{split}"
        for part in ("x1", "x2", "x3", "x4", "x5", "x6", "gt")
        for split in ("train", "test")
    ]
    content = read_mat(folder / "handwritten/handwritten_6views.mat", keys, get_hint("handwritten"))
    whole = [np.concatenate(pair) for pair in zip(*[iter(content.values())] * 2, strict=True)]
    split = np.repeat(["train", "test"], [len(content["gt_train"]), len(content["gt_test"])])
    views, names = (
        dict(zip(VIEWS, whole[:6], strict=True)),
        tuple("0123456789"),
    )  # label 1 is the digit 0
    display = {"image": whole[0].reshape(-1, 16, 15)}
    return _classified("handwritten", views, whole[6] - 1, split, names, display=display)


def load_cub10(folder: Path) -> MultimodalData:
    """600 birds of ten species: GoogLeNet image features and doc2vec text features."""
    content = read_mat(
        folder / "cub10/cub_googlenet_doc2vec_c10.mat", ("X", "gt"), get_hint("cub10")
    )
    labels, names = content["gt"].ravel() - 1, tuple(f"species {number}" for number in range(1, 11))
    parts = dict(zip(("image", "text"), content["X"].ravel(), strict=True))
    return _classified("cub10", parts, labels, stratified_split(labels), names)


def load_utd_mhad(folder: Path) -> MultimodalData:
    """861 recordings of 27 actions; subjects 1, 3, 5, 7 train, the others test."""
    path, hint = folder / "utd_mhad/utd_mhad.npz", get_hint("utd_mhad")
    content = read_npz(path, ("inertial", "skeleton", "depth", "action", "subject", "trial"), hint)
    _check_derived(path, content, UTD_FINGERPRINTS, hint)
    parts = {name: content[name] for name in UTD_FINGERPRINTS}
    split = np.where(content["subject"] % 2 == 1, "train", "test")
    return _classified("utd_mhad", parts, content["action"] - 1, split, UTD_ACTIONS)


def _check_derived(
    path: Path, content: dict[str, np.ndarray], expected: dict[str, float], hint: str
) -> None:
    """Derived arrays must equal the reference within float32 rounding; bit equality would depend on the machine that built them."""
    for name, value in expected.items():
        if not np.isfinite(content[name]).all():
            raise DataError(
                f"file '{path}' has NaN or infinite values in '{name}': delete it, then {hint}"
            )
        if not same_fingerprint(content[name], value):
            raise DataError(
                f"file '{path}' is altered: '{name}' {content[name].shape} differs from the reference; delete it, then {hint}"
            )


def resample(signal: np.ndarray, steps: int) -> np.ndarray:
    """Linear interpolation of a `(T, ...)` signal at `steps` equidistant times, first and last included."""
    position = np.linspace(0, len(signal) - 1, steps)
    low = np.minimum(position.astype(int), max(len(signal) - 2, 0))
    high = np.minimum(low + 1, len(signal) - 1)
    weight = (position - low).reshape(-1, *[1] * (signal.ndim - 1))
    return signal[low] * (1 - weight) + signal[high] * weight


def _pooled(motion: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Crop a motion map to where something moved, average-pool it to `shape`, divide by its maximum."""
    if not motion.any():
        return np.zeros(shape).ravel()
    rows, columns = (np.flatnonzero(motion.any(axis)) for axis in (1, 0))
    cropped = torch.from_numpy(motion[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    pooled = torch.nn.functional.adaptive_avg_pool2d(cropped[None], shape)[0].numpy()
    return (pooled / pooled.max()).ravel()


def depth_maps(video: np.ndarray) -> np.ndarray:
    """Depth motion maps of a `(height, width, T)` video in mm: front 24 x 12, side 24 x 12, top 12 x 12, flattened to 720."""
    frames = video.transpose(2, 0, 1).astype(np.float32)
    change = np.abs(np.diff(frames, axis=0))
    front = np.where((change > 50) & (change < 1500), change, 0).sum(0, dtype=np.float64)
    moment, row, column = np.nonzero((frames >= 500) & (frames < 4000))
    layer = ((frames[moment, row, column].astype(np.float64) - 500) / 3500 * 200).astype(int)
    side, top = (
        np.zeros((len(frames), frames.shape[1], 200), bool),
        np.zeros((len(frames), 200, frames.shape[2]), bool),
    )
    side[moment, row, layer] = top[moment, layer, column] = True
    side, top = (
        (projection[1:] ^ projection[:-1]).sum(0).astype(np.float64) for projection in (side, top)
    )
    return np.concatenate(
        [_pooled(front, (24, 12)), _pooled(side, (24, 12)), _pooled(top, (12, 12))]
    )


def _recordings(keys: Keys | None) -> list[list[str]]:
    """Per key the paths of its inertial, skeleton and depth file."""
    kinds = ("Inertial", "Skeleton", "Depth")
    return [
        [f"{kind}/a{a}_s{s}_t{t}_{kind.lower()}.mat" for kind in kinds]
        for a, s, t in keys or UTD_KEYS
    ]


def utd_remotes(keys: Keys | None = None) -> list[Remote]:
    """The raw recordings; no hash of single files is published, the commit pins them."""
    names = [name for paths in _recordings(keys) for name in paths]
    return [Remote(f"utd_mhad/raw/{name}", *UTD_REPOSITORY, f"data/{name}") for name in names]


def build_utd_mhad(raw: Path, target: Path, keys: Keys | None = None) -> None:
    """Write utd_mhad.npz from the original recordings below `raw` (folders Inertial, Skeleton, Depth); all of them are checked."""
    rows: dict[str, list] = {"inertial": [], "skeleton": [], "depth": []}
    for paths in _recordings(keys):
        named = zip(paths, ("d_iner", "d_skel", "d_depth"), strict=True)
        inertial, joints, video = (
            read_mat(raw / path, (key,), get_hint("utd_mhad"))[key] for path, key in named
        )
        joints = (joints - joints[3:4]).transpose(2, 0, 1)  # relative to the hip, (F, 20, 3)
        rows["inertial"].append(resample(inertial, 32).ravel())
        rows["skeleton"].append(resample(joints, 16).ravel())
        rows["depth"].append(depth_maps(video))
    arrays = {name: np.array(values, dtype=np.float32) for name, values in rows.items()}
    if keys is None:
        _check_derived(
            target,
            arrays,
            UTD_FINGERPRINTS,
            "report it: the raw files are not those of the pinned commit",
        )
    action, subject, trial = np.array(keys or UTD_KEYS, dtype=np.int64).T
    save_npz(target, **arrays, action=action, subject=subject, trial=trial)


def _read_csv(path: Path, **options: object) -> pd.DataFrame:
    import pandas as pd

    with reading(path, "CSV", get_hint("mosi")):
        return pd.read_csv(path, **options)


def build_mosi(raw: Path, target: Path, encoder: object = None) -> None:
    """Write mosi.npz and mosi.csv (same row order) from the raw csv files.

    encoder: an object with `encode(list[str]) -> (N, 384)`, normally the sentence encoder; None leaves the text embedding out, which
    `mosi-tfidf` does not need. Of text_train.csv and text_test.csv only the first column, the row number, is read: the others leak labels.
    """
    table = _read_csv(raw / "transcripts.csv", header=None, usecols=[0, 1], names=["id", "text"])
    labels = _read_csv(raw / "label.csv", index_col="id")
    table["video"], table["segment"] = zip(
        *(name.rsplit("_", 1) for name in table["id"]), strict=True
    )
    folds = dict(
        zip((name.rsplit("_", 1)[0] for name in labels.index), labels["mode"], strict=True)
    )
    table["score"] = [labels["label"].get(name, MOSI_RECOVERED.get(name)) for name in table["id"]]
    table["fold"] = [folds[video] for video in table["video"]]
    audio = np.full((len(table), 73), np.nan, dtype=np.float32)
    for part in ("train", "test"):
        rows = _read_csv(raw / f"text_{part}.csv", header=None, usecols=[0])[0].to_numpy(dtype=int)
        audio[rows] = _read_csv(
            raw / f"audio_{part}0.csv", header=None, usecols=range(73)
        ).to_numpy(np.float32)
    arrays = {"audio": audio, "score": table["score"].to_numpy(np.float32)}
    _check_derived(target, arrays, MOSI_FINGERPRINTS, get_hint("mosi"))
    if encoder is not None:
        arrays["text"] = np.asarray(
            encoder.encode([text.lower() for text in table["text"]]), dtype=np.float32
        )
    save_npz(target, **arrays)
    table[["id", "video", "segment", "text", "score", "fold"]].to_csv(
        target.with_suffix(".csv"), index=False, lineterminator="\n"
    )


def sentence_encoder() -> object | None:
    """all-MiniLM-L6-v2 through sentence-transformers (extra `text`); None when the package or its weights cannot be had."""
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(SENTENCE_ENCODER, device="cpu")
    except (ImportError, OSError):
        return None


def _mosi(folder: Path, *keys: str) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays, and the fields of the container that both MOSI sets share."""
    path, hint = folder / "mosi/mosi.npz", get_hint("mosi")
    content = read_npz(path, (*keys, "audio", "score"), hint)
    _check_derived(path, content, MOSI_FINGERPRINTS, hint)
    table, rows = (
        _read_csv(folder / "mosi/mosi.csv", usecols=["text", "score", "fold"]),
        len(content["score"]),
    )
    if len(table) != rows:
        raise DataError(
            f"mosi.csv has {len(table)} rows but mosi.npz {rows}: delete both, then {hint}"
        )
    if not np.allclose(table["score"], content["score"], atol=1e-6):
        raise DataError(
            f"mosi.csv and mosi.npz in '{path.parent}' hold other scores: delete both, then {hint}"
        )
    split = table["fold"].replace("dev", "valid").to_numpy(dtype="<U5")
    display = {"transcript": table["text"].tolist()}
    targets = torch.from_numpy(content["score"])
    return content, {"task": Regression(), "targets": targets, "split": split, "display": display}


def load_mosi(folder: Path) -> MultimodalData:
    """2199 utterances: sentence embedding of the transcript, openSMILE audio, score in [-3, 3]; standard folds by video."""
    content, shared = _mosi(folder, "text")
    return MultimodalData(
        "mosi", modalities=tensors({name: content[name] for name in ("text", "audio")}), **shared
    )


def load_mosi_tfidf(folder: Path) -> MultimodalData:
    """MOSI with TF-IDF and a truncated SVD of the transcripts as text, both fitted on the training transcripts only."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    content, shared = _mosi(folder)
    texts = np.array(shared["display"]["transcript"], dtype=object)
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2))
    reduce = make_pipeline(words, TruncatedSVD(100, random_state=0)).fit(
        texts[shared["split"] == "train"]
    )
    modalities = tensors({"text": reduce.transform(texts), "audio": content["audio"]})
    return MultimodalData("mosi-tfidf", modalities=modalities, **shared)


def get_utd_mhad(folder: Path, base_url: str, keys: Keys | None = None) -> list[str]:
    """Download the recordings below `folder`, build utd_mhad.npz there, drop the recordings (170 MB)."""
    fetch(utd_remotes(keys), folder, base_url)
    build_utd_mhad(folder / "utd_mhad/raw", folder / "utd_mhad/utd_mhad.npz", keys)
    shutil.rmtree(folder / "utd_mhad/raw")
    return [
        "no hash of its raw files is published: the pinned commit names them, the arrays were compared with ours"
    ]


def get_mosi(folder: Path, base_url: str, encoder: object = None) -> list[str]:
    """Build mosi.npz and mosi.csv below `folder` from the raw csv files just downloaded there."""
    encoder = encoder or sentence_encoder()
    build_mosi(folder / "mosi/raw", folder / "mosi/mosi.npz", encoder)
    remedy = "pip install 'robult[text]' and get it again"
    return (
        []
        if encoder
        else [f"only 'mosi-tfidf' is ready: 'mosi' needs its sentence encoder, {remedy}"]
    )
