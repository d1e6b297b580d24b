"""What a measure sees of a frame, and the numbers it remembers by frame index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class View:
    """A frame as measures see it: `grey` is its luminance (H, W), 0-255, at the analysis width; `at_width` makes another size."""

    index: int
    seconds: float
    grey: npt.NDArray[np.uint8]
    at_width: Callable[[int], npt.NDArray[np.uint8]]


class Series:
    """Values by frame index, in order; memory is bounded by forgetting what lies before the current clip."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._values: list[float] = []

    def add(self, index: int, value: float) -> None:
        """Remember a value of a frame."""
        self._indices.append(index)
        self._values.append(float(value))

    def mean(self, start: int, end: int) -> float | None:
        """Mean over frames start <= index < end; None if there is none."""
        low, high = np.searchsorted(self._indices, (start, end))
        return float(np.mean(self._values[low:high])) if high > low else None

    def forget(self, before: int) -> None:
        """Drop what lies before an index."""
        low = int(np.searchsorted(self._indices, before))
        del self._indices[:low], self._values[:low]
