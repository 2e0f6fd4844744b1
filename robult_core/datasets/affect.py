"""CMU-MOSI and CMU-MOSEI as published: the pickles of MulT, which GMC reads, and of MMSA.

Both are a dictionary split -> fields, where text, audio and vision are `(N, T, F)`. MulT has scores
`(N, 1, 1)` in 'labels' and ids [video, start, end] as bytes or text; its audio holds -inf. MMSA has
scores `(N,)` in 'regression_labels' and ids "video$_$clip". T and F are taken from the arrays; the
side of the padding is measured and noted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robult_core.datasets.container import SPLITS, MultimodalData
from robult_core.datasets.files import DataError, count_note
from robult_core.datasets.pickles import load_pickle
from robult_core.tasks import Task

MODALITIES = ("text", "audio", "vision")
LABELS = {"MulT": "labels", "MMSA": "regression_labels"}
WIDTHS = {"mosi": (5, 20), "mosei": (74, 35)}  # of audio and vision; MMSA keeps those of MulT
MOST_REPEATED = 0.1  # share of rows; when more ids repeat within a split, they name videos
HIGHEST = 3  # of a sentiment score; the lowest is -3
# The videos of CMU-MOSI: MultiBench's file of it has the widths of MOSEI, so ids tell them apart.
_VIDEOS = """
03bSnISJMiM 0h-zjBukYpk 1DmNV9C1hbY 1iG0909rllw 2WGyTLYerpo 2iD-tVS8NPw 5W7Z1C_fDaE
6Egk_28TtTM 6_0THN4chvY 73jzhE8R1TQ 7JsX8y1ysxY 8OtFthrtaJM 8d-gEyoeBzc 8qrpnFRGt2A
9J25DZhivz8 9T9Hf74oK10 9c67fiY0wGQ 9qR7uwkblbs Af8D0E4ZXaw BI97DNYfe5I BXuRRbG0Ugk
Bfr499ggo-0 BioHAh1qJAQ BvYR0L6f2Ig Ci-AH39fi3Y Clx4VXItLTE Dg_0XKD0Mf4 G-xst2euQUc
G6GlGvlkxAQ GWuJjcEuzt8 HEsqda8_d0Q I5y0__X72p0 Iu2PFX3z_1s IumbAb8q2dM Jkswaaud0hk
LSi-o-IrDMs MLal-t_vJPM Njd1F0vZSm4 Nzq88NnDkEk OQvJTdtJ2H4 OtBXNcAL_lE Oz06ZWiO20M
POKffnXeBds PZ-lDQFboO8 QN9ZIUWUXsY Qr1Ca94K55A Sqr0AcuoNnk TvyZBvOMOTc VCslbP0mgZI
VbQk4H8hgr0 Vj1wYRQjB-o W8NXH0Djyww WKA5OygbEKI X3j2zQgwYgE ZAIRrfG22O0 ZUXBRvtny7o
_dI--eQ6qVU aiEXnCPZubE atnd_PF-Lbs bOL9jKpeJRs bvLlb-M3UXU c5xsKMxpXnc c7UH_rxdZv4
cM3Yna7AavY cW1FSBF59ik cXypl4FnoZo d3_k5Xpfmik d6hH302o4v8 dq3Nf_lMPnE etzxEpPuc6I
f9O3YtZ2VfI f_pcplsH_V0 fvVhgmXxadc iiK8YX8oH1E jUzDDGyPkXU k5Y_838nuGo lXPQBPVc5Cw
nbWiPyCm4g0 nzpVDcQ0ywM ob23OKe5a9Q pLTX3ipuDJI phBUpBr1hSo rnaNMUZpvvg tIrG4oNLFzE
tStelxIAHjw tmZoasNr4rU v0zCBqDeKcE vvZ4IcEtiZc vyB00TXsimI wMbj6ajWbic yDtzw_Y-7RU
yvsjCA6Y5Fc zhpQhgha_KU
"""
MOSI_VIDEOS = frozenset(_VIDEOS.split())
GMC_FILES = (
    "the .dt files of GMC are Python objects of its own code, which this program does not run: "
    "data/README.md says how to turn them into a pickle of arrays inside GMC's folder"
)


def load_affect(
    folder: Path, task: Task, files: Sequence[str], corpus: str, publisher: str
) -> MultimodalData:
    """Read the first of `files` that is there and check that it holds `corpus` ("mosi", "mosei").

    Rows without a finite label and repeated ids are left out and counted.
    """
    path = next(folder / file for file in files if (folder / file).exists())
    parts = _parts(path, publisher)
    labels, split = _labels(path, parts, LABELS[publisher])
    ids = [_text(item) for part in parts for item in _field(part, "id")]
    transcripts = [str(text) for part in parts for text in _field(part, "raw_text")]
    rows = Counter(split.tolist())
    arrays = {name: _joined(path, parts, name, rows) for name in MODALITIES}
    _check_corpus(path, corpus, arrays, ids)
    notes = [f"Read from {path.name}."]
    known = np.isfinite(labels)
    fresh, note = _fresh_rows(ids, split)
    notes += count_note(int((~known).sum()), "rows without a finite label left out")
    notes += note
    keep = known & fresh
    _check_splits(path, split[keep])
    modalities = {}
    present = []
    for name in MODALITIES:
        x, there, note = _repaired(path, name, arrays.pop(name), keep)
        modalities[name] = torch.from_numpy(x)
        present.append(there)
        notes += note
    mask = np.stack(present)
    display = {}
    if len(transcripts) == len(labels):
        display["transcript"] = [transcripts[row] for row in np.flatnonzero(keep)]
    return MultimodalData(
        name=corpus,
        task=task,
        modalities=modalities,
        targets=torch.from_numpy(labels[keep]),
        split=split[keep],
        present=None if mask.all() else torch.from_numpy(mask),
        display=display,
        notes=tuple(notes),
    )


def _parts(path: Path, publisher: str) -> list[dict]:
    """The dictionaries of train, valid and test; DataError unless the file is the publisher's."""
    content = load_pickle(path)
    if not isinstance(content, dict) or not set(SPLITS) <= set(content):
        neither = "it is neither a MulT nor an MMSA file"
        raise DataError(f"pickle '{path}' has no splits train, valid and test: {neither}")
    parts = [content[split] for split in SPLITS]
    if not all(isinstance(part, dict) for part in parts):
        raise DataError(f"a split of pickle '{path}' is no dictionary: get the file again")
    for other, key in LABELS.items():
        if other != publisher and all(key in part for part in parts):
            name = "aligned_50.pkl or unaligned_50.pkl" if other == "MMSA" else "<set>_data.pkl"
            holds = f"pickle '{path}' holds what {other} publishes, not {publisher}"
            raise DataError(f"{holds}: call it {name} and load that set")
    return parts


