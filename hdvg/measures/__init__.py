"""The measures of a clip: frames in, numbers out; each sees every frame once and answers for a span of them."""

from __future__ import annotations

from typing import Any

from hdvg.measures.luma import Luma
from hdvg.measures.motion import Motion
from hdvg.measures.phash import phash
from hdvg.measures.sharpness import Sharpness

MEASURES: dict[str, Any] = {"luma": Luma, "motion": Motion, "sharpness": Sharpness}
"""Measures that watch the whole pass: `columns`, `see(view)`, `answer(start, end)`, `forget(before)`."""

__all__ = ["MEASURES", "phash"]
