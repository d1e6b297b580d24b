"""The frames of a clip by time: windows of so many frames a second, each target time's nearest frame, in bucket size.

Times are exact: fractions of a second, from integer pts. Variable frame rate is ordinary.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from hdvg.errors import ItemError
from hdvg.latents import calls
from hdvg.latents.calls import Expected
from hdvg.measures.measure import Picture
from hdvg.media.clip_frames import nearest, rate, timed
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.pixels import Scaler

if TYPE_CHECKING:
    import av


def window_starts(duration_s: Fraction, *, frames: int, fps: float, windows: int) -> list[Fraction]:
    """When the windows of a clip begin, in seconds from its start: at most `windows`, spread over it, none more than half
    over the next; a single one lies in the middle. A clip that is shorter than a window has one, at 0."""
    length = frames / rate(fps)
    room = duration_s - length
    count = min(windows, 1 + max(math.floor(2 * room / length), 0))
    if count == 1:
        return [max(room / 2, Fraction(0))]
    return [room * number / (count - 1) for number in range(count)]


@calls.take.serves
def take(path: str, out: str, *, bucket: list[int], fps: float, starts: list[str], expected: Expected) -> int:
    """Write the windows that begin at `starts` (fractions of a second) to `out`, uint8 (windows, T, H, W, 3), RGB.

    Runs in the sandbox's child. `bucket` is (T, H, W). Returns how many frames were decoded. Raises ItemError corrupt if
    not every frame decodes, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    count, height, width = bucket
    targets = [Fraction(start) + number / rate(fps) for start in starts for number in range(count)]
    order = sorted(range(len(targets)), key=targets.__getitem__)
    taken = np.empty((len(targets), height, width, 3), np.uint8)
    seen_s: list[Fraction] = []
    with open_video(path, max_pixels=expected["max_pixels"]) as (container, stream):
        decoder = Decoder(container, stream)
        small = _Small(stream, height, width)
        chosen = nearest(timed(decoder, Fraction(stream.time_base), seen_s), [targets[number] for number in order])
        for number, picture in zip(order, chosen, strict=False):
            taken[number] = small(picture)
    is_whole = len(seen_s) >= expected["n_frames"] or (bool(seen_s) and seen_s[-1] >= targets[order[-1]])
    if decoder.errors or not is_whole:
        raise ItemError("corrupt", f"{len(seen_s)} of {expected['n_frames']} frames decode, {decoder.errors} errors")
    np.save(out, taken.reshape(len(starts), count, height, width, 3))
    return len(seen_s)


class _Small:
    """Pictures as they are shown (upright, square pixels), reduced to cover the bucket by area means, cut in the middle."""

    def __init__(self, stream: Any, height: int, width: int) -> None:
        self._stream, self._height, self._width = stream, height, width
        self._scaler = Scaler()
        self._last: tuple[av.VideoFrame, Picture] | None = None

    def __call__(self, picture: av.VideoFrame) -> Picture:
        """(height, width, 3), RGB; the same picture twice is reduced once."""
        if self._last is None or self._last[0] is not picture:
            self._last = picture, self._reduced(picture)
        return self._last[1]

    def _reduced(self, picture: av.VideoFrame) -> Picture:
        shape = geometry(self._stream, picture)
        scale = max(self._height / shape["height"], self._width / shape["width"])
        size = max(round(shape["width"] * scale), self._width), max(round(shape["height"] * scale), self._height)
        whole = upright(self._scaler(picture, coded_way(shape, size), "rgb24", "AREA"), shape)
        top, left = (size[1] - self._height) // 2, (size[0] - self._width) // 2
        middle: Picture = whole[top : top + self._height, left : left + self._width]
        return middle
