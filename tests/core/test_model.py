"""Robult: gradient routes by autograd, what stays unread, switches, and the equations."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from robult_core import model as model_module
from robult_core.fused_loss import fused_soft_pu_loss
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


class Step(NamedTuple):
    """Loss terms of a batch and the gradients of their sum, by parameter."""

    terms: dict[str, Tensor]
    gradients: dict[str, Tensor]


def step(model: Robult, batch: Batch) -> Step:
    """One step in which dropout is drawn alike every time."""
    torch.manual_seed(1)
    model.zero_grad()
    terms = model.loss_terms(batch)
    sum(terms.values()).backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return Step(terms, gradients)


def identical(first: Step, second: Step) -> bool:
    """Terms and gradients bit for bit."""
    for ours, theirs in zip(first, second, strict=True):
        if ours.keys() != theirs.keys():
            return False
        if not all(torch.equal(value, theirs[name]) for name, value in ours.items()):
            return False
    return True


# --- gradient routes (section 2.3, readings 12-15) ------------------------------------------------

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
        is_reached = [gradient is not None and gradient.abs().sum() > 0 for gradient in reached]
        assert is_reached == [index == 0] * 2
    contrastive = model.loss_terms(batch)["labeled_contrastive"]
    for encoder in model.f:
        gradients = torch.autograd.grad(contrastive, list(encoder.parameters()), retain_graph=True)
        assert sum(gradient.abs().sum() for gradient in gradients) > 0


# --- what a batch may hide ------------------------------------------------------------------------


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


def test_the_fused_branch_learns_from_labelled_samples_that_lack_a_modality():
    present = torch.ones(3, 12, dtype=torch.bool)
    present[0] = False  # no sample is complete
    batch = make_batch(present=present)
    model = make_model().eval()
    terms = model.loss_terms(batch)
    zeros = batch.inputs | {"text": torch.zeros_like(batch.inputs["text"])}
    logits = model.c(model.fuse(zeros))
    wanted = model.task.supervised_loss(logits, batch.targets, batch.labeled)
    torch.testing.assert_close(terms["supervised_full"], wanted)
    assert terms["labeled_contrastive"] == 0  # s needs all modalities: there is no anchor


def test_present_for_all_equals_no_mask():
    batch = make_batch()
    full = replace(batch, present=torch.ones(3, 12, dtype=torch.bool))
    torch.testing.assert_close(step(make_model(), batch), step(make_model(), full))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize(("size", "n_labeled"), [(1, 0), (1, 1), (6, 0), (6, 6), (6, 1)])
def test_batches_of_any_kind_are_finite(task, size, n_labeled):
    terms, gradients = step(make_model(task), make_batch(task, size=size, n_labeled=n_labeled))
    assert all(value.isfinite() for value in terms.values())
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    if n_labeled == 0:
        assert (
            terms["supervised_full"]
            == terms["supervised_unimodal"]
            == terms["labeled_contrastive"]
            == 0
        )


# --- modalities and encoders ----------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["inputs", "latents"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_modalities(count, fusion):
    specs = dict(list(SPECS.items())[:count])
    model, batch = make_model(specs=specs, fusion=fusion), make_batch(specs=specs)
    assert set(step(model, batch).terms) == set(DEFAULT)
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
        assert all(value.isfinite() for value in step(model, batch).terms.values())
    with pytest.raises(ValueError, match="'image' has its own module: pass a joint network"):
        Robult(TASKS["classification"], specs, RobultConfig(width=8))


# --- the pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_predictions_are_those_of_the_equations(task):
    model, batch = make_model(task).eval(), make_batch(task)
    h = {name: model.f[index](batch.inputs[name]) for index, name in enumerate(SPECS)}
    single = {
        name: model.c(model.g[index](h[name]) + model.g0(h[name]))
        for index, name in enumerate(SPECS)
    }
    for name in SPECS:
        alone = model.predict({name: batch.inputs[name]})
        torch.testing.assert_close(alone, task.scores(single[name]))
    two = {name: batch.inputs[name] for name in ("video", "text")}
    torch.testing.assert_close(
        model.predict(two), task.scores((single["text"] + single["video"]) / 2)
    )
    torch.testing.assert_close(
        model.predict(batch.inputs), task.scores(model.c(model.f0(batch.inputs)))
    )
    late = task.scores(sum(single.values()) / 3)
    torch.testing.assert_close(model.predict_variants(batch.inputs)["late_fusion"], late)
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


SWITCHES = [
    {"temperature": 0.7},
    {"bandwidth": 0.5},
    {"weighting": "cosine"},
    {"weighting": "hard"},
    {"weighting": "none"},
    {"reference": "class"},
    {"normalizer": "weights"},
    {"weight_gradient": True},
    {"labeled_candidates": "labeled"},
]


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_the_contrastive_loss_obeys_every_switch(switch):
    """The terms and their gradients are those of the loss called with the switch, not without."""
    model, batch = make_model(**switch).eval(), make_batch()
    present = torch.ones(3, 12, dtype=torch.bool)
    classes = torch.arange(12) % 2
    latents = model.latents(batch.inputs)
    s = latents["s"].detach().requires_grad_()
    z = torch.stack([latents[f"z/{name}"] for name in SPECS]).detach()

    def value_and_gradient(loss) -> tuple[Tensor, Tensor]:
        return loss.total.detach(), torch.autograd.grad(loss.total, s)[0]

    ours = value_and_gradient(model.soft_pu(s, z, classes, batch.labeled, present))
    wanted = value_and_gradient(soft_pu_loss(s, z, classes, batch.labeled, **switch))
    ignored = value_and_gradient(soft_pu_loss(s, z, classes, batch.labeled))
    torch.testing.assert_close(ours, wanted)
    assert not torch.allclose(ours[1], ignored[1], rtol=1e-3)


def plain_loss(*arguments, labeled_weight, unlabeled_weight, **options):
    """The path to read, called as the fast one is."""
    return soft_pu_loss(*arguments, **options)


PRESENCE = {
    "complete": None,
    "all present": torch.ones(3, 12, dtype=torch.bool),
    "some missing": torch.arange(36).reshape(3, 12) % 5 > 0,
    "nobody complete": torch.tensor([True, True, False])[:, None].expand(3, 12),
}


@pytest.mark.parametrize("presence", PRESENCE)
@pytest.mark.parametrize("n_labeled", [0, 5, 12])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_fast_and_the_plain_loss_train_alike(monkeypatch, task, n_labeled, presence):
    """Terms and gradients of a whole step, in float64."""
    present = PRESENCE[presence]
    batch = make_batch(task, n_labeled=n_labeled, present=present)
    assert_fast_equals_plain(monkeypatch, task, batch)


def test_the_fast_and_the_plain_loss_train_alike_on_one_sample(monkeypatch):
    task = TASKS["classification"]
    assert_fast_equals_plain(monkeypatch, task, make_batch(task, size=1))


def assert_fast_equals_plain(monkeypatch, task, batch: Batch) -> None:
    calls = []

    def fast_loss(*arguments, **options):
        terms = fused_soft_pu_loss(*arguments, **options)
        calls.append(terms.labeled.grad_fn.name())
        return terms

    inputs = {name: x.double() for name, x in batch.inputs.items()}
    targets = batch.targets.double() if task.kind == "regression" else batch.targets
    batch = replace(batch, inputs=inputs, targets=targets)
    steps = []
    for loss in (fast_loss, plain_loss):
        monkeypatch.setattr(model_module, "fused_soft_pu_loss", loss)
        steps.append(step(make_model(task).double(), batch))
    assert calls == ["_FusedSoftPUBackward"]
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weight", ["supervised", "labeled", "unlabeled", "reconstruction"])
def test_weights_scale_their_terms(weight):
    plain = step(make_model(), make_batch()).terms
    scaled = step(make_model(**{f"{weight}_weight": 0.0}), make_batch()).terms
    for name, value in plain.items():
        assert scaled[name] == (0 if name.startswith(weight) else value)
        assert value != 0


@pytest.mark.parametrize("late_fusion", ["probabilities", "logits", "confidence"])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_late_fusion_follows_its_rule(task, late_fusion):
    model, batch = make_model(task, late_fusion=late_fusion).eval(), make_batch(task)
    single = torch.stack([model.predict({name: batch.inputs[name]}) for name in SPECS])
    fused = task.late_fusion(single, late_fusion)
    torch.testing.assert_close(model.predict_variants(batch.inputs)["late_fusion"], fused)
    two = {name: batch.inputs[name] for name in ("text", "audio")}
    torch.testing.assert_close(model.predict(two), task.late_fusion(single[:2], late_fusion))


def test_a_bottleneck_loses_what_does_not_fit():
    """Through 2 hidden units z and u have rank 2; full-width maps have rank 8 and lose nothing."""
    h = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    for bottleneck, rank in ((2, 2), (None, 8)):
        model = make_model(bottleneck=bottleneck)
        for part in (model.g0, *model.g):
            z = part(h).detach()
            assert torch.linalg.matrix_rank(z - z.mean(0), atol=1e-4) == rank


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"combine": "product"},
            "combine of RobultConfig is 'product': it should be 'sum' or 'con",
        ),
        ({"full_input": "z"}, "full_input of RobultConfig is 'z'"),
        ({"fusion": "late"}, "fusion of RobultConfig is 'late'"),
        ({"reconstruction_updates": "h"}, "reconstruction_updates of RobultConfig is 'h'"),
        ({"late_fusion": "vote"}, "late_fusion of RobultConfig is 'vote'"),
        ({"weighting": "gauss"}, "weighting of RobultConfig is 'gauss'"),
        ({"width": 0}, "width of RobultConfig is 0: it should be greater than or equal to 1"),
        ({"width": 64.5}, "width of RobultConfig is 64.5"),
        ({"bottleneck": 0}, "bottleneck of RobultConfig is 0"),
        ({"temperature": -1.0}, "temperature of RobultConfig is -1.0"),
        ({"bandwidth": 0.0}, "bandwidth of RobultConfig is 0.0"),
        ({"dropout": 1.0}, "dropout of RobultConfig is 1.0: it should be less than 1"),
        ({"dropout": -0.1}, "dropout of RobultConfig is -0.1"),
        ({"labeled_weight": -1.0}, "labeled_weight of RobultConfig is -1.0"),
        ({"unlabeled_weight": math.nan}, "unlabeled_weight of RobultConfig is nan"),
        ({"supervised_weight": math.inf}, "supervised_weight of RobultConfig is inf"),
        ({"tau": 0.1}, "unknown setting 'tau' of RobultConfig: choose from temperature, bandwidth"),
    ],
)
def test_wrong_configuration_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        RobultConfig(**options)


def test_inputs_must_be_modalities():
    model = make_model()
    for inputs in ({}, {"smell": torch.zeros(1, 5)}):
        with pytest.raises(ValueError, match="give some of"):
            model.predict(inputs)


# --- what a prediction computes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "options", "expected"),
    [
        (["audio"], {}, {"f.1", "g.1", "g0", "c"}),
        (["text", "video"], {}, {"f.0", "f.2", "g.0", "g.2", "g0", "c"}),
        (list(SPECS), {}, {"f0", "c"}),
        (list(SPECS), {"full_input": "s"}, {"f0", "g0", "c"}),
        (list(SPECS), {"fusion": "latents"}, {"f.0", "f.1", "f.2", "f0", "c"}),
    ],
    ids=["one", "two", "all", "all, s", "all, latents"],
)
def test_a_prediction_runs_only_the_modules_it_needs(pattern, options, expected):
    model, batch = make_model(**options).eval(), make_batch()
    parts = {"f0": model.f0, "g0": model.g0, "c": model.c}
    for letter in "fgr":
        for index, module in enumerate(getattr(model, letter)):
            parts[f"{letter}.{index}"] = module
    called = set()
    for name, module in parts.items():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    model.predict({name: batch.inputs[name] for name in pattern})
    assert called == expected


def test_the_vectors_of_the_classifier_give_its_predictions():
    model, batch = make_model().eval(), make_batch()
    vectors = model.classifier_inputs(batch.inputs)
    assert list(vectors) == [*SPECS, "full"]
    task = model.task
    torch.testing.assert_close(task.scores(model.c(vectors["full"])), model.predict(batch.inputs))
    for name in SPECS:
        alone = model.predict({name: batch.inputs[name]})
        torch.testing.assert_close(task.scores(model.c(vectors[name])), alone)
    assert list(model.classifier_inputs({"audio": batch.inputs["audio"]})) == ["audio"]


def test_the_settings_of_the_tables():
    assert Robult.takes_joint
    numbers = {
        "temperature": 0.27,
        "width": 128,
        "dropout": 0.24,
        "supervised_weight": 1.0,
        "labeled_weight": 1.0,
        "unlabeled_weight": 3.3,
        "reconstruction_weight": 1.0,
    }
    found = asdict(RobultConfig())
    assert {name: found[name] for name in numbers} == numbers
    assert found["weight_gradient"] is False
    assert found["bandwidth"] is found["bottleneck"] is None
