"""Perceptual hashes of pictures: near pictures differ in few of their 64 bits."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SIDE_PX = 32
KEPT = 8
MARGIN = 0.05
"""Share of each side that the inner hash leaves out: the inner hash of a picture is near the hash of its crop."""

FLAT = 2.0
"""Half of the coefficients lie nearer than this to their median: noise decides the bits, and they say nothing."""

DULLED = 0.02
"""Share of the cells that are brought down to the level of the next, at the bright end and at the dark end."""

PER_S = 2
MOST = 128
"""Hashes kept of a clip: its first 64 seconds."""

Grey = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]


def phash(grey: npt.NDArray[np.uint8]) -> str:
    """Signs of the 8 x 8 lowest DCT coefficients of the picture at 32 x 32, against their median; 16 hex digits."""
    low = np.asarray(cv2.dct(small(grey).astype(np.float32)))[:KEPT, :KEPT].ravel()
    bits = low > np.median(low[1:])
    return np.packbits(bits).tobytes().hex()


def small(grey: Grey) -> Grey:
    """The picture at 32 x 32, as hashes see it."""
    return cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]  # cv2 types no uint8


def hash_pairs(smalls: Grey) -> Hashes:
    """(n, 32, 32) grey levels to (n, 2): the hash of each picture and of its inside, without 5 % on each side.

    As `phash`, highest bit first, by one product with the cosines for all, but seen through a window, the half waves of a
    sine over width and height, and without the darkest and the brightest 2 %: otherwise a logo in a corner decides the
    bits of a calm picture. 0 for a picture that is too flat to be hashed.
    """
    levels = _dulled(smalls.reshape(-1, SIDE_PX**2)).reshape(-1, SIDE_PX, SIDE_PX).astype(np.float32)
    return np.stack([_bits(levels, waves) for waves in (WHOLE, INNER)], axis=1)


def moments(pts: list[int], end_pts: int, ticks_per_s: float) -> list[int]:
    """Which frames of a clip are hashed: those shown 1/4 s, 3/4 s, ... after its first; the middle one of a shorter clip.

    `pts` are its frames' times and `end_pts` its end, in ticks; at most 128 indices, which may repeat.
    """
    step = ticks_per_s / PER_S
    count = min(int((end_pts - pts[0]) / step + 0.5), MOST)
    if count < 1:
        return [len(pts) // 2]
    times = pts[0] + (np.arange(count) + 0.5) * step
    return [int(index) for index in np.searchsorted(pts, times, side="right") - 1]


def _dulled(rows: Grey) -> Grey:
    cut = int(DULLED * SIDE_PX**2)
    ends = np.partition(rows, (cut, SIDE_PX**2 - 1 - cut), axis=1)
    return np.clip(rows, ends[:, cut, None], ends[:, -1 - cut, None])


def _bits(levels: npt.NDArray[np.float32], waves: npt.NDArray[np.float32]) -> Hashes:
    weights = waves[0] / waves[0].sum()
    contrast = levels - (weights @ levels @ weights)[:, None, None]
    low = (waves @ contrast @ waves.T).reshape(-1, KEPT * KEPT)
    off = low - np.median(low[:, 1:], axis=1)[:, None]
    hashes = np.packbits(off > 0, axis=1).view(">u8").ravel().astype(np.uint64)
    hashes[np.median(np.abs(off[:, 1:]), axis=1) < FLAT] = 0
    return hashes


def _cosines(margin: float) -> npt.NDArray[np.float32]:
    """(8, 32): the lowest cosines (DCT-II), under the window, over the part of a row of 32 cells inside the margins."""
    fine = 1024
    inside = (np.arange(fine) + 0.5) / fine
    waves = np.cos(np.pi * np.arange(KEPT)[:, None] * inside) * np.sqrt(2 * SIDE_PX) / fine
    waves[0] /= np.sqrt(2)
    waves *= np.sin(np.pi * inside)
    cells = np.zeros((fine, SIDE_PX))
    cells[np.arange(fine), ((margin + (1 - 2 * margin) * inside) * SIDE_PX).astype(int)] = 1
    return np.asarray(waves @ cells, dtype=np.float32)


WHOLE, INNER = _cosines(0.0), _cosines(MARGIN)
