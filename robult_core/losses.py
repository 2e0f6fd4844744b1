"""The losses of Robult as pure functions: soft positive-unlabelled contrastive loss (Eq. 4-7) and latent reconstruction (Eq. 10).

Letters as in the paper: `s (B, d)` fused representations, `z (M, B, d)` representations of each modality,
`phi(s_j, z_k) = exp(<s_j, z_k> / temperature)` on unit vectors (reading 3), `v = phi / sum_h phi` (Eq. 2). Anchors j are rows, partners k columns.
The sign is that of a loss, -E log v (reading 1). Masks are built apart from the losses; terms stay per anchor until the last line.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

WEIGHTINGS = ("rbf", "cosine", "hard", "none")
REFERENCES = ("own", "class")
NORMALIZERS = ("count", "weights")


class SoftPULoss(NamedTuple):
    """`labeled` Eq. 4, `unlabeled` Eq. 6: scalars, means over modalities and anchors; `total` is Eq. 7."""

    labeled: Tensor
    unlabeled: Tensor

    @property
    def total(self) -> Tensor:
        return self.labeled + self.unlabeled


def positive_masks(
    classes: Tensor, labeled: Tensor, rows: slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """B_{1,1} and B_{1,0} of the anchors in `rows`, two `(b, B)` bool masks (readings 4 and 5).

    Both hold partners of the anchor's class; the first where both labels are given, the second where at least one is a pseudo-label.
    """
    same = classes[rows, None] == classes[None, :]
    both = labeled[rows, None] & labeled[None, :]
    return same & both, same & ~both


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis where `mask`; 0 where the mask is empty."""
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1)


def _reference(
    proximity: Tensor, own: Tensor, labeled_pairs: Tensor, class_pairs: Tensor, reference: str
) -> Tensor:
    """phi_j of Eq. 5, `(M, b)`: mean over B_{1,1}; an anchor without labelled partners takes its own pair (reading 6).

    `class_pairs` are the labelled samples of the anchor's (pseudo-)class: with reference "class" they stand in for B_{1,1}.
    """
    pairs = labeled_pairs if reference == "own" else class_pairs
    return torch.where(pairs.any(-1), _masked_mean(proximity, pairs), own)


def _weights(
    proximity, reference, columns, bandwidth: float | None, unit: Tensor, hard: bool
) -> Tensor:
    """RBF of Eq. 5 between each pair's proximity and its anchor's reference, `(M, b, B)`.

    `unit (M, b, 1)` is one of phi in the unit of `proximity`; the adaptive width, the population deviation over the anchor's row, needs none.
    """
    distance = (proximity - reference[..., None]).abs()
    if bandwidth is None:
        mean = _masked_mean(proximity, columns)[..., None]
        variance = _masked_mean((proximity - mean) ** 2, columns)[..., None]
        width = variance.clamp(
            min=torch.finfo(variance.dtype).tiny
        ).sqrt()  # the root of 0 has no gradient
    else:
        width = bandwidth * unit
    # all proximities equal: nothing to weigh, weight 1 (reading 7)
    ratio = torch.where(
        distance == 0, 0.0, distance / width.clamp(min=torch.finfo(width.dtype).tiny)
    )
    if bandwidth is None:  # up to rounding, for identical rows differ in their last bits
        ratio = torch.where(width <= 16 * torch.finfo(width.dtype).eps * mean.abs(), 0.0, ratio)
    return (ratio <= 1).to(proximity.dtype) if hard else torch.exp(-0.5 * ratio**2)


