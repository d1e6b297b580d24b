"""Motion: optical flow between neighbouring frames, a few times a second, and how many frames stand still."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.series import Series, View

PAIRS_PER_S = 4.0
STATED_WIDTH_PX = 256
STILL_LEVELS = 0.5
LEAST_PX = 16
"""Shorter side of a picture that optical flow can be taken of."""


class Motion:
    """motion_px_s: mean magnitude of dense flow (DIS, Kroeger et al. 2016), px/s at 256 px width; static_share: frames
    whose mean absolute difference to the one before is under 0.5 levels, 0-1. Both None for a clip of one frame, the first
    also for pictures less than 16 px high at the analysis width."""

    columns: ClassVar = {"motion_px_s": 1, "static_share": 1}

    def __init__(self) -> None:
        self.series = {name: Series() for name in self.columns}
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._before: View | None = None
        self._next_s = -np.inf

    def see(self, view: View) -> None:
        before, self._before = self._before, view
        if before is None or before.grey.shape != view.grey.shape:
            return
        difference = cv2.norm(before.grey, view.grey, cv2.NORM_L1) / view.grey.size
        self.series["static_share"].add(view.index, float(difference < STILL_LEVELS))
        if min(view.grey.shape) >= LEAST_PX and (view.seconds >= self._next_s or before.fresh):
            self._next_s = view.seconds + 1 / PAIRS_PER_S
            self.series["motion_px_s"].add(view.index, self._speed(before, view))

    def _speed(self, before: View, view: View) -> float:
        flow: npt.NDArray[np.float32] = np.asarray(self._flow.calc(before.grey, view.grey, None), dtype=np.float32)  # type: ignore[call-overload]  # None: no first guess
        magnitude = np.sqrt(np.square(flow[..., 0]) + np.square(flow[..., 1]))
        mean_px = float(
            magnitude.mean(dtype=np.float64)
        )  # cv2.mean gives other last digits where memory lies otherwise
        return mean_px * STATED_WIDTH_PX / int(view.grey.shape[1]) / max(view.seconds - before.seconds, 1e-6)
