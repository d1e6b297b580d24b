"""What a measure sees of a frame, and the numbers it remembers by frame index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

Values = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Frame indices, increasing, and the value at each."""


@dataclass(frozen=True)
class View:
    """A frame as measures see it: `grey` is its luminance (H, W), 0-255, at the analysis width; `at_width` makes another size.

    `fresh` tells that a new shot may begin here, so that measures that look only now and then look here.
    """

    index: int
    seconds: float
    grey: npt.NDArray[np.uint8]
    at_width: Callable[[int], npt.NDArray[np.uint8]]
    fresh: bool = False


class Measure(Protocol):
    """Sees every frame once and remembers numbers; a clip's measure is the mean of its frames' numbers.

    `columns` gives for each column how many of a clip's first frames do not count: 1 where a number compares a frame
    with the one before it, which belongs to the clip before.
    """

    columns: ClassVar[dict[str, int]]
    series: dict[str, Series]

    def see(self, view: View) -> None: ...


class Series:
    """Values by frame index, in order."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._values: list[float] = []

    def add(self, index: int, value: float) -> None:
        """Remember a value of a frame."""
        self._indices.append(index)
        self._values.append(float(value))

    def extend(self, values: Values, first: int) -> None:
        """Remember values whose indices count from the frame `first`."""
        self._indices.extend((values[0] + first).tolist())
        self._values.extend(values[1].tolist())

    def take(self) -> Values:
        """All values, which are then forgotten here."""
        taken = np.array(self._indices, np.int64), np.array(self._values, np.float64)
        self._indices, self._values = [], []
        return taken

    def mean(self, start: int, end: int) -> float | None:
        """Mean over frames start <= index < end; None if there is none."""
        low, high = np.searchsorted(self._indices, (start, end))
        return float(np.mean(self._values[low:high])) if high > low else None

    def forget(self, before: int) -> None:
        """Drop what lies before an index."""
        low = int(np.searchsorted(self._indices, before))
        del self._indices[:low], self._values[:low]
