"""What the rows of all parts name, by whatever settings: files of media/, channels, clips that are copies.

A take-down asks who else names something, `gc` what anyone does. The answer is kept as those of views are (`hdvg compact`),
sorted by name, so that a few names cost a few groups of rows; where none is kept, all parts are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
COPIES = tuple(
    (entry.name, column) for entry in STAGES.values() for column in entry.clip_columns if column != "clip_id"
)
BYTES, CHANNEL, FORGOTTEN = "sha256", "uploader_id", "reason"
"""Columns of a download: the hash of a source, who put it online, and, where it says `forgotten`, why there is none."""


def named_sql(root: Path, look: Look | None = None) -> str:
    """The statement that makes the view `named`: (what, name, video_id), `what` being the column that names it."""
    look = look or Look(root)
    rows = [
        *(_of(look, stage, column, "true") for stage, column in MEDIA),
        _of(look, DOWNLOAD, CHANNEL, "true"),
        _of(look, DOWNLOAD, FORGOTTEN, "reason = 'forgotten'"),
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
def naming(root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `named`, and `accepted`: the rows of all lists of links."""
    with connect(root) as connection:
        lists = read_as(INPUTS, literal(f"{no_glob(str(root))}/{pattern('inputs')}"))
        connection.execute(f"create view accepted as from {lists}")
        look = Look(root)
        connection.execute(with_kept(root, named_sql(root, look), look)[0])
        yield connection


def who_name(
    connection: duckdb.DuckDBPyConnection, wanted: Iterable[str], columns: Iterable[str]
) -> list[tuple[str, str]]:
    """(name, video_id) of the rows that name any of these in one of the columns."""
    held = sorted(wanted)
    if not held:
        return []
    connection.register("asked_for", pa.table({"name": pa.array(held, pa.string())}))
    found = connection.execute(
        f"select name, video_id from {NAMED} semi join asked_for using (name) where {_is_one_of(columns)}"
    ).fetchall()
    connection.unregister("asked_for")
    return found


def units_of(connection: duckdb.DuckDBPyConnection, videos: Iterable[str]) -> set[str]:
    """The units that these videos are in."""
    connection.register("asked_for", pa.table({"video_id": pa.array(sorted(videos), pa.string())}))
    units = column_of(connection, "select distinct unit from accepted where video_id in (from asked_for)")
    connection.unregister("asked_for")
    return units


def named_media(*, but_of: str = "") -> str:
    """SQL: the names of files of media/, but for those that only videos of the table `but_of` name."""
    living = f"anti join {but_of} using (video_id)" if but_of else ""
    return f"select distinct name from {NAMED} {living} where {_is_one_of(column for _, column in MEDIA)}"


def _is_one_of(columns: Iterable[str]) -> str:
    return f"what in ({', '.join(map(literal, dict.fromkeys(columns)))})"
