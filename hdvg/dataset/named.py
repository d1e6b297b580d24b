"""What the rows of all parts name, by whatever settings: files of media/, channels, clips that are copies.

A take-down asks who else names something, `gc` what anyone does. The answer is kept as those of views are (`hdvg compact`),
sorted by name, so that a few names cost a few groups of rows; where none is kept, all parts are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from hdvg.dataset.connection import column_of, connect
from hdvg.dataset.kept_views import with_kept
from hdvg.dataset.layout import Look, pattern
from hdvg.dataset.manifest import literal, no_glob
from hdvg.dataset.parts import read_as, read_parts
from hdvg.dataset.stages import DOWNLOAD, STAGES, with_media
from hdvg.dataset.views import view
from schemas.inputs import INPUTS

NAMED = "named"
MEDIA = tuple((entry.name, column) for entry, column, _ in with_media())
MEDIA_COLUMNS = tuple(dict.fromkeys(column for _, column in MEDIA))
COPIES = tuple(
    (entry.name, column) for entry in STAGES.values() for column in entry.clip_columns if column != "clip_id"
)
FEW = 1000
"""So many names at most are looked for one by one; among more, in all rows."""
BYTES, CHANNEL, REASON = "sha256", "uploader_id", "reason"
"""Columns of a download: the hash of a source, who put it online, and, where it says `forgotten`, why there is none."""


def named_sql(look: Look) -> str:
    """The statement that makes the view `named`: (what, name, video_id), `what` being the column that names it."""
    rows = [
        *(_of(look, stage, column, "true") for stage, column in MEDIA),
        _of(look, DOWNLOAD, CHANNEL, "true"),
        _of(look, DOWNLOAD, REASON, "reason = 'forgotten'"),
        *(_of(look, stage, column, f"{column} <> clip_id") for stage, column in COPIES),
    ]
    found = "\nunion all ".join(filter(None, rows))
    nothing = "select null::varchar as what, null::varchar as name, null::varchar as video_id where false"
    return view(NAMED, found or nothing)


def _of(look: Look, stage: str, column: str, condition: str) -> str | None:
    parts = pattern("parts", stage=stage)
    if not look.has_rows(parts):
        return None
    rows = read_parts(stage, literal(f"{no_glob(str(look.root))}/{parts}"))
    return (
        f"select distinct '{column}' as what, {column} as name, video_id from {rows} "
        f"where {column} is not null and {condition}"
    )


@contextmanager
def naming(look: Look) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `named`, and `accepted`: the rows of all lists of links."""
    with connect(look.root) as connection:
        connection.execute(f"set parquet_metadata_cache = true; set dynamic_or_filter_threshold = {FEW}")
        lists = read_as(INPUTS, literal(f"{no_glob(str(look.root))}/{pattern('inputs')}"))
        connection.execute(f"create view accepted as from {lists}")
        connection.execute(with_kept(look.root, named_sql(look), look)[0])
        yield connection


def who_name(
    connection: duckdb.DuckDBPyConnection, columns: Iterable[str], wanted: Iterable[str]
) -> list[tuple[str, str, str]]:
    """The rows (column, name, video_id) that name any of these in one of the columns."""
    held = sorted(wanted)
    if not held:
        return []
    connection.register("asked_for", pa.table({"name": pa.array(held, pa.string())}))
    found = connection.execute(
        f"select what, name, video_id from {NAMED} semi join asked_for using (name) where {_one_of(columns)}"
    ).fetchall()
    connection.unregister("asked_for")
    return found


def units_of(connection: duckdb.DuckDBPyConnection, videos: Collection[str]) -> set[str]:
    """The units that these videos are in."""
    if not videos:
        return set()
    connection.register("asked_for", pa.table({"video_id": pa.array(sorted(videos), pa.string())}))
    units = column_of(connection, "select distinct unit from accepted where video_id in (from asked_for)")
    connection.unregister("asked_for")
    return units


def named_media(*, but_of: str = "") -> str:
    """SQL: the names of files of media/, but for those that only videos of the table `but_of` name."""
    living = f"anti join {but_of} using (video_id)" if but_of else ""
    return f"select distinct name from {NAMED} {living} where {_one_of(MEDIA_COLUMNS)}"


def _one_of(columns: Iterable[str]) -> str:
    return f"what in ({', '.join(map(literal, columns))})"
