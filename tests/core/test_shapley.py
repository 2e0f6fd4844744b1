"""Shapley values of games whose answer is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from robult_core.shapley import shapley_values


def test_an_additive_game_gives_every_player_its_own():
    worth = {"a": 1.0, "b": 2.0, "c": -3.0}
    values = shapley_values(
        lambda team: np.array([sum(worth[name] for name in team)]), tuple(worth)
    )
    assert {name: value.item() for name, value in values.items()} == pytest.approx(worth)


def test_a_glove_game_by_hand():
    """One left glove and two right ones: a pair is worth 1; the left one gets two thirds."""
    values = shapley_values(
        lambda team: np.array([float("left" in team and len(team) > 1)]), ("left", "r1", "r2")
    )
    assert values["left"].item() == pytest.approx(2 / 3)
    assert values["r1"].item() == pytest.approx(1 / 6)


def test_against_the_mean_over_all_orders():
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d")
    table: dict[frozenset[str], np.ndarray] = {}

    def value(team):
        return table.setdefault(frozenset(team), rng.standard_normal(3))

    values = shapley_values(value, names)
    orders = list(permutations(names))
    for player in names:
        total = np.zeros(3)
        for order in orders:
            before = order[: order.index(player)]
            total += value((*before, player)) - value(before)
        np.testing.assert_allclose(values[player], total / len(orders))


def test_too_many_players_are_refused():
    with pytest.raises(ValueError, match="11 modalities have 2048 subsets"):
        shapley_values(lambda team: np.zeros(1), [str(number) for number in range(11)])


def test_ten_players_are_served():
    names = [str(number) for number in range(10)]
    values = shapley_values(lambda team: np.array([float("3" in team)]), names)
    assert {name: value.item() for name, value in values.items()} == pytest.approx(
        {name: float(name == "3") for name in names}
    )
