"""The loss and the training step on a GPU: the tables of `loss` and `step` that are worth it there.

    python -m benchmarks.gpu             on the GPU at hand
    python -m benchmarks.gpu --device cpu --sizes 64 128       to see that the script works

The floor is that of `benchmarks.loss`. "compiled" is the plain loss through `torch.compile`, which
compiles once for every size. Memory is what torch allocates beyond the inputs.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from benchmarks.loss import Inputs, floor, make_inputs, step
from benchmarks.measure import alternate, table
from benchmarks.step import LABELS, STEPS, make_data, make_trained_method
from robult_core.fused_loss import fused_soft_pu_loss
from robult_core.losses import soft_pu_loss
from robult_core.methods import METHODS
from robult_core.training import TrainingConfig, train

SIZES = (512, 2048, 4096, 8192, 32768, 65536)
LARGEST_PLAIN = 8192  # the plain loss keeps several B x B matrices
SECONDS = 5.0  # of measuring, a row


def on_device(batch: int, modalities: int, device: str) -> Inputs:
    """The inputs of `benchmarks.loss` on a device, leaves of their gradients."""
    inputs = make_inputs(batch, modalities)
    s, z = (x.detach().to(device).requires_grad_() for x in inputs[:2])
    return Inputs(s, z, inputs.classes.to(device), inputs.labeled.to(device))


def finished(run: Callable[[], None], device: str) -> Callable[[], None]:
    """A call that returns when the device has done its work."""

    def wait() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return wait


def times(sizes: Sequence[int], device: str) -> str:
    """Forward and backward over the floor."""
    losses = {"compiled": torch.compile(soft_pu_loss), "fused": fused_soft_pu_loss}
    rows = []
    for batch in sizes:
        for modalities in (1, 3):
            inputs = on_device(batch, modalities, device)
            candidates = {"floor": finished(floor(inputs), device)}
            for name, loss in losses.items():
                if name == "fused" or batch <= LARGEST_PLAIN:
                    candidates[name] = finished(step(loss, inputs), device)
            found = alternate(candidates, "floor", SECONDS)
            ratios = [found.ratio(name) if name in candidates else "" for name in losses]
            rows.append([batch, modalities, f"{found.milliseconds('floor'):.2f}", *ratios])
    return table(["B", "M", "floor ms", *(f"{name} / floor" for name in losses)], rows)


def memory(sizes: Sequence[int]) -> str:
    """The peak of one fused step beyond its inputs; on a GPU alone, where torch counts it."""
    rows = []
    for batch in sizes:
        inputs = on_device(batch, 1, "cuda")
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(fused_soft_pu_loss, inputs)()
        extra = torch.cuda.max_memory_allocated() - before
        rows.append([batch, f"{extra / 2**20:.0f}", f"{extra / (4 * batch**2):.2f}"])
    return table(["B", "extra MiB at peak, M = 1", "in units of B^2 floats"], rows)


def steps(device: str) -> str:
    """Milliseconds a step of every method at the size of the study, M = 3."""
    from lightning_fabric import Fabric

    data = make_data(3)
    config = TrainingConfig(steps=STEPS)
    rows = []
    for name in METHODS:
        fabric = Fabric(accelerator=device, devices=1)
        method = make_trained_method(name, data)
        run = partial(train, method, data, np.arange(LABELS), config, fabric=fabric)
        found = alternate({"step": finished(run, device)}, "step", SECONDS)
        rows.append([name, f"{found.milliseconds('step') / STEPS:.2f}"])
    return table(["method", "ms a step"], rows)


def report(device: str, sizes: Sequence[int]) -> str:
    """The tables as Markdown, with the device's name."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "cpu"
    parts = [f"{name}, torch {torch.__version__}, {os.cpu_count()} cores", times(sizes, device)]
    if device == "cuda":
        parts.append(memory(sizes))
    return "\n\n".join([*parts, steps(device)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="batch sizes")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here: take --device cpu with small --sizes to try it")
    print(report(arguments.device, arguments.sizes))


if __name__ == "__main__":
    main()
