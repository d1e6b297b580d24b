"""Find black bars around the picture, from a few frames of a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hdvg.media.calls import CutSpan
from hdvg.media.encode import Box
from hdvg.media.packets import Index
from hdvg.media.reading import Payload, Reading, stretches
from hdvg.media.source import Source

LOOKED_AT = 5
"""Frames of a clip."""
BLACK = 24
"""Grey levels, 0-255: noise and compression leave a bar below it."""
BLACK_SHARE = 0.98
"""Of a line's pixels, which makes it part of a bar: a logo does not, a few bad pixels may."""
LEAST_KEPT = 0.4
"""Of each side: if less remains, the picture is dark, not barred."""
LEAST_BAR = 0.02
"""Of each side, both bars together: a thinner line is not worth encoding for."""


def find_box(brightest: npt.NDArray[np.uint8]) -> Box | None:
    """(x, y, width, height), all even, of what is not bars in the pixelwise maximum (H, W) of a clip's grey pictures.

    None if there are no bars. A line is a bar if it is black in every picture; so a dark frame alone never crops anything.
    """
    bright = brightest >= BLACK
    height, width = bright.shape
    rows = np.flatnonzero(bright.mean(axis=1) > 1 - BLACK_SHARE)
    columns = np.flatnonzero(bright.mean(axis=0) > 1 - BLACK_SHARE)
    if not len(rows) or not len(columns):
        return None
    x, right = _evened(columns[0], columns[-1] + 1, width)
    y, bottom = _evened(rows[0], rows[-1] + 1, height)
    kept = (right - x) / width, (bottom - y) / height
    if min(kept) < LEAST_KEPT or max(1 - kept[0], 1 - kept[1]) < LEAST_BAR:
        return None
    return x, y, right - x, bottom - y


def _evened(start: Any, end: Any, size: int) -> tuple[int, int]:
    """Bounds moved inwards to even numbers, or to the whole side if the bars are too thin to be any."""
    if 1 - (end - start) / size < LEAST_BAR:
        return 0, size // 2 * 2
    return (int(start) + 1) // 2 * 2, int(end) // 2 * 2


def find_boxes(source: Source, index: Index, spans: Sequence[CutSpan]) -> dict[str, Box]:
    """The box to keep of each span that has bars, by clip_id, from frames spread over it: those that decode cheaply."""
    brightest: dict[str, npt.NDArray[np.uint8]] = {}
    boxes: dict[str, Box | None] = {}
    left: Counter[str] = Counter()
    asked: dict[int, list[str]] = {}
    if not index.usable:
        return {}
    for span in spans:
        for pts in _sample(index, span):
            asked.setdefault(pts, []).append(span["clip_id"])
            left[span["clip_id"]] += 1
    reading = Reading(source.path, index, max_pixels=source.max_pixels)
    for frame in reading.walk(stretches(index, [(pts, pts + 1) for pts in asked]), frozenset()):
        if isinstance(frame, Payload) or frame.pts not in asked:
            continue
        for clip_id in asked[frame.pts]:
            left[clip_id] -= 1
            if (frame.picture.width, frame.picture.height) == source.coded_size:
                grey: Any = frame.picture.to_ndarray(format="gray")
                brightest[clip_id] = np.maximum(brightest.get(clip_id, grey), grey)
            if not left[clip_id] and clip_id in brightest:  # let go at once: hundreds of clips would fill the memory
                boxes[clip_id] = find_box(brightest.pop(clip_id))
    boxes |= {clip_id: find_box(picture) for clip_id, picture in brightest.items()}
    return {clip_id: box for clip_id, box in boxes.items() if box is not None}


def _sample(index: Index, span: CutSpan) -> list[int]:
    """pts of frames at which decoding may start, evenly spread; of any frames, if fewer than two can be had."""
    start, end = span["start_pts"], span["end_pts"]
    times = index.times(start, end)
    shown = set(times)
    safe = [index.packets[number].pts for number in index.safe_within(start, end)]
    found = [pts for pts in safe if pts in shown]
    found = found if len(found) >= 2 else times
    return sorted({found[(2 * k + 1) * len(found) // (2 * LOOKED_AT)] for k in range(LOOKED_AT)}) if found else []
