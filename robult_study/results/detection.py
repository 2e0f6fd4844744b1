"""How well the weights of Eq. 5 find false pairs, over training: the tables of notebook 09."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from robult_core.datasets import MultimodalData, load
from robult_core.method import Method
from robult_study.results import pairs as pseudo_pairs
from robult_study.results.intervals import count_verdicts, paired, summarize, with_star
from robult_study.results.layout import listed
from robult_study.results.pairs import LABELED_REFERENCE, RBF, SAME_SHARE, THRESHOLDS, UNWEIGHTED
from robult_study.results.scores import SINGLE
from robult_study.results.variants import DEFAULT, NO_RBF
from robult_study.runs.configuration import RunConfig
from robult_study.runs.execution import restore
from robult_study.runs.grid import keys
from robult_study.runs.store import Store

ANCHORS = ("all", "labelled", "unlabelled")
DETECTORS = ("AUROC", "average precision")
KEPT = (RBF, UNWEIGHTED, SAME_SHARE, *(f"confidence > {cut}" for cut in THRESHOLDS))
BEFORE, AFTER = "before training", "after the start"
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


def judged_run(folder: str, key: str, steps: tuple[int, ...], count: int = 8) -> pd.DataFrame:
    """`judged_by_anchor` of a run in a store at the steps after which its weights were kept.

    Columns: weight, measure, value, anchors, data_set, seed, step. count: batches that are drawn.
    """
    record = Store(folder).get(key)
    place = {name: record.config[name] for name in ("data_set", "seed")}
    data = load(place["data_set"]).standardized()
    frames = []
    for step in steps:
        method = restore(record, data, step)
        seen = pairs_of(method, data, record.label_rows, place["seed"], count)
        judged = judged_by_anchor(seen, pseudo_pairs.judge)
        frames.append(judged.assign(**place, step=step))
    return pd.concat(frames, ignore_index=True)


def judged_runs(
    configs: Iterable[RunConfig], store: Store, judge: Callable[..., pd.DataFrame] = judged_run
) -> pd.DataFrame:
    """`judged_run` of those runs whose weights the store has; judge: it, or kept answers of it."""
    frames = []
    _, keyed = keys(configs)
    for key, config in keyed:
        if store.get(key, config.files) is not None:
            frames.append(judge(str(store.folder), key, config.snapshots))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


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
    """Means and intervals over seeds along the training."""
    rows = of_all(judged, measures)
    rows = rows[rows["weight"].isin(weights)]
    return summarize(rows, ["data_set", "measure", "weight", "step"])


def curves_title(table: pd.DataFrame, measure: str, rivals: Sequence[str]) -> str:
    """The measure of the RBF weight and of rivals after training, mean over data sets.

    table: `curves`.
    """
    last = table[table["step"].eq(table["step"].max()) & table["measure"].eq(measure)]
    means = last.groupby("weight")["mean"].mean()
    words = listed(f"{name} {means[name]:.2f}" for name in (RBF, *rivals))
    return f"{measure[0].upper()}{measure[1:]} after training, mean over data sets: {words}"


def histograms_title(pairs: pd.DataFrame) -> str:
    """The mean RBF weight of true and of false pairs at the first and at the last step.

    pairs: those of the first seed, which the title says.
    """
    means = pairs.groupby(["step", "true"])[RBF].mean()
    first, last = pairs["step"].min(), pairs["step"].max()
    return (
        f"Mean weights, first seed: true {means[first, True]:.2f}, false "
        f"{means[first, False]:.2f} before training; true {means[last, True]:.2f}, false "
        f"{means[last, False]:.2f} after"
    )


def references_title(table: pd.DataFrame) -> str:
    """AUROC of both references for unlabelled anchors before training.

    table: `by_reference`.
    """
    rows = table[table["anchors"].eq("unlabelled") & table["moment"].eq(BEFORE)]
    means = rows.groupby("weight")["mean"].mean()
    return (
        f"Unlabelled anchors before training: AUROC {means[RBF]:.2f} of {RBF}, whose reference is "
        f"the own pair, {means[LABELED_REFERENCE]:.2f} of {LABELED_REFERENCE}"
    )


def by_reference(judged: pd.DataFrame, steps: int) -> pd.DataFrame:
    """AUROC of the weights by kind of anchor, before, during and after a training of `steps`."""
    weights = [name for name in pseudo_pairs.WEIGHTS if name != UNWEIGHTED]
    rows = judged[judged["measure"].eq("AUROC") & judged["weight"].isin(weights)]
    step = rows["step"]
    moments = [step == 0, step == steps]
    rows = rows.assign(moment=np.select(moments, [BEFORE, "after training"], "during training"))
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


def matrices_title(means: pd.DataFrame) -> str:
    """By how much true pairs weigh more than false ones; means: `mean_weights`."""
    more = means.loc["true"] - means.loc["false"]
    return (
        f"In {(more > 0).sum()} of {len(more)} settings true pairs weigh more than false ones in "
        f"the mean; the differences go from {more.min():+.2f} to {more.max():+.2f}"
    )


# Verdict -----------------------------------------------------------------------------------------


def by_moment(judged: pd.DataFrame) -> pd.DataFrame:
    """Values over all anchors before training, and their means over all later steps.

    The columns are data_set, moment, seed, weight, measure and value.
    """
    rows = judged[judged["anchors"] == "all"]
    rows = rows.assign(moment=np.where(rows["step"] == 0, BEFORE, AFTER))
    by = ["data_set", "moment", "seed", "weight", "measure"]
    return rows.groupby(by, sort=False)["value"].mean().reset_index()


def against_rivals(means: pd.DataFrame) -> pd.DataFrame:
    """The RBF weight minus each of `RIVALS`, paired by seed; means: `by_moment`."""
    tables = []
    for measure, rivals in RIVALS.items():
        rows = means[means["measure"] == measure]
        for rival in rivals:
            table = paired(rows, RBF, rival, by=["data_set", "moment"], column="weight")
            tables.append(table.assign(measure=measure, rival=rival))
    compared = pd.concat(tables, ignore_index=True)
    words = {"better": "RBF better", "worse": "RBF worse", "undecided": "no difference seen"}
    verdict = compared["verdict"].map(words)
    columns = ["data_set", "measure", "rival", "moment", "difference", "low", "high", "n"]
    return compared.assign(verdict=verdict)[[*columns, "verdict"]]


def verdict_lines(means: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    """What the comparison says, a sentence per question; compared: `against_rivals`."""
    lines = [_levels(means, moment) for moment in (BEFORE, AFTER)]
    for measure, rivals in RIVALS.items():
        for rival in rivals:
            rows = compared[(compared["measure"] == measure) & (compared["rival"] == rival)]
            counts = [_counted(rows, moment) for moment in (BEFORE, AFTER)]
            lines.append(f"{measure} against {rival}: {'; '.join(counts)}")
    return lines


def _levels(means: pd.DataFrame, moment: str) -> str:
    """The mean AUROC of the RBF weight on each data set at a moment."""
    chosen = means["measure"].eq("AUROC") & means["weight"].eq(RBF) & means["moment"].eq(moment)
    levels = summarize(means[chosen], ["data_set"]).set_index("data_set")["mean"]
    shown = ", ".join(f"{name} {level:.2f}" for name, level in levels.items())
    return f"AUROC of the RBF weight {moment}: {shown}"


def _counted(compared: pd.DataFrame, moment: str) -> str:
    """On how many data sets each verdict was reached at a moment."""
    verdicts = compared.loc[compared["moment"] == moment, "verdict"]
    words = ", ".join(f"{name} on {count}" for name, count in verdicts.value_counts().items())
    return f"{moment} {words} of {len(verdicts)} sets"


def grade(compared: pd.DataFrame, moment: str) -> str:
    """Whether the weights raise the precision of the pseudo-positives, over all data sets."""
    rows = _of_precision(compared, moment)
    better = rows["verdict"] == "RBF better"
    if better.all():
        return "holds"
    return "holds in part" if better.any() else "not shown"


def _of_precision(compared: pd.DataFrame, moment: str) -> pd.DataFrame:
    """The rows that set the precision against no weights at a moment."""
    against = compared["measure"].eq("precision") & compared["rival"].eq(UNWEIGHTED)
    return compared[against & compared["moment"].eq(moment)]


# What accuracy makes of it -----------------------------------------------------------------------


def accuracy_gains(scored: pd.DataFrame) -> pd.DataFrame:
    """Robult with the RBF weights minus without, paired by seed, per data set and view.

    scored: `scores.scores` of the runs of both.
    """
    return paired(scored, DEFAULT.name, NO_RBF.name, ["data_set", "view"], "tag")


def gain_sentence(gains: pd.DataFrame, compared: pd.DataFrame) -> str:
    """What of the gain in precision is seen in accuracy; gains: `accuracy_gains`."""
    precise = _of_precision(compared, AFTER)["verdict"].eq("RBF better")
    single = gains[gains["view"] == SINGLE]
    counts = count_verdicts(single, ["view"]).iloc[0]
    changes = ", ".join(
        f"{name} {change}"
        for name, change in zip(single["data_set"], with_star(single), strict=True)
    )
    return (
        f"precision of the pseudo-positives: better with RBF weights on {precise.sum()} of "
        f"{len(precise)} sets; accuracy of one modality: better on {counts['better']}, undecided "
        f"on {counts['undecided']}, worse on {counts['worse']} of {len(single)} ({changes})"
    )
