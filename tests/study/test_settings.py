"""Parameters, the environment and defaults become settings, or one clear sentence."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from robult_core.datasets import BUILTIN, available
from robult_study import settings as module
from robult_study.provenance import repository
from robult_study.settings import PROFILES, SettingsError, output_folder, read_settings


def test_profile_is_the_parameter_then_the_environment_then_quick(monkeypatch):
    assert read_settings({}).profile == "quick"
    monkeypatch.setenv("ROBULT_PROFILE", "full")
    assert read_settings({"profile": None}).profile == "full"
    assert read_settings({"profile": "smoke"}).profile == "smoke"
    monkeypatch.setenv("ROBULT_PROFILE", "fast")
    with pytest.raises(SettingsError, match=r"ROBULT_PROFILE of Environment is 'fast'.*'smoke'"):
        read_settings({})


@pytest.mark.parametrize("profile", PROFILES)
def test_defaults_of_each_profile(profile):
    settings = read_settings({"profile": profile})
    assert settings.seeds == tuple(range(PROFILES[profile].seeds))
    assert settings.steps == PROFILES[profile].steps
    assert settings.data_sets == tuple(BUILTIN if profile == "smoke" else available())
    assert settings.smoke == (profile == "smoke")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("smoke", (2, 30, True)), ("quick", (3, 400, False)), ("full", (10, 400, False))],
)
def test_how_much_a_profile_runs(profile, expected):
    assert tuple(PROFILES[profile]) == expected


def test_settings_stay_as_they_were_read():
    with pytest.raises(FrozenInstanceError):
        read_settings({}).seed = 1


def test_seed_shifts_the_seeds():
    assert read_settings({"seed": 3, "n_seeds": 2}).seeds == (3, 4)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"seed": "3"}, "seed of Parameters is '3': it should be a valid integer"),
        ({"seed": 1e-3}, "seed of Parameters is 0.001: it should be a valid integer"),
        ({"seed": True}, "seed of Parameters is True: it should be a valid integer"),
        ({"seed": -1}, "seed of Parameters is -1: it should be greater than or equal to 0"),
        ({"n_seeds": 0}, "n_seeds of Parameters is 0: it should be greater than or equal to 1"),
        ({"profile": "quik"}, "profile of Parameters is 'quik': .*'smoke', 'quick' or 'full'"),
        ({"profile": 1}, "profile of Parameters is 1: .*'smoke', 'quick' or 'full'"),
        ({"data_sets": "digit"}, "unknown data set 'digit', did you mean 'digits'"),
        ({"data_sets": "folder/gone"}, "no data at 'folder/gone'"),
        ({"data_sets": "gone.npz"}, "no data at 'gone.npz'"),
        ({"data_sets": 3}, "data_sets of Parameters is 3: give names"),
        ({"data_sets": []}, r"data_sets of Parameters is \[\]: give names"),
        ({"data_sets": [1]}, r"data_sets of Parameters is \[1\]: give names"),
        ({"output": 3}, "output of Parameters is 3"),
        ({"output": ""}, "output of Parameters is '': give the path of a folder"),
        ({"lr": 1}, "unknown setting 'lr' of Parameters: choose from profile, data_sets, seed"),
    ],
)
def test_a_bad_parameter_is_one_clear_sentence(bad, message):
    with pytest.raises(SettingsError, match=message) as caught:
        read_settings(bad)
    assert "\n" not in str(caught.value)


def test_data_sets_as_text_or_list():
    assert read_settings({"data_sets": "digits, pid"}).data_sets == ("digits", "pid")
    assert read_settings({"data_sets": ["pid", "pid"]}).data_sets == ("pid",)


def test_a_data_set_that_is_not_there_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBULT_DATA", str(tmp_path))
    with pytest.raises(SettingsError, match=r"'cub10' is not in .*robult data get cub10"):
        read_settings({"data_sets": "cub10"})


# Where results go --------------------------------------------------------------------------------


def test_output_is_the_parameter_then_the_environment_then_out(monkeypatch, tmp_path):
    monkeypatch.setenv("ROBULT_OUT", "elsewhere")
    assert output_folder(tmp_path) == tmp_path
    assert output_folder() == repository() / "elsewhere"
    monkeypatch.delenv("ROBULT_OUT")
    assert output_folder(profile="full") == repository() / "out/full"
    assert output_folder() == repository() / "out/quick"


def test_records_lie_in_the_store_of_the_output(tmp_path):
    settings = read_settings({"output": str(tmp_path / "mine")})
    assert settings.store.folder == tmp_path / "mine" / "store"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write to '.*file/out'.*ROBULT_OUT"):
        read_settings({"output": str(tmp_path / "file" / "out")})


@pytest.mark.parametrize("folder", ["/", "/etc", "/usr/lib", str(repository()), ".", "out/.."])
def test_a_folder_that_holds_other_files_is_refused(folder):
    with pytest.raises(
        SettingsError, match=r"output is .*, which holds other files: name a folder"
    ):
        read_settings({"output": folder})


def test_a_link_to_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(SettingsError, match="holds other files"):
        read_settings({"output": str(tmp_path / "link")})


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(SettingsError, match="holds other files"):
        read_settings({"output": str(tmp_path)})


def test_an_empty_folder_one_of_ours_and_one_in_the_repository_are_taken(tmp_path, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    read_settings({"output": str(folder)})
    (folder / "notes.txt").write_text("beside our files")
    assert read_settings({"output": str(folder)}).output == folder
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "notes.txt").write_text("a folder of the repository")
    monkeypatch.setattr(module, "repository", lambda: tmp_path)
    assert read_settings({"output": "mixed"}).output == tmp_path / "mixed"


# The environment ---------------------------------------------------------------------------------


def test_jobs_and_scheduler_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ROBULT_JOBS", "3")
    monkeypatch.setenv("ROBULT_SCHEDULER", "tcp://127.0.0.1:1")
    settings = read_settings({})
    assert (settings.jobs, settings.scheduler) == (3, "tcp://127.0.0.1:1")


def test_there_is_a_job_for_each_core_and_one_for_short_runs(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 7)
    assert read_settings({}).jobs == 7
    assert read_settings({"profile": "smoke"}).jobs == 1


@pytest.mark.parametrize("jobs", ["many", "0", "-1", "1.5"])
def test_jobs_that_are_no_count_are_one_sentence(monkeypatch, jobs):
    monkeypatch.setenv("ROBULT_JOBS", jobs)
    with pytest.raises(SettingsError, match=f"ROBULT_JOBS of Environment is '{jobs}': it should"):
        read_settings({})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ROBULT_HEADLESS": "1", "JPY_SESSION_NAME": "x"}, True),
        ({"ROBULT_HEADLESS": "0"}, False),
        ({"JPY_SESSION_NAME": "x"}, False),
        ({"VSCODE_PID": "1"}, False),
    ],
)
def test_headless_is_decided_by_the_front_end_or_by_the_user(monkeypatch, environment, expected):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert read_settings({"profile": "smoke"}).headless == expected


@pytest.mark.parametrize(
    ("terminal", "kernel", "expected"),
    [(True, False, False), (True, True, True), (False, False, True), (False, True, True)],
)
def test_without_a_front_end_a_terminal_decides_unless_it_is_that_of_a_server(
    monkeypatch, terminal, kernel, expected
):
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    modules = {"ipykernel": ModuleType("ipykernel")} if kernel else {}
    stderr = SimpleNamespace(isatty=lambda: terminal)
    monkeypatch.setattr(module, "sys", SimpleNamespace(modules=modules, stderr=stderr))
    assert module.is_headless() == expected
