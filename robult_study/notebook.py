"""What a notebook does: start, run grids, look up runs, show figures and tables, finish.

The cell after a notebook's parameters cell is

    from robult_study.notebook import start

    notebook = start(globals())

It exists because papermill passes on misspelt and mistyped parameters without complaint, and
because a notebook may be started in any folder.
"""

from __future__ import annotations

import base64
import io
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from robult_core.atomic import write_whole
from robult_study.markup import html_image
from robult_study.provenance import git_state, hardware, repository, versions
from robult_study.settings import (
    Parameters,
    Settings,
    SettingsError,
    did_you_mean,
    read_settings,
)
from robult_study.wording import in_sentence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from pandas.io.formats.style import Styler

    from robult_core.datasets import MultimodalData
    from robult_core.method import Method
    from robult_study.runs.configuration import RunConfig
    from robult_study.runs.store import Record

PARAMETERS = tuple(field.name for field in fields(Parameters))
SHELL_NAMES = {"In", "Out", "exit", "quit"}  # IPython puts them into every notebook


def start(namespace: Mapping[str, Any]) -> Notebook:
    """The notebook of a `globals()`, or of a plain mapping of parameters.

    Generators are seeded and torch computes on one thread, so that the same seed gives the same
    bits. Raises ValueError naming the first parameter that is unknown or wrong.
    """
    runs_again = any(isinstance(value, Notebook) for value in namespace.values())
    if not runs_again:  # on a second run the names of later cells are there as well
        _reject_unknown(namespace)
    settings = read_settings({name: namespace.get(name) for name in PARAMETERS})
    _prepare(settings.seed)
    return Notebook(settings)


