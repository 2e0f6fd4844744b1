"""What the latents s, z_i, u_i hold, as maps to look at and as numbers that need no picture; and the weights of Eq. 5 against hidden labels.

Maps: t-SNE (van der Maaten and Hinton 2008) and UMAP of unit vectors, repeatable bit for bit (principal components as start, one thread).
Numbers: linear probes, alignment and uniformity (Wang and Isola 2020), linear CKA (Kornblith et al. 2019), modality gap (Liang et al. 2022).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor

from robult_core.datasets.container import MultimodalData
from robult_core.losses import positive_masks, rbf_weights
from robult_core.method import Batch, Method
from robult_core.training import TrainingConfig, batches, make_batch

Latents = Mapping[str, np.ndarray]
MAPS = {"tsne": "t-SNE", "umap": "UMAP"}
STAGES = (0, 0.025, 0.05, 0.1, 0.25, 0.5, 1)  # of training; denser early, where most happens
RBF = "RBF (Eq. 5)"
WEIGHTS = {  # ways to weigh a pseudo-positive pair: options of `losses.rbf_weights`
    RBF: {},
    "RBF, labelled reference": {"reference": "class"},
    "RBF, fixed width 1": {"bandwidth": 1.0},
    "kernel on the cosine": {"weighting": "cosine"},
    "no weights": {"weighting": "none"},
}
THRESHOLDS = (0.7, 0.9, 0.95)
SAME_SHARE = "confidence, same share"


def stages(steps: int) -> tuple[int, ...]:
    """Steps at which a run of `steps` steps is looked at, 0 (untrained) to the last; notebooks 08 and 09 share runs because they share these."""
    return tuple(dict.fromkeys(round(share * steps) for share in STAGES))


@torch.no_grad()
def collect(method: Method, data: MultimodalData, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Latents by name ("s", "z/text", "u/text", "h/text" …) of complete samples, each `(n, d)` float64, without dropout."""
    method.eval()
    index = torch.from_numpy(np.asarray(rows))
    found = method.latents({name: x[index] for name, x in data.modalities.items()})
    return {name: value.double().numpy() for name, value in found.items()}


