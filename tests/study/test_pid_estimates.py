"""The worlds of notebook 01 against values worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from robult_core import information
from robult_core.datasets.pid import CASES
from robult_core.information import PID
from robult_study.results import pid_estimates


def test_the_worlds_have_the_parts_worked_out_by_hand():
    worlds = pid_estimates.worlds()
    answers = {name: information.decompose(table) for name, table in worlds.items()}
    exact = pid_estimates.parts(answers, "world")
    by_hand = pid_estimates.by_hand()
    assert exact.index.tolist() == by_hand.index.tolist()
    assert exact.columns.tolist() == by_hand.columns.tolist()
    assert np.allclose(exact, by_hand, atol=1e-6)


def test_alignment_keeps_a_copied_bit_and_nothing_of_independent_ones():
    kept = pid_estimates.kept_by_alignment(pid_estimates.worlds())
    assert kept.loc["copy", "I(z;Y)"] == pytest.approx(1)
    assert kept.loc["copy", "ceiling z"] == pytest.approx(1)
    assert kept.loc["AND", "I(z;Y)"] == pytest.approx(0)
    assert kept.loc["AND", "R"] == pytest.approx(0.311, abs=1e-3)


def test_alignment_is_tried_on_the_cases_of_pid_and_on_and():
    worlds = pid_estimates.alignment_worlds()
    assert list(worlds) == [*CASES, "AND"]
    assert worlds["AND"].shape == (2, 2, 2)


def test_the_example_is_linear_in_both_and_a_function_of_the_first():
    x, y = pid_estimates.example(np.linspace(-1, 1, 101))
    assert ((x.sum(1) > 0) == y).all()


def test_bins_are_even_and_hold_the_largest_value():
    assert pid_estimates.bins(np.array([0.0, 0.4, 0.6, 1.0]), 2).tolist() == [0, 0, 1, 1]


def test_estimates_stand_beside_the_truth():
    table = pid_estimates.beside_truth(iter([("ours", PID(1, 2, 3, 4))]), PID(0, 0, 0, 5))
    assert table["bits"].tolist() == [1, 2, 3, 4]
    assert table["exact"].tolist() == [0, 0, 0, 5]


def test_a_mean_over_seeds_is_that_of_the_chosen_rows():
    frame = pd.DataFrame(
        {"seed": [0, 1, 2, 0], "input": ["x1"] * 3 + ["x2"], "score": [1, 1, 1, 9]}
    )
    text = pid_estimates.over_seeds(frame, "score", {"input": "x1"})
    assert text == "1.00 ± 0.00"


def network_rows(gain: float, n_seeds: int = 4) -> pd.DataFrame:
    """Accuracies of the network after 100 samples; both modalities are better by `gain`."""
    rows = []
    for seed in range(n_seeds):
        for name, accuracy in (("x1", 0.7), ("x1+x2", 0.7 + gain + 0.001 * seed)):
            rows.append(("network", name, 100, seed, accuracy))
            rows.append(("network", name, 20, seed, 0.5))
    columns = ["model", "input", "training samples", "seed", "test accuracy"]
    return pd.DataFrame(rows, columns=columns)


def verdict_table(accuracies: pd.DataFrame) -> pd.DataFrame:
    """The verdicts on made-up rows and on the given accuracies."""
    cases = pd.DataFrame({name: asdict(dials) for name, dials in CASES.items()}).T
    cases.iloc[0, 0] += 0.01
    kept = pd.DataFrame({"R": [1.0, 0.31], "I(z;Y)": [0.9, 0.0]}, index=["mixed", "AND"])
    seen = pd.DataFrame({"synergy": [0.1, 0.5, 0.3]})
    probed = pd.DataFrame({pid_estimates.DIRECTIONS: [1, 16] * 3, "seed": np.repeat(range(3), 2)})
    probed = probed.assign(representation="aligned (CCA)", component="unique1")
    probed["bits about the component"] = [0.0, 0.5] * 3
    return pid_estimates.verdict_table(cases, kept, probed, seen, accuracies)


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.2, "holds"), (-0.2, "the contrary"), (-0.0015, "undecided")]
)
def test_the_verdict_gives_each_statement_its_number(gain, verdict):
    table = verdict_table(network_rows(gain))
    assert table["number"].tolist()[:4] == [
        "part and dial of pid differ by at most 1e-02 bits",
        "R - I(z;Y) is at most 1e-01 bits for pid, 0.31 for AND",
        "bits of U1: 0.00 ± 0.00 in one aligned direction, 0.50 ± 0.00 in sixteen",
        "from 0.50 to 0.30 bits as bins get finer, and is 0 in the limit",
    ]
    last = table.iloc[4]
    assert last["verdict here"].startswith(verdict)
    assert last["number"].startswith("network after 100 samples: 0.70 ± 0.00 from x1")


def test_two_seeds_give_a_difference_without_an_interval():
    number = verdict_table(network_rows(0.2, n_seeds=2))["number"].iloc[4]
    assert number.endswith("paired difference +0.20")


def test_dit_is_compared_on_as_many_tables_as_asked_for(monkeypatch):
    """A dit that reports a tenth of a bit less than we do on every table."""
    ours = information.decompose
    less = {"synergy": 0.1}
    monkeypatch.setattr(
        pid_estimates, "by_dit", lambda table: {"synergy": ours(table).synergy - less["synergy"]}
    )
    assert pid_estimates.dit_sentence(2, 0).endswith("2 of 2; largest difference +0.1000 bits")
    less["synergy"] = -0.1
    assert pid_estimates.dit_sentence(2, 0).endswith("0 of 2; largest difference -0.1000 bits")


def test_every_world_is_estimated_for_every_size_and_seed(monkeypatch):
    seen = []

    def stand_in(samples, seed, training, cached):
        seen.append((len(samples[2]), seed))
        return iter([("ours", PID(0.0, 0.0, 0.0, 0.6))])

    monkeypatch.setattr(pid_estimates, "estimates", stand_in)
    table = pid_estimates.estimated((40, 60), (0, 1), {}, lambda function: function)
    assert seen == [(40, 0), (40, 1)] * 2 + [(60, 0), (60, 1)] * 2
    assert len(table) == 8 * 4
    of_and = table[(table["world"] == "AND") & (table["part"] == "synergy")]
    assert of_and["exact"].tolist() == pytest.approx([0.5] * 4, abs=1e-6)


def known_estimates() -> pd.DataFrame:
    """Two parts, three seeds: errors of +0.1 and -0.3, then 0.1 more; shuffled labels are far."""
    rows = []
    for seed in range(3):
        for samples, more in ((100, 0.0), (400, 0.1)):
            for part, error in (("synergy", 0.1 + more), ("redundancy", -0.3 - more)):
                rows.append(("AND", "plug-in", samples, seed, part, 0.5 + error, 0.5))
                rows.append(("AND", "plug-in, y shuffled", samples, seed, part, 9.0, 0.5))
    columns = ["world", "method", "samples", "seed", "part", "bits", "exact"]
    return pd.DataFrame(rows, columns=columns)


def test_errors_are_means_over_parts_with_an_interval_over_seeds():
    table = pid_estimates.errors(known_estimates())
    assert table["samples"].tolist() == [100, 400]
    assert table["mean"].tolist() == pytest.approx([0.2, 0.3])
    assert table["half"].tolist() == pytest.approx([0, 0], abs=1e-9)


def test_signed_errors_are_those_of_the_fewest_samples():
    table = pid_estimates.signed_errors(known_estimates())
    assert table.loc[("AND", "plug-in")].tolist() == ["+0.100 ± 0.000", "-0.300 ± 0.000"]
    assert len(table) == 1


def test_learners_are_tried_after_every_size_for_every_seed(monkeypatch):
    stand_in = lambda n, seed: pd.DataFrame({"n": [n], "seed": [seed]})  # noqa: E731
    monkeypatch.setattr(pid_estimates, "learned", stand_in)
    table = pid_estimates.learned_by_size((20, 50), range(2))
    assert table.to_numpy().tolist() == [[20, 0], [50, 0], [20, 1], [50, 1]]


def test_the_title_of_the_estimates_leaves_out_shuffled_labels():
    rows = [(100, "plug-in", 0.7, 0.5), (100, "plug-in", 0.5, 0.5), (400, "plug-in", 0.45, 0.5)]
    rows += [(100, "plug-in, y shuffled", 9.0, 0.5)]
    frame = pd.DataFrame(rows, columns=["samples", "method", "bits", "exact"])
    title = pid_estimates.errors_title(frame.assign(world="AND"))
    assert title.startswith("Estimates of AND from 100 samples err by 0.10 bits")
    assert title.endswith("from 400 by 0.05")


def test_the_title_of_the_alignment_is_that_of_one_aligned_direction():
    columns = ["representation", pid_estimates.DIRECTIONS, "component", "bits about the component"]
    rows = [("aligned (CCA)", 1, "redundancy", 0.9), ("aligned (CCA)", 1, "redundancy", 1.0)]
    rows += [("aligned (CCA)", 1, "unique1", 0.02), ("aligned (CCA)", 2, "unique1", 0.5)]
    rows += [("not aligned (PCA)", 1, "redundancy", 0.1)]
    title = pid_estimates.direction_title(pd.DataFrame(rows, columns=columns))
    assert "holds 0.95 bits of what is shared and 0.02 of" in title


def test_the_titles_of_the_example_are_those_of_its_tables():
    seen = pd.DataFrame({"synergy": [0.1, 0.5, 0.2]}, index=[2, 4, 8])
    assert pid_estimates.synergy_title(seen).endswith("0.50 bits with 4 bins, 0.20 with 8")
    rows = [("network", "x1", 20, 0.5), ("network", "x1", 100, 0.8), ("network", "x1+x2", 100, 0.9)]
    rows += [("linear", "x1", 100, 0.1)]
    learned = pd.DataFrame(rows, columns=["model", "input", "training samples", "test accuracy"])
    title = pid_estimates.learning_title(learned)
    assert title == (
        "After 100 samples a network reaches 0.80 from the first modality alone, 0.90 from both"
    )
