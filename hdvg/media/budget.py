"""How much one video may make its decoder give out: a small file can hold hundreds of thousands of frames."""

from __future__ import annotations

import av

from hdvg.config.child_settings import SplitSettings
from hdvg.errors import ItemError


class Budget:
    """Counts frames and their bytes against limits.max_frames and limits.max_decoded_gb; absent ones do not bind."""

    def __init__(self, settings: SplitSettings) -> None:
        self._frames = settings.get("max_frames")
        self._bytes = settings.get("max_decoded_gb", float("inf")) * 1e9
        self._count, self._size = 0, 0.0
        self._like: tuple[int, int, str] | None = None
        self._each = 0.0

    def spend(self, picture: av.VideoFrame) -> None:
        """One more frame. Raises ItemError too_many_frames."""
        self._count += 1
        self.refuse(self._count)
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
