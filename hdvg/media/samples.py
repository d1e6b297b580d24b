"""The pictures of the open clip that its keyframes may be."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from hdvg.shots.chunk import Sample

HELD_MOST = 32
"""Samples that an open shot holds; when there are more, every other one goes."""


class Samples:
    """The samples of the open clip, thinned one by one as they become sure, and those that are not sure yet."""

    def __init__(self) -> None:
        self._held: list[Sample] = []
        self._waiting: deque[Sample] = deque()

    def add(self, samples: list[Sample], first: int) -> None:
        """Samples whose indices count from the frame `first`."""
        self._waiting += [replace(one, index=first + one.index) for one in samples]

    def settle(self, before: int) -> None:
        """Samples of frames before an index belong to the open clip."""
        while self._waiting and self._waiting[0].index < before:
            self._held.append(self._waiting.popleft())
            if len(self._held) > HELD_MOST:
                del self._held[1::2]

    def close(self, start: int, end: int) -> list[Sample]:
        """The samples of the clip [start, end); what came before its end is let go."""
        self.settle(end)
        mine = [one for one in self._held if start <= one.index < end]
        self._held = [one for one in self._held if one.index >= end]
        return mine
