"""`robult runs …`, which look into a store, check it, tidy it up, add to it; `robult search`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from robult_study.commands import Sentences

if TYPE_CHECKING:
    import pandas as pd

    from robult_study.runs.configuration import RunConfig
    from robult_study.runs.store import Store

PATH = click.Path(path_type=Path)
EXAMPLE = '{"data_set": "digits", "method": ["robult", "gmc"], "seed": [0, 1]}'
STORE = click.option(
    "--store",
    "folder",
    type=PATH,
    help="Folder of the records [default: the folder store in ROBULT_OUT, else in out/<profile>].",
)
SCHEDULER = click.option(
    "--scheduler", metavar="ADDRESS", help="Run on this dask scheduler instead."
)


@click.group(cls=Sentences)
@STORE
@click.pass_context
def runs(context: click.Context, folder: Path | None) -> None:
    """Records of finished runs."""
    from robult_study.settings import output_folder, store_folder

    context.obj = folder or store_folder(output_folder())


def _existing(folder: Path) -> Store:
    from robult_study.runs.store import Store

    if not folder.is_dir():
        raise ValueError(
            f"there is no store at {folder}: name one with --store, or run `robult reproduce` first"
        )
    store = Store(folder)
    first = next(store.sound_records(), None)
    if first is not None and "config" not in first.content:
        raise ValueError(
            f"{folder} holds answers that notebooks keep, and no runs: "
            "name a folder of runs with --store"
        )
    return store


# Adding to a store -------------------------------------------------------------------------------


@runs.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes on this machine; more than cores or runs are not started.",
)
@SCHEDULER
@click.option("--device", help="auto, cpu, cuda or mps [default: that of the grid, else cpu].")
@click.option(
    "--ranks",
    type=click.IntRange(1),
    help="Processes of each run, which share its batches [default: that of the grid, else 1].",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="Of the trainings [default: that of the grid, else float32].",
)
@click.pass_obj
def start(folder: Path, path: Path, jobs: int, scheduler: str | None, **place: Any) -> None:
    """Compute what the grid in PATH lacks.

    PATH is a JSON file; a list is a dimension of the grid:
    {"data_set": "digits", "method": ["robult", "gmc"], "seed": [0, 1]}.
    """
    from dataclasses import replace

    from robult_core.checks import checked_device
    from robult_study.runs.store import Store

    given = {name: value for name, value in place.items() if value is not None}
    if "device" in given:
        given["device"] = checked_device(given["device"])
    configs = [replace(config, **given) for config in _read_grid(path)]
    table = _computed(configs, Store(folder), jobs, scheduler)
    failed = table.attrs["failed"]
    click.echo(f"{table.attrs['runs']} runs are in {folder}, {len(failed)} failed")
    if failed:
        raise SystemExit(1)


def _read_grid(path: Path) -> list[RunConfig]:
    from robult_study.runs.grid import grid

    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(fields, dict):
            return grid(**fields)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path.name} is not JSON ({error}): give an object of run fields, such as {EXAMPLE}"
        ) from None
    raise ValueError(
        f"{path.name} holds {fields!r}: give an object of run fields, such as {EXAMPLE}"
    )


def _computed(
    configs: Iterable[RunConfig], store: Store, jobs: int, scheduler: str | None
) -> pd.DataFrame:
    """The table of `run_grid`; an error in place of its exceptions."""
    from robult_study.runs.grid import AllRunsFailed, run_grid

    try:
        return run_grid(configs, store, jobs, scheduler)
    except AllRunsFailed as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--data-sets", metavar="A,B", help="Only these data sets [default: all five].")
@click.option("--n-seeds", type=click.IntRange(1), help="Seeds [default: 3].")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Processes on this machine [default: ROBULT_JOBS, else one per core].",
)
@SCHEDULER
@STORE
@click.option("--output", type=PATH, help="Folder of the scores [default: the committed ones].")
def search(
    data_sets: str | None,
    n_seeds: int | None,
    jobs: int | None,
    scheduler: str | None,
    **folders: Path | None,
) -> None:
    """Compute the scores of the hyper-parameter search.

    Every method is tried at 16 points, at 8 around the best of them, and beyond an edge. The best
    points are then scored on labelled rows only, with fewer and more steps, with other forms of
    Robult's maps g_i and g_0, and with every rule of late fusion. Runs that the store has are not
    computed again, so a search that was interrupted goes on.
    """
    from robult_core.atomic import write_whole
    from robult_study.runs import search as hyper_search
    from robult_study.runs.store import Store
    from robult_study.settings import read_settings

    store, output = folders["folder"], folders["output"]
    profile = read_settings({"data_sets": data_sets} if data_sets else {})
    is_partial = data_sets or n_seeds or profile.smoke
    if output is None and is_partial:
        raise ValueError(
            "a part of the search does not replace the committed scores: "
            "name a folder for these with --output"
        )
    settings = read_settings({"data_sets": data_sets or ",".join(hyper_search.DATA_SETS)})
    records = settings.store if store is None else Store(store)
    seeds = hyper_search.SEEDS if n_seeds is None else range(n_seeds)
    size = (settings.data_sets, seeds, settings.steps)

    def run(configs: Iterable[RunConfig]) -> pd.DataFrame:
        table = _computed(configs, records, jobs or settings.jobs, scheduler)
        if table.attrs["failed"]:
            raise ValueError("no scores were written, because runs failed: start again")
        return table

    tables = hyper_search.search(run, *size)
    configs = hyper_search.fusion_configs(tables[hyper_search.SCORES], *size)
    tables[hyper_search.FUSION_SCORES] = _fused(run(configs), records)
    for path, table in tables.items():
        target = path if output is None else output / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, table.to_csv(index=False).encode())
        click.echo(f"{len(table)} scores in {target}")


def _fused(table: pd.DataFrame, records: Store) -> pd.DataFrame:
    """The runs of a table, their single modalities fused by every rule."""
    from robult_core.datasets import load
    from robult_study.results.predictions import fusion_rules, fusion_scores

    rows = []
    for key in table["key"].unique():
        record = records.get(key)
        rows += fusion_rules(record, load(record.config["data_set"]))
    return fusion_scores(rows)


# Looking into a store ----------------------------------------------------------------------------


@runs.command("list")
@click.pass_obj
def list_runs(folder: Path) -> None:
    """One line per run; * marks one made by other code (never served), ! one that failed."""
    from robult_study.runs.fingerprint import numerics

    store = _existing(folder)
    for record in store.records():
        mark = " " if record.content["numerics"] == numerics() else "*"
        seconds = record.content["timings"]["total_seconds"]
        click.echo(f"{_line(record.key, mark, record.config)} {seconds:7.1f} s")
    for key, note in store.failed().items():
        click.echo(f"{_line(key, '!', note['config'])} {note['error']}")


def _line(key: str, mark: str, config: dict[str, Any]) -> str:
    """A run in columns; a note of a failure may come from other code and lack a field."""
    data_set, method, seed, share = (
        str(config.get(name, "?")) for name in ("data_set", "method", "seed", "label_fraction")
    )
    return f"{key[:12]}{mark} {data_set:14} {method:19} seed {seed:3} labels {share[:6]:6}"


@runs.command()
@click.argument("key")
@click.pass_obj
def show(folder: Path, key: str) -> None:
    """Everything about one run; the beginning of its key is enough."""
    store = _existing(folder)
    key = store.find(key)
    record = store.get(key)
    if record is not None:
        content = {name: value for name, value in record.content.items() if name != "metrics"}
        click.echo(json.dumps(content, indent=1))
        click.echo(record.metrics.to_string(index=False))
        return
    note = store.failed()[key]
    trace = note.pop("traceback", "")
    click.echo(f"{json.dumps(note, indent=1)}\n{trace}")


@runs.command()
@click.argument("path", type=PATH)
@click.pass_obj
def export(folder: Path, path: Path) -> None:
    """Write all metrics of all runs as one tidy table to PATH (.parquet or .csv)."""
    from robult_study.runs.grid import everything

    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{path.name} is neither .parquet nor .csv: choose one of them")
    table = everything(_existing(folder))
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    click.echo(f"{len(table)} rows of {table['key'].nunique()} runs in {path}")


# Checking and tidying ----------------------------------------------------------------------------


@runs.command()
@click.pass_obj
def verify(folder: Path) -> None:
    """Check every byte of every record against its hash; exit status 1 if one is damaged."""
    store = _existing(folder)
    problems = store.problems()
    for problem in [store.marker_problem(), *problems.values()]:
        if problem:
            click.echo(problem)
    click.echo(f"{len(store.keys()) - len(problems)} records are sound, {len(problems)} damaged")
    if problems:
        raise SystemExit(1)


@runs.command()
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
@click.pass_obj
def prune(folder: Path, yes: bool) -> None:
    """Remove records and failures of other code, and what killed runs left behind.

    Damaged records are moved to damaged/.
    """
    from robult_study.runs.fingerprint import numerics

    store = _existing(folder)
    present = numerics()
    stale = [record.key for record in store.records() if record.content["numerics"] != present]
    failures = [key for key, note in store.failed().items() if note.get("numerics") != present]
    damaged = store.problems()
    leftovers = store.leftovers()
    if yes:
        for key in stale:
            store.remove(key)
        for key in failures:
            store.forget_failure(key)
        for key in damaged:
            store.set_aside(key)
        store.remove_leftovers()
    would = "" if yes else "would "
    removed = "removed" if yes else "remove"
    hint = "" if yes else " (repeat with --yes)"
    click.echo(
        f"{would}{removed} {len(stale)} records and {len(failures)} failures of other code and "
        f"{len(leftovers)} leftovers; {would}set aside {len(damaged)} damaged records{hint}"
    )


@runs.command("repeat")
@click.argument("key")
@click.pass_obj
def repeat_run(folder: Path, key: str) -> None:
    """Compute a failed or a damaged run again, here, with its full error.

    A sound record is shown instead.
    """
    from robult_study.runs.grid import repeat

    store = _existing(folder)
    record = repeat(store.find(key), store)
    click.echo(record.metrics.to_string(index=False))
