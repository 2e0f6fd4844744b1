"""Which runs stand behind each notebook.

A notebook runs a plan, and `robult reproduce` adds the plans up to say how long everything takes.
Plans share runs wherever they can: the run of Robult's defaults in notebook 04 is also the base of
every ablation in notebook 06.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from robult_core.datasets import entry, load
from robult_core.methods.sanity import SANITY
from robult_core.protocol import label_split
from robult_study.results import variants
from robult_study.results.latent_bits import READERS, UNTRAINED, WITH, WITHOUT, run_tag
from robult_study.results.metrics import is_regression
from robult_study.results.tables import COLUMNS, CONTENDERS, PAPER_SHARE
from robult_study.results.variants import Variant
from robult_study.runs.configuration import RunConfig
from robult_study.runs.missing import REMEDIES, has_all
from robult_study.settings import Settings

Plan = Callable[[Settings], list[RunConfig]]
SMALL_SETS = ("digits", "cub10", "pid")  # what quick runs look at, the first two that are there
SWEPT = (*CONTENDERS, "linear")  # the methods of notebook 07
SHARES = {  # of the labels, by profile
    "smoke": (0.05, 0.2),
    "quick": (0.01, 0.05, 0.25, 1.0),
    "full": (0.01, 0.05, 0.25, 1.0),
}
# two shares count as different where their numbers of labels differ by more than this part
NEW_LABELS = 0.1
MISSING_SETS = ("cub10", "utd_mhad", "handwritten")  # that lose modalities in training
MISSING_RATES = {"smoke": (0.5,), "quick": (0.3, 0.7), "full": (0.1, 0.3, 0.5, 0.7)}
CALIBRATED_SEEDS = {"smoke": 1, "quick": 1, "full": 5}  # each trains six times (notebook 10)
FEW_SEEDS = 5  # at most, of what looks into one thing
SWEPT_SEEDS = 5  # at most, of shares of labels and switches: half of all runs with ten
SMOKE_SWITCHES = 6  # the smoke profile tries every sixth switch and part of the distillation
# on which every switch is tried: a third of all runs would go into it with six sets
SWITCH_SETS = ("digits", "cub10", "utd_mhad", "mosi")
PART_SETS = ("digits", "cub10", "utd_mhad")  # on which the parts of the distillation are removed
RECONSTRUCTION = {WITH: {}, WITHOUT: {"reconstruction_weight": 0.0}}
MAPS = tuple(READERS)  # what g_i and g_0 can keep, notebook 08
STAGES = (0, 0.025, 0.05, 0.1, 0.25, 0.5, 1)  # of training; denser early, where most happens
PID_SEEDS = 5  # at least; its runs are cheap


# Which data sets are looked at -------------------------------------------------------------------


def studied_sets(settings: Settings) -> tuple[str, ...]:
    """The data sets of notebooks 06 and 07: all of them in full, two small ones in quick."""
    return settings.data_sets if settings.profile == "full" else _small_sets(settings)


def switch_sets(settings: Settings) -> tuple[str, ...]:
    """The data sets on which every switch is tried: in full those of SWITCH_SETS, else one."""
    return _full_or_one(settings, SWITCH_SETS)


def _full_or_one(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """In full those of the data sets that are there, else the one that is looked into."""
    wanted = tuple(name for name in names if name in settings.data_sets)
    return wanted if wanted and settings.profile == "full" else (inspected_set(settings),)


def inspected_set(settings: Settings) -> str:
    """The data set whose models notebook 06 looks into."""
    return _small_sets(settings)[-1]


def _small_sets(settings: Settings) -> tuple[str, ...]:
    small = [name for name in SMALL_SETS if name in settings.data_sets]
    count = 1 if settings.smoke else 2
    return tuple(small or settings.data_sets)[:count]


def noise_case(settings: Settings) -> str | None:
    """A data set with a modality that holds next to nothing, MOSI for its audio, or None."""
    for name in ("mosi", "mosi-tfidf"):
        if name in settings.data_sets:
            return name
    return None


def many_modalities(settings: Settings) -> str:
    """The data set of which notebook 07 shows every subset of modalities."""
    if "handwritten" in settings.data_sets and not settings.smoke:
        return "handwritten"
    return studied_sets(settings)[0]


def latent_sets(settings: Settings) -> list[str]:
    """The data sets of notebook 08, which looks at `pid` apart from them: two, in full all."""
    return _first_and_others(settings, settings.data_sets)


def pair_sets(settings: Settings) -> list[str]:
    """The data sets of notebook 09: classifications, two of them, in full all.

    `pid` is among them only where there is no other second. The list is empty where no data set is
    a classification.
    """
    classes = [name for name in settings.data_sets if entry(name).task.kind == "classification"]
    chosen = _first_and_others(settings, classes)
    if len(chosen) == 1:
        chosen += [name for name in classes if name not in chosen]
    return chosen


def _first_and_others(settings: Settings, candidates: Sequence[str]) -> list[str]:
    if not candidates:
        return []
    first = "digits" if "digits" in candidates else candidates[0]
    others = [name for name in candidates if name not in (first, "pid")]
    others.sort(key=lambda name: name != "cub10")  # a small one comes first
    return [first, *(others if settings.profile == "full" else others[:1])]


# Notebook 03 -------------------------------------------------------------------------------------


def shown_sets(settings: Settings) -> list[str]:
    """The data sets whose trained model notebook 03 shows at work."""
    return [name for name in ("digits", "mosi") if name in settings.data_sets]


def control(settings: Settings) -> list[RunConfig]:
    """Robult, its unimodal control and the linear row; the runs of `shown_run` keep weights."""
    configs = []
    for name in settings.data_sets:
        for method in ("robult", "unimodal", "linear"):
            training = {} if method in SANITY else {"steps": settings.steps}
            for seed in settings.seeds:
                configs.append(RunConfig(name, method, seed, training=training))
    with_weights = [shown_run(settings, name) for name in shown_sets(settings)]
    without_weights = [replace(config, keep_weights=False) for config in with_weights]
    return with_weights + [config for config in configs if config not in without_weights]


def shown_run(settings: Settings, data_set: str) -> RunConfig:
    """Robult's run of the first seed on one of `shown_sets`, with its weights."""
    training = {"steps": settings.steps}
    return RunConfig(data_set, "robult", settings.seed, training=training, keep_weights=True)


