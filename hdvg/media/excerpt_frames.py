"""The frames of a part of a video that show given spans: decoded from before each of them, with a flush at every hole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from hdvg.errors import ItemError
from hdvg.media.decode import Frame, open_video
from hdvg.media.packets import Index, index_packets
from hdvg.media.reading import Payload, Reading, stretches
from hdvg.media.scenes import Place


class ExcerptFrames:
    """One way through an excerpt; `errors`, `packets`, `hidden`, `decoded`, `retimed` (none) and `end_pts` say what happened, as a `Decoder`'s.

    Raises ItemError no_frames if its packets have no times.
    """

    def __init__(self, path: str, *, max_pixels: int) -> None:
        self._path = path
        self._max_pixels = max_pixels
        with open_video(path, max_pixels=max_pixels) as (container, stream):
            self._index = index_packets(container, stream)
        if not self._index.usable or not self._index.shown:
            raise ItemError("no_frames", "the packets of the part have no times of their own")
        self.start_pts = self._index.shown[0]
        self.errors = self.packets = self.decoded = self.hidden = self.retimed = self.end_pts = 0

    def of(self, places: Sequence[Place], *, threads: int, thrifty: bool) -> Iterator[Frame]:
        """The video's first frame; and of each place all frames from where decoding may start, before the frame before it,
        to the one behind it, whose time is the last one's end. In display order, each once."""
        shown = self._index.shown
        ranges = [(shown[0], shown[0] + 1), *(_around(self._index, place) for place in places)]
        plan = stretches(self._index, ranges)
        self.packets = sum(one.stop - one.first for one in plan)
        opening: Any = {"max_pixels": self._max_pixels, "threads": threads, "thrifty": thrifty}
        reading = Reading(self._path, self._index, **opening, whole_only=threads > 1)
        last, number = shown[0] - 1, 0
        for frame in reading.walk(plan, frozenset()):
            self.errors, self.decoded = len(reading.errors), reading.decoded
            if isinstance(frame, Payload) or frame.pts <= last:
                continue
            if not any(start <= frame.pts < end for start, end in ranges):
                continue
            last = frame.pts
            at = bisect_left(shown, last)
            step = shown[at + 1] - last if at + 1 < len(shown) else last - shown[at - 1]
            self.end_pts = last + (frame.picture.duration or step)
            yield Frame(number, last, frame.picture)
            number += 1


def _around(index: Index, place: Place) -> tuple[int, int]:
    shown = index.shown
    first, stop = bisect_left(shown, place.start_pts), bisect_left(shown, place.end_pts)
    safe = index.packets[index.safe_before(shown[max(first - 1, 0)])].pts
    return min(safe, shown[max(first - 1, 0)]), shown[min(stop, len(shown) - 1)] + 1
