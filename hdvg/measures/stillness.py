"""Stillness: how much a picture differs from the one before: stills, freezes, slideshows, and jumps where a cut was missed."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

STILL_LEVELS = 0.5
SLIDE_S = 0.5
"""A slide stands at least so long; the change to the next takes at most a second."""
ALONE_S = 10.0
"""A clip of one frame that stays so long is a pause of the picture."""
CHANGE_S = 1.0
CHANGE_LEVELS = 8.0
JUMP_S = 0.2
"""A jump is judged against the changes this far around it: pictures shown two or three times over are no jumps."""

Levels = npt.NDArray[np.float64]


class Stillness:
    """Of the mean absolute difference to the frame before, levels (0-255) at the analysis width. static_share: frames
    under 0.5; freeze_share: those in the longest run of such frames; slideshow_share: those in runs of 0.5 s or more
    that stand next to another such run, with a change of 8 levels or more, in 1 s at most, between; all 0-1.
    jump_levels: the largest difference over the largest other one within 0.2 s, 0-255. None for a clip of one frame,
    but of one that stays for 10 s or more: all of that is still."""

    columns: ClassVar[tuple[str, ...]] = ("static_share", "freeze_share", "slideshow_share", "jump_levels")
    sees: ClassVar[Sight] = "frame"

    def __init__(self) -> None:
        self.series = {"change": Series()}
        self._before: Picture | None = None

    def see(self, view: View) -> None:
        before, self._before = self._before, view.grey
        if before is not None:
            self.series["change"].add(view.index, cv2.norm(before, view.grey, cv2.NORM_L1) / view.grey.size)

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        change: Levels = clip.values("change", skip=1)[1]
        if not len(change):
            stays = float(clip.seconds[-1] - clip.seconds[0]) >= ALONE_S
            return dict.fromkeys(Stillness.columns) | ({"static_share": 1.0, "freeze_share": 1.0} if stays else {})
        step_s = float(clip.seconds[-1] - clip.seconds[0]) / (clip.end - clip.start)
        runs = still_runs(change)
        return {
            "static_share": float(np.mean(change < STILL_LEVELS)),
            "freeze_share": max((end - start for start, end in runs), default=0) / len(change),
            "slideshow_share": _slides(change, runs, step_s) / len(change),
            "jump_levels": _jump(change, max(round(JUMP_S / step_s), 1)),
        }


def still_runs(change: Levels) -> list[tuple[int, int]]:
    """Where start <= index < end every change is under half a level."""
    edges = np.diff(np.concatenate(([0], change < STILL_LEVELS, [0])).astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _slides(change: Levels, runs: list[tuple[int, int]], step_s: float) -> int:
    """Frames of the runs that are slides."""
    stands = [(start, end) for start, end in runs if (end - start) * step_s >= SLIDE_S]
    slides = set()
    for (start, end), (next_start, next_end) in pairwise(stands):
        between = change[end:next_start]
        if len(between) * step_s <= CHANGE_S and between.sum() >= CHANGE_LEVELS:
            slides |= {(start, end), (next_start, next_end)}
    return sum(end - start for start, end in slides)


def _jump(change: Levels, reach: int) -> float:
    """The largest value by which a change exceeds all others within `reach` frames; 0 if it is the only one."""
    if len(change) == 1:
        return 0.0
    padded = np.pad(change, reach)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    others = np.maximum(around[:, :reach].max(axis=1), around[:, reach + 1 :].max(axis=1))
    return float((change - others).max())
