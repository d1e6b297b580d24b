"""The measures of a clip: frames in, numbers out; each sees every frame once, a clip's number is its frames' mean."""

from __future__ import annotations

from hdvg.measures.luma import Luma
from hdvg.measures.motion import Motion
from hdvg.measures.phash import phash
from hdvg.measures.series import Measure
from hdvg.measures.sharpness import Sharpness

MEASURES: dict[str, type[Measure]] = {"luma": Luma, "motion": Motion, "sharpness": Sharpness}
"""Measures that watch the whole pass, by name."""

__all__ = ["MEASURES", "phash"]
