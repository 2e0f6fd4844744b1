"""The tables of notebook 03 about one batch."""

from __future__ import annotations

import pytest
import torch

from robult_core.datasets import load
from robult_core.losses import soft_pu_anchor_terms, soft_pu_loss
from robult_study.results import one_batch


@pytest.fixture(scope="module")
def seen():
    data = load("digits").standardized()
    return one_batch.untrained(data, 0).eval(), one_batch.first_batch(data, 0)


def test_the_batch_is_that_of_training(seen):
    _, batch = seen
    assert len(batch) == 72
    assert int(batch.labeled.sum()) >= 8


def test_every_tensor_of_the_forward_pass(seen):
    table = one_batch.forward_table(*seen).set_index("what")["shape"]
    assert table["x (top_left)"] == "72 x 16"
    assert table["r(u, z)"] == "4 x 72 x 128"
    assert table["c(h0)"] == "72 x 10"


def test_the_means_over_anchors_are_those_of_the_loss(seen):
    model, batch = seen
    latents = model.latents(batch.inputs)
    s, z = latents["s"], one_batch.stacked(model, latents, "z")
    classes = model.task.contrastive_classes(batch.targets, batch.labeled, model.c(latents["h0"]))
    pairs = (s, z, classes, batch.labeled)
    labeled_terms, unlabeled_terms, _ = soft_pu_anchor_terms(*pairs)
    table = one_batch.anchor_table(labeled_terms, unlabeled_terms, batch.labeled)
    loss = soft_pu_loss(*pairs)
    whole = table.set_index("anchors").loc["all"]
    assert whole["mean of Eq. 4"] == pytest.approx(loss.labeled.item(), rel=1e-5)
    assert whole["mean of Eq. 6"] == pytest.approx(loss.unlabeled.item(), rel=1e-5)
    assert table["number"].iloc[:2].sum() == table["number"].iloc[2]


def test_equation_7_weighs_labelled_pairs_by_anchors_and_not_by_pairs():
    """Two labelled samples of four of a class: 4 of 16 pairs, 2 of 4 anchors; 1/2 over 1/3."""
    known = torch.tensor([True, True, False, False])
    labeled_pairs = known[:, None] & known
    sentence = one_batch.split_sentence(labeled_pairs, ~labeled_pairs)
    assert "is 0.250 among" in sentence
    assert "50% of the anchors have a term in Eq. 4 and 100% in Eq. 6" in sentence
    assert "weighs 1.5 times as much" in sentence


def test_terms_weights_and_routes(seen):
    model, batch = seen
    terms = one_batch.terms_table(model, batch, {"reconstruction": torch.tensor(0.5)})
    terms = terms.set_index("term")
    assert terms.loc["reconstruction", "by hand, without weight"] == "0.500"
    assert terms.loc["supervised_full", "by hand, without weight"] == one_batch.NOT_BY_HAND
    assert terms.loc["unlabeled_contrastive", "of which weight"] == model.config.unlabeled_weight
    routes = one_batch.routes_text(one_batch.routes(model, batch))
    assert routes.loc["r", "supervised_full"] == "–"
    assert routes.loc["r", "reconstruction"] != "–"


def test_settings_are_numbers_of_both_configurations():
    table = one_batch.settings_table(7).set_index("setting")["value"]
    assert table["training: steps"] == "7"
    assert table["training: learning_rate"] == "0.0037"
    assert table["Robult: temperature"] == "0.27"
