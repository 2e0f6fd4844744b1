"""What holds for every method: no leak of unknown labels, edge cases, repeats, and the registry.

The last test asks that every baseline learns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from robult_core import datasets
from robult_core.evaluation import predict
from robult_core.method import Batch
from robult_core.methods import METHODS, make_method
from robult_core.methods.sanity import sanity_predictions
from robult_core.protocol import paper_patterns
from robult_core.tasks import Classification, Multilabel, Regression
from robult_core.training import TrainingConfig, train
from robult_study.runs.search import SEARCH_SPACE

NAMES = tuple(METHODS)
SPECS = {"text": (6,), "audio": (4,), "image": (5,)}
CLASSES = Classification(3)
TASKS = (CLASSES, Regression(), Multilabel(4))
every_method = pytest.mark.parametrize("name", NAMES)
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
both_stages = pytest.mark.parametrize("progress", [0.0, 0.9])  # of Prompt-Trans


def targets_of(task, n):
    if task.kind == "classification":
        return torch.arange(n) % task.n_outputs
    if task.kind == "regression":
        return torch.linspace(-3, 3, n)
    return (torch.arange(n * 4).reshape(n, 4) % 3 == 0).long()


def batch_of(task, n=8, specs=SPECS, labeled=None, present=None):
    generator = torch.Generator().manual_seed(3)
    inputs = {name: torch.randn(n, *shape, generator=generator) for name, shape in specs.items()}
    if labeled is None:
        labeled = torch.arange(n) % 2 == 0
    return Batch(inputs, targets_of(task, n), labeled, present)


def make(name, task, specs=SPECS, progress=0.0, **hyper):
    torch.manual_seed(0)
    method = make_method(name, task, specs, width=16, **hyper)
    method.progress = progress
    return method


def total_loss(method, batch):
    return torch.stack(list(method.loss_terms(batch).values())).sum()


def loss_and_gradients(method, batch):
    torch.manual_seed(5)
    total = total_loss(method, batch)
    total.backward()
    parameters = method.named_parameters()
    return total.detach(), {name: p.grad for name, p in parameters if p.grad is not None}


def assert_same(first, second):
    """Two pairs of a loss and its gradients are equal bit for bit."""
    assert torch.equal(first[0], second[0])
    assert first[1].keys() == second[1].keys()
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


# --- losses ---------------------------------------------------------------------------------------


@both_stages
@every_task
@every_method
def test_unknown_targets_change_nothing(name, task, progress):
    batch = batch_of(task)
    garbage = batch.targets.clone()
    garbage[~batch.labeled] = torch.nan if task.kind == "regression" else 77
    spoilt = Batch(batch.inputs, garbage, batch.labeled)
    first = loss_and_gradients(make(name, task, progress=progress), batch)
    second = loss_and_gradients(make(name, task, progress=progress), spoilt)
    assert torch.isfinite(first[0])
    assert_same(first, second)


@both_stages
@every_task
@every_method
def test_weights_weigh_the_supervised_loss_alone(name, task, progress):
    batch = batch_of(task)
    weights = torch.full((8,), 3.0)
    plain = supervised_and_others(name, task, progress, batch)
    alike = supervised_and_others(name, task, progress, replace(batch, weights=weights))
    weights[0] = 50.0
    other = supervised_and_others(name, task, progress, replace(batch, weights=weights))
    torch.testing.assert_close(alike[0], plain[0])
    assert not torch.allclose(other[0], plain[0])
    assert alike[1] == other[1] == plain[1]


def supervised_and_others(name, task, progress, batch, **hyper):
    method = make(name, task, progress=progress, **hyper)
    torch.manual_seed(5)
    terms = method.loss_terms(batch)
    supervised = [value for term, value in terms.items() if term.startswith("supervised")]
    others = [value.item() for term, value in terms.items() if not term.startswith("supervised")]
    return torch.stack(supervised), others


@every_method
def test_beside_a_weight_of_a_billion_the_other_labels_do_not_count(name):
    dropouts = {"dropout": 0.0}
    if name == "prompt_trans":
        dropouts["block_dropout"] = 0.0
    batch = batch_of(CLASSES, labeled=torch.arange(8) < 2)
    heavy = replace(batch, weights=torch.tensor([1e9] + [1.0] * 7))
    alone = replace(batch, labeled=torch.arange(8) < 1)
    first, _ = supervised_and_others(name, CLASSES, 0.0, heavy, **dropouts)
    second, _ = supervised_and_others(name, CLASSES, 0.0, alone, **dropouts)
    torch.testing.assert_close(first, second)


def without_modality(n, missing):
    present = torch.ones(3, n).bool()
    present[0, missing] = False
    return present


EVERY_SECOND = torch.arange(8) % 2 == 0
EDGES = {
    "no label": {"labeled": torch.zeros(8).bool()},
    "one sample": {"n": 1, "labeled": torch.ones(1).bool()},
    "one unlabelled sample": {"n": 1, "labeled": torch.zeros(1).bool()},
    "missing": {"labeled": torch.ones(8).bool(), "present": without_modality(8, EVERY_SECOND)},
    "nobody complete": {
        "labeled": torch.ones(8).bool(),
        "present": without_modality(8, torch.ones(8).bool()),
    },
}


@both_stages
@pytest.mark.parametrize("edge", EDGES)
@every_method
def test_edge_batches_are_finite(name, edge, progress):
    batch = batch_of(CLASSES, **EDGES[edge])
    loss, gradients = loss_and_gradients(make(name, CLASSES, progress=progress), batch)
    assert torch.isfinite(loss)
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize("name", ["unimodal", "gmc"])
def test_features_of_missing_modalities_change_nothing(name):
    present = torch.ones(3, 8).bool()
    present[1, 2:5] = False
    batch = batch_of(CLASSES, labeled=torch.ones(8).bool(), present=present)
    noise = batch.inputs["audio"].clone()
    noise[2:5] = 9.0
    noisy = Batch({**batch.inputs, "audio": noise}, batch.targets, batch.labeled, present)
    first = loss_and_gradients(make(name, CLASSES, dropout=0.0), batch)
    second = loss_and_gradients(make(name, CLASSES, dropout=0.0), noisy)
    assert_same(first, second)


def trained_weights(name):
    method = make(name, CLASSES)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-2)
    for step in range(4):
        method.progress = step / 4  # reaches stage 2 of Prompt-Trans
        optimizer.zero_grad()
        total_loss(method, batch_of(CLASSES)).backward()
        optimizer.step()
    return method.state_dict()


@every_method
def test_repeats_are_bit_identical(name):
    first, second = trained_weights(name), trained_weights(name)
    assert all(torch.equal(first[key], second[key]) for key in first)


# --- predictions ----------------------------------------------------------------------------------

SHAPES = {
    "vectors": SPECS,
    "sequences": {"a": (5, 3), "b": (4, 2)},
    "mixed": {"a": (5, 3), "b": (4,)},
}


@pytest.mark.parametrize("specs", SHAPES.values(), ids=SHAPES)
@every_task
@every_method
def test_every_pattern_predicts_scores(name, task, specs):
    method = make(name, task, specs).eval()
    inputs = batch_of(task, 4, specs).inputs
    names = list(specs)
    for pattern in (names[:1], names[1:], names):
        given = {key: inputs[key] for key in pattern}
        scores = method.predict(given)
        assert scores.shape == (4, task.n_outputs)
        assert torch.isfinite(scores).all()
        if task.kind == "classification":
            torch.testing.assert_close(scores.sum(-1), torch.ones(4))
        latents = method.latents(given)
        assert {f"z/{key}" for key in pattern} <= set(latents)
        assert ("s" in latents) == (len(pattern) == len(names))


@every_method
def test_no_input_and_an_unknown_one_are_named(name):
    method = make(name, CLASSES).eval()
    with pytest.raises(ValueError, match="the inputs are empty: give some of"):
        method.predict({})
    with pytest.raises(ValueError, match="smell"):
        method.predict({"smell": torch.zeros(1, 2)})


@pytest.mark.parametrize("name", ["unimodal", "gmc", "action_mae", "robult"])
def test_one_modality(name):
    specs = {"only": (4,)}
    method = make(name, CLASSES, specs)
    loss, _ = loss_and_gradients(method, batch_of(CLASSES, specs=specs))
    assert torch.isfinite(loss)
    assert method.eval().predict({"only": torch.randn(2, 4)}).shape == (2, 3)


class JointOfTheCaller(nn.Module):
    """An image flattened beside a vector."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(16, 16)

    def forward(self, inputs):
        return self.out(torch.cat([inputs["a"].flatten(1), inputs["b"]], -1))


