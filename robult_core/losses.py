"""The losses of Robult as pure functions: one per equation of section 2, in the paper's order.

    Eq. 2         log_proximity, log_normalizer   log phi and the log of its sum over partners
    Eq. 3         positive_masks                  which pairs are positive, and which labelled
    Eq. 4         labeled_terms
    Eq. 5         rbf_weights                     the whole; its parts are reference_proximity,
                                                  _adaptive_width and rbf
    Eq. 6         unlabeled_terms
    Eq. 7         SoftPULoss.total
    Eq. 8 to 10   latent_reconstruction_loss

Letters are the paper's: `s (B, d)` are the fused representations, `z (M, B, d)` those of each
modality, `phi(s_j, z_k)` is the proximity of a pair and `v` its share of the sum over all partners.
Anchors j are rows and partners k are columns. The sign is that of a loss, -E log v (reading 1).
Every function of Eq. 2 to 6 returns one value per modality and anchor, or pair; only `soft_pu_loss`
takes the mean.

Reading n is row n of the table "Where the paper is ambiguous" in notebook 03.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from robult_core.checks import check_count
from robult_core.validation import Positive, validated

Array = Tensor | np.ndarray | Sequence[Any]  # what the public functions take


@validated
class SoftPUOptions:
    """What the paper leaves open in Eq. 2 to 6."""

    # tau of Eq. 2, which the paper does not state; chosen by `robult search` (see notebook 04)
    temperature: Positive = 0.27
    # width of the RBF of Eq. 5 in units of phi; None is the deviation of the row (reading 7)
    bandwidth: Positive | None = None
    # RBF of phi, RBF of the cosine, 1 within one width and 0 beyond, 1 for all pairs (reading 7)
    weighting: Literal["rbf", "cosine", "hard", "none"] = "rbf"
    # an unlabelled anchor refers to its own pair, or to the labelled pairs of its class (reading 6)
    reference: Literal["own", "class"] = "own"
    # Eq. 6 is divided by the number of pairs or by the sum of their weights (reading 10)
    normalizer: Literal["count", "weights"] = "count"
    # whether gradients flow through the weights of Eq. 5 (reading 8)
    weight_gradient: bool = False
    # who stands in the sum of v in Eq. 4: every sample, or the labelled ones (reading 24)
    labeled_candidates: Literal["all", "labeled"] = "all"


class SoftPULoss(NamedTuple):
    """Eq. 4 and Eq. 6 as scalars, means over modalities and anchors; `total` is Eq. 7."""

    labeled: Tensor
    unlabeled: Tensor

    @property
    def total(self) -> Tensor:
        return self.labeled + self.unlabeled


class AnchorTerms(NamedTuple):
    """Eq. 4 and Eq. 6 of every modality and sample, and which samples are anchors."""

    labeled: Float[Tensor, "modalities batch"]
    unlabeled: Float[Tensor, "modalities batch"]
    anchors: Bool[Tensor, " batch"]


# --- the front door ---------------------------------------------------------------------------


def soft_pu_loss(
    s: Array,
    z: Array,
    classes: Array,
    labeled: Array,
    *,
    present: Array | None = None,
    block_size: int | None = None,
    **options: Any,
) -> SoftPULoss:
    """Soft positive-unlabelled contrastive loss, Eq. 4 to 7.

    s: `(B, d)` fused representations, z: `(M, B, d)` one per modality; both raw, because unit
        vectors are made inside (reading 3).
    classes: `(B,)` integers, the label where `labeled` and the pseudo-label elsewhere.
    labeled: `(B,)` bool.
    present: `(M, B)` bool. A sample that lacks a modality has no s and is no anchor, but its other
        z stay partners. What is absent may hold anything.
    block_size: anchors per tile; None chooses it from B. Every size gives the same numbers.
    options: those of `SoftPUOptions`.

    Tensors, arrays and lists are welcome. The result holds means over modalities and anchors. An
    anchor without positives adds 0; without anchors, without labels or with B = 1 the terms are 0
    and carry gradients. Raises ValueError where shapes or options do not fit.
    """
    terms = soft_pu_anchor_terms(
        s, z, classes, labeled, present=present, block_size=block_size, **options
    )
    n_modalities = len(terms.labeled)
    count = (terms.anchors.sum() * n_modalities).clamp(min=1)
    labeled_mean = (terms.labeled * terms.anchors).sum() / count
    unlabeled_mean = (terms.unlabeled * terms.anchors).sum() / count
    return SoftPULoss(labeled_mean, unlabeled_mean)


def soft_pu_anchor_terms(
    s: Array,
    z: Array,
    classes: Array,
    labeled: Array,
    *,
    present: Array | None = None,
    block_size: int | None = None,
    **options: Any,
) -> AnchorTerms:
    """Eq. 4 and Eq. 6 before the means, for notebooks; arguments as of `soft_pu_loss`."""
    chosen = SoftPUOptions(**options)
    batch = _unit_batch(s, z, classes, labeled, present)
    size = len(batch.s)
    tile = _tile_size(block_size, size)
    if tile >= size:
        labeled_part, unlabeled_part = _anchor_terms(batch, slice(0, size), chosen)
    else:
        labeled_part, unlabeled_part = _tiled_anchor_terms(batch, tile, chosen)
    return AnchorTerms(labeled_part, unlabeled_part, batch.anchors)


def rbf_weights(
    s: Array,
    z: Array,
    classes: Array,
    labeled: Array,
    *,
    present: Array | None = None,
    **options: Any,
) -> Float[Tensor, "modalities batch batch"]:
    """The weights of Eq. 5, anchors by partners, 0 outside B_{1,0}; arguments as `soft_pu_loss`."""
    chosen = SoftPUOptions(**options)
    batch = _unit_batch(s, z, classes, labeled, present)
    pairs = _pairs(batch, slice(0, len(batch.s)), chosen.temperature)
    weights = _pair_weights(pairs, chosen)
    return weights * batch.anchors[None, :, None]


# --- the equations ----------------------------------------------------------------------------


def log_proximity(
    s: Float[Tensor, "anchors dim"],
    z: Float[Tensor, "modalities batch dim"],
    temperature: float,
) -> Float[Tensor, "modalities anchors batch"]:
    """Eq. 2: log phi(s_j, z_k) = <s_j, z_k> / temperature, of unit vectors (reading 3)."""
    cosine = torch.einsum("jd,mkd->mjk", s, z)
    return cosine / temperature


def log_normalizer(
    log_phi: Float[Tensor, "modalities anchors batch"],
) -> Float[Tensor, "modalities anchors 1"]:
    """Eq. 2: log sum_h phi(s_j, z_h), where absent partners have log phi = -inf.

    The log of v is log phi minus it.
    """
    return log_phi.logsumexp(-1, keepdim=True)


def positive_masks(
    classes: Int[Tensor, " batch"],
    labeled: Bool[Tensor, " batch"],
    rows: slice = slice(None),
) -> tuple[Bool[Tensor, "anchors batch"], Bool[Tensor, "anchors batch"]]:
    """B_{1,1} and B_{1,0} of the anchors in `rows`, which split Eq. 3 (readings 4 and 5).

    Both hold the partners of the anchor's class: the first where both labels are given, the second
    where at least one class is a pseudo-label.
    """
    same_class = classes[rows, None] == classes[None, :]
    both_labeled = labeled[rows, None] & labeled[None, :]
    return same_class & both_labeled, same_class & ~both_labeled


def labeled_terms(
    log_v: Float[Tensor, "modalities anchors batch"],
    labeled_pairs: Bool[Tensor, "modalities anchors batch"],
) -> Float[Tensor, "modalities anchors"]:
    """Eq. 4 per anchor: the mean of -log v over B_{1,1}; 0 where it is empty (reading 2)."""
    # where() keeps absent partners, whose log v is arbitrary, out of the gradient as well
    return -_masked_mean(torch.where(labeled_pairs, log_v, 0.0), labeled_pairs)


def reference_proximity(
    proximity: Float[Tensor, "modalities anchors batch"],
    positives: Bool[Tensor, "modalities anchors batch"],
    own_proximity: Float[Tensor, "modalities anchors"],
) -> Float[Tensor, "modalities anchors"]:
    """Eq. 5: phi_j, the mean proximity of the positives; without any, that of the own pair."""
    mean = _masked_mean(proximity, positives)
    return torch.where(positives.any(-1), mean, own_proximity)


def rbf(distance_in_widths: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Eq. 5: a Gaussian of the distance between phi_j and phi(s_j, z_k), in units of its width."""
    return torch.exp(-0.5 * distance_in_widths**2)


