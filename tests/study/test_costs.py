"""Costs are medians over the records of a method's default runs."""

from __future__ import annotations

import pandas as pd
import pytest
from made_up import results

from robult_study.results import costs
from robult_study.results.tables import COMPARED
from robult_study.runs.store import Store

LATENCY = {"a": 1.0, "b": 3.0, "c": 4.0, "a+b": 7.0, "a+b+c": 5.0}  # in milliseconds


@pytest.fixture
def measured(tmp_path) -> pd.DataFrame:
    """Three seeds of Robult and GMC, and a wider Robult that does not count."""
    store = Store(tmp_path)
    rows = results({"robult": 0.7, "gmc": 0.6}).query("pattern == 'a'")
    wider = rows[rows["method"] == "robult"].assign(**{"hyper.width": 512})
    rows = rows.assign(key=rows["method"] + rows["seed"].astype(str))
    wider = wider.assign(key="wider" + wider["seed"].astype(str))
    everything = pd.concat([rows, wider])
    for row in everything.itertuples():
        content = {
            "config": {"data_set": "digits", "method": row.method},
            "parameters": 10 if row.method == "gmc" else 20,
            "timings": {"seconds_per_step": 0.01 * (row.seed + 1) ** 2, "latency_ms": LATENCY},
        }
        store.put(row.key, content, {})
    store.put("wider0", {**content, "parameters": 999}, {})
    return costs.costs(everything, store)


def test_costs_are_medians_over_seeds(measured):
    robult = measured.set_index("method").loc["robult"].drop("data_set")
    expected = {"parameters": 20, "seconds_per_step": 0.04}
    expected |= {"latency_one_ms": 3.0, "latency_full_ms": 5.0}
    assert robult.to_dict() == pytest.approx(expected)
    assert len(measured) == 2


def test_the_table_has_a_row_per_quantity_and_a_relative_twin(measured):
    table = costs.costs_table(measured)
    assert table.loc[("parameters", "digits")].to_dict() == {"gmc": 10, "robult": 20}
    with_unimodal = measured.replace({"method": {"gmc": "unimodal"}})
    relative = costs.relative_costs(costs.costs_table(with_unimodal))
    assert relative.loc["parameters"].to_dict() == {"unimodal": 1, "robult": 2}


def test_sizes_are_whole_numbers_and_times_have_three_digits():
    assert costs.in_figures(732_104.0) == "732,104"
    assert costs.in_figures(0.016664) == "0.0167"
    assert costs.in_figures(19.94) == "19.9"
    assert costs.in_figures(999.4) == "999"
    assert costs.in_figures(999.6) == "1,000"
    assert costs.in_figures(float("nan")) == "–"


def test_no_results_cost_nothing(tmp_path):
    assert costs.costs(pd.DataFrame(), Store(tmp_path)).empty


RESULTS = """# Benchmarks: results

## A training step

| method | M | step ms | step / bare |
| --- | --- | --- | --- |
| robult | 2 | 16.75 | 1.76 (1.75) |
| gmc | 12 | 36.12 | 1.67 (1.48) |

A line through the steps over M:

| method | ms at M = 0 | ms a modality | R^2 |
| --- | --- | --- | --- |
| robult | 10.71 | 2.85 | 0.887 |
"""


def test_steps_are_read_from_what_the_benchmarks_wrote(tmp_path):
    path = tmp_path / "results.md"
    path.write_text(RESULTS)
    rows = costs.benchmarked_steps(path).to_numpy().tolist()
    assert rows == [["robult", 2, 16.75], ["gmc", 12, 36.12]]
    assert costs.benchmarked_steps(tmp_path / "absent.md").empty


def test_the_published_benchmarks_have_every_method_and_number_of_modalities():
    counts = costs.benchmarked_steps().groupby("method")["modalities"].nunique()
    assert set(counts.index) >= set(COMPARED)
    assert (counts >= 5).all()
