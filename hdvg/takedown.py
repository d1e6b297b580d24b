"""Take videos down: find all that belongs to a link, a channel or a file's bytes, hide it, and take it out of every file.

Part files are sealed and never change but here: a purge writes those anew that hold what was taken down, without these rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.config.writers import step_and_writer
from hdvg.dataset import ledger
from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files, names, of_units, pattern, stage_of_part, unit_of
from hdvg.dataset.manifest import literal, no_glob, path_list
from hdvg.dataset.parts import no_rows, read_as, read_parts
from hdvg.dataset.shard_plan import STAMPS, holding
from hdvg.dataset.shards import take_out
from hdvg.dataset.stages import CAPTION, DOWNLOAD, SPLIT, STAGES, part_schema, with_media
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import PURGED, Name, forgotten_sql, publish_tombstones, tombstone_files
from schemas.inputs import INPUTS
from schemas.tombstones import TOMBSTONES

OF_VIDEOS = pa.schema([("video_id", pa.string())])
"""What the files of all stages have in common."""

WRITERS = 16
"""Files written at once: most of the time is the disk's."""

GROWN = """
insert into gone
select 'video', video_id from fetched where sha256 in (select name from gone where kind = 'hash')
    or uploader_id in (select name from gone where kind = 'channel') or reason = 'forgotten'
union select 'hash', sha256 from fetched where sha256 is not null and video_id in (select name from gone where kind = 'video')
except from gone
"""


@dataclass(frozen=True)
class Found:
    """What is to be forgotten, and all of it that the dataset holds."""

    names: frozenset[Name]
    """What tombstones are to name: what was asked for, the videos found by it, and the hashes of their files."""
    units: dict[str, frozenset[str]]
    """Of each unit that holds any of the videos, these."""
    videos: frozenset[str]
    clips: frozenset[str]
    identifiers: frozenset[str]
    """Texts by which one of them might be recognised in the details of another: links, ids, hashes."""
    media: frozenset[str] = frozenset()
    """Hashes of files in media/ that nothing else needs."""
    rows: int = 0
    captions: int = 0


def find(dataset: Dataset, asked: Iterable[Name]) -> Found:
    """All that belongs to what is `asked` and to what tombstones name already.

    Videos with the same bytes belong together, whatever their links: forgotten bytes must not stay under another.
    """
    with connect(dataset.root) as connection:
        _grow(dataset, connection, asked)
        gone = connection.execute("select kind, name from gone").fetchall()
        accepted = connection.execute(
            "select video_id, unit, link, source, link_id from accepted where video_id in (select video_id from lost)"
        ).fetchall()
        units: defaultdict[str, set[str]] = defaultdict(set)
        for name, unit, *_ in accepted:
            if unit is not None:
                units[unit].add(name)
        clips = _column(connection, "select distinct clip_id from clips where clip_id is not null")
        identifiers = {text for row in accepted for text in (row[0], *row[2:]) if text}
        identifiers |= clips | {name for kind, name in gone if kind != "channel"}
        captions = connection.execute("select count(*) from captions").fetchone()
        return Found(
            names=frozenset((kind, name) for kind, name in gone),
            units={unit: frozenset(names) for unit, names in units.items()},
            videos=frozenset(row[0] for row in accepted),
            clips=frozenset(clips),
            identifiers=frozenset(identifiers),
            media=frozenset(_media(dataset, connection, units)),
            rows=len(accepted) + _rows(dataset, connection, set(units)),
            captions=captions[0] if captions else 0,
        )


def hide(dataset: Dataset, store: Store, found: Found) -> int:
    """Make it invisible to every view and never fetched again; returns how many names are new. No run lock is needed."""
    fresh = publish_tombstones(store, found.names)
    dataset.write_views(store)
    return fresh


def purge(dataset: Dataset, found: Found) -> None:
    """Take it out of every file of the dataset; under the run lock, hidden, and with the pool settled without it.

    Each step leaves what the steps after it need, the accepted lists last: stopped anywhere, the same again ends the same.
    """
    store = dataset.store
    ledger.forget(store)
    for path in sorted(path for path in dataset.root.glob("cache/**/*") if path.is_file()):
        if path != dataset.root / STAMPS:  # it names no clip, and spares the other shards
            _remove(store, path)
    _forget_latents(dataset, found)
    for path in holding(dataset, found.videos):
        take_out(dataset, path, found.videos)
    _drop_pool(dataset, found)
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda path: _rewrite(store, path, found), of_units(dataset.root, found.units)))
    _drop_unnamed(dataset)
    for path in files(dataset.root, "tables"):
        _rewrite_table(store, path, found)
    for path in files(dataset.root, "rejected"):
        _rewrite_rejected(store, path, found)
    for path in files(dataset.root, "inputs"):
        _rewrite_list(store, path, found.videos)


def media_bytes(dataset: Dataset, found: Found) -> int:
    """Bytes of the files of media/ that go."""
    paths = (dataset.store.find_media(name) for name in found.media)
    return sum(path.stat().st_size for path in paths if path is not None)


