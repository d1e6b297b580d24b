"""BLIP-2 that writes down, to the file `$COUNTED`, which clips each batch is of before it writes their texts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hdvg.captioners import Written
from hdvg.captioners.blip2 import Blip2
from hdvg.keyframes import Shot

LOG, PAUSE = "COUNTED", "COUNTED_PAUSE_S"
REGISTERED = "from hdvg.captioners import CAPTIONERS\nCAPTIONERS['counting'] = 'tests.counting:Counting'\n"
"""A `sitecustomize.py` that makes it known to every process that starts with its folder on PYTHONPATH."""


class Counting(Blip2):
    """`begin` is called before each batch and may raise; `$COUNTED_PAUSE_S` is how long each batch takes at least."""

    name = "counting"
    begin: Callable[[], None] = staticmethod(lambda: None)

    def prepare(self, shot: Shot) -> Any:
        return shot.clip_id, super().prepare(shot)

    def write(self, prepared: Sequence[Any]) -> list[Written]:
        type(self).begin()
        with Path(os.environ[LOG]).open("a") as log:
            log.write(" ".join(clip for clip, _ in prepared) + "\n")
        time.sleep(float(os.environ.get(PAUSE, 0)))
        return super().write([pixels for _, pixels in prepared])


def counted(log: Path) -> list[list[str]]:
    """The clips of each batch begun so far."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []
