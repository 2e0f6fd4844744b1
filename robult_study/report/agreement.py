"""Does a rerun agree with the published records?

Runs are matched by their configuration and not by their key, because the key also holds the state
of the code behind the numbers: a published run stays comparable after that code was rewritten. For
each run that was published too, all metrics of all patterns of modalities are compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robult_study.provenance import repository
from robult_study.report.manifest import read_manifest
from robult_study.settings import SettingsError, store_folder

if TYPE_CHECKING:
    import pandas as pd

    from robult_study.runs.store import Record

TOLERANCE = 0.01  # of any metric: a point of accuracy
IDENTITY = ["data_set", "method", "seed", "label_fraction", "rows", "post"]
SCORE = ["pattern", "variant", "metric"]
NO_SETTINGS = {"key", "value", "tag", "device"}  # another device makes no other run
VERDICTS = ("bit-equal", "within tolerance", "further apart")
MOST_LISTED = 10  # runs that are printed one by one
MOST_VALUES = 3  # of a setting that is named as the reason why runs have no counterpart


@dataclass(frozen=True)
class Agreement:
    """What `compare` found.

    runs: a frame with one row for each run that both sides have, with its configuration and
    `n` (compared numbers), `verdict` (of `VERDICTS`), `largest` (the largest absolute difference),
    `mean` (the mean signed difference, here minus published), `where` (pattern and metric of the
    largest one).
    only_here, only_published: one row for each run without a counterpart.
    differences: sentences about what differs in code, data, versions and hardware.
    """

    runs: pd.DataFrame
    only_here: pd.DataFrame
    only_published: pd.DataFrame
    differences: list[str]
    tolerance: float

    @property
    def line(self) -> str:
        """The answer in one sentence."""
        total = len(self.runs) + len(self.only_here)
        if not len(self.runs):
            return f"none of the {total} runs here was published with the same settings"
        counts = self.runs["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
        exact, close, apart = counts
        sentence = (
            f"{len(self.runs)} of the {total} runs here were published: {exact} are bit-equal, "
            f"{close} agree within {self.tolerance:g}, {apart} are further apart"
        )
        if apart:
            sentence += f" (at most {self.runs['largest'].max():.3f})"
        return sentence


def compare(folder: Path, published: Path | None = None, tolerance: float = TOLERANCE) -> Agreement:
    """Set the runs in a folder of results against the published ones.

    published: the folder of `runs.parquet` and its manifest, by default reports/ of the repository.
    tolerance: the absolute difference of a metric up to which two runs agree. Raises SettingsError
    where either side holds no runs.
    """
    published = published or repository() / "reports"
    records = _records(folder)
    here = _recorded_metrics(records.values())
    there = _published_metrics(published)
    settings = _shared_settings(here, there)
    runs_here = _runs(here, settings)
    runs_there = _runs(there, settings)
    here, there = _by_run(here, runs_here), _by_run(there, runs_there)
    return Agreement(
        runs=_judged(here, there, runs_here, tolerance),
        only_here=runs_here[~runs_here.index.isin(runs_there.index)],
        only_published=runs_there[~runs_there.index.isin(runs_here.index)],
        differences=_differences(folder, published, records, set(runs_there["key"])),
        tolerance=tolerance,
    )


# The two sides -----------------------------------------------------------------------------------


def _records(folder: Path) -> dict[str, Record]:
    """The newest record of each configuration in a folder of results, or in a store itself."""
    from robult_study.runs.store import Store, canonical

    is_store = (folder / "records").is_dir()
    store = Store(folder if is_store else store_folder(folder))
    newest: dict[str, Record] = {}
    for record in sorted(store.records(), key=_finished):
        newest[canonical(record.config)] = record
    if not newest:
        raise SettingsError(
            f"'{folder}' holds no runs: name the folder of a run, such as out/quick, "
            "or run 'make reproduce' first"
        )
    return newest


def _finished(record: Record) -> str:
    return record.content["timings"].get("finished", "")


def _recorded_metrics(records: Iterable[Record]) -> pd.DataFrame:
    import pandas as pd

    from robult_study.runs.grid import frame

    return pd.concat([frame(record) for record in records], ignore_index=True)


def _published_metrics(published: Path) -> pd.DataFrame:
    import pandas as pd

    path = published / "runs.parquet"
    if not path.is_file():
        raise SettingsError(
            f"there are no published records '{path}': compare in a clone of the project"
        )
    return pd.read_parquet(path)


# Which runs are the same -------------------------------------------------------------------------


def _shared_settings(here: pd.DataFrame, there: pd.DataFrame) -> list[str]:
    """The settings that make two runs the same: those that both sides know.

    A setting that came or went with newer code says nothing about the other side's runs, unless
    runs of one side differ in it: then it counts.
    """
    apart = {*IDENTITY, *SCORE, *NO_SETTINGS}
    columns = [name for name in dict.fromkeys([*here, *there]) if name not in apart]
    return [name for name in columns if _counts(here, there, name)]


def _counts(here: pd.DataFrame, there: pd.DataFrame, name: str) -> bool:
    if name in here and name in there:
        return True
    table = here if name in here else there
    values = table[name].map(_plain).groupby(table["method"]).nunique()
    return bool((values > 1).any())


def _runs(table: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """One row per run, indexed by the text of its identity and its settings."""
    columns = [*IDENTITY, *settings]
    runs = table.drop_duplicates("key").reindex(columns=["key", *columns])
    names = runs[columns].map(_plain).agg("|".join, axis=1)
    return runs.set_index(names.rename("run"))


def _plain(value: Any) -> str:
    """One text for equal values, whatever type a column gave them: None and NaN, 64 and 64.0."""
    if value is None or value != value:  # NaN alone differs from itself
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    return repr(float(value)) if isinstance(value, int | float | np.number) else str(value)


def _by_run(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The value of each score, indexed by run, pattern, variant and metric."""
    names = dict(zip(runs["key"], runs.index, strict=True))
    rows = table.assign(run=table["key"].map(names))
    return rows.drop_duplicates(["run", *SCORE]).set_index(["run", *SCORE])[["value"]]