def unlabeled_terms(
    log_v: Float[Tensor, "modalities anchors batch"],
    weights: Float[Tensor, "modalities anchors batch"],
    unlabeled_pairs: Bool[Tensor, "modalities anchors batch"],
    normalizer: Literal["count", "weights"],
) -> Float[Tensor, "modalities anchors"]:
    """Eq. 6 per anchor: the weighted sum of -log v over B_{1,0}, divided as in reading 10."""
    norm = unlabeled_pairs.sum(-1) if normalizer == "count" else weights.sum(-1)
    norm = torch.where(norm > 0, norm, 1)
    weighted = torch.where(unlabeled_pairs, log_v, 0.0) * weights
    return -weighted.sum(-1) / norm


def latent_reconstruction_loss(reconstructed: Array, latent: Array) -> Float[Tensor, ""]:
    """Eq. 10: the mean of 1 - <h~, h>^2 on unit vectors; Eq. 8 and 9 say which bound it lowers.

    Both are `(M, B, d)`, or `(n, d)` where only some of the pairs are there. Parallel and opposite
    vectors give 0, so r_i may return -h_i; orthogonal ones give 1. An empty batch gives 0.
    Raises ValueError when the shapes differ.
    """
    reconstructed, latent = _floats(reconstructed), _floats(latent)
    if reconstructed.shape != latent.shape:
        raise ValueError(
            f"reconstruction has shape {tuple(reconstructed.shape)} and the latent "
            f"{tuple(latent.shape)}: they must agree"
        )
    cosine = F.cosine_similarity(reconstructed, latent, dim=-1)
    loss = 1 - cosine**2
    if not loss.numel():
        return reconstructed.sum()
    return loss.mean()


