"""Partial information decomposition (Eq. 1, Fig. 1): how much two sources tell about Y together, apart, and only in combination.

The decomposition is the one of Bertschinger et al. 2014 (BROJA), the only one with two sources for which sums of independent systems add
up. Among all q(x1, x2, y) with the same p(x1, y) and p(x2, y), q* is the one with the least I(X1, X2; Y); then

    R  = I(X1;Y) + I(X2;Y) - I_q*     U1 = I_q* - I(X2;Y)     U2 = I_q* - I(X1;Y)     S = I_p(X1,X2;Y) - I_q*

`decompose` solves that exactly for a table, `decompose_samples` after clustering features (CVX of Liang et al. 2023, arXiv 2302.12247),
`batch_estimate` with small networks (their BATCH). Everything is in bits; `PID.nats` converts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn


@dataclass(frozen=True)
class PID:
    """The four parts of I(X1, X2; Y), in bits."""

    redundancy: float
    unique1: float
    unique2: float
    synergy: float

    @classmethod
    def from_information(cls, first: float, second: float, union: float, both: float) -> PID:
        """From I(X1;Y), I(X2;Y), I_q*(X1,X2;Y) and I_p(X1,X2;Y), by the definitions above."""
        return cls(first + second - union, union - second, union - first, both - union)

    @property
    def total(self) -> float:
        return self.redundancy + self.unique1 + self.unique2 + self.synergy

    @property
    def nats(self) -> dict[str, float]:
        return {name: bits * math.log(2) for name, bits in asdict(self).items()}


def check_table(table: np.ndarray, ndim: int = 3) -> np.ndarray:
    """The table as float64; ValueError when it is no joint distribution with `ndim` axes."""
    p = np.asarray(table, dtype=np.float64)
    if p.ndim != ndim or p.size == 0:
        raise ValueError(
            f"a joint table with shape {p.shape} has {p.ndim} axes: expected {ndim}, none of them empty"
        )
    if not np.isfinite(p).all() or p.min() < 0:
        bad = p[~np.isfinite(p) | (p < 0)][0]
        raise ValueError(
            f"probability {bad} in the joint table is not a finite number >= 0: pass probabilities, not logits"
        )
    if abs(p.sum() - 1) > 1e-6:
        raise ValueError(f"the joint table sums to {p.sum():.6g}, not to 1: divide it by its sum")
    return p / p.sum()


def entropy(table: np.ndarray) -> float:
    """H in bits of a table of any shape; a state with mass 0 adds 0."""
    p = check_table(table, np.ndim(table))
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum())


def mutual_information(table: np.ndarray) -> float:
    """I(A; B) in bits from the `(a, b)` joint table."""
    p = check_table(table, 2)
    return max(0.0, entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p))


def decompose(table: np.ndarray) -> PID:
    """Exact BROJA decomposition of the joint table `P[x1, x2, y]` to about 1e-7 bits; ValueError for a table that is no distribution.

    States without mass are allowed. 6x6x10 takes about 15 ms, 20x20x10 about 0.6 s.
    """
    p = check_table(table)
    first, second = mutual_information(p.sum(1)), mutual_information(p.sum(0))
    both = mutual_information(p.reshape(-1, p.shape[2]))
    merged = _merge(_merge(p).transpose(1, 0, 2)).transpose(1, 0, 2)
    union = entropy(p.sum((0, 1))) - _largest_conditional_entropy(merged) / math.log(2)
    # Bounds that hold exactly; the solver meets them to its tolerance only.
    return PID.from_information(
        first, second, max(first, second, min(union, both, first + second)), both
    )


def _merge(p: np.ndarray) -> np.ndarray:
    """Add up the states of x1 that say the same about y: I_q* depends on p(y | x1) only, and the programme shrinks."""
    given = p.sum(1) / np.maximum(p.sum((1, 2)), 1e-300)[:, None]
    kinds, index = np.unique(given.round(12), axis=0, return_inverse=True)
    return np.stack([p[index == kind].sum(0) for kind in range(len(kinds))])


def _largest_conditional_entropy(p: np.ndarray, tolerance: float = 1e-9) -> float:
    """max H_q(Y | X1, X2) in nats over q with the pair marginals of `p`, by the interior-point solver Clarabel.

    Variables are q per possible cell, t >= q log(q / m) per cell and m = q(x1, x2) per pair: minimise sum t. One exponential cone
    (-t, q, m) per cell. Handing the cones over directly is ten times faster than going through a modelling language.
    """
    import clarabel
    from scipy import sparse

    first, second = p.sum(1), p.sum(0)
    i, j, y = np.nonzero((first[:, None] > 0) & (second[None] > 0))
    n, ones = len(i), np.ones(len(i))

    def indicator(groups: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
        present, index = np.unique(groups, return_inverse=True)
        return sparse.csr_matrix((ones, (index, np.arange(n))), shape=(len(present), n)), present

    sum1, used1 = indicator(i * p.shape[2] + y)
    sum2, used2 = indicator(j * p.shape[2] + y)
    pairs, used = indicator(i * p.shape[1] + j)
    c, eye = len(used), sparse.identity(n, format="csr")
    no_t = sparse.csr_matrix((len(used1), n))
    no_m = sparse.csr_matrix((len(used1), c))
    equal = sparse.block_array(
        [[sum1, no_t, no_m], [sum2, None, None], [pairs, None, -sparse.identity(c)]]
    )
    cones = sparse.block_array(
        [[None, eye, None], [-eye, None, None], [None, None, -pairs.T]]
    ).tocsr()
    cones = cones[
        np.arange(3 * n).reshape(3, n).T.ravel()
    ]  # (-t, q, m) of one cell next to each other
    right = np.concatenate([first.ravel()[used1], second.ravel()[used2], np.zeros(c + 3 * n)])
    cost = np.concatenate([np.zeros(n), ones, np.zeros(c)])
    kinds = [clarabel.ZeroConeT(equal.shape[0])] + [clarabel.ExponentialConeT()] * n
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    quadratic = sparse.csc_matrix((len(cost), len(cost)))
    rows = sparse.vstack([equal, cones]).tocsc()
    solution = clarabel.DefaultSolver(quadratic, cost, rows, right, kinds, settings).solve()
    if "Solved" not in str(solution.status):
        raise RuntimeError(
            f"solver: '{solution.status}' on a {p.shape} table: merge states that are almost empty"
        )
    return -solution.obj_val


def gate_table(label: Callable[[int, int], int]) -> np.ndarray:
    """`P[x1, x2, y]` of two independent fair bits and y = label(x1, x2)."""
    values = np.array([[label(a, b) for b in (0, 1)] for a in (0, 1)])
    return np.eye(values.max() + 1)[values] / 4


def discretize(
    features: np.ndarray, clusters: int, seed: int = 0, components: int = 5
) -> np.ndarray:
    """States `(N,)` of `(N, F)` features as Liang et al. form them: unit rows, PCA, k-means. 1-D integers are states already."""
    features = np.asarray(features)
    if features.ndim == 1 and features.dtype.kind in "iub":
        return np.unique(features, return_inverse=True)[1]
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(
            f"features of shape {features.shape}: pass a finite (N, F) array, or (N,) integer states"
        )
    if not 1 <= clusters <= len(features):
        raise ValueError(
            f"clusters={clusters} does not fit {len(features)} samples: choose 1 to {len(features)}"
        )
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    width = min(components, *features.shape)
    reduced = PCA(width, svd_solver="full").fit_transform(normalize(features.astype(np.float64)))
    return KMeans(clusters, n_init=3, random_state=seed).fit_predict(reduced)


def joint_table(*states: np.ndarray) -> np.ndarray:
    """Empirical joint distribution of integer columns `(N,)`, one axis per column."""
    if len({len(column) for column in states}) != 1 or not len(states[0]):
        raise ValueError(
            f"columns of {list(map(len, states))} samples: give each the same samples, at least one"
        )
    codes = [np.unique(column, return_inverse=True)[1] for column in states]
    table = np.zeros([code.max() + 1 for code in codes])
    np.add.at(table, tuple(codes), 1.0)
    return table / len(states[0])


def decompose_samples(
    x1: ArrayLike, x2: ArrayLike, y: ArrayLike, clusters: int = 20, seed: int = 0
) -> PID:
    """Plug-in estimate: cluster `(N, F)` features, count, decompose. Biased upwards, most in synergy, when N is not far above
    clusters^2 x classes; compare with `permutation_baseline`."""
    return decompose(
        joint_table(discretize(x1, clusters, seed), discretize(x2, clusters, seed), np.asarray(y))
    )


def permutation_baseline(
    x1: ArrayLike,
    x2: ArrayLike,
    y: ArrayLike,
    clusters: int = 20,
    seed: int = 0,
    n_permutations: int = 20,
) -> list[PID]:
    """What `decompose_samples` answers when y is shuffled, so that the truth is 0: one PID per shuffle."""
    rng = np.random.default_rng(seed)
    first, second = discretize(x1, clusters, seed), discretize(x2, clusters, seed)
    return [
        decompose(joint_table(first, second, rng.permutation(np.asarray(y))))
        for _ in range(n_permutations)
    ]


def sinkhorn(
    matrix: Tensor, rows: Tensor, columns: Tensor, tolerance: float = 0.01, calls: int = 500
) -> Tensor:
    """Scale a positive `(A, B)` matrix until its row sums are `rows` and its column sums `columns`, or `calls` are used up.

    One call scales the columns and, unless the rows now fit, the rows (the order of the released BATCH code).
    """
    for _ in range(calls):
        matrix = matrix * (columns / matrix.sum(0).clamp_min(1e-12))
        if torch.allclose(matrix.sum(1), rows, rtol=0, atol=tolerance):
            break
        matrix = matrix * (rows / matrix.sum(1).clamp_min(1e-12))[:, None]
        if torch.allclose(matrix.sum(0), columns, rtol=0, atol=tolerance):
            break
    return matrix


def alignment_information(
    logits: Tensor, given1: Tensor, given2: Tensor, prior: Tensor
) -> tuple[Tensor, Tensor]:
    """I_q(X2;Y|X1), the loss of BATCH, and I_q(X1,X2;Y), both in nats.

    logits `(A, B, Y)` of q, given1 `(A, Y)` = p(y|x1), given2 `(B, Y)` = p(y|x2), prior `(Y,)` = p(y).
    """
    # Within a batch the two sides disagree a little on p(y), and no matrix fits both: the second side gives way.
    given2 = given2 * (given1.sum(0) / given2.sum(0).clamp_min(1e-12))
    scaled = [sinkhorn(logits[..., k].exp(), given1[:, k], given2[:, k]) for k in range(len(prior))]
    q = torch.stack(scaled, dim=-1)
    q = q / q.sum(1, keepdim=True).clamp_min(1e-12)  # q(b | a, y)
    weights = given1[:, None] * q
    ratio = q.clamp_min(1e-12).log() - weights.sum(-1, keepdim=True).clamp_min(1e-12).log()
    conditional = (weights * ratio).sum((1, 2)).mean()
    return conditional, conditional + posterior_information(given1, prior)


def posterior_information(given: Tensor, prior: Tensor) -> Tensor:
    """I(X;Y) in nats from posteriors `(N, Y)`: the mean of KL(p(y|x) || p(y))."""
    return (given * (given.clamp_min(1e-12).log() - prior.clamp_min(1e-12).log())).sum(-1).mean()


def _network(width: int, outputs: int) -> nn.Sequential:
    """The MLP of BATCH: four hidden layers of 32."""
    hidden = [
        part for a, b in pairwise([width, 32, 32, 32, 32]) for part in (nn.Linear(a, b), nn.ReLU())
    ]
    return nn.Sequential(*hidden, nn.Linear(32, outputs))


def _minimize(
    module: nn.Module, loss: Callable[[Tensor], Tensor], rows: Tensor, epochs: int, batch: int
) -> None:
    """Adam at 1e-3 over shuffled batches of `rows`; a last partial batch is left out of its epoch."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(epochs):
        for index in rows[torch.randperm(len(rows))].split(batch):
            if len(index) == min(batch, len(rows)):
                optimizer.zero_grad()
                loss(index).backward()
                optimizer.step()


