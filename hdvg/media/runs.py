"""Whether what has been fetched of a source shows given spans, exactly as the whole would; if not, what more is needed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hdvg.config.child_settings import Scene
from hdvg.errors import ItemError
from hdvg.media.decode import open_video
from hdvg.media.excerpt import Excerpt
from hdvg.media.packets import Index, index_packets
from hdvg.media.scene_timeline import HEURISTIC_US, Stamp, Timeline, index_keys
from hdvg.media.scenes import Place, Placed, place_in
from hdvg.media.streams import find_sound

SOUND_S = 1.0
"""Sound that is fetched before and behind the pictures: tracks of a file need not be in step."""
EARLY_S, LATE_S = 0.05, 0.1
"""How much an index of segments may be wrong before a second look is needed."""

Look = Callable[[], Excerpt]
"""Opens the source, of which holes may be read."""
Range = tuple[int, int]


class Spans(NamedTuple):
    """What is looked for: the scenes, `config.Split.given`, and the largest picture."""

    scenes: list[Scene]
    mode: str
    max_pixels: int


class There(NamedTuple):
    """A segment that has come: its number, and [start, end) where it reads."""

    number: int
    start: int
    end: int


@dataclass(frozen=True)
class _Seen:
    """A source as far as it is there: packets' times, the places of its scenes, the index of the packets that are there."""

    times: Timeline
    placed: Placed
    index: Index
    landings: dict[int, Stamp]
    keys: frozenset[int]
    sound: list[tuple[float, int, int]]


def _see(look: Look, spans: Spans) -> _Seen:
    """Raises ItemError for what has no frames that could be found by their times."""
    with look() as source, open_video(source, max_pixels=spans.max_pixels) as (container, stream):
        try:
            times = Timeline(container, stream)
        except ValueError as error:
            raise ItemError("bad_span", str(error)) from error
        placed = place_in(times, spans.scenes, mode=spans.mode)
        parents = {
            one["parent_start_ms"]
            for one in spans.scenes
            if one["start_ms"] is None and one["parent_start_ms"] is not None
        }
        landings = {start_ms: times.landing(start_ms) for start_ms in parents}
        keys = index_keys(container, stream)
        track = find_sound(container, stream)
        entries = track.index_entries if track is not None else ()
        sound = [(float(one.timestamp * track.time_base), one.pos, one.size) for one in entries]
    with look() as source, open_video(source, max_pixels=spans.max_pixels) as (container, stream):
        index = index_packets(container, stream)
    if not index.usable or not index.shown:
        raise ItemError("bad_span", "its packets have no times of their own")
    return _Seen(times, placed, index, landings, keys, sound)


def look_at_packets(look: Look, spans: Spans) -> list[Range]:
    """The bytes that show the spans, of a file whose index gives every packet's place. Raises ItemError."""
    seen = _see(look, spans)
    stamps, shown = seen.times.stamps, seen.times.shown
    numbers = {stamp.pts: number for number, stamp in enumerate(stamps)}
    gone = _next_gone(stamps, {packet.pts for packet in seen.index.packets})
    keys = [number for number, stamp in enumerate(stamps) if stamp.pos in seen.keys]
    tick = float(seen.times.tick)
    need: list[Range] = []
    for place in seen.placed.places:
        first, stop = bisect_left(shown, place.start_pts), bisect_left(shown, place.end_pts)
        around = shown[max(first - 1, 0) : stop + 1]
        last = max(numbers[pts] for pts in around)
        safe = numbers[seen.index.packets[seen.index.safe_before(around[0])].pts]
        if gone[safe] <= last:
            safe = _earlier([key for key in keys if stamps[key].pts <= around[0]], last, gone)
        need += [(stamp.pos, stamp.pos + stamp.size) for stamp in stamps[safe : last + 1]]
        since_s, until_s = stamps[safe].pts * tick - SOUND_S, around[-1] * tick + SOUND_S
        need += [(pos, pos + size) for at_s, pos, size in seen.sound if since_s <= at_s <= until_s]
    return need


def _next_gone(stamps: Sequence[Stamp], there: set[int]) -> list[int]:
    """For each packet the number of the first from it on that is not there."""
    gone, found = len(stamps), [0] * len(stamps)
    for number in range(len(stamps) - 1, -1, -1):
        gone = gone if stamps[number].pts in there else number
        found[number] = gone
    return found


def _earlier(keys: list[int], last: int, gone: list[int]) -> int:
    """The key frame to fetch from: the nearest, or if decoding may not start at those that are there, twice as far back."""
    tried = sum(gone[key] > last for key in keys)
    return keys[-2 * tried - 1] if 2 * tried < len(keys) else 0


