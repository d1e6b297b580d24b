"""Answers of views, kept under `cache/`: sorted, with statistics, read in place of the many parts that they are made of.

An answer's name holds a digest of the view's SQL, of that of all views it is made of, and of the names of all files that these
read, which never change: where any of that differs, the view is read as ever. So other rules leave all answers but those that
judge, and a mark of a clip leaves those that look at none.
"""

from __future__ import annotations

import glob
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.damage import READS
from hdvg.dataset.layout import CACHE, Look
from hdvg.dataset.store import Store
from hdvg.ids import digest

VERSION = 2
"""Raise it when answers come to be kept otherwise."""

STATEMENT = re.compile(r"create or replace view (\w+) as\n(.*?);\n", re.DOTALL)
WORD = re.compile(r"\w+")

OPEN = frozenset({
    *("inputs", "rejected", "given", "given_videos", "forgotten", "annotations", "questions", "answers"),
    *("clip_rows", "clips", "measures", "verdicts", "captions", "wanted", "pending"),
})  # fmt: skip
"""Views that are not kept, as are those of what is wanted of one stage: small ones, and those that are little work over kept ones."""

READ_S = 3600.0
"""Longest that a query reads an answer of a state that is past."""

BY_ITEM, BY_NAME = ("video_id", "clip_id"), ("what", "name")
"""What answers are sorted by, as far as they have it: of videos or clips, and of names, which are looked up many at once."""

GROUP, SMALL_GROUP = 102_400, 4_096
"""Rows that a look-up reads at least, of one sort of answer and of the other. Of smaller groups it reads less (8 ms of CPU for
each 20,000 clips), but more of where groups lie (0.7 ms for each, of which 100 M clips have hundreds)."""

DICTIONARY_BYTES = 1 << 16
"""Largest dictionary: those of measures, which all differ, take longer to read than the values."""

WRONG = 0.01
"""Share of groups that a Bloom filter does not tell from the one that has an id."""


def kept_name(view: str, state: str) -> str:
    """Path, in the dataset's folder, of a view's answer."""
    return f"{CACHE}/view-{view}-{state}.parquet"


def kept_files(root: Path) -> list[Path]:
    """All answers that are there, of whatever state."""
    return sorted((root / CACHE).glob("view-*.parquet"))


def with_kept(root: Path, sql: str, look: Look | None = None) -> tuple[str, frozenset[str]]:
    """The statements of the views, with those read from their answers that are there; and which views these are."""
    there = {path.name for path in kept_files(root)}
    states = states_of(root, sql, look) if there else {}
    names = {view: kept_name(view, state) for view, state in states.items()}
    kept = frozenset(view for view, name in names.items() if Path(name).name in there)

    def swapped(found: re.Match[str]) -> str:
        return reading(root, found[1], names[found[1]]) if found[1] in kept else found[0]

    return STATEMENT.sub(swapped, sql), kept


def reading(root: Path, view: str, name: str) -> str:
    """The statement that makes a view of its answer."""
    path = glob.escape(str(root / name)).replace("'", "''")
    return f"create or replace view {view} as\nselect * from read_parquet('{path}');\n"


def states_of(root: Path, sql: str, look: Look | None = None) -> dict[str, str]:
    """By view that may be kept, the digest of all that its answer hangs on."""
    prefix, look = glob.escape(str(root)), look or Look(root)
    states: dict[str, str] = {}
    for view, text in STATEMENT.findall(sql):  # each is made of some that stand before it
        made_of = [(word, states[word]) for word in sorted(states.keys() & set(WORD.findall(text)))]
        patterns = [pattern.replace("''", "'").removeprefix(f"{prefix}/") for pattern in READS.findall(text)]
        names = [look.digest(pattern) for pattern in patterns]
        states[view] = digest("view", VERSION, text.replace(prefix, ""), names, made_of)[:16]
    return {view: state for view, state in states.items() if view not in OPEN and not view.startswith("wanted_")}


def keep_answers(root: Path, connection: duckdb.DuckDBPyConnection, sql: str, store: Store) -> int:
    """Keep the answer of each view that has none; returns how many were written. Those of other states go, once nobody reads them.

    `connection` has the views that `sql` makes.
    """
    states = states_of(root, sql)
    written = 0
    for view in (view for view, _ in STATEMENT.findall(sql) if view in states):
        name = kept_name(view, states[view])
        if not (root / name).exists():
            _keep(connection, view, store, name)
            written += 1
        connection.execute(reading(root, view, name))
    for path in stale(root, states):
        store.remove(str(path.relative_to(root)))
    return written


def stale(root: Path, states: dict[str, str]) -> list[Path]:
    """Answers of other states than these, old enough that no query reads them any more."""
    current = {root / kept_name(view, state) for view, state in states.items()}
    return [path for path in kept_files(root) if path not in current and time.time() - path.stat().st_mtime > READ_S]


def _keep(connection: duckdb.DuckDBPyConnection, view: str, store: Store, name: str) -> None:
    columns = [row[0] for row in connection.execute(f"describe {view}").fetchall()]
    by_name = set(BY_NAME) <= set(columns)
    keys, size = (BY_NAME, SMALL_GROUP) if by_name else (BY_ITEM, GROUP)
    held = [key for key in keys if key in columns]
    order = f"order by {', '.join(held)}" if held else ""
    # in the order of videos an id of a clip may be in any group
    bloom = {} if by_name else {key: {"ndv": size, "fpp": WRONG} for key in held}

    def write(path: Path) -> None:
        rows = connection.sql(f"from {view} {order}").to_arrow_reader(size)
        with pq.ParquetWriter(
            path,
            rows.schema,
            compression="zstd",
            dictionary_pagesize_limit=DICTIONARY_BYTES,
            bloom_filter_options=bloom,
            store_schema=False,
        ) as writer:
            for group in _grouped(rows, size):
                writer.write_table(group, row_group_size=size)

    store.publish(name, write)


def _grouped(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The rows, in tables of exactly `size` of them, but for the last."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held)) >= size:
            rows = pa.Table.from_batches(held)
            yield rows.slice(0, size)
            held = rows.slice(size).to_batches()
    if held:
        yield pa.Table.from_batches(held)
