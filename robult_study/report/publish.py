"""Copy a whole quick or full run into `reports/` and `figures/`, without this machine's paths."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from robult_core.datasets import data_folder
from robult_core.datasets.files import hash_of_file
from robult_study.provenance import repository
from robult_study.report.findings import ANSWERS, all_answers, answers_table, as_list, findings
from robult_study.report.forecast import obtainable_sets
from robult_study.report.gallery import gallery
from robult_study.report.manifest import (
    WRITTEN_BY_HAND,
    Manifest,
    hash_files,
    read_manifest,
    safe_path,
    write_manifest,
)
from robult_study.report.reproduce import select
from robult_study.settings import SettingsError, store_folder

REPORTS, FIGURES = "reports", "figures"
RECORDS = "runs.parquet"
HEADLINE = "tables/04_headline.md"  # the table of the page of results
TEXT = {".ipynb", ".csv", ".md"}  # files from which paths are taken out


class Copy(NamedTuple):
    """A file of the run and the place where it is published."""

    origin: Path
    target: Path


def publish(
    profile: str = "quick",
    source: Path | None = None,
    root: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Fill reports/ and figures/ of `root` (the repository) from a run.

    What an earlier publication wrote there is removed, and nothing outside the two folders but the
    findings in README.md, docs/results.md, docs/variant.md and notebooks is touched. Raises
    SettingsError before anything is written where the run is a smoke run, partial, failed or
    altered, and where a path leads out of the two folders.
    """
    root = root or repository()
    source = source or root / "out" / profile
    names = [path.stem for path in select(root / "notebooks")]
    manifest = read_manifest(source)
    check(manifest, source, names)
    for queries in ANSWERS.values():  # one that fails does so before anything is written
        findings(source, queries)
    copies = _copies(manifest, root, source, names)
    outdated = _published_before(root)
    records = safe_path(root, REPORTS, RECORDS)
    for path in outdated:
        path.unlink(missing_ok=True)
    for origin, target in copies:
        _copy(origin, target, root)
    n_runs = _write_records(source, records)
    _renew_pages(root, say)
    notebooks = {name: manifest["notebooks"][name] for name in names}
    write_manifest(root / REPORTS, manifest | {"notebooks": notebooks}, _published(root))
    counts = f"{len(names)} notebooks and {n_runs} runs of {source.name}"
    say(f"published {counts} into reports/ and figures/; look at them, then commit them")


# May this run be published? ----------------------------------------------------------------------


def check(manifest: Manifest, source: Path, names: Sequence[str]) -> None:
    """Raise SettingsError naming the first reason why this run must not be published.

    names: the notebooks that have to be in it.
    """
    if not manifest.get("profile") or not manifest.get("files"):
        raise SettingsError(
            f"there is no finished run in '{source}': run 'robult reproduce' first, "
            "with the same --profile or with this --output"
        )
    if manifest["profile"] == "smoke":
        raise SettingsError(
            "a smoke run is not published, because its numbers mean nothing: "
            "run the profile quick or full"
        )
    for name in names:
        _check_notebook(manifest, name)
    _check_files(manifest, source)


def _check_notebook(manifest: Manifest, name: str) -> None:
    from robult_study.runs.fingerprint import numerics

    entry = manifest.get("notebooks", {}).get(name, {"status": "not run"})
    again = f"'robult reproduce --only {name[:2]}', then publish"
    if entry["status"] != "ok":
        raise SettingsError(f"notebook {name} is {entry['status']} in this run: {again}")
    absent = [data_set for data_set in obtainable_sets() if data_set not in entry["data"]]
    if absent:
        raise SettingsError(
            f"notebook {name} ran without {', '.join(absent)}: "
            f"'robult data get {' '.join(absent)}', then reproduce all"
        )
    if entry.get("numerics") != numerics():
        raise SettingsError(
            f"the code or a library behind the numbers changed since notebook {name} ran: {again}"
        )


def _check_files(manifest: Manifest, source: Path) -> None:
    """Check that the files of the run are those of its manifest, by their hashes.

    The store checks its records by itself.
    """
    listed, present = manifest["files"], hash_files(source)
    for name in [*listed, *sorted(present.keys() - listed.keys())]:
        if name.startswith("store/") or present.get(name) == listed.get(name):
            continue
        if name not in listed:
            raise SettingsError(f"'{name}' is no file of this run, by its manifest: delete it")
        wrong = "was changed since the run that wrote it" if name in present else "is missing"
        raise SettingsError(f"'{name}' {wrong}: reproduce it, then publish")


# What goes where ---------------------------------------------------------------------------------


def _copies(manifest: Manifest, root: Path, source: Path, names: Sequence[str]) -> list[Copy]:
    """Every file of the run that is published: executed notebooks, tables, texts and figures."""
    copies = []
    for name in manifest["files"]:
        path = Path(name)
        is_figure = path.parts[:1] == (FIGURES,)
        is_report = path.parts[:1] == ("tables",) or len(path.parts) == 1
        is_dropped = path.suffix == ".ipynb" and path.stem not in names
        if is_figure or (is_report and path.suffix in TEXT and not is_dropped):
            copies.append(Copy(safe_path(source, "", name), _published_path(root, name)))
    return copies


