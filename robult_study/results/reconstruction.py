"""What L_rec and the contrastive terms do to trained models: notebook 06 looks into them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from robult_core.datasets import MultimodalData
from robult_core.evaluation import predict
from robult_core.method import Batch, Method
from robult_core.training import make_batch
from robult_study.results.geometry import mean_cosine
from robult_study.results.latents import collect
from robult_study.results.metrics import direction
from robult_study.results.probes import Side, explained, probe_rows

UNLABELED_IN_BATCH = 48
LABELED_IN_BATCH = 16
COSINE = "cosine between z"


def mixed_batch(data: MultimodalData, labeled_rows: np.ndarray) -> Batch:
    """A batch of some training rows and of some labelled ones."""
    known = np.isin(np.arange(len(data)), labeled_rows)
    rows = np.union1d(probe_rows(data, UNLABELED_IN_BATCH), labeled_rows[:LABELED_IN_BATCH])
    return make_batch(data, rows, known)


def copies(models: Mapping[str, Method], data: MultimodalData) -> pd.DataFrame:
    """The share of the variance of h_i that u_i alone and z_i alone give back, per model.

    It is fitted on training rows, judged on test rows, and the mean over modalities.
    """
    rows = {}
    for label, model in models.items():
        train = collect(model, data, data.rows("train"))
        test = collect(model, data, data.rows("test"))
        rows[label] = {f"from {role}": _rebuilt(train, test, data, role) for role in "uz"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _rebuilt(
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    data: MultimodalData,
    role: str,
) -> float:
    shares = []
    for name in data.names:
        sides = [Side(side[f"{role}/{name}"], side[f"h/{name}"]) for side in (train, test)]
        shares.append(explained(*sides))
    return float(np.mean(shares))


def collapse(
    models: Mapping[str, Method], data: MultimodalData, labeled_rows: np.ndarray
) -> pd.DataFrame:
    """How well one modality predicts seen and unseen rows, and how alike the z are, per model.

    The number is the first metric, errors negated, mean over modalities, on the labelled rows, the
    test rows and the other training rows. `COSINE` is the mean cosine between the z_i of different
    test rows.
    """
    groups = {
        "labelled rows": np.sort(labeled_rows),
        "test rows": data.rows("test"),
        "other training rows": np.setdiff1d(data.rows("train"), labeled_rows),
    }
    rows = {}
    for label, model in models.items():
        rows[label] = {group: one_modality(model, data, chosen) for group, chosen in groups.items()}
        latents = collect(model, data, groups["test rows"])
        cosines = [mean_cosine(latents[f"z/{name}"]) for name in data.names]
        rows[label][COSINE] = np.mean(cosines)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def one_modality(model: Method, data: MultimodalData, rows: np.ndarray) -> float:
    """The first metric from one modality, errors negated, mean over modalities."""
    metric = data.task.primary
    targets = data.targets[rows].numpy()
    values = []
    for name in data.names:
        measured = data.task.metrics(predict(model, data, rows, (name,)), targets)
        values.append(measured[metric])
    return float(np.mean(values)) * direction(metric)
