"""A person's own SQL, asked in a sandbox's child: one SELECT, with an end to its time, memory, rows and files."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather

from hdvg.dataset.dataset import Dataset
from hdvg.errors import ItemError, UsageError
from hdvg.explore import sql_child
from hdvg.explore.arrays import plain
from hdvg.sandbox import Limits
from hdvg.sandbox.process import process_sandbox

LIMIT_S = 10.0
MEMORY_MB = 4096
"""Address space of the child; DuckDB itself may take `sql_child.MEMORY`."""
FILES_MB = 1024.0
GRACE_S = 10.0
"""To open the dataset's views, before the query begins, and to hear that its time is over."""
ROWS = 1000
CHARACTERS = 20_000


class RefusedError(UsageError):
    """The query was refused, or stopped."""

    status = 422


def ask(dataset: Dataset, sql: Any, *, limit: Any = None) -> dict[str, Any]:
    """The first rows of the answer. Raises UsageError, RefusedError with DuckDB's words."""
    most = ROWS if limit is None else limit
    if not isinstance(sql, str) or not sql.strip() or len(sql) > CHARACTERS:
        raise UsageError(f"sql: a text of at most {CHARACTERS} characters")
    if not isinstance(most, int) or not 0 < most <= ROWS:
        raise UsageError(f"limit = {most!r}: 1 to {ROWS}")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hdvg-sql-") as scratch:
        out = Path(scratch) / "answer.arrow"
        walls = dataset.plan.recipe.limits.sandbox
        limits = Limits(LIMIT_S + GRACE_S, MEMORY_MB, FILES_MB, FILES_MB, walls)
        call = sql_child.answer_query(str(dataset.root), str(out), sql, most + 1, LIMIT_S)
        try:
            said = process_sandbox(*sql_child.HEAVY).call(call, Path(scratch), limits)
        except ItemError as error:
            raise RefusedError(_said(error)) from None
        if said["refused"] is not None:
            raise RefusedError(said["refused"].replace(str(dataset.root), dataset.name))
        table = feather.read_table(out, memory_map=False)
    shown = table.slice(0, most)
    return {
        "columns": [{"name": field.name, "type": str(field.type)} for field in table.schema],
        "rows": plain(_rows(shown)),
        "more": len(table) > most,
        "ms": 1000 * (time.monotonic() - start),
    }


def _rows(table: pa.Table) -> list[list[Any]]:
    columns = [table.column(number).to_pylist() for number in range(table.num_columns)]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def _said(error: ItemError) -> str:
    if error.reason == "timeout":
        return f"the query ran longer than {LIMIT_S:g} s; narrow it, or ask `hdvg query`"
    if error.reason in ("memory", "too_big", "crash"):
        return f"the query wants more memory or disk than it may have ({MEMORY_MB} MB); narrow it, or ask `hdvg query`"
    return f"the query failed: {error.detail.splitlines()[-1] if error.detail else error.reason}"
