"""Features with mean 0 and deviation 1 over the training rows, alike for all methods."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-8  # below it a feature counts as constant, and becomes 0 instead of noise
BLOCK = 4096  # rows that are turned into doubles at once
CLIP = 5.0  # deviations; one wild value must not drown a batch


@dataclass(frozen=True)
class Standardizer:
    """The mean and the deviation of every feature of one modality, `(F,)` float64 each.

    Sequences `(N, T, F)` share one mean per feature over samples and steps. Their steps that are
    all zero are padding: they count in no mean and stay zero.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def fit(cls, x: Tensor) -> Standardizer:
        """The statistics of training rows `(N, F)` or `(N, T, F)`; no rows give mean 0 and 1."""
        steps = x.reshape(-1, x.shape[-1])
        if x.ndim == 3:
            real = steps.abs().sum(-1) > 0
            steps = steps[real]
        if not len(steps):
            steps = torch.zeros(1, x.shape[-1])
        deviation, mean = torch.std_mean(steps.double(), dim=0, correction=0)
        deviation[deviation < SMALLEST_DEVIATION] = 1.0
        return cls(mean, deviation)

    def apply(self, x: Tensor, clip: float = CLIP) -> Tensor:
        """Standardised features in float32, clipped at `clip` deviations."""
        scaled = torch.empty(x.shape)
        for start in range(0, len(x), BLOCK):  # the doubles of all rows would need twice the memory
            rows = slice(start, start + BLOCK)
            deviations = (x[rows].double() - self.mean) / self.deviation
            scaled[rows] = deviations.clamp(-clip, clip).float()
            if x.ndim == 3:
                real = x[rows].abs().sum(-1, keepdim=True) > 0
                scaled[rows] *= real
        return scaled
