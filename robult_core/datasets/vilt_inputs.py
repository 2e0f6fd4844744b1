"""Raw images and texts as ViLT takes them: token ids and pixels, for Prompt-Trans on a real ViLT.

Text is cut into tokens by the tokenizer of the ViLT folder; an absent text is the empty string,
[CLS][SEP]. Images become squares of the size that ViLT was trained on (our choice: the released
prompts code keeps their proportions, but a data set needs one size), as bytes, which the model
normalises. Pixels may be larger than memory: they lie in a file beside the data and are read as
they are needed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from robult_core.datasets.features import cache_key, open_image
from robult_core.datasets.files import (
    DataError,
    folder_digest,
    hash_of_file,
    read_npz,
    reading,
    save_npz,
)

IMAGE_SIZE = 384  # where the configuration of the ViLT states none
REMEDY = "put config.json, the weights and the tokenizer files of a ViLT checkpoint there"


def vilt_inputs(
    texts: Sequence[str], images: Sequence[Path], folder: str | Path, longest: int, cache: Path
) -> dict[str, np.ndarray]:
    """ "text" `(N, T)` int64 token ids, "image" `(N, 3, S, S)` uint8, and "present" `(2, N)`.

    T is the number of tokens of the longest text, `longest` at most. Raises DataError where the
    folder holds no ViLT or the pixels cannot be written beside the data.
    """
    folder = Path(folder)
    config = _configuration(folder)
    size = int(config.get("image_size") or IMAGE_SIZE)
    key = cache_key(f"{folder_digest(folder)}-{size}-{longest}", texts, images)
    tokens = cache / f"vilt-{key}.npz"  # written last, so that it vouches for the pixels
    pixels = cache / f"vilt-{key}.npy"
    if not _is_cached(tokens, pixels):
        ids = _token_ids(texts, folder, longest)
        text_there = np.array([bool(text.strip()) for text in texts])
        try:
            image_there = _write_pixels(images, size, pixels)
            present = np.stack([text_there, image_there])
            save_npz(tokens, text=ids, present=present, pixels=np.array(hash_of_file(pixels)))
        except OSError as error:
            needs = f"{len(images) * 3 * size**2 / 2**30:.1f} GiB of pixels"
            remedy = "make room there, or move the set to a folder you may write to"
            raise DataError(f"cannot write {needs} to '{cache}' ({error}): {remedy}") from error
    inputs = read_npz(tokens, ("text", "present"), "load the data set again")
    with reading(pixels, "pixels", "load the data set again"):
        inputs["image"] = np.load(pixels, mmap_mode="c")
    return inputs


def _is_cached(tokens: Path, pixels: Path) -> bool:
    """Whether both files are there, and the pixels are those that were written with the tokens."""
    if not (tokens.is_file() and pixels.is_file()):
        return False
    written = read_npz(tokens, None, "load the data set again")
    return str(written.get("pixels", "")) == hash_of_file(pixels)


def _configuration(folder: Path) -> dict[str, Any]:
    """config.json of a model folder; DataError unless it describes a ViLT."""
    path = folder / "config.json"
    with reading(path, "the configuration of a ViLT", REMEDY, first=""):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["model_type"] != "vilt":
            raise ValueError(f"it describes a model of type {config['model_type']!r}")
    return config


def _token_ids(texts: Sequence[str], folder: Path, longest: int) -> np.ndarray:
    """`(N, T)` ids with [CLS] and [SEP], padded at the end; an empty text is those two alone."""
    with reading(folder / "config.json", "a model with a tokenizer", REMEDY, first=""):
        from transformers import AutoTokenizer  # extra `images`

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        words = [text.strip() for text in texts]
        tokens = tokenizer(
            words, padding=True, truncation=True, max_length=longest, return_tensors="np"
        )
    return tokens["input_ids"].astype(np.int64)


def _write_pixels(images: Sequence[Path], size: int, target: Path) -> np.ndarray:
    """Write the images as one array, zeros where absent; returns which ones are there, `(N,)`.

    The file is written in full or not at all, image by image, so that memory holds one.
    """
    from tqdm import tqdm

    present = np.zeros(len(images), dtype=bool)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(images), 3, size, size)}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as folder:
        draft = Path(folder) / target.name
        with open(draft, "wb") as handle:
            npy.write_array_header_1_0(handle, header)
            for row, path in enumerate(tqdm(images, desc="image", disable=None)):
                picture = open_image(path)
                present[row] = picture is not None
                handle.write(_square(picture, size).tobytes())
        os.replace(draft, target)
    return present


def _square(picture: Any | None, size: int) -> np.ndarray:
    """A picture as `(3, size, size)` bytes, zeros for none."""
    if picture is None:
        return np.zeros((3, size, size), dtype=np.uint8)
    from PIL import Image

    resized = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1)
