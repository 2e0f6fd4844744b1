"""GMC against numbers of the released code, its MOSI architecture, and its test-time rules."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
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


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def array(name, normalize=True):
    x = doubles(LOSS["arrays"][name])
    return F.normalize(x, dim=-1) if normalize else x


def unit_rows(*shape):
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


# --- the loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LOSS["closed_form"]["cases"], ids=lambda case: case["name"])
def test_orthonormal_rows_have_the_closed_form(case):
    batch, modalities, temperature = case["B"], case["M"], case["temperature"]
    rows = torch.eye(batch, dtype=torch.float64)
    loss = gmc_loss(rows, rows.expand(modalities, -1, -1), temperature)
    assert loss.item() == pytest.approx(case["loss_12dp"], abs=1e-11)
    others = (2 * batch - 2) * math.exp(-1 / temperature)
    assert loss.item() == pytest.approx(modalities * math.log1p(others), abs=1e-12)


@pytest.mark.parametrize("case", LOSS["collapsed"]["cases"], ids=lambda case: f"B{case['B']}")
def test_collapsed_rows(case):
    rows = torch.zeros(case["B"], 3, dtype=torch.float64)
    rows[:, 0] = 1
    loss = gmc_loss(rows, rows[None], case["temperature"])
    assert loss.item() == pytest.approx(case["loss"], abs=1e-6)


@pytest.mark.parametrize("case", LOSS["numeric"], ids=lambda case: case["name"])
def test_loss_of_the_released_code(case):
    normalize = case["normalise_rows_first"]
    joint = array(case["joint"], normalize)
    z = torch.stack([array(name, normalize) for name in case["modalities"]])
    loss = gmc_loss(joint, z, case["temperature"])
    assert loss.item() == pytest.approx(case["contrastive_loss"], abs=2e-6)


WITH_ROWS = [case for case in LOSS["numeric"] if "contrastive_rows_2B_joint_rows_first" in case]


@pytest.mark.parametrize("case", WITH_ROWS, ids=lambda case: case["name"])
def test_rows_and_gradients_of_the_released_code(case):
    joint = array(case["joint"]).requires_grad_()
    z = torch.stack([array(name) for name in case["modalities"]]).requires_grad_()
    rows = gmc_rows(joint, z, case["temperature"]).sum(0)
    wanted_rows = doubles(case["contrastive_rows_2B_joint_rows_first"])
    torch.testing.assert_close(rows, wanted_rows, atol=2e-6, rtol=0)

    gmc_loss(joint, z, case["temperature"]).backward()
    wanted = {name: doubles(value) for name, value in case["grad_wrt_normalised_reps"].items()}
    wanted_z = torch.stack([wanted[name] for name in case["modalities"]])
    torch.testing.assert_close(joint.grad, wanted["zj"], atol=2e-6, rtol=0)
    torch.testing.assert_close(z.grad, wanted_z, atol=2e-6, rtol=0)


def test_total_of_the_semi_supervised_case():
    case = LOSS["semi_supervised"]
    z = torch.stack([array(name) for name in ("z1", "z2", "z3")])
    labeled = torch.tensor(case["labelled_mask"]).bool()
    prediction = array("prediction", normalize=False)
    target = array("target", normalize=False).reshape(-1)
    supervised = Regression().supervised_loss(prediction, target, labeled)
    contrastive = gmc_loss(array("zj"), z, 0.3)
    assert supervised.item() == pytest.approx(case["l1_labelled"], abs=1e-6)
    assert (contrastive + supervised).item() == pytest.approx(case["total"], abs=2e-6)


def test_one_sample_costs_nothing_and_a_repeated_modality_doubles():
    z = unit_rows(1, 5, 3)
    assert gmc_loss(z[0, :1], z[:, :1], 0.3).item() == 0.0
    once = gmc_loss(z[0], z, 0.3)
    torch.testing.assert_close(gmc_loss(z[0], z.repeat(2, 1, 1), 0.3), 2 * once)


def slow_gmc_loss(joint, z, temperature):
    """The formula of the specification, one pair of rows at a time."""
    total = 0.0
    batch = len(joint)
    for z_m in z:
        rows = torch.cat([joint, z_m])
        similarity = [[math.exp(float(a @ b) / temperature) for b in rows] for a in rows]
        for r in range(2 * batch):
            partner = (r + batch) % (2 * batch)
            others = sum(similarity[r][k] for k in range(2 * batch) if k != r)
            total -= math.log(similarity[r][partner] / others)
    return total / (2 * batch)


def test_loss_equals_a_slow_reference():
    joint, z = unit_rows(4, 3), unit_rows(2, 4, 3)
    wanted = slow_gmc_loss(joint, z, 0.3)
    assert gmc_loss(joint, z, 0.3).item() == pytest.approx(wanted, abs=1e-12)


def test_gradients_are_those_of_finite_differences():
    joint, z = unit_rows(3, 4).requires_grad_(), unit_rows(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: gmc_loss(a, b, 0.3), (joint, z))


# --- the architecture for sequences ---------------------------------------------------------------


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "widths"), [("mosi", (300, 5, 20)), ("mosei", (300, 74, 35))])
def test_parameter_counts_of_the_released_models(name, widths):
    wanted = SHAPE["parameter_counts"][name]
    text, audio, vision = widths
    specs = {"text": (50, text), "audio": (50, audio), "vision": (50, vision)}
    method = GMC(Regression(), specs)
    assert n_parameters(method) == wanted["total"]
    keys = ("language_processor", "audio_processor", "vision_processor")
    assert [n_parameters(encoder) for encoder in method.encoders] == [wanted[key] for key in keys]
    pieces = {
        "joint_processor": method.joint,
        "joint_one_cross_transformer_30d_5layers": method.joint.cross[0],
        "joint_one_memory_transformer_60d_5layers": method.joint.memory[0],
        "shared_encoder": method.project,
        "head_proj1_proj2_classifier": method.head,
    }
    counts = {key: n_parameters(module) for key, module in pieces.items()}
    assert counts == {key: wanted[key] for key in pieces}


def test_positions_of_the_released_code():
    case = SHAPE["sinusoidal_position"]
    first = torch.tensor(case["input_first_feature_per_step"])[None]
    table = sinusoidal_position(first, case["embedding_dim"])[0]
    torch.testing.assert_close(table, torch.tensor(case["output"]), atol=2e-6, rtol=0)


@pytest.mark.parametrize(("key", "n_query", "n_key"), [("q3_k3", 3, 3), ("q3_k5", 3, 5)])
def test_causal_mask_of_the_released_code(key, n_query, n_key):
    assert causal_mask(n_query, n_key).int().tolist() == SHAPE["causal_mask"][key]


def test_last_step_reads_left_and_right_padding_alike():
    x = torch.arange(12.0).reshape(2, 3, 2) + 1
    raw = torch.ones(2, 3, 1)
    raw[0, 0] = 0
    raw[1, 2] = 0
    torch.testing.assert_close(last_step(x, raw), torch.stack([x[0, 2], x[1, 1]]))
    torch.testing.assert_close(last_step(x, torch.zeros(2, 3, 1)), x[:, 2])


# --- the method -----------------------------------------------------------------------------------

SEQUENCES = {"text": (7, 4), "audio": (5, 3)}
ONE_SEQUENCE = {"a": (6, 2)}
VECTORS = {"text": (4,), "audio": (3,), "video": (2,)}


def made(specs, **settings):
    torch.manual_seed(0)
    method = GMC(Classification(3), specs, GMCConfig(width=16, **settings)).eval()
    inputs = {name: torch.randn(3, *shape) for name, shape in specs.items()}
    return method, inputs


@pytest.mark.parametrize("specs", [SEQUENCES, ONE_SEQUENCE, VECTORS])
def test_the_full_prediction_reads_the_joint_unit_vector(specs):
    method, inputs = made(specs)
    latents = method.latents(inputs)
    for z in latents.values():
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(method.encode(inputs), latents["s"])
    scores = method.task.scores(method.head(latents["s"]))
    torch.testing.assert_close(method.predict(inputs), scores)


def test_a_subset_reads_the_mean_of_unit_vectors_not_normalised_again():
    method, inputs = made(VECTORS)
    latents = method.latents(inputs)
    pair = {name: inputs[name] for name in ("text", "audio")}
    mean = (latents["z/text"] + latents["z/audio"]) / 2
    torch.testing.assert_close(method.encode(pair), mean)
    assert (mean.norm(dim=-1) < 1).all()
    torch.testing.assert_close(method.encode({"text": inputs["text"]}), latents["z/text"])


def test_the_head_learns_from_the_joint_representation_only():
    method, inputs = made({"a": (3,), "b": (2,)})
    batch = Batch(inputs, torch.tensor([0, 1, 0]), torch.ones(3).bool())
    method.loss_terms(batch)["supervised"].backward()
    assert all(parameter.grad is None for parameter in method.encoders.parameters())
    reached = [p.grad for p in method.joint.parameters() if p.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in reached)


@pytest.mark.parametrize("weight", [0.0, 0.1, 3.0])
def test_the_weight_scales_the_contrastive_term_and_no_other(weight):
    terms = []
    for chosen in (1.0, weight):
        method, inputs = made(VECTORS, contrastive_weight=chosen)
        batch = Batch(inputs, torch.tensor([0, 1, 0]), torch.ones(3).bool())
        terms.append(method.loss_terms(batch))
    torch.testing.assert_close(terms[1]["contrastive"], weight * terms[0]["contrastive"])
    assert terms[0]["contrastive"] > 0
    assert torch.equal(terms[1]["supervised"], terms[0]["supervised"])


def test_the_architecture_follows_the_data_unless_it_is_chosen():
    assert hasattr(made(SEQUENCES)[0].joint, "cross")
    assert not hasattr(made(VECTORS)[0].joint, "cross")
    common = GMC(Regression(), SEQUENCES, GMCConfig(architecture="common"))
    assert not hasattr(common.joint, "cross")
    with pytest.raises(ValueError, match=r"'mosi' needs sequences \(T, F\), got {'a': \(3,\)}"):
        GMC(Regression(), {"a": (3,)}, GMCConfig(architecture="mosi"))


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"temperature": 0.0}, "temperature of GMCConfig is 0.0: it should be greater than 0"),
        ({"architecture": "new"}, "architecture of GMCConfig is 'new': .*'common' or 'mosi'"),
        ({"contrastive_weight": -1.0}, "contrastive_weight of GMCConfig is -1.0"),
        ({"dropout": 1.0}, "dropout of GMCConfig is 1.0: it should be less than 1"),
        ({"gru_width": 0}, "gru_width of GMCConfig is 0"),
    ],
)
def test_wrong_settings_are_named(hyper, message):
    with pytest.raises(ValueError, match=message):
        GMCConfig(**hyper)


def test_the_settings_of_the_tables():
    assert GMC.takes_joint
    assert asdict(GMCConfig()) == {
        "width": 128,
        "dropout": 0.05,
        "temperature": 0.7,
        "contrastive_weight": 0.011,
        "architecture": "auto",
        "sequence_width": 60,
        "gru_width": 30,
    }


def test_incomplete_samples_are_left_out_of_both_losses():
    method, inputs = made(VECTORS)
    targets, labeled = torch.tensor([0, 1, 2]), torch.tensor([True, True, False])
    present = torch.ones(3, 3, dtype=torch.bool)
    present[1, 1] = False
    found = method.loss_terms(Batch(inputs, targets, labeled, present))
    rows = [0, 2]
    complete = {name: x[rows] for name, x in inputs.items()}
    wanted = method.loss_terms(Batch(complete, targets[rows], labeled[rows]))
    torch.testing.assert_close(found, wanted)
    present[0] = False
    nobody = method.loss_terms(Batch(inputs, targets, labeled, present))
    assert [term.item() for term in nobody.values()] == [0, 0]
