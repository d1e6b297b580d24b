"""Join shots again that a detector split for nothing: a flash, a strobe, something that passes before the lens."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hdvg.shots.chunk import Chunk
from hdvg.shots.detectors import Detector
from hdvg.shots.transition import Transition

FRAMES_MOST = 64
"""Most frames that are looked at on one side, whatever the rate."""


class Stitched:
    """A detector whose transitions become of kind `stitched` where the pictures around them match.

    The last picture before a transition is compared with those of the next `window` ticks, and the first one after it
    with those of the `window` before: mean absolute difference of the 48 x 27 pictures at most `levels`, 0-255.
    """

    def __init__(self, detector: Detector, *, levels: float, window: int) -> None:
        self.settled = 0
        self._detector = detector
        self._levels = levels
        self._window = window
        self._waiting: deque[Transition] = deque()
        self._first = 0
        self._pts = np.empty(0, np.int64)
        self._thumbs = np.empty((0, 27, 48, 3), np.uint8)

    def feed(self, chunk: Chunk) -> list[Transition]:
        self._pts = np.concatenate([self._pts, chunk.pts])
        self._thumbs = np.concatenate([self._thumbs, chunk.thumbs])
        self._waiting += self._detector.feed(chunk)
        return self._decide(last=False)

    def finish(self) -> list[Transition]:
        self._waiting += self._detector.finish()
        return self._decide(last=True)

    def _decide(self, *, last: bool) -> list[Transition]:
        decided = []
        while self._waiting and (last or self._seen_enough(self._waiting[0])):
            transition = self._waiting.popleft()
            matches = transition.kind != "end" and self._match(transition)
            decided.append(replace(transition, kind="stitched") if matches else transition)
        self.settled = min([self._detector.settled, *(one.end for one in self._waiting)])
        drop = max(self.settled - FRAMES_MOST - self._first, 0)
        self._pts, self._thumbs, self._first = self._pts[drop:], self._thumbs[drop:], self._first + drop
        return decided

    def _seen_enough(self, transition: Transition) -> bool:
        row = transition.start - self._first
        behind = len(self._pts) - 1 - row
        return behind >= FRAMES_MOST or (behind >= 0 and bool(self._pts[-1] - self._pts[row] > self._window))

    def _match(self, transition: Transition) -> bool:
        end, start = transition.end - self._first, transition.start - self._first
        if end < 1 or start >= len(self._pts):
            return False
        after = np.flatnonzero(self._pts[start : start + FRAMES_MOST] - self._pts[start] <= self._window) + start
        low = max(end - FRAMES_MOST, 0)
        before = np.flatnonzero(self._pts[end - 1] - self._pts[low:end] <= self._window) + low
        near = min(self._difference(end - 1, after), self._difference(start, before))
        return near <= self._levels

    def _difference(self, one: int, others: npt.NDArray[np.intp]) -> float:
        pictures = self._thumbs[others].astype(np.int16)
        return float(np.abs(pictures - self._thumbs[one]).mean(axis=(1, 2, 3)).min())
