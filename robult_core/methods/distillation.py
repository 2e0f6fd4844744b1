"""Distillation: on unlabelled samples the prediction from everything teaches every branch.

At training time all modalities of a sample are there, so a model can say more about it than any
single modality could. Each unlabelled sample gets a soft target q from the model itself. t_m are
the logits of modality m and t_0 those of the fused branch, both from the usual pass; in q they are
constants.

    p    = 1/2 softmax(t_0) + 1/2 mean_m softmax(t_m)   the teacher
    p~   proportional to p (pi / r)^k                   distribution alignment
    q    proportional to p~^(1 + k)                     sharpening
    L_kd = mean over m of CE(q, t_m)                    everything teaches each modality
    L_sd = k CE(q, t_0)                                 and the fused branch teaches itself

pi are the class shares of the labels and r is the running mean of p. Both losses rise to their
weight in the first quarter of the training.

k = n / (n + 2 C) says how far n labels of C classes can be trusted. With few labels a class, their
shares may be far from those of the data, and an early teacher is poor: alignment, sharpening and
self-teaching would then confirm its mistakes, so k turns all three down.

Regression has neither classes nor sharpening: q is the mean of the predictions, L_kd the absolute
error, and there is no L_sd. In multilabel tasks every label is a distribution over yes and no. A
sample that lacks modalities is taught by, and teaches, the branches it has.

Sources: distribution alignment, Berthelot et al. 2020 (ReMixMatch); sharpening, Berthelot et al.
2019 (MixMatch); a multimodal teacher of single modalities, Xue et al. 2021 (multimodal knowledge
expansion).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from robult_core.method import Batch, mean_over_present, present_mask
from robult_core.tasks import Task
from robult_core.validation import Share, Weight, validated

SMALLEST_SHARE = 1e-6  # of a class in the running mean r
FULL_WEIGHT_AT = 0.25  # of the training


@validated
class DistillationConfig:
    """The settings that a distilled method has beside those of the method itself."""

    # of L_kd and L_sd; our choice
    distillation_weight: Weight = 1.0
    self_training_weight: Weight = 1.0
    # labels a class at which k is one half; 0 means that labels are always trusted. Of 0, 2 and 5
    # it gained most over Robult on validation rows (six sets, 4 seeds) and lost nowhere clearly
    labels_for_trust: Weight = 2.0
    # how much of the running mean r stays at each step; our choice
    momentum: Share = 0.95
    # whether targets are moved to the class shares of the labels, and whether they are sharpened
    alignment: bool = True
    sharpening: bool = True


class Teacher:
    """What a model says about its unlabelled samples, as targets of its own training.

    It keeps pi, k and r of one training, which `begin` starts.
    """

    def __init__(self, task: Task, config: DistillationConfig) -> None:
        self.task = task
        self.config = config
        self.trust = 0.0  # k
        self.label_shares: Tensor | None = None  # pi; None where there are no classes
        self.mean_prediction = torch.empty(0)  # r

    def begin(self, labels: Shaped[Tensor, "labels ..."], device: torch.device) -> None:
        """Take the class shares pi and the trust k from the labels of the training."""
        self.label_shares = None
        if not len(labels) or self.task.kind == "regression":
            return
        known = self.task.label_distributions(labels).to(device)
        self.label_shares = known.mean(0)
        self.mean_prediction = torch.full_like(self.label_shares, 1 / known.shape[-1])
        needed = self.config.labels_for_trust * self.task.n_outputs
        self.trust = len(labels) / (len(labels) + needed)

    def loss_terms(
        self,
        full: Float[Tensor, "batch outputs"],
        unimodal: Float[Tensor, "modalities batch outputs"],
        batch: Batch,
        progress: float,
    ) -> dict[str, Tensor]:
        """L_kd and L_sd over the unlabelled samples, weighted.

        full, unimodal: the logits of the branches. `progress` is 0 at the first step of the
        training and 1 after the last.
        """
        present = present_mask(batch, len(unimodal))
        taught = ~batch.labeled & present.any(0)
        targets = self.targets(full, unimodal, present, taught)
        students = zip(unimodal, taught & present, strict=True)
        per_modality = [self._mean_loss(logits, targets, rows) for logits, rows in students]
        ramp = min(1.0, progress / FULL_WEIGHT_AT)
        weight = ramp * self.config.distillation_weight
        terms = {"distillation": weight * torch.stack(per_modality).mean()}
        if self.task.kind != "regression":
            weight = ramp * self.config.self_training_weight * self.trust
            itself = self._mean_loss(full, targets, taught & present.all(0))
            terms["self_training"] = weight * itself
        return terms

    @torch.no_grad()
    def targets(
        self,
        full: Float[Tensor, "batch outputs"],
        unimodal: Float[Tensor, "modalities batch outputs"],
        present: Bool[Tensor, "modalities batch"],
        taught: Bool[Tensor, " batch"],
    ) -> Float[Tensor, "batch outputs"]:
        """The soft target q of every sample, as scores; the `taught` ones move the mean r."""
        single = mean_over_present(self.task.scores(unimodal), present)
        both = (self.task.scores(full) + single) / 2
        teacher = torch.where(present.all(0)[:, None], both, single)
        if self.label_shares is None:  # regression
            return teacher
        p = self.task.distributions(teacher)
        seen = p[taught]
        if len(seen):
            self.mean_prediction = torch.lerp(
                seen.mean(0), self.mean_prediction, self.config.momentum
            )
        if self.config.alignment:
            p = align(p, self.label_shares, self.mean_prediction, self.trust)
        if self.config.sharpening:
            p = sharpen(p, self.trust)
        return self.task.from_distributions(p)

    def _mean_loss(
        self, logits: Tensor, targets: Tensor, rows: Bool[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean over the chosen samples; without any a zero with gradients."""
        losses = self.task.soft_loss(logits[rows], targets[rows])
        return losses.mean() if len(losses) else logits.sum() * 0.0


def align(
    p: Float[Tensor, "*rows classes"],
    shares: Float[Tensor, "*labels classes"],
    mean: Float[Tensor, "*labels classes"],
    trust: float,
) -> Float[Tensor, "*rows classes"]:
    """Predictions moved towards the class shares of the labels, as far as these are trusted."""
    ratio = shares / mean.clamp(min=SMALLEST_SHARE)
    return _normalized(p * ratio**trust)


def sharpen(p: Float[Tensor, "*rows classes"], trust: float) -> Float[Tensor, "*rows classes"]:
    """Predictions to the power of 1 + trust."""
    return _normalized(p ** (1 + trust))


def _normalized(p: Float[Tensor, "*rows classes"]) -> Float[Tensor, "*rows classes"]:
    return p / p.sum(-1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)
