"""Marks to lay over footage: logos, text and timers of any size, place, colour and opacity, drawn smooth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tests.footage import Picture

Alpha = npt.NDArray[np.float32]
FINE = 8
"""Marks are drawn so many times larger and then reduced, as a renderer smooths edges."""

SIZES = (0.03, 0.05, 0.08, 0.12)
OPACITIES = (0.15, 0.3, 0.5, 0.7, 0.9)
PLACES = {
    "top left": (0.03, 0.04),
    "top right": (0.97, 0.04),
    "bottom left": (0.03, 0.96),
    "bottom right": (0.97, 0.96),
    "top": (0.5, 0.03),
    "bottom": (0.5, 0.97),
    "left": (0.02, 0.5),
    "right": (0.98, 0.5),
    "centre": (0.5, 0.5),
}
COLOURS = ((255, 255, 255), (255, 255, 255), (255, 255, 255), (0, 0, 0), (40, 40, 230), (200, 120, 20), (40, 210, 250))
TEXTS = {
    "tune": ("stock.example", "CHANNEL 5", "@jo.smith"),
    "held": ("PREVIEW", "(c) A. Example 2026", "news24", "demo.test"),
}
SHAPES = {"tune": ("ring", "star", "letters"), "held": ("badge", "chevrons", "shield", "bars")}


@dataclass(frozen=True)
class Mark:
    """What is laid over a picture. `size` is its width as a share of the picture's; `opacity` 0-1; `colour` BGR."""

    kind: str
    what: str
    size: float
    opacity: float
    place: str
    colour: tuple[int, int, int]


def draw(picture: Picture, mark: Mark, seconds: float = 0.0) -> Picture:
    """The picture with the mark over it; a timer shows `seconds`."""
    height, width = picture.shape[:2]
    what = (
        f"{int(seconds) // 60:02}:{int(seconds) % 60:02}.{int(seconds * 100) % 100:02}"
        if mark.kind == "timer"
        else mark.what
    )
    drawn = shape(what) if mark.kind == "logo" else text(what)
    wide = max(round(mark.size * width), 3)
    tall = max(round(drawn.shape[0] * wide / drawn.shape[1]), 2)
    alpha = cv2.resize(drawn, (wide, tall), interpolation=cv2.INTER_AREA)[:, :, None] * mark.opacity
    x, y = PLACES[mark.place]
    left, top = round(x * (width - wide)), round(y * (height - tall))
    out = picture.copy()
    under = out[top : top + tall, left : left + wide]
    colour = np.array(mark.colour, np.float32)
    out[top : top + tall, left : left + wide] = np.rint(under * (1 - alpha) + colour * alpha).astype(np.uint8)
    return out


def box(mark: Mark, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of the mark in shares of the picture (for a timer, of 00:00.00)."""
    drawn = shape(mark.what) if mark.kind == "logo" else text(mark.what if mark.kind == "text" else "00:00.00")
    wide = max(round(mark.size * width), 3)
    tall = max(round(drawn.shape[0] * wide / drawn.shape[1]), 2)
    x, y = PLACES[mark.place]
    return round(x * (width - wide)) / width, round(y * (height - tall)) / height, wide / width, tall / height


def text(words: str) -> Alpha:
    """The words in bold, drawn large: alpha 0-1."""
    (wide, tall), below = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, 4.0, 12)
    page = np.zeros((tall + below + 24, wide + 24), np.uint8)
    cv2.putText(page, words, (12, tall + 12), cv2.FONT_HERSHEY_DUPLEX, 4.0, 255, 12, cv2.LINE_AA)
    return _trimmed(page)


def shape(name: str) -> Alpha:
    """A logo by its name, drawn large: alpha 0-1."""
    side = 64 * FINE
    page = np.zeros((side, side), np.uint8)
    LOGOS[name](page, side)
    return _trimmed(page)


def _trimmed(page: npt.NDArray[np.uint8]) -> Alpha:
    left, top, wide, tall = cv2.boundingRect(page)
    return page[top : top + tall, left : left + wide].astype(np.float32) / 255


def _ring(page: Any, side: int) -> None:
    cv2.circle(page, (side // 2, side // 2), side * 2 // 5, 255, side // 9, cv2.LINE_AA)
    cv2.circle(page, (side // 2, side // 2), side // 7, 255, -1, cv2.LINE_AA)


def _star(page: Any, side: int) -> None:
    turns = [(math.pi * (number / 5 - 0.5), (0.48, 0.2)[number % 2] * side) for number in range(10)]
    _fill(page, [(side / 2 + far * math.cos(turn), side / 2 + far * math.sin(turn)) for turn, far in turns], 255)


def _letters(page: Any, side: int) -> None:
    page[side // 5 : side * 4 // 5, side // 20 : -side // 20] = 255
    cv2.putText(
        page, "TV1", (side // 10, side * 13 // 20), cv2.FONT_HERSHEY_DUPLEX, side / 85, 0, side // 20, cv2.LINE_AA
    )


def _badge(page: Any, side: int) -> None:
    cv2.circle(page, (side // 2, side // 2), side * 9 // 20, 255, -1, cv2.LINE_AA)
    cv2.putText(page, "7", (side // 3, side * 7 // 10), cv2.FONT_HERSHEY_DUPLEX, side / 55, 0, side // 14, cv2.LINE_AA)


def _chevrons(page: Any, side: int) -> None:
    for left in (0.05, 0.5):
        points = ((0, 0.1), (0.2, 0.1), (0.45, 0.5), (0.2, 0.9), (0, 0.9), (0.25, 0.5))
        _fill(page, [((left + x) * side, y * side) for x, y in points], 255)


def _shield(page: Any, side: int) -> None:
    points = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.5), (0.5, 0.95), (0.1, 0.5))
    _fill(page, [(x * side, y * side) for x, y in points], 255)
    _fill(page, [((0.5 + (x - 0.5) * 0.5) * side, (0.45 + (y - 0.5) * 0.5) * side) for x, y in points], 90)


def _bars(page: Any, side: int) -> None:
    for number, tall in enumerate((0.3, 0.7, 0.5, 0.9)):
        left = round((0.05 + number * 0.24) * side)
        page[round((0.95 - tall) * side) : round(0.95 * side), left : left + side // 6] = 255


def _fill(page: Any, points: Sequence[tuple[float, float]], level: int) -> None:
    cv2.fillPoly(page, [np.array(points).round().astype(np.int32)], level, cv2.LINE_AA)


LOGOS: dict[str, Callable[[Any, int], None]] = {
    "ring": _ring,
    "star": _star,
    "letters": _letters,
    "badge": _badge,
    "chevrons": _chevrons,
    "shield": _shield,
    "bars": _bars,
}


def random_mark(random: np.random.Generator, kind: str, *, part: str, size: float, opacity: float) -> Mark:
    """A mark of the tuning (`tune`) or the held-out (`held`) ones; corners are as likely as all other places."""
    what = {"logo": SHAPES, "text": TEXTS, "timer": {part: ("",)}}[kind][part]
    places = [*list(PLACES)[:4], *PLACES]
    colour = COLOURS[random.integers(len(COLOURS))]
    return Mark(kind, str(random.choice(what)), size, opacity, str(random.choice(places)), colour)
