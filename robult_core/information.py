"""Partial information decomposition (Eq. 1, Fig. 1): what two sources tell about Y, and how.

They tell it each (redundancy R), one of them (unique U1 and U2), or only together (synergy S). The
decomposition is the one of Bertschinger et al. 2014 (BROJA), the only one with two sources for
which sums of independent systems add up. Among all q(x1, x2, y) with the same p(x1, y) and p(x2,
y), q* is the one with the least I(X1, X2; Y); then

    R  = I(X1;Y) + I(X2;Y) - I_q*    U1 = I_q* - I(X2;Y)    U2 = I_q* - I(X1;Y)
    S  = I_p(X1,X2;Y) - I_q*

`decompose` solves that exactly for a table, `decompose_samples` after clustering features (CVX of
Liang et al. 2023, arXiv 2302.12247), and `batch_estimate` with small networks (their BATCH).
Everything is in bits; `PID.nats` converts. A table is `P[x1, x2, y]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor, nn

from robult_core.checks import check_count, check_seed

if TYPE_CHECKING:
    from scipy import sparse

TINY = 1e-12  # keeps logarithms and quotients of probabilities finite


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
        return cls(
            redundancy=first + second - union,
            unique1=union - second,
            unique2=union - first,
            synergy=both - union,
        )

    @property
    def total(self) -> float:
        """I(X1, X2; Y), which the parts add up to."""
        return self.redundancy + self.unique1 + self.unique2 + self.synergy

    @property
    def nats(self) -> dict[str, float]:
        """The parts by name, in nats."""
        return {name: bits * math.log(2) for name, bits in asdict(self).items()}


# --- information in a table -----------------------------------------------------------------------


def check_table(table: np.ndarray, ndim: int = 3) -> np.ndarray:
    """The table as float64; ValueError when it is no joint distribution with `ndim` axes."""
    p = np.asarray(table, dtype=np.float64)
    if p.ndim != ndim or p.size == 0:
        raise ValueError(
            f"a joint table with shape {p.shape} has {p.ndim} axes: "
            f"expected {ndim}, none of them empty"
        )
    impossible = p[~np.isfinite(p) | (p < 0)]
    if len(impossible):
        raise ValueError(
            f"probability {impossible[0]} in the joint table is not a finite number >= 0: "
            "pass probabilities, not logits"
        )
    if abs(p.sum() - 1) > 1e-6:
        raise ValueError(f"the joint table sums to {p.sum():.6g}, not to 1: divide it by its sum")
    return p / p.sum()


def entropy(table: np.ndarray) -> float:
    """H in bits of a table of any shape; a state with mass 0 adds 0."""
    p = check_table(table, np.ndim(table))
    mass = p[p > 0]
    return float(-(mass * np.log2(mass)).sum())


def mutual_information(table: np.ndarray) -> float:
    """I(A; B) in bits from the `(a, b)` joint table."""
    p = check_table(table, 2)
    information = entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p)
    return max(0.0, information)


def gate_table(label: Callable[[int, int], int]) -> np.ndarray:
    """`P[x1, x2, y]` of two independent fair bits and y = label(x1, x2)."""
    y = np.array([[label(x1, x2) for x2 in (0, 1)] for x1 in (0, 1)])
    one_hot = np.eye(y.max() + 1)[y]
    return one_hot / 4


# --- the exact decomposition ----------------------------------------------------------------------


def decompose(table: np.ndarray) -> PID:
    """The exact BROJA decomposition of the joint table, to about 1e-7 bits.

    States without mass are allowed. A 6x6x10 table takes about 15 ms, 20x20x10 about 0.6 s. Raises
    ValueError for a table that is no distribution.
    """
    p = check_table(table)
    first = mutual_information(p.sum(1))
    second = mutual_information(p.sum(0))
    both = mutual_information(p.reshape(-1, p.shape[2]))
    merged = _merge(p)
    merged = _merge(merged.transpose(1, 0, 2)).transpose(1, 0, 2)
    conditional = _largest_conditional_entropy(merged) / math.log(2)
    union = entropy(p.sum((0, 1))) - conditional
    # These bounds hold exactly; the solver meets them to its tolerance only.
    union = min(union, both, first + second)
    union = max(first, second, union)
    return PID.from_information(first, second, union, both)


def _merge(p: np.ndarray) -> np.ndarray:
    """Add up the states of x1 that say the same about y.

    I_q* depends on p(y | x1) only, and the programme shrinks.
    """
    mass = np.maximum(p.sum((1, 2)), 1e-300)
    given = p.sum(1) / mass[:, None]  # p(y | x1)
    kinds, kind_of = np.unique(given.round(12), axis=0, return_inverse=True)
    return np.stack([p[kind_of == kind].sum(0) for kind in range(len(kinds))])


def _largest_conditional_entropy(p: np.ndarray, tolerance: float = 1e-9) -> float:
    """max H_q(Y | X1, X2) in nats over q with the pair marginals of `p`, by the solver Clarabel.

    The variables are q and t >= q log(q / m) of each possible cell, and m = q(x1, x2) of each pair;
    the sum of t is minimised. Each cell has one exponential cone (-t, q, m). Handing the cones over
    directly is ten times faster than going through a modelling language.
    """
    import clarabel
    from scipy import sparse

    first = p.sum(1)  # p(x1, y)
    second = p.sum(0)  # p(x2, y)
    possible = (first[:, None] > 0) & (second[None] > 0)
    x1, x2, y = np.nonzero(possible)
    n_cells = len(y)
    sums1, used1 = _indicator(x1 * p.shape[2] + y)
    sums2, used2 = _indicator(x2 * p.shape[2] + y)
    pairs, used_pairs = _indicator(x1 * p.shape[1] + x2)
    n_pairs = len(used_pairs)

    equalities = _equalities(sums1, sums2, pairs)
    cones = _cones(pairs)
    marginals = [first.ravel()[used1], second.ravel()[used2]]
    right = np.concatenate([*marginals, np.zeros(n_pairs + 3 * n_cells)])
    cost = np.concatenate([np.zeros(n_cells), np.ones(n_cells), np.zeros(n_pairs)])
    kinds = [clarabel.ZeroConeT(equalities.shape[0])]
    kinds += [clarabel.ExponentialConeT()] * n_cells

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = tolerance
    settings.tol_gap_rel = tolerance
    settings.tol_feas = tolerance
    no_quadratic = sparse.csc_matrix((len(cost), len(cost)))
    rows = sparse.vstack([equalities, cones]).tocsc()
    solver = clarabel.DefaultSolver(no_quadratic, cost, rows, right, kinds, settings)
    solution = solver.solve()
    if "Solved" not in str(solution.status):
        raise RuntimeError(
            f"solver: '{solution.status}' on a {p.shape} table: merge states that are almost empty"
        )
    return -solution.obj_val


def _indicator(group: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The matrix that sums cells by their `group`, and the groups that occur, in its order."""
    from scipy import sparse

    occurring, row = np.unique(group, return_inverse=True)
    cell = np.arange(len(group))
    shape = (len(occurring), len(group))
    return sparse.csr_matrix((np.ones(len(group)), (row, cell)), shape=shape), occurring


