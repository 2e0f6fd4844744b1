"""Every quantitative claim of the paper's sections 3.3 and 3.4, put to three sources of numbers.

They are the paper's own Tables 1 to 3, runs on the paper's data, and runs on the data at hand. A
claim is a row of `paper/claims.csv`, which names the function of `graders` that grades it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from robult_core.atomic import write_whole
from robult_core.datasets import entry
from robult_study.results.graders import grade
from robult_study.results.grading import MISSING, Finding, Table
from robult_study.results.layout import listed, to_markdown
from robult_study.results.metrics import (
    is_regression,
    measured,
    of_sets,
    oriented,
    without_synthetic,
)
from robult_study.results.tables import PAPER_SETS, paper_rows, paper_table, wide
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import frame, keys, missing
from robult_study.runs.store import Store

PLACES = {
    "printed": "the paper's own numbers",
    "paper": "our runs on the paper's data",
    "ours": "our runs on the data at hand",
}
ABLATION_SECTION = "3.4"
TITLE = "# Claims of the paper, tested"
ABOUT = """
Every quantitative claim of sections 3.3 and 3.4, put to the paper's own Tables 1-3, to runs on the
paper's data, and to the data at hand.

A claim is a row of `paper/claims.csv` and a function of one table of blocks x methods, so that
printed numbers and ours face the same statement. Grades: a statement about many cells is
"reproduced" where all agree, "partly" where more than half do, else "not"; one that says "any" or
"all" falls at the first counter-example; "missing" names what it lacks.
""".strip()


class Claim(NamedTuple):
    """A row of `paper/claims.csv`."""

    id: str
    section: str
    quote: str
    grader: str  # a name in `graders.GRADERS`
    table: int  # of the paper; 0 where it prints no number
    sets: tuple[str, ...]  # of the paper that the claim speaks of; none where it names none
    metric: str  # the only one it speaks of, or ""


def claims() -> list[Claim]:
    """All claims in the order of the paper."""
    path = files("robult_study").joinpath("results/paper/claims.csv")
    table = pd.read_csv(path, keep_default_na=False, dtype={"section": str})
    all_claims = []
    for row in table.to_dict("records"):
        row["sets"] = tuple(filter(None, row["sets"].split(";")))
        all_claims.append(Claim(**row))
    return all_claims


def on_print(claim: Claim) -> Finding:
    """The grade on the paper's own numbers."""
    if not claim.table:
        return Finding(MISSING, "the paper prints no number for it")
    rows = paper_table(claim.table)
    rows = rows[rows["data_set"].isin(claim.sets)]
    return grade(claim.grader, Table(wide(oriented(rows))))


def on_papers_data(claim: Claim, rows: pd.DataFrame, costs: pd.DataFrame | None = None) -> Finding:
    """The grade on runs over the data sets that the claim speaks of; rows: `tables.paper_rows`."""
    sets = claim.sets or tuple(PAPER_SETS.values())
    chosen = rows[rows["data_set"].map(PAPER_SETS).isin(sets)]
    chosen = _of_same_kind(claim, chosen)
    if chosen.empty:
        lacking = [f"{name} ({_files(key)})" for key, name in PAPER_SETS.items() if name in sets]
        return Finding(MISSING, f"file missing: {', '.join(lacking)}")
    return _on_runs(claim, chosen, costs)


def on_data_at_hand(claim: Claim, rows: pd.DataFrame, costs: pd.DataFrame | None = None) -> Finding:
    """The grade on runs over all real data sets that are not the paper's."""
    others = rows[~rows["data_set"].isin(PAPER_SETS)]
    chosen = _of_same_kind(claim, without_synthetic(others))
    return _on_runs(claim, chosen, costs)


