"""A measure of ours that fails on a picture costs its own numbers of that clip, with the reason: never the video."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2

from hdvg.measures.measure import Clip, Measure, Series, View

SERIES = "faults"
"""The series of what failed: `Class: error`, by frame."""

FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, cv2.error)
"""What a measure's own arithmetic raises; what the machine raises is none of it."""

TEXT_MOST = 200
Values = dict[str, Any]


class Faults:
    """Lets measures see frames, and notes which failed where; a user's own measure raises."""

    def __init__(self) -> None:
        self.series = Series()

    def see(self, measure: Measure, view: View) -> None:
        """Show the measure a frame."""
        try:
            measure.see(view)
        except FAULTS as error:
            if not _is_ours(type(measure)):
                raise
            self.series.add(view.index, _text(type(measure), error))


def values_of(measure: Measure | type[Measure], clip: Clip) -> tuple[Values, str | None]:
    """The measure's columns of the clip, and why they are null if it failed; `clip.series` holds `Faults.series` too."""
    made: Any = measure if isinstance(measure, type) else type(measure)
    failed = [text for text in clip.values(SERIES)[1].tolist() if text.startswith(f"{made.__name__}: ")]
    if failed:
        return dict.fromkeys(measure.columns), failed[0]
    try:
        return measure.of_clip(clip), None
    except FAULTS as error:
        if not _is_ours(made):
            raise
        return dict.fromkeys(measure.columns), _text(made, error)


def values_of_all(measures: Iterable[type[Measure]], clip: Clip) -> dict[str, float | str | None]:
    """The columns of all of them, and `measure_faults`."""
    found: dict[str, float | str | None] = {}
    reasons = []
    for measure in measures:
        values, reason = values_of(measure, clip)
        found |= values
        reasons += [reason] if reason else []
    return found | {"measure_faults": "; ".join(reasons) or None}


def _is_ours(made: type) -> bool:
    return made.__module__.startswith("hdvg.measures.")


def _text(made: type, error: Exception) -> str:
    return f"{made.__name__}: {type(error).__name__}: {' '.join(str(error).split())}"[:TEXT_MOST]
