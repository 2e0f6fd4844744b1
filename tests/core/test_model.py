"""Robult: gradient routes computed by autograd, unlabelled targets and absent inputs unread, any number and kind of modalities."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from robult_core.losses import latent_reconstruction_loss, soft_pu_loss
from robult_core.method import Batch
from robult_core.model import Robult, RobultConfig
from robult_core.tasks import Classification, Multilabel, Regression
from robult_core.training import gradient_routes

SPECS = {"text": (5,), "audio": (4, 3), "video": (6,)}
TASKS = {
    "classification": Classification(3),
    "regression": Regression(),
    "multilabel": Multilabel(4),
}


def make_batch(
    task=TASKS["classification"], specs=SPECS, size=12, n_labeled=6, seed=0, present=None
) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(size, *shape, generator=generator) for name, shape in specs.items()}
    targets = {
        "classification": torch.arange(size) % 3,
        "regression": torch.randn(size, generator=generator),
        "multilabel": torch.randint(2, (size, 4), generator=generator),
    }[task.kind]
    return Batch(inputs, targets, torch.arange(size) < n_labeled, present)


def make_model(task=TASKS["classification"], specs=SPECS, seed=0, **options) -> Robult:
    torch.manual_seed(seed)
    return Robult(task, specs, RobultConfig(width=8, **options))


def step(model: Robult, batch: Batch) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """Loss terms and the gradients of their sum, dropout drawn alike."""
    torch.manual_seed(1)
    model.zero_grad()
    terms = model.loss_terms(batch)
    sum(terms.values()).backward()
    return terms, [
        torch.zeros(()) if one.grad is None else one.grad.clone() for one in model.parameters()
    ]


def identical(one, two) -> bool:
    """Terms and gradients bit for bit."""
    return all(
        torch.equal(a, b) for a, b in zip(one[0].values(), two[0].values(), strict=True)
    ) and all(torch.equal(a, b) for a, b in zip(one[1], two[1], strict=True))


# --- gradient routes (section 2.3, readings 12-15) ------------------------------------------------------------------------

DEFAULT = {
    "supervised_full": {"f0", "c"},
    "supervised_unimodal": {"f", "g", "g0", "c"},
    "labeled_contrastive": {"f", "f0", "g0"},
    "unlabeled_contrastive": {"f", "f0", "g0"},
    "reconstruction": {"g", "r"},
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, {}),
        ({"full_input": "s"}, {"supervised_full": {"f0", "g0", "c"}}),
        ({"bottleneck": 2}, {}),
        ({"combine": "concat"}, {"supervised_unimodal": {"f", "g", "g0", "join", "c"}}),
        ({"fusion": "latents"}, {"supervised_full": {"f", "f0", "c"}}),
        ({"reconstruction_updates": "f"}, {"reconstruction": {"f", "g", "r"}}),
        (
            {
                "weight_gradient": True,
                "weighting": "cosine",
                "reference": "class",
                "normalizer": "weights",
            },
            {},
        ),
        (
            {
                "full_input": "s",
                "fusion": "latents",
                "combine": "concat",
                "reconstruction_updates": "f",
            },
            {
                "supervised_full": {"f", "f0", "g0", "c"},
                "supervised_unimodal": {"f", "g", "g0", "join", "c"},
                "reconstruction": {"f", "g", "r"},
            },
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) and value else None,
)
def test_gradient_routes(task, options, changed):
    routes = gradient_routes(make_model(task, **options), make_batch(task))
    reached = {
        term: {part for part, norm in norms.items() if norm > 0} for term, norms in routes.items()
    }
    assert reached == DEFAULT | changed


def test_every_modality_has_its_route():
    """g_i and r_i of one modality hear nothing of another's reconstruction; each f_i hears L_PU."""
    model, batch = make_model().eval(), make_batch()
    h = torch.stack(list(model.encode(batch.inputs).values()))
    rebuilt, target = model.reconstruct(h, model.g0(h))
    loss = latent_reconstruction_loss(rebuilt[:1], target[:1])
    for index in range(3):
        reached = torch.autograd.grad(
            loss,
            [model.g[index].weight, model.r[index].weight],
            retain_graph=True,
            allow_unused=True,
        )
        assert [one is not None and bool(one.abs().sum() > 0) for one in reached] == [
            index == 0
        ] * 2
    contrastive = model.loss_terms(batch)["labeled_contrastive"]
    for encoder in model.f:
        gradients = torch.autograd.grad(contrastive, list(encoder.parameters()), retain_graph=True)
        assert sum(one.abs().sum() for one in gradients) > 0


