"""How clouds of latents lie: numbers that need no picture.

Alignment and uniformity are those of Wang and Isola 2020, linear CKA that of Kornblith et al. 2019,
and the modality gap that of Liang et al. 2022. Every latent is `(n, d)`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from robult_study.results.latents import Latents, of_roles, role_of, unit
from robult_study.results.probes import Side, modality_probe, probe_accuracy


def alignment(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared distance of partners as unit vectors: 0 equal, 2 unrelated, 4 opposite."""
    return float(((unit(a) - unit(b)) ** 2).sum(1).mean())


def uniformity(a: np.ndarray) -> float:
    """log mean exp(-2 |x - y|^2) over pairs of rows as unit vectors.

    0 when all are one point, near -4 when they are spread out.
    """
    from scipy.spatial.distance import pdist

    squared = pdist(unit(a), "sqeuclidean")
    return float(np.log(np.exp(-2 * squared).mean()))


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear centred kernel alignment of `(n, d)` and `(n, e)`.

    1 for equal up to rotation and scale, 0 for linearly unrelated or constant.
    """
    a = a - a.mean(0)
    b = b - b.mean(0)
    norm = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    if norm == 0:
        return 0.0
    return float(np.linalg.norm(a.T @ b) ** 2 / norm)


def modality_gap(a: np.ndarray, b: np.ndarray) -> float:
    """Distance between the centres of two clouds of unit vectors, 0 to 2."""
    return float(np.linalg.norm(unit(a).mean(0) - unit(b).mean(0)))


def mean_cosine(a: np.ndarray) -> float:
    """Mean cosine between different rows: 1 when all lie in one direction."""
    directions = unit(a)
    cosines = directions @ directions.T
    different = ~np.eye(len(a), dtype=bool)
    return float(cosines[different].mean())


TO_S = {"alignment to s": alignment, "gap to s": modality_gap, "CKA with s": linear_cka}


def describe(
    train: Latents, test: Latents, train_labels: np.ndarray, test_labels: np.ndarray
) -> pd.DataFrame:
    """All these numbers and the probes of one model: latent, measure, value, role.

    A method without unique parts, such as GMC, has no rows of u.
    """
    rows = []
    for role in dict.fromkeys(map(role_of, of_roles(test, "zu"))):
        rows.append((role, "probe: modality", modality_probe(train, test, role)))
    for name in of_roles(test):
        sides = Side(train[name], train_labels), Side(test[name], test_labels)
        rows.append((name, "probe: class", probe_accuracy(*sides)))
        rows.append((name, "uniformity", uniformity(test[name])))
        if name != "s":
            for measure, function in TO_S.items():
                rows.append((name, measure, function(test["s"], test[name])))
    frame = pd.DataFrame(rows, columns=["latent", "measure", "value"])
    return frame.assign(role=frame["latent"].map(role_of))
