"""What is asked of the limited children that decode clips for training: declared here, done in `hdvg.latents.frames`."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from hdvg.sandbox.paths import Reads, Writes
from hdvg.sandbox.seam import seam


class Expected(TypedDict):
    """How many frames a clip must have, and how many pixels one of them may have."""

    n_frames: int
    max_pixels: int


@seam("hdvg.latents.frames:take")
def take(path: Reads, out: Writes, *, bucket: list[int], fps: float, starts: list[str], expected: Expected) -> int:
    raise NotImplementedError
