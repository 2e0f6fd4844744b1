"""Do the tests fail when the code is wrong? Change the code at random places and see.

    pip install cosmic-ray
    python tests/mutants.py --count 60 --seed 1 robult_core/losses.py robult_core/training.py

Each change is one that cosmic-ray makes (another comparison, another number, a `not`, a loop that
never runs …), in a copy of the tree, and each is tried against the test file that mirrors its
module, so one takes seconds to a minute. What survives is printed with its line: either the tests
have a hole there, or the change does not matter. Annotations and messages are left alone.
With `--out` a run that was cut goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LEFT_ALONE = ("core/VariableInserter", "core/VariableReplacer", "core/RemoveDecorator")
ANNOTATIONS = ("tfpdef", "annassign")
PATIENCE = 3  # times what the sound tests take, and a little for the start
START_SECONDS = 30


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence` of an operator in a module."""

    module: str
    line: int
    operator: str
    occurrence: int


def test_file(module: str) -> Path | None:
    """The test file that mirrors a module, or else its folder; None where there is none."""
    package, *folders, name = Path(module).with_suffix("").parts
    side = {"robult_core": "core", "robult_study": "study"}[package]
    for stem in ("_".join([*folders, name]), name, "_".join(folders)):
        for path in (Path("tests", side, f"test_{stem}.py"), Path("tests", f"test_{stem}.py")):
            if (ROOT / path).is_file():
                return path
    return None


def mutants(module: str) -> Iterator[Mutant]:
    """Every change that cosmic-ray knows for a module."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast((ROOT / module).read_text())))
    for name in operator_names():
        if name in LEFT_ALONE:
            continue
        operator = get_operator(name)
        if operator.arguments():
            continue
        places = [
            (node, start) for node in nodes for start, _ in operator().mutation_positions(node)
        ]
        for occurrence, (node, start) in enumerate(places):
            if not _is_annotation(node):
                yield Mutant(module, start[0], name, occurrence)


def _is_annotation(node: Any) -> bool:
    """Whether a node stands in a type, which nothing runs."""
    while node.parent is not None:
        parent = node.parent
        if parent.type == "tfpdef":
            return True
        if parent.type == "annassign" and node is parent.children[1]:
            return True
        if parent.type == "funcdef" and node is parent.annotation:
            return True
        node = parent
    return False


def drawn(modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """At most `count` mutants: places are drawn first, then a change at each place.

    Otherwise comparisons, for which there are many changes each, would be nearly all.
    """
    by_place = defaultdict(list)
    for module in modules:
        for mutant in mutants(module):
            by_place[mutant.module, mutant.line].append(mutant)
    generator = random.Random(seed)
    places = sorted(by_place)
    chosen = generator.sample(places, min(count, len(places)))
    return [generator.choice(by_place[place]) for place in chosen]


def copied_tree(folder: Path) -> Path:
    """A copy of what git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listing.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run_tests(tree: Path, tests: Path, seconds: float | None) -> bool:
    """Whether a test file passes; False also where it takes longer than `seconds`."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    # nbmake, which these tests do not use, takes seconds to load
    plugins = ["-p", "no:cacheprovider", "-p", "no:nbmake"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", *plugins, str(tests)]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def survives(tree: Path, mutant: Mutant) -> bool:
    """Whether the mirrored tests pass in `tree` although the module is changed."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    tests = test_file(mutant.module)
    seconds = PATIENCE * sound_seconds(tree, tests) + START_SECONDS
    path = tree / mutant.module
    sound = path.read_text()
    operator = get_operator(mutant.operator)()
    changed = mutate_code(sound, operator, mutant.occurrence)
    if changed is None or changed == sound:
        raise ValueError(f"{mutant} changes nothing: was the module edited meanwhile?")
    path.write_text(changed)
    try:
        return run_tests(tree, tests, seconds)
    finally:
        path.write_text(sound)


@cache
def sound_seconds(tree: Path, tests: Path) -> float:
    """How long a test file takes while nothing is wrong."""
    started = time.perf_counter()
    if not run_tests(tree, tests, None):
        raise SystemExit(f"{tests} fails without a change: mend that first")
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, try and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="+", help="such as robult_core/losses.py")
    parser.add_argument("--count", type=int, default=40, help="of changes, over all modules")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file for one line of JSON per change")
    given = parser.parse_args(arguments)
    without_tests = [module for module in given.modules if test_file(module) is None]
    if without_tests:
        parser.error(f"no test file mirrors {', '.join(without_tests)}")
    outcomes = noted(given.out)
    chosen = drawn(given.modules, given.count, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for number in range(given.jobs):
            trees.put(copied_tree(Path(folder, str(number))))

        def try_one(mutant: Mutant) -> None:
            tree = trees.get()
            try:
                outcomes[mutant] = survives(tree, mutant)
            finally:
                trees.put(tree)
            report(mutant, outcomes[mutant], given.out)

        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(try_one, [mutant for mutant in chosen if mutant not in outcomes]))
    killed = sum(not outcomes[mutant] for mutant in chosen)
    print(f"{killed} of {len(chosen)} changes broke a test ({killed / len(chosen):.0%})")


def noted(out: Path | None) -> dict[Mutant, bool]:
    """Changes that an earlier run tried, and whether they survived."""
    outcomes = {}
    if out is not None and out.exists():
        for line in out.read_text().splitlines():
            entry = json.loads(line)
            survived = entry.pop("survived")
            outcomes[Mutant(**entry)] = survived
    return outcomes


def report(mutant: Mutant, survived: bool, out: Path | None) -> None:
    """Print a survivor with its line, and note every outcome in the file."""
    if survived:
        line = (ROOT / mutant.module).read_text().splitlines()[mutant.line - 1].strip()
        print(f"survived: {mutant.module}:{mutant.line} {mutant.operator}\n    {line}", flush=True)
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps(asdict(mutant) | {"survived": survived}) + "\n")


if __name__ == "__main__":
    main()
