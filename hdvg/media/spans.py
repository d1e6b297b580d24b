"""Spans of clips in a file, and the frames of the file as far as the spans need them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hdvg.media.decode import Decoder, Frame
from hdvg.media.excerpt import is_excerpt
from hdvg.media.excerpt_frames import ExcerptFrames
from hdvg.media.measure_calls import Span
from hdvg.media.scenes import Place


class Frames:
    """The frames of a file, or of a part of one, in order, until the last span is over; `thrifty` as in `open_video`.
    Of several `threads`, damage raises DamageError.

    `start_pts` is the video's first frame's, which seconds count from; `end_pts` is where the last frame seen ends.
    """

    def __init__(
        self, path: str, opened: tuple[Any, Any], spans: Sequence[Span], *, threads: int, max_pixels: int, thrifty: bool
    ) -> None:
        self.start_pts: int | None = None
        self._last = max(span["end_pts"] for span in spans)
        self._reader: Decoder | ExcerptFrames
        if is_excerpt(path):
            self._reader = ExcerptFrames(path, max_pixels=max_pixels)
            self.start_pts = self._reader.start_pts
            places = [Place(number, span["start_pts"], span["end_pts"]) for number, span in enumerate(spans)]
            self._frames = self._reader.of(places, threads=threads, thrifty=thrifty)
        else:
            self._reader = Decoder(*opened, whole_only=threads > 1)
            self._frames = iter(self._reader)

    @property
    def end_pts(self) -> int:
        """Where the last frame ends."""
        return self._reader.end_pts

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.start_pts = frame.pts if self.start_pts is None else self.start_pts
            if frame.pts >= self._last:
                return
            yield frame
