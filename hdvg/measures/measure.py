"""What a measure sees of a frame, the numbers it remembers by frame index, and what it is asked of a clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from hdvg.measures.track import Track

Picture = npt.NDArray[np.uint8]
Values = tuple[npt.NDArray[np.int64], npt.NDArray[Any]]
"""Frame indices (n,), increasing, and the value at each, (n, ...); a series without values has (0,) of both."""

Sight = Literal["frame", "hash", "glance", "look", "stare", "sound"]


@dataclass(frozen=True)
class View:
    """A frame as measures see it: `grey` is its luminance (H, W), 0-255, and `bgr` its colours, at the analysis width.

    `at_width` gives the luminance in another size, `luma` in full size, as coded (a plane of the frame: not to be kept
    or written to), whose levels from black to white are `luma_span`.
    """

    index: int
    seconds: float
    grey: Picture
    bgr: Picture
    at_width: Callable[[int], Picture]
    luma: Callable[[], Picture]
    luma_span: float = 255.0
    look: bool = True
    """Whether it is one of the frames that some measures see only."""


@dataclass(frozen=True)
class Clip:
    """What was remembered of the frames start <= index < end."""

    start: int
    end: int
    seconds: npt.NDArray[np.float64]
    """(end - start + 1,): when each frame begins, and when the last one ends."""
    shape: Mapping[str, Any]
    """media.geometry.geometry's."""
    series: Mapping[str, Series]
    start_s: float = 0.0
    """When the first frame begins, on the clock of the file's pts."""
    track: Track | None = None
    """The whole video's sound, None where that is not at hand."""

    def values(self, name: str, *, skip: int = 0) -> Values:
        """A series' values; those of the first `skip` frames do not count: 1 for what compares a frame with the last."""
        return self.series[name].between(self.start + skip, self.end)

    def mean(self, name: str, *, skip: int = 0) -> float | None:
        """Mean of a series' values; None if there is none."""
        values = self.values(name, skip=skip)[1]
        return float(np.mean(values)) if len(values) else None


class Measure(Protocol):
    """Sees frames once and remembers numbers; asked of a clip, it makes the clip's `columns` of them.

    `sees` says which: "frame", all; and, each also where a new shot may begin: "glance", two a second or so; "look", one
    a second; "stare", one in two seconds, and one that others are made from, for only these are deblocked; "sound", none.

    It may also read series of other measures of the pass: a class attribute `uses` names these.

    A number may depend on its frame and the one before, not on what came earlier: a video taken apart has the same ones.
    """

    columns: ClassVar[tuple[str, ...]]
    sees: ClassVar[Sight]
    series: dict[str, Series]

    def see(self, view: View) -> None: ...

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]: ...


class Series:
    """Values by frame index, in order: numbers, or arrays of one shape."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._values: list[Any] = []

    def add(self, index: int, value: Any) -> None:
        """Remember a value of a frame."""
        self._indices.append(index)
        self._values.append(value)

    def extend(self, values: Values, first: int) -> None:
        """Remember values whose indices count from the frame `first`."""
        self._indices.extend((values[0] + first).tolist())
        self._values.extend(values[1].tolist() if values[1].ndim == 1 else values[1])

    def take(self) -> Values:
        """All values, which are then forgotten here."""
        taken = np.array(self._indices, np.int64), np.array(self._values)
        self._indices, self._values = [], []
        return taken

    def between(self, start: int, end: int) -> Values:
        """The values of frames start <= index < end."""
        low, high = np.searchsorted(self._indices, (start, end))
        return np.array(self._indices[low:high], np.int64), np.array(self._values[low:high])

    def forget(self, before: int) -> None:
        """Drop what lies before an index."""
        low = int(np.searchsorted(self._indices, before))
        del self._indices[:low], self._values[:low]