# Notebooks 04 and 05 -----------------------------------------------------------------------------


def comparison(settings: Settings) -> list[RunConfig]:
    """Every method and sanity row on every data set; self-training is for classes only."""
    return compare(settings.data_sets, settings.seeds, settings.steps)


def compare(data_sets: Sequence[str], seeds: Sequence[int], steps: int) -> list[RunConfig]:
    """`comparison` on chosen data sets, seeds and steps."""
    configs = []
    for name in data_sets:
        for method in COLUMNS:
            if method == "self_training" and is_regression(name):
                continue
            training = {} if method in SANITY else {"steps": steps}
            for seed in seeds:
                configs.append(RunConfig(name, method, seed, training=training, tag=method))
    return configs


def runs_for_claims(settings: Settings) -> list[RunConfig]:
    """The runs to which the paper's claims are put.

    They are all methods, the ablations of Table 3, and Robult without the weights of Eq. 5.
    """
    sets, seeds, steps = settings.data_sets, settings.seeds, settings.steps
    ablated = vary(variants.TERMS, sets, seeds, steps)
    unweighted = vary([variants.NO_RBF], sets, seeds[:FEW_SEEDS], steps)
    return comparison(settings) + ablated + unweighted


def noise(settings: Settings) -> list[RunConfig]:
    """On `noise_case`: the controls, Robult, and Robult without parts of its alignment.

    Without such a data set there are no runs.
    """
    case = noise_case(settings)
    if case is None:
        return []
    controls = ("linear", "unimodal", "robult")
    configs = compare([case], settings.seeds, settings.steps)
    configs = [config for config in configs if config.method in controls]
    off = [variants.NO_PSEUDO_LABELS, variants.NO_ALIGNMENT]
    return configs + vary(off, [case], settings.seeds, settings.steps)


def equal_weights(settings: Settings) -> list[RunConfig]:
    """Robult as searched, and with the weight 1 for each of its losses."""
    chosen = [variants.DEFAULT, variants.EQUAL_WEIGHTS]
    return vary(chosen, settings.data_sets, settings.seeds, settings.steps)


# Notebook 06 -------------------------------------------------------------------------------------


