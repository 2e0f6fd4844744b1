"""What is installed: declared dependencies, locks that agree, the light install, the wheel."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from without_packages import run_without

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "robult_core").rglob("*.py"))
STUDY = sorted((ROOT / "robult_study").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"robult_core", "robult_study", "timm"}  # a user's own timm is an option of ViT


def name_of(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def pins() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def locked() -> dict[str, str]:
    return dict(pin.split("==") for pin in pins())


def requirements() -> list[str]:
    """What the project asks for directly, extras included."""
    return [*PROJECT["dependencies"], *chain(*EXTRAS.values())]


# Dependencies and locks --------------------------------------------------------------------------


def imported(node: ast.AST) -> list[str]:
    """The top-level packages that an import statement names; none for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module.split(".")[0]]
    return []


@cache
def homes_of_modules() -> dict[str, list[str]]:
    """The installed packages that hold each top-level module; it takes a second to find out."""
    return dict(importlib.metadata.packages_distributions())


def is_declared(package: str, declared: set[str]) -> bool:
    homes = homes_of_modules()[package]
    return bool({canonicalize_name(home) for home in homes} & declared)


@pytest.mark.parametrize("path", [*CORE, *STUDY], ids=lambda path: path.stem)
def test_every_import_is_declared(path):
    declared = {name_of(text) for text in requirements()}
    for node in ast.walk(ast.parse(path.read_text())):
        for package in set(imported(node)) - OURS - sys.stdlib_module_names:
            assert is_declared(package, declared), package


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_a_module_of_the_core_loads_the_light_dependencies_only(path):
    """Whatever else it needs is imported inside the function that needs it."""
    light = {name_of(text) for text in PROJECT["dependencies"]}
    for node in ast.parse(path.read_text()).body:
        for package in set(imported(node)) - OURS - sys.stdlib_module_names:
            assert is_declared(package, light), package


def test_a_library_gives_torch_a_range_and_the_lock_one_version():
    torch = next(Requirement(text) for text in PROJECT["dependencies"] if name_of(text) == "torch")
    assert torch.specifier.contains("2.6.0")
    assert torch.specifier.contains("2.99")
    assert not torch.specifier.contains("3.0")
    assert locked()["torch"] == "2.13.0"


def test_the_study_is_an_extra_of_its_own():
    assert set(EXTRAS) == {"study", "text", "images", "paper", "dask", "docs", "bench", "test"}
    light = {name_of(text) for text in PROJECT["dependencies"]}
    heavy = {name_of(text) for text in EXTRAS["study"]}
    assert not light & heavy
    assert {"jupyterlab", "matplotlib", "pandas", "seaborn"} <= heavy


def test_pip_and_conda_get_the_same_versions():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert by_pip == pins()
    others = [entry for entry in conda if isinstance(entry, str)]
    assert others == ["python" + PROJECT["requires-python"], "pip"]


