"""Write the product: the kept clips as Parquet shards, rewriting only shards whose content changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.clip_files import HELD, cut_file, promised
from hdvg.dataset.copies import without_copies
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import SEED, files, shard_row_name
from hdvg.dataset.shard_plan import (
    COLUMNS,
    ShardPlan,
    content_of,
    going_shards,
    note_purged,
    note_stamps,
    plan_shards,
    refuse_unexplained,
)
from hdvg.dataset.stages import SHARD
from hdvg.errors import LostClipsError, UsageError
from hdvg.ids import file_sha256
from schemas import SCHEMA_VERSION
from schemas.clips import CUT
from schemas.parts import SHARD_PART
from schemas.shards import SHARDS

Row = dict[str, Any]
Cutter = Callable[[list[Row]], dict[str, tuple[Row, bytes]]]
"""Makes the clips of rows whose clips are virtual: by clip_id, the row with the cut's columns, and the file's bytes."""
Fill = Callable[[list[Row]], Iterable[Row]]
"""Gives rows their clips' bytes."""
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


class _NewFile:
    """A shard's file: `rows` are `COLUMNS` and `size`, to which `fill` adds what is in no plan; `recipe` made its clips."""

    def __init__(self, dataset: Dataset, rows: pa.Table, content: str, *, recipe: bytes, fill: Fill) -> None:
        self._rows, self._fill = rows, fill
        self._most = dataset.plan.recipe.shard.row_group_mb * 2**20
        self._said = {
            b"hdvg_content": content.encode(),
            b"hdvg_recipe": recipe,
            b"hdvg_licence": b"each row's `licence` and `source` columns say under which terms its clip may be used",
        }
        self.sha256 = ""

    def write(self, path: Path) -> None:
        """Write it to `path`; its hash is known then."""
        schema = SHARDS.with_metadata({**(SHARDS.metadata or {}), **self._said})
        with path.open("wb") as file:
            hashed = _Hashed(file)
            with pq.ParquetWriter(hashed, schema, compression="none", write_page_checksum=True) as writer:
                for group in _pack(self._rows, self._most):
                    rows = self._fill(group.drop_columns("size").to_pylist())
                    full = [row | {"schema_version": SCHEMA_VERSION} for row in rows]
                    writer.write_table(pa.Table.from_pylist(full, schema=schema), row_group_size=len(full))
            self.sha256 = hashed.sha256()


def write_shard(dataset: Dataset, shard: NewShard, cutter: Cutter) -> None:
    """Publish a shard, then the row that says what it holds."""
    rows, name = pq.read_table(shard.rows), f"shards/{shard.name}.parquet"
    recipe = dataset.plan.recipe.to_toml().encode()
    file = _NewFile(dataset, rows, shard.content, recipe=recipe, fill=partial(_filled, dataset, cutter))
    is_mine = dataset.store.publish(name, file.write)
    sha256 = file.sha256 if is_mine else file_sha256(dataset.root / name)
    _note(dataset, shard.name, shard.content, sha256, rows.num_rows)


def take_out(dataset: Dataset, shard: Path, videos: Collection[str], clips: Collection[str]) -> None:
    """Write a shard anew without these videos and their clips, its part row first gone; one that holds no others goes.

    The other clips' bytes are those it has. Stopped anywhere, the same again ends the same, and a run writes such a shard anew.
    """
    name, noted = str(shard.relative_to(dataset.root)), files(dataset.root, "shard_rows", of=shard.stem)
    rows = pq.read_table(shard, columns=list(COLUMNS), schema=SHARDS, page_checksum_verification=True)
    left = rows.filter(pc.invert(pc.is_in(rows["video_id"], value_set=pa.array(sorted(videos), pa.string()))))
    left = without_copies(left, pa.array(sorted(clips), pa.string()))
    planned, is_changed = _as_planned(dataset, left), not left.equals(rows)
    with pq.ParquetFile(shard, page_checksum_verification=True) as old:
        said = old.schema_arrow.metadata or {}
        held = said.get(b"hdvg_content", b"").decode()
        content = content_of(dataset, planned) if is_changed or not noted else held
        if is_changed:
            for path in noted:
                dataset.store.remove(str(path.relative_to(dataset.root)))
            if not left.num_rows:
                dataset.store.remove(name)
                return
            sized = left.append_column("size", left["clip_bytes"])
            file = _NewFile(
                dataset, sized, content, recipe=said.get(b"hdvg_recipe", b""), fill=partial(_held, _videos(old))
            )
            dataset.store.rewrite(name, file.write)
            _note(dataset, shard.stem, content, file.sha256, left.num_rows)
        elif not noted and held == content:  # an earlier purge was stopped before
            _note(dataset, shard.stem, content, file_sha256(shard), left.num_rows)
    note_purged(dataset, shard.stem, content, planned)


def _as_planned(dataset: Dataset, rows: pa.Table) -> pa.Table:
    """Rows of a shard as they were before it was written."""
    if dataset.plan.recipe.cut.mode != "virtual":
        return rows
    unmade = dict.fromkeys(field.name for field in CUT if field.name != "clip_id")
    return pa.Table.from_pylist([row | unmade | promised(row) for row in rows.to_pylist()], rows.schema)


def _note(dataset: Dataset, shard: str, content: str, sha256: str, clips: int) -> None:
    """Publish the row that says what a shard holds."""
    row: Row = {
        "shard": f"shards/{shard}.parquet",
        "split": dataset.plan.recipe.shard.split,
        "content": content,
        "sha256": sha256,
        "bytes": (dataset.root / f"shards/{shard}.parquet").stat().st_size,
        "n_clips": clips,
    }
    dataset.store.publish_table(shard_row_name(shard, content), pa.Table.from_pylist([row], schema=SHARD_PART))


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


def _filled(dataset: Dataset, cutter: Cutter, rows: list[Row]) -> Iterator[Row]:
    """The rows with their clips' bytes."""
    made = cutter([row for row in rows if row["clip_sha256"] is None])
    for row in rows:
        full, video = made[row["clip_id"]] if row["clip_id"] in made else (row, _bytes(dataset, row))
        yield full | {"video": video}


def _held(videos: Iterator[tuple[str, bytes]], rows: list[Row]) -> Iterator[Row]:
    """The rows with their clips' bytes, out of a shard's (clip_id, bytes) that come in the same order."""
    for row in rows:
        yield row | {"video": next(video for name, video in videos if name == row["clip_id"])}


def _videos(shard: pq.ParquetFile) -> Iterator[tuple[str, bytes]]:
    for group in range(shard.num_row_groups):
        held = shard.read_row_group(group, columns=["clip_id", "video"])
        yield from ((row["clip_id"], row["video"]) for row in held.to_pylist())


def _bytes(dataset: Dataset, row: Row) -> bytes:
    found = cut_file(dataset.store, row)
    if found is None:
        raise UsageError(f"clip {row['clip_id']}: its file is gone from media/; see `hdvg verify {dataset.root}`")
    return found
