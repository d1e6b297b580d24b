"""HD-VG-130M: `hdvg_<i>.json`, one object of all videos, their parent clips and the scenes of these.

Known, from files that third parties show (the paper does not describe them):

    { "<YouTube id>": { "url": "<link>", "clip": {
        "<YouTube id>.<n>.mp4": { "span": ["HH:MM:SS.mmm", "HH:MM:SS.mmm"], "fps": 29.97, "scene_split": [
            { "scene_cut": [start_frame, end_frame], "clip_id": "<YouTube id>.<n>_<k>", "caption": "a man in …" }, … ] } } } }

Frames count in the parent clip's file, the end is exclusive; `[0, -1]` is the whole parent; scenes are in any order.
Assumed: that frames count from 0, and that any other `scene_cut` without a frame in it is a mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hdvg.published import objects
from hdvg.published.entries import UNREADABLE, Bad, Entry, Scene, Source, forward, said, stamp_ms

SCENE_KEYS = {"scene_cut", "clip_id", "caption"}


def read(source: Source, *, size: int = objects.WINDOW_BYTES) -> Iterator[Entry]:
    """The videos of the file. Raises UsageError if it is no JSON object."""
    for number, found in enumerate(objects.entries(source, counted='"scene_cut"', size=size), start=1):
        if found.why is not None:
            yield Entry(None, number, found.at, [Bad(found.key, found.why)], found.why)
            continue
        entry = _entry(found, found.value, number)
        if found.counted != len(entry.scenes):  # it may be that a key is repeated, or a scene holds no `scene_cut`
            entry = _entry(found, found.pairs(), number)
        yield entry


def _entry(found: objects.Found, value: Any, number: int) -> Entry:
    link, why = None, ""
    scenes: list[Scene | Bad] = []
    try:
        clips = _all(value, "clip")
        for name, parent in clips.items() if isinstance(clips, dict) else clips:
            scenes += _scenes(name, parent)
        link = dict(value)["url"]
    except UNREADABLE as error:
        why = said(error)
    if not scenes:
        scenes = [Bad(found.key, why or "no clips")]
    return Entry(link, number, found.at, scenes, why)


def _all(value: Any, key: str) -> Any:
    """What stands under the key; of pairs in which it is repeated, all that does."""
    if isinstance(value, dict):
        return value[key]
    found = [part for name, part in value if name == key]
    if not found:
        raise KeyError(key)
    return [one for part in found for one in part]


def _scenes(name: str, parent: Any) -> list[Scene | Bad]:
    try:
        scenes = _all(parent, "scene_split")
        parent = dict(parent)
        if not scenes:
            raise ValueError("`scene_split` is empty")
    except UNREADABLE as error:
        return [Bad(name, said(error))]
    try:
        start, end = parent["span"]
        start_ms, end_ms = forward(stamp_ms(start), stamp_ms(end))
        fps = parent["fps"]
        if not 0 < fps < 1000:
            raise ValueError(f"fps is {fps}")
    except UNREADABLE as error:
        return [Bad(_name(scene), f"{name}: {said(error)}") for scene in scenes]
    of_parent = (name, start_ms, end_ms, fps)
    try:
        fine: list[Scene | Bad] = [
            (scene["clip_id"], *of_parent, start, end, None, None, scene["caption"], None)
            for scene in scenes
            for start, end in [scene["scene_cut"]]
            if len(scene) == 3 and (0 <= start < end or (start == 0 and end == -1))
        ]
    except UNREADABLE:
        fine = []
    return fine if len(fine) == len(scenes) else [_scene(scene, of_parent) for scene in scenes]


def _scene(scene: Any, of_parent: tuple[str, int, int, float]) -> Scene | Bad:
    try:
        if not isinstance(scene, dict):
            scene = dict(scene)
        start, end = scene["scene_cut"]
        if not (0 <= start < end or (start == 0 and end == -1)):
            raise ValueError(f"the span goes backwards, or is none: {scene['scene_cut']}")
        extra = None
        if len(scene) != 3:
            extra = json.dumps({key: scene[key] for key in scene if key not in SCENE_KEYS})
        return scene["clip_id"], *of_parent, start, end, None, None, scene["caption"], extra
    except UNREADABLE as error:
        return Bad(_name(scene), said(error))


def _name(scene: Any) -> str | None:
    try:
        name = dict(scene).get("clip_id")
    except UNREADABLE:
        return None
    return name if isinstance(name, str) else None