# --- from a batch to the terms of its anchors ----------------------------------------------------


class _UnitBatch(NamedTuple):
    """A checked batch: unit vectors, zero where a sample lacks the modality."""

    s: Float[Tensor, "batch dim"]
    z: Float[Tensor, "modalities batch dim"]
    classes: Int[Tensor, " batch"]
    labeled: Bool[Tensor, " batch"]
    present: Bool[Tensor, "modalities batch"]
    anchors: Bool[Tensor, " batch"]  # samples with every modality


class _Pairs(NamedTuple):
    """The pairs of b anchors with all B samples, for each modality."""

    log_phi: Float[Tensor, "modalities anchors batch"]
    log_phi_present: Float[Tensor, "modalities anchors batch"]  # -inf for absent partners
    log_sum_phi: Float[Tensor, "modalities anchors 1"]
    log_v: Float[Tensor, "modalities anchors batch"]
    partners: Bool[Tensor, "modalities 1 batch"]  # samples that have the modality
    labeled: Bool[Tensor, "modalities anchors batch"]  # B_{1,1}
    unlabeled: Bool[Tensor, "modalities anchors batch"]  # B_{1,0}
    labeled_class: Bool[Tensor, "modalities anchors batch"]  # labelled partners of j's class
    first_anchor: int  # the sample that is row 0


def _anchor_terms(batch: _UnitBatch, rows: slice, options: SoftPUOptions) -> tuple[Tensor, Tensor]:
    """Eq. 4 and Eq. 6 of the anchors in `rows`, each `(M, b)`."""
    pairs = _pairs(batch, rows, options.temperature)
    weights = _pair_weights(pairs, options)
    labeled = labeled_terms(_labeled_log_v(pairs, batch, options), pairs.labeled)
    unlabeled = unlabeled_terms(pairs.log_v, weights, pairs.unlabeled, options.normalizer)
    return labeled, unlabeled


def _labeled_log_v(pairs: _Pairs, batch: _UnitBatch, options: SoftPUOptions) -> Tensor:
    """The log v of Eq. 4: over every partner, or over the labelled ones (reading 24)."""
    if options.labeled_candidates == "all":
        return pairs.log_v
    # where no labelled sample has the modality no anchor has a term, and an empty sum would make
    # the gradient NaN
    has_candidates = (batch.labeled & batch.present).any(-1)[:, None, None]  # (M, 1, 1)
    others = ~batch.labeled & has_candidates
    return pairs.log_phi - log_normalizer(pairs.log_phi_present.masked_fill(others, -math.inf))


