"""The measures of a clip that the one decode pass makes: frames in, numbers out."""

from __future__ import annotations

from hdvg.measures.blockiness import Blockiness
from hdvg.measures.borders import Borders
from hdvg.measures.colour import Colour
from hdvg.measures.detail import Detail
from hdvg.measures.exposure import Exposure
from hdvg.measures.interlace import Interlace
from hdvg.measures.luma import Luma
from hdvg.measures.measure import Measure
from hdvg.measures.motion import Motion
from hdvg.measures.noise import Noise
from hdvg.measures.phash import phash
from hdvg.measures.sharpness import Sharpness
from hdvg.measures.stillness import Stillness
from hdvg.measures.svd_flow import SvdFlow

MEASURES: dict[str, type[Measure]] = {
    "luma": Luma,
    "stillness": Stillness,
    "motion": Motion,
    "svd_flow": SvdFlow,
    "colour": Colour,
    "exposure": Exposure,
    "borders": Borders,
    "detail": Detail,
    "interlace": Interlace,
    "sharpness": Sharpness,
    "noise": Noise,
    "blockiness": Blockiness,
}
"""Measures that watch the whole pass, by name."""

__all__ = ["MEASURES", "phash"]
