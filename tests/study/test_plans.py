"""Plans: which runs stand behind each notebook, in every profile, and which they share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from robult_study import plans
from robult_study.results import variants
from robult_study.results.tables import COLUMNS
from robult_study.runs.configuration import RunConfig
from robult_study.runs.missing import REMEDIES

ALL = ("pid", "digits", "handwritten", "cub10", "utd_mhad", "mosi")


def settings(profile: str = "quick", data_sets: tuple[str, ...] = ALL, n_seeds: int = 3):
    """What a plan reads of a notebook's settings."""
    return SimpleNamespace(
        profile=profile,
        smoke=profile == "smoke",
        data_sets=data_sets,
        seed=0,
        seeds=tuple(range(n_seeds)),
        steps=10,
    )


SMOKE = settings("smoke", ("pid", "digits"), n_seeds=2)
FULL = settings("full", n_seeds=10)


def keys(configs: list[RunConfig]) -> set[str]:
    return {config.key("data") for config in configs}


# Which data sets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "studied", "switched"),
    [
        (settings(), ("digits", "cub10"), ("cub10",)),
        (settings(data_sets=("pid", "digits")), ("digits", "pid"), ("pid",)),
        (settings(data_sets=("mosi", "utd_mhad", "handwritten")), ("mosi", "utd_mhad"), None),
        (SMOKE, ("digits",), ("digits",)),
        (FULL, ALL, ("digits", "cub10", "utd_mhad", "mosi")),
    ],
)
def test_quick_looks_at_two_small_sets_and_full_at_more(given, studied, switched):
    assert plans.studied_sets(given) == studied
    assert plans.switch_sets(given) == (switched or studied[-1:])


def test_one_set_is_looked_into_in_every_profile():
    assert plans.inspected_set(settings()) == plans.inspected_set(FULL) == "cub10"
    assert plans.inspected_set(SMOKE) == "digits"


@pytest.mark.parametrize(
    ("data_sets", "case"),
    [(ALL, "mosi"), (("mosi-tfidf", "pid"), "mosi-tfidf"), (("pid", "digits"), None)],
)
def test_the_noise_case_is_mosi_where_it_is_there(data_sets, case):
    assert plans.noise_case(settings(data_sets=data_sets)) == case


def test_without_a_modality_of_noise_nothing_is_run_for_it():
    assert plans.noise(settings(data_sets=("pid", "mmimdb"))) == []


def test_without_a_classification_no_pairs_are_looked_at():
    scores_only = settings("full", ("mosi",))
    assert plans.pair_sets(scores_only) == []
    assert plans.pseudo_pairs(scores_only) == []


def test_the_set_with_many_modalities():
    assert plans.many_modalities(settings()) == "handwritten"
    assert plans.many_modalities(settings(data_sets=("pid", "digits"))) == "digits"
    assert plans.many_modalities(settings("smoke", ALL)) == "digits"


def test_latents_are_looked_at_on_digits_and_one_more():
    assert plans.latent_sets(settings()) == ["digits", "cub10"]
    assert plans.latent_sets(FULL) == ["digits", "cub10", "handwritten", "utd_mhad", "mosi"]
    assert plans.latent_sets(settings(data_sets=("mosi", "pid"))) == ["mosi"]
    assert plans.pair_sets(FULL) == ["digits", "cub10", "handwritten", "utd_mhad"]
    assert plans.pair_sets(SMOKE) == ["digits", "pid"]


# Notebook 03 -------------------------------------------------------------------------------------


def test_the_control_runs_once_and_keeps_weights_where_a_model_is_shown():
    configs = plans.control(settings(data_sets=("digits", "cub10", "mosi")))
    methods = ("robult", "unimodal", "linear")
    assert len(configs) == len({(c.data_set, c.method, c.seed) for c in configs}) == 3 * 3 * 3
    assert {config.method for config in configs} == set(methods)
    kept = {(c.data_set, c.method, c.seed) for c in configs if c.keep_weights}
    assert kept == {("digits", "robult", 0), ("mosi", "robult", 0)}
    assert all(
        c.training == {} if c.method == "linear" else c.training["steps"] == 10 for c in configs
    )


# Notebooks 04 and 05 -----------------------------------------------------------------------------


