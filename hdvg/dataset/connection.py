"""DuckDB within bounds: it spills inside the dataset alone, and a user's query is one SELECT with an end to its time and memory."""

from __future__ import annotations

import os
import resource
import threading
import uuid
from pathlib import Path

import duckdb
import pyarrow as pa

from hdvg.errors import UsageError

GRACE_S = 1.0
"""How long a query may take to hear that its time is over: DuckDB listens between its steps only, and one may last for hours."""
SHARE = 0.5
"""Of this machine's memory, most that a query may take."""


class OverError(UsageError):
    """A query took too long; `is_lost` if it could not be stopped, and goes on until the process ends."""

    def __init__(self, limit_s: float, *, is_lost: bool = False) -> None:
        super().__init__(f"the query ran longer than {limit_s:g} s; narrow it, or raise --limit-s")
        self.is_lost = is_lost


def connect(root: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory; what does not fit there spills into `root`, below tmp if it has that: the next run empties it."""
    place = root.absolute() / "tmp"
    folder = (place if place.is_dir() else place.parent) / f"sort-{uuid.uuid4().hex}"
    return duckdb.connect(config={"temp_directory": str(folder)})


def refuse_other(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise UsageError for what is not one SELECT.

    This is the wall against writing: DuckDB 2.0 lets `COPY … TO` into an allowed folder pass without external access.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError('a query is one SELECT statement, such as "select * from dataset where keep"')


def answer(connection: duckdb.DuckDBPyConnection, sql: str, *, limit_s: float) -> pa.Table | None:
    """The answer to a query; None if it is not there after `limit_s` and cannot be stopped: the connection is then of no more
    use, not even to be closed, and a thread goes on until the process ends.

    Raises UsageError for one that is stopped, duckdb.Error, MemoryError.
    """
    found: list[pa.Table] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            found.append(connection.sql(sql).to_arrow_table())
        except (duckdb.Error, MemoryError, pa.ArrowException) as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        connection.interrupt()
        thread.join(GRACE_S)
        if thread.is_alive():
            return None
    for error in errors:
        if isinstance(error, duckdb.InterruptException):
            raise OverError(limit_s) from None
        raise error
    return found[0]


def bound_memory() -> None:
    """Let this process grow by half of the machine's memory at most, for good: a text that DuckDB makes counts in no limit of
    its own."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with open("/proc/self/statm", "rb") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + int(SHARE * pages)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
