"""The interface of all methods: named loss terms, predictions from any modalities, latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from robult_core.distributed import gather, shard
from robult_core.encoders import Spec, make_encoder
from robult_core.tasks import Task


@dataclass(frozen=True)
class Batch:
    """B samples.

    inputs: modality name -> `(B, F)` or `(B, T, F)`.
    targets: as the task defines them. They may hold anything where `labeled` is False, and no
        method may look there.
    present: which modality each sample has; None when every sample has every modality.
    weights: how much each sample counts in the supervised loss, above 0 where `labeled`; None when
        all count alike.
    kept: which modalities the networks see, where a method drops some at random (`prepared`).
    """

    inputs: Mapping[str, Tensor]
    targets: Shaped[Tensor, "batch ..."]
    labeled: Bool[Tensor, " batch"]
    present: Bool[Tensor, "modalities batch"] | None = None
    weights: Float[Tensor, " batch"] | None = None
    kept: Bool[Tensor, "modalities batch"] | None = None

    def __len__(self) -> int:
        return len(self.labeled)

    def __getitem__(self, rows: Int[Tensor, " rows"]) -> Batch:
        """Some of the samples, named by indices."""
        return self.map(lambda tensor: tensor.index_select(0, rows))

    def to(self, device: torch.device) -> Batch:
        """The same samples on a device; nothing is copied where they are there already."""
        return self.map(lambda tensor: tensor.to(device))

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The batch that a function makes of every tensor, whose first axis is the samples."""
        return Batch(
            inputs={name: function(x) for name, x in self.inputs.items()},
            targets=function(self.targets),
            labeled=function(self.labeled),
            present=None if self.present is None else function(self.present.T).T,
            weights=None if self.weights is None else function(self.weights),
            kept=None if self.kept is None else function(self.kept.T).T,
        )


