"""The texts that a list gives for its links, kept as the captions of given scenes: each is the whole of its video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.ids import digest, video_id
from hdvg.sources.links import Link
from schemas.given import GIVEN

ORIGIN = "list"
"""What such scenes are said to come from."""


class Text(NamedTuple):
    """A text, and the line of its list."""

    line: int
    text: str


def texts_of(links: Iterable[Link]) -> dict[str, Text]:
    """By video the first text that is given for it."""
    found: dict[str, Text] = {}
    for link in links:
        if link.text and link.source:
            found.setdefault(video_id(link.source), Text(link.line, link.text))
    return found


def without_scenes(root: Path, videos: Mapping[str, str]) -> dict[str, str]:
    """Those of the videos, by video their units, for which no scene is given yet."""
    held: set[str] = set()
    for unit in set(videos.values()):
        for path in files(root, "given", unit=unit):
            held |= set(pc.unique(pq.read_table(path, columns=["video_id"])["video_id"]).to_pylist())
    return {video: unit for video, unit in videos.items() if video not in held}


def publish_texts(dataset: Dataset, texts: Mapping[str, Text], units: Mapping[str, str], *, file: str) -> int:
    """Publish each text as the scene of its video, one file a unit, before the links that name the units; how many."""
    by_unit: dict[str, list[str]] = {}
    for video in sorted(texts.keys() & units.keys()):
        by_unit.setdefault(units[video], []).append(video)
    for unit, videos in by_unit.items():
        rows = [_scene(video, texts[video], file) for video in videos]
        name = digest(ORIGIN, [(row["video_id"], row["caption"]) for row in rows])[:16]
        dataset.store.publish_table(f"given/{unit}-{name}.parquet", pa.Table.from_pylist(rows, schema=GIVEN))
    return sum(map(len, by_unit.values()))


def _scene(video: str, text: Text, file: str) -> dict[str, object]:
    """A row of `given`: all frames of the video, by their count."""
    whole = {"start_frame": 0, "end_frame": -1}
    return dict.fromkeys(GIVEN.names) | whole | {
        "video_id": video, "given_id": f"{video[:16]}_whole", "origin": ORIGIN, "file": file, "place": text.line, "caption": text.text,
    }  # fmt: skip
