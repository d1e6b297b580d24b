"""Colourfulness: how far colours spread and lie from grey, about once a second."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from hdvg.measures.measure import Clip, Series, Sight, View


class Colour:
    """colourfulness: Hasler & Süsstrunk 2003; 0 is grey, 15 slightly, 33 moderately, 59 quite, 109 extremely colourful."""

    columns: ClassVar[tuple[str, ...]] = ("colourfulness",)
    sees: ClassVar[Sight] = "look"

    def __init__(self) -> None:
        self.series = {"colourfulness": Series()}

    def see(self, view: View) -> None:
        blue, green, red = np.moveaxis(view.bgr[::3, ::3].astype(np.int32), 2, 0)
        opposed = red - green, red + green - 2 * blue
        (rg, rg_std), (yb, yb_std) = (
            (float(one.mean(dtype=np.float64)), float(one.std(dtype=np.float64))) for one in opposed
        )
        spread, offset = math.hypot(rg_std, yb_std / 2), math.hypot(rg, yb / 2)
        self.series["colourfulness"].add(view.index, spread + 0.3 * offset)

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        return {"colourfulness": clip.mean("colourfulness")}
