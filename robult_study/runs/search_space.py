"""The grids of the hyper-parameter search: 12 points per method over its most influential settings.

`learning_rate` belongs to the training loop, every other name to the method's configuration. Rates are spread around the common 1e-3.
"""

from __future__ import annotations

SEARCH_SPACE: dict[str, dict[str, list[float]]] = {
    "robult": {
        "learning_rate": [1e-3, 3e-3],
        "temperature": [0.3, 0.5, 1.0],
        "unlabeled_weight": [1.0, 2.0],
    },
    "unimodal": {"learning_rate": [3e-4, 1e-3, 3e-3], "dropout": [0.0, 0.3, 0.5, 0.7]},
    "gmc": {
        "learning_rate": [1e-3, 3e-3],
        "temperature": [0.3, 1.0, 3.0],
        "contrastive_weight": [0.1, 1.0],
    },
    "action_mae": {
        "learning_rate": [1e-3, 3e-3],
        "reconstruction_weight": [0.1, 0.3, 1.0],
        "dropout": [0.3, 0.6],
    },
    "prompt_trans": {
        "learning_rate": [1e-3, 3e-3],
        "stage_one": [0.15, 0.3, 0.5],
        "dropout": [0.0, 0.3],
    },
}
