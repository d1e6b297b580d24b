"""What `hdvg doctor` tries in a limited child process: whether one starts, and what walls this system has."""

from __future__ import annotations

import platform

from hdvg.sandbox import walls
from hdvg.sandbox.seam import in_child


@in_child
def answers() -> str:
    """The name of the system."""
    return platform.system()


@in_child
def stands() -> dict[str, str | None]:
    """What `walls.probe` finds."""
    return walls.probe()
