"""A second reading of pictures and streams, for the check of clips: it shares no rule with the first (geometry, streams).

A picture is placed by the definition of its display matrix, point by point, not by a turn that was recognised; the film is
what FFmpeg itself takes (av_find_best_stream); grey levels come from the luminance plane, not from a scaler.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type

from hdvg.media.pixels import FULL_RANGE, Luminance, Scaler

Grey = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
SMALL_PX = 32
LOOK_PX = 8
LOOK_WIDTH_PX = 256
MOST_OFF = math.tan(math.radians(0.5))
"""Of an axis that still counts as level or upright."""


def small_grey(picture: av.VideoFrame, *, box: Box | None = None) -> Grey:
    """(32, 32) levels 0-255, full range, of a picture or a box (x, y, width, height) in it, as it is shown."""
    luma = Luminance(picture, Scaler())
    whole: Any = luma.full()
    if box is not None:
        x, y, width, height = box
        whole = whole[y : y + height, x : x + width]
    small: Any = cv2.resize(whole, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    return placed(picture, small if luma.span == 255 else cv2.LUT(small, FULL_RANGE))


def look_of(picture: av.VideoFrame) -> Grey:
    """(8, 8) grey levels as the pass over the source notes them: of red, green and blue, which hold no colour beyond them."""
    width = min(LOOK_WIDTH_PX, picture.width)
    height = max(round(picture.height * width / picture.width), 1)
    bgr = Scaler()(picture, (width, height), "bgr24", "AREA")
    grey: Any = placed(picture, cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
    return np.asarray(cv2.resize(grey, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA), np.uint8)


def placed(picture: av.VideoFrame, pixels: Any) -> Grey:
    """Pixels (H, W) of a picture, moved to where its display matrix puts them; as they are if that is not along the axes."""
    axes = _axes(picture)
    grey = np.ascontiguousarray(pixels, dtype=np.uint8)
    if axes is None:
        return grey
    (right_x, right_y), (down_x, down_y) = axes
    height, width = grey.shape
    down, right = np.mgrid[1 - height : height : 2, 1 - width : width : 2]  # twice the distance from the middle
    shown_x, shown_y = right * right_x + down * down_x, right * right_y + down * down_y
    shown = np.empty((height, width) if right_x else (width, height), np.uint8)
    shown[(shown_y + shown.shape[0]) // 2, (shown_x + shown.shape[1]) // 2] = grey
    return shown


def is_moved(picture: av.VideoFrame) -> bool:
    """Whether a display matrix asks for anything but to show the picture as it is."""
    held = _matrix(picture)
    return held is not None and (min(held[0], held[4]) <= 0 or bool(held[1] or held[3]))


def _matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    sides: Any = picture.side_data  # PyAV's types say that it is a mapping of names
    held = [bytes(data) for data in sides if data.type == Type.DISPLAYMATRIX]
    return struct.unpack("<9i", held[0]) if held and len(held[0]) == 36 else None


def _axes(picture: av.VideoFrame) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Where a step to the right and a step down in the coded picture lead as it is shown, (x, y) each; None: nowhere else."""
    numbers = _matrix(picture)
    if numbers is None:
        return None
    right, down = _axis(numbers[0], numbers[1]), _axis(numbers[3], numbers[4])
    if right is None or down is None or abs(right[0]) == abs(down[0]):
        return None
    return right, down


def _axis(x: int, y: int) -> tuple[int, int] | None:
    small, large = sorted((abs(x), abs(y)))
    if not large or small > MOST_OFF * large:
        return None
    return ((x > 0) - (x < 0), 0) if abs(x) > abs(y) else (0, (y > 0) - (y < 0))


def fault_of_stream(container: Any, stream: Any, *, packets: int) -> str | None:
    """What speaks against a stream as the film, in words: it is one picture, and FFmpeg takes another stream; or None."""
    best = container.streams.best("video")
    if packets > 1 or best is None or best.index == stream.index:
        return None
    return f"stream {stream.index} is one picture; FFmpeg takes stream {best.index} for the film"


def difference(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> float:
    """Mean absolute difference of two grey pictures of one size, in levels."""
    return float(np.abs(one.astype(np.int16) - two.astype(np.int16)).mean())
