"""Whether what is heard begins when what is seen does: onsets of the sound beside onsets of motion, over a range of lags."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.measures.measure import Clip, Series, Sight, View
from hdvg.measures.track import BLOCK_S, FINE, Track

Numbers = npt.NDArray[np.float64]

STEP_S = BLOCK_S / FINE
"""Of the grid on which both are laid."""
WIDTH_S = 0.03
"""Standard deviation of an onset on the grid."""
REACH_S = 0.5
"""Largest lag that is looked for."""
BEFORE_S = 0.2
"""An onset is a rise over the most that there was in the time before: what ends soon after it begins is one onset, not two."""
FLOOR_DBFS, MOST_DB = -60.0, 30.0
LEAST_DB, LEAST_LEVELS = 6.0, 1.0
"""Smaller rises, of sound and of the change between frames, are no onsets."""
LEAST_S, LEAST_ONSETS = 2.0, 3
"""Shorter clips, and such with fewer, agree by chance."""


class Onsets:
    """onset_motion: the largest correlation of the two over lags of up to 0.5 s, 0-1; onset_lag_s: that lag.

    None without a track at hand, for under 2 s, and where either has fewer than three onsets.
    """

    columns: ClassVar[tuple[str, ...]] = ("onset_motion", "onset_lag_s")
    sees: ClassVar[Sight] = "sound"
    uses: ClassVar[tuple[str, ...]] = ("stillness",)

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def see(self, view: View) -> None:
        """It is shown no frame."""

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        none: dict[str, float | None] = dict.fromkeys(Onsets.columns)
        length_s = float(clip.seconds[-1])
        if clip.track is None or length_s < LEAST_S:
            return none
        heard = heard_onsets(clip.track.between(clip.start_s, clip.start_s + length_s), clip.start_s, length_s)
        indices, change = clip.values("change", skip=1)
        seen = seen_onsets(clip.seconds[indices - clip.start], change, length_s)
        if min(_count(heard), _count(seen)) < LEAST_ONSETS:
            return none
        correlation, lag_s = best_lag(heard, seen)
        return {"onset_motion": correlation, "onset_lag_s": lag_s}


def heard_onsets(track: Track, start_s: float, length_s: float) -> Numbers:
    """Rises of the sound, dB, on the grid of a clip of that length."""
    level = np.full(round(length_s / STEP_S), FLOOR_DBFS)
    begins_s = np.add.outer(track.ends_s - BLOCK_S, np.arange(FINE) * STEP_S).ravel() - start_s
    places = np.round(begins_s / STEP_S).astype(int)
    inside = (places >= 0) & (places < len(level))
    level[places[inside]] = np.maximum(track.sharp_dbfs.ravel()[inside], FLOOR_DBFS)
    rise = _rises(level, round(BEFORE_S / STEP_S))
    return np.where(rise >= LEAST_DB, np.minimum(rise, MOST_DB), 0.0)


def seen_onsets(seconds: Numbers, change: Numbers, length_s: float) -> Numbers:
    """Rises of the change between frames, logarithmic, on the grid; `seconds` are when the frames begin."""
    grid = np.zeros(round(length_s / STEP_S))
    step_s = float(np.median(np.diff(seconds))) if len(seconds) > 1 else length_s
    rise = _rises(np.maximum(change, LEAST_LEVELS), max(round(BEFORE_S / max(step_s, STEP_S)), 1))
    strength = np.where(rise >= LEAST_LEVELS, np.log1p(rise), 0.0)
    places = np.minimum(np.round(seconds / STEP_S).astype(int), len(grid) - 1)
    np.maximum.at(grid, places, strength)
    return grid


def _rises(values: Numbers, before: int) -> Numbers:
    """By how much each value exceeds all of the `before` ones before it; of the first ones nothing is known."""
    if len(values) <= before:
        return np.zeros(len(values))
    windows = np.lib.stride_tricks.sliding_window_view(values, before)[:-1]
    return np.concatenate([np.zeros(before), np.maximum(values[before:] - windows.max(axis=1), 0)])


def _count(onsets: Numbers) -> int:
    """How many there are, those of neighbouring steps as one."""
    return int(np.count_nonzero(np.diff((onsets > 0).astype(int), prepend=0) == 1))


def best_lag(heard: Numbers, seen: Numbers) -> tuple[float, float]:
    """The largest correlation of two rows on the grid over the lags, and by how much the heard one is later, s."""
    reach, around = round(REACH_S / STEP_S), np.arange(-5, 6)
    bell = np.exp(-0.5 * np.square(around * STEP_S / WIDTH_S))
    rows = [np.convolve(one, bell, "same") for one in (heard, seen)]
    one, other = ((row - row.mean()) / (row.std() * len(row) ** 0.5) for row in rows)
    lags = np.arange(-reach, reach + 1)
    found = np.array([_product(one, other, lag) for lag in lags.tolist()])
    best = int(found.argmax())
    return float(max(found[best], 0.0)), float(lags[best] * STEP_S)


def _product(one: Numbers, other: Numbers, lag: int) -> float:
    """Of `one`, which is that much later, with `other`."""
    return float(one[lag:] @ other[: len(other) - lag] if lag >= 0 else one[:lag] @ other[-lag:])
