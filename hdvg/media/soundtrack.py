"""Read the sound of a video once, into levels of each tenth of a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hdvg.measures.track import BLOCK_S, FINE, Track, no_sound
from hdvg.media.audio import decoded, filtered
from hdvg.media.containers import open_container
from hdvg.media.decode import film_of
from hdvg.media.streams import find_sound

FULL = 0.999
"""Of full scale: what is rounded may end a little below."""
RUN = 3
"""Samples on end at full scale that are taken for clipping."""
FILTERS = [("ebur128", "metadata=1"), ("aformat", "sample_fmts=fltp")]
"""They give blocks of 0.1 s, each with its momentary loudness."""
LOUDNESS = "lavfi.r128.M"
LEAST = 1e-6
"""-120 dBFS."""


def read_track(path: str) -> Track:
    """The sound that belongs to the film of a file, see `find_sound`; what is damaged of it is silent, as gaps are."""
    with open_container(path) as container:
        film = film_of(container, path)
        stream = find_sound(container, film)
        if stream is None or stream.codec_context is None or not stream.codec_context.name:
            return no_sound()
        blocks = list(_blocks(container, stream))
    if not blocks:
        return no_sound()
    starts_s = blocks[0][0] - BLOCK_S
    film_s = float((film.start_time or 0) * film.time_base)
    ends_s, lufs, level, peak, sharp, clipped = map(np.array, zip(*blocks, strict=True))
    level, sharp = 20 * np.log10(level + LEAST), 20 * np.log10(sharp + LEAST)
    return Track(stream.channels, starts_s - film_s, ends_s, lufs, level, peak, sharp, clipped)


Block = tuple[float, float, float, float, npt.NDArray[np.float64], bool]
"""End in seconds, momentary LUFS, root mean square, peak, that of the steps in each part (FINE,), clipped."""


def _blocks(container: Any, stream: Any) -> Iterator[Block]:
    """The blocks of a stream, see `Block`; what is left at the end is none."""
    frames = filtered(decoded(container, stream), FILTERS, time_base=stream.time_base)
    return (_block(frame) for frame in frames if LOUDNESS in frame.metadata)


def _block(frame: Any) -> Block:
    sample_CN = frame.to_ndarray()
    peak = float(max(sample_CN.max(), -sample_CN.min()))
    level = float(np.sqrt(np.square(sample_CN).mean(dtype=np.float64)))
    end_s = float(frame.pts * frame.time_base) + BLOCK_S
    is_clipped = peak >= FULL and bool(_has_run(np.abs(sample_CN) >= FULL))
    return end_s, float(frame.metadata[LOUDNESS]), level, peak, _sharp(sample_CN), is_clipped


def _sharp(sample_CN: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(FINE,): root mean square of the steps between samples in each part."""
    steps = np.square(np.diff(sample_CN, axis=1)).mean(axis=0, dtype=np.float64)
    edges = np.arange(FINE) * len(steps) // FINE
    return np.sqrt(np.add.reduceat(steps, edges) / np.diff(edges, append=len(steps)))


def _has_run(full_CN: npt.NDArray[np.bool_]) -> bool:
    """Whether `RUN` samples on end of a channel are set."""
    starts = full_CN.shape[1] - RUN + 1
    return bool(np.logical_and.reduce([full_CN[:, at : at + starts] for at in range(RUN)]).any())