# How far they are apart --------------------------------------------------------------------------


def _judged(
    here: pd.DataFrame, there: pd.DataFrame, runs: pd.DataFrame, tolerance: float
) -> pd.DataFrame:
    """One row per run of both sides, as `Agreement` describes it."""
    pairs = here.join(there.rename(columns={"value": "published"}), how="inner")
    pairs["signed"] = pairs["value"] - pairs["published"]
    both_missing = pairs["value"].isna() & pairs["published"].isna()
    pairs["absolute"] = pairs["signed"].abs().mask(both_missing, 0.0).fillna(np.inf)
    by_run = pairs.groupby(level="run", sort=False)
    judged = by_run.agg(
        n=("absolute", "size"), largest=("absolute", "max"), mean=("signed", "mean")
    )
    farthest = by_run["absolute"].idxmax()
    judged["where"] = [f"{metric} of {pattern}" for _, pattern, _, metric in farthest]
    is_exact = judged["largest"] == 0
    is_close = judged["largest"] <= tolerance
    judged["verdict"] = np.select([is_exact, is_close], VERDICTS[:2], VERDICTS[2])
    return runs.drop(columns="key").join(judged, how="inner")


# What differs in code, data, versions and hardware -----------------------------------------------


def _differences(
    folder: Path, published: Path, records: dict[str, Record], published_keys: set[str]
) -> list[str]:
    contents = [record.content for record in records.values()]
    theirs = read_manifest(published)
    ours = read_manifest(folder)
    checksums = {content["config"]["data_set"]: content["data_checksum"] for content in contents}
    versions = _merged(content["versions"] for content in contents)
    states = {content["numerics"] for content in contents}
    is_same = published_keys & {record.key for record in records.values()}
    sentences = [_code(states, bool(is_same) or theirs.get("numerics") in states)]
    sentences += _changes("data set", checksums, theirs.get("data", {}))
    sentences += _changes("version of", versions, theirs.get("versions", {}))
    if ours:
        sentences += _changes("", ours.get("hardware", {}), theirs.get("hardware", {}))
    else:
        sentences.append("the hardware of these runs is unknown, because they have no manifest")
    return sentences


