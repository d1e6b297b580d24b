"""Exposure: how much of the picture is too dark or too bright to show anything, about twice a second."""

from __future__ import annotations

from typing import ClassVar

import cv2

from hdvg.measures.measure import Clip, Picture, Series, Sight, View

DARK_LEVEL = 10
BRIGHT_LEVEL = 245


class Exposure:
    """under_share and over_share: pixels at level 10 or below, and at level 245 or above, 0-1, at the analysis width;
    black bars count."""

    columns: ClassVar[tuple[str, ...]] = ("under_share", "over_share")
    sees: ClassVar[Sight] = "glance"

    def __init__(self) -> None:
        self.series = {name: Series() for name in self.columns}

    def see(self, view: View) -> None:
        self.series["under_share"].add(view.index, 1 - _share_above(view.grey, DARK_LEVEL))
        self.series["over_share"].add(view.index, _share_above(view.grey, BRIGHT_LEVEL - 1))

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        return {name: clip.mean(name) for name in Exposure.columns}


def _share_above(grey: Picture, level: int) -> float:
    return cv2.countNonZero(cv2.threshold(grey, level, 1, cv2.THRESH_BINARY)[1]) / grey.size
