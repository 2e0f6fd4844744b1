"""ActionMAE against numbers of the released code; the two variants and what the released defects do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core.method import Batch
from robult_core.methods.action_mae import (
    ActionMAE,
    ActionMAEConfig,
    masked_reconstruction_loss,
    random_keep,
    sine_positions,
)
from robult_core.tasks import Classification

CASES = json.loads((Path(__file__).parents[1] / "fixtures/actionmae.json").read_text())
SPECS = {"a": (4,), "b": (4,), "c": (4,)}


def _method(**hyper):
    torch.manual_seed(0)
    return ActionMAE(
        Classification(3), SPECS, ActionMAEConfig(width=16, token_width=16, **hyper)
    ).eval()


def _inputs(n=5):
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(n, 4, generator=generator) for name in SPECS}


def test_reconstruction_loss_of_the_released_code():
    case = CASES["mask_loss"]
    output, target = torch.tensor(case["output"]), torch.tensor(case["target_N2_L3_D4"])
    dropped = torch.tensor(case["mask_1_is_dropped"]).bool()
    assert masked_reconstruction_loss(output, target, dropped).item() == pytest.approx(
        case["loss_norm_target"], abs=1e-6
    )
    assert masked_reconstruction_loss(
        output, target, dropped, normalize=False
    ).item() == pytest.approx(case["loss_plain_mse"], abs=1e-6)
    assert masked_reconstruction_loss(output, target, torch.zeros_like(dropped)).item() == 0.0


def test_the_target_carries_gradient():
    target = torch.randn(2, 3, 4, requires_grad=True)
    masked_reconstruction_loss(torch.randn(2, 3, 4), target, torch.ones(2, 3).bool()).backward()
    assert target.grad.abs().sum() > 0


def test_sine_positions_of_the_released_code():
    case = CASES["position_sine"]
    table = sine_positions(case["n_tokens"], case["pos_dim"], case["n_memory"])
    torch.testing.assert_close(table, torch.tensor(case["output"]), atol=2e-6, rtol=0)


def test_label_smoothing():
    case = CASES["label_smoothing_ce"]
    method = _method(label_smoothing=case["smoothing"])
    batch = Batch(_inputs(2), torch.tensor(case["labels"]), torch.ones(2).bool())
    assert method._supervised(torch.tensor(case["logits"]), batch).item() == pytest.approx(
        case["loss"], abs=1e-6
    )


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 9), m=st.integers(1, 5), seed=st.integers(0, 99), whole=st.booleans())
def test_random_keep(n, m, seed, whole):
    torch.manual_seed(seed)
    present = torch.ones(n, m).bool() if whole else torch.rand(n, m) > 0.5
    present[~present.any(1), 0] = True
    keep = random_keep(present)
    assert keep.any(1).all()
    assert not (keep & ~present).any()
    if whole:
        assert len(keep.sum(1).unique()) == 1  # one size for the batch


def test_sizes_are_uniform_and_subsets_differ():
    torch.manual_seed(0)
    drawn = [random_keep(torch.ones(8, 3).bool()) for _ in range(600)]
    sizes = torch.stack([keep[0].sum() for keep in drawn]).bincount(minlength=4)
    assert sizes[0] == 0
    assert (sizes[1:] > 150).all()
    assert any(len(keep.unique(dim=0)) > 1 for keep in drawn)


def _reconstruction(method, inputs):
    latents = method.latents(inputs)
    return torch.stack([latents[f"r/{name}"] for name in SPECS], dim=1)


def test_fixed_variant_tells_modalities_apart():
    method, inputs = _method(), _inputs()
    rebuilt = _reconstruction(method, {"a": inputs["a"]})
    assert (rebuilt[:, 1] - rebuilt[:, 2]).abs().max() > 1e-3
    tokens, keep = torch.randn(2, 3, 16), torch.ones(2, 3).bool()
    swapped = method._autoencode(tokens[:, [1, 0, 2]], keep)[:, [1, 0, 2]]
    assert (swapped - method._autoencode(tokens, keep)).abs().max() > 1e-3


def test_released_variant_does_not():
    method, inputs = _method(variant="released"), _inputs()
    rebuilt = _reconstruction(method, {"a": inputs["a"]})
    torch.testing.assert_close(rebuilt[:, 1], rebuilt[:, 2])
    tokens, keep = torch.randn(2, 3, 16), torch.tensor([[True, True, False]]).expand(2, -1)
    swapped = method._autoencode(tokens[:, [1, 0, 2]], keep)[:, [1, 0, 2]]
    torch.testing.assert_close(swapped, method._autoencode(tokens, keep), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("variant", "memory", "direct"),
    [("fixed", 1, [1, 1, 1]), ("released", 4, [0, 0, 0]), ("released", 1, [1, 1, 0])],
)
def test_which_modalities_the_full_prediction_reads(variant, memory, direct):
    """Released, nothing missing: the slots are the first M of [memory | tokens], so a linear read-out misses tokens beyond them.

    The encoder mixes tokens, so this looks at the encoder without blocks, where nothing can reach a slot but its own token.
    """
    method = _method(variant=variant, memory_tokens=memory)
    method.encoder = torch.nn.ModuleList()
    inputs = {name: x.requires_grad_() for name, x in _inputs().items()}
    method._logits(method._given(inputs)[1]).square().sum().backward()
    assert [
        int(x.grad is not None and bool(x.grad.abs().sum() > 0)) for x in inputs.values()
    ] == direct


def test_nothing_dropped_means_no_reconstruction_loss():
    method = ActionMAE(Classification(3), {"a": (4,)}, ActionMAEConfig(width=8, token_width=8))
    terms = method.loss_terms(
        Batch({"a": torch.randn(4, 4)}, torch.zeros(4).long(), torch.ones(4).bool())
    )
    assert terms["reconstruction"].item() == 0.0


def test_bad_sizes():
    with pytest.raises(ValueError, match="not a multiple"):
        _method(heads=5)
    with pytest.raises(ValueError, match="variant is 'new'"):
        ActionMAEConfig(variant="new")
