"""The spans of a video that are wanted, and what is to be fetched for them: asked of a child that sees what has come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError, TransientError
from hdvg.sandbox import Limits, Sandbox

PLAN = "hdvg.media.coverage:plan"
HELD = "pieces.bin"
"""Where the fetching child puts what has come, in its folder."""
LIMITS = Limits(wall_s=300, memory_mb=4096, file_mb=1)


@dataclass(frozen=True)
class Wanted:
    """Given scenes, as `media.given.Scene` says; `config.Split.given`; the largest picture."""

    scenes: list[dict[str, Any]]
    mode: str
    max_pixels: int

    def look(self, asked: dict[str, Any], out: Path, sandbox: Sandbox) -> Any:
        """What `media.coverage.plan` says of what lies in the folder `out`; a source that it fails at is taken whole."""
        try:
            return sandbox.call(PLAN, {"path": str(out / HELD), "asked": asked} | asdict(self), out, LIMITS)
        except TransientError:
            raise
        except ItemError as error:
            return {"whole": f"its index cannot be read ({error.reason})"}
