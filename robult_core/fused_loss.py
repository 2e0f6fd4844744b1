"""The soft-PU loss (Eq. 4-7) with its gradient in closed form: the fast twin of `soft_pu_loss`.

`losses.py` is the path to read; this file is the one that training takes (`Robult.soft_pu`). Both
give the same numbers. `python -m benchmarks` measures the two.
Letters as in the paper: `s (B, d)` fused and `z (M, B, d)` unimodal representations. On unit
vectors `phi(s_j, z_k) = exp(l_jk)` with `l_jk = <s_j, z_k> / temperature`, and `v_jk` is phi
divided by its sum over the K candidates of row j, the samples that have the modality (Eq. 2).
Rows j are anchors, columns k partners.

**Identity.** Weights of Eq. 5, references and pseudo-labels are constants (reading 8). Let n and m
count the partners of anchor j in B_11 and B_10, and let `W_j = (1/m) sum_k w_jk`. The gradient of
`a * Eq. 4 + b * Eq. 6`, means over N = modalities x anchors, is

    N dL/dl_jk = (a [n > 0] + b W_j) v_jk - (a/n) [k in B_11] - (b/m) w_jk .

No row needs another one. So a block of rows makes its logits, its terms and its gradient, adds its
share to ds and dz and is dropped: three matrix products in all, as many as any loss over all pairs
needs, and nothing is computed twice.

**Memory.** About eight tiles of `block_size` rows by at most B columns, most of them as wide as the
window only, beside vectors of the sizes of s and z. Nothing is `(B, B)`, and M adds no tile.

**Sorting.** Samples are sorted by class. The pairs of a tile that have a weight then lie in one
window of neighbouring columns, and only the window pays for masks, references and weights.

**Small batches.** There it is the number of operations that costs, so several modalities share a
tile: their columns lie side by side, and each operation serves all of them.

**Forecast.** a and b belong to a sum that the caller forms later, so they are arguments. They are
a forecast and never a factor: where the backward pass brings others, it goes over the blocks once
more and is exact as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from robult_core.losses import SoftPULoss, SoftPUOptions, soft_pu_loss

BLOCK_SIZE = 256  # within a tenth of the best one at every size measured by `python -m benchmarks`
Weights = tuple[float, float]  # of Eq. 4 and of Eq. 6 in the caller's sum
SHORTEST = 1e-12  # shorter vectors stay short, as in torch.nn.functional.normalize


def fast_path_applies(
    s: Tensor,
    z: Tensor,
    classes: Tensor,
    labeled: Tensor,
    *,
    present: Tensor | None = None,
    block_size: int | None = None,
    **options: Any,
) -> bool:
    """Whether the fast path computes this call of `soft_pu_loss`.

    It does for one floating-point type, float32 or float64, where shapes and devices fit and every
    option but the temperature has its default. The rest is left to the plain path: other switches,
    half precision, autocast, and what is an error.
    """
    chosen = SoftPUOptions(**options)
    by_default = chosen == SoftPUOptions(temperature=chosen.temperature)
    tiled = block_size is None or block_size >= 1
    fits = _fits(s, z, classes, labeled) and _is_mask(present, z.shape[:2])
    tensors = [s, z, classes, labeled] if present is None else [s, z, classes, labeled, present]
    together = len({tensor.device for tensor in tensors}) == 1
    return by_default and tiled and fits and together and _is_precise(s, z)


def _is_precise(s: Tensor, z: Tensor) -> bool:
    """One type, float32 or float64, and no autocast that would change it."""
    known = s.dtype in (torch.float32, torch.float64)
    return known and z.dtype == s.dtype and not torch.is_autocast_enabled(s.device.type)


def _fits(s: Tensor, z: Tensor, classes: Tensor, labeled: Tensor) -> bool:
    """Shapes and types as `soft_pu_loss` documents them."""
    if s.ndim != 2 or z.ndim != 3 or z.shape[1:] != s.shape:
        return False
    integers = not classes.is_floating_point() and classes.dtype != torch.bool
    return integers and classes.shape == s.shape[:1] and _is_mask(labeled, s.shape[:1])


def _is_mask(mask: Tensor | None, shape: torch.Size) -> bool:
    """Whether a mask is booleans of this shape, or is not given."""
    return mask is None or (mask.dtype == torch.bool and mask.shape == shape)


def fused_soft_pu_loss(
    s: Tensor,
    z: Tensor,
    classes: Tensor,
    labeled: Tensor,
    *,
    labeled_weight: float = 1.0,
    unlabeled_weight: float = 1.0,
    present: Tensor | None = None,
    block_size: int | None = None,
    **options: Any,
) -> SoftPULoss:
    """Eq. 4-7 on the fast path where `fast_path_applies` says so, and by `soft_pu_loss` elsewhere.

    Arguments, shapes, values, edge cases and errors are those of `soft_pu_loss`, but all are
    tensors. New are
    labeled_weight, unlabeled_weight: the weights with which the caller is going to sum the terms.
        They do not multiply the terms. Gradients are exact for every use of the terms, and cost
        half as much for the use announced.
    block_size: anchors per tile; None: 256 on the fast path. Any size gives the same numbers.

    The fast path has no second derivative: asking for one raises RuntimeError.
    """
    call: dict[str, Any] = {"present": present, "block_size": block_size} | options
    if not fast_path_applies(s, z, classes, labeled, **call):
        return soft_pu_loss(s, z, classes, labeled, **call)
    forecast: Weights | None = (labeled_weight, unlabeled_weight)
    if not (torch.is_grad_enabled() and (s.requires_grad or z.requires_grad)):
        forecast = None
    problem = _Problem(
        classes=classes,
        labeled=labeled,
        present=present,
        temperature=SoftPUOptions(**options).temperature,
        block_size=block_size or BLOCK_SIZE,
    )
    terms = _FusedSoftPU.apply(s, z, problem, forecast)
    return SoftPULoss(*terms)


# --- what autograd sees ---------------------------------------------------------------------------


class _Problem(NamedTuple):
    """Everything but the representations; nothing here has a gradient."""

    classes: Tensor  # (B,)
    labeled: Tensor  # (B,) bool
    present: Tensor | None  # (M, B) bool
    temperature: float
    block_size: int


class _FusedSoftPU(Function):
    """Eq. 4 and Eq. 6 as two scalars; the forward pass also makes the gradient that is forecast."""

    @staticmethod
    def forward(
        ctx: Any, s: Tensor, z: Tensor, problem: _Problem, forecast: Weights | None
    ) -> tuple[Tensor, ...]:
        *terms, gradients = _evaluate(s, z, problem, forecast)
        ctx.problem = problem
        ctx.forecast = forecast
        ctx.save_for_backward(s, z, *gradients)
        return tuple(terms)

    @staticmethod
    def backward(ctx: Any, labeled_gradient: Tensor, unlabeled_gradient: Tensor) -> Any:
        s, z, *gradients = ctx.saved_tensors
        weights = tuple(torch.stack([labeled_gradient, unlabeled_gradient]).tolist())
        with torch.no_grad():
            factor = _common_factor(weights, ctx.forecast, torch.finfo(s.dtype).eps)
            if factor is None:
                *_, gradients = _evaluate(s, z, ctx.problem, weights)
            else:
                gradients = [gradient * factor for gradient in gradients]
        if torch.is_grad_enabled():  # only with create_graph=True
            gradients = [_FirstDerivative.apply(gradient, s, z) for gradient in gradients]
        return *gradients, None, None


class _FirstDerivative(Function):
    """A gradient that depends on s and z, and says so when someone differentiates it."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, s: Tensor, z: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        raise RuntimeError(
            "fused_soft_pu_loss has no second derivative: "
            "call robult_core.losses.soft_pu_loss where one is needed"
        )


