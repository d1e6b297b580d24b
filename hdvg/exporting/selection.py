"""Which clips are exported: those that are kept and in the shards, read shard by shard, row group by row group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.clip_files import Numbers, grouped_rows, places_sql
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import Manifest
from hdvg.errors import UsageError
from hdvg.exporting.frames import FrameRule
from hdvg.ids import digest
from schemas.shards import SHARDS

_CHOOSE = """
create temp table kept as
select clip_id, video_id, cut_status, caption is not null as captioned from dataset where keep and (
{where}
);
create temp table chosen as
select h.shard, h.row, h.clip_id, h.bytes from held h semi join kept using (clip_id) where h.used > 0
"""

_HELD = """
create temp table held as select *, {used} as used from (
    select shard, row, clip_id, coalesce(clip_bytes, 0) as bytes, {frames} as frames from ({rows}))
"""

_LEFT_OUT = """
select case
    when h.used = 0 then 'shorter than {least} frames'
    when w.cut_status = 'failed' then 'not cut: ' || coalesce(c.reason, 'failed')
    when w.cut_status is distinct from 'ok' then 'not cut yet: hdvg run'
    when {captions} and not w.captioned then 'without a caption: hdvg run'
    else 'not in the shards yet: hdvg shard' end as reason, count(*) as clips
from kept w anti join chosen using (clip_id) left join held h using (clip_id) left join cuts c using (clip_id, video_id)
group by all order by 1
"""


@dataclass(frozen=True)
class Slice:
    """Clips of one shard: `rows` are their numbers in it, ascending; `sizes` their bytes; `whole` if these are all."""

    shard: str
    split: str
    content: str
    sha256: str
    rows: Numbers
    sizes: Numbers
    whole: bool

    @property
    def bytes(self) -> int:
        """Of its clips."""
        return int(self.sizes.sum())


@dataclass(frozen=True)
class _Group:
    """A row group of a shard, its clips and captions."""

    shard: str
    first: int
    table: pa.Table

    def has(self, shard: str, row: int) -> bool:
        """Whether it holds that row."""
        return shard == self.shard and self.first <= row < self.first + len(self.table)


Bundle = Sequence[Slice]

BATCH = 10_000
"""Rows read at once where they hold no clips."""


class Chosen:
    """The clips that are kept, meet the condition, are in the shards and have frames enough.

    Fills the tables `kept`, `held`, `chosen`.
    """

    def __init__(self, dataset: Dataset, manifest: Manifest, where: str | None, frames: FrameRule) -> None:
        self._dataset, self._manifest, self._frames = dataset, manifest, frames
        self._group: _Group | None = None
        dataset.store.require_shards()
        self._shards = manifest.rows("select * from shards")
        if not self._shards:
            raise UsageError(f"{dataset.root} has no shards yet: `hdvg run {dataset.root}` or `hdvg shard` writes them")
        self._rows = places_sql(dataset.root, (row["shard"] for row in self._shards), ["*"])
        held = _HELD.format(used=frames.used_sql, frames=frames.frames_sql, rows=self._rows)
        manifest.connection.execute(held)
        manifest.judging(lambda: manifest.connection.execute(_CHOOSE.format(where=where or "true")))
        self.counts = self._count()

    def __getstate__(self) -> dict[str, Any]:
        """What `tables` and `schema` need."""
        return {"_dataset": self._dataset, "_shards": self._shards[:1]}

    def _count(self) -> dict[str, Any]:
        captions = "true" if self._dataset.plan.captions_wanted else "false"
        return {
            "clips": self._manifest.one("select count(*) from chosen"),
            "of": "kept clips",
            "kept": self._manifest.one("select count(*) from kept"),
            "left_out": self._manifest.rows(_LEFT_OUT.format(captions=captions, least=self._frames.least)),
        }

    def slices(self) -> Iterator[Slice]:
        """What is chosen of each shard, in order; shards of which nothing is are left out."""
        for shard in self._shards:
            rows = self._manifest.table("select row, bytes from chosen where shard = ? order by row", [shard["shard"]])
            if rows.num_rows:
                yield Slice(
                    shard=shard["shard"],
                    split=shard["split"],
                    content=shard["content"],
                    sha256=shard["sha256"],
                    rows=rows.column("row").to_numpy().astype(np.int64),
                    sizes=rows.column("bytes").to_numpy().astype(np.int64),
                    whole=rows.num_rows == shard["n_clips"],
                )

    def bundles(self, max_mb: float, *, keep_whole: bool = False) -> Iterator[tuple[str, Bundle]]:
        """Split and clips of each file to write: at most `max_mb` of clips, at least one clip; a file has one split.

        With `keep_whole` a shard that is chosen as a whole becomes a file by itself.
        """
        groups = groupby(self.slices(), key=lambda part: (part.split, part.shard if keep_whole and part.whole else ""))
        for (split, alone), parts in groups:
            for bundle in [list(parts)] if alone else _packed(parts, max_mb * 2**20):
                yield split, bundle

    def tables(self, bundle: Bundle) -> Iterator[pa.Table]:
        """The chosen rows, one row group of a shard at a time, all columns. Raises UsageError if a shard is damaged."""
        for part in bundle:
            with self._opened(part) as file:
                yield from (as_shards(rows) for _, rows in grouped_rows(file, part.rows))

    @contextmanager
    def _opened(self, part: Slice) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self._dataset.root / part.shard, page_checksum_verification=True) as file:
                if (file.schema_arrow.metadata or {}).get(b"hdvg_content", b"").decode() != part.content:
                    raise UsageError(f"{part.shard} was written anew meanwhile: run the export again")
                yield file
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{part.shard} cannot be read ({error}): see `hdvg verify`") from error

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Ask of `exported`: the chosen clips' rows in the shards, and their `shard`, `row` and `split`."""
        return self._manifest.rows(self._of_exported(sql))

    def reader(self, sql: str) -> pa.RecordBatchReader:
        """The same, batch by batch."""
        return self._manifest.connection.sql(self._of_exported(sql)).to_arrow_reader(BATCH)

    def _of_exported(self, sql: str) -> str:
        chosen = f"select * from ({self._rows}) semi join chosen using (shard, row)"
        return f"with exported as (select c.*, s.split from ({chosen}) c join shards s using (shard)) {sql}"

    def cell(self, shard: str, row: int, column: str) -> Any:
        """One value. Its row group stays in memory, so that those that follow cost nothing. Raises UsageError as `tables`."""
        if self._group is None or not self._group.has(shard, row):
            self._group = self._read_group(self._parts[shard], row)
        return self._group.table[column][row - self._group.first].as_py()

    @cached_property
    def _parts(self) -> dict[str, Slice]:
        return {part.shard: part for part in self.slices()}

    def _read_group(self, part: Slice, row: int) -> _Group:
        with self._opened(part) as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if row < first + count:
                    return _Group(part.shard, first, file.read_row_group(group, columns=["video", "caption"]))
                first += count
        raise UsageError(f"{part.shard} has no row {row}: see `hdvg verify`")

    def schema(self) -> pa.Schema:
        """The columns of the shards, with their sentences; the metadata are those of the first."""
        return SHARDS.with_metadata(pq.read_schema(self._dataset.root / self._shards[0]["shard"]).metadata)


