"""Prompt-Trans: prompts against numbers of the released code, the two stages, and a tiny random ViLT in the real folder layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from robult_core.method import Batch
from robult_core.methods import make_method
from robult_core.methods.prompt_trans import (
    Prompts,
    PromptTrans,
    PromptTransConfig,
    prompt_patterns,
    run_blocks,
)
from robult_core.methods.vit import Block, attend
from robult_core.tasks import Classification

CASES = json.loads((Path(__file__).parents[1] / "fixtures/prompt_trans.json").read_text())
SPECS = {"text": (4,), "image": (3,)}


def _method(specs=SPECS, **hyper):
    torch.manual_seed(0)
    return PromptTrans(
        Classification(3), specs, PromptTransConfig(width=8, token_width=16, heads=4, **hyper)
    )


def _batch(n=6, specs=SPECS):
    inputs = {name: torch.randn(n, *shape) for name, shape in specs.items()}
    return Batch(inputs, torch.arange(n) % 3, torch.ones(n).bool())


def test_attention_prompts_of_the_released_code():
    case = CASES["attention_prompt"]
    x = torch.tensor(case["x"])
    prompt = torch.tensor(case["prompts_P4_first_half_keys_second_half_values"])
    mask = torch.tensor([[True, True, True, False]])
    for key, arguments in (
        ("output", (prompt,)),
        ("output_without_prompts", ()),
        ("output_last_token_masked_mask_1110", (prompt, mask)),
    ):
        wanted = torch.tensor(case[key])
        torch.testing.assert_close(
            attend(x, x, x, case["heads"], *arguments).reshape(wanted.shape),
            wanted,
            atol=2e-6,
            rtol=0,
        )


class _Recorder(torch.nn.Module):
    """Stands for a block; notes lengths."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, prompt=None, mask=None):
        assert mask is None or mask.shape[1] == x.shape[1] + (
            0 if prompt is None else prompt.shape[1] // 2
        )
        self.seen.append(x.shape[1])
        return x


def test_sequence_lengths_and_readout_of_the_released_code():
    case = CASES["input_prompt_shapes"]
    blocks = torch.nn.ModuleList(_Recorder() for _ in case["seq_len_after_each_of_12_blocks"])
    tokens = torch.zeros(1, case["text_tokens"] + case["image_tokens"], 8)
    prompts = torch.zeros(1, len(case["prompt_layers"]), case["prompt_length"], 8)
    mask = torch.ones(1, tokens.shape[1]).bool()
    _, readout = run_blocks(blocks, tokens, prompts, "input", mask)
    assert [block.seen[0] for block in blocks] == case["seq_len_after_each_of_12_blocks"]
    assert readout == case["pooled_index_of_text_CLS_input_type"]
    _, readout = run_blocks(blocks, tokens, prompts, "attention", mask)
    assert readout == 0
    assert all(block.seen[1] == tokens.shape[1] for block in blocks)


@pytest.mark.parametrize("kind", ["input", "attention"])
def test_initial_prompts_and_their_number(kind):
    prompts = Prompts(
        2, PromptTransConfig(prompt_length=16, prompt_blocks=6, prompt_type=kind), 768
    )
    assert prompts.table.numel() == CASES["prompt_parameters_total_L16_6layers_768d_3types"]
    present = {
        "complete": [True, True],
        "missing_image": [True, False],
        "missing_text": [False, True],
    }  # (text, image)
    for name, pattern in present.items():
        drawn = prompts(torch.tensor([pattern]))[0]
        ones = CASES["prompt_init"][name]["rows_all_ones"] + (
            CASES["prompt_init"][name]["rows_extra_for_attention_type"]
            if kind == "attention"
            else []
        )
        wanted = torch.zeros_like(drawn)
        wanted[:, ones] = 1.0
        torch.testing.assert_close(drawn.detach(), wanted)


def test_one_prompt_set_for_every_pattern():
    for m in (2, 3, 6):
        patterns = prompt_patterns(m)
        assert len(patterns) == 2**m - 1 == len(patterns.unique(dim=0))
        assert patterns.any(1).all()
        assert patterns[0].all()


def test_simulated_patterns_are_uniform():
    torch.manual_seed(0)
    prompts = Prompts(2, PromptTransConfig(), 16)
    counts = torch.unique(prompts.draw(3000), dim=0, return_counts=True)[1]
    assert len(counts) == 3
    assert (counts > 900).all()
    six = Prompts(6, PromptTransConfig(), 16).draw(3500)
    assert six.any(1).all()
    assert abs(int(six.all(1).sum()) - 500) < 100
    assert all(abs(int((six.sum(1) == size).sum()) - 600) < 120 for size in range(1, 6))


def test_stage_two_freezes_the_backbone_and_reads_prompts():
    method, batch = _method(), _batch()
    method.loss_terms(batch)["supervised"].backward()
    assert method.prompts.table.grad is None
    assert any(p.grad is not None for p in method.backbone.parameters())
    method.progress = 0.9
    method.loss_terms(batch)["supervised"].backward()
    assert all(p.grad is None and not p.requires_grad for p in method.backbone.parameters())
    assert method.prompts.table.grad.abs().sum() > 0
    assert PromptTrans(method.task, SPECS, method.config).load_state_dict(method.state_dict())


