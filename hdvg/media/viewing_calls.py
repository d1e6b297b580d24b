"""What is asked of the children that make a clip ready for a browser; done in `hdvg.media.viewing`."""

from __future__ import annotations

from hdvg.sandbox.paths import Reads, Writes
from hdvg.sandbox.seam import seam


@seam("hdvg.media.viewing:write_proxy")
def write_proxy(path: Reads, live: Writes, out: Writes, height: int, max_pixels: int) -> int:
    raise NotImplementedError


@seam("hdvg.media.viewing:write_picture")
def write_picture(path: Reads, out: Writes, number: int, height: int, max_pixels: int) -> list[int]:
    raise NotImplementedError
