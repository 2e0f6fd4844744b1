"""Distilled Robult: beside the losses of Robult, its best prediction teaches every branch.

It stands beside the paper's Robult (`robult_core/model.py`), which it does not change. The losses
that it adds, L_kd and L_sd, are those of `distillation.py`. Without unlabelled samples or without
labels it is Robult.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Shaped
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import Batch
from robult_core.methods.distillation import DistillationConfig, Teacher
from robult_core.model import Robult, RobultConfig
from robult_core.tasks import Task
from robult_core.validation import Positive, Rate, Weight, validated


@validated
class RobultDistilledConfig(RobultConfig, DistillationConfig):
    """Robult's settings, and those of the distillation."""

    # chosen by `robult search` for this method (see notebook 04)
    dropout: Rate = 0.15
    unlabeled_weight: Weight = 5.2
    distillation_weight: Weight = 1.4
    # Robult's temperature at the time of that search
    temperature: Positive = 0.3


class RobultDistilled(Robult):
    """Robult, taught by itself."""

    learning_rate = 3.5e-3  # chosen by `robult search` (see notebook 04)
    config: RobultDistilledConfig

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: RobultDistilledConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        config = config or RobultDistilledConfig()
        super().__init__(task, specs, config, joint)
        self.teacher = Teacher(task, config)

    def begin(self, labels: Shaped[Tensor, "labels ..."]) -> None:
        self.teacher.begin(labels, next(self.parameters()).device)

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Robult's terms, and L_kd and L_sd where there are labels."""
        terms = super().losses(batch, outputs)
        if self.saw_labels:
            terms |= self.teacher.loss_terms(
                outputs["full"], outputs["unimodal"], batch, self.progress
            )
        return terms
