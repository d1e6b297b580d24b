"""The stages: plain functions from a unit's pending items to rows; media is published on the way, rows at the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.captioners import Shot, clean
from hdvg.errors import ItemError
from hdvg.ids import clip_id
from hdvg.sources.fetch import fetch
from pipelines.work import Row, Work, batches, each, scratch_path
from schemas.keyframes import KEYFRAMES

EXTENSIONS = {"matroska,webm": "mkv", "mpegts": "ts", "mpeg": "mpg", "avi": "avi", "flv": "flv"}
"""Names of source files by container; anything else is mp4's family."""

SPLIT_TOOLS = ("av", "opencv-python-headless", "scenedetect-headless")


def download(work: Work) -> Iterator[Row]:
    """Fetch each video and look whether it is media; several at once, for it is waiting that takes the time."""
    with ThreadPoolExecutor(work.dataset.plan.recipe.fetch.concurrency) as pool:
        for rows in pool.map(lambda item: work.guarded(lambda one: [_fetch(work, one)], item), work.items):
            yield from rows


def _fetch(work: Work, item: Row) -> Row:
    recipe = work.dataset.plan.recipe
    with work.dataset.store.scratch() as scratch:
        fetched = fetch(item["source"], scratch=scratch, settings=recipe.fetch, airlock=work.airlock, gate=work.gate)
        size = fetched.path.stat().st_size
        probe = {"path": str(fetched.path), "max_pixels": recipe.limits.max_pixels}
        found = work.airlock.call("hdvg.media.probe:probe", probe, scratch, work.limits)
        sha256 = work.dataset.store.put_media(fetched.path, EXTENSIONS.get(found["container"], "mp4"))
    row: Row = {"video_id": item["video_id"], "sha256": sha256, "bytes": size}
    return row | {"fetched_at": datetime.now(UTC).isoformat(timespec="seconds")} | fetched.info


def split(work: Work) -> Iterator[Row]:
    """Decode each video once: its shots, their measures and keyframes."""
    return each(work, lambda item: _split(work, item))


def _split(work: Work, item: Row) -> list[Row]:
    recipe = work.dataset.plan.recipe
    source = _source(work, item)
    with work.dataset.store.scratch() as scratch:
        asked = {
            "path": str(source),
            "out": str(scratch),
            "settings": recipe.split.model_dump(),
            "threads": recipe.run.decode_threads,
            "max_pixels": recipe.limits.max_pixels,
        }
        found = work.airlock.call("hdvg.media.scan:scan", asked, scratch, work.limits)
        clips = found["clips"]
        for clip in clips:
            clip["clip_id"] = clip_id(item["sha256"], clip["start_pts"], clip["end_pts"], clip["time_base"])
        pictures = [
            picture | {"clip_id": clip["clip_id"], "jpeg": scratch_path(scratch, picture["file"]).read_bytes()}
            for clip in clips
            for picture in clip.pop("keyframes")
        ]
        pack = scratch / "keyframes.parquet"
        pq.write_table(pa.Table.from_pylist(pictures, schema=KEYFRAMES), pack, compression="none", row_group_size=64)
        keyframes = work.dataset.store.put_media(pack, "parquet")
    tools = " ".join(f"{tool}={version(tool)}" for tool in SPLIT_TOOLS)
    video = found["video"] | {"tools": tools}
    return [
        row | {"video_id": item["video_id"]} for row in (video, *(clip | {"keyframes": keyframes} for clip in clips))
    ]


def _source(work: Work, item: Row) -> Path:
    """The source file of a video, fetched again if it was dropped.

    Raises ItemError `changed` if the link now gives other bytes: clips of two versions are never mixed.
    """
    found = work.dataset.store.find_media(item["sha256"])
    if found is not None:
        return found
    again = _fetch(work, item)
    if again["sha256"] != item["sha256"]:
        raise ItemError("changed", f"fetched {again['sha256']}, had {item['sha256']}")
    found = work.dataset.store.find_media(item["sha256"])
    if found is None:
        raise ItemError("lost_source", item["source"])
    return found


def cut(work: Work) -> Iterator[Row]:
    """Encode the kept clips of each video in one pass over it, and check every one."""
    videos: dict[str, list[Row]] = {}
    for item in work.items:
        videos.setdefault(item["video_id"], []).append(item)
    for items in videos.values():
        yield from work.guarded_batch(lambda some: _cut(work, some), items)


def _cut(work: Work, items: list[Row]) -> list[Row]:
    recipe = work.dataset.plan.recipe
    source = _source(work, items[0])
    rows: list[Row] = []
    with work.dataset.store.scratch() as scratch:
        asked = {
            "path": str(source),
            "out": str(scratch),
            "spans": [{key: item[key] for key in ("clip_id", "start_pts", "end_pts", "n_frames")} for item in items],
            "settings": recipe.cut.model_dump(),
            "max_pixels": recipe.limits.max_pixels,
        }
        for clip in work.airlock.call("hdvg.media.cut:cut", asked, scratch, work.limits):
            row: Row = {"video_id": items[0]["video_id"], "clip_id": clip["clip_id"]}
            if "reason" in clip:
                rows.append(row | {"status": "failed", "reason": clip["reason"], "detail": clip["detail"]})
                continue
            path = scratch_path(scratch, clip["file"])
            row |= {"clip_bytes": path.stat().st_size, "clip_sha256": work.dataset.store.put_media(path, "mp4")}
            rows.append(row | {f"clip_{key}": clip[key] for key in ("width", "height", "codec")})
    return rows


def caption(work: Work) -> Iterator[Row]:
    """Write the text of each kept clip from its stored keyframes; media is not opened."""
    settings = work.dataset.plan.recipe.caption

    def write(items: list[Row]) -> list[Row]:
        texts = work.captioner.caption([_shot(work, item) for item in items])
        return [
            _text(item, clean(text, lower_case=settings.lower_case))
            | {"captioner": work.captioner.name, "model": work.captioner.model}
            for item, text in zip(items, texts, strict=True)
        ]

    for items in batches(work.items, settings.batch):
        yield from work.guarded_batch(write, items)


def _text(item: Row, text: str) -> Row:
    row: Row = {"video_id": item["video_id"], "clip_id": item["clip_id"]}
    return row | ({"text": text} if text else {"status": "failed", "reason": "caption", "detail": "empty text"})


def _shot(work: Work, item: Row) -> Shot:
    pack = work.dataset.store.find_media(item["keyframes"])
    if pack is None:
        raise ItemError("lost_source", f"keyframe pack {item['keyframes']} is gone; `hdvg verify` tells what else is")
    rows = pq.read_table(pack, filters=[("clip_id", "=", item["clip_id"])], columns=["position", "jpeg"]).to_pylist()
    return Shot(item["clip_id"], {row["position"]: row["jpeg"] for row in rows}, item)
