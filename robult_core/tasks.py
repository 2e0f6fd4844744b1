"""The three kinds of task: supervised loss, contrastive class, decoding and metrics (section 3.1, readings 9 and 17-20).

A task is the only place that knows what an output means. Methods hand it raw outputs ("logits", `(N, C)`); evaluation hands it *scores*:
probabilities for classification and multilabel, the predicted value for regression. Late fusion averages scores (reading 17).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import pearsonr
from sklearn import metrics as sk
from torch import Tensor

LOWER_IS_BETTER = frozenset({"mae"})
LATE_FUSION = ("probabilities", "logits", "confidence")


def higher_is_better(metric: str) -> bool:
    """Whether a larger value of the metric is the better one."""
    return metric not in LOWER_IS_BETTER


def round_half_away(values: Tensor) -> Tensor:
    """Round to the nearest integer, halves away from zero (reading 19); torch and numpy round halves to even."""
    whole = values.abs().floor()
    return torch.sign(values) * (
        whole + (values.abs() - whole >= 0.5)
    )  # floor(x + 1/2) takes the number below 1/2 to 1


@dataclass(frozen=True)
class Task:
    """What the targets mean. `n_outputs` is C; `primary` names the metric that tables and searches use."""

    n_outputs: int
    primary: str
    kind: ClassVar[str] = ""
    metric_names: ClassVar[tuple[str, ...]] = ()
    lower_is_better: ClassVar[frozenset[str]] = LOWER_IS_BETTER

    def higher_is_better(self, metric: str) -> bool:
        return metric not in self.lower_is_better

    def per_sample_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Supervised loss of each row: `(N, C), targets -> (N,)` (section 2.3)."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def supervised_loss(self, logits: Tensor, targets: Tensor, labeled: Tensor) -> Tensor:
        """Mean of `per_sample_loss` over labelled rows; a zero that carries gradients when no row is labelled."""
        if not labeled.any():
            return logits.sum() * 0.0
        return self.per_sample_loss(logits[labeled], targets[labeled]).mean()

    def check_targets(self, targets: Tensor) -> None:
        """Raise ValueError naming the first target outside the task."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def contrastive_classes(self, targets: Tensor, labeled: Tensor, logits: Tensor) -> Tensor:
        """Class of each row for the contrastive loss, `(N,)` int: the label where `labeled`, the pseudo-label elsewhere (reading 9)."""
        decoded = self.decode(self.scores(logits))
        keep = labeled.reshape(-1, *[1] * (targets.ndim - 1))
        return self.label_classes(torch.where(keep, targets, decoded.to(targets.dtype)))

    def label_classes(self, targets: Tensor) -> Tensor:
        """Discrete class of each target, `(N,)` int64; also what label splits stratify by."""
        return targets.long()

    def scores(self, logits: Tensor) -> Tensor:
        """Raw outputs -> what late fusion averages, `(N, C)`."""
        return logits

    def late_fusion(self, scores: Tensor, rule: str = "probabilities") -> Tensor:
        """Scores `(N, C)` from those of M modalities `(M, N, C)` (reading 17): mean of "probabilities", of "logits", or "confidence"-weighted.

        The mean of logits is the normalised geometric mean of probabilities, exact while none is below 1e-12 or, in multilabel and float32,
        within 1e-7 of 1. For regression every rule is the plain mean.
        """
        if rule == "probabilities" or self.kind == "regression":
            return scores.mean(0)
        if rule == "confidence":
            weight = (
                (scores - 1 / 2 if self.kind == "multilabel" else scores)
                .abs()
                .amax(-1, keepdim=True)
            )
            return (scores * weight).sum(0) / weight.sum(0).clamp(min=1e-12)
        yes, no = (one.clamp(min=1e-12).log().mean(0).exp() for one in (scores, 1 - scores))
        return yes / (yes + no if self.kind == "multilabel" else yes.sum(-1, keepdim=True))

    def decode(self, scores: Tensor) -> Tensor:
        """Scores -> predicted targets, in the shape of the targets."""
        raise TypeError(f"{type(self).__name__} is abstract")

    def metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """All metrics of the task from `(N, C)` scores and the true targets."""
        raise TypeError(f"{type(self).__name__} is abstract")


@dataclass(frozen=True)
class Classification(Task):
    """Targets `(N,)` int in 0..C-1; metrics accuracy, macro F1 and, for two classes, AUROC (Tables 2 and 3)."""

    primary: str = "accuracy"
    kind: ClassVar[str] = "classification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro", "auroc")

    def per_sample_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets.long(), reduction="none")

    def check_targets(self, targets: Tensor) -> None:
        if targets.ndim != 1 or targets.is_floating_point():
            raise ValueError(
                f"labels have shape {tuple(targets.shape)} and type {targets.dtype}: expected (N,) integers"
            )
        bad = targets[(targets < 0) | (targets >= self.n_outputs)]
        if len(bad):
            raise ValueError(
                f"label {bad[0].item()} is outside the task's classes 0..{self.n_outputs - 1}: re-encode the labels from 0"
            )

    def scores(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=-1)

    def decode(self, scores: Tensor) -> Tensor:
        return scores.argmax(dim=-1)

    def metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        decoded = scores.argmax(axis=1)
        labels = np.arange(self.n_outputs)
        result = {
            "accuracy": float(sk.accuracy_score(targets, decoded)),
            "f1_macro": float(
                sk.f1_score(targets, decoded, labels=labels, average="macro", zero_division=0)
            ),
        }
        if self.n_outputs == 2:
            both = len(np.unique(targets)) == 2
            result["auroc"] = float(sk.roc_auc_score(targets, scores[:, 1])) if both else math.nan
        return result


