"""Run the notebooks in order, headless, and put a report over them; publish such a run into the repository.

    out/<profile>/NN_name.ipynb, .html      executed copies; the page opens without a network
    out/<profile>/figures/, tables/, store/ what the notebooks wrote
    out/<profile>/index.html                everything at a glance
    out/<profile>/manifest.json             git state, versions, hardware, data checksums, parameters, SHA-256 of every file

Kernels run one after another: parallel ones clash on ports. Parallelism is inside, in the grids of `study`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from robult_core.atomic import write_whole
from robult_study.provenance import git_state, hardware, repository, versions
from robult_study.runs.store import sha256
from robult_study.settings import SettingsError, read_settings

MINUTES = {
    "01": 0.6,
    "02": 0.6,
    "03": 1.2,
    "04": 2.7,
    "05": 0.2,
    "06": 3.3,
    "07": 3.3,
    "08": 2.2,
    "09": 0.3,
}  # quick, six sets, 2 cores, measured
CELL_SECONDS = {"smoke": 300.0, "quick": 3600.0, "full": None}  # the longest one cell may take
START_SECONDS = 60  # for a kernel to start
SHARES = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # of labels, notebook 07 in the full profile


@dataclass(frozen=True)
class Outcome:
    """How one notebook ended: status "ok" or "failed", and then the cell and its error in `error`."""

    title: str
    status: str
    seconds: float
    error: str = ""

    @property
    def line(self) -> str:
        return f"{self.status}, {self.seconds:.0f} s" + (
            f"\n    {self.error}" if self.error else ""
        )


def select(folder: Path, only: Sequence[str] = ()) -> list[Path]:
    """The notebooks NN_name.ipynb of a folder in order, or those whose name starts with one of `only`."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    for prefix in only:
        if not any(path.name.startswith(prefix) for path in found):
            raise SettingsError(
                f"no notebook starts with '{prefix}': there are {', '.join(path.stem for path in found) or 'none'}"
            )
    chosen = [path for path in found if not only or path.name.startswith(tuple(only))]
    if not chosen:
        raise SettingsError(
            f"no notebook NN_name.ipynb in '{folder}': run this in a clone of the repository"
        )
    return chosen


