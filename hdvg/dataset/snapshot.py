"""A snapshot of the view `measured`: one Parquet file under `cache/`, so that questions about 10 M clips take seconds.

The view joins and orders thousands of part files; the snapshot has its answer as it stands. It is derived, named by what it was
made from, made again when that has changed, and safe to delete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from hdvg.config.writers import step_and_writer
from hdvg.dataset import marks
from hdvg.dataset.caption_views import caption_sql
from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import CACHE, files
from hdvg.dataset.manifest import literal, no_glob
from hdvg.dataset.stages import ASSESS, LEARNED, REMEASURE, comes_before, stage_names
from hdvg.dataset.tables import TABLES, newest
from hdvg.dataset.tombstones import tombstone_files
from hdvg.errors import ResourceError
from hdvg.ids import digest
from schemas import SCHEMA_VERSION
from schemas.measures import DERIVED, HOMES, KEYFRAME_MEASURED, RULED, SPLIT

VERSION = 2
"""Raise it when the view `measured` comes to give other values for the same parts."""

ROW_GROUP = 122_880
"""Rows: what DuckDB gives one thread at a time."""

STATUSES = tuple(f"{home}_status" for home in dict.fromkeys(HOMES.values()) if home != SPLIT)
COLUMNS = (
    "clip_id",
    "video_id",
    *STATUSES,
    *(name for name, kind in RULED.items() if not pa.types.is_list(kind)),
)

SOURCE = "clip_measures"
"""The table of `measures`: `columns_of`, marks, and `place`, the row's number in the order of (video_id, clip_id)."""

Say = Callable[[str], None]


@contextmanager
def measures(dataset: Dataset, needed: Iterable[str], say: Say) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the table `SOURCE`, one row for each clip of the view `measured`, with the marks of `MARKED`.

    From the snapshot, made now if it is missing or of another state of the dataset. Where that cannot be (a folder that
    takes no files, or a column of lists among those `needed`) the views are read into memory. `say` reports either.
    """
    path, others = _made(dataset, needed, say)
    if path is not None:
        connection = connect(dataset.root)  # never closed by hand: a query that is left behind would keep that waiting
        parquet = f"read_parquet({literal(no_glob(str(path)))}, file_row_number = true)"
        connection.execute(f"create view held as select *, file_row_number as place from {parquet}")
        with_marks(dataset, connection, newest(TABLES[marks.NAME], dataset.root))
        yield connection
        return
    with dataset.manifest() as manifest:
        manifest.connection.execute(f"create table held as {_select((*columns_of(dataset), *others))}")
        manifest.connection.execute("create view placed as select *, rowid as place from held")
        with_marks(dataset, manifest.connection, marks.NAME, source="placed")
        yield manifest.connection


def with_marks(dataset: Dataset, connection: duckdb.DuckDBPyConnection, annotations: str, source: str = "held") -> None:
    """Make the view `SOURCE` of `source`, with marks as they are now: a snapshot has none, for each would make it anew."""
    if not marks.are_there(dataset.root):
        connection.execute(f"create or replace view {SOURCE} as select *, {marks.NOBODY} from {source}")
        return
    connection.execute(f"create or replace table marked as {marks.marked_by(f'({annotations})')}")
    columns = ", ".join(f"coalesce({name}, false) as {name}" for name in marks.MARKED_NAMES)
    joined = f"{source} left join marked using (clip_id)"
    connection.execute(f"create or replace view {SOURCE} as select * replace ({columns}) from {joined}")


def snapshot_name(dataset: Dataset) -> str:
    """Path, in the dataset's folder, of the snapshot of its present state: a digest of all that the view `measured`
    reads."""
    plan = dataset.plan
    parts = [str(path.relative_to(dataset.root)) for path in files(dataset.root, "inputs")]
    for stage in stage_names(plan.recipe, tuple(KEYFRAME_MEASURED)):
        home = step_and_writer(stage)[0]
        shows = home in {*HOMES.values(), REMEASURE, LEARNED, ASSESS} or comes_before(stage, SPLIT)
        if shows and stage in plan.fingerprints:
            found = files(dataset.root, "parts", stage=stage, fingerprint=plan.fingerprints[stage])
            parts += [f"{stage}/{path.name}" for path in found]
    if plan.recipe.caption.takes_persons:
        parts += [path.name for path in files(dataset.root, "tables", of=marks.NAME)]
    writers = [*plan.recipe.caption.writers, *(one.mark for one in plan.recipe.measure.taken)]
    settings = [f"{name}: {sql}" for name, (_, sql) in DERIVED.items()], caption_sql(plan.recipe), writers
    parts += tombstone_files(dataset.root)
    state = digest("snapshot", VERSION, SCHEMA_VERSION, columns_of(dataset), settings, parts)
    return f"{CACHE}/measures-{state[:16]}.parquet"


def build_snapshot(dataset: Dataset, name: str) -> None:
    """Publish the snapshot as `name` and take older ones away. Raises ResourceError where the folder takes no files."""
    with dataset.store.aside() as store:
        store.publish(name, lambda path: _write(dataset, path))
        for path in sorted((dataset.root / CACHE).glob("measures-*.parquet")):
            if f"{CACHE}/{path.name}" != name:
                store.remove(f"{CACHE}/{path.name}")


def _made(dataset: Dataset, needed: Iterable[str], say: Say) -> tuple[Path | None, list[str]]:
    """The snapshot's path, or None with the needed columns that it would not have."""
    others = sorted(set(needed) - {*columns_of(dataset), *marks.MARKED_NAMES})
    if others:
        say(f"{', '.join(others)} is in no snapshot: reading the views, which takes longer")
        return None, others
    name = snapshot_name(dataset)
    if not (dataset.root / name).exists():
        start = time.monotonic()
        try:
            build_snapshot(dataset, name)
        except (ResourceError, duckdb.IOException) as error:
            say(f"no snapshot can be kept, reading the views, which takes longer ({error})")
            return None, []
        say(f"measures read into {name} in {time.monotonic() - start:.1f} s; used until the dataset changes")
    return dataset.root / name, []


def _write(dataset: Dataset, path: Path) -> None:
    with dataset.manifest() as manifest:
        manifest.copy(_select(columns_of(dataset)), path, f"format parquet, row_group_size {ROW_GROUP}")


def columns_of(dataset: Dataset) -> tuple[str, ...]:
    """What a snapshot has of the dataset: of its own measures all but the lists too."""
    taken = dataset.plan.recipe.measure.taken
    own = [field.name for one in taken if one.is_own for field in one.fields() if not pa.types.is_list(field.type)]
    return (*COLUMNS, *(f"{one.name}_status" for one in taken), *own)


def _select(columns: Iterable[str]) -> str:
    return f"select {', '.join(columns)} from measured order by video_id, clip_id"
