"""Linear probes: what a linear reader can tell from a latent.

All are fitted on training rows and judged on test rows. Sides come as `Side(latent, target)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from robult_core.datasets import MultimodalData
from robult_study.results.latents import Latents, modality_of, of_roles, role_of, unit


class Side(NamedTuple):
    """A latent `(n, d)` and what is asked about it: labels `(n,)` or another latent `(n, e)`."""

    latent: np.ndarray
    target: np.ndarray


def probe_rows(data: MultimodalData, most: int, seed: int = 0) -> np.ndarray:
    """At most `most` training rows.

    They are drawn at random, because a file that is sorted by class would leave classes out.
    """
    return np.random.default_rng(seed).permutation(data.rows("train"))[:most]


# Classes -----------------------------------------------------------------------------------------


def probe_accuracy(train: Side, test: Side) -> float:
    """Accuracy of logistic regression from a latent to labels.

    Raises ValueError, from scikit-learn, where the training side has a single class.
    """
    model, scale = _fit_classifier(train)
    return float(model.score(test.latent / scale, test.target))


def probe_bits(train: Side, test: Side) -> float:
    """Bits that the latent tells a linear probe about the label.

    They are H(label) minus the cross-entropy on the test side, a lower bound of the mutual
    information, and at least 0: a probe worse than the label's own distribution has found nothing.
    Every test label must occur on the training side.
    """
    n_test = len(test.target)
    _, counts = np.unique(test.target, return_counts=True)
    share = counts / n_test
    model, scale = _fit_classifier(train)
    with np.errstate(divide="ignore"):  # a probability of 0 is no bits, not an accident
        log_p = model.predict_log_proba(test.latent / scale)
    column = np.searchsorted(model.classes_, test.target)
    log_p_true = log_p[np.arange(n_test), column]
    entropy = -(share * np.log2(share)).sum()
    return max(0.0, float(log_p_true.mean() / np.log(2) + entropy))


def modality_probe(train: Latents, test: Latents, role: str) -> float:
    """Accuracy of telling which modality a z ("z") or u ("u") comes from.

    Chance is 1 / M. NaN for a single modality.
    """
    names = of_roles(train, [role])
    if len(names) < 2:
        return float("nan")
    return probe_accuracy(_stacked(train, names), _stacked(test, names))


def _stacked(latents: Latents, names: list[str]) -> Side:
    """The latents of several modalities below each other, and the modality of each row."""
    rows = np.concatenate([latents[name] for name in names])
    return Side(rows, np.repeat(names, len(latents[names[0]])))


def _fit_classifier(train: Side) -> tuple[Any, float]:
    from sklearn.linear_model import LogisticRegression

    scale = _scale(train.latent)
    model = LogisticRegression(C=1.0, max_iter=2000, tol=1e-3)
    with threadpool_limits(1):
        return model.fit(train.latent / scale, train.target), scale


def _scale(latent: np.ndarray) -> float:
    """One number for the whole latent: a direction that training shrank stays shrunk."""
    return latent.std(axis=0).max() or 1.0


# Other latents -----------------------------------------------------------------------------------


def explained(train: Side, test: Side) -> float:
    """R^2 of a ridge regression of one latent on others, the linear face of Objective 2.2.

    1 where the target is determined.
    """
    residual = _ridge(train, test) - test.target
    around_mean = test.target - train.target.mean(0)
    return float(1 - (residual**2).sum() / (around_mean**2).sum())


def misdirection(train: Side, test: Side) -> float:
    """Mean 1 - cos^2 between a latent and its ridge regression on others, Eq. 10's own measure.

    0 where the direction is determined.
    """
    cosine = (unit(_ridge(train, test)) * unit(test.target)).sum(1)
    return float(1 - (cosine**2).mean())


def _ridge(train: Side, test: Side) -> np.ndarray:
    from sklearn.linear_model import Ridge

    scale = _scale(train.latent)
    with threadpool_limits(1):
        model = Ridge(alpha=1e-2).fit(train.latent / scale, train.target)
        return model.predict(test.latent / scale).reshape(test.target.shape)


# Hidden bits of the synthetic data ---------------------------------------------------------------


def component_bits(
    train: Latents,
    test: Latents,
    components: Mapping[str, np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
    roles: str,
) -> pd.DataFrame:
    """On `pid`: the bits that a latent holds about each hidden bit.

    They are those of its own modality and, as a control, the other's unique bit; s is asked about
    those of either modality. train and test: latents of the training and test rows `rows`;
    components: `display["components"]` of the data. Columns: latent, role, component, value.
    """
    values = []
    for name in of_roles(test, roles):
        for question, component in _questions(name):
            bits = components[component]
            value = probe_bits(Side(train[name], bits[rows[0]]), Side(test[name], bits[rows[1]]))
            values.append((name, role_of(name), question, value))
    return pd.DataFrame(values, columns=["latent", "role", "component", "value"])


def _questions(latent: str) -> list[tuple[str, str]]:
    """What is asked of a latent of `pid`, and the name of the component that answers it."""
    if role_of(latent) == "s":  # made of both modalities, so each one's bits are its own
        return [("redundancy", "redundancy"), *_own("1"), *_own("2")]
    own = modality_of(latent)[-1]  # of x1 or x2
    other = {"1": "2", "2": "1"}[own]
    return [("redundancy", "redundancy"), *_own(own), ("other's unique", f"unique{other}")]


def _own(number: str) -> list[tuple[str, str]]:
    return [("own unique", f"unique{number}"), ("own half of synergy", f"synergy{number}")]
