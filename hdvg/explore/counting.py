"""Counts of clips by the codes of measures: histograms that filter each other, and the cube that a drag looks its counts up in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Quantiles
from hdvg.explore.masks import Asking, Mask, Masks
from hdvg.explore.selection import Selection
from hdvg.explore.sidecar import Column, Sidecar

CODES = 256
PIECE = 2**20
"""Rows counted at a time: a newer question is heard between pieces, and float32 counts them exactly."""
Counts = NDArray[np.uint32]


@dataclass(frozen=True)
class Chosen:
    """A selection's rows: `broken` [rows] counts its conditions that a row does not hold; by column, the masks that bound it."""

    broken: NDArray[np.uint8]
    on: dict[str, list[Mask]]

    @property
    def mask(self) -> Mask:
        """[rows]: all conditions hold."""
        return np.asarray(self.broken == 0)

    def without(self, column: str) -> Mask:
        """[rows]: all conditions hold but those that bound this column."""
        some = self.on.get(column)
        if not some:
            return self.mask
        left = self.broken
        for mask in some:
            left = left - ~mask
        return np.asarray(left == 0)


def choose(sidecar: Sidecar, masks: Masks, selection: Selection, quantiles: Quantiles, asking: Asking) -> Chosen:
    """The rows of a selection."""
    broken = np.zeros(len(sidecar.lengths_s), np.uint8)
    on: dict[str, list[Mask]] = {}
    for condition in selection.conditions:
        mask = masks.of(condition, quantiles, asking)
        broken += ~mask
        if condition.column is not None:
            on.setdefault(condition.column, []).append(mask)
        asking.check()
    return Chosen(broken, on)


def total(sidecar: Sidecar, mask: Mask) -> tuple[int, float]:
    """Clips and hours of these rows."""
    return int(np.count_nonzero(mask)), float(sidecar.lengths_s[mask].sum()) / 3600


def histogram(sidecar: Sidecar, name: str, mask: Mask, asking: Asking) -> Counts:
    """[codes + 1]: rows of the mask by code."""
    found = _counted(sidecar.codes_of(name), mask, asking)
    return found[: sidecar.columns[name].codes + 1].astype(np.uint32)


@dataclass(frozen=True)
class Cube:
    """Counts along one measure, cumulated: [codes + 1] clips and hours, and by other measure [codes + 1, coarse bins + 1]."""

    clips: Counts
    hours: NDArray[np.float64]
    others: dict[str, Counts]


def cube(sidecar: Sidecar, name: str, others: Sequence[str], mask: Mask, asking: Asking) -> Cube:
    """The cube of the rows of a mask, which may be of the first rows alone."""
    mine, column = sidecar.codes_of(name)[: len(mask)], sidecar.columns[name]
    sums = {other: np.zeros((CODES, CODES), np.int64) for other in others}
    hours = np.zeros(CODES)
    for first in range(0, len(mask), PIECE):
        piece = slice(first, first + PIECE)
        shown, codes = mask[piece].view(np.uint8)[None], np.ascontiguousarray(mine[piece])[None]
        lengths = sidecar.lengths_s[: len(mask)][piece]
        hours += np.bincount(codes[0], np.where(mask[piece], lengths, 0.0), CODES) / 3600
        for other, found in sums.items():
            asking.check()
            theirs = np.ascontiguousarray(sidecar.codes_of(other)[: len(mask)][piece])[None]
            ranges = [0, CODES, 0, CODES]
            found += cv2.calcHist([codes, theirs], [0, 1], shown, [CODES, CODES], ranges).astype(np.int64)
    rows = column.codes + 1
    clips = _counted(mine, mask, asking)[:rows]
    coarse = {other: _coarse(found[:rows], sidecar.columns[other]) for other, found in sums.items()}
    return Cube(
        np.cumsum(clips).astype(np.uint32),
        np.cumsum(hours[:rows]),
        {other: np.cumsum(found, axis=0).astype(np.uint32) for other, found in coarse.items()},
    )


def _counted(codes: NDArray[np.uint8], mask: Mask, asking: Asking) -> NDArray[np.int64]:
    """[256]: rows of the mask by code."""
    found = np.zeros(CODES, np.int64)
    for first in range(0, len(codes), PIECE):
        asking.check()
        piece = slice(first, first + PIECE)
        shown = mask[piece].view(np.uint8)[None]
        found += cv2.calcHist([np.ascontiguousarray(codes[piece])[None]], [0], shown, [CODES], [0, CODES]).reshape(-1).astype(np.int64)  # fmt: skip
    return found


def _coarse(counts: NDArray[np.int64], column: Column) -> NDArray[np.int64]:
    """[rows, coarse bins + 1] of [rows, 256]: bin 0 is code 0."""
    if not column.coarse:
        return counts[:, :1]
    starts = [0, *(first + 1 for first in column.coarse)]
    summed: NDArray[np.int64] = np.add.reduceat(counts[:, : column.codes + 1], starts, axis=1)
    return summed