def test_the_comparison_has_every_method_and_no_self_training_of_scores():
    configs = plans.comparison(settings(data_sets=("digits", "mosi")))
    assert len(configs) == 3 * (len(COLUMNS) + len(COLUMNS) - 1)
    assert {config.tag for config in configs} == set(COLUMNS)
    gmc = [config for config in configs if config.method == "gmc"]
    assert {config.training["steps"] for config in gmc} == {10}
    trained = [config for config in configs if config.method == "self_training"]
    assert {config.data_set for config in trained} == {"digits"}


def test_the_noise_case_shares_its_controls_with_the_comparison():
    given = settings()
    noise = plans.noise(given)
    assert {config.data_set for config in noise} == {"mosi"}
    assert {config.tag for config in noise} == {
        "linear",
        "unimodal",
        "robult",
        variants.NO_PSEUDO_LABELS.name,
        variants.NO_ALIGNMENT.name,
    }
    assert len(keys(noise) & keys(plans.comparison(given))) == 3 * 3


def test_claims_are_put_to_the_comparison_the_ablations_and_robult_without_rbf_weights():
    given = settings(data_sets=("digits",))
    ablated = keys(plans.runs_for_claims(given)) - keys(plans.comparison(given))
    assert len(ablated) == 3 * len(variants.TERMS) + 3
    assert ablated <= keys(plans.ablations(given)) | keys(plans.switches(given))


# Notebook 06 -------------------------------------------------------------------------------------


def test_ablations_are_on_the_studied_sets_and_their_base_is_shared():
    given = settings()
    configs = plans.ablations(given)
    on_digits = {config.tag for config in configs if config.data_set == "digits"}
    assert on_digits == {"gmc", "robult", *variants.ABLATIONS}
    on_cub10 = {config.tag for config in configs if config.data_set == "cub10"}
    narrow = {variant.name for variant in plans.narrow_maps(given)}
    alone = {variants.NO_CONTRAST.name, variants.LABELED_ONLY.name}
    assert on_cub10 == on_digits | narrow | alone
    assert len(keys(configs)) == len(configs)
    assert len(keys(configs) & keys(plans.comparison(given))) == 2 * 2 * 3


def test_only_the_first_seed_of_the_inspected_set_keeps_weights():
    given = settings()
    kept = [config for config in plans.ablations(given) if config.keep_weights]
    assert {(config.data_set, config.seed, config.method) for config in kept} == {
        ("cub10", 0, "robult")
    }
    extra = (variants.DEFAULT, variants.NO_CONTRAST, variants.LABELED_ONLY)
    for variant in (*extra, *variants.TERMS):
        assert plans.inspected_run(given, variant) in kept


def test_switches_have_few_seeds_and_their_base_all():
    configs = plans.switches(FULL)
    base = [config for config in configs if config.tag == "robult"]
    assert len(base) == len(plans.SWITCH_SETS) * 10
    width = [config for config in configs if config.tag == "width 64"]
    assert {config.seed for config in width} == {0, 1, 2, 3, 4}
    assert len(plans.chosen_switches(FULL)) == len(variants.switches())
    assert plans.chosen_switches(SMOKE) == variants.switches()[::6]


def test_parts_of_the_distillation_stand_beside_what_it_is_built_on():
    configs = plans.distillation_parts(FULL)
    assert {config.data_set for config in configs} == {"digits", "cub10", "utd_mhad"}
    assert {config.seed for config in configs} == set(range(5))
    by_tag = {config.tag: config for config in configs}
    assert by_tag["robult"].method == "robult"
    assert by_tag["unimodal_distilled"].method == "unimodal_distilled"
    assert by_tag["no L_sd"].method == "robult_distilled"
    assert by_tag["no L_sd"].hyper == {"self_training_weight": 0.0}
    base = {"robult", "robult_distilled", "unimodal_distilled"}
    assert set(by_tag) == base | {variant.name for variant in variants.PARTS}
    shared = keys(configs) & keys(plans.comparison(FULL))
    assert len(shared) == 3 * 3 * 5
    quick = plans.distillation_parts(settings())
    assert {config.data_set for config in quick} == {"cub10"}
    smoke = {config.tag for config in plans.distillation_parts(SMOKE)}
    assert smoke == base | {variant.name for variant in variants.PARTS[::6]}


