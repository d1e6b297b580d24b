"""The frames of a clip by time, as they are shown: upright, with square pixels, RGB.

Times are exact: fractions of a second, from integer pts. Variable frame rate is ordinary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import cv2

from hdvg.errors import ItemError
from hdvg.measures.measure import Picture
from hdvg.media import calls
from hdvg.media.calls import FramesWanted
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.pixels import Scaler

if TYPE_CHECKING:
    import av

Item = TypeVar("Item")


def rate(fps: float) -> Fraction:
    """Frames a second, exactly; 23.976 is 24000/1001."""
    return Fraction(fps).limit_denominator(1001)


def nearest(frames: Iterable[tuple[Fraction, Item]], targets: Sequence[Fraction]) -> Iterator[Item]:
    """For each of the targets, which must not fall, the item that is nearest in time; of two as near, the earlier.

    Reads no further than the last target needs.
    """
    before: tuple[Fraction, Item] | None = None
    at = 0
    for now in frames:
        while at < len(targets) and targets[at] <= now[0]:
            target = targets[at]
            yield (now if before is None or now[0] - target < target - before[0] else before)[1]
            at += 1
        if at == len(targets):
            return
        before = now
    if before is not None:
        yield from [before[1]] * (len(targets) - at)


def timed(decoder: Decoder, time_base: Fraction, seen_s: list[Fraction]) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Pictures with their seconds from the first one; these are noted in `seen_s`."""
    first = 0
    for frame in decoder:
        first = frame.pts if not seen_s else first
        seen_s.append((frame.pts - first) * time_base)
        yield seen_s[-1], frame.picture


@calls.write_frames.serves
def write_frames(path: str, out: str, wanted: FramesWanted) -> list[int]:
    """Write the frames to `out`, uint8 (T, H, W, 3), without a header; returns T, H, W. Runs in the sandbox's child.

    Raises ItemError corrupt if not every frame decodes that is needed, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    seen_s: list[Fraction] = []
    targets = _targets(wanted)
    count, size = 0, (0, 0)
    with open_video(path, max_pixels=wanted["max_pixels"]) as (container, stream), open(out, "wb") as file:
        decoder = Decoder(container, stream)
        pictures = timed(decoder, Fraction(stream.time_base), seen_s)
        shown = _Shown(stream, wanted["height"])
        for picture in nearest(pictures, targets) if targets else (picture for _, picture in pictures):
            pixels = shown(picture)
            file.write(pixels.tobytes())
            count, size = count + 1, pixels.shape[:2]
    is_whole = len(seen_s) >= wanted["n_frames"] or bool(targets and seen_s and seen_s[-1] >= targets[-1])
    if decoder.errors or not count or not is_whole:
        raise ItemError("corrupt", f"{len(seen_s)} of {wanted['n_frames']} frames decode, {decoder.errors} errors")
    return [count, *size]


def _targets(wanted: FramesWanted) -> list[Fraction]:
    """Seconds at which a frame is wanted: the first at the clip's start, the last before its end; none if all are."""
    if wanted["fps"] is None:
        return []
    fps = rate(wanted["fps"])
    return [number / fps for number in range(max(math.ceil(Fraction(wanted["length_s"]) * fps), 1))]


class _Shown:
    """Pictures as they are shown, all in the first one's size, or of a height."""

    def __init__(self, stream: Any, height: int | None) -> None:
        self._stream, self._height = stream, height
        self._scaler = Scaler()
        self._size: tuple[int, int] | None = None
        self._last: tuple[av.VideoFrame, Picture] | None = None

    def __call__(self, picture: av.VideoFrame) -> Picture:
        """(H, W, 3); the same picture twice is made once."""
        if self._last is None or self._last[0] is not picture:
            self._last = picture, self._made(picture)
        return self._last[1]

    def _made(self, picture: av.VideoFrame) -> Picture:
        shape = geometry(self._stream, picture)
        if self._size is None:
            height = self._height or shape["height"]
            self._size = max(round(shape["width"] * height / shape["height"]), 1), height
        how = "AREA" if self._size[1] <= shape["height"] else "BICUBIC"
        whole: Picture = upright(self._scaler(picture, coded_way(shape, self._size), "rgb24", how), shape)
        return whole
