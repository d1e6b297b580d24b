"""Detail: at which height a picture's detail ends, about every two seconds: below its own, it was scaled up or is soft."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

LINES = 32
WINDOW_PX = 32
LEAST_STEP = 20 / 255
"""Of the levels: on weaker edges, compression hides what is beneath."""
EDGES_MOST = 32
EDGES_LEAST = 12
BEYOND = 0.1
"""Of an edge's energy, which may lie beyond where its detail is said to end."""


class Detail:
    """detail_height_px: up to the display height: the height of the smallest picture that would hold the detail of the
    strongest edges, from their 1-D spectra along 32 rows and 32 columns (after the slanted-edge method, ISO 12233).
    None where no frame has a dozen strong edges; strong compression (x264 beyond about crf 23) reads as detail."""

    columns: ClassVar[tuple[str, ...]] = ("detail_height_px",)
    sees: ClassVar[Sight] = "stare"

    def __init__(self) -> None:
        self.series = {"detail": Series()}

    def see(self, view: View) -> None:
        share = detail_share(view.luma(), view.luma_span)
        if share is not None:
            self.series["detail"].add(view.index, share)

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        shares = clip.values("detail")[1]
        return {"detail_height_px": float(np.median(shares)) * clip.shape["height"] if len(shares) else None}


def detail_share(luma: Picture, span: float = 255.0) -> float | None:
    """Of a picture (H, W) in full size: where its detail ends, of where its pixels could hold any, 0-1."""
    edges = np.concatenate([_strongest(one, LEAST_STEP * span) for one in (luma, luma.T)])
    if len(edges) < EDGES_LEAST:
        return None
    strongest = edges[np.argsort(np.abs(edges).max(axis=1), kind="stable")[-EDGES_MOST:]]
    energy = np.square(np.abs(np.fft.rfft(strongest * np.hanning(WINDOW_PX + 1)[:-1], axis=1)))
    ends = _crossings(np.cumsum(energy, axis=1) / energy.sum(axis=1, keepdims=True)) / (WINDOW_PX / 2)
    return min(float(np.median(ends)) / (1 - BEYOND), 1.0)


def _strongest(picture: Picture, least: float) -> npt.NDArray[np.int16]:
    """Steps from pixel to pixel along some rows, in windows (n, 32) with the largest steps, `least` at least, in their
    middle half."""
    rows = picture[np.linspace(0, len(picture) - 1, LINES + 2).astype(int)[1:-1]]
    half = WINDOW_PX // 2
    count = max((rows.shape[1] - 1) // half - 1, 0)
    if not count:
        return np.empty((0, WINDOW_PX), np.int16)
    middles = cv2.absdiff(rows[:, 1:], rows[:, :-1])[:, half // 2 : half // 2 + count * half]
    largest = np.asarray(middles).reshape(-1, half).max(axis=1, initial=0)
    order = np.argsort(largest, kind="stable")[-EDGES_MOST:]
    row, at = np.divmod(order[largest[order] >= least], count)
    levels = rows[row[:, None], at[:, None] * half + np.arange(WINDOW_PX + 1)].astype(np.int16)
    return np.asarray(np.diff(levels, axis=1), dtype=np.int16)


def _crossings(within: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where each row (n, frequencies), which grows to 1, comes to what is not beyond, between two frequencies."""
    after = np.maximum((within >= 1 - BEYOND).argmax(axis=1), 1)
    low, high = (np.take_along_axis(within, (after - step)[:, None], axis=1)[:, 0] for step in (1, 0))
    crossing: npt.NDArray[np.float64] = after - np.clip((high - (1 - BEYOND)) / np.maximum(high - low, 1e-12), 0, 1)
    return crossing
