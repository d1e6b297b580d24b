"""What detectors are given: features of the frames in a row, as the one pass keeps them, and sampled pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Sample:
    """A picture that may become a keyframe: its frame, upright BGR (H, W, 3), or already a JPEG with its perceptual hash."""

    index: int
    pts: int
    width: int
    height: int
    picture: npt.NDArray[np.uint8] | bytes
    phash: str = ""
    """See `media.features.phash_of`."""


@dataclass(frozen=True)
class Chunk:
    """Features of n frames in a row; indices in `series` and `samples` count from the chunk's first frame."""

    pts: npt.NDArray[np.int64]
    looks: npt.NDArray[np.uint8]
    """(n, 64): the frame upright at 8 x 8 grey levels."""
    thumbs: npt.NDArray[np.uint8]
    """(n, 27, 48, 3) RGB, not turned; none if neither the detector nor the stitching looks at them."""
    hashes: npt.NDArray[np.uint64]
    """(m, 3): index of a frame and its two perceptual hashes, upright (measures.phash.hash_pairs); of about 8 frames a second."""
    scores: dict[str, npt.NDArray[np.float64]]
    series: dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]
    samples: list[Sample] = field(default_factory=list)
