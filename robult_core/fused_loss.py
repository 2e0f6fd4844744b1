"""The soft-PU loss (Eq. 4-7) with its gradient in closed form: the fast twin of `soft_pu_loss`.

`losses.py` is the path to read and this file the faster one; both give the same numbers. No run
uses this file yet: training calls `losses.soft_pu_loss`. `python -m benchmarks` measures the two.
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

**Sorting.** Samples are sorted by class. The pairs of a block that have a weight then lie in one
window of neighbouring columns, and only the window pays for masks, references and weights.

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


# --- all blocks -----------------------------------------------------------------------------------


def _evaluate(s: Tensor, z: Tensor, problem: _Problem, weights: Weights | None) -> Any:
    """Eq. 4, Eq. 6 and, with `weights`, the gradients of their weighted sum for s and z."""
    anchors, partners = _layout(problem, len(z), s.dtype)
    rows = _unit_rows(s, anchors.sample)
    queries = rows.unit / problem.temperature
    labeled = s.new_zeros(len(z), len(queries))
    unlabeled = torch.zeros_like(labeled)
    n_terms = max(labeled.numel(), 1)
    ds = torch.zeros_like(queries)
    grad_z = torch.zeros_like(z if weights is not None else z[:0])
    for i, partner in enumerate(partners):
        columns = _unit_rows(z[i], partner.sample)
        dz = torch.zeros_like(columns.unit)
        for block in _blocks(anchors, partner, problem.block_size):
            block_queries = queries[block.rows]
            logits = torch.mm(block_queries, columns.unit.T)
            terms = _block_terms(logits, block, weights)
            labeled[i, block.rows], unlabeled[i, block.rows] = terms
            if weights is not None:
                ds[block.rows].addmm_(logits, columns.unit)
                dz.addmm_(logits.T, block_queries)
        if weights is not None:
            grad_z[i].index_copy_(0, partner.sample, columns.pull_back_(dz, 1 / n_terms))
    means = labeled.sum() / n_terms, unlabeled.sum() / n_terms
    if weights is None:
        return *means, ()
    gradient = rows.pull_back_(ds, 1 / (n_terms * problem.temperature))
    return *means, (torch.zeros_like(s).index_copy_(0, anchors.sample, gradient), grad_z)


class _UnitRows(NamedTuple):
    """Rows divided by their lengths, and the lengths."""

    unit: Tensor  # (K, d)
    length: Tensor  # (K, 1)

    def pull_back_(self, gradient: Tensor, factor: float) -> Tensor:
        """`factor` times the gradient for the rows; overwrites the one for the unit vectors."""
        radial = torch.linalg.vecdot(self.unit, gradient)[:, None]
        radial.mul_(self.length > SHORTEST)  # a length at its lower bound is a constant
        return gradient.addcmul_(self.unit, radial, value=-1).mul_(factor / self.length)


def _unit_rows(x: Tensor, index: Tensor) -> _UnitRows:
    """The rows `index` of `x (B, d)` as unit vectors, zeros as zeros; no other row is read."""
    rows = x.index_select(0, index)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_(min=SHORTEST)
    return _UnitRows(rows.div_(length), length)


# --- who is compared with whom --------------------------------------------------------------------


class _Sorted(NamedTuple):
    """Samples sorted by class, `(K,)` each."""

    sample: Tensor  # which sample
    number: Tensor  # its class, as the place of the first sample of that class
    labeled: Tensor  # bool

    def keep(self, places: Tensor) -> _Sorted:
        return _Sorted(*(field.index_select(0, places) for field in self))


class _Anchors(NamedTuple):
    """The A samples that have every modality."""

    sample: Tensor  # (A,) rows of s
    number: Tensor  # (A, 1) class
    label: Tensor  # (A, 1) class where labelled, -2 elsewhere
    labeled: Tensor  # (A, 1) 1 where labelled, so that B_11 holds the anchor itself, else 0


class _Partners(NamedTuple):
    """The K samples that have one modality, and what each anchor finds among them."""

    sample: Tensor  # (K,) rows of z
    number: Tensor  # (K,) class
    label: Tensor  # (K,) class where labelled, -1 elsewhere: equal to no anchor's -2
    own: Tensor  # (A, 1) the anchor's own sample
    labeled_share: Tensor  # (A, 1) 1 / |B_11|
    pseudo_share: Tensor  # (A, 1) 1 / |B_10|
    windows: list[slice]  # of each block of anchors: the partners of its classes


def _layout(
    problem: _Problem, n_modalities: int, dtype: torch.dtype
) -> tuple[_Anchors, list[_Partners]]:
    """Anchors, and partners in each modality: the same for all of them where nothing is missing."""
    classes, index = torch.sort(problem.classes)
    samples = _Sorted(index, torch.searchsorted(classes, classes), problem.labeled[index])
    places = torch.arange(len(index), device=index.device)
    if problem.present is None or bool(problem.present.all()):
        rows = samples
        partners = [_partners(rows, samples, places, problem.block_size, dtype)] * n_modalities
    else:
        present = problem.present[:, index]
        anchors = places[present.all(0)]
        rows = samples.keep(anchors)
        partners = []
        for here in present:
            columns = places[here]
            own = torch.searchsorted(columns, anchors)
            partners.append(_partners(rows, samples.keep(columns), own, problem.block_size, dtype))
    number = rows.number.to(dtype)[:, None]
    labeled = rows.labeled[:, None]
    label = torch.where(labeled, number, -2.0)
    return _Anchors(rows.sample, number, label, labeled.to(dtype)), partners


def _partners(
    rows: _Sorted, columns: _Sorted, own: Tensor, block_size: int, dtype: torch.dtype
) -> _Partners:
    """Places, shares and windows of the anchors `rows` among the partners `columns`."""
    start = torch.searchsorted(columns.number, rows.number)
    stop = torch.searchsorted(columns.number, rows.number, right=True)
    labeled_before = torch.nn.functional.pad(columns.labeled.cumsum(0), (1, 0))
    n_labeled = torch.where(rows.labeled, labeled_before[stop] - labeled_before[start], 0)
    n_pseudo = stop - start - n_labeled
    shares = torch.stack([n_labeled, n_pseudo]).to(dtype).clamp_(min=1).reciprocal_()
    firsts = range(0, len(own), block_size)
    lasts = [min(first + block_size, len(own)) - 1 for first in firsts]
    starts = start.tolist()
    stops = stop.tolist()
    number = columns.number.to(dtype)
    return _Partners(
        sample=columns.sample,
        number=number,
        label=torch.where(columns.labeled, number, -1.0),
        own=own[:, None],
        labeled_share=shares[0, :, None],
        pseudo_share=shares[1, :, None],
        windows=[
            slice(starts[first], stops[last]) for first, last in zip(firsts, lasts, strict=True)
        ],
    )


# --- one block of rows ----------------------------------------------------------------------------


class _Block(NamedTuple):
    """Neighbouring anchors, b of them, and the window of partners of their classes, w columns."""

    rows: slice
    window: slice
    own: Tensor  # (b, 1) column of the anchor's own sample
    has_labels: Tensor  # (b, 1) 1 or 0
    labeled: Tensor  # (b, w) 1 / |B_11| in B_11, 0 elsewhere
    pseudo: Tensor  # (b, w) 1 / |B_10| in B_10, 0 elsewhere


def _blocks(anchors: _Anchors, partners: _Partners, size: int) -> Iterator[_Block]:
    """The masks of readings 4 and 5, block by block.

    Comparisons write numbers at once: bool masks and their conversion cost several times as much.
    """
    for i, window in enumerate(partners.windows):
        rows = slice(i * size, min((i + 1) * size, len(anchors.sample)))
        shape = rows.stop - rows.start, window.stop - window.start
        labeled = anchors.number.new_empty(shape)
        same = anchors.number.new_empty(shape)
        torch.eq(anchors.label[rows], partners.label[window], out=labeled)
        torch.eq(anchors.number[rows], partners.number[window], out=same)
        pseudo = same.sub_(labeled).mul_(partners.pseudo_share[rows])
        labeled.mul_(partners.labeled_share[rows])
        yield _Block(rows, window, partners.own[rows], anchors.labeled[rows], labeled, pseudo)


def _block_terms(logits: Tensor, block: _Block, weights: Weights | None) -> tuple[Tensor, Tensor]:
    """Eq. 4 and Eq. 6 of the anchors of a block, `(b,)` each, from their logits `(b, K)`.

    With `weights` the logits are overwritten by N times the gradient for them, else by phi.
    """
    near = logits[:, block.window].clone()
    phi = logits
    total, log_sum = _exponentiate_(phi)
    w = _pair_weights(phi, total, block)
    mean_weight = w.sum(-1, keepdim=True)
    labeled = log_sum * block.has_labels - (near * block.labeled).sum(-1, keepdim=True)
    unlabeled = log_sum * mean_weight - near.mul_(w).sum(-1, keepdim=True)
    if weights is not None:
        labeled_weight, unlabeled_weight = weights
        coefficient = labeled_weight * block.has_labels + unlabeled_weight * mean_weight
        phi.mul_(coefficient.div_(total))
        gradient = phi[:, block.window]
        gradient.sub_(block.labeled, alpha=labeled_weight)
        gradient.sub_(w, alpha=unlabeled_weight)
    return labeled[:, 0], unlabeled[:, 0]


def _exponentiate_(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Overwrite logits `(b, K)` by phi divided by the largest phi of the row.

    Returns the sums of the rows written and log sum phi, `(b, 1)` each.
    """
    top = logits.amax(-1, keepdim=True)
    total = logits.sub_(top).exp_().sum(-1, keepdim=True)
    return total, total.log().add_(top)


def _pair_weights(phi: Tensor, total: Tensor, block: _Block) -> Tensor:
    """Eq. 5 divided by |B_10|, `(b, w)`: an RBF as wide as phi varies in its row (readings 6, 7).

    A factor per row of phi changes nothing.
    """
    mean = total / phi.shape[-1]
    spread = torch.linalg.vector_norm(phi - mean, dim=-1, keepdim=True)
    variance = spread.square_().div_(phi.shape[-1])
    rounding = (16 * torch.finfo(phi.dtype).eps * mean).square_()
    precision = variance.reciprocal().masked_fill_(variance <= rounding, 0.0)  # all equal: weight 1
    near = phi[:, block.window]
    reference = (near * block.labeled).sum(-1, keepdim=True)
    reference = torch.where(block.has_labels > 0, reference, phi.gather(1, block.own))
    exponent = (near - reference).square_().mul_(precision.mul_(-0.5))
    return exponent.exp_().mul_(block.pseudo)
