"""The one interface of all five methods: named loss terms, predictions from any subset of modalities, latents by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robult_core.encoders import Spec, make_encoder
from robult_core.tasks import Task


@dataclass(frozen=True)
class Batch:
    """B samples. `targets` may hold anything where `labeled` is False: no method may look there.

    inputs: modality name -> `(B, F)` or `(B, T, F)`; present: `(M, B)` bool, or None when every sample has every modality.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    labeled: Tensor
    present: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labeled)


class Method(nn.Module):
    """Base of Robult and the baselines.

    The training loop calls `loss_terms` on every batch and minimises the sum; evaluation calls `predict`; inspection calls `latents`.
    `progress` (0 at the first step, 1 at the last) is set by the loop for methods that train in stages; `saw_labels` too.
    """

    task: Task
    names: tuple[str, ...]
    progress: float = 0.0
    learning_rate: float = (
        1e-3  # of AdamW; a method whose search (notebook 04) preferred another one says so
    )
    saw_labels: bool = True  # False after training without any label: representations only

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms by name; their sum is minimised."""
        raise TypeError(f"{type(self).__name__} does not implement loss_terms")

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores `(B, C)` from any non-empty subset of modalities (`task.scores`, not logits)."""
        raise TypeError(f"{type(self).__name__} does not implement predict")

    def predict_variants(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Other predictions reported beside `predict` for the same inputs, by name (reading 18); none by default."""
        return {}

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Latents by name, each `(B, d)`: `s`, and `z/text`, `u/text` … for the modalities given."""
        raise TypeError(f"{type(self).__name__} does not implement latents")

    def check_inputs(self, inputs: Mapping[str, Tensor]) -> tuple[str, ...]:
        """The given modalities in the method's order; ValueError where none or an unknown one is given."""
        unknown = [name for name in inputs if name not in self.names]
        if unknown or not inputs:
            raise ValueError(
                f"inputs {list(inputs)} must be a non-empty subset of the modalities {list(self.names)}"
            )
        return tuple(name for name in self.names if name in inputs)


def complete_rows(batch: Batch) -> Tensor:
    """`(B,)` bool: samples that have every modality."""
    if batch.present is None:
        return torch.ones(len(batch), dtype=torch.bool, device=batch.labeled.device)
    return batch.present.all(dim=0)


def make_classifier(width: int, n_outputs: int) -> nn.Module:
    """The head of Robult's c and of every baseline that has no head of its own: `(B, width) -> (B, n_outputs)`, linear."""
    return nn.Linear(width, n_outputs)


def present_mask(batch: Batch, n_modalities: int) -> Tensor:
    """`(M, B)` bool: which sample has which modality."""
    if batch.present is not None:
        return batch.present
    return torch.ones(n_modalities, len(batch), dtype=torch.bool, device=batch.labeled.device)


def rows_or_first(mask: Tensor) -> Tensor:
    """Indices where `mask`, or row 0 where it is empty: a network then still runs, and its loss of no labelled row is a differentiable 0."""
    return (
        mask.nonzero().squeeze(-1)
        if mask.any()
        else torch.zeros(1, dtype=torch.long, device=mask.device)
    )


def take(inputs: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """The same modalities for some rows."""
    return {name: x[rows] for name, x in inputs.items()}


def make_encoders(specs: Mapping[str, Spec], width: int, dropout: float) -> nn.ModuleList:
    """f_1 … f_M in the order of `specs` (reading 23); a list, because modality names may be anything."""
    return nn.ModuleList(make_encoder(spec, width, dropout) for spec in specs.values())


def check_choice(value: str, name: str, allowed: tuple[str, ...]) -> None:
    """ValueError where a configuration names an unknown variant."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}: choose one of {list(allowed)}")