def test_equal_weights_stand_beside_the_searched_ones():
    configs = plans.equal_weights(settings(data_sets=("digits",)))
    equal = [config for config in configs if config.tag == variants.EQUAL_WEIGHTS.name]
    assert len(configs) == 2 * len(equal) == 2 * 3
    assert set(equal[0].hyper.values()) == {1.0}
    assert len(equal[0].hyper) == 4


def test_maps_are_narrowed_to_two_widths_and_in_smoke_to_one():
    assert plans.narrow_units(settings()) == (128, 16)
    assert plans.narrow_units(SMOKE) == (16,)


# Notebook 07 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "other", "differs"), [(110, 100, False), (111, 100, True), (100, 111, True)]
)
def test_counts_differ_by_more_than_a_tenth_of_the_smaller(count, other, differs):
    assert plans._differs(count, other) == differs


def test_shares_differ_by_a_tenth_of_their_labels():
    shares = plans.distinct_shares(FULL, "digits")
    assert list(shares) == sorted(shares)
    assert shares[0.05] == 63
    counts = np.array(list(shares.values()))
    assert (counts[1:] > 1.1 * counts[:-1]).all()
    assert list(plans.distinct_shares(SMOKE, "digits")) == [0.05, 0.2]


def test_the_share_used_is_that_of_the_rows_with_a_label():
    (used,) = plans.shares_used(settings(data_sets=("digits",))).values()
    assert used[1.0] == 100
    assert used[0.05] == 5.0
    assert used[0.01] == 1.6  # two a class


def test_sweeps_have_few_seeds_and_what_the_tables_share_all():
    given = settings("full", ("digits",), n_seeds=10)
    assert {config.seed for config in plans.label_shares(given)} == set(range(5))
    assert {config.seed for config in plans.availability(given)} == set(range(10))
    assert {seed for name, seed in plans.latent_runs(given) if name == "digits"} == set(range(5))
    assert list(plans.distinct_shares(given, "digits")) == [0.01, 0.05, 0.25, 1.0]


def test_label_shares_are_run_for_every_method_and_share():
    given = settings(data_sets=("digits",))
    configs = plans.label_shares(given)
    shares = plans.distinct_shares(given, "digits")
    assert len(configs) == len(shares) * len(plans.SWEPT) * 3
    assert {config.label_fraction for config in configs} == set(shares)


def test_subsets_come_from_the_runs_of_the_comparison():
    given = settings()
    configs = plans.availability(given)
    assert {config.data_set for config in configs} == {"digits", "cub10", "handwritten"}
    assert keys(configs) <= keys(plans.comparison(given))


def test_rates_of_loss_run_from_none_to_all():
    assert plans.loss_rates(settings()).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert plans.loss_rates(FULL).tolist() == [number / 10 for number in range(11)]


# Notebooks 08 and 09 -----------------------------------------------------------------------------


def test_stages_run_from_the_start_to_the_end():
    assert plans.stages(400) == (0, 10, 20, 40, 100, 200, 400)
    assert plans.stages(1) == (0, 1)


def test_the_synthetic_set_has_more_seeds():
    assert plans.pid_seeds(settings()) == (0, 1, 2, 3, 4)
    assert plans.pid_seeds(FULL) == tuple(range(10))
    assert plans.pid_seeds(SMOKE) == (0, 1)


def test_reconstruction_is_run_with_and_without_through_both_maps():
    given = settings()
    configs = plans.reconstruction(given)
    runs = {(config.data_set, config.seed) for config in configs}
    assert runs == set(plans.latent_runs(given))
    assert len(configs) == 4 * len(runs)
    narrow = plans.reconstruction_run(given, "pid", 0, "without L_rec", "narrow")
    assert narrow in configs
    assert narrow.hyper == {"reconstruction_weight": 0.0, "bottleneck": 4}
    assert narrow.snapshots == (0, 10)
    full = plans.reconstruction_run(given, "digits", 0, "with L_rec")
    assert full.hyper == {}
    assert full.snapshots == plans.stages(10)


def test_three_models_are_compared_and_the_untrained_one_is_that_of_both():
    models = plans.reconstruction_models(settings(), "pid", 0, "narrow")
    assert list(models) == ["before training", "with L_rec", "without L_rec"]
    assert models["before training"] == (models["with L_rec"][0], 0)
    assert models["without L_rec"][0].hyper == {"reconstruction_weight": 0.0, "bottleneck": 4}
    assert models["without L_rec"][1] == 10


