"""GMC, geometric multimodal contrastive learning (Poklukar et al. 2022), in the form of its supervised MOSI experiment.

z_i = unit(g(f_i(x_i))), z_joint = unit(g(f_0(x))) with one projection g for all; contrastive loss between z_joint and each z_i; the head is
trained on z_joint only and reads the z_i at test time. Vectors use the common encoders with f_0 on the concatenation. Sequences use GMC's own
architecture: a GRU of width 30 whose outputs are flattened, and a cross-modal transformer (`mult.py`) as f_0, common width 60.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robult_core.encoders import JointEncoder, Spec
from robult_core.method import (
    Batch,
    Method,
    check_choice,
    complete_rows,
    make_encoders,
    rows_or_first,
    take,
)
from robult_core.methods.mult import FlatGRU, MulT
from robult_core.tasks import Task


def gmc_rows(joint: Tensor, z: Tensor, temperature: float) -> Tensor:
    """Loss of each of the 2B rows `[joint; z_m]` against the other 2B - 1, `(M, 2B)`; joint `(B, D)`, z `(M, B, D)`.

    The partner of a row is the same sample in the other half; it stays in the denominator, as in the released code.
    """
    rows = torch.cat([joint.expand_as(z), z], dim=1)  # (M, 2B, D)
    similarity = rows @ rows.transpose(1, 2) / temperature
    n = len(joint)
    positive = similarity.diagonal(offset=n, dim1=1, dim2=2)  # (M, B): <joint_j, z_j>
    own = torch.eye(2 * n, dtype=torch.bool, device=joint.device)
    return similarity.masked_fill(own, -math.inf).logsumexp(dim=-1) - positive.repeat(1, 2)


def gmc_loss(joint: Tensor, z: Tensor, temperature: float) -> Tensor:
    """L_con: sum over modalities, mean over the 2B rows; exactly 0 for B = 1."""
    return gmc_rows(joint, z, temperature).sum(dim=0).mean()


@dataclass(frozen=True)
class GMCConfig:
    """Temperature .3 and weight 1 as released for MOSI and MOSEI. `architecture`: "common", "mosi" (sequences only) or "auto"
    (MOSI's where every modality is a sequence). `width` is that of the common encoders, `sequence_width` that of MOSI's.
    """

    width: int = 128
    dropout: float = 0.3
    temperature: float = 1.0  # searched, notebook 04; the released code has 0.3 and 1
    contrastive_weight: float = 0.1
    architecture: str = "auto"
    sequence_width: int = 60
    gru_width: int = 30

    def __post_init__(self) -> None:
        check_choice(self.architecture, "architecture", ("auto", "common", "mosi"))
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}: it must be positive")


class Head(nn.Module):
    """`z + W2 relu(W1 z)`, then a linear layer to the outputs."""

    def __init__(self, width: int, n_outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.out = nn.Linear(width, n_outputs)

    def forward(self, z: Tensor) -> Tensor:
        return self.out(z + self.residual(z))


class GMC(Method):
    """Contrastive loss on all complete samples, supervised loss on labelled ones, weights 1 : 1; GMC itself knows no unlabelled rows, this is our reading."""

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: GMCConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.task, self.names, self.config = task, tuple(specs), config or GMCConfig()
        config = self.config
        sequences = all(
            not isinstance(spec, nn.Module) and not isinstance(spec, int) and len(spec) == 2
            for spec in specs.values()
        )
        if config.architecture == "mosi" and not sequences:
            raise ValueError(
                f"architecture 'mosi' needs sequences (T, F), got {dict(specs)}: choose 'common' or 'auto'"
            )
        if sequences and config.architecture != "common":
            width = config.sequence_width
            self.encoders = nn.ModuleList(
                FlatGRU(*spec, config.gru_width, width) for spec in specs.values()
            )
            self.joint = MulT(specs, width) if joint is None else joint
        else:
            width = config.width
            self.encoders = make_encoders(specs, width, config.dropout)
            self.joint = JointEncoder(specs, width, config.dropout) if joint is None else joint
        self.project = nn.Linear(width, width)
        self.head = Head(width, task.n_outputs)

    def _unit(self, h: Tensor) -> Tensor:
        return F.normalize(self.project(h), dim=-1)

    def _z(self, inputs: Mapping[str, Tensor], names: tuple[str, ...]) -> Tensor:
        """Unit vectors of the named modalities, `(len(names), B, D)`."""
        return torch.stack(
            [self._unit(self.encoders[self.names.index(name)](inputs[name])) for name in names]
        )

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        complete = complete_rows(batch)
        rows = rows_or_first(complete)
        inputs, labeled = take(batch.inputs, rows), (batch.labeled & complete)[rows]
        joint = self._unit(self.joint(inputs))
        contrastive = gmc_loss(joint, self._z(inputs, self.names), self.config.temperature)
        return {
            "contrastive": self.config.contrastive_weight * contrastive,
            "supervised": self.task.supervised_loss(self.head(joint), batch.targets[rows], labeled),
        }

    def encode(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """z_joint where every modality is given, else the mean of the unit vectors given, not normalised again; `(B, D)`."""
        given = self.check_inputs(inputs)
        if len(given) == len(self.names):
            return self._unit(self.joint(inputs))
        return self._z(inputs, given).mean(dim=0)

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.task.scores(self.head(self.encode(inputs)))

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`z/<modality>` and, where every modality is given, `s` = z_joint: unit vectors."""
        given = self.check_inputs(inputs)
        latents = {f"z/{name}": z for name, z in zip(given, self._z(inputs, given), strict=True)}
        if len(given) == len(self.names):
            latents["s"] = self.encode(inputs)
        return latents
