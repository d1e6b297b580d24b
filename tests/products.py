"""A finished dataset made of rows: videos with clips of given bytes, cut, captioned and in the shards; nothing is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.dataset.store import Store
from hdvg.ids import digest
from hdvg.planning import make_plan
from schemas.given import GIVEN
from schemas.inputs import INPUTS

TICKS = 1000
"""Of a second: pts are milliseconds."""


@dataclass(frozen=True)
class Clip:
    """One clip: its span in ms, its file's bytes; `cut` and `caption` say how far it came."""

    start_ms: int
    end_ms: int
    video: bytes
    caption: str | None = "a clip"
    cut: str = "ok"
    width: int = 1280
    title: str | None = None
    """Of its video; that of the video's first clip counts."""


def make(root: Path, videos: Sequence[Sequence[Clip]], *, shard: dict[str, Any] | None = None) -> Dataset:
    """A dataset with these videos, in one accepted list, and its shards. Kept is what lasts 2 s or longer."""
    root.mkdir(parents=True)
    recipe = {
        "name": "made",
        "keep": {"too_short": "duration_s >= 2"},
        "caption": {"captioner": "title"},
        "shard": shard or {},
    }
    dataset = Dataset(root, make_plan(parse_recipe(recipe)), Store(root, run="made"))
    dataset.store.begin()
    dataset.prepare()
    add(dataset, videos)
    return dataset


def add(dataset: Dataset, videos: Sequence[Sequence[Clip]]) -> None:
    """One list more, and the shards brought up to date."""
    with dataset.manifest() as manifest:
        first = manifest.one("select count(*) from inputs")
    links = dataset.root.parent / f"{dataset.root.name}-links.txt"
    links.write_text("\n".join(f"https://a.org/{first + number}.mp4" for number in range(len(videos))))
    accept(dataset, str(links))
    with dataset.manifest() as manifest:
        rows = manifest.rows("select video_id, unit, line from inputs where seq = (select max(seq) from inputs)")
    units: dict[str, dict[str, Sequence[Clip]]] = {}
    for row in rows:
        units.setdefault(row["unit"], {})[row["video_id"]] = videos[row["line"] - 1]
    for unit, members in units.items():
        _unit(dataset, unit, members)
    write_shards(dataset, in_turn(dataset, lambda rows: {}))


def _unit(dataset: Dataset, unit: str, videos: dict[str, Sequence[Clip]]) -> None:
    parts: dict[str, list[dict[str, Any]]] = {"download": [], "split": [], "cut": [], "caption": []}
    for name, clips in videos.items():
        base = {"video_id": name, "status": "ok", "generation": 0, "attempt": 1}
        said = {"sha256": digest("bytes", name) * 2, "bytes": 1, "categories": ["Travel"]}
        said["title"] = (clips[0].title if clips else None) or f"film {name[:4]}"
        parts["download"].append(base | said | {"licence": "CC BY 4.0", "licence_class": "cc-by", "open_licence": True})
        parts["split"].append(base | {"time_base": f"1/{TICKS}", "start_pts": 0, "n_frames": 1, "fps": 25.0})
        for clip in clips:
            clip_id = digest("clip", name, clip.start_ms, clip.end_ms)
            parts["split"].append(base | _span(clip, clip_id))
            parts["cut"].append(_cut(dataset, clip, base | {"clip_id": clip_id}))
            if clip.caption is not None:
                text = {
                    "kind": "short",
                    "text": clip.caption,
                    "language": "en",
                    "captioner": "title",
                    "model": "title-1",
                }
                parts["caption"].append(base | {"clip_id": clip_id} | text)
    for stage, rows in parts.items():
        schema = pq.read_schema(dataset.root / f"parts/{stage}/seed-{dataset.plan.fingerprints[stage]}-0.parquet")
        known = [{name: row[name] for name in row if name in schema.names} for row in rows]
        name = f"parts/{stage}/{unit}-{dataset.plan.fingerprints[stage]}-0.parquet"
        dataset.store.publish_table(name, pa.Table.from_pylist(known, schema=schema))


def _span(clip: Clip, clip_id: str) -> dict[str, Any]:
    seconds = (clip.end_ms - clip.start_ms) / 1000
    frames = {"start_frame": clip.start_ms // 40, "end_frame": clip.end_ms // 40, "n_frames": round(seconds * 25)}
    times = {"start_pts": clip.start_ms, "end_pts": clip.end_ms, "time_base": f"1/{TICKS}"}
    return {"clip_id": clip_id, "duration_s": seconds, "fps": 25.0, "width": clip.width, "height": 720} | frames | times


def _cut(dataset: Dataset, clip: Clip, base: dict[str, Any]) -> dict[str, Any]:
    if clip.cut != "ok":
        return base | {"status": "failed", "reason": clip.cut}
    with dataset.store.scratch() as scratch:
        (scratch / "clip").write_bytes(clip.video)
        sha256 = dataset.store.put_media(scratch / "clip", "mp4")
    size = {"clip_bytes": len(clip.video), "clip_width": clip.width, "clip_height": 720}
    return base | size | {"clip_sha256": sha256, "cut_start_pts": clip.start_ms, "cut_end_pts": clip.end_ms}


def publish_given(dataset: Dataset, rows: Sequence[dict[str, Any]], *, unit: str = "imported") -> None:
    """Imported scenes, as `hdvg import` leaves them; each row's `url` becomes its video's link."""
    links = {row["video_id"]: row["url"] for row in rows}
    number = len(list((dataset.root / "inputs").glob("*.parquet")))
    inputs = [
        {
            "link_id": digest(name),
            "link": url,
            "line": line,
            "seq": number,
            "source": url,
            "video_id": name,
            "unit": unit,
        }
        | {"origin": "hdvg_0.json", "status": "new"}
        for line, (name, url) in enumerate(links.items(), start=1)
    ]
    dataset.store.publish_table(f"inputs/{number:05d}-{unit}.parquet", pa.Table.from_pylist(inputs, schema=INPUTS))
    publish_scenes(dataset, rows, unit=unit)


def publish_scenes(dataset: Dataset, rows: Sequence[dict[str, Any]], *, unit: str = "imported") -> None:
    """The scenes alone."""
    known = [{name: row.get(name) for name in GIVEN.names} for row in rows]
    dataset.store.publish_table(f"given/{unit}-made.parquet", pa.Table.from_pylist(known, schema=GIVEN))


def shard_rows(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """What the shards hold, by clip."""
    tables = [pq.read_table(path) for path in sorted((dataset.root / "shards").glob("*.parquet"))]
    return {row["clip_id"]: row for table in tables for row in table.to_pylist()}
