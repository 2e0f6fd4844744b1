"""`robult data list|get|check`: what is there, what is missing or damaged, and how to get it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from robult_core.datasets import CATALOGUE, DataError, DataSet, data_folder, entry
from robult_core.datasets.data_set import matches
from robult_core.datasets.download import GITHUB
from robult_study.commands import Sentences

GUIDE = "data/README.md says how each set is laid out."
ENCODER = (
    "Raw images and texts also need a frozen encoder: set ROBULT_ENCODER to its folder, or "
    "ROBULT_VILT where Prompt-Trans on a ViLT reads them (NAME-vilt)."
)
FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Data folder [default: ROBULT_DATA, else data/ of the repository].",
)


@click.group(cls=Sentences)
def data() -> None:
    """Data sets: list, download, check."""


def _entries(names: tuple[str, ...], folder: Path | None) -> list[DataSet]:
    if "all" in names:
        return list(CATALOGUE.values())
    return [entry(name, folder) for name in names]


@data.command("list")
@FOLDER
def list_sets(folder: Path | None) -> None:
    """Every data set the program knows, and whether it is found."""
    root = data_folder(folder)
    click.echo(f"data folder: {root}")
    rows = [("name", "found", "task", "modalities", "where")]
    for item in CATALOGUE.values():
        found = "no" if item.missing(folder) else "yes"
        modalities = ", ".join(item.modalities)
        rows.append((item.name, found, item.task.kind, modalities, _where(item, root)))
    _print_columns(rows)
    click.echo(f"{ENCODER} {GUIDE}")


def _where(item: DataSet, root: Path) -> str:
    """The file that is there, or the names it could have and what to do."""
    if item.builtin:
        return "built in"
    missing = item.missing(root)
    if missing:
        return f"lacks {', '.join(missing)}: {item.remedy}"
    first = matches(root, next(iter(item.files(root))))
    place = str(first.relative_to(root))
    return f"{place} (with ROBULT_ENCODER)" if item.encoder else place


def _print_columns(rows: list[tuple[str, ...]]) -> None:
    """Print rows as columns of one width each; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*padded, row[-1]]))


@data.command()
@click.argument("names", nargs=-1, required=True)
@FOLDER
@click.option(
    "--base-url", default=GITHUB, help="Server to download from instead of the pinned public one."
)
def get(names: tuple[str, ...], folder: Path | None, base_url: str) -> None:
    """Download NAMES from their pinned sources, check them and build derived files."""
    failed = False
    for item in _entries(names, folder):
        if "all" in names and not item.downloadable:
            continue
        try:
            click.echo("\n".join(item.get(folder, base_url)))
        except DataError as error:
            click.echo(f"{item.name}: {error}", err=True)
            failed = True
    if failed:
        raise SystemExit(1)


@data.command()
@click.argument("names", nargs=-1, required=True)
@FOLDER
@click.option(
    "--card", "cards", is_flag=True, help="Print the data card of every set that is in order."
)
def check(names: tuple[str, ...], folder: Path | None, cards: bool) -> None:
    """Check NAMES (or all): what is there, missing or altered, and where to put it.

    The exit code is 1 on problems.
    """
    failed = False
    for item in _entries(names, folder):
        problems = item.check(folder)
        failed = failed or bool(problems)
        if problems:
            _print_problems(item, folder, problems)
            continue
        click.echo(f"{item.name}: in order")
        for warning in item.warnings(folder):
            click.echo(f"  warning: {warning}")
        if cards:
            _print_card(item.load(folder).describe())
    if failed:
        click.echo(GUIDE)
        raise SystemExit(1)


def _print_problems(item: DataSet, folder: Path | None, problems: list[str]) -> None:
    click.echo(f"{item.name}: {len(problems)} problem(s)")
    for pattern in item.files(folder):
        path = matches(data_folder(folder), pattern)
        if path is not None:
            click.echo(f"  found: {path}")
    for problem in problems:
        click.echo(f"  {problem}")


def _print_card(items: Mapping[str, str]) -> None:
    width = max(len(label) for label in items)
    for label, text in items.items():
        click.echo(f"{label:<{width}}  {text}")
