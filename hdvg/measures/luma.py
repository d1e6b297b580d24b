"""Luminance: how bright, how flat, how much of a clip is black, and how it flickers."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

BLACK_LEVEL = 32
BLACK_PIXELS = 0.98
BRIGHTEST_BLACK = BLACK_PIXELS * (BLACK_LEVEL - 1) + (1 - BLACK_PIXELS) * 255
"""No black frame's mean is above this; most frames need no closer look."""
WINDOW_S = 0.4
"""Slower changes of brightness than this are no flicker."""


class Luma:
    """luma_mean and luma_std in levels (0-255); black_share: frames with >= 98 % of pixels below level 32 (FFmpeg's
    blackframe); flicker_levels: mean distance of a frame's brightness from its moving average over 0.4 s (0-127.5: half
    of what the brightness jumps by from frame to frame), None for less than three frames."""

    columns: ClassVar[tuple[str, ...]] = ("luma_mean", "luma_std", "black_share", "flicker_levels")
    sees: ClassVar[Sight] = "frame"

    def __init__(self) -> None:
        self.series = {name: Series() for name in ("luma_mean", "luma_std", "black_share")}

    def see(self, view: View) -> None:
        mean, std = (float(one[0, 0]) for one in cv2.meanStdDev(view.grey))
        dark = mean <= BRIGHTEST_BLACK and _share_below(view.grey) >= BLACK_PIXELS
        self.series["luma_mean"].add(view.index, mean)
        self.series["luma_std"].add(view.index, std)
        self.series["black_share"].add(view.index, float(dark))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        means = {name: clip.mean(name) for name in ("luma_mean", "luma_std", "black_share")}
        return means | {"flicker_levels": _flicker(clip.values("luma_mean")[1], clip.seconds)}


def _share_below(grey: Picture) -> float:
    return 1 - cv2.countNonZero(cv2.threshold(grey, BLACK_LEVEL - 1, 1, cv2.THRESH_BINARY)[1]) / grey.size


def _flicker(levels: npt.NDArray[np.float64], seconds: npt.NDArray[np.float64]) -> float | None:
    """Mean distance from the moving average, over the frames that have a whole window around them."""
    if len(levels) < 3:
        return None
    frames = round(WINDOW_S * len(levels) / (seconds[-1] - seconds[0]))
    half = max(min(frames, len(levels) - 1) // 2, 1)
    sums = np.cumsum(np.concatenate(([0.0], levels)))
    average = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    return float(np.abs(levels[half:-half] - average).mean())
