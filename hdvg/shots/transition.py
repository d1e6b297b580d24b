"""What a detector finds: the place between two shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, order=True)
class Transition:
    """What stands between two shots: the first one's frames end before `end`, the second one's begin at `start`.

    Equal for a hard cut. Otherwise the frames between belong to neither; `start` may be the video's number of frames.
    """

    end: int
    start: int
    kind: Literal["cut", "gradual", "stitched", "end", "given", "gap"] = "cut"
    """`given` and `gap`: a given span begins, or the frames that follow are in none."""
