"""Run the benchmarks and write `benchmarks/results.md`: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
from pathlib import Path

import psutil
import torch

from benchmarks import estimators, loss, step

BENCHMARKS = {
    "step": ("A training step", step.report),
    "loss": ("The soft-PU loss", loss.report),
    "estimators": ("The estimators' defaults", estimators.report),
}
PACKAGES = ("torch", "numpy", "pytorch-metric-learning", "lightly", "open_clip_torch")
RESULTS = Path(__file__).with_name("results.md")


def processor() -> str:
    """Type of the processor; nothing that names the machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def hardware() -> str:
    memory = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    capability = torch.backends.cpu.get_cpu_capability()
    system = f"{cores} cores, {memory:.0f} GB of memory, {platform.system()}"
    return f"{processor()} ({capability}), {system}"


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only, a few minutes")
    parser.add_argument(
        "--only", choices=sorted(BENCHMARKS), help="one benchmark, printed, not written"
    )
    arguments = parser.parse_args()
    if arguments.only:
        print(BENCHMARKS[arguments.only][1](arguments.quick))
        return
    parts = ["# Benchmarks: results", f"{hardware()}\n\n{versions()}"]
    for title, report in BENCHMARKS.values():
        parts.append(f"## {title}\n\n{report(arguments.quick)}")
    RESULTS.write_text("\n\n".join(parts) + "\n")
    print(f"written: {RESULTS.name}")


if __name__ == "__main__":
    main()
