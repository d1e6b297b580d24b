"""On-screen text: how much of the picture it covers, whether it stays in a clip, stays in a video, or is a caption.

Stable Video Diffusion (arXiv:2311.15127, appendix C) drops clips whose boxes on the first, middle and last frame cover
more than 7 % of the picture.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from hdvg.config.sections import Measure
from hdvg.ids import digest, file_sha256
from hdvg.keyframes import Shot
from hdvg.measures.textboxes import Boxes, Detector, Picture, covered_share, weights
from hdvg.networks.files import short_hash
from hdvg.networks.pictures import decode, keyframes

VERSION = 1
"""Raise it when code changes the numbers."""

Grey = npt.NDArray[np.uint8]  # (height, width)
Row = dict[str, Any]

ALIKE = 0.6
"""Least correlation of strokes that are the same. Measured: 98 % of equal texts on other footage reach 0.7, other texts
at the place 0.47 at most."""

STROKES = 0.3  # share of a box's pixels, those of the strongest edges, that are compared
WITNESSES = 32  # other clips of a video that are asked at most
# The caption band in shares of the picture: highest middle, height of a row, distance from the centre, widest row;
# and the least width over height of a row.
BAND_TOP, ROW_HIGH, OFF_CENTRE, ROW_WIDE, ROW_ASPECT = 0.7, 0.14, 0.06, 0.95, 1.2


class Text:
    """PP-OCR's detector on every keyframe; see schemas.measures.TEXT for the columns."""

    needs: ClassVar[Mapping[str, str]] = {"cv2": "OpenCV", "onnxruntime": "onnxruntime", "rapidocr": "rapidocr"}
    columns: ClassVar[tuple[str, ...]] = (
        "text_area",
        "text_boxes",
        "text_stable",
        "text_persistent",
        "subtitle",
        "text_model",
    )

    def __init__(self, settings: Measure) -> None:
        self.model = f"PP-OCRv6-det-small@{short_hash(weights())}"
        self.detector = Detector(
            side_px=settings.text_side_px,
            min_score=settings.text_min_score,
            max_softness_px=settings.text_max_softness_px,
        )
        self.detector.network  # noqa: B018 - load it now: what is wrong with it is said before the work begins

    @staticmethod
    def fingerprint(settings: Measure) -> str:
        """16 hex digits of the weights and of the settings that shape the numbers. Raises UsageError if there are none."""
        shaping = settings.text_side_px, settings.text_min_score, settings.text_max_softness_px
        return digest("text", VERSION, file_sha256(weights()), *shaping)[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[Row]:
        """One row a wanted shot, in order; only text_persistent depends on the further shots, wanted or not."""
        witnesses = _Witnesses([*wanted, *others])
        return [self._measure(shot, witnesses) for shot in wanted]

    def _measure(self, shot: Shot, witnesses: _Witnesses) -> Row:
        pictures = keyframes(shot)
        pictures = [picture for picture in pictures if picture.shape == pictures[0].shape]
        if not pictures:
            return dict.fromkeys(self.columns) | {"text_model": self.model}
        found = self.detector.find(pictures)
        size = pictures[0].shape[1], pictures[0].shape[0]
        greys = [_grey(picture) for picture in pictures]
        return {
            "text_area": max(covered_share(boxes, size=size) for boxes in found),
            "text_boxes": max(len(boxes) for boxes in found),
            "text_stable": _stable(greys, found),
            "text_persistent": _persistent(greys, found, witnesses.of(shot) if any(map(len, found)) else []),
            "subtitle": any(has_caption(boxes, size=size) for boxes in found),
            "text_model": self.model,
        }


class _Witnesses:
    """The middle keyframes of a video's clips in grey, decoded when first asked for."""

    def __init__(self, shots: Sequence[Shot]) -> None:
        self._shots = {shot.clip_id: shot for shot in shots}
        self._greys: dict[str, Grey | None] = {}

    def of(self, shot: Shot) -> list[Grey]:
        """Those of the first `WITNESSES` other clips by id, which is a fair draw as ids are hashes."""
        ids = heapq.nsmallest(WITNESSES, self._shots.keys() - {shot.clip_id})
        return [grey for one in ids if (grey := self._grey(one)) is not None]

    def _grey(self, clip_id: str) -> Grey | None:
        if clip_id not in self._greys:
            picture = decode(self._shots[clip_id].keyframes.get("middle", b""))
            self._greys[clip_id] = None if picture is None else _grey(picture)
        return self._greys[clip_id]


def _stable(greys: Sequence[Grey], found: Sequence[Boxes]) -> bool | None:
    """Whether a box stays in all keyframes; None if it has text but no second picture to compare."""
    if not any(map(len, found)):
        return False
    if len(greys) < 2:
        return None
    return any(
        all(alike(grey, other, box) for other in greys if other is not grey)
        for grey, boxes in zip(greys, found, strict=True)
        for box in boxes
    )


def _persistent(greys: Sequence[Grey], found: Sequence[Boxes], witnesses: Sequence[Grey]) -> bool | None:
    """Whether a box is there in more than half of the witnesses; None if it has text but there is no witness."""
    if not any(map(len, found)):
        return False
    if not witnesses:
        return None
    return any(
        sum(alike(grey, other, box) for other in witnesses) * 2 > len(witnesses)
        for grey, boxes in zip(greys, found, strict=True)
        for box in boxes
    )


def alike(grey: Grey, other: Grey, box: npt.NDArray[np.float32]) -> bool:
    """Whether `other` has the strokes that `grey` has in a box (4 corners, px), at the same place.

    Correlation of the gradients where those of `grey` are strongest: the edges of its letters, so that another
    background, or what shines through, hardly counts.
    """
    if grey.shape != other.shape:
        return False
    left, top, width, height = cv2.boundingRect(box.astype(np.int32))
    part = slice(top, top + height), slice(left, left + width)
    ours, theirs = gradients(grey[part]), gradients(other[part])
    power = np.square(ours).sum(axis=0)
    strokes = power >= np.quantile(power, 1 - STROKES)
    ours, theirs = ours[:, strokes], theirs[:, strokes]
    scale = float(np.sqrt(np.square(ours).sum() * np.square(theirs).sum()))
    return scale > 0 and float((ours * theirs).sum()) / scale >= ALIKE


def gradients(grey: Grey) -> npt.NDArray[np.float32]:
    """(2, height, width): how fast the levels change to the right and downwards."""
    return np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)])


def has_caption(boxes: Boxes, *, size: tuple[int, int]) -> bool:
    """Whether a row of boxes is a caption."""
    return bool(caption_rows(boxes, size=size))


def caption_rows(boxes: Boxes, *, size: tuple[int, int]) -> list[npt.NDArray[np.bool_]]:
    """Which boxes stand in rows that are captions: low in the picture of `size` (width, height), centred, wide and short."""
    rows = []
    shares = boxes / np.array(size, dtype=np.float32)
    left, top = shares.min(axis=1).T if len(boxes) else (np.empty(0), np.empty(0))
    right, bottom = shares.max(axis=1).T if len(boxes) else (np.empty(0), np.empty(0))
    middle = (top + bottom) / 2
    for y in middle[middle > BAND_TOP]:
        row = (top < y) & (y < bottom)
        wide, high = right[row].max() - left[row].min(), (bottom[row] - top[row]).max()
        off_centre = abs((right[row].max() + left[row].min()) / 2 - 0.5)
        short = high <= ROW_HIGH and wide * size[0] >= ROW_ASPECT * high * size[1]
        if short and wide <= ROW_WIDE and off_centre <= OFF_CENTRE:
            rows.append(row)
    return rows


def _grey(picture: Picture) -> Grey:
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
