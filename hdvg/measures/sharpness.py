"""Sharpness: the variance of the Laplacian, about every two seconds."""

from __future__ import annotations

from typing import ClassVar

import cv2

from hdvg.measures.measure import Clip, Series, Sight, View

WIDTH_PX = 640


class Sharpness:
    """sharpness: variance of the Laplacian of luminance at up to 640 px width (Pech-Pacheco et al. 2000); higher is sharper."""

    columns: ClassVar[tuple[str, ...]] = ("sharpness",)
    sees: ClassVar[Sight] = "stare"

    def __init__(self) -> None:
        self.series = {"sharpness": Series()}

    def see(self, view: View) -> None:
        edges = cv2.Laplacian(view.at_width(WIDTH_PX), cv2.CV_16S)
        squares, mean = cv2.norm(edges, cv2.NORM_L2SQR) / edges.size, cv2.sumElems(edges)[0] / edges.size
        self.series["sharpness"].add(view.index, squares - mean**2)

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        return {"sharpness": clip.mean("sharpness")}
