"""The index of a video's coded packets, from one way through the container in which no frame is decoded."""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from av.error import FFmpegError

from hdvg.media.bitstream import Syntax, open_syntax
from hdvg.media.clock import may_be_shown_by
from hdvg.media.excerpt import HoleError, excerpt_of
from hdvg.media.parameter_sets import Sets
from hdvg.media.protection import refuse_packet
from hdvg.media.source_file import check_was_read, file_of

SAFE_KNOWN = frozenset({"h264", "hevc", "vp9", "av1", "mpeg2video", "mpeg4"})
"""Codecs of which we know where decoding may start, and that mp4 can hold."""


class Coded(NamedTuple):
    """One packet: pts in stream ticks, bytes, whether decoding may start here, it is a leading picture, it is shown, it may
    be copied; the number of the parameter sets in force, and the digest of its picture data."""

    pts: int
    size: int
    safe: bool
    leading: bool
    shown: bool
    clean: bool
    sets: int
    digest: bytes


@dataclass
class Index:
    """All packets in file order, which is decode order. `usable` says that every packet has a pts of its own."""

    syntax: Syntax
    packets: list[Coded] = field(default_factory=list)
    sets: list[Sets] = field(default_factory=list)
    usable: bool = True
    in_order: bool = True
    """Whether the packets' times are those of the whole file: they do not start anew."""
    shown: list[int] = field(default_factory=list)
    """The pts of all frames that are shown, sorted."""
    _safe: list[tuple[int, int]] = field(default_factory=list)
    _by_pts: dict[int, int] = field(default_factory=dict)

    def finish(self) -> None:
        """Sort out what was collected."""
        self.shown = sorted(packet.pts for packet in self.packets if packet.shown)
        self._by_pts = {packet.pts: number for number, packet in enumerate(self.packets)}
        self.usable &= len(self._by_pts) == len(self.packets) > 0
        self.in_order = may_be_shown_by(packet.pts for packet in self.packets)
        self.usable &= self.in_order
        lowest = None
        for number in range(len(self.packets) - 1, -1, -1):  # a start from which later packets go back is none
            packet = self.packets[number]
            if packet.safe and (lowest is None or lowest > packet.pts or self.syntax.codec != "h264"):
                self._safe.append((packet.pts, number))
            lowest = packet.pts if lowest is None else min(lowest, packet.pts)
        self._safe.reverse()
        self.usable &= all(one[0] < two[0] for one, two in pairwise(self._safe))

    def times(self, start_pts: int, end_pts: int) -> list[int]:
        """pts of the frames shown in [start_pts, end_pts), sorted."""
        return self.shown[bisect_left(self.shown, start_pts) : bisect_left(self.shown, end_pts)]

    def safe_within(self, start_pts: int, end_pts: int) -> list[int]:
        """Numbers of the packets in [start_pts, end_pts) at which decoding may start, in order."""
        low = bisect_left(self._safe, (start_pts, -1))
        return [number for _, number in self._safe[low : bisect_left(self._safe, (end_pts, -1))]]

    def safe_before(self, pts: int) -> int:
        """Number of the last packet from which the frame at `pts` and those after it decode; 0 if there is none."""
        at = bisect_right(self._safe, (pts, len(self.packets)))
        return self._safe[at - 1][1] if at else 0

    def last_needed(self, start_pts: int, end_pts: int) -> int:
        """Number of the last packet, in decode order, of the frames shown in [start_pts, end_pts)."""
        return max((self._by_pts[pts] for pts in self.times(start_pts, end_pts)), default=-1)

    def number(self, pts: int) -> int:
        """Number of the packet with this pts."""
        return self._by_pts[pts]

    def bytes_within(self, start_pts: int, end_pts: int) -> int:
        """Size of the packets of the frames shown in [start_pts, end_pts)."""
        return sum(self.packets[self._by_pts[pts]].size for pts in self.times(start_pts, end_pts))


def index_packets(container: Any, stream: Any) -> Index:
    """Read every packet of the stream once. A container that breaks off ends the index there."""
    context = stream.codec_context
    codec = "av1" if "av1" in context.name else "vp9" if "vp9" in context.name else context.name
    try:
        index = Index(open_syntax(codec, context.extradata))
    except (IndexError, ValueError):  # a damaged header: nothing can be known of its packets
        index = Index(open_syntax("", None), usable=False)
    index.sets.append(index.syntax.sets)
    for packet in coded_packets(container, stream):
        index.packets.append(_look(index, packet))
    index.finish()
    return index


def is_there(container: Any, packet: Any) -> bool:
    """Whether a packet's bytes were fetched, if the container is of a part of its source."""
    excerpt = excerpt_of(container)
    return excerpt is None or excerpt.filler != "zeros" or excerpt.holds(packet.pos, packet.pos + packet.size)


def coded_packets(container: Any, stream: Any, *, absent: bool = False) -> Iterator[Any]:
    """The stream's packets that hold data, in file order: the same ones each time a file is read.

    Of a part of a source those that were fetched; if `absent`, also those whose place an index gives.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except HoleError:
            raise
        except (FFmpegError, OSError):
            packet = None
        if packet is None:
            return check_was_read(file_of(container))
        if packet.size:
            refuse_packet(packet)
        if packet.size and (absent or is_there(container, packet)):
            yield packet


def _look(index: Index, packet: Any) -> Coded:
    syntax = index.syntax
    if packet.has_sidedata("new_extradata"):
        with contextlib.suppress(IndexError, ValueError):
            found = open_syntax(syntax.codec, bytes(packet.get_sidedata("new_extradata")))
            syntax.sets, syntax.prefix = found.sets, found.prefix
    seen = syntax.see(bytes(packet), is_keyframe=packet.is_keyframe)
    if syntax.sets != index.sets[-1]:
        index.sets.append(syntax.sets)
    if packet.pts is None:
        index.usable = False
    return Coded(
        pts=0 if packet.pts is None else packet.pts,
        size=packet.size,
        safe=seen.safe and syntax.codec in SAFE_KNOWN,
        leading=seen.leading,
        shown=not packet.is_discard,
        clean=not (packet.is_discard or packet.is_corrupt or seen.odd),
        sets=len(index.sets) - 1,
        digest=seen.digest,
    )
