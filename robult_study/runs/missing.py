"""Modalities that go missing in training, and what can be done about it.

The paper leaves training on incomplete samples open ("remains untapped"). Here each modality of
each training sample is missing with a probability, and every sample keeps at least one. Test
samples stay complete, and the labelled samples are those that would be labelled anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from sklearn.impute import KNNImputer
from torch import Tensor

from robult_core.datasets.container import MultimodalData
from robult_core.protocol import random_missing

MASKED = "masked"


def has_all(data: MultimodalData, rate: float, seed: int) -> np.ndarray:
    """The training samples that keep every modality, as rows of the data."""
    train = data.rows("train")
    present = random_missing(len(train), len(data.names), rate, seed)
    return train[present.all(dim=0).numpy()]


def without_some(data: MultimodalData, rate: float, remedy: str, seed: int) -> MultimodalData:
    """Standardised data in which training samples lack modalities, with a remedy of `REMEDIES`.

    The mask depends on the rate and the seed alone, so all remedies meet the same losses. Means and
    deviations come from what is left.
    """
    train = torch.from_numpy(data.rows("train"))
    present = torch.ones(len(data.names), len(data), dtype=torch.bool)
    present[:, train] = random_missing(len(train), len(data.names), rate, seed)
    there = dict(zip(data.names, present, strict=True))
    kept = {
        name: x * there[name].reshape(-1, *[1] * (x.ndim - 1))
        for name, x in data.modalities.items()
    }
    masked = replace(data, modalities=kept, present=present).standardized()
    return REMEDIES[remedy](masked)


def _as_it_is(data: MultimodalData) -> MultimodalData:
    """A sample takes part with what it has."""
    return data


def _dropped(data: MultimodalData) -> MultimodalData:
    """Training samples that lack a modality take no part: they are no training rows any more."""
    lacking = ~_present(data).all(dim=0).numpy()
    split = np.where((data.split == "train") & lacking, "valid", data.split)
    return replace(data, split=split, present=None)


def _means(data: MultimodalData) -> MultimodalData:
    """The mean of the training samples that have the modality; it is 0 in standardised data."""
    return replace(data, present=None)


def _neighbours(data: MultimodalData) -> MultimodalData:
    """The mean of the 5 nearest training samples, by what both samples have."""
    train = torch.from_numpy(data.rows("train"))
    features = [x[train].flatten(1).clone() for x in data.modalities.values()]
    for x, is_there in zip(features, _present(data)[:, train], strict=True):
        x[~is_there] = torch.nan
    filled = KNNImputer(keep_empty_features=True).fit_transform(torch.cat(features, 1).numpy())
    parts = torch.from_numpy(filled).float().split([x.shape[1] for x in features], dim=1)
    modalities = {}
    for (name, x), part in zip(data.modalities.items(), parts, strict=True):
        modalities[name] = x.clone()
        modalities[name][train] = part.reshape(len(train), *x.shape[1:])
    return replace(data, modalities=modalities, present=None)


def _present(data: MultimodalData) -> Tensor:
    assert data.present is not None
    return data.present


REMEDIES: dict[str, Callable[[MultimodalData], MultimodalData]] = {
    MASKED: _as_it_is,
    "dropped": _dropped,
    "mean": _means,
    "neighbours": _neighbours,
}
