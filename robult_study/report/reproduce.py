"""Run the notebooks headless, and put a report over them.

    out/<profile>/NN_name.ipynb, .html       executed copies; the page opens without a network
    out/<profile>/figures/, tables/, store/  what the notebooks wrote
    out/<profile>/index.html                 everything at a glance
    out/<profile>/manifest.json              how it was made, and the SHA-256 of every file

First all runs are computed that the notebooks ask for, on every core. Then the notebooks, which
find them in the store, are executed, as many at a time as there are jobs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robult_core.validation import Count, Positive, validated
from robult_study.provenance import repository
from robult_study.report.forecast import announce, longest_first, short_path
from robult_study.report.headless import Outcome, run_notebooks
from robult_study.report.index import NAME as INDEX
from robult_study.report.index import write_index
from robult_study.report.manifest import Manifest, hash_files, new_manifest, write_manifest
from robult_study.settings import Settings, SettingsError, read_settings

CELL_SECONDS = {"smoke": 300.0, "quick": 3600.0, "full": None}  # the longest one cell may take
STAMPED = ("git", "numerics", "parameters")  # parts of the manifest that each notebook repeats
NO_CLONE = "the notebooks are not part of the installed package: run this in a clone of the project"
NO_STUDY = "the notebooks need more than the light install: run pip install '.[study]' in the clone"


@validated
class Options:
    """What `robult reproduce` may be asked for; None takes the default of `settings`."""

    profile: str | None = None
    only: tuple[str, ...] = ()  # beginnings of notebooks' names
    data_sets: str | None = None  # names, separated by commas
    n_seeds: Count | None = None
    output: Path | None = None
    jobs: Count | None = None  # processes for the runs
    scheduler: str | None = None  # address of a dask scheduler
    cell_seconds: Positive | None = None  # the longest one cell may take

    @property
    def parameters(self) -> dict[str, Any]:
        """What is passed on to each notebook, the profile excepted."""
        named = {"data_sets": self.data_sets, "n_seeds": self.n_seeds}
        return {name: value for name, value in named.items() if value is not None}


def reproduce(
    options: Options, folder: Path | None = None, say: Callable[[str], None] = print
) -> list[Outcome]:
    """Run the notebooks of a folder (the repository's); returns one outcome per notebook.

    A notebook that fails stops no other. Raises SettingsError before anything runs where an option
    is wrong or the output folder cannot be written.
    """
    begun = time.monotonic()
    notebooks = select(folder or repository() / "notebooks", options.only)
    if find_spec("papermill") is None:
        raise SettingsError(NO_STUDY)
    settings = _settings(options)
    parameters = {"profile": settings.profile, **options.parameters}
    manifest = new_manifest(settings, parameters)
    announce([path.stem for path in notebooks], settings, manifest["notebooks"], say)
    limit = options.cell_seconds or CELL_SECONDS[settings.profile]
    at_once = min(settings.jobs, len(notebooks))
    queue = longest_first(notebooks, manifest["notebooks"])
    outcomes = []
    with _environment(settings, at_once):
        _compute_runs(notebooks, settings, say)
        for path, outcome in run_notebooks(queue, settings.output, parameters, limit, at_once):
            outcomes.append(outcome)
            say(f"[{len(outcomes)}/{len(notebooks)}] {path.stem}: {outcome.line}")
            _enter(manifest, path.stem, outcome)
            _write_report(settings.output, manifest)
    n_ok = sum(outcome.status == "ok" for outcome in outcomes)
    seconds = time.monotonic() - begun
    page = short_path(settings.output / INDEX)
    say(f"{n_ok} of {len(outcomes)} notebooks ok in {seconds:.0f} s; open {page}")
    _say_agreement(settings, say)
    return outcomes


def select(folder: Path, only: Sequence[str] = ()) -> list[Path]:
    """The notebooks NN_name.ipynb of a folder, or those whose name starts with one of `only`."""
    notebooks = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise SettingsError(f"there is no notebook NN_name.ipynb in '{folder}': {NO_CLONE}")
    for prefix in only:
        if not prefix or not any(path.name.startswith(prefix) for path in notebooks):
            names = ", ".join(path.stem for path in notebooks)
            raise SettingsError(f"no notebook starts with '{prefix}': there are {names}")
    return [path for path in notebooks if not only or path.name.startswith(tuple(only))]


def _settings(options: Options) -> Settings:
    """The settings of the options, the environment and the defaults."""
    named = {"profile": options.profile, "output": options.output}
    settings = read_settings(named | options.parameters)
    jobs = options.jobs or settings.jobs
    scheduler = options.scheduler or settings.scheduler
    return replace(settings, jobs=jobs, scheduler=scheduler)


def _compute_runs(
    notebooks: Sequence[Path], settings: Settings, say: Callable[[str], None]
) -> None:
    """Compute the runs in the plans of notebooks that the store lacks.

    What goes wrong here goes wrong again in the notebook that needs it, and is reported there.
    """
    from robult_study.plans import by_notebook
    from robult_study.runs.grid import compute_missing

    try:
        plans = by_notebook(settings, {path.name[:2] for path in notebooks})
        configs = [config for plan in plans.values() for config in plan]
        compute_missing(configs, settings.store, settings.jobs, settings.scheduler)
    except (ValueError, OSError, ImportError) as error:
        say(f"not all runs could be computed ahead: {error}")


@contextmanager
def _environment(settings: Settings, at_once: int) -> Iterator[None]:
    """The variables that the kernels inherit; they are undone afterwards.

    Kernels that run at once share the jobs.

    The folder of results is a variable and no parameter, so that the executed copies do not name
    the folders of this machine.
    """
    variables = {
        "ROBULT_OUT": str(settings.output),
        "ROBULT_JOBS": str(settings.jobs // at_once),
        "ROBULT_HEADLESS": "1",
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    if settings.scheduler:
        variables["ROBULT_SCHEDULER"] = settings.scheduler
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
            if name in before:
                os.environ[name] = before[name]


def _enter(manifest: Manifest, name: str, outcome: Outcome) -> None:
    """Put the outcome of a notebook into the manifest, which lists notebooks in reading order."""
    manifest["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    entry = asdict(outcome)
    for part in STAMPED:
        entry[part] = manifest[part]
    entry["data"] = list(manifest["data"])
    entry["finished"] = manifest["finished"]
    notebooks = manifest["notebooks"] | {name: entry}
    manifest["notebooks"] = dict(sorted(notebooks.items()))


def _say_agreement(settings: Settings, say: Callable[[str], None]) -> None:
    """Say whether the runs agree with the published ones, where both sides have any."""
    from robult_study.report.agreement import compare

    if settings.smoke:
        return
    try:
        agreement = compare(settings.output)
    except SettingsError:
        return
    place = short_path(settings.output)
    say(f"{agreement.line}: 'robult compare {place}' says more")


def _write_report(output: Path, manifest: Manifest) -> None:
    write_index(output, manifest, hash_files(output))
    write_manifest(output, manifest, hash_files(output))
