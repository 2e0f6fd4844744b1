"""Distilled Unimodal: a control that says how much the distillation does without Robult.

The separate models of Unimodal, one per modality and one for all of them, with the losses of
`distillation.py`: no alignment of latents, no reconstruction, and no shared parameter. What
Distilled Robult is better by is the work of Robult's own losses.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Shaped
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import Batch
from robult_core.methods.distillation import DistillationConfig, Teacher
from robult_core.methods.unimodal import Unimodal, UnimodalConfig
from robult_core.tasks import Task
from robult_core.validation import validated


@validated
class UnimodalDistilledConfig(UnimodalConfig, DistillationConfig):
    """Unimodal's settings, and those of the distillation."""


class UnimodalDistilled(Unimodal):
    """Unimodal models that the prediction from all of them teaches."""

    config: UnimodalDistilledConfig

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: UnimodalDistilledConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        config = config or UnimodalDistilledConfig()
        super().__init__(task, specs, config, joint)
        self.teacher = Teacher(task, config)

    def begin(self, labels: Shaped[Tensor, "labels ..."]) -> None:
        self.teacher.begin(labels, next(self.parameters()).device)

    def prepared(self, batch: Batch) -> Batch:
        """All samples, because the unlabelled ones are taught."""
        return batch

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The supervised loss of each model, and L_kd and L_sd where there are labels."""
        terms = super().losses(batch, outputs)
        if self.saw_labels:
            terms |= self.teacher.loss_terms(
                outputs["full"], outputs["unimodal"], batch, self.progress
            )
        return terms
