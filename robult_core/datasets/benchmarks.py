"""Small real sets in one file each: digits (built in), handwritten and cub10.

Splits are the published ones where there are any, else stratified 70/30 with seed 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import get_hint, read_mat
from robult_core.tasks import Task

# pixel means, Fourier, profile correlations, Zernike moments, Karhunen-Loève, shape
VIEWS = ("pix", "fou", "fac", "zer", "kar", "mor")
DIGITS = tuple("0123456789")
# Where the 4 x 4 quadrants of an 8 x 8 digit begin: row, column.
QUADRANTS = {
    "top_left": (0, 0),
    "top_right": (0, 4),
    "bottom_left": (4, 0),
    "bottom_right": (4, 4),
}


def stratified_split(targets: np.ndarray) -> np.ndarray:
    """70 % "train", 30 % "test", the same share of every class, seed 0."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(targets))
    train, _ = train_test_split(rows, train_size=0.7, stratify=targets, random_state=0)
    return np.where(np.isin(rows, train), "train", "test")


def load_digits(folder: Path, task: Task) -> MultimodalData:
    """1797 real 8 x 8 digits cut into four quadrants: four sensors that each see a part."""
    from sklearn.datasets import load_digits as bundled

    images, labels = bundled(return_X_y=True)
    images = images.reshape(-1, 8, 8).astype(np.float32)
    modalities = {}
    for name, (row, column) in QUADRANTS.items():
        quadrant = images[:, row : row + 4, column : column + 4]
        modalities[name] = torch.from_numpy(quadrant.reshape(-1, 16))
    return MultimodalData(
        name="digits",
        task=task,
        modalities=modalities,
        targets=torch.from_numpy(labels),
        split=stratified_split(labels),
        class_names=DIGITS,
        display={"image": images},
    )


def load_handwritten(folder: Path, task: Task) -> MultimodalData:
    """2000 handwritten digits in six feature views, split 1600/400 as published."""
    names = ("x1", "x2", "x3", "x4", "x5", "x6", "gt")
    keys = [f"{name}_{split}" for name in names for split in ("train", "test")]
    path = folder / "handwritten/handwritten_6views.mat"
    content = read_mat(path, keys, get_hint("handwritten"))
    whole = {}
    for name in names:
        whole[name] = np.concatenate([content[f"{name}_train"], content[f"{name}_test"]])
    sizes = [len(content["gt_train"]), len(content["gt_test"])]
    modalities = {}
    for number, view in enumerate(VIEWS, start=1):
        modalities[view] = torch.from_numpy(whole[f"x{number}"])
    return MultimodalData(
        name="handwritten",
        task=task,
        modalities=modalities,
        targets=torch.from_numpy(whole["gt"].ravel() - 1),  # label 1 is the digit 0
        split=np.repeat(["train", "test"], sizes),
        class_names=DIGITS,
        display={"image": whole["x1"].reshape(-1, 16, 15)},
    )


def load_cub10(folder: Path, task: Task) -> MultimodalData:
    """600 birds of ten species: GoogLeNet image features and doc2vec text features."""
    path = folder / "cub10/cub_googlenet_doc2vec_c10.mat"
    content = read_mat(path, ("X", "gt"), get_hint("cub10"))
    labels = content["gt"].ravel() - 1
    image, text = content["X"].ravel()
    return MultimodalData(
        name="cub10",
        task=task,
        modalities={"image": torch.from_numpy(image), "text": torch.from_numpy(text)},
        targets=torch.from_numpy(labels),
        split=stratified_split(labels),
        class_names=tuple(f"species {number}" for number in range(1, 11)),
    )
