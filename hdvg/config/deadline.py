"""Ask DuckDB with an end to the time: what users and strangers write in SQL may run for hours."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

from hdvg.errors import UsageError

if TYPE_CHECKING:
    import duckdb

GRACE_S = 1.0
"""How long a query may take to hear that its time is over: DuckDB listens between its steps only, and one may last for hours."""

Answer = TypeVar("Answer")
_LOST = threading.Event()
"""Whether a query was left behind in this process."""


class OverError(UsageError):
    """A query took too long; `is_lost` if it could not be stopped, and goes on until the process ends."""

    def __init__(self, said: str, *, is_lost: bool = False) -> None:
        super().__init__(said)
        self.is_lost = is_lost


def within(connection: duckdb.DuckDBPyConnection, ask: Callable[[], Answer], *, limit_s: float, said: str) -> Answer:
    """What `ask` gives, which works with this connection alone. Raises OverError with `said` after `limit_s`.

    A query that cannot be stopped is left behind in its thread (`is_lost`): the connection is then of no more use, not even
    to be closed. Raises what `ask` raises of ValueError, MemoryError, and DuckDB's and Arrow's errors.
    """
    import duckdb
    import pyarrow as pa

    answers: list[Answer] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(ask())
        except (ValueError, MemoryError, UsageError, duckdb.Error, pa.ArrowException) as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_late = True
    try:
        thread.join(limit_s)
        is_late = thread.is_alive()
    finally:  # also where a signal ends the waiting
        if thread.is_alive():
            connection.interrupt()
            thread.join(GRACE_S)
    if thread.is_alive():
        _LOST.set()
        raise OverError(said, is_lost=True)
    for error in errors:
        if is_late and isinstance(error, duckdb.InterruptException):
            raise OverError(said) from None
        raise error
    return answers[0]


def leave(code: int) -> NoReturn:
    """End the process; at once where a query was left behind, which ends with it alone."""
    if _LOST.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