class Method(nn.Module):
    """The base of Robult and of every baseline.

    The training loop calls `loss_terms` on every batch and minimises their sum. A method writes it
    in two halves: `outputs` runs its networks on the samples, and `losses` compares what came out
    of all of them. Between the two, several ranks bring their outputs together, so that no method
    knows about ranks. Evaluation calls `predict`, inspection calls `latents`.

    The loop also sets `progress`, which is 0 at the first step and 1 after the last, for methods
    that train in stages, `saw_labels`, and `generator`, from which `prepared` draws.
    """

    takes_joint: ClassVar[bool] = False  # whether it is also made with `joint=`, a network for f_0
    sample_shapes: Mapping[str, tuple[int, ...]] = MappingProxyType({})  # of modalities as arrays
    task: Task
    names: tuple[str, ...]
    progress: float = 0.0
    learning_rate: float = 1e-3  # of AdamW; a method whose search preferred another one says so
    weight_decay: float = 0.05  # of AdamW (reading 23), likewise
    saw_labels: bool = True  # False after training without any label: it has representations only
    generator: torch.Generator | None = None  # of the CPU, alike on all ranks; None is torch's own

    def begin(self, labels: Shaped[Tensor, "labels ..."]) -> None:
        """Called once before the first step, with the targets of the labelled training rows.

        Most methods need nothing of them beforehand.
        """

    def loss_terms(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Weighted loss terms by name; their sum is minimised.

        On several ranks each gets the whole batch: it runs the networks on its share, and computes
        the losses of the whole.
        """
        batch = self.prepared(batch)
        own = self.outputs(batch.map(shard))
        return self.losses(batch, gather(own, len(batch)))

    def prepared(self, batch: Batch) -> Batch:
        """The samples that the losses look at, with the random choices of this step in `kept`.

        Most methods look at all samples and draw nothing.
        """
        return batch

    def outputs(self, batch: Batch) -> dict[str, Float[Tensor, "*leading batch width"]]:
        """All that `losses` needs of the networks, by name; each sample goes its own way."""
        raise NotImplementedError(f"{type(self).__name__} must implement outputs to be trained")

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, ""]]:
        """The weighted loss terms of a batch, from its outputs; no parameter is used here."""
        raise NotImplementedError(f"{type(self).__name__} must implement losses to be trained")

    def predict(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch outputs"]:
        """Scores (`task.scores`, not logits) from any non-empty subset of the modalities."""
        raise NotImplementedError(f"{type(self).__name__} must implement predict to be evaluated")

    def predict_variants(
        self, inputs: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, "batch outputs"]]:
        """Other predictions for the same inputs, by name, which are reported beside `predict`.

        There are none by default (reading 18).
        """
        return {}

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """Latents by name: "s", and "z/text", "u/text" and so on for the modalities given."""
        raise NotImplementedError(f"{type(self).__name__} has no latents to look at")

    def unimodal_encoders(self) -> Iterable[nn.Module]:
        """The networks that read one modality each, if there are any.

        An evaluation of many patterns runs each of them once.
        """
        return ()

    def check_inputs(self, inputs: Mapping[str, Tensor]) -> tuple[str, ...]:
        """The given modalities in the method's order.

        Raises ValueError where none is given or one is unknown.
        """
        unknown = [name for name in inputs if name not in self.names]
        if unknown or not inputs:
            raise ValueError(
                f"the inputs are {', '.join(inputs) or 'empty'}: "
                f"give some of {', '.join(self.names)}"
            )
        return tuple(name for name in self.names if name in inputs)

    def check_samples(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Samples `(F,)` or `(T, F)` are as wide as the method was made for, whatever T is.

        Raises ValueError where one is not. Nothing is known of what a module of one's own takes.
        """
        for name, shape in shapes.items():
            expected = self.sample_shapes.get(name, shape)
            if len(shape) != len(expected) or shape[-1] != expected[-1]:
                raise ValueError(
                    f"modality '{name}' has samples of shape {shape}: "
                    f"the method was made for {expected}"
                )

    def _are_all(self, inputs: Mapping[str, Tensor]) -> bool:
        """Whether every modality is given; ValueError where none or an unknown one is."""
        return len(self.check_inputs(inputs)) == len(self.names)


def complete_rows(batch: Batch) -> Bool[Tensor, " batch"]:
    """The samples that have every modality."""
    if batch.present is None:
        return torch.ones(len(batch), dtype=torch.bool, device=batch.labeled.device)
    return batch.present.all(dim=0)


def present_mask(batch: Batch, n_modalities: int) -> Bool[Tensor, "modalities batch"]:
    """Which sample has which modality."""
    if batch.present is not None:
        return batch.present
    return torch.ones(n_modalities, len(batch), dtype=torch.bool, device=batch.labeled.device)


def inputs_there(batch: Batch) -> Mapping[str, Tensor]:
    """The modalities of a batch, with zeros where a sample lacks one."""
    if batch.present is None:
        return batch.inputs
    inputs = {}
    for (name, x), is_there in zip(batch.inputs.items(), batch.present, strict=True):
        absent = ~is_there.reshape(-1, *[1] * (x.ndim - 1))
        inputs[name] = x.masked_fill(absent, 0)
    return inputs


def mean_over_present(
    values: Float[Tensor, "modalities batch outputs"], present: Bool[Tensor, "modalities batch"]
) -> Float[Tensor, "batch outputs"]:
    """The mean over the modalities that each sample has; zeros where it has none."""
    count = present.sum(0)[:, None].clamp(min=1)
    return (values * present[..., None]).sum(0) / count


def rows_or_first(mask: Bool[Tensor, " batch"]) -> Int[Tensor, " rows"]:
    """The indices where `mask`, or row 0 where it is empty.

    A network then still runs, and its loss over no labelled row is a zero that carries gradients.
    """
    if mask.any():
        return mask.nonzero().squeeze(-1)
    return torch.zeros(1, dtype=torch.long, device=mask.device)


def make_encoders(specs: Mapping[str, Spec], width: int, dropout: float) -> nn.ModuleList:
    """f_1 to f_M in the order of `specs`; a list, because a modality's name may be anything."""
    return nn.ModuleList(make_encoder(spec, width, dropout) for spec in specs.values())


def make_classifier(width: int, n_outputs: int) -> nn.Module:
    """The head of Robult's c and of every baseline that has no head of its own: a linear layer."""
    return nn.Linear(width, n_outputs)
