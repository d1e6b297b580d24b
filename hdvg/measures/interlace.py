"""Interlace: frames in which two moments are woven together line by line, about every two seconds, in full size."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

EVERY_PX = 8
"""One column in so many is looked at."""
BLOCK = (16, 4)
"""Lines, and columns that are looked at."""
LEAST_LEVELS = 4.0
RATIO = 1.5
COMBED_BLOCKS = 0.01


class Interlace:
    """interlace_share: frames with combs, 0-1: in at least 1 % of blocks of 16 lines and 32 px, neighbouring lines differ
    1.5 times as much as lines of the same field, and by 4 levels or more. Seen only where something moves, and not once a
    woven picture was scaled. None for pictures under 32 lines."""

    columns: ClassVar[tuple[str, ...]] = ("interlace_share",)
    sees: ClassVar[Sight] = "stare"

    def __init__(self) -> None:
        self.series = {"interlace_share": Series()}

    def see(self, view: View) -> None:
        share = combed_share(view.luma())
        if share is not None:
            self.series["interlace_share"].add(view.index, float(share >= COMBED_BLOCKS))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        return {"interlace_share": clip.mean("interlace_share")}


def combed_share(luma: Picture) -> float | None:
    """Of a picture (H, W) in full size: the share of its blocks that show combs."""
    lines, columns = (luma.shape[0] - 2) // BLOCK[0], luma.shape[1] // EVERY_PX // BLOCK[1]
    if luma.shape[0] < 32 or not columns:
        return None
    rows = np.ascontiguousarray(luma[: lines * BLOCK[0] + 2, : columns * BLOCK[1] * EVERY_PX : EVERY_PX])
    near, far = (_block_means(cv2.absdiff(rows[step : len(rows) - 2 + step], rows[:-2])) for step in (1, 2))
    return float(np.mean((near >= LEAST_LEVELS) & (near > RATIO * far)))


def _block_means(steps: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Means of blocks, exact: the resizing of whole blocks is."""
    size = steps.shape[1] // BLOCK[1], steps.shape[0] // BLOCK[0]
    return np.asarray(cv2.resize(steps.astype(np.float32), size, interpolation=cv2.INTER_AREA), dtype=np.float32)
