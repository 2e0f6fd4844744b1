"""What a model's latents are, by name, and maps of them to look at.

Maps are t-SNE (van der Maaten and Hinton 2008) and UMAP (McInnes et al. 2018) of unit vectors. They
are the same bit for bit when made again: principal components are the start, and one thread works.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from robult_core.datasets import MultimodalData
from robult_core.method import Method

Latents = Mapping[str, np.ndarray]
MAPS = {"tsne": "t-SNE", "umap": "UMAP"}
LEAST_POINTS = 5
ROLES = ("s", "z", "u")  # the latents that maps and measures show; h is left out


@torch.no_grad()
def collect(method: Method, data: MultimodalData, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Latents of complete samples, without dropout.

    They are called "s", "z/text", "u/text", "h/text" and so on; each is `(n, d)` in float64.
    """
    method.eval()
    index = torch.from_numpy(np.asarray(rows))
    inputs = {name: values[index] for name, values in data.modalities.items()}
    latents = method.latents(inputs)
    return {name: latent.double().numpy() for name, latent in latents.items()}


def role_of(name: str) -> str:
    """The role of a latent, the letter before the slash."""
    return name.partition("/")[0]


def modality_of(name: str) -> str:
    """The modality of a latent; "all" for s, which has none of its own."""
    return name.partition("/")[2] or "all"


def of_roles(latents: Iterable[str], roles: Iterable[str] = ROLES) -> list[str]:
    """The names of the latents that have one of the roles."""
    wanted = set(roles)
    return [name for name in latents if role_of(name) in wanted]


def unit(points: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, as the contrastive loss sees them (reading 3); zero stays zero."""
    length = np.linalg.norm(points, axis=-1, keepdims=True)
    return points / np.where(length == 0, 1, length)


def embed(points: np.ndarray, kind: str, seed: int = 0) -> np.ndarray:
    """A map of unit vectors, `(n, d)` -> `(n, 2)`; kind: a key of `MAPS`.

    Raises ValueError for another kind or fewer than 5 points.
    """
    if kind not in MAPS or len(points) < LEAST_POINTS:
        raise ValueError(
            f"map {kind!r} of {len(points)} points: "
            f"choose one of {', '.join(MAPS)} and at least {LEAST_POINTS} points"
        )
    make = _tsne if kind == "tsne" else _umap
    with threadpool_limits(1):
        return make(len(points) - 1, seed).fit_transform(unit(points))


def _tsne(n_others: int, seed: int) -> Any:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, n_others / 3)
    return TSNE(perplexity=perplexity, init="pca", max_iter=500, random_state=seed)


def _umap(n_others: int, seed: int) -> Any:
    with warnings.catch_warnings():
        # umap tells about an optional backend that is not installed
        warnings.simplefilter("ignore", ImportWarning)
        from umap import UMAP

    # 200 epochs are enough for a map of a few thousand points; a fixed seed implies one job
    neighbors = min(15, n_others)
    return UMAP(n_neighbors=neighbors, init="pca", n_epochs=200, random_state=seed, n_jobs=1)


def map_frame(
    latents: Latents, rows: np.ndarray, labels: np.ndarray, kind: str, seed: int
) -> pd.DataFrame:
    """One common map of s, all z_i and all u_i: kind, role, modality, row, label, x, y."""
    names = of_roles(latents)
    points = np.concatenate([latents[name] for name in names])
    x, y = embed(points, kind, seed).T
    return pd.DataFrame(
        {
            "kind": MAPS[kind],
            "role": np.repeat([role_of(name) for name in names], len(rows)),
            "modality": np.repeat([modality_of(name) for name in names], len(rows)),
            "row": np.tile(rows, len(names)),
            "label": np.tile(labels, len(names)),
            "x": x,
            "y": y,
        }
    )
