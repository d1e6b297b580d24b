"""Motion: optical flow between neighbouring frames, a few times a second, and how many frames stand still."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.series import Series, View

PAIRS_PER_S = 4.0
STATED_WIDTH_PX = 256
STILL_LEVELS = 0.5


class Motion:
    """motion_px_s: mean magnitude of dense flow (DIS, Kroeger et al. 2016), px/s at 256 px width; static_share: frames
    whose mean absolute difference to the one before is under 0.5 levels, 0-1. Both None for a clip of one frame."""

    columns = ("motion_px_s", "static_share")

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._motion, self._still = Series(), Series()
        self._before: View | None = None
        self._next_s = -np.inf

    def see(self, view: View) -> None:
        before, self._before = self._before, view
        if before is None or before.grey.shape != view.grey.shape:
            return
        difference = cv2.mean(cv2.absdiff(before.grey, view.grey))[0]
        self._still.add(view.index, float(difference < STILL_LEVELS))
        if view.seconds >= self._next_s:
            self._next_s = view.seconds + 1 / PAIRS_PER_S
            self._motion.add(view.index, self._speed(before, view))

    def _speed(self, before: View, view: View) -> float:
        flow: npt.NDArray[np.float32] = np.asarray(self._flow.calc(before.grey, view.grey, None), dtype=np.float32)  # type: ignore[call-overload]  # None: no first guess
        mean_px = float(np.mean(np.hypot(flow[..., 0], flow[..., 1])))
        return mean_px * STATED_WIDTH_PX / int(view.grey.shape[1]) / max(view.seconds - before.seconds, 1e-6)

    def answer(self, start: int, end: int) -> dict[str, float | None]:
        inside = start + 1  # the first frame's neighbour belongs to the clip before
        return {"motion_px_s": self._motion.mean(inside, end), "static_share": self._still.mean(inside, end)}

    def forget(self, before: int) -> None:
        self._motion.forget(before)
        self._still.forget(before)
