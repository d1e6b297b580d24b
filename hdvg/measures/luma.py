"""Luminance: how bright, how flat, and how much of a clip is black."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.series import Series, View

BLACK_LEVEL = 32
BLACK_PIXELS = 0.98


class Luma:
    """luma_mean and luma_std in levels (0-255); black_share: frames with >= 98 % of pixels below level 32 (FFmpeg's blackframe)."""

    columns: ClassVar = {"luma_mean": 0, "luma_std": 0, "black_share": 0}

    def __init__(self) -> None:
        self.series = {name: Series() for name in self.columns}

    def see(self, view: View) -> None:
        mean, std = cv2.meanStdDev(view.grey)
        dark = mean[0, 0] < BLACK_LEVEL * 2 and _share_below(view.grey) >= BLACK_PIXELS
        self.series["luma_mean"].add(view.index, float(mean[0, 0]))
        self.series["luma_std"].add(view.index, float(std[0, 0]))
        self.series["black_share"].add(view.index, float(dark))


def _share_below(grey: npt.NDArray[np.uint8]) -> float:
    return 1 - cv2.countNonZero(cv2.threshold(grey, BLACK_LEVEL - 1, 1, cv2.THRESH_BINARY)[1]) / grey.size
