"""Scores: how much a frame differs from the one before, as PySceneDetect's detectors measure it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scenedetect.detectors import HashDetector, HistogramDetector

Picture = npt.NDArray[np.uint8]


class Content:
    """ContentDetector's score: mean over hue, saturation and value of the mean absolute difference, 0-255.

    The same number as PySceneDetect's `_calculate_frame_score` with default weights, from OpenCV's norms.
    """

    def __init__(self) -> None:
        self._before: Any = None

    def __call__(self, bgr: Picture) -> float:
        hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
        before, self._before = self._before, hsv
        if before is None or before.shape != hsv.shape:
            return 0.0
        return cv2.norm(before, hsv, cv2.NORM_L1) / hsv.size


class Histogram:
    """HistogramDetector's: correlation of the luma histograms, 1 for equal ones."""

    def __init__(self) -> None:
        self._before: Any = None

    def __call__(self, bgr: Picture) -> float:
        histogram = HistogramDetector.calculate_histogram(bgr, bins=128)
        before, self._before = self._before, histogram
        return 1.0 if before is None else float(cv2.compareHist(before, histogram, cv2.HISTCMP_CORREL))


class Hash:
    """HashDetector's: share of the 64 bits of the perceptual hashes that differ, 0-1."""

    def __init__(self) -> None:
        self._before: Any = None

    def __call__(self, bgr: Picture) -> float:
        bits = HashDetector.hash_frame(bgr, 8, 2)
        before, self._before = self._before, bits
        return 0.0 if before is None else np.count_nonzero(before != bits) / 64.0


SCORES: dict[str, Callable[[], Callable[[Picture], float]]] = {"content": Content, "histogram": Histogram, "hash": Hash}
"""Every pass has `content`; the others where a detector asks for them."""