def unit(points: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, as the contrastive loss sees them (reading 3); a zero row stays zero."""
    length = np.linalg.norm(points, axis=-1, keepdims=True)
    return points / np.where(length == 0, 1, length)


def embed(points: np.ndarray, kind: str, seed: int = 0) -> np.ndarray:
    """Map `(n, d)` -> `(n, 2)` of the unit vectors, kind "tsne" or "umap". ValueError for another kind or below 5 points."""
    if kind not in MAPS or len(points) < 5:
        raise ValueError(
            f"map {kind!r} of {len(points)} points: choose one of {', '.join(MAPS)} and at least 5 points"
        )
    points, most = unit(points), len(points) - 1
    with threadpool_limits(1):
        if kind == "tsne":
            from sklearn.manifold import TSNE

            model = TSNE(
                perplexity=min(30.0, most / 3), init="pca", max_iter=500, random_state=seed
            )
        else:
            with (
                warnings.catch_warnings()
            ):  # umap tells about an optional backend that is not installed
                warnings.simplefilter("ignore", ImportWarning)
                from umap import UMAP

            # 200 epochs do below 1000 points; a fixed seed implies one job
            model = UMAP(
                n_neighbors=min(15, most), init="pca", n_epochs=200, random_state=seed, n_jobs=1
            )
        return model.fit_transform(points)


def map_frame(
    latents: Latents, rows: np.ndarray, labels: np.ndarray, kind: str, seed: int
) -> pd.DataFrame:
    """One common map of s, all z_i and all u_i: kind, role ("s", "z" or "u"), modality, row, label, x, y."""
    names = [name for name in latents if name[0] in "szu"]
    x, y = embed(np.concatenate([latents[name] for name in names]), kind, seed).T
    role, modality = zip(
        *[(name[0], name[2:] or "all") for name in np.repeat(names, len(rows))], strict=True
    )
    frame = pd.DataFrame(
        {"kind": MAPS[kind], "role": role, "modality": modality, "row": np.tile(rows, len(names))}
    )
    return frame.assign(label=np.tile(labels, len(names)), x=x, y=y)


# Probes: fitted on training rows, judged on test rows -----------------------------------------------------------------


def probe_rows(data: MultimodalData, most: int, seed: int = 0) -> np.ndarray:
    """At most `most` training rows, drawn at random: a file that is sorted by class would leave classes out."""
    return np.random.default_rng(seed).permutation(data.rows("train"))[:most]


def _fit(train: np.ndarray, labels: np.ndarray) -> tuple[Any, float]:
    """Logistic regression on latents divided by ONE number, so that a direction which training shrank stays shrunk for the probe."""
    from sklearn.linear_model import LogisticRegression

    scale = train.std(axis=0).max() or 1.0
    with threadpool_limits(1):
        return LogisticRegression(C=1.0, max_iter=2000, tol=1e-3).fit(train / scale, labels), scale


def probe_accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy of a linear probe from `(n, d)` to `(n,)` labels; ValueError from scikit-learn where `train` has one class."""
    model, scale = _fit(train, train_labels)
    return float(model.score(test / scale, test_labels))


def probe_bits(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Bits that the latent tells a linear probe about the label: H(label) - cross-entropy on `test`, a lower bound of the information.

    At least 0: a probe worse than the label's own distribution has found nothing. Every test label must occur in `train`.
    """
    share = np.unique(test_labels, return_counts=True)[1] / len(test_labels)
    model, scale = _fit(train, train_labels)
    with np.errstate(divide="ignore"):  # a probability of 0 is no bits, not an accident
        log_p = model.predict_log_proba(test / scale)
    log_p = log_p[np.arange(len(test)), np.searchsorted(model.classes_, test_labels)]
    return max(0.0, float(log_p.mean() / np.log(2) - (share * np.log2(share)).sum()))


def modality_probe(train: Latents, test: Latents, role: str) -> float:
    """Accuracy of telling which modality a z ("z") or u ("u") comes from; chance is 1 / M, NaN for M = 1."""
    names = [name for name in train if name.startswith(f"{role}/")]
    if len(names) < 2:
        return float("nan")
    sides = [
        (np.concatenate([x[n] for n in names]), np.repeat(names, len(x[names[0]])))
        for x in (train, test)
    ]
    return probe_accuracy(*sides[0], *sides[1])


def explained(
    train: np.ndarray, train_target: np.ndarray, test: np.ndarray, test_target: np.ndarray
) -> float:
    """R^2 of a ridge regression of one latent on others: 1 where H is determined, the linear face of Objective 2.2."""
    residual = _ridge(train, train_target, test).reshape(test_target.shape) - test_target
    return float(1 - (residual**2).sum() / ((test_target - train_target.mean(0)) ** 2).sum())


def misdirection(
    train: np.ndarray, train_target: np.ndarray, test: np.ndarray, test_target: np.ndarray
) -> float:
    """Mean 1 - cos^2 between a latent and its ridge regression on others: Eq. 10's own measure, 0 where the direction is determined."""
    predicted = _ridge(train, train_target, test).reshape(test_target.shape)
    return float(1 - ((unit(predicted) * unit(test_target)).sum(1) ** 2).mean())


def _ridge(train: np.ndarray, train_target: np.ndarray, test: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import Ridge

    scale = train.std(axis=0).max() or 1.0
    with threadpool_limits(1):
        return Ridge(alpha=1e-2).fit(train / scale, train_target).predict(test / scale)


# Geometry -------------------------------------------------------------------------------------------------------------


def alignment(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared distance of partners, unit rows of `(n, d)` twice; 0 equal, 2 unrelated, 4 opposite."""
    return float(((unit(a) - unit(b)) ** 2).sum(1).mean())


def uniformity(a: np.ndarray) -> float:
    """log mean exp(-2 |x - y|^2) over distinct rows, unit vectors; 0 when all are one point, near -4 when spread out."""
    from scipy.spatial.distance import pdist

    return float(np.log(np.exp(-2 * pdist(unit(a), "sqeuclidean")).mean()))


def linear_cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear CKA of `(n, d)` and `(n, e)`: 1 for equal up to rotation and scale, 0 for linearly unrelated or constant."""
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(a.T @ b) ** 2 / norm) if norm > 0 else 0.0


def modality_gap(a: np.ndarray, b: np.ndarray) -> float:
    """Distance between the centres of two clouds of unit vectors, 0 to 2."""
    return float(np.linalg.norm(unit(a).mean(0) - unit(b).mean(0)))


def describe(
    train: Latents, test: Latents, train_labels: np.ndarray, test_labels: np.ndarray
) -> pd.DataFrame:
    """All these numbers of one model: rows of latent, role, measure, value."""
    rows = [(role, "probe: modality", modality_probe(train, test, role)) for role in ("z", "u")]
    for name in (name for name in test if name[0] in "szu"):
        rows.append(
            (
                name,
                "probe: class",
                probe_accuracy(train[name], train_labels, test[name], test_labels),
            )
        )
        rows.append((name, "uniformity", uniformity(test[name])))
        if name != "s":
            pairs = {
                "alignment to s": alignment,
                "gap to s": modality_gap,
                "CKA with s": linear_cka,
            }
            rows += [
                (name, measure, function(test["s"], test[name]))
                for measure, function in pairs.items()
            ]
    frame = pd.DataFrame(rows, columns=["latent", "measure", "value"])
    return frame.assign(role=frame["latent"].str[0])


def component_bits(
    train: Latents, test: Latents, parts: Mapping[str, np.ndarray], rows: tuple, roles: str
) -> pd.DataFrame:
    """On `pid`: bits that a latent holds about each hidden bit of its own modality and about the other's unique bit.

    train, test: latents of the rows `rows` = (train rows, test rows); parts: `display["components"]`. Rows of latent, role, component, value.
    """
    found = []
    for name in (name for name in test if name[0] in roles and "/" in name):
        own, other = name[-1], {"1": "2", "2": "1"}[name[-1]]
        asked = {
            "redundancy": "redundancy",
            "own unique": f"unique{own}",
            "own half of synergy": f"synergy{own}",
        }
        for label, part in {**asked, "other's unique": f"unique{other}"}.items():
            bits = probe_bits(train[name], parts[part][rows[0]], test[name], parts[part][rows[1]])
            found.append((name, name[0], label, bits))
    return pd.DataFrame(found, columns=["latent", "role", "component", "value"])


# Weights of Eq. 5 against hidden labels -------------------------------------------------------------------------------


@torch.no_grad()
def contrastive_view(method: Method, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    """What Robult's contrastive loss sees of a complete batch of a classification, dropout included (its generator is set to `seed`).

    s `(B, d)`, z `(M, B, d)`, classes and labeled `(B,)`, confidence `(B,)`: largest probability, 1 where the label is given.
    """
    torch.manual_seed(seed)
    latents = method.train().latents(batch.inputs)
    logits = method.c(method.fused_input(latents["h0"], latents["s"]))
    method.eval()
    sure = torch.where(batch.labeled, 1.0, logits.softmax(-1).amax(-1))
    classes = method.task.contrastive_classes(batch.targets, batch.labeled, logits)
    z = torch.stack([latents[f"z/{name}"] for name in method.names])
    return {
        "s": latents["s"],
        "z": z,
        "classes": classes,
        "labeled": batch.labeled,
        "confidence": sure,
    }


def pair_frame(view: Mapping[str, Tensor], truth: Tensor, temperature: float) -> pd.DataFrame:
    """Every pair of B_{1,0} but a sample with itself: modality, anchor, partner, true or not, and its weight after each of `WEIGHTS`.

    truth: `(B,)` hidden classes. `confidence` is the product over both samples, `cosine` that of s_j and z_k.
    """
    s, z, classes, labeled = (view[name] for name in ("s", "z", "classes", "labeled"))
    pairs = positive_masks(classes, labeled)[1].fill_diagonal_(False)
    m, j, k = where = pairs.expand(len(z), -1, -1).nonzero(as_tuple=True)
    columns = {
        "modality": m,
        "anchor": j,
        "partner": k,
        "labelled anchor": labeled[j],
        "true": truth[j] == truth[k],
    }
    columns["confidence"] = view["confidence"][j] * view["confidence"][k]
    columns["cosine"] = F.cosine_similarity(s[j], z[m, k], dim=-1)
    for name, options in WEIGHTS.items():
        columns[name] = rbf_weights(s, z, classes, labeled, temperature=temperature, **options)[
            where
        ]
    return pd.DataFrame({name: value.numpy() for name, value in columns.items()})


def inspection_batch(
    data: MultimodalData, labeled_rows: np.ndarray, seed: int, count: int = 1
) -> list[tuple[Batch, Tensor]]:
    """Batches as training draws them, each with the hidden classes `(B,)` of its samples."""
    known = np.isin(np.arange(len(data)), labeled_rows)
    drawn = batches(data.rows("train"), np.sort(labeled_rows), TrainingConfig(steps=count), seed)
    return [
        (make_batch(data, rows, known), data.task.label_classes(data.targets[rows]))
        for rows in drawn
    ]


def judge(pairs: pd.DataFrame) -> pd.DataFrame:
    """How well each weight finds the false pairs: rows of weight, measure, value.

    AUROC and average precision of 1 - weight as a detector of false pairs (knowing nothing gives 0.5 and the share of false pairs); NaN where
    all pairs are of one kind. precision: share of true pairs by weight; kept: mean weight. Confidence counts as it is, cut at `THRESHOLDS`, and
    cut where it keeps as large a share as the RBF weight does.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    weights = {
        name: pairs[name].to_numpy(dtype=float) for name in (*WEIGHTS, "confidence", "cosine")
    }
    false, rows = ~pairs["true"].to_numpy(), []
    for name, weight in weights.items():
        for measure, score in (
            ("AUROC", roc_auc_score),
            ("average precision", average_precision_score),
        ):
            rows.append((name, measure, score(false, -weight) if 0 < false.mean() < 1 else np.nan))
    sure, share = weights["confidence"], weights[RBF].mean() if len(pairs) else 0.0
    cuts = {f"confidence > {cut}": (sure > cut).astype(float) for cut in THRESHOLDS}
    if len(pairs):
        cuts[SAME_SHARE] = (sure >= np.quantile(sure, 1 - share)).astype(float)
    for name, weight in ({name: weights[name] for name in WEIGHTS} | cuts).items():
        precision = weight[~false].sum() / weight.sum() if weight.sum() else np.nan
        rows += [
            (name, "precision", precision),
            (name, "kept", weight.mean() if len(weight) else np.nan),
        ]
    return pd.DataFrame(rows, columns=["weight", "measure", "value"])
