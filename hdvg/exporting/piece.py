"""A file of an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Piece:
    """A file of an export: `write` makes it at the path it is given.

    `identity` changes with what it will hold. `clips` is how many of them count as done once it is there. What `write` must know
    of files before it, it asks of `job.look`: of an export into a bucket they are not on this machine. One that may be written
    `anywhere` needs no other piece, and of its `Job` what travels to another node alone: no query.
    """

    name: str
    identity: str
    clips: int
    write: Callable[[Path], object]
    anywhere: bool = False
