"""DuckDB within bounds: it spills inside the dataset alone, and a user's query is one SELECT with an end to its time and memory."""

from __future__ import annotations

import itertools
import os
import resource
import threading
import uuid
from pathlib import Path

import duckdb

from hdvg.dataset.stages import SPLIT
from hdvg.errors import UsageError

LIMIT_S, MB_S = 300.0, 2.0
"""Longest time for what is asked of a dataset, and what each MB of rows of its clips adds: a million clips, 1,600 s."""
TOO_LONG = "what the rules say of the clips took longer than {:.3g} s; simplify the rules, or take one away: --set keep.NAME=null"
QUERY_TOO_LONG = "the query ran longer than {:g} s; narrow it, or raise --limit-s"
SHARE = 0.5
"""Of this machine's memory, most that a query may take."""


def connect(root: Path, *, small: bool = False) -> duckdb.DuckDBPyConnection:
    """A database in memory, up to `SHARE` of the machine's; what does not fit there spills into `root`, below tmp if it has that:
    the next run empties it.

    All `small` ones of a process, each the work of one thread, share one DuckDB: its start takes longer than few rows do.
    """
    return _connect_small(root) if small else _connect(root)


def end(connection: duckdb.DuckDBPyConnection) -> None:
    """End what `connect` made."""
    ((name,),) = connection.execute("select current_database()").fetchall()
    if name != "memory":
        connection.execute(f"use memory; detach {name}")
    connection.close()


def _connect(root: Path) -> duckdb.DuckDBPyConnection:
    place = root.absolute() / "tmp"
    folder = (place if place.is_dir() else place.parent) / f"sort-{uuid.uuid4().hex}"
    connection = duckdb.connect(config={"temp_directory": str(folder), "memory_limit": f"{SHARE:.0%}"})
    connection.execute("set enable_progress_bar = false")  # it would write over our own
    return connection


_small: tuple[Path, duckdb.DuckDBPyConnection] | None = None
_numbers = itertools.count()
_starting = threading.Lock()


def _connect_small(root: Path) -> duckdb.DuckDBPyConnection:
    global _small
    with _starting:
        if _small is None or _small[0] != root:
            _small = root, _connect(root)
            _small[1].execute("set threads = 1")
        connection, name = _small[1].cursor(), f"small_{next(_numbers)}"
    connection.execute(f"attach ':memory:' as {name}; use {name}")
    return connection


def refuse_other(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise UsageError for what is not one SELECT.

    This is the wall against writing: DuckDB 2.0 lets `COPY … TO` into an allowed folder pass without external access.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError('a query is one SELECT statement, such as "select * from dataset where keep"')


def longest_s(root: Path, *, unit: str | None = None) -> float:
    """Longest time for a query of ours over a unit of the dataset, or all of it, which takes seconds: rules are strangers'."""
    if unit is not None:
        return LIMIT_S
    return LIMIT_S + MB_S * clips_mb(root)


def clips_mb(root: Path) -> float:
    """How large the rows of all clips are, MB: a million clips have some 500."""
    return sum(path.stat().st_size for path in (root / "parts" / SPLIT).glob("*.parquet")) / 1e6


def bound_memory() -> None:
    """Let this process grow by half of the machine's memory at most, for good: a text that DuckDB makes counts in no limit of
    its own."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with open("/proc/self/statm", "rb") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + int(SHARE * pages)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
