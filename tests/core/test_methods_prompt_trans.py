"""Prompt-Trans: prompts against numbers of the released code, the two stages, and a tiny ViLT.

The ViLT is random and lies in a folder of the real layout.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from robult_core.method import Batch
from robult_core.methods import make_method
from robult_core.methods.prompt_trans import (
    Prompts,
    PromptTrans,
    PromptTransConfig,
    SmallBackbone,
    prompt_patterns,
    run_blocks,
)
from robult_core.methods.vit import Block, attend
from robult_core.tasks import Classification

CASES = json.loads((Path(__file__).parents[1] / "fixtures/prompt_trans.json").read_text())
SPECS = {"text": (4,), "image": (3,)}
CLASSES = Classification(3)
both_types = pytest.mark.parametrize("kind", ["input", "attention"])


def make(specs=SPECS, **hyper):
    torch.manual_seed(0)
    config = PromptTransConfig(width=8, token_width=16, heads=4, **hyper)
    return PromptTrans(CLASSES, specs, config)


def batch_of(n=6, present=None):
    inputs = {name: torch.randn(n, *shape) for name, shape in SPECS.items()}
    return Batch(inputs, torch.arange(n) % 3, torch.ones(n).bool(), present)


def gradient_of_prompts(method, batch):
    """Per set of prompts, the sum of absolute values."""
    method.loss_terms(batch)["supervised"].backward()
    return method.prompts.table.grad.abs().sum((1, 2, 3))


# --- attention and blocks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "prompted", "masked"),
    [
        ("output", True, False),
        ("output_without_prompts", False, False),
        ("output_last_token_masked_mask_1110", True, True),
    ],
)
def test_attention_prompts_of_the_released_code(key, prompted, masked):
    case = CASES["attention_prompt"]
    x = torch.tensor(case["x"])
    prompt = torch.tensor(case["prompts_P4_first_half_keys_second_half_values"])
    mask = torch.tensor([[True, True, True, False]])
    attended = attend(
        x, x, x, case["heads"], prompt if prompted else None, mask if masked else None
    )
    wanted = torch.tensor(case[key])
    torch.testing.assert_close(attended.reshape(wanted.shape), wanted, atol=2e-6, rtol=0)


def test_a_block_without_prompts_is_attention_as_in_torch():
    block = Block(16, 4).eval()
    reference = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    reference.in_proj_weight.data = block.qkv.weight.data
    reference.in_proj_bias.data = block.qkv.bias.data
    reference.out_proj.weight.data = block.out.weight.data
    reference.out_proj.bias.data = block.out.bias.data
    x = torch.randn(2, 5, 16)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    normed = block.norm_attention(x)
    attended, _ = reference(normed, normed, normed, key_padding_mask=~mask, need_weights=False)
    middle = x + attended
    wanted = middle + block.mlp(block.norm_mlp(middle))
    torch.testing.assert_close(block(x, mask=mask), wanted, atol=1e-5, rtol=1e-4)


class Recorder(nn.Module):
    """It stands for a block and notes the length of the sequence."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, prompt=None, mask=None):
        n_keys = x.shape[1] + (0 if prompt is None else prompt.shape[1] // 2)
        assert mask is None or mask.shape[1] == n_keys
        self.seen.append(x.shape[1])
        return x


@pytest.fixture
def released():
    """A case of the released code: recording blocks, tokens, prompts and a mask."""
    case = CASES["input_prompt_shapes"]
    blocks = nn.ModuleList(Recorder() for _ in case["seq_len_after_each_of_12_blocks"])
    tokens = torch.zeros(1, case["text_tokens"] + case["image_tokens"], 8)
    prompts = torch.zeros(1, len(case["prompt_layers"]), case["prompt_length"], 8)
    mask = torch.ones(1, tokens.shape[1]).bool()
    return case, blocks, tokens, prompts, mask


def test_sequence_lengths_and_readout_of_the_released_code(released):
    case, blocks, tokens, prompts, mask = released
    _, readout = run_blocks(blocks, tokens, prompts, "input", mask)
    lengths = [block.seen[0] for block in blocks]
    assert lengths == case["seq_len_after_each_of_12_blocks"]
    assert readout == case["pooled_index_of_text_CLS_input_type"]


@pytest.mark.parametrize("with_prompts", [True, False])
def test_the_length_stays_without_input_prompts(released, with_prompts):
    _, blocks, tokens, prompts, mask = released
    given = prompts if with_prompts else None
    _, readout = run_blocks(blocks, tokens, given, "attention", mask)
    assert readout == 0
    assert all(block.seen == [tokens.shape[1]] for block in blocks)


# --- the table of prompts -------------------------------------------------------------------------


@both_types
def test_initial_prompts_and_their_number(kind):
    config = PromptTransConfig(prompt_length=16, prompt_blocks=6, prompt_type=kind)
    prompts = Prompts(2, config, 768)
    assert prompts.table.numel() == CASES["prompt_parameters_total_L16_6layers_768d_3types"]
    present = {  # of text and image
        "complete": [True, True],
        "missing_image": [True, False],
        "missing_text": [False, True],
    }
    for name, pattern in present.items():
        case = CASES["prompt_init"][name]
        ones = case["rows_all_ones"]
        if kind == "attention":
            ones = ones + case["rows_extra_for_attention_type"]
        drawn = prompts(torch.tensor([pattern]))[0]
        wanted = torch.zeros_like(drawn)
        wanted[:, ones] = 1.0
        torch.testing.assert_close(drawn.detach(), wanted)


@pytest.mark.parametrize(("kind", "rows"), [("input", [1]), ("attention", [1, 3])])
def test_rows_of_ones_begin_anew_where_prompts_are_short(kind, rows):
    """Of seven sets, number 5 has its ones in row 5 modulo 4, or in row 5 modulo 2 of each half."""
    prompts = Prompts(3, PromptTransConfig(prompt_type=kind, prompt_scale=10.0), 16)
    filled = (prompts.table[5] * 10 == 1).all(dim=-1)
    assert filled.nonzero()[:, 1].unique().tolist() == rows
    assert prompts.table[5].count_nonzero() == 2 * len(rows) * 16
    assert list(prompts.state_dict()) == ["table"]


@pytest.mark.parametrize("m", [2, 3, 6])
def test_one_prompt_set_for_every_pattern(m):
    patterns = prompt_patterns(m)
    assert len(patterns) == 2**m - 1 == len(patterns.unique(dim=0))
    assert patterns.any(1).all()
    assert patterns[0].all()
    sizes = patterns[1:].sum(1)
    assert (sizes.diff() >= 0).all()


def test_each_pattern_reads_its_own_set():
    prompts = Prompts(3, PromptTransConfig(prompt_scale=1.0), 16)
    with torch.no_grad():
        for index in range(7):
            prompts.table[index] = index
    drawn = prompts(prompt_patterns(3))
    assert drawn[:, 0, 0, 0].tolist() == list(range(7))


def test_simulated_patterns_are_uniform():
    torch.manual_seed(0)
    drawn = Prompts(2, PromptTransConfig(), 16).draw(3000)
    _, counts = torch.unique(drawn, dim=0, return_counts=True)
    assert len(counts) == 3
    assert (counts > 900).all()
    of_six = Prompts(6, PromptTransConfig(), 16).draw(3500)
    sizes = of_six.sum(1).bincount(minlength=7)
    assert sizes[0] == 0
    assert abs(int(sizes[6]) - 500) < 100
    assert (sizes[1:6] - 600).abs().max() < 120


# --- the two stages -------------------------------------------------------------------------------


def test_stage_two_freezes_the_backbone_and_reads_prompts():
    method, batch = make(), batch_of()
    method.loss_terms(batch)["supervised"].backward()
    assert method.prompts.table.grad is None
    assert any(p.grad is not None for p in method.backbone.parameters())
    method.progress = 0.9
    assert gradient_of_prompts(method, batch).sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in method.backbone.parameters())


