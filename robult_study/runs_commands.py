"""`robult runs`: look into a store of runs, check it, tidy it up (a click group that the command line hangs in)."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import click
import pandas as pd

from robult_study.data_commands import Sentences
from robult_study.provenance import repository
from robult_study.runs.fingerprint import numerics
from robult_study.runs.grid import everything, frame, grid, repeat, run_grid
from robult_study.runs.store import Store

PATH = click.Path(path_type=Path)


@click.group(cls=Sentences)
@click.option(
    "--store",
    "folder",
    type=PATH,
    help="Folder of the records [default: ROBULT_OUT or out/<profile>, there store].",
)
@click.pass_context
def runs(context: click.Context, folder: Path | None) -> None:
    """Records of finished runs."""
    written = (
        os.environ.get("ROBULT_OUT") or f"out/{os.environ.get('ROBULT_PROFILE') or 'quick'}"
    )  # as in `settings`
    folder = folder or repository() / written / "store"
    if not folder.is_dir() and context.invoked_subcommand != "start":
        raise ValueError(
            f"there is no store at {folder}: name one with --store, or run `robult reproduce` first"
        )
    context.obj = Store(folder)


@runs.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Run on this dask scheduler instead.")
@click.pass_obj
def start(store: Store, path: Path, jobs: int, scheduler: str | None) -> None:
    """Compute what the grid in PATH lacks; a list is a dimension: {"data_set": "digits", "method": ["robult", "gmc"], "seed": [0, 1]}."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        raise ValueError(
            f'{path.name} holds {fields!r}: give an object of run fields, such as {{"data_set": "digits"}}'
        )
    table = run_grid(grid(**fields), store, jobs, scheduler)
    failed = table.attrs["failed"]
    click.echo(f"{table['key'].nunique()} runs are in {store.folder}, {len(failed)} failed")
    if failed:
        raise SystemExit(1)


@runs.command("list")
@click.pass_obj
def list_runs(store: Store) -> None:
    """One line per run; * marks one made by other code (never served), ! one that failed."""
    for record in store.records():
        stale, seconds = (
            record.content["numerics"] != numerics(),
            record.content["timings"]["total_seconds"],
        )
        click.echo(_line(record.key, "*" if stale else " ", record.config) + f" {seconds:7.1f} s")
    for key, entry in store.failed().items():
        click.echo(_line(key, "!", entry["config"]) + f" {entry['error']}")


def _line(key: str, mark: str, config: dict) -> str:
    return f"{key[:12]}{mark} {config['data_set']:14} {config['method']:14} seed {config['seed']:<3} labels {config['label_fraction']:<6g}"


@runs.command()
@click.argument("key")
@click.pass_obj
def show(store: Store, key: str) -> None:
    """Everything about one run; the beginning of its key is enough."""
    key = store.find(key)
    record = store.get(key)
    content = dict(store.failed()[key] if record is None else record.content)
    metrics = content.pop("metrics", None)
    trace = content.pop("traceback", "")
    table = "" if metrics is None else pd.DataFrame(metrics).to_string(index=False)
    click.echo(f"{json.dumps(content, indent=1)}\n{trace}{table}")


@runs.command()
@click.argument("path", type=PATH)
@click.pass_obj
def export(store: Store, path: Path) -> None:
    """Write all metrics of all runs as one tidy table to PATH (.parquet or .csv)."""
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{path.name} is neither .parquet nor .csv: choose one of them")
    table = everything(store)
    table.to_parquet(path, index=False) if path.suffix == ".parquet" else table.to_csv(
        path, index=False
    )
    click.echo(f"{len(table)} rows of {table['key'].nunique()} runs in {path}")


@runs.command()
@click.pass_obj
def verify(store: Store) -> None:
    """Check every byte of every record against its hash; exit status 1 if one is damaged."""
    problems = store.problems()
    for problem in problems.values():
        click.echo(problem)
    click.echo(f"{len(store.keys()) - len(problems)} records are sound, {len(problems)} damaged")
    if problems:
        raise SystemExit(1)


@runs.command()
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
@click.pass_obj
def prune(store: Store, yes: bool) -> None:
    """Remove records and failures of other code, and what killed runs left behind; damaged records are moved to damaged/."""
    stale = [record.key for record in store.records() if record.content["numerics"] != numerics()]
    failed = [key for key, entry in store.failed().items() if entry.get("numerics") != numerics()]
    damaged, leftovers = store.problems(), store.leftovers()
    if yes:
        for key in stale:
            store.remove(key)
        for key in failed:
            store.forget_failure(key)
        for path in leftovers:
            shutil.rmtree(path)
        for key in damaged:
            store.set_aside(key)
    verb = "removed" if yes else "would remove (repeat with --yes)"
    counts = (
        f"{len(stale)} records and {len(failed)} failures of other code, {len(leftovers)} leftovers"
    )
    click.echo(f"{verb}: {counts}; set aside: {len(damaged)} damaged records")


@runs.command("repeat")
@click.argument("key")
@click.pass_obj
def repeat_run(store: Store, key: str) -> None:
    """Compute one failed run again, here, with its full error; a sound record is shown instead."""
    click.echo(
        frame(repeat(store.find(key), store))[["pattern", "variant", "metric", "value"]].to_string(
            index=False
        )
    )
