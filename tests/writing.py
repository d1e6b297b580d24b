"""Text drawn over real footage with OpenCV's own fonts, and where its ink is; keyframes as the one pass stores them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import av
import cv2
import numpy as np
import numpy.typing as npt

from tests.footage import BUNDLED, BUNDLED_SPANS, Span

Picture = npt.NDArray[np.uint8]
Rect = tuple[int, int, int, int]  # left, top, right, bottom, px

KEYFRAME_PX, KEYFRAME_QUALITY = 768, 90
WINDOWS = 3
"""Clips that are made of a span."""

CLEAN_LOOKS = ("cockatoo", "bunny", "pad", "birds", "dots")
"""Looks without a letter in them, by eye; `launch` has small print on the rocket and its tanks, the others are titles.
`dots` has pictograms, which a detector of text may well take for letters."""


@dataclass(frozen=True)
class Ink:
    """How a text is drawn: `size` of its letters in shares of the picture's height; `x` of its left end, middle (0.5)
    or right end (over 0.5), `y` of its first line's base, in shares of the picture; colours are BGR."""

    size: float
    x: float
    y: float
    fill: tuple[int, int, int] = (255, 255, 255)
    edge: tuple[int, int, int] | None = (0, 0, 0)
    face: str = "sans"
    weight: int = 500
    opacity: float = 1.0


def written(picture: Picture, text: str, ink: Ink) -> tuple[Picture, list[Rect]]:
    """The picture with text over it, and the smallest upright rectangle of each line's ink (edges are not ink)."""
    height, width = picture.shape[:2]
    size = max(round(ink.size * height), 6)
    out, rects = picture.copy(), []
    for number, line in enumerate(text.split("\n")):
        base = round(ink.y * height + 1.3 * size * number)
        mask = _mask(line, shape=(height, width), size=size, at=(ink.x, base), ink=ink)
        rects.append(_rect(mask))
        if ink.edge is not None:
            reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(size // 14, 1) + 1,) * 2)
            _paint(out, cv2.dilate(mask, reach), ink.edge, ink.opacity)
        _paint(out, mask, ink.fill, ink.opacity)
    return out, rects


def _mask(line: str, *, shape: tuple[int, int], size: int, at: tuple[float, int], ink: Ink) -> Picture:
    """How much of each pixel a line covers, 0-255."""
    face, height, width = cv2.FontFace(ink.face), *shape
    long = cv2.getTextSize((width, height), line, (0, 0), face, size, ink.weight)[2]
    left = round(at[0] * width - (0 if at[0] < 0.5 else long / 2 if at[0] == 0.5 else long))
    mask = np.zeros((height, width, 3), np.uint8)
    cv2.putText(mask, line, (left, at[1]), (255, 255, 255), face, size, ink.weight)
    return np.ascontiguousarray(mask[:, :, 0])


def _rect(mask: Picture) -> Rect:
    left, top, width, height = cv2.boundingRect((mask > 127).astype(np.uint8))
    assert width, "the text lies outside the picture"
    return left, top, left + width, top + height


def _paint(picture: Picture, mask: Picture, colour: tuple[int, int, int], opacity: float) -> None:
    left, top, width, height = cv2.boundingRect(mask)
    part = slice(top, top + height), slice(left, left + width)
    share = mask[part][:, :, None].astype(np.float32) / 255 * opacity
    picture[part] = np.round(picture[part] * (1 - share) + np.array(colour, np.float32) * share)


@cache
def clean_windows() -> tuple[tuple[Picture, ...], ...]:
    """Three pictures each, in their own size, from `WINDOWS` stretches of every clean span, one after the other."""
    held: dict[tuple[Span, int, int], Picture] = {}
    spans = [span for span in BUNDLED_SPANS if span.look in CLEAN_LOOKS]
    for file in sorted({span.file for span in spans}):
        wanted = {
            _at(span, window, third): (span, window, third)
            for span in spans
            if span.file == file
            for window in range(WINDOWS)
            for third in range(3)
        }
        with av.open(str(BUNDLED / file)) as container:
            for index, picture in enumerate(container.decode(video=0)):
                if index in wanted:
                    held[wanted[index]] = picture.to_ndarray(format="bgr24")
                if index >= max(wanted):
                    break
    return tuple(tuple(held[span, window, third] for third in range(3)) for span in spans for window in range(WINDOWS))


def _at(span: Span, window: int, third: int) -> int:
    """The frame in the middle of a third of a window of a span."""
    return span.first + int((window * 3 + third + 0.5) * (span.last - span.first) / (3 * WINDOWS))


def jpeg(picture: Picture) -> bytes:
    """The picture as the one pass keeps it: at most 768 px long, JPEG 90."""
    scale = min(1.0, KEYFRAME_PX / max(picture.shape[:2]))
    shape = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    small = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, KEYFRAME_QUALITY])[1].tobytes()
