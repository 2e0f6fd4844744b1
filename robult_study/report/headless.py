"""Notebooks run from their first cell to their last while nobody watches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from robult_core.atomic import write_whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

START_SECONDS = 60  # within which a kernel has to start
ATTEMPTS = 2  # because a kernel fails to start now and then
FIRST_LINE = 80  # characters of a failed cell that are shown
ADDED_TAGS = {"injected-parameters", "papermill-error-cell-tag"}  # of papermill's own cells


@dataclass(frozen=True)
class Outcome:
    """How one notebook ended: the status is "ok" or "failed", and `error` says where and why."""

    title: str
    status: str
    seconds: float
    error: str = ""

    @property
    def line(self) -> str:
        """The status and the time, and the error on a line of its own."""
        summary = f"{self.status}, {self.seconds:.0f} s"
        return f"{summary}\n    {self.error}" if self.error else summary


def run_notebooks(
    paths: Sequence[Path],
    output: Path,
    parameters: dict[str, Any],
    cell_seconds: float | None,
    at_once: int,
) -> Iterator[tuple[Path, Outcome]]:
    """Run notebooks as `run_notebook` does, some at once; yields outcomes as they come.

    Each notebook has a process of its own, because papermill changes the working folder, and one
    that dies stops no other.
    """
    with ThreadPoolExecutor(at_once) as threads:
        futures = {
            threads.submit(_in_own_process, path, output, parameters, cell_seconds): path
            for path in paths
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def _in_own_process(path: Path, *arguments: Any) -> Outcome:
    """What `run_notebook` says in a fresh process, or that the process died."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(run_notebook, path, *arguments).result()
        except BrokenProcessPool as error:
            return Outcome(path.stem, "failed", 0.0, f"its process ended: {error}")


def run_notebook(
    path: Path, output: Path, parameters: dict[str, Any], cell_seconds: float | None
) -> Outcome:
    """Execute a notebook and save its copy and its page in `output`.

    Where a cell fails, what ran before it is saved too. cell_seconds: the longest time that one
    cell may take; None sets no limit.
    """
    begun = time.monotonic()
    notebook, error = _execute_with_retry(path, output, parameters, cell_seconds)
    title = _title(notebook) or path.stem
    message = _explain(notebook, error) if error else ""
    _save_copies(notebook, output, path.stem, title)
    seconds = round(time.monotonic() - begun, 1)
    return Outcome(title, "failed" if error else "ok", seconds, message)


def _execute_with_retry(
    path: Path, output: Path, parameters: dict[str, Any], cell_seconds: float | None
) -> tuple[NotebookNode, Exception | None]:
    """The notebook as far as it ran, and what stopped it; a kernel has two chances to start."""
    import nbformat

    draft = output / f".{path.stem}.tmp.ipynb"
    for _ in range(ATTEMPTS):
        error = _execute(path, draft, parameters, cell_seconds)
        newest = draft if draft.exists() else path
        notebook = nbformat.read(newest, as_version=4)
        if error is None or _started_cells(notebook):
            break
    draft.unlink(missing_ok=True)
    return notebook, error


def _execute(
    path: Path, draft: Path, parameters: dict[str, Any], cell_seconds: float | None
) -> Exception | None:
    """Execute a notebook into a draft; returns what stopped it.

    A cell's error, a timeout and a dead kernel are all results of this notebook, so none is raised.
    """
    import papermill
    from traitlets.config import Config

    with TemporaryDirectory(prefix="robult_kernel_") as folder:
        # sockets in files of its own: kernels that start at once clash on no port and no name
        sockets = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/socket"}})
        try:
            papermill.execute_notebook(
                str(path),
                str(draft),
                parameters,
                cwd=str(path.parent),
                start_timeout=START_SECONDS,
                execution_timeout=cell_seconds,
                progress_bar=False,
                config=sockets,
            )
        except Exception as error:
            return error
    return None


def _started_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    """The cells that ran, in whole or in part, with their number in the source notebook."""
    own = [cell for cell in notebook.cells if not ADDED_TAGS & set(cell.metadata.get("tags", []))]
    return [
        (number, cell)
        for number, cell in enumerate(own, start=1)
        if cell.metadata.get("papermill", {}).get("start_time")
    ]


def _explain(notebook: NotebookNode, error: Exception) -> str:
    """One sentence that says which cell failed, how it begins, and the error.

    Cells run in order, so the one that failed is the last that started.
    """
    kind = getattr(error, "ename", type(error).__name__)
    text = getattr(error, "evalue", str(error)).strip()
    reason = f"{kind}: {text.splitlines()[0] if text else ''}"
    started = _started_cells(notebook)
    if not started:
        return f"the kernel did not start: {reason}"
    number, cell = started[-1]
    if not hasattr(error, "ename"):
        _mark_as_stopped(cell, reason)
    lines = cell.source.strip().splitlines() or [""]
    return f"cell {number} ({lines[0].strip()[:FIRST_LINE]}) raised {reason}"


def _mark_as_stopped(cell: NotebookNode, reason: str) -> None:
    """Say in the cell why it stopped, because a timeout and a dead kernel leave no traceback."""
    import nbformat

    if cell.cell_type == "code":
        text = f"stopped here: {reason}\n"
        cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text=text))


def _title(notebook: NotebookNode) -> str:
    """The first heading of the first level, without its mark."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line[2:].strip()
    return ""


def _save_copies(notebook: NotebookNode, output: Path, stem: str, title: str) -> None:
    """Write the executed notebook and its page, without the paths that papermill notes down."""
    import nbformat

    from robult_study.report.export import to_html, without_widgets

    static = without_widgets(notebook)
    for name in ("input_path", "output_path"):
        static.metadata.get("papermill", {}).pop(name, None)
    write_whole(output / f"{stem}.ipynb", nbformat.writes(static).encode())
    write_whole(output / f"{stem}.html", to_html(static, title).encode())
