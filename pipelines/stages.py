"""The stages: plain functions from a unit's pending items to rows; media is published on the way, rows at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.child_settings import CutSettings, SplitSettings
from hdvg.dataset.clip_files import promised
from hdvg.dataset.tombstones import Tombstones
from hdvg.errors import ItemError
from hdvg.ids import digest, file_sha256
from hdvg.media import calls
from hdvg.media.calls import Clip, CutSpan, LostScene, Scanned, SeenSegment, StoredSegment
from hdvg.media.excerpt import is_excerpt
from hdvg.sandbox import Call
from hdvg.shots import DETECTOR, NETWORKS
from hdvg.sources.blocklist import block_list
from hdvg.sources.fetch import fetch
from pipelines.clip_media import kept_clips
from pipelines.items import ClipItem, CutItem, SourceItem, SplitItem
from pipelines.keyframes import Packs
from pipelines.parts import NOTHING, clip_names, part_row, refuse_other_part, scenes_of, wanted_of
from pipelines.work import ItemT, Row, Work, each, scratch_path
from schemas.keyframes import KEYFRAMES
from schemas.pass_measures import PASS

EXTENSIONS = {"matroska,webm": "mkv", "mpegts": "ts", "mpeg": "mpg", "avi": "avi", "flv": "flv"}
"""Names of source files by container; anything else is mp4's family."""

CUT_NEEDS = (
    "clip_id",
    "start_pts",
    "end_pts",
    "n_frames",
    "first_look",
    "last_look",
    "decode_errors",
    "retimed_frames",
    "clean_left",
    "clean_top",
    "clean_width",
    "clean_height",
)
CUT_SHAPE = ("width", "height", "codec")
"""Columns of a cut clip that are `clip_width` and so on in the dataset."""

OF_PASS = " ".join(f"{name}={one.version}" for name, one in PASS.items())
"""What the pass measures."""

SPLIT_TOOLS = ("av", "opencv-python-headless", "scenedetect-headless")


def download(work: Work[SourceItem]) -> Iterator[Row]:
    """Fetch each video and look whether it is media; several at once, for it is waiting that takes the time."""
    with _threads(work) as pool:
        for rows in pool.map(lambda item: work.guarded(lambda one: [_fetch(work, one)], item), work.items):
            yield from rows


@contextmanager
def _threads(work: Work[SourceItem]) -> Iterator[ThreadPoolExecutor]:
    """Threads for the fetches; if the run is stopped, these end at once."""
    done = False
    with ThreadPoolExecutor(work.dataset.recipe.fetch.concurrency) as pool:
        try:
            yield pool
            done = True
        finally:
            if not done:
                pool.shutdown(wait=False, cancel_futures=True)
                work.sandbox.close()


def _fetch(work: Work[Any], item: SourceItem, *, again: bool = False) -> Row:
    recipe = work.dataset.recipe
    settings = recipe.fetch.model_copy(update={"subtitles": ()}) if again else recipe.fetch
    blocked, tombstones = block_list(recipe.fetch), Tombstones.of(work.dataset.root)
    tombstones.refuse_video(item["video_id"])
    wanted, digest_of, why = wanted_of(work, item) if recipe.fetch.sections == "auto" else NOTHING
    with work.dataset.store.scratch() as scratch:
        fetched = fetch(
            item["source"],
            scratch=scratch,
            settings=settings,
            sandbox=work.sandbox,
            gate=work.gate,
            wanted=wanted,
        )
        if fetched.excerpt is None and is_excerpt(fetched.path):
            raise ItemError("not_media", "an excerpt, which only hdvg makes")
        blocked.refuse(fetched.path)
        if tombstones.tokens:
            tombstones.refuse_bytes(file_sha256(fetched.path), fetched.info["uploader_id"])
        size = fetched.path.stat().st_size
        probe = calls.probe(str(fetched.path), recipe.limits.max_pixels)
        found = work.sandbox.call(probe, scratch, work.limits)
        extension = "excerpt" if fetched.excerpt else EXTENSIONS.get(found["container"], "mp4")
        sha256 = work.dataset.store.put_media(fetched.path, extension, stays=not recipe.storage.keep_sources)
    row: Row = {"video_id": item["video_id"], "sha256": sha256, "bytes": size, "format_choice": fetched.choice}
    row |= part_row(fetched, digest_of, why)
    return {**row, "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"), **fetched.info}


