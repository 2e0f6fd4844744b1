"""Robult: the method, its losses and its rivals, from raw arrays to predictions.

    losses           Eq. 2 to 7 and 10 as pure functions; fused_loss is their fast form, which
                     training takes
    model            Robult: f, g, r, c of Fig. 3
    method           the interface of all methods; methods holds the baselines and the controls
    encoders         the networks that all methods share
    tasks            what an output means: supervised losses, decoding, metrics
    datasets         every data set in one container
    protocol         who is labelled, and which modalities are there
    training         one loop for all methods; distributed makes it that of several ranks, and
                     optimizer is its AdamW
    evaluation       predictions and metrics for every availability pattern
    estimators       scikit-learn's manner of all this; multimodal is what the three share, on
                     inputs and targets (both on arrays), own_encoders, standardization,
                     calibration, shapley and saved_models
    information      partial information decomposition
    checks           what rows, seeds, shares and patterns must be; validation does so for settings
    atomic           files that are written whole

Reading n is row n of the table "Where the paper is ambiguous" in notebook 03. The study over the
core (runs, tables, figures, notebooks) is the package `robult_study`.
"""

from robult_core.datasets import MultimodalData, available, load
from robult_core.evaluation import evaluate, predict
from robult_core.losses import latent_reconstruction_loss, rbf_weights, soft_pu_loss
from robult_core.methods import METHODS, make_method
from robult_core.model import Robult, RobultConfig
from robult_core.protocol import label_split, patterns, random_missing
from robult_core.tasks import Classification, Multilabel, Regression
from robult_core.training import TrainingConfig, train

__version__ = "0.3.0"

__all__ = [
    "METHODS",
    "Classification",
    "Multilabel",
    "MultimodalData",
    "Regression",
    "Robult",
    "RobultConfig",
    "TrainingConfig",
    "available",
    "evaluate",
    "label_split",
    "latent_reconstruction_loss",
    "load",
    "make_method",
    "patterns",
    "predict",
    "random_missing",
    "rbf_weights",
    "soft_pu_loss",
    "train",
]