def _pair_terms(
    s,
    z,
    classes,
    labeled,
    present,
    rows: slice,
    temperature,
    bandwidth,
    weighting,
    reference,
    weight_gradient,
):
    """log v, both masks and the weights for the anchors in `rows`, each `(M, b, B)`; `s` and `z` are unit vectors."""
    columns = present[:, None, :]  # (M, 1, B) candidates
    logits = torch.einsum("jd,mkd->mjk", s[rows], z) / temperature
    candidates = logits.masked_fill(~columns, -math.inf)
    log_sum = candidates.logsumexp(-1, keepdim=True)
    log_v = logits - log_sum
    both, pseudo = (mask & columns for mask in positive_masks(classes, labeled, rows))
    if weighting == "none":
        return log_v, both, pseudo, pseudo.to(log_v.dtype)
    with torch.set_grad_enabled(
        weight_gradient and torch.is_grad_enabled()
    ):  # constants by default (reading 8)
        # v in place of phi: the row's factor cancels in the adaptive kernel, and phi itself leaves float32 at small temperatures
        shift = log_sum.detach().clamp(min=torch.finfo(logits.dtype).min)
        if weighting == "cosine":
            proximity, unit = logits * temperature, torch.ones_like(shift)
        else:
            proximity, unit = (candidates - shift).exp(), (-shift).exp()
        own = proximity[:, range(proximity.shape[1]), range(*rows.indices(len(s)))]
        class_pairs = (classes[rows, None] == classes[None, :]) & labeled[None, :] & columns
        phi = _reference(proximity, own, both, class_pairs, reference)
        weights = _weights(proximity, phi, columns, bandwidth, unit, weighting == "hard") * pseudo
    return log_v, both, pseudo, weights


def _anchor_terms(
    s,
    z,
    classes,
    labeled,
    present,
    rows,
    temperature,
    bandwidth,
    weighting,
    reference,
    weight_gradient,
    normalizer,
):
    """Eq. 4 and Eq. 6 before any reduction: loss of each modality and anchor, two `(M, b)`."""
    log_v, both, pseudo, weights = _pair_terms(
        s,
        z,
        classes,
        labeled,
        present,
        rows,
        temperature,
        bandwidth,
        weighting,
        reference,
        weight_gradient,
    )
    norm = (pseudo if normalizer == "count" else weights).sum(-1)  # reading 10
    norm = torch.where(norm > 0, norm, 1)
    # where() keeps the masked entries out of the gradient as well: absent candidates have log v = finite garbage
    return -_masked_mean(torch.where(both, log_v, 0.0), both), -(
        torch.where(pseudo, log_v, 0.0) * weights
    ).sum(-1) / norm


def _prepare(
    s: Tensor,
    z: Tensor,
    classes: Tensor,
    labeled: Tensor,
    present: Tensor | None,
    temperature: float,
):
    """Check shapes; unit vectors with zeros where a sample has none; anchors `(B,)`, present `(M, B)`."""
    if s.ndim != 2 or z.ndim != 3 or z.shape[1:] != s.shape:
        raise ValueError(
            f"s has shape {tuple(s.shape)} and z {tuple(z.shape)}: expected (B, d) and (M, B, d)"
        )
    for name, value in (("classes", classes), ("labeled", labeled)):
        if value.shape != s.shape[:1]:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: expected ({len(s)},), one per sample"
            )
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}: it must be positive")
    if present is None:
        present = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device)
    elif present.shape != z.shape[:2]:
        raise ValueError(
            f"present has shape {tuple(present.shape)}: expected {tuple(z.shape[:2])}, modalities by samples"
        )
    anchors = present.all(0)
    s = F.normalize(torch.where(anchors[:, None], s, 0.0), dim=-1)
    z = F.normalize(torch.where(present[..., None], z, 0.0), dim=-1)
    return s, z, labeled.bool(), present, anchors