def _equalities(
    sums1: sparse.csr_matrix, sums2: sparse.csr_matrix, pairs: sparse.csr_matrix
) -> sparse.coo_matrix:
    """Rows over (q, t, m): both marginals of q are given, and q summed over y is m."""
    from scipy import sparse

    n_pairs, n_cells = pairs.shape
    no_t = sparse.csr_matrix((sums1.shape[0], n_cells))
    no_m = sparse.csr_matrix((sums1.shape[0], n_pairs))
    blocks = [
        [sums1, no_t, no_m],
        [sums2, None, None],
        [pairs, None, -sparse.identity(n_pairs)],
    ]
    return sparse.block_array(blocks)


def _cones(pairs: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows over (q, t, m) that give (-t, q, m) of one cell after the other."""
    from scipy import sparse

    n_cells = pairs.shape[1]
    eye = sparse.identity(n_cells, format="csr")
    blocks = [
        [None, eye, None],
        [-eye, None, None],
        [None, None, -pairs.T],
    ]
    by_kind = sparse.block_array(blocks).tocsr()
    by_cell = np.arange(3 * n_cells).reshape(3, n_cells).T
    return by_kind[by_cell.ravel()]


# --- the plug-in estimate -------------------------------------------------------------------------


def discretize(
    features: np.ndarray, clusters: int, seed: int = 0, components: int = 5
) -> np.ndarray:
    """States `(N,)` of `(N, F)` features as Liang et al. form them: unit rows, PCA, k-means.

    Integers `(N,)` are states already. Raises ValueError for features that are not finite and for
    more clusters than samples.
    """
    check_seed(seed)
    features = np.asarray(features)
    if features.ndim == 1 and features.dtype.kind in "iub":
        return _codes(features)
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(
            f"features of shape {features.shape}: "
            "pass a finite (N, F) array, or (N,) integer states"
        )
    n_samples, n_features = features.shape
    check_count("clusters", clusters)
    if clusters > n_samples:
        raise ValueError(
            f"clusters={clusters} does not fit {n_samples} samples: choose 1 to {n_samples}"
        )
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    pca = PCA(min(components, n_samples, n_features), svd_solver="full")
    reduced = pca.fit_transform(normalize(features.astype(np.float64)))
    return KMeans(clusters, n_init=3, random_state=seed).fit_predict(reduced)


def joint_table(*states: np.ndarray) -> np.ndarray:
    """The empirical joint distribution of integer columns `(N,)`, one axis per column."""
    lengths = [len(column) for column in states]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(f"columns of {lengths} samples: give each the same samples, at least one")
    codes = [_codes(column) for column in states]
    counts = np.zeros([code.max() + 1 for code in codes])
    np.add.at(counts, tuple(codes), 1.0)
    return counts / lengths[0]


def _codes(values: np.ndarray) -> np.ndarray:
    """The values as 0, 1, 2 … in their order."""
    _, codes = np.unique(values, return_inverse=True)
    return codes


def decompose_samples(
    x1: ArrayLike, x2: ArrayLike, y: ArrayLike, clusters: int = 20, seed: int = 0
) -> PID:
    """The plug-in estimate: cluster `(N, F)` features, count, decompose.

    It is biased upwards, most in synergy, when N is not far above clusters^2 x classes: compare it
    with `permutation_baseline`.
    """
    first = discretize(np.asarray(x1), clusters, seed)
    second = discretize(np.asarray(x2), clusters, seed)
    return decompose(joint_table(first, second, np.asarray(y)))


def permutation_baseline(
    x1: ArrayLike,
    x2: ArrayLike,
    y: ArrayLike,
    clusters: int = 20,
    seed: int = 0,
    n_permutations: int = 20,
) -> list[PID]:
    """What `decompose_samples` answers when y is shuffled, so that the truth is 0.

    There is one PID per shuffle.
    """
    check_seed(seed)
    check_count("n_permutations", n_permutations)
    rng = np.random.default_rng(seed)
    first = discretize(np.asarray(x1), clusters, seed)
    second = discretize(np.asarray(x2), clusters, seed)
    baseline = []
    for _ in range(n_permutations):
        shuffled = rng.permutation(np.asarray(y))
        baseline.append(decompose(joint_table(first, second, shuffled)))
    return baseline


# --- the estimate by networks ---------------------------------------------------------------------


def sinkhorn(
    matrix: Float[Tensor, "a b"],
    rows: Float[Tensor, " a"],
    columns: Float[Tensor, " b"],
    tolerance: float = 0.01,
    calls: int = 500,
) -> Float[Tensor, "a b"]:
    """Scale a positive matrix until its row sums are `rows` and its column sums `columns`.

    One call scales the columns and, unless the rows now fit, the rows, which is the order of the
    released BATCH code. The last matrix is returned when `calls` are used up.
    """
    for _ in range(calls):
        matrix = matrix * (columns / matrix.sum(0).clamp_min(TINY))
        if torch.allclose(matrix.sum(1), rows, rtol=0, atol=tolerance):
            break
        matrix = matrix * (rows / matrix.sum(1).clamp_min(TINY))[:, None]
        if torch.allclose(matrix.sum(0), columns, rtol=0, atol=tolerance):
            break
    return matrix


def alignment_information(
    logits: Float[Tensor, "a b classes"],
    given1: Float[Tensor, "a classes"],
    given2: Float[Tensor, "b classes"],
    prior: Float[Tensor, " classes"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """I_q(X2;Y|X1), which is the loss of BATCH, and I_q(X1,X2;Y), both in nats.

    `logits` are those of q; given1 = p(y|x1), given2 = p(y|x2) and prior = p(y).
    """
    # Within a batch the two sides disagree a little on p(y), and no matrix fits both: the second
    # side gives way.
    given2 = given2 * (given1.sum(0) / given2.sum(0).clamp_min(TINY))
    scaled = [sinkhorn(logits[..., y].exp(), given1[:, y], given2[:, y]) for y in range(len(prior))]
    q = torch.stack(scaled, dim=-1)
    q = q / q.sum(1, keepdim=True).clamp_min(TINY)  # q(b | a, y)
    weights = given1[:, None] * q
    log_q = q.clamp_min(TINY).log()
    log_mean = weights.sum(-1, keepdim=True).clamp_min(TINY).log()
    conditional = (weights * (log_q - log_mean)).sum((1, 2)).mean()
    return conditional, conditional + posterior_information(given1, prior)


def posterior_information(
    given: Float[Tensor, "batch classes"], prior: Float[Tensor, " classes"]
) -> Float[Tensor, ""]:
    """I(X;Y) in nats from posteriors: the mean of KL(p(y|x) || p(y))."""
    log_ratio = given.clamp_min(TINY).log() - prior.clamp_min(TINY).log()
    return (given * log_ratio).sum(-1).mean()


def batch_estimate(
    x1: ArrayLike,
    x2: ArrayLike,
    y: ArrayLike,
    seed: int = 0,
    *,
    epochs: int = 10,
    classifier_epochs: int = 40,
    batch: int = 256,
) -> PID:
    """BATCH of Liang et al. from `(N, F)` features and `(N,)` integer labels.

    Three classifiers give p(y|x1), p(y|x2) and p(y|x1,x2); two networks of width 10 learn q(x1, x2
    | y). They are fitted on a random 3/4 of the samples and measured on the rest. Parts may come
    out slightly negative. The global random state is left as it was; run it on one thread for equal
    bits. Raises ValueError for sources of unequal length and for fewer than 8 samples.
    """
    check_seed(seed)
    features1 = _float_rows(x1)
    features2 = _float_rows(x2)
    labels = torch.from_numpy(_codes(np.asarray(y)))
    lengths = [len(features1), len(features2), len(labels)]
    if len(set(lengths)) != 1 or lengths[0] < 8:
        raise ValueError(
            f"x1, x2, y of {', '.join(map(str, lengths))} samples: "
            "give each the same samples, at least 8"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        test, train = torch.randperm(len(labels)).tensor_split([len(labels) // 4])
        classes = int(labels.max()) + 1
        prior = torch.bincount(labels[train], minlength=classes) / len(train)
        sources = (features1, features2, torch.cat([features1, features2], dim=1))
        given1, given2, given12 = (
            _posteriors(source, labels, train, classifier_epochs, batch) for source in sources
        )
        alignment = Alignment(features1.shape[1], features2.shape[1], classes)

        def union(rows: Tensor) -> Tensor:
            logits = alignment(features1[rows], features2[rows])
            _, information = alignment_information(logits, given1[rows], given2[rows], prior)
            return information  # the loss of BATCH plus what the alignment cannot change

        _minimize(alignment, union, train, epochs, batch)
        with torch.no_grad():
            unions = [union(rows) for rows in _full_batches(test, batch)]
            first = posterior_information(given1[test], prior)
            second = posterior_information(given2[test], prior)
            both = posterior_information(given12[test], prior)
    nats = (first, second, torch.stack(unions).mean(), both)
    return PID.from_information(*(value.item() / math.log(2) for value in nats))


class Alignment(nn.Module):
    """The logits of q(x1, x2 | y) in BATCH: one network per source, of width 10 per class."""

    WIDTH = 10

    def __init__(self, features1: int, features2: int, classes: int) -> None:
        super().__init__()
        self.first = _network(features1, classes * self.WIDTH)
        self.second = _network(features2, classes * self.WIDTH)
        self.classes = classes

    def forward(
        self, x1: Float[Tensor, "a features1"], x2: Float[Tensor, "b features2"]
    ) -> Float[Tensor, "a b classes"]:
        e1 = self._standardized(self.first(x1))
        e2 = self._standardized(self.second(x2))
        return torch.einsum("ayd,byd->aby", e1, e2) / math.sqrt(self.WIDTH)

    def _standardized(self, flat: Tensor) -> Tensor:
        """`(N, classes, 10)` with mean 0 and variance 1 along the last axis."""
        shaped = flat.reshape(len(flat), self.classes, self.WIDTH)
        return F.layer_norm(shaped, (self.WIDTH,), eps=1e-8)


def _float_rows(x: ArrayLike) -> Float[Tensor, "samples features"]:
    rows = np.asarray(x, dtype=np.float32)
    return torch.from_numpy(rows).reshape(len(rows), -1)


def _network(width: int, outputs: int) -> nn.Sequential:
    """The MLP of BATCH: four hidden layers of 32."""
    layers: list[nn.Module] = []
    for incoming, outgoing in pairwise([width, 32, 32, 32, 32]):
        layers += [nn.Linear(incoming, outgoing), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, outputs))


def _posteriors(
    x: Float[Tensor, "samples features"],
    labels: Int[Tensor, " samples"],
    train: Int[Tensor, " train"],
    epochs: int,
    batch: int,
) -> Float[Tensor, "samples classes"]:
    """p(y|x) of all samples from a classifier fitted on the rows `train`."""
    network = _network(x.shape[1], int(labels.max()) + 1)

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(network(x[rows]), labels[rows])

    _minimize(network, loss, train, epochs, batch)
    return network(x).softmax(-1).detach()


def _minimize(
    module: nn.Module, loss: Callable[[Tensor], Tensor], rows: Tensor, epochs: int, batch: int
) -> None:
    """Adam at 1e-3 over shuffled batches of `rows`."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(epochs):
        shuffled = rows[torch.randperm(len(rows))]
        for index in _full_batches(shuffled, batch):
            optimizer.zero_grad()
            loss(index).backward()
            optimizer.step()


def _full_batches(rows: Tensor, batch: int) -> list[Tensor]:
    """`rows` cut into batches; a last partial one is left out, unless it is the only one."""
    size = min(batch, len(rows))
    return [index for index in rows.split(batch) if len(index) == size]
