"""Unimodal: one independent supervised model per modality, the paper's control (section 3.2; `predict` of one modality sees nothing else).

The paper does not say what its "Full" row is. Default (`full="joint"`): f_0 with its own classifier, trained on the same labels. Food-101's
Full .138 far below Text .321 fits that and not an average. `full="late_fusion"`: the mean of the unimodal scores. The one that does not fill
the row is reported beside it. Subsets in between are the mean of the unimodal scores of the modalities present (reading 17).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robult_core.encoders import JointEncoder, Spec
from robult_core.method import (
    Batch,
    Method,
    check_choice,
    make_classifier,
    make_encoders,
    present_mask,
    rows_or_first,
    take,
)
from robult_core.tasks import Task


@dataclass(frozen=True)
class UnimodalConfig:
    """Width and dropout of the common encoders (reading 23); `full`: "joint" or "late_fusion"."""

    width: int = 128
    dropout: float = 0.7  # searched, notebook 04
    full: str = "joint"

    def __post_init__(self) -> None:
        check_choice(self.full, "full", ("joint", "late_fusion"))


class Unimodal(Method):
    """M models f_i + classifier, and f_0 + classifier for the full set; no parameter is shared, so their losses simply add."""

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: UnimodalConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.task, self.names, self.config = task, tuple(specs), config or UnimodalConfig()
        width, dropout = self.config.width, self.config.dropout
        self.encoders = make_encoders(specs, width, dropout)
        self.classifiers = nn.ModuleList(make_classifier(width, task.n_outputs) for _ in self.names)
        self.joint = JointEncoder(specs, width, dropout) if joint is None else joint
        self.joint_classifier = make_classifier(width, task.n_outputs)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Supervised loss of each model over the labelled rows it can see: a modality's own, complete rows for f_0."""
        present = present_mask(batch, len(self.names))
        terms = {}
        for index, name in enumerate(self.names):
            rows = rows_or_first(batch.labeled & present[index])
            logits = self.classifiers[index](self.encoders[index](batch.inputs[name][rows]))
            known = (batch.labeled & present[index])[rows]
            terms[f"supervised/{name}"] = self.task.supervised_loss(
                logits, batch.targets[rows], known
            )
        complete = batch.labeled & present.all(dim=0)
        rows = rows_or_first(complete)
        logits = self.joint_classifier(self.joint(take(batch.inputs, rows)))
        terms["supervised/joint"] = self.task.supervised_loss(
            logits, batch.targets[rows], complete[rows]
        )
        return terms

    def _late_fusion(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Mean of the unimodal scores of the modalities given, `(B, C)`."""
        indices = [self.names.index(name) for name in self.check_inputs(inputs)]
        scores = [
            self.task.scores(self.classifiers[i](self.encoders[i](inputs[self.names[i]])))
            for i in indices
        ]
        return torch.stack(scores).mean(dim=0)

    def _joint(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.task.scores(self.joint_classifier(self.joint(inputs)))

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        full = len(self.check_inputs(inputs)) == len(self.names) > 1
        return (
            self._joint(inputs)
            if full and self.config.full == "joint"
            else self._late_fusion(inputs)
        )

    def predict_variants(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if not len(self.check_inputs(inputs)) == len(self.names) > 1:
            return {}
        if self.config.full == "joint":
            return {"late_fusion": self._late_fusion(inputs)}
        return {"joint": self._joint(inputs)}

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`z/<modality>`: h_i; `s`: h_0 where every modality is given."""
        given = self.check_inputs(inputs)
        latents = {
            f"z/{name}": self.encoders[self.names.index(name)](inputs[name]) for name in given
        }
        if len(given) == len(self.names):
            latents["s"] = self.joint(inputs)
        return latents
