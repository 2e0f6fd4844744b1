"""Every data set by name: the table, and `load`, `available` and `entry` over it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from robult_core.datasets import affect, benchmarks, mm_imdb, mosi, utd_mhad
from robult_core.datasets.container import MultimodalData
from robult_core.datasets.data_set import DataSet
from robult_core.datasets.download import Remote
from robult_core.datasets.files import DataError
from robult_core.datasets.food101 import FOOD101
from robult_core.datasets.hateful_memes import HATEFUL_MEMES
from robult_core.datasets.own_files import (
    KINDS,
    find_own_files,
    load_own_files,
    own_data_set,
)
from robult_core.datasets.pid import CASES, Dials, load_pid, pid_task
from robult_core.tasks import Classification, Multilabel, Regression, Task

TMC = "hanmenghan/TMC"
TMC_COMMIT = "08d0ca4c4461b6de1cf73514d8c621598bc2b504"
PROIMP = "XLearning-SCU/2023-IJCAI-ProImp"
PROIMP_COMMIT = "7f993ecc3e3ca29aa2d7d6a6c3bea0bac0e932c1"
BC_LSTM = "declare-lab/multimodal-deep-learning"
BC_LSTM_COMMIT = "111b401d867c14a1dcd930fd2b2ab58a5eca3f70"
MMCPANDA = "jiangbing22/MMCPanda"
MMCPANDA_COMMIT = "3e568e4da552a9d0c61bf61761c73a06acd0eda4"

VILT = "-vilt"  # after the name of a set of raw images and texts: as a ViLT reads it
MOSI_LICENCE = "CMU-MOSI: research use"
MOSI_SOURCE = (
    "CMU-MOSI (Zadeh et al. 2016): transcripts and openSMILE audio of github "
    "declare-lab/multimodal-deep-learning @111b401d, scores and folds of github "
    "jiangbing22/MMCPanda @3e568e4d; no video"
)
MOSI_REMOTES = (
    Remote(
        "mosi/raw/transcripts.csv",
        BC_LSTM,
        BC_LSTM_COMMIT,
        "bc-LSTM/data/transcripts.csv",
        "e7689e6d70720addd2a6b316419d245a68839c32b014ff426c406063ee777466",
    ),
    Remote(
        "mosi/raw/audio_train0.csv",
        BC_LSTM,
        BC_LSTM_COMMIT,
        "bc-LSTM/data/audio/audio_train0.csv",
        "5435398a54664e7b00304587dc59ae84a438852be033c2a2fba779588624a2a1",
    ),
    Remote(
        "mosi/raw/audio_test0.csv",
        BC_LSTM,
        BC_LSTM_COMMIT,
        "bc-LSTM/data/audio/audio_test0.csv",
        "ddd17eeefd3d951d51d4e2ef8a0d132652d8161e1886f71eb7262b7a14bffff6",
    ),
    Remote(
        "mosi/raw/text_train.csv",
        BC_LSTM,
        BC_LSTM_COMMIT,
        "bc-LSTM/data/text_train.csv",
        "73770b6302ad0f7a51f4eddcae6788efde4d0b6802e09f78249d5b538d1c1d67",
    ),
    Remote(
        "mosi/raw/text_test.csv",
        BC_LSTM,
        BC_LSTM_COMMIT,
        "bc-LSTM/data/text_test.csv",
        "f3b735070bf07ceff7a6ef6c8f4c32757e988de484e35bd6d38b2aecef851a59",
    ),
    Remote(
        "mosi/raw/label.csv",
        MMCPANDA,
        MMCPANDA_COMMIT,
        "data/mosi/label.csv",
        "74c52aba8884cca3f77962310c41f31d3d6250c4e4b50fd77fd4efe4eb75a521",
    ),
)


def _load_pid(
    folder: Path, task: Task, case: str | Dials = "mixed", n: int = 2000, seed: int = 0
) -> MultimodalData:
    """`pid` needs no folder, and its task follows from the case."""
    return load_pid(case, n, seed)


def _load_for_vilt(
    load_raw: Callable[..., MultimodalData],
    folder: Path,
    task: Task,
    vilt_folder: str | Path | None = None,
) -> MultimodalData:
    """A raw set as token ids and pixels."""
    vilt_folder = vilt_folder or os.environ.get("ROBULT_VILT")
    if not vilt_folder:
        remedy = "set ROBULT_VILT to its local folder or pass vilt_folder="
        raise DataError(f"token ids and pixels need a ViLT: {remedy}")
    return load_raw(folder, task, vilt_folder=vilt_folder)


def _affect(
    corpus: str, publisher: str, *files: str, aligned: bool, sha256: str | None = None
) -> DataSet:
    """One of the paper's sentiment sets; each of `files` is enough. MMSA states the SHA-256."""
    name = f"{corpus}-{publisher.lower()}"
    paths = tuple(f"cmu-{corpus}/{file}" for file in files)
    return DataSet(
        name=name if aligned else f"{name}-unaligned",
        task=Regression(),
        modalities=affect.MODALITIES,
        loader=partial(affect.load_affect, files=paths, corpus=corpus, publisher=publisher),
        licence=f"CMU-{corpus.upper()}: research use",
        source="pickles of MulT, read by GMC" if publisher == "MulT" else "pickles of MMSA",
        needs=(("|".join(paths),),),
        how=f"put {' or '.join(files)} as {publisher} publishes it into cmu-{corpus}/",
        instead_of="" if aligned else name,
        published={} if sha256 is None else dict.fromkeys(paths, sha256),
        unreadable=(f"cmu-{corpus}/*.dt", affect.GMC_FILES) if publisher == "MulT" else ("", ""),
    )