# --- what a batch may hide --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_unlabelled_targets_are_never_read(task):
    model, batch = make_model(task), make_batch(task)
    garbage = batch.targets.clone()
    garbage[~batch.labeled] = math.nan if task.kind == "regression" else -(10**9)
    assert identical(step(model, batch), step(model, replace(batch, targets=garbage)))
    changed = batch.targets.clone()
    changed[0] = 1 - changed[0]
    assert not identical(step(model, batch), step(model, replace(batch, targets=changed)))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_absent_inputs_are_never_read(task):
    present = torch.ones(3, 12, dtype=torch.bool)
    present[0, 1] = present[1, 7] = present[2, 7:9] = False  # labelled and unlabelled samples
    batch = make_batch(task, present=present)
    model = make_model(task).eval()
    noisy = {
        name: torch.where(row.reshape(-1, *[1] * (x.ndim - 1)), x, 100 * torch.randn(x.shape))
        for (name, x), row in zip(batch.inputs.items(), present, strict=True)
    }
    assert identical(step(model, batch), step(model, replace(batch, inputs=noisy)))


def test_present_for_all_equals_no_mask():
    batch = make_batch()
    full = replace(batch, present=torch.ones(3, 12, dtype=torch.bool))
    assert identical(step(make_model(), batch), step(make_model(), full))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize(("size", "n_labeled"), [(1, 0), (1, 1), (6, 0), (6, 6), (6, 1)])
def test_batches_of_any_kind_are_finite(task, size, n_labeled):
    terms, gradients = step(make_model(task), make_batch(task, size=size, n_labeled=n_labeled))
    assert all(one.isfinite() for one in terms.values())
    assert all(one.isfinite().all() for one in gradients)
    if n_labeled == 0:
        assert (
            terms["supervised_full"]
            == terms["supervised_unimodal"]
            == terms["labeled_contrastive"]
            == 0
        )


# --- modalities and encoders ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["inputs", "latents"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_modalities(count, fusion):
    specs = dict(list(SPECS.items())[:count])
    model, batch = make_model(specs=specs, fusion=fusion), make_batch(specs=specs)
    assert set(step(model, batch)[0]) == set(DEFAULT)
    assert model.predict(batch.inputs).shape == (12, 3)
    assert set(model.latents(batch.inputs)) == {
        f"{letter}/{name}" for letter in "hzu" for name in specs
    } | {"h0", "s"}


