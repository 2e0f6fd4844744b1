"""The soft positive-unlabelled loss (Eq. 4-7) with its gradient in closed form: the fast twin of `losses.soft_pu_loss`.

`losses.py` is the path to read; this file is the path to train with. Both return the same numbers.
Letters as in the paper: `s (B, d)` fused and `z (M, B, d)` unimodal representations,
`phi(s_j, z_k) = exp(l_jk)` with `l_jk = <s_j, z_k> / temperature` on unit vectors, and `v_jk` the softmax of
row j of `l` over the K candidates that have the modality (Eq. 2). Rows j are anchors, columns k partners.

**Identity.** The weights of Eq. 5, the references and the pseudo-labels are constants (reading 8). With n and m
partners of anchor j in B_11 and B_10, `W_j = (1/m) sum_k w_jk` and the two terms summed with weights a and b,

    N dL/dl_jk = (a [n > 0] + b W_j) v_jk - (a/n) 1[k in B_11] - (b/m) w_jk ,    N = modalities x anchors ,

so the gradient of a block of rows needs no other row. A block makes its logits, its terms and its gradient,
adds its share to ds and dz and is dropped: three matrix products in all, as many as any loss on all pairs needs.

**Memory.** Two `(block_size, B)` tiles at a time beside vectors the size of s and z, whatever M; nothing `(B, B)`.

**Sorting.** Anchors and candidates are sorted by class, so the pairs with a weight of a block of rows lie in one
window of neighbouring columns, and only that window pays for masks, references and weights.

**Weights.** a and b are needed before the backward pass. They are arguments, and they are a forecast, never a
factor: a backward pass that brings other weights is exact too, it only goes over the tiles once more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from robult_core.losses import SoftPULoss, soft_pu_loss

SERVED = {
    "bandwidth": None,
    "weighting": "rbf",
    "reference": "own",
    "normalizer": "count",
    "weight_gradient": False,
}
SHORTEST = 1e-12  # the length below which a vector is left short, as in torch.nn.functional.normalize
BLOCK_SIZE = 256


def serves(s: Tensor, z: Tensor, **options) -> bool:
    """Whether the fast path computes these inputs: switches at their defaults, one precision, single or double.

    Every switch that `SERVED` does not list, and every other value of those it lists, is left to `soft_pu_loss`.
    """
    by_default = all(name in SERVED and SERVED[name] == value for name, value in options.items())
    precise = s.dtype == z.dtype and s.dtype in (torch.float32, torch.float64)
    return by_default and precise and not torch.is_autocast_enabled(s.device.type)


def fused_soft_pu_loss(
    s: Tensor,
    z: Tensor,
    classes: Tensor,
    labeled: Tensor,
    *,
    labeled_weight: float = 1.0,
    unlabeled_weight: float = 1.0,
    temperature: float = 0.2,
    present: Tensor | None = None,
    block_size: int | None = None,
    **options,
) -> SoftPULoss:
    """`soft_pu_loss`, by the fast path where `serves` says so and by the plain one elsewhere.

    Arguments, shapes, values, edge cases and errors are those of `losses.soft_pu_loss`; two arguments are new.
    labeled_weight, unlabeled_weight: the weights with which the caller will sum the two terms. The returned terms
    are not multiplied by them. Gradients are exact for any use of the terms, and cheapest for this one.
    block_size: anchors per tile, None: 256.

    The fast path has a first derivative only: a second one raises RuntimeError.
    """
    if not serves(s, z, **options):
        options |= {"temperature": temperature, "present": present, "block_size": block_size}
        return soft_pu_loss(s, z, classes, labeled, **options)
    if block_size is None:
        block_size = BLOCK_SIZE
    _check(s, z, classes, labeled, temperature, present, block_size)
    problem = _Problem(classes, labeled.bool(), present, temperature, block_size)
    ahead = torch.is_grad_enabled() and (s.requires_grad or z.requires_grad)
    return SoftPULoss(*_FusedSoftPU.apply(s, z, problem, (labeled_weight, unlabeled_weight), ahead))


def _check(s, z, classes, labeled, temperature, present, block_size) -> None:
    if s.ndim != 2 or z.ndim != 3 or z.shape[1:] != s.shape:
        shapes = f"s has shape {tuple(s.shape)} and z {tuple(z.shape)}"
        raise ValueError(f"{shapes}: expected (B, d) and (M, B, d)")
    for name, value in (("classes", classes), ("labeled", labeled)):
        if value.shape != s.shape[:1]:
            raise ValueError(f"{name} has shape {tuple(value.shape)}: expected ({len(s)},), one per sample")
    if present is not None and present.shape != z.shape[:2]:
        expected = f"expected {tuple(z.shape[:2])}, modalities by samples"
        raise ValueError(f"present has shape {tuple(present.shape)}: {expected}")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive")
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}: it must be at least 1")


# --- what autograd sees ---------------------------------------------------------------------------


class _Problem(NamedTuple):
    """Everything but the representations; nothing here carries a gradient."""

    classes: Tensor
    labeled: Tensor
    present: Tensor | None
    temperature: float
    block_size: int


class _FusedSoftPU(Function):
    """Eq. 4 and Eq. 6 as two scalars; the gradient of their weighted sum is made on the way."""

    @staticmethod
    def forward(ctx: FunctionCtx, s, z, problem: _Problem, weights: tuple[float, float], ahead: bool):
        labeled, unlabeled, *gradients = _evaluate(s, z, problem, weights if ahead else None)
        ctx.problem = problem
        ctx.weights = weights
        ctx.save_for_backward(s, z, *gradients)
        return labeled, unlabeled

    @staticmethod
    def backward(ctx: FunctionCtx, labeled_gradient: Tensor, unlabeled_gradient: Tensor):
        s, z, *gradients = ctx.saved_tensors
        given = tuple(torch.stack([labeled_gradient, unlabeled_gradient]).tolist())
        with torch.no_grad():
            factor = _common_factor(given, ctx.weights, torch.finfo(s.dtype).eps)
            if factor is None:
                gradients = _evaluate(s, z, ctx.problem, given)[2:]
            else:
                gradients = [gradient * factor for gradient in gradients]
        if torch.is_grad_enabled():  # create_graph=True
            gradients = [_OnceOnly.apply(gradient, s, z) for gradient in gradients]
        return *gradients, None, None, None


class _OnceOnly(Function):
    """A gradient that depends on s and z and cannot be differentiated with respect to them."""

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: Tensor, s: Tensor, z: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: Tensor):
        raise RuntimeError(
            "fused_soft_pu_loss has no second derivative: "
            "use robult_core.losses.soft_pu_loss where one is needed"
        )


def _common_factor(given: tuple, expected: tuple, eps: float) -> float | None:
    """The t with `given = t * expected` up to rounding, None where there is none."""
    if not any(expected):
        return None if any(given) else 0.0
    left = given[0] * expected[1]
    right = given[1] * expected[0]
    if not math.isclose(left, right, rel_tol=8 * eps):
        return None
    larger = 0 if abs(expected[0]) >= abs(expected[1]) else 1
    return given[larger] / expected[larger]


# --- what is the same for every block of rows -----------------------------------------------------


class _Sorted(NamedTuple):
    """Samples sorted by class, labelled ones first in their class."""

    index: Tensor  # (K,) which sample
    key: Tensor  # (K,) twice its class, counted from 0, plus 1 where it is not labelled

    @property
    def number(self) -> Tensor:
        return self.key >> 1

    @property
    def labeled(self) -> Tensor:
        return self.key & 1 == 0

    def keep(self, places: Tensor) -> _Sorted:
        return _Sorted(self.index.index_select(0, places), self.key.index_select(0, places))


class _Anchors(NamedTuple):
    """The A samples that have every modality."""

    index: Tensor  # (A,) rows of s
    number: Tensor  # (A, 1) class
    label: Tensor  # (A, 1) class where labelled, -2 elsewhere


class _Partners(NamedTuple):
    """The K samples that have one modality, and what each anchor finds among them."""

    index: Tensor  # (K,) rows of z
    number: Tensor  # (K,) class
    label: Tensor  # (K,) class where labelled, -1 elsewhere: equal to no anchor's -2
    own: Tensor  # (A, 1) the anchor's own sample
    labeled_share: Tensor  # (A, 1) 1 / |B_11|, 0 where it is empty
    pseudo_share: Tensor  # (A, 1) 1 / |B_10|, 0 where it is empty
    windows: list[slice]  # of each block of anchors: the partners of its classes


def _layout(problem: _Problem, modalities: int, dtype: torch.dtype) -> tuple[_Anchors, list[_Partners]]:
    """Sort the samples by class; one `_Partners` for all modalities where nothing is missing."""
    _, number = torch.unique(problem.classes, return_inverse=True)
    key, index = torch.sort(2 * number + ~problem.labeled)
    samples = _Sorted(index, key)
    places = torch.arange(len(index), device=index.device)
    complete = problem.present is None or bool(problem.present.all())
    if complete:
        anchor_places = places
        partner_places = [places]
    else:
        present = problem.present[:, index]
        anchor_places = places[present.all(0)]
        partner_places = [places[here] for here in present]
    rows = samples.keep(anchor_places)
    number = rows.number.to(dtype)
    label = torch.where(rows.labeled, number, -2.0)
    partners = [
        _partners(rows, samples.keep(some), torch.searchsorted(some, anchor_places), problem.block_size, dtype)
        for some in partner_places
    ]
    anchors = _Anchors(rows.index, number[:, None], label[:, None])
    return anchors, partners * modalities if complete else partners


def _partners(rows: _Sorted, columns: _Sorted, own: Tensor, block_size: int, dtype: torch.dtype) -> _Partners:
    first = rows.key & ~1
    start, middle, stop = torch.searchsorted(columns.key, torch.stack([first, first + 1, first + 2]))
    n_labeled = torch.where(rows.labeled, middle - start, 0)
    n_pseudo = stop - start - n_labeled
    top = torch.arange(0, len(first), block_size, device=first.device)
    bottom = (top + block_size).clamp_(max=len(first)) - 1
    bounds = zip(start[top].tolist(), stop[bottom].tolist(), strict=True)
    number = columns.number.to(dtype)
    return _Partners(
        index=columns.index,
        number=number,
        label=torch.where(columns.labeled, number, -1.0),
        own=own[:, None],
        labeled_share=_share(n_labeled, dtype),
        pseudo_share=_share(n_pseudo, dtype),
        windows=[slice(*pair) for pair in bounds],
    )


def _share(count: Tensor, dtype: torch.dtype) -> Tensor:
    """1 / count, 0 where the count is 0; `(A,)` to `(A, 1)`."""
    share = count.to(dtype).reciprocal_()
    return share.masked_fill_(count == 0, 0.0)[:, None]


class _UnitRows(NamedTuple):
    """Rows divided by their lengths, and the lengths."""

    unit: Tensor  # (K, d)
    length: Tensor  # (K, 1)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """The gradient with respect to the rows from the one with respect to the unit vectors."""
        radial = torch.linalg.vecdot(self.unit, gradient)[:, None]
        radial.mul_(self.length > SHORTEST)  # a length at the bound is a constant
        return gradient.addcmul_(self.unit, radial, value=-1).div_(self.length)


def _unit_rows(x: Tensor, index: Tensor) -> _UnitRows:
    rows = x.index_select(0, index)
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_(min=SHORTEST)
    return _UnitRows(rows.div_(length), length)


# --- one block of rows ----------------------------------------------------------------------------


class _Pairs(NamedTuple):
    """Which partners of a window count for which anchor of a block, `(b, window)` each, as shares of 1."""

    labeled: Tensor  # 1 / n in B_11
    pseudo: Tensor  # 1 / m in B_10


def _pairs(anchors: _Anchors, partners: _Partners, rows: slice, window: slice) -> _Pairs:
    """The masks of readings 4 and 5; written as floats at once, for bool masks cost ten times as much."""
    shape = (rows.stop - rows.start, window.stop - window.start)
    both = anchors.number.new_empty(shape)
    same = anchors.number.new_empty(shape)
    torch.eq(anchors.label[rows], partners.label[window], out=both)
    torch.eq(anchors.number[rows], partners.number[window], out=same)
    pseudo = same.sub_(both).mul_(partners.pseudo_share[rows])
    return _Pairs(both.mul_(partners.labeled_share[rows]), pseudo)


def _softmax_(logits: Tensor) -> Tensor:
    """Overwrite `(b, K)` logits by their softmax over each row; returns log-sum-exp, `(b, 1)`."""
    top = logits.amax(-1, keepdim=True)
    total = logits.sub_(top).exp_().sum(-1, keepdim=True)
    logits.mul_(total.reciprocal())
    return total.log_().add_(top)


def _pair_weights(v: Tensor, scratch: Tensor, window: slice, own: Tensor, pairs: _Pairs, has_labeled: Tensor) -> Tensor:
    """Eq. 5 divided by |B_10|, `(b, window)`: RBF around the reference (reading 6), width of the row (reading 7)."""
    mean = 1 / v.shape[-1]
    deviation = torch.sub(v, mean, out=scratch)
    width = torch.linalg.vector_norm(deviation, dim=-1, keepdim=True).mul_(math.sqrt(mean))
    scale = width.reciprocal().mul_(math.sqrt(0.5))
    scale.masked_fill_(width <= 16 * torch.finfo(v.dtype).eps * mean, 0.0)  # identical rows: weight 1
    seen = v[:, window]
    reference = (seen * pairs.labeled).sum(-1, keepdim=True)
    reference = torch.where(has_labeled, reference, v.gather(1, own))
    distance = torch.sub(seen, reference).mul_(scale)
    return distance.square_().neg_().exp_().mul_(pairs.pseudo)


def _block_terms(logits, scratch, rows: slice, partners: _Partners, pairs: _Pairs, window: slice, weights):
    """Eq. 4 and Eq. 6 of a block of anchors, `(b,)` each; overwrites `logits` by the gradient with respect to them."""
    seen = logits[:, window].clone()
    log_sum = _softmax_(logits)
    v = logits
    has_labeled = partners.labeled_share[rows] > 0
    w = _pair_weights(v, scratch, window, partners.own[rows], pairs, has_labeled)
    mean_weight = w.sum(-1, keepdim=True)
    labeled = log_sum * has_labeled - (pairs.labeled * seen).sum(-1, keepdim=True)
    unlabeled = log_sum * mean_weight - seen.mul_(w).sum(-1, keepdim=True)
    if weights is not None:
        labeled_weight, unlabeled_weight = weights
        v.mul_(has_labeled * labeled_weight + mean_weight * unlabeled_weight)
        v[:, window].sub_(pairs.labeled, alpha=labeled_weight).sub_(w, alpha=unlabeled_weight)
    return labeled[:, 0], unlabeled[:, 0]


# --- all blocks -----------------------------------------------------------------------------------


def _evaluate(s: Tensor, z: Tensor, problem: _Problem, weights: tuple[float, float] | None) -> tuple[Tensor, ...]:
    """Eq. 4 and Eq. 6, and with `weights` the gradients of their weighted sum with respect to s and z."""
    size = problem.block_size
    anchors, partners = _layout(problem, len(z), s.dtype)
    s_rows = _unit_rows(s, anchors.index)
    z_rows = [_unit_rows(one, its.index) for one, its in zip(z, partners, strict=True)]
    queries = s_rows.unit / problem.temperature
    ds = torch.zeros_like(queries)
    dz = [torch.zeros_like(one.unit) for one in z_rows]
    count = len(queries)
    labeled = s.new_zeros(len(z), count)
    unlabeled = s.new_zeros(len(z), count)
    tiles = s.new_empty(2, min(size, count) * len(s))
    for block, start in enumerate(range(0, count, size)):
        rows = slice(start, min(start + size, count))
        pairs, paired = None, None
        for i, its in enumerate(partners):
            window = its.windows[block]
            if its is not paired:
                pairs, paired = _pairs(anchors, its, rows, window), its
            shape = (rows.stop - rows.start, len(its.index))
            logits, scratch = (tile[: math.prod(shape)].view(shape) for tile in tiles)
            torch.mm(queries[rows], z_rows[i].unit.T, out=logits)
            labeled[i, rows], unlabeled[i, rows] = _block_terms(logits, scratch, rows, its, pairs, window, weights)
            if weights is not None:
                ds[rows].addmm_(logits, z_rows[i].unit)
                dz[i].addmm_(logits.T, queries[rows])
    total = max(labeled.numel(), 1)
    values = labeled.sum() / total, unlabeled.sum() / total
    if weights is None:
        return values
    grad_s = torch.zeros_like(s)
    grad_z = torch.zeros_like(z)
    grad_s.index_copy_(0, anchors.index, s_rows.pull_back(ds.div_(total * problem.temperature)))
    for gradient, its, one, rows in zip(grad_z, partners, dz, z_rows, strict=True):
        gradient.index_copy_(0, its.index, rows.pull_back(one.div_(total)))
    return *values, grad_s, grad_z
