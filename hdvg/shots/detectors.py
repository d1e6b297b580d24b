"""Detectors: rows of scores in, transitions between shots out, in order and as soon as they are sure."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode

from hdvg.config.child_settings import SplitSettings
from hdvg.shots import DETECTOR
from hdvg.shots.chunk import Chunk
from hdvg.shots.transition import Transition

FPS = 25.0
"""Any rate does: PySceneDetect counts frames by index here, and indices are mapped to pts, never to seconds."""


class Detector(Protocol):
    """Takes chunks in order. No transition that ends a shot before frame `settled` is still to come."""

    @property
    def settled(self) -> int: ...

    def feed(self, chunk: Chunk) -> list[Transition]: ...

    def finish(self) -> list[Transition]: ...


class _At(int):
    """A frame's index where PySceneDetect wants a time: it subtracts and compares them, and FrameTimecode is slow at it."""

    frame_rate = FPS

    @property
    def frame_num(self) -> int:
        return int(self)


class _AdaptiveByScore(AdaptiveDetector):  # type: ignore[misc]  # scenedetect has no types
    """PySceneDetect decides; it is handed the score in place of the picture."""

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: Any) -> float:
        return float(frame_img)


class _ContentByScore(ContentDetector):  # type: ignore[misc]  # as above
    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: Any) -> float:
        return float(frame_img)


class ByContent:
    """PySceneDetect's `adaptive` or `content`, fed with content scores."""

    def __init__(self, detector: Any) -> None:
        self.settled = 0
        self._detector = detector
        self._seen = 0
        self._found = 0

    def feed(self, chunk: Chunk) -> list[Transition]:
        cuts: list[Transition] = []
        for score in chunk.scores["content"].tolist():
            cuts += self._new(self._detector.process_frame(_At(self._seen), score))
            self._seen += 1
        self.settled = self._seen - self._detector.event_buffer_length
        return cuts

    def finish(self) -> list[Transition]:
        return self._new(self._detector.post_process(_At(max(self._seen - 1, 0))))

    def _new(self, cuts: list[_At]) -> list[Transition]:
        fresh = sorted({cut.frame_num for cut in cuts if cut.frame_num > self._found})
        self._found = fresh[-1] if fresh else self._found
        return [Transition(cut, cut) for cut in fresh]


def _adaptive(settings: SplitSettings, *, min_scene_frames: int) -> AdaptiveDetector:
    return _AdaptiveByScore(
        adaptive_threshold=settings["adaptive_threshold"],
        min_scene_len=min_scene_frames,
        window_width=settings["window_frames"],
        min_content_val=settings["min_content_val"],
    )


class Version061:
    """AdaptiveDetector as PySceneDetect 0.6.1 had it, which made HD-VG-130M, as its scene lengths suggest.

    The first cut needs no distance from the start, later ones `min_scene_frames` from the last; and where there is
    any cut at all the last frame belongs to no shot, for scene lists ended at the index of the last frame.
    """

    def __init__(self, settings: SplitSettings) -> None:
        self.settled = 0
        self._every = ByContent(_adaptive(settings, min_scene_frames=0))
        self._gap = settings["min_scene_frames"]
        self._last: int | None = None
        self._seen = 0

    def feed(self, chunk: Chunk) -> list[Transition]:
        kept = []
        for cut in self._every.feed(chunk):
            if self._last is None or cut.start - self._last >= self._gap:
                self._last = cut.start
                kept.append(cut)
        self._seen += len(chunk.pts)
        self.settled = self._every.settled
        return kept

    def finish(self) -> list[Transition]:
        return [] if self._last is None else [Transition(self._seen - 1, self._seen, "end")]


class ByThreshold:
    """PySceneDetect's `histogram` and `hash`: a cut where the score reaches a threshold, far enough from the last."""

    def __init__(self, score: str, threshold: float, settings: SplitSettings) -> None:
        self.settled = 0
        self._score = score
        self._sign = -1.0 if score == "histogram" else 1.0  # a correlation falls where pictures differ
        self._threshold = (1.0 - threshold if score == "histogram" else threshold) * self._sign
        self._gap = settings["min_scene_frames"]
        self._last = 0

    def feed(self, chunk: Chunk) -> list[Transition]:
        cuts = []
        for row in np.flatnonzero(chunk.scores[self._score] * self._sign >= self._threshold).tolist():
            index = self.settled + row
            if index > 0 and index - self._last >= self._gap:
                self._last = index
                cuts.append(Transition(index, index))
        self.settled += len(chunk.pts)
        return cuts

    def finish(self) -> list[Transition]:
        return []


def adaptive(settings: SplitSettings) -> ByContent:
    """PySceneDetect's AdaptiveDetector with the settings' thresholds."""
    return ByContent(_adaptive(settings, min_scene_frames=settings["min_scene_frames"]))


def content(settings: SplitSettings) -> ByContent:
    """PySceneDetect's ContentDetector with the settings' threshold."""
    least = settings["min_scene_frames"]
    return ByContent(_ContentByScore(threshold=settings["content_threshold"], min_scene_len=least))


def histogram(settings: SplitSettings) -> ByThreshold:
    """PySceneDetect's HistogramDetector."""
    return ByThreshold("histogram", settings["histogram_threshold"], settings)


def perceptual_hash(settings: SplitSettings) -> ByThreshold:
    """PySceneDetect's HashDetector."""
    return ByThreshold("hash", settings["hash_threshold"], settings)


def make_detector(settings: SplitSettings) -> Detector:
    """The detector that config.Split's settings name. Raises UsageError if it is a plug-in that cannot be loaded."""
    name = settings["detector"]
    detector: Detector = DETECTOR.checked(name, DETECTOR.find(name)(settings))
    return detector
