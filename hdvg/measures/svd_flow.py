"""The motion score of Stable Video Diffusion: flow between very small pictures half a second apart."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from hdvg.measures.measure import Clip, Series, Sight, View

SHORT_SIDE_PX = 16
STEP_S = 0.5
LEAST_STEP_S = 0.1
"""Pictures closer than this are not compared: a shot may begin just before a frame that is looked at anyway."""


class SvdFlow:
    """svd_flow_px: mean magnitude of dense flow (Farnebäck 2003) at two frames a second, px per half second, pictures 16
    px on the shorter side (Blattmann et al. 2023, Stable Video Diffusion, appendix C). None where a clip holds no two
    frames to compare."""

    columns: ClassVar[tuple[str, ...]] = ("svd_flow_px",)
    sees: ClassVar[Sight] = "glance"

    def __init__(self) -> None:
        self.series = {"tiny": Series()}

    def see(self, view: View) -> None:
        height, width = view.grey.shape
        scale = SHORT_SIDE_PX / min(height, width)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        self.series["tiny"].add(view.index, cv2.resize(view.grey, size, interpolation=cv2.INTER_AREA))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        indices, pictures = clip.values("tiny")
        seconds = clip.seconds[indices - clip.start]
        found, last = [], 0
        for at in range(1, len(indices)):
            step_s = seconds[at] - seconds[last]
            if step_s >= LEAST_STEP_S:
                flow = cv2.calcOpticalFlowFarneback(pictures[last], pictures[at], None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]  # None: no first guess
                magnitude = np.sqrt(np.square(flow).sum(axis=2, dtype=np.float64))
                found.append(float(magnitude.mean()) * STEP_S / step_s)
                last = at
        return {"svd_flow_px": float(np.mean(found)) if found else None}
