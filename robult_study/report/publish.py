"""Copy a whole quick or full run into `reports/` and `figures/`, free of this machine's paths."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robult_study.provenance import repository
from robult_study.report.reproduce import (
    downloadable,
    hash_files,
    read_manifest,
    select,
    write,
    write_index,
)
from robult_study.runs.grid import everything
from robult_study.runs.store import Store
from robult_study.settings import SettingsError

MARKS = ("<!-- results: written by make publish -->", "<!-- end of results -->")
TEXT = {".ipynb", ".html", ".csv", ".json", ".md"}


def publish(
    profile: str = "quick",
    source: Path | None = None,
    root: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Fill reports/ and figures/ of `root` from a run; raises SettingsError where the run is smoke, partial, failed or altered."""
    root = root or repository()
    source = source or root / "out" / profile
    manifest = read_manifest(source)
    check(manifest, source, [path.stem for path in select(root / "notebooks")])
    reports, figures = root / "reports", root / "figures"
    _remove_old(reports)
    names = [*manifest["notebooks"]]
    _copy(
        source, reports, [f"{name}{kind}" for name in names for kind in (".ipynb", ".html")], root
    )
    _copy(
        source,
        reports,
        [path.relative_to(source).as_posix() for path in source.glob("tables/*.*")],
        root,
    )
    _copy(source, reports, [path.name for path in source.glob("*.md")], root)
    _copy(source / "figures", figures, [path.name for path in (source / "figures").iterdir()], root)
    runs = everything(Store(source / "store"), stale=False).drop(columns="current")
    if len(runs):
        runs.to_parquet(reports / "runs.parquet", index=False)
    if (brief := reports / "tables" / "04_headline.md").exists() and not renew_readme(
        root / "README.md", brief.read_text(encoding="utf-8")
    ):
        say(
            f"README.md has no results table: put the lines '{MARKS[0]}' and '{MARKS[1]}' where it belongs"
        )
    write_index(reports, manifest, figures)
    counts = f"{len(names)} notebooks and {runs['key'].nunique()} runs of {source.name}"
    say(f"published {counts} into reports/ and figures/; look, then commit them")


def renew_readme(readme: Path, table: str) -> bool:
    """Put the results table between README's two marks; False, and nothing done, where it does not have them."""
    between = re.compile(f"(?s)({MARKS[0]}\n).*?({MARKS[1]})")
    text, count = between.subn(
        lambda marks: f"{marks[1]}\n{table}\n{marks[2]}", readme.read_text(encoding="utf-8")
    )
    if count:
        write(readme, text)
    return count > 0


def check(manifest: dict[str, Any], source: Path, notebooks: list[str]) -> None:
    """Raise SettingsError naming the first reason why this run must not be published."""
    if not manifest:
        raise SettingsError(f"there is no finished run in '{source}': run 'make reproduce' first")
    if manifest["profile"] == "smoke":
        raise SettingsError(
            "a smoke run is not published, its numbers mean nothing: run the profile quick or full"
        )
    for name in notebooks:
        entry = manifest["notebooks"].get(name, {"status": "not run"})
        if entry["status"] != "ok":
            raise SettingsError(
                f"notebook {name} is {entry['status']} in this run: 'robult reproduce --only {name[:2]}', then publish"
            )
        absent = [data_set for data_set in _all_sets() if data_set not in entry["data"]]
        if absent:
            raise SettingsError(
                f"notebook {name} ran without {', '.join(absent)}: 'robult data get {' '.join(absent)}', then reproduce all"
            )
    now = hash_files(source)
    for name, digest in manifest["files"].items():
        if name != "index.html" and not name.startswith("store/") and now.get(name) != digest:
            raise SettingsError(
                f"'{name}' is missing or changed since the run that wrote it: reproduce it, then publish"
            )


def _all_sets() -> list[str]:
    from robult_core.datasets import CATALOGUE

    return [name for name in CATALOGUE if downloadable(name)]


def _remove_old(reports: Path) -> None:
    """What the last publication wrote, and nothing else."""
    for name in read_manifest(reports).get("files", {}):
        path = (reports.parent if name.startswith("figures/") else reports) / name
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path, names: list[str], root: Path) -> None:
    for name in names:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in TEXT:
            path.write_text(
                scrub((source / name).read_text(encoding="utf-8"), root), encoding="utf-8"
            )
        else:
            shutil.copyfile(source / name, path)


def scrub(text: str, root: Path) -> str:
    """Text without the paths of this machine: the repository, the data folder, the interpreter, the home folder, temporary cells."""
    from robult_core.datasets import data_folder

    here, base = (Path(folder) for folder in (sys.prefix, sys.base_prefix))
    places = [(root, "."), (data_folder(), "$ROBULT_DATA"), (here, "$PYTHON"), (base, "$PYTHON")]
    for place, name in [*places, (Path.home(), "~")]:
        for path in {place.absolute(), place.resolve()} - {
            Path("/")
        }:  # a container's home may be the root
            text = re.sub(
                rf"(?<![\w/.])(file://)?{re.escape(str(path))}(?=[/\s\"'\\,;:)<&]|$)", name, text
            )
    return re.sub(r"/tmp/ipykernel_\d+/\d+\.py", "<cell>", text)
