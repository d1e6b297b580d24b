"""What is to be exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wanted:
    """What is to be exported: the kept clips of which `where` holds, or, if `all_given`, what was imported, as it stands.

    `max_mb` is the largest sum of clips' bytes in a file; None: as the recipe's `shard.max_mb`. `url` is where it will be
    found and `cite` how to cite it: only who publishes knows. `audited` are sentences on what audits found, for the card.
    `frames` are the counts that a trainer will be told to take, and `fps` the rate to which it will drop frames.
    """

    format: str
    out: Path
    where: str | None = None
    all_given: bool = False
    max_mb: float | None = None
    url: str | None = None
    cite: str | None = None
    audited: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    fps: float | None = None
