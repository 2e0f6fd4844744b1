"""The loop: bit-identical repeats, the same batches for all, hidden labels, clear errors."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from robult_core import datasets
from robult_core.datasets.container import MultimodalData
from robult_core.evaluation import predict
from robult_core.method import Method
from robult_core.methods import METHODS, make_method
from robult_core.model import Robult
from robult_core.protocol import random_missing
from robult_core.tasks import Classification, Regression
from robult_core.training import (
    TrainingConfig,
    batches,
    gradient_routes,
    make_batch,
    schedule,
    train,
)
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import execute, restore
from robult_study.runs.store import Store


def make_data(task=None, n: int = 60, noise: float = 0.3) -> MultimodalData:
    """Three classes, each modality a noisy view of them; the last third is test."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % 3
    views = {
        name: torch.eye(3)[targets] @ torch.randn(3, 6, generator=generator)
        + noise * torch.randn(n, 6, generator=generator)
        for name in ("a", "b")
    }
    split = np.array(["train"] * (n - n // 3) + ["test"] * (n // 3))
    task = task or Classification(3)
    return MultimodalData(
        "toy", task, views, targets.float() if task.kind == "regression" else targets, split
    ).standardized()


LABELED = np.arange(9)
SHORT = TrainingConfig(steps=6, batch_size=16)


def trained(name: str = "robult", data=None, labeled=LABELED, config=SHORT, seed=0, **options):
    data = data or make_data()
    torch.manual_seed(seed)
    method = make_method(name, data.task, data.shapes, width=8)
    return method, train(method, data, labeled, config, seed=seed, **options)


def equal_weights(one: Method, two: Method) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("name", ["robult", "unimodal", "gmc", "action_mae", "prompt_trans"])
def test_same_seed_twice_is_identical_bit_for_bit(name):
    one, two = trained(name), trained(name)
    assert equal_weights(one[0], two[0])
    assert one[1].rows == two[1].rows
    assert not equal_weights(one[0], trained(name, seed=1)[0])


def test_training_does_not_depend_on_the_state_of_the_generator():
    """Dropout is drawn from the seed that is given."""
    data = make_data()
    start = make_method("robult", data.task, data.shapes, width=8)
    one, two = copy.deepcopy(start), copy.deepcopy(start)
    train(one, data, LABELED, SHORT, seed=3)
    torch.rand(5)
    train(two, data, LABELED, SHORT, seed=3)
    assert equal_weights(one, two)


@pytest.mark.parametrize("name", ["robult", "unimodal", "gmc", "action_mae", "prompt_trans"])
def test_unlabelled_and_test_targets_change_nothing(name):
    data = make_data()
    targets = (data.targets + 1) % 3
    targets[LABELED] = data.targets[LABELED]
    other = MultimodalData("toy", data.task, data.modalities, targets, data.split)
    assert equal_weights(trained(name, data)[0], trained(name, other)[0])


def test_test_rows_change_nothing():
    data = make_data()
    views = {name: x.clone() for name, x in data.modalities.items()}
    for x in views.values():
        x[data.rows("test")] = 3.0
    other = MultimodalData("toy", data.task, views, data.targets, data.split)
    assert equal_weights(trained(data=data)[0], trained(data=other)[0])


def test_every_method_gets_the_same_batches(monkeypatch):
    data, seen = make_data(), {}
    for name, (method, _) in METHODS.items():
        rows = seen.setdefault(name, [])
        original = method.loss_terms

        def spy(self, batch, rows=rows, original=original):
            rows.append((batch.inputs["a"].clone(), batch.labeled.clone()))
            return original(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(method, "loss_terms", spy)
            trained(name, data)
    for rows in seen.values():
        assert len(rows) == SHORT.steps
        for (x, known), (y, other) in zip(rows, seen["robult"], strict=True):
            assert torch.equal(x, y)
            assert torch.equal(known, other)


@pytest.mark.parametrize(("n", "batch_size"), [(40, 16), (40, 40), (40, 100), (7, 3), (1, 4)])
@pytest.mark.parametrize("sampling", ["extra_labeled", "shuffle"])
def test_batches(n, batch_size, sampling):
    rows, labeled = np.arange(n) * 3, np.arange(n // 4 + 1) * 3
    config = TrainingConfig(steps=30, batch_size=batch_size, sampling=sampling)
    found = list(batches(rows, labeled, config, seed=0))
    size, extra = min(batch_size, n), max(4, batch_size // 8)
    assert len(found) == 30
    for batch in found:
        assert len(set(batch.tolist())) == len(batch)  # no row twice
        assert set(batch.tolist()) <= set(rows.tolist())
        added, spare = batch[size:], np.setdiff1d(labeled, batch[:size])
        assert set(added.tolist()) <= set(spare.tolist())
        assert len(added) == (min(extra, len(spare)) if sampling == "extra_labeled" else 0)
    counts = np.unique(np.concatenate([batch[:size] for batch in found]), return_counts=True)[1]
    assert len(counts) == n
    assert counts.max() - counts.min() <= 1  # epochs, not draws with replacement
    again = list(batches(rows, labeled, config, seed=0))
    assert all(np.array_equal(one, two) for one, two in zip(found, again, strict=True))


def test_batch_blanks_unlabelled_targets():
    data = make_data()
    known = np.zeros(60, dtype=bool)
    known[[3, 4]] = True
    batch = make_batch(data, np.array([4, 5, 3]), known)
    assert batch.targets.tolist() == [data.targets[4], 0, data.targets[3]]
    assert batch.labeled.tolist() == [True, False, True]
    assert torch.equal(batch.inputs["b"], data.modalities["b"][[4, 5, 3]])


def test_batch_carries_presence():
    data = make_data()
    present = random_missing(60, 2, 0.3, seed=0)
    masked = MultimodalData(
        "toy", data.task, data.modalities, data.targets, data.split, present=present
    )
    batch = make_batch(masked, np.array([4, 5, 3]), np.ones(60, dtype=bool))
    assert torch.equal(batch.present, present[:, [4, 5, 3]])
    assert all(np.isfinite(value) for _, _, value in trained(data=masked)[1].rows)


def test_history_holds_every_term_and_their_sum():
    _, history = trained(log_every=2)
    frame = pd.DataFrame(history.rows, columns=["step", "term", "value"])
    assert sorted(frame["step"].unique()) == [1, 2, 4, 6]
    for _, rows in frame.groupby("step"):
        values = rows.set_index("term")["value"]
        assert values["total"] == pytest.approx(values.drop("total").sum(), rel=1e-5)
        assert len(values) == 6


def test_on_step_sees_start_and_every_step_and_does_not_move_training():
    steps = []

    def watch(step, method):
        steps.append((step, method.progress))
        predict(method, data, data.rows("test"), ("a",))  # leaves evaluation mode behind

    data = make_data()
    method, _ = trained(data=data, on_step=watch)
    assert [step for step, _ in steps] == list(range(7))
    assert [progress for _, progress in steps[1:]] == [step / 6 for step in range(6)]
    assert method.progress == 1
    assert not method.training
    assert equal_weights(method, trained(data=data)[0])


@pytest.mark.parametrize(
    "task", [Classification(3), Regression()], ids=["classification", "regression"]
)
def test_tiny_set_is_learnt(task):
    data = make_data(task, n=30, noise=0.05)
    config = TrainingConfig(steps=150, batch_size=20, learning_rate=5e-3)
    method, _ = trained(data=data, labeled=data.rows("train"), config=config)
    for pattern in (("a",), ("b",), ("a", "b")):
        metrics = task.metrics(
            predict(method, data, data.rows("test"), pattern),
            data.targets[data.rows("test")].numpy(),
        )
        assert metrics["mae"] < 0.35 if task.kind == "regression" else metrics["accuracy"] == 1


class Broken(Robult):
    """Its loss is not finite at the third step."""

    steps = 0

    def loss_terms(self, batch):
        self.steps += 1
        terms = super().loss_terms(batch)
        return terms | {
            "reconstruction": terms["reconstruction"] * (math.nan if self.steps == 3 else 1)
        }


def test_a_labelled_row_of_weight_0_is_an_unlabelled_one():
    weights = np.where(np.arange(60) < 3, 0.0, 1.0)
    weights[30:] = math.nan  # nobody looks at those of unlabelled rows
    weighted, _ = trained(weights=weights)
    unlabelled, _ = trained(labeled=LABELED[3:], weights=np.where(np.arange(60) < 30, 1.0, 5.0))
    assert equal_weights(weighted, unlabelled)


def test_weights_move_the_training_and_equal_ones_hardly_do():
    plain, _ = trained()
    equal, _ = trained(weights=np.ones(60))
    other, _ = trained(weights=np.arange(1.0, 61.0))
    for one, two in zip(plain.parameters(), equal.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    assert not equal_weights(plain, other)


def test_training_ends_early_where_on_step_says_so():
    method, history = trained(on_step=lambda step, _: step == 3, log_every=1)
    assert history.rows[-1][0] == 3
    assert method.progress == 1.0
    assert not method.training


def test_loss_that_is_not_finite_names_the_step_and_the_remedy():
    data = make_data()
    with pytest.raises(
        FloatingPointError, match=r"the loss is nan at step 3: lower learning_rate \(now 0.0037\)"
    ):
        train(Broken(data.task, data.shapes), data, LABELED, SHORT)


@pytest.mark.parametrize("name", ["robult", "unimodal", "gmc", "action_mae", "prompt_trans"])
def test_without_labels_representations_are_trained_and_prediction_says_so(name):
    data = make_data()
    method, _ = trained(name, data, labeled=np.empty(0, dtype=int))
    with pytest.raises(ValueError, match="trained without labels: it has representations"):
        predict(method, data, data.rows("test"), ("a",))
    inputs = {one: x[:4] for one, x in data.modalities.items()}
    assert all(latent.isfinite().all() for latent in method.latents(inputs).values())
    train(method, data, LABELED, SHORT)
    assert predict(method, data, data.rows("test"), ("a",)).shape == (20, 3)


def test_robult_without_labels_learns_by_its_other_terms():
    _, history = trained(
        labeled=np.empty(0, dtype=int), config=TrainingConfig(steps=60, batch_size=16)
    )
    frame = pd.DataFrame(history.rows, columns=["step", "term", "value"])
    curves = frame.pivot(index="step", columns="term", values="value")
    assert (curves[["supervised_full", "supervised_unimodal", "labeled_contrastive"]] == 0).all(
        axis=None
    )
    for term in ("reconstruction", "unlabeled_contrastive"):
        assert curves[term].iloc[-1] < curves[term].iloc[0]


def test_gradient_routes_are_a_table_of_terms_by_parts():
    data = make_data()
    routes = gradient_routes(
        make_method("unimodal", data.task, data.shapes, width=8),
        make_batch(data, np.arange(9), np.ones(60, dtype=bool)),
    )
    assert list(routes) == ["supervised/a", "supervised/b", "supervised/joint"]
    assert [norms["joint"] > 0 for norms in routes.values()] == [False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps of TrainingConfig is 0: it should be greater than or equal to 1"),
        ({"steps": 1.5}, "steps of TrainingConfig is 1.5"),
        ({"batch_size": -4}, "batch_size of TrainingConfig is -4"),
        ({"learning_rate": 0.0}, "learning_rate of TrainingConfig is 0.0"),
        ({"learning_rate": math.nan}, "learning_rate of TrainingConfig is nan"),
        ({"weight_decay": -0.1}, "weight_decay of TrainingConfig is -0.1"),
        ({"warmup": 1.1}, "warmup of TrainingConfig is 1.1: it should be less than or equal to 1"),
        ({"warmup": -0.1}, "warmup of TrainingConfig is -0.1"),
        ({"gradient_clip": 0.0}, "gradient_clip of TrainingConfig is 0.0"),
        ({"sampling": "all"}, "it should be 'extra_labeled' or 'shuffle'"),
        (
            {"epochs": 3},
            "unknown setting 'epochs' of TrainingConfig: choose from steps, batch_size",
        ),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**options)


# --- what is refused before the first step --------------------------------------------------------


@pytest.mark.parametrize(
    ("labeled", "message"),
    [
        ([0, 45], "labelled row 45 of 'toy' is a test row"),
        (np.arange(60) < 9, "boolean mask"),
        ([-1, 3], "row -1 is not in 'toy'"),
        ([3, 3], "row 3 is named twice"),
    ],
)
def test_labels_that_may_not_be_seen_are_refused(labeled, message):
    before = make_method("robult", make_data().task, make_data().shapes, width=8)
    weights = {name: value.clone() for name, value in before.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        train(before, make_data(), labeled, SHORT)
    assert all(torch.equal(value, weights[name]) for name, value in before.state_dict().items())


def test_a_list_of_labelled_rows_is_served_in_any_order():
    shuffled = LABELED[::-1].tolist()
    assert equal_weights(trained()[0], trained(labeled=shuffled)[0])


def test_data_without_training_rows_is_refused():
    data = make_data()
    only_test = replace(data, split=np.array(["test"] * 60))
    with pytest.raises(ValueError, match="'toy' has no training rows"):
        trained(data=only_test, labeled=[])


def test_a_training_row_without_any_modality_is_refused():
    data = make_data()
    present = torch.ones(2, 60, dtype=torch.bool)
    present[:, 50] = False  # a test row, which training does not read
    trained(data=replace(data, present=present))
    present[:, 17] = False
    with pytest.raises(ValueError, match="sample 17 has no modality left"):
        trained(data=replace(data, present=present))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_outside_is_refused(seed):
    data = make_data()
    with pytest.raises(ValueError, match=f"seed is {seed}"):
        train(make_method("robult", data.task, data.shapes, width=8), data, LABELED, SHORT, seed)


@pytest.mark.parametrize("name", ["robult", "unimodal"])
def test_weights_that_break_in_the_last_step_name_the_rate(name):
    """One step with a huge rate leaves a finite loss behind and weights beyond all numbers."""
    config = TrainingConfig(steps=1, batch_size=16, learning_rate=1e39)
    with pytest.raises(FloatingPointError, match="not finite after step 1: lower learning_rate"):
        trained(name, config=config)


# --- the optimiser --------------------------------------------------------------------------------


def rates(config: TrainingConfig) -> list[float]:
    return [schedule(step, config) for step in range(config.steps)]


def test_the_rate_rises_linearly_and_falls_as_a_cosine():
    seen = rates(TrainingConfig(steps=10, warmup=0.4))
    falling = [0.5 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert seen == pytest.approx([0.25, 0.5, 0.75, 1.0, *falling])


def test_without_warmup_the_first_step_has_the_full_rate():
    assert rates(TrainingConfig(steps=5, warmup=0.0))[0] == 1.0


def test_a_method_has_a_rate_and_a_decay_of_its_own_unless_the_training_says_otherwise(monkeypatch):
    as_it_is = trained()[0]
    own = {"learning_rate": 0.02, "weight_decay": 3.0}
    for name, value in own.items():
        monkeypatch.setattr(Robult, name, value)
    with_its_own = trained()[0]
    said = TrainingConfig(steps=6, batch_size=16, **own)
    monkeypatch.undo()
    assert equal_weights(with_its_own, trained(config=said)[0])
    assert not equal_weights(with_its_own, as_it_is)
    none_at_all = trained(config=TrainingConfig(steps=6, batch_size=16, weight_decay=0.0))[0]
    assert not equal_weights(none_at_all, as_it_is)


@pytest.mark.parametrize(
    "change", [{"gradient_clip": 1e-6}, {"weight_decay": 5.0}, {"warmup": 0.9}], ids=str
)
def test_every_setting_of_the_optimiser_moves_the_weights(change):
    settings = {"steps": 6, "batch_size": 16, "learning_rate": 1e-2}
    plain = trained(config=TrainingConfig(**settings))[0]
    changed = trained(config=TrainingConfig(**settings, **change))[0]
    assert not equal_weights(plain, changed)


def test_another_seed_draws_other_batches():
    config = TrainingConfig(steps=3, batch_size=16)
    one, two = (list(batches(np.arange(200), LABELED, config, seed)) for seed in (0, 1))
    assert not any(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_extra_labelled_rows_are_drawn_anew_for_each_batch():
    config = TrainingConfig(steps=20, batch_size=16)
    drawn = [batch[16:].tolist() for batch in batches(np.arange(200), np.arange(60), config, 0)]
    assert len({row for extra in drawn for row in extra}) > 30
    assert all(len(extra) == 4 for extra in drawn)


def test_run_without_labels_keeps_weights_and_curves_and_no_predictions(tmp_path):
    config = RunConfig(
        "digits", "robult", label_fraction=0.0, training={"steps": 3}, keep_weights=True
    )
    data, store = datasets.load("digits"), Store(tmp_path)
    store.put(key := config.key(data.checksum), *execute(config, data))
    record = store.get(key)
    assert record.metrics.empty
    assert record.predictions().empty
    assert not record.curves().empty
    with pytest.raises(ValueError, match="trained without labels"):
        predict(restore(record, data), data.standardized(), data.rows("test"), ("top_left",))