def vary(
    chosen: Iterable[Variant], data_sets: Sequence[str], seeds: Sequence[int], steps: int
) -> list[RunConfig]:
    """The runs of variants, tagged with the variant's name."""
    configs = []
    for variant in chosen:
        training = {"steps": steps, **variant.training}
        for name in data_sets:
            for seed in seeds:
                config = RunConfig(
                    name,
                    variant.method,
                    seed,
                    hyper=variant.hyper,
                    training=training,
                    post=variant.post,
                    tag=variant.name,
                )
                configs.append(config)
    return configs


def ablations(settings: Settings) -> list[RunConfig]:
    """GMC, Robult and its ablations, and what the looked-into set needs beyond them.

    The runs of `inspected_run` keep their weights.
    """
    sets, budget = studied_sets(settings), (settings.seeds, settings.steps)
    configs = []
    for name in sets:
        for seed in settings.seeds:
            training = {"steps": settings.steps}
            configs.append(RunConfig(name, "gmc", seed, training=training, tag="gmc"))
    configs += vary([variants.DEFAULT, *variants.TERMS], sets, *budget)
    configs += vary([variants.NO_CONTRAST, variants.LABELED_ONLY], switch_sets(settings), *budget)
    configs += vary(narrow_maps(settings), [inspected_set(settings)], *budget)
    with_weights = (inspected_set(settings), "robult", settings.seed)
    return [
        replace(config, keep_weights=(config.data_set, config.method, config.seed) == with_weights)
        for config in configs
    ]


def inspected_run(settings: Settings, variant: Variant) -> RunConfig:
    """The run of a variant into whose trained model notebook 06 looks."""
    (config,) = vary([variant], [inspected_set(settings)], [settings.seed], settings.steps)
    return replace(config, keep_weights=True)


def narrow_units(settings: Settings) -> tuple[int, ...]:
    """Units of the narrow g_i and g_0 that notebook 06 compares with linear maps."""
    return (16,) if settings.smoke else (128, 16)


def narrow_maps(settings: Settings) -> list[Variant]:
    """Narrow g_i and g_0 with and without L_rec."""
    chosen = []
    for units in narrow_units(settings):
        chosen += variants.narrow(units)
    return chosen


def chosen_switches(settings: Settings) -> list[Variant]:
    """Every switch of the readings; the smoke profile tries only some of them."""
    return variants.switches()[:: SMOKE_SWITCHES if settings.smoke else 1]


def switches(settings: Settings) -> list[RunConfig]:
    """Robult, Robult without contrastive terms, and every switch with a few seeds."""
    sets, seeds, steps = switch_sets(settings), settings.seeds, settings.steps
    base = vary([variants.DEFAULT, variants.NO_CONTRAST], sets, seeds, steps)
    return base + vary(chosen_switches(settings), sets, seeds[:SWEPT_SEEDS], steps)


def distillation_parts(settings: Settings) -> list[RunConfig]:
    """Distilled Robult, what it stands on, and the same without one part at a time."""
    sets = _full_or_one(settings, PART_SETS)
    parts = variants.PARTS[:: SMOKE_SWITCHES if settings.smoke else 1]
    chosen = [variants.DISTILLED, variants.DEFAULT, *variants.DISTILLED_CONTROLS, *parts]
    return vary(chosen, sets, settings.seeds[:FEW_SEEDS], settings.steps)


# Notebook 07 -------------------------------------------------------------------------------------


def label_shares(settings: Settings) -> list[RunConfig]:
    """Six methods and the linear row at every distinct share of labels."""
    configs = []
    for name in studied_sets(settings):
        for share in distinct_shares(settings, name):
            configs += _swept(settings, name, share, settings.seeds[:SWEPT_SEEDS])
    return configs


def distinct_shares(settings: Settings, data_set: str) -> dict[float, int]:
    """Share of labels -> number of labelled rows, for shares that really differ.

    On a small data set several shares hit the floor of two labels per class. The paper's 5 % is
    kept, and another share only where it differs from each one kept by a tenth.
    """
    data = load(data_set)
    others = [share for share in SHARES[settings.profile] if share != PAPER_SHARE]
    counts: dict[float, int] = {}
    for share in (PAPER_SHARE, *others):
        count = len(label_split(data, share, settings.seed))
        if all(_differs(count, kept) for kept in counts.values()):
            counts[share] = count
    return dict(sorted(counts.items()))


def shares_used(settings: Settings) -> dict[str, dict[float, float]]:
    """Data set -> share that was asked for -> share of the training rows that carry a label, in %.

    On a small data set two labels a class are more than the share that was asked for.
    """
    used = {}
    for name in studied_sets(settings):
        rows = len(load(name).rows("train"))
        counts = distinct_shares(settings, name)
        used[name] = {share: round(100 * count / rows, 1) for share, count in counts.items()}
    return used


