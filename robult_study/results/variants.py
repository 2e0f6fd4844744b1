"""Named variants: the ablations of Table 3, switches of the readings, parts of the distillation.

A variant differs from the defaults of its method in a few settings. `plans` turns variants into
runs, and the name of a variant becomes the tag of its runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from robult_core.model import RobultConfig

ABLATIONS = {  # names in Table 3's CSV -> the loss weight that is 0
    "no_supervised": "supervised_weight",
    "no_reconstruction": "reconstruction_weight",
    "no_labeled": "labeled_weight",
    "no_unlabeled": "unlabeled_weight",
}


@dataclass(frozen=True)
class Variant:
    """A name and what differs from the defaults of a method, mostly of Robult.

    hyper and training: settings of the method and of the training loop. post: "logistic" fits a
    linear model on the vectors that the classifier sees.
    """

    group: str
    name: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    post: str = ""
    method: str = "robult"


class Switch(NamedTuple):
    """A choice that the paper leaves open, and the values other than the default."""

    group: str
    setting: str
    values: tuple[Any, ...]


# The one list of switches; the number is the reading in the design.
METHOD_SWITCHES = (
    Switch("architecture", "combine", ("concat",)),  # 11
    Switch("architecture", "full_input", ("s",)),  # 12
    Switch("architecture", "fusion", ("latents",)),  # 13
    Switch("architecture", "width", (64, 256)),  # 16
    Switch("architecture", "bottleneck", (128, 16)),
    Switch("gradients", "reconstruction_updates", ("f",)),  # 14
    Switch("gradients", "weight_gradient", (True,)),  # 8
    Switch("weights", "weighting", ("none", "hard", "cosine")),  # 7
    Switch("weights", "bandwidth", (1.0,)),  # 7
    Switch("weights", "reference", ("class",)),  # 6
    Switch("weights", "normalizer", ("weights",)),  # 10
    Switch("contrast", "labeled_candidates", ("labeled",)),  # 24
    Switch("contrast", "temperature", (0.1, 0.2, 0.5, 1.0)),  # 16
)
TRAINING_SWITCHES = (Switch("batches", "sampling", ("shuffle",)),)  # 22


def switches() -> list[Variant]:
    """One variant per switch and value; a value that is the default by now is left out."""
    default = RobultConfig()
    variants = []
    for group, setting, values in METHOD_SWITCHES:
        for value in values:
            if value != getattr(default, setting):
                variants.append(Variant(group, f"{setting} {value}", hyper={setting: value}))
    for group, setting, values in TRAINING_SWITCHES:
        for value in values:
            variants.append(Variant(group, f"{setting} {value}", training={setting: value}))
    return variants


def without(group: str, name: str, *weights: str) -> Variant:
    """The variant in which the weights of these losses are 0."""
    return Variant(group, name, dict.fromkeys(weights, 0.0))


def term(name: str) -> Variant:
    """An ablation of Table 3; without L_sup the classifier is a logistic regression."""
    post = "logistic" if name == "no_supervised" else ""
    return Variant("loss terms", name, {ABLATIONS[name]: 0.0}, post=post)


DEFAULT = Variant("", "robult")
TERMS = tuple(term(name) for name in ABLATIONS)
NO_CONTRAST = without("loss terms", "no L_lb, no L_ulb", "labeled_weight", "unlabeled_weight")
# L_lb alone, where v compares labelled samples only (reading 24)
LABELED_ONLY = Variant(
    "loss terms",
    "no L_ulb, labelled candidates",
    {"unlabeled_weight": 0.0, "labeled_candidates": "labeled"},
)
# Eq. 6 with every weight of Eq. 5 at 1; one of the switches
NO_RBF = Variant("weights", "weighting none", {"weighting": "none"})
# what the paper's silence about weights suggests
EQUAL_WEIGHTS = Variant("loss terms", "all weights 1", dict.fromkeys(ABLATIONS.values(), 1.0))
# the same runs under the names that notebook 04 uses
NO_PSEUDO_LABELS = replace(term("no_unlabeled"), group="noise", name="no L_ulb")
NO_ALIGNMENT = replace(NO_CONTRAST, group="noise", name="no L_PU")


def narrow(units: int) -> tuple[Variant, Variant]:
    """g_i and g_0 through a layer of so many ReLU units, with L_rec and without."""
    name = f"bottleneck {units}"
    hyper = {"bottleneck": units}
    without_loss = {**hyper, "reconstruction_weight": 0.0}
    return (
        Variant("architecture", name, hyper),
        Variant("architecture", f"{name}, no L_rec", without_loss),
    )


def _distilled(name: str, method: str = "robult_distilled", **hyper: Any) -> Variant:
    return Variant("distillation", name, hyper, method=method)


DISTILLED = _distilled("robult_distilled")
DISTILLED_CONTROLS = (_distilled("unimodal_distilled", "unimodal_distilled"),)
PARTS = (
    _distilled("no L_kd", distillation_weight=0.0),
    _distilled("no L_sd", self_training_weight=0.0),
    _distilled("no distribution alignment", alignment=False),
    _distilled("no sharpening", sharpening=False),
    _distilled("labels always trusted", labels_for_trust=0.0),
    _distilled("no L_PU beside it", labeled_weight=0.0, unlabeled_weight=0.0),
    _distilled("no L_rec beside it", reconstruction_weight=0.0),
)


def groups(variants: Iterable[Variant]) -> dict[str, str]:
    """Name -> group of each variant."""
    return {variant.name: variant.group for variant in variants}
