"""A training step at the size of the study: its phases, and the step over bare networks.

The bare networks of a method are those that its step runs, on the same rows: forward, backward from
the sum of their outputs, and a fused AdamW. There is no loss, no sampling and no clipping.

    python -m benchmarks.step            all methods, M from 2 to 12
    python -m benchmarks.step --quick    M of 2, 4 and 6
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

import robult_core.training as training
from benchmarks.measure import Times, alternate, table
from robult_core.datasets.container import MultimodalData
from robult_core.fused_loss import fused_soft_pu_loss
from robult_core.method import Batch, Method
from robult_core.methods import METHODS, make_method
from robult_core.tasks import Classification

FEATURES, CLASSES, ROWS, LABELS = 128, 10, 1000, 50
STEPS = 25  # of a training that is timed


def make_data(modalities: int) -> MultimodalData:
    """Rows of random vectors, 128 features a modality."""
    generator = torch.Generator().manual_seed(0)
    views = {f"m{i}": torch.randn(ROWS, FEATURES, generator=generator) for i in range(modalities)}
    targets = torch.arange(ROWS) % CLASSES
    return MultimodalData("noise", Classification(CLASSES), views, targets, ["train"] * ROWS)


def make_trained_method(name: str, data: MultimodalData) -> Method:
    """A method with the settings of the study; Prompt-Trans in its longer second stage."""
    torch.manual_seed(0)
    stage = {"stage_one": 0.0} if name == "prompt_trans" else {}
    return make_method(name, data.task, data.shapes, **stage)


def one_batch(data: MultimodalData) -> Batch:
    config = training.TrainingConfig()
    rows = next(training.batches(np.arange(ROWS), np.arange(LABELS), config, seed=0))
    return training.make_batch(data, rows, np.arange(ROWS) < LABELS)


def run_training(method: Method, data: MultimodalData) -> None:
    config = training.TrainingConfig(steps=STEPS)
    training.train(method, data, np.arange(LABELS), config)


# --- the floor ------------------------------------------------------------------------------------


def bare_outputs(method: Any, inputs: dict[str, Tensor]) -> list[Tensor]:
    """The outputs of the networks that a step of the method runs."""
    return BARE[type(method).__name__](method, list(inputs.values()), inputs)


def _robult(method: Any, x: list[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    h = [f(x_i) for f, x_i in zip(method.f, x, strict=True)]
    z = [method.g0(h_i) for h_i in h]
    u = [g(h_i) for g, h_i in zip(method.g, h, strict=True)]
    rebuilt = [r(torch.cat([u_i, z_i], -1)) for r, u_i, z_i in zip(method.r, u, z, strict=True)]
    h0 = method.f0(inputs)
    scores = [method.c(u_i + z_i) for u_i, z_i in zip(u, z, strict=True)]
    return [*rebuilt, *scores, method.g0(h0), method.c(h0)]


def _unimodal(method: Any, x: list[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    models = zip(method.classifiers, method.encoders, x, strict=True)
    alone = [c(f(x_i)) for c, f, x_i in models]
    return [*alone, method.joint_classifier(method.joint(inputs))]


def _gmc(method: Any, x: list[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    z = [method.project(f(x_i)) for f, x_i in zip(method.encoders, x, strict=True)]
    return [*z, method.head(method.project(method.joint(inputs)))]


def _action_mae(method: Any, x: list[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    networks = zip(method.to_token, method.encoders, x, strict=True)
    tokens = [to_token(f(x_i)) for to_token, f, x_i in networks]
    memory = method.memory.expand(len(x[0]), -1, -1)
    sequence = torch.cat([memory, torch.stack(tokens, dim=1)], dim=1)
    for block in method.encoder:
        sequence = block(sequence)
    sequence = method.encoder_norm(sequence)
    for block in method.decoder:
        sequence = block(sequence)
    rebuilt = method.reconstruct(method.decoder_norm(sequence))
    return [c(rebuilt[:, i]) for i, c in enumerate(method.fusion)]


def _prompt_trans(method: Any, x: list[Tensor], inputs: dict[str, Tensor]) -> list[Tensor]:
    backbone = method.backbone
    present = torch.ones(len(x[0]), len(x), dtype=torch.bool)
    tokens, _ = backbone.embed(inputs, present)
    prompts = method.prompts(present)
    for i, block in enumerate(backbone.blocks):
        tokens = block(torch.cat([prompts[:, i], tokens], dim=1))
    return [method.head(method.pooler(backbone.norm(tokens[:, 0])))]


BARE: dict[str, Callable[..., list[Tensor]]] = {
    "Robult": _robult,
    "Unimodal": _unimodal,
    "RobultDistilled": _robult,
    "UnimodalDistilled": _unimodal,
    "GMC": _gmc,
    "ActionMAE": _action_mae,
    "PromptTrans": _prompt_trans,
}


def bare_steps(method: Method, batch: Batch) -> Callable[[], None]:
    """As many steps of the bare networks as a timed training has."""
    inputs = dict(batch.inputs)
    if type(method).__name__ in ("Unimodal", "PromptTrans"):  # they read labelled rows only
        inputs = {name: x[batch.labeled] for name, x in inputs.items()}
    if type(method).__name__ == "PromptTrans":
        method.freeze()
    method.train()
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3, fused=True)

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.cat([one.flatten() for one in bare_outputs(method, inputs)]).sum().backward()
            optimizer.step()

    return run


# --- the phases -----------------------------------------------------------------------------------


class Phases:
    """Seconds of the processor that each phase of a training took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, function: Callable) -> Callable:
        def run(*arguments: Any, **options: Any) -> Any:
            before = time.thread_time()
            result = function(*arguments, **options)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.thread_time() - before
            return result

        return run

    def batches(self, function: Callable) -> Callable:
        """The same for a generator."""

        def run(*arguments: Any) -> Iterator[Any]:
            draw = self.timed("data", partial(next, function(*arguments), None))
            while (rows := draw()) is not None:
                yield rows

        return run

    @contextlib.contextmanager
    def watch(self, method: Method) -> Iterator[None]:
        places = [
            (Batch, "__getitem__", "data"),
            (type(method), "outputs", "forward"),
            (type(method), "losses", "losses"),
            (Tensor, "backward", "backward"),
            (torch.nn.utils, "clip_grad_norm_", "clipping"),
            (training.AdamW, "step", "optimizer"),
        ]
        with contextlib.ExitStack() as stack:
            for place, name, phase in places:
                function = self.timed(phase, getattr(place, name))
                stack.enter_context(patch.object(place, name, function))
            stack.enter_context(patch.object(training, "batches", self.batches(training.batches)))
            yield


