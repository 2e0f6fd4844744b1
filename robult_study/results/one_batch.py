"""One batch of Robult looked at from inside: the tables of notebook 03 before any training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from robult_core.datasets import MultimodalData
from robult_core.method import Batch, Method
from robult_core.methods import make_method
from robult_core.model import Robult, RobultConfig
from robult_core.protocol import label_split
from robult_core.training import TrainingConfig, batches, gradient_routes, make_batch
from robult_study.results.tables import PAPER_SHARE

NOT_BY_HAND = "–"


def first_batch(data: MultimodalData, seed: int) -> Batch:
    """The first batch of a training with 5 % of the labels; data: standardised."""
    labeled = label_split(data, PAPER_SHARE, seed)
    known = np.isin(np.arange(len(data)), labeled)
    rows = next(batches(data.rows("train"), labeled, TrainingConfig(), seed))
    return make_batch(data, rows, known)


def untrained(data: MultimodalData, seed: int) -> Robult:
    """Robult before its first step."""
    torch.manual_seed(seed)
    return make_method("robult", data.task, data.shapes)


def stacked(model: Robult, latents: Mapping[str, Tensor], kind: str) -> Tensor:
    """The latents of one kind ("h", "z", "u") of all modalities, `(M, B, d)`."""
    return torch.stack([latents[f"{kind}/{name}"] for name in model.names])


def forward_table(model: Robult, batch: Batch) -> pd.DataFrame:
    """Every tensor of one forward pass with its shape and meaning, for the first modality."""
    latents = model.latents(batch.inputs)
    first = model.names[0]
    u, z = latents[f"u/{first}"], latents[f"z/{first}"]
    rebuilt, _ = model.reconstruct(stacked(model, latents, "h"), stacked(model, latents, "z"))
    rows = [
        (f"x ({first})", batch.inputs[first], "input of one modality"),
        ("h = f(x)", latents[f"h/{first}"], "its latent"),
        ("u = g(h)", u, "unique part"),
        ("z = g0(h)", z, "shared part"),
        ("c(u + z)", model.c(u + z), "logits of this modality alone"),
        ("r(u, z)", rebuilt, "reconstructions of all h, modality by modality"),
        ("h0 = f0(x1..xM)", latents["h0"], "fused latent"),
        ("s = g0(h0)", latents["s"], "its shared part"),
        ("c(h0)", model.c(latents["h0"]), "logits of all modalities"),
    ]
    table = [(name, " x ".join(map(str, value.shape)), meaning) for name, value, meaning in rows]
    return pd.DataFrame(table, columns=["what", "shape", "meaning"])


def anchor_table(labeled_terms: Tensor, unlabeled_terms: Tensor, labeled: Tensor) -> pd.DataFrame:
    """The means of Eq. 4 and Eq. 6, each `(M, B)`, over labelled, unlabelled and all anchors."""
    rows = []
    masks = {"labelled": labeled, "unlabelled": ~labeled, "all": torch.ones_like(labeled)}
    for name, mask in masks.items():
        means = [terms[:, mask].mean().item() for terms in (labeled_terms, unlabeled_terms)]
        rows.append((name, int(mask.sum()), *means))
    return pd.DataFrame(rows, columns=["anchors", "number", "mean of Eq. 4", "mean of Eq. 6"])


def split_sentence(labeled_pairs: Tensor, other_pairs: Tensor) -> str:
    """What Eq. 7 makes of the p(L) of Eq. 3; the masks of B_11 and of B_10 are `(B, B)`.

    The terms of Eq. 7 are means over all anchors, and one without such partners adds 0.
    """
    n_labeled, n_others = int(labeled_pairs.sum()), int(other_pairs.sum())
    labeled_anchors = labeled_pairs.any(-1).float().mean().item()
    other_anchors = other_pairs.any(-1).float().mean().item()
    in_pairs, in_anchors = n_labeled / n_others, labeled_anchors / other_anchors
    return (
        f"p(L = 1) of Eq. 3 is {n_labeled / (n_labeled + n_others):.3f} among the positive pairs "
        f"of this batch; {labeled_anchors:.0%} of the anchors have a term in Eq. 4 and "
        f"{other_anchors:.0%} in Eq. 6, so in Eq. 7 the labelled part weighs "
        f"{in_anchors / in_pairs:.1f} times as much against the others as in Eq. 3"
    )


def terms_table(model: Robult, batch: Batch, by_hand: Mapping[str, Tensor]) -> pd.DataFrame:
    """The loss terms of a batch, their weights, and what was computed by hand without weights."""
    config = model.config
    weights = {
        "supervised_full": config.supervised_weight,
        "supervised_unimodal": config.supervised_weight,
        "labeled_contrastive": config.labeled_weight,
        "unlabeled_contrastive": config.unlabeled_weight,
        "reconstruction": config.reconstruction_weight,
    }
    rows = []
    for name, value in model.loss_terms(batch).items():
        hand = f"{by_hand[name].item():.3f}" if name in by_hand else NOT_BY_HAND
        rows.append((name, value.item(), weights[name], hand))
    columns = ["term", "value", "of which weight", "by hand, without weight"]
    return pd.DataFrame(rows, columns=columns)


def routes(method: Method, batch: Batch) -> pd.DataFrame:
    """Norm of the gradient of each loss term (columns) in each part of the method (rows)."""
    return pd.DataFrame(gradient_routes(method, batch)).rename_axis("part")


def routes_text(norms: pd.DataFrame) -> pd.DataFrame:
    """`routes` as text, with a dash where a term does not reach."""
    return norms.map("{:.4f}".format).where(norms > 0, "–")


def settings_table(steps: int) -> pd.DataFrame:
    """Every number of Robult's configuration and all of the training's, as text.

    The learning rate is Robult's own, because a training that names none takes it.
    """
    rows = []
    for name, value in vars(RobultConfig()).items():
        if type(value) in (int, float):
            rows.append((f"Robult: {name}", str(value)))
    training = TrainingConfig(steps=steps, learning_rate=Robult.learning_rate)
    for name, value in vars(training).items():
        rows.append((f"training: {name}", str(value)))
    return pd.DataFrame(rows, columns=["setting", "value"])
