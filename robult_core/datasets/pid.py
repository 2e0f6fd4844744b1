"""`pid`: a synthetic two-modality set whose information content is known exactly.

Five fair hidden bits: `redundancy` is in both modalities, `unique1` only in x1, `unique2` only in x2, and `synergy` is the exclusive or of
`synergy1` in x1 and `synergy2` in x2. A dial d in [0, 1] sends its component through a binary symmetric channel of capacity d bits; the
label is the tuple of the channel outputs whose dial is above 0 (2, 4, 8 or 16 classes). The BROJA decomposition adds up over independent
systems, so each dial *is* its part of the PID in bits; `pid_truth` computes it from the generating table all the same.

What a method sees: each modality's three bits as +-1 and five private Gaussian nuisances (deviation 1/2), mixed into 32 features by a
fixed matrix with orthonormal columns, plus Gaussian noise of deviation 0.2. All bits are always there, whether the label uses them or not.
Reading a bit along its column errs with probability Phi(-1 / 0.2) = 2.9e-7, so the ceilings of the table hold for the features to within
`READING_ERROR` (union bound over the six bits).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from types import MappingProxyType

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.information import PID, decompose
from robult_core.tasks import Classification

WIDTH, NUISANCES, NUISANCE_SCALE, NOISE = 32, 5, 0.5, 0.2
READING_ERROR = 6 * 2.8665157e-7  # 6 Phi(-1 / NOISE)
COMPONENTS = ("redundancy", "unique1", "unique2", "synergy")


@dataclass(frozen=True)
class Dials:
    """Bits that the label carries about each component, 0 to 1 each."""

    redundancy: float = 0.0
    unique1: float = 0.0
    unique2: float = 0.0
    synergy: float = 0.0

    def __post_init__(self) -> None:
        for name, value in zip(COMPONENTS, astuple(self), strict=True):
            if not 0 <= value <= 1:
                raise ValueError(
                    f"dial {name}={value} is outside [0, 1]: a component is one bit, so it can give 0 to 1 bit"
                )


CASES: Mapping[str, Dials] = MappingProxyType(
    {
        "mixed": Dials(1.0, 0.8, 0.6, 0.4),
        "redundant": Dials(redundancy=1.0),
        "unique1": Dials(unique1=1.0),
        "unique2": Dials(unique2=1.0),
        "synergy": Dials(synergy=1.0),
        "shared_and_unique": Dials(redundancy=1.0, unique1=1.0, unique2=1.0),
        "noisy": Dials(redundancy=0.5, unique1=0.5),
    }
)


def dials_of(case: str | Dials) -> Dials:
    """The dials of a named case; dials pass through. KeyError names the cases there are."""
    if isinstance(case, Dials):
        return case
    if case not in CASES:
        raise KeyError(
            f"pid has no case '{case}': choose one of {', '.join(CASES)}, or pass Dials(...)"
        )
    return CASES[case]


def flip_probability(bits: float) -> float:
    """Error rate in [0, 1/2] of the binary symmetric channel with this capacity: 1 - h(e) = bits."""
    from scipy.optimize import brentq

    if bits in (0.0, 1.0):
        return 0.5 * (1 - bits)
    return brentq(
        lambda e: 1 + e * np.log2(e) + (1 - e) * np.log2(1 - e) - bits, 1e-300, 0.5, xtol=1e-15
    )


def _tuple_index(parts: np.ndarray, active: list[int]) -> np.ndarray:
    """`(N, 4)` bits -> label: the active ones read as a binary number, redundancy first."""
    return parts[:, active] @ (2 ** np.arange(len(active))[::-1])


def generating_table(case: str | Dials) -> np.ndarray:
    """Exact `P[x1, x2, y]`, shape (8, 8, classes); x1 = 4 redundancy + 2 unique1 + synergy1, x2 alike."""
    dials = astuple(dials_of(case))
    active = [k for k, dial in enumerate(dials) if dial > 0]
    flips = np.array([flip_probability(dials[k]) for k in active])
    k = len(active)
    outputs = np.array(list(itertools.product((0, 1), repeat=k)), dtype=int).reshape(2**k, k)
    table = np.zeros((8, 8, len(outputs)))
    for r, u1, u2, a, b in itertools.product((0, 1), repeat=5):
        truth = np.array([r, u1, u2, a ^ b])[active]
        chance = np.where(outputs == truth, 1 - flips, flips).prod(axis=1)
        table[4 * r + 2 * u1 + a, 4 * r + 2 * u2 + b] += chance / 32
    return table


def bayes_accuracy(table: np.ndarray) -> dict[str, float]:
    """Accuracy of the best possible classifier from x1, from x2 and from both: the sum over states of the largest p(x, y)."""
    states = {"x1": table.sum(1), "x2": table.sum(0), "x1+x2": table}
    return {name: float(part.max(-1).sum()) for name, part in states.items()}


def pid_truth(case: str | Dials) -> dict[str, PID | dict[str, float]]:
    """`pid` (bits) and `bayes_accuracy` (per subset of modalities), both computed from `generating_table`."""
    table = generating_table(case)
    return {"pid": decompose(table), "bayes_accuracy": bayes_accuracy(table)}


def mixing_matrix(modality: int) -> np.ndarray:
    """The fixed `(WIDTH, 3 + NUISANCES)` matrix of modality 0 or 1, orthonormal columns; the same for every case, size and seed."""
    square = np.random.default_rng([2026, modality]).standard_normal((WIDTH, 3 + NUISANCES))
    return np.linalg.qr(square)[0]


def _features(bits: np.ndarray, modality: int, rng: np.random.Generator) -> torch.Tensor:
    """`(N, 3)` bits -> `(N, WIDTH)` features."""
    nuisance = NUISANCE_SCALE * rng.standard_normal((len(bits), NUISANCES))
    clean = np.column_stack([2 * bits - 1, nuisance]) @ mixing_matrix(modality).T
    return torch.from_numpy(clean + NOISE * rng.standard_normal(clean.shape)).float()


def load_pid(case: str | Dials = "mixed", n: int = 2000, seed: int = 0) -> MultimodalData:
    """Draw `n` samples, stratified 70/30. `display["components"]`: name -> (N,) int, the true bits (synergy and its two halves too)."""
    from sklearn.model_selection import train_test_split

    dials = dials_of(case)
    active = [k for k, dial in enumerate(astuple(dials)) if dial > 0]
    classes = 2 ** len(active)
    if not active:
        raise ValueError("all dials of pid are 0, so there is nothing to predict: turn one above 0")
    if n < 10 * classes:
        raise ValueError(f"n={n} is too few for {classes} classes: ask for at least {10 * classes}")
    rng = np.random.default_rng(seed)
    r, u1, u2, a, b = rng.integers(0, 2, (5, n))
    parts = np.column_stack([r, u1, u2, a ^ b])
    flips = rng.random((n, 4)) < [flip_probability(dial) for dial in astuple(dials)]
    targets = _tuple_index(parts ^ flips, active)
    test = train_test_split(np.arange(n), test_size=0.3, stratify=targets, random_state=seed)[1]
    names, labels = [COMPONENTS[k] for k in active], itertools.product((0, 1), repeat=len(active))
    return MultimodalData(
        name=f"pid-{case}" if isinstance(case, str) and case != "mixed" else "pid",
        task=Classification(n_outputs=classes),
        modalities={
            "x1": _features(np.column_stack([r, u1, a]), 0, rng),
            "x2": _features(np.column_stack([r, u2, b]), 1, rng),
        },
        targets=torch.from_numpy(targets),
        split=np.where(np.isin(np.arange(n), test), "test", "train"),
        class_names=tuple(" ".join(map("{}={}".format, names, bits)) for bits in labels),
        display={
            "components": dict(
                zip((*COMPONENTS, "synergy1", "synergy2"), (*parts.T, a, b), strict=True)
            )
        },
        source="synthetic, drawn by robult_core.datasets.pid",
        licence="MIT, as this package",
    )
