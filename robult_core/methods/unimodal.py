"""Unimodal: one independent supervised model per modality, the paper's control (section 3.2).

The paper does not say what its "Full" row is. By default (`full="joint"`) it is f_0 with a
classifier of its own, trained on the same labels: on Food-101 the paper's Full is .138, far below
Text with .321, which fits such a model and not an average. With `full="late_fusion"` the
unimodal predictions are fused. The one of the two that does not fill the row is reported beside it.
Subsets in between fuse the unimodal predictions of the modalities present (reading 17).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robult_core.encoders import JointEncoder, Spec
from robult_core.method import (
    Batch,
    inputs_there,
    make_classifier,
    make_encoders,
    present_mask,
    rows_or_first,
)
from robult_core.methods.baseline import Baseline
from robult_core.tasks import Task
from robult_core.validation import Count, Rate, validated


@validated
class UnimodalConfig:
    """The common encoders (reading 23), and what fills the full row."""

    # of the encoders; the paper does not state it, 128 is our choice as for Robult
    width: Count = 128
    # of the encoders; chosen by `robult search` (see notebook 04)
    dropout: Rate = 0.55
    # our choice, argued above
    full: Literal["joint", "late_fusion"] = "joint"


class Unimodal(Baseline):
    """M models of f_i and a classifier, and one of f_0 and a classifier for the full set.

    They share no parameter, so their losses simply add.
    """

    takes_joint = True
    learning_rate = 1.7e-3  # chosen by `robult search` (see notebook 04)
    weight_decay = 3.9  # likewise

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: UnimodalConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__(task, specs)
        self.config = config or UnimodalConfig()
        width = self.config.width
        dropout = self.config.dropout
        self.encoders = make_encoders(specs, width, dropout)
        self.classifiers = nn.ModuleList(make_classifier(width, task.n_outputs) for _ in specs)
        self.joint = JointEncoder(specs, width, dropout) if joint is None else joint
        self.joint_classifier = make_classifier(width, task.n_outputs)

    # --- the losses -----------------------------------------------------------------------------

    def prepared(self, batch: Batch) -> Batch:
        """The labelled samples, the only ones that a model learns from."""
        return batch[rows_or_first(batch.labeled)]

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """The logits of each modality's model, and of the joint one."""
        inputs = inputs_there(batch)
        unimodal = [self._unimodal_logits(name, inputs) for name in self.names]
        return {"unimodal": torch.stack(unimodal), "full": self._joint_logits(inputs)}

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The supervised loss of each model over the labelled samples that it can see."""
        terms = {}
        present = present_mask(batch, len(self.names))
        for name, logits, has_it in zip(self.names, outputs["unimodal"], present, strict=True):
            terms[f"supervised/{name}"] = self._supervised(logits, batch, has_it)
        terms["supervised/joint"] = self._supervised(outputs["full"], batch, present.all(dim=0))
        return terms

    def _supervised(self, logits: Tensor, batch: Batch, seen: Bool[Tensor, " batch"]) -> Tensor:
        return self.task.supervised_loss(logits, batch.targets, batch.labeled & seen, batch.weights)

    # --- prediction and inspection --------------------------------------------------------------

    def predict(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch outputs"]:
        """The joint model or late fusion for the full set, late fusion for every other subset."""
        if self._is_full_row(inputs) and self.config.full == "joint":
            return self._joint_scores(inputs)
        return self._late_fusion(inputs)

    def predict_variants(
        self, inputs: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, "batch outputs"]]:
        """The other reading of the full row."""
        if not self._is_full_row(inputs):
            return {}
        if self.config.full == "joint":
            return {"late_fusion": self._late_fusion(inputs)}
        return {"joint": self._joint_scores(inputs)}

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """`z/<modality>` is h_i; `s` is h_0, where every modality is given."""
        latents = {f"z/{name}": self._encode(name, inputs) for name in self.check_inputs(inputs)}
        if self._are_all(inputs):
            latents["s"] = self.joint(inputs)
        return latents

    def _is_full_row(self, inputs: Mapping[str, Tensor]) -> bool:
        """Whether all of several modalities are given; of a single one there is no full row."""
        return self._are_all(inputs) and len(self.names) > 1

    def _unimodal_logits(self, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
        classifier = self.classifiers[self.names.index(name)]
        return classifier(self._encode(name, inputs))

    def _joint_logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.joint_classifier(self.joint(inputs))

    def _joint_scores(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.task.scores(self._joint_logits(inputs))

    def _late_fusion(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores `(B, C)` from the predictions of each modality given (reading 17)."""
        names = self.check_inputs(inputs)
        scores = [self.task.scores(self._unimodal_logits(name, inputs)) for name in names]
        return self.task.late_fusion(torch.stack(scores))
