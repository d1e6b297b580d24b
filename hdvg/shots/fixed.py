"""Spans that are given stand in the place of a detector: where they begin and end is known, whatever the pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hdvg.shots.chunk import Chunk
from hdvg.shots.transition import Transition

Pair = tuple[int, int]
"""A span: pts of its first frame, and of the first after it."""


class Given:
    """A `Detector` of the edges of spans, sorted, none of which overlap; a gap between them begins with kind `gap`."""

    def __init__(self, spans: Sequence[Pair]) -> None:
        self.settled = 0
        starts = {start for start, _ in spans}
        gaps = [(end, "gap") for _, end in spans if end not in starts]
        self._edges = sorted([(start, "given") for start in starts] + gaps)

    def feed(self, chunk: Chunk) -> list[Transition]:
        found = []
        while self._edges and self._edges[0][0] <= chunk.pts[-1]:
            pts, kind = self._edges.pop(0)
            at = self.settled + int(np.searchsorted(chunk.pts, pts))
            found.append(Transition(at, at, "gap" if kind == "gap" else "given"))
        self.settled += len(chunk.pts)
        return found

    def finish(self) -> list[Transition]:
        return []
