"""The time of every frame in integer ticks, strictly growing, whatever the container says of them; where it is right, it stands."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from heapq import heappop, heappush, heappushpop
from typing import Any

import av

HELD_MOST = 16
"""Pictures that may lie between one and its place in the file: the most B-pictures in a row that H.264 and MPEG-4 have."""
HELD_BYTES = 100 * 2**20
BACK_FRAMES = 4
"""Steps: a time that goes back by no more is a stamp out of order; by more, the times start anew."""
AHEAD_S = 10
"""In a file whose times have started anew once, a jump ahead by more is one too (FFmpeg's `dts_delta_threshold`)."""


class Clock:
    """Times of a stream's pictures, which come in display order, read from the front; a function of the file alone.

    The rule. A picture has the time that the container states, if it is later than that of the one before.
    Where pictures are reordered and the packets' times never go back, they are stamps in decode order (AVI, ASF): the
    n-th picture has the n-th stamp. A time that is not later than the last gets the next tick; one that goes back by more
    than four frames starts anew, where the picture before it ends, and all behind it are moved with it. A jump ahead is
    a pause of the picture, unless the times have started anew before. `retimed` counts pictures with another time than
    the container's; `end_pts` is where the last one ends.
    """

    def __init__(self, stream: Any) -> None:
        self.retimed = 0
        self.end_pts = 0
        tick = Fraction(stream.time_base)
        context = stream.codec_context
        self._frame = max(round(1 / (Fraction(stream.average_rate or stream.guessed_rate or 25) * tick)), 1)
        self._ahead = int(AHEAD_S / tick)
        room = HELD_BYTES // max(context.width * context.height * 3 // 2, 1)
        self._held = max(min(HELD_MOST, room), 2) if context.has_b_frames else 0
        self._pictures: deque[av.VideoFrame] = deque()
        self._stamps: list[int] = []
        self._newest: int | None = None
        self._last: int | None = None
        self._step = self._frame
        self._moved = 0

    def fed(self, packet: Any) -> None:
        """A packet goes to the decoder. Times that go back in decode order are times of display: nothing need be held."""
        if self._held and packet.pts is not None:
            if self._newest is not None and packet.pts < self._newest:
                self._held = 0
            self._newest = packet.pts

    def take(self, picture: av.VideoFrame) -> Iterator[tuple[int, av.VideoFrame]]:
        """Pictures whose time is known now that this one has come."""
        stamp = picture.pts if picture.pts is not None else picture.dts
        if not self._held or stamp is None:
            yield from self.rest()
            yield self._placed(stamp, picture)
            return
        self._pictures.append(picture)
        heappush(self._stamps, stamp)
        if len(self._pictures) > self._held:
            yield self._placed(heappop(self._stamps), self._pictures.popleft())

    def rest(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Those that still wait."""
        while self._pictures:
            yield self._placed(heappop(self._stamps), self._pictures.popleft())

    def _placed(self, stamp: int | None, picture: av.VideoFrame) -> tuple[int, av.VideoFrame]:
        if self._last is None:
            pts = stamp or 0
        elif stamp is None:
            pts = self._last + self._step
        else:
            pts = self._later(stamp, self._last)
        if picture.pts is not None and picture.pts != pts:
            self.retimed += 1
        self._last = pts
        self.end_pts = pts + (picture.duration or self._step)
        return pts, picture

    def _later(self, stamp: int, last: int) -> int:
        """The time of a stamp, later than the last one's."""
        pts = stamp + self._moved
        back = last - pts
        if back > BACK_FRAMES * self._frame or (self._moved and -back > self._ahead):
            pts = max(self.end_pts, last + 1)
            self._moved = pts - stamp
        elif back >= 0:
            return last + 1
        else:
            self._step = pts - last
        return pts


def may_be_shown_by(stamps: Iterable[int]) -> bool:
    """Whether packets with these pts, in decode order, can be shown in order of their pts: no decoder holds back so many
    pictures that one would come before more than `HELD_MOST` earlier ones. Where times start anew, none may be sought."""
    highest: list[int] = []
    for stamp in stamps:
        if len(highest) <= HELD_MOST:
            heappush(highest, stamp)
        elif highest[0] > stamp:
            return False
        else:
            heappushpop(highest, stamp)
    return True