@every_method
def test_own_modules_replace_encoders(name):
    specs = {"a": nn.Sequential(nn.Flatten(), nn.Linear(12, 16)), "b": (4,)}
    joint = JointOfTheCaller() if METHODS[name][0].takes_joint else None
    method = make_method(name, CLASSES, specs, joint=joint, width=16)
    inputs = {"a": torch.randn(4, 3, 2, 2), "b": torch.randn(4, 4)}
    batch = Batch(inputs, torch.arange(4) % 3, torch.ones(4).bool())
    assert method.eval().predict(inputs).shape == (4, 3)
    assert method.predict({"b": inputs["b"]}).shape == (4, 3)
    loss, _ = loss_and_gradients(method, batch)
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("action_mae", {}, "method 'action_mae' has no joint network f_0: leave joint out"),
        ("prompt_trans", {}, "method 'prompt_trans' has no joint network f_0"),
        ("robult", {"fusion": "latents"}, "Robult got a joint network and fusion 'latents'"),
    ],
)
def test_a_joint_network_without_a_place_is_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make_method(name, CLASSES, SPECS, joint=JointOfTheCaller(), **settings)


# --- the registry ---------------------------------------------------------------------------------


def test_the_registry_holds_class_and_configuration():
    for name, (method, config) in METHODS.items():
        made = make(name, CLASSES)
        assert type(made) is method
        assert type(made.config) is config


