"""Write the product: the kept clips as Parquet shards, rewriting only shards whose content changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.clip_files import cut_file, has_cut_file
from hdvg.dataset.damage import broken, say
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import SEED, files
from hdvg.dataset.stages import SHARD
from hdvg.dataset.tombstones import Tombstones
from hdvg.errors import DamagedError, LostClipsError, UsageError
from hdvg.ids import digest, file_sha256
from schemas import SCHEMA_VERSION
from schemas.columns import later_names
from schemas.parts import SHARD_PART
from schemas.shards import SHARDS

READY = "keep and cut_status = 'ok' and (not {captions} or caption is not null)"


Row = dict[str, Any]
Cutter = Callable[[list[Row]], dict[str, tuple[Row, bytes]]]
"""Makes the clips of rows whose clips are virtual: by clip_id, the row with the cut's columns, and the file's bytes."""


def write_shards(dataset: Dataset, cutter: Cutter) -> int:
    """Make `shards/` hold exactly the clips that are kept, cut and captioned; returns how many clips that is.

    Clips are ordered by (accepted list, hash of seed and clip_id) and a shard never spans two lists: new links only
    append. A shard whose content hash stands in its part row stays as it is. What `cutter` raises comes through.
    Raises LostClipsError, before it changes anything, if media is missing.
    """
    settings = dataset.plan.recipe.shard
    planned: dict[str, tuple[str, pa.Table]] = {}
    for number, rows in enumerate(_plan(dataset)):
        content = digest(_hashed_rows(rows.drop_columns("size")), settings.row_group_mb, SCHEMA_VERSION)
        planned[f"{settings.split}-{number:05d}"] = (content, rows)
    _refuse_lost(dataset, planned)
    refuse_unexplained(dataset, {name: content for name, (content, _) in planned.items()})
    _remove_stale(dataset, {name: content for name, (content, _) in planned.items()})
    for name, (content, rows) in planned.items():
        _write(dataset, name, content=content, rows=rows, cutter=cutter)
    return sum(rows.num_rows for _, rows in planned.values())


def _hashed_rows(rows: pa.Table) -> list[Row]:
    """The rows for the content hash; a later column counts only where it is not null, so that its coming changes no
    shard."""
    later = later_names(SHARDS)
    return [{k: v for k, v in row.items() if v is not None or k not in later} for row in rows.to_pylist()]


def _plan(dataset: Dataset) -> Iterator[pa.Table]:
    """The rows of each shard, without the clips' bytes; `size` is a clip's, or what a virtual one will about have."""
    settings = dataset.plan.recipe.shard
    columns = [name for name in SHARDS.names if name not in {"video", "schema_version"}]
    ready = READY.format(captions=dataset.plan.captions_wanted)
    with dataset.manifest() as manifest:
        lists = manifest.rows("select distinct seq from videos order by seq")
        for seq in [row["seq"] for row in lists]:
            rows = manifest.table(
                f"select {', '.join('d.' + name for name in columns)}, "
                "coalesce(d.clip_bytes, v.bytes * d.n_frames // coalesce(v.n_frames, v.decoded_frames)) as size from dataset d join videos v using (video_id) "
                f"where {ready} and v.seq = ? order by md5(? || clip_id), clip_id",
                [seq, f"{settings.seed}:"],
            )
            yield from _pack(rows, settings.max_mb * 2**20)


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


def _remove_stale(dataset: Dataset, planned: dict[str, str]) -> None:
    """Take away part rows, then shards, that are not the planned ones; a shard without its row is known by its footer."""
    keep = {f"{name}-{content}.parquet" for name, content in planned.items()} | {f"{SEED}.parquet"}
    for path in files(dataset.root, "parts", stage=SHARD):
        if path.name not in keep:
            dataset.store.remove(f"parts/shard/{path.name}")
    for path in files(dataset.root, "shards"):
        if planned.get(path.stem) != _content(path):
            dataset.store.remove(f"shards/{path.name}")


def refuse_unexplained(dataset: Dataset, planned: dict[str, str]) -> None:
    """Raise DamagedError, before a shard goes, if a table is damaged, or the dataset knows nothing of a shard's video any
    more that was not taken down: a clip goes for a reason only."""
    going = [path for path in files(dataset.root, "shards") if planned.get(path.stem) != _content(path)]
    if not going:
        return
    if found := broken(dataset.root):
        raise DamagedError(say(dataset.root, [str(path.relative_to(dataset.root)) for path in found], "damaged"))
    held: set[str] = set()
    for path in going:
        with suppress(OSError, pa.ArrowException):  # a damaged shard is written anew
            held |= set(pq.read_table(path, columns=["video_id"])["video_id"].to_pylist())
    tombstones = Tombstones.of(dataset.root)
    known = {
        name
        for path in files(dataset.root, "inputs")
        for name in pq.read_table(path, columns=["video_id"])["video_id"].to_pylist()
    }
    lost = sorted(name for name in held - known if not tombstones.hold("video", name))
    if lost:
        raise DamagedError(
            f"{dataset.root}: shards hold {len(lost)} videos that no list of links names, the first is {lost[0]}: "
            f"a file of inputs/ is lost; nothing was changed. `hdvg verify {dataset.root}` says more"
        )


def _content(path: Path) -> str:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return "unreadable"
    return str(metadata.get(b"hdvg_content", b"").decode())


def lost_clips(dataset: Dataset) -> list[tuple[str, str, str]]:
    """(video_id, clip_id, unit) of every kept and cut clip whose file is gone from media/."""
    with dataset.manifest() as manifest:
        rows = manifest.rows(
            "select clip_id, video_id, unit, clip_sha256 from dataset join videos using (video_id) "
            "where keep and cut_status = 'ok' and clip_sha256 is not null"
        )
    return [
        (row["video_id"], row["clip_id"], row["unit"])
        for row in rows
        if not has_cut_file(dataset.store, row["clip_sha256"])
    ]


def _refuse_lost(dataset: Dataset, planned: dict[str, tuple[str, pa.Table]]) -> None:
    for name, (content, rows) in planned.items():
        if _written(dataset, name, content):
            continue
        names = rows.column("clip_sha256").drop_null().to_pylist()
        if not all(has_cut_file(dataset.store, name) for name in names):
            lost = lost_clips(dataset)
            raise LostClipsError(
                f"{len(lost)} cut clips have no file in media/ any more, the first is {lost[0][1]}: "
                f"`hdvg retry {dataset.root} --reason lost_clip` cuts them again",
                lost,
            )


def _written(dataset: Dataset, name: str, content: str) -> bool:
    part = f"parts/shard/{name}-{content}.parquet"
    return (dataset.root / part).exists() and (dataset.root / f"shards/{name}.parquet").exists()


def _write(dataset: Dataset, name: str, *, content: str, rows: pa.Table, cutter: Cutter) -> None:
    part = f"parts/shard/{name}-{content}.parquet"
    if _written(dataset, name, content):
        return
    dataset.store.publish(
        f"shards/{name}.parquet",
        lambda path: _write_rows(dataset, path, rows=rows, content=content, cutter=cutter),
    )
    final = dataset.root / f"shards/{name}.parquet"
    row: dict[str, Any] = {
        "shard": f"shards/{name}.parquet",
        "split": dataset.plan.recipe.shard.split,
        "content": content,
    }
    row |= {"sha256": file_sha256(final), "bytes": final.stat().st_size, "n_clips": rows.num_rows}
    dataset.store.publish_table(part, pa.Table.from_pylist([row], schema=SHARD_PART))


def _write_rows(dataset: Dataset, path: Path, *, rows: pa.Table, content: str, cutter: Cutter) -> None:
    schema = SHARDS.with_metadata(
        {
            **(SHARDS.metadata or {}),
            b"hdvg_content": content.encode(),
            b"hdvg_recipe": dataset.plan.recipe.to_toml().encode(),
            b"hdvg_licence": b"each row's `licence` and `source` columns say under which terms its clip may be used",
        }
    )
    most = dataset.plan.recipe.shard.row_group_mb * 2**20
    with pq.ParquetWriter(path, schema, compression="none", write_page_checksum=True) as writer:
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
    found = cut_file(dataset.store, row["clip_sha256"])
    if found is None:
        raise UsageError(f"clip {row['clip_id']}: its file is gone from media/; see `hdvg verify {dataset.root}`")
    return found