def _grow(dataset: Dataset, connection: duckdb.DuckDBPyConnection, asked: Iterable[Name]) -> None:
    """Make the tables `gone` (kind, name), `lost` (video_id), and of all rows there are the view `accepted` and the table
    `fetched`, of what is asked again and again."""
    root = no_glob(str(dataset.root))
    accepted = read_as(INPUTS, literal(f"{root}/{pattern('inputs')}"))
    fetched = _every(dataset, DOWNLOAD)
    connection.execute(f"create view accepted as from {accepted}")
    connection.execute(f"create table fetched as select video_id, sha256, uploader_id, reason from {fetched}")
    connection.execute("create table gone (kind varchar, name varchar)")
    names = list(map(list, set(asked)))
    if names:
        connection.executemany("insert into gone values (?, ?)", names)
    if tombstone_files(dataset.root):
        tombstones = read_as(TOMBSTONES, literal(f"{root}/{pattern('tombstones')}"))
        known = forgotten_sql(inputs="accepted", download="fetched", tombstones=tombstones)
        connection.execute(f"insert into gone select 'video', video_id from ({known}) except from gone")
    while connection.execute(GROWN).fetchall() != [(0,)]:
        pass
    connection.execute("create table lost as select name as video_id from gone where kind = 'video'")
    units = _column(connection, "select distinct unit from accepted where unit is not null and video_id in (from lost)")
    for view, prefix in (("clips", SPLIT), ("captions", CAPTION)):
        paths = [path for path in of_units(dataset.root, units) if step_and_writer(stage_of_part(path))[0] == prefix]
        wanted = "clip_id" if view == "clips" else "filename, clip_id, kind"
        text = "" if view == "clips" else "and text is not null"
        read = read_as(part_schema(prefix), path_list(paths), also=", filename = true")
        rows = f"select distinct {wanted} from {read} where video_id in (from lost) {text}"
        connection.execute(f"create table {view} as {rows if paths else 'select null as clip_id where false'}")


def _media(dataset: Dataset, connection: duckdb.DuckDBPyConnection, units: Iterable[str]) -> set[str]:
    """Files of media/ that only what is lost names, in parts of these units."""
    held, mine, others = list(of_units(dataset.root, units)), set[str](), set[str]()
    for entry, column, _ in with_media():
        parts = [path for path in held if stage_of_part(path) == entry.name]
        if parts:
            rows = read_parts(entry.name, path_list(parts))
            mine |= _column(connection, f"select {column} from {rows} where video_id in (from lost)")
    if mine:  # else no other part need be opened
        connection.register("asked", pa.table({"name": sorted(mine)}))
        for entry, column, _ in with_media():
            where = f"video_id not in (from lost) and {column} in (from asked)"
            others |= _column(connection, f"select {column} from {_every(dataset, entry.name)} where {where}")
        connection.unregister("asked")
    return mine - others


def _every(dataset: Dataset, stage: str, *, also: str = "") -> str:
    """SQL: the rows of all parts of a stage."""
    if not files(dataset.root, "parts", stage=stage):
        return no_rows(part_schema(stage))
    parts = literal(f"{no_glob(str(dataset.root))}/{pattern('parts', stage=stage)}")
    return read_as(part_schema(stage), parts, also=also)


def _rows(dataset: Dataset, connection: duckdb.DuckDBPyConnection, units: set[str]) -> int:
    """Rows of part files that go."""
    count = 0
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in of_units(dataset.root, units):
        folders[path.parent].append(path)
    for paths in folders.values():
        asked = f"select count(*) from {read_as(OF_VIDEOS, path_list(paths))} where video_id in (from lost)"
        (row,) = connection.execute(asked).fetchall()
        count += row[0]
    return count


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The values of a column, but for null."""
    return {row[0] for row in connection.execute(sql).fetchall() if row[0] is not None}


def _remove(store: Store, path: Path) -> None:
    store.remove(str(path.relative_to(store.root)))


def _forget_latents(dataset: Dataset, found: Found) -> None:
    if (dataset.root / "latents").is_dir():
        from hdvg.latents.store import forget

        forget(dataset, found.clips)


def _drop_pool(dataset: Dataset, found: Found) -> None:
    """Remove what was computed of the pool while it held any of the clips: it names them beside others."""
    with connect(dataset.root) as connection:
        connection.register("taken", pa.table({"clip_id": pa.array(sorted(found.clips), pa.string())}))
        for entry in STAGES.values():
            if entry.clip_columns and files(dataset.root, "parts", stage=entry.name):
                rows = _every(dataset, entry.name, also=", filename = true")
                named = " or ".join(f"{column} in (from taken)" for column in entry.clip_columns)
                for path in _column(connection, f"select distinct filename from {rows} where {named}"):
                    _remove(dataset.store, Path(path))


def _drop_unnamed(dataset: Dataset) -> None:
    """Remove the files of media/ that no row names any more, and those that a killed run left without one."""
    there: defaultdict[str, list[str]] = defaultdict(list)
    for name in names(dataset.root, "media"):
        there[Path(name).stem].append(name)
    named = " union all ".join(
        f"select {column} as hash from {_every(dataset, of.name)}" for of, column, _ in with_media()
    )
    with connect(dataset.root) as connection:
        connection.register("there", pa.table({"hash": pa.array(list(there), pa.string())}))
        for unnamed in _column(connection, f"select hash from there anti join ({named}) using (hash)"):
            for name in there[unnamed]:
                dataset.store.remove(name)


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
