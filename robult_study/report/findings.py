"""What README, the page of a run and a notebook's first screen say: what was found.

Each finding is a sentence written by a person, whose numbers come from the tables of a run, and a
condition under which its words are true of these numbers. `make publish` writes them into README,
and into the notebooks that answer with them, between two marks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from robult_study.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

CLAIMS = "05_claims_counted.csv"
AT_HAND = "our runs on the data at hand"
GRADES = ("reproduced", "partly", "not", "missing")


class Finding(NamedTuple):
    """What was found, and whether the numbers in it carry its words."""

    title: str
    text: str
    holds: bool


def findings(folder: Path, notebook: str = "") -> list[Finding]:
    """The findings of the tables in a folder; those without a table are left out.

    folder: what holds `tables/`, such as reports/ or out/quick/. notebook: the number of the one
    that answers with them, such as "04"; by default all of them, the claims last.
    """
    found = []
    for query in ANSWERS[notebook] if notebook else sum(ANSWERS.values(), ()):
        try:
            found.append(query(folder / "tables"))
        except FileNotFoundError:
            continue
    return found


def checked(folder: Path, notebook: str = "") -> str:
    """`findings` as a list in markdown.

    Raises SettingsError naming the first one whose words its numbers do not carry.
    """
    lines = []
    for finding in findings(folder, notebook):
        if not finding.holds:
            raise SettingsError(
                f"the numbers do not carry the words '{finding.title} {finding.text}': "
                "say what they show in robult_study/report/findings.py, then publish"
            )
        lines.append(f"- **{finding.title}** {finding.text}\n")
    return "".join(lines)


def ranks(tables: Path) -> Finding:
    """The mean ranks of Robult and of the best rival, over all blocks and by what is present."""
    from robult_study.results.tables import COLUMNS  # it loads pandas

    table = _read(tables, "04_mean_ranks.csv").set_index("method").rename(index=COLUMNS)
    everything, single, full = table.columns[:3]
    robult = table.loc["Robult"]
    gmc = table.loc["GMC"]
    n_blocks = re.findall(r"\d+", everything)[0]
    title = "Robult ranks first of five methods over all, and second with one modality."
    text = (
        f"Its mean rank over {n_blocks} blocks of real data is {robult[everything]:.2f}, the next "
        f"is GMC's {gmc[everything]:.2f}. With every modality there it is {robult[full]:.2f} "
        f"against {gmc[full]:.2f}; with a single one GMC is ahead, {gmc[single]:.2f} against "
        f"{robult[single]:.2f}."
    )
    others = table.drop(index="Robult")
    holds = (
        robult[everything] < others[everything].min() == gmc[everything]
        and robult[full] < gmc[full]
        and gmc[single] < robult[single] < others.drop(index="GMC")[single].min()
    )
    return Finding(title, text, bool(holds))


def control(tables: Path) -> Finding:
    """Robult against the same encoders without it, and against self-training."""
    from robult_study.results.layout import listed  # it loads pandas

    differences = _read(tables, "04_differences.csv")
    verdicts = differences.loc[differences["against"] == "unimodal", "verdict"]
    brief = _read(tables, "04_headline.csv")
    whole = brief[(brief["pattern"] == "all") & (brief["self-training"] != "–")]
    won = whole.loc[whole["self-training"].str.contains("<b>"), "data_set"]
    better, worse = ((verdicts == verdict).sum() for verdict in ("better", "worse"))
    title = "It beats the same encoders trained without it, but not always a linear model."
    text = (
        f"Paired by seed it is better than its control in {better} of {len(verdicts)} rows and "
        f"worse in {worse}. With every modality there, self-training of a logistic regression has "
        f"the best mean of all on {len(won)} of {len(whole)} sets ({listed(won)})."
    )
    return Finding(title, text, bool(better > 2 * worse and len(won)))


def reconstruction(tables: Path) -> Finding:
    """What leaving out L_rec changes, beside the other terms."""
    answers = _read(tables, "06_answers.csv")
    largest = _largest_change(answers, "L_rec")
    supervised = _largest_change(answers, "L_sup")
    title = "The loss that should keep what is unique to a modality has next to no effect."
    text = (
        f"Leaving out L_rec moves the mean of no set by more than {largest:.3f}; leaving out the "
        f"supervised loss moves one by {supervised:.2f}. The paper's explanation is not what makes "
        f"the method work here."
    )
    return Finding(title, text, largest < 0.01 < supervised)


def _largest_change(answers: pd.DataFrame, term: str) -> float:
    rows = answers[answers["without"].str.contains(term)]
    return float(rows[["one modality", "full"]].abs().max(axis=None))


def claims(tables: Path) -> Finding:
    """How many of the paper's statements hold on the data at hand."""
    counts = _read(tables, CLAIMS).set_index("grade")[AT_HAND]
    reproduced, partly, failed, missing = counts.reindex(GRADES, fill_value=0)
    title = f"Of the paper's {counts.sum()} statements {reproduced} are reproduced"
    text = f"on data that are not the paper's, {partly} in part and {failed} not"
    text += f"; {missing} cannot be answered by these data." if missing else "."
    return Finding(title, text, holds=True)


ANSWERS: dict[str, tuple[Callable[[Path], Finding], ...]] = {  # by the notebook they come from
    "04": (ranks, control),
    "06": (reconstruction,),
    "05": (claims,),
}


def _read(tables: Path, name: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(tables / name)
