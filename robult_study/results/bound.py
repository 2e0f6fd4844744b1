"""The bound I(S, Z) >= log B + E log v of reading 1, checked where the information is known.

S and Z show one of 8 symbols; Z differs from S with a chance `flip`. A critic phi is `ratio` times
larger on equal symbols than on others. In the check of Eq. 4 and 6 the symbol is a class, and S and
Z each show another one with a chance `noise`, independently of each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import binom
from torch import Tensor

from robult_core.losses import SoftPULoss, soft_pu_loss

SYMBOLS = 8
SIZES = 2 ** np.arange(1, 8)
FLIP = 1 / 3  # no temperature that the search tries has the best ratio here
CASES = {"Z equals S in 2 of 3 cases": FLIP, "Z and S independent": 1 - 1 / SYMBOLS}
NOISE = 0.2
SIZE, BATCHES = 64, 200  # of what is drawn
EXACT, PRINTED = "I(S; Z), exact", "Eq. 2 as printed"
ROUNDING = 1e-12
STEP = 50.0  # length of one large gradient step on s


def information(flip: float) -> float:
    """I(S; Z) in nats."""
    equal = (1 - flip) * np.log(1 - flip)
    other = flip * np.log(flip) - flip * np.log(SYMBOLS - 1)
    return float(np.log(SYMBOLS) + equal + other)


def best_ratio(flip: float) -> float:
    """The ratio of the best critic, p(z | s) / p(z) on equal symbols over that on others."""
    return (1 - flip) / flip * (SYMBOLS - 1)


def expected_log_v(ratio: float, size: int, flip: float) -> float:
    """E log v of Eq. 2 for a batch of `size`, exactly."""
    equal = np.arange(size)  # how many of the other candidates show the anchor's symbol
    others = equal * ratio + (size - 1 - equal)
    right = (1 - flip) * np.log(ratio / (ratio + others))
    wrong = flip * np.log(1 / (1 + others))
    return float(binom.pmf(equal, size - 1, 1 / SYMBOLS) @ (right + wrong))


def bound_curves(temperature: float) -> pd.DataFrame:
    """The bound for two critics, and Eq. 2 as printed, by batch size, beside the information.

    The columns are panel, batch size B, curve, nats and `EXACT`.
    """
    rows = []
    for title, flip in CASES.items():
        critics = {
            "bound, best $\\phi$": best_ratio(flip),
            f"bound, temperature {temperature}": np.exp(1 / temperature),
        }
        for size in SIZES:
            values = {
                name: np.log(size) + expected_log_v(ratio, size, flip)
                for name, ratio in critics.items()
            }
            values[PRINTED] = -expected_log_v(best_ratio(flip), size, flip)
            exact = information(flip)
            rows += [(title, size, name, value, exact) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["panel", "batch size B", "curve", "nats", EXACT])


def bound_sentence(curves: pd.DataFrame) -> str:
    """Whether the bound holds everywhere, and where Eq. 2 as printed does not."""
    bounds = curves[curves["curve"].str.startswith("bound")]
    below = bool((bounds["nats"] <= bounds[EXACT] + ROUNDING).all())
    wrong = _printed_above(curves)
    return (
        f"log B + E log v stays below I everywhere: {below}; "
        f"Eq. 2 as printed exceeds I in {wrong.sum()} of {len(wrong)} cases"
    )


def bound_title(curves: pd.DataFrame) -> str:
    """Where Eq. 2 as printed is no bound, and that the panels end below it; curves: all."""
    wrong = _printed_above(curves)
    return (
        f"Eq. 2 as printed exceeds the information in {wrong.sum()} of {len(wrong)} cases (it "
        f"leaves the panels and reaches {curves['nats'].max():.1f} nats)"
    )


def _printed_above(curves: pd.DataFrame) -> pd.Series:
    """For each batch size of each case whether Eq. 2 as printed exceeds the information."""
    printed = curves[curves["curve"] == PRINTED]
    return printed["nats"] > printed[EXACT]


# Draws -------------------------------------------------------------------------------------------


def sampled_losses(temperature: float, flip: float, seed: int) -> np.ndarray:
    """-E log v by the package's loss on drawn batches of one-hot symbols, one partner an anchor."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.arange(SIZE)
    losses = []
    for _ in range(BATCHES):
        s = torch.randint(SYMBOLS, (SIZE,), generator=generator)
        z = _flipped(s, flip, generator)
        losses.append(_loss(s, z, own, own >= 0, temperature).labeled.item())
    return np.array(losses)


