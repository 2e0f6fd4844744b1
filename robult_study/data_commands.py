"""`robult data list|get|check`: what is there, what is missing or damaged, and how to get it."""

from __future__ import annotations

from pathlib import Path

import click

from robult_core.datasets import CATALOGUE, DataError, DataSet, data_folder, entry
from robult_core.datasets.files import GITHUB
from robult_study.results.card import card

HELP = "Data folder [default: ROBULT_DATA, else data/ of the repository]."
FOLDER = click.option("--folder", type=click.Path(path_type=Path), help=HELP)


class Sentences(click.Group):
    """Errors that carry a sentence for the reader are printed as one line, with exit status 1."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except (ValueError, OSError, ImportError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Sentences)
def data() -> None:
    """Data sets: list, download, check."""


def _entries(names: tuple[str, ...]) -> list[DataSet]:
    return (
        [item for item in CATALOGUE.values() if not item.variant]
        if "all" in names
        else list(map(entry, names))
    )


@data.command("list")
@FOLDER
def list_sets(folder: Path | None) -> None:
    """Every data set the program knows, and whether it is found."""
    click.echo(f"data folder: {data_folder(folder)}")
    rows = [("name", "found", "task", "modalities", "where")]
    for item in CATALOGUE.values():
        missing = item.missing(folder)
        where = "built in" if item.builtin else item.needs[0][0] if not missing else item.remedy
        rows.append(
            (item.name, "no" if missing else "yes", item.task.kind, ", ".join(item.modalities), where)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        click.echo(
            "  ".join(
                [*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]
            )
        )


@data.command()
@click.argument("names", nargs=-1, required=True)
@FOLDER
@click.option(
    "--base-url", default=GITHUB, help="Server to download from instead of the pinned public one."
)
def get(names: tuple[str, ...], folder: Path | None, base_url: str) -> None:
    """Download NAMES from their pinned sources, check them and build derived files."""
    failed = False
    for item in _entries(names):
        if "all" in names and not item.remotes and not item.builder:
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
    """Check NAMES (or all): what is there, missing or altered, and where to put it. Exit code 1 on problems."""
    failed = False
    for item in _entries(names):
        problems = item.check(folder)
        failed |= bool(problems)
        click.echo(f"{item.name}: {'in order' if not problems else f'{len(problems)} problem(s)'}")
        there = [
            f"found: {data_folder(folder) / pattern}"
            for pattern, found in item.files(folder).items()
            if found
        ]
        for line in [*there, *problems] if problems else []:
            click.echo(f"  {line}")
        if cards and not problems:
            click.echo(card(item.load(folder)))
    if failed:
        raise SystemExit(1)
