"""Noise: how much the levels of plain places scatter, about every two seconds, in full size."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

BANDS = 4
BLOCK_PX = 16
PLAIN = 0.25
"""The quantile of the blocks that is taken for a plain place: textures scatter too."""
CLIPPED = 0.03
"""Of the levels, at both ends: there noise is cut off."""
OPERATOR = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


class Noise:
    """noise_levels: standard deviation of noise (Immerkær 1996) in the plainest quarter of 16 px blocks of four bands of
    rows, levels (0-255); what compression smoothed has none. None where almost all is black or white."""

    columns: ClassVar[tuple[str, ...]] = ("noise_levels",)
    sees: ClassVar[Sight] = "stare"

    def __init__(self) -> None:
        self.series = {"noise_levels": Series()}

    def see(self, view: View) -> None:
        sigma = noise(view.luma(), view.luma_span)
        if sigma is not None:
            self.series["noise_levels"].add(view.index, sigma * 255 / view.luma_span)

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        return {"noise_levels": clip.mean("noise_levels")}


def noise(luma: Picture, span: float = 255.0) -> float | None:
    """Immerkær's sigma of a picture (H, W), in its levels; black lies in the middle of what `span` leaves of 255."""
    height, width = luma.shape
    bands, wide = min(BANDS, height // (BLOCK_PX + 2)), (width - 2) // BLOCK_PX * BLOCK_PX
    if not bands or not wide:
        return None
    starts = np.linspace(0, height - BLOCK_PX - 2, bands).astype(int)
    stacked = np.concatenate([luma[start : start + BLOCK_PX + 2, : wide + 2] for start in starts])
    found = np.abs(cv2.filter2D(stacked, cv2.CV_16S, OPERATOR))
    amount, level = _block_means(found, bands) * math.sqrt(math.pi / 2) / 6, _block_means(stacked, bands)
    black = (255 - span) / 2
    seen = (level > black + CLIPPED * span) & (level < black + (1 - CLIPPED) * span)
    return float(np.quantile(amount[seen], PLAIN)) if seen.mean() > 0.02 else None


def _block_means(stacked: npt.NDArray[Any], bands: int) -> npt.NDArray[np.float32]:
    """Mean of every block inside bands of 18 lines, one under the other; exact, for the resizing of whole blocks is."""
    inside = stacked.reshape(bands, BLOCK_PX + 2, -1)[:, 1:-1, 1:-1].astype(np.float32).reshape(bands * BLOCK_PX, -1)
    size = inside.shape[1] // BLOCK_PX, bands
    return np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
