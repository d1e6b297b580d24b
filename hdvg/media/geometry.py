"""How a decoded picture is shown: its size in square pixels, its turn, and whether it is mirrored."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any, NamedTuple

import av
import cv2
from av.sidedata.sidedata import Type

from hdvg.media.calls import Shape

MATRIX = struct.Struct("<9i")
SAR_MOST = 100
STEPS = {
    (90, False): cv2.ROTATE_90_CLOCKWISE,
    (180, False): cv2.ROTATE_180,
    (270, False): cv2.ROTATE_90_COUNTERCLOCKWISE,
}
FLIPS = {(0, True): 1, (180, True): 0}
"""OpenCV's codes of one pass: 1 swaps left and right, 0 top and bottom."""


class Orientation(NamedTuple):
    """Turn a picture clockwise by `rotation` (0, 90, 180, 270 degrees), then swap left and right if `mirrored`.

    `odd_turn` are the clockwise degrees that a matrix asks for beside these: they are noted, not applied.
    """

    rotation: int = 0
    mirrored: bool = False
    odd_turn: int | None = None


def display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    """The nine numbers of a picture's display matrix (ISO/IEC 14496-12, 8.4.2), row by row, or None."""
    sides: Any = picture.side_data  # PyAV's types say that it is a mapping of names
    for data in sides:
        if data.type == Type.DISPLAYMATRIX and len(held := bytes(data)) == MATRIX.size:
            return MATRIX.unpack(held)
    return None


def orientation(matrix: tuple[int, ...] | None) -> Orientation:
    """What ffmpeg's automatic rotation makes of a matrix, for right angles: its first row gives the turn, to a whole
    degree; a sign of the second says whether the picture is mirrored too. A matrix that squeezes an axis to nothing is none."""
    if matrix is None:
        return Orientation()
    right, down_right, right_down, down = matrix[0], matrix[1], matrix[3], matrix[4]
    across, along = math.hypot(right, right_down), math.hypot(down_right, down)
    if not across or not along:
        return Orientation()
    turn = round(math.degrees(math.atan2(down_right / along, right / across))) % 360
    if turn == 90:
        return Orientation(90, right_down > 0)
    if turn == 270:
        return Orientation(270, right_down < 0)
    if turn == 180:  # left and right swapped, and top and bottom too if `down` is negative
        return Orientation(180) if down < 0 else Orientation(0, True)
    if turn == 0:
        return Orientation(180, True) if down < 0 else Orientation()
    return Orientation(0, False, turn)


def geometry(stream: Any, picture: av.VideoFrame) -> Shape:
    """Coded and displayed size of a picture, its orientation and its pixel aspect."""
    shown = orientation(display_matrix(picture))
    sar = Fraction(stream.sample_aspect_ratio or 1)
    sar = sar if 0 < sar < SAR_MOST else Fraction(1)
    width, height = max(round(picture.width * sar), 1), picture.height
    if shown.rotation in (90, 270):
        width, height = height, width
    return {
        "coded_width": picture.width,
        "coded_height": picture.height,
        "width": width,
        "height": height,
        "rotation": shown.rotation,
        "mirrored": shown.mirrored,
        "odd_turn": shown.odd_turn,
        "sar": f"{sar.numerator}/{sar.denominator}",
    }


def is_upright(shape: Shape) -> bool:
    """Whether pictures are shown as they are coded."""
    return shape["rotation"] == 0 and not shape["mirrored"]


def upright(picture: Any, shape: Shape) -> Any:
    """A picture (H, W[, 3]) as it is shown."""
    key = shape["rotation"], shape["mirrored"]
    if key in STEPS:
        return cv2.rotate(picture, STEPS[key])
    if key in FLIPS:
        return cv2.flip(picture, FLIPS[key])
    if key == (90, True):
        return cv2.transpose(picture)
    return cv2.flip(cv2.transpose(picture), -1) if key == (270, True) else picture


def coded_way(shape: Shape, size: tuple[int, int]) -> tuple[int, int]:
    """A size as it is shown, in the axes of the coded picture."""
    return size if shape["rotation"] in (0, 180) else size[::-1]