def look_at_segments(look: Look, starts: list[float], there: list[There], spans: Spans) -> set[int]:
    """The segments that show the spans, of a source in segments that begin at `starts` (seconds, roughly). Raises ItemError.

    `there` are those that have come, the first of all among them.
    """
    need = {0}
    ranges = [segments_of(scene, starts) for scene in spans.scenes]
    need |= {number for some in ranges for number in some}
    have = {one.number for one in there}
    if not need <= have:
        return need
    return need | _Check(_see(look, spans), there, count=len(starts)).need(spans, ranges)


def segments_of(scene: Scene, starts: list[float]) -> range:
    """The segments in which a scene, or the parent that its frames are counted in, should lie.

    Raises ItemError for a scene that is counted in frames of the whole video.
    """
    if scene["start_ms"] is not None:
        start_ms, end_ms, early_s = scene["start_ms"], scene["end_ms"], EARLY_S
    elif scene["parent_start_ms"] is not None:
        start_ms, end_ms, early_s = scene["parent_start_ms"], scene["parent_end_ms"], EARLY_S + HEURISTIC_US / 1e6
    elif scene["parent"] is None:
        raise ItemError("bad_span", "a scene is counted in frames of the whole video")
    else:
        return range(0)  # it has no place
    if end_ms is None or end_ms <= start_ms:
        return range(0)
    low = bisect_right(starts, starts[0] + start_ms / 1000 - early_s) - 1
    high = bisect_right(starts, starts[0] + end_ms / 1000 + LATE_S)
    return range(max(low, 0), high)


class _Check:
    """Runs of neighbouring segments, and what each scene still lacks in its run."""

    def __init__(self, seen: _Seen, there: list[There], *, count: int) -> None:
        self._seen = seen
        self._last = count - 1
        self._ends: dict[int, Range] = {}
        """The first and last segment of each run, by the run's number."""
        begins = [one.start for one in there]
        run, before, of_segment = -1, None, {}
        for one in there:
            run += before is None or one.number > before + 1
            self._ends[run] = (self._ends.get(run, (one.number, 0))[0], one.number)
            of_segment[one.number], before = run, one.number
        self._runs = {
            stamp.pts: of_segment[there[max(bisect_right(begins, stamp.pos) - 1, 0)].number]
            for stamp in seen.times.stamps
        }

    def need(self, spans: Spans, ranges: list[range]) -> set[int]:
        """Further segments, none if all is there."""
        need: set[int] = set()
        for place in self._seen.placed.places:
            need |= self._of_place(place, spans.scenes[place.number])
        for number in self._seen.placed.failed:
            if ranges[number]:
                need |= self._of_failed(spans.scenes[number])
        return need

    def _of_place(self, place: Place, scene: Scene) -> set[int]:
        shown, index = self._seen.times.shown, self._seen.index
        first, stop = bisect_left(shown, place.start_pts), bisect_left(shown, place.end_pts)
        run = self._runs[shown[first]]
        low, high = self._ends[run]
        around, beyond = self._found_by(scene)
        around += shown[max(first - 1, 0) : stop + 1]
        runs = {self._runs[pts] for pts in around}
        safe = index.packets[index.safe_before(min(pts for pts in around if self._runs[pts] == run))].pts
        last = max(index.number(pts) for pts in shown[first : stop + 1])
        ends = last + 1 == len(index.packets) or self._runs[index.packets[last + 1].pts] != run
        need: set[int] = set()
        if low > 0 and (first == 0 or min(runs) < run or self._runs[safe] != run):
            need.add(low - 1)
        if high < self._last and (ends or beyond or stop == len(shown) or max(runs) > run):
            need.add(high + 1)
        return need

    def _of_failed(self, scene: Scene) -> set[int]:
        """Segments that might yet have the frames of a scene that has none: all between the frames around its start."""
        shown = self._seen.times.shown
        start_ms = scene["start_ms"] if scene["start_ms"] is not None else scene["parent_start_ms"]
        if start_ms is None:
            raise ItemError("bad_span", "nothing says when it begins")
        at = self._seen.times.first_after(start_ms)
        if at == len(shown):
            return {min(self._ends[self._runs[shown[-1]]][1] + 1, self._last)}
        run, before = self._runs[shown[at]], self._runs[shown[max(at - 1, 0)]]
        if run != before:
            return {self._ends[before][1] + 1, self._ends[run][0] - 1}
        return set()

    def _found_by(self, scene: Scene) -> tuple[list[int], bool]:
        """The pts by which the parent of a scene is found: where FFmpeg's seek lands, and the frames on both sides of its start;
        and whether that start lies behind all frames that are there."""
        start_ms = scene["parent_start_ms"]
        if scene["start_ms"] is not None or start_ms is None:
            return [], False
        shown, exact = self._seen.times.shown, self._seen.times.first_after(start_ms)
        return [self._seen.landings[start_ms].pts, *shown[max(exact - 1, 0) : exact + 1]], exact == len(shown)
