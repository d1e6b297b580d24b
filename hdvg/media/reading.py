"""The second way through a source: the coded packets that are copied, and the frames that must be decoded, no others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import av
from av.error import FFmpegError

from hdvg.media.bitstream import framed
from hdvg.media.decode import DamageError, Decoder, Frame, Trust, open_video
from hdvg.media.hearing import hearing
from hdvg.media.packets import Index, coded_packets
from hdvg.media.parameter_sets import signature

THREADS = 2
"""Of the decoder; its output does not depend on it, but for what is damaged."""


@dataclass(frozen=True)
class Payload:
    """A coded packet as it stands in the source, and its number in the index."""

    number: int
    pts: int
    data: bytes


SKIPPING = frozenset({"h264", "hevc"})
"""Codecs whose decoders can be set in mid-stream to skip pictures that no other needs (dav1d heeds only the first word)."""
RUN_UP = 16
"""Packets before a wanted one from which all are decoded: the most frames an H.264 or HEVC decoder holds back."""


@dataclass
class Stretch:
    """Packets [first, stop) are decoded in one go; of those outside `wanted`, pictures that no other needs are skipped."""

    first: int
    stop: int
    wanted: list[tuple[int, int]]

    def is_run_up(self, number: int) -> bool:
        """Whether this packet is only on the way to wanted ones."""
        at = bisect_right(self.wanted, number + RUN_UP, key=lambda one: one[0])
        return at == 0 or self.wanted[at - 1][1] <= number

    def add(self, first: int, stop: int) -> None:
        """Want packets [first, stop) too."""
        self.wanted.append((first, stop))
        self.stop = max(self.stop, stop)


def stretches(index: Index, ranges: Sequence[tuple[int, int]]) -> list[Stretch]:
    """What must be decoded to see the frames of all ranges of pts: each from the last safe start before it; neighbours
    and overlaps are joined, so that a GOP that two clips share is decoded once."""
    found: list[Stretch] = []
    for start, end in sorted(ranges):
        times = index.times(start, end)
        if not times:
            continue
        first, stop = index.safe_before(times[0]), index.last_needed(start, end) + 1
        if not found or first > found[-1].stop:
            found.append(Stretch(first, stop, []))
        found[-1].add(max(min(index.number(times[0]), stop - RUN_UP), first), stop)
    for (
        stretch
    ) in found:  # a range that begins later may need an earlier packet: none may end before one that stands before it
        stretch.wanted.sort()
        ends = accumulate((stop for _, stop in stretch.wanted), max)
        stretch.wanted = [(one[0], stop) for one, stop in zip(stretch.wanted, ends, strict=True)]
    return found


class Reading:
    """One way through a file, beside its index; `errors` lists the numbers of packets that did not decode. If `strict`,
    a decoder does not hide damage that it sees; `threads` and `thrifty` are `open_video`'s, `whole_only` is `Decoder`'s.
    `skips`: pictures that no other needs are left out on the way to wanted ones, and with them their damage."""

    def __init__(
        self,
        path: str,
        index: Index,
        *,
        max_pixels: int,
        strict: bool = False,
        threads: int = THREADS,
        thrifty: bool = False,
        whole_only: bool = False,
    ) -> None:
        self._path = path
        self._index = index
        self._strict = strict
        self._whole_only = whole_only
        self._opening: dict[str, Any] = {"threads": threads, "thrifty": thrifty, "max_pixels": max_pixels}
        self._trust = Trust()
        self._is_heard: Callable[[], bool] = lambda: False
        self.skips = True
        self.decoded = 0
        self.errors: list[int] = []

    def walk(self, plan: Sequence[Stretch], copied: set[int] | frozenset[int]) -> Iterator[Frame | Payload]:
        """Frames of the stretches in display order, and payloads of the copied packets, as the file goes by.

        The file is read from the front and what nobody asks for is skipped undecoded: a seek would save reading only,
        and in MPEG-TS or damaged files it does not land where it says.
        """
        if not plan and not copied:
            return
        last = max([stretch.stop for stretch in plan] + [number + 1 for number in copied])
        with open_video(self._path, **self._opening) as (container, stream), self._hearing(stream) as self._is_heard:
            waiting = list(reversed(plan))
            if self._strict:
                stream.codec_context.options |= {"err_detect": "explode"}
            for number, packet in enumerate(coded_packets(container, stream)):
                if number >= last:
                    return
                if number in copied:
                    yield Payload(number, packet.pts, bytes(packet))
                if waiting and waiting[-1].first <= number < waiting[-1].stop:
                    if self.skips and self._index.syntax.codec in SKIPPING:
                        stream.codec_context.skip_frame = "NONREF" if waiting[-1].is_run_up(number) else "DEFAULT"
                    if number == waiting[-1].first:
                        self._trust = Trust()
                        packet = self._signed(packet, number)
                    yield from self._decode(stream.codec_context, packet, number)
                    if number + 1 == waiting[-1].stop:
                        waiting.pop()
                        yield from self._decode(stream.codec_context, None, number)
                        stream.codec_context.flush_buffers()

    def straight(self, end_pts: int) -> Iterator[Frame]:
        """All frames up to `end_pts`, decoded from the front: for files whose packets have no times of their own."""
        with open_video(self._path, **self._opening) as (container, stream):
            for frame in Decoder(container, stream):
                if frame.pts >= end_pts:
                    return
                self.decoded += 1
                yield frame

    def _signed(self, packet: Any, number: int) -> Any:
        """The first packet of a stretch, behind the signature in force there."""
        syntax, sets = self._index.syntax, self._index.sets[self._index.packets[number].sets]
        if syntax.codec != "h264" or not signature(sets) or packet.has_sidedata("new_extradata"):
            return packet
        signed: Any = av.Packet(b"".join(framed(one, syntax.prefix) for one in signature(sets)) + bytes(packet))
        signed.pts, signed.dts, signed.duration = packet.pts, packet.dts, packet.duration
        signed.time_base, signed.is_keyframe = packet.time_base, packet.is_keyframe
        return signed

    def _hearing(self, stream: Any) -> AbstractContextManager[Callable[[], bool]]:
        return hearing(stream.codec_context) if self._whole_only else nullcontext(lambda: False)

    def _decode(self, context: Any, packet: av.Packet[Any] | None, number: int) -> Iterator[Frame]:
        try:
            pictures = context.decode(packet)
        except MemoryError:
            raise
        except FFmpegError:
            self._trust.lose()
            self._damaged(number)
            return
        if self._is_heard():
            self._damaged(number)
        for picture in pictures:
            self.decoded += 1
            if not self._trust.holds(picture) and not self._strict:
                self._damaged(number)
            elif picture.pts is not None:
                yield Frame(number, picture.pts, picture)

    def _damaged(self, number: int) -> None:
        if self._whole_only:
            raise DamageError
        self.errors.append(number)
