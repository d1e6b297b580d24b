"""Marks in two or three scenes: what coincides in them more than anything does once they are shifted against one another.

So few pictures share many edges by chance; how many is a matter of what they show. So the same search is made with these
very pictures out of place, where no mark can coincide, and a mark must be clearly better than the best found there.
Compared are bends of brightness and colour (second derivatives, limited in length): a drawn edge has them, and few line up
to the pixel by chance; footage is softer. H, W are a plane's height and width; windows are summed at half luma's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.measures.watermark_marks import PER_LEVEL, Mark, View, without_lines

Floats = npt.NDArray[np.float32]

SOFT_LEVELS = (20.0, 12.0)
"""The length of a bend that counts half, by plane; longer ones count little more."""

WINDOWS = ((6, 6), (16, 6), (32, 8))
"""Width and height in which scenes are compared, px at half size: a small logo, a word, a line."""

EMPTY = 12.0
"""Added to what a window holds, so that noise does not coincide."""

SHIFTS = ((24, 0), (-40, 8), (0, 24), (8, -32), (48, 24), (-24, -48), (72, -24), (-64, 40))
"""Across and down, luma px: how far each scene is shifted against the one before. With (24, 0) and (0, 24) what lies along a
straight line is chance."""

CHANCE_LEAST = 1.0
"""Of flat pictures nothing coincides out of place; this is what a mark must be better than even there."""

ALIKE, BENT = 0.7, 0.02
"""A pixel is of the mark if its bends agree to this share, and are of this squared length."""

REGION_SHARE, GAP_PX, PART_SHARE = 0.5, 5, 0.2
"""A mark goes on as long as the score is this share of its most; gaps narrower than this are of its area; of parts further
apart those are kept that have this share of the largest's area."""


def coincidences(scenes: Sequence[Sequence[int]], views: Sequence[View]) -> Iterator[tuple[Mark, float]]:
    """The likeliest mark of each plane, and how many times better it coincides than the best out of place.

    `scenes`: the numbers of the views of each, at least two scenes; more views of one scene count as their mean.
    """
    for plane in range(2):
        bends = [_bends([views[number].planes[plane] for number in scene], SOFT_LEVELS[plane]) for scene in scenes]
        product, length = _products(bends)
        agrees = ((product > ALIKE * length) & (length > BENT)).astype(np.uint8)
        lines = agrees - without_lines(agrees)
        if lines.any():
            bends = [one * (1 - lines) for one in bends]
        here = _scores(bends, plane)
        elsewhere = [[score.max() for score in _scores(_shifted(bends, shift, plane), plane)] for shift in SHIFTS]
        chance = np.maximum(np.max(elsewhere, axis=0), CHANCE_LEAST)
        ratio = np.max([score / least for score, least in zip(here, chance, strict=True)], axis=0)
        members = [number for scene in scenes for number in scene]
        mark = _mark(*_region(ratio, agrees - lines), views=views, members=members, plane=plane)
        if mark is not None:
            yield mark, float(ratio.max())


def _bends(planes: Sequence[Any], soft_levels: float) -> Floats:
    """(C, H, W): how the gradient across changes across, and that down changes down; lengths 0-1."""
    mean: Any = np.mean(planes, axis=0, dtype=np.float32)
    steps = [(1, 0), (0, 1)] * (len(mean) // 2)
    out = np.stack(
        [cv2.Sobel(one, cv2.CV_32F, *step, ksize=3, scale=0.25) for one, step in zip(mean, steps, strict=True)]
    )
    length = np.sqrt((out * out).sum(axis=0))
    bends: Floats = out / (length + soft_levels * PER_LEVEL)
    return bends


def _products(bends: Sequence[Floats]) -> tuple[Any, Any]:
    """(H, W) mean product of two scenes' bends over all pairs, and the mean squared length."""
    count = len(bends)
    total: Any = sum(bends)
    squares = sum((one * one).sum(axis=0) for one in bends)
    return ((total * total).sum(axis=0) - squares) / (count * (count - 1)), squares / count


def _scores(bends: Sequence[Floats], plane: int) -> list[Any]:
    """By window: how many standard deviations the bends in it agree by, were each pixel a toss."""
    product, length = _products(bends)
    if plane == 0:
        half = (product.shape[1] // 2, product.shape[0] // 2)
        product, length = (4 * cv2.resize(one, half, interpolation=cv2.INTER_AREA) for one in (product, length))
    else:
        product, length = 2 * product, 2 * length
    out = []
    for window in WINDOWS:
        agreed, held = (
            cv2.boxFilter(one, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT) for one in (product, length)
        )
        out.append(agreed / np.sqrt(held + EMPTY))
    return out


def _shifted(bends: Sequence[Floats], shift: tuple[int, int], plane: int) -> list[Floats]:
    across, down = (by // (plane + 1) for by in shift)
    return [np.roll(one, (number * down, number * across), (1, 2)) for number, one in enumerate(bends)]


def _region(score: Any, agrees: Any) -> tuple[Any, Any]:
    """(H, W) the pixels that agree where the score is best and around, and with the gaps between them; 0 or 1."""
    height, width = agrees.shape
    _, labels = cv2.connectedComponents((score > REGION_SHARE * score.max()).astype(np.uint8))
    own = (labels == labels.ravel()[int(score.argmax())]).astype(np.uint8)
    pixels = agrees & cv2.resize(own, (width, height), interpolation=cv2.INTER_NEAREST)
    closed = cv2.morphologyEx(pixels, cv2.MORPH_CLOSE, np.ones((GAP_PX, GAP_PX), np.uint8), borderValue=0)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(closed)
    areas = stats[:, cv2.CC_STAT_AREA] * (np.arange(len(stats)) > 0)
    kept = (areas >= max(PART_SHARE * areas.max(), 1)).astype(np.uint8)[parts]
    return pixels & kept, closed & kept


def _mark(pixels: Any, closed: Any, *, views: Sequence[View], members: Sequence[int], plane: int) -> Mark | None:
    left, top, wide, tall = cv2.boundingRect(pixels)
    if not wide:
        return None
    rows, columns = slice(top, top + tall), slice(left, left + wide)
    height, width = pixels.shape
    return Mark(
        plane=plane,
        top=top,
        left=left,
        mask=cv2.dilate(pixels[rows, columns], np.ones((3, 3), np.uint8)).astype(np.float32),
        total=np.sum([views[number].planes[plane][:, rows, columns] for number in members], axis=0, dtype=np.float32),
        members=tuple(members),
        box=(left / width, top / height, wide / width, tall / height),
        area=float(closed.sum()) / (height * width),
    )