@pytest.mark.parametrize(
    ("name", "specs", "hyper", "message"),
    [
        ("magic", SPECS, {}, "unknown method 'magic': choose one of robult, unimodal, gmc, "),
        ("gmc", SPECS, {"depth": 3}, "method 'gmc' has no setting 'depth': choose from width"),
        ("gmc", {}, {}, "method 'gmc' got no modality: give at least one"),
        ("gmc", {"a+b": (3,)}, {}, r"'a\+b' cannot name a modality of method 'gmc': give a text"),
        ("gmc", {"": (3,)}, {}, "'' cannot name a modality"),
        ("unimodal", SPECS, {"width": 0}, "width of UnimodalConfig is 0"),
    ],
)
def test_what_no_method_can_be_made_of_is_named(name, specs, hyper, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_method(name, CLASSES, specs, **hyper)
    assert "\n" not in str(caught.value)


@every_method
def test_a_wrong_width_is_named_before_anything_is_built(name):
    with pytest.raises(ValueError, match=r"width .*-3"):
        make_method(name, CLASSES, SPECS, width=-3)


def test_the_search_tries_every_method_but_the_control():
    assert set(SEARCH_SPACE) == set(NAMES) - {"unimodal_distilled"}


# --- learning -------------------------------------------------------------------------------------


def accuracy(data, rows, scores):
    truth = data.targets[torch.from_numpy(rows)].numpy()
    return np.mean(scores.argmax(1) == truth)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits").standardized()


@pytest.fixture(scope="module")
def logistic(digits):
    """The accuracy of the linear row with all labels, per pattern."""
    rows = digits.rows("test")
    patterns = paper_patterns(digits.names)
    scores = sanity_predictions("linear", digits, digits.rows("train"), rows, patterns, 0)
    return {pattern: accuracy(digits, rows, values) for pattern, values in scores.items()}


# GMC as released: the search, at 5 % labels, prefers a weak contrastive term and a small rate,
# which cost single modalities where all labels are there.
RELEASED = {"gmc": {"temperature": 0.3, "contrastive_weight": 1.0}}
RATE = {"gmc": 1e-3}


@pytest.mark.parametrize("name", ["unimodal", "gmc", "action_mae", "prompt_trans"])
def test_every_baseline_learns(name, digits, logistic):
    """With all labels and 200 steps a method comes near to logistic regression.

    The full row may be four points below (of 540 test rows a 95 % interval is +-1.5), single
    modalities six. Those of Prompt-Trans may be 25 below, because its backbone has only seen
    complete samples when it is frozen.
    """
    torch.manual_seed(0)
    method = make_method(name, digits.task, digits.shapes, **RELEASED.get(name, {}))
    config = TrainingConfig(steps=200, learning_rate=RATE.get(name))
    train(method, digits, digits.rows("train"), config, seed=0)
    rows = digits.rows("test")
    single_slack = 0.25 if name == "prompt_trans" else 0.06
    for pattern, reference in logistic.items():
        slack = 0.04 if len(pattern) > 1 else single_slack
        reached = accuracy(digits, rows, predict(method, digits, rows, pattern))
        assert reached > reference - slack, (pattern, reached, reference)
