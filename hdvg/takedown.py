"""Take videos down: find all that belongs to a link, a channel or a file's bytes, and hide it; `hdvg.purge` takes it out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from hdvg.config.writers import step_and_writer
from hdvg.dataset.connection import column_of
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import Look, of_units, pattern, stage_of_part
from hdvg.dataset.manifest import literal, no_glob, path_list
from hdvg.dataset.named import BYTES, CHANNEL, MEDIA, MEDIA_COLUMNS, NAMED, REASON, naming, units_of, who_name
from hdvg.dataset.parts import read_as
from hdvg.dataset.stages import CAPTION, DOWNLOAD, SPLIT, part_schema
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import Name, forgotten_sql, publish_tombstones, tombstone_files
from schemas.tombstones import TOMBSTONES

OF_VIDEOS = pa.schema([("video_id", pa.string())])
"""What the files of all stages have in common."""


FORGOTTEN = "forgotten"
COLUMN = {"hash": BYTES, "channel": CHANNEL, FORGOTTEN: REASON}
"""By kind of name, the column of a download that says it."""


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
    look = Look(dataset.root)
    with naming(look) as connection:
        gone = _grown(look, connection, {*asked, *_taken_down(dataset, connection)})
        lost = pa.array(sorted(_of_kind(gone, "video")), pa.string())
        connection.register("lost", pa.table({"video_id": lost}))
        links = connection.execute(
            "select video_id, unit, link, source, link_id from accepted where video_id in (from lost)"
        ).fetchall()
        units: defaultdict[str, set[str]] = defaultdict(set)
        for name, unit, *_ in links:
            if unit is not None:
                units[unit].add(name)
        held = list(of_units(dataset.root, units, look))
        clips = column_of(connection, _rows_of_lost(SPLIT, "distinct clip_id", held))
        identifiers = {text for row in links for text in (row[0], *row[2:]) if text}
        identifiers |= clips | {name for kind, name in gone if kind != "channel"}
        captions = _rows_of_lost(CAPTION, "distinct filename, clip_id, kind", held, where="and text is not null")
        return Found(
            names=frozenset(gone),
            units={unit: frozenset(names) for unit, names in units.items()},
            videos=frozenset(row[0] for row in links),
            clips=frozenset(clips),
            identifiers=frozenset(identifiers),
            media=frozenset(_media(connection, held)),
            rows=len(links) + _rows(connection, held),
            captions=len(connection.execute(captions).fetchall()),
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


def _taken_down(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> set[Name]:
    """The videos that tombstones name."""
    if not tombstone_files(dataset.root):
        return set()
    tombstones = read_as(TOMBSTONES, literal(f"{no_glob(str(dataset.root))}/{pattern('tombstones')}"))
    columns = ", ".join(f"case when what = '{column}' then name end as {column}" for column in (BYTES, CHANNEL))
    download = f"(select video_id, {columns} from {NAMED} where what in ('{BYTES}', '{CHANNEL}'))"
    known = forgotten_sql(inputs="accepted", download=download, tombstones=tombstones)
    return {("video", name) for name in column_of(connection, known)}


def _grown(look: Look, connection: duckdb.DuckDBPyConnection, names: set[Name]) -> set[Name]:
    """The names, with all videos that have these bytes or channels or were taken down already, and the bytes of all videos."""
    known, fresh = set[Name](), {*names, (FORGOTTEN, FORGOTTEN)}
    while fresh:
        known |= fresh
        asked = {(COLUMN[kind], name) for kind, name in fresh if kind in COLUMN}
        found = who_name(connection, {what for what, _ in asked}, {name for _, name in asked})
        videos = {("video", video) for what, name, video in found if (what, name) in asked}
        fresh = (videos | {("hash", sha256) for sha256 in _bytes_of(look, connection, fresh | videos)}) - known
    return known - {(FORGOTTEN, FORGOTTEN)}


def _of_kind(names: Iterable[Name], kind: str) -> set[str]:
    return {name for of, name in names if of == kind}


def _bytes_of(look: Look, connection: duckdb.DuckDBPyConnection, names: set[Name]) -> set[str]:
    """The hashes of the files that were fetched for the videos among these."""
    videos = _of_kind(names, "video")
    held = of_units(look.root, units_of(connection, videos), look)
    connection.register("lost", pa.table({"video_id": pa.array(sorted(videos), pa.string())}))
    found = column_of(connection, _rows_of_lost(DOWNLOAD, f"distinct {BYTES}", held))
    connection.unregister("lost")
    return found


def _rows_of_lost(stage: str, what: str, held: Iterable[Path], *, where: str = "") -> str:
    """SQL: what the parts of a stage, or of one for each writer, among `held` have of the videos of the table `lost`."""
    paths = [path for path in held if step_and_writer(stage_of_part(path))[0] == stage]
    if not paths:
        return "select null where false"
    read = read_as(part_schema(stage), path_list(paths), also=", filename = true")
    return f"select {what} from {read} where video_id in (from lost) {where}"


def _media(connection: duckdb.DuckDBPyConnection, held: list[Path]) -> set[str]:
    """Files of media/ that only what is lost names, in these parts."""
    mine = set[str]().union(*(column_of(connection, _rows_of_lost(stage, column, held)) for stage, column in MEDIA))
    lost = column_of(connection, "from lost")
    return mine - {name for _, name, video in who_name(connection, MEDIA_COLUMNS, mine) if video not in lost}


def _rows(connection: duckdb.DuckDBPyConnection, held: list[Path]) -> int:
    """Rows of part files that go."""
    count = 0
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in held:
        folders[path.parent].append(path)
    for paths in folders.values():
        asked = f"select count(*) from {read_as(OF_VIDEOS, path_list(paths))} where video_id in (from lost)"
        (row,) = connection.execute(asked).fetchall()
        count += row[0]
    return count