def _check_options(bandwidth, weighting, reference, normalizer) -> None:
    if bandwidth is not None and not bandwidth > 0:
        raise ValueError(
            f"bandwidth is {bandwidth}: it must be positive, or None for the adaptive width"
        )
    for name, value, known in (
        ("weighting", weighting, WEIGHTINGS),
        ("reference", reference, REFERENCES),
        ("normalizer", normalizer, NORMALIZERS),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: choose one of {', '.join(known)}")


def soft_pu_anchor_terms(
    s: Tensor,
    z: Tensor,
    classes: Tensor,
    labeled: Tensor,
    *,
    temperature: float = 0.2,
    bandwidth: float | None = None,
    present: Tensor | None = None,
    block_size: int | None = None,
    weighting: str = "rbf",
    reference: str = "own",
    normalizer: str = "count",
    weight_gradient: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 4 and Eq. 6 of every modality and sample, two `(M, B)`, and which samples are anchors, `(B,)`; arguments as `soft_pu_loss`."""
    _check_options(bandwidth, weighting, reference, normalizer)
    s, z, labeled, present, anchors = _prepare(s, z, classes, labeled, present, temperature)
    size = len(s)
    if block_size is None:  # whole matrices up to 1024 rows, then about 2^20 pairs a tile
        block_size = size if size <= 1024 else max(1, 2**20 // size)
    elif block_size < 1:
        raise ValueError(f"block_size is {block_size}: it must be at least 1")
    options = (temperature, bandwidth, weighting, reference, weight_gradient, normalizer)
    if block_size >= size:
        labeled_terms, unlabeled_terms = _anchor_terms(
            s, z, classes, labeled, present, slice(0, size), *options
        )
    else:  # a row of pairs needs no other row, so tiles are recomputed in the backward pass: memory M * block_size * B instead of M * B * B
        tiles = [
            checkpoint(
                _anchor_terms,
                s,
                z,
                classes,
                labeled,
                present,
                slice(start, min(start + block_size, size)),
                *options,
                use_reentrant=False,
            )
            for start in range(0, size, block_size)
        ]
        labeled_terms, unlabeled_terms = (
            torch.cat(parts, dim=1) for parts in zip(*tiles, strict=True)
        )
    return labeled_terms, unlabeled_terms, anchors


def soft_pu_loss(s: Tensor, z: Tensor, classes: Tensor, labeled: Tensor, **options) -> SoftPULoss:
    """Soft positive-unlabelled contrastive loss, Eq. 4-7.

    s: `(B, d)` fused representations; z: `(M, B, d)` one per modality; both raw, unit vectors are made inside.
    classes: `(B,)` int, the label where `labeled`, the pseudo-label elsewhere; labeled: `(B,)` bool.
    temperature: tau > 0. bandwidth: width of the RBF in units of phi; None: the deviation of phi over the anchor's row (reading 7).
    present: `(M, B)` bool; a sample lacking a modality is no anchor, its other z stay partners. Rows of `s` and `z` that are not there may hold anything.
    block_size: anchors per tile, None: chosen from B; any size gives the same numbers.
    weighting: "rbf" (Eq. 5), "cosine" (kernel on the cosine), "hard" (1 within one width, else 0), "none".
    reference: "own" or "class" (reading 6); normalizer: "count" or "weights" (reading 10); weight_gradient: reading 8.

    Returns means over modalities and anchors. An anchor without positives adds 0; no anchors, no labels or B = 1 give 0, with gradients.
    Raises ValueError on shapes and options that do not fit.
    """
    labeled_terms, unlabeled_terms, anchors = soft_pu_anchor_terms(
        s, z, classes, labeled, **options
    )
    count = (anchors.sum() * len(z)).clamp(min=1)
    return SoftPULoss(
        (labeled_terms * anchors).sum() / count, (unlabeled_terms * anchors).sum() / count
    )


def rbf_weights(
    s: Tensor,
    z: Tensor,
    classes: Tensor,
    labeled: Tensor,
    *,
    temperature: float = 0.2,
    bandwidth: float | None = None,
    present: Tensor | None = None,
    weighting: str = "rbf",
    reference: str = "own",
) -> Tensor:
    """Weights of Eq. 5, `(M, B, B)`, anchors by partners, zero outside B_{1,0}; arguments as `soft_pu_loss`."""
    _check_options(bandwidth, weighting, reference, "count")
    s, z, labeled, present, anchors = _prepare(s, z, classes, labeled, present, temperature)
    weights = _pair_terms(
        s,
        z,
        classes,
        labeled,
        present,
        slice(0, len(s)),
        temperature,
        bandwidth,
        weighting,
        reference,
        False,
    )[3]
    return weights * anchors[None, :, None]


def latent_reconstruction_loss(reconstructed: Tensor, latent: Tensor) -> Tensor:
    """Eq. 10: mean of 1 - cos^2 between `(M, B, d)` reconstructions and latents; 0 for parallel or opposite, 1 for orthogonal vectors.

    The square makes the sign free: r_i may return -h_i. Raises ValueError when the shapes differ; an empty batch gives 0.
    """
    if reconstructed.shape != latent.shape:
        raise ValueError(
            f"reconstruction has shape {tuple(reconstructed.shape)}, the latent {tuple(latent.shape)}: they must agree"
        )
    loss = 1 - F.cosine_similarity(reconstructed, latent, dim=-1) ** 2
    return loss.mean() if loss.numel() else reconstructed.sum()
