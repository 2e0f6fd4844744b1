"""`pid`: a synthetic two-modality set whose information content is known exactly.

Five fair hidden bits: `redundancy` is in both modalities, `unique1` only in x1, `unique2` only in
x2, and `synergy` is the exclusive or of `synergy1` in x1 and `synergy2` in x2. A dial d in [0, 1]
sends its component through a binary symmetric channel of capacity d bits; the label is the tuple of
the channel outputs whose dial is above 0 (2, 4, 8 or 16 classes). The BROJA decomposition adds up
over independent systems, so each dial *is* its part of the PID in bits; `pid_truth` computes it
from the generating table all the same.

What a method sees: each modality's three bits as +-1 and five private Gaussian nuisances (deviation
1/2), mixed into 32 features by a fixed matrix with orthonormal columns, plus Gaussian noise of
deviation 0.2. All bits are always there, whether the label uses them or not. Reading a bit along
its column errs with probability Phi(-1 / 0.2) = 2.9e-7, so the ceilings of the table hold for the
features to within `READING_ERROR` (union bound over the six bits).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from types import MappingProxyType

import numpy as np
import torch

from robult_core.checks import check_count, check_seed
from robult_core.datasets.container import MultimodalData
from robult_core.information import PID, decompose
from robult_core.tasks import Classification

WIDTH = 32  # features per modality
NUISANCES = 5
NUISANCE_SCALE = 0.5
NOISE = 0.2
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
        for name in COMPONENTS:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                why = "a component is one bit, so it can give 0 to 1 bit"
                raise ValueError(f"dial {name}={value} is outside [0, 1]: {why}")

    @property
    def active(self) -> list[int]:
        """Which components the label depends on, by their place in `COMPONENTS`."""
        return [place for place, bits in enumerate(astuple(self)) if bits > 0]

    @property
    def flips(self) -> np.ndarray:
        """`(4,)` error rates of the channels that the components go through."""
        return np.array([flip_probability(bits) for bits in astuple(self)])


CASES: Mapping[str, Dials] = MappingProxyType(
    {
        "mixed": Dials(redundancy=1.0, unique1=0.8, unique2=0.6, synergy=0.4),
        "redundant": Dials(redundancy=1.0),
        "unique1": Dials(unique1=1.0),
        "unique2": Dials(unique2=1.0),
        "synergy": Dials(synergy=1.0),
        "shared_and_unique": Dials(redundancy=1.0, unique1=1.0, unique2=1.0),
        "noisy": Dials(redundancy=0.5, unique1=0.5),
    }
)


def dials_of(case: str | Dials) -> Dials:
    """The dials of a named case; dials pass through. ValueError names the cases there are."""
    if isinstance(case, Dials):
        return case
    if case not in CASES:
        choices = f"choose one of {', '.join(CASES)}, or pass Dials(...)"
        raise ValueError(f"pid has no case '{case}': {choices}")
    return CASES[case]


def pid_task(case: str | Dials) -> Classification:
    """One class per tuple of the components whose dial is above 0."""
    active = dials_of(case).active
    if not active:
        raise ValueError("all dials of pid are 0, so there is nothing to predict: turn one above 0")
    return Classification(n_outputs=2 ** len(active))


def flip_probability(bits: float) -> float:
    """Error rate in [0, 1/2] of the binary symmetric channel of this capacity: 1 - h(e) = bits."""
    from scipy.optimize import brentq

    if bits in (0.0, 1.0):
        return 0.5 * (1 - bits)

    def excess(e: float) -> float:
        return 1 + e * np.log2(e) + (1 - e) * np.log2(1 - e) - bits

    return brentq(excess, 1e-300, 0.5, xtol=1e-15)


def _tuple_index(bits: np.ndarray, active: list[int]) -> np.ndarray:
    """`(N, 4)` bits -> label: the active ones read as a binary number, redundancy first."""
    powers = 2 ** np.arange(len(active))[::-1]
    return bits[:, active] @ powers


def generating_table(case: str | Dials) -> np.ndarray:
    """Exact `P[x1, x2, y]`, shape (8, 8, classes).

    x1 = 4 redundancy + 2 unique1 + synergy1, and x2 alike.
    """
    dials = dials_of(case)
    active = dials.active
    flips = dials.flips[active]
    # (classes, components): what the channels give for each label; one empty row without any
    outputs = np.array(list(itertools.product((0, 1), repeat=len(active))), dtype=int)
    outputs = outputs.reshape(2 ** len(active), len(active))
    table = np.zeros((8, 8, len(outputs)))
    for redundancy, unique1, unique2, synergy1, synergy2 in itertools.product((0, 1), repeat=5):
        truth = np.array([redundancy, unique1, unique2, synergy1 ^ synergy2])[active]
        chance = np.where(outputs == truth, 1 - flips, flips).prod(axis=1)
        x1 = 4 * redundancy + 2 * unique1 + synergy1
        x2 = 4 * redundancy + 2 * unique2 + synergy2
        table[x1, x2] += chance / 32
    return table


def bayes_accuracy(table: np.ndarray) -> dict[str, float]:
    """Accuracy of the best possible classifier from x1, from x2 and from both.

    It is the sum over states of the largest p(x, y).
    """
    states = {"x1": table.sum(1), "x2": table.sum(0), "x1+x2": table}
    return {name: float(joint.max(-1).sum()) for name, joint in states.items()}


def pid_truth(case: str | Dials) -> dict[str, PID | dict[str, float]]:
    """`pid` (bits) and `bayes_accuracy` (per subset), both computed from `generating_table`."""
    table = generating_table(case)
    return {"pid": decompose(table), "bayes_accuracy": bayes_accuracy(table)}


def mixing_matrix(modality: int) -> np.ndarray:
    """The `(WIDTH, 3 + NUISANCES)` matrix of modality 0 or 1, with orthonormal columns.

    It is the same for every case, size and seed.
    """
    rng = np.random.default_rng([2026, modality])
    return np.linalg.qr(rng.standard_normal((WIDTH, 3 + NUISANCES)))[0]


def _features(bits: np.ndarray, modality: int, rng: np.random.Generator) -> torch.Tensor:
    """`(N, 3)` bits -> `(N, WIDTH)` features."""
    nuisance = NUISANCE_SCALE * rng.standard_normal((len(bits), NUISANCES))
    clean = np.column_stack([2 * bits - 1, nuisance]) @ mixing_matrix(modality).T
    return torch.from_numpy(clean + NOISE * rng.standard_normal(clean.shape)).float()


def load_pid(case: str | Dials = "mixed", n: int = 2000, seed: int = 0) -> MultimodalData:
    """Draw `n` samples, stratified 70/30.

    `display["components"]`: name -> (N,) int, the true bits (synergy and its two halves too).
    """
    from sklearn.model_selection import train_test_split

    dials = dials_of(case)
    task = pid_task(case)
    check_count("n", n)
    check_seed(seed)
    if n < 10 * task.n_outputs:
        enough = f"ask for at least {10 * task.n_outputs}"
        raise ValueError(f"n={n} is too few for {task.n_outputs} classes: {enough}")
    rng = np.random.default_rng(seed)
    redundancy, unique1, unique2, synergy1, synergy2 = rng.integers(0, 2, (5, n))
    bits = np.column_stack([redundancy, unique1, unique2, synergy1 ^ synergy2])
    flipped = rng.random((n, 4)) < dials.flips
    targets = _tuple_index(bits ^ flipped, dials.active)
    rows = np.arange(n)
    _, test = train_test_split(rows, test_size=0.3, stratify=targets, random_state=seed)
    hidden = dict(zip(COMPONENTS, bits.T, strict=True))
    named = isinstance(case, str) and case != "mixed"
    return MultimodalData(
        name=f"pid-{case}" if named else "pid",
        task=task,
        modalities={
            "x1": _features(np.column_stack([redundancy, unique1, synergy1]), 0, rng),
            "x2": _features(np.column_stack([redundancy, unique2, synergy2]), 1, rng),
        },
        targets=torch.from_numpy(targets),
        split=np.where(np.isin(rows, test), "test", "train"),
        class_names=_class_names(dials.active),
        display={"components": {**hidden, "synergy1": synergy1, "synergy2": synergy2}},
        source="synthetic, drawn by robult_core.datasets.pid",
        licence="MIT, as this package",
    )


def _class_names(active: list[int]) -> tuple[str, ...]:
    """Names such as "redundancy=0 unique1=1", in the order of the labels."""
    names = []
    for bits in itertools.product((0, 1), repeat=len(active)):
        texts = [f"{COMPONENTS[place]}={bit}" for place, bit in zip(active, bits, strict=True)]
        names.append(" ".join(texts))
    return tuple(names)