def _tiled_anchor_terms(
    batch: _UnitBatch, tile: int, options: SoftPUOptions
) -> tuple[Tensor, Tensor]:
    """The same for all anchors, `tile` of them at a time, each `(M, B)`.

    A row of pairs needs no other row, so the backward pass computes the tiles again. That takes
    memory for M * tile * B pairs instead of M * B * B.
    """
    size = len(batch.s)
    labeled_tiles, unlabeled_tiles = [], []
    for start in range(0, size, tile):
        rows = slice(start, min(start + tile, size))
        labeled, unlabeled = checkpoint(_anchor_terms, batch, rows, options, use_reentrant=False)
        labeled_tiles.append(labeled)
        unlabeled_tiles.append(unlabeled)
    return torch.cat(labeled_tiles, dim=1), torch.cat(unlabeled_tiles, dim=1)


def _pairs(batch: _UnitBatch, rows: slice, temperature: float) -> _Pairs:
    """Eq. 2 and 3 for the anchors in `rows`."""
    partners = batch.present[:, None, :]  # (M, 1, B)
    log_phi = log_proximity(batch.s[rows], batch.z, temperature)  # (M, b, B)
    log_phi_present = log_phi.masked_fill(~partners, -math.inf)
    log_sum_phi = log_normalizer(log_phi_present)  # (M, b, 1)
    log_v = log_phi - log_sum_phi  # (M, b, B)
    labeled, unlabeled = positive_masks(batch.classes, batch.labeled, rows)  # (b, B) each
    labeled_class = (labeled | unlabeled) & batch.labeled
    return _Pairs(
        log_phi=log_phi,
        log_phi_present=log_phi_present,
        log_sum_phi=log_sum_phi,
        log_v=log_v,
        partners=partners,
        labeled=labeled & partners,
        unlabeled=unlabeled & partners,
        labeled_class=labeled_class & partners,
        first_anchor=rows.start,
    )


def _pair_weights(
    pairs: _Pairs, options: SoftPUOptions
) -> Float[Tensor, "modalities anchors batch"]:
    """Eq. 5: w_jk of every pair in B_{1,0}, 0 elsewhere; constants by default (reading 8)."""
    if options.weighting == "none":
        return pairs.unlabeled.to(pairs.log_v.dtype)
    with torch.set_grad_enabled(options.weight_gradient and torch.is_grad_enabled()):
        proximity, scale = _proximity_and_scale(pairs, options)
        own_proximity = proximity.diagonal(offset=pairs.first_anchor, dim1=1, dim2=2)  # (M, b)
        positives = pairs.labeled if options.reference == "own" else pairs.labeled_class
        reference = reference_proximity(proximity, positives, own_proximity)  # (M, b)
        distance = (proximity - reference[..., None]).abs()  # (M, b, B)
        if options.bandwidth is None:
            width, equal = _adaptive_width(proximity, pairs.partners)  # (M, b, 1) each
            distance = torch.where(equal, 0.0, distance)
        else:
            width = options.bandwidth * scale
        distance_in_widths = _divide(distance, width)
        if options.weighting == "hard":
            weights = (distance_in_widths <= 1).to(proximity.dtype)
        else:
            weights = rbf(distance_in_widths)
        return weights * pairs.unlabeled


def _proximity_and_scale(pairs: _Pairs, options: SoftPUOptions) -> tuple[Tensor, Tensor]:
    """The proximity of each pair `(M, b, B)`, and the factor `(M, b, 1)` of a given bandwidth.

    The factor turns a bandwidth in units of phi (or of the cosine) into the proximity's own scale.
    phi is divided by the sum of its row, because phi itself leaves float32 at small temperatures.
    The factor is a constant of the row and cancels in the adaptive kernel.
    """
    smallest = torch.finfo(pairs.log_phi.dtype).min
    log_factor = pairs.log_sum_phi.detach().clamp(min=smallest)  # finite where nobody is present
    if options.weighting == "cosine":
        return pairs.log_phi * options.temperature, torch.ones_like(log_factor)
    return (pairs.log_phi_present - log_factor).exp(), (-log_factor).exp()


