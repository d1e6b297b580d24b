"""Answers of views, kept under `cache/`: sorted, with statistics, read in place of the many parts that they are made of.

An answer's name holds a digest of the view's SQL, of that of all views it is made of, and of the names of all files that these
read, which never change: where any of that differs, the view is read as ever. So other rules leave all answers but those that
judge, and a mark of a clip leaves those that look at none.
"""

from __future__ import annotations

import glob
import re
import time
from pathlib import Path

import duckdb

from hdvg.dataset.damage import READS
from hdvg.dataset.layout import CACHE, matching
from hdvg.dataset.store import Store
from hdvg.ids import digest

VERSION = 1
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

ROW_GROUP = 40_000
"""Rows: what a look-up of one reads at least. Of half of that it reads half, but twice as much of where groups lie: over a million
clips the two are even."""

DIFFERENT = 50_000
"""Values of a column that a group of rows may have to get a dictionary, and with it a Bloom filter: ids, which all differ, too."""


def kept_name(view: str, state: str) -> str:
    """Path, in the dataset's folder, of a view's answer."""
    return f"{CACHE}/view-{view}-{state}.parquet"


def kept_files(root: Path) -> list[Path]:
    """All answers that are there, of whatever state."""
    return sorted((root / CACHE).glob("view-*.parquet"))


def with_kept(root: Path, sql: str) -> tuple[str, frozenset[str]]:
    """The statements of the views, with those read from their answers that are there; and which views these are."""
    there = {path.name for path in kept_files(root)}
    states = states_of(root, sql) if there else {}
    names = {view: kept_name(view, state) for view, state in states.items()}
    kept = frozenset(view for view, name in names.items() if Path(name).name in there)

    def swapped(found: re.Match[str]) -> str:
        return reading(root, found[1], names[found[1]]) if found[1] in kept else found[0]

    return STATEMENT.sub(swapped, sql), kept


def reading(root: Path, view: str, name: str) -> str:
    """The statement that makes a view of its answer."""
    path = glob.escape(str(root / name)).replace("'", "''")
    return f"create or replace view {view} as\nselect * from read_parquet('{path}');\n"


def states_of(root: Path, sql: str) -> dict[str, str]:
    """By view that may be kept, the digest of all that its answer hangs on."""
    prefix = glob.escape(str(root))
    states: dict[str, str] = {}
    for view, text in STATEMENT.findall(sql):  # each is made of some that stand before it
        made_of = [(word, states[word]) for word in sorted(states.keys() & set(WORD.findall(text)))]
        patterns = [pattern.replace("''", "'").removeprefix(f"{prefix}/") for pattern in READS.findall(text)]
        names = [name[name.rfind("/") + 1 :] for pattern in patterns for name in matching(root, pattern)]
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
    keys = [key for key in ("video_id", "clip_id") if key in columns]
    order = f"order by {', '.join(keys)}" if keys else ""

    def write(path: Path) -> None:
        target = str(path).replace("'", "''")
        connection.execute(
            f"copy (from {view} {order}) to '{target}' "
            f"(format parquet, compression zstd, row_group_size {ROW_GROUP}, dictionary_size_limit {DIFFERENT})"
        )

    store.publish(name, write)
