"""Real sets that anyone can get: digits (built in), handwritten, cub10, utd_mhad and mosi; how their files are read, and built from raw ones.

Splits are the published ones where there are any (by subject for UTD-MHAD, by video for MOSI), else stratified 70/30 with seed 0.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import (
    GITHUB,
    DataError,
    Remote,
    fetch,
    read_mat,
    read_npz,
    require,
    same_fingerprint,
    save_npz,
)
from robult_core.tasks import Classification, Regression

VIEWS = ("pix", "fou", "fac", "zer", "kar", "mor")
# Scores that label.csv lacks, recovered from the label multisets of github pliang279/MFN; the fold is that of the video.
MOSI_RECOVERED = {"2WGyTLYerpo_44": 0.2, "5W7Z1C_fDaE_24": 2.4, "BioHAh1qJAQ_30": -2.0, "lXPQBPVc5Cw_30": -2.0}
MOSI_FINGERPRINTS = {"audio": 814993.5390423746, "score": 269.70884321079615}
UTD_FINGERPRINTS = {"inertial": -219407.9508904229, "skeleton": -88580.71439764606, "depth": 169277.2796690307}
UTD_REPOSITORY = ("woo-chia-wei/kinect-sequence-classification", "65e9b13950d7971c8d1e49e960f6796bd0dc9257")
UTD_KEYS = sorted(  # in the order of file names; three recordings were never published
    {(a, s, t) for a in range(1, 28) for s in range(1, 9) for t in range(1, 5)} - {(8, 1, 4), (23, 6, 4), (27, 8, 4)},
    key=lambda key: "a{}_s{}_t{}_".format(*key),
)
_ACTIONS = """swipe left, swipe right, wave, clap, throw, cross arms, basketball shoot, draw x, draw circle clockwise, draw circle counter-clockwise, draw triangle,
bowling, boxing, baseball swing, tennis swing, arm curl, tennis serve, push, knock, catch, pick up and throw, jog, walk, sit to stand, stand to sit, lunge, squat"""
UTD_ACTIONS = tuple(_ACTIONS.replace("\n", " ").split(", "))
SENTENCE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def get_hint(name: str) -> str:
    return f"run 'robult data get {name}'"


def stratified_split(targets: np.ndarray) -> np.ndarray:
    """70 % "train", 30 % "test", the same share of every class, seed 0."""
    from sklearn.model_selection import train_test_split

    train, _ = train_test_split(np.arange(len(targets)), train_size=0.7, stratify=targets, random_state=0)
    split = np.full(len(targets), "test", dtype="<U5")
    split[train] = "train"
    return split


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)) for name, x in arrays.items()}


def classes(labels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(labels).reshape(-1).astype(np.int64))


def load_digits(folder: Path | None = None) -> MultimodalData:
    """1797 real 8 x 8 digits, each cut into four 4 x 4 quadrants: four sensors that see a part each."""
    from sklearn.datasets import load_digits as bundled

    images, labels = bundled(return_X_y=True)
    images = images.reshape(-1, 8, 8).astype(np.float32)
    corners = {"top_left": (0, 0), "top_right": (0, 4), "bottom_left": (4, 0), "bottom_right": (4, 4)}
    return MultimodalData(
        name="digits",
        task=Classification(10),
        modalities=tensors({name: images[:, r : r + 4, c : c + 4].reshape(-1, 16) for name, (r, c) in corners.items()}),
        targets=classes(labels),
        split=stratified_split(labels),
        class_names=tuple("0123456789"),
        display={"image": images},
    )


def load_handwritten(folder: Path) -> MultimodalData:
    """2000 handwritten digits in six feature views, split 1600/400 as published."""
    path = folder / "handwritten/handwritten_6views.mat"
    keys = [f"{part}_{split}" for part in ("x1", "x2", "x3", "x4", "x5", "x6", "gt") for split in ("train", "test")]
    content = read_mat(path, keys, get_hint("handwritten"))
    return MultimodalData(
        name="handwritten",
        task=Classification(10),
        modalities=tensors(
            {view: np.concatenate([content[f"x{i}_train"], content[f"x{i}_test"]]) for i, view in enumerate(VIEWS, 1)}
        ),
        targets=classes(np.concatenate([content["gt_train"], content["gt_test"]])) - 1,
        split=np.repeat(["train", "test"], [len(content["gt_train"]), len(content["gt_test"])]),
        class_names=tuple(str(label) for label in range(1, 11)),
    )


def load_cub10(folder: Path) -> MultimodalData:
    """600 birds of ten species: GoogLeNet image features and doc2vec text features."""
    content = read_mat(folder / "cub10/cub_googlenet_doc2vec_c10.mat", ("X", "gt"), get_hint("cub10"))
    image, text = content["X"].ravel()
    labels = content["gt"].ravel().astype(np.int64) - 1
    return MultimodalData(
        name="cub10",
        task=Classification(10),
        modalities=tensors({"image": image, "text": text}),
        targets=classes(labels),
        split=stratified_split(labels),
        class_names=tuple(f"species {label + 1}" for label in range(10)),
    )


def load_utd_mhad(folder: Path) -> MultimodalData:
    """861 recordings of 27 actions; subjects 1, 3, 5, 7 train, the others test."""
    path, hint = folder / "utd_mhad/utd_mhad.npz", get_hint("utd_mhad")
    content = read_npz(path, ("inertial", "skeleton", "depth", "action", "subject", "trial"), hint)
    _check_derived(path, content, UTD_FINGERPRINTS, hint)
    return MultimodalData(
        name="utd_mhad",
        task=Classification(27),
        modalities=tensors({name: content[name] for name in ("inertial", "skeleton", "depth")}),
        targets=classes(content["action"]) - 1,
        split=np.where(content["subject"] % 2 == 1, "train", "test"),
        class_names=UTD_ACTIONS,
    )


def _check_derived(path: Path, content: dict[str, np.ndarray], expected: dict[str, float], hint: str) -> None:
    """Derived arrays must equal the reference within float32 rounding; bit equality would depend on the machine that built them."""
    for name, value in expected.items():
        if not np.isfinite(content[name]).all():
            raise DataError(f"file '{path}' has NaN or infinite values in '{name}': delete it, then {hint}")
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
    side, top = np.zeros((len(frames), frames.shape[1], 200), bool), np.zeros((len(frames), 200, frames.shape[2]), bool)
    side[moment, row, layer] = top[moment, layer, column] = True
    side, top = ((projection[1:] ^ projection[:-1]).sum(0).astype(np.float64) for projection in (side, top))
    return np.concatenate([_pooled(front, (24, 12)), _pooled(side, (24, 12)), _pooled(top, (12, 12))])


def utd_remotes(keys: list[tuple[int, int, int]] | None = None) -> list[Remote]:
    """The raw recordings; no hash of single files is published, the commit pins them."""
    names = [
        f"{kind}/a{a}_s{s}_t{t}_{kind.lower()}.mat"
        for a, s, t in keys or UTD_KEYS
        for kind in ("Inertial", "Skeleton", "Depth")
    ]
    return [Remote(f"utd_mhad/raw/{name}", *UTD_REPOSITORY, f"data/{name}") for name in names]


def build_utd_mhad(raw: Path, target: Path, keys: list[tuple[int, int, int]] | None = None) -> None:
    """Write utd_mhad.npz from the original recordings below `raw` (folders Inertial, Skeleton, Depth); all of them are checked."""
    rows: dict[str, list] = {"inertial": [], "skeleton": [], "depth": []}
    for a, s, t in keys or UTD_KEYS:
        part = {}
        for kind, key in (("Inertial", "d_iner"), ("Skeleton", "d_skel"), ("Depth", "d_depth")):
            path = raw / kind / f"a{a}_s{s}_t{t}_{kind.lower()}.mat"
            part[kind] = read_mat(path, (key,), get_hint("utd_mhad"))[key]
        joints = part["Skeleton"] - part["Skeleton"][3:4]  # relative to the hip, (20, 3, F)
        rows["inertial"].append(resample(part["Inertial"], 32).ravel())
        rows["skeleton"].append(resample(joints.transpose(2, 0, 1), 16).ravel())
        rows["depth"].append(depth_maps(part["Depth"]))
    arrays = {name: np.array(values, dtype=np.float32) for name, values in rows.items()}
    if keys is None:
        _check_derived(target, arrays, UTD_FINGERPRINTS, "report it: the raw files are not those of the pinned commit")
    action, subject, trial = np.array(keys or UTD_KEYS, dtype=np.int64).T
    save_npz(target, **arrays, action=action, subject=subject, trial=trial)


def _read_csv(path: Path, **options):
    import pandas as pd

    try:
        return pd.read_csv(require(path, get_hint("mosi")), **options)
    except DataError:
        raise
    except Exception as error:  # parser and codec errors on damaged input
        raise DataError(f"file '{path}' cannot be read as CSV ({error}): delete it, then {get_hint('mosi')}") from error


def build_mosi(raw: Path, target: Path, encoder: object = None) -> None:
    """Write mosi.npz and mosi.csv (same row order) from the raw csv files.

    encoder: an object with `encode(list[str]) -> (N, 384)`, normally the sentence encoder; None leaves the text embedding out, which
    `mosi-tfidf` does not need. Of text_train.csv and text_test.csv only the first column, the row number, is read: the others leak labels.
    """
    table = _read_csv(raw / "transcripts.csv", header=None, usecols=[0, 1], names=["id", "text"])
    labels = _read_csv(raw / "label.csv", index_col="id")
    table["video"], table["segment"] = zip(*(name.rsplit("_", 1) for name in table["id"]), strict=True)
    folds = dict(zip((name.rsplit("_", 1)[0] for name in labels.index), labels["mode"], strict=True))
    table["score"] = [labels["label"].get(name, MOSI_RECOVERED.get(name)) for name in table["id"]]
    table["fold"] = [folds[video] for video in table["video"]]
    audio = np.full((len(table), 73), np.nan, dtype=np.float32)
    for part in ("train", "test"):
        rows = _read_csv(raw / f"text_{part}.csv", header=None, usecols=[0])[0].to_numpy(dtype=int)
        audio[rows] = _read_csv(raw / f"audio_{part}0.csv", header=None, usecols=range(73)).to_numpy(np.float32)
    arrays = {"audio": audio, "score": table["score"].to_numpy(np.float32)}
    _check_derived(target, arrays, MOSI_FINGERPRINTS, get_hint("mosi"))
    if encoder is not None:
        arrays["text"] = np.asarray(encoder.encode([text.lower() for text in table["text"]]), dtype=np.float32)
    save_npz(target, **arrays)
    table[["id", "video", "segment", "text", "score", "fold"]].to_csv(
        target.with_suffix(".csv"), index=False, lineterminator="\n"
    )


def sentence_encoder() -> object | None:
    """all-MiniLM-L6-v2 through sentence-transformers (extra `text`); None when the package is not installed."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        return None
    return SentenceTransformer(SENTENCE_ENCODER, device="cpu")