_ENTRIES = (
    DataSet(
        name="pid",
        task=pid_task("mixed"),
        modalities=("x1", "x2"),
        loader=_load_pid,
        licence="MIT, as this package",
        source="synthetic, drawn by robult_core.datasets.pid",
    ),
    DataSet(
        name="digits",
        task=Classification(10),
        modalities=tuple(benchmarks.QUADRANTS),
        loader=benchmarks.load_digits,
        licence="CC BY 4.0 (UCI)",
        source="UCI Optical Recognition of Handwritten Digits, as bundled with scikit-learn",
    ),
    DataSet(
        name="handwritten",
        task=Classification(10),
        modalities=benchmarks.VIEWS,
        loader=benchmarks.load_handwritten,
        licence="CC BY 4.0 (UCI Multiple Features)",
        source="UCI Multiple Features; github hanmenghan/TMC @08d0ca4c",
        needs=(("handwritten/handwritten_6views.mat",),),
        remotes=(
            Remote(
                "handwritten/handwritten_6views.mat",
                TMC,
                TMC_COMMIT,
                "TMC ICLR/datasets/handwritten_6views.mat",
                "d731ec02aaa97cf9a5826df68b0dd1e73ba61a82ba3c8f64606ba402926c885b",
            ),
        ),
    ),
    DataSet(
        name="cub10",
        task=Classification(10),
        modalities=("image", "text"),
        loader=benchmarks.load_cub10,
        licence="MIT repository; CUB images for non-commercial research",
        source=(
            "Caltech-UCSD Birds, ten species; github XLearning-SCU/2023-IJCAI-ProImp @7f993ecc"
        ),
        needs=(("cub10/cub_googlenet_doc2vec_c10.mat",),),
        remotes=(
            Remote(
                "cub10/cub_googlenet_doc2vec_c10.mat",
                PROIMP,
                PROIMP_COMMIT,
                "data/cub_googlenet_doc2vec_c10.mat",
                "3ab7dc9917c520e6931fa3338cb9c6e8b2f6a4050ca8a25c97360e87d7bbfc3a",
            ),
        ),
    ),
    DataSet(
        name="utd_mhad",
        task=Classification(27),
        modalities=tuple(utd_mhad.RAW),
        loader=utd_mhad.load_utd_mhad,
        licence="UTD-MHAD: research use with citation",
        source=(
            "UTD-MHAD (Chen, Jafari, Kehtarnavaz, ICIP 2015); "
            "github woo-chia-wei/kinect-sequence-classification @65e9b139"
        ),
        needs=(("utd_mhad/utd_mhad.npz",),),
        builder=utd_mhad.get_utd_mhad,  # downloads its 2583 files itself, to drop them again
    ),
    DataSet(
        name="mosi",
        task=Regression(),
        modalities=("text", "audio"),
        loader=mosi.load_mosi,
        licence=MOSI_LICENCE,
        source=MOSI_SOURCE,
        needs=(("mosi/mosi.npz::text", "mosi/mosi.csv"),),
        how="the text embedding needs pip install '.[text]' in the clone",
        remotes=MOSI_REMOTES,
        builder=mosi.get_mosi,
    ),
    DataSet(
        name="mosi-tfidf",
        task=Regression(),
        modalities=("text", "audio"),
        loader=mosi.load_mosi_tfidf,
        licence=MOSI_LICENCE,
        source=MOSI_SOURCE,
        needs=(("mosi/mosi.npz", "mosi/mosi.csv"),),
        remotes=MOSI_REMOTES,
        builder=mosi.get_mosi,
        instead_of="mosi",
    ),
    _affect("mosi", "MulT", "mosi_data.pkl", "mosi_raw.pkl", aligned=True),
    _affect("mosi", "MulT", "mosi_data_noalign.pkl", aligned=False),
    _affect(
        "mosi",
        "MMSA",
        "aligned_50.pkl",
        "Processed/aligned_50.pkl",
        aligned=True,
        sha256="d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9",
    ),
    _affect(
        "mosi",
        "MMSA",
        "unaligned_50.pkl",
        "Processed/unaligned_50.pkl",
        aligned=False,
        sha256="78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524",
    ),
    _affect(
        "mosei", "MulT", "mosei_senti_data.pkl", "mosei_data.pkl", "mosei_raw.pkl", aligned=True
    ),
    _affect(
        "mosei",
        "MulT",
        "mosei_senti_data_noalign.pkl",
        "mosei_data_noalign.pkl",
        aligned=False,
    ),
    _affect(
        "mosei",
        "MMSA",
        "aligned_50.pkl",
        "Processed/aligned_50.pkl",
        aligned=True,
        sha256="45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791",
    ),
    _affect(
        "mosei",
        "MMSA",
        "unaligned_50.pkl",
        "Processed/unaligned_50.pkl",
        aligned=False,
        sha256="ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f",
    ),
    DataSet(
        name="mm-imdb",
        task=Multilabel(23),
        modalities=("text", "image"),
        loader=mm_imdb.load_hdf5,
        licence="MM-IMDb: research use",
        source="Arevalo et al. 2017, multimodal_imdb.hdf5 (word2vec and VGG features)",
        needs=(("mm-imdb/multimodal_imdb.hdf5",),),
        how="put multimodal_imdb.hdf5 into mm-imdb/",
    ),
    DataSet(
        name="mm-imdb-raw",
        task=Multilabel(23),
        modalities=("text", "image"),
        loader=mm_imdb.MM_IMDB.load,
        licence="MM-IMDb: research use",
        source="Arevalo et al. 2017, raw plots and posters",
        needs=(
            ("mm-imdb/split.json", "mm-imdb/dataset/*.json"),
            ("mm-imdb/split.json", "mm-imdb/labels/*.json", "mm-imdb/images/*.jpeg"),
        ),
        how="put split.json and dataset/ (or labels/ and images/) into mm-imdb/",
        inspect=mm_imdb.MM_IMDB.check,
        encoder=True,
    ),
    DataSet(
        name="food101",
        task=Classification(101),
        modalities=("text", "image"),
        loader=FOOD101.load,
        licence="UPMC Food-101: research use",
        source="Wang et al. 2015",
        needs=(
            (
                "food101/class_idx.json",
                "food101/split.json",
                "food101/text.json",
                "food101/images",
            ),
            (
                "food101/texts/train_titles.csv",
                "food101/texts/test_titles.csv",
                "food101/images",
            ),
        ),
        how=(
            "put class_idx.json, split.json, text.json and images/ into food101/, "
            "or texts/ and images/ as Kaggle gives them"
        ),
        inspect=FOOD101.check,
        encoder=True,
    ),
    DataSet(
        name="hateful-memes",
        task=Classification(2, primary="auroc"),
        modalities=("text", "image"),
        loader=HATEFUL_MEMES.load,
        licence="Hateful Memes challenge terms (Meta), research use",
        source="Kiela et al. 2020",
        needs=(
            (
                "hateful_memes/train.jsonl",
                "hateful_memes/dev_seen.jsonl|hateful_memes/dev.jsonl",
                "hateful_memes/test_seen.jsonl|hateful_memes/test.jsonl",
                "hateful_memes/img",
            ),
        ),
        how=(
            "put train.jsonl, dev_seen.jsonl (or dev.jsonl), test_seen.jsonl and img/ "
            "into hateful_memes/"
        ),
        inspect=HATEFUL_MEMES.check,
        encoder=True,
    ),
)
CATALOGUE: Mapping[str, DataSet] = MappingProxyType({item.name: item for item in _ENTRIES})
BUILTIN = tuple(item.name for item in _ENTRIES if item.builtin)


