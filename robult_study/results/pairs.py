"""The weights of Eq. 5 against hidden labels: can they tell false pseudo-positive pairs from true?

The study knows the hidden labels of the training rows, which the method does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from robult_core.datasets import MultimodalData
from robult_core.losses import positive_masks, rbf_weights
from robult_core.method import Batch, Method
from robult_core.training import TrainingConfig, batches, make_batch

RBF = "RBF (Eq. 5)"
UNWEIGHTED = "no weights"
LABELED_REFERENCE = "RBF, labelled reference"
WEIGHTS = {  # ways to weigh a pseudo-positive pair -> options of `losses.rbf_weights`
    RBF: {},
    LABELED_REFERENCE: {"reference": "class"},
    "RBF, fixed width 1": {"bandwidth": 1.0},
    "kernel on the cosine": {"weighting": "cosine"},
    UNWEIGHTED: {"weighting": "none"},
}
RIVALS = ("confidence", "cosine")  # scores that are no weights of the loss
THRESHOLDS = (0.7, 0.9, 0.95)  # of the confidence
SAME_SHARE = "confidence, same share"


def inspection_batches(
    data: MultimodalData, labeled_rows: np.ndarray, seed: int, count: int = 1
) -> list[tuple[Batch, Tensor]]:
    """Batches as training draws them, each with the hidden classes `(B,)` of its samples."""
    known = np.isin(np.arange(len(data)), labeled_rows)
    config = TrainingConfig(steps=count)
    drawn = []
    for rows in batches(data.rows("train"), np.sort(labeled_rows), config, seed):
        truth = data.task.label_classes(data.targets[rows])
        drawn.append((make_batch(data, rows, known), truth))
    return drawn


@torch.no_grad()
def contrastive_view(method: Method, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    """What Robult's contrastive loss sees of a complete batch of a classification.

    s `(B, d)`, z `(M, B, d)`, classes, labeled and confidence `(B,)`. The confidence is the largest
    probability, and 1 where the label is given. Dropout is on; its generator is set to `seed`.
    """
    torch.manual_seed(seed)
    latents = method.train().latents(batch.inputs)
    logits = method.c(method.fused_input(latents["h0"], latents["s"]))
    method.eval()
    largest = logits.softmax(-1).amax(-1)
    return {
        "s": latents["s"],
        "z": torch.stack([latents[f"z/{name}"] for name in method.names]),
        "classes": method.task.contrastive_classes(batch.targets, batch.labeled, logits),
        "labeled": batch.labeled,
        "confidence": torch.where(batch.labeled, 1.0, largest),
    }


def pair_masks(view: Mapping[str, Tensor], truth: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs of a batch are pseudo-positive, without a sample's own, and which are true.

    truth: the hidden classes `(B,)`. Both masks are `(B, B)`.
    """
    pseudo = positive_masks(view["classes"], view["labeled"])[1].fill_diagonal_(False)
    return pseudo.numpy(), (truth[:, None] == truth).numpy()


def widened_weights(view: Mapping[str, Tensor], temperature: float, width: float) -> np.ndarray:
    """The weights of Eq. 5, `(M, B, B)`, with a kernel of `width` deviations of the anchor's row.

    A Gaussian c times as wide is the same one to the power of 1 / c^2.
    """
    batch = [view[name] for name in ("s", "z", "classes", "labeled")]
    weights = rbf_weights(*batch, temperature=temperature).numpy()
    return weights ** (1 / width**2)


def pair_frame(view: Mapping[str, Tensor], truth: Tensor, temperature: float) -> pd.DataFrame:
    """Every pair of B_{1,0} but a sample with itself, which is true by construction.

    Columns: modality, anchor, partner, labelled anchor, true, confidence (the product over both
    samples), cosine (of s_j and z_k), and the pair's weight after each of `WEIGHTS`. truth: the
    hidden classes `(B,)`.
    """
    s, z, classes, labeled = (view[name] for name in ("s", "z", "classes", "labeled"))
    _, pseudo = positive_masks(classes, labeled)
    pseudo = pseudo.fill_diagonal_(False)
    place = pseudo.expand(len(z), -1, -1).nonzero(as_tuple=True)
    modality, anchor, partner = place
    columns = {
        "modality": modality,
        "anchor": anchor,
        "partner": partner,
        "labelled anchor": labeled[anchor],
        "true": truth[anchor] == truth[partner],
        "confidence": view["confidence"][anchor] * view["confidence"][partner],
        "cosine": F.cosine_similarity(s[anchor], z[modality, partner], dim=-1),
    }
    for name, options in WEIGHTS.items():
        weights = rbf_weights(s, z, classes, labeled, temperature=temperature, **options)
        columns[name] = weights[place]
    return pd.DataFrame({name: column.numpy() for name, column in columns.items()})


def judge(pairs: pd.DataFrame) -> pd.DataFrame:
    """How well each weight finds the false pairs, and what it keeps: weight, measure, value.

    "AUROC" and "average precision" are those of 1 - weight as a detector of false pairs; knowing
    nothing gives 0.5 and the share of false pairs, and both are NaN where all pairs are of one
    kind. "precision" is the share of true pairs by weight, "kept" the mean weight. The confidence
    counts as it is, cut at `THRESHOLDS`, and cut where it keeps as large a share as the RBF weight.
    """
    columns = [*WEIGHTS, *RIVALS]
    weights = {name: pairs[name].to_numpy(dtype=float) for name in columns}
    false = ~pairs["true"].to_numpy()
    rows = []
    for name, weight in weights.items():
        rows += [(name, *measure) for measure in _detection(weight, false)]
    used = {name: weights[name] for name in WEIGHTS}
    used |= _cuts(weights["confidence"], weights[RBF])
    for name, weight in used.items():
        rows += [(name, *measure) for measure in _use(weight, false)]
    return pd.DataFrame(rows, columns=["weight", "measure", "value"])


def _detection(weight: np.ndarray, false: np.ndarray) -> list[tuple[str, float]]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    if false.all() or not false.any():
        return [("AUROC", np.nan), ("average precision", np.nan)]
    return [
        ("AUROC", roc_auc_score(false, -weight)),
        ("average precision", average_precision_score(false, -weight)),
    ]


def _cuts(confidence: np.ndarray, rbf: np.ndarray) -> dict[str, np.ndarray]:
    """The confidence turned into weights of 0 and 1."""
    cuts = {f"confidence > {cut}": (confidence > cut).astype(float) for cut in THRESHOLDS}
    if len(confidence):
        least = np.quantile(confidence, 1 - rbf.mean())
        cuts[SAME_SHARE] = (confidence >= least).astype(float)
    return cuts


def _use(weight: np.ndarray, false: np.ndarray) -> list[tuple[str, float]]:
    total = weight.sum()
    precision = weight[~false].sum() / total if total else np.nan
    kept = weight.mean() if len(weight) else np.nan
    return [("precision", precision), ("kept", kept)]
