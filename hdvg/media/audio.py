"""The sound of a clip: packets of the film's audio stream, copied where mp4 can hold them, else encoded as AAC.

A track begins with packets from before the clip, which decoders need for its first sample and an edit list hides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import av.filter
from av.error import FFmpegError

from hdvg.errors import ItemError
from hdvg.media.containers import open_container
from hdvg.media.decode import film_of
from hdvg.media.packets import is_there
from hdvg.media.source_file import check_was_read, file_of
from hdvg.media.streams import find_sound

KEPT_S = 10
"""Seconds of sound that are kept for a clip whose frames come a little later than those of the next one."""

GAP_S = 0.1
AHEAD_S = Fraction(1, 10)
"""What is taken along from before a clip: Opus wants 80 ms to settle, AAC and AC-3 a frame."""
ENCODED_SAMPLES = 1024
"""Of an AAC frame; our encoder is late by one."""

COPIED = frozenset({"aac", "opus", "ac3"})
"""Not MP3: its frames are made of bits that stand in frames before."""


class Sound:
    """The sound of a file's film, read once from the front as clip after clip asks for its part.

    It begins with the sample that is heard with the clip's first frame, and ends within a packet (about 20 ms) of its end. Clips
    must come about in order of their start.
    """

    def __init__(self, path: str) -> None:
        self._container: Any = open_container(path)
        self._stream: Any = find_sound(self._container, film_of(self._container, path))
        context: Any = self._stream.codec_context if self._stream is not None else None
        name = context.name if context is not None else ""
        self._copy = name in COPIED and (name != "aac" or bool(context.extradata))
        self._packets: Iterator[Any] = self._container.demux(self._stream) if name else iter(())
        self._kept: list[Any] = []

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def add_to(self, container: Any, *, start_s: Fraction, end_s: Fraction) -> None:
        """Write the sound of [start_s, end_s) into a clip, in a track of its own; no track if there is none."""
        packets = self._between(start_s, end_s)
        if not packets:
            return
        if self._copy:
            _copy(container, self._stream, packets, start=round(start_s / self._stream.time_base))
        else:
            _encode(container, self._stream, packets, start_s=start_s, end_s=end_s)

    def _between(self, start_s: Fraction, end_s: Fraction) -> list[Any]:
        base = self._stream.time_base if self._stream is not None else Fraction(1)
        while not self._kept or self._kept[-1].pts * base < end_s:
            packet = self._next()
            if packet is None:
                break
            self._kept.append(packet)
        self._kept = [packet for packet in self._kept if packet.pts * base >= start_s - KEPT_S]
        heard = [packet for packet in self._kept if start_s - AHEAD_S < packet.pts * base < end_s]
        return heard if any((packet.pts + (packet.duration or 1)) * base > start_s for packet in heard) else []

    def _next(self) -> Any:
        while True:
            try:
                packet = next(self._packets)
            except (StopIteration, FFmpegError, OSError):
                check_was_read(file_of(self._container))
                return None
            if packet.size and packet.pts is not None and is_there(self._container, packet):
                return packet


def _copy(container: Any, source: Any, packets: list[Any], *, start: int) -> None:
    stream = container.add_stream_from_template(source)
    for packet in packets:
        one: Any = av.Packet(bytes(packet))
        one.pts = one.dts = packet.pts - start
        one.duration, one.time_base, one.is_keyframe = packet.duration, source.time_base, True
        one.stream = stream
        container.mux(one)


def _encode(container: Any, source: Any, packets: list[Any], *, start_s: Fraction, end_s: Fraction) -> None:
    context = source.codec_context
    rate = context.sample_rate or 48000
    start, end = round(start_s * rate), round(end_s * rate)
    stereo = ("aformat", "sample_fmts=fltp:channel_layouts=stereo")
    exact = ("atrim", f"start_pts={start}:end_pts={end}")
    whole = ("asetnsamples", f"n={ENCODED_SAMPLES}:p=0")
    stream = container.add_stream("aac", rate=rate, layout="stereo")
    stream.codec_context.flags |= 1 << 23  # bit-exact
    encoded: list[Any] = []
    first, stop = None, 0
    for piece in filtered(_frames(context, packets), [stereo, exact, whole], time_base=source.time_base, rate=rate):
        first, stop = piece.pts if first is None else first, piece.pts + piece.samples
        piece.pts = None
        encoded += stream.encode(piece)
    if first is None:
        return
    for number, packet in enumerate([*encoded, *stream.encode(None)]):
        packet.pts = packet.dts = first - start + (number - 1) * ENCODED_SAMPLES
        packet.duration = min(stop - start - packet.pts, ENCODED_SAMPLES)
        packet.time_base, packet.stream = Fraction(1, rate), stream
        if packet.duration > 0:
            container.mux(packet)


def filter_graph(frame: Any, rate: int, filters: Sequence[tuple[str, str]], *, time_base: Fraction) -> Any:
    """What takes frames like this one, puts silence where the source has a gap, and gives them at `rate` through these filters."""
    graph: Any = av.filter.Graph()
    last = graph.add_abuffer(
        sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=time_base
    )
    for name, arguments in (
        ("aresample", f"{rate}:async=1:min_hard_comp={GAP_S}"),
        *filters,
        ("abuffersink", None),
    ):
        node = graph.add(name, arguments)
        last.link_to(node)
        last = node
    graph.configure()
    return graph


def filtered(
    frames: Iterable[Any], filters: Sequence[tuple[str, str]], *, time_base: Fraction, rate: int | None = None
) -> Iterator[Any]:
    """What these filters make of a stream's frames, whose form may change on the way; `rate` is the frames' own if None."""
    for _, some in itertools.groupby(frames, key=_form):
        graph: Any = None
        for frame in itertools.chain(some, [None]):
            graph = graph or filter_graph(frame, rate or frame.sample_rate, filters, time_base=time_base)
            graph.push(frame)
            yield from pulled(graph)


def _form(frame: Any) -> tuple[int, str, str]:
    """What all frames that one graph takes have in common."""
    return frame.sample_rate, frame.format.name, frame.layout.name


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream that decode and say when they are, up to the first trouble that is no damage."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError):
            check_was_read(file_of(container))
            return
        if packet is None:
            return
        try:
            yield from (frame for frame in stream.codec_context.decode(packet) if frame.pts is not None)
        except av.InvalidDataError:
            continue
        except MemoryError:
            raise
        except FFmpegError:
            return


def pulled(graph: Any) -> Iterator[Any]:
    """The frames that a filter graph has ready."""
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return


def _frames(context: Any, packets: list[Any]) -> Iterator[Any]:
    context.flush_buffers()
    for packet in [*packets, None]:
        try:
            yield from context.decode(packet)
        except av.InvalidDataError:
            continue
        except FFmpegError as error:
            raise ItemError("cut_mismatch", f"the sound does not decode: {error}") from error