def _common_factor(weights: Weights, forecast: Weights, eps: float) -> float | None:
    """The t with `weights = t * forecast` up to rounding; None where there is none."""
    if not any(forecast):
        return None if any(weights) else 0.0
    left = weights[0] * forecast[1]
    right = weights[1] * forecast[0]
    if not math.isclose(left, right, rel_tol=8 * eps):
        return None
    larger = 0 if abs(forecast[0]) >= abs(forecast[1]) else 1
    return weights[larger] / forecast[larger]


# --- all tiles ------------------------------------------------------------------------------------


def _evaluate(s: Tensor, z: Tensor, problem: _Problem, weights: Weights | None) -> Any:
    """Eq. 4, Eq. 6 and, with `weights`, the gradients of their weighted sum for s and z."""
    samples, anchors = _layout(problem, s.dtype)
    rows = _unit_rows(s.index_select(0, anchors.sample))
    queries = rows.unit / problem.temperature
    ds = torch.zeros_like(queries)
    grad_z = torch.zeros_like(z if weights is not None else z[:0])
    labeled, unlabeled = s.new_zeros(2)
    n_terms = max(len(z) * len(queries), 1)
    for group in _groups(len(z), len(s), problem.block_size):
        columns = _unit_rows(_sorted_columns(z[group], samples, problem.present, group))
        dz = torch.zeros_like(columns.unit)
        for tile in _tiles(samples, anchors, group, problem):
            tile_queries = queries[tile.rows]
            logits = torch.mm(tile_queries, columns.unit.T)  # (b, g B)
            terms = _tile_terms(logits.view(len(logits), -1, len(s)), tile, weights)
            labeled = labeled + terms[0]
            unlabeled = unlabeled + terms[1]
            if weights is not None:
                ds[tile.rows].addmm_(logits, columns.unit)
                dz.addmm_(logits.T, tile_queries)
        if weights is not None:
            gradient = columns.pull_back_(dz, 1 / n_terms).view_as(z[group])
            grad_z[group].index_copy_(1, samples.sample, gradient)
    means = labeled / n_terms, unlabeled / n_terms
    if weights is None:
        return *means, ()
    gradient = rows.pull_back_(ds, 1 / (n_terms * problem.temperature))
    return *means, (torch.zeros_like(s).index_copy_(0, anchors.sample, gradient), grad_z)