def test_stage_one_learns_from_complete_samples_alone():
    """Complete data fine-tunes the whole model; a sample that lacks a modality counts later."""
    method = make(simulate_missing=False).eval()
    complete_and_not = batch_of(2, torch.tensor([[True, True], [True, False]]))
    of_another_class = replace(complete_and_not, targets=torch.tensor([0, 2]))

    def loss(batch: Batch) -> float:
        return method.loss_terms(batch)["supervised"].item()

    complete = torch.tensor([0])
    assert loss(complete_and_not) == pytest.approx(loss(complete_and_not[complete]))
    assert loss(complete_and_not) == loss(of_another_class)
    method.freeze()
    assert loss(complete_and_not) != loss(of_another_class)


def test_the_stage_is_stored_with_the_weights():
    method = make()
    method.freeze()
    restored = make()
    restored.load_state_dict(method.state_dict())
    assert restored.frozen


@both_types
def test_without_simulation_the_prompts_of_missing_modalities_stay_untrained(kind):
    method = make(simulate_missing=False, prompt_type=kind)
    method.freeze()
    gradient = gradient_of_prompts(method, batch_of())
    assert gradient[0] > 0
    assert (gradient[1:] == 0).all()


def test_samples_that_really_lack_a_modality_train_their_own_prompts():
    method = make(simulate_missing=False)
    method.freeze()
    present = torch.tensor([[True, True], [True, False]])  # sample 1 lacks the image
    gradient = gradient_of_prompts(method, batch_of(2, present))
    assert gradient[0] > 0
    assert gradient[1] > 0
    assert gradient[2] == 0


