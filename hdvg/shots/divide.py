"""Divide long shots into clips: evenly, or where the picture moves least."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def divide(
    pts: Sequence[int],
    span: tuple[int, int],
    *,
    most: int,
    closed: bool,
    scores: Sequence[float] | None = None,
) -> list[int]:
    """Frames at which the shot `span` = [start, end) is divided so that no clip is longer than `most` ticks.

    `pts` holds every frame's time, and at `end` that of the frame after it. While the shot is still open, clips are cut
    off as long as more than twice `most` remains; what remains when it is `closed` is halved if need be. So the places
    depend on the shot alone. `scores` (of a frame against the one before) moves each to the stillest frame that is allowed.
    """
    start, end = span
    places: list[int] = []
    while end - start > 1 and pts[end] - pts[start] > (most if closed else 2 * most):
        left = pts[end] - pts[start]
        halves = range(start + 1, end)
        if left <= 2 * most:
            low = bisect_left(pts, pts[end] - min(most, left * 3 // 4), start + 1, end)
            halves = range(low, max(bisect_right(pts, pts[start] + min(most, left * 3 // 4), low, end), low))
        if left <= 2 * most and halves:
            ideal = pts[start] + left // 2
        else:
            high = max(bisect_right(pts, pts[start] + most, start + 1, end), start + 2)
            low = min(bisect_left(pts, pts[start] + most // 2, start + 1, high), high - 1)
            halves = range(low, high)
            ideal = pts[start] + most
        start = min(halves, key=lambda place: (scores[place] if scores else 0.0, abs(pts[place] - ideal)))
        places.append(start)
    return places
