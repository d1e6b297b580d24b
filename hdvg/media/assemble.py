"""Assemble clips: chunks of features in, in order; spans with their measures and keyframes out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

from hdvg.config.child_settings import SplitSettings
from hdvg.measures import pass_measures
from hdvg.measures.faults import SERIES as FAULTS
from hdvg.measures.faults import values_of_all
from hdvg.measures.measure import Clip, Series
from hdvg.measures.phash import moments
from hdvg.measures.track import Track
from hdvg.media.calls import Clip as Columns
from hdvg.media.calls import Keyframe, Shape, Shot, Span
from hdvg.media.features import jpeg, phash_of, sample
from hdvg.media.samples import Samples
from hdvg.media.woven import leave_out_woven, look_to_find
from hdvg.shots.chunk import Chunk, Sample
from hdvg.shots.detectors import Detector, make_detector
from hdvg.shots.divide import divide
from hdvg.shots.fixed import Given
from hdvg.shots.stitch import Stitched
from hdvg.shots.transition import Transition

POSITIONS = {"first": Fraction(1, 6), "middle": Fraction(1, 2), "last": Fraction(5, 6)}
"""Where in a clip its keyframes stand: in the middle of each third."""

FEW_CLIPS, ENOUGH_PICTURES = 3, 12
"""A video of so few clips gets further keyframes, up to so many pictures in all: measures look at what stays put in them."""

NOT_HASHED = (0, 0)
"""As for a flat picture: there is no hash."""


class Assembler:
    """Knows the clip that is open and what may still be needed for it.

    Nothing depends on how the frames came in chunks. Keyframe JPEGs are written to `out`; `clips` grows as shots end.
    With settings["spans"], given ones that do not overlap, clips are these; settings["layer"] numbers their files.
    """

    def __init__(
        self, shape: Shape, time_base: Fraction, *, settings: SplitSettings, out: Path, track: Track | None = None
    ) -> None:
        self.clips: list[Columns] = []
        self._track = track
        self.pts: list[int] = []
        self._shape = shape
        self._time_base = time_base
        self._settings = settings
        self._out = out
        self._detector = _detector(settings, time_base)
        names = [name for make in pass_measures().values() for name in make().series]
        self._series = {name: Series() for name in (*names, FAULTS)}
        self._looks: list[bytes] = []
        self._hashed: list[int] = []
        self._hashes: list[tuple[int, int]] = []
        self._scores: list[float] = []
        self._samples = Samples()
        self._spare: list[tuple[int, Sample]] = []
        self._start = 0
        self._is_gap = "spans" in settings
        self._opens = ("start", 0)
        self._stitches: list[int] = []
        seconds = settings["max_clip_s"]
        self._most = None if seconds is None else max(int(Fraction(seconds) / time_base), 1)

    def feed(self, chunk: Chunk) -> None:
        """The next frames."""
        first = len(self.pts)
        self.pts += chunk.pts.tolist()
        self._looks += [look.tobytes() for look in chunk.looks]
        self._hashed += [first + int(row) for row in chunk.hashes[:, 0]]
        self._hashes += [(int(whole), int(inner)) for _, whole, inner in chunk.hashes]
        self._scores += chunk.scores["content"].tolist()
        self._samples.add(chunk.samples, first)
        for name, values in chunk.series.items():
            self._series[name].extend(values, first)
        for transition in self._detector.feed(chunk):
            self._pass(transition)
        settled = min(self._detector.settled, len(self.pts) - 1)
        self._cut_off(settled)
        self._samples.settle(settled)

    def finish(self, end_pts: int) -> None:
        """The video ends at `end_pts`."""
        self.pts.append(end_pts)
        n_frames = len(self.pts) - 1
        for transition in self._detector.finish():
            self._pass(transition)
        if self._start < n_frames:
            self._pass(Transition(n_frames, n_frames, "end"))
        self.pts.pop()
        self._add_extras()

    def _pass(self, transition: Transition) -> None:
        """One shot ends, the next begins."""
        if transition.kind == "stitched":
            self._stitches.append(transition.start)
            return
        if self._settings.get("interlaced"):
            transition = leave_out_woven(transition, self._looks)
        end = min(transition.end, len(self.pts) - 1)
        start = max(transition.start, self._start)  # a cut within the guard of a gradual transition does not undo it
        if end > self._start:
            self._cut_off(end)
            self._samples.settle(end)
            for place in self._places(end, closed=True):
                self._part(place)
            self._end(end, transition, left_out=start - end)
        if transition.kind in ("given", "gap"):
            self._is_gap = transition.kind == "gap"
            return self._open(start, ("given", 0))
        left_out = start - (self.clips[-1]["end_frame"] if self.clips else 0)
        self._open(start, ("gradual" if left_out else transition.kind, left_out))

    def _end(self, end: int, transition: Transition, *, left_out: int) -> None:
        """The open shot becomes a clip; frames that are in none are forgotten."""
        if self._is_gap:
            self._samples.close(self._start, end)
            self._forget(end)
            low = bisect_left(self._hashed, end)
            del self._hashed[:low], self._hashes[:low]
        else:
            self._close(end, ("given" if transition.kind == "gap" else transition.kind, left_out))

    def _cut_off(self, settled: int) -> None:
        """Divide an open shot of which more than twice the longest clip is known: always at the frame that shows it."""
        while self._most is not None:
            shows = bisect_right(self.pts, self.pts[min(self._start, settled)] + 2 * self._most)
            if shows > settled:
                return
            places = self._places(shows, closed=False)
            if not places and shows == settled:
                return  # a cut may still come here, behind a frame that stays this long
            self._samples.settle(shows)
            self._part(places[0] if places else shows)

    def _places(self, end: int, *, closed: bool) -> list[int]:
        if self._most is None:
            return []
        scores = self._scores if self._settings["divide"] == "still" else None
        return divide(self.pts, (self._start, end), most=self._most, closed=closed, scores=scores)

    def _part(self, place: int) -> None:
        self._close(place, ("part", 0))
        self._open(place, ("part", 0))

    def _open(self, start: int, opens: tuple[str, int]) -> None:
        self._start, self._opens = start, opens

    def _close(self, end: int, closes: tuple[str, int]) -> None:
        phashes, phashes_inner = self._hashes_at(end)
        chosen = self._samples.close(self._start, end) or [self._look_sample()]
        last = end - 1 - self._start
        picks = {
            name: min(chosen, key=lambda one: abs(one.index - self._start - float(share * last)))
            for name, share in POSITIONS.items()
        }
        shot: Shot = {
            **self._span(end),
            "stitched": sum(self._start < place < end for place in self._stitches),
            "opens_with": self._opens[0],
            "opens_frames": self._opens[1],
            "closes_with": closes[0],
            "closes_frames": closes[1],
            "first_look": look_to_find(self._start, self._looks, interlaced=self._settings.get("interlaced", False)),
            "last_look": look_to_find(end - 1, self._looks, interlaced=self._settings.get("interlaced", False)),
            "phash": phash_of(picks["middle"]),
            "phashes": phashes,
            "phashes_inner": phashes_inner,
            "keyframes": [self._write(name, pick) for name, pick in picks.items()],
        }
        self._stitches = [place for place in self._stitches if place >= end]
        picked = {one.index for one in picks.values()}
        self._spare_some([one for one in chosen if one.index not in picked])
        self.clips.append(cast("Columns", {**shot, **self._measured(end)}))  # open-ended, which mypy does not know

    def _spare_some(self, samples: list[Sample]) -> None:
        """Hold a closed clip's further samples while they may still become keyframes."""
        number = len(self.clips)
        if number == FEW_CLIPS:
            self._spare = []
        if number < FEW_CLIPS:
            self._spare += [(number, one) for one in _spread(samples, ENOUGH_PICTURES - len(POSITIONS))]

    def _add_extras(self) -> None:
        """A video of few clips: further keyframes, evenly from the samples that its clips left over."""
        positions = [0] * len(self.clips)
        for number, one in _spread(self._spare, ENOUGH_PICTURES - len(POSITIONS) * len(self.clips)):
            self.clips[number]["keyframes"].append(self._write(f"extra-{positions[number]}", one))
            positions[number] += 1
        self._spare = []

    def _measured(self, end: int) -> dict[str, float | str | None]:
        """The measures of the open clip, whose numbers are then forgotten; and which of them failed, if any did."""
        seconds = np.array(
            [float((pts - self.pts[self._start]) * self._time_base) for pts in self.pts[self._start : end + 1]]
        )
        start_s = float(self.pts[self._start] * self._time_base)
        seen = Clip(self._start, end, seconds, self._shape, self._series, start_s, self._track)
        found = values_of_all(pass_measures().values(), seen)
        self._forget(end)
        return found

    def _forget(self, end: int) -> None:
        for series in self._series.values():
            series.forget(end)

    def _span(self, end: int) -> Span:
        start, shape = self._start, self._shape
        start_pts, end_pts = self.pts[start], self.pts[end]
        duration_s = float((end_pts - start_pts) * self._time_base)
        return {
            "time_base": f"{self._time_base.numerator}/{self._time_base.denominator}",
            "start_pts": start_pts,
            "end_pts": end_pts,
            "start_frame": start,
            "end_frame": end,
            "n_frames": end - start,
            "start_s": float(start_pts * self._time_base),
            "end_s": float(end_pts * self._time_base),
            "width": shape["width"],
            "height": shape["height"],
            "aspect": shape["width"] / shape["height"],
            "fps": (end - start) / duration_s,
            "duration_s": duration_s,
        }

    def _hashes_at(self, end: int) -> tuple[list[int], list[int]]:
        """The hashes of the clip's moments: of the hashed frame before each, which may be the clip's first after it."""
        picks = moments(self.pts[self._start : end], self.pts[end], float(1 / self._time_base))
        low, high = bisect_left(self._hashed, self._start), bisect_left(self._hashed, end)
        places = [max(bisect_right(self._hashed, self._start + pick) - 1, low) for pick in picks]
        pairs = [self._hashes[place] if place < high else NOT_HASHED for place in places]
        del self._hashed[:high], self._hashes[:high]
        return [whole for whole, _ in pairs], [inner for _, inner in pairs]

    def _look_sample(self) -> Sample:
        """The keyframe of a clip too short for a sample of its own: the 8 x 8 levels of its first frame."""
        grey = np.frombuffer(self._looks[self._start], np.uint8).reshape(8, 8)
        return sample(self._start, self.pts[self._start], np.repeat(grey[:, :, None], 3, axis=2))

    def _write(self, position: str, chosen: Sample) -> Keyframe:
        layer = f"{self._settings['layer']}-" if "layer" in self._settings else ""
        file = f"{layer}{chosen.index}-{position}.jpg"
        (self._out / file).write_bytes(jpeg(chosen.picture, quality=self._settings["keyframe_quality"]))
        return {
            "position": position,
            "frame": chosen.index,
            "pts": chosen.pts,
            "file": file,
            "width": chosen.width,
            "height": chosen.height,
        }


def _spread(ones: list[Any], most: int) -> list[Any]:
    """At most so many of the list, evenly spread over it."""
    count = min(most, len(ones))
    return [ones[(2 * number + 1) * len(ones) // (2 * count)] for number in range(count)]


def _detector(settings: SplitSettings, time_base: Fraction) -> Detector:
    if "spans" in settings:
        return Given(settings["spans"])
    detector = make_detector(settings)
    if not settings["stitch_levels"]:
        return detector
    return Stitched(detector, levels=settings["stitch_levels"], window=int(Fraction(settings["stitch_s"]) / time_base))