@pytest.mark.parametrize(("progress", "stage_two"), [(0.3, False), (0.31, True)])
def test_the_second_stage_begins_at_its_share(progress, stage_two):
    method = make()
    method.progress = progress
    method.loss_terms(batch_of())
    assert bool(method.frozen) is stage_two


def test_the_settings_of_the_tables():
    assert asdict(PromptTransConfig()) == {
        "width": 128,
        "dropout": 0.29,
        "token_width": 64,
        "tokens": 4,
        "heads": 8,
        "blocks": 2,
        "block_dropout": 0.1,
        "prompt_length": 4,
        "prompt_blocks": 2,
        "prompt_type": "input",
        "prompt_scale": 15.0,
        "simulate_missing": True,
        "stage_one": 0.31,
        "vilt_folder": None,
    }


def test_more_prompts_than_blocks_are_left_over():
    method = make(blocks=1, prompt_blocks=3)
    method.freeze()
    gradient = torch.autograd.grad(
        method.loss_terms(batch_of())["supervised"], method.prompts.table
    )[0]
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1:].abs().sum() == 0


def test_embeddings_start_small():
    torch.manual_seed(0)
    backbone = SmallBackbone(SPECS, PromptTransConfig(token_width=1024))
    assert backbone.cls.std().item() == pytest.approx(0.02, rel=0.1)
    assert backbone.kinds.std().item() == pytest.approx(0.02, rel=0.1)


def test_three_modalities_have_seven_sets_of_prompts():
    assert len(make({"text": (4,), "image": (3,), "audio": (2,)}).prompts.table) == 7


def test_one_modality_is_refused():
    with pytest.raises(ValueError, match="at least two modalities"):
        make({"text": (4,)})


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"prompt_length": 3}, "prompt_length of PromptTransConfig is 3: .* multiple of 2"),
        ({"prompt_length": 0}, "prompt_length of PromptTransConfig is 0"),
        ({"prompt_type": "new"}, "prompt_type of PromptTransConfig is 'new'"),
        ({"stage_one": 1.5}, "stage_one of PromptTransConfig is 1.5: .* equal to 1"),
        ({"prompt_scale": 0.0}, "prompt_scale of PromptTransConfig is 0.0"),
        ({"tokens": 0}, "tokens of PromptTransConfig is 0"),
        ({"block_dropout": 1.0}, "block_dropout of PromptTransConfig is 1.0"),
    ],
)
def test_wrong_settings_are_named(hyper, message):
    with pytest.raises(ValueError, match=message):
        PromptTransConfig(**hyper)


# --- ViLT -----------------------------------------------------------------------------------------

VILT_SPECS = {"text": (10,), "image": (3, 1024)}