def _groups(n_modalities: int, batch: int, block_size: int) -> Iterator[slice]:
    """Which modalities share a tile: one of a large batch, several of a small one."""
    size = max(1, 4 * block_size // max(batch, 1))
    for first in range(0, n_modalities, size):
        yield slice(first, min(first + size, n_modalities))


class _UnitRows(NamedTuple):
    """Rows divided by their lengths, and the lengths."""

    unit: Tensor  # (K, d)
    length: Tensor  # (K, 1)

    def pull_back_(self, gradient: Tensor, factor: float) -> Tensor:
        """`factor` times the gradient for the rows; overwrites the one for the unit vectors."""
        radial = torch.linalg.vecdot(self.unit, gradient)[:, None]
        radial.mul_(self.length > SHORTEST)  # a length at its lower bound is a constant
        return gradient.addcmul_(self.unit, radial, value=-1).mul_(factor / self.length)


def _unit_rows(rows: Tensor) -> _UnitRows:
    """Rows `(K, d)` as unit vectors, zeros as zeros; overwrites them."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_(min=SHORTEST)
    return _UnitRows(rows.div_(length), length)


def _sorted_columns(z: Tensor, samples: _Samples, present: Tensor | None, group: slice) -> Tensor:
    """The z of some modalities below one another, `(g B, d)`, zero where a sample lacks one."""
    columns = z.index_select(1, samples.sample)
    if present is not None:
        absent = ~present[group].index_select(1, samples.sample)
        columns.masked_fill_(absent[..., None], 0.0)
    return columns.flatten(0, 1)


# --- who is compared with whom --------------------------------------------------------------------


class _Samples(NamedTuple):
    """All B samples sorted by class: the partners."""

    sample: Tensor  # (B,) which sample
    number: Tensor  # (B,) its class, as the place of the first sample of that class
    label: Tensor  # (B,) class where labelled, -1 elsewhere: equal to no anchor's -2


class _Anchors(NamedTuple):
    """The A samples that have every modality, in the same order."""

    sample: Tensor  # (A,) which sample
    place: Tensor  # (A, 1) its column among the partners
    number: Tensor  # (A, 1) class
    label: Tensor  # (A, 1) class where labelled, -2 elsewhere
    labeled: Tensor  # (A, 1) 1 where labelled, so that B_11 holds the anchor itself, else 0


def _layout(problem: _Problem, dtype: torch.dtype) -> tuple[_Samples, _Anchors]:
    """Partners and anchors, sorted by class."""
    classes, sample = torch.sort(problem.classes)
    number = torch.searchsorted(classes, classes).to(dtype)
    labeled = problem.labeled[sample]
    samples = _Samples(sample, number, torch.where(labeled, number, -1.0))
    place = torch.arange(len(sample), device=sample.device)
    if problem.present is not None:
        place = place[problem.present.all(0)[sample]]
        sample, number, labeled = sample[place], number[place], labeled[place]
    label = torch.where(labeled, number, -2.0)
    columns = (place, number, label, labeled.to(dtype))
    return samples, _Anchors(sample, *(column[:, None] for column in columns))


class _Tile(NamedTuple):
    """Neighbouring anchors, b of them, and the window of partners of their classes, w columns.

    The g modalities of a group lie between rows and columns. Where every sample has every modality
    they share one mask, and g is 1 in its shape.
    """

    rows: slice
    window: slice
    own: Tensor  # (b, 1, 1) column of the anchor's own sample
    has_labels: Tensor  # (b, 1, 1) 1 or 0
    labeled: Tensor  # (b, g, w) 1 / |B_11| in B_11, 0 elsewhere
    pseudo: Tensor  # (b, g, w) 1 / |B_10| in B_10, 0 elsewhere
    present: Tensor | None  # (g, B) which partner has the modality


def _tiles(
    samples: _Samples, anchors: _Anchors, group: slice, problem: _Problem
) -> Iterator[_Tile]:
    """The masks of readings 4 and 5, tile by tile.

    Comparisons write numbers at once: bool masks and their conversion cost several times as much.
    """
    present = problem.present
    if present is not None:
        present = present[group].index_select(1, samples.sample)
    size = problem.block_size
    for first, window in zip(*_windows(samples, anchors, size), strict=True):
        rows = slice(first, min(first + size, len(anchors.sample)))
        shape = rows.stop - rows.start, 1, window.stop - window.start
        labeled = samples.number.new_empty(shape)
        pseudo = samples.number.new_empty(shape)
        torch.eq(anchors.label[rows, None], samples.label[window], out=labeled)
        torch.eq(anchors.number[rows, None], samples.number[window], out=pseudo)
        pseudo.sub_(labeled)
        if present is not None:
            labeled = labeled * present[:, window]
            pseudo = pseudo * present[:, window]
        labeled.div_(labeled.sum(-1, keepdim=True).clamp_(min=1))
        pseudo.div_(pseudo.sum(-1, keepdim=True).clamp_(min=1))
        has_labels = anchors.labeled[rows, None]
        yield _Tile(rows, window, anchors.place[rows, None], has_labels, labeled, pseudo, present)


def _windows(samples: _Samples, anchors: _Anchors, size: int) -> tuple[list[int], list[slice]]:
    """The first anchor of each tile, and the columns of the classes of its anchors."""
    n_anchors = len(anchors.sample)
    firsts = list(range(0, n_anchors, size))
    if len(firsts) == 1:
        return firsts, [slice(0, len(samples.sample))]
    lasts = [min(first + size, n_anchors) - 1 for first in firsts]
    starts = torch.searchsorted(samples.number, anchors.number[firsts, 0])
    stops = torch.searchsorted(samples.number, anchors.number[lasts, 0], right=True)
    bounds = zip(starts.tolist(), stops.tolist(), strict=True)
    return firsts, [slice(*bound) for bound in bounds]


# --- one tile -------------------------------------------------------------------------------------


def _tile_terms(logits: Tensor, tile: _Tile, weights: Weights | None) -> tuple[Tensor, Tensor]:
    """Eq. 4 and Eq. 6 summed over the rows of a tile, of its logits `(b, g, B)`.

    With `weights` the logits are overwritten by N times the gradient for them, else by phi.
    """
    near = logits[..., tile.window].clone()
    phi = logits
    total, log_sum = _exponentiate_(phi, tile.present)
    w = _pair_weights(phi, total, tile)
    mean_weight = w.sum(-1, keepdim=True)
    labeled = (log_sum * tile.has_labels).sum() - (near * tile.labeled).sum()
    unlabeled = (log_sum * mean_weight).sum() - near.mul_(w).sum()
    if weights is not None:
        labeled_weight, unlabeled_weight = weights
        coefficient = labeled_weight * tile.has_labels + unlabeled_weight * mean_weight
        phi.mul_(coefficient.div_(total))
        gradient = phi[..., tile.window]
        gradient.sub_(tile.labeled, alpha=labeled_weight)
        gradient.sub_(w, alpha=unlabeled_weight)
    return labeled, unlabeled


def _exponentiate_(logits: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Overwrite logits `(b, g, B)` by phi divided by the largest phi of the row; absent ones by 0.

    Returns the sums of the rows written and log sum phi, `(b, g, 1)` each.
    """
    if present is not None:
        logits.masked_fill_(~present, -math.inf)
    top = logits.amax(-1, keepdim=True)
    total = logits.sub_(top).exp_().sum(-1, keepdim=True)
    return total, total.log().add_(top)


def _pair_weights(phi: Tensor, total: Tensor, tile: _Tile) -> Tensor:
    """Eq. 5 divided by |B_10|, `(b, g, w)`: an RBF as wide as phi varies in its row.

    See readings 6 and 7. A factor per row of phi changes nothing.
    """
    count: Any = phi.shape[-1]
    if tile.present is not None:
        count = tile.present.sum(-1, keepdim=True)  # (g, 1)
    mean = total / count
    deviation = phi - mean
    if tile.present is not None:
        deviation.mul_(tile.present)
    variance = torch.linalg.vecdot(deviation, deviation)[..., None].div_(count)
    rounding = (16 * torch.finfo(phi.dtype).eps * mean).square_()
    precision = variance.reciprocal().masked_fill_(variance <= rounding, 0.0)  # all equal: weight 1
    near = phi[..., tile.window]
    reference = (near * tile.labeled).sum(-1, keepdim=True)
    own = phi.gather(-1, tile.own.expand(-1, phi.shape[1], -1))
    reference = torch.where(tile.has_labels > 0, reference, own)
    exponent = (near - reference).square_().mul_(precision.mul_(-0.5))
    return exponent.exp_().mul_(tile.pseudo)
