"""The optimiser of every training: torch's fused AdamW without what slows small models down.

`torch.optim.AdamW` loads torch's compiler when it is made, which takes longer than importing torch.
The numbers are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


@dataclass
class Moments:
    """What AdamW keeps of one parameter: both running means, and how many steps it took."""

    mean: Tensor
    square: Tensor
    steps: Tensor


class AdamW:
    """AdamW (Loshchilov and Hutter 2019) with torch's defaults for its betas and epsilon.

    A parameter without a gradient is skipped, as in torch.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self._moments: dict[Tensor, Moments] = {}

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the parameters along their gradients, with this learning rate."""
        moved: list[Tensor] = []
        gradients = []
        for parameter in self.parameters:
            if parameter.grad is not None:
                moved.append(parameter)
                gradients.append(parameter.grad)
        moments = [self._moments_of(parameter) for parameter in moved]
        adamw(
            moved,
            gradients,
            [kept.mean for kept in moments],
            [kept.square for kept in moments],
            [],
            [kept.steps for kept in moments],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def _moments_of(self, parameter: Tensor) -> Moments:
        if parameter not in self._moments:
            self._moments[parameter] = Moments(
                mean=torch.zeros_like(parameter),
                square=torch.zeros_like(parameter),
                steps=torch.zeros((), device=parameter.device),
            )
        return self._moments[parameter]