def _mosi(folder: Path, name: str, keys: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays, and the fields of the container that both MOSI sets share."""
    path, hint = folder / "mosi/mosi.npz", get_hint("mosi")
    content = read_npz(
        path,
        (*keys, "audio", "score"),
        hint + " (the text embedding needs 'pip install robult[text]')" if keys else hint,
    )
    _check_derived(path, content, MOSI_FINGERPRINTS, hint)
    table = _read_csv(folder / "mosi/mosi.csv", quoting=csv.QUOTE_MINIMAL)
    if len(table) != len(content["score"]):
        raise DataError(
            f"mosi.csv has {len(table)} rows but mosi.npz {len(content['score'])}: delete both, then {hint}"
        )
    shared = {
        "name": name,
        "task": Regression(),
        "targets": torch.from_numpy(content["score"]),
        "split": table["fold"].replace("dev", "valid").to_numpy(dtype="<U5"),
        "display": {"transcript": table["text"].tolist()},
    }
    return content, shared


def load_mosi(folder: Path) -> MultimodalData:
    """2199 utterances: sentence embedding of the transcript, openSMILE audio, score in [-3, 3]; standard folds by video."""
    content, shared = _mosi(folder, "mosi", ("text",))
    return MultimodalData(modalities=tensors({name: content[name] for name in ("text", "audio")}), **shared)


def load_mosi_tfidf(folder: Path, components: int = 100) -> MultimodalData:
    """MOSI with TF-IDF and a truncated SVD of the transcripts as text, both fitted on the training transcripts only."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    content, shared = _mosi(folder, "mosi-tfidf", ())
    texts = np.array(shared["display"]["transcript"], dtype=object)
    reduce = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2)), TruncatedSVD(components, random_state=0)
    )
    reduce.fit(texts[shared["split"] == "train"])
    return MultimodalData(modalities=tensors({"text": reduce.transform(texts), "audio": content["audio"]}), **shared)


def get_utd_mhad(
    folder: Path, base_url: str = GITHUB, progress: bool = True, keys: list[tuple[int, int, int]] | None = None
) -> list[str]:
    """Download the recordings below `folder`, build utd_mhad.npz there, drop the recordings (170 MB)."""
    fetch(utd_remotes(keys), folder, base_url, progress)
    build_utd_mhad(folder / "utd_mhad/raw", folder / "utd_mhad/utd_mhad.npz", keys)
    shutil.rmtree(folder / "utd_mhad/raw")
    return [
        "utd_mhad: no hash of its raw files is published; the pinned commit names them and the built arrays were compared with the reference"
    ]


def get_mosi(folder: Path, encoder: object = None, **_: object) -> list[str]:
    """Build mosi.npz and mosi.csv below `folder` from the raw csv files just downloaded there."""
    encoder = encoder or sentence_encoder()
    build_mosi(folder / "mosi/raw", folder / "mosi/mosi.npz", encoder)
    if encoder is None:
        return [
            "mosi: sentence-transformers is not installed, so only 'mosi-tfidf' is ready; for 'mosi': pip install 'robult[text]' and get it again"
        ]
    return []
