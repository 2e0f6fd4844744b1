"""One training loop for every method: it knows batches, steps and the optimiser, never a method.

Procedure (section 2.3; the paper's Appendix B.3 is not public here): for a fixed number of gradient steps, draw a batch of shuffled training
rows and a few more labelled ones, sum the method's loss terms, step. The last weights are evaluated; nothing is selected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from robult_core.datasets.container import MultimodalData
from robult_core.distributed import shard
from robult_core.method import Batch, Method

SAMPLINGS = ("extra_labeled", "shuffle")


@dataclass(frozen=True)
class TrainingConfig:
    """The budget, alike for all methods."""

    # gradient steps, not epochs: epochs over 5 % of the rows would be 20 times shorter
    steps: int = 400
    batch_size: int = 64
    sampling: str = "extra_labeled"  # max(4, B/8) labelled rows beyond the shuffle, or plain "shuffle" (reading 22)
    learning_rate: float | None = None  # None: the method's own, searched (notebook 04)
    weight_decay: float = 0.05  # reading 23
    warmup: float = 0.1  # share of the steps in which the rate rises; then it falls to 0 as a cosine. Our choice
    gradient_clip: float = 1.0  # norm; the released code of GMC clips at 0.8

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "learning_rate", "gradient_clip"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be positive")
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling is {self.sampling!r}: choose one of {', '.join(SAMPLINGS)}")


@dataclass
class History:
    """What training recorded: rows of (step, term, value), the sum under the term "total"."""

    rows: list[tuple[int, str, float]] = field(default_factory=list)


def batches(
    train: np.ndarray, labeled: np.ndarray, config: TrainingConfig, seed: int
) -> Iterator[np.ndarray]:
    """Row indices of `config.steps` batches; the same for every method with the same seed.

    The last batch of an epoch is filled from the next shuffle. The extra labelled rows come from those that the batch does not hold yet.
    """
    rng = np.random.default_rng(seed)
    size = min(config.batch_size, len(train))
    extra = max(4, config.batch_size // 8) if config.sampling == "extra_labeled" else 0
    queue = np.empty(0, dtype=train.dtype)
    for _ in range(config.steps):
        if len(queue) < size:
            shuffled = rng.permutation(train)
            # rows left from the last epoch come late in the next, so that no batch holds one twice
            again = np.isin(shuffled, queue)
            queue = np.concatenate([queue, shuffled[~again], shuffled[again]])
        batch, queue = queue[:size], queue[size:]
        spare = np.setdiff1d(labeled, batch)
        yield np.concatenate([batch, rng.permutation(spare)[:extra]])


def make_batch(data: MultimodalData, rows: np.ndarray, labeled: np.ndarray) -> Batch:
    """The samples `rows`; `labeled` is an `(N,)` bool mask over the whole data set. Targets of unlabelled rows are blanked."""
    index = torch.from_numpy(rows)
    known = torch.from_numpy(labeled[rows])
    keep = known.reshape(-1, *[1] * (data.targets.ndim - 1))
    return Batch(
        inputs={name: x[index] for name, x in data.modalities.items()},
        targets=torch.where(keep, data.targets[index], torch.zeros((), dtype=data.targets.dtype)),
        labeled=known,
        present=None if data.present is None else data.present[:, index],
    )


def gradient_routes(method: Method, batch: Batch) -> dict[str, dict[str, float]]:
    """Norm of each loss term's gradient in each part of the method, term -> part -> norm, by autograd; 0 where a term does not reach."""
    norms: dict[str, dict[str, float]] = {}
    for term, value in method.loss_terms(batch).items():
        norms[term] = {}
        for part, module in method.named_children():
            gradients = torch.autograd.grad(
                value, list(module.parameters()), retain_graph=True, allow_unused=True
            )
            norms[term][part] = (
                float(sum(one.square().sum() for one in gradients if one is not None)) ** 0.5
            )
    return norms


def _on_device(batch: Batch, device: torch.device) -> Batch:
    """This rank's share of the batch, on its device."""
    present = None if batch.present is None else shard(batch.present.T.contiguous()).T.to(device)
    inputs = {name: shard(x).to(device) for name, x in batch.inputs.items()}
    return Batch(inputs, shard(batch.targets).to(device), shard(batch.labeled).to(device), present)


def _schedule(
    optimizer: torch.optim.Optimizer, config: TrainingConfig
) -> torch.optim.lr_scheduler.LRScheduler:
    rise = max(1, round(config.warmup * config.steps))
    fall = max(1, config.steps - rise)

    def factor(step: int) -> float:
        return (
            (step + 1) / rise if step < rise else 0.5 * (1 + np.cos(np.pi * (step - rise) / fall))
        )

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train(
    method: Method,
    data: MultimodalData,
    labeled_rows: np.ndarray,
    config: TrainingConfig | None = None,
    seed: int = 0,
    on_step: Callable[[int, Method], None] | None = None,
    fabric=None,
    log_every: int | None = None,
) -> History:
    """Train `method` in place on the training rows of `data` (standardised), of which `labeled_rows` carry labels.

    `on_step(step, method)` is called before the first step (step 0) and after every step. `fabric`: a launched `lightning_fabric.Fabric`
    for another device, precision or several ranks; None trains on the CPU. Without any labelled row representations are trained, and
    prediction says so. Raises FloatingPointError when the loss is no longer finite.
    """
    from lightning_fabric import Fabric

    config = config or TrainingConfig()
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(seed)
    method.saw_labels = len(labeled_rows) > 0
    known = np.zeros(len(data), dtype=bool)
    known[labeled_rows] = True
    rate = method.learning_rate if config.learning_rate is None else config.learning_rate
    optimizer = torch.optim.AdamW(
        method.parameters(), lr=rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = _schedule(optimizer, config)
    wrapped, optimizer = fabric.setup(method, optimizer)
    wrapped.mark_forward_method("loss_terms")
    history, log_every = History(), log_every or max(1, config.steps // 100)
    if on_step:
        on_step(0, method)
    for step, rows in enumerate(
        batches(data.rows("train"), np.sort(labeled_rows), config, seed), start=1
    ):
        method.train()
        method.progress = (step - 1) / config.steps
        terms = wrapped.loss_terms(_on_device(make_batch(data, rows, known), fabric.device))
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"the loss is {total.item()} at step {step}: lower learning_rate (now {rate})"
            )
        optimizer.zero_grad()
        if (
            total.requires_grad
        ):  # a method without labels or unlabelled terms has nothing to learn from this batch
            fabric.backward(total)
            fabric.clip_gradients(
                wrapped, optimizer, max_norm=config.gradient_clip, error_if_nonfinite=False
            )
            optimizer.step()
        schedule.step()
        if step % log_every == 0 or step in (1, config.steps):
            history.rows += [(step, name, value.item()) for name, value in terms.items()] + [
                (step, "total", total.item())
            ]
        if on_step:
            on_step(step, method)
    method.progress = 1.0
    method.eval()
    return history
