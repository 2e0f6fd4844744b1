"""The soft-PU loss: time and memory of forward and backward, plain and fused, against the floor.

The floor is the three matrix products per modality that no loss over all pairs can avoid, in the
same dtype and with the same threads: logits `s z^T`, and with a given G of their shape `G z` and
`G^T s`.

    python -m benchmarks.loss            all tables
    python -m benchmarks.loss --quick    batches up to 2048
"""

from __future__ import annotations

import argparse
import importlib
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.measure import alternate, in_fresh_process, peak_megabytes, table
from robult_core.fused_loss import fused_soft_pu_loss
from robult_core.losses import soft_pu_loss

WIDTH = 128
LOSSES = {"plain": soft_pu_loss, "fused": fused_soft_pu_loss}
TEMPERATURE = 0.2


class Inputs(NamedTuple):
    """Arguments of the losses."""

    s: Tensor
    z: Tensor
    classes: Tensor
    labeled: Tensor
    present: Tensor | None = None


def make_inputs(
    batch: int, modalities: int, n_classes=10, labeled=0.3, missing=0.0, seed=0
) -> Inputs:
    """Random float32 representations with gradients; `labeled` and `missing` are shares."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(batch, WIDTH, generator=generator).requires_grad_()
    z = torch.randn(modalities, batch, WIDTH, generator=generator).requires_grad_()
    classes = torch.randint(n_classes, (batch,), generator=generator)
    known = torch.rand(batch, generator=generator) < labeled
    present = torch.rand(modalities, batch, generator=generator) >= missing if missing else None
    return Inputs(s, z, classes, known, present)


def floor(inputs: Inputs) -> Callable[[], None]:
    """The three products of every modality, operands ready."""
    s, z = inputs.s.detach(), inputs.z.detach()

    def products() -> None:
        for one in z:
            logits = s @ one.T
            logits @ one
            logits.T @ s

    return products


def step(loss: Callable, inputs: Inputs, weights=(1.0, 1.0), **options) -> Callable[[], None]:
    """Forward and backward of the weighted sum of both terms."""

    def run() -> None:
        inputs.s.grad = inputs.z.grad = None
        terms = loss(*inputs[:4], present=inputs.present, **options)
        (weights[0] * terms.labeled + weights[1] * terms.unlabeled).backward()

    return run


# --- tables ---------------------------------------------------------------------------------------


def scale(batches: tuple[int, ...], threads: tuple[int, ...]) -> str:
    """Times over batch, number of modalities and threads, default options."""
    rows = []
    for count in threads:
        torch.set_num_threads(count)
        for batch in batches:
            for modalities in (1, 3):
                inputs = make_inputs(batch, modalities)
                candidates = {"floor": floor(inputs)}
                candidates |= {name: step(loss, inputs) for name, loss in LOSSES.items()}
                times = alternate(candidates, "floor", budget=10)
                milliseconds = f"{times.milliseconds('floor'):.1f}"
                rows.append(
                    [
                        count,
                        batch,
                        modalities,
                        milliseconds,
                        times.ratio("plain"),
                        times.ratio("fused"),
                    ]
                )
    return table(["threads", "B", "M", "floor ms", "plain / floor", "fused / floor"], rows)


def conditions(batch: int = 2048) -> str:
    """What moves the ratio at one size: the data, the temperature, the use of the terms, tiles."""
    torch.set_num_threads(1)
    cases = {
        "default: 10 classes, 30 % labelled, nothing missing": ({}, {}),
        "1 class": ({"n_classes": 1}, {}),
        "2 classes": ({"n_classes": 2}, {}),
        "100 classes": ({"n_classes": 100}, {}),
        "5 % labelled": ({"labeled": 0.05}, {}),
        "all labelled": ({"labeled": 1.0}, {}),
        "20 % of the modalities missing": ({"missing": 0.2}, {}),
        "temperature 0.05": ({}, {"temperature": 0.05}),
        "weights 1 and 2, announced": ({}, {"weights": (1.0, 2.0), "unlabeled_weight": 2.0}),
        "weights 1 and 2, not announced: a second pass": ({}, {"weights": (1.0, 2.0)}),
        "blocks of 64 anchors": ({}, {"block_size": 64}),
        "blocks of 128 anchors": ({}, {"block_size": 128}),
        "blocks of 512 anchors": ({}, {"block_size": 512}),
        "one block": ({}, {"block_size": batch}),
    }
    rows = []
    for name, (data, options) in cases.items():
        inputs = make_inputs(batch, 3, **data)
        candidates = {"floor": floor(inputs), "fused": step(fused_soft_pu_loss, inputs, **options)}
        rows.append([name, alternate(candidates, "floor", budget=8).ratio("fused")])
    return table([f"B = {batch}, M = 3, one thread", "fused / floor"], rows)


def memory(cases: list[tuple[str, int, int]]) -> str:
    """Peak memory beyond the inputs, their gradients included, each in a process of its own."""
    rows = []
    for name, batch, modalities in cases:
        megabytes = float(in_fresh_process("benchmarks.loss", "--memory", name, batch, modalities))
        in_squares = megabytes * 2**20 / (4 * batch**2)
        rows.append([name, batch, modalities, f"{megabytes:.0f}", f"{in_squares:.2f}"])
    return table(["loss", "B", "M", "extra MB at peak", "in units of B^2 floats"], rows)


def measure_memory(name: str, batch: int, modalities: int) -> float:
    torch.set_num_threads(1)
    step(
        LOSSES[name], make_inputs(64, modalities)
    )()  # code pages and thread pools are not the loss's memory
    return peak_megabytes(step(LOSSES[name], make_inputs(batch, modalities)))


# --- other libraries ------------------------------------------------------------------------------


class Peer(NamedTuple):
    """A loss of another library, and what it shares with Eq. 4 where every label is known."""

    package: str
    module: str
    make: Callable  # from the module to a function of s, z `(B, d)` and classes
    instances: bool  # whether every sample is a class of its own
    relation: str
    largest: int = 8192  # batch


def _supervised_contrast(module):
    """Labels as two tensors: by one tensor this library knows that s and z are one source."""
    loss = module.SupConLoss(temperature=TEMPERATURE)
    return lambda s, z, classes: loss(s, classes, ref_emb=z, ref_labels=classes.clone())


def _metric_learning_instances(module):
    loss = module.NTXentLoss(temperature=TEMPERATURE)

    return lambda s, z, classes: loss(s, classes, ref_emb=z, ref_labels=classes.clone())


def _lightly_instances(module):
    loss = module.NTXentLoss(temperature=TEMPERATURE)
    return lambda s, z, classes: loss(s, z)


def _clip(module):
    loss = module.ClipLoss()
    return lambda s, z, classes: loss(normalize(s, dim=-1), normalize(z, dim=-1), 1 / TEMPERATURE)


PEERS = {
    "SupConLoss": Peer(
        "pytorch-metric-learning",
        "pytorch_metric_learning.losses",
        _supervised_contrast,
        False,
        "the same number",
    ),
    "NTXentLoss": Peer(
        "pytorch-metric-learning",
        "pytorch_metric_learning.losses",
        _metric_learning_instances,
        True,
        "the same number, over B^3 entries: 34 GB at B = 2048",
        512,
    ),
    "NTXentLoss ": Peer(
        "lightly",
        "lightly.loss",
        _lightly_instances,
        True,
        "alike: both directions, and pairs within s and within z as negatives (4 B^2 pairs)",
    ),
    "ClipLoss": Peer(
        "open_clip_torch",
        "open_clip.loss",
        _clip,
        True,
        "alike: mean of both directions (s to z, z to s)",
    ),
}


def peers(batches: tuple[int, ...]) -> str:
    """Losses of other libraries on the same inputs, where they compute the like; one thread."""
    torch.set_num_threads(1)
    rows = []
    for name, peer in PEERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = peer.make(importlib.import_module(peer.module))
        except ImportError as missing:
            rows.append([name, peer.package, "", "skipped", "", f"not installed: {missing}"])
            continue
        for batch in (batch for batch in batches if batch <= peer.largest):
            rows.append([name, peer.package, *_beside(theirs, peer, batch)])
    header = [
        "loss",
        "package",
        "B",
        "theirs / floor",
        "fused / floor",
        "compared with our Eq. 4, all labels known",
    ]
    return table(header, rows)


def _beside(theirs: Callable, peer: Peer, batch: int) -> list:
    """One row: times over the floor, and how the two values relate."""
    inputs = make_inputs(batch, 1, labeled=1.0)
    classes = torch.arange(batch) if peer.instances else inputs.classes
    inputs = inputs._replace(classes=classes, labeled=torch.ones(batch, dtype=torch.bool))

    def their_step() -> None:
        inputs.s.grad = inputs.z.grad = None
        theirs(inputs.s, inputs.z[0], classes).backward()

    def our_step() -> None:
        inputs.s.grad = inputs.z.grad = None
        fused_soft_pu_loss(*inputs[:4], temperature=TEMPERATURE).total.backward()

    candidates = {"floor": floor(inputs), "theirs": their_step, "fused": our_step}
    times = alternate(candidates, "floor", budget=8)
    with torch.no_grad():
        difference = float(theirs(inputs.s, inputs.z[0], classes))
        difference -= float(fused_soft_pu_loss(*inputs[:4], temperature=TEMPERATURE).labeled)
    relation = f"{peer.relation}; theirs minus ours {difference:+.1e}"
    return [batch, times.ratio("theirs"), times.ratio("fused"), relation]


# --- all of it ------------------------------------------------------------------------------------


def report(quick: bool) -> str:
    """The tables as Markdown."""
    batches = (512, 2048) if quick else (512, 2048, 4096, 8192)
    threads = tuple(sorted({1, torch.get_num_threads()}))
    cases = [(name, batch, m) for name in LOSSES for batch in batches[-2:] for m in (1, 3)]
    if not quick:
        cases += [("fused", 8192, 10), ("fused", 32768, 1), ("fused", 32768, 3)]
    parts = {
        "Time": scale(batches, threads),
        "Memory": memory(cases),
        "Conditions": conditions(batches[1]),
        "Other libraries": peers((512, 2048)),
    }
    intro = (
        f"Forward and backward, float32, d = {WIDTH}, default options unless said. Floor: three "
        "matrix products per modality. A ratio is one of smallest times; in brackets the median "
        "over rounds, in which other work on the machine shows."
    )
    return "\n\n".join([intro, *(f"### {title}\n\n{text}" for title, text in parts.items())])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="batches up to 2048")
    parser.add_argument(
        "--memory",
        nargs=3,
        metavar=("LOSS", "B", "M"),
        help="print the extra megabytes of one step",
    )
    arguments = parser.parse_args()
    if arguments.memory:
        name, batch, modalities = arguments.memory
        print(measure_memory(name, int(batch), int(modalities)))
    else:
        print(report(arguments.quick))


if __name__ == "__main__":
    main()
