"""Latents that lie in memory, for feeds in tests: random numbers, and which are whose is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hdvg.ids import digest
from hdvg.latents.lengths import Lengths

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class StoredClip:
    """See `hdvg.training.sources.Clip`."""

    clip_id: str
    video_id: str
    shape: Shape
    windows: int
    texts: tuple[tuple[int, float], ...]


class StoredClips(list[StoredClip]):
    """See `hdvg.training.sources.Clips`."""

    def names(self, what: str) -> list[str]:
        return [getattr(clip, what) for clip in self]


class Stored:
    """See `hdvg.training.sources.Latents`: row r of the texts holds r in its first number, the empty text's zeros."""

    def __init__(self, clips: Sequence[StoredClip], *, keeps: str = "mean", failed: int = 0, codec: str = "c") -> None:
        self.clips = StoredClips(sorted(clips, key=lambda clip: clip.clip_id))
        self.wanted = len(clips) + failed
        self.codec, self.text, self.text_shape = codec, "t", (3, 5)
        rows = 1 + max((row for clip in clips for row, _ in clip.texts), default=-1)
        rng = np.random.default_rng(len(clips))
        self.latents = [
            rng.standard_normal((clip.windows, *clip.shape[:3], clip.shape[3] * (1 + (keeps == "both"))), np.float32)
            for clip in self.clips
        ]
        self.latents = [one.astype(np.float16) for one in self.latents]
        self.texts = rng.standard_normal((rows + 1, *self.text_shape), np.float32).astype(np.float16)
        self.texts[:, 0, 0] = np.arange(rows + 1)
        self.texts[-1] = 0
        self.lengths = Lengths.of([2] * rows, self.text_shape[0])
        self.digest = digest([clip.clip_id for clip in self.clips], codec)

    def read(self, clip: int, window: int, out: np.ndarray) -> None:
        out[...] = self.latents[clip][window]

    def read_text(self, row: int, out: np.ndarray) -> None:
        out[...] = self.texts[row]


def clips(
    count: int, *, name: str = "c", a_video: int = 1, shape: Shape = (4, 2, 3, 2), windows: int = 2, texts: int = 2
) -> list[StoredClip]:
    """So many clips, `a_video` of each video; the texts of clip i are rows i * texts and on, the first three times as likely."""
    return [
        StoredClip(
            digest(name, number),
            digest(name, "video", number // a_video),
            shape,
            windows,
            tuple((number * texts + row, 3.0 if row == 0 else 1.0) for row in range(texts)),
        )
        for number in range(count)
    ]
