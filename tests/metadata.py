"""Made-up metadata in the shapes of published sets: seeded, with no row of a real one."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
WORDS = (
    "a", "man", "woman", "in", "business", "standing", "on", "street", "playing", "football", "colourful", "with",
    "sitting", "kitchen", "two", "people", "talking", "television", "night", "screenshot", "holding", "microphone",
)  # fmt: skip
PARENTS = 29.4
"""With it the mean number of parent clips is the 29.9 of the first file of HD-VG-130M."""
WHOLE, MORE = 0.38, 2.17
"""Share of parents without a cut, and the spread of the scenes of the others: 2.68 scenes a parent on average."""
CAPTION_WORDS = (7, 8, 9, 9, 9, 10, 10, 10, 11, 14)


def stamp(ms: int) -> str:
    """`HH:MM:SS.mmm`."""
    return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def hd_vg_videos(count: int, *, seed: int = 0, parents: float = PARENTS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Videos as HD-VG-130M writes them: key and entry."""
    draw = random.Random(seed)
    for _ in range(count):
        video = "".join(draw.choices(LETTERS, k=11))
        clips, at = {}, 0
        for number in range(1 + int(draw.expovariate(1 / parents))):
            at += draw.randrange(500, 5000)
            length = 600 + int(draw.expovariate(1 / 10_700))
            clips[f"{video}.{number}.mp4"] = _parent(draw, f"{video}.{number}", at, length)
            at += length
        yield video, {"url": f"https://www.youtube.com/watch?v={video}", "clip": clips}


def _parent(draw: random.Random, name: str, start: int, length: int) -> dict[str, Any]:
    fps = draw.choice([29.97, 29.97, 23.98, 30.0, 25.0, 24.0])
    count = 1 if draw.random() < WHOLE else 2 + int(draw.expovariate(1 / MORE))
    step = max(1, int(length * fps / 1000) // count)
    cuts = [[0, -1]] if count == 1 else [[step * k, step * (k + 1)] for k in range(count)]
    scenes = [
        {
            "scene_cut": cut,
            "clip_id": f"{name}_{k}",
            "caption": " ".join(draw.choices(WORDS, k=draw.choice(CAPTION_WORDS))),
        }
        for k, cut in enumerate(cuts)
    ]
    if draw.random() < 0.3:
        draw.shuffle(scenes)
    return {"span": [stamp(start), stamp(start + length)], "fps": fps, "scene_split": scenes}


def write_hd_vg(path: Path, count: int, *, seed: int = 0, parents: float = PARENTS) -> None:
    """A file of so many videos, written as `json.dump` writes one object, a video at a time."""
    with path.open("w", encoding="utf-8") as file:
        for number, (video, entry) in enumerate(hd_vg_videos(count, seed=seed, parents=parents)):
            file.write(f"{', ' if number else '{'}{json.dumps(video)}: {json.dumps(entry)}")
        file.write("}")


def flat(videos: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Of HD-VG videos, link, id, parent, parent's start and end in ms, fps, cut and caption of each scene, in the file's order."""
    return [
        (entry["url"], scene["clip_id"], name, *map(milliseconds, parent["span"]), parent["fps"], *scene["scene_cut"], scene["caption"])
        for entry in videos.values()
        for name, parent in entry["clip"].items()
        for scene in parent["scene_split"]
    ]  # fmt: skip


def milliseconds(text: str) -> int:
    """What `stamp` wrote."""
    hours, minutes, seconds = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)