def _published_path(root: Path, name: str) -> Path:
    """The place of a file that a manifest lists: figures lie beside the reports."""
    if name.startswith(f"{FIGURES}/"):
        return safe_path(root, FIGURES, name.removeprefix(f"{FIGURES}/"))
    return safe_path(root, REPORTS, name)


def _published_before(root: Path) -> list[Path]:
    """What the last publication wrote, which this one removes or replaces."""
    names = read_manifest(root / REPORTS).get("files", {})
    return [_published_path(root, name) for name in names if Path(name).name != WRITTEN_BY_HAND]


def _published(root: Path) -> dict[str, str]:
    """The hash of every published file; folders inside figures/ are not of a run."""
    hashes = hash_files(root / REPORTS)
    for path in sorted((root / FIGURES).glob("*.*")):
        if path.is_file() and path.name != WRITTEN_BY_HAND:
            hashes[f"{FIGURES}/{path.name}"] = hash_of_file(path)
    return hashes


def _copy(origin: Path, target: Path, root: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix in TEXT:
        text = origin.read_text(encoding="utf-8")
        target.write_text(scrub(text, root), encoding="utf-8")
    else:
        shutil.copyfile(origin, target)


def _write_records(source: Path, target: Path) -> int:
    """Publish the metrics of all runs made by the present code; returns the number of runs."""
    from robult_study.runs.grid import everything
    from robult_study.runs.store import Store

    metrics = everything(Store(store_folder(source)), stale=False).drop(columns="current")
    if len(metrics):
        metrics.to_parquet(target, index=False)
    return metrics["key"].nunique()


# Pages that show numbers -------------------------------------------------------------------------


def marks(part: str) -> tuple[str, str]:
    """The two lines between which a page shows the findings or the results."""
    return f"<!-- {part}: written by make publish -->", f"<!-- end of {part} -->"


def _renew_pages(root: Path, say: Callable[[str], None]) -> None:
    """Write what was published into README, the page of results and the list of figures."""
    reports = root / REPORTS
    parts = [
        ("README.md", "findings", as_list(findings(reports))),
        ("README.md", "answers", answers_table(root)),
    ]
    if (reports / HEADLINE).exists():
        table = (reports / HEADLINE).read_text(encoding="utf-8")
        parts.append(("docs/results.md", "results", table))
    parts.append(("docs/results.md", "answers", all_answers(root)))
    parts.append(("docs/variant.md", "variant", as_list(findings(reports, ["variant"]))))
    for name, part, text in parts:
        if text and not renew(root / name, part, text):
            first, last = marks(part)
            say(f"{name} has no {part}: put the lines '{first}' and '{last}' where they belong")
    for number, names in ANSWERS.items():
        text = as_list(findings(reports, names))
        for path in [*root.glob(f"notebooks/{number}_*.ipynb"), *reports.glob(f"{number}_*.ipynb")]:
            renew_notebook(path, "answer", text)
    figures = root / FIGURES
    if figures.is_dir():
        safe_path(root, FIGURES, "README.md").write_text(gallery(figures), encoding="utf-8")


def renew(page: Path, part: str, text: str) -> bool:
    """Put a text between the two marks of a page.

    Returns False, and changes nothing, where there is no such page or it does not have them.
    """
    if not page.exists():
        return False
    new = _between_marks(page.read_text(encoding="utf-8"), part, text)
    if new is None:
        return False
    page.write_text(new, encoding="utf-8")
    return True


def renew_notebook(path: Path, part: str, text: str) -> bool:
    """`renew` for the markdown cell of a notebook that has the two marks."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        new = _between_marks(cell.source, part, text)
        if cell.cell_type == "markdown" and new is not None:
            cell.source = new
            nbformat.write(notebook, path)
            return True
    return False


def _between_marks(page: str, part: str, text: str) -> str | None:
    """The page with a text between its two marks, or None where it does not have them."""
    first, last = marks(part)
    before, has_first, remainder = page.partition(f"{first}\n")
    _, has_last, after = remainder.partition(last)
    if not has_first or not has_last:
        return None
    return f"{before}{first}\n\n{text}\n{last}{after}"


# Paths of this machine ---------------------------------------------------------------------------


def scrub(text: str, root: Path) -> str:
    """Text without the paths of this machine.

    These are the repository, the data folder, the interpreter, the home folder, and the names that
    a kernel gives to its cells.
    """
    replacements = [
        (root, "."),
        (data_folder(), "$ROBULT_DATA"),
        (Path(sys.prefix), "$PYTHON"),
        (Path(sys.base_prefix), "$PYTHON"),
        (Path.home(), "~"),
    ]
    for folder, name in replacements:
        for path in {folder.absolute(), folder.resolve()}:
            if path != Path("/"):  # a container's home may be the root
                text = _replace_path(text, path, name)
    return re.sub(r"/tmp/ipykernel_\d+/\d+\.py", "<cell>", text)


def _replace_path(text: str, path: Path, name: str) -> str:
    """Replace a path where it stands whole, or as the beginning of a longer one."""
    begin = r"(?<![\w/.])(file://)?"
    end = r"(?=[/\s\"'\\,;:)<&]|$)"
    return re.sub(f"{begin}{re.escape(str(path))}{end}", name, text)
