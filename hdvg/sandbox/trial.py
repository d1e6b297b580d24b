"""What `hdvg doctor` tries in a limited child process: whether one starts, and what walls this system has."""

from __future__ import annotations

import platform
from dataclasses import asdict

from hdvg.sandbox import walls
from hdvg.sandbox.seam import in_child, in_child_that


@in_child
def answers() -> str:
    """The name of the system."""
    return platform.system()


@in_child_that("program")
def encloses() -> dict[str, str | None]:
    """What `walls.probe` finds."""
    return asdict(walls.probe())


@in_child_that("program")
def stands() -> dict[str, str | None]:
    """What `walls.probe_program` finds."""
    return asdict(walls.probe_program())