def _labels(path: Path, parts: list[dict], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores `(N,)` float32 and the split of each row."""
    labels = []
    for split, part in zip(SPLITS, parts, strict=True):
        scores = _floats(path, part, key, split)
        if scores.size != len(scores):
            expected = f"expected ({len(scores)}, 1, 1), one sentiment score a row"
            raise DataError(f"'{key}' of {split} in '{path}' has shape {scores.shape}: {expected}")
        beyond = np.abs(scores[np.isfinite(scores)]) > HIGHEST
        if beyond.any():
            worst = scores[np.isfinite(scores)][beyond][0]
            expected = f"scores lie between -{HIGHEST} and {HIGHEST}: get the file again"
            raise DataError(f"'{key}' of {split} in '{path}' holds {worst:g}, and {expected}")
        labels.append(scores.reshape(-1))
    return np.concatenate(labels), np.repeat(SPLITS, [len(scores) for scores in labels])


def _floats(path: Path, part: dict, key: str, split: str) -> np.ndarray:
    """One field as float32; DataError where it is absent or holds something else than numbers."""
    try:
        return np.atleast_1d(np.asarray(part[key], dtype=np.float32))
    except (KeyError, ValueError, TypeError) as error:
        needs = f"every split needs {', '.join(MODALITIES)} and its labels"
        wrong = f"'{key}' of {split} in '{path}' is not in the published form ({error})"
        raise DataError(f"{wrong}: {needs}") from error


def _joined(path: Path, parts: list[dict], name: str, rows: Mapping[str, int]) -> np.ndarray:
    """One modality over all splits, `(N, T, F)`; the splits' own arrays are let go.

    rows: how many labels each split has.
    """
    arrays = []
    for split, part in zip(SPLITS, parts, strict=True):
        arrays.append(_floats(path, part, name, split))
        del part[name]
    shapes = [x.shape for x in arrays]
    alike = len({shape[1:] for shape in shapes}) == 1 and len(shapes[0]) == 3
    lengths = [rows[split] for split in SPLITS]
    if not alike or [shape[0] for shape in shapes] != lengths:
        expected = f"expected (rows, steps, features) alike, with {lengths} rows as of labels"
        raise DataError(f"'{name}' in '{path}' has the shapes {shapes}: {expected}")
    return np.concatenate(arrays)


def _field(part: dict, key: str) -> Sequence | np.ndarray:
    """A field of one entry a row that a split may lack."""
    field = part.get(key, ())
    is_sequence = isinstance(field, (list, tuple)) or np.ndim(field) > 0
    return field if is_sequence else ()


def _text(item: Any) -> str:
    """One id: bytes or text, alone or as a row [video, start, end]."""
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    if isinstance(item, (np.ndarray, list, tuple)):
        return "_".join(_text(part) for part in item)
    return str(item)


def _check_corpus(path: Path, corpus: str, arrays: dict[str, np.ndarray], ids: list[str]) -> None:
    """Raise DataError where the content of one corpus lies under the name of the other."""
    widths = (arrays["audio"].shape[2], arrays["vision"].shape[2])
    of_mosi = sum(name[:11] in MOSI_VIDEOS for name in ids)
    is_mosi = widths == WIDTHS["mosi"] or 2 * of_mosi > len(ids)
    is_mosei = not is_mosi and widths == WIDTHS["mosei"]
    found = f"audio {widths[0]} and vision {widths[1]} wide, {of_mosi} ids of MOSI"
    if (corpus == "mosi" and is_mosei) or (corpus == "mosei" and is_mosi):
        other = "mosei" if is_mosei else "mosi"
        holds = f"'{path}' holds CMU-{other.upper()} ({found})"
        raise DataError(f"{holds}: move it to cmu-{other}/ and get the file of {corpus.upper()}")
    if ids and not is_mosi and not is_mosei:
        name = corpus.upper()
        expected = " and ".join(map(str, WIDTHS[corpus]))
        raise DataError(
            f"'{path}' does not hold CMU-{name} ({found}, expected {expected}): "
            f"get the file of {name}"
        )


def _fresh_rows(ids: list[str], split: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """`(N,)` bool, False for copies of a row, and what to note about them."""
    everything = np.ones(len(split), dtype=bool)
    if not ids:
        return everything, ["There are no ids, so copies of rows were not looked for."]
    if len(ids) != len(split):
        counts = f"There are {len(ids)} ids for {len(split)} rows"
        return everything, [f"{counts}, so copies of rows were not looked for."]
    within = len(ids) - len(set(zip(split.tolist(), ids, strict=True)))
    if within > MOST_REPEATED * len(ids):
        return everything, ["Ids name videos, not rows, so copies of rows were not looked for."]
    fresh = first_occurrences(ids, split)
    return fresh, count_note(int((~fresh).sum()), "rows with a repeated id left out")


def _check_splits(path: Path, split: np.ndarray) -> None:
    """Raise DataError where nothing usable is left of a split."""
    left = Counter(split.tolist())
    for name in SPLITS:
        if not left[name]:
            empty = f"the {name} part of '{path}' has no row with a finite label"
            raise DataError(f"{empty}: get the file again from its publisher")


def _repaired(
    path: Path, name: str, x: np.ndarray, keep: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The rows to keep with holes set to 0, which of them have the modality, and notes."""
    bad = ~np.isfinite(x)
    notes = count_note(int(bad.sum()), f"{name} values that were not finite set to 0")
    x[bad] = 0
    x = x if keep.all() else x[keep]
    there = np.asarray(x.any(axis=(1, 2)))
    if not there.any():
        raise DataError(f"no row of '{path}' has any {name}: get the file again")
    notes.append(f"{name}: {padding_side(x)}.")
    lacking = int((~there).sum())
    notes += count_note(lacking, f"samples whose {name} is all zero counted as lacking it")
    return x, there, notes


def first_occurrences(ids: Sequence[str] | np.ndarray, split: np.ndarray) -> np.ndarray:
    """`(N,)` bool, one True per id.

    Of copies the test row stays, then the valid row, so that nothing evaluated is trained on.
    """
    rank = [("test", "valid", "train").index(name) for name in split]
    order = np.argsort(rank, kind="stable")
    _, first = np.unique(np.asarray(ids, dtype=str)[order], return_index=True)
    keep = np.zeros(len(split), dtype=bool)
    keep[order[first]] = True
    return keep


def padding_side(x: np.ndarray) -> str:
    """Where `(N, T, F)` has all-zero steps, counted over samples that have some at one end only."""
    real = np.any(x, axis=2)  # (N, T)
    real = real[np.any(real, axis=1)]
    first, last = real[:, 0], real[:, -1]
    left = int((~first & last).sum())
    right = int((first & ~last).sum())
    if left == right:
        return "no padding" if left == 0 else "padding on either side"
    side = "left" if left > right else "right"
    most, fewest = max(left, right), min(left, right)
    return f"padding on the {side} in {most} samples, on the other side in {fewest}"
