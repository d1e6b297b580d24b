"""Put the small files of a table into one: each thing that a person says of a clip is a file of its own at first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset import ledger
from hdvg.dataset.layout import files, table_name
from hdvg.dataset.store import Store
from hdvg.dataset.tables import TABLES, WRITTEN_AT
from hdvg.errors import UsageError
from hdvg.ids import digest

MANY = 64
"""So many small files of a table are worth the work."""
SMALL_BYTES = 1_000_000
"""Larger files stay as they are: what is written is read again only a few times."""


def compact_some(store: Store, name: str) -> int:
    """`compact` where many small files are there and no command works on the dataset; otherwise another time."""
    if len(_small(store.root, name)) < MANY or store.is_locked():
        return 0
    try:
        with store.lock():
            return compact(store, name)
    except UsageError:  # a run was quicker
        return 0


def compact(store: Store, name: str) -> int:
    """Publish one file with all rows of the table's small files, then remove these; returns how many. Under the run lock.

    No row is lost wherever it is stopped: a row that stands in two files counts once, and the next call ends the work.
    What is written meanwhile, without the lock, stays. A reader that listed the files before finds some gone and must list again.
    """
    paths = _small(store.root, name)
    if len(paths) < 2:
        return 0
    schema = TABLES[name].stored
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path in paths:
        rows |= {tuple(row.values()): row for row in pq.read_table(path, schema=schema).to_pylist()}
    last = sorted(rows.values(), key=lambda row: str(row[WRITTEN_AT.name]))
    place = table_name(name, digest("compacted", name, sorted(path.name for path in paths)))
    gone = {str(path.relative_to(store.root)) for path in paths} - {place}
    with store.aside() as beside:
        beside.publish_table(place, pa.Table.from_pylist(last, schema=schema))
        ledger.exchange(beside, gone, place)
        for one in sorted(gone):
            beside.remove(one)
    return len(gone)


def small_files(root: Path) -> dict[str, int]:
    """How many each table has, of those that have more than one."""
    found = {name: len(_small(root, name)) for name in TABLES}
    return {name: many for name, many in found.items() if many > 1}


def _small(root: Path, name: str) -> list[Path]:
    return [path for path in files(root, "tables", of=name) if _bytes(path) < SMALL_BYTES]


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # put into another meanwhile
        return SMALL_BYTES
