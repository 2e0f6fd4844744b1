"""Every claim of the paper that can be computed, put to three sources of numbers.

They are the paper's own Tables 1 to 3, runs on the paper's data, and what was computed on the data
at hand. A claim is a row of `paper/claims.csv`, which names the function of `graders` that grades
it and says what it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from robult_core.atomic import write_whole
from robult_core.datasets import entry
from robult_study.results import detection, pid_estimates
from robult_study.results.costs import benchmarked_steps, costs
from robult_study.results.graders import grade, rule
from robult_study.results.grading import MISSING, NOTHING, Finding, Table
from robult_study.results.layout import listed, to_markdown
from robult_study.results.metrics import is_synthetic, measured, oriented
from robult_study.results.tables import PAPER_SETS, paper_rows, paper_table, wide
from robult_study.runs.configuration import RunConfig
from robult_study.runs.grid import frame, keys, missing
from robult_study.runs.store import Store
from robult_study.wording import in_sentence

PLACES = {
    "printed": "the paper's own numbers",
    "paper": "our runs on the paper's data",
    "ours": "our runs on the data at hand",
}
ANY_DATA, ITS_SETS, NO_DATA = "any data", "its sets", "no data"  # what a claim can speak of
ABLATION_SECTION = "3.4"
EXAMPLE_POWER = 7  # of the finest bins in which the example of the introduction is decomposed
EXAMPLE_SAMPLES = 100  # after which networks are compared on it
EXAMPLE_SEEDS = range(10)  # as many as in the full profile
TITLE = "# Claims of the paper, tested"
ABOUT = """
Every claim of the paper that can be computed, put to the paper's own Tables 1-3, to runs on the
paper's data, and to the data at hand.

