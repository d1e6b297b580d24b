"""An mp4 that is being written: packets in decode order, each with the exact time of its frame."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from hdvg.errors import ItemError


class ClipFile:
    """One video track whose times count from the clip's first frame, in the source's time base.

    Decode times are made here: frame j in decode order gets the time of frame j - `delay` in display order, so that they
    rise strictly and none is after its frame's own time.
    """

    def __init__(self, target: Path, time_base: Fraction, *, end: int) -> None:
        options = {"movflags": "+faststart", "fflags": "+bitexact", "video_track_timescale": str(time_base.denominator)}
        self._target = target
        self.container: Any = av.open(str(target), "w", format="mp4", options=options)
        self.stream: Any = None
        self.delay = 0
        self.times: list[int] = []
        """Times of the frames, sorted; all up to the one that is put, at least."""
        self._time_base = time_base
        self._end = end
        self._count = 0
        self._last_dts: int | None = None

    def put(self, data: bytes, pts: int, *, is_keyframe: bool) -> None:
        """Write the next packet in decode order. Raises ItemError cut_mismatch if its time cannot be right."""
        at = self._count - self.delay
        step = max(self._end // max(len(self.times), 1), 1)
        dts = self.times[at] if at >= 0 else at * step
        if dts > pts or (self._last_dts is not None and dts <= self._last_dts):
            raise ItemError("cut_mismatch", f"packet {self._count} at {pts} comes too late to be decoded at {dts}")
        after = bisect_right(self.times, pts)
        packet: Any = av.Packet(data)
        packet.pts, packet.dts, packet.time_base = pts, dts, self._time_base
        packet.duration = max((self.times[after] if after < len(self.times) else self._end) - pts, 0)
        packet.is_keyframe = is_keyframe
        packet.stream = self.stream
        self.container.mux(packet)
        self._last_dts = dts
        self._count += 1

    def abandon(self) -> None:
        """Close and remove the file: a container left open would write its end into the file's next try."""
        with contextlib.suppress(FFmpegError):
            self.close()
        self._target.unlink(missing_ok=True)

    def close(self) -> None:
        """Finish the file, and let go of its encoder."""
        if self.container is not None:
            self.container.close()
        self.container = self.stream = None


def reorder_delay(decode_order: Sequence[int]) -> int:
    """How many frames decoding runs ahead of display at most, for the pts in decode order."""
    rank = {pts: number for number, pts in enumerate(sorted(decode_order))}
    return max((number - rank[pts] for number, pts in enumerate(decode_order)), default=0)