def _of_same_kind(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of such tasks as the claim's table holds: scores in Table 1, classes in Table 2."""
    if claim.table not in (1, 2) or claim.metric:
        return rows
    regression = of_sets(rows, is_regression).astype(bool)
    return rows[regression if claim.table == 1 else ~regression]


def _on_runs(claim: Claim, rows: pd.DataFrame, costs: pd.DataFrame | None) -> Finding:
    if claim.metric:
        chosen = oriented(rows[rows["metric"] == claim.metric])
    else:
        chosen = oriented(measured(rows))
    if costs is not None:
        costs = costs[costs["data_set"].isin(chosen["data_set"])]
    return grade(claim.grader, Table(wide(chosen), chosen, costs))


def _files(data_set: str) -> str:
    return listed(entry(data_set).missing(), "there, but not run")


def at_hand(configs: Iterable[RunConfig], store: Store) -> pd.DataFrame:
    """`run_grid`'s table of those runs that the store already has; nothing is computed."""
    _, keyed = keys(configs)
    absent = missing(keyed, store)
    tables = [frame(store.get(key), config) for key, config in keyed if key not in absent]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


# All claims --------------------------------------------------------------------------------------


def claims_table(results: pd.DataFrame, costs: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per claim.

    Columns: id, section, quote, and for each of `PLACES` the grade and, as `…_evidence`, the
    numbers.
    """
    rows = paper_rows(results)
    graded = []
    for claim in claims():
        findings = {
            "printed": on_print(claim),
            "paper": on_papers_data(claim, rows, costs),
            "ours": on_data_at_hand(claim, rows, costs),
        }
        row = {"id": claim.id, "section": claim.section, "quote": claim.quote}
        for place, finding in findings.items():
            row[place] = finding.grade
            row[f"{place}_evidence"] = finding.evidence
        graded.append(row)
    return pd.DataFrame(graded)


def grades(graded: pd.DataFrame) -> pd.DataFrame:
    """The grades of `claims_table` without the evidence, under readable headings."""
    return graded[["id", "quote", *PLACES]].rename(columns=PLACES)


def evidence(graded: pd.DataFrame, place: str) -> pd.DataFrame:
    """Grade and evidence of one of `PLACES`."""
    return graded[["id", place, f"{place}_evidence"]]


def count_grades(graded: pd.DataFrame) -> pd.DataFrame:
    """How many claims got which grade, a column per place."""
    counts = graded[list(PLACES)].apply(lambda place: place.value_counts())
    return counts.fillna(0).astype(int).rename(columns=PLACES).rename_axis("grade")


def disagreements(graded: pd.DataFrame) -> list[str]:
    """The claims that fare differently on the paper's numbers and on the data at hand."""
    differs = (graded["printed"] != graded["ours"]) & (graded["ours"] != MISSING)
    return [
        f"{row.id}: {row.printed} on the paper's own numbers, {row.ours} on the data at hand"
        for row in graded[differs].itertuples()
    ]


def ablation_claims(graded: pd.DataFrame) -> pd.DataFrame:
    """The claims about the losses, in the columns that notebook 06 shows."""
    about_losses = (graded["section"] == ABLATION_SECTION) | (graded["id"] == "unique-helps")
    names = {
        "quote": "the paper says",
        "printed": "its own numbers",
        "ours": "ours",
        "ours_evidence": "our evidence",
    }
    return graded.loc[about_losses, list(names)].rename(columns=names).reset_index(drop=True)


def write_claims(
    results: pd.DataFrame, path: str | Path, costs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Write all claims, grades and evidence as markdown; returns `claims_table`."""
    graded = claims_table(results, costs)
    summary = graded[["id", "section", "quote", *PLACES]].rename(columns=PLACES)
    paragraphs = [TITLE, ABOUT, _data_at_hand(results), to_markdown(summary.set_index("id"))]
    for row in graded.to_dict("records"):
        paragraphs.append(f"## {row['id']}\n\n> {row['quote']} (section {row['section']})")
        lines = [
            f"- {words}: **{row[place]}**. {row[f'{place}_evidence']}"
            for place, words in PLACES.items()
        ]
        paragraphs.append("\n".join(lines))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(path), ("\n\n".join(paragraphs) + "\n").encode())
    return graded


def _data_at_hand(results: pd.DataFrame) -> str:
    rows = paper_rows(results)
    sets = listed(dict.fromkeys(rows["data_set"]), "no runs")
    return (
        f"Data at hand: {sets}; {rows['seed'].nunique()} seeds, 5 % labels; "
        "synthetic sets (`pid`) are not used for grades."
    )
