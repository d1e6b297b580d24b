"""The largest rectangle of an allowed aspect that lies inside another and touches none of the boxes in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom, in shares of a picture."""


def largest(
    inside: Rectangle, boxes: Sequence[Rectangle], *, aspect: float, allowed: Sequence[float]
) -> Rectangle | None:
    """It, the nearest to the picture's middle of equal ones; None if nothing is left. `aspect`: width / height of the picture
    the shares are of; `allowed`: those that the rectangle may have in it; any, if there is none."""
    found: Rectangle | None = None
    for gap in _gaps(inside, boxes):
        for wanted in allowed or (0.0,):
            fitted = _fitted(gap, wanted / aspect)
            if found is None or _worth(fitted) > _worth(found):
                found = fitted
    return found


def _gaps(inside: Rectangle, boxes: Sequence[Rectangle]) -> Iterator[Rectangle]:
    """Rectangles without a box that cannot be wider: between any two sides of boxes, all heights that are free there."""
    lefts = {inside[0], *(box[2] for box in boxes if inside[0] < box[2] < inside[2])}
    rights = {inside[2], *(box[0] for box in boxes if inside[0] < box[0] < inside[2])}
    for left, right in product(sorted(lefts), sorted(rights)):
        if left >= right:
            continue
        top = inside[1]
        for box in sorted((box for box in boxes if box[0] < right and box[2] > left), key=lambda box: box[1]):
            if box[1] > top:
                yield left, top, right, min(box[1], inside[3])
            top = max(top, box[3])
        if top < inside[3]:
            yield left, top, right, inside[3]


def _fitted(gap: Rectangle, aspect: float) -> Rectangle:
    """The largest part of it with that aspect, in shares, next to the middle of the picture; all of it for aspect 0."""
    left, top, right, bottom = gap
    if not aspect:
        return gap
    wide, tall = min(right - left, (bottom - top) * aspect), min(bottom - top, (right - left) / aspect)
    x = min(max(0.5 - wide / 2, left), right - wide)
    y = min(max(0.5 - tall / 2, top), bottom - tall)
    return x, y, x + wide, y + tall


def _worth(one: Rectangle) -> tuple[float, float]:
    """Its area, in hundredths of a percent, and how near its middle is to the picture's."""
    left, top, right, bottom = one
    return round((right - left) * (bottom - top), 4), -abs(left + right - 1) - abs(top + bottom - 1)
