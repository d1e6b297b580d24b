"""The one decode pass: every frame of a video stream, in display order, with integer pts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import av
from av.error import FFmpegError, InvalidDataError

from hdvg.errors import ItemError
from hdvg.media.clock import Clock
from hdvg.media.containers import check_size, most_pixels, open_container, refused_size
from hdvg.media.excerpt import Excerpt, HoleError
from hdvg.media.hearing import hearing
from hdvg.media.protection import refuse_packet, refuse_protected
from hdvg.media.source_file import check_was_read, file_of
from hdvg.media.streams import find_film

WHOLE_ENOUGH = 0.9

SILENT = frozenset({"vp8", "hevc"})
"""Decoders that say nothing of most damage, and with several threads make other pictures of it each time: one thread is theirs."""

T = TypeVar("T")


@dataclass(frozen=True)
class Frame:
    """One decoded frame: index from 0, pts in the stream's time base, and the picture as coded (not turned)."""

    index: int
    pts: int
    picture: av.VideoFrame


def film_of(container: Any, path: str | Excerpt) -> Any:
    """The stream of an opened container that is the film. Raises ItemError no_video."""
    return find_film(container, lambda: open_container(path))


@contextmanager
def open_video(
    path: str | Excerpt, *, threads: int = 1, max_pixels: int, thrifty: bool = False
) -> Iterator[tuple[Any, Any]]:
    """The container and its film (see streams.find_film), ready to decode.

    If `thrifty`, H.264 and HEVC pictures that no other is made from are not deblocked: for eyes that see them small.
    Raises ItemError not_media, no_video, unsupported, encrypted or too_large.
    """
    with open_container(path, max_pixels=max_pixels) as container:
        stream = film_of(container, path)
        context = stream.codec_context
        if context is None or not context.name:
            raise ItemError("unsupported", "no decoder for this codec")
        refuse_protected(container, stream)
        size = context.width, context.height
        check_size(size if all(size) else refused_size(path, max_pixels) or size, max_pixels)
        context.options = {
            "max_pixels": str(most_pixels(max_pixels, size)),
            "skip_loop_filter": "noref" if thrifty else "default",
        }
        context.thread_type = "AUTO"
        context.thread_count = 1 if context.name in SILENT else threads
        yield container, stream


class DamageError(Exception):
    """A frame or packet is damaged: one thread must decode the file, for what several make of damage differs."""


def alone_if_damaged(make: Callable[[int], T], threads: int) -> T:
    """What `make` returns of so many threads; of one, if it raises DamageError."""
    try:
        return make(threads)
    except DamageError:
        return make(1)


class Trust:
    """Which pictures of a decoder may be believed: behind damage none before the next key picture, for they are made of what
    is damaged, though the decoder marks only the first."""

    def __init__(self) -> None:
        self._lost = False

    def lose(self) -> None:
        """A packet did not decode, or is gone."""
        self._lost = True

    def holds(self, picture: av.VideoFrame) -> bool:
        """Whether the next picture is believed."""
        self._lost = picture.is_corrupt or (self._lost and not picture.key_frame)
        return not self._lost


class Decoder:
    """Iterates over a stream's frames once, with the times of a `Clock`.

    `errors`, `packets`, `hidden` (by an edit list), `decoded`, `retimed` and `end_pts` say what happened. A picture that is
    not to be trusted is an error, and no frame. If `whole_only`, the first error raises DamageError.
    """

    def __init__(self, container: Any, stream: Any, *, whole_only: bool = False) -> None:
        self._container = container
        self._stream = stream
        self._clock = Clock(stream)
        self._trust = Trust()
        self._whole_only = whole_only
        self._refused: FFmpegError | None = None
        self.errors = 0
        self.packets = 0
        self.decoded = 0
        self.hidden = 0

    @property
    def end_pts(self) -> int:
        """Where the last frame ends."""
        return self._clock.end_pts

    @property
    def retimed(self) -> int:
        """Frames that have another time than the container's."""
        return self._clock.retimed

    def __iter__(self) -> Iterator[Frame]:
        """Frames in display order, with strictly growing pts."""
        for index, (pts, picture) in enumerate(self._timed()):
            yield Frame(index, pts, picture)

    def first_picture(self) -> av.VideoFrame | None:
        """The first picture that decodes; ends what this decoder is for."""
        return next(self._pictures(), None)

    def _timed(self) -> Iterator[tuple[int, av.VideoFrame]]:
        for picture in self._pictures():
            yield from self._clock.take(picture)
        yield from self._clock.rest()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        if not self._whole_only:
            yield from self._decoded()
            return
        with hearing(self._stream.codec_context) as is_heard:
            for picture in self._decoded():
                if is_heard():
                    raise DamageError
                yield picture
            if is_heard():
                raise DamageError

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._coded():
            try:
                pictures = self._stream.codec_context.decode(packet)
            except MemoryError:
                raise
            except FFmpegError as error:
                self._refused = self._refused or error
                self._trust.lose()
                self._damaged()
                if self.errors > 1000 and self.errors > self.packets // 2:
                    return
                continue
            self.decoded += len(pictures)
            for picture in pictures:
                if self._trust.holds(picture):
                    yield picture
                else:
                    self._damaged()
        if not self.decoded and self._refused is not None and not isinstance(self._refused, InvalidDataError):
            raise ItemError("unsupported", str(self._refused)) from self._refused

    def _coded(self) -> Iterator[Any]:
        """Packets with data, then None. One without repeats the picture before, which stays without it (Theora, AVI)."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except HoleError:
                raise
            except (FFmpegError, OSError):
                check_was_read(file_of(self._container))
                self._trust.lose()
                self._damaged()
                continue
            if packet is None:
                break
            self.hidden += packet.is_discard
            if packet.size:
                self.packets += 1
                refuse_packet(packet)
                self._clock.fed(packet)
                yield packet
        check_was_read(file_of(self._container))
        yield None

    def _damaged(self) -> None:
        if self._whole_only:
            raise DamageError
        self.errors += 1


def check_whole(container: Any, stream: Any, *, frames: int, end_s: float, least: float = WHOLE_ENOUGH) -> None:
    """Headers are no truth, but a file whose own index promises much more than decodes or is hidden is not whole.

    An mp4's index lists its frames; a Matroska file with nothing but this stream states when it ends, to be compared with
    `end_s`, where its pictures end. Raises ItemError truncated.
    """
    promised, got, what = 0.0, 0.0, "frames"
    if "mp4" in container.format.name:
        promised, got = float(stream.frames), float(frames)
    elif "matroska" in container.format.name and len(container.streams) == 1:
        promised, got, what = (container.duration or 0) / 1e6, end_s, "seconds"
    if got < least * promised:
        raise ItemError("truncated", f"{got:g} of {promised:g} {what} decode")
