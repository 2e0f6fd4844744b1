"""GMC against numbers of the released code, its MOSI architecture, and its test-time rules."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from robult_core.method import Batch
from robult_core.methods.gmc import GMC, GMCConfig, gmc_loss, gmc_rows
from robult_core.methods.mult import causal_mask, last_step, sinusoidal_position
from robult_core.tasks import Classification, Regression

FIXTURES = Path(__file__).parents[1] / "fixtures"
LOSS = json.loads((FIXTURES / "gmc_loss.json").read_text())
SHAPE = json.loads((FIXTURES / "gmc_architecture.json").read_text())


def _array(name, normalize=True):
    x = torch.tensor(LOSS["arrays"][name], dtype=torch.float64)
    return F.normalize(x, dim=-1) if normalize else x


@pytest.mark.parametrize("case", LOSS["closed_form"]["cases"], ids=lambda case: case["name"])
def test_orthonormal_rows_have_the_closed_form(case):
    eye = torch.eye(case["B"], dtype=torch.float64)
    loss = gmc_loss(eye, eye.expand(case["M"], -1, -1), case["temperature"])
    assert loss.item() == pytest.approx(case["loss_12dp"], abs=1e-11)
    expected = case["M"] * math.log1p((2 * case["B"] - 2) * math.exp(-1 / case["temperature"]))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("case", LOSS["collapsed"]["cases"], ids=lambda case: f"B{case['B']}")
def test_collapsed_rows(case):
    rows = torch.zeros(case["B"], 3, dtype=torch.float64)
    rows[:, 0] = 1
    assert gmc_loss(rows, rows[None], case["temperature"]).item() == pytest.approx(
        case["loss"], abs=1e-6
    )


@pytest.mark.parametrize("case", LOSS["numeric"], ids=lambda case: case["name"])
def test_numbers_and_gradients_of_the_released_code(case):
    normalize = case["normalise_rows_first"]
    joint = _array(case["joint"], normalize).requires_grad_()
    z = torch.stack([_array(name, normalize) for name in case["modalities"]]).requires_grad_()
    loss = gmc_loss(joint, z, case["temperature"])
    assert loss.item() == pytest.approx(case["contrastive_loss"], abs=2e-6)
    if "contrastive_rows_2B_joint_rows_first" in case:
        rows = gmc_rows(joint, z, case["temperature"]).sum(0)
        torch.testing.assert_close(
            rows,
            torch.tensor(case["contrastive_rows_2B_joint_rows_first"], dtype=torch.float64),
            atol=2e-6,
            rtol=0,
        )
        loss.backward()
        wanted = {
            name: torch.tensor(value, dtype=torch.float64)
            for name, value in case["grad_wrt_normalised_reps"].items()
        }
        torch.testing.assert_close(joint.grad, wanted["zj"], atol=2e-6, rtol=0)
        for index, name in enumerate(case["modalities"]):
            torch.testing.assert_close(z.grad[index], wanted[name], atol=2e-6, rtol=0)


def test_total_of_the_semi_supervised_case():
    case = LOSS["semi_supervised"]
    z = torch.stack([_array(name) for name in ("z1", "z2", "z3")])
    labeled = torch.tensor(case["labelled_mask"]).bool()
    prediction, target = (
        torch.tensor(LOSS["arrays"][name], dtype=torch.float64) for name in ("prediction", "target")
    )
    supervised = Regression().supervised_loss(prediction, target.reshape(-1), labeled)
    assert supervised.item() == pytest.approx(case["l1_labelled"], abs=1e-6)
    assert (gmc_loss(_array("zj"), z, 0.3) + supervised).item() == pytest.approx(
        case["total"], abs=2e-6
    )


def test_one_sample_costs_nothing_and_a_repeated_modality_doubles():
    z = F.normalize(torch.randn(1, 5, 3), dim=-1)
    assert gmc_loss(z[0, :1], z[:, :1], 0.3).item() == 0.0
    once = gmc_loss(z[0], z, 0.3)
    torch.testing.assert_close(gmc_loss(z[0], z.repeat(2, 1, 1), 0.3), 2 * once)


def test_slow_reference():
    joint, z, temperature = (
        F.normalize(torch.randn(4, 3, dtype=torch.float64), dim=-1),
        F.normalize(torch.randn(2, 4, 3, dtype=torch.float64), dim=-1),
        0.3,
    )
    total = 0.0
    for m in range(2):
        rows = torch.cat([joint, z[m]])
        for r in range(8):
            partner = (r + 4) % 8
            terms = [math.exp(float(rows[r] @ rows[k]) / temperature) for k in range(8) if k != r]
            total -= (
                math.log(math.exp(float(rows[r] @ rows[partner]) / temperature) / sum(terms)) / 8
            )
    assert gmc_loss(joint, z, temperature).item() == pytest.approx(total, abs=1e-12)


def _parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "widths"), [("mosi", (300, 5, 20)), ("mosei", (300, 74, 35))])
def test_parameter_counts_of_the_released_models(name, widths):
    wanted = SHAPE["parameter_counts"][name]
    method = GMC(
        Regression(),
        {key: (50, width) for key, width in zip(("text", "audio", "vision"), widths, strict=True)},
    )
    assert _parameters(method) == wanted["total"]
    keys = ("language_processor", "audio_processor", "vision_processor")
    assert [_parameters(encoder) for encoder in method.encoders] == [wanted[key] for key in keys]
    assert _parameters(method.joint) == wanted["joint_processor"]
    assert _parameters(method.joint.cross[0]) == wanted["joint_one_cross_transformer_30d_5layers"]
    assert _parameters(method.joint.memory[0]) == wanted["joint_one_memory_transformer_60d_5layers"]
    assert _parameters(method.project) == wanted["shared_encoder"]
    assert _parameters(method.head) == wanted["head_proj1_proj2_classifier"]


def test_positions_and_causal_mask_of_the_released_code():
    case = SHAPE["sinusoidal_position"]
    first = torch.tensor(case["input_first_feature_per_step"])[None]
    table = sinusoidal_position(first, case["embedding_dim"])[0]
    torch.testing.assert_close(table, torch.tensor(case["output"]), atol=2e-6, rtol=0)
    for key, size in (("q3_k3", (3, 3)), ("q3_k5", (3, 5))):
        assert causal_mask(*size).int().tolist() == SHAPE["causal_mask"][key]


def test_last_step_reads_left_and_right_padding_alike():
    x = torch.arange(12.0).reshape(2, 3, 2) + 1
    raw = torch.ones(2, 3, 1)
    raw[0, 0], raw[1, 2] = 0, 0
    torch.testing.assert_close(last_step(x, raw), torch.stack([x[0, 2], x[1, 1]]))
    torch.testing.assert_close(last_step(x, torch.zeros(2, 3, 1)), x[:, 2])


@pytest.mark.parametrize(
    "specs",
    [
        {"text": (7, 4), "audio": (5, 3)},
        {"a": (6, 2)},
        {"text": (4,), "audio": (3,), "video": (2,)},
    ],
)
def test_prediction_rules(specs):
    torch.manual_seed(0)
    method = GMC(Classification(3), specs, GMCConfig(width=16)).eval()
    inputs = {name: torch.randn(3, *shape) for name, shape in specs.items()}
    latents = method.latents(inputs)
    for z in latents.values():
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(method.encode(inputs), latents["s"])
    torch.testing.assert_close(
        method.predict(inputs), method.task.scores(method.head(latents["s"]))
    )
    if len(specs) > 2:
        pair = {name: inputs[name] for name in list(specs)[:2]}
        mean = torch.stack([latents[f"z/{name}"] for name in pair]).mean(0)
        torch.testing.assert_close(method.encode(pair), mean)
        assert (mean.norm(dim=-1) < 1).all()


def test_the_head_learns_from_the_joint_representation_only():
    method = GMC(Classification(2), {"a": (3,), "b": (2,)}, GMCConfig(width=8)).eval()
    batch = Batch(
        {"a": torch.randn(4, 3), "b": torch.randn(4, 2)},
        torch.tensor([0, 1, 0, 1]),
        torch.ones(4).bool(),
    )
    method.loss_terms(batch)["supervised"].backward()
    assert all(parameter.grad is None for parameter in method.encoders.parameters())
    assert any(
        parameter.grad.abs().sum() > 0
        for parameter in method.joint.parameters()
        if parameter.grad is not None
    )


def test_mosi_architecture_needs_sequences():
    with pytest.raises(ValueError, match="needs sequences"):
        GMC(Regression(), {"a": (3,)}, GMCConfig(architecture="mosi"))
    with pytest.raises(ValueError, match="temperature is 0"):
        GMCConfig(temperature=0.0)
