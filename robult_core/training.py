"""One training loop for every method: it knows batches, steps and the optimiser, never a method.

Procedure (section 2.3; the paper's Appendix B.3 is not public here): for a fixed number of gradient
steps, draw a batch of shuffled training rows and a few more labelled ones, sum the method's loss
terms, step. The last weights are evaluated; nothing is selected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robult_core.checks import (
    Rows,
    check_count,
    check_kind,
    check_labeled_rows,
    check_presence,
    check_seed,
    check_weights,
    training_rows,
)
from robult_core.datasets.container import MultimodalData
from robult_core.distributed import loss_terms_on
from robult_core.method import Batch, Method
from robult_core.optimizer import AdamW
from robult_core.validation import Count, Positive, Share, Weight, validated

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@validated
class TrainingConfig:
    """The budget, alike for all methods."""

    # gradient steps, not epochs: epochs over 5 % of the rows would be 20 times shorter. Our choice
    steps: Count = 400
    # shuffled rows; the paper does not state it (reading 22)
    batch_size: Count = 64
    # max(4, B/8) labelled rows beyond the shuffle, or the plain shuffle (reading 22)
    sampling: Literal["extra_labeled", "shuffle"] = "extra_labeled"
    # of AdamW; None is the method's own, chosen by `robult search` (see notebook 04) (reading 16)
    learning_rate: Positive | None = None
    # of AdamW; None is the method's own (reading 23)
    weight_decay: Weight | None = None
    # share of the steps in which the rate rises; then it falls to 0 as a cosine. Our choice
    warmup: Share = 0.1
    # largest norm of the gradient; our choice, the released code of GMC clips at 0.8
    gradient_clip: Positive = 1.0


@dataclass
class History:
    """What training recorded: rows of step, term and value, their sum under the term "total"."""

    rows: list[tuple[int, str, float]] = field(default_factory=list)

    def record(self, step: int, terms: dict[str, Tensor], total: Tensor) -> None:
        for name, value in terms.items():
            self.rows.append((step, name, value.item()))
        self.rows.append((step, "total", total.item()))


def train(
    method: Method,
    data: MultimodalData,
    labeled_rows: Rows,
    config: TrainingConfig | None = None,
    seed: int = 0,
    *,
    weights: np.ndarray | Sequence[float] | None = None,
    on_step: Callable[[int, Method], bool | None] | None = None,
    fabric: Fabric | None = None,
    log_every: int | None = None,
) -> History:
    """Train `method` in place on the training rows of `data`.

    The data must be standardised already (`MultimodalData.standardized`); nothing is scaled here.
    The global generator of torch is seeded with `seed`, and stays where the training leaves it.

    labeled_rows: the training rows that carry labels. Without any, representations are trained, and
        a prediction says so.
    weights: how much each sample of `data` counts in the supervised loss, `(N,)`; those of
        unlabelled rows do not matter, and a labelled row of weight 0 is an unlabelled one. None
        counts all alike.
    on_step: called with the step and the method before the first step, as step 0, and after every
        step; the training ends early after a step for which it returns True.
    fabric: a launched `lightning_fabric.Fabric` for another device, several ranks, or the precision
        "bf16-mixed"; None trains in this process, where the method is.
    log_every: steps between two records of the history, at least 1; None makes about 100 records.

    Raises ValueError for data, rows or seeds that do not fit, and FloatingPointError when the loss
    or the last weights are not finite.
    """
    config = config or TrainingConfig()
    check_kind("config", config, TrainingConfig)
    check_seed(seed)
    if log_every is not None:
        check_count("log_every", log_every)
    rows = _training_rows(method, data)
    labeled, weights = _labels(data, labeled_rows, weights)

    torch.manual_seed(seed)
    steps = _Steps(method, config, fabric)
    method.generator = torch.Generator().manual_seed(seed)
    method.saw_labels = len(labeled) > 0
    method.begin(data.targets[torch.from_numpy(labeled)])
    is_labeled = np.isin(np.arange(len(data)), labeled)
    samples = all_samples(data, is_labeled, weights).to(steps.device)

    history = History()
    log_every = log_every or max(1, config.steps // 100)
    if on_step:
        on_step(0, method)
    for step, drawn in enumerate(batches(rows, labeled, config, seed), start=1):
        batch = samples[torch.from_numpy(drawn).to(steps.device)]
        terms, total = steps.take(step, batch)
        if step % log_every == 0 or step in (1, config.steps):
            history.record(step, terms, total)
        if on_step and on_step(step, method):
            break
    method.progress = 1.0
    method.generator = None
    method.eval()
    _check_weights(method, step, steps.rate)
    return history


class _Steps:
    """The gradient steps of one training, on the fabric's device and ranks where there is one."""

    def __init__(self, method: Method, config: TrainingConfig, fabric: Fabric | None) -> None:
        self.method = method
        self.config = config
        self.loss_terms = method.loss_terms if fabric is None else loss_terms_on(method, fabric)
        self.device = next(method.parameters()).device
        decay = method.weight_decay if config.weight_decay is None else config.weight_decay
        self.optimizer = AdamW(method.parameters(), decay)
        self.rate = config.learning_rate or method.learning_rate

    def take(self, step: int, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Take step 1, 2, … on a batch, and return its loss terms and their sum."""
        if not self.method.training:  # on_step may have looked at predictions
            self.method.train()
        self.method.progress = (step - 1) / self.config.steps
        terms = self.loss_terms(batch)
        total = torch.stack(list(terms.values())).sum()
        _check_loss(total, step, self.rate)
        self.optimizer.zero_grad()
        if total.requires_grad:  # otherwise the method learns nothing from this batch
            total.backward()
            nn.utils.clip_grad_norm_(self.optimizer.parameters, self.config.gradient_clip)
            self.optimizer.step(self.rate * schedule(step - 1, self.config))
        return terms, total


def _training_rows(method: Method, data: MultimodalData) -> Int[np.ndarray, " rows"]:
    """The training rows of data that the method was made for."""
    check_kind("method", method, Method)
    check_kind("data", data, MultimodalData)
    _check_belongs(method, data)
    rows = training_rows(data)
    if data.present is not None:
        check_presence(data.present[:, rows], rows)
    return rows


def _labels(
    data: MultimodalData, labeled_rows: Rows, weights: np.ndarray | Sequence[float] | None
) -> tuple[Int[np.ndarray, " labeled"], Float[np.ndarray, " samples"] | None]:
    """The rows whose labels count, and the weights of all rows."""
    labeled = check_labeled_rows(labeled_rows, data)
    if weights is None:
        return labeled, None
    weights = check_weights(weights, labeled, len(data))
    return labeled[weights[labeled] > 0], weights


def _check_belongs(method: Method, data: MultimodalData) -> None:
    """The data has the modalities, the widths and the task that the method was made for."""
    if set(data.names) != set(method.names):
        raise ValueError(
            f"'{data.name}' has the modalities {', '.join(data.names)}: "
            f"the method was made for {', '.join(method.names)}"
        )
    method.check_samples(data.shapes)
    if data.task != method.task:
        raise ValueError(
            f"'{data.name}' has the task {data.task}: the method was made for {method.task}"
        )


# --- batches ------------------------------------------------------------------------------------


def batches(
    train: Int[np.ndarray, " rows"],
    labeled: Int[np.ndarray, " labeled"],
    config: TrainingConfig,
    seed: int,
) -> Iterator[Int[np.ndarray, " batch"]]:
    """Row indices of `config.steps` batches; the same for every method with the same seed.

    The last batch of an epoch is filled from the next shuffle. The extra labelled rows come from
    those that the batch does not hold yet.
    """
    rng = np.random.default_rng(seed)
    size = min(config.batch_size, len(train))
    extra = 0
    if config.sampling == "extra_labeled":
        extra = max(4, config.batch_size // 8)
    queue = np.empty(0, dtype=train.dtype)
    labeled = np.unique(labeled)
    is_drawn = np.zeros(max([*train, *labeled]) + 1, dtype=bool)
    for _ in range(config.steps):
        if len(queue) < size:
            shuffled = rng.permutation(train)
            # rows left from the last epoch come late in the next, so no batch holds one twice
            is_queued = np.isin(shuffled, queue)
            queue = np.concatenate([queue, shuffled[~is_queued], shuffled[is_queued]])
        batch, queue = queue[:size], queue[size:]
        is_drawn[batch] = True
        spare = labeled[~is_drawn[labeled]]
        is_drawn[batch] = False
        yield np.concatenate([batch, rng.permutation(spare)[:extra]])


def make_batch(
    data: MultimodalData,
    rows: Int[np.ndarray, " batch"],
    labeled: Bool[np.ndarray, " samples"],
    weights: Float[np.ndarray, " samples"] | None = None,
) -> Batch:
    """The samples `rows`, as `all_samples` has them."""
    return all_samples(data, labeled, weights)[torch.from_numpy(rows)]


def all_samples(
    data: MultimodalData,
    labeled: Bool[np.ndarray, " samples"],
    weights: Float[np.ndarray, " samples"] | None = None,
) -> Batch:
    """The whole data set as one batch; unlabelled targets are blanked."""
    is_labeled = torch.from_numpy(labeled)
    keep = is_labeled.reshape(-1, *[1] * (data.targets.ndim - 1))
    blank = torch.zeros((), dtype=data.targets.dtype)
    return Batch(
        inputs=data.modalities,
        targets=torch.where(keep, data.targets, blank),
        labeled=is_labeled,
        present=data.present,
        weights=None if weights is None else torch.from_numpy(weights),
    )


# --- what a training needs and tells --------------------------------------------------------------


def gradient_routes(method: Method, batch: Batch) -> dict[str, dict[str, float]]:
    """The norm of each loss term's gradient in each part of the method: term -> part -> norm.

    It is computed by automatic differentiation and is 0 where a term does not reach.
    """
    norms: dict[str, dict[str, float]] = {}
    for term, value in method.loss_terms(batch).items():
        norms[term] = {}
        for part, module in method.named_children():
            gradients = torch.autograd.grad(
                value, list(module.parameters()), retain_graph=True, allow_unused=True
            )
            squares = [gradient.square().sum() for gradient in gradients if gradient is not None]
            norms[term][part] = float(sum(squares)) ** 0.5
    return norms


def schedule(step: int, config: TrainingConfig) -> float:
    """The factor of the learning rate: it rises linearly, then falls to 0 as a cosine."""
    rise = max(1, round(config.warmup * config.steps))
    fall = max(1, config.steps - rise)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / fall))


def _check_loss(loss: Tensor, step: int, rate: float) -> None:
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {step}: lower learning_rate (now {rate})"
        )


def _check_weights(method: Method, steps: int, rate: float) -> None:
    """A last step that is too large leaves no loss behind that could tell."""
    if not all(bool(torch.isfinite(weights).all()) for weights in method.parameters()):
        raise FloatingPointError(
            f"the weights are not finite after step {steps}: lower learning_rate (now {rate})"
        )
