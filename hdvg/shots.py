"""Find shot boundaries with PySceneDetect's detectors, fed frame by frame from the one decode pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, SceneDetector

FPS = 25.0
"""Any rate does: detectors count frames by index here, and indices are mapped to pts, never to seconds."""

DETECTORS: dict[str, Callable[[dict[str, Any]], SceneDetector]] = {
    "adaptive": lambda settings: AdaptiveDetector(
        adaptive_threshold=settings["adaptive_threshold"],
        min_scene_len=settings["min_scene_frames"],
        window_width=settings["window_frames"],
        min_content_val=settings["min_content_val"],
    ),
    "content": lambda settings: ContentDetector(
        threshold=settings["content_threshold"],
        min_scene_len=settings["min_scene_frames"],
    ),
}


class ShotBoundaries:
    """Takes frames in order, gives the indices at which a new shot starts, as soon as they are sure."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._detector = DETECTORS[settings["detector"]](settings)
        self._last = 0
        self._found = 0
        self.lag = self._detector.event_buffer_length
        """How many frames after a cut it may be announced at most."""

    def see(self, index: int, bgr: npt.NDArray[np.uint8]) -> list[int]:
        """Cuts that this frame makes sure."""
        self._last = index
        return self._new(self._detector.process_frame(FrameTimecode(index, FPS), bgr))

    def finish(self) -> list[int]:
        """Cuts that only the end makes sure."""
        return self._new(self._detector.post_process(FrameTimecode(self._last, FPS)))

    def _new(self, cuts: list[FrameTimecode]) -> list[int]:
        fresh = sorted({cut.frame_num for cut in cuts if cut.frame_num > self._found})
        self._found = fresh[-1] if fresh else self._found
        return fresh
