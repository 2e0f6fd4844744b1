"""GMC, geometric multimodal contrastive learning (Poklukar et al. 2022), as in its MOSI experiment.

With one projection g for all, z_i = unit(g(f_i(x_i))) and z_joint = unit(g(f_0(x))). A contrastive
loss draws z_joint and each z_i together. The head is trained on z_joint only and reads the z_i at
test time.

Vectors use the common encoders, with f_0 on their concatenation. Sequences use GMC's own
architecture (`mult.py`): a GRU of width 30 whose outputs are flattened, and a cross-modal
transformer as f_0, at a common width of 60.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from robult_core.encoders import JointEncoder, Spec
from robult_core.method import Batch, complete_rows, make_encoders, rows_or_first
from robult_core.methods.baseline import Baseline
from robult_core.methods.mult import FlatGRU, MulT
from robult_core.tasks import Task
from robult_core.validation import Count, Positive, Rate, Weight, validated


def gmc_rows(
    joint: Float[Tensor, "batch dim"],
    z: Float[Tensor, "modalities batch dim"],
    temperature: float,
) -> Float[Tensor, "modalities rows"]:
    """The loss of each of the 2B rows `[joint; z_m]` against the other 2B - 1.

    The partner of a row is the same sample in the other half; it stays in the denominator, as in
    the released code.
    """
    batch = len(joint)
    rows = torch.cat([joint.expand_as(z), z], dim=1)  # (M, 2B, D)
    similarity = rows @ rows.transpose(1, 2) / temperature  # (M, 2B, 2B)
    with_partner = similarity.diagonal(offset=batch, dim1=1, dim2=2)  # (M, B): <joint_j, z_j>
    itself = torch.eye(2 * batch, dtype=torch.bool, device=joint.device)
    with_others = similarity.masked_fill(itself, -math.inf)
    return with_others.logsumexp(dim=-1) - with_partner.repeat(1, 2)


def gmc_loss(
    joint: Float[Tensor, "batch dim"],
    z: Float[Tensor, "modalities batch dim"],
    temperature: float,
) -> Float[Tensor, ""]:
    """L_con: the sum over modalities of the mean over their 2B rows; exactly 0 for B = 1."""
    return gmc_rows(joint, z, temperature).sum(dim=0).mean()


@validated
class GMCConfig:
    """The widths of both architectures, and the contrastive loss."""

    # of the common encoders, our choice as for Robult
    width: Count = 128
    # of the common encoders (reading 23); chosen by `robult search` (see notebook 04)
    dropout: Rate = 0.05
    # chosen by `robult search` (see notebook 04); the released code has .3 for MOSI and MOSEI
    temperature: Positive = 0.7
    # chosen by `robult search` (see notebook 04); the released code has 1
    contrastive_weight: Weight = 0.011
    # "mosi" is GMC's own for sequences, "auto" takes it where every modality is a sequence
    architecture: Literal["auto", "common", "mosi"] = "auto"
    # the common width and the width of the GRUs in GMC's own architecture, as released
    sequence_width: Count = 60
    gru_width: Count = 30


class Head(nn.Module):
    """`z + W2 relu(W1 z)`, then a linear layer to the outputs, as released."""

    def __init__(self, width: int, n_outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.out = nn.Linear(width, n_outputs)

    def forward(self, z: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch outputs"]:
        return self.out(z + self.residual(z))


class GMC(Baseline):
    """The contrastive loss on all complete samples, the supervised loss on the labelled ones.

    GMC itself knows no unlabelled rows; to leave them out of the supervised loss is our reading.
    """

    takes_joint = True
    learning_rate = 7.4e-4  # chosen by `robult search` (see notebook 04)

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: GMCConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__(task, specs)
        self.config = config or GMCConfig()
        config = self.config
        sequences = _sequence_specs(specs)
        if config.architecture == "mosi" and sequences is None:
            raise ValueError(
                f"architecture 'mosi' needs sequences (T, F), got {dict(specs)}: "
                "choose 'common' or 'auto'"
            )
        if sequences is not None and config.architecture != "common":
            width = config.sequence_width
            self.encoders = nn.ModuleList(
                FlatGRU(steps, features, config.gru_width, width)
                for steps, features in sequences.values()
            )
            self.joint = MulT(sequences, width) if joint is None else joint
        else:
            width = config.width
            self.encoders = make_encoders(specs, width, config.dropout)
            self.joint = JointEncoder(specs, width, config.dropout) if joint is None else joint
        self.project = nn.Linear(width, width)
        self.head = Head(width, task.n_outputs)

    # --- the losses -----------------------------------------------------------------------------

    def prepared(self, batch: Batch) -> Batch:
        """The complete samples; without any one sample that no loss looks at."""
        if batch.present is None:
            return batch
        return batch[rows_or_first(complete_rows(batch))]

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """z_joint, the z_i and the logits of z_joint."""
        joint = self._joint_vectors(batch.inputs)
        z = self._unimodal_vectors(batch.inputs)
        return {"joint": joint, "z": z, "logits": self.head(joint)}

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The contrastive and the supervised loss of the complete samples."""
        labeled = batch.labeled & complete_rows(batch)
        contrastive = gmc_loss(outputs["joint"], outputs["z"], self.config.temperature)
        supervised = self.task.supervised_loss(
            outputs["logits"], batch.targets, labeled, batch.weights
        )
        return {
            "contrastive": self.config.contrastive_weight * contrastive,
            "supervised": supervised,
        }

    # --- prediction and inspection --------------------------------------------------------------

    def encode(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """What the head reads: z_joint where every modality is given, else the mean of the z_i.

        The mean is not normalised again, as in the released code.
        """
        if self._are_all(inputs):
            return self._joint_vectors(inputs)
        return self._unimodal_vectors(inputs).mean(dim=0)

    def predict(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch outputs"]:
        """Scores of the head on `encode`."""
        return self.task.scores(self.head(self.encode(inputs)))

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """`z/<modality>` and, where every modality is given, `s` = z_joint: unit vectors."""
        names = self.check_inputs(inputs)
        z = self._unimodal_vectors(inputs)
        latents = {f"z/{name}": z_i for name, z_i in zip(names, z, strict=True)}
        if self._are_all(inputs):
            latents["s"] = self._joint_vectors(inputs)
        return latents

    def _unit(self, h: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        return F.normalize(self.project(h), dim=-1)

    def _joint_vectors(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """z_joint, which needs every modality."""
        return self._unit(self.joint(inputs))

    def _unimodal_vectors(
        self, inputs: Mapping[str, Tensor]
    ) -> Float[Tensor, "modalities batch dim"]:
        """z_i of the modalities given."""
        names = self.check_inputs(inputs)
        return self._unit(torch.stack([self._encode(name, inputs) for name in names]))


def _sequence_specs(specs: Mapping[str, Spec]) -> dict[str, tuple[int, int]] | None:
    """The (steps, features) of every modality; None where one of them is no sequence."""
    sequences = {}
    for name, spec in specs.items():
        if isinstance(spec, (int, nn.Module)) or len(spec) != 2:
            return None
        sequences[name] = (spec[0], spec[1])
    return sequences