A claim is a row of `paper/claims.csv` and a function of one table, so that printed numbers and ours
face the same statement; its rule stands with it. Grades: a statement about many cells is
"reproduced" where all agree, "partly" where more than half do, else "not"; one that says "any" or
"all" falls at the first counter-example; "missing" names what it lacks. A claim about what holds on
data sets weighs each of them the same, however many metrics it has; one about the best numbers of a
table counts its rows. In print the sign of a difference decides, over seeds an interval has to say
so too where the rule asks for it; a claim that says "significantly" is "partly" reproduced at most
by tables without a spread. A claim about named data sets is answered by these alone; one that
speaks of the method at large is put to the data at hand too. Statements about no data set (the
introduction's, and growth with the number of modalities) are computed: exactly, on examples, or in
the benchmarks.
""".strip()


class Claim(NamedTuple):
    """A row of `paper/claims.csv`."""

    id: str
    section: str
    quote: str  # whole sentences
    grader: str  # a name in `graders.GRADERS`
    speaks_of: str  # ANY_DATA, ITS_SETS or NO_DATA
    tables: tuple[int, ...]  # of the paper; none where it prints no number
    sets: tuple[str, ...]  # of the paper that it rests on; none where it names none
    metric: str  # the only one it speaks of, or ""


class Study(NamedTuple):
    """What was computed and claims are put to."""

    rows: pd.DataFrame  # `tables.paper_rows`
    costs: pd.DataFrame = NOTHING  # `costs.costs`
    pairs: pd.DataFrame = NOTHING  # `detection.judged_runs`


def claims() -> list[Claim]:
    """All claims in the order of the paper."""
    path = files("robult_study").joinpath("results/paper/claims.csv")
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    all_claims = []
    for row in table.to_dict("records"):
        row["sets"] = tuple(filter(None, row["sets"].split(";")))
        row["tables"] = tuple(map(int, filter(None, row["tables"].split(";"))))
        all_claims.append(Claim(**row))
    return all_claims


# What a claim is put to --------------------------------------------------------------------------


def on_print(claim: Claim) -> Finding:
    """The grade on the paper's own numbers."""
    if not claim.tables:
        return Finding(MISSING, "the paper prints no number for it")
    rows = pd.concat([paper_table(number) for number in claim.tables])
    rows = rows[rows["data_set"].isin(claim.sets)]
    return grade(claim.grader, Table(wide(oriented(rows))))


def on_papers_data(claim: Claim, study: Study) -> Finding:
    """The grade on runs over the paper's data sets.

    A claim about named sets needs each of them, one that speaks of the method at large any.
    """
    if claim.speaks_of == NO_DATA:
        return Finding(MISSING, "no data set of the paper enters it")
    wanted = [key for key, name in PAPER_SETS.items() if not claim.sets or name in claim.sets]
    there = set(study.rows["data_set"])
    absent = [key for key in wanted if key not in there]
    if absent and (claim.speaks_of == ITS_SETS or absent == wanted):
        lacking = [f"{PAPER_SETS[key]} ({_files(key)})" for key in absent]
        return Finding(MISSING, f"file missing: {', '.join(lacking)}")
    return _on_runs(claim, study, wanted)


def on_data_at_hand(claim: Claim, study: Study) -> Finding:
    """The grade on runs over all real data sets that are not the paper's, or on no data at all."""
    if claim.speaks_of == NO_DATA:
        return grade(claim.grader, without_data())
    if claim.speaks_of == ITS_SETS:
        return Finding(
            MISSING, f"it speaks of {listed(claim.sets)}: no other data can answer for that"
        )
    names = study.rows["data_set"].unique()
    others = [name for name in names if name not in PAPER_SETS and not is_synthetic(name)]
    return _on_runs(claim, study, others)


def _on_runs(claim: Claim, study: Study, data_sets: Collection[str]) -> Finding:
    """The grade on what the study has about some data sets."""
    rows, spent, judged = (_of(part, data_sets) for part in study)
    chosen = rows[rows["metric"] == claim.metric] if claim.metric else measured(rows)
    chosen = oriented(chosen)
    return grade(claim.grader, Table(wide(chosen), chosen, costs=spent, pairs=judged))


def _of(table: pd.DataFrame, data_sets: Collection[str]) -> pd.DataFrame:
    return table if table.empty else table[table["data_set"].isin(data_sets)]


def _files(data_set: str) -> str:
    return listed(entry(data_set).missing(), "there, but not run")


@cache
def without_data() -> Table:
    """What is computed without a data set: the statements of the introduction, and the benchmarks.

    The computations are those of notebook 01.
    """
    learned = [pid_estimates.learned(EXAMPLE_SAMPLES, seed) for seed in EXAMPLE_SEEDS]
    return Table(
        steps=benchmarked_steps(),
        aligned=pid_estimates.kept_by_alignment(pid_estimates.alignment_worlds()),
        example=pid_estimates.resolved(EXAMPLE_POWER),
        learned=pd.concat(learned, ignore_index=True),
    )


# What the store has ------------------------------------------------------------------------------


def at_hand(configs: Iterable[RunConfig], store: Store) -> pd.DataFrame:
    """`run_grid`'s table of those runs that the store already has; nothing is computed."""
    _, keyed = keys(configs)
    absent = missing(keyed, store)
    tables = [frame(store.get(key), config) for key, config in keyed if key not in absent]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def gathered(
    configs: Iterable[RunConfig],
    with_weights: Iterable[RunConfig],
    store: Store,
    cached: Callable[[Callable], Callable],
) -> Study:
    """What the store has for the claims.

    with_weights: the runs of Fig. 4, `plans.pseudo_pairs`; cached: `Notebook.cached`.
    """
    results = at_hand(configs, store)
    judged = detection.judged_runs(with_weights, store, cached(detection.judged_run))
    return Study(paper_rows(results), costs(results, store), judged)


# All claims --------------------------------------------------------------------------------------


def claims_table(study: Study) -> pd.DataFrame:
    """One row per claim.

    Columns: id, section, quote, rule, and for each of `PLACES` the grade and, as `…_evidence`, the
    numbers.
    """
    graded = []
    for claim in claims():
        findings = {
            "printed": on_print(claim),
            "paper": on_papers_data(claim, study),
            "ours": on_data_at_hand(claim, study),
        }
        row = {"id": claim.id, "section": claim.section, "quote": claim.quote}
        row["rule"] = rule(claim.grader)
        for place, finding in findings.items():
            row[place] = finding.grade
            row[f"{place}_evidence"] = in_sentence(finding.evidence)
        graded.append(row)
    return pd.DataFrame(graded)


def grades(graded: pd.DataFrame) -> pd.DataFrame:
    """The grades of `claims_table` beside their rules, without the evidence."""
    return graded[["id", "quote", "rule", *PLACES]].rename(columns=PLACES)


def evidence(graded: pd.DataFrame, place: str) -> pd.DataFrame:
    """Rule, grade and evidence of one of `PLACES`."""
    names = PLACES | {f"{place}_evidence": "numbers"}
    return graded[["id", "rule", place, f"{place}_evidence"]].rename(columns=names)


def count_grades(graded: pd.DataFrame) -> pd.DataFrame:
    """How many claims got which grade, a column per place."""
    counts = graded[list(PLACES)].apply(lambda place: place.value_counts())
    return counts.fillna(0).astype(int).rename(columns=PLACES).rename_axis("grade")


def disagreements(graded: pd.DataFrame) -> list[str]:
    """The claims that fare differently on the paper's numbers and on the data at hand."""
    is_graded = (graded[["printed", "ours"]] != MISSING).all(axis=1)
    differs = (graded["printed"] != graded["ours"]) & is_graded
    return [
        f"{row.id}: {row.printed} on the paper's own numbers, {row.ours} on the data at hand"
        for row in graded[differs].itertuples()
    ]


def ablation_claims(graded: pd.DataFrame) -> pd.DataFrame:
    """The claims about the losses, in the columns that notebook 06 shows."""
    about_losses = (graded["section"] == ABLATION_SECTION) | (graded["id"] == "unique-helps")
    names = {
        "quote": "the paper says",
        "rule": "our rule",
        "printed": "its own numbers",
        "ours": "ours",
        "ours_evidence": "our evidence",
    }
    return graded.loc[about_losses, list(names)].rename(columns=names).reset_index(drop=True)


def write_claims(study: Study, path: str | Path) -> pd.DataFrame:
    """Write all claims, rules, grades and evidence as markdown; returns `claims_table`."""
    graded = claims_table(study)
    summary = graded[["id", "rule", *PLACES]].rename(columns=PLACES).set_index("id")
    paragraphs = [TITLE, ABOUT, _data_at_hand(study.rows), to_markdown(summary)]
    for row in graded.to_dict("records"):
        where = row["section"] if row["section"] == "abstract" else f"section {row['section']}"
        paragraphs.append(f"## {row['id']}\n\n> {row['quote']} ({where})")
        lines = [f"- The rule: {row['rule']}"]
        for place, words in PLACES.items():
            lines.append(f"- {words}: **{row[place]}**. {row[f'{place}_evidence']}")
        paragraphs.append("\n".join(lines))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(Path(path), ("\n\n".join(paragraphs) + "\n").encode())
    return graded


def _data_at_hand(rows: pd.DataFrame) -> str:
    sets = listed(dict.fromkeys(rows["data_set"]), "no runs")
    return (
        f"Data at hand: {sets}; {rows['seed'].nunique()} seeds, 5 % labels; "
        "runs on synthetic sets (`pid`) are not used for grades."
    )