def _merged(versions: Iterable[dict[str, str]]) -> dict[str, str]:
    """The versions of all records by library; where they differ, all of them."""
    values: dict[str, list[str]] = {}
    for record in versions:
        for name, version in record.items():
            if version not in values.setdefault(name, []):
                values[name].append(version)
    return {name: " and ".join(different) for name, different in values.items()}


def _code(states: set[str], is_same: bool) -> str:
    """Whether both sides were made by one state of the code behind the numbers.

    Equal keys prove it, because a key holds that state, the data and the configuration.
    """
    mixed = f"; the runs here come from {len(states)} states themselves" if len(states) > 1 else ""
    kind = "the same state" if is_same else "another state"
    return (
        f"the published records come from {kind} of the code and libraries behind the numbers"
        f"{mixed}"
    )


def _changes(what: str, here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """One sentence for each value that both sides know and that differs."""
    sentences = []
    for name, value in here.items():
        if name in there and there[name] != value:
            subject = f"{what} {name}".strip()
            sentences.append(f"{subject}: {_short(value)} here, {_short(there[name])} published")
    return sentences


def _short(value: object) -> str:
    return str(value)[:24]


# The answer as text ------------------------------------------------------------------------------


def report(agreement: Agreement) -> list[str]:
    """The answer line by line, the sentence of `Agreement.line` last."""
    lines = []
    if len(agreement.runs):
        lines += by_set(agreement.runs).to_string().splitlines()
        lines += _listed_apart(agreement.runs)
    lines += [f"- {sentence}" for sentence in agreement.differences]
    lines += _not_compared(agreement)
    return [*lines, agreement.line]


def by_set(runs: pd.DataFrame) -> pd.DataFrame:
    """Counts of verdicts, and the largest and the mean difference, by data set and method."""
    import pandas as pd

    groups = ["data_set", "method"]
    counts = runs.groupby([*groups, "verdict"]).size().unstack("verdict", fill_value=0)
    counts = counts.reindex(columns=list(VERDICTS), fill_value=0)
    sizes = runs.groupby(groups).agg(largest=("largest", "max"), mean=("mean", "mean"))
    table = pd.concat([counts, sizes.round(4)], axis=1)
    return table.rename_axis(columns=None)


def _listed_apart(runs: pd.DataFrame) -> list[str]:
    """The runs that are furthest apart, one line each."""
    apart = runs[runs["verdict"] == VERDICTS[2]].sort_values("largest", ascending=False)
    lines = []
    for run in apart.head(MOST_LISTED).itertuples():
        lines.append(
            f"- {run.method} on {run.data_set}, seed {run.seed}, "
            f"{100 * run.label_fraction:g} % labels: "
            f"{run.largest:.4f} apart ({run.where})"
        )
    if len(apart) > MOST_LISTED:
        lines.append(f"- and {len(apart) - MOST_LISTED} further runs: --csv writes all of them")
    return lines


def _not_compared(agreement: Agreement) -> list[str]:
    """What could not be compared, and why as far as one can tell."""
    lines = []
    sets_here = {*agreement.runs["data_set"], *agreement.only_here["data_set"]}
    unpublished = agreement.only_here
    absent = agreement.only_published
    for name, runs in absent[~absent["data_set"].isin(sets_here)].groupby("data_set", sort=False):
        lines.append(f"- not compared: {len(runs)} published runs on {name}, of which none is here")
    n_other = absent["data_set"].isin(sets_here).sum()
    if n_other:
        lines.append(f"- not compared: {n_other} published runs of other settings or seeds")
    if len(unpublished):
        reasons = _reasons(unpublished, agreement)
        lines.append(f"- not compared: {len(unpublished)} runs here were not published{reasons}")
    return lines


def _reasons(unpublished: pd.DataFrame, agreement: Agreement) -> str:
    """The end of a sentence: values of these runs that no published run has."""
    reasons = []
    for name in unpublished.columns.drop("key"):
        known = {*agreement.only_published[name].map(_plain)}
        if name in agreement.runs:
            known |= {*agreement.runs[name].map(_plain)}
        values = dict.fromkeys(unpublished[name].map(_plain))
        new = [value for value in values if value not in known]
        if new and "" not in new:
            examples = ", ".join(value.removesuffix(".0") for value in new[:MOST_VALUES])
            reasons.append(f"{name} {examples}")
    return f" ({'; '.join(reasons)})" if reasons else ""
