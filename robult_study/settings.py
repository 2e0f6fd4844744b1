"""What a run of the study is made with: parameters, profiles, seeds, folders.

A parameter wins over the environment, and the environment over the default:

    profile     ROBULT_PROFILE     quick
    output      ROBULT_OUT         out/<profile> of the repository
    jobs        ROBULT_JOBS        one per core; in the smoke profile 1, because its runs are short
    scheduler   ROBULT_SCHEDULER   none
    headless    ROBULT_HEADLESS    whether neither a front end nor a terminal watches

Records of runs go to `store_folder(output)`, the folder `store` in the output folder.
`Settings.store` is that store, and commands that take a folder of records use the same function.
"""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, Strict, field_validator

from robult_core.validation import Count, Seed, validated
from robult_study.provenance import cores, repository

if TYPE_CHECKING:
    from robult_study.runs.store import Store


class Profile(NamedTuple):
    """How much a profile runs."""

    seeds: int  # by default
    steps: int  # gradient steps of a run
    builtin: bool  # only data that needs no download


PROFILES = {
    "smoke": Profile(seeds=2, steps=30, builtin=True),
    "quick": Profile(seeds=3, steps=400, builtin=False),
    "full": Profile(seeds=10, steps=400, builtin=False),
}
ProfileName = Literal["smoke", "quick", "full"]


class SettingsError(ValueError):
    """A parameter that cannot be used; the message names it, its value and the remedy."""


@validated
class Parameters:
    """What a notebook's parameters cell, or the command line, may say; None takes the default."""

    profile: ProfileName | None = None
    data_sets: tuple[str, ...] | None = None
    seed: Seed = 0
    n_seeds: Count | None = None
    output: Annotated[Path, Strict(False)] | None = None

    @field_validator("data_sets", mode="before")
    @classmethod
    def _known_data_sets(cls, value: object) -> object:
        return value if value is None else _data_sets(value)

    @field_validator("output", mode="before")
    @classmethod
    def _no_empty_path(cls, value: object) -> object:
        if value == "":
            raise ValueError("give the path of a folder, or None for the default one")
        return value


@validated
class Environment:
    """The variables that stand in where a parameter says nothing."""

    ROBULT_PROFILE: ProfileName = "quick"
    ROBULT_OUT: str | None = None
    ROBULT_JOBS: Annotated[int, Strict(False), Field(ge=1)] | None = None
    ROBULT_SCHEDULER: str | None = None
    ROBULT_HEADLESS: Literal["0", "1"] | None = None

    @classmethod
    def read(cls) -> Environment:
        """The variables as they are now; an empty one counts as absent."""
        names = [variable.name for variable in fields(cls)]
        return cls(**{name: os.environ[name] for name in names if os.environ.get(name)})


@dataclass(frozen=True)
class Settings:
    """The frozen settings of one notebook or one command; `read_settings` makes them."""

    profile: str
    data_sets: tuple[str, ...]
    seed: int
    seeds: tuple[int, ...]
    output: Path
    jobs: int
    scheduler: str | None
    headless: bool

    @property
    def steps(self) -> int:
        """Gradient steps of a run."""
        return PROFILES[self.profile].steps

    @property
    def smoke(self) -> bool:
        return self.profile == "smoke"

    @cached_property
    def store(self) -> Store:
        """The records of all runs of this profile."""
        from robult_study.runs.store import Store

        return Store(store_folder(self.output))


def read_settings(parameters: Mapping[str, Any]) -> Settings:
    """Settings from parameters, the environment and defaults; the output folder is made.

    Raises SettingsError naming the first parameter that is wrong, its value and the remedy.
    """
    try:
        given = Parameters(**_without_none(parameters))
        environment = Environment.read()
    except ValueError as error:
        raise SettingsError(str(error)) from None
    profile = given.profile or environment.ROBULT_PROFILE
    defaults = PROFILES[profile]
    n_seeds = given.n_seeds or defaults.seeds
    return Settings(
        profile=profile,
        data_sets=given.data_sets or _default_data_sets(defaults),
        seed=given.seed,
        seeds=tuple(range(given.seed, given.seed + n_seeds)),
        output=make_output(output_folder(given.output, profile)),
        jobs=environment.ROBULT_JOBS or (1 if profile == "smoke" else cores()),
        scheduler=environment.ROBULT_SCHEDULER,
        headless=is_headless(),
    )


def _without_none(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def output_folder(output: Path | None = None, profile: str | None = None) -> Path:
    """The folder of results that a parameter, the environment or the profile names."""
    environment = Environment.read()
    default = Path("out") / (profile or environment.ROBULT_PROFILE)
    return repository() / (output or environment.ROBULT_OUT or default)


def store_folder(output: Path) -> Path:
    """The folder of records in a folder of results."""
    return output / "store"


def make_output(folder: Path) -> Path:
    """Make a folder of results, or take one that is there.

    Raises SettingsError where it cannot be written, and where it holds what the study did not
    write: a folder of results lies inside the repository, is empty, or has a store of runs.
    """
    if not _may_hold_results(folder):
        raise SettingsError(
            f"output is '{folder}', which holds other files: name a folder inside the repository, "
            "an empty one, or one that an earlier run wrote"
        )
    try:
        store_folder(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise SettingsError(
            f"cannot write to '{folder}' ({error.strerror}): "
            "name another folder as output or in ROBULT_OUT"
        ) from error


def _is_store(folder: Path) -> bool:
    """Whether a folder is a store of runs, or the empty beginning of one."""
    if (folder / "store.json").exists() or (folder / "records").is_dir():
        return True
    return folder.is_dir() and not any(folder.iterdir())


def _may_hold_results(folder: Path) -> bool:
    root = repository().resolve()
    place = folder.resolve()
    inside = (root / "notebooks").is_dir() and root in place.parents
    if inside or not place.is_dir() or _is_store(store_folder(place)):
        return True
    try:
        return not any(place.iterdir())
    except OSError:
        return False


def is_headless() -> bool:
    """True unless a front end (JupyterLab, VS Code) or a terminal watches.

    ROBULT_HEADLESS, 1 or 0, decides where it is set.
    """
    decided = Environment.read().ROBULT_HEADLESS
    if decided is not None:
        return decided == "1"
    front_end = "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ
    terminal = "ipykernel" not in sys.modules and sys.stderr.isatty()
    return not (front_end or terminal)


def _default_data_sets(profile: Profile) -> tuple[str, ...]:
    from robult_core.datasets import BUILTIN, available

    return BUILTIN if profile.builtin else tuple(available())


def _data_sets(value: object) -> tuple[str, ...]:
    """Names from a list or from text with commas, each once; all of them known and there."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not named or not names:
        raise ValueError("give names as a list or separated by commas, such as 'pid,digits'")
    for name in names:
        _check_there(name)
    return tuple(dict.fromkeys(names))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known one that is most like it."""
    nearest = difflib.get_close_matches(name, list(names), 1)
    return f", did you mean '{nearest[0]}'?" if nearest else ""


def _check_there(name: str) -> None:
    from robult_core.datasets import CATALOGUE, DataError, data_folder, entry

    try:
        data_set = entry(name)
    except DataError as error:
        if "/" in name or "." in name:  # a path, of which the error says more
            raise ValueError(str(error)) from None
        raise ValueError(
            f"unknown data set '{name}'{did_you_mean(name, CATALOGUE)}: "
            f"known are {', '.join(CATALOGUE)}"
        ) from None
    if data_set.missing():
        raise ValueError(
            f"data set '{name}' is not in '{data_folder()}': {data_set.remedy}, "
            "or point ROBULT_DATA to it"
        )
