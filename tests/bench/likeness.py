"""Whether a cut clip holds the frames it promises, and how well: compared frame by frame with its source."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.filter
import cv2
import numpy as np
import numpy.typing as npt

Thumbs = npt.NDArray[np.uint8]
THUMB = (160, 90)
REACH = 3
"""How far a frame may be off and still be told by how much."""

SURELY = 0.5
LEAST_LEVELS = 0.5
"""A frame counts as its neighbour if it differs from that by less than this share of the difference to its own, and by
at least so many levels less: what coding alone does to still pictures is no evidence."""

SHIFTED = 0.9
"""A whole clip counts as shifted if, over all its frames, it differs from the shifted source by less than this share."""


@dataclass(frozen=True)
class Likeness:
    """A clip against frames start..end-1 of its source: how many frames it has beside the promise, by how much its first
    and last frames are off, how many of all frames are another frame than promised, and by how much it is shifted as a
    whole (seen where motion is too slow to tell single frames)."""

    frames_more: int
    first_off: int
    last_off: int
    frames_off: int
    shift: int

    @property
    def exact(self) -> bool:
        """Every promised frame and no other."""
        return not (self.frames_more or self.first_off or self.last_off or self.frames_off or self.shift)


def thumbs(path: Path) -> Thumbs:
    """Every frame of a video as grey levels (N, H, W)."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return np.stack([_thumb(frame) for frame in container.decode(video=0)] or [np.zeros(THUMB[::-1], np.uint8)])


def _thumb(frame: av.VideoFrame) -> Any:
    """The luma plane as it is coded: where a stream changes its colour description, a threaded decoder gives the new one to
    frames before the change, and a conversion by it would tell equal pictures apart."""
    if not frame.format.name.startswith("yuv420p") or frame.format.components[0].bits != 8:
        return frame.reformat(width=THUMB[0], height=THUMB[1], format="gray", interpolation="AREA").to_ndarray()
    plane: Any = frame.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
    return cv2.resize(luma, THUMB, interpolation=cv2.INTER_AREA)


def compare(clip: Thumbs, source: Thumbs, start: int, end: int) -> Likeness:
    """Compare a clip's thumbnails with those of its source, all of them."""
    off = [_off(picture, source, start + at) for at, picture in enumerate(clip)]
    shared = off[: end - start]
    shift = _shift(clip, source, start)
    return Likeness(
        frames_more=len(clip) - (end - start),
        first_off=shared[0],
        last_off=_off(clip[-1], source, end - 1),
        frames_off=len(shared) if shift else sum(one != 0 for one in shared),
        shift=shift,
    )


def _shift(clip: Thumbs, source: Thumbs, start: int) -> int:
    """The shift of the source that is nearest to the clip, if it is clearly nearer than none."""
    inner = range(REACH, min(len(clip), len(source) - start) - REACH)
    if not inner:
        return 0
    far = {
        lag: float(np.mean([_levels(clip[at], source[start + at + lag]) for at in inner]))
        for lag in range(-REACH, REACH + 1)
        if start + inner[0] + lag >= 0
    }
    best = min(far, key=lambda lag: far[lag])
    return best if far[best] < SHIFTED * far[0] else 0


def _levels(one: Any, other: Any) -> float:
    return float(cv2.mean(cv2.absdiff(one, other))[0])


def _off(picture: Any, source: Thumbs, promised: int) -> int:
    """How many frames beside the promised one the picture is from; 0 unless another is surely nearer."""
    low, high = max(promised - REACH, 0), min(promised + REACH + 1, len(source))
    if not low <= promised < high:
        return REACH
    near = [_levels(picture, source[at]) for at in range(low, high)]
    own, best = near[promised - low], int(np.argmin(near))
    surely = near[best] < SURELY * own and own - near[best] > LEAST_LEVELS
    return low + best - promised if surely else 0


def ssim(clips: list[tuple[Path, int, int]], source: Path) -> float | None:
    """Mean SSIM (ffmpeg's, all planes) over the frames of clips (file, start, end) that do not overlap, each against the
    source's frame that it is."""
    values: list[float] = []
    with av.open(str(source)) as container:
        container.streams.video[0].thread_type = "AUTO"
        decoded = enumerate(container.decode(video=0))
        held: tuple[int, Any] | None = None
        for path, start, end in sorted(clips, key=lambda one: one[1]):
            while held is None or held[0] < start:
                if (held := next(decoded, None)) is None:
                    return statistics.fmean(values) if values else None
            if held[0] == start:
                values += _ssims(path, held[1], (frame for _, frame in decoded), most=end - start)
                held = None
    return statistics.fmean(values) if values else None


def _ssims(path: Path, first: Any, rest: Iterator[Any], *, most: int) -> Iterator[float]:
    with av.open(str(path)) as container, closing(_Pairs()) as graph:
        container.streams.video[0].thread_type = "AUTO"
        frames = container.decode(video=0)
        if (own := next(frames, None)) is not None:
            yield graph.ssim(own, first)
        for own in islice(frames, most - 1):
            if (other := next(rest, None)) is None:
                return
            yield graph.ssim(own, other)


class _Pairs:
    """ffmpeg's ssim filter, fed pair by pair."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._count = 0

    def close(self) -> None:
        """Let the filter go."""
        self._graph = None

    def ssim(self, one: Any, other: Any) -> float:
        """SSIM of two frames; the second is brought to the first's size and format."""
        other = other.reformat(width=one.width, height=one.height, format=one.format.name)
        if self._graph is None:
            self._build(one)
        for source, frame in zip(self._sources, (one, other), strict=True):
            frame.pts, frame.time_base = self._count, self._time_base
            source.push(frame)
        self._count += 1
        return float(self._sink.pull().metadata["lavfi.ssim.All"])

    def _build(self, frame: Any) -> None:
        self._time_base = Fraction(1, 25)
        self._graph = av.filter.Graph()
        shape = {"width": frame.width, "height": frame.height, "format": frame.format, "time_base": self._time_base}
        self._sources = [self._graph.add_buffer(**shape) for _ in range(2)]
        compare = self._graph.add("ssim")
        self._sink = self._graph.add("buffersink")
        for at, source in enumerate(self._sources):
            source.link_to(compare, 0, at)
        compare.link_to(self._sink)
        self._graph.configure()