def batch_estimate(
    x1: ArrayLike,
    x2: ArrayLike,
    y: ArrayLike,
    seed: int = 0,
    epochs: int = 10,
    classifier_epochs: int = 40,
    batch: int = 256,
) -> PID:
    """BATCH of Liang et al. from `(N, F)` features and `(N,)` integer labels; parts may come out slightly negative.

    Three classifiers give p(y|x1), p(y|x2), p(y|x1,x2); two networks of width 10 learn q(x1, x2 | y). Fitted on a random 3/4 of the
    samples, measured on the rest. Leaves the global random state as it was; run on one thread for equal bits.
    """
    if not len(x1) == len(x2) == len(y) >= 8:
        raise ValueError(
            f"x1, x2, y of {len(x1)}, {len(x2)}, {len(y)} samples: give each the same samples, at least 8"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sources = [
            torch.from_numpy(np.asarray(x, dtype=np.float32)).reshape(len(x), -1) for x in (x1, x2)
        ]
        codes = torch.from_numpy(np.unique(np.asarray(y), return_inverse=True)[1])
        classes = int(codes.max()) + 1
        test, train = torch.randperm(len(codes)).tensor_split([len(codes) // 4])
        prior = torch.bincount(codes[train], minlength=classes) / len(train)
        given = []
        for x in (*sources, torch.cat(sources, dim=1)):
            net = _network(x.shape[1], classes)
            loss = partial(_classification_loss, net, x, codes)
            _minimize(net, loss, train, classifier_epochs, batch)
            given.append(net(x).softmax(-1).detach())
        align = nn.ModuleList(_network(x.shape[1], classes * 10) for x in sources)

        def information(b: Tensor) -> tuple[Tensor, Tensor]:
            shapes = [
                net(x[b]).reshape(len(b), classes, 10)
                for net, x in zip(align, sources, strict=True)
            ]
            first, second = (nn.functional.layer_norm(e, (10,), eps=1e-8) for e in shapes)
            logits = torch.einsum("ayd,byd->aby", first, second) / math.sqrt(10)
            return alignment_information(logits, given[0][b], given[1][b], prior)

        _minimize(align, lambda b: information(b)[0], train, epochs, batch)
        with torch.no_grad():
            parts = [b for b in test.split(batch) if len(b) == min(batch, len(test))]
            union = torch.stack([information(b)[1] for b in parts]).mean()
            first, second, both = (posterior_information(p[test], prior) for p in given)
        return PID.from_information(
            *(value.item() / math.log(2) for value in (first, second, union, both))
        )


def _classification_loss(net: nn.Module, x: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(x[rows]), codes[rows])
