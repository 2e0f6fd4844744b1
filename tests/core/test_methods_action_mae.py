"""ActionMAE against numbers of the released code and a slow reference, and its two variants."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robult_core.method import Batch
from robult_core.methods.action_mae import (
    ActionMAE,
    ActionMAEConfig,
    masked_reconstruction_loss,
    random_keep,
    sine_positions,
)
from robult_core.tasks import Classification, Regression

CASES = json.loads((Path(__file__).parents[1] / "fixtures/actionmae.json").read_text())
SPECS = {"a": (4,), "b": (4,), "c": (4,)}


def make(**hyper):
    torch.manual_seed(0)
    config = ActionMAEConfig(width=16, token_width=16, **hyper)
    return ActionMAE(Classification(3), SPECS, config).eval()


def inputs_of(n=5):
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(n, 4, generator=generator) for name in SPECS}


def random_tokens(n=2):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(n, len(SPECS), 16, generator=generator)


def reconstructions(method, inputs):
    """R `(B, M, D)` from the modalities given."""
    latents = method.latents(inputs)
    return torch.stack([latents[f"r/{name}"] for name in SPECS], dim=1)


# --- the pieces -----------------------------------------------------------------------------------


def test_reconstruction_loss_of_the_released_code():
    case = CASES["mask_loss"]
    output = torch.tensor(case["output"])
    target = torch.tensor(case["target_N2_L3_D4"])
    dropped = torch.tensor(case["mask_1_is_dropped"]).bool()
    normalized = masked_reconstruction_loss(output, target, dropped)
    plain = masked_reconstruction_loss(output, target, dropped, normalize=False)
    assert normalized.item() == pytest.approx(case["loss_norm_target"], abs=1e-6)
    assert plain.item() == pytest.approx(case["loss_plain_mse"], abs=1e-6)
    nothing = torch.zeros_like(dropped)
    assert masked_reconstruction_loss(output, target, nothing).item() == 0.0


def test_the_target_carries_gradient():
    target = torch.randn(2, 3, 4, requires_grad=True)
    dropped = torch.ones(2, 3).bool()
    masked_reconstruction_loss(torch.randn(2, 3, 4), target, dropped).backward()
    assert target.grad.abs().sum() > 0


def test_sine_positions_of_the_released_code():
    case = CASES["position_sine"]
    table = sine_positions(case["n_tokens"], case["pos_dim"], case["n_memory"])
    torch.testing.assert_close(table, torch.tensor(case["output"]), atol=2e-6, rtol=0)


def test_label_smoothing_of_the_released_code():
    case = CASES["label_smoothing_ce"]
    method = make(label_smoothing=case["smoothing"])
    batch = Batch(inputs_of(2), torch.tensor(case["labels"]), torch.ones(2).bool())
    loss = method._supervised(torch.tensor(case["logits"]), batch)
    assert loss.item() == pytest.approx(case["loss"], abs=1e-6)


# --- which tokens are kept ------------------------------------------------------------------------


@settings(max_examples=30)
@given(n=st.integers(1, 9), m=st.integers(1, 5), seed=st.integers(0, 99), whole=st.booleans())
def test_kept_tokens_are_present_and_every_sample_keeps_one(n, m, seed, whole):
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
    counts = torch.stack([keep[0].sum() for keep in drawn]).bincount(minlength=4)
    assert counts[0] == 0
    assert (counts[1:] > 150).all()
    assert any(len(keep.unique(dim=0)) > 1 for keep in drawn)


# --- the autoencoder ------------------------------------------------------------------------------


def slow_autoencode(method, tokens, keep):
    """R of one sample, `(M, D)`: dropped tokens are taken out, mask tokens put in, one by one."""
    memory = list(method.memory)
    n_memory = len(memory)
    position = method.positions
    kept = [i for i in range(len(tokens)) if keep[i]]
    slots = [*range(n_memory), *(n_memory + i for i in kept)]
    sequence = torch.stack([*memory, *tokens[kept]]) + position[slots]
    encoded = sequence[None]
    for block in method.encoder:
        encoded = block(encoded)
    encoded = method.encoder_norm(encoded)[0]
    if method.config.variant == "released" and len(kept) == len(tokens):
        return encoded[: len(tokens)]
    filled = [method.mask_token] * (n_memory + len(tokens))
    for slot, vector in zip(slots, encoded, strict=True):
        filled[slot] = vector
    decoded = (torch.stack(filled) + position)[None]
    for block in method.decoder:
        decoded = block(decoded)
    decoded = method.decoder_norm(decoded)[0, n_memory:]
    return method.reconstruct(decoded)


@pytest.mark.parametrize("memory_tokens", [1, 4])
@pytest.mark.parametrize("variant", ["fixed", "released"])
def test_autoencoder_equals_a_slow_reference(variant, memory_tokens):
    method = make(variant=variant, memory_tokens=memory_tokens).double()
    tokens = random_tokens(7).double()
    subsets = [[number >> i & 1 == 1 for i in range(3)] for number in range(1, 8)]
    keep = torch.tensor(subsets)
    together = method._autoencode(tokens, keep)
    apart = torch.stack(
        [method._autoencode(tokens[i : i + 1], keep[i : i + 1])[0] for i in range(7)]
    )
    wanted = torch.stack([slow_autoencode(method, tokens[i], keep[i]) for i in range(7)])
    torch.testing.assert_close(apart, wanted)
    drops_something = ~keep.all(dim=1)
    torch.testing.assert_close(together[drops_something], wanted[drops_something])


def test_fixed_variant_tells_modalities_apart():
    method = make()
    rebuilt = reconstructions(method, {"a": inputs_of()["a"]})
    assert (rebuilt[:, 1] - rebuilt[:, 2]).abs().max() > 1e-3
    tokens, everything = random_tokens(), torch.ones(2, 3).bool()
    swapped = method._autoencode(tokens[:, [1, 0, 2]], everything)[:, [1, 0, 2]]
    assert (swapped - method._autoencode(tokens, everything)).abs().max() > 1e-3


def test_released_variant_does_not():
    method = make(variant="released")
    rebuilt = reconstructions(method, {"a": inputs_of()["a"]})
    torch.testing.assert_close(rebuilt[:, 1], rebuilt[:, 2])
    tokens, keep = random_tokens(), torch.tensor([[True, True, False]]).expand(2, -1)
    swapped = method._autoencode(tokens[:, [1, 0, 2]], keep)[:, [1, 0, 2]]
    torch.testing.assert_close(swapped, method._autoencode(tokens, keep), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("variant", "memory", "read"),
    [("fixed", 1, [1, 1, 1]), ("released", 4, [0, 0, 0]), ("released", 1, [1, 1, 0])],
)
def test_which_modalities_the_full_prediction_reads(variant, memory, read):
    """Released, with nothing missing, the slots are the first M of [memory | modalities].

    The encoder mixes tokens, so this test takes its blocks out: nothing but its own token can then
    reach a slot of the encoder.
    """
    method = make(variant=variant, memory_tokens=memory)
    method.encoder = nn.ModuleList()
    inputs = {name: x.requires_grad_() for name, x in inputs_of().items()}
    _, rebuilt = method._rebuild(inputs)
    method._fuse(rebuilt).square().sum().backward()
    reached = [x.grad is not None and bool(x.grad.abs().sum() > 0) for x in inputs.values()]
    assert reached == [bool(number) for number in read]


@pytest.mark.parametrize("pattern", [["a"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"]])
@pytest.mark.parametrize("variant", ["fixed", "released"])
def test_into_which_slots_evaluation_puts_the_tokens(variant, pattern):
    """Each token goes into its own slot; as released, k tokens fill the first k slots."""
    method = make(variant=variant).double()
    inputs = {name: x.double() for name, x in inputs_of().items() if name in pattern}
    tokens = method._tokens(inputs)
    own_slots = [i for i, name in enumerate(SPECS) if name in pattern]
    slots = own_slots if variant == "fixed" else list(range(len(pattern)))
    placed = torch.full_like(tokens, torch.nan)
    placed[:, slots] = tokens[:, own_slots]
    keep = [i in slots for i in range(3)]
    wanted = torch.stack([slow_autoencode(method, sample, keep) for sample in placed])
    torch.testing.assert_close(reconstructions(method, inputs), wanted)


def test_released_predictions_agree_with_the_fixed_slots_on_prefixes_only():
    """As measured on the released code: prefixes agree to 1e-14, other subsets do not."""
    method = make(variant="released").double()
    inputs = {name: x.double() for name, x in inputs_of().items()}
    gaps = {}
    for pattern in (("a",), ("a", "b"), ("b",), ("b", "c")):
        chosen = {name: inputs[name] for name in pattern}
        keep = torch.tensor([name in pattern for name in SPECS]).expand(5, -1)
        in_own_slots = method._fuse(method._autoencode(method._tokens(chosen), keep))
        _, rebuilt = method._rebuild(chosen)
        gaps[pattern] = (method._fuse(rebuilt) - in_own_slots).abs().max()
    assert max(gaps["a",], gaps["a", "b"]) < 1e-14
    assert min(gaps["b",], gaps["b", "c"]) > 1e-2


def test_nothing_dropped_means_no_reconstruction_loss():
    method = ActionMAE(Classification(3), {"a": (4,)}, ActionMAEConfig(width=8, token_width=8))
    batch = Batch({"a": torch.randn(4, 4)}, torch.zeros(4).long(), torch.ones(4).bool())
    assert method.loss_terms(batch)["reconstruction"].item() == 0.0


def test_absent_tokens_are_not_rebuilt(monkeypatch):
    """Where every token that is there is kept, nothing is left to rebuild."""
    monkeypatch.setattr("robult_core.methods.action_mae.random_keep", lambda present, _: present)
    present = torch.tensor([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1], [0, 1, 1, 1, 1]]).bool()
    batch = Batch(inputs_of(5), torch.zeros(5).long(), torch.ones(5).bool(), present)
    assert make().loss_terms(batch)["reconstruction"].item() == 0.0


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"heads": 5}, "token width 16 is not a multiple of 5 attention heads"),
        ({"variant": "new"}, "variant of ActionMAEConfig is 'new': .*'fixed' or 'released'"),
        ({"blocks": 0}, "blocks of ActionMAEConfig is 0"),
        ({"memory_tokens": 0}, "memory_tokens of ActionMAEConfig is 0"),
        ({"label_smoothing": 2.0}, "label_smoothing of ActionMAEConfig is 2.0"),
        ({"reconstruction_weight": -1.0}, "reconstruction_weight of ActionMAEConfig is -1.0"),
    ],
)
def test_wrong_settings_are_named(hyper, message):
    with pytest.raises(ValueError, match=message):
        make(**hyper)


def test_an_odd_token_width_is_named():
    with pytest.raises(ValueError, match="token_width of ActionMAEConfig is 15"):
        ActionMAEConfig(token_width=15, heads=5)


def test_the_settings_of_the_tables():
    assert ActionMAE.learning_rate == 0.0014
    assert asdict(ActionMAEConfig()) == {
        "width": 128,
        "dropout": 0.71,
        "token_width": 64,
        "heads": 8,
        "blocks": 2,
        "memory_tokens": 1,
        "label_smoothing": 0.22,
        "reconstruction_weight": 0.12,
        "variant": "fixed",
    }


def test_tokens_of_its_own_start_small_and_positions_are_not_saved():
    torch.manual_seed(0)
    config = ActionMAEConfig(width=8, token_width=1024, memory_tokens=2)
    method = ActionMAE(Classification(3), {"a": (4,)}, config)
    assert method.memory.std().item() == pytest.approx(0.02, rel=0.1)
    assert method.mask_token.std().item() == pytest.approx(0.02, rel=0.1)
    assert "positions" not in method.state_dict()


def test_a_constant_target_has_a_finite_loss():
    target = torch.full((1, 1, 4), 3.0)
    dropped = torch.ones(1, 1).bool()
    loss = masked_reconstruction_loss(torch.full((1, 1, 4), 2.0), target, dropped)
    assert loss.item() == 4  # against zeros


def test_no_rows_have_no_scores():
    assert make().predict({name: x[:0] for name, x in inputs_of().items()}).shape == (0, 3)


def test_the_fused_latent_is_the_mean_of_the_reconstructions():
    method = make()
    inputs = inputs_of()
    torch.testing.assert_close(
        method.latents(inputs)["s"], reconstructions(method, inputs).mean(dim=1)
    )
    assert "s" not in method.latents({"a": inputs["a"]})


def test_a_weight_of_two_counts_twice_and_scores_have_no_smoothing():
    method, logits = make(label_smoothing=0.3), torch.randn(3, 3)
    targets, labeled = torch.tensor([0, 2, 1]), torch.tensor([True, True, False])
    weighted = Batch(inputs_of(3), targets, labeled, weights=torch.tensor([2.0, 1.0, 5.0]))
    twice = torch.tensor([0, 0, 1])
    rows = {name: x[twice] for name, x in inputs_of(3).items()}
    doubled = Batch(rows, targets[twice], labeled[twice])
    torch.testing.assert_close(
        method._supervised(logits, weighted), method._supervised(logits[twice], doubled)
    )
    unlabeled = Batch(inputs_of(3), targets, torch.zeros(3).bool())
    assert method._supervised(logits, unlabeled) == 0
    scores = ActionMAE(Regression(), SPECS, ActionMAEConfig(width=16, token_width=16))
    batch = Batch(inputs_of(3), torch.tensor([1.0, 2.0, 9.0]), labeled)
    assert scores._supervised(torch.zeros(3, 1), batch).item() == 1.5
