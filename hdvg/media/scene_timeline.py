"""Where the frames of a stream-copied parent clip stand in its source: what the published command would copy, from packets alone.

HD-VILA-100M's `cut_videos.py`, which HD-VG-130M's parents are made with, runs
`ffmpeg -ss START -t LENGTH -accurate_seek -i SOURCE -c copy -avoid_negative_ts 1 -reset_timestamps 1 -y -map 0 PARENT`:
-ss and -t stand before -i. So FFmpeg seeks to a key frame, `-accurate_seek` does nothing for copied packets, packets are
taken until one's decoding time reaches the end, and the file's edit list hides what is shown before its first packet.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from av.error import FFmpegError
from av.format import Flags

from hdvg.media.clock import may_be_shown_by
from hdvg.media.excerpt import excerpt_of
from hdvg.media.packets import coded_packets

MICRO = 1_000_000
HEURISTIC_US = 3 * MICRO // 23
"""How much earlier FFmpeg seeks in files whose seek goes by decoding times, if pictures are reordered."""


class Stamp(NamedTuple):
    """When a packet is shown and decoded, in stream ticks; whether it is a key frame, and hidden by an edit list; where its
    bytes begin in the file, and how many they are."""

    pts: int
    dts: int
    is_key: bool
    is_hidden: bool
    pos: int
    size: int


class Timeline:
    """All packets' times of an opened video; `shown` are the pts of its frames, sorted.

    Raises ValueError if packets have no pts of their own: frames cannot be counted without decoding then.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self.tick = Fraction(stream.time_base)
        self._zero_us = container.start_time or 0
        keys = index_keys(container, stream)
        stamps = [
            Stamp(
                pts=one.pts,
                dts=one.pts if one.dts is None else one.dts,
                is_key=one.is_keyframe or one.pos in keys,
                is_hidden=one.is_discard,
                pos=one.pos,
                size=one.size,
            )
            for one in coded_packets(container, stream, absent=True)
            if one.pts is not None
        ]
        self.stamps = stamps
        self._numbers = {one.pts: number for number, one in enumerate(stamps)}
        self.shown = sorted(one.pts for one in stamps if not one.is_hidden)
        if not self.shown or len(self._numbers) != len(stamps) or not may_be_shown_by(one.pts for one in stamps):
            raise ValueError("its packets have no times of their own")

    @cached_property
    def frame_ms(self) -> float:
        """How long a frame stays: the median, for a part of a video has gaps; 0 of a single one."""
        steps = [later - earlier for earlier, later in pairwise(self.shown)]
        return float(median(steps) * self.tick * 1000) if steps else 0.0

    @property
    def end_ms(self) -> float:
        """When the last frame is over, by the video's time, which starts at 0 ms."""
        return float(self.shown[-1] * self.tick * 1000) - self._zero_us / 1000 + self.frame_ms

    def first_after(self, ms: int) -> int:
        """Index in `shown` of the first frame at or after a time of the video, which starts at 0 ms."""
        seconds = Fraction(ms, 1000) + Fraction(self._zero_us, MICRO)
        return bisect_left(self.shown, math.ceil(seconds / self.tick))

    def parent(self, start_ms: int, end_ms: int) -> range:
        """The frames that a copied parent delivers, as indices in `shown`; empty if FFmpeg would copy none.

        The last pictures of a parent may lack some between them, for packets end by decoding time: those behind the
        first gap are left out here.
        """
        from_us = start_ms * 1000 + self._zero_us
        copied = self._copied(from_us, (end_ms - start_ms) * 1000)
        frames = sorted(one.pts for one in copied if one.pts >= copied[0].pts and not one.is_hidden)
        if not frames:
            return range(0)
        first = bisect_left(self.shown, frames[0])
        whole = sum(pts == other for pts, other in zip(frames, self.shown[first:], strict=False))
        return range(first, first + whole)

    def landing(self, start_ms: int) -> Stamp:
        """The packet that FFmpeg finds where it seeks for the start of a parent."""
        return self.stamps[self._landing(start_ms * 1000 + self._zero_us)]

    def _copied(self, from_us: int, length_us: int) -> list[Stamp]:
        """The packets that the command writes: from the key frame it seeks to, up to the first that ends it."""
        offset = _nearest(Fraction(-from_us, MICRO) / self.tick)
        copied: list[Stamp] = []
        for stamp in self.stamps[self._landing(from_us) :]:
            if _nearest((stamp.dts + offset) * self.tick * MICRO) >= length_us:
                break
            if copied or stamp.is_key:
                copied.append(stamp)
        return copied

    def _landing(self, from_us: int) -> int:
        """Number of the packet that FFmpeg's seek finds: asked of FFmpeg's own demuxer, as the command does."""
        by_pts = self._container.format.flags & Flags.seek_to_pts.value
        if not by_pts and any(stream.type == "video" and stream.has_b_frames for stream in self._container.streams):
            from_us -= HEURISTIC_US
        try:
            self._container.seek(from_us, backward=True)
            return next(
                self._numbers[one.pts]
                for one in coded_packets(self._container, self._stream, absent=True)
                if one.pts in self._numbers
            )
        except (FFmpegError, StopIteration):
            return 0  # the command says so and reads from the start


def index_keys(container: Any, stream: Any) -> frozenset[int]:
    """Where the key frames begin that the index names, if only a part of the source is there: FFmpeg takes a packet's flag
    from its bytes, and in holes there are none."""
    if excerpt_of(container) is None:
        return frozenset()
    return frozenset(entry.pos for entry in stream.index_entries if entry.is_keyframe)


def _nearest(value: Fraction) -> int:
    """The nearest integer, halves away from zero, as FFmpeg rescales times."""
    whole = math.floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole
