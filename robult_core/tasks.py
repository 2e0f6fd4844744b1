"""The three kinds of task: supervised loss, contrastive class, decoding, metrics (section 3.1).

A task is the only place that knows what an output means (readings 9 and 17 to 20). Methods hand it
raw outputs, the logits `(N, C)`. Evaluation hands it scores: probabilities for classification and
multilabel, the predicted value for regression. Late fusion averages scores.

Reading n is row n of the table "Where the paper is ambiguous" in notebook 03. scikit-learn and
scipy load with the first metric, because importing them takes a second.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor

from robult_core.validation import Count, Positive, validated

LateFusion = Literal["probabilities", "logits", "confidence"]
LATE_FUSION: tuple[LateFusion, ...] = get_args(LateFusion)
# Alike for every method that fuses late. Sensors that err independently multiply their odds, and on
# validation rows (5 % labels, 1 or 2 seeds) subsets of some modalities reach .711 on digits, .762
# on utd_mhad and .942 on handwritten by logits; .653, .753 and .932 by probabilities.
FUSION_RULE: LateFusion = "logits"
LOWER_IS_BETTER = frozenset({"mae"})
SMALLEST_PROBABILITY = 1e-12  # below it the logarithm of a probability is cut off


def higher_is_better(metric: str) -> bool:
    """The direction of a metric."""
    return metric not in LOWER_IS_BETTER


def check_late_fusion(rule: str) -> None:
    """Raise ValueError for a rule of late fusion that there is not."""
    if rule not in LATE_FUSION:
        raise ValueError(f"late fusion is {rule!r}: choose one of {', '.join(LATE_FUSION)}")


def round_half_away(values: Num[Tensor, "*shape"]) -> Num[Tensor, "*shape"]:
    """Round to the nearest integer, halves away from zero (reading 19).

    torch and numpy round halves to even. Adding 1/2 and cutting would take the largest number
    below 1/2 to 1, so the fraction is compared instead.
    """
    size = values.abs()
    whole = size.floor()
    rounded = whole + (size - whole >= 0.5)
    return torch.sign(values) * rounded


def weighted_mean(
    losses: Float[Tensor, " rows"], weights: Float[Tensor, " rows"]
) -> Float[Tensor, ""]:
    """The mean over rows, of which one of weight 2 counts as two of weight 1."""
    return (weights * losses).sum() / weights.sum()


@validated
class Task(ABC):
    """What the targets mean. `n_outputs` is C; `primary` is the metric of tables and searches."""

    n_outputs: Count
    primary: str
    kind: ClassVar[str] = ""
    metric_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.primary not in self.metric_names:
            raise ValueError(
                f"primary of {type(self).__name__} is '{self.primary}': "
                f"choose one of {', '.join(self.metric_names)}"
            )

    # --- training ---------------------------------------------------------------------------

    @abstractmethod
    def per_sample_loss(
        self, logits: Float[Tensor, "rows outputs"], targets: Shaped[Tensor, "rows ..."]
    ) -> Float[Tensor, " rows"]:
        """The supervised loss of each row (section 2.3)."""

    def supervised_loss(
        self,
        logits: Float[Tensor, "rows outputs"],
        targets: Shaped[Tensor, "rows ..."],
        labeled: Bool[Tensor, " rows"],
        weights: Float[Tensor, " rows"] | None = None,
    ) -> Float[Tensor, ""]:
        """The mean of `per_sample_loss` over the labelled rows, weighted if asked.

        A row of weight 2 counts as two rows of weight 1. Without any labelled row it is a zero that
        carries gradients.
        """
        losses = self.per_sample_loss(logits[labeled], targets[labeled])
        if not len(losses):
            return logits.sum() * 0.0
        if weights is None:
            return losses.mean()
        return weighted_mean(losses, weights[labeled])

    @abstractmethod
    def check_targets(self, targets: Tensor) -> None:
        """Raise ValueError naming the first target that is outside the task."""

    @abstractmethod
    def label_classes(self, targets: Shaped[Tensor, "rows ..."]) -> Int[Tensor, " rows"]:
        """The discrete class of each target; label splits stratify by it too."""

    def contrastive_classes(
        self,
        targets: Shaped[Tensor, "rows ..."],
        labeled: Bool[Tensor, " rows"],
        logits: Float[Tensor, "rows outputs"],
    ) -> Int[Tensor, " rows"]:
        """The class of each row for the contrastive loss (reading 9).

        It is that of the label where `labeled`, and that of the prediction elsewhere.
        """
        predicted = self.decode(self.scores(logits)).to(targets.dtype)
        is_labeled = labeled.reshape(-1, *[1] * (targets.ndim - 1))
        return self.label_classes(torch.where(is_labeled, targets, predicted))

    # --- prediction -------------------------------------------------------------------------

    @abstractmethod
    def scores(self, logits: Float[Tensor, "*rows outputs"]) -> Float[Tensor, "*rows outputs"]:
        """What late fusion averages, from raw outputs."""

    @abstractmethod
    def decode(self, scores: Float[Tensor, "rows outputs"]) -> Shaped[Tensor, "rows ..."]:
        """Predicted targets, in the shape of the targets."""

    # --- soft targets -----------------------------------------------------------------------

    @abstractmethod
    def soft_loss(
        self, logits: Float[Tensor, "rows outputs"], scores: Float[Tensor, "rows outputs"]
    ) -> Float[Tensor, " rows"]:
        """`per_sample_loss` where the targets are scores, such as the predictions of a teacher."""

    def distributions(
        self, scores: Float[Tensor, "rows outputs"]
    ) -> Float[Tensor, "rows ... classes"]:
        """Scores as distributions over classes; those of several labels have an axis for them."""
        raise NotImplementedError(f"{type(self).__name__} has no classes")

    def from_distributions(
        self, p: Float[Tensor, "rows ... classes"]
    ) -> Float[Tensor, "rows outputs"]:
        """The scores behind `distributions`."""
        raise NotImplementedError(f"{type(self).__name__} has no classes")

    def label_distributions(
        self, targets: Shaped[Tensor, "rows ..."]
    ) -> Float[Tensor, "rows ... classes"]:
        """Targets as distributions: all of it on the true class."""
        raise NotImplementedError(f"{type(self).__name__} has no classes")

    def late_fusion(
        self, scores: Float[Tensor, "modalities rows outputs"], rule: LateFusion = FUSION_RULE
    ) -> Float[Tensor, "rows outputs"]:
        """One score from those of several modalities (reading 17).

        rule: the mean of "probabilities", the mean of "logits", or a mean of probabilities weighted
            by "confidence".
        """
        check_late_fusion(rule)
        if rule == "probabilities":
            return scores.mean(0)
        if rule == "logits":
            return self._mean_of_logits(scores)
        weight = self._confidence(scores).amax(-1, keepdim=True)  # (M, N, 1)
        return (scores * weight).sum(0) / weight.sum(0).clamp(min=SMALLEST_PROBABILITY)

    def _mean_of_logits(self, scores: Tensor) -> Tensor:
        """The scores of the mean logits, which are a normalised geometric mean of probabilities.

        They are exact while no probability is below 1e-12 or, in multilabel and float32, within
        1e-7 of 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement _mean_of_logits")

    def _confidence(self, scores: Tensor) -> Tensor:
        """How sure a score is, `(M, N, C)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement _confidence")

    # --- evaluation -------------------------------------------------------------------------

    def metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """All metrics of the task, from scores `(N, C)` and the true targets.

        Raises ValueError where scores are not finite, or do not fit the targets or the task.
        """
        scores, targets = np.asarray(scores), np.asarray(targets)
        if scores.shape != (len(targets), self.n_outputs):
            raise ValueError(
                f"scores have shape {scores.shape}: expected ({len(targets)}, {self.n_outputs}), "
                f"targets by outputs"
            )
        if not len(targets):
            raise ValueError("there is no row to measure: give at least one")
        is_finite = np.isfinite(scores).all(axis=1)
        if not is_finite.all():
            raise ValueError(
                f"the scores of {np.sum(~is_finite)} of {len(targets)} rows are not finite numbers:"
                f" the model that made them is broken, so train it with a lower learning rate"
            )
        self.check_targets(torch.as_tensor(targets))
        return self._metrics(scores, targets)

    @abstractmethod
    def _metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """The metrics of scores and targets that were checked."""


@validated
class Classification(Task):
    """Targets are `(N,)` integers from 0 to C - 1.

    Metrics are accuracy, macro F1 and, for two classes, AUROC (Tables 2 and 3).
    """

    primary: str = "accuracy"
    kind: ClassVar[str] = "classification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro", "auroc")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_outputs < 2:
            raise ValueError("n_outputs of Classification is 1: there must be at least 2 classes")
        if self.primary == "auroc" and self.n_outputs != 2:
            raise ValueError(
                f"primary of Classification is 'auroc' for {self.n_outputs} classes: it is defined "
                "for two classes, so choose accuracy or f1_macro"
            )

    def per_sample_loss(
        self, logits: Float[Tensor, "rows outputs"], targets: Shaped[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        return F.cross_entropy(logits, targets.long(), reduction="none")

    def check_targets(self, targets: Tensor) -> None:
        if targets.ndim != 1 or targets.is_floating_point():
            raise ValueError(
                f"labels have shape {tuple(targets.shape)} and type {targets.dtype}: "
                f"expected (N,) integers"
            )
        outside = targets[(targets < 0) | (targets >= self.n_outputs)]
        if len(outside):
            raise ValueError(
                f"label {outside[0].item()} is outside the task's classes "
                f"0..{self.n_outputs - 1}: re-encode the labels from 0"
            )

    def label_classes(self, targets: Shaped[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        return targets.long()

    def scores(self, logits: Float[Tensor, "*rows outputs"]) -> Float[Tensor, "*rows outputs"]:
        return logits.softmax(dim=-1)

    def decode(self, scores: Float[Tensor, "rows outputs"]) -> Int[Tensor, " rows"]:
        return scores.argmax(dim=-1)

    def soft_loss(
        self, logits: Float[Tensor, "rows outputs"], scores: Float[Tensor, "rows outputs"]
    ) -> Float[Tensor, " rows"]:
        return F.cross_entropy(logits, scores, reduction="none")

    def distributions(self, scores: Float[Tensor, "rows outputs"]) -> Float[Tensor, "rows classes"]:
        return scores

    def from_distributions(self, p: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows outputs"]:
        return p

    def label_distributions(
        self, targets: Shaped[Tensor, " rows"]
    ) -> Float[Tensor, "rows classes"]:
        return F.one_hot(targets.long(), self.n_outputs).float()

    def _mean_of_logits(self, scores: Tensor) -> Tensor:
        mean = _geometric_mean(scores)
        return mean / mean.sum(-1, keepdim=True)

    def _confidence(self, scores: Tensor) -> Tensor:
        return scores

    def _metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        from sklearn.metrics import accuracy_score, f1_score

        predicted = scores.argmax(axis=1)
        classes = np.arange(self.n_outputs)
        macro = f1_score(targets, predicted, labels=classes, average="macro", zero_division=0)
        metrics = {
            "accuracy": float(accuracy_score(targets, predicted)),
            "f1_macro": float(macro),
        }
        if self.n_outputs == 2:
            metrics["auroc"] = _auroc(scores[:, 1], targets)
        return metrics


@validated
class Regression(Task):
    """Targets are `(N,)` numbers, and there is one output.

    bound: the contrastive classes are scores clipped to [-bound, bound] and rounded (reading 19).

    Metrics are computed as GMC does: MAE and correlation over all rows, accuracy and F1 of the sign
    over the rows whose truth is not zero. `f1` is the ordinary weighted F1; `f1_gmc` passes the
    predictions as truth, as the released code of GMC does.
    """

    n_outputs: Literal[1] = 1
    primary: str = "mae"
    bound: Positive = 3.0
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

    def per_sample_loss(
        self, logits: Float[Tensor, "rows 1"], targets: Shaped[Tensor, " rows"]
    ) -> Float[Tensor, " rows"]:
        return (logits.squeeze(-1) - targets).abs()  # L1, section 2.3

    def check_targets(self, targets: Tensor) -> None:
        if targets.ndim != 1:
            raise ValueError(
                f"targets have shape {tuple(targets.shape)}: expected (N,), one number per sample"
            )
        not_finite = targets[~torch.isfinite(targets)]
        if len(not_finite):
            raise ValueError(
                f"target {not_finite[0].item()} is not a finite number: "
                f"drop the row or mark it unlabelled"
            )

    def label_classes(self, targets: Shaped[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        clipped = targets.nan_to_num().clamp(-self.bound, self.bound)
        return round_half_away(clipped).long()

    def scores(self, logits: Float[Tensor, "*rows 1"]) -> Float[Tensor, "*rows 1"]:
        return logits

    def decode(self, scores: Float[Tensor, "rows 1"]) -> Float[Tensor, " rows"]:
        return scores.squeeze(-1)

    def soft_loss(
        self, logits: Float[Tensor, "rows 1"], scores: Float[Tensor, "rows 1"]
    ) -> Float[Tensor, " rows"]:
        return (logits - scores).abs().squeeze(-1)

    def late_fusion(
        self, scores: Float[Tensor, "modalities rows 1"], rule: LateFusion = FUSION_RULE
    ) -> Float[Tensor, "rows 1"]:
        """The plain mean under every rule: a value is its own logit and has no confidence."""
        check_late_fusion(rule)
        return scores.mean(0)

    def _metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        predicted = scores.astype(np.float64).reshape(len(targets))
        truth = targets.astype(np.float64)
        predicted_bin = self.label_classes(torch.from_numpy(predicted)).numpy()
        true_bin = self.label_classes(torch.from_numpy(truth)).numpy()
        has_sign = truth != 0
        return {
            "mae": float(np.abs(predicted - truth).mean()),
            "corr": _correlation(predicted, truth),
            **_sign_metrics(predicted[has_sign] > 0, truth[has_sign] > 0),
            "accuracy_7": float((predicted_bin == true_bin).mean()),
        }


@validated
class Multilabel(Task):
    """Targets are `(N, C)` of 0 and 1; positives have identical label sets (section 3.2)."""

    primary: str = "f1_macro"
    kind: ClassVar[str] = "multilabel"
    metric_names: ClassVar[tuple[str, ...]] = ("f1_macro", "f1_micro", "f1_weighted", "f1_samples")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_outputs < 2:  # F1 of one column would mean another thing
            raise ValueError(
                f"a multilabel task with {self.n_outputs} label: "
                f"use classification with two classes"
            )

    def per_sample_loss(
        self, logits: Float[Tensor, "rows outputs"], targets: Shaped[Tensor, "rows outputs"]
    ) -> Float[Tensor, " rows"]:
        per_label = F.binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype), reduction="none"
        )
        return per_label.mean(dim=-1)

    def check_targets(self, targets: Tensor) -> None:
        if targets.ndim != 2 or targets.shape[1] != self.n_outputs:
            raise ValueError(
                f"multilabel targets have shape {tuple(targets.shape)}: "
                f"pass a (N, {self.n_outputs}) indicator matrix"
            )
        wrong = targets[(targets != 0) & (targets != 1)]
        if len(wrong):
            raise ValueError(
                f"multilabel target {wrong[0].item()} is neither 0 nor 1: "
                f"pass a (N, {self.n_outputs}) indicator matrix"
            )

    def label_classes(self, targets: Shaped[Tensor, "rows outputs"]) -> Int[Tensor, " rows"]:
        """Identical label sets get identical numbers.

        A number is a sum of random keys, so two different sets collide with probability 2^-63.
        """
        generator = torch.Generator().manual_seed(20250)
        keys = torch.randint(-(2**62), 2**62, (self.n_outputs,), generator=generator)
        has_label = (targets > 0.5).long()
        return (has_label * keys.to(targets.device)).sum(dim=-1)

    def scores(self, logits: Float[Tensor, "*rows outputs"]) -> Float[Tensor, "*rows outputs"]:
        return logits.sigmoid()

    def decode(self, scores: Float[Tensor, "rows outputs"]) -> Int[Tensor, "rows outputs"]:
        return (scores > 0.5).long()

    def soft_loss(
        self, logits: Float[Tensor, "rows outputs"], scores: Float[Tensor, "rows outputs"]
    ) -> Float[Tensor, " rows"]:
        return self.per_sample_loss(logits, scores)

    def distributions(
        self, scores: Float[Tensor, "rows outputs"]
    ) -> Float[Tensor, "rows outputs 2"]:
        return torch.stack([1 - scores, scores], dim=-1)

    def from_distributions(
        self, p: Float[Tensor, "rows outputs 2"]
    ) -> Float[Tensor, "rows outputs"]:
        return p[..., 1]

    def label_distributions(
        self, targets: Shaped[Tensor, "rows outputs"]
    ) -> Float[Tensor, "rows outputs 2"]:
        return self.distributions(targets.float())

    def _mean_of_logits(self, scores: Tensor) -> Tensor:
        with_label = _geometric_mean(scores)
        without_label = _geometric_mean(1 - scores)
        return with_label / (with_label + without_label)

    def _confidence(self, scores: Tensor) -> Tensor:
        return (scores - 1 / 2).abs()

    def _metrics(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        from sklearn.metrics import f1_score

        predicted = scores > 0.5
        metrics = {}
        for average in ("macro", "micro", "weighted", "samples"):
            value = f1_score(targets, predicted, average=average, zero_division=0)
            metrics[f"f1_{average}"] = float(value)
        return metrics


def _geometric_mean(probabilities: Tensor) -> Tensor:
    """Over the modalities, `(M, N, C) -> (N, C)`."""
    return probabilities.clamp(min=SMALLEST_PROBABILITY).log().mean(0).exp()


def _auroc(score: np.ndarray, targets: np.ndarray) -> float:
    """The area under the ROC curve; NaN where only one class occurs."""
    from sklearn.metrics import roc_auc_score

    if len(np.unique(targets)) < 2:
        return math.nan
    return float(roc_auc_score(targets, score))


def _correlation(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Pearson's correlation; NaN where one side is constant."""
    from scipy.stats import pearsonr

    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return math.nan
    with warnings.catch_warnings():
        # a nearly constant prediction is an answer here, not a mistake
        warnings.simplefilter("ignore")
        return float(pearsonr(predicted, truth).statistic)


def _sign_metrics(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy and F1 of two columns of booleans; NaN where there is no row."""
    from sklearn.metrics import f1_score

    if not len(truth):
        return dict.fromkeys(("accuracy", "f1", "f1_gmc", "f1_macro"), math.nan)
    weighted = f1_score(truth, predicted, average="weighted", zero_division=0)
    swapped = f1_score(predicted, truth, average="weighted", zero_division=0)
    macro = f1_score(truth, predicted, average="macro", zero_division=0)
    return {
        "accuracy": float((predicted == truth).mean()),
        "f1": float(weighted),
        "f1_gmc": float(swapped),
        "f1_macro": float(macro),
    }
