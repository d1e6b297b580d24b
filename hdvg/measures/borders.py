"""Borders: the part of the picture that is not bars of black or another flat colour, about every two seconds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

FLAT_LEVELS = 8
FLAT_PIXELS = 0.98
"""Of a line, which make it part of a bar: a logo does not, a few bad pixels may."""
ENDS_PIXELS = 0.6
"""A bar ends where no more of a line than this has its level; the sky over mountains does not end so."""
ENDS_WITHIN = 3
"""Lines."""
LEAST_BAR = 0.004
"""Of a side: thinner ones are the codec's."""
MANY = 0.1
"""Of the frames may have a thinner bar than the clip: a dissolve or a flash lies over it."""
EVERY_PX = 4

Levels = npt.NDArray[np.float64]


class Borders:
    """active_width, active_height: the picture without bars of a flat colour, display px; active_share: of the area, 0-1;
    active_aspect: its display width / height. A bar is there in nearly all frames, and ends in a straight edge in one at
    least, so that dark scenes have none. None where every frame looked at is flat all over, or in both its halves."""

    columns: ClassVar[tuple[str, ...]] = ("active_width", "active_height", "active_share", "active_aspect")
    sees: ClassVar[Sight] = "stare"

    def __init__(self) -> None:
        self.series = {"bars": Series()}

    def see(self, view: View) -> None:
        self.series["bars"].add(view.index, bar_ends(view.grey, view.luma))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        bars = clip.values("bars")[1]
        if not len(bars) or (bars[:, :, 0] == 1).all():
            return dict.fromkeys(Borders.columns)
        top, right, bottom, left = (agreed(bars[:, side]) for side in range(4))
        across, down = 1 - left - right, 1 - top - bottom
        if min(across, down) <= 0:  # two flat halves: bars from both sides leave nothing
            return dict.fromkeys(Borders.columns)
        coded = clip.shape["coded_width"] * float(Fraction(clip.shape["sar"])), clip.shape["coded_height"]
        width, height = coded[0] * across, coded[1] * down
        if clip.shape["rotation"] in (90, 270):
            width, height = height, width
        return {
            "active_width": width,
            "active_height": height,
            "active_share": across * down,
            "active_aspect": width / height,
        }


def bar_ends(grey: Picture, full: Callable[[], Picture]) -> Levels:
    """Of the top, right, bottom and left of a reduced picture and of the same in full size: how thick a bar is there, of the
    side, and whether it ends in a straight edge, (4, 2)."""
    thick = [_bar(np.rot90(grey, turns)) for turns in range(4)]
    if not any(share > 0 for share in thick):
        return np.zeros((4, 2))
    picture = full()
    return np.array([_edge(np.rot90(picture, turns), share) for turns, share in enumerate(thick)], np.float64)


def _bar(picture: Picture) -> float:
    """How thick the bar at the top may be, of the height; 1 if all is flat."""
    level = float(np.median(picture[0]))
    if _is_at(picture[:1], level).mean() < FLAT_PIXELS:
        return 0.0
    flat = _is_at(picture, level).mean(axis=1) >= FLAT_PIXELS
    return 1.0 if flat.all() else float(flat.argmin()) / len(flat)


def _edge(picture: Picture, share: float) -> tuple[float, bool]:
    """Where the bar ends in full size, of the height, and whether in a straight edge, given about where."""
    height = len(picture)
    if share in (0, 1):
        return share, False
    first = max(int(share * height) - 2 * height // 100 - 4, 0)
    near = picture[first : first + 4 * height // 100 + 16, ::EVERY_PX]
    at_level = _is_at(near, float(np.median(near[0]))).mean(axis=1)
    flat = at_level >= FLAT_PIXELS
    if not flat[0] or flat.all():
        return share, False
    end = int(flat.argmin())
    return (first + end) / height, bool(at_level[end : end + ENDS_WITHIN].min() <= ENDS_PIXELS)


def _is_at(picture: Picture, level: float) -> npt.NDArray[np.bool_]:
    low, high = max(int(level) - FLAT_LEVELS, 0), min(int(level) + FLAT_LEVELS, 255)
    return np.asarray((picture >= low) & (picture <= high))


def agreed(side: Levels) -> float:
    """A side's bar, of its frames' (n, 2): thickness and whether it ends in a straight edge; 0 if there is none."""
    thick = float(np.sort(side[:, 0])[int(MANY * len(side))])
    is_seen = ((np.abs(side[:, 0] - thick) <= LEAST_BAR) & (side[:, 1] > 0)).any()
    return thick if thick >= LEAST_BAR and is_seen else 0.0