@pytest.mark.parametrize("kind", ["input", "attention"])
def test_without_simulation_the_prompts_of_missing_modalities_stay_untrained(kind):
    method = _method(simulate_missing=False, prompt_type=kind)
    method.freeze()
    method.loss_terms(_batch())["supervised"].backward()
    gradient = method.prompts.table.grad.abs().sum((1, 2, 3))
    assert gradient[0] > 0
    assert (gradient[1:] == 0).all()


def test_samples_that_really_lack_a_modality_train_their_own_prompts():
    method, batch = _method(simulate_missing=False), _batch(2)
    method.freeze()
    present = torch.tensor([[True, True], [True, False]])  # sample 1 lacks the image
    method.loss_terms(Batch(batch.inputs, batch.targets, batch.labeled, present))[
        "supervised"
    ].backward()
    gradient = method.prompts.table.grad.abs().sum((1, 2, 3))
    assert gradient[0] > 0
    assert gradient[1] > 0
    assert gradient[2] == 0


def test_a_block_without_prompts_is_attention_as_in_torch():
    block = Block(16, 4).eval()
    reference = torch.nn.MultiheadAttention(16, 4, batch_first=True).eval()
    reference.in_proj_weight.data, reference.in_proj_bias.data = (
        block.qkv.weight.data,
        block.qkv.bias.data,
    )
    reference.out_proj.weight.data, reference.out_proj.bias.data = (
        block.out.weight.data,
        block.out.bias.data,
    )
    x, mask = torch.randn(2, 5, 16), torch.tensor([[True] * 5, [True, True, True, False, False]])
    normed = block.norm_attention(x)
    middle = x + reference(normed, normed, normed, key_padding_mask=~mask, need_weights=False)[0]
    torch.testing.assert_close(
        block(x, mask=mask), middle + block.mlp(block.norm_mlp(middle)), atol=1e-5, rtol=1e-4
    )


def test_one_modality_is_refused():
    with pytest.raises(ValueError, match="at least two modalities"):
        _method({"text": (4,)})


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


def _vilt_inputs(length=10, side=32):
    ids = torch.tensor(
        [[101, 5, 6, 102] + [0] * (length - 4), [101, 7, 102, 0] + [0] * (length - 4)]
    )
    return {"text": ids, "image": torch.randn(2, 3, side, side)}


def test_vilt_backbone_equals_transformers(vilt_folder):
    import transformers

    method = make_method(
        "prompt_trans",
        Classification(3),
        {"text": (10,), "image": (3, 1024)},
        vilt_folder=vilt_folder,
    ).eval()
    inputs = _vilt_inputs()
    reference = transformers.ViltModel.from_pretrained(vilt_folder).eval()
    wanted = reference(
        input_ids=inputs["text"],
        attention_mask=(inputs["text"] != 0).long(),
        pixel_values=inputs["image"],
    )
    x, mask = method.backbone.embed(inputs, torch.ones(2, 2).bool())
    x, readout = run_blocks(method.backbone.blocks, x, None, "input", mask)
    torch.testing.assert_close(
        method.backbone.norm(x[:, readout]), wanted.last_hidden_state[:, 0], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("kind", ["input", "attention"])
def test_vilt_trains_prompts_only_and_predicts_every_pattern(vilt_folder, kind):
    specs = {"text": (10,), "image": (3, 1024)}
    method = make_method(
        "prompt_trans", Classification(3), specs, vilt_folder=vilt_folder, prompt_type=kind
    )
    inputs = _vilt_inputs()
    method.loss_terms(Batch(inputs, torch.tensor([0, 1]), torch.ones(2).bool()))[
        "supervised"
    ].backward()
    assert all(p.grad is None for p in method.backbone.parameters())
    assert method.prompts.table.grad is not None
    method.eval()
    alone = method.predict({"text": inputs["text"]})
    assert alone.shape == (2, 3)
    assert method.predict({"image": inputs["image"]}).shape == (2, 3)
    flat = {
        "text": inputs["text"].float(),
        "image": inputs["image"].flatten(2),
    }  # as a container of arrays carries them
    torch.testing.assert_close(method.predict(flat), method.predict(inputs))
    longer = _vilt_inputs(length=16, side=64)
    assert torch.isfinite(method.predict(longer)).all()


def test_vilt_missing_inputs_are_the_empty_string_and_a_white_image(vilt_folder):
    backbone = (
        make_method(
            "prompt_trans",
            Classification(3),
            {"text": (10,), "image": (3, 1024)},
            vilt_folder=vilt_folder,
        )
        .eval()
        .backbone
    )
    inputs = _vilt_inputs()
    gone = torch.zeros(2, 2).bool()
    empty = torch.tensor([[101, 102] + [0] * 8] * 2)
    wanted = backbone.embed({"text": empty, "image": torch.ones(2, 3, 32, 32)}, ~gone)
    for found, expected in zip(backbone.embed(inputs, gone), wanted, strict=True):
        torch.testing.assert_close(found, expected)


def test_vilt_errors(vilt_folder, tmp_path):
    with pytest.raises(ValueError, match="no ViLT in"):
        make_method(
            "prompt_trans",
            Classification(3),
            {"text": (10,), "image": (3, 1024)},
            vilt_folder=str(tmp_path),
        )
    with pytest.raises(ValueError, match="'text' and 'image'"):
        make_method(
            "prompt_trans",
            Classification(3),
            {"text": (10,), "audio": (4,)},
            vilt_folder=vilt_folder,
        )
