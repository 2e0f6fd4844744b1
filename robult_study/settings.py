"""What every notebook starts from: validated parameters, profile, seeds, folders, and one way to show a figure or a table.

The cell after a notebook's parameters cell is `settings = start(globals())`. It exists because papermill injects any parameter, misspelt or
mistyped ones included, without a word, and because a notebook runs in whatever folder its caller stands in.
"""

from __future__ import annotations

import base64
import difflib
import html
import inspect
import io
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch

from robult_study.provenance import cores, git_state, hardware, repository, versions

PARAMETERS = ("profile", "data_sets", "seed", "n_seeds", "output")


class Profile(NamedTuple):
    """seeds: how many by default; steps: gradient steps per run; builtin: only data that needs no download."""

    seeds: int
    steps: int
    builtin: bool


PROFILES = {
    "smoke": Profile(2, 30, True),
    "quick": Profile(3, 400, False),
    "full": Profile(10, 400, False),
}


class SettingsError(ValueError):
    """A parameter that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Settings:
    """The frozen configuration of one notebook run; `start` makes it."""

    profile: str
    data_sets: tuple[str, ...]
    seed: int
    seeds: tuple[int, ...]
    output: Path
    jobs: int
    scheduler: str | None
    headless: bool
    started: float = field(default_factory=time.monotonic)

    @property
    def smoke(self) -> bool:
        return self.profile == "smoke"

    @property
    def steps(self) -> int:
        """Gradient steps per run."""
        return PROFILES[self.profile].steps

    @cached_property
    def store(self) -> Any:
        """The records of all runs of this profile."""
        from robult_study.runs.store import Store

        return Store(self.output / "store")

    def show(self, figure: Any, name: str, alt: str, data: Any = None) -> None:
        """Save a figure as PNG and PDF, the frame behind it as CSV, and display it with its alt text."""
        if not alt.strip():
            raise SettingsError(
                f"figure '{name}' has no alt text: say in one sentence what a reader sees"
            )
        import matplotlib.pyplot as plt

        from robult_study.plots.style import mark_smoke

        if self.smoke:
            mark_smoke(figure)
        folder, picture = self._folder("figures", name), io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None, "Description": alt})
        figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None, "Producer": None})
        (folder / f"{name}.png").write_bytes(picture.getvalue())
        if data is not None:
            data.to_csv(folder / f"{name}.csv", index=_named_index(data))
        plt.close(figure)
        self._display(_picture(picture.getvalue(), alt, self.headless))

    def table(self, table: Any, name: str, caption: str) -> None:
        """Save a frame (or a pandas Styler) as CSV and HTML and display it."""
        folder = self._folder("tables", name)
        frame = getattr(table, "data", table)
        styler = table if table is not frame else frame.style.format(precision=3)
        if not _named_index(frame):
            styler = styler.hide(axis="index")
        markup = styler.set_caption(caption).set_uuid(name).to_html()
        frame.to_csv(folder / f"{name}.csv", index=_named_index(frame))
        (folder / f"{name}.html").write_text(markup, encoding="utf-8")
        self._display({"text/html": markup, "text/plain": f"{caption}\n{frame}"})

    def cached(self, function: Callable) -> Callable:
        """A function of this package whose answers are kept in `<output>/cache`, by arguments, code of its module and of all methods, library versions.

        For what takes seconds and depends on its arguments alone (maps, probes, estimators); the folder may be deleted at any time.
        """
        from joblib import Memory

        from robult_study.runs.fingerprint import code_of, numerics
        from robult_study.runs.store import canonical, sha256

        code = code_of(inspect.getsource(inspect.getmodule(function)))
        stamp = sha256(
            canonical({"code": code, "methods": numerics(), "versions": versions()}).encode()
        )[:16]
        return Memory(self.output / "cache" / stamp, verbose=0).cache(function)

    def progress(self, items: Iterable[Any], description: str) -> Iterator[Any]:
        """Yield the items behind a bar when someone watches, with one line per item otherwise (bars freeze in logs)."""
        if not self.headless:
            from tqdm.auto import tqdm

            yield from tqdm(items, desc=description)
            return
        items = list(items)
        for number, item in enumerate(items, 1):
            begun = time.monotonic()
            yield item
            print(
                f"{description} {number}/{len(items)}: {time.monotonic() - begun:.1f} s", flush=True
            )

    def finish(self) -> None:
        """Print what this run was made with: the watermark at the end of every notebook."""
        git, machine = git_state(repository()), hardware()
        commit = (
            f"{git['commit'][:12]}{', with local changes' if git['dirty'] else ''}"
            if git["commit"]
            else "not a git repository"
        )
        print(
            f"profile {self.profile}, seeds {', '.join(map(str, self.seeds))}, data {', '.join(self.data_sets)}"
        )
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        print(
            f"git {commit}; {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']} {machine['processor']}"
        )
        print(f"{time.monotonic() - self.started:.0f} s")

    def _folder(self, kind: str, name: str) -> Path:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise SettingsError(
                f"'{name}' cannot name a file of {kind}: use lower-case letters, digits and underscores"
            )
        folder = self.output / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @staticmethod
    def _display(bundle: dict[str, Any]) -> None:
        if "ipykernel" in sys.modules:
            from IPython.display import display

            metadata = {"image/png": {"alt": bundle["text/plain"]}} if "image/png" in bundle else {}
            display(bundle, metadata=metadata, raw=True)
        else:
            print(bundle["text/plain"])


def start(namespace: Mapping[str, Any]) -> Settings:
    """Settings from a notebook's `globals()`, or from a plain mapping of parameters; raises SettingsError on the first bad one.

    A parameter that is None takes its default: profile from ROBULT_PROFILE, else quick; output from ROBULT_OUT, else out/<profile>.
    """
    if not any(
        isinstance(value, Settings) for value in namespace.values()
    ):  # a cell run again sees the notebook's own names
        _reject_unknown(namespace)
    given = {name: namespace.get(name) for name in PARAMETERS}
    profile = _profile(given["profile"])
    seed = _integer("seed", 0 if given["seed"] is None else given["seed"], 0)
    n_seeds = _integer(
        "n_seeds", PROFILES[profile].seeds if given["n_seeds"] is None else given["n_seeds"], 1
    )
    settings = Settings(
        profile=profile,
        data_sets=_data_sets(given["data_sets"], PROFILES[profile].builtin),
        seed=seed,
        seeds=tuple(range(seed, seed + n_seeds)),
        output=_output(given["output"], profile),
        jobs=_integer("ROBULT_JOBS", _whole(os.environ.get("ROBULT_JOBS")) or cores(), 1),
        scheduler=os.environ.get("ROBULT_SCHEDULER") or None,
        headless=_headless(),
    )
    _fix_randomness(seed)
    return settings


def _fix_randomness(seed: int) -> None:
    """One thread and fixed generators: the same seed gives the same bits."""
    from robult_study.plots.style import use_style

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    use_style()


def _reject_unknown(namespace: Mapping[str, Any]) -> None:
    shell = {"In", "Out", "exit", "quit"}
    for name, value in namespace.items():
        code = (
            isinstance(value, ModuleType)
            or callable(value)
            or type(value).__module__ == "__future__"
        )
        if name not in PARAMETERS and name not in shell and not name.startswith("_") and not code:
            raise SettingsError(
                f"unknown parameter '{name}'{_closest(name, PARAMETERS)}: a notebook takes {', '.join(PARAMETERS)}"
            )


def _closest(name: str, names: Iterable[str]) -> str:
    match = difflib.get_close_matches(name, list(names), 1)
    return f", did you mean '{match[0]}'?" if match else ""


def _profile(value: object) -> str:
    value = os.environ.get("ROBULT_PROFILE") or "quick" if value is None else value
    if not isinstance(value, str) or value not in PROFILES:
        raise SettingsError(
            f"profile is {value!r}{_closest(str(value), PROFILES)}: choose one of {', '.join(PROFILES)}"
        )
    return value


def _whole(text: str | None) -> int | str | None:
    return int(text) if text and text.isdecimal() else text


def _integer(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(
            f"{name} is {value!r}: give a whole number of at least {least}, without quotes"
        )
    return value


def _data_sets(value: object, builtin: bool) -> tuple[str, ...]:
    from robult_core.datasets import BUILTIN, CATALOGUE, available, data_folder

    if value is None:
        return tuple(BUILTIN if builtin else available())
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(name, str) for name in names)
    ):
        raise SettingsError(
            f"data_sets is {value!r}: give names as a list or separated by commas, such as 'pid,digits'"
        )
    for name in names:
        if name not in CATALOGUE:
            raise SettingsError(
                f"unknown data set '{name}'{_closest(name, CATALOGUE)}: known are {', '.join(CATALOGUE)}"
            )
        if CATALOGUE[name].missing():
            raise SettingsError(
                f"data set '{name}' is not in '{data_folder()}': {CATALOGUE[name].remedy}, or point ROBULT_DATA to it"
            )
    return tuple(dict.fromkeys(names))


def _output(value: object, profile: str) -> Path:
    if value is not None and not (isinstance(value, (str, Path)) and str(value)):
        raise SettingsError(f"output is {value!r}: give the path of a folder")
    folder = repository() / (value or os.environ.get("ROBULT_OUT") or f"out/{profile}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise SettingsError(
            f"cannot write to '{folder}' ({error.strerror}): name another folder as output or in ROBULT_OUT"
        ) from error


def _headless() -> bool:
    """True unless a front end (JupyterLab, VS Code) or a terminal watches; ROBULT_HEADLESS=1 or 0 decides."""
    if "ROBULT_HEADLESS" in os.environ:
        return os.environ["ROBULT_HEADLESS"] != "0"
    return not (
        {"JPY_SESSION_NAME", "VSCODE_PID"} & set(os.environ)
        or ("ipykernel" not in sys.modules and sys.stderr.isatty())
    )


def _picture(png: bytes, alt: str, headless: bool) -> dict[str, str]:
    """JupyterLab shows alt text of HTML images only; a saved copy keeps the PNG, which every viewer shows."""
    code = base64.b64encode(png).decode()
    if headless:
        return {"image/png": code, "text/plain": alt}
    return {
        "text/html": f'<img src="data:image/png;base64,{code}" alt="{html.escape(alt)}">',
        "text/plain": alt,
    }


def _named_index(frame: Any) -> bool:
    """Whether the index says something, that is, is not just 0, 1, 2 …"""
    return (
        frame.index.nlevels > 1
        or frame.index.name is not None
        or frame.index.dtype.kind not in "iu"
    )
