"""Pictures that were drawn, not filmed: user interfaces, slides and title cards, by their flat colours and straight edges.

No network here. Shapes: H height, W width, K = 1000 ImageNet classes; pictures are BGR, 0-255.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # (H, W, 3), BGR
Mask = npt.NDArray[np.bool_]  # (H, W)

# computer monitor, crossword puzzle, desktop computer, laptop, menu, notebook computer, screen, television, web page
SCREEN_CLASSES = (664, 918, 527, 620, 922, 681, 782, 851, 916)

BLACK = 24  # levels; a border of at most this is a black bar and no window's edge
LIT_SHARE = 0.02  # of a row or column, above BLACK: the picture begins here
FLAT_LEVELS = 8  # most difference within 5 x 5 pixels of one colour, after JPEG
EDGE_LEVELS = 16  # least step of a window's edge
EDGE_SHARE = 0.06  # of the stored picture's long side (768 px): least length of a window's edge
LINES_HALF = 0.5  # length of straight edges, in picture heights and widths, at which `screen` is a half

INK_LEVELS = 40  # more than this from the ground, in any colour, is ink
INK_MOST = 0.4  # of the picture
DARK = 40  # levels; a ground below it may have any pattern
GROUND_LEVELS, GROUND_LEAST = 14, 0.9  # elsewhere: most difference within 5 x 5 pixels, on at least this share of it
RING, RING_LEAST = 0.04, 0.97  # a border of this share of the long side must be ground, nearly all of it
LETTERS_LEAST = 6
LETTERS_SHARE = 0.7  # of the ink lighter (or darker) than the ground is in letters
LETTER_HEIGHTS = (0.012, 0.35)  # of the picture's height
STROKE_MOST = 0.5  # mean width of the stroke over the letter's height
MIDDLE = 0.3  # most distance of the text's middle from the picture's, in widths and heights
NEAR, STILL_LEAST = 0.03, 0.5  # ink is widened by NEAR of the long side; then it must overlap, intersection over union


def screen(picture: Picture, shares_K: npt.NDArray[np.float32]) -> float:
    """0-1: how much a picture looks like a screen recording, a user interface or a slide.

    Two signs, either is enough: straight edges along the axes beside flat colour in both directions, as windows,
    buttons and slides have and footage has not; and the network's `SCREEN_CLASSES`, as far as the picture is flat.
    """
    flat_HW, lines = straight_edges(picture)
    drawn = lines**2 / (lines**2 + LINES_HALF**2)
    named = float(shares_K[list(SCREEN_CLASSES)].sum()) * float(flat_HW.mean())
    return 1 - (1 - drawn) * (1 - named)


def straight_edges(picture: Picture) -> tuple[Mask, float]:
    """Which pixels are flat; and the length of straight edges, the lesser of upright (in heights) and level (in widths).

    Black bars are taken off first.
    """
    grey_HW = without_bars(_grey(picture))
    around = np.ones((5, 5), np.uint8)
    flat_HW = (cv2.dilate(grey_HW, around) - cv2.erode(grey_HW, around)) <= FLAT_LEVELS
    least_px = max(round(EDGE_SHARE * max(picture.shape[:2])), 3)
    upright = _upright(grey_HW, flat_HW, least_px=least_px)
    level = _upright(grey_HW.T, flat_HW.T, least_px=least_px)
    return flat_HW, min(upright, level)


def _upright(grey_HW: npt.NDArray[np.uint8], flat_HW: Mask, *, least_px: int) -> float:
    """Length of upright straight edges with flat colour on one side, in picture heights."""
    levels_HW = grey_HW.astype(np.int16)
    edge_HW = np.zeros(grey_HW.shape, bool)
    edge_HW[:, 1:] = np.abs(np.diff(levels_HW, axis=1)) >= EDGE_LEVELS
    beside_HW = np.zeros(grey_HW.shape, bool)
    beside_HW[:, 4:] = flat_HW[:, :-4]
    beside_HW[:, :-3] |= flat_HW[:, 3:]
    runs_HW = cv2.morphologyEx(
        np.ascontiguousarray(edge_HW & beside_HW, dtype=np.uint8), cv2.MORPH_OPEN, np.ones((least_px, 1), np.uint8)
    )
    return float(np.count_nonzero(runs_HW)) / float(grey_HW.shape[0])


def _grey(picture: Picture) -> npt.NDArray[np.uint8]:
    """Luminance, 0-255."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def without_bars(grey_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The part within black borders; all of it if everything is black."""
    lit_HW = grey_HW > BLACK
    rows = np.flatnonzero(lit_HW.mean(axis=1) > LIT_SHARE)
    columns = np.flatnonzero(lit_HW.mean(axis=0) > LIT_SHARE)
    if not len(rows) or not len(columns):
        return grey_HW
    return grey_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def title_card(pictures: Sequence[Picture]) -> bool:
    """Whether a clip, by its keyframes in order, is a card: still lines of letters over a flat or dark ground.

    Keyframes without any ink are passed over (the card fades in or out), but not more than one.
    """
    inks = [card_ink(picture) for picture in pictures]
    if any(ink_HW is None for ink_HW in inks):
        return False
    written = [ink_HW for ink_HW in inks if ink_HW is not None and ink_HW.any()]
    if not written or len(inks) - len(written) > 1:
        return False
    return all(_overlap(one, next_one) >= STILL_LEAST for one, next_one in pairwise(written))


