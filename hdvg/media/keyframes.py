"""Keep a few pictures of the current shot in bounded memory, to choose its keyframes when it ends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from hdvg.media.decode import Frame

POSITIONS = {"first": Fraction(1, 6), "middle": Fraction(1, 2), "last": Fraction(5, 6)}
"""Where in a clip its keyframes stand: in the middle of each third."""

HELD_MOST = 32
SAMPLES_PER_S = 6.0
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class Held:
    """A sampled frame at keyframe size, not yet turned; BGR (H, W, 3)."""

    index: int
    pts: int
    bgr: npt.NDArray[np.uint8]


class Keyframes:
    """Samples some frames a second; when too many are held, every other one goes and the pace halves.

    `lag` is how late a cut may be announced: the last frames are kept raw, so that every shot has one of its own.
    """

    def __init__(self, shape: dict[str, Any], *, long_side_px: int, quality: int, lag: int) -> None:
        self._turn = shape["rotation"]
        width, height = (
            (shape["width"], shape["height"]) if self._turn in (0, 180) else (shape["height"], shape["width"])
        )
        scale = min(1.0, long_side_px / max(width, height))
        self._size = max(round(width * scale), 1), max(round(height * scale), 1)
        self._quality = quality
        self._reformatter = VideoReformatter()
        self._recent: deque[Frame] = deque(maxlen=lag + 2)
        self._held: list[Held] = []
        self._every_s = 1 / SAMPLES_PER_S
        self._next_s = 0.0

    def see(self, frame: Frame, seconds: float) -> None:
        """Take the frame if it is its turn."""
        self._recent.append(frame)
        if not self._held or seconds >= self._next_s:
            self._hold(frame)
            self._next_s = seconds + self._every_s
        if len(self._held) > HELD_MOST:
            del self._held[1::2]
            self._every_s *= 2

    def close(self, start: int, end: int) -> list[tuple[str, Held]]:
        """The keyframes of the shot [start, end), by position; what came before `end` is let go."""
        for frame in self._recent:
            if frame.index in (start, end) and all(held.index != frame.index for held in self._held):
                self._hold(frame)
        self._held.sort(key=lambda held: held.index)
        mine = [held for held in self._held if start <= held.index < end]
        self._held = [held for held in self._held if held.index >= end]
        self._every_s = 1 / SAMPLES_PER_S
        last = end - 1 - start
        return [
            (name, min(mine, key=lambda held: abs(held.index - start - float(share * last))))
            for name, share in POSITIONS.items()
        ]

    def write(self, held: Held, path: Path) -> dict[str, int]:
        """Write the picture upright as JPEG; its width and height, px."""
        bgr = cv2.rotate(held.bgr, TURNS[self._turn]) if self._turn else held.bgr
        path.write_bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1].tobytes())
        return {"width": bgr.shape[1], "height": bgr.shape[0]}

    def _hold(self, frame: Frame) -> None:
        width, height = self._size
        small = self._reformatter.reformat(
            frame.picture, width=width, height=height, format="bgr24", interpolation="AREA"
        )
        self._held.append(Held(frame.index, frame.pts, as_array(small)))


def as_array(picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """The pixels of an 8-bit packed or grey picture, (H, W, 3) or (H, W)."""
    return np.asarray(picture.to_ndarray(), dtype=np.uint8)
