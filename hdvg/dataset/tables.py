"""Tables that no stage makes, such as what people say of clips: declared once, then written, read and purged like all else.

A table's rows lie in immutable files `tables/<name>/<hash>.parquet`, small ones of which `compaction` puts into one; of rows with the same
key the newest counts. Nothing of a table shapes a stage. A take-down removes the rows that name what is lost by their `video_id` or `clip_id`.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.layout import files, pattern, table_name
from hdvg.dataset.parts import no_rows, read_as
from hdvg.dataset.stages import resolve
from hdvg.dataset.store import Store
from hdvg.dataset.views import view
from hdvg.errors import UsageError
from hdvg.ids import digest
from schemas.columns import STR, column

WRITTEN_AT = column(
    "written_at", STR, "UTC time at which the row was written, ISO 8601 to the microsecond", volatile=True
)
"""The last column of every table: `write_rows` fills it, and the newest row of a key counts."""

LOST_BY = ("video_id", "clip_id")
"""Columns by which a take-down finds rows, and a view leaves out what is hidden."""


TRIES = 3
Found = TypeVar("Found")


@dataclass(frozen=True)
class Table:
    """One table: its columns, without `written_at`, and which of them identify a row."""

    name: str
    """Also of its view and its folder."""
    schema: str | pa.Schema
    """A schema, or `module:NAME` of one."""
    key: tuple[str, ...]

    @property
    def stored(self) -> pa.Schema:
        """The schema of its files."""
        declared: pa.Schema = resolve(self.schema)
        return declared.append(WRITTEN_AT)

    @property
    def lost_by(self) -> tuple[str, ...]:
        """The columns by which a take-down finds its rows; none if it is about no video."""
        return tuple(name for name in LOST_BY if name in self.stored.names)


TABLES: dict[str, Table] = {
    one.name: one
    for one in (
        Table("annotations", "schemas.annotations:ANNOTATIONS", ("clip_id", "author")),
        Table("questions", "schemas.answers:QUESTIONS", ("audit", "question")),
        Table("answers", "schemas.answers:ANSWERS", ("audit", "question", "author")),
        Table("written", "schemas.written:WRITTEN", ("path",)),
    )
}
"""By name."""


_NEWEST: dict[tuple[Path, str], str] = {}
"""By dataset and table: when its newest row was written, as far as this process knows."""


def write_rows(store: Store, name: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Publish rows of a table, durably, in one file; returns its name in the dataset. No run lock is needed.

    All rows of a call have the same time. Raises UsageError for a table or a column that is not declared, or a key that a row
    lacks; ResourceError if the disk refuses.
    """
    table = _declared(name)
    given = [dict(row) for row in rows]
    for row in given:
        odd = sorted(row.keys() - set(table.stored.names)) + [key for key in table.key if row.get(key) is None]
        if odd:
            raise UsageError(
                f"table {name}: {', '.join(odd)}: unknown or missing; its columns: {', '.join(table.stored.names)}, "
                f"of which a row needs {', '.join(table.key)}"
            )
    at = _behind(store.root, table)
    held = pa.Table.from_pylist([row | {WRITTEN_AT.name: at} for row in given], schema=table.stored)
    place = table_name(name, digest("table", name, held.to_pylist()))
    with store.aside() as beside:
        beside.publish_table(place, held)
    return place


def _behind(root: Path, table: Table) -> str:
    """The time now, or where a clock that was set back says otherwise, one behind the newest row of the table."""
    place = root, table.name
    if place not in _NEWEST:
        _NEWEST[place] = reread(lambda: _last(root, table))
    now = datetime.now(UTC)
    if now.isoformat(timespec="microseconds") <= _NEWEST[place]:
        now = datetime.fromisoformat(_NEWEST[place]) + timedelta(microseconds=1)
    _NEWEST[place] = now.isoformat(timespec="microseconds")
    return _NEWEST[place]


def _last(root: Path, table: Table) -> str:
    name = WRITTEN_AT.name
    columns = [pq.ParquetFile(path).read([name])[name] for path in files(root, "tables", of=table.name)]
    return max((pc.max(column).as_py() or "" for column in columns), default="")


def reread(read: Callable[[], Found]) -> Found:
    """What `read` finds in a table's files; again where one that it had listed was put into another meanwhile."""
    for _ in range(TRIES - 1):
        with suppress(FileNotFoundError, duckdb.IOException):
            return read()
    return read()


def tables_sql(root: Path, prefix: str, *, forgotten: bool, names: Collection[str]) -> str:
    """The statements that make a view of each of these tables: the newest row of every key, but of what is hidden."""
    tables = (TABLES[name] for name in names)
    return "".join(view(table.name, newest(table, root, prefix, forgotten=forgotten)) for table in tables)


def newest(table: Table, root: Path, prefix: str | None = None, *, forgotten: bool = False) -> str:
    """SQL: the newest row of every key; `prefix`: what stands before names in the dataset, its path as it comes.

    With `forgotten` but of what the view of that name hides.
    """
    prefix = f"{glob.escape(str(root))}/" if prefix is None else prefix
    held = files(root, "tables", of=table.name)
    place = (prefix + pattern("tables", of=table.name)).replace("'", "''")
    rows = read_as(table.stored, f"'{place}'") if held else no_rows(table.stored)
    hidden = ""
    if forgotten and "video_id" in table.lost_by:
        hidden = "anti join forgotten using (video_id) "
    elif forgotten and "clip_id" in table.lost_by:
        hidden = "semi join split_rows using (clip_id) "
    last = f"row_number() over (partition by {', '.join(table.key)} order by {WRITTEN_AT.name} desc) = 1"
    return f"select * from {rows} {hidden}\nqualify {last}"


def _declared(name: str) -> Table:
    if name not in TABLES:
        raise UsageError(
            f"table {name}: not declared in hdvg/dataset/tables.py; there are: {', '.join(TABLES) or 'none'}"
        )
    return TABLES[name]
