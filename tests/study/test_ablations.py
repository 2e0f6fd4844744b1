"""The tables of notebook 06 on made-up runs whose answer is known."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study.results import ablations
from robult_study.results.scores import FUSED, SINGLE, VIEWS
from robult_study.results.variants import ABLATIONS, LABELED_ONLY, NO_CONTRAST

NEEDED = "no_unlabeled"


def ablated(data_set: str = "digits", metric: str = "accuracy") -> pd.DataFrame:
    """Robult and its ablations: losing L_ulb costs 0.2, losing the others nothing."""
    runs = results({"robult": 0.7, "gmc": 0.6}, data_set, metric)
    tables = [runs.assign(tag=runs["method"])]
    for name, weight in ABLATIONS.items():
        post = "logistic" if name == "no_supervised" else ""
        value = 0.5 if name == NEEDED else 0.7
        run = results({"robult": value}, data_set, metric, post=post, tag=name)
        tables.append(run.assign(**{f"hyper.{weight}": 0.0}))
    return pd.concat(tables, ignore_index=True)


# Table 3 -----------------------------------------------------------------------------------------


def test_table_3_has_the_papers_block_and_ours():
    table = ablations.table3(ablated())
    assert list(table.columns) == list(ablations.TERM_NAMES.values())
    assert table.loc[("paper", "CMU-MOSI", "full", "mae"), "(1) no L_sup"] == "1.588"
    ours = table.loc[("other features", "digits", "full", "accuracy")]
    assert ours["Robult"] == "0.800 ± 0.000"
    assert ours["(4) no L_ulb"] == "0.600 ± 0.000"


def test_a_change_is_the_ablation_minus_robult():
    table = ablations.term_changes(ablated()).set_index(["without", "pattern"])
    assert table.loc[("(4) no L_ulb", "a"), "difference"] == pytest.approx(-0.2)
    assert "GMC" not in table.index.get_level_values("without")
    error = ablations.term_changes(ablated("mosi", "mae")).set_index(["without", "pattern"])
    assert error.loc[("(4) no L_ulb", "a"), "difference"] == pytest.approx(0.2)


def test_answers_say_which_loss_is_needed():
    answered = ablations.answers(ablations.term_changes(ablated())).loc["digits"]
    needed = answered.loc["(4) no L_ulb"]
    assert needed["the term is"] == "needed"
    assert needed["clearly worse"] == "a, b, all"
    assert needed["clearly better"] == ""
    assert needed["one modality"] == pytest.approx(-0.2)
    assert answered.loc["(2) no L_rec", "the term is"] == "not shown to matter"


@pytest.mark.parametrize(
    ("worse", "better", "word"),
    [
        (["a"], [], "needed"),
        ([], ["a"], "better without"),
        (["a"], ["b"], "mixed"),
        ([], [], "not shown to matter"),
    ],
)
def test_the_word_for_a_loss(worse, better, word):
    table = ablations.term_changes(ablated())
    table = table[table["method"] == NEEDED].assign(verdict="undecided")
    table.loc[table["pattern"].isin(worse), "verdict"] = "worse"
    table.loc[table["pattern"].isin(better), "verdict"] = "better"
    assert ablations.answers(table)["the term is"].item() == word


def test_sentences_about_the_losses():
    changed = ablations.term_changes(ablated())
    assert ablations.most_needed_sentence(changed).split(": ")[2].startswith("(4) no L_ulb 1.0")
    answered = ablations.answers(changed)
    assert ablations.felt_sentence(answered).endswith("on 0 of 1 sets: none")
    row = ("digits", "(2) no L_rec")
    answered.loc[row, ["one modality", "full"]] = [-0.2, -0.1]
    assert ablations.felt_sentence(answered).endswith("on 1 of 1 sets: digits")
    answered.loc[row, ["one modality", "full"]] = [0.1, 0.2]  # nothing is lost
    assert ablations.felt_sentence(answered).endswith("none")


def test_the_mean_changes_have_intervals_over_the_seeds():
    runs = ablated()
    is_changed = (runs["tag"] == "no_reconstruction") & (runs["pattern"] == "a")
    numbers = runs["value"].mask(is_changed & (runs["seed"] == 2), 0.76)  # 0.06 more in one seed
    runs = runs.assign(value=numbers)
    answered = ablations.answers(ablations.term_changes(runs))
    table = ablations.with_halves(answered, runs).loc["digits"]
    assert list(table.columns[1:5]) == ["one modality", "± one modality", "full", "± full"]
    # the means over two modalities change by 0, 0 and 0.03: sd sqrt(3) / 100
    assert table.loc["(2) no L_rec", "one modality"] == pytest.approx(0.01)
    assert table.loc["(2) no L_rec", "± one modality"] == pytest.approx(0.043027, abs=1e-5)
    assert table.loc["(4) no L_ulb", "± full"] == pytest.approx(0)


def test_the_title_counts_the_places_in_which_each_loss_is_missed():
    words = ablations.terms_title(ablations.term_changes(ablated()))
    assert words == (
        "Clearly worse without L_sup in 0 of 3, without L_rec in 0 of 3, without L_lb in 0 of 3, "
        "without L_ulb in 3 of 3 places"
    )


# L_rec -------------------------------------------------------------------------------------------


def test_the_effect_of_reconstruction_is_with_minus_without():
    narrow = results({"robult": 0.65}, tag="bottleneck 16")
    poorer = results({"robult": 0.55}, tag="bottleneck 16, no L_rec")
    other_set = results({"robult": 0.1}, "cub10", tag="robult")
    runs = pd.concat([ablated(), narrow, poorer, other_set])
    effect = ablations.reconstruction_effect(runs, "digits", [16]).set_index(["maps", "view"])
    assert effect.loc[("bottleneck 16", SINGLE), "difference"] == pytest.approx(0.1)
    assert effect.loc[(ablations.LINEAR_MAPS, SINGLE), "difference"] == pytest.approx(0)
    counted, named = ablations.moved_sentences(effect.reset_index())
    assert counted.startswith("2 of 4 intervals leave out 0")
    assert named.startswith(f"L_rec moves: bottleneck 16, {SINGLE} (better)")
    none = effect.reset_index().assign(verdict="undecided")
    assert ablations.moved_sentences(none)[1].endswith("nothing that these seeds can see")


def test_the_labelled_term_alone_is_compared_with_no_contrast():
    neither = results({"robult": 0.6}, tag=NO_CONTRAST.name)
    among_labeled = results({"robult": 0.65}, tag=LABELED_ONLY.name)
    runs = pd.concat([ablated(), among_labeled, neither])
    alone = ablations.labeled_term_alone(runs, "digits").set_index("tag")
    assert set(alone["view"]) == {SINGLE}
    assert alone.loc["no_unlabeled", "verdict"] == "worse"
    assert alone.loc["no_unlabeled", "difference"] == pytest.approx(-0.1)
    assert alone.loc[LABELED_ONLY.name, "difference"] == pytest.approx(0.05)


# Switches ----------------------------------------------------------------------------------------


@pytest.fixture
def switched() -> pd.DataFrame:
    """Changes of variants on `digits` and one of them also on `mosi`."""
    groups = {"v worse": "first", "v better": "second", "v absent": "second"}
    rows = []
    values = {"robult": 0.5, "v better": 0.6, "v worse": 0.4}
    for data_set in ("digits", "cub10"):
        for tag, value in values.items():
            if (data_set, tag) != ("cub10", "v better"):
                for seed in range(3):
                    row = {"data_set": data_set, "view": FUSED, "tag": tag, "seed": seed}
                    rows.append(row | {"value": value})
    return ablations.switch_changes(pd.DataFrame(rows), groups)


def test_every_line_of_the_figure_is_there(switched):
    assert len(switched) == 2 * len(VIEWS) * 3
    measured = switched.dropna(subset="difference")
    assert len(measured) == 3
    assert set(switched["group"]) == {"first", "second"}
    assert switched["tag"].unique().tolist() == ["v worse", "v better", "v absent"]


def test_the_table_keeps_the_order_and_leaves_out_what_did_not_run(switched):
    table = ablations.switch_table(switched)
    assert table.index.tolist() == [("first", "v worse", FUSED), ("second", "v better", FUSED)]
    assert table.loc[("second", "v better", FUSED)].tolist() == ["+0.100 ± 0.000 *", "–"]


def test_what_matters_is_counted(switched):
    table = ablations.matters(switched)
    assert table.loc["v worse", ["better", "undecided", "worse"]].tolist() == [0, 0, 2]
    assert table.loc["v worse", "worse, Holm"] == 2
    assert table.loc["v better", ["lowest", "highest"]].tolist() == pytest.approx([0.1, 0.1])


def changes_of(*intervals: tuple[float, float]) -> pd.DataFrame:
    """Changes of one variant with these intervals."""
    rows = []
    for low, high in intervals:
        verdict = "better" if low > 0 else "worse" if high < 0 else "undecided"
        row = {"tag": "v", "low": low, "high": high, "difference": (low + high) / 2}
        rows.append(row | {"verdict": verdict, "holm": verdict})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("intervals", "kind"),
    [
        ([(-0.2, -0.1), (-0.1, 0.1)], "clearly worse somewhere, clearly better nowhere"),
        ([(0.1, 0.2), (-0.1, 0.1)], "clearly better somewhere, clearly worse nowhere"),
        ([(0.1, 0.2), (-0.2, -0.1)], "better here, worse there"),
        ([(-0.019, 0.019), (-0.01, 0.01)], "cannot matter much"),
        ([(-0.02, 0.019)], "undecided"),
        ([(-0.019, 0.02)], "undecided"),
        ([(-0.019, 0.019), (-0.1, 0.1)], "undecided"),
    ],
)
def test_each_variant_is_of_one_kind(intervals, kind):
    found = ablations.kinds(changes_of(*intervals))
    assert [name for name, members in found.items() if members == ["v"]] == [kind]


def test_chance_stands_beside_what_was_decided():
    sentence = ablations.decided_sentence(changes_of((0.1, 0.2), (-0.1, 0.1)))
    assert sentence.startswith("1 of 2 intervals leave out 0; by chance alone about 0.1 would; 1 ")


def test_the_title_names_the_choice_with_the_most_decided_intervals(switched):
    title = ablations.switches_title(switched, str.upper)
    assert title == "3 of 3 intervals leave out 0, most often those of V WORSE (2)"
    one_each = switched.dropna(subset="difference").drop_duplicates("tag")
    title = ablations.switches_title(one_each, str.upper)
    assert title.endswith("most often those of V WORSE and V BETTER (1 each)")
    undecided = switched.assign(verdict="undecided")
    assert ablations.switches_title(undecided) == "None of 3 intervals leaves out 0"
