"""Distilled Unimodal: the losses of Unimodal, and those of the teacher on the same logits."""

from __future__ import annotations

import pytest
import torch

from robult_core.method import Batch
from robult_core.methods.distillation import DistillationConfig, Teacher
from robult_core.methods.unimodal import Unimodal, UnimodalConfig
from robult_core.methods.unimodal_distilled import UnimodalDistilled, UnimodalDistilledConfig
from robult_core.tasks import Classification, Multilabel, Regression

SPECS = {"text": (6,), "audio": (4,)}
TARGETS = {
    "classification": torch.arange(8) % 3,
    "regression": torch.linspace(-3, 3, 8),
    "multilabel": (torch.arange(32).reshape(8, 4) % 3 == 0).long(),
}
LABELED = torch.arange(8) < 3
TASKS = (Classification(3), Regression(), Multilabel(4))
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)


def make(task, kind=UnimodalDistilled, config=UnimodalDistilledConfig):
    torch.manual_seed(0)
    method = kind(task, SPECS, config(width=16, dropout=0.0))
    method.begin(TARGETS[task.kind][LABELED])
    method.progress = 0.5
    return method


def make_batch(task, present=None) -> Batch:
    generator = torch.Generator().manual_seed(3)
    inputs = {name: torch.randn(8, *shape, generator=generator) for name, shape in SPECS.items()}
    return Batch(inputs, TARGETS[task.kind], LABELED, present)


@every_task
def test_it_is_unimodal_and_the_teacher_on_its_logits(task):
    method, batch = make(task), make_batch(task)
    terms = method.loss_terms(batch)
    plain = make(task, Unimodal, UnimodalConfig)
    supervised = plain.loss_terms(batch)
    for name, value in supervised.items():
        torch.testing.assert_close(terms[name], value)
    full = plain._joint_logits(batch.inputs)
    unimodal = torch.stack([plain._unimodal_logits(name, batch.inputs) for name in SPECS])
    teacher = Teacher(task, DistillationConfig())
    teacher.begin(TARGETS[task.kind][LABELED], torch.device("cpu"))
    taught = teacher.loss_terms(full, unimodal, batch, progress=0.5)
    assert terms.keys() == supervised.keys() | taught.keys()
    for name, value in taught.items():
        torch.testing.assert_close(terms[name], value)
        assert value > 0


@every_task
def test_what_a_sample_lacks_moves_nothing(task):
    present = torch.ones(2, 8, dtype=torch.bool)
    present[1, 3:6] = False
    batch = make_batch(task, present)
    terms = make(task).loss_terms(batch)
    changed = {name: x.clone() for name, x in batch.inputs.items()}
    changed["audio"][3:6] = 100.0
    again = make(task).loss_terms(Batch(changed, batch.targets, batch.labeled, present))
    for name, value in terms.items():
        assert torch.equal(again[name], value)


def test_without_any_label_nothing_is_taught():
    method = make(Classification(3))
    method.saw_labels = False
    batch = make_batch(Classification(3))
    unlabeled = Batch(batch.inputs, batch.targets, torch.zeros(8, dtype=torch.bool))
    assert all(name.startswith("supervised/") for name in method.loss_terms(unlabeled))