def phase_shares(name: str, modalities: int) -> list[str]:
    """The share of a step that each phase takes, in per cent."""
    data = make_data(modalities)
    phases, method = Phases(), make_trained_method(name, data)
    run_training(method, data)
    before, wall = 0.0, 0.0
    for _ in range(5):
        with phases.watch(method):
            before = time.thread_time()
            run_training(method, data)
            wall += time.thread_time() - before
    names = ("data", "forward", "losses", "backward", "clipping", "optimizer")
    shares = [100 * phases.seconds.get(phase, 0.0) / wall for phase in names]
    return [f"{share:.0f}" for share in [*shares, 100 - sum(shares)]]


def loss_steps(modalities: int) -> Callable[[], None]:
    """Forward and backward of the soft-PU loss alone, as often as a timed training has steps."""
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(72, 128, generator=generator).requires_grad_()
    z = torch.randn(modalities, 72, 128, generator=generator).requires_grad_()
    classes = torch.randint(CLASSES, (72,), generator=generator)
    labeled = torch.arange(72) < 12

    def run() -> None:
        for _ in range(STEPS):
            s.grad = z.grad = None
            terms = fused_soft_pu_loss(s, z, classes, labeled, unlabeled_weight=2.0)
            (terms.labeled + 2.0 * terms.unlabeled).backward()

    return run


# --- tables ---------------------------------------------------------------------------------------


def measured(name: str, modalities: int, budget: float) -> Times:
    data = make_data(modalities)
    method = make_trained_method(name, data)
    candidates = {
        "bare": bare_steps(make_trained_method(name, data), one_batch(data)),
        "step": partial(run_training, method, data),
    }
    if name == "robult":
        candidates["loss"] = loss_steps(modalities)
    return alternate(candidates, "bare", budget)


def report(quick: bool) -> str:
    """The tables as Markdown."""
    torch.set_num_threads(1)
    counts = (2, 4, 6) if quick else (2, 4, 6, 8, 10, 12)
    rows, fits = [], []
    for name in METHODS:
        steps = []
        for modalities in counts:
            times = measured(name, modalities, budget=3)
            steps.append(times.milliseconds("step") / STEPS)
            share = ""
            if name == "robult":
                share = f"{100 * times.milliseconds('loss') / times.milliseconds('step'):.0f}"
            milliseconds = f"{steps[-1]:.2f}"
            shares = phase_shares(name, modalities) if modalities <= 6 else [""] * 7
            rows.append([name, modalities, milliseconds, times.ratio("step"), share, *shares])
        fits.append([name, *_line(counts, steps)])
    header = ["method", "M", "step ms", "step / bare", "loss %"]
    header += ["data %", "forward %", "losses %", "backward %"]
    header += ["clipping %", "optimizer %", "rest %"]
    intro = (
        f"B = 72, d = 128, {FEATURES} features a modality, one thread. A step is one of `train`, "
        "its share of the start of a training included. Ratios are of smallest times, in brackets "
        "the median over rounds. Loss: forward and backward of the soft-PU loss alone."
    )
    line = table(["method", "ms at M = 0", "ms a modality", "R^2"], fits)
    return f"{intro}\n\n{table(header, rows)}\n\nA line through the steps over M:\n\n{line}"


def _line(counts: tuple[int, ...], milliseconds: list[float]) -> list[str]:
    """Intercept, slope and R^2."""
    slope, start = np.polyfit(counts, milliseconds, 1)
    fitted = start + slope * np.array(counts)
    left = np.square(milliseconds - fitted).sum()
    whole = np.square(milliseconds - np.mean(milliseconds)).sum()
    return [f"{start:.2f}", f"{slope:.2f}", f"{1 - left / whole:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="M of 2, 4 and 6")
    print(report(parser.parse_args().quick))


if __name__ == "__main__":
    main()
