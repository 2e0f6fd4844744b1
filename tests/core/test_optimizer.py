"""The optimiser: the numbers of torch's own AdamW, and none of its start."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from robult_core.optimizer import AdamW

RATES = (1e-2, 3e-2, 0.0, 1e-3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))


def backward(model: nn.Sequential, step: int) -> None:
    """Gradients of one batch; the last layer has none in the second step."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(4, 5, generator=generator)
    part = model[:2] if step == 1 else model
    part(x).square().sum().backward()


def test_the_weights_are_those_of_torch_bit_for_bit():
    ours, theirs = network(), network()
    optimizer = AdamW(ours.parameters(), weight_decay=0.05)
    reference = torch.optim.AdamW(theirs.parameters(), weight_decay=0.05, fused=True)
    for step, rate in enumerate(RATES):
        optimizer.zero_grad()
        backward(ours, step)
        optimizer.step(rate)
        reference.zero_grad()
        backward(theirs, step)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, other)
    assert not torch.equal(ours[0].weight, network()[0].weight)


def test_a_parameter_without_a_gradient_stays():
    model = network()
    optimizer = AdamW(model.parameters(), weight_decay=0.5)
    optimizer.step(rate=1.0)
    for mine, before in zip(model.parameters(), network().parameters(), strict=True):
        assert torch.equal(mine, before)


FIRST_STEP = """
import sys
from robult_core import TrainingConfig, label_split, load, make_method, train

data = load("digits").standardized()
method = make_method("robult", data.task, data.shapes)
train(method, data, label_split(data, 0.05, seed=0), TrainingConfig(steps=1))
print({"torch._dynamo", "lightning_fabric", "sympy"} & set(sys.modules))
"""


def test_a_first_step_loads_neither_the_compiler_nor_fabric():
    """Each of them takes a new process longer than torch itself."""
    done = subprocess.run([sys.executable, "-c", FIRST_STEP], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
