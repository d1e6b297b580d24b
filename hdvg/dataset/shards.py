"""Write the product: the kept clips as Parquet shards, rewriting only shards whose content changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.clip_files import HELD, cut_file
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import SEED, files, shard_row_name
from hdvg.dataset.shard_plan import ShardPlan, going_shards, note_stamps, plan_shards, refuse_unexplained
from hdvg.dataset.stages import SHARD
from hdvg.errors import LostClipsError, UsageError
from hdvg.ids import file_sha256
from schemas import SCHEMA_VERSION
from schemas.parts import SHARD_PART
from schemas.shards import SHARDS

Row = dict[str, Any]
Cutter = Callable[[list[Row]], dict[str, tuple[Row, bytes]]]
"""Makes the clips of rows whose clips are virtual: by clip_id, the row with the cut's columns, and the file's bytes."""
Hold = Callable[[Sequence[Path]], None]
"""Is given the shards that are about to go: their virtual clips need not be made again."""


@dataclass(frozen=True)
class NewShard:
    """A shard that is to be written; `rows` is a file with its rows, without clips' bytes, on the dataset's disk."""

    name: str
    content: str
    rows: Path


WriteAll = Callable[[Sequence[NewShard]], None]
"""Calls `write_shard` for each of them, in any order and place."""


def in_turn(dataset: Dataset, cutter: Cutter) -> WriteAll:
    """One after the other, in this process."""

    def write_all(shards: Sequence[NewShard]) -> None:
        for one in shards:
            write_shard(dataset, one, cutter)

    return write_all


def write_shards(dataset: Dataset, write_all: WriteAll, hold: Hold = lambda shards: None) -> int:
    """Make `shards/` hold exactly the clips that are kept, cut and captioned; returns how many clips that is.

    A video's clips lie together (`shard_homes`), in the order of a hash of seed and clip_id, and a shard never spans two
    lists: new links only append. A shard whose content hash stands in its part row stays as it is. What `write_all`
    raises comes through. Raises LostClipsError, before it changes anything, if media is missing.
    """
    with dataset.store.scratch() as scratch:
        plan = plan_shards(dataset, scratch)
        _refuse_lost(dataset, plan)
        going = going_shards(dataset.root, plan.contents)
        refuse_unexplained(dataset, going)
        hold(going)
        _remove_stale(dataset, plan.contents, going)
        write_all([NewShard(name, plan.contents[name], rows) for name, rows in plan.rows.items()])
    note_stamps(dataset, plan)
    return plan.clips


def _remove_stale(dataset: Dataset, planned: dict[str, str], going: Sequence[Path]) -> None:
    """Take away part rows that are not of the planned shards, then the shards that go."""
    keep = {f"{name}-{content}.parquet" for name, content in planned.items()} | {f"{SEED}.parquet"}
    for path in files(dataset.root, "parts", stage=SHARD):
        if path.name not in keep:
            dataset.store.remove(f"parts/shard/{path.name}")
    for path in going:
        dataset.store.remove(f"shards/{path.name}")


def lost_clips(dataset: Dataset) -> list[tuple[str, str, str]]:
    """(video_id, clip_id, unit) of every kept and cut clip whose file is gone from media/."""
    with dataset.manifest() as manifest:
        rows = manifest.rows(
            f"select clip_id, video_id, unit, {', '.join(HELD)} from dataset join videos using (video_id) "
            "where keep and cut_status = 'ok' and clip_sha256 is not null"
        )
    return [
        (row["video_id"], row["clip_id"], row["unit"])
        for row in rows
        if not dataset.store.has_media(row["clip_pack"] or row["clip_sha256"])
    ]


def _refuse_lost(dataset: Dataset, plan: ShardPlan) -> None:
    for rows in plan.rows.values():
        table = pq.read_table(rows, columns=["clip_pack", "clip_sha256"])
        names = pc.unique(pc.coalesce(table["clip_pack"], table["clip_sha256"])).drop_null().to_pylist()
        if not all(map(dataset.store.has_media, names)):
            lost = lost_clips(dataset)
            raise LostClipsError(
                f"{len(lost)} cut clips have no file in media/ any more, the first is {lost[0][1]}: "
                f"`hdvg retry {dataset.root} --reason lost_clip` cuts them again",
                lost,
            )


class _Hashed:
    """A file to write to, of which the hash is known when it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sha256 = file, hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True

    def sha256(self) -> str:
        return self._sha256.hexdigest()


def write_shard(dataset: Dataset, shard: NewShard, cutter: Cutter) -> None:
    """Publish a shard, then the row that says what it holds."""
    name, content, rows = shard.name, shard.content, shard.rows
    hashes: list[str] = []

    def write(path: Path) -> None:
        with path.open("wb") as file:
            hashed = _Hashed(file)
            _write_rows(dataset, hashed, rows=pq.read_table(rows), content=content, cutter=cutter)
            hashes.append(hashed.sha256())

    final = dataset.root / f"shards/{name}.parquet"
    is_mine = dataset.store.publish(f"shards/{name}.parquet", write)
    row: dict[str, Any] = {
        "shard": f"shards/{name}.parquet",
        "split": dataset.plan.recipe.shard.split,
        "content": content,
        "sha256": hashes[0] if is_mine else file_sha256(final),
        "bytes": final.stat().st_size,
        "n_clips": pq.read_metadata(rows).num_rows,
    }
    dataset.store.publish_table(shard_row_name(name, content), pa.Table.from_pylist([row], schema=SHARD_PART))


def _pack(rows: pa.Table, most_bytes: float) -> Iterator[pa.Table]:
    """Cut the rows into runs of at most `most_bytes` of clips, at least one row each."""
    start, held = 0, 0
    for index, size in enumerate(rows.column("size").to_pylist()):
        if index > start and held + size > most_bytes:
            yield rows.slice(start, index - start)
            start, held = index, 0
        held += size
    if start < rows.num_rows:
        yield rows.slice(start)


def _write_rows(dataset: Dataset, file: _Hashed, *, rows: pa.Table, content: str, cutter: Cutter) -> None:
    schema = SHARDS.with_metadata(
        {
            **(SHARDS.metadata or {}),
            b"hdvg_content": content.encode(),
            b"hdvg_recipe": dataset.plan.recipe.to_toml().encode(),
            b"hdvg_licence": b"each row's `licence` and `source` columns say under which terms its clip may be used",
        }
    )
    most = dataset.plan.recipe.shard.row_group_mb * 2**20
    with pq.ParquetWriter(file, schema, compression="none", write_page_checksum=True) as writer:
        for group in _pack(rows, most):
            full = list(_filled(dataset, group.drop_columns("size").to_pylist(), cutter))
            writer.write_table(pa.Table.from_pylist(full, schema=schema), row_group_size=len(full))


def _filled(dataset: Dataset, rows: list[Row], cutter: Cutter) -> Iterator[Row]:
    """The rows with their clips' bytes."""
    made = cutter([row for row in rows if row["clip_sha256"] is None])
    for row in rows:
        full, video = made[row["clip_id"]] if row["clip_id"] in made else (row, _bytes(dataset, row))
        yield full | {"video": video, "schema_version": SCHEMA_VERSION}


def _bytes(dataset: Dataset, row: Row) -> bytes:
    found = cut_file(dataset.store, row)
    if found is None:
        raise UsageError(f"clip {row['clip_id']}: its file is gone from media/; see `hdvg verify {dataset.root}`")
    return found
