"""Counts of clips by the codes of measures: histograms that filter each other, and the cube that a drag looks its counts up in."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Quantiles
from hdvg.explore.masks import Asking, Mask, Masks
from hdvg.explore.selection import Selection
from hdvg.explore.sidecar import Column, Sidecar

CODES = 256
PIECE = 2**18
"""Rows counted at a time: a newer question is heard between pieces, and float32 counts them exactly."""
WORKERS_MOST = 4
SPARSE = 6
"""Where fewer than one row of so many is counted, places are quicker than a mask."""
Counts = NDArray[np.uint32]
Found = TypeVar("Found")


class Counted(Protocol):
    """What is counted: a state of the dataset."""

    @property
    def sidecar(self) -> Sidecar: ...
    @property
    def masks(self) -> Masks: ...


@dataclass(frozen=True)
class Chosen:
    """A selection's rows: `held` [rows], how many of its `conditions` each holds; by column, the masks that bound it."""

    held: NDArray[np.uint8]
    conditions: int
    on: dict[str, list[Mask]]

    @functools.cached_property
    def mask(self) -> Mask:
        """[rows]: all conditions hold."""
        return np.asarray(self.held == self.conditions)

    def without(self, column: str) -> Mask:
        """[rows]: all conditions hold but those that bound this column."""
        some = self.on.get(column)
        if not some:
            return self.mask
        left = self.held - some[0].view(np.uint8)
        for mask in some[1:]:
            left -= mask.view(np.uint8)
        return np.asarray(left == self.conditions - len(some))


def choose(
    state: Counted, selection: Selection, quantiles: Quantiles, asking: Asking, *, rows: int | None = None
) -> Chosen:
    """The rows of a selection; of the first `rows` alone, if that is given."""
    held = np.zeros(len(state.sidecar.lengths_s) if rows is None else rows, np.uint8)
    known = state.masks if rows is None else state.masks.first(rows)
    on: dict[str, list[Mask]] = {}
    masks = _workers().map(lambda condition: known.of(condition, quantiles, asking), selection.conditions)
    for condition, mask in zip(selection.conditions, masks, strict=True):
        held += mask.view(np.uint8)
        if condition.column is not None:
            on.setdefault(condition.column, []).append(mask)
        asking.check()
    return Chosen(held, len(selection.conditions), on)


def total(sidecar: Sidecar, mask: Mask) -> tuple[int, float]:
    """Clips and hours of these rows."""
    lengths = sidecar.lengths_s
    seconds = each_piece(lambda piece: float(np.where(mask[piece], lengths[piece], 0.0).sum()), len(mask), Asking())
    return int(np.count_nonzero(mask)), sum(seconds) / 3600


def histogram(sidecar: Sidecar, name: str, mask: Mask, asking: Asking) -> Counts:
    """[codes + 1]: rows of the mask by code."""
    codes, found = sidecar.codes_of(name), np.zeros(CODES, np.int64)

    def counted(piece: slice) -> Any:
        places, shown = _shown(mask[piece])
        return cv2.calcHist([_image(codes[piece][places])], [0], shown, [CODES], [0, CODES]).reshape(-1)

    for counts in each_piece(counted, len(mask), asking):
        found += counts.astype(np.int64)
    return found[: sidecar.columns[name].codes + 1].astype(np.uint32)


@dataclass(frozen=True)
class Cube:
    """Counts along one measure, cumulated: [codes + 1] clips and hours, and by other measure [codes + 1, coarse bins + 1]."""

    clips: Counts
    hours: NDArray[np.float64]
    others: dict[str, Counts]


def cube(sidecar: Sidecar, name: str, others: Sequence[str], mask: Mask, asking: Asking) -> Cube:
    """The cube of the rows of a mask, which may be of the first rows alone."""
    mine, rows = sidecar.codes_of(name), sidecar.columns[name].codes + 1
    clips, hours = np.zeros(CODES, np.int64), np.zeros(CODES)
    sums = {other: np.zeros((CODES, CODES), np.int64) for other in others}

    def counted(piece: slice) -> list[Any]:
        places, shown = _shown(mask[piece])
        codes, lengths = _image(mine[piece][places]), sidecar.lengths_s[piece][places]
        lengths = lengths if shown is None else np.where(shown[0], lengths, 0.0)
        found = [
            cv2.calcHist([codes], [0], shown, [CODES], [0, CODES]).reshape(-1),
            np.bincount(codes[0], lengths, CODES),
        ]
        for other in others:
            asking.check()
            both = [codes, _image(sidecar.codes_of(other)[piece][places])]
            found.append(cv2.calcHist(both, [0, 1], shown, [CODES, CODES], [0, CODES, 0, CODES]))
        return found

    for first, lengths, *of_others in each_piece(counted, len(mask), asking):
        clips += first.astype(np.int64)
        hours += lengths / 3600
        for other, counts in zip(others, of_others, strict=True):
            sums[other] += counts.astype(np.int64)
    coarse = {other: _coarse(found[:rows], sidecar.columns[other]) for other, found in sums.items()}
    return Cube(
        np.cumsum(clips[:rows]).astype(np.uint32),
        np.cumsum(hours[:rows]),
        {other: np.cumsum(found, axis=0).astype(np.uint32) for other, found in coarse.items()},
    )


def each_piece(count: Callable[[slice], Found], rows: int, asking: Asking) -> Iterator[Found]:
    """What `count` gives of every piece of the rows, counted side by side."""

    def one(first: int) -> Found:
        asking.check()
        return count(slice(first, min(first + PIECE, rows)))

    return _workers().map(one, range(0, rows, PIECE))


@functools.cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(os.cpu_count() or 1, WORKERS_MOST), "counting")


def _shown(mask: Mask) -> tuple[Any, NDArray[np.uint8] | None]:
    """Where to look in an array for the rows of a mask, and what of that to count, as OpenCV has it: None is all."""
    if np.count_nonzero(mask) < len(mask) // SPARSE:
        return np.flatnonzero(mask), None
    return slice(None), _image(mask.view(np.uint8))


def _image(values: NDArray[Any]) -> NDArray[np.uint8]:
    """As OpenCV counts it: [1, rows], at least one; it counts nothing else of an empty one than zeros."""
    return np.ascontiguousarray(values)[None]


def _coarse(counts: NDArray[np.int64], column: Column) -> NDArray[np.int64]:
    """[rows, coarse bins + 1] of [rows, 256]: bin 0 is code 0."""
    if not column.coarse:
        return counts[:, :1]
    starts = [0, *(first + 1 for first in column.coarse)]
    summed: NDArray[np.int64] = np.add.reduceat(counts[:, : column.codes + 1], starts, axis=1)
    return summed