class Notebook:
    """One notebook at work, with its frozen `settings`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._started = time.monotonic()
        self._data: dict[str, MultimodalData] = {}

    # Runs ---------------------------------------------------------------------------------------

    def run(self, configs: Iterable[RunConfig]) -> pd.DataFrame:
        """Compute the runs that the store lacks; returns the table of `run_grid`."""
        from robult_study.runs.grid import run_grid

        settings = self.settings
        return run_grid(configs, settings.store, settings.jobs, settings.scheduler)

    def record(self, config: RunConfig) -> Record:
        """The record of a run.

        Raises LookupError where the store has none that holds what `config` keeps.
        """
        key = config.key(self._raw(config.data_set).checksum)
        record = self.settings.store.get(key, config.files)
        if record is None:
            raise LookupError(
                f"there is no record of {config.method} on {config.data_set}, seed {config.seed}, "
                "with these settings and files: call notebook.run with this configuration first"
            )
        return record

    def records(self, table: pd.DataFrame) -> list[Record]:
        """The record of each run in a table of `run`, in its order.

        Raises LookupError where a record was removed meanwhile.
        """
        records = []
        for key in table["key"].unique():
            record = self.settings.store.get(key)
            if record is None:
                raise LookupError(f"there is no record {key[:12]} any more: run the grid again")
            records.append(record)
        return records

    def restore(self, config: RunConfig, step: int | None = None) -> Method:
        """The trained method of a run that kept its weights, or as it was after `step` steps."""
        from robult_study.runs.execution import restore

        return restore(self.record(config), self._raw(config.data_set), step)

    def _raw(self, name: str) -> MultimodalData:
        from robult_core import datasets

        if name not in self._data:
            self._data[name] = datasets.load(name)
        return self._data[name]

    def cached(self, function: Callable) -> Callable:
        """A function of this project whose answers are kept in `<output>/cache`.

        It is for what takes seconds and depends on its arguments alone, such as maps, probes and
        estimators. The folder may be deleted at any time.
        """
        from robult_study.runs.answers import cached

        return cached(function, self.settings.output / "cache" / "answers")

    # What a reader sees -------------------------------------------------------------------------

    def show(self, figure: Figure, name: str, alt: str, data: pd.DataFrame | None = None) -> None:
        """Save a figure as PNG and PDF and the frame behind it as CSV, and display the figure.

        alt: what a reader sees, in a sentence, for those who cannot see it.
        """
        import matplotlib.pyplot as plt

        from robult_study import table_markup
        from robult_study.plots.style import mark_smoke

        if not alt.strip():
            raise SettingsError(
                f"figure '{name}' has no alt text: say in one sentence what a reader sees"
            )
        stem = self._place("figures", name)
        if self.settings.smoke:
            mark_smoke(figure)
        picture = io.BytesIO()
        message = " ".join(figure.get_suptitle().split())
        texts = {"Title": message, "Description": alt, "Software": None}
        figure.savefig(picture, format="png", metadata=texts)
        stem.with_suffix(".png").write_bytes(picture.getvalue())
        figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None, "Producer": None})
        if data is not None:
            data.to_csv(stem.with_suffix(".csv"), index=table_markup.named_index(data))
        plt.close(figure)
        seen = f"{message}. {alt}" if message else alt  # the title is a part of the picture
        _display(picture_bundle(picture.getvalue(), seen, self.settings.headless))

    def table(self, table: pd.DataFrame | Styler, name: str, caption: str) -> None:
        """Save a frame (or a pandas Styler) as CSV and HTML and display it.

        Readers see words and ten rows, the CSV file keeps the names of the code.
        """
        from robult_study import table_markup

        stem = self._place("tables", name)
        styler = table_markup.styled(table, caption)
        frame = styler.data
        frame.to_csv(stem.with_suffix(".csv"), index=table_markup.named_index(frame))
        whole = styler.set_uuid(name).to_html()
        stem.with_suffix(".html").write_text(whole, encoding="utf-8")
        in_view = table_markup.folded(styler, name)
        _display({"text/html": in_view, "text/plain": f"{caption}\n{frame}"})

    def write(self, name: str, text: str) -> None:
        """Save a text beside the tables, under a name that ends in .md or .csv."""
        stem, _, suffix = name.rpartition(".")
        if suffix not in ("md", "csv"):
            raise SettingsError(f"'{name}' ends in neither .md nor .csv: choose one of them")
        write_whole(self._place("tables", stem).with_suffix(f".{suffix}"), text.encode())

    def progress(self, items: Iterable[Any], description: str) -> Iterator[Any]:
        """Yield the items, behind a bar when someone watches; saved copies are to hold none."""
        from tqdm.auto import tqdm

        yield from tqdm(items, desc=description, disable=self.settings.headless)

    def say(self, *sentences: str) -> None:
        """Print sentences, a line each, with words in place of code names such as `f1_macro`."""
        print(*map(in_sentence, sentences), sep="\n")

    def learned(self, number: str) -> None:
        """Display what the tables of this run answer: the sentences of the first screen, renewed.

        number: the notebook's, such as "04".
        """
        from robult_study.report.findings import ANSWERS, as_list, findings

        text = as_list(findings(self.settings.output, ANSWERS[number]))
        _display({"text/markdown": text, "text/plain": text})

    def stop(self, reason: str) -> NoReturn:
        """Say why nothing is left to do, and end the notebook here without an error.

        The cells below do not run. Papermill takes an exit with the status 0 for a good end.
        """
        print(reason)
        self.finish()
        sys.exit(0)

    def finish(self, data_sets: Sequence[str] | None = None) -> None:
        """Print what this run was made with: the watermark at the end of every notebook.

        data_sets: those that the notebook looks at, where these are not all of the settings.
        """
        settings = self.settings
        seeds = ", ".join(map(str, settings.seeds))
        sets = ", ".join(data_sets or settings.data_sets)
        print(f"profile {settings.profile}, seeds {seeds}, data {sets}")
        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        print(f"git {_commit()}; {_machine()}")
        print(f"this run took {time.monotonic() - self._started:.0f} s")

    def _place(self, kind: str, name: str) -> Path:
        """The path of a figure or a table without its suffix, in a folder that is there."""
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise SettingsError(
                f"'{name}' cannot name a file of {kind}: "
                "use lower-case letters, digits and underscores"
            )
        folder = self.settings.output / kind
        folder.mkdir(exist_ok=True)
        return folder / name


def _reject_unknown(namespace: Mapping[str, Any]) -> None:
    for name, value in namespace.items():
        is_code = isinstance(value, ModuleType) or callable(value)
        is_code = is_code or type(value).__module__ == "__future__"
        known = name in PARAMETERS or name in SHELL_NAMES or name.startswith("_")
        if not known and not is_code:
            raise SettingsError(
                f"unknown parameter '{name}'{did_you_mean(name, PARAMETERS)}: "
                f"a notebook takes {', '.join(PARAMETERS)}"
            )


def _prepare(seed: int) -> None:
    """Compute on one thread, seed the generators, and set the style of all figures."""
    import torch

    from robult_study.plots.style import use_style

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    use_style()


def picture_bundle(png: bytes, alt: str, headless: bool) -> dict[str, str]:
    """A picture as a notebook displays it, by MIME type.

    JupyterLab shows the alt text of HTML images only; a saved copy keeps the PNG, which every
    viewer shows.
    """
    code = base64.b64encode(png).decode()
    if headless:
        return {"image/png": code, "text/plain": alt}
    return {"text/html": html_image(code, alt), "text/plain": alt}


def _display(bundle: dict[str, str]) -> None:
    if "ipykernel" not in sys.modules:
        print(bundle["text/plain"])
        return
    from IPython.display import display

    metadata = {"image/png": {"alt": bundle["text/plain"]}} if "image/png" in bundle else {}
    display(bundle, metadata=metadata, raw=True)


def _commit() -> str:
    state = git_state(repository())
    if not state["commit"]:
        return "not a git repository"
    changes = ", with local changes" if state["dirty"] else ""
    return f"{state['commit'][:12]}{changes}"


def _machine() -> str:
    machine = hardware()
    system = f"{machine['system']} {machine['processor']}"
    return f"{machine['cores']} cores, {machine['memory_gib']} GiB, {system}"
