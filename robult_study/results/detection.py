"""How well the weights of Eq. 5 find false pairs, over training: the tables of notebook 09."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from robult_core.datasets import MultimodalData
from robult_core.method import Method
from robult_study.results import pairs as pseudo_pairs
from robult_study.results.intervals import paired, summarize
from robult_study.results.pairs import LABELED_REFERENCE, RBF, SAME_SHARE, THRESHOLDS, UNWEIGHTED

ANCHORS = ("all", "labelled", "unlabelled")
DETECTORS = ("AUROC", "average precision")
KEPT = (RBF, UNWEIGHTED, SAME_SHARE, *(f"confidence > {cut}" for cut in THRESHOLDS))
RIVALS = {  # measure -> what the RBF weight is compared with
    "AUROC": (UNWEIGHTED, "confidence", "cosine", LABELED_REFERENCE),
    "precision": (UNWEIGHTED, SAME_SHARE),
}


def pairs_of(
    method: Method, data: MultimodalData, labeled_rows: Sequence[int], seed: int, count: int
) -> pd.DataFrame:
    """The pseudo-positive pairs of `count` batches, as a trained method sees them."""
    frames = []
    batches = pseudo_pairs.inspection_batches(data, np.asarray(labeled_rows), seed, count)
    for number, (batch, truth) in enumerate(batches):
        view = pseudo_pairs.contrastive_view(method, batch, number)
        frames.append(pseudo_pairs.pair_frame(view, truth, method.config.temperature))
    return pd.concat(frames)


def judged_by_anchor(
    pairs: pd.DataFrame, judge: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """`pairs.judge` of all pairs and of those of labelled and of unlabelled anchors."""
    labeled = pairs["labelled anchor"]
    chosen = {"all": pairs, "labelled": pairs[labeled], "unlabelled": pairs[~labeled]}
    return pd.concat([judge(chosen[name]).assign(anchors=name) for name in ANCHORS])


def shown_steps(steps: Sequence[int]) -> list[int]:
    """The first step, two from the first half of the training, and the last one."""
    early = [step for step in steps[1:-1] if step >= steps[-1] / 20]
    return [steps[0], *early[:2], steps[-1]]


def of_all(judged: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """The judgements over all anchors for some measures."""
    return judged[(judged["anchors"] == "all") & judged["measure"].isin(measures)]


def level_of_use(judged: pd.DataFrame, steps: Sequence[int]) -> pd.DataFrame:
    """The mean RBF weight of all pairs at some steps, with its interval over seeds."""
    kept = of_all(judged, ["kept"])
    chosen = kept[(kept["weight"] == RBF) & kept["step"].isin(steps)]
    return summarize(chosen, ["data_set", "step"])[["data_set", "step", "mean", "half", "n"]]


def curves(judged: pd.DataFrame, measures: Sequence[str], weights: Sequence[str]) -> pd.DataFrame:
    """Means and intervals over seeds along the training; `panel` is data set and measure."""
    rows = of_all(judged, measures)
    rows = rows[rows["weight"].isin(weights)]
    table = summarize(rows, ["data_set", "measure", "weight", "step"])
    return table.assign(panel=table["data_set"] + ": " + table["measure"])


def by_reference(judged: pd.DataFrame, steps: int) -> pd.DataFrame:
    """AUROC of the weights by kind of anchor, before, during and after a training of `steps`."""
    chosen = judged["measure"].eq("AUROC") & judged["weight"].isin(list(pseudo_pairs.WEIGHTS)[:4])
    rows = judged[chosen]
    step = rows["step"]
    moments = [step == 0, step == steps]
    rows = rows.assign(
        moment=np.select(moments, ["before training", "after training"], "during training")
    )
    by = ["data_set", "weight", "anchors", "moment"]
    means = rows.groupby([*by, "seed"], sort=False)["value"].mean().reset_index()
    return summarize(means, by)


# One batch as a matrix ---------------------------------------------------------------------------


def weight_panels(
    view: Mapping[str, Tensor], temperatures: Sequence[float], widths: Sequence[float]
) -> dict[str, np.ndarray]:
    """The weights of the first modality for each temperature and width, `(B, B)` by title.

    A width is in deviations of the anchor's row.
    """
    panels = {}
    for width in widths:
        for temperature in temperatures:
            weights = pseudo_pairs.widened_weights(view, temperature, width)
            panels[f"temperature {temperature}, width {width}"] = weights[0]
    return panels


def mean_weights(
    panels: Mapping[str, np.ndarray], pseudo: np.ndarray, true: np.ndarray
) -> pd.DataFrame:
    """The mean weight of true and of false pairs in each panel."""
    columns = {}
    for name, weights in panels.items():
        columns[name] = [weights[pseudo & true].mean(), weights[pseudo & ~true].mean()]
    return pd.DataFrame(columns, index=pd.Index(["true", "false"], name="pairs"))


# Verdict -----------------------------------------------------------------------------------------


def after_start(judged: pd.DataFrame) -> pd.DataFrame:
    """Means over all steps but the first, per data_set, seed, weight and measure."""
    later = judged[(judged["anchors"] == "all") & (judged["step"] > 0)]
    by = ["data_set", "seed", "weight", "measure"]
    return later.groupby(by, sort=False)["value"].mean().reset_index()


def against_rivals(means: pd.DataFrame) -> pd.DataFrame:
    """The RBF weight minus each of `RIVALS`, paired by seed; means: `after_start`."""
    tables = []
    for measure, rivals in RIVALS.items():
        rows = means[means["measure"] == measure]
        for rival in rivals:
            table = paired(rows, RBF, rival, by=["data_set"], column="weight")
            tables.append(table.assign(measure=measure, rival=rival))
    compared = pd.concat(tables, ignore_index=True)
    words = {"better": "RBF better", "worse": "RBF worse", "undecided": "no difference seen"}
    verdict = compared["verdict"].map(words)
    columns = ["data_set", "measure", "rival", "difference", "low", "high", "n", "verdict"]
    return compared.assign(verdict=verdict)[columns]


def verdict_lines(means: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    """What the comparison says, a sentence per question; compared: `against_rivals`."""
    chance = means[(means["measure"] == "AUROC") & (means["weight"] == RBF)]
    levels = summarize(chance, ["data_set"]).set_index("data_set")["mean"]
    shown = ", ".join(f"{name} {level:.2f}" for name, level in levels.items())
    lines = [f"AUROC of the RBF weight after the start of training: {shown}"]
    for measure, rivals in RIVALS.items():
        for rival in rivals:
            rows = compared[(compared["measure"] == measure) & (compared["rival"] == rival)]
            counts = rows["verdict"].value_counts()
            words = ", ".join(f"{verdict} on {count}" for verdict, count in counts.items())
            lines.append(f"{measure} against {rival}: {words} of {len(rows)} sets")
    return lines


def grade(compared: pd.DataFrame) -> str:
    """Whether the weights raise the precision of the pseudo-positives, over all data sets."""
    rows = compared[(compared["measure"] == "precision") & (compared["rival"] == UNWEIGHTED)]
    better = rows["verdict"] == "RBF better"
    if better.all():
        return "holds"
    return "holds in part" if better.any() else "not shown"
