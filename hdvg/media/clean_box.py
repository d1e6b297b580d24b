"""The clean rectangle of a clip, as a measure found it in pictures as they are shown, in the coded picture."""

from __future__ import annotations

import math

from hdvg.media.calls import CutSpan, Shape
from hdvg.media.encode import Box

LEAST_PX = 16
"""Of each side: what is smaller is no picture."""


def clean_box(shape: Shape, span: CutSpan) -> Box | None:
    """(x, y, width, height), all even, inside the rectangle of the span's `clean_` columns; None if that is the whole picture, too
    small for one, or not known."""
    left, top = span.get("clean_left"), span.get("clean_top")
    wide, tall = span.get("clean_width"), span.get("clean_height")
    if left is None or top is None or wide is None or tall is None:
        return None
    x, y, right, bottom = _as_coded(shape, (left, top, left + wide, top + tall))
    width, height = shape["coded_width"], shape["coded_height"]
    columns, rows = _even(x * width, right * width), _even(y * height, bottom * height)
    box = columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]
    is_whole = box[2] >= width - 1 and box[3] >= height - 1
    return None if is_whole or min(box[2:]) < LEAST_PX else box


def _as_coded(shape: Shape, sides: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in the coded picture: what `geometry.Orientation` does, the other way round."""
    left, top, right, bottom = sides
    if shape["mirrored"]:
        left, right = 1 - right, 1 - left
    match shape["rotation"]:
        case 90:
            return top, 1 - right, bottom, 1 - left
        case 180:
            return 1 - right, 1 - bottom, 1 - left, 1 - top
        case 270:
            return 1 - bottom, left, 1 - top, right
    return left, top, right, bottom


def _even(start: float, end: float) -> tuple[int, int]:
    """Inwards to even numbers; a thousandth of a pixel is the rounding of shares."""
    return 2 * math.ceil(start / 2 - 1e-3), 2 * math.floor(end / 2 + 1e-3)
