"""Which clips are wanted, what is known of each, and where their bytes and texts lie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.conditions import check_expression
from hdvg.dataset.clip_files import places_sql, shard_rows
from hdvg.dataset.damage import say
from hdvg.dataset.manifest import Manifest, literal
from hdvg.errors import DamagedError, UsageError, first_line
from hdvg.latents.buckets import Sizes, assign
from hdvg.latents.settings import Encoding

if TYPE_CHECKING:
    from hdvg.config.tags import Tag
    from hdvg.dataset.dataset import Dataset

CUT = ("clip_width", "clip_height", "cut_n_frames", "cut_start_pts", "cut_end_pts")

WANTED = """
with chosen as (
    select clip_id, video_id, time_base, clip_sha256, {own_cut}, cut_status, caption, list_filter([{tags}]::varchar[], lambda t: t <> '') as tags,
        coalesce(list_transform(list_filter(texts, lambda t: t.weight > 0), lambda t: {{text: t.text, weight: t.weight}}), []) as plain
    from dataset where keep and (
{where}
)
),
texted as (select *, {weighted} as weighted from chosen)
select w.clip_id, w.video_id, s.shard, s.row, w.time_base, {cut},
    case when w.cut_status is distinct from 'ok' then 'not cut'
         when {captions} and w.caption is null then 'without a caption' end as lacks,
    tags, list_transform(weighted, lambda t: t.text) as texts,
    list_transform(weighted, lambda t: substr(sha256(t.text), 1, 32)) as text_ids,
    list_transform(weighted, lambda t: t.weight) as weights,
    coalesce(s.clip_width, w.clip_width, 0) as width, coalesce(s.clip_height, w.clip_height, 0) as height,
    coalesce(s.cut_n_frames, w.cut_n_frames, 0) as n_frames,
    coalesce((coalesce(s.cut_end_pts, w.cut_end_pts) - coalesce(s.cut_start_pts, w.cut_start_pts))
        * split_part(w.time_base, '/', 1)::double / split_part(w.time_base, '/', 2)::double, 0) as length_s
from texted w left join ({shards}) s on s.clip_id = w.clip_id and (w.clip_sha256 is null or w.clip_sha256 = s.clip_sha256)
order by w.clip_id
"""
NO_SHARDS = "select null::varchar as {}, null::bigint as {}"


def wanted(dataset: Dataset, encoding: Encoding, where: str | None = None) -> pa.Table:
    """A row for each kept clip, of which `where` holds, by clip_id: `shard` and `row` of its bytes (null: in none),
    `bucket` as `assign` says, what it `lacks` to come into a shard, and what identifies its frames and texts.

    Raises UsageError with DuckDB's words if `where` is no condition.
    """
    try:
        check_expression(where or "true", example="'duration_s > 3 and open_licence'")
    except ValueError as error:
        raise UsageError(f"draw.where = {where!r}: {error}") from error
    dataset.store.require_shards()
    with dataset.manifest() as manifest:
        for name, tag in encoding.tags.items():
            _try(manifest, tag, f"data.tags.{name}.by")
        shards = [row["shard"] for row in manifest.rows("select shard from shards order by shard")]
        there = [name for name in shards if (dataset.root / name).exists()]
        sql = WANTED.format(
            where=where or "true",
            captions=dataset.plan.captions_wanted,
            tags=", ".join(tag.sql() for tag in encoding.tags.values()),
            weighted=_with_tags(encoding),
            own_cut=", ".join(CUT),
            cut=", ".join(f"coalesce(s.{name}, w.{name}) as {name}" for name in CUT),
            shards=_places(dataset.root, there),
        )
        try:
            rows = manifest.table(sql)
        except duckdb.Error as error:
            if harmed := [name for name in there if not _is_readable(dataset.root / name)]:
                raise DamagedError(say(dataset.root, harmed, "damaged")) from error
            raise UsageError(f"draw.where = {where!r}: {error}; it takes a condition on `dataset`") from error
    return rows.append_column("bucket", pa.array(assign(sizes(rows), encoding)))


def _try(manifest: Manifest, tag: Tag, setting: str) -> None:
    """Raise UsageError if a tag asks for what `dataset` does not have."""
    try:
        manifest.rows(f"select {tag.sql()} from dataset limit 0")
    except duckdb.Error as error:
        raise UsageError(
            f"{setting} = {tag.by!r}: {first_line(error)}; it takes a number of `dataset`, such as local_px_s"
        ) from error


def _with_tags(encoding: Encoding) -> str:
    """SQL: the texts of a clip with their weights; of one with tags each with them, and without them for `drop_tags` of the draws."""
    pieces = re.split(r"({tags}|{text})", encoding.tagged)
    said = " || ".join(
        {"{tags}": "array_to_string(tags, ', ')", "{text}": "t.text"}.get(one, literal(one)) for one in pieces
    )
    kinds = [(said, 1 - encoding.drop_tags), ("t.text", encoding.drop_tags)]
    lists = (
        f"list_transform(plain, lambda t: {{text: {text}, weight: t.weight * {share!r}}})"
        for text, share in kinds
        if share
    )
    return f"case when len(tags) = 0 then plain else list_concat({', '.join(lists)}) end"


def _is_readable(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def sizes(rows: pa.Table) -> Sizes:
    """What the choice of buckets depends on."""
    columns = (rows[name].to_numpy() for name in ("width", "height", "length_s", "n_frames"))
    width, height, length_s, n_frames = (np.nan_to_num(column) for column in columns)
    return Sizes(width.astype(np.int64), height.astype(np.int64), length_s, n_frames.astype(np.int64))


def refuse_unsharded(dataset: Dataset, rows: pa.Table) -> None:
    """Raise UsageError if none of the rows' clips lies in a shard."""
    if rows["shard"].null_count == len(rows):
        raise UsageError(
            f"{dataset.root}: of {len(rows)} kept clips none is in a shard, which pictures are read from: "
            f"hdvg shard {dataset.root}"
        )


def _places(root: Path, shards: Sequence[str]) -> str:
    """SQL: where each clip lies, and how it was cut."""
    if not shards:
        texts, numbers = ("clip_id", "shard", "clip_sha256"), ("row", *CUT)
        return NO_SHARDS.format(", null::varchar as ".join(texts), ", null::bigint as ".join(numbers))
    return places_sql(root, shards, ["clip_id", "clip_sha256", *CUT])


@dataclass(frozen=True)
class Found:
    """A clip that can be decoded: its name, row in its shard, frames, and length in seconds, exactly."""

    clip_id: str
    row: int
    n_frames: int
    length_s: Fraction


def found(rows: pa.Table) -> list[Found]:
    """The clips of rows that `wanted` gave, all in a shard."""
    columns = ["clip_id", "row", "n_frames", "time_base", "cut_start_pts", "cut_end_pts"]
    return [
        Found(clip_id, row, n_frames, (end - start) * Fraction(time_base))
        for clip_id, row, n_frames, time_base, start, end in zip(
            *(rows[name].to_pylist() for name in columns), strict=True
        )
    ]


def videos(path: Path, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """(row, mp4 bytes) of some of a shard's rows, in the shard's order; one row group is in memory at a time.

    Raises UsageError if the shard is gone or cannot be read.
    """
    return ((row, columns["video"]) for row, columns in shard_rows(path, rows, ["video"]))
