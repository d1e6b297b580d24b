"""Luminance: how bright, how flat, and how much of a clip is black."""

from __future__ import annotations

import cv2
import numpy as np

from hdvg.measures.series import Series, View

BLACK_LEVEL = 32
BLACK_PIXELS = 0.98


class Luma:
    """luma_mean and luma_std in levels (0-255); black_share: frames with >= 98 % of pixels below level 32 (FFmpeg's blackframe)."""

    columns = ("luma_mean", "luma_std", "black_share")

    def __init__(self) -> None:
        self._mean, self._std, self._black = Series(), Series(), Series()

    def see(self, view: View) -> None:
        mean, std = cv2.meanStdDev(view.grey)
        self._mean.add(view.index, float(mean[0, 0]))
        self._std.add(view.index, float(std[0, 0]))
        dark = (
            mean[0, 0] < BLACK_LEVEL * 2 and np.count_nonzero(view.grey < BLACK_LEVEL) >= BLACK_PIXELS * view.grey.size
        )
        self._black.add(view.index, float(dark))

    def answer(self, start: int, end: int) -> dict[str, float | None]:
        series = (self._mean, self._std, self._black)
        return {name: one.mean(start, end) for name, one in zip(self.columns, series, strict=True)}

    def forget(self, before: int) -> None:
        for one in (self._mean, self._std, self._black):
            one.forget(before)