def split(work: Work[SplitItem]) -> Iterator[Row]:
    """Decode each video once: its shots, their measures and keyframes."""
    return each(work, lambda item: _split(work, item))


def _split(work: Work[SplitItem], item: SplitItem) -> list[Row]:
    with work.dataset.store.scratch() as scratch:
        try:
            found = _scan(work, item, scratch)
        except ItemError as error:
            if error.reason == "blocked_content":
                work.dataset.store.remove_media(item["sha256"])
            raise
        named = clip_names(work, item)
        clips: list[Row] = []
        pictures: list[Row] = []
        for clip in found["clips"]:
            name = named(clip["start_pts"], clip["end_pts"], clip["time_base"])
            clips.append(_clip_row(item, clip, is_whole=found["video"]["n_frames"] is not None) | {"clip_id": name})
            pictures += [
                {**picture, "clip_id": name, "jpeg": scratch_path(scratch, picture["file"]).read_bytes()}
                for picture in clip["keyframes"]
            ]
        pack = scratch / "keyframes.parquet"
        pq.write_table(pa.Table.from_pylist(pictures, schema=KEYFRAMES), pack, compression="none", row_group_size=64)
        keyframes = work.dataset.store.put_media(pack, "parquet")
    tools = " ".join(f"{tool}={version(tool)}" for tool in SPLIT_TOOLS)
    video: Row = {**found["video"], "tools": tools, "given_digest": item["given_digest"]}
    same = {"keyframes": keyframes, "measure_versions": OF_PASS}
    rows = [video, *(clip | same for clip in clips)]
    rows += [_lost_scene(item, lost) for lost in found.get("failed", [])]
    return [row | {"video_id": item["video_id"]} for row in rows]


def _clip_row(item: SplitItem, clip: Clip, *, is_whole: bool) -> Row:
    """The columns of a clip; of a video that is there in part, no frames can be counted."""
    row: Row = {name: value for name, value in clip.items() if name not in ("given", "keyframes")}
    return row | _given(item, clip.get("given")) | ({} if is_whole else {"start_frame": None, "end_frame": None})


def _given(item: SplitItem, number: int | None) -> Row:
    """What the published set says of a clip."""
    if number is None:
        return {}
    scene = (item["given"] or [])[number]
    return {f"given_{name}": scene[name] for name in ("origin", "caption")} | {"given_id": scene["given_id"]}


def _lost_scene(item: SplitItem, lost: LostScene) -> Row:
    """The row of a given scene that became no clip; its id is its own, for no span has it."""
    error = ItemError(lost["reason"], lost["detail"])
    name = digest("given", item["sha256"], lost["number"], item["given_digest"])
    row = {"clip_id": name, "status": "failed", "reason": error.reason, "detail": error.detail}
    return _given(item, lost["number"]) | row


def _scan(work: Work[SplitItem], item: SplitItem, scratch: Path) -> Scanned:
    """The one pass: in one child, or for a long video in one child per segment and one that puts them together."""
    recipe = work.dataset.recipe
    path, threads, max_pixels = str(source_file(work, item)), work.threads, recipe.limits.max_pixels
    settings = _split_settings(work, item)
    found = work.sandbox.call(calls.scan(path, str(scratch), settings, threads, max_pixels), scratch, work.limits)
    if "segments" not in found:
        return found
    folders = [scratch / f"segment-{number}" for number in range(len(found["segments"]))]
    parts: list[tuple[Call[SeenSegment], Path]] = []
    for folder, segment in zip(folders, found["segments"], strict=True):
        folder.mkdir()
        parts.append((calls.scan_segment(path, str(folder), settings, threads, max_pixels, segment), folder))
    n_frames = found["segments"][0]["n_frames"]
    try:
        seen: list[StoredSegment] = [
            {**one, "folder": str(folder)} for one, folder in zip(work.spread(parts), folders, strict=True)
        ]
        together = calls.assemble(path, str(scratch), settings, max_pixels, seen, n_frames)
        return work.sandbox.call(together, scratch, work.limits)
    except ItemError as error:
        if error.reason != "segments":
            raise
    settings["segment_s"] = math.inf
    whole = work.sandbox.call(calls.scan(path, str(scratch), settings, threads, max_pixels), scratch, work.limits)
    if "segments" in whole:
        raise ItemError("error", "a child took a video apart that it was to leave whole")
    return whole


