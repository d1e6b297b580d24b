"""The cascade's cheap look: which hard cuts are clear, and where the network has to decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdvg.shots.chunk import Chunk

Picture = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

LEAST_SCORE, LEAST_RATIO = 5.0, 2.0
"""A frame is looked at if its content score is this high, and this many times the mean of its two neighbours each side."""

SIDE = 4
"""Pictures on each side of a possible cut that are compared; a flash is shorter, so its two sides look alike."""

CLEAR_SCORE, CLEAR_LEVELS, CLEAR_RATIO = 20.0, 20.0, 4.5
"""A clear cut: its score, the least difference of two pictures across it, and that over the largest difference of two
neighbours on one side. Chosen on real footage, so that fast motion (3.3 in the worst case seen) is never clear."""

DOUBT_LEVELS, DOUBT_RATIO = 6.0, 1.3
"""A doubtful cut, likewise."""

RAMPS = (3, 8)
"""Half lengths, in frames, over which slow changes are looked for."""

RAMP_LEVELS, RAMP_BEND = (10.0, 40.0), (0.2, 0.36)
"""A ramp: the ends differ by this much, and the middle is this near to their mean (in units of the difference).
A fade or dissolve is a straight line between two pictures, which motion is not; large differences may bend more."""

AROUND_CUT, AROUND_RAMP, CLEAR_OF_CUT = 3, 6, 9
LAG = AROUND_RAMP + 1 + CLEAR_OF_CUT + max(*RAMPS, SIDE)
"""Frames behind one that its flags may depend on."""


@dataclass(frozen=True)
class Looked:
    """What is known of n frames in a row: where a clear cut lies, and where the network is to be asked."""

    clear: Flags
    doubt: Flags


class Cheap:
    """Takes frames in order; every frame's flags depend on the frames around it only, never on how they came in chunks."""

    def __init__(self) -> None:
        self._thumbs = np.empty((0, 27, 48, 3), np.uint8)
        self._scores = np.empty(0)
        self._done = 0  # rows held that are decided already, kept as neighbours

    def feed(self, chunk: Chunk) -> Looked:
        """Flags of the frames that now have enough neighbours."""
        self._thumbs = np.concatenate([self._thumbs, chunk.thumbs])
        self._scores = np.concatenate([self._scores, chunk.scores["content"]])
        return self._look(len(self._scores) - LAG)

    def finish(self) -> Looked:
        """Flags of the rest."""
        return self._look(len(self._scores))

    def _look(self, end: int) -> Looked:
        start = self._done
        if end <= start:
            return Looked(np.zeros(0, bool), np.zeros(0, bool))
        clear, doubt = self._cuts()
        near_cut = _widen(clear, CLEAR_OF_CUT, CLEAR_OF_CUT)
        ramps = _ramps(self._thumbs) & ~near_cut
        ramps &= np.append(ramps[1:], False) | np.insert(ramps[:-1], 0, False)
        doubt = _widen(doubt, AROUND_CUT, AROUND_CUT) | _widen(ramps, AROUND_RAMP, AROUND_RAMP)
        looked = Looked(clear[start:end], doubt[start:end])
        drop = max(end - 2 * LAG, 0)
        self._thumbs, self._scores, self._done = self._thumbs[drop:], self._scores[drop:], end - drop
        return looked

    def _cuts(self) -> tuple[Flags, Flags]:
        scores, count = self._scores, len(self._scores)
        padded = np.pad(scores, 2)
        around = (padded[:-4] + padded[1:-3] + padded[3:-1] + padded[4:]) / 4
        clear, doubt = np.zeros(count, bool), np.zeros(count, bool)
        for index in np.flatnonzero((scores >= LEAST_SCORE) & (scores >= LEAST_RATIO * around)).tolist():
            across, within = _contrast(self._thumbs, index)
            clear[index] = scores[index] >= CLEAR_SCORE and across >= CLEAR_LEVELS and across >= CLEAR_RATIO * within
            doubt[index] = not clear[index] and across >= DOUBT_LEVELS and across >= DOUBT_RATIO * within
        return clear, doubt


def _contrast(thumbs: Picture, index: int) -> tuple[float, float]:
    """Least difference between pictures across a cut at `index`, and largest between neighbours on one side; levels.

    A side of one picture has no neighbours; a cut at the very first frame is none.
    """
    before = thumbs[max(index - SIDE, 0) : index].astype(np.int16)
    after = thumbs[index : index + SIDE].astype(np.int16)
    if not len(before):
        return 0.0, 0.0
    across = np.abs(before[:, None] - after[None]).mean(axis=(2, 3, 4)).min()
    within = [np.abs(np.diff(side, axis=0)).mean(axis=(1, 2, 3)).max() for side in (before, after) if len(side) > 1]
    return float(across), float(max(within, default=0.0))


def _ramps(thumbs: Picture) -> Flags:
    small = thumbs.reshape(-1, 9, 3, 16, 3, 3).mean(axis=(2, 4), dtype=np.float32)
    found = np.zeros(len(small), bool)
    for half in RAMPS:
        if len(small) <= 2 * half:
            continue
        first, middle, last = small[: -2 * half], small[half:-half], small[2 * half :]
        change = np.abs(last - first).mean(axis=(1, 2, 3))
        bend = np.abs(middle - (first + last) / 2).mean(axis=(1, 2, 3)) / np.maximum(change, 1e-3)
        for levels, most in zip(RAMP_LEVELS, RAMP_BEND, strict=True):
            found[half:-half] |= (change >= levels) & (bend <= most)
    return found


def _widen(flags: Flags, before: int, after: int) -> Flags:
    """Each flag also set on so many frames before and after it."""
    wide = np.convolve(flags, np.ones(before + after + 1), "full")[after : after + len(flags)]
    return wide > 0.5