def load(name: str, folder: str | Path | None = None, **options: Any) -> MultimodalData:
    """The data set of that name, or of files of your own at that path; not standardised.

    `options` go to its loader: `case=` for `pid`, `encoders=` or `vilt_folder=` for sets of images
    and texts, `target=` and `task=` for files of your own. `entry` says what a name stands for.
    """
    known = _known_entry(name)
    if known is not None:
        return known.load(folder, **options)
    return load_own_files(_own_files(name, folder), **options)


def entry(name: str, folder: str | Path | None = None) -> DataSet:
    """The data set of that name, or of files of your own at that path.

    `pid-synergy` is the case "synergy" of `pid`, and `food101-vilt` holds the token ids and pixels
    of `food101`, for Prompt-Trans on the ViLT in the folder that `ROBULT_VILT` names. Such a name
    comes before files of the same name, which are looked for at the path itself and below the data
    folder.
    """
    known = _known_entry(name)
    if known is not None:
        return known
    return own_data_set(_own_files(name, folder))


def _known_entry(name: str) -> DataSet | None:
    """The entry of a name of the catalogue, of a case of `pid` or of a set for ViLT."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    case = name.removeprefix("pid-")
    if name.startswith("pid-") and case in CASES:
        loader = partial(_load_pid, case=case)
        return replace(CATALOGUE["pid"], name=name, task=pid_task(case), loader=loader)
    of_features = CATALOGUE.get(name.removesuffix(VILT))
    if name.endswith(VILT) and of_features is not None and of_features.encoder:
        assert of_features.inspect is not None
        return replace(
            of_features,
            name=name,
            loader=partial(_load_for_vilt, of_features.loader),
            inspect=partial(of_features.inspect, encoder="ROBULT_VILT"),
        )
    return None


def _own_files(name: str, folder: str | Path | None) -> Path:
    """The files of one's own that a name stands for; DataError where there are none."""
    own_files = find_own_files(name, folder)
    if own_files is not None:
        return own_files
    if "/" in name or Path(name).suffix in KINDS:
        kinds = ", ".join(KINDS)
        raise DataError(f"no data at '{name}': give a {kinds} file, or a folder of such files")
    known = f"known ones are {', '.join(CATALOGUE)}, and the cases {', '.join(CASES)} of pid"
    raise DataError(f"unknown data set '{name}': {known}")


def available(folder: str | Path | None = None) -> list[str]:
    """Names that can be loaded now, built-in ones first; looks for files only, reads none.

    A set that stands in for another one counts only where the other is missing, and raw images and
    texts only where `ROBULT_ENCODER` names an encoder.
    """
    ready = []
    for item in CATALOGUE.values():
        has_encoder = not item.encoder or bool(os.environ.get("ROBULT_ENCODER"))
        if has_encoder and not item.missing(folder):
            ready.append(item)
    names = {item.name for item in ready}
    return [item.name for item in ready if item.instead_of not in names]
