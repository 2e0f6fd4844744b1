"""Wrong values: every call of `bad_calls` ends in one sentence of ours, none in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import bad_calls
import pytest

SCRIPT = Path(bad_calls.__file__)
NAMES = [call.name for call in bad_calls.calls()]


@pytest.fixture(scope="module")
def endings() -> dict[str, dict[str, str]]:
    """How every call ends in a process without the type checks that pytest switches on."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["call"]: row for row in rows}


def test_no_two_calls_share_a_name():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.xdist_group("bad_calls")
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_value_ends_in_a_sentence(endings, name):
    ended = endings[name]
    assert ended["ending"] == "clear", f"{ended['ending']}: {ended['message']}"
