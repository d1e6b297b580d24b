"""Segments of a long video: where it may be taken apart, and the frames of one part, decoded on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from hdvg.errors import ItemError
from hdvg.media.calls import Segment
from hdvg.media.decode import Decoder, Frame, open_video
from hdvg.media.packets import index_packets
from hdvg.media.parameter_sets import Sets, signature

MENDED_BEFORE = 151
"""x264 builds before it write what needs mending (4:4:4 with CABAC is the last of it)."""

SEEKABLE = ("mp4", "matroska")
"""Containers with an index, in which a seek lands where it says."""


def plan_segments(path: str, segment_s: float, max_pixels: int) -> list[Segment]:
    """Segments of at least `segment_s` seconds, each from a packet at which decoding may start; [] if there are not two."""
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        index = index_packets(container, stream)
        step = int(Fraction(segment_s) / Fraction(stream.time_base))
    if not index.usable or not index.shown or any(_is_mended(sets) for sets in index.sets):
        return []
    first, last, shown = index.shown[0], index.shown[-1], set(index.shown)
    starts = [first]
    for number in index.safe_within(first, last + 1):
        pts = index.packets[number].pts
        if pts - starts[-1] >= step and last - pts >= step // 2 and pts in shown:
            starts.append(pts)
    if len(starts) < 2:
        return []
    return [
        {"start_pts": start, "end_pts": end, "video_start_pts": first, "n_frames": len(index.shown)}
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]


def _is_mended(sets: Sets) -> bool:
    """Whether FFmpeg's H.264 decoder makes up for errors of the x264 that wrote this: only a decoder that sees the first
    packet, where x264 names itself, does so; any other gives other pictures, without an error."""
    builds = (re.search(rb"x264 - core (\d+)", one) for one in signature(sets))
    return any(found is not None and int(found[1]) < MENDED_BEFORE for found in builds)


def segment_frames(container: Any, stream: Any, segment: Segment, decoder: Decoder) -> Iterator[Frame]:
    """The frames from the segment's first to the next segment's first, both included: scores compare neighbours.

    Raises ItemError `segments` if the seek does not find the first one.
    """
    start, end = segment["start_pts"], segment["end_pts"]
    if start != segment["video_start_pts"]:
        container.seek(start, stream=stream, backward=True, any_frame=False)
    first = True
    for frame in decoder:
        if frame.pts < start:
            continue
        if first and frame.pts != start:
            raise ItemError("segments", f"from {start}: the first frame that decodes is at {frame.pts}")
        first = False
        yield frame
        if end is not None and frame.pts >= end:
            return
    if first:
        raise ItemError("segments", f"from {start}: no frame decodes")