def reproduce(
    profile: str | None = None,
    only: Sequence[str] = (),
    data_sets: str | None = None,
    output: str | None = None,
    n_seeds: int | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    cell_seconds: float | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run notebooks from `folder` (the repository's); a failed one stops no other. Returns one outcome per notebook.

    Raises SettingsError before anything runs where a parameter is wrong or the output folder cannot be written.
    """
    begun = time.monotonic()
    notebooks = select(folder or repository() / "notebooks", only)
    given = {
        name: value for name, value in (("data_sets", data_sets), ("n_seeds", n_seeds)) if value
    }
    settings = read_settings({"profile": profile, "output": output, **given})
    parameters = {"profile": settings.profile, **given}
    report = _new_report(settings, parameters)
    _announce(notebooks, settings, report["notebooks"], say, jobs)
    outcomes = []
    with _environment(settings, jobs, scheduler):
        for number, path in enumerate(notebooks, 1):
            limit = cell_seconds or CELL_SECONDS[settings.profile]
            outcomes.append(run_notebook(path, settings.output, parameters, limit))
            say(f"[{number}/{len(notebooks)}] {path.stem}: {outcomes[-1].line}")
            stamp = {key: report[key] for key in ("git", "parameters")} | {
                "data": list(report["data"])
            }
            report["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            report["notebooks"][path.stem] = (
                asdict(outcomes[-1]) | stamp | {"finished": report["finished"]}
            )
            report["notebooks"] = dict(
                sorted(report["notebooks"].items())
            )  # of several calls, in the order to read
            write_index(settings.output, report)
    well = sum(outcome.status == "ok" for outcome in outcomes)
    seconds, index = time.monotonic() - begun, _short(settings.output / "index.html")
    say(f"{well} of {len(outcomes)} notebooks ok in {seconds:.0f} s; open {index}")
    return outcomes


def _new_report(settings: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """The manifest of this call; notebooks of earlier calls keep their entries."""
    from robult_core.datasets import load

    return {
        "profile": settings.profile,
        "finished": None,
        "parameters": parameters,
        "seeds": list(settings.seeds),
        "steps": settings.steps,
        "git": git_state(repository()),
        "versions": versions(),
        "hardware": hardware(),
        "data": {name: load(name).checksum for name in settings.data_sets},
        "notebooks": read_manifest(settings.output).get("notebooks", {}),
    }


def _announce(
    notebooks: list[Path],
    settings: Any,
    before: dict,
    say: Callable[[str], None],
    jobs: int | None = None,
) -> None:
    """What will run, how long that takes, what is there already, where results go."""
    from robult_core.datasets import CATALOGUE

    known = {
        name: entry["seconds"] / 60 for name, entry in before.items() if entry["status"] == "ok"
    }
    guess = {
        path.stem: 0.3 if settings.smoke else MINUTES.get(path.name[:2], 1) for path in notebooks
    }
    minutes = sum(known.get(name, expected) for name, expected in guess.items())
    unknown = settings.profile == "full" and not set(guess) <= set(known)
    about = "hours or more" if unknown else f"about {max(minutes, 1):.0f} min"
    say(f"profile {settings.profile}, {len(settings.seeds)} seeds, {about}: {', '.join(guess)}")
    absent = [name for name in CATALOGUE if downloadable(name) and name not in settings.data_sets]
    hint = (
        f"; without {', '.join(absent)} ('robult data get' downloads them)"
        if absent and not settings.smoke
        else ""
    )
    say(f"data: {', '.join(settings.data_sets)}{hint}")
    say(
        f"{len(settings.store.keys())} finished runs are there and reused; results go to {_short(settings.output)}"
    )
    if settings.profile == "full":
        _forecast({path.name[:2] for path in notebooks}, settings, say, jobs or settings.jobs)


def _forecast(numbers: set[str], settings: Any, say: Callable[[str], None], jobs: int) -> None:
    """Runs and time of the large grids among these notebooks, each run counted once however many notebooks ask for it."""
    from robult_study.runs.grid import expected

    grids = {
        number: configs for number, configs in full_grids(settings).items() if number in numbers
    }
    if grids:
        found = expected(
            [one for configs in grids.values() for one in configs], settings.store, jobs
        )
        say(f"grids of notebooks {', '.join(grids)} with {jobs} jobs, an upper bound: {found}")


def full_grids(settings: Any) -> dict[str, list[Any]]:
    """The runs of the full profile by notebook: methods x sets x seeds, ablations and switches, label shares.

    Notebook 07 leaves out shares that add hardly any label to the one before, so this may be more than will run.
    """
    from robult_core.methods import METHODS
    from robult_study.results import tables
    from robult_study.results import variants as ablations
    from robult_study.runs.grid import grid

    budget = (settings.data_sets, settings.seeds, settings.steps)
    terms = [ablations.DEFAULT, *ablations.TERMS, ablations.NO_CONTRAST]
    switches = ablations.configs(
        ablations.switches(),
        settings.data_sets,
        settings.seeds[: ablations.SWITCH_SEEDS],
        settings.steps,
    )
    common = {
        "data_set": settings.data_sets,
        "seed": settings.seeds,
        "training": {"steps": settings.steps},
    }
    return {
        "04": tables.configs(*budget),
        "06": [*ablations.configs(terms, *budget), *switches, *grid(method="gmc", **common)],
        "07": grid(method=[*METHODS, "linear"], label_fraction=SHARES, **common),
    }


@contextmanager
def _environment(settings: Any, jobs: int | None, scheduler: str | None) -> Iterator[None]:
    """What the kernels inherit; undone afterwards."""
    changes = {"ROBULT_OUT": str(settings.output)}
    changes |= dict.fromkeys(
        ("ROBULT_HEADLESS", "OMP_NUM_THREADS", "PYDEVD_DISABLE_FILE_VALIDATION"), "1"
    )
    changes |= {"ROBULT_JOBS": str(jobs)} if jobs else {}
    changes |= {"ROBULT_SCHEDULER": scheduler} if scheduler else {}
    old = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in old.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def run_notebook(
    path: Path, output: Path, parameters: dict[str, Any], cell_seconds: float | None
) -> Outcome:
    """Execute one notebook into `output`; what ran before a failure is kept there too."""
    import nbformat

    begun, draft = time.monotonic(), output / f".{path.stem}.tmp.ipynb"
    for _ in range(2):  # kernels now and then fail to start; once more
        error = _execute(path, draft, parameters, cell_seconds)
        notebook = nbformat.read(draft if draft.exists() else path, as_version=4)
        if error is None or _started(notebook):
            break
    title = _title(notebook) or path.stem
    message = "" if error is None else _where(notebook, error)
    _save_copies(notebook, output / path.stem, title)
    draft.unlink(missing_ok=True)
    return Outcome(
        title, "failed" if message else "ok", round(time.monotonic() - begun, 1), message
    )


def _execute(
    path: Path, draft: Path, parameters: dict[str, Any], cell_seconds: float | None
) -> Exception | None:
    import papermill
    from traitlets.config import Config

    options = {
        "start_timeout": START_SECONDS,
        "execution_timeout": cell_seconds,
        "progress_bar": False,
    }
    options["config"] = Config(
        {"KernelManager": {"transport": "ipc"}}
    )  # sockets in files: no port to clash on
    try:
        papermill.execute_notebook(
            str(path), str(draft), parameters, cwd=str(path.parent), **options
        )
    except (
        Exception
    ) as error:  # a cell's error, a timeout, a dead kernel: all are this notebook's result
        return error
    return None


def _started(notebook: Any) -> list[tuple[int, Any]]:
    """The cells that ran, whole or in part, with their number in the source (papermill adds cells of its own)."""
    theirs = {"injected-parameters", "papermill-error-cell-tag"}
    own = [cell for cell in notebook.cells if not theirs & set(cell.metadata.get("tags", []))]
    return [
        (n, cell)
        for n, cell in enumerate(own, 1)
        if cell.metadata.get("papermill", {}).get("start_time")
    ]


def _where(notebook: Any, error: Exception) -> str:
    """One sentence: which cell failed, how it begins, and the error. Cells run in order, so it is the last that started."""
    import nbformat

    kind, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    reason = f"{kind}: {(text.strip().splitlines() or [''])[0]}"
    if not _started(notebook):
        return f"the kernel did not start: {reason}"
    number, cell = _started(notebook)[-1]
    if cell.cell_type == "code" and not hasattr(
        error, "ename"
    ):  # a timeout or a dead kernel leaves no trace
        cell.outputs.append(
            nbformat.v4.new_output("stream", name="stderr", text=f"stopped here: {reason}\n")
        )
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"cell {number} ({first.strip()[:80]}) raised {reason}"


def _title(notebook: Any) -> str:
    lines = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
    ]
    return next((line[2:].strip() for line in lines if line.startswith("# ")), "")


def _save_copies(notebook: Any, stem: Path, title: str) -> None:
    import nbformat

    from robult_study.report.export import to_html, without_widgets

    notebook = without_widgets(notebook)
    for name in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(name, None)
    write(stem.with_name(f"{stem.name}.ipynb"), nbformat.writes(notebook))
    write(stem.with_name(f"{stem.name}.html"), to_html(notebook, title))


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    write_whole(path, text.encode())


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def read_manifest(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_index(folder: Path, manifest: dict[str, Any], figures: Path | None = None) -> None:
    """index.html and manifest.json of a folder; `figures` where they lie beside the folder instead of in it."""
    import jinja2

    home = figures or folder / "figures"
    alts = {path.stem: _alt(path) for path in sorted(home.glob("*.png"))}
    hashes = hash_files(folder) | (
        {f"figures/{name}": value for name, value in hash_files(home).items() if "/" not in name}
        if figures
        else {}
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("robult_study", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    tables = [path.stem for path in sorted((folder / "tables").glob("*.html"))]
    page = environment.get_template("index.html.j2").render(
        manifest=manifest,
        files=hashes,
        figures=alts,
        tables=tables,
        prefix="../" if figures else "",
    )
    write(folder / "index.html", page)
    hashes["index.html"] = _sha256(folder / "index.html")
    write(folder / "manifest.json", json.dumps({**manifest, "files": hashes}, indent=1) + "\n")


def _alt(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return picture.info.get("Description", "")


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder by its relative path, but for the manifest, drafts, caches, and the store's bookkeeping."""
    skip = {"manifest.json", "index.html", "README.md"}
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in skip)
    names = ((path.relative_to(folder), path) for path in found)
    return {
        name.as_posix(): _sha256(path)
        for name, path in names
        if not any(part.startswith(".") for part in name.parts)
        and name.parts[:2] not in {("store", "locks"), ("store", "tmp")}
        and name.parts[0] != "cache"
    }


def _sha256(path: Path) -> str:
    status = path.stat()
    return _digest(path, status.st_mtime_ns, status.st_size)


@cache
def _digest(path: Path, modified: int, size: int) -> str:
    """Hashed once while it stays as it is: the index is written after every notebook, over all records."""
    return sha256(path.read_bytes())


def downloadable(name: str) -> bool:
    from robult_core.datasets import CATALOGUE

    entry = CATALOGUE[name]
    return not entry.instead_of and (entry.builtin or entry.downloadable)
