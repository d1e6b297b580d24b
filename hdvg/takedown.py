"""Take videos down: find all that belongs to a link, a channel or a file's bytes, and hide it; `hdvg.purge` takes it out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from hdvg.config.writers import step_and_writer
from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import names, of_units, pattern, stage_of_part
from hdvg.dataset.manifest import literal, no_glob, path_list
from hdvg.dataset.parts import no_rows, read_as, read_parts
from hdvg.dataset.stages import CAPTION, DOWNLOAD, SPLIT, part_schema, with_media
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import Name, forgotten_sql, publish_tombstones, tombstone_files
from schemas.inputs import INPUTS
from schemas.tombstones import TOMBSTONES

OF_VIDEOS = pa.schema([("video_id", pa.string())])
"""What the files of all stages have in common."""

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
        clips = column_of(connection, "select distinct clip_id from clips where clip_id is not null")
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


def media_bytes(dataset: Dataset, found: Found) -> int:
    """Bytes of the files of media/ that go."""
    paths = (dataset.store.find_media(name) for name in found.media)
    return sum(path.stat().st_size for path in paths if path is not None)


def _grow(dataset: Dataset, connection: duckdb.DuckDBPyConnection, asked: Iterable[Name]) -> None:
    """Make the tables `gone` (kind, name), `lost` (video_id), and of all rows there are the view `accepted` and the table
    `fetched`, of what is asked again and again."""
    root = no_glob(str(dataset.root))
    accepted = read_as(INPUTS, literal(f"{root}/{pattern('inputs')}"))
    fetched = every(dataset, DOWNLOAD)
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
    units = column_of(
        connection, "select distinct unit from accepted where unit is not null and video_id in (from lost)"
    )
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
            mine |= column_of(connection, f"select {column} from {rows} where video_id in (from lost)")
    if mine:  # else no other part need be opened
        connection.register("asked", pa.table({"name": sorted(mine)}))
        for entry, column, _ in with_media():
            where = f"video_id not in (from lost) and {column} in (from asked)"
            others |= column_of(connection, f"select {column} from {every(dataset, entry.name)} where {where}")
        connection.unregister("asked")
    return mine - others


def every(dataset: Dataset, stage: str, *, also: str = "") -> str:
    """SQL: the rows of all parts of a stage."""
    if not names(dataset.root, "parts", stage=stage):
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


def column_of(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """The values of a column, but for null."""
    return {row[0] for row in connection.execute(sql).fetchall() if row[0] is not None}
