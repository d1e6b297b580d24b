"""The sound of clips, for measures and captioners that hear: of the source, or of the cut files where that is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hdvg.config.own_measures import SOUND_HZ
from hdvg.dataset.clip_files import find_clip_file, own_file
from hdvg.dataset.damage import refuse_other_bytes
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from hdvg.media import measure_calls
from hdvg.media.excerpt import is_excerpt
from hdvg.media.measure_calls import Span
from pipelines.items import SoundItem
from pipelines.stages import by_video, source_file
from pipelines.work import Row, Work

Sound = npt.NDArray[np.float32]


class PartError(ItemError):
    """Only a part of the video was fetched, and its sound need not be in it."""

    def __init__(self) -> None:
        super().__init__("caption", "only a part of its video was fetched; sound is read of whole ones: fetch.sections")


def measure(work: Work[SoundItem]) -> Iterator[Row]:
    """Compute a measure of clips from their sound, video by video; of those of a part of a video nothing is known."""

    def measure_some(items: list[SoundItem]) -> list[Row]:
        try:
            heard = sounds(work, items)
        except PartError:
            return [{"video_id": item["video_id"], "clip_id": item["clip_id"]} for item in items]
        shots = [Shot(item["clip_id"], {}, {}, sound=sound) for item, sound in zip(items, heard, strict=True)]
        return [
            {"video_id": item["video_id"], "clip_id": item["clip_id"]} | row
            for item, row in zip(items, work.model.measure(shots, []), strict=True)
        ]

    for items in by_video(work.items):
        yield from work.guarded_batch(measure_some, items)


class Ears:
    """The sound of clips, as `Packs` has their keyframes: all clips of a unit's video are read once, for they come one after the other."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self._video = ""
        self._shots: dict[str, Shot] = {}
        self._failure: ItemError | None = None

    def shot(self, item: Row) -> Shot:
        """A clip with its sound, and nothing else. Raises ItemError as the decode does, DamagedError if a file is not as it was."""
        if item["video_id"] != self._video:
            self._video, self._failure, self._shots = item["video_id"], None, {}
            some = [one | one["held"] for one in self._work.items if one["video_id"] == self._video]
            try:
                heard = sounds(self._work, some)
            except ItemError as error:
                refuse_other_bytes(self._work.dataset.root, self._work.dataset.store.find_media(item["held"]["sha256"]))
                self._failure = error
            else:
                names = [one["clip_id"] for one in some]
                self._shots = {name: Shot(name, {}, {}, sound=sound) for name, sound in zip(names, heard, strict=True)}
        if self._failure is not None:
            raise self._failure
        return self._shots[item["clip_id"]]


def sounds(work: Work[Any], items: Sequence[SoundItem]) -> list[Sound | None]:
    """Of each of one video's clips its sound, see `Shot.sound`.

    Raises PartError, and ItemError as the decode does, or if the child wrote something else.
    """
    store = work.dataset.store
    is_kept = work.dataset.recipe.cut.audio == "keep"
    if is_kept and not store.find_media(items[0]["sha256"]) and all(find_clip_file(store, item) for item in items):
        found = []
        for item in items:
            span: Span = {"start_pts": 0, "end_pts": item["end_pts"] - item["start_pts"]}
            with own_file(store, item) as path:
                found += _heard(work, path, [span], item["time_base"])
        return found
    spans: list[Span] = [{"start_pts": item["start_pts"], "end_pts": item["end_pts"]} for item in items]
    path = source_file(work, items[0])
    if is_excerpt(path):
        raise PartError
    return _heard(work, path, spans, items[0]["time_base"])


def _heard(work: Work[Any], path: Path, spans: list[Span], time_base: str) -> list[Sound | None]:
    with work.dataset.store.scratch() as scratch:
        out = scratch / "sound"
        counts = work.sandbox.call(measure_calls.hear(str(path), str(out), spans, time_base), scratch, work.limits)
        try:
            content = b"" if out.is_symlink() else out.read_bytes()
        except OSError as error:
            raise ItemError("error", f"a child wrote no sound: {error}") from error
    most = [round((one["end_pts"] - one["start_pts"]) * Fraction(time_base) * SOUND_HZ) for one in spans]
    if len(counts) != len(spans) or any(not 0 <= count <= limit for count, limit in zip(counts, most, strict=True)):
        raise ItemError("error", "a child gave more sound than the clips are long")
    if 2 * sum(counts) != len(content):
        raise ItemError("error", "a child wrote other sound than it says")
    samples = (np.frombuffer(content, "<i2") / 32767).astype(np.float32)
    ends = np.cumsum(counts).tolist()
    return [samples[end - count : end] if count else None for end, count in zip(ends, counts, strict=True)]