def _adaptive_width(
    proximity: Float[Tensor, "modalities anchors batch"],
    partners: Bool[Tensor, "modalities 1 batch"],
) -> tuple[Float[Tensor, "modalities anchors 1"], Bool[Tensor, "modalities anchors 1"]]:
    """The population deviation of each row, and whether the row is constant up to rounding.

    Identical representations differ in their last bits; their pairs weigh 1 (reading 7).
    """
    mean = _masked_mean(proximity, partners)[..., None]
    variance = _masked_mean((proximity - mean) ** 2, partners)[..., None]
    numbers = torch.finfo(variance.dtype)
    width = variance.clamp(min=numbers.tiny).sqrt()  # the root of 0 has no gradient
    equal = width <= 16 * numbers.eps * mean.abs()
    return width, equal


def _divide(
    distance: Float[Tensor, "modalities anchors batch"],
    width: Float[Tensor, "modalities anchors 1"],
) -> Float[Tensor, "modalities anchors batch"]:
    """Distance in widths; 0 at distance 0 even where the width is 0."""
    ratio = distance / width.clamp(min=torch.finfo(width.dtype).tiny)
    return torch.where(distance == 0, 0.0, ratio)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the last axis where `mask`; 0 where the mask is empty."""
    total = (values * mask).sum(-1)
    count = mask.sum(-1).clamp(min=1)
    return total / count


def _tile_size(asked: int | None, size: int) -> int:
    """Anchors per tile: all of them up to 1024 samples, then about 2^20 pairs."""
    if asked is None:
        return size if size <= 1024 else max(1, 2**20 // size)
    check_count("block_size", asked)
    return asked


def _unit_batch(
    s: Array, z: Array, classes: Array, labeled: Array, present: Array | None
) -> _UnitBatch:
    """Check a batch and make unit vectors; where nothing is present they are zero."""
    s, z = _floats(s), _floats(z)
    classes = _tensor(classes).to(s.device)
    labeled = _tensor(labeled).to(s.device)
    _check_shapes(s, z, classes, labeled)
    if present is None:
        present = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device)
    present = _tensor(present).to(z.device)
    _check_truth("present", present, "True where a sample has the modality")
    if present.shape != z.shape[:2]:
        raise ValueError(
            f"present has shape {tuple(present.shape)}: expected {tuple(z.shape[:2])}, "
            f"modalities by samples"
        )
    anchors = present.all(0)
    unit_s = F.normalize(torch.where(anchors[:, None], s, 0.0), dim=-1)
    unit_z = F.normalize(torch.where(present[..., None], z, 0.0), dim=-1)
    return _UnitBatch(unit_s, unit_z, classes, labeled, present, anchors)


def _tensor(values: Array) -> Tensor:
    """A tensor of what was given: itself, or an array or a list converted."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"an argument is of the type {array.dtype}: give a tensor or numbers")
    return torch.tensor(array)


def _floats(values: Array) -> Tensor:
    """A tensor of floating-point numbers."""
    tensor = _tensor(values)
    if tensor.is_floating_point():
        return tensor
    return tensor.to(torch.get_default_dtype())


def _check_shapes(s: Tensor, z: Tensor, classes: Tensor, labeled: Tensor) -> None:
    """Raise ValueError naming the argument whose shape or type does not fit."""
    if s.ndim != 2 or z.ndim != 3 or z.shape[1:] != s.shape:
        raise ValueError(
            f"s has shape {tuple(s.shape)} and z {tuple(z.shape)}: expected (B, d) and (M, B, d)"
        )
    for name, value in (("classes", classes), ("labeled", labeled)):
        if value.shape != s.shape[:1]:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: expected ({len(s)},), one per sample"
            )
    _check_truth("labeled", labeled, "were classes and labeled exchanged?")
    if classes.is_floating_point() or classes.dtype == torch.bool:
        raise ValueError(
            f"classes have the type {classes.dtype}: expected integers, for example those of "
            f"Task.contrastive_classes"
        )


def _check_truth(name: str, mask: Tensor, hint: str) -> None:
    """Raise ValueError where a mask holds numbers: -1 for "unlabelled" would count as True."""
    if mask.dtype != torch.bool:
        raise ValueError(f"{name} has the type {mask.dtype}: expected booleans ({hint})")
