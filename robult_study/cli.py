"""The command line: `robult reproduce | publish | data … | runs … | search | fit | predict …`.

Everything heavy loads with the command that needs it, so that help answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from robult_study.commands import LazySentences

PROFILE = click.Choice(["smoke", "quick", "full"])
LAZY = {  # a command -> its module, and its short help
    "fit": ("robult_study.own_data_commands", "Train on files of your own."),
    "predict": ("robult_study.own_data_commands", "Predict from files of your own."),
    "describe": ("robult_study.own_data_commands", "Say what files of your own hold."),
    "data": ("robult_study.data_commands", "Data sets: list, download, check."),
    "runs": ("robult_study.runs_commands", "Records of finished runs."),
    "search": ("robult_study.runs_commands", "Compute the scores of the hyper-parameter search."),
}


@click.group(
    cls=LazySentences,
    lazy=LAZY,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="robult")
def main() -> None:
    """Robult: notebooks, data and runs of the study; models of your own data."""


@main.command()
@click.option(
    "--profile", type=PROFILE, help="How much to run [default: ROBULT_PROFILE, else quick]."
)
@click.option(
    "--only",
    multiple=True,
    metavar="NN",
    help="Only notebooks whose names start with NN; may be repeated.",
)
@click.option(
    "--data-sets", metavar="A,B", help="Only these data sets [default: all that are found]."
)
@click.option(
    "--n-seeds", type=click.IntRange(1), help="Seeds per configuration [default: by profile]."
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Processes for the grids [default: ROBULT_JOBS, else one per core].",
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run the grids on this dask scheduler instead."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Folder of results [default: out/<profile>].",
)
@click.option(
    "--cell-seconds",
    type=click.FloatRange(1),
    help="Longest time for one cell [default: by profile].",
)
def reproduce(only: tuple[str, ...], **options: Any) -> None:
    """Run the notebooks and write a report over them; exit status 1 when one fails.

    First all their runs are computed, then as many notebooks are executed at a time as there are
    jobs.
    """
    from robult_study.report.reproduce import Options
    from robult_study.report.reproduce import reproduce as run

    numbers = tuple(number.strip() for text in only for number in text.split(","))
    outcomes = run(Options(only=numbers, **options), say=click.echo)
    if any(outcome.status != "ok" for outcome in outcomes):
        raise SystemExit(1)


@main.command()
@click.option("--profile", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option(
    "--source", type=click.Path(path_type=Path), help="Folder of the run [default: out/<profile>]."
)
def publish(profile: str, source: Path | None) -> None:
    """Copy a whole run with every data set into reports/ and figures/."""
    from robult_study.report.publish import publish as copy

    copy(profile, source, say=click.echo)


@main.command()
def site() -> None:
    """Build the site from README, docs/, reports/ and figures/ into out/site/."""
    from robult_study.report.website import build_site

    build_site(say=click.echo)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="Absolute difference of a metric up to which two runs agree.",
)
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every compared run to this file.",
)
def compare(folder: Path, tolerance: float, table: Path | None) -> None:
    """Set the runs in FOLDER, such as out/quick, against the published records."""
    from robult_study.report import agreement

    result = agreement.compare(folder, tolerance=tolerance)
    for line in agreement.report(result):
        click.echo(line)
    if table:
        result.runs.to_csv(table, index=False)
