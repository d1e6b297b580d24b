"""Clips of spans that a published set gives: where they lie in this file, and their assembly from the one decode pass."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from hdvg.config.child_settings import Scene, SplitSettings
from hdvg.errors import ItemError
from hdvg.measures.track import Track
from hdvg.media.assemble import Assembler
from hdvg.media.calls import Clip, Shape
from hdvg.media.decode import open_video
from hdvg.media.scene_timeline import Timeline
from hdvg.shots.chunk import Chunk

LAYERS_MOST = 16
"""Scenes that may overlap at any time; each layer holds what an assembly holds, about 150 bytes a frame."""

BEYOND = 2**62
"""Ticks: after any frame."""

FRAMES_ROUNDED = 1.5
"""A set's times and frames may be off by one frame, by rounding."""

WHOLE = -1
"""The end frame of a scene that is its whole parent."""


@dataclass(frozen=True)
class Place:
    """Where the scene of that number lies: [start_pts, end_pts); frames from where a published parent's count begins to
    where the exact one does, None if the scene is not counted so; how much of it the video lacks at its end, None: nothing."""

    number: int
    start_pts: int
    end_pts: int
    shift_frames: int | None = None
    short_ms: int | None = None


@dataclass
class Placed:
    """The scenes of a video: those that have a place, and why others have none, by number."""

    places: list[Place]
    failed: dict[int, tuple[str, str]]


def is_whole_video(scene: Scene) -> bool:
    """Whether a scene is all frames of its video, which need no count."""
    counted = scene["start_ms"] is None and scene["parent"] is None and scene["parent_start_ms"] is None
    return counted and scene["start_frame"] == 0 and scene["end_frame"] == WHOLE


def place_scenes(path: str, scenes: Sequence[Scene], *, mode: str, max_pixels: int) -> Placed:
    """Find every scene by the packets' times; no frame is decoded. `mode` is config.Split's `given`."""
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        try:
            times = Timeline(container, stream)
        except ValueError as error:
            whole = [Place(number, -BEYOND, BEYOND) for number, scene in enumerate(scenes) if is_whole_video(scene)]
            failed = dict.fromkeys(range(len(scenes)), ("bad_span", str(error)))
            return Placed(whole, {number: why for number, why in failed.items() if not is_whole_video(scenes[number])})
        return place_in(times, scenes, mode=mode)


def place_in(times: Timeline, scenes: Sequence[Scene], *, mode: str) -> Placed:
    """As `place_scenes`, in a file whose packets' times are known; it must be open still."""
    placed, finder = Placed([], {}), _Finder(times, mode)
    for number, scene in enumerate(scenes):
        try:
            placed.places.append(finder.place(number, scene))
        except ItemError as error:
            placed.failed[number] = (error.reason, error.detail)
    return placed


class _Finder:
    """Turns scenes into frames of the video; parents are looked up once."""

    def __init__(self, times: Timeline, mode: str) -> None:
        self._times = times
        self._mode = mode
        self._parents: dict[tuple[int, int], range] = {}

    def place(self, number: int, scene: Scene) -> Place:
        """Raises ItemError bad_span if the scene is backwards, or no frame of the video is in it."""
        shift = None
        if scene["start_ms"] is not None:
            frames = self._of_times(scene["start_ms"], scene["end_ms"])
        elif scene["start_frame"] is None or scene["end_frame"] is None:
            raise ItemError("bad_span", "neither frames nor times")
        elif scene["parent"] is not None and scene["parent_start_ms"] is None:
            raise ItemError("bad_span", "its set does not say where in the video its parent clip lies")
        elif scene["parent_start_ms"] is None:
            frames = self._counted(range(len(self._times.shown)), scene["start_frame"], scene["end_frame"])
        else:
            parent = scene["parent_start_ms"], scene["parent_end_ms"]
            frames, shift = self._of_parent(parent, scene["start_frame"], scene["end_frame"])
        if not frames:
            raise ItemError(
                "bad_span", f"the video, which ends at {self._times.end_ms / 1000:.3f} s, has no frame of it"
            )
        shown = self._times.shown
        end = shown[frames.stop] if frames.stop < len(shown) else BEYOND
        return Place(number, shown[frames.start], end, shift, self._short_ms(scene, frames) if end == BEYOND else None)

    def _short_ms(self, scene: Scene, frames: range) -> int | None:
        """How much a scene lacks that reaches the last frame, if it is more than a frame's rounding."""
        start_ms, end_ms, count = scene["start_ms"], scene["end_ms"], scene["end_frame"]
        if start_ms is None and count == WHOLE:
            start_ms, end_ms = scene["parent_start_ms"], scene["parent_end_ms"]
        if start_ms is not None and end_ms is not None:
            lacking_ms = end_ms - self._times.end_ms
        elif start_ms is None and count is not None and count != WHOLE and scene["start_frame"] is not None:
            lacking_ms = (count - scene["start_frame"] - len(frames)) * self._times.frame_ms
        else:
            return None
        return round(lacking_ms) if lacking_ms > FRAMES_ROUNDED * self._times.frame_ms else None

    def _of_times(self, start_ms: int, end_ms: int | None) -> range:
        if end_ms is None or end_ms <= start_ms:
            raise ItemError("bad_span", f"{start_ms} to {end_ms} ms is no span")
        return range(self._times.first_after(start_ms), self._times.first_after(end_ms))

    def _of_parent(self, parent: tuple[int, int | None], start: int, end: int) -> tuple[range, int | None]:
        start_ms, end_ms = parent
        if end_ms is None or end_ms <= start_ms:
            raise ItemError("bad_span", f"the parent's {start_ms} to {end_ms} ms is no span")
        span = start_ms, end_ms
        if span not in self._parents:
            self._parents[span] = self._times.parent(*span)
        copied = self._parents[span]
        exact = range(self._times.first_after(span[0]), len(self._times.shown))
        if not exact:
            raise ItemError(
                "bad_span",
                f"it begins at {start_ms / 1000:g} s, and the video ends at {self._times.end_ms / 1000:.3f} s",
            )
        shift = exact.start - copied.start if copied else None
        if self._mode == "exact":
            if end == WHOLE:
                return self._of_times(*span), shift
            return self._counted(exact, start, end), shift
        return (copied if end == WHOLE else self._counted(copied, start + 1, end)), shift

    @staticmethod
    def _counted(frames: range, start: int, end: int) -> range:
        """Frames start to end - 1 of the counted ones."""
        if end == WHOLE:
            return frames
        if start < 0 or end <= start:
            raise ItemError("bad_span", f"frames {start} to {end - 1} are none")
        return frames[start:end]


