"""What the four baselines share: their task, the order of the modalities, and one encoder each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from robult_core.encoders import Spec
from robult_core.method import Method
from robult_core.tasks import Task


class Baseline(Method):
    """A method with one encoder f_i per modality.

    A subclass is made from `(task, specs, config)`, and from `joint` as well where it says so by
    `takes_joint`. It sets `encoders` in the order of `names` where it has them.
    """

    encoders: nn.ModuleList

    def __init__(self, task: Task, specs: Mapping[str, Spec]) -> None:
        super().__init__()
        self.task = task
        self.names = tuple(specs)

    def unimodal_encoders(self) -> Iterable[nn.Module]:
        return self.encoders if hasattr(self, "encoders") else ()

    def _encode(self, name: str, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """h_i = f_i(x_i) of one modality."""
        encoder = self.encoders[self.names.index(name)]
        return encoder(inputs[name])
