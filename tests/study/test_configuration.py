"""Run configurations that could not be kept or repeated are refused at construction."""

from __future__ import annotations

import pytest

from robult_study.runs.configuration import RunConfig


@pytest.mark.parametrize("step", [-1, 11])
def test_a_snapshot_that_training_never_reaches_is_refused(step):
    with pytest.raises(ValueError, match="a run of 10 steps has weights at steps 0 to 10"):
        RunConfig("digits", "robult", training={"steps": 10}, snapshots=(0, step))


def test_a_fractional_seed_is_refused():
    with pytest.raises((ValueError, TypeError), match=r"integer|seed"):
        RunConfig("digits", "robult", seed=1.5)