def _differs(count: int, other: int) -> bool:
    return abs(count - other) > NEW_LABELS * min(count, other)


def availability(settings: Settings) -> list[RunConfig]:
    """The runs whose predictions for every subset of modalities notebook 07 shows."""
    sets = dict.fromkeys([*studied_sets(settings), many_modalities(settings)])
    configs = []
    for name in sets:
        configs += _swept(settings, name, PAPER_SHARE, settings.seeds)
    return configs


def _swept(
    settings: Settings, data_set: str, share: float, seeds: Sequence[int]
) -> list[RunConfig]:
    training = {"steps": settings.steps}
    configs = []
    for method in SWEPT:
        for seed in seeds:
            configs.append(RunConfig(data_set, method, seed, share, training=training))
    return configs


def missing_sets(settings: Settings) -> tuple[str, ...]:
    """The data sets on which notebook 07 trains with missing modalities: one, in full three."""
    found = tuple(name for name in MISSING_SETS if name in settings.data_sets)
    chosen = found or studied_sets(settings)
    return chosen if settings.profile == "full" else chosen[:1]


def missing_training(settings: Settings) -> list[RunConfig]:
    """Robult trained on samples that lack modalities, with every remedy, tagged with it.

    At rate 0 all remedies are one run. Samples are only dropped where each seed keeps a label.
    """
    configs = []
    for name in missing_sets(settings):
        for rate in (0.0, *MISSING_RATES[settings.profile]):
            for remedy in REMEDIES:
                if remedy != "dropped" or _keeps_labels(settings, name, rate):
                    configs += _with_missing(settings, name, rate, remedy)
    return configs


def _with_missing(settings: Settings, name: str, rate: float, remedy: str) -> list[RunConfig]:
    run = RunConfig(name, "robult", training={"steps": settings.steps}, tag=remedy)
    if rate:
        run = replace(run, missing_in_training=rate, remedy=remedy)
    return [replace(run, seed=seed) for seed in settings.seeds[:FEW_SEEDS]]


def _keeps_labels(settings: Settings, name: str, rate: float) -> bool:
    """Whether a labelled sample keeps every modality, for every seed."""
    data = load(name)
    for seed in settings.seeds[:FEW_SEEDS]:
        labeled = label_split(data, PAPER_SHARE, seed)
        if not np.isin(labeled, has_all(data, rate, seed)).any():
            return False
    return True


def loss_rates(settings: Settings) -> np.ndarray:
    """The rates at which modalities go missing at random in notebook 07."""
    return np.linspace(0, 1, 11 if settings.profile == "full" else 5).round(2)


# Notebooks 08 and 09 -----------------------------------------------------------------------------


def stages(steps: int) -> tuple[int, ...]:
    """Steps at which the weights of a run are kept, from 0 (untrained) to the last one.

    Notebooks 08 and 09 share runs because they share these.
    """
    return tuple(dict.fromkeys(round(share * steps) for share in STAGES))


def pid_seeds(settings: Settings) -> tuple[int, ...]:
    """The seeds of the runs on `pid`: more than elsewhere, because they are cheap."""
    if settings.smoke:
        return settings.seeds
    count = max(PID_SEEDS, len(settings.seeds))
    return tuple(range(settings.seed, settings.seed + count))


def latent_runs(settings: Settings) -> list[tuple[str, int]]:
    """The (data set, seed) that notebook 08 measures, those of `pid` among them."""
    seeds = settings.seeds[:FEW_SEEDS]
    runs = [(name, seed) for name in latent_sets(settings) for seed in seeds]
    runs += [("pid", seed) for seed in pid_seeds(settings)]
    return list(dict.fromkeys(runs))


def reconstruction(settings: Settings) -> list[RunConfig]:
    """Robult with and without L_rec, through full and narrow maps, weights kept."""
    configs = []
    for name, seed in latent_runs(settings):
        for state in RECONSTRUCTION:
            for maps in MAPS:
                if maps == "full" or name == "pid" or not settings.smoke:
                    configs.append(reconstruction_run(settings, name, seed, state, maps))
    return configs