def _split_settings(work: Work[SplitItem], item: SplitItem) -> SplitSettings:
    """The recipe's, with given scenes, for which nothing is looked at that only detectors need, and blocked pictures."""
    recipe = work.dataset.recipe
    settings = recipe.split.model_dump() | block_list(recipe.fetch).pictures.as_settings()
    settings |= recipe.limits.model_dump(include={"max_frames", "max_decoded_gb"})
    if item["given"]:
        costly = recipe.split.detector in NETWORKS or DETECTOR.is_plugin(recipe.split.detector)
        settings |= {"stitch_levels": 0.0} | ({"detector": "adaptive"} if costly else {})
        settings["scenes"] = scenes_of(item["given"])
    return cast("SplitSettings", settings)


def source_file(work: Work[Any], item: SplitItem | CutItem) -> Path:
    """The source file of a video, fetched again if it was dropped.

    Raises ItemError `changed` if the link now gives other bytes: clips of two versions are never mixed.
    """
    found = work.dataset.store.find_media(item["sha256"])
    if found is not None:
        return found
    again = _fetch(work, item, again=True)
    if again["sha256"] != item["sha256"]:
        refuse_other_part(work, again)
        raise ItemError("changed", f"fetched {again['sha256']}, had {item['sha256']}")
    found = work.dataset.store.find_media(item["sha256"])
    if found is None:
        raise ItemError("lost_source", item["source"])
    return found


def cut(work: Work[CutItem]) -> Iterator[Row]:
    """Make the kept clips of each video files, every one checked; in mode `virtual` that is left to the shards."""
    do = _promise if work.dataset.recipe.cut.mode == "virtual" else _cut
    for items in by_video(work.items):
        yield from work.guarded_batch(lambda some: do(work, some), items)


def by_video(items: list[ItemT]) -> Iterable[list[ItemT]]:
    """The items of each video."""
    videos: dict[str, list[ItemT]] = {}
    for item in items:
        videos.setdefault(item["video_id"], []).append(item)
    return videos.values()


def _promise(work: Work[CutItem], items: list[CutItem]) -> list[Row]:
    return [{"video_id": item["video_id"], "clip_id": item["clip_id"], **promised(item)} for item in items]


def _cut(work: Work[CutItem], items: list[CutItem]) -> list[Row]:
    with work.dataset.store.scratch() as scratch:
        return kept_clips(work.dataset, cut_files(work, items, scratch))


def cut_files(work: Work[CutItem], items: list[CutItem], scratch: Path) -> Iterator[tuple[Row, Path | None]]:
    """The rows of one video's clips, each with its file in `scratch`, or None if it failed."""
    recipe = work.dataset.recipe
    source, settings = str(source_file(work, items[0])), cast("CutSettings", recipe.cut.model_dump())
    spans = [cast("CutSpan", {name: item.get(name) for name in CUT_NEEDS}) for item in items]
    cut = calls.cut(source, str(scratch), spans, settings, recipe.limits.max_pixels)
    for clip in work.sandbox.call(cut, scratch, work.limits):
        row: Row = {"video_id": items[0]["video_id"], "clip_id": clip["clip_id"]}
        if "reason" in clip:
            yield row | {"status": "failed", "reason": clip["reason"], "detail": clip["detail"]}, None
            continue
        path = scratch_path(scratch, clip["file"])
        columns = {
            f"clip_{name}" if name in CUT_SHAPE else name: value for name, value in clip.items() if name != "file"
        }
        yield row | {"clip_bytes": path.stat().st_size} | columns, path


def measure(work: Work[ClipItem]) -> Iterator[Row]:
    """Compute a keyframe measure of clips from their stored keyframes, video by video; media is not opened."""
    packs = Packs(work.dataset.store)

    def measure_batch(items: list[ClipItem]) -> list[Row]:
        asked = {item["clip_id"] for item in items}
        others = [shot for name, shot in packs.video(items[0]).items() if name not in asked]
        wanted = [packs.shot(item) for item in items]
        values = work.model.measure(wanted, others)
        return [
            {"video_id": item["video_id"], "clip_id": item["clip_id"]} | row
            for item, row in zip(items, values, strict=True)
        ]

    for items in by_video(work.items):
        yield from work.guarded_batch(measure_batch, items)