@dataclass(frozen=True)
class Regression(Task):
    """Targets `(N,)` float, one output; with `bound` the contrastive classes are rounded scores clipped to [-bound, bound] (reading 19).

    Metrics as GMC computes them (MAE, Corr over all rows; Acc and F1 of the sign over rows whose truth is not zero): `f1_gmc` passes the
    predictions as truth to the weighted F1, as the released code of GMC does, `f1` is the ordinary order.
    """

    n_outputs: int = 1
    primary: str = "mae"
    bound: float = 3.0
    kind: ClassVar[str] = "regression"
    metric_names: ClassVar[tuple[str, ...]] = (
        "mae",
        "corr",
        "accuracy",
        "f1",
        "f1_gmc",
        "f1_macro",
        "accuracy_7",
    )

    def per_sample_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.squeeze(-1) - targets).abs()  # L1, section 2.3

    def check_targets(self, targets: Tensor) -> None:
        if targets.ndim != 1:
            raise ValueError(
                f"targets have shape {tuple(targets.shape)}: expected (N,), one number per sample"
            )
        bad = targets[~torch.isfinite(targets)]
        if len(bad):
            raise ValueError(
                f"target {bad[0].item()} is not a finite number: drop the row or mark it unlabelled"
            )

    def label_classes(self, targets: Tensor) -> Tensor:
        return round_half_away(targets.nan_to_num().clamp(-self.bound, self.bound)).long()

    def decode(self, scores: Tensor) -> Tensor:
        return scores.squeeze(-1)

    def metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        predicted = np.asarray(scores, dtype=np.float64).reshape(len(targets))
        truth = np.asarray(targets, dtype=np.float64)
        keep = truth != 0
        sign, true_sign = predicted[keep] > 0, truth[keep] > 0
        constant = np.ptp(predicted) == 0 or np.ptp(truth) == 0
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # a nearly constant prediction is an answer here, not a mistake
            corr = math.nan if constant else float(pearsonr(predicted, truth).statistic)
        bins = [
            self.label_classes(torch.from_numpy(np.asarray(v))).numpy() for v in (predicted, truth)
        ]
        return {
            "mae": float(np.abs(predicted - truth).mean()),
            "corr": corr,
            "accuracy": float((sign == true_sign).mean()) if keep.any() else math.nan,
            "f1": float(sk.f1_score(true_sign, sign, average="weighted", zero_division=0))
            if keep.any()
            else math.nan,
            "f1_gmc": float(sk.f1_score(sign, true_sign, average="weighted", zero_division=0))
            if keep.any()
            else math.nan,
            "f1_macro": float(sk.f1_score(true_sign, sign, average="macro", zero_division=0))
            if keep.any()
            else math.nan,
            "accuracy_7": float((bins[0] == bins[1]).mean()),
        }


@dataclass(frozen=True)
class Multilabel(Task):
    """Targets `(N, C)` of 0 and 1; two samples are positives when their label sets are identical (section 3.2)."""

    primary: str = "f1_macro"
    kind: ClassVar[str] = "multilabel"
    metric_names: ClassVar[tuple[str, ...]] = ("f1_macro", "f1_micro", "f1_weighted", "f1_samples")

    def per_sample_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype), reduction="none"
        ).mean(dim=-1)

    def __post_init__(self) -> None:
        if self.n_outputs < 2:  # F1 of one column would mean another thing
            raise ValueError(
                f"a multilabel task with {self.n_outputs} label: use classification with two classes"
            )

    def check_targets(self, targets: Tensor) -> None:
        if targets.ndim != 2 or targets.shape[1] != self.n_outputs:
            raise ValueError(
                f"multilabel targets have shape {tuple(targets.shape)}: pass a (N, {self.n_outputs}) indicator matrix"
            )
        bad = targets[(targets != 0) & (targets != 1)]
        if len(bad):
            raise ValueError(
                f"multilabel target {bad[0].item()} is neither 0 nor 1: pass a (N, {self.n_outputs}) indicator matrix"
            )

    def label_classes(self, targets: Tensor) -> Tensor:
        """Identical label sets get identical numbers; different ones collide with probability 2^-63 (random sums in int64)."""
        generator = torch.Generator().manual_seed(20250)
        keys = torch.randint(-(2**62), 2**62, (self.n_outputs,), generator=generator).to(
            targets.device
        )
        return ((targets > 0.5).long() * keys).sum(dim=-1)

    def scores(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def decode(self, scores: Tensor) -> Tensor:
        return (scores > 0.5).long()

    def metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        decoded = np.asarray(scores) > 0.5
        return {
            f"f1_{average}": float(sk.f1_score(targets, decoded, average=average, zero_division=0))
            for average in ("macro", "micro", "weighted", "samples")
        }
