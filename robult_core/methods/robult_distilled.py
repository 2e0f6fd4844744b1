"""Distilled Robult: on unlabelled samples the prediction from everything teaches every branch.

At training time all modalities of a sample are there, so the model can say more about it than any
single modality could. Beside the losses of Robult (`robult_core/model.py`), each unlabelled sample
gets a soft target q from the model itself. t_m are the logits of modality m, c(u_m + z_m), and t_0
those of the fused branch, both from the usual pass; in q they are constants.

    p    = 1/2 softmax(t_0) + 1/2 mean_m softmax(t_m)   the teacher
    p~   proportional to p (pi / r)^k                   distribution alignment
    q    proportional to p~^(1 + k)                     sharpening
    L_kd = mean over m of CE(q, t_m)                    everything teaches each modality
    L_sd = k CE(q, t_0)                                 and the fused branch teaches itself

pi are the class shares of the labels and r is the running mean of p. Both losses rise to their
weight in the first quarter of the training.

k = n / (n + 5 C) says how far n labels of C classes can be trusted. With few labels a class, their
shares may be far from those of the data, and an early teacher is poor: alignment, sharpening and
self-teaching would then confirm its mistakes, so k turns all three down.

This method is not in `METHODS` yet: it enters the study together with its search.

Regression has neither classes nor sharpening: q is the mean of the predictions, L_kd the absolute
error, and there is no L_sd. In multilabel tasks every label is a distribution over yes
and no. A sample that lacks modalities is taught by, and teaches, the branches it has.

Sources: distribution alignment, Berthelot et al. 2020 (ReMixMatch); sharpening, Berthelot et al.
2019 (MixMatch); a multimodal teacher of single modalities, Xue et al. 2021 (multimodal knowledge
expansion).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from robult_core.distributed import gather
from robult_core.encoders import Spec
from robult_core.method import Batch, inputs_there, present_mask
from robult_core.model import Outputs, Robult, RobultConfig
from robult_core.tasks import Task
from robult_core.validation import Share, Weight, validated

SMALLEST_SHARE = 1e-6  # of a class in the running mean r
FULL_WEIGHT_AT = 0.25  # of the training


@validated
class RobultDistilledConfig(RobultConfig):
    """Robult's settings, and those of the distillation."""

    # of L_kd and L_sd; our choice
    distillation_weight: Weight = 1.0
    # labels a class at which k is one half; our choice
    labels_for_trust: Weight = 5.0
    # how much of the running mean r stays at each step; our choice
    momentum: Share = 0.95


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


class RobultDistilled(Robult):
    """Robult, taught by itself; without unlabelled samples or without labels it is Robult."""

    config: RobultDistilledConfig

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: RobultDistilledConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__(task, specs, config or RobultDistilledConfig(), joint)
        self.trust = 0.0
        self.label_shares: Tensor | None = None  # pi; None where there are no classes
        self.mean_prediction = torch.empty(0)  # r

    def begin(self, labels: Shaped[Tensor, "labels ..."]) -> None:
        """Take the class shares pi and the trust k from the labels of the training."""
        self.label_shares = None
        if not len(labels) or self.task.kind == "regression":
            return
        device = next(self.parameters()).device
        known = self.task.label_distributions(labels).to(device)
        self.label_shares = known.mean(0)
        self.mean_prediction = torch.full_like(self.label_shares, 1 / known.shape[-1])
        needed = self.config.labels_for_trust * self.task.n_outputs
        self.trust = len(labels) / (len(labels) + needed)

    # --- the losses -----------------------------------------------------------------------------

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Robult's terms, and L_kd and L_sd where there are unlabelled samples."""
        outputs = self._outputs(inputs_there(batch))
        terms = self._weighted_terms(batch, outputs)
        if self.saw_labels:
            terms |= self._distillation_terms(batch, outputs)
        return terms

    def _distillation_terms(self, batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        """L_kd and L_sd over the unlabelled samples of all ranks."""
        present = present_mask(batch, len(self.names))
        taught = ~batch.labeled & present.any(0)
        targets = self._targets(outputs, present, taught)
        students = zip(outputs.unimodal, taught & present, strict=True)
        per_modality = [self._mean_loss(logits, targets, rows) for logits, rows in students]
        weight = self.config.distillation_weight * min(1.0, self.progress / FULL_WEIGHT_AT)
        terms = {"distillation": weight * torch.stack(per_modality).mean()}
        if self.task.kind != "regression":
            itself = self._mean_loss(outputs.full, targets, taught & present.all(0))
            terms["self_training"] = weight * self.trust * itself
        return terms

    @torch.no_grad()
    def _targets(
        self,
        outputs: Outputs,
        present: Bool[Tensor, "modalities batch"],
        taught: Bool[Tensor, " batch"],
    ) -> Float[Tensor, "batch outputs"]:
        """The soft target q of every sample, as scores."""
        count = present.sum(0)[:, None].clamp(min=1)
        single = (self.task.scores(outputs.unimodal) * present[..., None]).sum(0) / count
        both = (self.task.scores(outputs.full) + single) / 2
        teacher = torch.where(present.all(0)[:, None], both, single)
        if self.label_shares is None:  # regression
            return teacher
        p = self.task.distributions(teacher)
        seen = gather(p[taught])
        if len(seen):
            self.mean_prediction = torch.lerp(
                seen.mean(0), self.mean_prediction, self.config.momentum
            )
        p = align(p, self.label_shares, self.mean_prediction, self.trust)
        return self.task.from_distributions(sharpen(p, self.trust))

    def _mean_loss(
        self, logits: Tensor, targets: Tensor, rows: Bool[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean over the chosen samples of all ranks; without any a zero with gradients."""
        losses = gather(self.task.soft_loss(logits[rows], targets[rows]))
        return losses.mean() if len(losses) else logits.sum() * 0.0
