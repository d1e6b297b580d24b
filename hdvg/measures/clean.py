"""The clean area: the largest rectangle without bars, watermarks, subtitles, tickers and other text that is laid over the picture.

Bars, marks and lines of text are found in the keyframes as the measures `borders`, `watermark` and `text` find them. Text
is laid over if it stays in place in all keyframes, stands in a row that is a caption, or in a band at the top or the bottom
where text stands in all keyframes, as a ticker's does. What is written in the scene and moves with it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.config.sections import Measure, ratio
from hdvg.ids import digest
from hdvg.keyframes import Shot
from hdvg.measures import watermark
from hdvg.measures.borders import agreed, bar_ends
from hdvg.measures.rectangles import Rectangle, largest
from hdvg.measures.text import Grey, Text, alike, caption_rows
from hdvg.measures.textboxes import Boxes, Detector, Picture
from hdvg.networks.pictures import keyframes

VERSION = 1
"""Raise it when code changes the numbers."""

REDUCED_PX = 256
"""Width at which bars are looked for first."""
BAR_PX = 1
"""Of a keyframe: what scaling mixes into the line beside a bar."""
AROUND_MARK = 0.008
"""Of the picture: an edge's width, which a mark's box may lack."""
AROUND_TEXT = 0.45
"""Of a line's height: what is above and below its letters, and the strip or shade behind them."""
BAND = 0.22
"""Of the height, at the top and at the bottom, where a ticker may run."""

Row = dict[str, Any]


class Clean:
    """See the module, and schemas.measures.CLEAN for the columns. The aspects allowed are measure.clean_aspects."""

    needs: ClassVar[Mapping[str, str]] = Text.needs
    columns: ClassVar[tuple[str, ...]] = (
        "clean_area", "clean_left", "clean_top", "clean_width", "clean_height", "clean_model"
    )  # fmt: skip

    def __init__(self, settings: Measure) -> None:
        text = Text(settings)
        self.model = f"{watermark.MODEL} {text.model}"
        self._detector: Detector = text.detector
        self._allowed = [ratio(one) for one in settings.clean_aspects]

    @staticmethod
    def fingerprint(settings: Measure) -> str:
        """16 hex digits of the methods, the weights and the settings that shape the numbers. Raises UsageError as `Text`'s."""
        parts = Text.fingerprint(settings), watermark.Watermark.fingerprint(), settings.clean_aspects
        return digest("clean", VERSION, *parts)[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[Row]:
        """One row a wanted shot, in order; the others tell of marks that stay over the video."""
        marks = watermark.marks_of(wanted, others)
        return [self._measure(shot, boxes) for shot, boxes in zip(wanted, marks, strict=True)]

    def _measure(self, shot: Shot, marks: Sequence[watermark.Box]) -> Row:
        pictures = keyframes(shot)
        pictures = [picture for picture in pictures if picture.shape == pictures[0].shape]
        if not pictures:
            return dict.fromkeys(self.columns) | {"clean_model": self.model}
        greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False) for picture in pictures]
        boxes = [_around_mark(box) for box in marks] + self._lines(pictures, greys)
        height, width = greys[0].shape
        found = largest(_inside(greys), boxes, aspect=width / height, allowed=self._allowed) or (0.0, 0.0, 0.0, 0.0)
        left, top, right, bottom = found
        wide, tall = right - left, bottom - top
        return {
            "clean_area": wide * tall,
            "clean_left": left,
            "clean_top": top,
            "clean_width": wide,
            "clean_height": tall,
            "clean_model": self.model,
        }

    def _lines(self, pictures: list[Picture], greys: Sequence[Grey]) -> list[Rectangle]:
        """The lines of text that are laid over."""
        found = self._detector.find(pictures)
        height, width = greys[0].shape
        chosen = [box for boxes in found for row in caption_rows(boxes, size=(width, height)) for box in boxes[row]]
        if len(greys) > 1:
            for grey, boxes in zip(greys, found, strict=True):
                others = [other for other in greys if other is not grey]
                chosen += [box for box in boxes if all(alike(grey, other, box) for other in others)]
            chosen += _ticker(found, height)
        return [_around_text(box, (width, height)) for box in chosen]


def _ticker(found: Sequence[Boxes], height: int) -> list[npt.NDArray[np.float32]]:
    """The boxes near the top or the bottom at whose height there is text in every keyframe."""
    rows = [np.stack([boxes[:, :, 1].min(axis=1), boxes[:, :, 1].max(axis=1)], axis=1) for boxes in found]
    chosen = []
    for boxes, own in zip(found, rows, strict=True):
        middle = own.mean(axis=1)
        for box, place in zip(boxes, middle, strict=True):
            is_near = place < BAND * height or place > (1 - BAND) * height
            if is_near and all(((row[:, 0] < place) & (place < row[:, 1])).any() for row in rows):
                chosen.append(box)
    return chosen


def _inside(greys: Sequence[Grey]) -> Rectangle:
    """What is not bars; all, if no side of the picture is left."""
    height, width = greys[0].shape
    size = min(REDUCED_PX, width), max(round(height * min(REDUCED_PX, width) / width), 1)
    small = [np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8) for grey in greys]
    bars = np.stack([bar_ends(one, lambda: grey) for one, grey in zip(small, greys, strict=True)])  # noqa: B023  # called at once
    top, right, bottom, left = (agreed(bars[:, side]) for side in range(4))
    top, bottom = (one and one + BAR_PX / height for one in (top, bottom))
    left, right = (one and one + BAR_PX / width for one in (left, right))
    return (left, top, 1 - right, 1 - bottom) if left + right < 1 and top + bottom < 1 else (0.0, 0.0, 1.0, 1.0)


def _around_mark(box: watermark.Box) -> Rectangle:
    left, top, wide, tall = box
    return left - AROUND_MARK, top - AROUND_MARK, left + wide + AROUND_MARK, top + tall + AROUND_MARK


def _around_text(box: npt.NDArray[np.float32], size: tuple[int, int]) -> Rectangle:
    (left, top), (right, bottom) = (tuple(float(one) for one in edge) for edge in (box.min(axis=0), box.max(axis=0)))
    more = AROUND_TEXT * (bottom - top)
    width, height = size
    return (left - more) / width, (top - more) / height, (right + more) / width, (bottom + more) / height
