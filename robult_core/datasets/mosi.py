"""CMU-MOSI as anyone can get it: transcripts and openSMILE audio, no video.

`mosi` has a sentence embedding as its text; `mosi-tfidf` needs no encoder. The standard folds are
by video. The audio carries almost no signal here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.datasets.files import (
    DataError,
    check_derived,
    get_hint,
    read_npz,
    reading,
    save_npz,
)
from robult_core.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

# Scores that label.csv lacks, recovered from the label multisets of github pliang279/MFN.
RECOVERED = {
    "2WGyTLYerpo_44": 0.2,
    "5W7Z1C_fDaE_24": 2.4,
    "BioHAh1qJAQ_30": -2.0,
    "lXPQBPVc5Cw_30": -2.0,
}
FINGERPRINTS = {"audio": 814993.5390423746, "score": 269.70884321079615}
AUDIO_WIDTH = 73
SENTENCE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
COLUMNS = ["id", "video", "segment", "text", "score", "fold"]  # of mosi.csv


@runtime_checkable
class Encoder(Protocol):
    """What turns transcripts into vectors: normally the sentence encoder."""

    def encode(self, texts: list[str], /) -> Any:
        """Texts -> an `(N, 384)` array."""
        ...


def load_mosi(folder: Path, task: Task) -> MultimodalData:
    """2199 utterances: sentence embedding of the transcript, openSMILE audio, score in [-3, 3]."""
    arrays = _read_arrays(folder, ("text", "audio", "score"))
    table = _read_table(folder, arrays["score"])
    return _container("mosi", task, arrays["text"], arrays, table)


def load_mosi_tfidf(folder: Path, task: Task) -> MultimodalData:
    """MOSI with TF-IDF of the transcripts, reduced to 100 components, as its text.

    Both are fitted on the training transcripts only.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    arrays = _read_arrays(folder, ("audio", "score"))
    table = _read_table(folder, arrays["score"])
    transcripts = table["text"].to_numpy(dtype=object)
    train = (table["fold"] == "train").to_numpy()
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2))
    reduced = make_pipeline(words, TruncatedSVD(100, random_state=0))
    reduced.fit(transcripts[train])
    return _container("mosi-tfidf", task, reduced.transform(transcripts), arrays, table)


def _read_arrays(folder: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    path = folder / "mosi/mosi.npz"
    content = read_npz(path, keys, get_hint("mosi"))
    check_derived(path, content, FINGERPRINTS, get_hint("mosi"))
    return content


def _read_table(folder: Path, scores: np.ndarray) -> pd.DataFrame:
    """Text, score and fold of every utterance; DataError unless the rows are those of `scores`."""
    path = folder / "mosi/mosi.csv"
    table = _read_csv(path, usecols=["text", "score", "fold"])
    remedy = f"delete both, then {get_hint('mosi')}"
    if len(table) != len(scores):
        raise DataError(f"mosi.csv has {len(table)} rows but mosi.npz {len(scores)}: {remedy}")
    if not np.allclose(table["score"], scores, atol=1e-6):
        raise DataError(f"mosi.csv and mosi.npz in '{path.parent}' hold other scores: {remedy}")
    return table


def _container(
    name: str, task: Task, text: np.ndarray, arrays: dict[str, np.ndarray], table: pd.DataFrame
) -> MultimodalData:
    return MultimodalData(
        name=name,
        task=task,
        modalities={"text": torch.from_numpy(text), "audio": torch.from_numpy(arrays["audio"])},
        targets=torch.from_numpy(arrays["score"]),
        split=table["fold"].replace("dev", "valid").to_numpy(dtype="<U5"),
        display={"transcript": table["text"].tolist()},
    )


def _read_csv(path: Path, **options: Any) -> pd.DataFrame:
    with reading(path, "CSV", get_hint("mosi")):
        import pandas as pd

        return pd.read_csv(path, **options)


def get_mosi(folder: Path, base_url: str, encoder: Encoder | None = None) -> list[str]:
    """Build mosi.npz and mosi.csv below `folder` from the raw csv files just downloaded there."""
    encoder = encoder or sentence_encoder()
    build_mosi(folder / "mosi/raw", folder / "mosi/mosi.npz", encoder)
    if encoder is not None:
        return []
    remedy = "run pip install '.[text]' in the clone and get it again"
    return [f"only 'mosi-tfidf' is ready: 'mosi' needs its sentence encoder, {remedy}"]


def sentence_encoder() -> Encoder | None:
    """all-MiniLM-L6-v2 through sentence-transformers; None when it or its weights are absent."""
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(SENTENCE_ENCODER, device="cpu")
    except (ImportError, OSError):
        return None


def build_mosi(raw: Path, target: Path, encoder: Encoder | None = None) -> None:
    """Write mosi.npz and, in the same row order, mosi.csv from the raw csv files.

    Without an encoder the text embedding is left out, which `mosi-tfidf` does not need.
    """
    table = _utterances(raw)
    arrays = {
        "audio": _audio(raw, len(table)),
        "score": table["score"].to_numpy(np.float32),
    }
    check_derived(target, arrays, FINGERPRINTS, get_hint("mosi"))
    if encoder is not None:
        transcripts = [text.lower() for text in table["text"]]
        arrays["text"] = np.asarray(encoder.encode(transcripts), dtype=np.float32)
    save_npz(target, **arrays)
    table[COLUMNS].to_csv(target.with_suffix(".csv"), index=False, lineterminator="\n")


def _utterances(raw: Path) -> pd.DataFrame:
    """Id, video, segment, text, score and fold of every utterance; the fold is the video's."""
    table = _read_csv(raw / "transcripts.csv", header=None, usecols=[0, 1], names=["id", "text"])
    labels = _read_csv(raw / "label.csv", index_col="id")
    table["video"] = [_video(name) for name in table["id"]]
    table["segment"] = [name.rpartition("_")[2] for name in table["id"]]
    scores = {**RECOVERED, **labels["label"].to_dict()}
    table["score"] = [scores.get(name) for name in table["id"]]
    folds = {_video(name): fold for name, fold in labels["mode"].items()}
    table["fold"] = [folds[video] for video in table["video"]]
    return table


def _video(utterance: str) -> str:
    return utterance.rpartition("_")[0]


def _audio(raw: Path, n_utterances: int) -> np.ndarray:
    """`(N, 73)` openSMILE features in the order of the transcripts.

    Of text_train.csv and text_test.csv only the first column, the row number, is read: the
    features beside it were fitted with the labels.
    """
    audio = np.full((n_utterances, AUDIO_WIDTH), np.nan, dtype=np.float32)
    for fold in ("train", "test"):
        numbers = _read_csv(raw / f"text_{fold}.csv", header=None, usecols=[0])
        features = _read_csv(raw / f"audio_{fold}0.csv", header=None, usecols=range(AUDIO_WIDTH))
        rows = numbers[0].to_numpy(dtype=int)
        audio[rows] = features.to_numpy(np.float32)
    return audio
