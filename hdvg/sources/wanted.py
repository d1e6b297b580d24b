"""The spans of a video that are wanted, and what is to be fetched for them: asked of a child that sees what has come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hdvg.config.child_settings import Scene
from hdvg.errors import ItemError, TransientError
from hdvg.media import calls
from hdvg.media.pieces import Done, FileAsked, Need, PlaylistAsked, Whole
from hdvg.sandbox import Limits, Sandbox

HELD = "pieces.bin"
"""Where the fetching child puts what has come, in its folder."""
LIMITS = Limits(wall_s=300, memory_mb=4096, file_mb=1)


@dataclass(frozen=True)
class Wanted:
    """Given scenes; `config.Split.given`; the largest picture."""

    scenes: list[Scene]
    mode: str
    max_pixels: int

    def look(self, asked: FileAsked | PlaylistAsked, out: Path, sandbox: Sandbox) -> Need | Whole | Done:
        """What `media.coverage.plan` says of what lies in the folder `out`; a source that it fails at is taken whole."""
        try:
            plan = calls.plan(str(out / HELD), asked, self.scenes, self.mode, self.max_pixels)
            return sandbox.call(plan, out, LIMITS)
        except TransientError:
            raise
        except ItemError as error:
            return {"whole": f"its index cannot be read ({error.reason})"}
