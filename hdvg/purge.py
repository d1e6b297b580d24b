"""Take what was taken down out of every file of a dataset.

Part files are sealed and never change but here: a purge writes those anew that hold what was taken down, without these rows.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset import ledger
from hdvg.dataset.connection import column_of
from hdvg.dataset.copies import without_copies
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import EVERYTHING, Look, files, names, of_units, unit_of
from hdvg.dataset.manifest import path_list
from hdvg.dataset.named import COPIES, named_media, naming, units_of, who_name
from hdvg.dataset.parts import read_as
from hdvg.dataset.shard_plan import STAMPS, holding
from hdvg.dataset.shards import take_out
from hdvg.dataset.stages import STAGES, part_schema
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import PURGED
from hdvg.takedown import Found

WRITERS = 16
"""Files written at once: most of the time is the disk's."""


def purge(dataset: Dataset, found: Found) -> None:
    """Take it out of every file of the dataset; under the run lock, and hidden. The next run judges anew what had copies in it.

    Each step leaves what the steps after it need, the accepted lists last: stopped anywhere, the same again ends the same.
    """
    store, look = dataset.store, Look(dataset.root)
    with naming(look) as connection:  # before any answer that it asks is taken away
        pool, others = _copies(dataset, connection, found)
        unnamed = _unnamed(dataset, connection, found)
    ledger.forget(store)
    for path in sorted(path for path in dataset.root.glob("cache/**/*") if path.is_file()):
        if path != dataset.root / STAMPS:  # it names no clip, and spares the other shards
            _remove(store, path)
    _forget_latents(dataset, found)
    for path in holding(dataset, found.videos | others):
        take_out(dataset, path, found.videos, found.clips)
    for path in pool:
        _rewrite_pool(store, path, found)
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(lambda path: _rewrite(store, path, found), of_units(dataset.root, found.units, look)))
    for name in unnamed:
        store.remove(name)
    for path in files(dataset.root, "tables"):
        _rewrite_table(store, path, found)
    for path in files(dataset.root, "rejected"):
        _rewrite_rejected(store, path, found)
    for path in files(dataset.root, "inputs"):
        _rewrite_list(store, path, found.videos)


def _remove(store: Store, path: Path) -> None:
    store.remove(str(path.relative_to(store.root)))


def _forget_latents(dataset: Dataset, found: Found) -> None:
    if (dataset.root / "latents").is_dir():
        from hdvg.latents.store import forget

        forget(dataset, found.clips)


def _copies(dataset: Dataset, connection: duckdb.DuckDBPyConnection, found: Found) -> tuple[list[Path], set[str]]:
    """The files with what was computed of the pool that name any of the clips, and the videos whose rows do."""
    videos = {video for *_, video in who_name(connection, [column for _, column in COPIES], found.clips)}
    units = {*found.units, *units_of(connection, videos), EVERYTHING}
    connection.register("taken", pa.table({"clip_id": pa.array(sorted(found.clips), pa.string())}))
    paths = set[str]()
    for entry in STAGES.values():
        if not entry.clip_columns:
            continue
        held = [path for path in map(Path, names(dataset.root, "parts", stage=entry.name)) if unit_of(path) in units]
        if held:
            rows = read_as(
                part_schema(entry.name), path_list(dataset.root / path for path in held), also=", filename = true"
            )
            named = " or ".join(f"{column} in (from taken)" for column in entry.clip_columns)
            for path, video in connection.execute(
                f"select distinct filename, video_id from {rows} where {named}"
            ).fetchall():
                paths.add(path)
                videos.add(video)
    return sorted(map(Path, paths)), videos


def _rewrite_pool(store: Store, path: Path, found: Found) -> None:
    """Take the rows of the clips out of a part of the pool, and their names out of the rows of copies."""
    table, gone = pq.read_table(path), pa.array(sorted(found.clips), pa.string())
    left = without_copies(table.filter(pc.invert(pc.is_in(table["clip_id"], value_set=gone))), gone)
    store.rewrite_table(str(path.relative_to(store.root)), left)


def _unnamed(dataset: Dataset, connection: duckdb.DuckDBPyConnection, found: Found) -> list[str]:
    """The files of media/ that only what is lost names, and those that a killed run left without any row."""
    there: defaultdict[str, list[str]] = defaultdict(list)
    far = dataset.store.far
    afar = [] if far is None else [name for name in far.listed or () if name.startswith("media/")]
    for name in {*names(dataset.root, "media"), *afar}:
        there[Path(name).stem].append(name)
    if not there:
        return []
    connection.register("there", pa.table({"name": pa.array(list(there), pa.string())}))
    connection.register("lost", pa.table({"video_id": pa.array(sorted(found.videos), pa.string())}))
    alone = column_of(connection, f"select name from there anti join ({named_media(but_of='lost')}) using (name)")
    return sorted(name for one in alone for name in there[one])


def _rewrite(store: Store, path: Path, found: Found) -> None:
    """Take the rows of lost videos out of a part, and out of the details of others what identifies them."""
    unit = unit_of(path)
    table = pq.read_table(path)
    gone = pc.is_in(table["video_id"], value_set=pa.array(sorted(found.units[unit]), pa.string()))
    kept = table.filter(pc.invert(gone))
    if not kept.num_rows:
        return _remove(store, path)
    if "detail" in kept.column_names:
        kept = _without_mentions(kept, found.identifiers)
    if not kept.equals(table):
        store.rewrite_table(str(path.relative_to(store.root)), kept)


def _rewrite_table(store: Store, path: Path, found: Found) -> None:
    """Take the rows of what is lost out of a file of a table that no stage makes, whichever hdvg declared it."""
    table = kept = pq.read_table(path)
    for name, lost in (("video_id", found.videos), ("clip_id", found.clips)):
        if name in kept.column_names:
            kept = kept.filter(pc.invert(pc.is_in(kept[name], value_set=pa.array(sorted(lost), pa.string()))))
    if not kept.num_rows:
        _remove(store, path)
    elif kept.num_rows < table.num_rows:
        store.rewrite_table(str(path.relative_to(store.root)), kept)


def _without_mentions(table: pa.Table, identifiers: frozenset[str]) -> pa.Table:
    """The table without details that identify what is lost: a failure's words may name a neighbour."""
    place = table.column_names.index("detail")
    details = table["detail"].to_pylist()
    plain = [None if text and any(name in text for name in identifiers) else text for text in details]
    if plain == details:
        return table
    return table.set_column(place, table.schema.field(place), pa.array(plain, pa.string()))


def _rewrite_rejected(store: Store, path: Path, found: Found) -> None:
    """Take entries of lost videos out of what an import did not take; an empty list stays: it says that the import is whole."""
    table = pq.read_table(path)
    lost = pa.array(sorted(name for kind, name in found.names if kind == "video"), pa.string())
    kept = _without_mentions(table.filter(pc.invert(pc.is_in(table["video_id"], value_set=lost))), found.identifiers)
    if not kept.equals(table):
        store.rewrite_table(str(path.relative_to(store.root)), kept)


def _rewrite_list(store: Store, path: Path, videos: frozenset[str]) -> None:
    """Take lost links out of an accepted list; an empty one stays, for lists are numbered without gaps."""
    table = pq.read_table(path)
    kept = table.filter(pc.invert(pc.is_in(table["video_id"], value_set=pa.array(sorted(videos), pa.string()))))
    if kept.num_rows < table.num_rows:
        marked = kept.replace_schema_metadata({**(kept.schema.metadata or {}), PURGED: b"yes"})
        store.rewrite_table(str(path.relative_to(store.root)), marked)
