"""Previews that packs keep: small frames of spans of a video as WebP, in one decode, in a child."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import cv2

from hdvg.media import measure_calls
from hdvg.media.calls import Shape
from hdvg.media.decode import Frame, alone_if_damaged, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.measure_calls import Previewed, PreviewSpan
from hdvg.media.pixels import Scaler
from hdvg.media.spans import Frames

SHORT_PX, LONG_PX = 160, 480
"""A frame's shorter side, and the most of its longer one; smaller pictures stay as they are."""

QUALITY = 60
"""Of the WebP, 0-100."""


@measure_calls.keep_preview.serves
def keep_preview(path: str, out: str, spans: list[PreviewSpan], threads: int, max_pixels: int) -> list[Previewed]:
    """Write the frames of all spans, in order, into the file `out`; returns what lies there. A span may have none.

    Raises what `open_video` raises.
    """
    cv2.setNumThreads(1)
    kept = alone_if_damaged(lambda few: _kept(path, spans, few, max_pixels), threads)
    with Path(out).open("wb") as file:
        for one in kept:
            file.writelines(one.frames)
    return [{"sizes": list(map(len, one.frames)), "at_s": one.at_s} for one in kept]


class _Kept:
    """The frames of one span: the first at its start, then one in each step of time that has any."""

    def __init__(self, span: PreviewSpan) -> None:
        self.frames: list[bytes] = []
        self.at_s: list[float] = []
        self._span = span
        self._first_pts: int | None = None
        self._due_s = 0.0

    def second_of(self, pts: int, base: Fraction) -> float | None:
        """The second of a frame of the span, if it is wanted."""
        self._first_pts = pts if self._first_pts is None else self._first_pts
        at_s = float((pts - self._first_pts) * base)
        return at_s if at_s >= self._due_s and len(self.frames) < self._span["most"] else None

    def add(self, webp: bytes, at_s: float) -> None:
        """The frame of that second."""
        self.frames.append(webp)
        self.at_s.append(at_s)
        self._due_s = (math.floor(at_s / self._span["step_s"]) + 1) * self._span["step_s"]


def _kept(path: str, spans: list[PreviewSpan], threads: int, max_pixels: int) -> list[_Kept]:
    kept, scaler = [_Kept(span) for span in spans], Scaler()
    ahead = sorted(range(len(spans)), key=lambda number: spans[number]["start_pts"], reverse=True)
    now: list[int] = []
    with open_video(path, threads=threads, max_pixels=max_pixels, thrifty=True) as opened:
        base = Fraction(opened[1].time_base)
        for frame in Frames(path, opened, spans, threads=threads, max_pixels=max_pixels, thrifty=True):
            while ahead and spans[ahead[-1]]["start_pts"] <= frame.pts:
                now.append(ahead.pop())
            now = [number for number in now if frame.pts < spans[number]["end_pts"]]
            wanted = [
                (kept[number], at_s) for number in now if (at_s := kept[number].second_of(frame.pts, base)) is not None
            ]
            webp = _webp(frame, geometry(opened[1], frame.picture), scaler) if wanted else b""
            for one, at_s in wanted:
                one.add(webp, at_s)
    return kept


def _webp(frame: Frame, shape: Shape, scaler: Scaler) -> bytes:
    sides = sorted((shape["width"], shape["height"]))
    scale = min(SHORT_PX / sides[0], LONG_PX / sides[1], 1.0)
    size = max(round(shape["width"] * scale), 1), max(round(shape["height"] * scale), 1)
    small = upright(scaler(frame.picture, coded_way(shape, size), "bgr24", "AREA"), shape)
    return cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()