class GivenClips:
    """An `Assembler` of given scenes: layers of them, in none of which two overlap, take the same chunks."""

    def __init__(
        self,
        shape: Shape,
        time_base: Fraction,
        *,
        settings: SplitSettings,
        out: Path,
        placed: Placed,
        track: Track | None = None,
    ) -> None:
        self.failed = dict(placed.failed)
        self.clips: list[Clip] = []
        self._layers = self._share_out(placed.places)
        plain = settings | {"max_clip_s": None}
        self._assemblers = [
            Assembler(
                shape,
                time_base,
                settings=plain | {"layer": number, "spans": [(one.start_pts, one.end_pts) for one in layer]},
                out=out,
                track=track,
            )
            for number, layer in enumerate(self._layers)
        ]

    @property
    def pts(self) -> list[int]:
        """Of all frames."""
        return self._assemblers[0].pts

    def feed(self, chunk: Chunk) -> None:
        """The next frames."""
        for assembler in self._assemblers:
            assembler.feed(chunk)

    def finish(self, end_pts: int) -> None:
        """The video ends at `end_pts`: every scene becomes one clip, or has a reason in `failed`."""
        for assembler in self._assemblers:
            assembler.finish(end_pts)
        ready = [{clip["start_frame"]: clip for clip in assembler.clips} for assembler in self._assemblers]
        taken: dict[tuple[int, int], int] = {}
        for place, layer in sorted(
            ((place, layer) for layer, places in enumerate(self._layers) for place in places),
            key=lambda pair: pair[0].number,
        ):
            frames = bisect_left(self.pts, place.start_pts), bisect_left(self.pts, place.end_pts)
            if frames[0] == frames[1]:
                self.failed[place.number] = ("bad_span", "none of its frames decodes")
            elif taken.setdefault(frames, place.number) != place.number:
                self.failed[place.number] = ("same_span", f"the same frames as scene {taken[frames]} of the video")
            else:
                clip = ready[layer][frames[0]].copy()
                clip["given"], clip["given_shift_frames"] = place.number, place.shift_frames
                clip["given_short_ms"] = place.short_ms
                self.clips.append(clip)
        self.clips.sort(key=lambda clip: (clip["start_frame"], clip["end_frame"]))

    def _share_out(self, places: Sequence[Place]) -> list[list[Place]]:
        """Each place to the first layer that has room for it."""
        layers: list[list[Place]] = [[]]
        for place in sorted(places, key=lambda one: (one.start_pts, one.end_pts, one.number)):
            layer = next((some for some in layers if not some or some[-1].end_pts <= place.start_pts), None)
            if layer is not None:
                layer.append(place)
            elif len(layers) < LAYERS_MOST:
                layers.append([place])
            else:
                self.failed[place.number] = ("crowded", f"{LAYERS_MOST} scenes overlap here already")
        return layers
