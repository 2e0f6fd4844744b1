"""Variants differ from Robult's defaults in what their name says, and every choice is tried."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from robult_core.model import RobultConfig
from robult_study import plans
from robult_study.results import tables, variants
from robult_study.runs.configuration import RunConfig


def runs_of(*chosen: variants.Variant) -> list[RunConfig]:
    return plans.vary(chosen, ["digits"], [0], 10)


def moved(run: RunConfig) -> set[tuple[str, object]]:
    """The settings of a run that are not Robult's defaults, with their values."""
    (default,) = runs_of(variants.DEFAULT)
    found = set()
    for group in ("hyper", "training"):
        plain = default.complete()[group]
        changed = run.complete()[group]
        found |= {(name, changed[name]) for name in plain if changed[name] != plain[name]}
    return found


def test_terms_are_the_ablations_of_table_3():
    columns = [run.columns() for run in runs_of(*variants.TERMS)]
    assert list(tables.named(pd.DataFrame(columns))) == list(variants.ABLATIONS)


def test_robult_without_rbf_weights_has_a_name():
    (run,) = runs_of(variants.NO_RBF)
    assert list(tables.named(pd.DataFrame([run.columns()]))) == [tables.NO_WEIGHTS]


def test_the_default_shares_its_record_with_a_plain_run():
    (mine,) = runs_of(variants.DEFAULT)
    plain = RunConfig("digits", "robult", 0, training={"steps": 10})
    assert mine.key("data") == plain.key("data")


@pytest.mark.parametrize(
    "variant", [*variants.TERMS, *variants.switches()], ids=lambda variant: variant.name
)
def test_a_variant_differs_from_the_default_in_one_setting(variant):
    (run,) = runs_of(variant)
    assert len(moved(run)) == 1
    assert run.tag == variant.name


def test_no_two_variants_are_the_same_run():
    chosen = [variants.DEFAULT, *variants.TERMS, variants.NO_CONTRAST, *variants.switches()]
    chosen += [*variants.narrow(128), variants.NO_ALIGNMENT, variants.LABELED_ONLY]
    distinct = {run.key("data") for run in runs_of(*chosen)}
    # "bottleneck 128" is a switch as well, and both alignment terms are the contrastive terms
    assert len(distinct) == len(chosen) - 2


def test_without_contrast_is_no_row_of_table_3():
    (run,) = runs_of(variants.NO_CONTRAST)
    assert moved(run) == {("labeled_weight", 0.0), ("unlabeled_weight", 0.0)}
    assert tables.named(pd.DataFrame([run.columns()])).isna().all()


def test_narrow_maps_come_with_and_without_reconstruction():
    with_loss, without_loss = runs_of(*variants.narrow(16))
    assert moved(with_loss) == {("bottleneck", 16)}
    assert moved(without_loss) == {("bottleneck", 16), ("reconstruction_weight", 0.0)}


def choices_of(setting: str) -> set[str]:
    """The values that a setting may have, read from the message about a wrong one."""
    with pytest.raises(ValueError, match=setting) as error:
        RobultConfig(**{setting: "?"})
    found = set()
    for word in re.findall(r"[a-z]+", str(error.value)):
        try:
            RobultConfig(**{setting: word})
        except ValueError:
            continue
        found.add(word)
    return found


@pytest.mark.parametrize(
    "setting",
    [
        "combine",
        "full_input",
        "fusion",
        "reconstruction_updates",
        "weighting",
        "reference",
        "normalizer",
        "labeled_candidates",
    ],
)
def test_every_choice_of_a_setting_is_tried(setting):
    tried = {variant.hyper[setting] for variant in variants.switches() if setting in variant.hyper}
    assert tried | {getattr(RobultConfig(), setting)} == choices_of(setting)
    assert len(choices_of(setting)) > 1


def test_a_value_that_is_the_default_by_now_is_left_out(monkeypatch):
    default = RobultConfig().temperature
    switch = variants.Switch("contrast", "temperature", (default, 2 * default))
    monkeypatch.setattr(variants, "METHOD_SWITCHES", (switch,))
    tried = [variant.hyper for variant in variants.switches() if variant.hyper]
    assert tried == [{"temperature": 2 * default}]


def test_training_without_rbf_weights_is_one_of_the_switches():
    assert variants.NO_RBF in variants.switches()


def test_groups_know_every_variant():
    groups = variants.groups(variants.switches())
    assert groups["width 64"] == "architecture"
    assert groups["sampling shuffle"] == "batches"
