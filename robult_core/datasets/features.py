"""Raw images and texts become features once, through a frozen encoder of the user's choice.

An encoder is a local `transformers` folder (CLIP or a relative: one model for both), or callables
{"image": ..., "text": ...} from a list of PIL images or of texts to `(n, d)`. Nothing is
downloaded. Without the option, `ROBULT_ENCODER` names the folder. Features stay in a cache beside
the data.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robult_core.datasets.files import DataError, folder_digest, read_npz, reading, save_npz

Encoder = Callable[[list], Any]
Encoders = str | Path | Mapping[str, Encoder] | None
BATCH = 64
REMEDY = (
    "set ROBULT_ENCODER to a local transformers folder (a CLIP, say) "
    "or pass encoders={'image': …, 'text': …}"
)


def make_encoders(encoders: Encoders) -> tuple[dict[str, Encoder], str | None]:
    """Callables for "image" and "text", and a name for the cache.

    Callables without an attribute `name` are not cached; their name is None.
    """
    encoders = encoders or os.environ.get("ROBULT_ENCODER")
    if encoders is None:
        raise DataError(f"images and texts need a frozen encoder: {REMEDY}")
    if not isinstance(encoders, Mapping):
        return _transformers(Path(encoders))
    if set(encoders) != {"image", "text"}:
        keys = sorted(encoders)
        raise DataError(f"encoders has the keys {keys}: give exactly 'image' and 'text'")
    names = [getattr(encoders[kind], "name", "") for kind in ("image", "text")]
    return dict(encoders), "+".join(names) if all(names) else None


def _transformers(folder: Path) -> tuple[dict[str, Encoder], str]:
    """The encoders of a model folder, named by folder, configuration and sizes of its files."""
    config = folder / "config.json"
    if not config.is_file():
        raise DataError(f"file '{config}' is missing: {REMEDY}")
    with reading(folder, "a model with an image and a text side", REMEDY, first=""):
        from transformers import AutoModel, AutoProcessor  # extra `images`

        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        encode_images, encode_texts = model.get_image_features, model.get_text_features

    def image(items: list) -> np.ndarray:
        return _without_gradient(encode_images, processor(images=items, return_tensors="pt"))

    def text(items: list) -> np.ndarray:
        tokens = processor(text=items, padding=True, truncation=True, return_tensors="pt")
        return _without_gradient(encode_texts, tokens)

    return {"image": image, "text": text}, f"{folder.name}-{folder_digest(folder)}"


def _without_gradient(encode: Callable[..., Any], inputs: Mapping[str, Any]) -> np.ndarray:
    import torch

    with torch.inference_mode():
        output = encode(**inputs)
    vectors = output if isinstance(output, torch.Tensor) else output.pooler_output
    return vectors.numpy()


def cache_key(name: str | None, texts: Sequence[str], images: Sequence[Path]) -> str:
    """Sixteen digits for features by what made them and what they are made of.

    Images count by name, size and time of change, because reading all of them takes minutes.
    """
    states = [_state(path) for path in images]
    content = (name, list(texts), [path.name for path in images], states)
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; of none where it is missing."""
    if not path.is_file():
        return (-1, 0)
    status = path.stat()
    return (status.st_size, status.st_mtime_ns)


def image_text_features(
    texts: Sequence[str], images: Sequence[Path], encoders: Encoders, cache: Path
) -> dict[str, np.ndarray]:
    """Features "text" and "image" `(N, d)`, zero where absent, and "present" `(2, N)` likewise.

    Empty texts and images that are missing or do not decode are absent.
    """
    functions, name = make_encoders(encoders)
    target = cache / f"features-{cache_key(name, texts, images)}.npz"
    if name and target.is_file():
        return read_npz(target, ("text", "image", "present"), "load the data set again")
    text, text_there = _encode(functions["text"], texts, _words, "text")
    image, image_there = _encode(functions["image"], images, open_image, "image")
    features = {"text": text, "image": image, "present": np.stack([text_there, image_there])}
    if name:
        with contextlib.suppress(OSError):  # a read-only folder: computed again next time
            save_npz(target, **features)
    return features


def _words(text: str) -> str | None:
    """The text, or None where there is nothing but space."""
    return text.strip() or None


def open_image(path: Path) -> Any | None:
    """A picture as RGB, or None where it is missing, damaged or too large to be one of the set.

    PIL raises a dozen kinds of errors on damaged files, by format, and its own on huge ones.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.convert("RGB")
    except Exception:
        return None


def _encode(
    encoder: Encoder, items: Sequence, read: Callable[[Any], Any | None], what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Encode what `read` does not turn into None, batch by batch.

    Returns features `(N, d)` and the mask `(N,)` of what is there.
    """
    from tqdm import tqdm

    present = np.zeros(len(items), dtype=bool)
    encoded = []
    for start in tqdm(range(0, len(items), BATCH), desc=what, unit="batch", disable=None):
        opened = [read(item) for item in items[start : start + BATCH]]
        present[start : start + BATCH] = [item is not None for item in opened]
        batch = [item for item in opened if item is not None]
        if not batch:
            continue
        vectors = np.asarray(encoder(batch), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(batch):
            gave = f"the {what} encoder gave shape {vectors.shape} for {len(batch)} items"
            raise DataError(f"{gave}: expected ({len(batch)}, d)")
        encoded.append(vectors)
    if not encoded:
        raise DataError(f"no {what} can be read: check the data folder with 'robult data check'")
    features = np.zeros((len(items), encoded[0].shape[1]), dtype=np.float32)
    features[present] = np.concatenate(encoded)
    return features, present
