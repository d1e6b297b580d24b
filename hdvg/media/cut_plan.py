"""Which frames of a span are copied as coded packets, and which are decoded: exact to the frame."""

from __future__ import annotations

from dataclasses import dataclass

from hdvg.media.calls import CutSpan
from hdvg.media.packets import Index

LEAST_COPIED = 8
"""Frames: fewer do not pay for the extra key frame at each joint."""

B_IS_NO_REFERENCE = frozenset({"mpeg2video", "mpeg4"})
"""Codecs in which pictures that follow a key frame but are shown before it are leading ones."""


@dataclass(frozen=True)
class Run:
    """Packets [first, stop) without `left_out`, which show exactly the frames [start_pts, end_pts)."""

    first: int
    stop: int
    left_out: frozenset[int]
    start_pts: int
    end_pts: int

    @property
    def frames(self) -> int:
        """Copied frames."""
        return self.stop - self.first - len(self.left_out)

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.stop and number not in self.left_out


@dataclass(frozen=True)
class Plan:
    """How one clip is made: its mode, its frames [start_pts, end_pts), what is copied, and what is decoded.

    `times` are the pts of all its frames, sorted; empty if the file has no usable index.
    """

    span: CutSpan
    mode: str
    start_pts: int
    end_pts: int
    times: tuple[int, ...] = ()
    run: Run | None = None

    @property
    def decoded(self) -> list[tuple[int, int]]:
        """Ranges of pts whose frames must be decoded, in order."""
        if self.run is None:
            return [(self.start_pts, self.end_pts)]
        around = [(self.start_pts, self.run.start_pts), (self.run.end_pts, self.end_pts)]
        return [(start, end) for start, end in around if start < end]


def encode_all(index: Index, span: CutSpan) -> Plan:
    """The span with every frame encoded."""
    start, end = span["start_pts"], span["end_pts"]
    return Plan(span, "encode", start, end, tuple(index.times(start, end)) if index.usable else ())


def plan_smart(index: Index, span: CutSpan) -> Plan:
    """Copy what can be copied, encode the edges; all is encoded if too little can be copied or the frames do not add up."""
    start, end = span["start_pts"], span["end_pts"]
    times = index.times(start, end)
    run = find_run(index, start, end, least=LEAST_COPIED) if len(times) == span["n_frames"] else None
    if run is None:
        return encode_all(index, span)
    return Plan(span, "smart", start, end, tuple(times), run)


def plan_copy(index: Index, span: CutSpan) -> Plan | None:
    """The largest part of the span that can be copied from its first safe start, or None."""
    run = find_run(index, span["start_pts"], span["end_pts"], least=1)
    if run is None:
        return None
    times = tuple(index.times(run.start_pts, run.end_pts))
    return Plan(span, "copy", run.start_pts, run.end_pts, times, run)


def find_run(index: Index, start_pts: int, end_pts: int, *, least: int) -> Run | None:
    """The copied run from the first safe start in the span from which at least that many frames can be copied."""
    for first in index.safe_within(start_pts, end_pts):
        run = _run_from(index, first, end_pts=end_pts)
        if run is not None and run.frames >= least:
            return run
    return None


def _run_from(index: Index, first: int, *, end_pts: int) -> Run | None:
    """The largest prefix in decode order whose pts are exactly the shown ones from the start on, below `end_pts`."""
    start = index.packets[first].pts
    times = index.times(start, end_pts)
    rank = {pts: number for number, pts in enumerate(times)}
    left_out: set[int] = set()
    best, highest, count = None, -1, 0
    for number in range(first, len(index.packets)):
        packet = index.packets[number]
        if packet.pts < start and (packet.leading or index.syntax.codec in B_IS_NO_REFERENCE):
            left_out.add(number)
            continue
        if not packet.clean or packet.sets != index.packets[first].sets or packet.pts not in rank:
            break
        highest, count = max(highest, rank[packet.pts]), count + 1
        if highest == count - 1:
            best = (number + 1, count)
    if best is None:
        return None
    stop, count = best
    end = times[count] if count < len(times) else end_pts
    return Run(first, stop, frozenset(number for number in left_out if number < stop), start, end)
