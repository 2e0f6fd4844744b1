"""The bound of reading 1 against values by hand and against draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robult_core.losses import positive_masks
from robult_study.results import bound


def test_information_of_equal_and_of_independent_symbols():
    assert bound.information(1 - 1 / bound.SYMBOLS) == pytest.approx(0, abs=1e-12)
    assert bound.information(1e-12) == pytest.approx(np.log(bound.SYMBOLS), abs=1e-9)


def test_a_batch_of_one_has_no_others():
    assert bound.expected_log_v(3.0, 1, 0.0) == pytest.approx(0)


def test_two_candidates_by_hand():
    """The other candidate shows the anchor's symbol with a chance of 1 in 8."""
    ratio = 3.0
    same, different = np.log(ratio / (2 * ratio)), np.log(ratio / (ratio + 1))
    expected = same / 8 + different * 7 / 8
    assert bound.expected_log_v(ratio, 2, 0.0) == pytest.approx(expected)


def test_the_bound_holds_and_the_printed_equation_does_not():
    curves = bound.bound_curves(0.3)
    assert "stays below I everywhere: True" in bound.bound_sentence(curves)
    broken = curves.assign(nats=curves["nats"] + 10 * curves["curve"].str.startswith("bound"))
    assert "stays below I everywhere: False" in bound.bound_sentence(broken)
    printed = curves[curves["curve"] == bound.PRINTED]
    assert printed["nats"].max() > bound.information(bound.FLIP)
    assert bound.bound_title(curves) == (
        "Eq. 2 as printed exceeds the information in 13 of 14 cases (it leaves the panels and "
        "reaches 4.9 nats)"
    )


@pytest.mark.parametrize("temperature", [0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("flip", [*bound.CASES.values(), bound.class_flip(bound.NOISE)])
def test_no_example_has_its_best_ratio_at_a_temperature_of_the_search(flip, temperature):
    """Else the two critics are one by accident, and a bound for the best alone would pass."""
    assert abs(np.log(bound.best_ratio(flip)) - 1 / temperature) > 0.3


def test_draws_agree_with_the_exact_mean():
    losses = bound.sampled_losses(0.3, 1 / 3, seed=0)
    exact = -bound.expected_log_v(np.exp(1 / 0.3), 64, 1 / 3)
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - exact) < 4 * error
    assert f"exact {exact:.3f}" in bound.sampled_sentence(losses, 0.3, 1 / 3)


def test_the_mean_over_a_class_is_the_value_of_one_partner_and_weights_break_the_bound():
    noise = 0.2
    losses = bound.class_losses(0.3, noise, seed=0)
    exact = -bound.expected_log_v(np.exp(1 / 0.3), 64, bound.class_flip(noise))
    error = losses["Eq. 4"].std() / len(losses["Eq. 4"]) ** 0.5
    assert abs(losses["Eq. 4"].mean() - exact) < 4 * error
    about_partner, about_labeled, about_unlabeled = bound.class_sentences(losses, 0.3, noise)
    assert f"exact for one partner {exact:.3f}" in about_partner
    labeled_bound = np.log(64) - losses["Eq. 4"].mean()
    assert f"log B minus Eq. 4 is {labeled_bound:.3f} ± {1.96 * error:.3f}, below" in about_labeled
    assert about_labeled.endswith("True")
    assert about_unlabeled.endswith("False")


def test_two_symbols_of_a_class_differ_where_exactly_one_moved_or_both_moved_apart():
    assert bound.class_flip(0.0) == pytest.approx(0)
    assert bound.class_flip(1.0) == pytest.approx(1 - 1 / 7)
    assert bound.class_flip(7 / 8) == pytest.approx(7 / 8)  # each is uniform then


def test_a_step_down_the_loss_pulls_positives_together():
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(12, 5, generator=generator)
    z = torch.randn(2, 12, 5, generator=generator)
    classes, labeled = torch.arange(12) % 3, torch.ones(12, dtype=torch.bool)
    positives, _ = positive_masks(classes, labeled)
    down, up = bound.step_sentences(s, z, classes, labeled, positives, 0.5)
    before, after = (float(word) for word in down.split(": ")[1].split()[5::2])
    assert after > before
    before, after = (float(word) for word in up.split(": ")[1].split()[5::2])
    assert after < before