def as_shards(table: pa.Table) -> pa.Table:
    """The rows with the columns of shards as they are now: null where theirs was written before there was one."""
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(len(table), field.type) for field in SHARDS
    ]
    return pa.table(columns, schema=SHARDS.with_metadata(table.schema.metadata))


def identity(bundle: Bundle, *settings: object) -> str:
    """Hash of which rows of which shards a file holds, and of the settings that shape it."""
    return digest(settings, [[part.content, None if part.whole else part.rows.tolist()] for part in bundle])


def clips(bundle: Bundle) -> int:
    """How many there are in it."""
    return sum(len(part.rows) for part in bundle)


def row_groups(tables: Iterable[pa.Table], max_mb: float) -> Iterator[pa.Table]:
    """The same rows in tables of at most `max_mb`, each one of those given or several of them."""
    held: list[pa.Table] = []
    for table in tables:
        if held and sum(part.nbytes for part in [*held, table]) > max_mb * 2**20:
            yield pa.concat_tables(held).combine_chunks()
            held = []
        held.append(table)
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _packed(parts: Iterable[Slice], most: float) -> Iterator[list[Slice]]:
    """Their clips in bundles of at most `most` bytes, at least one clip each."""
    held: list[Slice] = []
    used = 0
    for part in parts:
        start = 0
        for index, size in enumerate(part.sizes.tolist()):
            if used + size > most and (held or index > start):
                yield [*held, _run(part, start, index)] if index > start else held
                held, start, used = [], index, 0
            used += size
        held = [*held, _run(part, start, len(part.rows))]
    if held:
        yield held


def _run(part: Slice, start: int, end: int) -> Slice:
    whole = part.whole and (start, end) == (0, len(part.rows))
    return replace(part, rows=part.rows[start:end], sizes=part.sizes[start:end], whole=whole)
