"""The one decode pass: every frame of a video stream, in display order, with integer pts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import av
from av.error import FFmpegError, InvalidDataError
from av.error import OSError as FFmpegOSError

from hdvg.errors import ItemError
from hdvg.media.containers import check_size, most_pixels, open_container, refused_size
from hdvg.media.excerpt import Excerpt
from hdvg.media.streams import find_film

WHOLE_ENOUGH = 0.9


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
        if context.codec_tag == "encv":
            raise ItemError("encrypted", "protected sample entry")
        size = context.width, context.height
        check_size(size if all(size) else refused_size(path, max_pixels) or size, max_pixels)
        context.options = {
            "max_pixels": str(most_pixels(max_pixels, size)),
            "skip_loop_filter": "noref" if thrifty else "default",
        }
        context.thread_type = "AUTO"
        context.thread_count = threads
        yield container, stream


class Decoder:
    """Iterates over a stream's frames once; `errors`, `packets`, `hidden` (by an edit list), `decoded` and `end_pts` say what happened."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self.errors = 0
        self.packets = 0
        self.end_pts = 0
        self.decoded = 0
        self.hidden = 0
        self._last: int | None = None
        self._step = 1

    def __iter__(self) -> Iterator[Frame]:
        """Frames with strictly increasing pts; a frame without one gets the last step's, one that goes back is an error."""
        index = 0
        for picture in self._pictures():
            pts = picture.pts if picture.pts is not None else picture.dts
            if pts is None:
                pts = 0 if self._last is None else self._last + self._step
            if self._last is not None:
                if pts <= self._last:
                    self.errors += 1
                    continue
                self._step = pts - self._last
            self._last = pts
            self.end_pts = pts + (picture.duration or self._step)
            yield Frame(index, pts, picture)
            index += 1

    def _pictures(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                self.packets += packet.size > 0
                self.hidden += packet.is_discard
                pictures = packet.decode()
            except StopIteration:
                return
            except (InvalidDataError, FFmpegOSError):
                self.errors += 1
                if self.errors > 1000 and self.errors > self.packets // 2:
                    return
                continue
            except FFmpegError as error:
                raise ItemError("unsupported", str(error)) from error
            self.decoded += len(pictures)
            yield from pictures


def check_whole(container: Any, stream: Any, *, frames: int, end_s: float) -> None:
    """Headers are no truth, but a file whose own index promises much more than decodes or is hidden is not whole.

    An mp4's index lists its frames; a Matroska file with nothing but this stream states when it ends, to be compared with
    `end_s`, where its pictures end. Raises ItemError truncated.
    """
    promised, got, what = 0.0, 0.0, "frames"
    if "mp4" in container.format.name:
        promised, got = float(stream.frames), float(frames)
    elif "matroska" in container.format.name and len(container.streams) == 1:
        promised, got, what = (container.duration or 0) / 1e6, end_s, "seconds"
    if got < WHOLE_ENOUGH * promised:
        raise ItemError("truncated", f"{got:g} of {promised:g} {what} decode")
