"""How much one video may make its decoder give out: a small file can hold hundreds of thousands of frames."""

from __future__ import annotations

import av

from hdvg.config.child_settings import SplitSettings
from hdvg.errors import ItemError

FAST_FRAMES, FAST_RATE = 100_000, 300.0
"""So many frames at more than so many a second are a bomb: a film of three hours has more, but no player shows these."""


class Budget:
    """Counts frames and their bytes against limits.max_frames and limits.max_decoded_gb, absent ones do not bind; and frames
    that come too fast."""

    def __init__(self, settings: SplitSettings) -> None:
        self._frames = settings.get("max_frames")
        self._bytes = settings.get("max_decoded_gb", float("inf")) * 1e9
        self._count, self._size = 0, 0.0
        self._like: tuple[int, int, str] | None = None
        self._each = 0.0
        self._first_s: float | None = None

    def spend(self, picture: av.VideoFrame, *, at_s: float) -> None:
        """One more frame, which is shown at that time. Raises ItemError too_many_frames."""
        self._count += 1
        self.refuse(self._count)
        self._refuse_bomb(at_s)
        like = picture.width, picture.height, picture.format.name
        if like != self._like:
            self._like, self._each = like, picture.width * picture.height * picture.format.bits_per_pixel / 8
        self._size += self._each
        if self._size > self._bytes:
            raise ItemError(
                "too_many_frames", f"over {self._bytes / 1e9:g} GB of pictures in the first {self._count} frames"
            )

    def refuse(self, frames: int) -> None:
        """Raises ItemError too_many_frames if there are so many."""
        if self._frames is not None and frames > self._frames:
            raise ItemError("too_many_frames", f"over {self._frames} frames")

    def _refuse_bomb(self, at_s: float) -> None:
        self._first_s = at_s if self._first_s is None else self._first_s
        if self._count > FAST_FRAMES and self._count > FAST_RATE * (at_s - self._first_s):
            raise ItemError(
                "too_many_frames", f"over {FAST_FRAMES} frames, and more than {FAST_RATE:g} of them a second"
            )