def test_maps_are_of_three_states_of_robult_and_of_two_others_with_one_data_set_and_seed():
    given = settings()
    models = plans.mapped_models(given)
    others = ["gmc", "robult_distilled"]
    assert list(models) == ["before training", "with L_rec", "without L_rec", *others]
    assert {(run.data_set, run.seed) for run, _ in models.values()} == {("digits", 0)}
    assert [models[name] for name in others] == [(run, None) for run in plans.mapped_others(given)]
    for name in others:
        run = models[name][0]
        assert run.keep_weights
        assert keys([run]) <= keys(plans.comparison(given))


def test_smoke_has_narrow_maps_on_the_synthetic_set_only():
    configs = plans.reconstruction(SMOKE)
    narrow = [config for config in configs if "bottleneck" in config.hyper]
    assert {config.data_set for config in narrow} == {"pid"}


def test_weights_of_reconstruction():
    weights = {
        config.hyper["reconstruction_weight"] for config in plans.reconstruction_weights(FULL)
    }
    assert weights == {0.0, 1.0, 10.0, 100.0}
    smoke = plans.reconstruction_weights(SMOKE)
    runs = [(config.hyper["reconstruction_weight"], config.seed) for config in smoke]
    assert runs == [(0.0, 0), (0.0, 1), (100.0, 0), (100.0, 1)]
    assert {config.snapshots for config in smoke} == {(0, 10)}
    assert {config.hyper["bottleneck"] for config in smoke} == {4}
    assert plans.narrow_map_units("digits") == 16


def test_pseudo_pairs_come_from_the_runs_of_notebook_08():
    given = settings()
    assert keys(plans.pseudo_pairs(given)) <= keys(plans.reconstruction(given))


def test_weightings_come_from_the_runs_of_notebook_06_in_full():
    switched = [run for run in plans.weightings(FULL) if run.data_set in plans.SWITCH_SETS]
    shared = [run for run in switched if run.seed < plans.SWEPT_SEEDS]
    assert shared
    assert keys(shared) <= keys(plans.switches(FULL))
    sets = {config.data_set for config in plans.weightings(FULL)}
    assert sets == set(plans.pair_sets(FULL))


# All ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [SMOKE, settings(data_sets=("pid", "digits")), settings("full", ("pid", "digits"), 2)],
)
def test_every_notebook_from_03_to_09_has_a_plan(given):
    chosen = plans.by_notebook(given, plans.BY_NOTEBOOK)
    assert list(chosen) == ["03", "04", "05", "06", "07", "08", "09"]
    assert all(chosen.values())
    beside = plans.equal_weights(given) + plans.noise(given)
    assert chosen["04"] == plans.comparison(given) + beside


def test_only_the_plans_that_are_asked_for_are_built(monkeypatch):
    def refuse(given: object) -> list[RunConfig]:
        raise AssertionError("nobody asked for this plan")

    others = dict.fromkeys(plans.BY_NOTEBOOK, (refuse,))
    monkeypatch.setattr(plans, "BY_NOTEBOOK", others | {"05": (plans.comparison,)})
    chosen = plans.by_notebook(SMOKE, {"01", "05"})
    assert chosen == {"05": plans.comparison(SMOKE)}


def test_missing_in_training_takes_every_remedy_where_labels_are_left():
    configs = plans.missing_training(settings(data_sets=("digits",)))
    lossy = [config for config in configs if config.missing_in_training]
    assert {config.tag for config in configs} == set(REMEDIES)
    assert all(config.tag == config.remedy for config in lossy)
    assert {config.missing_in_training for config in lossy} == {0.3, 0.7}
    complete = [config for config in configs if not config.missing_in_training]
    assert len(keys(complete)) == 3  # one run a seed
    dropped = {config.missing_in_training for config in lossy if config.tag == "dropped"}
    assert dropped == {0.3}  # of 4 sensors at 70 % hardly a sample keeps all
    full = plans.missing_training(settings("full", ("digits",), n_seeds=10))
    assert {config.seed for config in full} == set(range(5))


def test_modalities_are_taken_away_in_training_on_sets_with_several_of_them():
    assert plans.missing_sets(FULL) == ("cub10", "utd_mhad", "handwritten")
    assert plans.missing_sets(settings()) == ("cub10",)
    assert plans.missing_sets(settings(data_sets=("digits",))) == ("digits",)
