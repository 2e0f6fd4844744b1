"""What a reader sees in place of a code name: one table of words for all figures and tables."""

from __future__ import annotations

import re

from robult_core.datasets.pid import COMPONENTS
from robult_study.results.tables import COLUMNS as METHOD_NAMES

PID_PARTS = tuple(COMPONENTS)
PID_NAMES = {
    "redundancy": "redundancy R",
    "unique1": "unique U1",
    "unique2": "unique U2",
    "synergy": "synergy S",
}
ROLE_NAMES = {"s": "s (all modalities)", "z": "z (shared part)", "u": "u (unique part)"}
DATA_SETS = {"utd_mhad": "UTD-MHAD", "mosi": "MOSI"}
MODALITIES = {
    "x1": "$x^1$",
    "x2": "$x^2$",
    "x1+x2": "both",
    "full": "all",
    "pix": "pixel means",
    "fou": "Fourier",
    "fac": "profiles",
    "zer": "Zernike",
    "kar": "Karhunen",
    "mor": "shape",
    "top_left": "top left",
    "top_right": "top right",
    "bottom_left": "bottom left",
    "bottom_right": "bottom right",
}
METRICS = {
    "f1_macro": "macro F1",
    "f1_gmc": "F1 as in GMC",
    "auroc": "AUROC",
    "mae": "mean absolute error",
    "mae, negated": "minus mean\nabsolute error",
    "corr": "correlation",
}
LOSS_TERMS = {
    "supervised_full": "supervised, all modalities",
    "supervised_unimodal": "supervised, one modality",
    "labeled_contrastive": "contrastive, labelled ($L_{lb}$)",
    "unlabeled_contrastive": "contrastive, unlabelled ($L_{ulb}$)",
    "reconstruction": "reconstruction ($L_{rec}$)",
}
VARIANTS = {
    "no_supervised": "without $L_{sup}$",
    "no_reconstruction": "without $L_{rec}$",
    "no_labeled": "without $L_{lb}$",
    "no_unlabeled": "without $L_{ulb}$",
    "no_weights": "without weights",
    "(1) no L_sup": "without $L_{sup}$",
    "(2) no L_rec": "without $L_{rec}$",
    "(3) no L_lb": "without $L_{lb}$",
    "(4) no L_ulb": "without $L_{ulb}$",
    "no L_lb, no L_ulb": "neither contrastive loss",
    "with L_rec": "with $L_{rec}$",
    "without L_rec": "without $L_{rec}$",
    "combine concat": "u and z side by side, not summed",
    "full_input s": "classifier reads s, not $h_0$",
    "fusion latents": "$f_0$ fuses the $h_i$, not the inputs",
    "width 64": "latents of 64 numbers",
    "width 256": "latents of 256 numbers",
    "bottleneck 128": "g through 128 ReLU units",
    "bottleneck 16": "g through 16 ReLU units",
    "reconstruction_updates f": "$L_{rec}$ trains the encoders too",
    "weight_gradient True": "gradients flow through the weights",
    "weighting none": "no weights on pseudo-positives",
    "weighting hard": "weights are 0 or 1",
    "weighting cosine": "kernel on the cosine",
    "bandwidth 1.0": "kernel of fixed width 1",
    "reference class": "class mean as the reference",
    "normalizer weights": "normalised by the sum of weights",
    "labeled_candidates labeled": "labelled samples alone in Eq. 4's sum",
    "no L_ulb, labelled candidates": "without $L_{ulb}$, labelled samples alone in Eq. 4's sum",
    "temperature 0.1": "temperature 0.1",
    "temperature 0.2": "temperature 0.2",
    "temperature 0.5": "temperature 0.5",
    "temperature 1.0": "temperature 1",
    "all weights 1": "every loss with the weight 1",
    "no L_kd": "no teaching of single modalities ($L_{kd}$)",
    "no L_sd": "no teaching of the fused branch ($L_{sd}$)",
    "no distribution alignment": "no distribution alignment",
    "no sharpening": "no sharpening",
    "labels always trusted": "labels always trusted ($k = 1$)",
    "no L_PU beside it": "no $L_{PU}$ beside it",
    "no L_rec beside it": "no $L_{rec}$ beside it",
    "sampling shuffle": "plain shuffled batches",
    "late_fusion probabilities": "late fusion of probabilities",
    "late_fusion confidence": "late fusion by confidence",
}
REMEDIES = {
    "masked": "what a sample has (masked losses)",
    "dropped": "incomplete samples dropped",
    "mean": "filled with the mean",
    "neighbours": "filled from 5 neighbours",
}
MEASURES = {
    "kept": "share of the pairs used",
    "probe: class": "class told\nby a probe",
    "probe: modality": "modality told\nby a probe",
    "uniformity": "uniformity\n(lower: spread out)",
    "alignment to s": "squared distance\nto s (0: equal)",
    "gap to s": "gap to s\n(0: no gap)",
    "CKA with s": "CKA with s\n(1: equal)",
}
AXES = {
    "missing": "missing in training, %",
    "present": "modalities present",
    "labels": "labels known, %",
    "rate": "rate of loss",
    "training.steps": "gradient steps",
}
TABLE_WORDS = METHOD_NAMES | DATA_SETS | MODALITIES | METRICS | LOSS_TERMS | VARIANTS
TABLE_WORDS |= {"data_set": "data set"}
SENTENCE_WORDS = METHOD_NAMES | DATA_SETS | MODALITIES | METRICS
SENTENCE_WORDS |= {name: words for name, words in VARIANTS.items() if name.startswith("no_")}
SENTENCE_NAME = re.compile(
    r"(?<![\w+-])(" + "|".join(map(re.escape, SENTENCE_WORDS)) + r")(?![\w+-])"
)
WORDS = METHOD_NAMES | PID_NAMES | ROLE_NAMES | DATA_SETS | MODALITIES | METRICS | LOSS_TERMS
WORDS |= VARIANTS | REMEDIES | MEASURES | AXES


def in_words(name: object) -> str:
    """What figures print for a code name; an unknown name gets spaces for its underscores."""
    text = str(name)
    return WORDS.get(text, text.replace("_", " "))


def in_text(name: object) -> str:
    """`in_words` on one line and without the marks of a formula, for tables and printed lines."""
    return in_words(name).replace("\n", " ").translate(str.maketrans("", "", "${}"))


def in_sentence(sentence: str) -> str:
    """The sentence with words in place of code names of methods, data sets, patterns and metrics.

    It is meant for sentences that list such names; a word like "full" is one of them.
    """
    return SENTENCE_NAME.sub(lambda name: in_text(name.group()), sentence)


def in_table(name: object) -> object:
    """What tables print for a method, set, pattern, metric, loss or variant; the rest stays.

    Names may be joined by "+", listed with commas, or stand behind "±", as the half of an interval.
    """
    if not isinstance(name, str):
        return name
    if name in TABLE_WORDS:
        return in_text(name)
    for mark in ("± ", ", ", "+"):
        parts = name.split(mark)
        if len(parts) > 1 and TABLE_WORDS.keys() >= {part for part in parts if part}:
            joint = " + " if mark == "+" else mark
            return joint.join(in_text(part) for part in parts)
    return name
