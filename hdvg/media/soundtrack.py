"""Read the sound of a video once, into levels of each tenth of a second."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from av.error import FFmpegError, InvalidDataError

from hdvg.measures.track import BLOCK_S, Track, no_sound
from hdvg.media.audio import filter_graph, pulled
from hdvg.media.containers import open_container
from hdvg.media.decode import film_of
from hdvg.media.source_file import check_was_read, file_of
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
    ends_s, lufs, level, peak, clipped = map(np.array, zip(*blocks, strict=True))
    return Track(stream.channels, starts_s - film_s, ends_s, lufs, 20 * np.log10(level + LEAST), peak, clipped)


def _blocks(container: Any, stream: Any) -> Iterator[tuple[float, float, float, float, bool]]:
    """(end in seconds, momentary LUFS, root mean square, peak, clipped) of each block."""
    for _, frames in itertools.groupby(_frames(container, stream), key=_form):
        graph: Any = None
        for frame in itertools.chain(frames, [None]):
            graph = graph or filter_graph(frame, frame.sample_rate, FILTERS, time_base=stream.time_base)
            graph.push(frame)
            yield from _ready(graph)


def _form(frame: Any) -> tuple[int, str, str]:
    """What all frames that one graph takes have in common."""
    return frame.sample_rate, frame.format.name, frame.layout.name


def _ready(graph: Any) -> Iterator[tuple[float, float, float, float, bool]]:
    """The blocks that are ready; what is left at the end of a track is none."""
    return (_block(frame) for frame in pulled(graph) if LOUDNESS in frame.metadata)


def _block(frame: Any) -> tuple[float, float, float, float, bool]:
    sample_CN = frame.to_ndarray()
    peak = float(max(sample_CN.max(), -sample_CN.min()))
    level = float(np.sqrt(np.square(sample_CN).mean(dtype=np.float64)))
    end_s = float(frame.pts * frame.time_base) + BLOCK_S
    return end_s, float(frame.metadata[LOUDNESS]), level, peak, peak >= FULL and _has_run(np.abs(sample_CN) >= FULL)


def _has_run(full_CN: npt.NDArray[np.bool_]) -> bool:
    """Whether `RUN` samples on end of a channel are set."""
    starts = full_CN.shape[1] - RUN + 1
    return bool(np.logical_and.reduce([full_CN[:, at : at + starts] for at in range(RUN)]).any())


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (FFmpegError, OSError):
            check_was_read(file_of(container))
            return
        if packet is None:
            return
        try:
            yield from (frame for frame in stream.codec_context.decode(packet) if frame.pts is not None)
        except InvalidDataError:
            continue
        except MemoryError:
            raise
        except FFmpegError:
            return
