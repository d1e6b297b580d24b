"""Motion: dense optical flow between neighbouring frames, and what of it is the camera's, its shake, and the rest."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View
from hdvg.measures.stillness import STILL_LEVELS

WIDTH_PX = 128
"""Of the pictures that flow is taken of."""
STATED_WIDTH_PX = 256
LEAST_PX = 16
"""Shorter side of a picture that optical flow can be taken of."""
GRID = (12, 7)
ROUNDS = 4
WIDE = 4.685
"""Tukey's: residuals over so many standard deviations have no say in what the camera does."""
LEAST_DEVIATION_PX = 0.05

Numbers = npt.NDArray[np.float64]


class Motion:
    """Flow (DIS, Kroeger et al. 2016) of the pairs before and after about one frame a second; px/s at 256 px width.

    motion_px_s: its mean magnitude. camera_px_s: mean magnitude of the affine motion that most of the picture follows
    (iteratively reweighted least squares, Holland & Welsch 1977); local_px_s: of what that leaves; what fills most of
    the picture counts as the camera's. shake_px_s: mean change of the camera's motion in the middle from one pair to the
    next. None for a clip of one frame, or pictures less than 16 px high at 128 px width; the last also for two frames,
    and where every picture is shown twice.
    """

    columns: ClassVar[tuple[str, ...]] = ("motion_px_s", "camera_px_s", "local_px_s", "shake_px_s")
    sees: ClassVar[Sight] = "frame"
    uses: ClassVar[tuple[str, ...]] = ("stillness",)

    def __init__(self) -> None:
        self.series = {name: Series() for name in ("flow", "speed", "look")}
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(1)
        self._flow.setPatchStride(6)
        self._flow.setGradientDescentIterations(6)
        self._before: View | None = None

    def see(self, view: View) -> None:
        """A segment's first frame is known only to the segment before; so its pair is looked at, and counts if it may."""
        before, self._before = self._before, view
        if view.look:
            self.series["look"].add(view.index, 1.0)
        if before is None or not (view.look or before.look):
            return
        pair = small(before.grey), small(view.grey)
        if min(pair[1].shape) < LEAST_PX:
            return
        flow = np.asarray(self._flow.calc(*pair, None), dtype=np.float32)  # type: ignore[call-overload]  # None: no first guess
        scale = STATED_WIDTH_PX / pair[1].shape[1]
        some = flow[1::4, 1::4].astype(np.float64)
        self.series["speed"].add(view.index, scale * float(np.hypot(some[..., 0], some[..., 1]).mean()))
        coarse = cv2.resize(flow, GRID, interpolation=cv2.INTER_AREA)
        self.series["flow"].add(view.index, (coarse * scale).astype(np.float16))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        indices, speed = clip.values("speed", skip=1)
        looks = clip.values("look")[0]
        counts = np.isin(indices, looks) | np.isin(indices - 1, looks)
        indices, speed = indices[counts], speed[counts]
        if not len(indices):
            return dict.fromkeys(Motion.columns)
        at = indices - clip.start
        per_s = 1 / np.maximum(clip.seconds[at] - clip.seconds[at - 1], 1e-6)
        flow = clip.values("flow", skip=1)[1][counts].astype(np.float64).reshape(len(indices), -1, 2)
        camera, middle = camera_motion(flow)
        return {
            "motion_px_s": float(np.mean(speed * per_s)),
            "camera_px_s": float(np.mean(np.hypot(*camera.T).T.mean(axis=1) * per_s)),
            "local_px_s": float(np.mean(np.hypot(*(flow - camera).T).T.mean(axis=1) * per_s)),
            "shake_px_s": _shake(clip, indices, looks, middle * per_s[:, None]),
        }


def small(grey: Picture) -> Picture:
    """The picture that flow is taken of."""
    height, width = grey.shape
    small = min(WIDTH_PX, width)
    size = small, max(round(height * small / width), 1)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def camera_motion(flow: Numbers) -> tuple[Numbers, Numbers]:
    """The affine motion that most of each flow field (n, places of the grid, 2) follows, (n, places, 2), and that in the
    middle of the picture, (n, 2)."""
    across, down = np.meshgrid(np.linspace(-1, 1, GRID[0]), np.linspace(-1, 1, GRID[1]))
    places = np.stack([np.ones(across.size), across.ravel(), down.ravel()], axis=1)
    camera = np.broadcast_to(np.median(flow, axis=1)[:, None], flow.shape)
    terms = np.zeros((len(flow), 3, 2))
    for _ in range(ROUNDS):
        distance = np.hypot(*(flow - camera).T).T
        deviation = np.maximum(1.4826 * np.median(distance, axis=1), LEAST_DEVIATION_PX)
        weights = np.square(np.maximum(1 - np.square(distance / (WIDE * deviation[:, None])), 0))
        weighted = weights[:, :, None] * places
        squares = np.einsum("npi,pj->nij", weighted, places) + 1e-6 * np.eye(3)
        terms = np.linalg.solve(squares, np.einsum("npi,npc->nic", weighted, flow))
        camera = np.einsum("pi,nic->npc", places, terms)
    return camera, terms[:, 0]


def _shake(clip: Clip, indices: npt.NDArray[np.int64], looks: npt.NDArray[np.int64], middle: Numbers) -> float | None:
    """Mean change of the motion (n, 2) between the pairs before and after a frame that is looked at."""
    ones, change = clip.values("change", skip=1)
    moves = np.isin(indices, ones[change >= STILL_LEVELS])
    first = np.flatnonzero((np.diff(indices) == 1) & np.isin(indices[:-1], looks))
    if len(first) and not moves.any():
        return 0.0
    first = first[moves[first] & moves[first + 1]]
    return float(np.hypot(*(middle[first + 1] - middle[first]).T).mean()) if len(first) else None