def sampled_sentence(losses: np.ndarray, temperature: float, flip: float) -> str:
    """The drawn mean beside the exact one."""
    exact = -expected_log_v(np.exp(1 / temperature), SIZE, flip)
    return f"-E log v at B = {SIZE}: package {_with_half(losses)}, exact {exact:.3f}"


def class_losses(temperature: float, noise: float, seed: int) -> dict[str, np.ndarray]:
    """Eq. 4 where every label is known, and Eq. 6 where none is and all pseudo-labels are right.

    The package's losses on the same drawn batches; the positives are all samples of the class.
    """
    generator = torch.Generator().manual_seed(seed)
    known = torch.ones(SIZE, dtype=torch.bool)
    labeled, unlabeled = [], []
    for _ in range(BATCHES):
        classes = torch.randint(SYMBOLS, (SIZE,), generator=generator)
        s = _flipped(classes, noise, generator)
        z = _flipped(classes, noise, generator)
        labeled.append(_loss(s, z, classes, known, temperature).labeled.item())
        unlabeled.append(_loss(s, z, classes, ~known, temperature).unlabeled.item())
    return {"Eq. 4": np.array(labeled), "Eq. 6": np.array(unlabeled)}


def class_flip(noise: float) -> float:
    """The chance that s and z of one class show different symbols."""
    both_right = (1 - noise) ** 2
    same_wrong = noise**2 / (SYMBOLS - 1)
    return 1 - both_right - same_wrong


def class_sentences(
    losses: Mapping[str, np.ndarray], temperature: float, noise: float
) -> list[str]:
    """Eq. 4 beside the exact value for one partner, and both equations against the information."""
    flip = class_flip(noise)
    exact = -expected_log_v(np.exp(1 / temperature), SIZE, flip)
    known = information(flip)
    drawn = _with_half(losses["Eq. 4"])
    sentences = [f"Eq. 4, partners by class: package {drawn}, exact for one partner {exact:.3f}"]
    for name, values in losses.items():
        bounds = np.log(SIZE) - values
        sentences.append(
            f"log B minus {name} is {_with_half(bounds)}, below I = {known:.3f}: "
            f"{bounds.mean() <= known}"
        )
    return sentences


def _flipped(symbols: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """The symbols, each replaced with a chance by one of the others."""
    is_moved = torch.rand(symbols.shape, generator=generator) < chance
    shift = torch.randint(1, SYMBOLS, symbols.shape, generator=generator)
    return torch.where(is_moved, (symbols + shift) % SYMBOLS, symbols)


def _loss(s: Tensor, z: Tensor, classes: Tensor, labeled: Tensor, temperature: float) -> SoftPULoss:
    """The package's loss of symbols `(B,)`, each an orthogonal unit vector."""
    one_hot = torch.eye(SYMBOLS)
    return soft_pu_loss(one_hot[s], one_hot[z][None], classes, labeled, temperature=temperature)


def _with_half(values: np.ndarray) -> str:
    """The mean over drawn batches and half of its 95 % interval."""
    half = 1.96 * values.std() / len(values) ** 0.5
    return f"{values.mean():.3f} ± {half:.3f}"


# Signs -------------------------------------------------------------------------------------------


def step_sentences(
    s: Tensor, z: Tensor, classes: Tensor, labeled: Tensor, positives: Tensor, temperature: float
) -> list[str]:
    """What one step down the loss, and down Eq. 4 as printed, does to labelled positives.

    s `(B, d)`, z `(M, B, d)`, classes and labeled `(B,)`, positives `(B, B)` the mask of B_11.
    """
    moving = s.detach().requires_grad_()
    loss = soft_pu_loss(moving, z.detach(), classes, labeled, temperature=temperature)
    (slope,) = torch.autograd.grad(loss.labeled, moving)
    before = _mean_cosine(s, z, positives)
    sentences = []
    for sign, name in ((1, "loss -E log v"), (-1, "Eq. 4 as printed")):
        after = _mean_cosine(s - sign * STEP * slope, z, positives)
        sentences.append(
            f"one step down the {name}: mean cosine of labelled positives "
            f"{before:.4f} -> {after:.4f}"
        )
    return sentences


def _mean_cosine(s: Tensor, z: Tensor, pairs: Tensor) -> float:
    cosine = torch.einsum("jd,mkd->mjk", F.normalize(s, dim=-1), F.normalize(z, dim=-1))
    return cosine[:, pairs].mean().item()
