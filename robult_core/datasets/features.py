"""Raw images and texts become features once, through a frozen encoder of the user's choice, and stay in a cache beside the data.

An encoder is a local `transformers` folder (CLIP or a relative: one model for both), or `{"image": callable, "text": callable}` with
list of PIL images or list of str -> `(n, d)`. Nothing is downloaded. Without the option, `ROBULT_ENCODER` names the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from robult_core.datasets.files import DataError, read_npz, reading, save_npz

Encoders = str | Path | Mapping[str, Callable] | None
BATCH = 64
REMEDY = "set ROBULT_ENCODER to a local transformers folder (a CLIP, say) or pass encoders={'image': …, 'text': …}"


def make_encoders(encoders: Encoders) -> tuple[dict[str, Callable], str | None]:
    """Callables for "image" and "text" and a name for the cache; callables without a `name` attribute are not cached (None)."""
    encoders = encoders or os.environ.get("ROBULT_ENCODER")
    if encoders is None:
        raise DataError(f"images and texts need a frozen encoder: {REMEDY}")
    if isinstance(encoders, Mapping):
        if set(encoders) != {"image", "text"}:
            raise DataError(
                f"encoders has the keys {sorted(encoders)}: give exactly 'image' and 'text'"
            )
        names = [getattr(encoders[key], "name", None) for key in ("image", "text")]
        return dict(encoders), None if None in names else "+".join(names)
    return _transformers(Path(encoders))


def _transformers(folder: Path) -> tuple[dict[str, Callable], str]:
    with reading(folder / "config.json", "a model with an image and a text side", REMEDY, first=""):
        from transformers import AutoModel, AutoProcessor  # extra `images`

        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        heads = {"image": model.get_image_features, "text": model.get_text_features}

    def encode(kind: str, items: list) -> np.ndarray:
        import torch

        options = {
            "text": {"text": items, "padding": True, "truncation": True},
            "image": {"images": items},
        }[kind]
        with torch.inference_mode():
            out = heads[kind](**processor(return_tensors="pt", **options))
        return (out if isinstance(out, torch.Tensor) else out.pooler_output).numpy()

    files = sorted((path.name, path.stat().st_size) for path in folder.iterdir() if path.is_file())
    digest = hashlib.sha256(
        f"{files}".encode() + (folder / "config.json").read_bytes()
    ).hexdigest()[:12]
    return {
        kind: lambda items, kind=kind: encode(kind, items) for kind in heads
    }, f"{folder.name}-{digest}"


def image_text_features(
    texts: Sequence[str], images: Sequence[Path], encoders: Encoders, cache: Path
) -> dict[str, np.ndarray]:
    """ "text" and "image" features `(N, d)` with zeros where absent, and "present" `(2, N)` in that order.

    Empty texts and images that are missing or do not decode are absent. The cache file is named by encoder and data.
    """
    functions, name = make_encoders(encoders)
    sizes = [path.stat().st_size if path.is_file() else -1 for path in images]
    key = hashlib.sha256(
        repr((name, list(texts), [path.name for path in images], sizes)).encode()
    ).hexdigest()[:16]
    target = cache / f"features-{key}.npz"
    if name and target.is_file():
        return read_npz(target, ("text", "image", "present"), "load the data set again")
    text, text_there = _encode(
        functions["text"], [item.strip() for item in texts], lambda item: item or None, "text"
    )
    image, image_there = _encode(functions["image"], images, _open, "image")
    result = {"text": text, "image": image, "present": np.stack([text_there, image_there])}
    if name:
        with contextlib.suppress(
            OSError
        ):  # a read-only data folder: the features are computed again next time
            save_npz(target, **result)
    return result


def _open(path: Path) -> object | None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError):  # PIL raises SyntaxError on some broken PNG files
        return None


def _encode(
    encoder: Callable, items: Sequence, read: Callable, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Encode what `read` does not turn into None, batch by batch -> features `(N, d)`, present `(N,)`."""
    from tqdm import tqdm

    present, rows = np.zeros(len(items), dtype=bool), []
    for start in tqdm(range(0, len(items), BATCH), desc=what, unit="batch", disable=None):
        read_items = [read(item) for item in items[start : start + BATCH]]
        present[start : start + BATCH] = [item is not None for item in read_items]
        batch = [item for item in read_items if item is not None]
        if batch:
            rows.append(np.asarray(encoder(batch), dtype=np.float32))
            if rows[-1].ndim != 2 or len(rows[-1]) != len(batch):
                raise DataError(
                    f"the {what} encoder gave shape {rows[-1].shape} for {len(batch)} items: expected ({len(batch)}, d)"
                )
    if not rows:
        raise DataError(f"no {what} can be read: check the data folder with 'robult data check'")
    features = np.zeros((len(items), rows[0].shape[1]), dtype=np.float32)
    features[present] = np.concatenate(rows)
    return features, present