@pytest.fixture(scope="module")
def vilt_folder(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("vilt")
    torch.manual_seed(0)
    config = transformers.ViltConfig(
        vocab_size=120,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        max_position_embeddings=10,
        max_image_length=-1,
    )
    transformers.ViltModel(config).save_pretrained(folder)
    return str(folder)


def make_vilt(folder, specs=VILT_SPECS, **hyper):
    return make_method("prompt_trans", CLASSES, specs, vilt_folder=folder, **hyper)


def vilt_inputs(length=10, side=32):
    padding = [0] * (length - 4)
    ids = torch.tensor([[101, 5, 6, 102, *padding], [101, 7, 102, 0, *padding]])
    return {"text": ids, "image": torch.randn(2, 3, side, side)}


def test_vilt_backbone_equals_transformers(vilt_folder):
    import transformers

    backbone = make_vilt(vilt_folder).eval().backbone
    inputs = vilt_inputs()
    reference = transformers.ViltModel.from_pretrained(vilt_folder).eval()
    wanted = reference(
        input_ids=inputs["text"],
        attention_mask=(inputs["text"] != 0).long(),
        pixel_values=inputs["image"],
    )
    x, mask = backbone.embed(inputs, torch.ones(2, 2).bool())
    x, readout = run_blocks(backbone.blocks, x, None, "input", mask)
    torch.testing.assert_close(
        backbone.norm(x[:, readout]), wanted.last_hidden_state[:, 0], atol=1e-5, rtol=1e-4
    )


@both_types
def test_vilt_trains_prompts_only(vilt_folder, kind):
    method = make_vilt(vilt_folder, prompt_type=kind)
    batch = Batch(vilt_inputs(), torch.tensor([0, 1]), torch.ones(2).bool())
    method.loss_terms(batch)["supervised"].backward()
    assert all(p.grad is None for p in method.backbone.parameters())
    assert method.prompts.table.grad is not None


@both_types
def test_vilt_predicts_every_pattern_and_size(vilt_folder, kind):
    method = make_vilt(vilt_folder, prompt_type=kind).eval()
    inputs = vilt_inputs()
    for name, x in inputs.items():
        assert method.predict({name: x}).shape == (2, 3)
    longer = vilt_inputs(length=16, side=64)
    assert torch.isfinite(method.predict(longer)).all()


def test_vilt_reads_what_a_container_of_arrays_carries(vilt_folder):
    method = make_vilt(vilt_folder).eval()
    inputs = vilt_inputs()
    flat = {"text": inputs["text"].float(), "image": inputs["image"].flatten(2)}
    torch.testing.assert_close(method.predict(flat), method.predict(inputs))


def test_vilt_missing_inputs_are_the_empty_string_and_a_white_image(vilt_folder):
    backbone = make_vilt(vilt_folder).eval().backbone
    missing = torch.zeros(2, 2).bool()
    empty = torch.tensor([[101, 102] + [0] * 8] * 2)
    dummies = {"text": empty, "image": torch.ones(2, 3, 32, 32)}
    wanted = backbone.embed(dummies, ~missing)
    embedded = backbone.embed(vilt_inputs(), missing)
    for tensor, wanted_tensor in zip(embedded, wanted, strict=True):
        torch.testing.assert_close(tensor, wanted_tensor)


def test_vilt_errors(vilt_folder, tmp_path):
    with pytest.raises(ValueError, match="no ViLT in"):
        make_vilt(str(tmp_path))
    with pytest.raises(ValueError, match="'text' and 'image'"):
        make_vilt(vilt_folder, {"text": (10,), "audio": (4,)})


def test_patterns_are_simulated_for_complete_samples_only():
    method = make()
    present = torch.tensor([[True, True], [True, False]]).repeat(20, 1)
    drawn = method._simulated(present)
    assert torch.equal(drawn[1::2], present[1::2])
    assert len(drawn[::2].unique(dim=0)) == 3


def test_encoders_of_modalities_are_those_of_the_small_backbone(vilt_folder):
    method = make()
    assert method.unimodal_encoders() is method.backbone.encoders
    assert make_vilt(vilt_folder).unimodal_encoders() == ()
