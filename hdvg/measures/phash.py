"""A perceptual hash of a picture: near pictures differ in few of its 64 bits."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SIDE_PX = 32
KEPT = 8


def phash(grey: npt.NDArray[np.uint8]) -> str:
    """Signs of the 8 x 8 lowest DCT coefficients of the picture at 32 x 32, against their median; 16 hex digits."""
    small = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:KEPT, :KEPT].ravel()
    bits = low > np.median(low[1:])
    return np.packbits(bits).tobytes().hex()
