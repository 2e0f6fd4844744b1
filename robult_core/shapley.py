"""What each modality adds to an answer: Shapley values over modalities (Shapley 1953).

They are exact, because a fitted method predicts from every subset of modalities, so the value of
each coalition is simply measured: 2^M predictions for M modalities, which is why M is at most 10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import numpy as np

MOST = 10  # modalities; 2^10 predictions a sample


def shapley_values(
    value: Callable[[tuple[str, ...]], np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """The Shapley value of each player `names`; they add up to `value(all) - value(())`.

    value: from a coalition, a tuple in the order of `names`, to an array of any shape.
    Raises ValueError for more than 10 players.
    """
    names = tuple(names)
    if len(names) > MOST:
        raise ValueError(
            f"{len(names)} modalities have {2 ** len(names)} subsets: exact values are computed "
            f"for at most {MOST}, so explain fewer modalities at once"
        )
    subsets = [subset for size in range(len(names) + 1) for subset in combinations(names, size)]
    values = {subset: value(subset) for subset in subsets}
    return {name: _value_of(name, names, values) for name in names}


def _value_of(
    name: str, names: tuple[str, ...], values: dict[tuple[str, ...], np.ndarray]
) -> np.ndarray:
    """The mean of what a player adds, over all orders in which the players can arrive."""
    total = np.zeros_like(values[()])
    for without, before in values.items():
        if name in without:
            continue
        with_name = tuple(player for player in names if player in without or player == name)
        weight = 1 / (len(names) * comb(len(names) - 1, len(without)))
        total = total + weight * (values[with_name] - before)
    return total
