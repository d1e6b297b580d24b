"""Blockiness: how much larger steps are at the edges of 8 px blocks than inside, about every two seconds, in full size."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

BLOCK_PX = 8
LINES = 16
FLOOR_LEVELS = 0.25
"""Added to both, so that a step of rounding in a plain picture is no block."""


class Blockiness:
    """blockiness: mean step across the edges of 8 px blocks over the mean step inside them (after Wang, Sheikh & Bovik
    2002), along 16 rows and 16 columns; 1 is none; from about 1.3 it shows. Blocks of a source that was scaled since lie
    elsewhere and are not seen. None for pictures under 32 px."""

    columns: ClassVar[tuple[str, ...]] = ("blockiness",)
    sees: ClassVar[Sight] = "stare"

    def __init__(self) -> None:
        self.series = {"blockiness": Series()}

    def see(self, view: View) -> None:
        found = blockiness(view.luma())
        if found is not None:
            self.series["blockiness"].add(view.index, found)

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        return {"blockiness": clip.mean("blockiness")}


def blockiness(luma: Picture) -> float | None:
    """Of a picture (H, W) in full size."""
    if min(luma.shape) < 4 * BLOCK_PX:
        return None
    edge, inside = (sum(pair) for pair in zip(_steps(luma), _steps(luma.T), strict=True))
    return float((edge + FLOOR_LEVELS) / (inside + FLOOR_LEVELS))


def _steps(luma: Picture) -> tuple[float, float]:
    """Half the mean step along rows, at the edges of blocks and inside."""
    rows = np.ascontiguousarray(luma[np.linspace(0, len(luma) - 1, LINES + 2).astype(int)[1:-1]])
    steps = cv2.absdiff(rows[:, 1:], rows[:, :-1]).sum(axis=0, dtype=np.int64)
    at_edge = np.arange(1, len(steps) + 1) % BLOCK_PX == 0
    return float(steps[at_edge].mean()) / LINES / 2, float(steps[~at_edge].mean()) / LINES / 2
