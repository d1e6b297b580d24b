"""Where text stands in a picture: PP-OCR's detector, and what separates its true boxes from its false ones.

Paper: Liao et al., Real-time Scene Text Detection with Differentiable Binarization (arXiv:1911.08947): the network maps
a picture to the probability that a pixel lies in the kernel of a text line (the line shrunk from all sides); a kernel's
smallest rectangle is grown again to the line's.
Weights: PP-OCRv6 small, inside the PyPI package rapidocr (Apache-2.0), which is not imported.

Out of the box the network takes many pictures without any text for one huge line (a pink sky: 99 % of the picture at a
score of 0.7). Kernels of real text have a sharp edge, one to two pixels from sure to not at all, whatever their size;
those dreams fade out over five to twenty. So a kernel counts only if it is sharp and sure enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.networks.files import shipped
from hdvg.networks.onnx import Network

Picture = npt.NDArray[np.uint8]  # (height, width, 3), BGR
Boxes = npt.NDArray[np.float32]  # (boxes, 4 corners, xy), px of the picture

STRIDE = 32  # sides the network can take are multiples of it, px
KERNEL, SURE = 0.3, 0.9  # probability from which a pixel belongs to a kernel (as published), and is well inside one
THINNEST_PX = 3  # kernels thinner than this are dust (as published)
GROWTH = 0.8
"""A kernel grows by this x area / perimeter on all sides: then boxes cover as much as the ink (1.6, as rapidocr has it:
half as much again)."""


def weights() -> Path:
    """The detector's file. Raises UsageError if its package is not whole."""
    return shipped("rapidocr", "models/PP-OCRv6_det_small.onnx", spoken="rapidocr")


@dataclass(frozen=True)
class Detector:
    """Finds lines of text.

    `side_px`: long side at which the network sees a picture; `min_score`: least mean probability of a kernel, 0-1;
    `max_softness_px`: widest edge of a kernel, in pixels of the network's map.
    """

    side_px: int
    min_score: float
    max_softness_px: float

    @cached_property
    def network(self) -> Network:
        """Loaded at the first use."""
        return Network(weights())

    def find(self, pictures: list[Picture]) -> list[Boxes]:
        """The boxes of each picture; all pictures have one size."""
        if not pictures:
            return []
        height, width = pictures[0].shape[:2]
        maps_B1HW = self.network(np.stack([network_input(picture, side_px=self.side_px) for picture in pictures]))
        return [self.boxes(map_1HW[0], size=(width, height)) for map_1HW in maps_B1HW]

    def boxes(self, map_HW: npt.NDArray[np.float32], *, size: tuple[int, int]) -> Boxes:
        """The boxes that a map of probabilities holds, for a picture of `size` (width, height), from bottom to top."""
        outlines = cv2.findContours((map_HW > KERNEL).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        kernels = [outline.astype(np.int32, copy=False) for outline in outlines]
        found = [grown(kernel) for kernel in kernels if self._is_text(map_HW, kernel)]
        scale = np.array(size, dtype=np.float32) / map_HW.shape[::-1]
        corners = [np.clip(cv2.boxPoints(box) * scale, 0, size) for box in found]
        return np.array(corners, dtype=np.float32).reshape(-1, 4, 2)

    def _is_text(self, map_HW: npt.NDArray[np.float32], kernel: npt.NDArray[np.int32]) -> bool:
        """Whether a kernel (its outline) is thick, sure and sharp enough."""
        if min(cv2.minAreaRect(kernel)[1]) < THINNEST_PX:
            return False
        left, top, width, height = cv2.boundingRect(kernel)
        inside = cv2.drawContours(np.zeros((height, width), np.uint8), [kernel - (left, top)], -1, 1, -1) > 0
        chances = map_HW[top : top + height, left : left + width][inside]
        softness_px = np.count_nonzero(chances < SURE) / cv2.arcLength(kernel, closed=True)
        return bool(chances.mean() >= self.min_score and softness_px <= self.max_softness_px)


def network_input(picture: Picture, *, side_px: int) -> npt.NDArray[np.float32]:
    """(3, H, W) in -1..1: the picture at a long side of at most `side_px`, both sides rounded to 32 px."""
    scale = min(1.0, side_px / max(picture.shape[:2]))
    high, wide = (max(round(side * scale / STRIDE), 1) * STRIDE for side in picture.shape[:2])
    shrinks = high * wide < picture.shape[0] * picture.shape[1]
    small = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray((small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1))


def grown(kernel: npt.NDArray[np.int32]) -> tuple[tuple[float, float], tuple[float, float], float]:
    """A text line's rectangle (centre, sides, angle) from the outline of its kernel; the paper's equation 10."""
    centre, (one, other), angle = cv2.minAreaRect(kernel)
    more = GROWTH * one * other / (one + other)  # 2 x GROWTH x area / perimeter
    return (centre[0], centre[1]), (one + more, other + more), angle


def covered_share(boxes: Boxes, *, size: tuple[int, int]) -> float:
    """Share of a picture of `size` (width, height) that boxes cover together, 0-1."""
    mask = np.zeros(size[::-1], np.uint8)
    for box in boxes:
        cv2.fillPoly(mask, [np.round(box).astype(np.int32)], 1)
    return cv2.countNonZero(mask) / mask.size