def reconstruction_run(
    settings: Settings, data_set: str, seed: int, state: str, maps: str = "full"
) -> RunConfig:
    """One run of `reconstruction`; state: a key of `RECONSTRUCTION`, maps: one of `MAPS`."""
    hyper = dict(RECONSTRUCTION[state])
    snapshots = stages(settings.steps)
    if maps == "narrow":
        hyper["bottleneck"] = narrow_map_units(data_set)
        snapshots = (0, settings.steps)
    return RunConfig(
        data_set,
        "robult",
        seed,
        hyper=hyper,
        training={"steps": settings.steps},
        tag=run_tag(state, maps),
        snapshots=snapshots,
    )


def reconstruction_models(
    settings: Settings, data_set: str, seed: int, maps: str = "full"
) -> dict[str, tuple[RunConfig, int]]:
    """The three models that notebook 08 compares, each a run and a step of it.

    Both variants start from the same weights, so there is one model before training.
    """
    runs = {}
    for state in RECONSTRUCTION:
        runs[state] = reconstruction_run(settings, data_set, seed, state, maps)
    models = {UNTRAINED: (runs[WITH], 0)}
    for state, run in runs.items():
        models[state] = (run, settings.steps)
    return models


def mapped_others(settings: Settings) -> list[RunConfig]:
    """GMC and Distilled Robult on the first of `latent_sets`, with their weights."""
    data_set = latent_sets(settings)[0]
    training = {"steps": settings.steps}
    return [
        RunConfig(data_set, name, settings.seed, training=training, tag=name, keep_weights=True)
        for name in ("gmc", "robult_distilled")
    ]


def mapped_models(settings: Settings) -> dict[str, tuple[RunConfig, int | None]]:
    """The five models whose latents notebook 08 maps, each a run and a step of it, None: the last.

    They are those of `reconstruction_models` on the first of `latent_sets`, and `mapped_others`.
    """
    others = mapped_others(settings)
    own = reconstruction_models(settings, others[0].data_set, settings.seed)
    return own | {run.method: (run, None) for run in others}


def narrow_map_units(data_set: str) -> int:
    """Units that cannot hold all of h; the inputs of `pid` differ in 8 directions only."""
    return 4 if data_set == "pid" else 16


def reconstruction_weights(settings: Settings) -> list[RunConfig]:
    """Narrow maps on `pid` with none, one, 10 and 100 times the weight of L_rec."""
    weights = (0.0, 100.0) if settings.smoke else (0.0, 1.0, 10.0, 100.0)
    configs = []
    for weight in weights:
        for seed in pid_seeds(settings):
            configs.append(_weighted_run(settings, weight, seed))
    return configs


def _weighted_run(settings: Settings, weight: float, seed: int) -> RunConfig:
    return RunConfig(
        "pid",
        "robult",
        seed,
        hyper={"bottleneck": narrow_map_units("pid"), "reconstruction_weight": weight},
        training={"steps": settings.steps},
        tag=f"L_rec times {weight:g}",
        snapshots=(0, settings.steps),
    )


def pseudo_pairs(settings: Settings) -> list[RunConfig]:
    """Robult with its weights kept over training: notebook 09."""
    configs = []
    for name in pair_sets(settings):
        for seed in settings.seeds[:FEW_SEEDS]:
            configs.append(reconstruction_run(settings, name, seed, WITH))
    return configs


def weightings(settings: Settings) -> list[RunConfig]:
    """Robult with RBF weights and without, on the data sets of notebook 09; runs of 06."""
    seeds = settings.seeds[:FEW_SEEDS]
    return vary([variants.DEFAULT, variants.NO_RBF], pair_sets(settings), seeds, settings.steps)


# All of them -------------------------------------------------------------------------------------


BY_NOTEBOOK: dict[str, tuple[Plan, ...]] = {
    "03": (control,),
    "04": (comparison, equal_weights, noise),
    "05": (comparison,),
    "06": (ablations, switches, distillation_parts),
    "07": (label_shares, availability, missing_training),
    "08": (reconstruction, mapped_others, reconstruction_weights),
    "09": (pseudo_pairs, weightings),
}


def by_notebook(settings: Settings, numbers: Collection[str]) -> dict[str, list[RunConfig]]:
    """The runs of some notebooks by number, such as "04"; a notebook without a plan is left out."""
    chosen = {}
    for number, plans in BY_NOTEBOOK.items():
        if number in numbers:
            chosen[number] = [config for plan in plans for config in plan(settings)]
    return chosen
