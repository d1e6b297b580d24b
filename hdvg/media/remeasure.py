"""Measures of frames taken alone: in a child, of spans of a video, in one decode for all that are missing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from hdvg.config.child_settings import SplitSettings
from hdvg.errors import ItemError
from hdvg.measures.faults import SERIES, Faults, values_of
from hdvg.measures.measure import Clip, Measure, Series
from hdvg.media import measure_calls
from hdvg.media.decode import alone_if_damaged, open_video
from hdvg.media.excerpt import is_excerpt
from hdvg.media.geometry import geometry
from hdvg.media.measure_calls import Span, Values, Wanted
from hdvg.media.soundtrack import read_track
from hdvg.media.spans import Frames
from hdvg.media.watch import Watch, is_thrifty
from hdvg.plugins import load_named
from schemas.pass_measures import PASS


@measure_calls.remeasure.serves
def remeasure(
    path: str, spans: list[Span], measures: dict[str, Wanted], settings: SplitSettings, threads: int, max_pixels: int
) -> list[Values]:
    """The values of `measures` for each span, in order: the numbers that the pass has for such a clip.

    `settings` are config.Split's. Raises ItemError bad_span for a span without a frame, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    return alone_if_damaged(lambda few: _remeasure(path, spans, measures, settings, few, max_pixels), threads)


def _remeasure(
    path: str, spans: list[Span], measures: dict[str, Wanted], settings: SplitSettings, threads: int, max_pixels: int
) -> list[Values]:
    thrifty = is_thrifty(settings)
    with open_video(path, threads=threads, max_pixels=max_pixels, thrifty=thrifty) as opened:
        watched = _Watched(path, spans, measures, Fraction(opened[1].time_base))
        if watched.hears_alone:
            return [watched.heard(span) for span in spans]
        frames = Frames(path, opened, spans, threads=threads, max_pixels=max_pixels, thrifty=thrifty)
        show: Watch | None = None
        for frame in frames:
            if show is None:
                shape = geometry(opened[1], frame.picture)
                watched.shape, show = shape, Watch(shape, settings, watched.watching)
                watched.add_faults(show.faults)
            watched.settle(frame.pts)
            show(frame.picture, float((frame.pts - (frames.start_pts or 0)) * watched.base), len(watched.pts))
            watched.pts.append(frame.pts)
        watched.settle(frames.end_pts, at_end=True)
    return [watched.values[number] for number in range(len(spans))]


class _Watched:
    """What measures remember of the frames so far, and the values of the spans that are over."""

    def __init__(self, path: str, spans: Sequence[Span], measures: Mapping[str, Wanted], base: Fraction) -> None:
        self.base = base
        self.shape: Mapping[str, Any] = {}
        self.pts: list[int] = []
        self.values: dict[int, Values] = {}
        self._spans = spans
        self._made: dict[str, Measure] = {
            name: load_named(one["made_by"])(**one["options"]) for name, one in measures.items()
        }
        used = {name for made in self._made.values() for name in getattr(made, "uses", ()) if name not in measures}
        self.watching = [*self._made.values(), *(load_named(PASS[name].made_by)() for name in sorted(used))]
        self._series = {name: series for one in self.watching for name, series in one.series.items()}
        hears = [one.sees == "sound" for one in self.watching]
        self.hears_alone = all(hears)
        self._track = read_track(path) if any(hears) and not is_excerpt(path) else None
        self._open = sorted(range(len(spans)), key=lambda number: spans[number]["end_pts"])

    def add_faults(self, faults: Faults) -> None:
        """What measures will fail at."""
        self._series[SERIES] = faults.series

    def settle(self, pts: int, *, at_end: bool = False) -> None:
        """All frames before `pts` have been seen: take the values of the spans that are over."""
        done = False
        while self._open and (at_end or self._spans[self._open[0]]["end_pts"] <= pts):
            number = self._open.pop(0)
            self.values[number] = self._of(self._spans[number], pts)
            done = True
        if done:
            starts = [bisect_left(self.pts, self._spans[number]["start_pts"]) for number in self._open]
            for series in self._series.values():
                series.forget(min(starts, default=len(self.pts)))

    def _of(self, span: Span, seen_to: int) -> Values:
        start, end = bisect_left(self.pts, span["start_pts"]), bisect_left(self.pts, span["end_pts"])
        if start == end:
            raise ItemError("bad_span", f"no frame decodes from pts {span['start_pts']} to {span['end_pts']}")
        times = [*self.pts[start:end], min(span["end_pts"], max(seen_to, self.pts[end - 1] + 1))]
        seconds = np.array([float((one - times[0]) * self.base) for one in times])
        return self._asked(Clip(start, end, seconds, self.shape, self._series, self._start_s(span), self._track))

    def heard(self, span: Span) -> Values:
        """The values of a span where no measure sees a frame."""
        length_s = float((span["end_pts"] - span["start_pts"]) * self.base)
        none = {SERIES: Series()}
        return self._asked(Clip(0, 1, np.array([0, length_s]), {}, none, self._start_s(span), self._track))

    def _start_s(self, span: Span) -> float:
        return float(span["start_pts"] * self.base)

    def _asked(self, clip: Clip) -> Values:
        return {name: dict(values_of(measure, clip)[0]) for name, measure in self._made.items()}