def test_feature_width_and_modules_as_specs():
    class Image(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(48, 8))

        def forward(self, x):
            return self.net(x)

    class Joint(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(53, 8)

        def forward(self, inputs):
            return self.net(torch.cat([inputs["image"].flatten(1), inputs["text"]], dim=-1))

    specs = {"image": Image(), "text": 5}
    batch = make_batch(specs={"image": (3, 4, 4), "text": (5,)})
    for options in ({"joint": Joint()}, {}):
        config = RobultConfig(width=8, fusion="inputs" if options else "latents")
        model = Robult(TASKS["classification"], specs, config, **options)
        assert all(one.isfinite() for one in step(model, batch)[0].values())
    with pytest.raises(ValueError, match="'image' has its own module: pass a joint network"):
        Robult(TASKS["classification"], specs, RobultConfig(width=8))


# --- the pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_predictions_are_those_of_the_equations(task):
    model, batch = make_model(task).eval(), make_batch(task)
    h = {name: model.f[index](batch.inputs[name]) for index, name in enumerate(SPECS)}
    single = {
        name: task.scores(model.c(model.g[index](h[name]) + model.g0(h[name])))
        for index, name in enumerate(SPECS)
    }
    for name in SPECS:
        torch.testing.assert_close(model.predict({name: batch.inputs[name]}), single[name])
    two = {name: batch.inputs[name] for name in ("video", "text")}
    torch.testing.assert_close(model.predict(two), (single["text"] + single["video"]) / 2)
    torch.testing.assert_close(
        model.predict(batch.inputs), task.scores(model.c(model.f0(batch.inputs)))
    )
    torch.testing.assert_close(
        model.predict_variants(batch.inputs)["late_fusion"], sum(single.values()) / 3
    )
    assert model.predict_variants(two) == {}


def test_loss_terms_are_those_of_the_equations():
    model, batch = make_model(temperature=0.3, unlabeled_weight=1.0).eval(), make_batch()
    latents, terms = model.latents(batch.inputs), model.loss_terms(batch)
    pseudo = model.predict(batch.inputs).argmax(-1)
    classes = torch.where(batch.labeled, batch.targets, pseudo)
    z = torch.stack([latents[f"z/{name}"] for name in SPECS])
    pu = soft_pu_loss(latents["s"], z, classes, batch.labeled, temperature=0.3)
    torch.testing.assert_close(terms["labeled_contrastive"], pu.labeled)
    torch.testing.assert_close(terms["unlabeled_contrastive"], pu.unlabeled)
    logits = model.c(latents["h0"])[:6]
    torch.testing.assert_close(
        terms["supervised_full"], nn.functional.cross_entropy(logits, batch.targets[:6])
    )
    single = [
        nn.functional.cross_entropy(
            model.c(latents[f"u/{n}"] + latents[f"z/{n}"])[:6], batch.targets[:6]
        )
        for n in SPECS
    ]
    torch.testing.assert_close(terms["supervised_unimodal"], sum(single) / 3)
    rebuilt = [
        r(torch.cat([latents[f"u/{n}"], latents[f"z/{n}"]], -1))
        for n, r in zip(SPECS, model.r, strict=True)
    ]
    h = torch.stack([latents[f"h/{name}"] for name in SPECS])
    torch.testing.assert_close(
        terms["reconstruction"], latent_reconstruction_loss(torch.stack(rebuilt), h)
    )


def test_pseudo_label_of_an_incomplete_sample_comes_from_what_it_has():
    present = torch.ones(3, 12, dtype=torch.bool)
    present[0, 8] = False
    seen = {}

    class Spy(Classification):
        def contrastive_classes(self, targets, labeled, logits):
            seen["classes"] = super().contrastive_classes(targets, labeled, logits)
            return seen["classes"]

    model, batch = make_model(Spy(3)).eval(), make_batch(present=present)
    model.loss_terms(batch)
    latents = model.latents(batch.inputs)
    logits = [
        model.c(latents[f"u/{name}"] + latents[f"z/{name}"])[8] for name in ("audio", "video")
    ]
    assert seen["classes"][8] == (logits[0] + logits[1]).argmax()


@pytest.mark.parametrize("weight", ["supervised", "labeled", "unlabeled", "reconstruction"])
def test_weights_scale_their_terms(weight):
    plain = step(make_model(), make_batch())[0]
    scaled = step(make_model(**{f"{weight}_weight": 0.0}), make_batch())[0]
    for name, value in plain.items():
        assert scaled[name] == (0 if name.startswith(weight) else value)
        assert value != 0


@pytest.mark.parametrize("late_fusion", ["probabilities", "logits", "confidence"])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_late_fusion_of_equal_scores_is_that_score(task, late_fusion):
    model = make_model(task, late_fusion=late_fusion)
    logits = torch.randn(5, task.n_outputs, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model._late_fusion([logits] * 3), task.scores(logits))
    assert torch.isfinite(model._late_fusion([logits, 0 * logits])).all()


def test_a_bottleneck_loses_what_does_not_fit():
    """Through 2 hidden units z and u have rank 2; through full-width linear maps rank 8, so that h could be solved for."""
    h = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    for bottleneck, rank in ((2, 2), (None, 8)):
        model = make_model(bottleneck=bottleneck)
        for part in (model.g0, *model.g):
            z = part(h).detach()
            assert torch.linalg.matrix_rank(z - z.mean(0), atol=1e-4) == rank


def test_confident_modality_counts_more():
    sure, unsure = torch.tensor([[9.0, 0, 0]]), torch.tensor([[0, 0.5, 0]])
    assert (
        make_model(late_fusion="confidence")._late_fusion([sure, unsure])[0, 0]
        > make_model()._late_fusion([sure, unsure])[0, 0]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"combine": "product"}, "combine is 'product': choose one of sum, concat"),
        ({"full_input": "z"}, "full_input is 'z'"),
        ({"weighting": "gauss"}, "weighting is 'gauss'"),
        ({"width": 0}, "width is 0"),
        ({"bottleneck": 0}, "bottleneck is 0"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"bandwidth": 0.0}, "bandwidth is 0.0"),
    ],
)
def test_wrong_configuration_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        RobultConfig(**options)


def test_inputs_must_be_modalities():
    model = make_model()
    for inputs in ({}, {"smell": torch.zeros(1, 5)}):
        with pytest.raises(ValueError, match="non-empty subset of the modalities"):
            model.predict(inputs)
