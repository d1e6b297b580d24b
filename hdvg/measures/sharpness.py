"""Sharpness: the variance of the Laplacian, about once a second and where a new shot may begin."""

from __future__ import annotations

import math
from typing import ClassVar

import cv2

from hdvg.measures.series import Series, View

WIDTH_PX = 640
EVERY_S = 1.0


class Sharpness:
    """sharpness: variance of the Laplacian of luminance at up to 640 px width (Pech-Pacheco et al. 2000); higher is sharper."""

    columns: ClassVar = {"sharpness": 0}

    def __init__(self) -> None:
        self.series = {"sharpness": Series()}
        self._next_s = -math.inf

    def see(self, view: View) -> None:
        if view.fresh or view.seconds >= self._next_s:
            self._next_s = view.seconds + EVERY_S
            deviation = cv2.meanStdDev(cv2.Laplacian(view.at_width(WIDTH_PX), cv2.CV_32F))[1]
            self.series["sharpness"].add(view.index, float(deviation[0, 0]) ** 2)
