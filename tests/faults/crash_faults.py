"""Crash points: every act of `acts`, stopped before every file operation, by a kill and by power losses of all kinds."""

from __future__ import annotations

from tests.faults.acts import all_acts
from tests.faults.moments import crashes
from tests.faults.tally import Asked, Tally

SLICE_EVERY = 15
"""Which operations a slice looks at."""


def run(asked: Asked, tally: Tally) -> None:
    """Count points, and what was lost or stood twice after one."""
    every = SLICE_EVERY if asked.slice else 1
    for number, act in enumerate(all_acts(asked.scratch / "acts", asked.touches)):
        place = asked.scratch / str(number)
        place.mkdir()
        for name, troubles in crashes(act, place, every=every, seed=str(asked.seed), takes=asked.takes):
            tally.add("crash_points")
            for trouble in troubles:
                tally.add("twice" if trouble.endswith("too much") else "lost")
                tally.fail(f"{name}: {trouble}")
