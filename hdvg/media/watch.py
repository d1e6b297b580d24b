"""Measures watch a decode: each sees the frames that it wants to see, whether in the pass or alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import av
import cv2
from av.video.frame import PictureType

from hdvg.config.child_settings import SplitSettings
from hdvg.measures.faults import Faults
from hdvg.measures.measure import Measure, Picture, Sight, View
from hdvg.media.calls import Shape
from hdvg.media.pixels import Analysis, Luminance, Scaler
from hdvg.shots import looks_of
from hdvg.shots.scores import SCORES

PER_S: dict[Sight, float] = {"hash": 8, "glance": 2, "look": 1, "stare": 0.5}
"""How often measures look closer."""
FRESH_LEVELS = 12.0
LATELY = 3
"""A new shot may begin where a frame's score is over 12, and over twice that of so many before it."""


class Seen(NamedTuple):
    """A frame at the analysis width: colours (H, W, 3) and luminance (H, W); its scores, and how closely it was looked at."""

    bgr: Picture
    grey: Picture
    scores: dict[str, float]
    sights: set[Sight]
    is_fresh: bool
    """Whether a new shot may begin here."""


class Watch:
    """Shows `measures` frames, in order; what they remember of one stands under its index.

    `shape` is media.geometry.geometry's; settings["detector"] says which scores it needs.
    """

    def __init__(self, shape: Shape, settings: SplitSettings, measures: Sequence[Measure]) -> None:
        self.scores = {name: SCORES[name]() for name in sorted(looks_of(settings["detector"]).scores)}
        self.faults = Faults()
        self._measures = measures
        self._analysis = Analysis(shape, settings)
        self._scaler = Scaler()
        self._attention = _Attention()
        self._lately = deque([0.0] * LATELY, LATELY)

    def __call__(self, picture: av.VideoFrame, seconds: float, index: int) -> Seen:
        """Show one frame; `seconds` since the video's first frame."""
        bgr, scored = self._analysis(picture)
        scores = {name: score(scored) for name, score in self.scores.items()}
        is_fresh = scores["content"] >= FRESH_LEVELS and scores["content"] >= 2 * max(self._lately)
        self._lately.append(scores["content"])
        grey: Any = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)  # cv2 types no uint8
        luma = Luminance(picture, self._scaler)
        sights = self._attention(picture, seconds, fresh=is_fresh)
        view = View(index, seconds, grey, bgr, luma.at_width, luma.full, luma.span, "look" in sights)
        for measure in self._measures:
            if measure.sees in sights:
                self.faults.see(measure, view)
        return Seen(bgr, grey, scores, sights, is_fresh)


def is_thrifty(settings: SplitSettings) -> bool:
    """Whether pictures that no other is made from may stay as decoded, without deblocking (see `open_video`)."""
    return settings["detector"] != "pyscenedetect-0.6.1"


class _Attention:
    """Which frames are looked at more closely, by nothing but themselves and the frame before.

    Stares wait for an I or P picture: others may be decoded without deblocking (see `open_video`). A segment begins with
    one, so nothing waits across its start.
    """

    def __init__(self) -> None:
        self._before_s: float | None = None
        self._waits = True

    def __call__(self, picture: av.VideoFrame, seconds: float, *, fresh: bool) -> set[Sight]:
        """What the frame is to measures."""
        before_s, self._before_s = self._before_s, seconds
        sights: set[Sight] = {sight for sight, per_s in PER_S.items() if fresh or _passes(before_s, seconds, per_s)}
        self._waits |= "stare" in sights
        if self._waits and picture.pict_type != PictureType.B:
            self._waits = False
            return sights | {"frame", "stare"}
        return sights - {"stare"} | {"frame"}


def _passes(before_s: float | None, seconds: float, per_s: float) -> bool:
    return before_s is None or int(before_s * per_s) != int(seconds * per_s)
