"""Robult, thin: every file one idea. This table of contents is also the import surface; a name is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_CONTENTS = {
    "losses": ["soft_pu_loss", "rbf_weights", "latent_reconstruction_loss"],  # Eq. 4-7 and 10 as pure functions
    "model": ["Robult", "RobultConfig"],  # f, g, r, c
    "tasks": ["Classification", "Regression", "Multilabel"],  # loss, contrastive class, decoding, metrics
    "encoders": ["make_encoder"],  # one encoder per modality, alike for all methods
    "methods": ["METHODS", "make_method"],  # Robult and the paper's baselines behind one interface
    "datasets": ["load", "available", "CATALOGUE", "MultimodalData"],  # every data set in one container
    "protocol": ["label_split", "patterns", "random_missing"],  # who is labelled, which modalities are there
    "training": ["TrainingConfig", "train"],  # one loop for all methods
    "distributed": ["gather"],  # the in-batch loss over several ranks
    "evaluation": ["evaluate", "predict"],  # predictions from every subset of modalities
    "run": ["RunConfig"],  # one run, from configuration to record
    "store": ["Store"],  # records that a kill cannot tear
    "study": ["grid", "run_grid"],  # many runs: cached, parallel, on a cluster
    "statistics": [],  # intervals over seeds, ranks, critical differences
    "information": [],  # partial information decomposition
    "latents": [],  # what the representations hold
    "search": [],  # hyper-parameters, chosen on validation rows
    "tables": [],  # our numbers beside the paper's
    "ablations": [],  # variants of Robult, and what a switch changes
    "claims": [],  # every claim of the paper, with two verdicts
    "widgets": [],  # dials that answer at once
    "settings": ["start", "Settings"],  # what every notebook starts from
    "plots": [],  # every figure, one function each
    "environment": [],  # git state, versions, hardware
    "reproduce": [],  # all notebooks in order, a report over them, publication
    "publish": [],  # a whole run into reports/ and figures/
    "export": [],  # a notebook as one HTML file that needs no network
}
_HOME = {name: module for module, names in _CONTENTS.items() for name in names}
__all__ = sorted({*_HOME, *_CONTENTS})


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _CONTENTS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