def card_ink(picture: Picture) -> Mask | None:
    """Where a card's letters are; empty on a bare ground; None if the picture is no card."""
    margin = max(round(RING * max(picture.shape[:2])), 1)
    ring_HW = np.ones(picture.shape[:2], bool)
    ring_HW[margin:-margin, margin:-margin] = False
    ring_NC = picture[ring_HW].astype(np.int16)
    ground_C = np.median(ring_NC, axis=0).astype(np.int16)
    if (np.abs(ring_NC - ground_C).max(axis=1) > INK_LEVELS).mean() > 1 - RING_LEAST:
        return None  # most footage ends here
    away = picture.astype(np.int16) - ground_C
    ink_HW: Mask = np.abs(away).max(axis=2) > INK_LEVELS
    if ink_HW.mean() > INK_MOST:
        return None
    if ground_C.max() >= DARK and not _flat(picture, ink_HW):
        return None
    light_HW = away.sum(axis=2) > 0
    if ink_HW.any() and not any(_written(ink_HW & part_HW) for part_HW in (light_HW, ~light_HW)):
        return None
    return ink_HW


def _flat(picture: Picture, ink_HW: Mask) -> bool:
    """Whether the ground is of one colour, apart from a slow gradient or a faint pattern."""
    grey_HW = _grey(picture)
    around = np.ones((5, 5), np.uint8)
    spread_HW = cv2.dilate(grey_HW, around) - cv2.erode(grey_HW, around)
    ground_HW = cv2.dilate(ink_HW.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
    return bool((spread_HW[ground_HW] <= GROUND_LEVELS).mean() >= GROUND_LEAST) if ground_HW.any() else False


def _written(ink_HW: Mask) -> bool:
    """Whether ink of one sign holds letters: thin strokes of like height side by side, in the middle of the picture.

    Letters that touch count by their width.
    """
    high, wide = ink_HW.shape
    _, marks, stats, centres = cv2.connectedComponentsWithStats(ink_HW.astype(np.uint8), connectivity=8)
    depth_HW = cv2.distanceTransform(ink_HW.astype(np.uint8), cv2.DIST_L2, 3)
    depths = np.bincount(marks.ravel(), weights=depth_HW.ravel()) / np.maximum(np.bincount(marks.ravel()), 1)
    heights, widths = stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_WIDTH]
    # the mean depth of a stroke is a quarter of its width; a pixel's own depth is 1, not a half
    thin = 4 * np.maximum(depths - 0.5, 0.25) <= STROKE_MOST * heights
    fit = thin & (heights >= LETTER_HEIGHTS[0] * high) & (heights <= LETTER_HEIGHTS[1] * high)
    fit &= widths >= 0.1 * heights
    fit[0] = False  # the ground
    mated = [index for index in np.flatnonzero(fit) if _mated(int(index), fit=fit, stats=stats)]
    letters = sum(max(1.0, float(widths[index] / heights[index])) for index in mated)
    if letters < LETTERS_LEAST or stats[mated, cv2.CC_STAT_AREA].sum() < LETTERS_SHARE * ink_HW.sum():
        return False
    x, y = centres[mated].mean(axis=0)
    return bool(abs(x / wide - 0.5) <= MIDDLE and abs(y / high - 0.5) <= MIDDLE)


def _mated(index: int, *, fit: Mask, stats: npt.NDArray[Any]) -> bool:
    """Whether a letter has another of the `fit` beside it on its line, or is itself wide as a word; `stats` by OpenCV."""
    left, top, width, height = (stats[:, column] for column in range(4))
    if width[index] >= 3 * height[index]:
        return True
    across = np.maximum(left[index], left) - np.minimum(left[index] + width[index], left + width)
    down = np.abs((2 * top + height) - (2 * top[index] + height[index])) / 2
    alike = fit & (height <= 2.2 * height[index]) & (height[index] <= 2.2 * height)
    alike[index] = False
    return bool((alike & (down <= 0.6 * height[index]) & (across <= 1.5 * height[index])).any())


def _overlap(one_HW: Mask, other_HW: Mask) -> float:
    """Intersection over union of two keyframes' ink, widened so that a slow zoom passes; 0 if their sizes differ."""
    if one_HW.shape != other_HW.shape:
        return 0.0
    side = max(round(NEAR * max(one_HW.shape)), 1)
    one, other = (cv2.dilate(ink_HW.astype(np.uint8), np.ones((side, side))) > 0 for ink_HW in (one_HW, other_HW))
    return float((one & other).sum() / max((one | other).sum(), 1))
