"""Which bucket a clip goes to: the nearest aspect among those that are not larger and whose frames it has.

Shapes: N clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hdvg.errors import UsageError
from hdvg.latents.encoders import FACTOR
from hdvg.latents.settings import Bucket, Encoding

if TYPE_CHECKING:
    Ints = npt.NDArray[np.int64]

NONE = {-1: "too small", -2: "too short", -3: "in no shard"}
"""Why a clip goes to no bucket: its picture is smaller than all; of those it fits, it has too few frames; not to be had."""


@dataclass(frozen=True)
class Sizes:
    """Of N clips: width and height, px, length, seconds, and frames; 0 where a clip is in no shard."""

    widths_N: Ints
    heights_N: Ints
    lengths_s_N: npt.NDArray[np.float64]
    frames_N: Ints


def check(encoding: Encoding) -> None:
    """Raise UsageError for a bucket whose sides are not multiples of 8."""
    for bucket in encoding.buckets:
        if bucket[1] % FACTOR or bucket[2] % FACTOR:
            near = [bucket[0], *(max(round(side / FACTOR), 1) * FACTOR for side in bucket[1:])]
            raise UsageError(f"data.buckets: {list(bucket)}: sides are multiples of {FACTOR} px, such as {near}")


def assign(sizes: Sizes, encoding: Encoding) -> Ints:
    """(N,): number of each clip's bucket in `encoding.buckets`, or a key of `NONE`.

    Aspects are compared by their logarithms; of equally near buckets the one with the most pixels in all counts. A clip has
    the frames of a bucket if it is so many frames long at `encoding.fps` and has as many frames itself; an image needs one.
    """
    had_N = np.minimum(np.floor(sizes.lengths_s_N * encoding.fps + 1e-6), sizes.frames_N)
    log_aspect_N = np.log(np.maximum(sizes.widths_N, 1) / np.maximum(sizes.heights_N, 1))
    found_N = np.where(sizes.frames_N > 0, -1, -3)
    best_N = np.full(len(found_N), np.inf)
    for number in _largest_first(encoding.buckets):
        frames, height, width = encoding.buckets[number]
        fits_N = (sizes.widths_N >= width) & (sizes.heights_N >= height) & (sizes.frames_N > 0)
        has_N = np.maximum(had_N, 1) >= frames
        found_N = np.where(fits_N & ~has_N & (found_N == -1), -2, found_N)
        distance_N = np.abs(log_aspect_N - np.log(width / height))
        better_N = fits_N & has_N & (distance_N < best_N - 1e-9)
        found_N, best_N = np.where(better_N, number, found_N), np.where(better_N, distance_N, best_N)
    return found_N.astype(np.int64)


def _largest_first(buckets: Sequence[Bucket]) -> list[int]:
    return sorted(range(len(buckets)), key=lambda number: (-np.prod(buckets[number]), number))


def reasons(found_N: Ints) -> dict[str, int]:
    """How many clips go to no bucket, by reason."""
    counts = Counter(found_N[found_N < 0].tolist())
    return {reason: counts[key] for key, reason in NONE.items() if counts[key]}


def refuse_empty(sizes: Sizes, found_N: Ints, encoding: Encoding) -> None:
    """Raise UsageError, which says why and what would be fine, if no clip has a bucket."""
    if (found_N >= 0).any():
        return
    buckets = ", ".join("x".join(map(str, bucket)) for bucket in encoding.buckets)
    if not len(found_N):
        raise UsageError(
            "nothing to encode: the dataset keeps no clips of which data.where holds; `hdvg status DATASET` says why"
        )
    why = ", ".join(f"{count} {reason}" for reason, count in reasons(found_N).items())
    if not sizes.frames_N.any():
        raise UsageError(f"nothing to encode: of {len(found_N)} kept clips {why}: run `hdvg shard DATASET` first")
    longest_s = float(sizes.lengths_s_N.max())
    largest = int(np.argmax(sizes.widths_N * sizes.heights_N))
    frames = max(int(min(longest_s * encoding.fps, sizes.frames_N.max())), 1)
    least = min(bucket[0] for bucket in encoding.buckets)
    fine = f"at most {frames} frames (or fps of at least {least / longest_s:.3g})" if longest_s else "an image, 1 frame"
    raise UsageError(
        f"nothing to encode: of {len(found_N)} kept clips {why} for data.buckets {buckets} (frames x height x width) at "
        f"{encoding.fps:g} fps; the longest clip has {longest_s:.2f} s, the largest picture is "
        f"{sizes.widths_N[largest]}x{sizes.heights_N[largest]} px; fine would be a bucket of {fine} and no larger picture: "
        f"--set 'data.buckets=[[{frames}, {_side(sizes.heights_N[largest])}, {_side(sizes.widths_N[largest])}]]'"
    )


def _side(side: np.int64) -> int:
    """The largest multiple of 8 that is not larger, 8 at least; at most 128, to begin with."""
    return max(min(int(side), 128) // FACTOR * FACTOR, FACTOR)
