"""Stored keyframes as pictures."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from hdvg.keyframes import Shot

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Picture = npt.NDArray[np.uint8]  # (height, width, 3), BGR


BAR = 24
"""Brightest level, 0-255, of any pixel in a black bar: compression leaves some."""


def decode(jpeg: bytes) -> Picture | None:
    """JPEG bytes -> BGR picture; None if they do not decode."""
    import cv2
    import numpy as np

    if not jpeg:
        return None
    picture = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else picture.astype(np.uint8, copy=False)


def decode_rgb(stored: bytes) -> Image.Image | None:
    """JPEG or WebP bytes -> RGB picture; None if they do not decode."""
    from PIL import Image

    try:
        return Image.open(BytesIO(stored), formats=["JPEG", "WEBP"]).convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return None


def thirds(shot: Shot) -> list[bytes]:
    """The JPEGs at the middles of a shot's thirds, in time order; a video of few clips has further ones."""
    return [shot.keyframes[position] for position in ("first", "middle", "last") if position in shot.keyframes]


def keyframes(shot: Shot) -> list[Picture]:
    """Those that decode."""
    decoded = (decode(jpeg) for jpeg in thirds(shot))
    return [picture for picture in decoded if picture is not None]


def without_bars(picture: Picture) -> Picture:
    """The part of a picture within its black bars; all of it where that would be less than a third of a side."""
    lit_HW = picture.max(axis=2) > BAR
    kept = []
    for side, axis in ((lit_HW.any(axis=1), 0), (lit_HW.any(axis=0), 1)):
        found = side.nonzero()[0]
        if len(found) < picture.shape[axis] / 3:
            return picture
        kept.append(slice(int(found[0]), int(found[-1]) + 1))
    return picture[kept[0], kept[1]]


def to_pil(picture: Picture) -> Image.Image:
    """The same picture as Pillow's RGB image, which transformers' image processors take."""
    from PIL import Image

    return Image.fromarray(picture[:, :, ::-1].copy())