def test_the_lock_is_exact_and_holds_every_direct_dependency():
    exact = re.compile(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*")
    assert [pin for pin in pins() if not exact.fullmatch(pin)] == []
    versions = locked()
    assert [name for name in versions if name.startswith("nvidia")] == []
    for text in requirements():
        assert Requirement(text).specifier.contains(versions[name_of(text)]), text


def test_the_environment_holds_what_the_lock_says():
    wrong = {}
    for name, version in locked().items():
        installed = importlib.metadata.version(name).split("+")[0]
        if installed != version:
            wrong[name] = installed
    assert wrong == {}


# The light install -------------------------------------------------------------------------------


def light_packages() -> set[str]:
    """The installed packages that a light install brings: all that its dependencies need."""
    queue = [Requirement(text) for text in PROJECT["dependencies"]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while queue:
        requirement = queue.pop()
        visit = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if visit in seen:
            continue
        seen.add(visit)
        for text in needs(requirement.name):
            needed = Requirement(text)
            if any(applies(needed, extra) for extra in ["", *requirement.extras]):
                queue.append(needed)
    return {name for name, _ in seen}


def needs(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # the GPU libraries of another build of torch
        return []


def applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def hidden_modules() -> list[str]:
    """Top-level modules of installed packages that a light install does not bring."""
    light = {*light_packages(), "robult"}
    hidden = []
    for module, homes in homes_of_modules().items():
        if not {canonicalize_name(home) for home in homes} & light:
            hidden.append(module)
    return hidden


ESTIMATOR = """
import importlib, pkgutil, sys
import numpy as np
import robult_core
slow = {"sklearn", "scipy", "pandas", "lightning_fabric"} & set(sys.modules)
assert not slow, f"import robult_core loads {slow}, which takes seconds"
for module in pkgutil.walk_packages(robult_core.__path__, "robult_core."):
    importlib.import_module(module.name)

from robult_core.estimators import MultimodalClassifier, load_model

rng = np.random.default_rng(0)
y = np.arange(60) % 3
X = {"text": rng.normal(size=(60, 5)) + y[:, None], "audio": rng.normal(size=(60, 4))}
few = np.where(np.arange(60) < 15, y, -1)
model = MultimodalClassifier(max_steps=5, random_state=0).fit(X, few)
folder = model.save(sys.argv[1])
again = load_model(folder).predict({"audio": X["audio"]})
assert (again == model.predict({"audio": X["audio"]})).all()
print("learnt, saved and loaded")
"""


def test_the_light_install_is_light():
    light = light_packages()
    assert {"torch", "scikit-learn", "pydantic"} <= light
    assert not light & {"pandas", "matplotlib", "papermill", "jupyterlab", "transformers", "pooch"}
    assert {"pandas", "matplotlib", "papermill", "umap", "dask"} <= set(hidden_modules())


def test_the_light_install_hides_the_study():
    done = run_without(hidden_modules(), "import pandas")
    assert "No module named 'pandas'" in done.stderr


def test_an_estimator_learns_in_the_light_install(tmp_path):
    done = run_without(hidden_modules(), ESTIMATOR, str(tmp_path / "model"))
    assert done.stdout.strip() == "learnt, saved and loaded", done.stderr


COMMAND = """
import sys
from robult_study.cli import main
main(sys.argv[1:])
"""


def test_the_command_answers_in_the_light_install():
    done = run_without(hidden_modules(), COMMAND, "--help")
    assert done.returncode == 0, done.stderr
    assert "reproduce" in done.stdout


def test_reproduce_says_what_the_light_install_lacks():
    done = run_without(hidden_modules(), COMMAND, "reproduce", "--profile", "smoke")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "Error: the notebooks need more than the light install: "
        "run pip install '.[study]' in the clone"
    )


# The wheel ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel of the present sources, as `make dist` builds it: from the source archive.

    It is built in a copy of them, without a network.
    """
    pytest.importorskip("build", reason="building a wheel needs the package `build`")
    folder = tmp_path_factory.mktemp("dist")
    sources = folder / "sources"
    for package in ("robult_core", "robult_study"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, sources / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copyfile(ROOT / name, sources / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_both_packages_whole(wheel):
    kinds = {".py", ".typed", ".csv", ".j2", ".mplstyle"}
    sources = set()
    for package in ("robult_core", "robult_study"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in kinds:
                sources.add(path.relative_to(ROOT).as_posix())
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == sources
    assert "robult_core/py.typed" in packed
    assert "robult_study/report/index.html.j2" in packed
    assert "robult_study/results/paper/table1.csv" in packed


def test_the_wheel_asks_for_the_light_set_and_offers_the_command(wheel):
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    lines = wheel.read(metadata).decode().splitlines()
    asked = [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line]
    unconditional = {name_of(text) for text in asked if not Requirement(text).marker}
    assert unconditional == {name_of(text) for text in PROJECT["dependencies"]}
    (entries,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "robult = robult_study.cli:main" in wheel.read(entries).decode()


LIFE_OF_A_WHEEL = """
import os, sys
from pathlib import Path
import robult_core, robult_study
from robult_study.cli import main
os.chdir(sys.argv[1])
for package in (robult_core, robult_study):
    assert Path(package.__file__).is_relative_to(Path("site").absolute()), package.__file__
for line in (
    "describe text.csv audio.csv",
    "fit text.csv audio.csv --out model --max-steps 5 --device cpu",
    "predict model audio.csv --out predictions.csv",
):
    main(line.split(), standalone_mode=False)
"""


def test_an_unpacked_wheel_learns_and_predicts_with_the_light_set_alone(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    rows = range(60)
    text = "\n".join(["t0,t1,y", *(f"{row},{row % 7},{row % 2}" for row in rows)])
    audio = "\n".join(["a0,a1", *(f"{row % 5},{row % 2}" for row in rows)])
    (tmp_path / "text.csv").write_text(text)
    (tmp_path / "audio.csv").write_text(audio)
    done = run_without(hidden_modules(), LIFE_OF_A_WHEEL, str(tmp_path), sources=tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "classification: 60 of 60 samples are labelled" in done.stdout
    assert "MultimodalClassifier on text, audio: 60 samples, 5 steps" in done.stdout
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 61
